"""Our retrieval beside that of the baselines, on the same studies and reports.

A baseline's study vectors reach the reports through a linear map (``linear``). The gain is over the baseline with the
highest recall at 5 on the same test queries; choosing it there favours the baselines. What the synthesizer adds is the
gain of a study's vector of all series over clip's of its T1 and T2, on the studies that have both.

Belongs here: who is compared with whom, and on which studies. Does not belong here: ranks (``ranking``), the map.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import polars as pl

from spine_models.config import RetrievalSettings
from spine_models.encoder.clip.variants import IMAGE, REPORT
from spine_models.findings.retrieval.linear import side_by_side, to_reports
from spine_models.findings.retrieval.paired import paired_hits
from spine_models.findings.retrieval.ranking import Ranked, rank_pairs, summary
from spine_models.findings.retrieval.studies import BOTH, Studies
from spine_models.findings.retrieval.tables import GAINS, SCORES

SETS: Final = ("t1", "t2", "other", "all")
OURS_OF_SET: Final = {"t1": ("t1",), "t2": ("t2",), "other": ("other",), "all": ("study", BOTH, IMAGE)}
LINEAR: Final = "+linear"
BEST_BASELINE: Final = "best_baseline"
WITHOUT: Final = "without_synthesizer"
AT: Final = 5


class Compared(NamedTuple):
    """tables.SCORES of the mapped encoders, and tables.GAINS."""

    scores: pl.DataFrame
    gains: pl.DataFrame


def compare(
    studies: Studies,
    splits: Sequence[str],
    frozen: pl.DataFrame,
    baselines: pl.DataFrame,
    settings: RetrievalSettings,
) -> Compared:
    """Image to report of every encoder through a linear map, and what alignment gains over the best baseline.

    Args:
        studies: of all patients of train, val and test.
        splits: of each study.
        frozen: study_key, route, vector: the mean-pooled vectors of our own encoders (embeddings.STUDIES); mapped as
            ``spinefm``, for comparison, never as a baseline.
        baselines: study_key, encoder, route, vector (probes.BASELINES).
        settings: of the profile.
    """
    split = np.asarray(splits, dtype=object)
    named = {"spinefm": frozen} | {
        str(name): part
        for (name,), part in baselines.sort("encoder").group_by("encoder", maintain_order=True)
    }
    scores, gains = [], []
    for sequence_set in SETS:
        mapped = {
            name: found
            for name, vectors in named.items()
            if (found := mapped_to_reports(studies, split, vectors, sequence_set, settings)) is not None
        }
        for name in named:
            scores.append(_score(studies, split, name, mapped.get(name), sequence_set, settings))
        for ours in OURS_OF_SET[sequence_set]:
            if ours in studies.vectors or ours == OURS_OF_SET[sequence_set][0]:
                rivals = {name: own for name, own in mapped.items() if name != "spinefm"}
                gains.append(_gain(studies, split, ours, rivals, sequence_set, settings))
    gains += _synthesizer_gains(studies, split, settings)
    return Compared(_frame(scores, SCORES), _frame(gains, GAINS))


class Mapped(NamedTuple):
    """Unit vectors [N, dim] in the space of the reports, and which of the studies have one, bool [N]."""

    vectors: np.ndarray
    present: np.ndarray


def mapped_to_reports(
    studies: Studies, split: np.ndarray, vectors: pl.DataFrame, sequence_set: str, settings: RetrievalSettings
) -> Mapped | None:
    """Study vectors of an encoder without text through its best linear map; None without studies to fit it.

    Args:
        studies: of all patients of train, val and test, with report vectors.
        split: of each study; train fits the map, val chooses its penalty.
        vectors: study_key, route, vector of one encoder.
        sequence_set: t1, t2, other or all.
        settings: of the profile.
    """
    if REPORT not in studies.vectors:
        return None
    values, present = side_by_side(vectors, sequence_set, studies.study_keys, split == "train")
    there = present & studies.having(REPORT)
    found = to_reports(
        values,
        studies.vectors[REPORT],
        there & (split == "train"),
        there & (split == "val"),
        studies.patient_keys,
        studies.alike,
        settings.ridge,
    )
    return None if found is None else Mapped(found, present)


def _score(
    studies: Studies,
    split: np.ndarray,
    name: str,
    mapped: Mapped | None,
    sequence_set: str,
    settings: RetrievalSettings,
) -> dict[str, object]:
    row: dict[str, object] = {
        "task": "image_to_report",
        "encoder": name + LINEAR,
        "query": sequence_set,
        "gallery": REPORT,
        "sequence_set": sequence_set,
    }
    both = studies.having(REPORT) & (split == "test")
    if mapped is None or not (both := both & mapped.present).any():
        why = "no train studies to fit a map" if mapped is None else "no test study has both"
        return row | {
            "status": "not_evaluable",
            "reason": why,
            "n_queries": 0,
            "n_patients": 0,
            "n_gallery": 0,
        }
    found = rank_pairs(
        mapped.vectors[both], studies.vectors[REPORT][both], studies.patients(both), studies.alike[both]
    )
    return row | summary(found, n_gallery=int(both.sum()), bootstrap=settings.bootstrap, seed=settings.seed)


def _gain(
    studies: Studies,
    split: np.ndarray,
    ours: str,
    rivals: dict[str, Mapped],
    sequence_set: str,
    settings: RetrievalSettings,
) -> dict[str, object]:
    row = _asked(studies, ours, sequence_set, BEST_BASELINE)
    if not rivals:
        return row | {"reason": "no baseline has a map to the reports"}
    both = studies.having(ours, REPORT) & (split == "test")
    for own in rivals.values():
        both &= own.present
    if not both.any():
        return row | {"reason": "no test study has all vectors"}
    who, alike, reports = studies.patients(both), studies.alike[both], studies.vectors[REPORT][both]
    mine = rank_pairs(studies.vectors[ours][both], reports, who, alike)
    theirs = {
        name: rank_pairs(own.vectors[both], reports, who, alike) for name, own in sorted(rivals.items())
    }
    best = max(theirs, key=lambda name: (float(theirs[name].hits(AT).sum()), name))
    return row | _gained(mine, best, theirs[best], settings)


def _synthesizer_gains(
    studies: Studies, split: np.ndarray, settings: RetrievalSettings
) -> list[dict[str, object]]:
    """What the synthesizer adds, on all series and on those of no encoder."""
    none = "no synthesizer is aligned with the reports"
    unstored = (
        "without the synthesizer other series have no vector beside the reports: the ablations compare it"
    )
    other = _asked(studies, "other", "other", WITHOUT)
    rows = [other | {"reason": unstored if "other" in studies.vectors else none}]
    row = _asked(studies, "study", "all", WITHOUT)
    # A clip has separate T1 and T2 sides or one of both, so that there is one row.
    clip = next((name for name in (BOTH, IMAGE) if name in studies.vectors), None)
    if "study" not in studies.vectors or clip is None:
        return [*rows, row | {"reason": none}]
    both = studies.having("study", clip, REPORT) & (split == "test")
    if not both.any():
        return [*rows, row | {"next_best": clip, "reason": "no test study has all vectors"}]
    who, alike, reports = studies.patients(both), studies.alike[both], studies.vectors[REPORT][both]
    mine, theirs = (rank_pairs(studies.vectors[name][both], reports, who, alike) for name in ("study", clip))
    return [*rows, row | _gained(mine, clip, theirs, settings)]


def _asked(studies: Studies, ours: str, sequence_set: str, against: str) -> dict[str, object]:
    return {
        "sequence_set": sequence_set,
        "encoder": studies.encoders.get(ours, "none"),
        "query": ours,
        "against": against,
        "status": "not_evaluable",
        "n_queries": 0,
        "n_patients": 0,
    }


def _gained(mine: Ranked, name: str, theirs: Ranked, settings: RetrievalSettings) -> dict[str, object]:
    """The numbers of a gain; without one the recalls stand with its reason."""
    held, number = {"ours": mine, name: theirs}, {"bootstrap": settings.bootstrap, "seed": settings.seed}
    ours, other = paired_hits(held, "ours", k=AT, **number)
    return {
        "next_best": name,
        "status": "evaluated" if other.reason is None else "not_evaluable",
        "reason": other.reason,
        "n_queries": other.n_queries,
        "n_patients": other.n_patients,
        "recall_5": ours.value,
        "next_best_recall_5": other.value,
        "gain": other.relative_gain,
        "gain_low": other.relative_gain_low,
        "gain_high": other.relative_gain_high,
    }


def _frame(rows: list[dict[str, object]], schema: pl.Schema) -> pl.DataFrame:
    return pl.DataFrame([[row.get(name) for name in schema] for row in rows], schema=schema, orient="row")
