"""What a site may drop by mistake, through the graph: the batch goes on, or stops with a name and never a value."""

from __future__ import annotations

import os
from pathlib import Path

import polars as pl
import pytest

from pipelines.execution import RunFailed
from tests.conftest import Installation, install
from tests.pipelines.hospital_inbox import write_inbox, write_slice

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:dagster")

VALUES = ("Vandermeulen", "Ottilie", "47110815", "ACC1", "Kowalczyk", "1.2.826.0.1.77")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installation:
    """One installation over a small inbox, without the warehouse at the end of each run."""
    from pipelines.runner import Runner

    execute = Runner.execute_alone
    monkeypatch.setattr(
        Runner,
        "execute_alone",
        lambda self, job, partition: execute(self, job, partition) if partition else None,
    )
    return install(tmp_path, write_inbox(tmp_path / "inbox", patients=2), tmp_path)


def ledger(site: Installation) -> dict[str, str | None]:
    """Reason of every inbox file, from the restricted index."""
    files = site.table("archive", "files")
    return dict(files.select("relative_path", "reason").iter_rows())


def everything_recorded(site: Installation) -> str:
    home = Path(site.hospital.home) / "dagster"
    return "\n".join(p.read_bytes().decode("latin-1") for p in home.rglob("*") if p.is_file()) + "\n".join(
        site.said
    )


def test_an_unknown_ehr_column_stops_the_batch_with_its_name_and_no_value(site):
    table = site.inbox / "ehr/patients.csv"
    table.write_text("mrn,last_name,shoe_size\n00147110815,Vandermeulen,43\n")
    with pytest.raises(RunFailed, match="column 'shoe_size' of EHR table 'patients' has no policy") as error:
        site.runner().run(site.inbox, through="deid")
    assert "ehr_columns.yaml" in str(error.value)
    recorded = str(error.value) + everything_recorded(site)
    assert [value for value in VALUES if value in recorded] == []
    assert not site.hospital.lake.has_artifact(("deid", "dicom"), "internal-0001")
    table.write_text("mrn,last_name,sex\n00147110815,Vandermeulen,F\n")
    site.runner().run(site.inbox, through="deid")
    assert site.table("deid", "ehr_patients").height == 1


def test_a_table_without_a_header_line_costs_itself_and_shows_no_name(site):
    (site.inbox / "ehr/patients.csv").write_text(
        "Vandermeulen,Ottilie,00147110815\nKowalczyk,Jan,00247110815\n"
    )
    site.runner().run(site.inbox, through="deid")
    assert ledger(site)["ehr/patients.csv"] == "ehr_unreadable"
    assert site.table("deid", "instances").height == 12
    recorded = everything_recorded(site)
    assert [value for value in VALUES if value in recorded] == []


def test_reports_that_cannot_be_read_or_placed_end_with_a_reason(site):
    reports = site.inbox / "reports"
    (reports / "ACC2.txt").write_bytes(
        "Kein Bandscheibenvorfall, mäßige Stenose. Größe normal.\n".encode("cp1252")
    )
    (reports / "ACC777.txt").write_text("Of a study that never came.")
    (reports / "ACC1 .txt").write_bytes("Грыжа диска поясничного отдела.".encode("cp1251"))
    (reports / "noise.csv").write_bytes(os.urandom(3000))
    (reports / "utf16.csv").write_bytes(
        "accession_number,report_text\nACC1,No herniation at L4-L5 (Größe normal).\n".encode("utf-16")
    )
    write_slice(site.inbox / "dicom/3/a", patient=3, series=1, index=0)
    other = site.inbox / "dicom/4/a"
    write_slice(other, patient=4, series=1, index=0)
    other.write_bytes(other.read_bytes().replace(b"ACC4", b"ACC3"))
    (reports / "ACC3.txt").write_text("One accession number, two patients.")
    site.runner().run(site.inbox, through="deid")
    reasons = ledger(site)
    assert reasons["reports/ACC1 .txt"] == reasons["reports/noise.csv"] == "report_unreadable"
    released = site.table("deid", "reports")
    assert any("mäßige" in text for text in released["report_text"])
    assert any("No herniation at L4-L5" in text for text in released["report_text"])
    assert not any("two patients" in text or "never came" in text for text in released["report_text"])
    held = site.table("deid", "quarantine")
    kept = dict(held.filter(kind="report").select("relative_path", "reason").iter_rows())
    assert kept == {"reports/ACC3.txt": "unresolved_patient", "reports/ACC777.txt": "unresolved_patient"}
    outcomes = site.table("deid", "files")
    assert outcomes.height == sum(1 for p in site.inbox.rglob("*") if p.is_file())
    assert outcomes.filter(pl.col("outcome") != "released")["reason"].null_count() == 0


def test_a_report_stops_being_released_when_its_accession_becomes_another_patients_too(site):
    site.runner().run(site.inbox, through="deid")
    before = site.table("deid", "reports").height
    late = site.inbox / "dicom/9/a"
    write_slice(late, patient=9, series=1, index=0)
    late.write_bytes(late.read_bytes().replace(b"ACC9", b"ACC1"))
    site.runner().run(site.inbox, through="deid")
    assert site.table("deid", "reports").height == before - 1


def test_a_full_disk_while_a_file_is_written_fails_the_run_and_holds_nothing_back(site, monkeypatch):
    import errno

    write = Path.write_bytes

    def full(self, data):
        if self.suffix == ".part":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self))
        return write(self, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(
        RunFailed, match=r"deid/dicom \[internal-0001\] could not be written: the disk is full"
    ):
        site.runner().run(site.inbox, through="deid")
    assert not site.hospital.lake.has_artifact(("deid", "dicom"), "internal-0001")
    monkeypatch.setattr(Path, "write_bytes", write)
    site.runner().run(site.inbox, through="deid")
    assert site.table("deid", "instances").height == 12
    assert site.table("deid", "quarantine").height == 0
