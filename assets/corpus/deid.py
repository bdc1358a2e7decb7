"""deid: the only door out of the restricted zone, with a gate that reads the bytes of what would leave.

Belongs here: staging, gate, publication. Does not belong here: what is done to an element
(``spine_models.corpus.deid``).
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
from pipelines.runtime.progress import reporter
from pipelines.runtime.resources import Hospital
from spine_models.corpus.deid import tables

LAYER = "corpus"
CODE_VERSION = "3"
VERSIONS = dict.fromkeys(("annotations", "files", "quarantine"), "4")
"""Of what boxes changed: their table, and what becomes of their file. The other tables are as they were."""
GATE = dg.AssetCheckSpec(
    "gate",
    asset=["deid", "dicom"],
    description="A second reader of the bytes finds no identifier of the batch; one hit and nothing is published.",
    blocking=True,
)
TABLES: dict[str, tuple[pl.Schema, str]] = {
    "files": (tables.FILES, "The file ledger: what became of every inbox file."),
    "instances": (tables.INSTANCES, "Released instances with acquisition facts, by pseudonym."),
    "studies": (tables.STUDIES, "Released studies with shifted date, age, sex and counts."),
    "reports": (tables.REPORTS, "Report texts without identifiers."),
    "ehr_patients": (tables.EHR_PATIENTS, "EHR patients by the column allowlist."),
    "ehr_encounters": (tables.EHR_ENCOUNTERS, "EHR encounters, dates shifted with their patient."),
    "ehr_orders": (tables.EHR_ORDERS, "EHR orders, joined to the released study."),
    "annotations": (
        tables.ANNOTATIONS,
        "Third-party labels and points, and boxes of readers, of released studies, by pseudonym.",
    ),
    "audit": (
        tables.AUDIT,
        "One record per released instance: counts of actions, hashes, engine; no values.",
    ),
    "date_integrity": (
        tables.DATE_INTEGRITY,
        "Per released patient: dates and intervals held against the restricted zone, and how many are wrong.",
    ),
    "quarantine": (tables.QUARANTINE, "Restricted: originals that wait for a person, with a reason code."),
}


@dg.multi_asset(
    name="deid",
    ins={
        name: dg.AssetIn(["archive", name])
        for name in ("files", "instances", "series", "studies", "reports", "ehr", "annotations")
    },
    outs={
        name: table_out(
            ("deid", name), schema, text, layer=LAYER, code_version=VERSIONS.get(name, CODE_VERSION)
        )
        for name, (schema, text) in TABLES.items()
    }
    | {
        "dicom": artifact_out(
            ("deid", "dicom"),
            "De-identified DICOM Part 10 files, foldered by pseudonym.",
            kinds={"dicom"},
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
        "crosswalk": artifact_out(
            ("deid", "crosswalk"),
            "Restricted and encrypted: identifier to pseudonym. Nothing depends on it.",
            kinds={"encrypted"},
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
    },
    partitions_def=study_batches,
    check_specs=[GATE],
    description="De-identify one batch: DICOM, reports and EHR under one pseudonym and one date shift per patient.",
)
def deid(
    context: AssetExecutionContext,
    hospital: Hospital,
    files: pl.DataFrame,
    instances: pl.DataFrame,
    series: pl.DataFrame,
    studies: pl.DataFrame,
    reports: pl.DataFrame,
    ehr: pl.DataFrame,
    annotations: pl.DataFrame,
) -> Iterator[object]:
    """De-identify into staging, let the gate read it, publish only what passed."""
    from spine_models.corpus.archive import ArchiveTables
    from spine_models.corpus.deid import Pseudonymizer, date_integrity, deidentify_batch, gate_batch, refusal

    batch, key, settings = context.partition_key, hospital.key(), hospital.numbers.deid
    archive = ArchiveTables(
        files=files,
        instances=instances,
        series=series,
        studies=studies,
        reports=reports,
        ehr=ehr,
        annotations=annotations,
    )
    with hospital.draft(("deid", "dicom"), batch) as draft:
        released = deidentify_batch(
            archive,
            key=key,
            out=draft.folder,
            settings=settings,
            progress=reporter(f"deid {batch}", "instances"),
        )
        frames = {name: getattr(released, name) for name in TABLES if name != "date_integrity"}
        frames["date_integrity"] = date_integrity(archive, frames, key=key, settings=settings)
        leaving = {name: frame for name, frame in frames.items() if name != "quarantine"}
        violations = gate_batch(archive, folder=draft.folder, tables=leaving, key=key, settings=settings)
        yield dg.AssetCheckResult(
            asset_key=["deid", "dicom"],
            check_name=GATE.name,
            passed=violations.is_empty(),
            metadata={"violations": violations.height, "by_rule": counts(violations, "rule")},
        )
        if not violations.is_empty():
            raise dg.Failure(
                f"{refusal(violations)}: nothing of {batch} was published",
                metadata={"violations": markdown(violations)},
            )
        draft.card = {
            "engine": released.audit["engine"].first(),
            "key_id": Pseudonymizer(key).key_id,
            "instances": released.instances.height,
        }
    yield artifact_result(("deid", "dicom"), draft.version, instances=released.instances.height)
    with hospital.draft(("deid", "crosswalk"), batch) as sealed:
        (sealed.folder / "crosswalk.bin").write_bytes(released.crosswalk)
    yield artifact_result(("deid", "crosswalk"), sealed.version)
    for name, frame in frames.items():
        extra = (
            {"by_outcome": counts(frame, "outcome"), "by_reason": counts(frame, "reason")}
            if name == "files"
            else {}
        )
        yield table_result(("deid", name), frame, **extra)
