from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from spine_models.corpus.labels import label_reports
from spine_models.corpus.labels.rules import labeller as rules
from spine_models.corpus.labels.rules import scope
from spine_models.corpus.labels.rules.lexicon import lexicon
from spine_models.domain import Severity, Side, Status

ALLOWED = 5
"""Of the held-out texts, those read wrongly in status, level, side or severity when they were first read."""

UNREAD = {
    "Central, lateral recess and foraminal stenosis is": "a grade behind a shared head is the last place's only",
    "Bilateral L5 pars are thinned; a defect is": "what a defect is of is said before the semicolon",
    "Suspected right pars stress reaction at L5": "what is seen beside a doubted finding is doubted with it",
    "Stenosis, which could be treated": "a grade behind an aside is not lent to what stands before it",
    "An ovoid cyst in the right L5-S1 foramen": "of two doubted kinds of cyst only the first takes the side",
    "Foraminal stenosis: moderate right L4-5, possible": "a doubt inside a graded list of places is not read",
    "Isthmic defects of L5 bilaterally with": "a slip on S1 does not take its upper vertebra from the pars before it",
}
"""Texts in several countries' habits that are read with a detail missing, by how they begin, and why."""

SECOND_UNREAD = {
    "MRI THORACIC SPINE\nIndication: Trauma": "of two findings joined by and, the extent is taken for that of both",
    "MRI Lumbar Spine without contrast\nFINDINGS: Lumbar": "high T2 signal in a pars is read as marrow oedema",
}
"""Texts of the second author that are read with something wrong, by how they begin, and why."""

HERE = Path(__file__).parent
DIALECTS = yaml.safe_load((HERE / "dialects.yaml").read_text(encoding="utf-8"))
CORPUS = yaml.safe_load((HERE / "corpus.yaml").read_text(encoding="utf-8"))
INDEPENDENT = yaml.safe_load((HERE / "independent_a.yaml").read_text(encoding="utf-8"))
SECOND = yaml.safe_load((HERE / "second_a.yaml").read_text(encoding="utf-8"))
HELD_OUT = yaml.safe_load((HERE / "heldout.yaml").read_text(encoding="utf-8"))


def expected(says: list[str]) -> dict[str, dict[str, object]]:
    wanted: dict[str, dict[str, object]] = {}
    for line in says:
        condition, status, *rest = line.split()
        details: dict[str, object] = {"status": status, "levels": [], "side": None, "severity": None}
        for word in rest:
            if word in set(Severity):
                details["severity"] = word
            elif word in set(Side):
                details["side"] = word
            else:
                details["levels"] = word.split(",")
        wanted[condition] = details
    return wanted


def differences(frame, entry: dict) -> list[str]:
    """What is read differently from what the entry says; side and severity count for what is present."""
    wanted = expected(entry["says"])
    found = []
    for row in frame.iter_rows(named=True):
        want = wanted.get(row["condition"], {"status": Status.NOT_MENTIONED.value})
        if row["status"] != want["status"]:
            found.append(f"{row['condition']}: {row['status']} instead of {want['status']}")
            continue
        if row["status"] in ("not_mentioned", "absent"):
            continue
        if set(row["levels"]) != set(want["levels"]):
            found.append(f"{row['condition']}: levels {row['levels']} instead of {want['levels']}")
        for name in ("side", "severity"):
            if want[name] is not None and row[name] != want[name]:
                found.append(f"{row['condition']}: {name} {row[name]} instead of {want[name]}")
    return found


def test_the_corpora_are_large_enough():
    assert len(CORPUS) >= 120
    assert len(HELD_OUT) >= 40
    assert len(DIALECTS) >= 900
    assert len(INDEPENDENT) >= 80
    assert len(SECOND) >= 70
    texts = [e["text"] for e in CORPUS + HELD_OUT + DIALECTS + INDEPENDENT + SECOND]
    assert len(texts) == len(set(texts))


@pytest.mark.parametrize("entry", CORPUS, ids=[e["text"][:60].replace("\n", " ") for e in CORPUS])
def test_prose_is_read_as_a_radiologist_would(entry, reports):
    frame = label_reports(reports([entry["text"]])).rules
    assert differences(frame, entry) == []


def test_prose_that_the_rules_were_not_made_for(reports):
    wrong = [e["text"] for e in HELD_OUT if differences(label_reports(reports([e["text"]])).rules, e)]
    assert len(wrong) <= ALLOWED, wrong


@pytest.mark.parametrize("entry", DIALECTS, ids=[e["text"][:60].replace("\n", " ") for e in DIALECTS])
def test_prose_of_several_countries_is_read(entry, reports):
    reason = next((reason for start, reason in UNREAD.items() if entry["text"].startswith(start)), None)
    wrong = differences(label_reports(reports([entry["text"]])).rules, entry)
    assert bool(wrong) is (reason is not None), wrong or f"now read; take it off the list: {reason}"


@pytest.mark.parametrize("entry", INDEPENDENT, ids=[e["text"][:60].replace("\n", " ") for e in INDEPENDENT])
def test_prose_of_an_author_who_had_not_seen_the_rules(entry, reports):
    """Read at first sight by rules-1.1: 65 of 82 with every status; now all, for it was used for building."""
    assert differences(label_reports(reports([entry["text"]])).rules, entry) == []


@pytest.mark.parametrize("entry", SECOND, ids=[e["text"][:60].replace("\n", " ") for e in SECOND])
def test_prose_of_a_second_author_is_read(entry, reports):
    """Read at first sight by rules-1.2: 58 of 70 with every status; then used for building."""
    reason = next(
        (reason for start, reason in SECOND_UNREAD.items() if entry["text"].startswith(start)), None
    )
    wrong = differences(label_reports(reports([entry["text"]])).rules, entry)
    assert bool(wrong) is (reason is not None), wrong or f"now read; take it off the list: {reason}"


def test_stems_cost_no_finding():
    """Without the stems, which only save time, every sentence is read the same."""
    words = lexicon()
    patient = replace(words, phrases=tuple(replace(phrases, stems=()) for phrases in words.phrases))
    for entry in CORPUS + HELD_OUT + DIALECTS + INDEPENDENT + SECOND:
        text = entry["text"].lower()
        assert list(rules._lexical(text, words)) == list(rules._lexical(text, patient))


def test_bits_of_cues_cost_no_reading(reports, monkeypatch):
    """Without the bits of words that save searches for cues, every text is read the same."""
    texts = [e["text"] for e in CORPUS + HELD_OUT + DIALECTS + INDEPENDENT + SECOND]
    quick = label_reports(reports(texts)).mentions
    rules._analysed.cache_clear()
    scope._cues.cache_clear()
    monkeypatch.setattr(scope, "_STEMS", {})
    assert label_reports(reports(texts)).mentions.equals(quick)
    rules._analysed.cache_clear()
    scope._cues.cache_clear()


@pytest.mark.parametrize(
    ("name", "texts", "bounds"),
    [
        # By rules-1.3: 0.950, 0.936, 0.808; the author takes likely and probable for doubt.
        ("independent_b.yaml", 81, {"present": 0.94, "absent": 0.92, "ambiguous": 0.80}),
        # By rules-1.3: 0.979, 0.963, 0.864.
        ("second_b.yaml", 70, {"present": 0.97, "absent": 0.95, "ambiguous": 0.85}),
    ],
)
def test_prose_of_other_authors_that_was_never_used(name, texts, bounds, reports):
    unused = yaml.safe_load((HERE / name).read_text(encoding="utf-8"))
    assert len(unused) == texts
    frame = label_reports(reports([entry["text"] for entry in unused])).rules
    wanted = [expected(entry["says"]) for entry in unused]
    pairs = [
        (wanted[int(key[1:])].get(condition, {"status": "not_mentioned"})["status"], status)
        for key, condition, status in frame.select("study_key", "condition", "status").iter_rows()
    ]
    for status, bound in bounds.items():
        hits = sum(want == said == status for want, said in pairs)
        score = 2 * hits / sum((want == status) + (said == status) for want, said in pairs)
        assert score > bound, f"{status}: {score:.3f}"
