"""reports: a drafted report per study, each sentence linked to its claims, and its page.

Belongs here: wiring. Does not belong here: templates or prose (``spine_models.reporting.reports``).
"""

from collections.abc import Iterator

import dagster as dg
import polars as pl
from dagster import AssetExecutionContext

from pipelines.runtime.metadata import (
    artifact_out,
    artifact_result,
    counts,
    markdown,
    table_out,
    table_result,
)
from pipelines.runtime.partitions import study_batches
from pipelines.runtime.resources import Hospital
from spine_models.reporting.reports import tables

LAYER = "reporting"
CODE_VERSION = "1"
SAYS_WHY = dg.AssetCheckSpec(
    "every_refresh_says_why",
    asset=["reports", "nights"],
    description="Whatever was refreshed, requested or left waiting has a reason.",
)
LINKED = dg.AssetCheckSpec(
    "every_sentence_is_linked",
    asset=["reports", "sentences"],
    description="Every finding sentence names existing claims, and every claim is said.",
    blocking=True,
)


@dg.multi_asset(
    name="reports",
    ins={
        "claims": dg.AssetIn(["agents", "claims"]),
        "studies": dg.AssetIn(["deid", "studies"]),
        "series": dg.AssetIn(["sequences", "series"]),
    },
    outs={
        "drafts": table_out(
            ("reports", "drafts"),
            tables.DRAFTS,
            "The drafted report of each study, as text.",
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
        "sentences": table_out(
            ("reports", "sentences"),
            tables.SENTENCES,
            "The sentences of each draft with the claims behind them.",
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
        "pages": artifact_out(
            ("reports", "pages"),
            "One HTML page per study, for a radiologist to read.",
            kinds={"html"},
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
    },
    partitions_def=study_batches,
    check_specs=[LINKED],
)
def reports(
    context: AssetExecutionContext,
    hospital: Hospital,
    claims: pl.DataFrame,
    studies: pl.DataFrame,
    series: pl.DataFrame,
) -> Iterator[object]:
    """Draft the batch's reports and write their pages."""
    from spine_models.reporting.reports import draft_reports, write_pages

    written = draft_reports(claims, studies, series)
    yield table_result(("reports", "drafts"), written.drafts, by_region=counts(written.drafts, "region"))
    yield table_result(("reports", "sentences"), written.sentences, by_kind=counts(written.sentences, "kind"))
    with hospital.draft(("reports", "pages"), context.partition_key) as draft:
        pages = write_pages(written.drafts, written.sentences, claims, draft.folder)
    sample = written.drafts["report_text"].first() if written.drafts.height else "no study"
    yield artifact_result(
        ("reports", "pages"),
        draft.version,
        pages=pages,
        sample=dg.MetadataValue.md(f"```text\n{sample}\n```"),
    )
    said = written.sentences.explode("claim_keys")["claim_keys"].drop_nulls().unique()
    known = claims["claim_key"].unique()
    unlinked = written.sentences.filter(
        (pl.col("claim_keys").list.len() == 0) & ~pl.col("kind").is_in(["technique", "notice"])
    )
    yield dg.AssetCheckResult(
        asset_key=["reports", "sentences"],
        check_name=LINKED.name,
        passed=set(said) == set(known) and unlinked.is_empty(),
        metadata={"sentences": written.sentences.height, "unlinked": unlinked.height},
    )


@dg.multi_asset(
    name="nights",
    deps=[dg.AssetDep(["reports", "drafts"], partition_mapping=dg.AllPartitionMapping())],
    outs={
        "nights": table_out(
            ("reports", "nights"),
            tables.NIGHTS,
            "What each refresh made anew, by batch and stage, and why.",
            layer=LAYER,
            code_version=CODE_VERSION,
        )
    },
    check_specs=[SAYS_WHY],
)
def nights(hospital: Hospital) -> Iterator[object]:
    """Put what the refreshes noted into one table."""
    files = sorted(hospital.nights_root.glob("*.parquet"))
    frame = pl.concat([pl.DataFrame(schema=tables.NIGHTS), *(pl.read_parquet(file) for file in files)])
    last = frame.filter(pl.col("started_at") == pl.col("started_at").max())
    yield table_result(
        ("reports", "nights"),
        frame,
        refreshes=len(files),
        last_refresh=markdown(
            last.group_by("stage", "outcome", maintain_order=True).agg(
                batches=pl.col("batch_key").n_unique(),
                reasons=pl.col("reasons").explode().unique().sort().str.join(", "),
            )
        ),
    )
    silent = frame.filter((pl.col("reasons").list.len() == 0) | pl.col("reasons").is_null()).height
    yield dg.AssetCheckResult(
        asset_key=["reports", "nights"],
        check_name=SAYS_WHY.name,
        passed=silent == 0,
        metadata={"lines": frame.height, "silent": silent},
    )
