"""labels: 17 conditions per report by each configured labeller, their consensus, and what the labellers are worth.

Belongs here: one asset per labeller of the profile, the consensus of a batch, the panel over all batches. Does not
belong here: how a report is read (``spine_models.corpus.labels``), which server answers (``runtime.models``).
"""

from collections.abc import Iterator
from contextlib import nullcontext

import dagster as dg
import polars as pl
from dagster import AssetExecutionContext

from pipelines.runtime.metadata import counts, markdown, table_out, table_result
from pipelines.runtime.models import LanguageModels
from pipelines.runtime.partitions import study_batches
from pipelines.runtime.profiles import Settings
from pipelines.runtime.progress import reporter
from pipelines.runtime.resources import Hospital
from spine_models.config import LlmSettings, load_profile
from spine_models.corpus.labels import RULES_VERSION, tables

LAYER = "corpus"
PANEL_VERSION = "2"
CONFIGURED = load_profile(Settings().profile).labels
"""Which labellers are assets is decided when the code location is loaded, by the profile of the environment."""
VOTERS = (*(["rules"] if CONFIGURED.rules else []), *(model.name for model in CONFIGURED.llms))
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
USEFUL = {
    model.name: dg.AssetCheckSpec(
        "answers_are_usable",
        asset=["labels", model.name],
        description="At least 98 % of the questions were answered within their schema.",
    )
    for model in CONFIGURED.llms
}
LEAST_USEFUL = 0.98


@dg.multi_asset(
    name="labels_rules",
    ins={"reports": dg.AssetIn(["deid", "reports"])},
    outs={
        "rules": table_out(
            ("labels", "rules"),
            tables.LABELS,
            "The rules labeller: status, level, side, severity, evidence quote.",
            layer=LAYER,
            code_version=RULES_VERSION,
        ),
        "mentions": table_out(
            ("labels", "mentions"),
            tables.MENTIONS,
            "Every mention of a condition that the rules labeller read, by section.",
            layer=LAYER,
            code_version=RULES_VERSION,
        ),
    },
    partitions_def=study_batches,
)
def rules(reports: pl.DataFrame) -> Iterator[object]:
    """Label the batch's reports by rules."""
    from spine_models.corpus.labels import label_reports

    labelled = label_reports(reports, not_mentioned=CONFIGURED.not_mentioned)
    yield _labelled("rules", labelled.rules)
    yield table_result(("labels", "mentions"), labelled.mentions)


def language_model(settings: LlmSettings) -> dg.AssetsDefinition:
    """The assets of one language model: its labels, what it was asked, and what it said when asked again."""
    from spine_models.corpus.labels.llm import labeller_version

    name, version = settings.name, labeller_version(settings)

    @dg.multi_asset(
        name=f"labels_{name}",
        ins={"reports": dg.AssetIn(["deid", "reports"])},
        outs={
            name: table_out(
                ("labels", name),
                tables.LABELS,
                f"{settings.model} on vLLM: status, level, side, severity, evidence quote.",
                layer=LAYER,
                code_version=version,
            ),
            f"{name}_requests": table_out(
                ("labels", f"{name}_requests"),
                tables.REQUESTS,
                "Every question asked: outcome, finish reason, tokens, cached tokens, seconds, seed.",
                layer=LAYER,
                code_version=version,
            ),
            f"{name}_repeats": table_out(
                ("labels", f"{name}_repeats"),
                tables.LABELS,
                "The labels of reports that were asked about a second time.",
                layer=LAYER,
                code_version=version,
            ),
        },
        partitions_def=study_batches,
        check_specs=[USEFUL[name]],
        pool="gpu",
    )
    def labeller(
        context: AssetExecutionContext,
        reports: pl.DataFrame,
        hospital: Hospital,
        language_models: LanguageModels,
    ) -> Iterator[object]:
        """Ask the model about the batch's reports; what it answered before is not asked again."""
        from spine_models.corpus.labels.llm import count_open, label_with_llm

        answers = hospital.answers_folder(name, context.partition_key)
        unanswered = count_open(reports, settings=settings, answers=answers)
        with language_models.serving(settings) if unanswered else nullcontext("") as endpoint:
            asked = label_with_llm(
                reports,
                settings=settings,
                endpoint=endpoint,
                answers=answers,
                api_key=language_models.api_key or None,
                not_mentioned=CONFIGURED.not_mentioned,
                progress=reporter(f"labels by {name}", "questions"),
            )
        yield _labelled(name, asked.labels)
        yield table_result(
            ("labels", f"{name}_requests"), asked.requests, by_outcome=counts(asked.requests, "outcome")
        )
        yield table_result(("labels", f"{name}_repeats"), asked.repeats)
        usable = asked.requests.filter(pl.col("outcome") == "answered").height
        yield dg.AssetCheckResult(
            asset_key=["labels", name],
            check_name=USEFUL[name].name,
            passed=usable >= LEAST_USEFUL * asked.requests.height,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"questions": asked.requests.height, "answered": usable},
        )

    return labeller


LANGUAGE_MODELS = tuple(language_model(settings) for settings in CONFIGURED.llms)
_LLM_TABLES = tuple(
    f"{model.name}{kind}" for model in CONFIGURED.llms for kind in ("", "_requests", "_repeats")
)


@dg.multi_asset(
    name="labels_consensus",
    ins={name: dg.AssetIn(["labels", name]) for name in ("rules", "mentions", *_LLM_TABLES)}
    | {"reports": dg.AssetIn(["deid", "reports"])},
    outs={
        name: table_out(("labels", name), schema, description, layer=LAYER, code_version=PANEL_VERSION)
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
    partitions_def=study_batches,
    check_specs=[QUOTED, COMPLETE],
)
def consensus(context: AssetExecutionContext, hospital: Hospital, **frames: pl.DataFrame) -> Iterator[object]:
    """Agree over the voting labellers, and let people's decisions override."""
    from spine_models.corpus.labels import consensus as agree
    from spine_models.corpus.labels import contradictions, misquotes
    from spine_models.domain import condition_keys

    models = [model.name for model in CONFIGURED.llms]
    decided = hospital.adjudications()
    verdicts = pl.concat([frames["rules"], *(frames[name] for name in models)])
    frame = agree([frames[name] for name in VOTERS], decided, not_mentioned=CONFIGURED.not_mentioned)
    yield table_result(("labels", "verdicts"), verdicts, by_status=_by_labeller(verdicts))
    for thing, schema in (("requests", tables.REQUESTS), ("repeats", tables.LABELS)):
        stacked = [frames[f"{name}_{thing}"] for name in models]
        yield table_result(("labels", thing), pl.concat([pl.DataFrame(schema=schema), *stacked]))
    yield table_result(("labels", "contradictions"), contradictions(frames["mentions"]))
    adjudicated = frame.filter(pl.col("labellers").list.contains("adjudication")).height
    yield table_result(
        ("labels", "consensus"),
        frame,
        by_label=counts(frame, "label"),
        adjudicated=adjudicated,
        adjudications=hospital.adjudications_version(),
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
        passed=frame.height == expected and verdicts.height == expected * (1 + len(models)),
        metadata={"rows": frame.height, "labellers": 1 + len(models)},
    )


@dg.multi_asset(
    name="labels_panel",
    ins={
        name: dg.AssetIn(["labels", name]) for name in ("verdicts", "consensus", "repeats", "contradictions")
    },
    outs={
        name: table_out(("labels", name), schema, description, layer=LAYER, code_version=PANEL_VERSION)
        for name, schema, description in (
            ("agreement", tables.AGREEMENT, "Cohen's and prevalence-adjusted kappa, by condition and pair."),
            ("raters", tables.RATERS, "Each labeller's error rates, estimated from three or more of them."),
            ("review_queue", tables.REVIEW_QUEUE, "Labels that wait for a person, by how much they matter."),
            ("audit", tables.AUDIT, "A stratified sample for a person to check."),
            ("reliability", tables.RELIABILITY, "Evidence, repeats, contradictions, audited accuracy."),
            ("drift", tables.DRIFT, "Each batch's prevalence against that of the others."),
        )
    },
    check_specs=[STABLE],
)
def panel(
    verdicts: pl.DataFrame,
    consensus: pl.DataFrame,
    repeats: pl.DataFrame,
    contradictions: pl.DataFrame,
    hospital: Hospital,
) -> Iterator[object]:
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


def _labelled(name: str, frame: pl.DataFrame) -> dg.MaterializeResult:
    present = frame.filter(pl.col("status") == "present")
    return table_result(
        ("labels", name),
        frame,
        by_status=counts(frame, "status"),
        present_by_condition=counts(present, "condition"),
    )


def _by_labeller(verdicts: pl.DataFrame) -> dg.MarkdownMetadataValue:
    table = verdicts.group_by("labeller", "status").len("n").sort("labeller", "status")
    return markdown(table.pivot("status", index="labeller", values="n").fill_null(0))
