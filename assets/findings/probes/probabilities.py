"""probes: every study's calibrated probabilities with their decision and the study's scope.

Belongs here: wiring per batch. Does not belong here: heads and guards (``spine_models.findings.probes``).
"""

from collections.abc import Iterator

import dagster as dg
import polars as pl

from pipelines.runtime.metadata import counts, table_out, table_result
from pipelines.runtime.partitions import study_batches
from pipelines.runtime.resources import Hospital
from spine_models.findings.probes.strata import tables

LAYER = "findings"
CODE_VERSION = "1"
PROBABLE = dg.AssetCheckSpec(
    "probabilities_are_numbers",
    asset=["probes", "probabilities"],
    description="Every probability lies between 0 and 1, every abstention says why.",
    blocking=True,
)


@dg.multi_asset(
    name="probe_probabilities",
    ins={"vectors": dg.AssetIn(["embeddings", "studies"])},
    deps=[["probes", "heads"], ["probes", "guards"]],
    outs={
        "probabilities": table_out(
            ("probes", "probabilities"),
            tables.PROBABILITIES,
            "Calibrated probability, decision or abstention, and scope of every study and condition with a head.",
            layer=LAYER,
            code_version=CODE_VERSION,
        )
    },
    partitions_def=study_batches,
    check_specs=[PROBABLE],
)
def probabilities(hospital: Hospital, vectors: pl.DataFrame) -> Iterator[object]:
    """Ask the heads and their guards of the batch's studies."""
    from spine_models.findings.probes.heads import load_heads
    from spine_models.findings.probes.strata.guarded import guarded
    from spine_models.findings.probes.strata.guards import load_guards

    heads = load_heads(hospital.current(("probes", "heads")))
    guards = load_guards(hospital.current(("probes", "guards")), heads)
    table = guarded(vectors, heads, guards)
    yield table_result(
        ("probes", "probabilities"),
        table,
        by_decision=counts(table, "decision"),
        abstentions=counts(table, "reason"),
        in_scope=counts(table, "in_scope"),
    )
    sound = pl.col("probability").is_between(0, 1) & (
        pl.col("reason").is_not_null() == (pl.col("decision") == "abstain")
    )
    yield dg.AssetCheckResult(
        asset_key=["probes", "probabilities"],
        check_name=PROBABLE.name,
        passed=bool(table.select(sound.fill_null(False).all()).item()),
        metadata={"rows": table.height},
    )
