"""How well held-out studies, reports and slices find each other.

The pool is of test patients alone. A study that shares patient or report with the query's is neither answer nor rival.

Belongs here: what is asked and what is an answer. Does not belong here: ranks and intervals (``ranking``), baselines
(``comparison``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

import numpy as np
import polars as pl

from spine_models.config import RetrievalSettings
from spine_models.domain import Plane, conditions
from spine_models.encoder.clip.variants import IMAGE, REPORT
from spine_models.findings.embeddings.pooling import stack
from spine_models.findings.probes.scores import INTERVAL, patient_draws
from spine_models.findings.retrieval.ranking import MEASURES, Part, chance, rank_pairs, ranked, summary
from spine_models.findings.retrieval.studies import BOTH, Studies, one_space
from spine_models.findings.retrieval.tables import SCORES

IMAGES_OF_SET: Final = {"t1": ("t1",), "t2": ("t2",), "other": ("other",), "all": ("study", BOTH, IMAGE)}
ROUTES_OF_SET: Final = {"t1": ("t1",), "t2": ("t2",), "other": ("other",), "all": ("t1", "t2", "other")}
ROWS_AT_A_TIME: Final = 4096
DEPTH: Final = 20_000
"""Slices that a sentence's bootstrap looks at, best first; a patient's slices beyond are as good as not found."""
CHUNK: Final = 1 << 24

SliceReader = Callable[[], Iterator[pl.DataFrame]]
"""embeddings.ALIGNED_SLICES batch by batch, as often as it is called."""


def study_scores(studies: Studies, settings: RetrievalSettings) -> pl.DataFrame:
    """SCORES of image to report and report to image, by sequence set.

    ``all`` is asked with the synthesizer's vector of all series, and without it with clip's T1 and T2 together: both on
    the studies that have both, with the same gallery and the same draws.
    """
    rows = []
    for sequence_set, images in IMAGES_OF_SET.items():
        for image in images:
            if image not in studies.vectors and image != images[0]:
                continue
            beside = [name for name in images if name in studies.vectors]
            both = studies.having(image, *beside, REPORT)
            who, alike = studies.patients(both), studies.alike[both]
            for task, query, gallery in (
                ("image_to_report", image, REPORT),
                ("report_to_image", REPORT, image),
            ):
                row = _row(task, studies.encoders.get(image, "none"), query, gallery, sequence_set)
                if both.any():
                    found = rank_pairs(
                        studies.vectors[query][both], studies.vectors[gallery][both], who, alike
                    )
                    row |= summary(
                        found, n_gallery=int(both.sum()), bootstrap=settings.bootstrap, seed=settings.seed
                    )
                else:
                    all_of = len(beside) > 1 and image in beside
                    row |= _absent(
                        f"no test study has {'all image sides and a report' if all_of else 'both'}"
                    )
                rows.append(row)
    return _frame(rows)


def slice_scores(studies: Studies, read: SliceReader, settings: RetrievalSettings) -> pl.DataFrame:
    """SCORES of report to slice: the query is a study's report, every slice of that study is an answer.

    Args:
        studies: of test patients.
        read: slices; those of other patients are passed over.
        settings: of the profile.

    Raises:
        RetrievalError: slices of another version than the studies.
    """
    asked = studies.having(REPORT)
    encoder = studies.encoders.get(REPORT, "none")
    asking = {name: _row("text_to_slice", encoder, REPORT, "slice", name) for name in ROUTES_OF_SET}
    if not asked.any():
        return _frame([row | _absent("no test study has a report") for row in asking.values()])
    rows = []
    queries = studies.vectors[REPORT][asked]
    at = {key: n for n, key in enumerate(studies.study_keys)}
    who = np.unique(np.asarray(studies.patient_keys, dtype=str), return_inverse=True)[1]
    ids = np.flatnonzero(asked)
    for sequence_set, routes in ROUTES_OF_SET.items():
        row = asking[sequence_set]
        seen = {"slices": 0}

        def parts(routes: tuple[str, ...] = routes, seen: dict[str, int] = seen) -> Iterator[Part]:
            seen["slices"] = 0
            for rows_of, vectors in _slices(read, studies, routes):
                of = np.array([at[key] for key in rows_of["study_key"]])
                apart = (who[ids][:, None] != who[of][None]) & (
                    studies.alike[ids][:, None] != studies.alike[of][None]
                )
                seen["slices"] += len(of)
                yield Part(vectors, ids[:, None] == of[None], apart)

        found = ranked(queries, parts, studies.patients(asked))
        rows.append(
            row | summary(found, n_gallery=seen["slices"], bootstrap=settings.bootstrap, seed=settings.seed)
        )
    return _frame(rows)


def condition_scores(
    studies: Studies,
    sentences: Mapping[str, np.ndarray],
    labels: Mapping[str, Mapping[str, int]],
    read: SliceReader,
    settings: RetrievalSettings,
) -> pl.DataFrame:
    """SCORES of a sentence for each condition to slices: an answer is a slice of a study with it, a rival one without.

    The queries are of nobody, so that the interval draws the patients of the gallery: ranks are those among the slices
    of the drawn patients.

    Args:
        studies: of test patients.
        sentences: unit vector by condition.
        labels: by condition, label (1, 0, -1) by study key; studies of -1 are not there.
        read: slices.
        settings: of the profile.
    """
    row = _row("condition_to_slice", studies.encoders.get(REPORT, "none"), "sentence", "slice", "all")
    names = sorted(sentences)
    if not names:
        return _frame([row | _absent("clip reads no reports")])
    queries = np.stack([sentences[name] for name in names])
    similar, kinds, of_patient = [], [], []
    for rows_of, vectors in _slices(read, studies, ROUTES_OF_SET["all"]):
        similar.append((queries.astype(np.float64) @ vectors.astype(np.float64).T).astype(np.float32))
        kinds.append(
            np.array([[labels[name].get(key, -1) for key in rows_of["study_key"]] for name in names], np.int8)
        )
        of_patient += rows_of["patient_key"].to_list()
    if not similar:
        return _frame([row | _absent("no slice of a test patient")])
    return _frame(
        [row | _of_conditions(np.concatenate(similar, 1), np.concatenate(kinds, 1), of_patient, settings)]
    )


def orientation_scores(studies: Studies, read: SliceReader, settings: RetrievalSettings) -> pl.DataFrame:
    """SCORES of sagittal to axial and back: a study's slices of one plane, averaged, find those of the other.

    No report is sought, so that studies with the same report are rivals.
    """
    rows = []
    planes = (Plane.SAGITTAL.value, Plane.AXIAL.value)
    for sequence_set in ("t1", "t2", "all"):
        routes = tuple(route for route in ROUTES_OF_SET[sequence_set] if route != "other")
        sums: dict[str, dict[str, np.ndarray]] = {plane: {} for plane in planes}
        for rows_of, vectors in _slices(read, studies, routes):
            for key, plane, vector in zip(rows_of["study_key"], rows_of["plane"], vectors, strict=True):
                if plane in sums:
                    own = sums[plane]
                    own[key] = own[key] + vector if key in own else vector.astype(np.float64)
        both = [key for key in studies.study_keys if all(key in sums[plane] for plane in planes)]
        who = dict(zip(studies.study_keys, studies.patient_keys, strict=True))
        encoder = studies.encoders.get(BOTH, "none")
        for query, gallery in (planes, planes[::-1]):
            row = _row("orientation", encoder, query, gallery, sequence_set)
            if not both:
                rows.append(row | _absent("no test study has both planes"))
                continue
            a, b = (np.stack([_unit(sums[plane][key]) for key in both]) for plane in (query, gallery))
            found = rank_pairs(a, b, [who[key] for key in both])
            rows.append(
                row | summary(found, n_gallery=len(both), bootstrap=settings.bootstrap, seed=settings.seed)
            )
    return _frame(rows)


def condition_sentences() -> dict[str, str]:
    """A sentence of a report for each condition, by its key."""
    return {c.key: f"FINDINGS: There is {c.name.split(' (')[0].split(',')[0].lower()}." for c in conditions()}


def _of_conditions(
    similar: np.ndarray, kinds: np.ndarray, of_patient: list[str], settings: RetrievalSettings
) -> dict[str, float | int | str | None]:
    """Summary over the conditions that have answers and rivals, its interval over the gallery's patients."""
    asked = (kinds == 1).any(axis=1) & (kinds == 0).any(axis=1)
    patients, of = np.unique(np.asarray(of_patient, dtype=str), return_inverse=True)
    row: dict[str, float | int | str | None] = {
        "n_queries": int(asked.sum()),
        "n_patients": len(patients),
        "n_gallery": similar.shape[1],
    }
    if not asked.any() or len(patients) < 2:
        why = (
            "no condition has slices with it and without it"
            if len(patients) > 1
            else "fewer than two patients"
        )
        return row | {"status": "not_evaluable", "reason": why}
    draws = patient_draws(len(patients), settings.bootstrap, [settings.seed])
    rng = np.random.default_rng([settings.seed, 1])
    ranks, replicates = [], []
    for likeness, kind in zip(similar[asked], kinds[asked], strict=True):
        known = np.flatnonzero(kind >= 0)
        # Ties in random order: an embedding that tells nothing apart scores chance.
        order = known[np.lexsort((rng.random(len(known)), -likeness[known]))][:DEPTH]
        ranks.append(_first(kind[order], np.ones((1, len(order)), np.int32))[0])
        replicates.append(_first(kind[order], draws[:, of[order]]))
    value, drawn = np.array(ranks)[None], np.stack(replicates, axis=1)
    for name in MEASURES:
        low, high = np.percentile(_measure(name, drawn), INTERVAL)
        row |= {name: float(_measure(name, value)[0]), f"{name}_low": float(low), f"{name}_high": float(high)}
    known = kinds[asked]
    return row | {"status": "evaluated"} | chance((known == 1).sum(axis=1), (known == 0).sum(axis=1))


def _first(kind: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Rank [B] of the first drawn answer when slices in their order are there ``weights`` [B, n] times.

    Where none of the slices looked at is a drawn answer it is one more than those that are there.
    """
    found = np.empty(len(weights))
    step = max(1, CHUNK // max(1, len(kind)))
    for start in range(0, len(weights), step):
        w = weights[start : start + step]
        drawn = (w > 0) & (kind == 1)
        first = np.where(drawn.any(axis=1), drawn.argmax(axis=1), len(kind))
        above = np.cumsum(w * (kind == 0), axis=1)
        above = np.concatenate([np.zeros((len(w), 1), above.dtype), above], axis=1)
        found[start : start + step] = 1 + above[np.arange(len(w)), first]
    return found


def _measure(name: str, ranks: np.ndarray) -> np.ndarray:
    """One of MEASURES [B] of ranks [B, C]."""
    if name == "median_rank":
        return np.median(ranks, axis=1)
    return (1 / ranks).mean(axis=1) if name == "mrr" else (ranks <= int(name.split("_")[1])).mean(axis=1)


def _slices(
    read: SliceReader, studies: Studies, routes: tuple[str, ...]
) -> Iterator[tuple[pl.DataFrame, np.ndarray]]:
    """Keys and vectors [n, D] of the slices of ``studies``, some thousand at a time."""
    for batch in read():
        one_space(batch, studies.versions, table="embeddings/aligned_slices")
        rows = batch.filter(pl.col("route").is_in(routes), pl.col("study_key").is_in(studies.study_keys))
        for part in rows.iter_slices(ROWS_AT_A_TIME):
            yield part, stack(part["vector"])


def _row(
    task: str, encoder: str, query: str, gallery: str, sequence_set: str
) -> dict[str, float | int | str | None]:
    return {
        "task": task,
        "encoder": encoder,
        "query": query,
        "gallery": gallery,
        "sequence_set": sequence_set,
    }


def _absent(reason: str) -> dict[str, float | int | str | None]:
    return {"status": "not_evaluable", "reason": reason, "n_queries": 0, "n_patients": 0, "n_gallery": 0}


def _frame(rows: list[dict[str, float | int | str | None]]) -> pl.DataFrame:
    return pl.DataFrame([[row.get(name) for name in SCORES] for row in rows], schema=SCORES, orient="row")


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / max(float(np.linalg.norm(vector)), 1e-12)
