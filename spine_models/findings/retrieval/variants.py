"""Image to report of several variants of study vectors that know no text, each through its own linear map.

Belongs here: one question of the ablations asked in recall, on the studies that all variants have. Does not belong
here: the variants' vectors (``findings.ablations``), the map (``linear``), pairing (``paired``).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from spine_models.config import RetrievalSettings
from spine_models.domain import Split
from spine_models.encoder.clip.variants import REPORT
from spine_models.findings.embeddings.versions import Table, one_version
from spine_models.findings.retrieval.comparison import mapped_to_reports
from spine_models.findings.retrieval.paired import Paired, Sides, paired_recall
from spine_models.findings.retrieval.pool import RetrievalError
from spine_models.findings.retrieval.studies import Studies


def recall_of_variants(
    vectors: pl.DataFrame,
    studies: Studies,
    splits: Sequence[str],
    reference: str,
    sequence_set: str,
    settings: RetrievalSettings,
    *,
    k: int = 5,
) -> list[Paired]:
    """Recall at ``k`` of every variant on the same test studies, gallery and draws; the reference first, then by name.

    Each variant's map to the reports is fitted on its own train studies and its penalty chosen on val. Other series
    without the synthesizer can be asked in this way alone: of them the lake holds no vectors beside the reports.

    Args:
        vectors: variant, study_key, route, model_version, vector (ablations.VECTORS of one question).
        studies: of all patients of train, val and test (``studies.gather_studies``), for their reports.
        splits: of each study.
        reference: name of the variant that is in use.
        sequence_set: t1, t2, other or all.
        settings: of the profile: penalties, bootstrap, seed.

    Returns:
        A row a variant; without a map of every variant, or a test study that all of them have, with its reason alone.

    Raises:
        RetrievalError: no reference, or a variant's vectors of a route are of two models.
    """
    names = vectors["variant"].unique().sort().to_list()
    if reference not in names:
        raise RetrievalError(
            f"there are no vectors of {reference}, the variant in use: make its vectors first"
        )
    names.sort(key=lambda name: name != reference)
    for name in names:
        one_version(
            vectors.filter(pl.col("variant") == name),
            Table(f"ablations/vectors of {name}", "materialise ablations/vectors again", RetrievalError),
        )
    split = np.asarray(splits, dtype=object)
    mapped = {
        name: mapped_to_reports(
            studies, split, vectors.filter(pl.col("variant") == name), sequence_set, settings
        )
        for name in names
    }
    if without := [name for name, found in mapped.items() if found is None]:
        return [Paired(name, 0, 0, reason=f"no train studies to fit a map of {without[0]}") for name in names]
    both = studies.having(REPORT) & (split == Split.TEST.value)
    for found in mapped.values():
        both &= found.present
    if not both.any():
        return [Paired(name, 0, 0, reason="no test study has all vectors") for name in names]
    reports = studies.vectors[REPORT][both]
    return paired_recall(
        {name: Sides(found.vectors[both], reports) for name, found in mapped.items()},
        reference, studies.patients(both), studies.alike[both],
        k=k, bootstrap=settings.bootstrap, seed=settings.seed,
    )  # fmt: skip
