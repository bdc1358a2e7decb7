import re
from collections import Counter

import numpy as np
import pytest

from spine_models.corpus.labels import read_report
from spine_models.domain import Region, Status, condition_keys
from spine_models.phantom.body.pathology import VERTEBRAE_OF, discs_of
from spine_models.phantom.records.reports import STYLES, Prior, narrative, write_report
from spine_models.phantom.records.statements import CONTRADICTED, draw_statements

WORST = {Status.PRESENT: 3, Status.AMBIGUOUS: 2, Status.ABSENT: 1, Status.NOT_MENTIONED: 0}


@pytest.fixture(scope="module")
def reports(visits):
    found = []
    for visit, rng in visits(260, 21):
        region = visit.study.region
        levels = (*VERTEBRAE_OF[region], *discs_of(region))
        statements = draw_statements(visit.findings, levels, rng)
        prior = Prior(visit.prior, tuple(visit.prior_findings)) if visit.prior else None
        text = write_report(visit.study, statements, ["t1_tse_sag", "STIR SAG"], rng, prior=prior)
        found.append((visit, statements, text))
    return found


def test_the_rules_labeller_reads_what_the_statements_say(reports):
    confusion = Counter()
    for _, statements, text in reports:
        mentions = read_report(text)
        for statement in statements:
            said = [m.status for m in mentions if m.condition == statement.condition]
            read = max(said, key=WORST.__getitem__, default=Status.NOT_MENTIONED)
            confusion[statement.status, read] += 1
    right = sum(n for (said, read), n in confusion.items() if said is read)
    assert right / sum(confusion.values()) >= 0.985
    for status in (Status.PRESENT, Status.ABSENT, Status.AMBIGUOUS):
        rows = {read: n for (said, read), n in confusion.items() if said is status}
        assert rows[status] / sum(rows.values()) >= 0.97, status


def test_an_affirmed_finding_is_read_with_its_level(reports):
    right = Counter()
    for _, statements, text in reports:
        mentions = read_report(text)
        for s in statements:
            if s.status is Status.PRESENT:
                read = {lv for m in mentions if m.condition == s.condition for lv in m.levels}
                wanted = {f.level for f in s.findings}
                right[bool(read & (wanted | {lv.split("-")[0] for lv in wanted}))] += 1
    assert right[True] / right.total() >= 0.98


def test_styles_differ_and_all_occur(reports):
    texts = [text for *_, text in reports]
    marks = {
        "structured": r"^ALIGNMENT: [A-Z]", "bullets": r"^- ", "numbered": r"^1\) ", "capitals": r"^HISTORY: [^a-z]+$",
        "dictated": r"FINDINGS:\n[a-z]", "short": r"^IMPRESSION: \S", "bilingual": r"^(BEFUND|HALLAZGOS) / FINDINGS",
    }  # fmt: skip
    for name, mark in marks.items():
        hits = sum(bool(re.search(mark, text, re.MULTILINE)) for text in texts)
        assert hits >= 5, name
    assert set(STYLES) - {"prose"} <= set(marks)
    lengths = sorted(map(len, texts))
    assert lengths[-1] > 3 * lengths[0]


def test_follow_ups_compare_with_the_study_before(reports):
    later = [(visit, text) for visit, _, text in reports if visit.prior is not None]
    assert len(later) > 30
    course = re.compile(r"(since|compared with|than on|similar to|seen on) (the )?\S*\d", re.IGNORECASE)
    assert sum(bool(course.search(text)) for _, text in later) > 0.4 * len(later)
    progressed = [
        text for _, text in later if re.search(r"progressed|increased|worse than", text, re.IGNORECASE)
    ]
    improved = [text for _, text in later if re.search(r"improved|less conspicuous", text, re.IGNORECASE)]
    assert progressed
    assert improved


def test_contradictions_are_as_rare_as_stated_and_stand_in_the_impression(reports):
    affirmed = [(s, text) for _, sts, text in reports for s in sts if s.status is Status.PRESENT]
    against = [text for s, text in affirmed if s.contradicted]
    assert 0 < len(against) < 4 * CONTRADICTED * len(affirmed)


def test_everything_that_a_report_names_is_planted(reports):
    for visit, _, text in reports:
        person = visit.study.patient
        values = {value for _, value in person.planted}
        assert visit.study.accession in values
        for name in re.findall(r"Dr\. [A-Z][\w'-]+", text):
            assert any(name in v or v.startswith(name) for v in values) or any(
                name.removeprefix("Dr. ") in v for v in values
            ), "a physician was not planted"
        assert any(form in text for form in (person.full_name, person.full_name.upper(), person.family.upper(),
                                             person.family))  # fmt: skip


def test_all_conditions_have_phrases_of_every_kind():
    book = narrative()["conditions"]
    assert set(book) == set(condition_keys())
    for condition, entry in book.items():
        assert len(entry["present"]) >= 3, condition
        assert len(entry["absent"]) >= 2, condition
        assert len(entry["ambiguous"]) >= 2, condition


def test_statements_follow_their_shares():
    rng = np.random.default_rng(5)
    levels = (*VERTEBRAE_OF[Region.LUMBAR], *discs_of(Region.LUMBAR))
    drawn = Counter(s.status for _ in range(200) for s in draw_statements([], levels, rng))
    total = drawn.total()
    assert abs(drawn[Status.ABSENT] / total - 0.45) < 0.03
    assert abs(drawn[Status.AMBIGUOUS] / total - 0.02) < 0.01
    assert drawn[Status.PRESENT] == 0
