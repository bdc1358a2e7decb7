"""The pieces of ``spineagent report`` that need no trained model: formats, priors of the lake, folders of all kinds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import jsonschema
import polars as pl
import pydicom
import pytest
from typer.testing import CliRunner

from pipelines import study_report
from pipelines.cli import app
from pipelines.runtime.priors import CLAIMS, SERIES, STUDIES, lake_priors
from pipelines.runtime.resources import Hospital
from pipelines.study import NothingUsable
from spine_models.corpus.deid import new_key_file
from spine_models.corpus.deid import tables as deid
from spine_models.corpus.sequences import tables as sequences
from spine_models.reporting.agents import Published, tables
from spine_models.reporting.reports.documents import report_schema
from tests.conftest import tiny_profile
from tests.pipelines.drawn_encoders import publish_encoders
from tests.pipelines.hospital_inbox import write_slice

TOLD = "9 rejected (wrong_pixel_length)"


@pytest.fixture
def hospital(tmp_path: Path) -> Hospital:
    return Hospital(profile="phantom", home=str(tmp_path / "home"), key_file=str(tmp_path / "key"))


@pytest.fixture
def refused(monkeypatch, hospital) -> None:
    """Every folder is one without a usable image; nothing has been trained."""

    def refuse(*_):
        raise NothingUsable(TOLD)

    monkeypatch.setattr(study_report, "read_study", refuse)
    monkeypatch.setattr(study_report, "published_agents", lambda _: Published())
    monkeypatch.setattr(Hospital, "from_settings", classmethod(lambda cls, settings: hospital))


def test_nothing_usable_gives_a_whole_report(refused, hospital, tmp_path: Path) -> None:
    drafted = study_report.report_study(hospital, tmp_path, tmp_path / "pages")
    assert drafted.claims["status"].to_list() == ["not_assessed"] * 17
    (text,) = drafted.tables.drafts["report_text"]
    assert f"No condition was assessed: no image could be used: {TOLD}." in " ".join(text.split())
    said = drafted.tables.sentences.filter(~pl.col("kind").is_in(["technique", "notice"]))
    assert set(said["claim_keys"].explode()) == set(drafted.claims["claim_key"])
    assert sorted(path.suffix for path in (tmp_path / "pages").iterdir()) == [".html", ".html"]


@pytest.mark.parametrize("form", ["text", "markdown", "json"])
def test_formats_of_the_command(refused, tmp_path: Path, form: str) -> None:
    result = CliRunner().invoke(app, ["report", str(tmp_path), "--format", form])
    assert result.exit_code == 0, result.output
    assert "Not for clinical use" in result.stdout
    if form == "json":
        jsonschema.validate(json.loads(result.stdout), report_schema())


def test_another_format_is_refused(refused, tmp_path: Path) -> None:
    assert CliRunner().invoke(app, ["report", str(tmp_path), "--format", "pdf"]).exit_code == 2


def rows(schema: pl.Schema, studies: dict[str, str]) -> pl.DataFrame:
    """A row per study, given as {study_key: patient_key}."""
    given = [{"study_key": study, "patient_key": patient} for study, patient in studies.items()]
    return pl.DataFrame([{name: row.get(name) for name in schema} for row in given], schema=schema)


def test_priors_are_of_the_same_patients_in_other_batches(hospital) -> None:
    batches = {"a": {"s1": "p1", "s2": "p2"}, "b": {"s3": "p1", "s4": "p3"}, "c": {"s5": "p4"}}
    for batch, studies in batches.items():
        for key, schema in ((CLAIMS, tables.CLAIMS), (STUDIES, deid.STUDIES), (SERIES, sequences.SERIES)):
            hospital.lake.write_table(key, batch, rows(schema, studies))
    hospital.lake.write_table(STUDIES, "d", rows(deid.STUDIES, {"s6": "p1"}))  # without claims yet
    found = lake_priors(hospital, rows(deid.STUDIES, batches["a"]), "a")
    for frame in (found.claims, found.studies, found.series):
        assert frame["study_key"].to_list() == ["s3"]
    alone = lake_priors(hospital, rows(deid.STUDIES, {"s1": "p1", "new": "p3"}))
    assert alone.studies["study_key"].to_list() == ["s3", "s4"]
    assert lake_priors(hospital, rows(deid.STUDIES, {"x": "p9"})).studies.is_empty()


NAME = "Vandermeulen"
CT = "1.2.840.10008.5.1.4.1.1.2"


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Hospital:
    """Encoders by their random weights, and neither heads nor a report model."""
    root = tmp_path_factory.mktemp("site")
    new_key_file(root / "key")
    made = Hospital(profile=str(tiny_profile(root)), home=str(root / "home"), key_file=str(root / "key"))
    publish_encoders(made)
    return made


@pytest.fixture
def command(site, monkeypatch):
    """``spineagent report`` or ``embed`` on a folder."""
    monkeypatch.setattr(Hospital, "from_settings", classmethod(lambda cls, settings: site))
    return lambda *arguments: CliRunner().invoke(app, list(map(str, arguments)))


def images(folder: Path, change: Callable[[pydicom.Dataset], None] = lambda ds: None) -> Path:
    """Three T1 slices of a lumbar spine, each changed."""
    for index in range(3):
        path = folder / f"{NAME}_{index}.dcm"
        write_slice(path, patient=1, series=1, index=index)
        ds = pydicom.dcmread(path)
        change(ds)
        ds.save_as(path, enforce_file_format=True)
    return folder


def computed(ds: pydicom.Dataset) -> None:
    ds.Modality, ds.SOPClassUID, ds.file_meta.MediaStorageSOPClassUID = "CT", CT, CT


def brain(ds: pydicom.Dataset) -> None:
    ds.BodyPartExamined, ds.SeriesDescription = "HEAD", "t1_tse_sag brain"


def localizer(ds: pydicom.Dataset) -> None:
    ds.SeriesDescription, ds.ImageType = "localizer", ["ORIGINAL", "PRIMARY", "LOCALIZER"]


def nowhere(folder: Path) -> Path:
    return folder


def a_file(folder: Path) -> Path:
    folder.write_text(NAME)
    return folder


def empty(folder: Path) -> Path:
    (folder / "below").mkdir(parents=True)
    return folder


def pictures(folder: Path) -> Path:
    folder.mkdir()
    (folder / f"{NAME}.jpg").write_bytes(b"\xff\xd8\xff")
    (folder / "notes.txt").write_text(NAME)
    return folder


def of_ct(folder: Path) -> Path:
    images(folder, computed)
    copy = folder / "copy.dcm"
    copy.write_bytes((folder / f"{NAME}_0.dcm").read_bytes())
    return folder


@pytest.mark.parametrize(
    ("folder", "told", "remedy"),
    [
        (
            nowhere,
            "the study folder does not exist, or is a file",
            "give the folder with the study's DICOM files",
        ),
        (
            a_file,
            "the study folder does not exist, or is a file",
            "give the folder with the study's DICOM files",
        ),
        (empty, "the study folder holds no file", "give the folder with the study's DICOM files"),
        (
            pictures,
            "the study folder holds no MR image: 2 rejected (not_dicom)",
            "give the folder of one MRI study",
        ),
        (of_ct, "the study folder holds no MR image: ", "give the folder of one MRI study"),
    ],
)
@pytest.mark.parametrize("asked", ["report", "embed"])
def test_a_folder_that_is_no_mri_study_is_refused_with_place_and_remedy(
    command, tmp_path, folder, told, remedy, asked
):
    given = folder(tmp_path / NAME)
    out = tmp_path / "out"
    result = command(asked, given, "--pages" if asked == "report" else "--out", out)
    assert isinstance(result.exception, SystemExit), "no traceback"
    assert (result.exit_code, result.stdout, out.exists()) == (2, "", False)
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"spineagent: {told}")
    assert remedy in line
    assert NAME not in line
    if folder is of_ct:
        assert "3 quarantined (not_mr)" in line


def cut(folder: Path) -> Path:
    for path in images(folder).iterdir():
        path.write_bytes(path.read_bytes()[:-500])
    return folder


def outside(folder: Path) -> Path:
    return images(folder, brain)


def scout(folder: Path) -> Path:
    return images(folder, localizer)


def sound(folder: Path) -> Path:
    return images(folder)


@pytest.mark.parametrize(
    ("folder", "why"),
    [
        (cut, "no image could be used: 3 rejected (truncated)"),
        (outside, "not a spine examination"),
        (scout, "no T1 or T2 series"),
        (sound, "no diagnosis head has been trained"),
    ],
)
def test_a_study_that_nothing_can_be_said_of_gets_a_draft_that_says_so(command, tmp_path, folder, why):
    result = command("report", folder(tmp_path / NAME), "--format", "json")
    assert result.exit_code == 0, result.output
    (document,) = json.loads(result.stdout)
    assert {(claim["status"], claim["reason"]) for claim in document["claims"]} == {("not_assessed", why)}
    assert f"No condition was assessed: {why}." in document["text"].replace("\n", " ")
    assert "the draft: templates stand in: no report model has been trained" in result.stderr
    assert NAME not in result.stdout + result.stderr


def test_of_a_study_without_a_usable_image_there_are_no_vectors(command, tmp_path):
    result = command("embed", cut(tmp_path / NAME), "--out", tmp_path / "out")
    assert (result.exit_code, (tmp_path / "out").exists()) == (2, False)
    assert "3 rejected (truncated); export the study anew" in result.stderr
