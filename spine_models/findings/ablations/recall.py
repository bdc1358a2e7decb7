"""The table of the ablations in recall: which variant's images find their report among the first five.

``recall_at_5`` asks in the variant's own space and needs a text side there: alignments that read reports, gates that
are aligned with them. ``recall_at_5_linear`` asks of every variant how much of the report its study vectors know, each
through its own linear map to the reports of the alignment in use. Within a measure all variants are treated alike; the
two are not to be compared with each other.

The rules are those of ``findings.retrieval``: test patients alone, no rival of the same patient or with the same words,
equal similarities in random order, intervals over patients.

Belongs here: which variants are asked what. Does not belong here: ranks and pairing (``retrieval.paired``), maps
(``retrieval.variants``), vectors (``aligned``, ``vectors``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Final

import numpy as np
import polars as pl

from spine_models.config import RetrievalSettings
from spine_models.domain import Split
from spine_models.encoder.clip.data import report_texts
from spine_models.encoder.clip.variants import REPORT
from spine_models.findings.ablations.tables import SCORES
from spine_models.findings.ablations.variants import COMPARISONS, Comparison, Question
from spine_models.findings.embeddings.pooling import stack
from spine_models.findings.retrieval.paired import Paired, Sides, paired_recall
from spine_models.findings.retrieval.pool import RetrievalError
from spine_models.findings.retrieval.studies import Studies, gather_studies
from spine_models.findings.retrieval.variants import recall_of_variants

OWN: Final = "recall_at_5"
LINEAR: Final = "recall_at_5_linear"
AT: Final = 5
NO_TEXT: Final = f"no text side in a space of its own: {LINEAR} compares it"


def score_recall(
    vectors: pl.DataFrame,
    sides: pl.DataFrame,
    aligned: pl.DataFrame,
    *,
    splits: pl.DataFrame,
    reports: pl.DataFrame,
    settings: RetrievalSettings,
) -> pl.DataFrame:
    """SCORES of both measures, of every question that is asked in recall and has its reference and a variant.

    Args:
        vectors: ablations.VECTORS.
        sides: ablations.ALIGNED.
        aligned: embeddings.ALIGNED of all batches, for the reports of the alignment in use.
        splits: patient_key and split.
        reports: study_key and report_text; one row a study at most.
        settings: penalties of the maps, bootstrap, seed.

    Raises:
        RetrievalError: vectors of one variant or encoder from two models, two vectors of a study, a patient in two
            splits, or variants of another alignment than the one in use.
    """
    split_of = dict(splits.select("patient_key", "split").unique().rows())
    if len(split_of) != splits.select("patient_key", "split").n_unique():
        raise RetrievalError("a patient is in two splits: materialise shards again with one key")
    inside = [patient for patient, split in split_of.items() if split != Split.OUTSIDE.value]
    studies = gather_studies(aligned, inside, report_texts(reports))
    _of_the_alignment_in_use(sides, studies)
    split = [split_of[patient] for patient in studies.patient_keys]
    rows: list[dict[str, object]] = []
    for question, comparison in COMPARISONS.items():
        own = vectors.filter(pl.col("question") == question.value)
        names = own["variant"].unique().sort().to_list()
        if not comparison.recall or comparison.reference not in names or len(names) < 2:
            continue
        beside = sides.filter(pl.col("question") == question.value)
        for sequence_set in comparison.sequence_sets:
            place = {"question": question.value, "sequence_set": sequence_set, "evaluation": "test"}
            found = {
                OWN: _in_own_spaces(comparison, names, beside, studies, split, sequence_set, settings),
                LINEAR: recall_of_variants(
                    own, studies, split, comparison.reference, sequence_set, settings, k=AT
                ),
            }
            rows += [
                place | {"measure": measure} | row
                for measure, paired in found.items()
                for row in _rows(comparison, paired)
            ]
    return pl.DataFrame(rows, schema=SCORES)


def _of_the_alignment_in_use(sides: pl.DataFrame, studies: Studies) -> None:
    """Refuse variants that were encoded before the models were switched or trained anew."""
    reference = COMPARISONS[Question.ALIGNMENT].reference
    ours = sides.filter(pl.col("variant") == reference, pl.col("question") == Question.ALIGNMENT.value)
    in_use = studies.versions.get("clip")
    if others := sorted(set(ours["model_version"]) - {in_use}):
        raise RetrievalError(
            f"ablations/aligned: {reference} is of version {', '.join(others)}, embeddings/aligned of "
            f"{in_use or 'none'}: materialise ablations/vectors again"
        )


def _in_own_spaces(
    comparison: Comparison,
    names: Sequence[str],
    sides: pl.DataFrame,
    studies: Studies,
    split: Sequence[str],
    sequence_set: str,
    settings: RetrievalSettings,
) -> list[Paired]:
    """A row a variant; with its reason alone where it has no text side."""
    known = {name: sides.filter(pl.col("variant") == name) for name in names}
    known = {name: part for name, part in known.items() if REPORT in part["side"]}
    without = [Paired(name, 0, 0, reason=NO_TEXT) for name in names if name not in known]
    if comparison.reference not in known:
        absent = f"{comparison.reference}, which is in use, has no text side"
        return [Paired(name, 0, 0, reason=absent) for name in known] + without
    both = np.asarray(split, dtype=object) == Split.TEST.value
    found = {}
    for name, part in known.items():
        images, there = _in_order(part, name, sequence_set, studies)
        texts, said = _in_order(part, name, REPORT, studies)
        both = both & there & said
        found[name] = Sides(images, texts)
    if not both.any():
        return [Paired(name, 0, 0, reason="no test study has all vectors") for name in known] + without
    held: Mapping[str, Sides] = {
        name: Sides(one.images[both], one.reports[both]) for name, one in found.items()
    }
    asked = paired_recall(
        held, comparison.reference, studies.patients(both), studies.alike[both],
        k=AT, bootstrap=settings.bootstrap, seed=settings.seed,
    )  # fmt: skip
    return asked + without


def _in_order(part: pl.DataFrame, name: str, side: str, studies: Studies) -> tuple[np.ndarray, np.ndarray]:
    """Vectors float32 [N, D] of one side in the order of ``studies``, and which of them have one, bool [N]."""
    rows = part.filter(pl.col("side") == side)
    if rows["study_key"].is_duplicated().any() or rows["model_version"].n_unique() > 1:
        raise RetrievalError(
            f"a study has two vectors of {name}, or they are of two models: materialise ablations/aligned again"
        )
    place = {key: n for n, key in enumerate(studies.study_keys)}
    rows = rows.filter(pl.col("study_key").is_in(list(place)))
    at = [place[key] for key in rows["study_key"]]
    values = np.zeros((len(place), len(part["vector"][0])), dtype=np.float32)
    there = np.zeros(len(place), dtype=bool)
    if at:
        values[at] = stack(rows["vector"])
        there[at] = True
    return values, there


def _rows(comparison: Comparison, paired: Sequence[Paired]) -> Iterator[dict[str, object]]:
    for found in paired:
        row: dict[str, object] = asdict(found)
        row["is_reference"] = found.variant == comparison.reference
        row["n_studies"] = row.pop("n_queries")
        del row["n_patients"]
        yield row
