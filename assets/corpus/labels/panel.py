"""labels: what the labellers of a batch agree on, and over all batches what they are worth and what waits for a person.

Belongs here: the consensus of a batch and the panel over all of them. Does not belong here: the labellers
(``labellers``), agreement, error rates, review (``spine_models.corpus.labels``).
"""

from collections.abc import Iterator

import dagster as dg
import polars as pl

from assets.corpus.labels.labellers import CONFIGURED, LAYER
from pipelines.runtime.metadata import counts, markdown, table_out, table_result
from pipelines.runtime.partitions import study_batches
from pipelines.runtime.resources import Hospital
from spine_models.corpus.labels import tables

CODE_VERSION = "2"
MODELS = tuple(model.name for model in CONFIGURED.llms)
VOTERS = (*(["rules"] if CONFIGURED.rules else []), *MODELS)
QUOTED = dg.AssetCheckSpec(
    "evidence_is_verbatim",
    asset=["labels", "verdicts"],
    description="Every quote stands in its report at the given offsets, and every verdict that needs one has one.",
    blocking=True,
)
COMPLETE = dg.AssetCheckSpec(
    "every_labelled_study_is_complete",
    asset=["labels", "consensus"],
    description="Every study with a report has one row per condition, of each labeller and in the consensus.",
    blocking=True,
)
STABLE = dg.AssetCheckSpec(
    "prevalence_is_stable",
    asset=["labels", "drift"],
    description="No batch differs from all others in how often a condition is present (Fisher, Holm).",
)


def _keys(*things: str) -> set[dg.AssetKey]:
    return {dg.AssetKey(["labels", thing]) for thing in things}


_LLM_TABLES = tuple(f"{name}{kind}" for name in MODELS for kind in ("", "_requests", "_repeats"))


@dg.multi_asset(
    name="labels_consensus",
    ins={name: dg.AssetIn(["labels", name]) for name in ("rules", "mentions", *_LLM_TABLES)}
    | {"reports": dg.AssetIn(["deid", "reports"])},
    outs={
        name: table_out(("labels", name), schema, description, layer=LAYER, code_version=CODE_VERSION)
        for name, schema, description in (
            ("verdicts", tables.LABELS, "Every labeller's labels under one another."),
            ("requests", tables.REQUESTS, "Every question that a language model was asked."),
            ("repeats", tables.LABELS, "The labels of reports that a language model was asked about again."),
            ("contradictions", tables.CONTRADICTIONS, "Findings that the impression denies, or the reverse."),
            (
                "consensus",
                tables.CONSENSUS,
                "The label that everything downstream uses: agreement, or -1; adjudications override.",
            ),
        )
    },
    internal_asset_deps={
        "verdicts": _keys("rules", *MODELS),
        "requests": _keys(*(f"{name}_requests" for name in MODELS)),
        "repeats": _keys(*(f"{name}_repeats" for name in MODELS)),
        "contradictions": _keys("mentions"),
        "consensus": _keys(*VOTERS) | {dg.AssetKey(["deid", "reports"])},
    },
    partitions_def=study_batches,
    check_specs=[QUOTED, COMPLETE],
)
def consensus(hospital: Hospital, **frames: pl.DataFrame) -> Iterator[object]:
    """Agree over the voting labellers, and let people's decisions override."""
    from spine_models.corpus.labels import consensus as agree
    from spine_models.corpus.labels import contradictions, misquotes
    from spine_models.domain import condition_keys

    # The version first: a decision that is written meanwhile makes the consensus due again.
    version, decided = hospital.adjudications_version(), hospital.adjudications()
    verdicts = pl.concat([frames["rules"], *(frames[name] for name in MODELS)])
    frame = agree([frames[name] for name in VOTERS], decided, not_mentioned=CONFIGURED.not_mentioned)
    yield table_result(("labels", "verdicts"), verdicts, by_status=_by_labeller(verdicts))
    for thing, schema in (("requests", tables.REQUESTS), ("repeats", tables.LABELS)):
        stacked = [frames[f"{name}_{thing}"] for name in MODELS]
        yield table_result(("labels", thing), pl.concat([pl.DataFrame(schema=schema), *stacked]))
    yield table_result(("labels", "contradictions"), contradictions(frames["mentions"]))
    adjudicated = frame.filter(pl.col("labellers").list.contains("adjudication")).height
    yield table_result(
        ("labels", "consensus"),
        frame,
        by_label=counts(frame, "label"),
        adjudicated=adjudicated,
        by_hand=version,
    )
    wrong = misquotes(verdicts, frames["reports"])
    yield dg.AssetCheckResult(
        asset_key=["labels", "verdicts"],
        check_name=QUOTED.name,
        passed=wrong == 0,
        metadata={"verdicts": verdicts.height, "wrong": wrong},
    )
    expected = frames["reports"]["study_key"].n_unique() * len(condition_keys())
    yield dg.AssetCheckResult(
        asset_key=["labels", "consensus"],
        check_name=COMPLETE.name,
        passed=frame.height == expected and verdicts.height == expected * (1 + len(MODELS)),
        metadata={"rows": frame.height, "labellers": 1 + len(MODELS)},
    )


_MEASURED = {
    "verdicts": tables.LABELS,
    "consensus": tables.CONSENSUS,
    "repeats": tables.LABELS,
    "contradictions": tables.CONTRADICTIONS,
}


@dg.multi_asset(
    name="labels_panel",
    deps=[dg.AssetDep(["labels", name], partition_mapping=dg.AllPartitionMapping()) for name in _MEASURED],
    outs={
        name: table_out(("labels", name), schema, description, layer=LAYER, code_version=CODE_VERSION)
        for name, schema, description in (
            ("agreement", tables.AGREEMENT, "Cohen's and prevalence-adjusted kappa, by condition and pair."),
            ("raters", tables.RATERS, "Each labeller's error rates, estimated from three or more of them."),
            ("review_queue", tables.REVIEW_QUEUE, "Labels that wait for a person, by how much they matter."),
            ("audit", tables.AUDIT, "A stratified sample for a person to check."),
            ("reliability", tables.RELIABILITY, "Evidence, repeats, contradictions, audited accuracy."),
            ("drift", tables.DRIFT, "Each batch's prevalence against that of the others."),
        )
    },
    internal_asset_deps={
        "agreement": _keys("verdicts"),
        "raters": _keys("verdicts"),
        "review_queue": _keys("verdicts", "consensus"),
        "audit": _keys("verdicts"),
        "reliability": _keys("verdicts", "repeats", "contradictions"),
        "drift": _keys("consensus"),
    },
    check_specs=[STABLE],
)
def measures(hospital: Hospital) -> Iterator[object]:
    """Measure the labellers over all batches and line up what waits for a person."""
    from spine_models.corpus.labels import (
        agreement,
        audit_accuracy,
        audit_sample,
        drift,
        raters,
        reliability,
        review_queue,
    )
    from spine_models.corpus.labels import consensus as agree

    verdicts, consensus, repeats, contradictions = (
        _whole(hospital, name, schema) for name, schema in _MEASURED.items()
    )
    pairs = agreement(verdicts)
    overall = pairs.filter(pl.col("condition") == "all")
    yield table_result(("labels", "agreement"), pairs, overall=markdown(overall))
    yield table_result(("labels", "raters"), raters(verdicts))
    queue = review_queue(verdicts, consensus)
    yield table_result(("labels", "review_queue"), queue, by_reason=counts(queue, "reason"))
    # A sample is of what the labellers say: rows that people have decided would flatter them.
    before = agree(
        [verdicts.filter(pl.col("labeller").is_in(VOTERS))], not_mentioned=CONFIGURED.not_mentioned
    )
    sample = audit_sample(before, CONFIGURED.audit_per_stratum, CONFIGURED.seed)
    yield table_result(("labels", "audit"), sample, by_condition=counts(sample, "condition"))
    measured = pl.concat(
        [
            reliability(verdicts, contradictions, repeats),
            audit_accuracy(sample, hospital.adjudications(), before),
        ]
    )
    shown = measured.filter(pl.col("condition") == "all")
    yield table_result(("labels", "reliability"), measured, overall=markdown(shown))
    drifts = drift(consensus, CONFIGURED.drift_alpha)
    moved = drifts.filter(pl.col("drifted"))
    yield table_result(("labels", "drift"), drifts)
    yield dg.AssetCheckResult(
        asset_key=["labels", "drift"],
        check_name=STABLE.name,
        passed=moved.is_empty(),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"drifted": moved.height, "rows": markdown(moved)},
    )


def _whole(hospital: Hospital, name: str, schema: pl.Schema) -> pl.DataFrame:
    """All batches of a table that have been labelled so far."""
    batches = hospital.lake.partitions(("labels", name))
    return hospital.lake.read_table(("labels", name), batches) if batches else pl.DataFrame(schema=schema)


def _by_labeller(verdicts: pl.DataFrame) -> dg.MarkdownMetadataValue:
    table = verdicts.group_by("labeller", "status").len("n").sort("labeller", "status")
    return markdown(table.pivot("status", index="labeller", values="n").fill_null(0))
