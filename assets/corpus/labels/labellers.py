"""labels: 17 conditions per report by each labeller that the profile names.

Belongs here: one asset per labeller. Does not belong here: what they make together (``panel``), how a report is read
(``spine_models.corpus.labels``), which server answers (``runtime.models``).
"""

from collections.abc import Iterator
from contextlib import nullcontext

import dagster as dg
import polars as pl
from dagster import AssetExecutionContext

from pipelines.runtime.metadata import counts, table_out, table_result
from pipelines.runtime.models import LanguageModels
from pipelines.runtime.partitions import study_batches
from pipelines.runtime.profiles import Settings
from pipelines.runtime.progress import reporter
from pipelines.runtime.resources import Hospital
from spine_models.config import LlmSettings, load_profile
from spine_models.corpus.labels import RULES_VERSION, tables

LAYER = "corpus"
CONFIGURED = load_profile(Settings().profile).labels
"""Which labellers are assets is decided when the code location is loaded, by the profile of the environment."""
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


def _labelled(name: str, frame: pl.DataFrame) -> dg.MaterializeResult:
    present = frame.filter(pl.col("status") == "present")
    return table_result(
        ("labels", name),
        frame,
        by_status=counts(frame, "status"),
        present_by_condition=counts(present, "condition"),
    )
