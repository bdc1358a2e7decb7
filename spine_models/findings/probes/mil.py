"""Attention over slices as a second head, cross-fitted like the linear one.

The scheme is that of ``crossfit``: networks are trained without one fold and without two. The rows of fold k are
judged by the network without k; its weight decay, its number of epochs and its Platt scaling come from the rows of
every other fold j, judged after every epoch by the network without j and k. The final network's come from the rows
judged by the networks without one fold; it is trained on all train patients. All conditions share one network, so
decay and epochs are those of the lowest mean calibrated log loss over the conditions.

Both classes of a condition weigh the same in training, so a network's logits carry no prior of its training part; the
held-out probabilities refer to the prior of all rows, as the linear heads' do.

Belongs here: the scheme. Does not belong here: the fitted head (``mil_heads``), the network (``attention``), storage
(``bags``), scores (``evaluate``).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import torch

from spine_models.config import ProbeSettings
from spine_models.domain import Split
from spine_models.findings.probes.aligned import SYNTHESIZER, no_cv_of
from spine_models.findings.probes.attention import GatedAttention, logits_of, train
from spine_models.findings.probes.bags import Bags, collect
from spine_models.findings.probes.calibration import fit_platt, log_loss, probabilities, target_log_odds
from spine_models.findings.probes.crossfit import DECIMALS, SMALL, two_classes_everywhere
from spine_models.findings.probes.fitting import ONE_CLASS, fold_count, train_folds, unfit_conditions
from spine_models.findings.probes.judgement import Judgement
from spine_models.findings.probes.mil_heads import MilHead
from spine_models.findings.probes.studies import ROUTES_OF_SET, study_labels


@dataclass(frozen=True)
class MilFit:
    """Heads by sequence set, and what they say of the labelled studies (for ``evaluate_probes``)."""

    heads: Mapping[str, MilHead]
    judgements: tuple[Judgement, ...]


def fit_mil(
    batches: Iterable[pl.DataFrame],
    labels: pl.DataFrame,
    splits: pl.DataFrame,
    *,
    settings: ProbeSettings,
    progress: Callable[[int, int], None] | None = None,
) -> MilFit:
    """Cross-fit the sequence sets of ``settings.mil_sets`` on the labelled train patients.

    Args:
        batches: embeddings.SLICES, a frame at a time, with slice_index (``bags.in_order``); only the slices of labelled
            train and test studies are kept, at most ``settings.mil_slices`` a study, and those in a mapped file.
        labels: labels.CONSENSUS.
        splits: patient_key and split.
        settings: folds, grid of weight decays, most epochs, width, seed.
        progress: called with (networks trained, networks) of a sequence set.

    Raises:
        ProbeInputError: vectors not finite or of several lengths or of two models, a study in two frames, contradicting
            tables.
    """
    truth = study_labels(labels, splits)
    folds = train_folds(truth, settings)
    scored = np.isin(truth.split, [Split.TRAIN.value, Split.TEST.value])
    heads: dict[str, MilHead] = {}
    judgements: list[Judgement] = []
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1 if scored.sum() < SMALL else threads)
        with tempfile.TemporaryDirectory() as folder:
            bags = collect(
                batches,
                limit=settings.mil_slices,
                folder=Path(folder),
                studies=truth.study_keys[scored].tolist(),
            )
            at = truth.rows_of(bags.study_keys)
            for sequence_set in settings.mil_sets:
                rows = bags.having(ROUTES_OF_SET[sequence_set])
                train_rows = rows[truth.split[at[rows]] == Split.TRAIN]
                test_rows = rows[truth.split[at[rows]] == Split.TEST]
                patients = truth.patient_keys[at[train_rows]]
                found = truth.labels[at[train_rows]]
                unfit = unfit_conditions(found, patients, settings, empty=len(rows) == 0)
                enough = two_classes_everywhere(found, folds[at[train_rows]], fold_count(settings))
                unfit = [
                    reason or (None if held else ONE_CLASS)
                    for reason, held in zip(unfit, enough, strict=True)
                ]
                fitted = np.array([reason is None for reason in unfit])
                held_out = np.full(found.shape, np.nan)
                tested = np.full((len(test_rows), found.shape[1]), np.nan)
                if fitted.any():
                    held_out, heads[sequence_set] = _crossfit(
                        bags,
                        train_rows,
                        found,
                        folds[at[train_rows]],
                        fitted,
                        sequence_set,
                        settings,
                        progress,
                    )
                    tested = heads[sequence_set].probabilities(bags, test_rows)
                seen = frozenset(
                    route
                    for route, told in bags.versions.items()
                    if told.get("encoder", "").startswith(SYNTHESIZER)
                    and np.isin(bags.having([route]), train_rows).any()
                )
                judgements.append(
                    Judgement(
                        "spinefm", "mil", sequence_set, at[train_rows], at[test_rows], folds[at[train_rows]],
                        held_out, tested, unfit, no_cv_of(sequence_set, seen),
                    )
                )  # fmt: skip
    finally:
        torch.set_num_threads(threads)
    return MilFit(heads, tuple(judgements))


def _crossfit(
    bags: Bags,
    rows: np.ndarray,
    labels: np.ndarray,
    folds: np.ndarray,
    fitted: np.ndarray,
    sequence_set: str,
    settings: ProbeSettings,
    progress: Callable[[int, int], None] | None,
) -> tuple[np.ndarray, MilHead]:
    """Held-out probabilities [N, C] and the final head."""
    count, epochs = fold_count(settings), settings.mil_epochs
    routes, decays = ROUTES_OF_SET[sequence_set], sorted(settings.mil_decay, reverse=True)
    columns = np.flatnonzero(fitted)
    shape = (len(rows), len(decays), epochs, len(columns))
    single = np.full(shape, np.nan, dtype=np.float32)
    inner = [np.full(shape, np.nan, dtype=np.float32) for _ in range(count)]
    pairs = [(k, j) for k in range(count) for j in range(k, count)]
    for done, (k, j) in enumerate(pairs):
        outside = np.isin(folds, (k, j))
        for d, decay in enumerate(decays):
            logits = np.full((epochs, len(rows), len(columns)), np.nan)

            def record(
                epoch: int, network: GatedAttention, logits: np.ndarray = logits, at: np.ndarray = outside
            ) -> None:
                logits[epoch - 1, at] = logits_of(network, bags, rows[at])[:, columns]

            if outside.any():
                train(
                    bags, rows[~outside], labels[~outside], fitted,
                    routes=routes, decay=decay, epochs=epochs, settings=settings, after=record,
                )  # fmt: skip
            for place, fold in ((single, k),) if k == j else ((inner[k], j), (inner[j], k)):
                here = folds == fold
                place[here, d] = np.moveaxis(logits, 0, 1)[here]
        if progress is not None:
            progress(done + 1, len(pairs) + 1)
    truth = labels[:, columns]
    held_out = np.full(labels.shape, np.nan)
    for k in range(count):
        here = folds == k
        if here.any():
            d, epoch, slope, intercept = _choose(inner[k][~here], truth[~here])
            intercept = intercept + target_log_odds(truth) - target_log_odds(truth[~here])
            chance = probabilities(single[here, d, epoch], slope, intercept)
            held_out[np.ix_(here, columns)] = np.round(chance, DECIMALS)
    d, epoch, slope, intercept = _choose(single, truth)
    network = train(
        bags, rows, labels, fitted, routes=routes, decay=decays[d], epochs=epoch + 1, settings=settings
    )
    maps = np.ones(labels.shape[1]), np.zeros(labels.shape[1])
    for whole, part in zip(maps, (slope, intercept), strict=True):
        whole[columns] = part
    read = {route: told for route, told in bags.versions.items() if route in routes}
    return held_out, MilHead(network, *maps, fitted, decays[d], epoch + 1, settings.mil_slices, read)


def _choose(logits: np.ndarray, truth: np.ndarray) -> tuple[int, int, np.ndarray, np.ndarray]:
    """Decay and epoch of least mean calibrated log loss (on a tie the stronger decay, the earlier), and the maps.

    Args:
        logits: held-out [N, decays, epochs, C].
        truth: [N, C] of 1, 0, -1.
    """
    n, decays, epochs, conditions = logits.shape
    flat, repeated = logits.reshape(n, -1).astype(np.float64), np.tile(truth, (1, decays * epochs))
    slope, intercept = fit_platt(flat, repeated)
    losses = log_loss(slope * flat + intercept, repeated).reshape(decays * epochs, conditions).mean(axis=1)
    best = int(np.argmin(losses))
    place = slice(best * conditions, (best + 1) * conditions)
    return best // epochs, best % epochs, slope[place], intercept[place]
