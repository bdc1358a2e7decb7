"""Do the studies that look most alike have the same condition? For any study vectors, with no text at all.

The mean over conditions is over the same conditions in the value and in every replicate of its interval: a replicate
that draws nobody with one of them is not counted. Without that condition its mean would be one of other conditions,
mostly of the frequent ones, whose precision is high by chance alone.

Belongs here: precision among the nearest studies of other patients. Does not belong here: the vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import polars as pl

from spine_models.config import RetrievalSettings
from spine_models.findings.probes.bootstrap import interval_of
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
    The mean has no interval where no replicate draws somebody with each of its conditions.

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
    """Mean over the conditions that have a number, the same ones in every replicate; ``n_conditions`` says how many."""
    which = [c for c, row in enumerate(rows) if row["status"] == "evaluated"]
    row: dict[str, object] = {"encoder": encoder, "sequence_set": sequence_set, "condition": EVERY}
    asked = np.isfinite(hits[:, which]).any(axis=1) if which else np.zeros(len(hits), bool)
    own = np.asarray(patients)[asked]
    row |= {
        "n_conditions": len(which),
        "n_queries": int(asked.sum()),
        "n_patients": len(set(own.tolist())),
    }
    if not which:
        return row | {"status": "not_evaluable", "reason": "no condition has a number"}
    part = hits[asked][:, which]
    draws = drawn_queries(own, settings.bootstrap, settings.seed).astype(np.float64)
    counted = draws @ np.isfinite(part)
    whole = (counted > 0).all(axis=1)
    means = (draws[whole] @ np.nan_to_num(part)) / counted[whole]
    mean = [float(rows[c]["precision_5"]) for c in which]  # type: ignore[arg-type]
    found = interval_of(float(np.mean(mean)), means.mean(axis=1))
    by_chance = [float(rows[c]["chance"]) for c in which]  # type: ignore[arg-type]
    return row | {
        "status": "evaluated",
        "precision_5": found.value,
        "precision_5_low": found.low if whole.any() else None,
        "precision_5_high": found.high if whole.any() else None,
        "chance": float(np.mean(by_chance)),
    }
