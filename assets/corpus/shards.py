"""shards: preprocessed slices in WebDataset tars, the split ledger and the frozen training manifest.

Belongs here: wiring of writing and freezing. Does not belong here: preprocessing (``spine_models.corpus.shards``).
"""

from collections.abc import Iterator

import dagster as dg
import polars as pl
from dagster import AssetExecutionContext

from pipelines.runtime.metadata import (
    artifact_out,
    artifact_result,
    contact_sheet,
    counts,
    table_out,
    table_result,
)
from pipelines.runtime.partitions import study_batches
from pipelines.runtime.progress import reporter
from pipelines.runtime.resources import Hospital
from spine_models.corpus.shards import tables

LAYER = "corpus"
CODE_VERSION = "1"
COVERED = dg.AssetCheckSpec(
    "tars_hold_the_index",
    asset=["shards", "tars"],
    description="The tars hold exactly the slices of the index, each with its recorded pixel hash.",
    blocking=True,
)
NO_TEST_PATIENT = dg.AssetCheckSpec(
    "no_test_patient_trains",
    asset=["shards", "manifest"],
    description="No tar of the manifest holds a slice of a patient who may not train or validate.",
    blocking=True,
)


@dg.multi_asset(
    name="shards",
    ins={"instances": dg.AssetIn(["deid", "instances"]), "series": dg.AssetIn(["sequences", "series"])},
    deps=[["deid", "dicom"]],
    outs={
        "slices": table_out(
            ("shards", "slices"),
            tables.SLICES,
            "Slice index: identity, geometry, window, pixel hash, place in the tars.",
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
        "splits": table_out(
            ("shards", "splits"),
            tables.SPLITS,
            "Split of every patient of the batch, fixed for ever by a keyed hash.",
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
        "tars": artifact_out(
            ("shards", "tars"),
            "Lossless WebDataset tars per route and split.",
            kinds={"webdataset"},
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
    },
    partitions_def=study_batches,
    check_specs=[COVERED],
)
def shards(
    context: AssetExecutionContext, hospital: Hospital, instances: pl.DataFrame, series: pl.DataFrame
) -> Iterator[object]:
    """Preprocess and pack the batch's slices."""
    from spine_models.corpus.shards import write_shards
    from spine_models.corpus.shards.verify import verify_tars

    batch = context.partition_key
    with hospital.draft(("shards", "tars"), batch) as draft:
        written = write_shards(
            instances,
            series,
            dicom=hospital.current(("deid", "dicom"), batch),
            out=draft.folder,
            settings=hospital.numbers.shards,
            progress=reporter(f"shards {batch}", "series"),
        )
        draft.card = {"slices": written.slices.height, "skipped_series": written.skipped.height}
    folder = hospital.current(("shards", "tars"), batch)
    verified = verify_tars(written.slices, folder, sample=32)
    yield table_result(
        ("shards", "slices"),
        written.slices,
        by_route=counts(written.slices, "route"),
        by_split=counts(written.slices, "split"),
        skipped_series=counts(written.skipped, "reason"),
    )
    yield table_result(("shards", "splits"), written.splits, by_split=counts(written.splits, "split"))
    yield artifact_result(("shards", "tars"), draft.version, contact_sheet=contact_sheet(verified.sample))
    yield dg.AssetCheckResult(
        asset_key=["shards", "tars"],
        check_name=COVERED.name,
        passed=verified.wrong == 0,
        metadata={"slices": written.slices.height, "wrong": verified.wrong},
    )


@dg.multi_asset(
    name="manifest",
    ins={"slices": dg.AssetIn(["shards", "slices"])},
    deps=[["shards", "tars"]],
    outs={
        "manifest": table_out(
            ("shards", "manifest"),
            tables.MANIFEST,
            "The tars that training may open, frozen by content hash.",
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
        "patients": table_out(
            ("shards", "patients"),
            tables.PATIENTS,
            "The split ledger at the moment of the freeze.",
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
    },
    check_specs=[NO_TEST_PATIENT],
)
def manifest(hospital: Hospital, slices: pl.DataFrame) -> Iterator[object]:
    """Freeze what a training run may see; a later batch changes no model until this asset is run again."""
    from spine_models.corpus.shards import freeze_manifest

    roots = hospital.artifacts(("shards", "tars"), slices["batch_key"].unique().sort().to_list())
    frozen = freeze_manifest(slices, shard_roots=roots)
    yield table_result(("shards", "manifest"), frozen.manifest, by_split=counts(frozen.manifest, "split"))
    yield table_result(("shards", "patients"), frozen.patients, by_split=counts(frozen.patients, "split"))
    opened = slices.join(frozen.manifest, on=["batch_key", "shard"], how="semi")
    forbidden = opened.join(
        frozen.patients.filter(pl.col("split").is_in(["train", "val"])), on="patient_key", how="anti"
    )
    yield dg.AssetCheckResult(
        asset_key=["shards", "manifest"],
        check_name=NO_TEST_PATIENT.name,
        passed=forbidden.is_empty(),
        metadata={"slices_in_manifest": opened.height, "forbidden": forbidden.height},
    )
