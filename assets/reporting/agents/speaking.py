"""agents: claims with places for every study of a batch, and the typed result of each agent.

Belongs here: wiring. Does not belong here: thresholds or reasons (``spine_models.reporting.agents``).
"""

from collections.abc import Iterator

import dagster as dg
import polars as pl

from pipelines.runtime.agents import published_agents
from pipelines.runtime.aligned import trained_clip
from pipelines.runtime.metadata import counts, table_out, table_result
from pipelines.runtime.partitions import study_batches
from pipelines.runtime.resources import Hospital
from spine_models.domain import condition_keys
from spine_models.reporting.agents import tables

LAYER = "reporting"
CODE_VERSION = "3"
CLAIMS = ("agents", "claims")
RESULTS = ("agents", "results")
COMPLETE = dg.AssetCheckSpec(
    "every_agent_speaks",
    asset=CLAIMS,
    description="Every study has one claim per diagnosis agent, assessed or with the reason why not.",
    blocking=True,
)
ANSWERED = dg.AssetCheckSpec(
    "every_agent_answers",
    asset=RESULTS,
    description="Every study has one result of each agent that looks at images, or the reason why not.",
    blocking=True,
)


@dg.multi_asset(
    name="agents",
    ins={
        "studies": dg.AssetIn(["deid", "studies"]),
        "vectors": dg.AssetIn(["embeddings", "studies"]),
        "series": dg.AssetIn(["sequences", "series"]),
        "slices": dg.AssetIn(["shards", "slices"]),
        "points": dg.AssetIn(["probes", "operating_points"]),
        "findings": dg.AssetIn(["localization", "findings"]),
        "levels": dg.AssetIn(["localization", "level_findings"]),
    },
    deps=[
        ["probes", "heads"],
        ["probes", "guards"],
        ["localization", "level_heads"],
        ["agents", "grading"],
        ["agents", "registry"],
    ],
    outs={
        "claims": table_out(
            CLAIMS,
            tables.CLAIMS,
            "One typed claim per study and condition, with certainty, places, versions and source instances.",
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
    points: pl.DataFrame,
    findings: pl.DataFrame,
    levels: pl.DataFrame,
) -> Iterator[object]:
    """Let the agents speak about the batch's studies."""
    from spine_models.reporting.agents import diagnose

    models = published_agents(hospital)
    claims = diagnose(
        studies,
        vectors,
        series,
        slices,
        models.heads,
        settings=hospital.numbers.agents,
        untrained_versions=hospital.untrained_encoders(),
        guards=models.guards,
        points=points,
        findings=findings,
        grading=models.grading,
        levels=levels,
        level_heads=models.levels,
    )
    yield table_result(
        CLAIMS,
        claims,
        by_status=counts(claims, "status"),
        by_certainty=counts(claims, "certainty"),
        reasons=counts(claims, "reason"),
        affirmed=int(claims["affirmed"].sum()),
        with_level=int(claims["level"].is_not_null().sum()),
    )
    yield dg.AssetCheckResult(
        asset_key=list(CLAIMS),
        check_name=COMPLETE.name,
        passed=claims.height == studies.height * len(condition_keys()),
        metadata={"claims": claims.height},
    )


@dg.multi_asset(
    name="agent_results",
    ins={
        "claims": dg.AssetIn(["agents", "claims"]),
        "slices": dg.AssetIn(["shards", "slices"]),
        "findings": dg.AssetIn(["localization", "findings"]),
        "levels": dg.AssetIn(["localization", "level_findings"]),
        "neighbours": dg.AssetIn(["retrieval", "neighbours"]),
        "aligned_slices": dg.AssetIn(["embeddings", "aligned_slices"]),
    },
    deps=[
        ["probes", "heads"],
        ["localization", "models"],
        ["localization", "level_heads"],
        ["clip", "aligned"],
        ["synthesizer", "aligned"],
    ],
    outs={
        "results": table_out(
            RESULTS,
            tables.RESULTS,
            "What each of 36 agents says of each study: finding, decision, places, neighbours, versions, sources.",
            layer=LAYER,
            code_version=CODE_VERSION,
        )
    },
    partitions_def=study_batches,
    check_specs=[ANSWERED],
)
def results(
    hospital: Hospital,
    claims: pl.DataFrame,
    slices: pl.DataFrame,
    findings: pl.DataFrame,
    levels: pl.DataFrame,
    neighbours: pl.DataFrame,
    aligned_slices: pl.DataFrame,
) -> Iterator[object]:
    """Gather each agent's answer about the batch's studies."""
    from spine_models.findings.retrieval.evaluate import sentence_vectors
    from spine_models.reporting.agents import agent_names
    from spine_models.reporting.agents import results as gather

    found = gather(
        claims,
        slices,
        published_agents(hospital),
        settings=hospital.numbers.agents,
        findings=findings,
        levels=levels,
        neighbours=neighbours,
        aligned_slices=aligned_slices,
        sentences=sentence_vectors(trained_clip(hospital)),
    )
    yield table_result(
        RESULTS,
        found,
        by_status=counts(found, "status"),
        by_kind=counts(found, "kind"),
        reasons=counts(found, "reason"),
    )
    silent = found.filter((pl.col("status") != "answered") & pl.col("reason").is_null()).height
    wanted = claims["study_key"].n_unique() * (len(agent_names()) - 1)
    yield dg.AssetCheckResult(
        asset_key=list(RESULTS),
        check_name=ANSWERED.name,
        passed=found.height == wanted and silent == 0,
        metadata={"results": found.height, "silent": silent},
    )
