"""agents: the registry of agents and their typed claims for every study.

Belongs here: wiring. Does not belong here: thresholds or reasons (``spine_models.reporting.agents``).
"""

from collections.abc import Iterator

import dagster as dg
import polars as pl

from pipelines.runtime.judges import judges
from pipelines.runtime.metadata import counts, table_out, table_result
from pipelines.runtime.partitions import study_batches
from pipelines.runtime.resources import Hospital
from spine_models.domain import condition_keys
from spine_models.reporting.agents import tables

LAYER = "reporting"
CODE_VERSION = "1"
COMPLETE = dg.AssetCheckSpec(
    "every_agent_speaks",
    asset=["agents", "claims"],
    description="Every study has one claim per diagnosis agent, assessed or with the reason why not.",
    blocking=True,
)


@dg.multi_asset(
    name="agent_registry",
    ins={"metrics": dg.AssetIn(["probes", "metrics"])},
    deps=[["probes", "heads"], ["probes", "guards"]],
    outs={
        "registry": table_out(
            ("agents", "registry"),
            tables.REGISTRY,
            "The diagnosis agents: version, inputs and measured performance.",
            layer=LAYER,
            code_version=CODE_VERSION,
        )
    },
)
def registry(hospital: Hospital, metrics: pl.DataFrame) -> Iterator[object]:
    """Register the agents of the current heads."""
    from spine_models.reporting.agents import registry as register

    heads, guards = judges(hospital)
    frame = register(heads, metrics, guards)
    yield table_result(("agents", "registry"), frame, trained=int(frame["trained"].sum()))


@dg.multi_asset(
    name="agents",
    ins={
        "studies": dg.AssetIn(["deid", "studies"]),
        "vectors": dg.AssetIn(["embeddings", "studies"]),
        "series": dg.AssetIn(["sequences", "series"]),
        "slices": dg.AssetIn(["shards", "slices"]),
    },
    deps=[["probes", "heads"], ["probes", "guards"], ["agents", "registry"]],
    outs={
        "claims": table_out(
            ("agents", "claims"),
            tables.CLAIMS,
            "One typed claim per study and agent, with confidence, versions and source instances.",
            layer=LAYER,
            code_version=CODE_VERSION,
        )
    },
    partitions_def=study_batches,
    check_specs=[COMPLETE],
)
def agents(
    hospital: Hospital,
    studies: pl.DataFrame,
    vectors: pl.DataFrame,
    series: pl.DataFrame,
    slices: pl.DataFrame,
) -> Iterator[object]:
    """Let the agents speak about the batch's studies."""
    from spine_models.reporting.agents import diagnose

    heads, guards = judges(hospital)
    claims = diagnose(
        studies,
        vectors,
        series,
        slices,
        heads,
        settings=hospital.numbers.agents,
        untrained_versions=hospital.untrained_encoders(),
        guards=guards,
    )
    yield table_result(
        ("agents", "claims"),
        claims,
        by_status=counts(claims, "status"),
        reasons=counts(claims, "reason"),
    )
    yield dg.AssetCheckResult(
        asset_key=["agents", "claims"],
        check_name=COMPLETE.name,
        passed=claims.height == studies.height * len(condition_keys()),
        metadata={"claims": claims.height},
    )
