"""The jobs a person or a schedule starts: per batch, per model, for the whole lake.

Belongs here: selections of assets. Does not belong here: when they run (``schedules``, ``sensors``, ``runner``).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import dagster as dg

from assets import STAGES, all_assets, assets_of
from pipelines.checks import sql_check_keys
from pipelines.runtime.partitions import study_batches
from pipelines.steps import ASIDE, Step, findings_steps

ABLATIONS = "ablations"
"""The stage that runs only where a person asks for it."""
CORPUS = ("archive", "deid", "sequences", "labels", "shards")
MODEL_KEYS = (("shards", "manifest"), ("shards", "patients"))
ENCODER_KEYS = (("backbone", "encoder"), ("backbone", "curves"), ("backbone", "patients"))
ANCHOR_KEYS = (("backbone", "anchored"), ("backbone", "gram_curves"), ("backbone", "gram_patients"))
PAGE_KEYS = (("shards", "quality_page"),)
PANEL_KEYS = tuple(
    ("labels", thing) for thing in ("agreement", "raters", "review_queue", "audit", "reliability", "drift")
)
CONSENSUS_KEYS = tuple(
    ("labels", thing) for thing in ("verdicts", "requests", "repeats", "contradictions", "consensus")
)
WAREHOUSE_JOB = "rebuild_warehouse"
RULES_JOB = "lake_rules"
AGREE_JOB = "agree"
REFRESH_JOB = "refresh"
LAUNCHER_TAG = "spineagent/launcher"
"""Of runs that the command line makes in its own process."""


def keys_of_stage(stage: str) -> list[dg.AssetKey]:
    """All asset keys of a stage."""
    return [key for definition in assets_of(STAGES[stage]) for key in definition.keys]


def batch_keys(stages: Sequence[str]) -> list[dg.AssetKey]:
    """Keys of the stages that are partitioned by study batch."""
    return [
        key
        for stage in stages
        for definition in assets_of(STAGES[stage])
        if definition.partitions_def == study_batches
        for key in definition.keys
    ]


def refresh_keys() -> list[dg.AssetKey]:
    """What a night makes of one batch: its corpus, vectors, predictions, claims and drafts; never a model."""
    steps = [
        step for step in findings_steps() if step.per_batch and not step.gathers and step.stage != ABLATIONS
    ]
    return [*batch_keys(CORPUS), *(key for step in steps for key in step.keys)]


def selection(keys: Sequence[dg.AssetKey]) -> dg.AssetSelection:
    """The assets with the checks that they yield themselves; whole-lake SQL rules have a job of their own."""
    wanted = set(keys)
    own = [
        spec.key for definition in all_assets() for spec in definition.check_specs if spec.asset_key in wanted
    ]
    assets = dg.AssetSelection.assets(*keys).without_checks()
    return assets | dg.AssetSelection.checks(*own) if own else assets


def asset_keys(pairs: Sequence[tuple[str, ...]]) -> list[dg.AssetKey]:
    """Asset keys of (stage, thing) pairs."""
    return [dg.AssetKey(list(pair)) for pair in pairs]


def through_job(stage: str) -> str:
    """Name of the job that takes one batch from the archive to a stage of the corpus layer."""
    return f"corpus_through_{stage}"


def _described(step: Step) -> str:
    if step.per_batch:
        return f"One batch through {step.stage}."
    when = "once, and again with training" if step.fitted else "whenever a batch has changed"
    return f"Of {step.stage}, what is made of the whole lake: {when}."


CORPUS_JOB = through_job(CORPUS[-1])


@cache
def all_jobs() -> list[dg.UnresolvedAssetJobDefinition]:
    """Every job of the graph; the same objects at every call, as Dagster wants of a job that a sensor requests."""
    corpus = [
        dg.define_asset_job(
            through_job(stage),
            selection=selection(batch_keys(CORPUS[: n + 1])),
            description=f"One batch from its inbox files through {stage}.",
        )
        for n, stage in enumerate(CORPUS)
    ]
    return [
        *corpus,
        dg.define_asset_job(
            AGREE_JOB,
            selection=selection(asset_keys(CONSENSUS_KEYS)),
            description="One batch's consensus, after people have decided.",
        ),
        dg.define_asset_job(
            "freeze", selection=selection(asset_keys(MODEL_KEYS)), description="Freeze what training may see."
        ),
        dg.define_asset_job(
            "pretrain",
            selection=selection(asset_keys(ENCODER_KEYS)),
            description="Pretrain one route's encoder.",
        ),
        dg.define_asset_job(
            "anchor",
            selection=selection(asset_keys(ANCHOR_KEYS)),
            description="Anchor one route's encoder to its own patch similarities.",
        ),
        dg.define_asset_job(
            "align",
            selection=selection(keys_of_stage("clip")),
            description="Align both encoders with the reports.",
        ),
        dg.define_asset_job(
            "synthesize",
            selection=selection(keys_of_stage("synthesizer")),
            description="Train the gates between both encoders for every other sequence, then align them.",
        ),
        *(
            dg.define_asset_job(step.job, selection=selection(step.keys), description=_described(step))
            for step in findings_steps()
        ),
        dg.define_asset_job(
            REFRESH_JOB,
            selection=selection(refresh_keys()),
            description="Nightly, per batch: what is new or stale of corpus, vectors, predictions, claims, drafts.",
        ),
        dg.define_asset_job(
            WAREHOUSE_JOB,
            selection=selection(
                [
                    *asset_keys(PAGE_KEYS),
                    *asset_keys(PANEL_KEYS),
                    *ASIDE,
                    dg.AssetKey(["warehouse", "duckdb"]),
                ]
            ),
            description="Draw the data-quality page, measure the labellers, rebuild the DuckDB file, sweep the lake.",
        ),
        dg.define_asset_job(
            RULES_JOB,
            selection=dg.AssetSelection.checks(*sql_check_keys()),
            description="All rules of sql/checks over the whole lake.",
        ),
    ]
