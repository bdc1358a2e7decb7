"""No sentence states more than its claims, and no claim goes unsaid: properties over random claims.

The text is read back here without the code that wrote it: nouns, figures, places and status words.
"""

from __future__ import annotations

import re

import polars as pl
import pytest

from spine_models.domain import Region
from spine_models.reporting.reports import draft_reports, load_template

REGIONS = ("lumbar", "cervical", "thoracic", "spine", "other", "unknown")
FREE = {"technique", "notice"}
FIGURE = re.compile(r"[<>]?\b\d\.\d\d\b")
PLACE = re.compile(r"\b(?:[CTL]\d+-[CTLS]\d+|left|right|bilateral|mild|moderate|severe)\b")


def shown(probability: float) -> str:
    if probability < 0.005:
        return "<0.01"
    return ">0.99" if probability > 0.995 else f"{probability:.2f}"


def places(claim: dict) -> list[str]:
    return [claim[name] for name in ("level", "side", "severity") if claim[name]]


def nouns_in(text: str, region: str) -> list[str]:
    nouns = load_template(Region(region)).findings
    return sorted(c for c, noun in nouns.items() if re.search(rf"(?<![\w-]){re.escape(noun)}", text, re.I))


def check(sentence: dict, claims: list[dict], region: str) -> None:
    text, kind = sentence["text"], sentence["kind"]
    statuses = {claim["status"] for claim in claims}
    named = nouns_in(text, region)
    if kind in FREE:
        assert named == []
        assert not FIGURE.search(text)
        if "level" in text and claims:
            assert not any(claim["level"] for claim in claims)
        return
    assert claims, text
    if counted := re.fullmatch(r"No condition is reported as present \(assessed: (\d+)\)\.", text):
        assert len(claims) == int(counted[1])
        assert statuses <= {"absent", "indeterminate"}
        assert not PLACE.search(text)
        return
    assert sorted(PLACE.findall(text)) == sorted(p for claim in claims for p in places(claim))
    if text.startswith("No condition was assessed: "):
        assert (statuses, len(claims)) == ({"not_assessed"}, 17)
    else:
        assert named == sorted(claim["condition"] for claim in claims)
    if statuses == {"not_assessed"}:
        assert (kind, text.startswith(("Not assessed (", "No condition was assessed: "))) == (
            "not_assessed",
            True,
        )
        (reason,) = {claim["reason"] for claim in claims}
        assert reason in text
        assert FIGURE.findall(text) == []
        return
    assert FIGURE.findall(text) == [shown(claim["probability"]) for claim in claims]
    if statuses == {"absent"}:
        assert (kind, text.startswith("No ")) == ("negative", True)
    elif statuses == {"indeterminate"}:
        assert kind == "finding"
        assert re.search(r"cannot be determined[;,] correlate", text, re.I)
    else:
        assert (statuses, kind, len(claims)) == ({"present"}, "finding", 1)
        assert not re.search(r"\bno\b|cannot|not assessed", text, re.I)


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("placed", [False, True])
def test_text_and_claims_agree(archive, claims, region: str, placed: bool) -> None:
    members = [("T1", "sagittal", "t1"), ("T2", "sagittal", "t2"), ("DWI", "axial", "other")]
    for seed in range(12):
        tables = archive({"study": members}, region=region)
        given = claims(seed, placed=placed)
        by_key = {row["claim_key"]: row for row in given.iter_rows(named=True)}
        written = draft_reports(given, tables.studies, tables.series)
        text = " ".join(written.drafts["report_text"].item().split())
        for sentence in written.sentences.iter_rows(named=True):
            check(sentence, [by_key[key] for key in sentence["claim_keys"]], region)
            assert sentence["text"] in text
            assert sentence["text"].endswith(".")
            assert "{" not in sentence["text"]
        said = written.sentences.filter(~pl.col("kind").is_in(list(FREE)))
        assert set(said["claim_keys"].explode()) == set(by_key)


@pytest.mark.parametrize("seed", range(20))
def test_impression_by_importance_then_probability(archive, claims, seed: int) -> None:
    tables = archive({"study": [("T1", "sagittal", "t1"), ("T2", "sagittal", "t2")]})
    given = claims(seed)
    by_key = {row["claim_key"]: row for row in given.iter_rows(named=True)}
    sentences = draft_reports(given, tables.studies, tables.series).sentences
    impression = sentences.filter(section="IMPRESSION")
    linked = [[by_key[key] for key in keys] for keys in impression["claim_keys"]]
    present = [group[0] for group in linked if group[0]["status"] == "present"]
    assert {c["condition"] for c in present} == set(given.filter(status="present")["condition"])
    template = load_template(Region.LUMBAR)
    ranks = [(template.tier(c["condition"]), -c["probability"]) for c in present]
    assert ranks == sorted(ranks)
    order = ["present", "absent", "indeterminate", "not_assessed"]
    kinds = [min(order.index(c["status"]) for c in group) for group in linked]
    assert kinds == sorted(kinds)


def test_the_reader_of_these_tests_can_fail(archive, claims) -> None:
    tables = archive({"study": [("T1", "sagittal", "t1")]})
    given = claims(14)
    by_key = {row["claim_key"]: row for row in given.iter_rows(named=True)}
    sentences = draft_reports(given, tables.studies, tables.series).sentences
    negative = sentences.filter(kind="negative", section="ALIGNMENT").row(0, named=True)
    linked = [by_key[key] for key in negative["claim_keys"]]
    check(negative, linked, "lumbar")
    for text in (
        negative["text"].replace("No ", "No left ", 1),
        negative["text"].replace(".", " or vertebral fracture.", 1),
        re.sub(r"0\.\d\d", "0.99", negative["text"]),
        "Spondylolisthesis is present.",
    ):
        with pytest.raises(AssertionError):
            check({**negative, "text": text}, linked, "lumbar")
