"""archive: every inbox file of a batch indexed; restricted.

Belongs here: wiring of the index. Does not belong here: reading files (``spine_models.corpus.archive``).
"""

from collections.abc import Iterator

import dagster as dg
from dagster import AssetExecutionContext

from pipelines.runtime.metadata import counts, table_out, table_result
from pipelines.runtime.partitions import study_batches
from pipelines.runtime.progress import reporter
from pipelines.runtime.resources import Hospital
from spine_models.corpus.archive import tables

LAYER = "corpus"
CODE_VERSION = "3"
ANNOTATED = "5"
"""Of what annotations changed: their table, and what becomes of their files. The other tables are as they were."""
ACCOUNTED = dg.AssetCheckSpec(
    "every_file_accounted",
    asset=["archive", "files"],
    description="Every file that the ledger gives to the batch has exactly one row.",
    blocking=True,
)


@dg.multi_asset(
    name="archive",
    outs={
        "files": table_out(
            ("archive", "files"),
            tables.FILES,
            "One row per inbox file: indexed, duplicate or rejected, with a reason.",
            layer=LAYER,
            code_version=ANNOTATED,
        ),
        "instances": table_out(
            ("archive", "instances"),
            tables.INSTANCES,
            "DICOM instances with header facts and geometry.",
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
        "series": table_out(
            ("archive", "series"),
            tables.SERIES,
            "Series with plane, spacing and regularity of their slices.",
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
        "studies": table_out(
            ("archive", "studies"),
            tables.STUDIES,
            "Studies with counts of series, instances and reports.",
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
        "reports": table_out(
            ("archive", "reports"),
            tables.REPORTS,
            "Report texts, joined to their study by accession number.",
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
        "ehr": table_out(
            ("archive", "ehr"),
            tables.EHR,
            "EHR rows of the batch's patients, as the site exported them.",
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
        "annotations": table_out(
            ("archive", "annotations"),
            tables.ANNOTATIONS,
            "Labels, points and series descriptions in the RSNA layout, and boxes, joined to their images.",
            layer=LAYER,
            code_version=ANNOTATED,
        ),
    },
    partitions_def=study_batches,
    check_specs=[ACCOUNTED],
    description="Index one batch of an inbox. Holds identifiers: stored in the restricted zone only.",
)
def archive(context: AssetExecutionContext, hospital: Hospital) -> Iterator[object]:
    """Index the batch's files."""
    from spine_models.corpus.archive import fingerprints, index_batch, settled

    batch = context.partition_key
    ledger = hospital.ledger()
    if ledger is None:
        raise dg.Failure("no inbox has been registered: run `spineagent run INBOX --through archive`")
    index = index_batch(
        ledger, batch, settings=hospital.numbers.archive, progress=reporter(f"archive {batch}", "files")
    )
    expected = ledger.filter(ledger["batch_key"] == batch).height
    rests_on = fingerprints(ledger, [batch]).get(batch, "")
    if not settled(ledger, batch):
        rests_on += "-unsettled"  # no look says this: the batch is due again once the tables lie still
    yield table_result(
        ("archive", "files"),
        index.files,
        by_status=counts(index.files, "status"),
        by_reason=counts(index.files, "reason"),
        registration=rests_on,
    )
    yield table_result(("archive", "instances"), index.instances, by_vendor=counts(index.instances, "vendor"))
    yield table_result(("archive", "series"), index.series, by_geometry=counts(index.series, "geometry"))
    yield table_result(("archive", "studies"), index.studies)
    yield table_result(("archive", "reports"), index.reports)
    yield table_result(("archive", "ehr"), index.ehr, by_table=counts(index.ehr, "table"))
    yield table_result(
        ("archive", "annotations"), index.annotations, by_kind=counts(index.annotations, "kind")
    )
    yield dg.AssetCheckResult(
        asset_key=["archive", "files"],
        check_name=ACCOUNTED.name,
        passed=index.files.height == expected,
        metadata={"files": index.files.height, "expected": expected},
    )
