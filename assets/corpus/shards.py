"""shards: preprocessed slices in WebDataset tars, their quality, the split ledger and the frozen training manifest.

Belongs here: wiring of writing, freezing and the data-quality page. Does not belong here: preprocessing, scores, HTML
(``spine_models.corpus.shards``).
"""

from collections.abc import Iterator

import dagster as dg
import polars as pl
from dagster import AssetExecutionContext

from pipelines.runtime.frozen import note_frozen
from pipelines.runtime.metadata import (
    artifact_out,
    artifact_result,
    contact_sheet,
    counts,
    labelled_sheet,
    table_out,
    table_result,
)
from pipelines.runtime.partitions import study_batches
from pipelines.runtime.progress import reporter
from pipelines.runtime.resources import Hospital
from spine_models.corpus.sequences import tables as sequences
from spine_models.corpus.shards import tables

LAYER = "corpus"
CODE_VERSION = "3"
COVERED = dg.AssetCheckSpec(
    "tars_hold_the_index",
    asset=["shards", "tars"],
    description="The tars hold exactly the slices of the index, each with its recorded pixel hash.",
    blocking=True,
)
ACCOUNTED = dg.AssetCheckSpec(
    "sharded_or_skipped",
    asset=["shards", "skipped"],
    description="Every released instance of the batch is in a shard, or stands here with its reason.",
    blocking=True,
)
SHOWN = dg.AssetCheckSpec(
    "every_sharded_series_is_judged",
    asset=["shards", "quality_page"],
    description="Every series that has slices in the lake has a quality row, and so a place on the page.",
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
        "skipped": table_out(
            ("shards", "skipped"),
            tables.SKIPPED,
            "Instances that are in no shard, by series and reason.",
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
        "quality": table_out(
            ("shards", "quality"),
            tables.QUALITY,
            "Per series: noise, motion, spacing, missing and empty slices, clipping, grey values, flags.",
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
        "tars": artifact_out(
            ("shards", "tars"),
            "Lossless WebDataset tars per route and split, whole intensity range.",
            kinds={"webdataset"},
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
    },
    partitions_def=study_batches,
    check_specs=[COVERED, ACCOUNTED],
)
def shards(
    context: AssetExecutionContext, hospital: Hospital, instances: pl.DataFrame, series: pl.DataFrame
) -> Iterator[object]:
    """Preprocess and pack the batch's slices."""
    from spine_models.corpus.shards import write_shards
    from spine_models.corpus.shards.codec import FORMAT
    from spine_models.corpus.shards.contacts import middle_slices
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
        draft.card = {
            "slices": written.slices.height,
            "skipped_series": written.skipped.height,
            "format": FORMAT,
        }
    folder = hospital.current(("shards", "tars"), batch)
    verified = verify_tars(written.slices, folder, sample=32)
    yield table_result(
        ("shards", "slices"),
        written.slices,
        by_route=counts(written.slices, "route"),
        by_split=counts(written.slices, "split"),
    )
    yield table_result(("shards", "splits"), written.splits, by_split=counts(written.splits, "split"))
    yield table_result(
        ("shards", "skipped"), written.skipped, by_reason=counts(written.skipped, "reason", weight="n")
    )
    flags = written.quality.select("series_key", flag="flags").explode("flag")
    yield table_result(
        ("shards", "quality"), written.quality, by_flag=counts(flags.drop_nulls("flag"), "flag")
    )
    vendors = dict(series.select("series_key", "vendor").rows())
    yield artifact_result(
        ("shards", "tars"),
        draft.version,
        contact_sheet=contact_sheet(verified.sample),
        by_sequence_and_vendor=labelled_sheet(middle_slices(written.slices, vendors, folder)),
    )
    yield dg.AssetCheckResult(
        asset_key=["shards", "tars"],
        check_name=COVERED.name,
        passed=verified.wrong == 0,
        metadata={"slices": written.slices.height, "wrong": verified.wrong},
    )
    held = written.slices["instance_key"].n_unique()
    left_out = int(written.skipped["n"].sum() or 0)
    yield dg.AssetCheckResult(
        asset_key=["shards", "skipped"],
        check_name=ACCOUNTED.name,
        passed=held + left_out == instances.height,
        metadata={"instances": instances.height, "sharded": held, "skipped": left_out},
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
    note_frozen(hospital, frozen.manifest)
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


@dg.multi_asset(
    name="quality_page",
    deps=[
        dg.AssetDep(key, partition_mapping=dg.AllPartitionMapping())
        for key in (["shards", "quality"], ["shards", "slices"], ["shards", "tars"], ["sequences", "series"])
    ],
    outs={
        "quality_page": artifact_out(
            ("shards", "quality_page"),
            "One HTML page over all batches: distributions by vendor and sequence, flags, series to look at.",
            kinds={"html"},
            layer=LAYER,
            code_version=CODE_VERSION,
        )
    },
    check_specs=[SHOWN],
)
def quality_page(hospital: Hospital) -> Iterator[object]:
    """Render the data-quality page of whatever has been sharded so far."""
    from spine_models.corpus.shards.contacts import series_thumbnail
    from spine_models.corpus.shards.quality_page import missing_planes, render_page

    lake = hospital.lake
    batches = lake.partitions(("shards", "quality"))
    quality, slices, series = (
        lake.read_table(key, batches) if batches else pl.DataFrame(schema=schema)
        for key, schema in (
            (("shards", "quality"), tables.QUALITY),
            (("shards", "slices"), tables.SLICES),
            (("sequences", "series"), sequences.SERIES),
        )
    )
    roots = hospital.artifacts(("shards", "tars"), batches)
    vendors = dict(series.select("series_key", "vendor").rows())
    with hospital.draft(("shards", "quality_page")) as draft:
        page = render_page(quality, vendors, lambda key: series_thumbnail(slices, key, roots))
        (draft.folder / "index.html").write_text(page, encoding="utf-8")
        draft.card = {"series": quality.height, "batches": len(batches)}
    yield artifact_result(
        ("shards", "quality_page"),
        draft.version,
        page=(hospital.current(("shards", "quality_page")) / "index.html").relative_to(lake.root).as_posix(),
        series=quality.height,
        flagged=quality.filter(pl.col("flags").list.len() > 0).height,
        studies_without_a_plane=missing_planes(quality).height,
    )
    unjudged = slices.join(quality, on="series_key", how="anti")["series_key"].n_unique()
    yield dg.AssetCheckResult(
        asset_key=["shards", "quality_page"],
        check_name=SHOWN.name,
        passed=unjudged == 0,
        metadata={"series": quality.height, "not_judged": unjudged},
    )
