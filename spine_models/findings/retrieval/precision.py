"""Do the studies that look most alike have the same condition? For any study vectors, with no text at all.

Belongs here: precision among the nearest studies of other patients. Does not belong here: the vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import polars as pl

from spine_models.config import RetrievalSettings
from spine_models.findings.probes.scores import INTERVAL
from spine_models.findings.retrieval.ranking import drawn_queries
from spine_models.findings.retrieval.tables import PRECISION

AT: Final = 5
EVERY: Final = "all"


def precision(
    vectors: np.ndarray,
    patients: Sequence[str],
    labels: np.ndarray,
    names: Sequence[str],
    *,
    encoder: str,
    sequence_set: str,
    settings: RetrievalSettings,
) -> pl.DataFrame:
    """PRECISION of one encoder: a row for each condition, and ``all``, their mean.

    Queries are the studies with the condition; the nearest are looked for among studies of other patients that are
    labelled 0 or 1. With fewer than five of those a query is left out. Ties are broken at random, by ``settings.seed``.

    Args:
        vectors: [N, D], compared by cosine.
        patients: [N].
        labels: int [N, C] of 1, 0, -1.
        names: [C] conditions.
        encoder: name for the rows.
        sequence_set: the same.
        settings: of the profile.
    """
    n = len(vectors)
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12) if n else vectors
    near = unit.astype(np.float64) @ unit.astype(np.float64).T + 1e-12 * np.random.default_rng(
        settings.seed
    ).random((n, n))
    who = np.unique(np.asarray(patients, dtype=str), return_inverse=True)[1] if n else np.zeros(0, int)
    near[who[:, None] == who[None]] = -np.inf
    rows, hits, masks = [], np.full((n, len(names)), np.nan), []
    for c, name in enumerate(names):
        found, by_chance = _hits(near, labels[:, c])
        hits[:, c] = found
        asked = np.isfinite(found)
        masks.append(asked)
        rows.append(
            _row(
                encoder,
                sequence_set,
                name,
                found[asked],
                by_chance[asked],
                np.asarray(patients)[asked],
                settings,
            )
        )
    rows.append(_macro(encoder, sequence_set, hits, rows, patients, settings))
    return pl.DataFrame([[row.get(k) for k in PRECISION] for row in rows], schema=PRECISION, orient="row")


def _hits(near: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Precision and its expectation for every study, NaN for those that are no query."""
    found, by_chance = np.full(len(label), np.nan), np.full(len(label), np.nan)
    known = label >= 0
    for i in np.flatnonzero(label == 1):
        among = np.flatnonzero(known & np.isfinite(near[i]))
        if len(among) < AT:
            continue
        nearest = among[np.argpartition(-near[i, among], AT - 1)[:AT]]
        found[i], by_chance[i] = (label[nearest] == 1).mean(), (label[among] == 1).mean()
    return found, by_chance


def _row(
    encoder: str,
    sequence_set: str,
    condition: str,
    hits: np.ndarray,
    by_chance: np.ndarray,
    patients: np.ndarray,
    settings: RetrievalSettings,
) -> dict[str, object]:
    row: dict[str, object] = {
        "encoder": encoder,
        "sequence_set": sequence_set,
        "condition": condition,
        "n_queries": len(hits),
        "n_patients": len(set(patients.tolist())),
    }
    if len(set(patients.tolist())) < 2:
        return row | {"status": "not_evaluable", "reason": "fewer than two patients have it"}
    draws = drawn_queries(patients, settings.bootstrap, settings.seed)
    low, high = np.percentile((draws @ hits) / draws.sum(axis=1), INTERVAL)
    numbers = {
        "precision_5": float(hits.mean()),
        "precision_5_low": float(low),
        "precision_5_high": float(high),
    }
    return row | {"status": "evaluated"} | numbers | {"chance": float(by_chance.mean())}


def _macro(
    encoder: str,
    sequence_set: str,
    hits: np.ndarray,
    rows: list[dict[str, object]],
    patients: Sequence[str],
    settings: RetrievalSettings,
) -> dict[str, object]:
    """Mean over the conditions that have a number; a replicate leaves out those of which it drew nobody."""
    which = [c for c, row in enumerate(rows) if row["status"] == "evaluated"]
    row: dict[str, object] = {"encoder": encoder, "sequence_set": sequence_set, "condition": EVERY}
    asked = np.isfinite(hits[:, which]).any(axis=1) if which else np.zeros(len(hits), bool)
    own = np.asarray(patients)[asked]
    row |= {"n_queries": int(asked.sum()), "n_patients": len(set(own.tolist()))}
    if not which:
        return row | {"status": "not_evaluable", "reason": "no condition has a number"}
    part = hits[asked][:, which]
    draws = drawn_queries(own, settings.bootstrap, settings.seed).astype(np.float64)
    counted = draws @ np.isfinite(part)
    means = np.divide(
        draws @ np.nan_to_num(part), counted, out=np.full(counted.shape, np.nan), where=counted > 0
    )
    low, high = np.percentile(np.nanmean(means, axis=1), INTERVAL)
    mean = [float(rows[c]["precision_5"]) for c in which]  # type: ignore[arg-type]
    by_chance = [float(rows[c]["chance"]) for c in which]  # type: ignore[arg-type]
    return row | {
        "status": "evaluated",
        "precision_5": float(np.mean(mean)),
        "precision_5_low": float(low),
        "precision_5_high": float(high),
        "chance": float(np.mean(by_chance)),
    }
