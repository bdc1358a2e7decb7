"""sequences: what each series is, with confidence, from its de-identified header and, where that is silent, its pixels.

Belongs here: wiring of the classifier. Does not belong here: its rules and models (``spine_models.corpus.sequences``).
"""

from collections.abc import Iterator

import dagster as dg
import polars as pl
from dagster import AssetExecutionContext

from pipelines.runtime.metadata import counts, table_out, table_result
from pipelines.runtime.partitions import study_batches
from pipelines.runtime.resources import Hospital
from spine_models.corpus.sequences import CLASSIFIER_VERSION, tables

LAYER = "corpus"
ONE_ROW = dg.AssetCheckSpec(
    "one_row_per_released_series",
    asset=["sequences", "series"],
    description="Every released series is classified or abstained on, once.",
    blocking=True,
)


@dg.multi_asset(
    name="sequences",
    ins={
        "instances": dg.AssetIn(["deid", "instances"]),
        "annotations": dg.AssetIn(["deid", "annotations"]),
    },
    deps=[["deid", "dicom"]],
    outs={
        "series": table_out(
            ("sequences", "series"),
            tables.SERIES,
            "Contrast family, encoder route, plane, region, agent, Dixon part and b-values per series, with calibrated "
            "confidence, who decided, and abstention.",
            layer=LAYER,
            code_version=CLASSIFIER_VERSION,
        ),
        "disagreements": table_out(
            ("sequences", "disagreements"),
            tables.DISAGREEMENTS,
            "Sources that say different things of one series, what each says, and what was decided.",
            layer=LAYER,
            code_version=CLASSIFIER_VERSION,
        ),
    },
    partitions_def=study_batches,
    check_specs=[ONE_ROW],
)
def sequences(
    context: AssetExecutionContext, hospital: Hospital, instances: pl.DataFrame, annotations: pl.DataFrame
) -> Iterator[object]:
    """Classify the batch's series; middle slices are opened of those that their headers leave open."""
    from spine_models.corpus.sequences import classify_batch

    folder = hospital.current(("deid", "dicom"), context.partition_key)
    found = classify_batch(
        instances, settings=hospital.numbers.sequences, dicom=folder, annotations=annotations
    )
    series = found.series
    yield table_result(
        ("sequences", "series"),
        series,
        by_contrast=counts(series, "contrast"),
        by_route=counts(series, "route"),
        by_plane=counts(series, "plane"),
        decided_by=counts(series, "decided_by"),
        abstained=int(series["abstained"].sum()),
        disagreements=series["disagreement"].drop_nulls().len(),
    )
    yield table_result(
        ("sequences", "disagreements"), found.disagreements, about=counts(found.disagreements, "about")
    )
    expected = instances["series_key"].n_unique()
    yield dg.AssetCheckResult(
        asset_key=["sequences", "series"],
        check_name=ONE_ROW.name,
        passed=series["series_key"].n_unique() == series.height == expected,
        metadata={"series": series.height, "expected": expected},
    )
