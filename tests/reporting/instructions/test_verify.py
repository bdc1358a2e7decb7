"""What verification must refuse, whoever wrote it."""

from __future__ import annotations

import pytest

from spine_models.config import InstructionSettings
from spine_models.reporting.instructions import build_items, verify
from tests.reporting.instructions.conftest import PLAIN, tables_of

TEXT = PLAIN.replace(
    "Possible synovial cyst at L3-L4.", "Possible synovial cyst at L3-L4. Right pars defect at L5."
)


@pytest.fixture(scope="module")
def case():
    return tables_of({"s": TEXT}).cases()["s"]


@pytest.fixture(scope="module")
def rows(case):
    settings = InstructionSettings(
        short_per_study=50, long_per_study=50, choice_per_study=50, multi_turn_per_study=50
    )
    return build_items({"s": case}, settings).items.to_dicts()


def pick(rows, **where):
    return next(dict(row) for row in rows if all(row[k] == v for k, v in where.items()))


def worded(row, *answers, question=None):
    """The row with other answers, and maybe another first question."""
    asked = [turn["question"] for turn in row["turns"]]
    if question is not None:
        asked[0] = question
    turns = [{"question": q, "answer": a} for q, a in zip(asked, answers, strict=True)]
    return row | {"turns": turns, "question": asked[0], "answer": answers[-1]}


def test_untouched_rows_pass(rows, case):
    assert len(rows) > 20
    assert [verify(row, case) for row in rows] == [None] * len(rows)


def test_left_and_right_exchanged_is_refused(rows, case):
    side = pick(rows, kind="short", dimension="side", condition="neuroforaminal")
    for answer in ("Right.", "It is on the right side.", "Both sides.", "Left and right.", "Central.", "RT"):
        assert verify(worded(side, answer), case) == "answer_does_not_match", answer
    assert verify(worded(side, "On the left."), case) is None
    long = pick(rows, kind="long", condition="neuroforaminal")
    good = long["turns"][0]["answer"]
    assert "left" in good
    assert verify(worded(long, good.replace("left", "right")), case) == "answer_does_not_match"
    graded = pick(rows, kind="short", dimension="severity", condition="neuroforaminal")
    swapped = "How severe is the right neural foraminal stenosis in this MRI?"
    assert verify(worded(graded, "Severe.", question=swapped), case) == "question_does_not_match"


def test_other_levels_and_grades_are_refused(rows, case):
    level = pick(rows, kind="short", dimension="level", condition="canal")
    for answer in ("L3-L4.", "L4-L5 and L5-S1.", "L4 to S1.", "In the lumbar spine.", "L4.", ""):
        assert verify(worded(level, answer), case) is not None, answer
    assert verify(worded(level, "The stenosis is at L4/5."), case) is None
    graded = pick(rows, kind="short", dimension="severity", condition="canal")
    for answer in ("Severe.", "Mild to severe.", "Not severe.", "Hard to say."):
        assert verify(worded(graded, answer), case) == "answer_does_not_match", answer


def test_yes_for_no_and_a_finding_more_are_refused(rows, case):
    denied = pick(rows, kind="long", condition="fracture")
    assert denied["status"] == "absent"
    assert verify(worded(denied, "There is a vertebral fracture."), case) == "answer_does_not_match"
    more = "There is no vertebral fracture. There is spinal canal stenosis."
    assert verify(worded(denied, more), case) == "names_another_finding"
    long = pick(rows, kind="long", condition="canal")
    more = f"{long['answer']} A left disc herniation is seen."
    assert verify(worded(long, more), case) == "names_another_finding"
    assert verify(worded(long, "There is spinal canal stenosis."), case) == "answer_does_not_match"
    asked = pick(rows, kind="multi_turn", condition="canal")
    answers = [turn["answer"] for turn in asked["turns"]]
    assert verify(worded(asked, "No.", *answers[1:]), case) == "answer_does_not_match"
    assert verify(asked | {"turns": asked["turns"][:-1]}, case) == "turns_do_not_match_what_is_asked"


def test_questions_that_tell_the_answer_or_ask_something_else_are_refused(rows, case):
    level = pick(rows, kind="short", dimension="level", condition="canal")
    answer = level["turns"][0]["answer"]
    told = "At which level is the spinal canal stenosis at L4-L5?"
    assert verify(worded(level, answer, question=told), case) == "question_gives_the_answer"
    other = "At which level is the disc herniation?"
    assert verify(worded(level, answer, question=other), case) == "names_another_finding"
    nothing = "At which level is it?"
    assert verify(worded(level, answer, question=nothing), case) == "question_does_not_match"
    quoting = "The report states spinal canal stenosis. At which level?"
    assert verify(worded(level, answer, question=quoting), case) == "question_does_not_match"


def test_evidence_that_is_not_in_the_report_is_refused(rows, case):
    row = pick(rows, kind="short", dimension="level", condition="canal")
    for change in (
        {"evidence": "Moderate spinal canal stenosis at L3-L4."},
        {"evidence": ""},
        {"evidence": None},
        {"evidence_start": row["evidence_start"] + 1},
        {"report_key": "r-other"},
        {"report_key": None},
    ):
        assert verify(row | change, case) == "evidence_not_in_report", change
    start = case.texts["r-s"].index("No fracture.")
    other = {"evidence": "No fracture.", "evidence_start": start, "evidence_end": start + len("No fracture.")}
    assert verify(row | other, case) == "evidence_does_not_say_it"
    history = case.texts["r-s"].index("rule out fracture")
    asked = pick(rows, kind="long", condition="fracture")
    moved = {"evidence": "rule out fracture", "evidence_start": history, "evidence_end": history + 17}
    assert verify(asked | moved, case) == "evidence_does_not_say_it"


def test_labels_win_over_what_a_row_says(rows, case):
    row = pick(rows, kind="short", dimension="level", condition="canal")
    assert verify(row | {"status": "absent"}, case) is not None
    assert verify(row | {"condition": "subarticular"}, case) is not None
    assert verify(row | {"severity": "severe"}, case) is not None
    assert verify(row | {"patient_key": "p-other"}, case) == "study_not_known"
    assert verify(row, None) == "study_not_known"


def test_a_condition_that_people_decided_otherwise_refuses_its_items(rows):
    import polars as pl

    decided = pl.DataFrame({"study_key": ["s"], "condition": ["canal"], "status": ["absent"]})
    now = tables_of({"s": TEXT}, adjudications=decided).cases()["s"]
    for row in rows:
        if row["condition"] == "canal":
            assert verify(row, now) is not None
        elif row["kind"] == "choice" and row["dimension"] == "condition":
            assert verify(row, now) is None
    assert not any(f.condition == "canal" for f in now.findings), "no passage denies it"


def test_doubtful_labels_give_nothing_but_the_question_what_to_look_at(rows, case):
    assert {row["dimension"] for row in rows if row["condition"] == "synovial"} == {"next_sequence"}
    row = pick(rows, kind="long", dimension="next_sequence", condition="synovial")
    assert row["sequence"] == "axial T2"
    assert verify(worded(row, "The sagittal T1-weighted images."), case) == "answer_does_not_match"
    assert verify(row | {"sequence": "sagittal STIR"}, case) == "sequence_not_by_rule"
    sure = pick(rows, kind="short", dimension="level", condition="canal") | {"condition": "synovial"}
    assert verify(sure, case) is not None


def test_options_that_are_right_too_or_twice_are_refused(rows, case):
    level = pick(rows, kind="choice", dimension="level", condition="canal")
    right, correct = level["answer"], level["correct"]
    wrong = next(n for n in range(len(level["options"])) if n != correct)

    def with_options(row, options, **more):
        letters = "\n".join(f"{letter}. {o}" for letter, o in zip("ABCD", options, strict=False))
        turn = {"question": f"{row['question']}\n{letters}", "answer": row["turns"][0]["answer"]}
        return row | {"options": options, "turns": [turn]} | more

    def changed(row, option):
        return with_options(row, [option if n == wrong else o for n, o in enumerate(row["options"])])

    assert verify(changed(level, level["options"][wrong]), case) is None
    assert verify(changed(level, right), case) == "options_are_not_sound"
    assert verify(changed(level, "L4/5"), case) == "options_are_not_sound"
    assert verify(level | {"correct": wrong}, case) == "options_are_not_sound"
    assert verify(level | {"correct": None}, case) == "options_are_not_sound"
    assert verify(with_options(level, [right], correct=0), case) == "options_are_not_sound"
    found = pick(rows, kind="choice", dimension="condition", condition="canal")
    wrong = next(n for n in range(4) if n != found["correct"])
    for name in (
        "Neural foraminal stenosis",
        "Facet synovial cyst",
        "Nothing of it",
    ):  # present, in doubt, unknown
        assert verify(changed(found, name), case) == "options_are_not_sound", name


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("There is moderate spinal canal stenosis at L4-L5, seen by Dr. Miller.", "date_or_name_in_text"),
        ("There is moderate spinal canal stenosis at L4-L5 [NAME].", "date_or_name_in_text"),
        ("There is moderate spinal canal stenosis at L4-L5 on 03/04/2022.", "date_or_name_in_text"),
        ("There is unchanged moderate spinal canal stenosis at L4-L5.", "compares_without_prior"),
    ],
)
def test_names_dates_and_comparisons_are_refused(rows, case, words, reason):
    long = pick(rows, kind="long", condition="canal")
    assert verify(worded(long, words), case) == reason


def test_a_report_that_leaves_out_or_adds_or_compares_is_refused(rows, case):
    row = pick(rows, kind="report")
    answer = row["turns"][0]["answer"]
    for before, after, reason in (
        ("Moderate spinal canal stenosis at L4-L5.", "", "report_differs_from_labels"),
        ("Severe left foraminal", "Severe right foraminal", "report_differs_from_labels"),
        ("Severe left foraminal", "Mild left foraminal", "report_differs_from_labels"),
        ("No fracture.", "Acute fracture of L2.", "report_differs_from_labels"),
        ("No fracture.", "No new fracture.", "compares_without_prior"),
        ("No fracture.", "No fracture. Read by Dr. [NAME].", "date_or_name_in_text"),
    ):
        assert before in answer
        assert verify(worded(row, answer.replace(before, after)), case) == reason
