"""How true saliency is, measured: what patches do to the probability, and where they lie.

Deletion takes patches away in the order of a map, the highest first, and puts the blurred slice in their place;
insertion gives them back to the blurred slice (RISE, Petsiuk 2018). The area under the probability should be small for
one and large for the other. Where the finding is annotated, three more: whether the highest patch lies in a box
widened by half a patch, how much denser the positive saliency is inside than over the whole slice, and the average
precision of patches. Random orders and the order by distance to the centre go through the same measures on the same
slices.

Belongs here: measures per slice. Does not belong here: which slices (``drawn``), means and intervals (``scores``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
import torch
from torch import Tensor

from spine_models.config import AttributionSettings
from spine_models.findings.attribution.boxes import (
    Box,
    coverage,
    mass_lift,
    patches_in,
    pointing,
    slice_boxes,
)
from spine_models.findings.attribution.saliency import composed, saliency_maps
from spine_models.findings.attribution.sight import Sight, SliceHead
from spine_models.findings.attribution.tables import MEASURED
from spine_models.findings.embeddings.images import stored_images
from spine_models.findings.probes.scores import average_precision

RANDOM: Final = "random"
CENTRE: Final = "centre"
CURVES: Final = ("deletion", "insertion")
OVERLAPS: Final = ("pointing", "mass_lift", "patch_precision")
MEASURES: Final = (*CURVES, *OVERLAPS)
EXAMPLES: Final = 6
CHANCE_DRAWS: Final = 200
"""Random maps whose mean average precision is chance; they cost no encoding."""


@dataclass(frozen=True)
class Example:
    """A judged slice to look at: uint16 [S, S], its map [h, w] by method, its boxes in its own pixels."""

    condition: str
    route: str
    image: np.ndarray
    maps: dict[str, np.ndarray]
    boxes: list[Box]


@dataclass
class Judged:
    """What was measured.

    Attributes:
        measured: attribution.MEASURED.
        curves: sum of the curves by method and measure, and of how many slices.
        examples: some annotated slices, each of another condition.
    """

    measured: pl.DataFrame
    curves: dict[tuple[str, str], tuple[np.ndarray, int]] = field(default_factory=dict)
    examples: list[Example] = field(default_factory=list)


@dataclass(frozen=True)
class _Outcome:
    """Of one slice and condition: values and curves by method, and the example that it is."""

    row: dict[str, Any]
    values: dict[str, dict[str, float]]
    curves: dict[str, dict[str, np.ndarray]]
    example: Example


def judge(
    drawn: pl.DataFrame,
    sights: Mapping[str, Sight],
    heads: Mapping[str, Mapping[str, SliceHead]],
    shard_roots: Mapping[str, Path],
    *,
    settings: AttributionSettings,
    progress: Callable[[int, int], None] | None = None,
) -> Judged:
    """Every measure of every method on every drawn slice and condition that has a head.

    Args:
        drawn: of ``drawn_slices``.
        sights: encoder by route.
        heads: heads for single slices by route and condition (``sight.slice_heads``).
        shard_roots: per batch, the folder that ``shard`` is relative to.
        settings: methods, steps, orders, seed.
        progress: called with (slices done, slices to do).

    Raises:
        EmbeddingError: a slice that is not in its shard, or not the one of the slice table.
        AttributionError: a map that is not finite.
    """
    known = [(route, condition) for route, own in heads.items() for condition in own]
    pairs = pl.DataFrame(known, schema={"route": pl.String, "condition": pl.String}, orient="row")
    asked = drawn.join(pairs, on=["route", "condition"], how="semi", maintain_order="left")
    by_slice: dict[str, list[dict[str, Any]]] = {}
    for row in asked.iter_rows(named=True):
        by_slice.setdefault(row["slice_key"], []).append(row)
    judged = Judged(pl.DataFrame(schema=MEASURED))
    found: list[dict[str, object]] = []
    for done, (key, array) in enumerate(_images(asked, shard_roots), start=1):
        for outcome in _of_slice(array, by_slice[key], sights, heads, settings):
            found += _rows(outcome, heads)
            for method, both in outcome.curves.items():
                for measure, curve in both.items():
                    total, n = judged.curves.get((method, measure), (np.zeros(len(curve)), 0))
                    judged.curves[method, measure] = (total + curve, n + 1)
            seen = {example.condition for example in judged.examples}
            if outcome.example.boxes and len(seen) < EXAMPLES and outcome.example.condition not in seen:
                judged.examples.append(outcome.example)
        if progress is not None:
            progress(done, len(by_slice))
    judged.measured = pl.DataFrame(found, schema=MEASURED).sort("slice_key", "condition", "method", "measure")
    return judged


def curve_areas(
    sight: Sight,
    head: SliceHead,
    image: Tensor,
    blurred: Tensor,
    orders: Mapping[str, np.ndarray],
    *,
    steps: int,
) -> dict[str, dict[str, np.ndarray]]:
    """Deletion and insertion curves of several orders of patches, in one pass.

    Args:
        sight: encoder.
        head: whose probability is followed.
        image: [1, 1, s, s].
        blurred: what stands where a patch is taken away.
        orders: patches by name, int [P], first to be deleted (or inserted) first.
        steps: equal steps between nothing and everything.

    Returns:
        Per order the curves ``deletion`` and ``insertion``, probabilities float64 [steps + 1].
    """
    height, width = sight.grid(image)
    counts = np.rint(np.arange(steps + 1) / steps * height * width).astype(int)
    shown = [np.ones(height * width, dtype=bool), np.zeros(height * width, dtype=bool)]
    for order in orders.values():
        for count in counts[1:-1]:
            first = np.zeros(height * width, dtype=bool)
            first[order[:count]] = True
            shown += [~first, first]
    stack = torch.from_numpy(np.stack(shown).reshape(-1, height, width)).to(image.device)
    said = head.probabilities(sight.vectors(composed(image, blurred, stack, sight.patch_px)))
    whole, nothing, between = said[0], said[1], said[2:].reshape(len(orders), steps - 1, 2)
    return {
        name: {
            "deletion": np.array([whole, *between[number, :, 0], nothing]),
            "insertion": np.array([nothing, *between[number, :, 1], whole]),
        }
        for number, name in enumerate(orders)
    }


def area(curve: np.ndarray) -> float:
    """Area under a curve over [0, 1] by trapezoids: the mean probability on the way."""
    return float((curve[1:] + curve[:-1]).sum() / 2.0 / (len(curve) - 1))


def centre_map(grid: tuple[int, int]) -> np.ndarray:
    """The map of one who has not looked: 1 at the centre of the slice, 0 in its corners."""
    rows = (np.arange(grid[0]) + 0.5) / grid[0] - 0.5
    columns = (np.arange(grid[1]) + 0.5) / grid[1] - 0.5
    return 1.0 - np.hypot(rows[:, None], columns[None, :]) / np.hypot(0.5, 0.5)


def descending(found: np.ndarray) -> np.ndarray:
    """Patches of a map in the order of their saliency, int [P]; equals in reading order."""
    return np.argsort(-found.ravel(), kind="stable")


def _rows(outcome: _Outcome, heads: Mapping[str, Mapping[str, SliceHead]]) -> Iterator[dict[str, object]]:
    row = outcome.row
    identity = {name: row[name] for name in MEASURED if name in row}
    identity["sequence_set"] = heads[row["route"]][row["condition"]].sequence_set
    for method, values in outcome.values.items():
        for measure, value in values.items():
            yield identity | {"method": method, "measure": measure, "value": value}


def _of_slice(
    array: np.ndarray,
    rows: list[dict[str, Any]],
    sights: Mapping[str, Sight],
    heads: Mapping[str, Mapping[str, SliceHead]],
    settings: AttributionSettings,
) -> Iterator[_Outcome]:
    """Every condition of one slice."""
    sight = sights[rows[0]["route"]]
    own = [heads[row["route"]][row["condition"]] for row in rows]
    maps = {method: saliency_maps(sight, own, array, method, settings) for method in settings.methods}
    image = sight.image(array)
    blurred = sight.blurred(image, settings.blur_patches)
    grid = sight.grid(image)
    for number, (row, head) in enumerate(zip(rows, own, strict=True)):
        rng = np.random.default_rng([settings.seed, _number(row["slice_key"], row["condition"])])
        shown = {method: found[number] for method, found in maps.items()} | {CENTRE: centre_map(grid)}
        orders = {method: descending(found) for method, found in shown.items()}
        drawn = [rng.permutation(grid[0] * grid[1]) for _ in range(settings.random_orders)]
        orders |= {f"{RANDOM} {i}": order for i, order in enumerate(drawn)}
        curves = curve_areas(sight, head, image, blurred, orders, steps=settings.curve_steps)
        at_random = [curves.pop(f"{RANDOM} {i}") for i in range(settings.random_orders)]
        curves[RANDOM] = {kind: np.mean([each[kind] for each in at_random], axis=0) for kind in CURVES}
        values = {name: {kind: area(curve) for kind, curve in both.items()} for name, both in curves.items()}
        boxes = slice_boxes(row, row["condition"]) if row["marks"] else []
        if boxes:
            covered = coverage(boxes, grid, row["size_px"], widen=settings.widen_patches)
            for name, found in shown.items():
                values[name] |= _overlap(found, covered)
            values[RANDOM] |= _chance(covered, rng)
        own_maps = {method: found[number] for method, found in maps.items()}
        example = Example(row["condition"], row["route"], array, own_maps, boxes)
        yield _Outcome(row, values, curves, example)


def _overlap(found: np.ndarray, covered: np.ndarray) -> dict[str, float]:
    """Measures against the boxes; one that this slice cannot give (boxes everywhere, no positive patch) is not in."""
    inside = patches_in(covered)
    values = {"pointing": pointing(found, inside)}
    lift = mass_lift(found, covered)
    if lift is not None:
        values["mass_lift"] = lift
    precision = float(average_precision(inside.ravel().astype(int), found.ravel())[0])
    if np.isfinite(precision):
        values["patch_precision"] = precision
    return values


def _chance(covered: np.ndarray, rng: np.random.Generator) -> dict[str, float]:
    """What a map that knows nothing scores: exact where that is simple, else the mean of many drawn ones."""
    inside = patches_in(covered)
    values = {"pointing": float(inside.mean()), "mass_lift": 1.0}
    labels = inside.ravel().astype(int)
    if inside.any() and not inside.all():
        drawn = [average_precision(labels, rng.random(inside.size))[0] for _ in range(CHANCE_DRAWS)]
        values["patch_precision"] = float(np.mean(drawn))
    return values


def _images(asked: pl.DataFrame, shard_roots: Mapping[str, Path]) -> Iterator[tuple[str, np.ndarray]]:
    rows = (
        asked.select("batch_key", "slice_key", "shard", "pixel_hash").unique().sort("batch_key", "slice_key")
    )
    for (batch,), part in rows.group_by("batch_key", maintain_order=True):
        yield from stored_images(part, shard_roots[str(batch)])


def _number(*words: str) -> int:
    """A seed of its own for every slice and condition, whatever else is drawn."""
    return int.from_bytes(hashlib.sha256("|".join(words).encode()).digest()[:8], "big")
