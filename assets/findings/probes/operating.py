"""probes: from which probability on a draft names a condition.

Belongs here: wiring. Does not belong here: how a point is chosen (``spine_models.findings.probes.operating``).
"""

from collections.abc import Iterator

import dagster as dg
import polars as pl

from pipelines.runtime.metadata import counts, markdown, table_out, table_result
from pipelines.runtime.resources import Hospital
from spine_models.domain import condition_keys
from spine_models.findings.probes import tables
from spine_models.findings.probes.studies import ROUTES_OF_SET

LAYER = "findings"
CODE_VERSION = "1"
KEY = ("probes", "operating_points")
CHOSEN = dg.AssetCheckSpec(
    "every_condition_is_accounted",
    asset=KEY,
    description="Each condition and sequence set has a point, or the reason why not.",
    blocking=True,
)


@dg.multi_asset(
    name="probe_operating_points",
    ins={"predictions": dg.AssetIn(["probes", "predictions"])},
    deps=[["probes", "heads"]],
    outs={
        "operating_points": table_out(
            KEY,
            tables.OPERATING_POINTS,
            "Per condition and sequence set the probability that flags as many train studies as reports call positive.",
            layer=LAYER,
            code_version=CODE_VERSION,
        )
    },
    check_specs=[CHOSEN],
)
def operating_points(hospital: Hospital, predictions: pl.DataFrame) -> Iterator[object]:
    """Choose them on the out-of-fold predictions of train patients."""
    from spine_models.findings.probes.heads import load_heads
    from spine_models.findings.probes.operating import operating_points as choose

    table = choose(predictions, load_heads(hospital.current(("probes", "heads"))).version)
    yield table_result(
        KEY,
        table,
        by_status=counts(table, "status"),
        points=markdown(
            table.filter(pl.col("sequence_set") == "all").select(
                "condition", "threshold", "prevalence", "flagged_share", "precision", "recall"
            )
        ),
    )
    silent = table.filter((pl.col("status") != "chosen") & pl.col("reason").is_null()).height
    yield dg.AssetCheckResult(
        asset_key=list(KEY),
        check_name=CHOSEN.name,
        passed=table.height == len(condition_keys()) * len(ROUTES_OF_SET) and silent == 0,
        metadata={"rows": table.height, "silent": silent},
    )
