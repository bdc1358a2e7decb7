"""agents: the scorecard over the whole lake.

Belongs here: wiring. Does not belong here: counting (``spine_models.reporting.agents.scorecard``).
"""

from collections.abc import Iterator

import dagster as dg
import polars as pl

from pipelines.runtime.metadata import markdown, table_out, table_result
from pipelines.runtime.provenance import of_all_partitions
from pipelines.runtime.resources import Hospital
from spine_models.reporting.agents import tables

LAYER = "reporting"
CODE_VERSION = "1"
KEY = ("agents", "scorecard")
WHOLE = dg.AssetCheckSpec(
    "every_agent_is_scored",
    asset=KEY,
    description="Each agent has a row with its own figure, or the reason why there is none.",
    blocking=True,
)


@dg.multi_asset(
    name="agent_scorecard",
    ins={"registry": dg.AssetIn(["agents", "registry"])},
    deps=of_all_partitions(["agents", "results"]),
    outs={
        "scorecard": table_out(
            KEY,
            tables.SCORECARD,
            "How good each agent is, and how much of the lake it answers and decides.",
            layer=LAYER,
            code_version=CODE_VERSION,
        )
    },
    check_specs=[WHOLE],
)
def scorecard(hospital: Hospital, registry: pl.DataFrame) -> Iterator[object]:
    """Count every batch's results, one batch in memory at a time."""
    from spine_models.reporting.agents import agent_names
    from spine_models.reporting.agents import scorecard as score
    from spine_models.reporting.agents.scorecard import READ

    lake = hospital.lake
    key = ("agents", "results")
    frame = score(
        registry, (lake.read_table(key, [batch], columns=[*READ]) for batch in lake.partitions(key))
    )
    yield table_result(
        KEY,
        frame,
        scorecard=markdown(
            frame.select("agent", "metric", "value", "low", "high", "ece", "answered", "decided")
        ),
    )
    silent = frame.filter(pl.col("value").is_null() & pl.col("unmeasured").is_null()).height
    yield dg.AssetCheckResult(
        asset_key=list(KEY),
        check_name=WHOLE.name,
        passed=frame["agent"].to_list() == list(agent_names()) and silent == 0,
        metadata={"agents": frame.height, "silent": silent},
    )
