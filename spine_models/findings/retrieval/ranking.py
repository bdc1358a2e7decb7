"""Where the right answer stands: ranks, what is made of them, chance, and intervals over patients.

A query's rank is that of its best answer among its rivals, from 1; what is neither answer nor rival (another study of
the same patient, a study with word for word the same report) is not there at all, as in ``encoder.clip.alike``. Equal
similarities stand in random order, and every figure is its expectation over those orders (``encoder.clip.ties``).

Belongs here: ranks and their statistics, for any vectors. Does not belong here: what is compared with what
(``scores``), what ties are worth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from spine_models.encoder.clip.ties import EQUAL_WITHIN, hits, mean_rank, mean_reciprocal, none_among
from spine_models.findings.probes.scores import INTERVAL, patient_draws

AT: Final = (1, 5, 10)
MEASURES: Final = ("recall_1", "recall_5", "recall_10", "median_rank", "mrr")


class Part(NamedTuple):
    """Some of the gallery: vectors [n, D], and for each of Q queries its answers and rivals, bool [Q, n]."""

    vectors: np.ndarray
    answers: np.ndarray
    rivals: np.ndarray


@dataclass(frozen=True)
class Ranked:
    """Queries that have an answer and a rival.

    Attributes:
        kept: bool [Q], which of the queries asked these are; the rest is shorter, [N].
        above: int64, rivals nearer than the best answer.
        tied: int64, rivals as near as it.
        tied_answers: int64, answers as near as it, itself among them.
        answers: int64, right answers of each.
        rivals: int64, of each.
        patients: of each.
    """

    kept: np.ndarray
    above: np.ndarray
    tied: np.ndarray
    tied_answers: np.ndarray
    answers: np.ndarray
    rivals: np.ndarray
    patients: np.ndarray

    @property
    def ranks(self) -> np.ndarray:
        """Mean rank float64 [N], from 1."""
        return mean_rank(self.above, self.tied, self.tied_answers)

    @property
    def reciprocal(self) -> np.ndarray:
        """Mean of 1 / rank, float64 [N]."""
        return mean_reciprocal(self.above, self.tied, self.tied_answers)

    def hits(self, k: int) -> np.ndarray:
        """Chance of an answer among the first ``k``, float64 [N]."""
        return hits(self.above, self.tied, self.tied_answers, k)

    @property
    def reason(self) -> str | None:
        """Why there is no number, or None."""
        if len(self.above) == 0:
            return "no query has an answer and a rival"
        if len(set(self.patients.tolist())) < 2:
            return "fewer than two patients ask"
        return None

    def only(self, which: np.ndarray) -> Ranked:
        """Those of ``which`` [N] bool."""
        kept = self.kept.copy()
        kept[np.flatnonzero(kept)[~which]] = False
        own = (self.above, self.tied, self.tied_answers, self.answers, self.rivals, self.patients)
        return Ranked(kept, *(column[which] for column in own))


def ranked(queries: np.ndarray, parts: Callable[[], Iterable[Part]], patients: Sequence[str]) -> Ranked:
    """Ranks of queries [Q, D]; the gallery comes part by part and twice, so that it need not fit in memory.

    Args:
        queries: finite, any length.
        parts: makes the parts anew; their order does not matter.
        patients: of the queries.

    Raises:
        ValueError: queries or gallery that are not finite.
    """
    asked = np.asarray(queries, dtype=np.float64)
    if not np.isfinite(asked).all():
        raise ValueError("queries hold values that are not finite: materialise embeddings/aligned again")
    n = len(asked)
    best, answers = np.full(n, -np.inf), np.zeros(n, np.int64)
    for part in parts():
        similar = _similar(asked, part)
        best = np.maximum(best, np.where(part.answers, similar, -np.inf).max(axis=1, initial=-np.inf))
        answers += part.answers.sum(axis=1)
    above, tied, rivals, tied_answers = (np.zeros(n, np.int64) for _ in range(4))
    for part in parts():
        similar = _similar(asked, part)
        equal = np.abs(similar - best[:, None]) <= EQUAL_WITHIN
        above += (part.rivals & ~equal & (similar > best[:, None])).sum(axis=1)
        tied += (part.rivals & equal).sum(axis=1)
        tied_answers += (part.answers & equal).sum(axis=1)
        rivals += part.rivals.sum(axis=1)
    kept = (answers > 0) & (rivals > 0)
    counted = (above, tied, tied_answers, answers, rivals, np.asarray(patients, dtype=object))
    return Ranked(kept, *(column[kept] for column in counted))


def rank_pairs(
    query_vectors: np.ndarray,
    gallery_vectors: np.ndarray,
    patients: Sequence[str],
    alike: np.ndarray | None = None,
) -> Ranked:
    """Ranks where row i of the gallery [N, D] is the answer to query i [N, D].

    Args:
        query_vectors: of N studies.
        gallery_vectors: of the same studies, in the same order.
        patients: of the studies; another study of the same patient is no rival.
        alike: labels [N] of reports; equal ones are no rivals. None where no report is sought.
    """
    n = len(query_vectors)
    own = np.eye(n, dtype=bool)
    who = np.unique(np.asarray(patients, dtype=str), return_inverse=True)[1] if n else np.zeros(0, int)
    rivals = who[:, None] != who[None, :]
    if alike is not None:
        rivals &= alike[:, None] != alike[None, :]
    return ranked(query_vectors, lambda: [Part(gallery_vectors, own, rivals)], patients)


def score_retrieval(
    query_vectors: np.ndarray,
    gallery_vectors: np.ndarray,
    patients: Sequence[str],
    alike: np.ndarray | None = None,
    *,
    bootstrap: int = 1000,
    seed: int = 0,
) -> dict[str, float | int | str | None]:
    """Numbers of ``tables.SCORES`` for paired vectors, see ``rank_pairs`` and ``summary``."""
    found = rank_pairs(query_vectors, gallery_vectors, patients, alike)
    return summary(found, n_gallery=len(gallery_vectors), bootstrap=bootstrap, seed=seed)


def summary(
    found: Ranked, *, n_gallery: int, bootstrap: int, seed: int
) -> dict[str, float | int | str | None]:
    """Recall at 1, 5 and 10, median rank and mean reciprocal rank with 95 % intervals, and chance.

    Intervals are percentiles of a bootstrap over the queries' patients: a drawn patient asks all its queries. Where
    there is no number, status is ``not_evaluable`` and ``reason`` says why.
    """
    row: dict[str, float | int | str | None] = {
        "status": "evaluated" if found.reason is None else "not_evaluable",
        "reason": found.reason,
        "n_queries": len(found.above),
        "n_patients": len(set(found.patients.tolist())),
        "n_gallery": n_gallery,
    }
    if found.reason is not None:
        return row
    draws = drawn_queries(found.patients, bootstrap, seed)
    replicates = _measures(found, draws)
    whole = _measures(found, np.ones((1, len(found.above)), int))
    for name, value in zip(MEASURES, whole, strict=True):
        low, high = np.percentile(replicates[MEASURES.index(name)], INTERVAL)
        row |= {name: float(value[0]), f"{name}_low": float(low), f"{name}_high": float(high)}
    return row | chance(found.answers, found.rivals)


def drawn_queries(patients: np.ndarray, replicates: int, seed: int) -> np.ndarray:
    """How often each query is asked, int [replicates, N], when patients are drawn with replacement."""
    who, member = np.unique(patients.astype(str), return_inverse=True)
    return patient_draws(len(who), replicates, [seed])[:, member]


def chance(answers: np.ndarray, rivals: np.ndarray) -> dict[str, float]:
    """What random order gives, mean over queries; of the rank the median over queries of its expectation.

    With r answers among m = r + rivals, the first is beyond k with probability C(m - r, k) / C(m, k), and its rank is
    (m + 1) / (r + 1) on average.
    """
    found = {
        f"chance_recall_{k}": float((1 - none_among(rivals, answers, np.full(len(rivals), k), k)).mean())
        for k in AT
    }
    return found | {"chance_median_rank": float(np.median((answers + rivals + 1) / (answers + 1)))}


def _similar(queries: np.ndarray, part: Part) -> np.ndarray:
    gallery = np.asarray(part.vectors, dtype=np.float64)
    if not np.isfinite(gallery).all():
        raise ValueError("the gallery holds values that are not finite: materialise embeddings/aligned again")
    return queries @ gallery.T


def _measures(found: Ranked, draws: np.ndarray) -> list[np.ndarray]:
    """MEASURES of every row of ``draws``, each [B]."""
    n = draws.sum(axis=1)
    recalls = [(draws @ found.hits(k)) / n for k in AT]
    ranks = found.ranks
    order = np.argsort(ranks, kind="stable")
    medians = np.array([np.median(np.repeat(ranks[order], row)) for row in draws[:, order]])
    return [*recalls, medians, (draws @ found.reciprocal) / n]
