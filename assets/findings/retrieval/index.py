"""retrieval: the index over train patients' reports and slices, and every study's neighbours in it.

Belongs here: wiring of index and neighbours. Does not belong here: search (``spine_models.findings.retrieval``), scores
(``scores``).
"""

from collections.abc import Iterator

import dagster as dg
import polars as pl
from dagster import AssetExecutionContext

from pipelines.runtime.aligned import space_versions
from pipelines.runtime.metadata import artifact_out, artifact_result, counts, table_out, table_result
from pipelines.runtime.partitions import study_batches
from pipelines.runtime.provenance import of_all_partitions
from pipelines.runtime.resources import Hospital
from spine_models.findings.retrieval import tables

LAYER = "findings"
CODE_VERSION = "1"
KEY = ("retrieval", "index")
NEIGHBOURS = ("retrieval", "neighbours")
ONLY_TRAIN = dg.AssetCheckSpec(
    "only_train_patients",
    asset=KEY,
    description="Every report and slice of the index is of a patient of split train.",
    blocking=True,
)
OTHERS = dg.AssetCheckSpec(
    "only_other_patients",
    asset=NEIGHBOURS,
    description="No study's neighbour is a study of the same patient.",
    blocking=True,
)


@dg.multi_asset(
    name="retrieval_index",
    deps=[
        *of_all_partitions(["embeddings", "aligned"], ["embeddings", "aligned_slices"], ["shards", "splits"]),
        ["clip", "aligned"],
        ["synthesizer", "aligned"],
    ],
    outs={
        "index": artifact_out(
            KEY,
            "Reports and slices of train patients, searchable by image and by text; exact, or FAISS where it is large.",
            kinds={"faiss"},
            layer=LAYER,
            code_version=CODE_VERSION,
        )
    },
    check_specs=[ONLY_TRAIN],
)
def index(hospital: Hospital) -> Iterator[object]:
    """Build it batch by batch; without a trained alignment it is empty and says why."""
    from spine_models.findings.retrieval.index import build_index, open_index

    space = space_versions(hospital)
    lake = hospital.lake
    batches = lake.partitions(("embeddings", "aligned"))
    splits = lake.read_table(("shards", "splits"), lake.partitions(("shards", "splits")))
    with hospital.draft(KEY) as draft:
        about = build_index(
            draft.folder,
            batches,
            lambda thing, batch, columns: lake.read_table(("embeddings", thing), [batch], columns=columns),
            splits,
            clip_version=space and space.clip,
            synthesizer_version=space and space.synthesizer,
            dim=space.dim if space else 0,
            settings=hospital.numbers.retrieval,
        )
        reason = None if space else "clip is not trained"
        draft.card = {"index": about, "reason": reason}
    yield artifact_result(KEY, draft.version, reason=reason or "none", **about["pools"])
    opened = open_index(hospital.current(KEY))
    held = pl.concat([opened.reports.keys.select("patient_key"), opened.slices.keys.select("patient_key")])
    strange = held.unique().join(splits.filter(pl.col("split") == "train"), on="patient_key", how="anti")
    yield dg.AssetCheckResult(
        asset_key=list(KEY),
        check_name=ONLY_TRAIN.name,
        passed=strange.is_empty(),
        metadata={"patients": held["patient_key"].n_unique(), "not_allowed": strange.height},
    )


@dg.multi_asset(
    name="retrieval_neighbours",
    ins={"aligned": dg.AssetIn(["embeddings", "aligned"])},
    deps=[list(KEY)],
    outs={
        "neighbours": table_out(
            NEIGHBOURS,
            tables.NEIGHBOURS,
            "The most similar reports of other patients, for each study.",
            layer=LAYER,
            code_version=CODE_VERSION,
        )
    },
    partitions_def=study_batches,
    check_specs=[OTHERS],
)
def neighbours(context: AssetExecutionContext, hospital: Hospital, aligned: pl.DataFrame) -> Iterator[object]:
    """Ask the index for every study of the batch."""
    from spine_models.findings.retrieval.index import open_index
    from spine_models.findings.retrieval.neighbours import neighbours as find

    folder = hospital.current(KEY)
    found = find(aligned, open_index(folder), folder.name, hospital.numbers.retrieval.neighbours)
    yield table_result(
        NEIGHBOURS, found, by_query=counts(found, "query"), studies=found["study_key"].n_unique()
    )
    own = found.filter(pl.col("patient_key") == pl.col("neighbour_patient_key")).height
    yield dg.AssetCheckResult(
        asset_key=list(NEIGHBOURS), check_name=OTHERS.name, passed=own == 0, metadata={"own": own}
    )
