"""Whole drafts: the golden lumbar report, sections, technique, studies that could not be assessed."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from spine_models.reporting.agents import AgentsError
from spine_models.reporting.reports import draft_reports
from spine_models.reporting.reports.tables import DRAFTS, PROVENANCE, REMOVED, SENTENCES

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
    "LIMITATIONS",
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


def golden_claims(claim, filled) -> pl.DataFrame:
    """What a radiologist meets in a routine lumbar study, with one doubtful and two unassessed conditions."""
    return filled(
        [
            claim(
                "herniation",
                "present",
                places=[
                    {"level": "L4-L5", "side": "left", "severity": "moderate"},
                    {"level": "L5-S1", "side": "central"},
                ],
            ),
            claim(
                "canal", "present", certainty="probable", places=[{"level": "L4-L5", "severity": "severe"}]
            ),
            claim(
                "neuroforaminal",
                "present",
                places=[
                    {"level": "L4-L5", "side": "left"},
                    {"level": "L4-L5", "side": "right"},
                    {"level": "L5-S1", "side": "left"},
                ],
            ),
            claim("disc_height", "present", places=[{"level": "L4-L5"}, {"level": "L5-S1"}]),
            claim("compression", "indeterminate", certainty="possible", places=[{"level": None}]),
            claim("fracture", "present", places=[{"level": "L1", "severity": "mild"}], probability=0.91),
            claim("edema", "indeterminate"),
            claim("synovial", "not_assessed", reason="no trained head"),
            claim("extramedullary", "not_assessed", reason="no trained head"),
        ]
    )


def test_golden_lumbar_report(lumbar, claim, filled) -> None:
    written = draft_reports(golden_claims(claim, filled), lumbar.studies, lumbar.series)
    assert written.drafts["report_text"].item() == GOLDEN.read_text(encoding="utf-8")


@pytest.mark.parametrize("region", ["cervical", "thoracic", "lumbar", "spine"])
def test_sections_in_published_order(archive, claim, filled, region: str) -> None:
    tables = archive({"study": [("T2", "sagittal", "t2")]}, region=region)
    given = filled([claim("edema", "indeterminate")])
    written = draft_reports(given, tables.studies, tables.series)
    assert written.sentences["section"].unique(maintain_order=True).to_list() == PUBLISHED


@pytest.mark.parametrize(
    ("region", "levels"),
    [
        ("lumbar", ["L1-L2", "L2-L3", "L3-L4", "L4-L5", "L5-S1"]),
        ("cervical", ["C2-C3", "C3-C4", "C4-C5", "C5-C6", "C6-C7", "C7-T1"]),
        ("thoracic", []),
        ("spine", []),
    ],
)
def test_levels_of_a_region(archive, claim, filled, region: str, levels: list[str]) -> None:
    """Lumbar and cervical levels have a line each; elsewhere only abnormal ones, and there they are added."""
    tables = archive({"study": [("T2", "sagittal", "t2")]}, region=region)

    def lines(rows) -> pl.DataFrame:
        made = draft_reports(filled(rows), tables.studies, tables.series).sentences
        return made.filter(pl.col("level").is_not_null())

    normal = lines([])
    assert normal["level"].to_list() == levels
    assert all(
        text.endswith("No disc herniation, stenosis or epidural lipomatosis.") for text in normal["text"]
    )
    found = lines([claim("canal", "present", places=[{"level": "T11-T12", "severity": "mild"}])])
    assert set(found["level"]) == {*levels, "T11-T12"}
    here = found.filter(level="T11-T12")
    assert here["text"].to_list() == ["T11-12: Mild spinal canal stenosis."]
    elsewhere = found.filter(pl.col("level") != "T11-T12")
    assert all(text.endswith(": No finding of this section placed here.") for text in elsewhere["text"])


def test_no_level_is_called_free_of_what_nobody_could_tell(archive, claim, filled) -> None:
    tables = archive({"study": [("T2", "sagittal", "t2")]})
    given = filled([claim("canal", "indeterminate")])
    made = draft_reports(given, tables.studies, tables.series).sentences.filter(pl.col("level").is_not_null())
    keys = dict(given.select("condition", "claim_key").iter_rows())
    assert set(made["text"].str.slice(-39)) == {"No finding of this section placed here."}
    assert not any(keys["canal"] in linked for linked in made["claim_keys"])


def test_tables_match_their_schemas_and_each_other(archive, claims) -> None:
    tables = archive({"b": [("T2", "sagittal", "t2")], "a": [("T1", "axial", "t1")]})
    both = pl.concat([claims(5, "b"), claims(14, "a")])
    written = draft_reports(both, tables.studies, tables.series)
    assert written.drafts.schema == DRAFTS
    assert written.sentences.schema == SENTENCES
    assert written.provenance.schema == PROVENANCE
    assert written.removed.schema == REMOVED
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


def test_provenance_leads_to_slice_box_and_source(archive, claim, filled) -> None:
    tables = archive({"study": [("T2", "sagittal", "t2")]})
    places = [{"level": "L4-L5", "side": "left"}, {"level": "L2-L3", "side": "right", "supervision": "weak"}]
    given = filled([claim("subarticular", "present", places=places)])
    made = draft_reports(given, tables.studies, tables.series)
    pairs = set(made.sentences.explode("claim_keys").drop_nulls("claim_keys")["claim_keys"])
    assert set(made.provenance["claim_key"]) == pairs == set(given["claim_key"])
    texts = dict(made.sentences.select("sentence_key", "text").iter_rows())
    told = {
        (texts[row["sentence_key"]], row["place"]): row
        for row in made.provenance.filter(condition="subarticular").iter_rows(named=True)
        if row["place"] is not None
    }
    (line,) = [row for (text, _), row in told.items() if text == "L4-5: Left subarticular stenosis."]
    assert (line["place"], line["slice_key"], line["instance_key"]) == (1, "study-s0-i0-0000", "study-s0-i0")
    assert line["box"] == {"x": 10.0, "y": 20.0, "w": 30.0, "h": 15.0}
    assert (line["agent"], line["supervision"]) == ("diagnosis/subarticular", "supervised")
    (other,) = [row for (text, _), row in told.items() if text == "L2-3: Right subarticular stenosis."]
    assert (other["place"], other["supervision"]) == (2, "weak")
    item = "Right subarticular stenosis at L2-3. Left subarticular stenosis at L4-5."
    assert {place for text, place in told if text == item} == {1, 2}
    evidence = dict(made.sentences.select("text", "evidence").iter_rows())
    assert evidence[item] == ["study-s0-i0-0000", "study-s0-i1-0000"]
    assert evidence["L4-5: Left subarticular stenosis."] == ["study-s0-i0-0000"]


def test_a_side_is_said_only_of_what_has_one(archive, claim, filled) -> None:
    tables = archive({"study": [("T2", "sagittal", "t2")]})
    given = filled([claim("canal", "present", places=[{"level": "L4-L5", "side": "left"}])])
    text = draft_reports(given, tables.studies, tables.series).drafts["report_text"].item()
    assert "Spinal canal stenosis at L4-5." in text
    assert "eft" not in text


def test_agents_of_mixed_versions_are_refused(archive, claim, filled) -> None:
    tables = archive({"a": [("T2", "sagittal", "t2")], "b": [("T2", "sagittal", "t2")]})
    both = pl.concat([filled([], "a"), filled([], "b").with_columns(agent_version=pl.lit("2+heads-b"))])
    with pytest.raises(AgentsError, match="mixed versions"):
        draft_reports(both, tables.studies, tables.series)


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
    assert written.sentences["section"].unique(maintain_order=True).to_list() == PUBLISHED
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
