"""labels: 17 conditions per report by each configured labeller, and their consensus.

Belongs here: one asset per labeller and the consensus. Does not belong here: how a report is read
(``spine_models.corpus.labels``).
"""

from collections.abc import Iterator

import dagster as dg
import polars as pl

from pipelines.runtime.metadata import counts, table_out, table_result
from pipelines.runtime.partitions import study_batches
from spine_models.corpus.labels import RULES_VERSION, tables

LAYER = "corpus"
QUOTED = dg.AssetCheckSpec(
    "evidence_is_verbatim",
    asset=["labels", "rules"],
    description="Every quote stands in its report at the given offsets, and every mention carries one.",
    blocking=True,
)
COMPLETE = dg.AssetCheckSpec(
    "every_labelled_study_is_complete",
    asset=["labels", "consensus"],
    description="Every study with a report has one consensus row per condition.",
    blocking=True,
)


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
            "Every mention of a condition that the rules labeller read.",
            layer=LAYER,
            code_version=RULES_VERSION,
        ),
    },
    partitions_def=study_batches,
    check_specs=[QUOTED],
)
def rules(reports: pl.DataFrame) -> Iterator[object]:
    """Label the batch's reports by rules."""
    from spine_models.corpus.labels import label_reports

    labelled = label_reports(reports)
    present = labelled.rules.filter(pl.col("status") == "present")
    yield table_result(
        ("labels", "rules"),
        labelled.rules,
        by_status=counts(labelled.rules, "status"),
        present_by_condition=counts(present, "condition"),
    )
    yield table_result(("labels", "mentions"), labelled.mentions)
    quotes = labelled.rules.filter(pl.col("status") != "not_mentioned").join(
        reports.select("report_key", "report_text"), on="report_key", how="left"
    )
    wrong = sum(
        text is None or quote is None or text[start:end] != quote
        for text, quote, start, end in quotes.select(
            "report_text", "evidence", "evidence_start", "evidence_end"
        ).rows()
    )
    yield dg.AssetCheckResult(
        asset_key=["labels", "rules"],
        check_name=QUOTED.name,
        passed=wrong == 0,
        metadata={"quotes": quotes.height, "wrong": wrong},
    )


@dg.multi_asset(
    name="labels_consensus",
    ins={"rules": dg.AssetIn(["labels", "rules"])},
    outs={
        "consensus": table_out(
            ("labels", "consensus"),
            tables.CONSENSUS,
            "The label that everything downstream uses: agreement, or -1.",
            layer=LAYER,
            code_version=RULES_VERSION,
        )
    },
    partitions_def=study_batches,
    check_specs=[COMPLETE],
)
def consensus(rules: pl.DataFrame) -> Iterator[object]:
    """Agree over the configured labellers."""
    from spine_models.corpus.labels import consensus as agree
    from spine_models.domain import condition_keys

    frame = agree([rules])
    yield table_result(("labels", "consensus"), frame, by_label=counts(frame, "label"))
    yield dg.AssetCheckResult(
        asset_key=["labels", "consensus"],
        check_name=COMPLETE.name,
        passed=frame.height == rules["study_key"].n_unique() * len(condition_keys()),
        metadata={"rows": frame.height},
    )
