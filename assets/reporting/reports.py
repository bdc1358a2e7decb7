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
from pipelines.runtime.priors import lake_priors
from pipelines.runtime.resources import Hospital
from spine_models.reporting.reports import tables

LAYER = "reporting"
CODE_VERSION = "3"
NIGHTS_VERSION = "1"
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
COMPARED = dg.AssetCheckSpec(
    "comparison_needs_a_prior",
    asset=["reports", "sentences"],
    description="A sentence compares only where its draft names an earlier study of the patient.",
    blocking=True,
)


@dg.multi_asset(
    name="reports",
    ins={
        "claims": dg.AssetIn(["agents", "claims"]),
        "studies": dg.AssetIn(["deid", "studies"]),
        "series": dg.AssetIn(["sequences", "series"]),
        "slices": dg.AssetIn(["shards", "slices"]),
        "texts": dg.AssetIn(["llava", "written"]),
    },
    deps=[["shards", "tars"]],
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
        "removed": table_out(
            ("reports", "removed"),
            tables.REMOVED,
            "Sentences of the report model that no claim carries, each with the reason.",
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
        "provenance": table_out(
            ("reports", "provenance"),
            tables.PROVENANCE,
            "Each sentence with claim, agent and version, slice, box and source instance.",
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
        "pages": artifact_out(
            ("reports", "pages"),
            "One HTML page per study, with key slices and boxes, for a radiologist to read.",
            kinds={"html"},
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
    },
    partitions_def=study_batches,
    check_specs=[LINKED, COMPARED],
)
def reports(
    context: AssetExecutionContext,
    hospital: Hospital,
    claims: pl.DataFrame,
    studies: pl.DataFrame,
    series: pl.DataFrame,
    slices: pl.DataFrame,
    texts: pl.DataFrame,
) -> Iterator[object]:
    """Draft the batch's reports and write their pages."""
    from spine_models.reporting.reports import draft_reports, key_slices, shard_pixels, write_pages

    batch = context.partition_key
    written = draft_reports(
        claims, studies, series, priors=lake_priors(hospital, studies, batch), written=texts
    )
    yield table_result(
        ("reports", "drafts"),
        written.drafts,
        by_region=counts(written.drafts, "region"),
        by_writer=counts(written.drafts, "writer"),
        with_prior=int(written.drafts["prior_study_key"].is_not_null().sum()),
    )
    yield table_result(
        ("reports", "sentences"),
        written.sentences,
        by_kind=counts(written.sentences, "kind"),
        by_link=counts(written.sentences, "linked_by"),
    )
    yield table_result(("reports", "removed"), written.removed, by_reason=counts(written.removed, "reason"))
    yield table_result(
        ("reports", "provenance"),
        written.provenance,
        with_slice=int(written.provenance["slice_key"].is_not_null().sum()),
    )
    pictures = key_slices(
        claims,
        written.drafts,
        slices,
        shard_pixels(slices, hospital.current(("shards", "tars"), batch)),
        limit=hospital.numbers.reports.key_slices,
    )
    with hospital.draft(("reports", "pages"), batch) as draft:
        pages = write_pages(
            written.drafts,
            written.sentences,
            claims,
            draft.folder,
            removed=written.removed,
            pictures=pictures,
        )
    sample = written.drafts["report_text"].first() if written.drafts.height else "no study"
    yield artifact_result(
        ("reports", "pages"),
        draft.version,
        pages=pages,
        key_slices=sum(map(len, pictures.values())),
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
    alone = written.drafts.filter(pl.col("prior_study_key").is_null()).select("draft_key")
    groundless = written.sentences.filter(kind="comparison").join(alone, on="draft_key", how="semi")
    yield dg.AssetCheckResult(
        asset_key=["reports", "sentences"],
        check_name=COMPARED.name,
        passed=groundless.is_empty(),
        metadata={"without_prior": groundless.height},
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
            code_version=NIGHTS_VERSION,
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
