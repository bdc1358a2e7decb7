"""Report documents: JSON by the published schema, Markdown, what is printed."""

from __future__ import annotations

import json

import jsonschema
import polars as pl
import pytest

from spine_models.reporting.reports import draft_reports
from spine_models.reporting.reports.documents import (
    SCHEMA,
    as_json,
    as_markdown,
    printed,
    report_documents,
    report_schema,
)

SERIES = [("T1", "sagittal", "t1"), ("T2", "sagittal", "t2")]
REGIONS = ["lumbar", "cervical", "thoracic", "spine", "other", "unknown"]


@pytest.fixture
def drafted(archive, claims):
    def made(seed: int, region: str = "lumbar"):
        tables = archive({"study": SERIES}, region=region)
        given = claims(seed, region=region)
        return draft_reports(given, tables.studies, tables.series), given

    return made


@pytest.mark.parametrize("region", REGIONS)
def test_documents_follow_the_schema(drafted, region: str) -> None:
    jsonschema.Draft202012Validator.check_schema(report_schema())
    for seed in range(600, 605):
        tables, given = drafted(seed, region)
        jsonschema.validate(json.loads(printed(tables, given, "json")), report_schema())


def test_the_schema_refuses_what_it_does_not_describe(drafted) -> None:
    (document,) = report_documents(*drafted(601))
    for change in ({"schema": "spineagent.report/0"}, {"claims": None}, {"sections": [{"title": "X"}]}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate([document | change], report_schema())


def test_a_document_holds_what_the_tables_hold(drafted) -> None:
    tables, given = drafted(105)
    (document,) = report_documents(tables, given)
    assert document["schema"] == SCHEMA
    assert "Not for clinical use" in document["notice"]
    sentences = [one for section in document["sections"] for one in section["sentences"]]
    assert [one["text"] for one in sentences] == tables.sentences["text"].to_list()
    assert {claim["claim_key"] for claim in document["claims"]} == set(given["claim_key"])
    assert sum(len(one["provenance"]) for one in sentences) == tables.provenance.height
    for one in sentences:
        assert {row["claim_key"] for row in one["provenance"]} == set(one["claims"])
    assert as_json([document]) == as_json(report_documents(tables, given.reverse()))


@pytest.mark.parametrize("region", REGIONS)
def test_markdown_says_all_sentences_and_claims(drafted, region: str) -> None:
    tables, given = drafted(105, region)
    (document,) = report_documents(tables, given)
    text = as_markdown(document)
    assert text.startswith("> **Draft for research")
    for sentence in tables.sentences["text"]:
        assert sentence in text
    assert text.count("| diagnosis/") == 17
    widths = {line.count("|") for line in text.splitlines() if line.startswith("|")}
    assert widths == {6}


def test_what_is_printed(archive, claims) -> None:
    tables = archive({"a": SERIES, "b": SERIES})
    both = pl.concat([claims(105, "b"), claims(106, "a")])
    made = draft_reports(both, tables.studies, tables.series)
    text = printed(made, both, "text")
    assert [line for line in text.splitlines() if line.startswith("Study ")] == ["Study a", "Study b"]
    assert printed(made, both, "markdown").count("> **Draft for research") == 2
    assert [one["study"]["study_key"] for one in json.loads(printed(made, both, "json"))] == ["a", "b"]
