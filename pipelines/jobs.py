"""The jobs a person or a schedule starts: per batch, per model, for the whole lake.

Belongs here: selections of assets. Does not belong here: when they run (``schedules``, ``sensors``, ``runner``).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import dagster as dg

from assets import STAGES, all_assets, assets_of
from pipelines.checks import sql_check_keys

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
PROBE_KEYS = (
    ("probes", "baselines"),
    ("probes", "metrics"),
    ("probes", "predictions"),
    ("probes", "summary"),
    ("probes", "comparisons"),
    ("probes", "heads"),
    ("agents", "registry"),
)
CLAIM_KEYS = (("agents", "claims"),)
WAREHOUSE_JOB = "rebuild_warehouse"
RULES_JOB = "lake_rules"
AGREE_JOB = "agree"


def keys_of_stage(stage: str) -> list[dg.AssetKey]:
    """All asset keys of a stage."""
    return [key for definition in assets_of(STAGES[stage]) for key in definition.keys]


def batch_keys(stages: Sequence[str]) -> list[dg.AssetKey]:
    """Keys of the stages that are partitioned by study batch."""
    whole = {dg.AssetKey(list(k)) for k in (*MODEL_KEYS, *PAGE_KEYS, *PANEL_KEYS, *PROBE_KEYS)}
    return [key for stage in stages for key in keys_of_stage(stage) if key not in whole]


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
        dg.define_asset_job(
            "embed",
            selection=selection(keys_of_stage("embeddings")),
            description="Embed the stale slices of one batch.",
        ),
        dg.define_asset_job(
            "probe",
            selection=selection(asset_keys(PROBE_KEYS)),
            description="Baselines, probe metrics, heads and registry.",
        ),
        dg.define_asset_job(
            "claim",
            selection=selection(asset_keys(CLAIM_KEYS)),
            description="The agents' claims for one batch.",
        ),
        dg.define_asset_job(
            "draft",
            selection=selection(keys_of_stage("reports")),
            description="Drafted reports of one batch.",
        ),
        dg.define_asset_job(
            "refresh",
            selection=selection(
                [*keys_of_stage("embeddings"), *asset_keys(CLAIM_KEYS), *keys_of_stage("reports")]
            ),
            description="Nightly, per batch: stale vectors, then claims and drafts.",
        ),
        dg.define_asset_job(
            WAREHOUSE_JOB,
            selection=selection(
                [*asset_keys(PAGE_KEYS), *asset_keys(PANEL_KEYS), dg.AssetKey(["warehouse", "duckdb"])]
            ),
            description="Draw the data-quality page, measure the labellers, rebuild the DuckDB file, sweep the lake.",
        ),
        dg.define_asset_job(
            RULES_JOB,
            selection=dg.AssetSelection.checks(*sql_check_keys()),
            description="All rules of sql/checks over the whole lake.",
        ),
    ]
