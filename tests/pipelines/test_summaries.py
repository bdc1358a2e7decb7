"""The short tables at the end of a demo or a study: what is shown is what the named queries answer."""

from __future__ import annotations

import io

import polars as pl
import pytest
from rich.console import Console

from pipelines import demo, experiment
from pipelines.summaries import Summary, with_interval
from pipelines.three_drafts import NORMAL, planted_findings, three_drafts
from sql.ask import ask

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:dagster")


@pytest.fixture
def told() -> Summary:
    return Summary(Console(file=io.StringIO(), width=200))


def test_a_table_is_printed_and_kept_as_markdown(told, tmp_path):
    told.table("What", pl.DataFrame({"name": ["a|b", None], "value": [0.12345, None], "n": [3, 4]}))
    told.say("A sentence [0.1 0.2].")
    told.write(tmp_path / "deep" / "told.md")
    assert (tmp_path / "deep" / "told.md").read_text().splitlines() == [
        "### What",
        "",
        "| name | value | n |",
        "| --- | ---: | ---: |",
        "| a\\|b | 0.123 | 3 |",
        "| – | – | 4 |",
        "",
        "A sentence [0.1 0.2].",
    ]
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["told.md"]
    printed = told.console.file.getvalue()
    assert "0.123" in printed
    assert "A sentence [0.1 0.2]." in printed


def test_an_interval_is_one_cell():
    frame = pl.DataFrame({"v": [0.614, None, 0.5], "l": [0.5, None, None], "h": [0.7, None, None]})
    assert frame.select(with_interval("v", "l", "h"))["v"].to_list() == ["0.61 [0.50 0.70]", None, "0.50"]


def test_the_demo_tells_what_the_lake_holds(installation):
    console = Console(file=io.StringIO(), width=200)
    told = demo.summary(console, installation.hospital, installation.truth.parent)
    text = "\n".join(told.markdown)
    released = ask(
        installation.hospital.warehouse, "SELECT count(*) AS n FROM deid.files WHERE outcome = 'released'"
    )
    assert f"| released | – | {pl.DataFrame(released)['n'][0]} |" in text
    assert text.count("### ") == 16
    assert "beside the truth of the phantom" in console.file.getvalue()


def test_drafts_are_shown_of_test_patients_with_what_was_planted(installation):
    shown = three_drafts(installation.hospital, installation.truth)
    held_out = installation.table("shards", "splits").filter(split="test")["patient_key"]
    drafts = installation.table("reports", "drafts")
    assert shown
    assert len({one.study_key for one in shown}) == len(shown)
    planted = planted_findings(installation.hospital, installation.truth)
    for one in shown:
        (patient,) = drafts.filter(study_key=one.study_key)["patient_key"]
        assert patient in held_out
        assert list(one.truth) == planted.filter(study_key=one.study_key)["line"].to_list()
        assert one.page is not None
        assert one.page.is_file()
        assert "Not for clinical use." in one.text
    assert {one.title: one.truth for one in shown}.get(NORMAL, ()) == ()


def test_the_study_has_a_table_and_a_file_a_question(installation, tmp_path):
    told = experiment.summary(Console(file=io.StringIO(), width=200), installation.hospital, tmp_path)
    assert {path.stem for path in tmp_path.glob("*.csv")} == set(experiment.QUESTIONS)
    assert sum(line.startswith("### ") for line in told.markdown) == 15
