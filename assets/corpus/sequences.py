"""sequences: what each series is, with confidence, from the de-identified header.

Belongs here: wiring of the classifier. Does not belong here: its rules (``spine_models.corpus.sequences``).
"""

from collections.abc import Iterator

import dagster as dg
import polars as pl

from pipelines.runtime.metadata import counts, table_out, table_result
from pipelines.runtime.partitions import study_batches
from pipelines.runtime.resources import Hospital
from spine_models.corpus.sequences import CLASSIFIER_VERSION, tables

ONE_ROW = dg.AssetCheckSpec(
    "one_row_per_released_series",
    asset=["sequences", "series"],
    description="Every released series is classified or abstained on, once.",
    blocking=True,
)


@dg.multi_asset(
    name="sequences",
    ins={"instances": dg.AssetIn(["deid", "instances"])},
    outs={
        "series": table_out(
            ("sequences", "series"),
            tables.SERIES,
            "Contrast family, encoder route, plane and region per series, with confidence and abstention.",
            layer="corpus",
            code_version=CLASSIFIER_VERSION,
        )
    },
    partitions_def=study_batches,
    check_specs=[ONE_ROW],
)
def sequences(hospital: Hospital, instances: pl.DataFrame) -> Iterator[object]:
    """Classify the batch's series."""
    from spine_models.corpus.sequences import classify_series

    series = classify_series(instances, settings=hospital.numbers.sequences)
    yield table_result(
        ("sequences", "series"),
        series,
        by_contrast=counts(series, "contrast"),
        by_route=counts(series, "route"),
        by_plane=counts(series, "plane"),
        abstained=int(series["abstained"].sum()),
        disagreements=series["disagreement"].drop_nulls().len(),
    )
    expected = instances["series_key"].n_unique()
    yield dg.AssetCheckResult(
        asset_key=["sequences", "series"],
        check_name=ONE_ROW.name,
        passed=series["series_key"].n_unique() == series.height == expected,
        metadata={"series": series.height, "expected": expected},
    )
