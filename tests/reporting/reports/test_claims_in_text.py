"""What a draft says is what its claims say: generated claims of every region, read back by the rules labeller."""

from __future__ import annotations

import random

import polars as pl
import pytest

from spine_models.corpus.labels import read_report
from spine_models.corpus.statements import merged, units_of_claims, units_of_text
from spine_models.domain import Region, Severity, Side, Status, condition_keys
from spine_models.reporting.agents.status import Reason
from spine_models.reporting.reports import draft_reports, load_template
from spine_models.reporting.reports.drafting import claims_of
from spine_models.reporting.reports.linking import COMPARES

REGIONS = ("lumbar", "cervical", "thoracic", "spine", "other", "unknown")
SERIES = [("T1", "sagittal", "t1"), ("T2", "sagittal", "t2"), ("DWI", "axial", "other")]


def units(claims: pl.DataFrame) -> list:
    return merged(unit for claim in claims_of(claims)["study"] for unit in claim.units)


@pytest.mark.parametrize("region", REGIONS)
def test_a_draft_reads_back_to_the_units_of_its_claims(archive, claims, region: str) -> None:
    tables = archive({"study": SERIES}, region=region)
    said = 0
    for seed in range(100, 112):
        given = claims(seed, region=region)
        written = draft_reports(given, tables.studies, tables.series)
        assert units_of_text(written.drafts["report_text"].item()) == units(given), f"seed {seed}"
        said += len(units(given))
    assert said > 20


@pytest.mark.parametrize("reason", list(Reason))
def test_what_was_not_assessed_is_never_read_as_a_finding(archive, claim, filled, reason: Reason) -> None:
    for region in REGIONS:
        tables = archive({"study": SERIES}, region=region)
        given = filled(
            [claim(condition, "not_assessed", reason=str(reason)) for condition in condition_keys()]
        )
        text = draft_reports(given, tables.studies, tables.series).drafts["report_text"].item()
        assert units_of_text(text) == [], region


@pytest.mark.parametrize("region", ["lumbar", "cervical", "thoracic"])
def test_every_condition_at_every_severity_side_and_certainty(archive, claim, filled, region: str) -> None:
    """The whole vocabulary one condition at a time, and what is read is what was claimed by the agents' rows too."""
    tables = archive({"study": SERIES}, region=region)
    draw = random.Random(region)
    level = {"lumbar": "L4-L5", "cervical": "C5-C6", "thoracic": "T8-T9"}[region]
    for condition in condition_keys():
        body = condition in ("fracture", "hemangioma")
        lateral = condition not in (
            "canal", "disc_height", "spondylolisthesis", "lipomatosis", "fracture", "compression",
        )  # fmt: skip
        place = {
            "level": level.split("-")[0] if body else level,
            "side": draw.choice([*map(str, Side), None]) if lateral else None,
            "severity": draw.choice([*map(str, Severity), None]),
        }
        certainty = draw.choice(["definite", "probable", "possible"])
        row = claim(
            condition,
            "indeterminate" if certainty == "possible" else "present",
            places=[place],
            certainty=certainty,
        )
        given = filled([row])
        text = draft_reports(given, tables.studies, tables.series).drafts["report_text"].item()
        assert units_of_text(text) == units_of_claims(given.to_dicts()), f"{condition} {place} {certainty}"


def test_discs_and_vertebrae_of_one_name_are_told_apart(archive, claim, filled) -> None:
    """ "T1-2 and T2" would be one list of levels."""
    tables = archive({"study": SERIES}, region="thoracic")
    places = [{"level": "T1-T2", "side": "left"}, {"level": "T2", "side": "left"}]
    given = filled([claim("inflammation", "present", places=places, certainty="probable")])
    text = draft_reports(given, tables.studies, tables.series).drafts["report_text"].item()
    assert units_of_text(text) == units(given)
    assert len(units(given)) == 2


@pytest.mark.parametrize("region", REGIONS)
def test_sentences_say_no_more_than_their_claims(archive, claims, region: str) -> None:
    tables = archive({"study": SERIES}, region=region)
    nouns = load_template(Region(region)).findings
    for seed in range(200, 206):
        given = claims(seed, region=region)
        own = {claim.key: claim for claim in claims_of(given)["study"]}
        sentences = draft_reports(given, tables.studies, tables.series).sentences
        for row in sentences.iter_rows(named=True):
            linked = [own[key] for key in row["claim_keys"]]
            allowed = merged(unit for claim in linked for unit in claim.units)
            affirmed = {} if row["section"] == "LIMITATIONS" else set(units_of_text(row["text"]))
            assert set(affirmed) <= set(allowed), row["text"]
            named = {c for c, noun in nouns.items() if noun in row["text"].lower()}
            assert named <= {claim.condition for claim in linked}, row["text"]
            assert row["text"].endswith(".")
            assert "{" not in row["text"]
            denied = {m.condition for m in read_report(row["text"]) if m.status is Status.ABSENT}
            if row["kind"] == "negative" and row["level"] is None:
                assert denied <= {claim.condition for claim in linked if claim.absent}
        said = sentences.filter(~pl.col("kind").is_in(["technique", "notice"]))
        assert set(said["claim_keys"].explode()) == set(own)


@pytest.mark.parametrize("region", REGIONS)
def test_nothing_is_compared_without_an_earlier_study(archive, claims, region: str) -> None:
    tables = archive({"study": SERIES}, region=region)
    for seed in range(300, 306):
        written = draft_reports(claims(seed, region=region), tables.studies, tables.series)
        assert written.drafts["prior_study_key"].to_list() == [None]
        assert "comparison" not in written.sentences["kind"]
        assert not COMPARES.search(written.drafts["report_text"].item())


@pytest.mark.parametrize("seed", range(400, 408))
def test_impression_by_importance_then_certainty(archive, claims, seed: int) -> None:
    tables = archive({"study": SERIES})
    given = claims(seed)
    own = {claim.key: claim for claim in claims_of(given)["study"]}
    sentences = draft_reports(given, tables.studies, tables.series).sentences
    found = sentences.filter(section="IMPRESSION", kind="finding")
    linked = [own[keys[0]] for keys in found["claim_keys"]]
    assert {claim.condition for claim in linked} == {c.condition for c in own.values() if c.affirmed}
    template = load_template(Region.LUMBAR)
    order = ["definite", "probable", "possible"]
    ranks = [(template.tier(c.condition), order.index(c.certainty), -(c.probability or 0.0)) for c in linked]
    assert ranks == sorted(ranks)


def test_the_reader_of_these_tests_can_fail(archive, claim, filled) -> None:
    tables = archive({"study": SERIES})
    given = filled([claim("herniation", "present", places=[{"level": "L4-L5", "side": "left"}])])
    text = draft_reports(given, tables.studies, tables.series).drafts["report_text"].item()
    assert units_of_text(text) == units(given)
    for was, becomes in (("L4-5", "L3-4"), ("Left disc", "Right disc"), ("No vertebral", "Old vertebral")):
        assert units_of_text(text.replace(was, becomes)) != units(given)
