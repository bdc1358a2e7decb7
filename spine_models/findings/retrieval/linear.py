"""What a baseline's study vectors know of reports: a ridge regression from them to clip's report vectors.

A baseline has no text side. It gets the best linear one: fitted on train patients, its regularisation chosen on val
patients, asked once on test patients.

Belongs here: study vectors side by side, the map. Does not belong here: ranks (``ranking``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import polars as pl

from spine_models.findings.embeddings.pooling import stack
from spine_models.findings.retrieval.ranking import rank_pairs

ROUTES_OF: Final = {"t1": ("t1",), "t2": ("t2",), "other": ("other",), "all": ("t1", "t2", "other")}
MIN_TRAIN: Final = 8


def side_by_side(
    vectors: pl.DataFrame, sequence_set: str, studies: Sequence[str], train: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Standardised vectors float64 [N, D] of ``studies`` and present [N]; a study needs one route of the set.

    Routes stand side by side, standardised over the train studies that have them. A block that is missing contributes
    nothing (zero after standardisation) and has an indicator of its own.

    Args:
        vectors: study_key, route, vector of one encoder.
        sequence_set: t1, t2, other or all.
        studies: keys.
        train: bool [N], whose numbers standardise.

    Raises:
        ValueError: vectors of several lengths, or not finite.
    """
    place = {key: n for n, key in enumerate(studies)}
    blocks, present = [], np.zeros(len(studies), dtype=bool)
    for route in ROUTES_OF[sequence_set]:
        rows = vectors.filter(pl.col("route") == route, pl.col("study_key").is_in(list(place)))
        if rows.is_empty():
            continue
        if rows["vector"].list.len().n_unique() != 1:
            raise ValueError(f"study vectors of route {route!r} have several lengths: embed them again")
        block = np.zeros((len(studies), len(rows["vector"][0])))
        there = np.zeros(len(studies), dtype=bool)
        at = [place[key] for key in rows["study_key"]]
        block[at] = stack(rows["vector"])
        there[at] = True
        if not np.isfinite(block).all():
            raise ValueError(f"study vectors of route {route!r} are not finite: embed them again")
        fitted = there & train
        if not fitted.any():
            continue
        mean, spread = block[fitted].mean(axis=0), block[fitted].std(axis=0)
        block = np.where(there[:, None], (block - mean) / np.where(spread > 1e-9, spread, 1.0), 0.0)
        blocks += [block, np.where(there, 0.0, 1.0)[:, None]]
        present |= there
    return (np.concatenate(blocks, axis=1) if blocks else np.zeros((len(studies), 0))), present


def to_reports(
    values: np.ndarray,
    reports: np.ndarray,
    fit: np.ndarray,
    choose: np.ndarray,
    patients: Sequence[str],
    alike: np.ndarray,
    penalties: Sequence[float],
) -> np.ndarray | None:
    """Unit vectors [N, dim] of studies in the space of the reports; None with fewer than eight studies to fit.

    The penalty with the highest mean reciprocal rank of the report among val studies is taken, the larger of equal
    ones; without two patients there it is the middle of ``penalties``.

    Args:
        values: of ``side_by_side``, [N, D].
        reports: clip's report vectors [N, dim]; those of studies in neither ``fit`` nor ``choose`` are not read.
        fit: bool [N], train studies that have values and a report.
        choose: bool [N], the same of val.
        patients: [N].
        alike: labels of reports [N].
        penalties: of the squared weights, for each fitted study.
    """
    if fit.sum() < MIN_TRAIN or not values.shape[1]:
        return None
    x, y = values[fit], reports[fit].astype(np.float64)
    centre, middle = x.mean(axis=0), y.mean(axis=0)
    x, y = x - centre, y - middle
    wide = x.shape[1] > len(x)
    gram = x @ x.T if wide else x.T @ x
    eigenvalues, basis = np.linalg.eigh(gram)
    eigenvalues = np.maximum(eigenvalues, 0.0)
    seen = basis.T @ (y if wide else x.T @ y)

    def mapped(penalty: float) -> np.ndarray:
        inner = basis @ (seen / (eigenvalues + penalty * len(x))[:, None])
        found = (values - centre) @ (x.T @ inner if wide else inner) + middle
        return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)

    grid = sorted(penalties)
    best, best_mrr = grid[len(grid) // 2], -1.0
    who = [patients[i] for i in np.flatnonzero(choose)]
    if len(set(who)) > 1:
        for penalty in grid:
            found = rank_pairs(mapped(penalty)[choose], reports[choose], who, alike[choose]).reciprocal
            mrr = float(found.mean()) if len(found) else 0.0
            if mrr >= best_mrr:
                best, best_mrr = penalty, mrr
    return mapped(best)
