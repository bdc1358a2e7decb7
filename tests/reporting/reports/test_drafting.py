"""Whole drafts: the golden lumbar report, sections, technique, studies that could not be assessed."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from spine_models.reporting.reports import draft_reports
from spine_models.reporting.reports.tables import DRAFTS, SENTENCES

GOLDEN = Path(__file__).parent / "lumbar.txt"
PUBLISHED = [
    "NOTICE",
    "TECHNIQUE",
    "ALIGNMENT",
    "MARROW",
    "DISCS",
    "CORD",
    "PARAVERTEBRAL SOFT TISSUES",
    "AXIAL DISCS/DURAL COMPRESSION/FORAMINA",
    "IMPRESSION",
]
PROBABILITIES = {
    "canal": 0.87,
    "neuroforaminal": 0.71,
    "subarticular": 0.31,
    "herniation": 0.93,
    "disc_height": 0.78,
    "inflammation": 0.06,
    "spondylolisthesis": 0.12,
    "pars": 0.03,
    "fracture": 0.002,
    "compression": 0.62,
    "edema": 0.52,
    "lipomatosis": 0.02,
    "cyst": 0.11,
    "hemangioma": 0.33,
}


def technique(tables, claims: pl.DataFrame) -> str:
    sentences = draft_reports(claims, tables.studies, tables.series).sentences
    return " ".join(sentences.filter(section="TECHNIQUE")["text"])


def test_golden_lumbar_report(lumbar, heads) -> None:
    claims = lumbar.diagnose(heads(PROBABILITIES))
    written = draft_reports(claims, lumbar.studies, lumbar.series)
    assert written.drafts["report_text"].item() == GOLDEN.read_text(encoding="utf-8")


@pytest.mark.parametrize("region", ["cervical", "thoracic", "lumbar", "spine"])
def test_sections_in_published_order(archive, claims, region: str) -> None:
    tables = archive({"study": [("T2", "sagittal", "t2")]}, region=region)
    written = draft_reports(claims(0), tables.studies, tables.series)
    assert written.sentences["section"].unique(maintain_order=True).to_list() == PUBLISHED
    levels = {"cervical": "C2-3, C3-4, C4-5, C5-6, C6-7, C7-T1", "lumbar": "L1-2, L2-3, L3-4, L4-5, L5-S1"}
    text = " ".join(written.drafts["report_text"].item().split())
    assert levels.get(region, "Per-level assessment is not" if region == "spine" else "Only abnormal") in text


def test_tables_match_their_schemas_and_each_other(archive, claims) -> None:
    tables = archive({"b": [("T2", "sagittal", "t2")], "a": [("T1", "axial", "t1")]})
    both = pl.concat([claims(5, "b"), claims(2, "a")])
    written = draft_reports(both, tables.studies, tables.series)
    assert (written.drafts.schema, written.sentences.schema) == (DRAFTS, SENTENCES)
    assert written.drafts["study_key"].to_list() == ["a", "b"]
    counted = written.sentences.group_by("draft_key").len("n_sentences")
    joined = written.drafts.join(counted, on="draft_key", suffix="_counted")
    assert joined.height == 2
    assert joined["n_sentences"].to_list() == joined["n_sentences_counted"].to_list()
    assert written.sentences["sentence_key"].is_unique().all()
    own = dict(both.select("claim_key", "study_key").iter_rows())
    linked = written.sentences.explode("claim_keys").drop_nulls("claim_keys")
    assert all(own[row["claim_keys"]] == row["study_key"] for row in linked.iter_rows(named=True))
    for _, rows in written.sentences.group_by("study_key", maintain_order=True):
        assert rows["position"].to_list() == list(range(rows.height))


def test_same_claims_same_bytes_whatever_the_order(archive, claims) -> None:
    tables = archive({"study": [("T2", "sagittal", "t2"), ("T1", "axial", "t1")]})
    first = draft_reports(claims(10), tables.studies, tables.series)
    again = draft_reports(claims(10).reverse(), tables.studies, tables.series.reverse())
    assert again.drafts.equals(first.drafts)
    assert again.sentences.equals(first.sentences)
    other = draft_reports(claims(14), tables.studies, tables.series)
    assert not set(other.drafts["draft_key"]) & set(first.drafts["draft_key"])


def test_lines_fit_a_terminal(archive, claims) -> None:
    for region in ("lumbar", "unknown"):
        tables = archive({"study": [("T2-FS", "oblique", "t2")] * 3}, region=region)
        text = draft_reports(claims(5), tables.studies, tables.series).drafts["report_text"].item()
        assert max(len(line) for line in text.splitlines()) <= 100


def test_a_study_that_could_not_be_assessed_says_so(archive, heads) -> None:
    tables = archive({"study": [("PD", "sagittal", "other"), (None, "axial", "other")]}, region="thoracic")
    claims = tables.diagnose(heads(PROBABILITIES))
    written = draft_reports(claims, tables.studies, tables.series)
    impression = written.sentences.filter(section="IMPRESSION")
    assert impression["text"].to_list() == ["No condition was assessed: no T1 or T2 series."]
    assert len(impression["claim_keys"][0]) == 17
    assert set(written.sentences["kind"]) == {"technique", "notice", "not_assessed"}
    text = technique(tables, claims)
    assert "1 series could not be classified." in text
    assert "Not found in this study: sagittal T1-weighted, sagittal T2-weighted" in text
    assert "calibrated" not in text


@pytest.mark.parametrize(
    ("region", "said"),
    [
        ("other", "This is not a spine examination, so no spine template applies."),
        ("unknown", "The body region could not be determined, so no spine template applies."),
        ("spine", "The part of the spine could not be determined, so the general spine template applies."),
    ],
)
def test_regions_without_a_template_of_their_own(archive, heads, region: str, said: str) -> None:
    tables = archive({"study": [("T2", "sagittal", "t2")]}, region=region)
    assert said in technique(tables, tables.diagnose(heads(PROBABILITIES)))


def test_several_parts_are_named(archive, heads) -> None:
    tables = archive({"study": [("T2", "sagittal", "t2"), ("T1", "sagittal", "t1")]})
    tables.series = tables.series.with_columns(region=pl.Series(["lumbar", "cervical"]))
    text = technique(tables, tables.diagnose(heads(PROBABILITIES)))
    assert text.startswith("MRI of the cervical and lumbar spine at 1.5 T. It covers more than one part")


def test_technique_names_what_is_there(archive, heads) -> None:
    members = [
        ("T2", "axial", "t2"),
        ("T2", "sagittal", "t2"),
        ("T2", "sagittal", "t2"),
        ("DWI", "axial", "other"),
        ("localizer", "coronal", "other"),
    ]
    tables = archive({"study": members}, field_strength_t=None)
    text = technique(tables, tables.diagnose(heads(PROBABILITIES)))
    assert "MRI of the lumbar spine; field strength not recorded." in text
    assert (
        "Sequences: sagittal T2-weighted (2 series), axial T2-weighted, axial diffusion-weighted, localizer."
        in text
    )
    assert "Present but not read by the agents: axial diffusion-weighted." in text
    assert "Not found in this study: sagittal T1-weighted and sagittal STIR or fat-suppressed" in text


def test_study_without_any_series(archive, heads) -> None:
    tables = archive({"study": []})
    text = technique(tables, tables.diagnose(heads(PROBABILITIES)))
    assert "No series could be indexed." in text


def test_claims_that_are_missing_or_unknown_are_refused(archive, claims) -> None:
    tables = archive({"study": [("T2", "sagittal", "t2")]})
    with pytest.raises(ValueError, match="study study has no claims: materialise agents/claims"):
        draft_reports(claims(0).clear(), tables.studies, tables.series)
    odd = claims(0).with_columns(condition=pl.lit("scoliosis"))
    with pytest.raises(ValueError, match="claims of unknown conditions scoliosis"):
        draft_reports(odd, tables.studies, tables.series)


def test_no_studies_give_empty_tables(archive, claims) -> None:
    tables = archive({})
    written = draft_reports(claims(0).clear(), tables.studies, tables.series)
    assert (written.drafts.schema, written.sentences.schema) == (DRAFTS, SENTENCES)
    assert written.drafts.is_empty()
