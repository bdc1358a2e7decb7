"""warehouse: the one DuckDB file, rebuilt whole and renamed; any client may open it read-only.

Belongs here: rebuilding the file. Does not belong here: SQL (``sql/schema``).
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import dagster as dg
import polars as pl
from dagster import AssetExecutionContext
from pydantic import Field

from pipelines.runtime.metadata import artifact_out, markdown
from pipelines.runtime.resources import Hospital
from pipelines.runtime.storage import Zone

if TYPE_CHECKING:
    from spine_models.corpus.deid.gate import ArchivedBatch

BYTES = dg.AssetCheckSpec(
    "no_identifier_in_the_lake",
    asset=["warehouse", "duckdb"],
    description="A byte-level sweep of the whole lake finds no identifier of any archived patient.",
    blocking=True,
)


class Sweep(dg.Config):
    """What a person or a schedule may ask for."""

    whole: bool = Field(
        False, description="search every file again, so for patients too who came after it was found clean"
    )


UPSTREAM = [
    ("deid", "files"), ("deid", "studies"), ("deid", "audit"), ("sequences", "series"), ("labels", "consensus"),
    ("shards", "slices"), ("backbone", "curves"), ("backbone", "gram_curves"), ("embeddings", "studies"),
    ("probes", "probabilities"), ("attribution", "weights"), ("localization", "findings"), ("retrieval", "neighbours"),
    ("agents", "claims"), ("agents", "results"), ("reports", "sentences"),
]  # fmt: skip


@dg.multi_asset(
    name="warehouse",
    deps=[dg.AssetDep(list(key), partition_mapping=dg.AllPartitionMapping()) for key in UPSTREAM]
    + [
        dg.AssetDep(["clip", "retrieval"]),
        dg.AssetDep(["synthesizer", "gates"]),
        dg.AssetDep(["probes", "comparisons"]),
        dg.AssetDep(["probes", "null"]),
        dg.AssetDep(["attribution", "scores"]),
        dg.AssetDep(["localization", "scores"]),
        dg.AssetDep(["retrieval", "scores"]),
        dg.AssetDep(["agents", "scorecard"]),
        dg.AssetDep(["shards", "manifest"]),
        dg.AssetDep(["shards", "quality_page"]),
        dg.AssetDep(["labels", "review_queue"]),
        dg.AssetDep(["reports", "nights"]),
    ],
    outs={
        "duckdb": artifact_out(
            ("warehouse", "duckdb"),
            "Views over every table and copies of the small ones, in one DuckDB file.",
            kinds={"duckdb"},
            layer="warehouse",
        )
    },
    check_specs=[BYTES],
)
def warehouse(context: AssetExecutionContext, config: Sweep, hospital: Hospital) -> Iterator[object]:
    """Rebuild the file and sweep the lake, by default the files that no sweep has found clean yet."""
    from spine_models.corpus.deid import sweep_lake
    from sql.warehouse import build_warehouse

    report = build_warehouse(hospital.lake.root, hospital.warehouse)
    yield dg.MaterializeResult(
        asset_key=["warehouse", "duckdb"],
        metadata={
            "rows": report.rows,
            "size_bytes": report.size_bytes,
            "contents": markdown(
                pl.DataFrame(
                    [(c.name, c.kind, c.files, c.rows) for c in report.contents],
                    schema=["table", "kind", "files", "rows"],
                    orient="row",
                )
            ),
        },
    )
    batches = hospital.restricted.partitions(("archive", "files"))
    archives = [archived(hospital.restricted, batch) for batch in batches]
    swept = sweep_lake(
        archives,
        hospital.lake.root,
        key=hospital.key(),
        workers=hospital.numbers.deid.workers,
        memory=hospital.restricted.root / "sweep",
        whole=config.whole,
    )
    yield dg.AssetCheckResult(
        asset_key=["warehouse", "duckdb"],
        check_name=BYTES.name,
        passed=swept.hits.is_empty() and not swept.unread,
        # Originals out of reach for a night are no leak: the sweep is only not finished.
        severity=dg.AssetCheckSeverity.ERROR if swept.hits.height else dg.AssetCheckSeverity.WARN,
        metadata={
            "hits": swept.hits.height,
            "batches": len(batches),
            "files_searched": swept.searched,
            "files_clean_before": swept.remembered,
            "originals_not_read": swept.unread,
        },
    )


def archived(restricted: Zone, batch: str) -> "ArchivedBatch":
    """A batch's archive for the sweep: its tables are read only where they have been written anew since the last."""
    from spine_models.corpus.archive import ArchiveTables
    from spine_models.corpus.deid.gate import ArchivedBatch

    names = ("files", "instances", "series", "studies", "reports", "ehr")
    told = [restricted.table_path(("archive", name), batch).stat() for name in ("instances", "ehr")]
    return ArchivedBatch(
        "\x00".join([batch, *(f"{one.st_size} {one.st_mtime_ns}" for one in told)]),
        lambda: ArchiveTables(**{n: restricted.read_table(("archive", n), [batch]) for n in names}),
    )
