"""Comparison with an earlier study: only where there is one, and only of what both studies say."""

from __future__ import annotations

import polars as pl
import pytest

from spine_models.reporting.reports import Priors, draft_reports

SERIES = [("T1", "sagittal", "t1"), ("T2", "sagittal", "t2")]


@pytest.fixture
def pair(archive, claim, filled):
    """Drafts of study ``new`` of a patient whose study ``old`` is earlier, from one row of each."""

    def drafted(old: dict, new: dict, condition: str = "herniation", **change):
        tables = archive({"old": SERIES, "new": SERIES}, region=change.pop("region", "lumbar"))
        dates = {"old": change.pop("old_date", "2019-03-01"), "new": change.pop("new_date", "2019-03-31")}
        patients = {"old": "p-1", "new": change.pop("patient", "p-1")}
        studies = tables.studies.with_columns(
            study_date=pl.col("study_key").replace_strict(dates),
            patient_key=pl.col("study_key").replace_strict(patients),
        )
        both = pl.concat(
            [
                filled([claim(condition, study=study, **told)], study)
                for study, told in (("old", old), ("new", new))
            ]
        )
        both = both.with_columns(patient_key=pl.col("study_key").replace_strict(patients))
        if version := change.pop("old_version", None):
            old_one = pl.col("study_key") == "old"
            both = both.with_columns(
                agent_version=pl.when(old_one).then(pl.lit(version)).otherwise("agent_version")
            )
        if change.pop("apart", False):

            def only(frame, key):
                return frame.filter(study_key=key)

            priors = Priors(only(both, "old"), only(studies, "old"), only(tables.series, "old"))
            return draft_reports(
                only(both, "new"), only(studies, "new"), only(tables.series, "new"), priors=priors
            )
        return draft_reports(both, studies, tables.series)

    return drafted


def present(level="L4-L5", severity=None, certainty="definite", **more) -> dict:
    place = {"level": level, "side": None, "severity": severity}
    status = "indeterminate" if certainty == "possible" else "present"
    return {"status": status, "certainty": certainty, "places": [place | more]}


ABSENT = {"status": "absent"}
OPEN = {"status": "indeterminate"}


def compared(made) -> list[str]:
    return made.sentences.filter(study_key="new", kind="comparison")["text"].to_list()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (ABSENT, present(), ["New: disc herniation at L4-5."]),
        (ABSENT, present(certainty="possible"), ["New: possible disc herniation at L4-5."]),
        (present(), ABSENT, ["No longer seen: disc herniation at L4-5."]),
        (present(certainty="possible"), ABSENT, []),
        (present(severity="mild"), present(severity="mild"), ["Unchanged in severity: mild disc herniation at L4-5."]),
        (present(severity="mild"), present(severity="severe"),
         ["More severe than on the earlier study: severe disc herniation at L4-5."]),
        (present(severity="severe"), present(severity="mild"),
         ["Less severe than on the earlier study: mild disc herniation at L4-5."]),
        (present(), present(severity="mild"), ["Also present on the earlier study: mild disc herniation at L4-5."]),
        (present("L3-L4"), present("L4-L5"),
         ["Disc herniation at L4-5; on the earlier study: disc herniation at L3-4."]),
        (present(None), present("L4-L5"), ["Also present on the earlier study: disc herniation at L4-5."]),
        (OPEN, present(), []),
        (present(), OPEN, []),
        (OPEN, OPEN, []),
    ],
)  # fmt: skip
def test_what_is_said_of_a_change(pair, old, new, said) -> None:
    made = pair(old, new)
    assert compared(made) == said
    row = made.drafts.filter(study_key="new").row(0, named=True)
    assert row["prior_study_key"] == "old"
    assert "Compared with the MRI of the lumbar spine of 2019-03-01 (dates are shifted" in " ".join(
        row["report_text"].split()
    )


def test_sentences_rest_on_a_claim_of_each_study(pair) -> None:
    made = pair(ABSENT, present())
    (row,) = made.sentences.filter(study_key="new", kind="comparison").to_dicts()
    assert (len(row["claim_keys"]), len(row["prior_claim_keys"])) == (1, 1)
    assert row["claim_keys"] != row["prior_claim_keys"]
    assert row["section"] == "COMPARISON"
    others = made.sentences.filter(pl.col("kind") != "comparison")
    assert others["prior_claim_keys"].list.len().sum() == 0


def test_the_interval_is_true(pair) -> None:
    text = pair(ABSENT, present()).drafts.filter(study_key="new")["report_text"].item()
    assert "the interval of 30 days is true" in " ".join(text.split())
    years = pair(ABSENT, present(), old_date="2018", new_date="2019")
    text = " ".join(years.drafts.filter(study_key="new")["report_text"].item().split())
    assert "of 2018 (dates are shifted)." in text


def test_a_study_of_another_batch_is_a_prior_too(pair) -> None:
    made = pair(ABSENT, present(), apart=True)
    assert compared(made) == ["New: disc herniation at L4-5."]
    assert made.drafts["study_key"].to_list() == ["new"]


@pytest.mark.parametrize(
    "change",
    [
        {"patient": "p-2"},
        {"old_date": "2019-03-31"},
        {"old_date": "2019-04-01", "new_date": "2019-03-31"},
        {"old_date": None},
        {"new_date": None},
        {"old_date": "2018", "new_date": "2019-03-31"},
        {"region": {"old": "cervical", "new": "lumbar"}},
        {"region": "unknown"},
    ],
)
def test_no_earlier_study_no_comparison(pair, change) -> None:
    made = pair(ABSENT, present(), **change).drafts.filter(study_key="new")
    assert made["prior_study_key"].to_list() == [None]
    assert "COMPARISON" not in made["report_text"].item()
    assert "earlier" not in made["report_text"].item()


def test_another_version_of_an_agent_is_no_change_of_the_patient(pair) -> None:
    made = pair(ABSENT, present(), apart=True, old_version="0+other")
    assert compared(made) == []
    assert made.drafts["prior_study_key"].to_list() == ["old"]


def test_the_last_of_several_is_taken(archive, claim, filled) -> None:
    keys = ["a", "b", "c"]
    tables = archive(dict.fromkeys(keys, SERIES))
    studies = tables.studies.with_columns(
        patient_key=pl.lit("p"), study_date=pl.Series(["2019-01-01", "2019-06-01", "2019-12-01"])
    )
    claims = pl.concat([filled([claim("canal", "present", study=key)], key) for key in keys])
    made = draft_reports(claims.with_columns(patient_key=pl.lit("p")), studies, tables.series)
    assert made.drafts["prior_study_key"].to_list() == [None, "a", "b"]
