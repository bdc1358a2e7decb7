"""agents: the severity grading, fitted on train patients, and the register of the 37 with their measured skill.

Belongs here: wiring. Does not belong here: the fit (``spine_models.reporting.agents.grading_fit``), names and versions
(``roster``).
"""

from collections.abc import Iterator

import dagster as dg
import polars as pl

from pipelines.runtime.agents import published_agents
from pipelines.runtime.metadata import (
    artifact_out,
    artifact_result,
    counts,
    markdown,
    table_out,
    table_result,
)
from pipelines.runtime.resources import Hospital
from spine_models.reporting.agents import tables

LAYER = "reporting"
CODE_VERSION = "3"
REGISTRY = ("agents", "registry")
GRADING = ("agents", "grading")
GRADINGS = ("agents", "gradings")
WHOLE = dg.AssetCheckSpec(
    "thirty_seven_agents",
    asset=REGISTRY,
    description="Every agent is registered once, trained and measured or with the reason why not.",
    blocking=True,
)


@dg.multi_asset(
    name="agent_registry",
    ins={
        "metrics": dg.AssetIn(["probes", "metrics"]),
        "localization": dg.AssetIn(["localization", "scores"]),
        "levels": dg.AssetIn(["localization", "level_skill"]),
        "retrieval": dg.AssetIn(["retrieval", "scores"]),
        "vectors": dg.AssetIn(["embeddings", "studies"]),
        "consensus": dg.AssetIn(["labels", "consensus"]),
        "patients": dg.AssetIn(["shards", "patients"]),
    },
    deps=[
        ["probes", "heads"],
        ["probes", "guards"],
        ["localization", "models"],
        ["localization", "level_heads"],
        ["clip", "aligned"],
        ["synthesizer", "aligned"],
    ],
    outs={
        "grading": artifact_out(
            GRADING,
            "Severity of affirmed conditions from frozen study vectors, where it was shown to be better than chance.",
            kinds={"safetensors"},
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
        "gradings": table_out(
            GRADINGS,
            tables.GRADINGS,
            "Per condition whether its severity is graded, and the balanced accuracy out of fold.",
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
        "registry": table_out(
            REGISTRY,
            tables.REGISTRY,
            "The 37 agents: version, inputs, whether trained, measured skill.",
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
    },
    check_specs=[WHOLE],
)
def registry(
    hospital: Hospital,
    metrics: pl.DataFrame,
    localization: pl.DataFrame,
    levels: pl.DataFrame,
    retrieval: pl.DataFrame,
    vectors: pl.DataFrame,
    consensus: pl.DataFrame,
    patients: pl.DataFrame,
) -> Iterator[object]:
    """Fit the grading, then register the agents of the published models."""
    from spine_models.reporting.agents import Measured, agent_names, fit_grading
    from spine_models.reporting.agents import registry as register

    with hospital.draft(GRADING) as draft:
        fitted = fit_grading(
            vectors, consensus, patients, settings=hospital.numbers.agents.grading, out=draft.folder
        )
        draft.card = fitted.card
    gradings = fitted.table
    graded = gradings.filter(pl.col("status") == "used")["condition"].to_list()
    yield artifact_result(GRADING, draft.version, graded=", ".join(graded) or "none")
    yield table_result(
        GRADINGS,
        gradings,
        by_status=counts(gradings, "status"),
        proof=markdown(
            gradings.select("condition", "n_studies", "balanced_accuracy", "low", "high", "chance", "reason")
        ),
    )
    models = published_agents(hospital)
    frame = register(models, Measured(metrics, localization, retrieval, gradings, levels))
    yield table_result(
        REGISTRY,
        frame,
        trained=int(frame["trained"].sum()),
        skill=markdown(frame.select("agent", "trained", "metric", "value", "low", "high", "n_patients")),
    )
    silent = frame.filter(
        (~pl.col("trained") & pl.col("reason").is_null())
        | (pl.col("value").is_null() == pl.col("unmeasured").is_null())
    )
    yield dg.AssetCheckResult(
        asset_key=list(REGISTRY),
        check_name=WHOLE.name,
        passed=frame["agent"].to_list() == list(agent_names()) and silent.is_empty(),
        metadata={"agents": frame.height, "silent": silent.height},
    )
