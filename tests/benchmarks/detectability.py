"""How well a supervised network sees each planted condition, and whether anything betrays it outside its place.

``python tests/benchmarks/detectability.py [--patients N] [--epochs M] [--seed S] [--region R]`` prints two tables.

The first is the study-level AUROC of a small network on level-wise crops (52 px about each disc, all sagittal slices
of T1, T2 and STIR as channels, labelled by the findings whose middle lies there), which scores a study by its highest
crop; intervals by bootstrap over test patients. A tenth of the training patients is held out: the loss of both is
printed after each epoch, and the weights of the epoch with the lowest validation loss are scored. Half of the studies
are lumbar, because three conditions occur only there, a quarter each cervical and thoracic; ``--region`` takes
one region alone, for a quick look. Conditions are drawn independently at one in four, and each is scored among the
regions in which it occurs, so that neither company nor region tells. The network is given where the discs are: it
bounds what is to be seen, not what is easily learnt.

The second compares every spine with the same spine without one of its findings, tissue by tissue: the share of changed
points that lies outside the finding's box (widened by ``MARGIN_MM``). A loss of height and a slip move what is above.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from multiprocessing import get_context

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.nn import functional

from spine_models.domain import Region, condition_keys
from spine_models.phantom.body.pathology import PREVALENCE, draw_findings, occurs_in, share_of
from spine_models.phantom.body.patient import make_spine
from spine_models.phantom.scanner.acquisition import combine, degrade, draw_conditions, labels_of, weighted
from spine_models.phantom.scanner.planning import plan_sagittal
from spine_models.phantom.scanner.protocol import sequence_for

MIX = (Region.LUMBAR, Region.CERVICAL, Region.LUMBAR, Region.THORACIC)
"""Regions of successive patients."""
SEQUENCES = ("T1", "T2", "STIR")
CROP, SEEN = 52, 48
ODDS = 0.25
MARGIN_MM = 4.0
CONDITIONS = condition_keys()


@dataclass(frozen=True)
class Examined:
    """Crops uint8 [levels, 3 * slices, CROP, CROP]; labels [levels, 17] of 1, 0 or nan (partly in the crop)."""

    region: Region
    crops: np.ndarray
    labels: np.ndarray
    present: np.ndarray


def examine_one(number: int, seed: int, regions: tuple[Region, ...]) -> Examined:
    """Render patient ``number`` and cut the crops."""
    rng = np.random.default_rng([seed, number])
    region = regions[number % len(regions)]
    odds = {c: ODDS * share_of(c) for c in PREVALENCE}
    findings = draw_findings(region, rng, prevalence=odds)
    spine = make_spine(region, findings, rng)
    stack = plan_sagittal(spine)
    labels = labels_of(spine, stack)
    field_t = float(rng.choice([1.5, 3.0]))
    images = []
    for name in SEQUENCES:
        sequence = sequence_for(name, field_t, rng)
        water, fat = weighted(spine, labels, sequence, field_t)
        conditions = draw_conditions(stack, water.shape[1], field_t, rng)
        made = degrade(combine(water, fat, sequence), conditions, rng)
        images.append(np.clip(made / np.percentile(made, 99.7) * 255, 0, 255).astype(np.uint8))
    stacked = np.concatenate(images)
    grid = stack.slices[0]
    crops, marks = [], []
    pitch = float(np.median(-np.diff(spine.disc_s)))
    for disc in spine.disc_s:
        at = spine.place(0.0, 0.55 * spine.build.body_depth, float(disc))
        column = round((at[1] - grid.ipp_mm[1]) / grid.spacing_mm) - CROP // 2
        row = round((grid.ipp_mm[2] - at[2]) / grid.spacing_mm) - CROP // 2
        padded = np.pad(stacked, ((0, 0), (CROP, CROP), (CROP, CROP)))
        crops.append(padded[:, row + CROP : row + 2 * CROP, column + CROP : column + 2 * CROP])
        marks.append([_mark(c, findings, float(at[2]), pitch) for c in CONDITIONS])
    present = np.array([any(f.condition == c for f in findings) for c in CONDITIONS])
    return Examined(region, np.stack(crops), np.array(marks, np.float32), present)


def _mark(condition: str, findings: list, z: float, pitch: float) -> float:
    for finding in findings:
        if finding.condition == condition:
            low, high = float(finding.box_mm[0][2]), float(finding.box_mm[1][2])
            if abs((low + high) / 2 - z) < 0.55 * pitch:
                return 1.0
            return float("nan") if low < z + 0.6 * pitch and high > z - 0.6 * pitch else 0.0
    return 0.0


class Network(nn.Module):
    """Crops [n, channels, 48, 48] to logits [n, 17]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        widths = (channels, 40, 56, 72, 72)
        layers: list[nn.Module] = []
        for n, (a, b) in enumerate(pairwise(widths)):
            layers += [
                nn.Conv2d(a, b, 3, stride=2 if n in (0, 2) else 1, padding=1),
                nn.GroupNorm(8, b),
                nn.GELU(),
            ]
        self.body = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Dropout(0.2), nn.Linear(2 * widths[-1], len(CONDITIONS)))

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        found = self.body(crops)
        return self.head(torch.cat([found.mean((2, 3)), found.amax((2, 3))], dim=1))


def train(examined: list[Examined], held_out: list[Examined], epochs: int, seed: int) -> Network:
    """Fit on all crops and return the weights of the epoch with the lowest loss on ``held_out``.

    The slice order is mirrored at random, which changes no label of presence.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    crops, labels = _tensors(examined)
    unseen = _tensors(held_out)
    network = Network(crops.shape[1]).to(memory_format=torch.channels_last)
    steps = epochs * (len(crops) // 64)
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=steps)
    mirrored = mirror(crops.shape[1])
    lowest, best = float("inf"), network.state_dict()
    for epoch in range(epochs):
        network.train()
        order, total = torch.from_numpy(rng.permutation(len(crops))), 0.0
        for n in range(len(crops) // 64):
            pick = order[n * 64 : n * 64 + 64]
            dy, dx = rng.integers(0, CROP - SEEN + 1, 2)
            batch = normalised(crops[pick][:, :, dy : dy + SEEN, dx : dx + SEEN])
            if rng.random() < 0.5:
                batch = batch[:, mirrored]
            batch = batch * (1 + 0.1 * torch.randn(len(batch), batch.shape[1], 1, 1))
            loss = _loss(network, batch, labels[pick])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += loss.item()
        now = _validation(network, *unseen)
        print(f"epoch {epoch + 1}: loss {total / (len(crops) // 64):.4f}, validation {now:.4f}", flush=True)
        if now < lowest:
            lowest, best = now, deepcopy(network.state_dict())
    network.load_state_dict(best)
    return network.eval()


def _tensors(examined: list[Examined]) -> tuple[torch.Tensor, torch.Tensor]:
    crops = torch.from_numpy(np.concatenate([e.crops for e in examined]))
    return crops, torch.from_numpy(np.concatenate([e.labels for e in examined]))


def _loss(network: Network, batch: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean over all labels; those only partly in the crop count as nothing."""
    return functional.binary_cross_entropy_with_logits(
        network(batch.contiguous(memory_format=torch.channels_last)),
        torch.nan_to_num(target),
        weight=(~torch.isnan(target)).float(),
    )


@torch.no_grad()
def _validation(network: Network, crops: torch.Tensor, labels: torch.Tensor) -> float:
    network.eval()
    edge = (CROP - SEEN) // 2
    total = 0.0
    for seen, target in zip(crops.split(64), labels.split(64), strict=True):
        batch = normalised(seen[:, :, edge : edge + SEEN, edge : edge + SEEN])
        total += _loss(network, batch, target).item() * len(seen)
    return total / len(crops)


def mirror(channels: int) -> list[int]:
    """Channel order with each sequence's slices reversed."""
    each = channels // len(SEQUENCES)
    return [s * each + each - 1 - k for s in range(len(SEQUENCES)) for k in range(each)]


def normalised(crops: torch.Tensor) -> torch.Tensor:
    """uint8 to about zero mean and unit deviation."""
    return (crops.float() - 60) / 60


@torch.no_grad()
def scores(network: Network, examined: list[Examined]) -> np.ndarray:
    """Study scores [studies, 17]: the highest crop, averaged over both slice orders."""
    rows = []
    edge = (CROP - SEEN) // 2
    for e in examined:
        crops = normalised(torch.from_numpy(e.crops[:, :, edge : edge + SEEN, edge : edge + SEEN]))
        both = network(crops).sigmoid() + network(crops[:, mirror(crops.shape[1])]).sigmoid()
        rows.append(both.amax(0).numpy())
    return np.stack(rows)


def report(examined: list[Examined], found: np.ndarray, seed: int) -> str:
    """The table of AUROC per condition."""
    rng = np.random.default_rng(seed)
    lines = ["| condition | studies | positive | AUROC | 95 % interval |", "|---|---|---|---|---|"]
    for n, condition in enumerate(CONDITIONS):
        mine = [k for k, e in enumerate(examined) if occurs_in(condition, e.region)]
        truth = np.array([examined[k].present[n] for k in mine])
        if len(set(truth)) < 2:
            continue
        value = found[mine, n]
        again = []
        for _ in range(300):
            pick = rng.integers(0, len(mine), len(mine))
            if 0 < truth[pick].sum() < len(pick):
                again.append(roc_auc_score(truth[pick], value[pick]))
        low, high = np.percentile(again, [2.5, 97.5])
        auroc = roc_auc_score(truth, value)
        lines.append(
            f"| {condition} | {len(mine)} | {int(truth.sum())} | {auroc:.3f} | {low:.3f} to {high:.3f} |"
        )
    return "\n".join(lines)


def betrayed(number: int, seed: int, regions: tuple[Region, ...]) -> list[tuple[str, int, int]]:
    """Per finding of one patient: condition, points it changes, those of them outside its widened box."""
    rng = np.random.default_rng([seed, number])
    region = regions[number % len(regions)]
    findings = draw_findings(region, rng)
    rows = []
    whole = make_spine(region, findings, np.random.default_rng([seed, number, 1]), variants=0)
    stack = plan_sagittal(whole)
    labels = labels_of(whole, stack)
    points = np.stack([s.points(2, stack.thickness_mm) for s in stack.slices])
    for finding in findings:
        others = [f for f in findings if f is not finding]
        without = make_spine(region, others, np.random.default_rng([seed, number, 1]), variants=0)
        changed = labels_of(without, stack) != labels
        low, high = finding.box_mm
        inside = np.all((points > low - MARGIN_MM) & (points < high + MARGIN_MM), axis=-1)
        rows.append((finding.condition, int(changed.sum()), int((changed & ~inside).sum())))
    return rows


def main() -> None:
    """Render, train, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patients", type=int, default=1800, help="three quarters train, one quarter tests")
    parser.add_argument("--epochs", type=int, default=14)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--region", choices=[*(r.value for r in Region if r in MIX), "all"], default="all")
    args = parser.parse_args()
    given = {"seed": args.seed, "regions": MIX if args.region == "all" else (Region(args.region),)}
    with ProcessPoolExecutor(args.workers, mp_context=get_context("spawn")) as pool:
        examined = list(pool.map(partial(examine_one, **given), range(args.patients), chunksize=16))
        traces = list(pool.map(partial(betrayed, **given), range(60), chunksize=4))
    cut = args.patients * 3 // 4
    fitted = cut - cut // 10
    network = train(examined[:fitted], examined[fitted:cut], args.epochs, args.seed)
    print(
        f"\n{fitted} patients to train, {cut - fitted} to validate, {args.patients - cut} to test, "
        f"seed {args.seed}\n"
    )
    print(report(examined[cut:], scores(network, examined[cut:]), args.seed))
    sums: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for condition, changed, outside in (row for rows in traces for row in rows):
        for k, value in enumerate((1, changed, outside)):
            sums[condition][k] += value
    print("\n| condition | findings | changed points | outside the box |\n|---|---|---|---|")
    for condition, (count, changed, outside) in sorted(sums.items()):
        print(f"| {condition} | {count} | {changed} | {outside / max(changed, 1):.3f} |")


if __name__ == "__main__":
    main()
