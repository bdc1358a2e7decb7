"""The pieces of ``spineagent report`` that need no trained model: formats, priors of the lake, nothing usable."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import polars as pl
import pytest
from typer.testing import CliRunner

from pipelines import study_report
from pipelines.cli import app
from pipelines.runtime.priors import CLAIMS, SERIES, STUDIES, lake_priors
from pipelines.runtime.resources import Hospital
from pipelines.study import NothingUsable
from spine_models.corpus.deid import tables as deid
from spine_models.corpus.sequences import tables as sequences
from spine_models.reporting.agents import Published, tables
from spine_models.reporting.reports.documents import report_schema

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
