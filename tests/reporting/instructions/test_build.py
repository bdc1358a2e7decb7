from __future__ import annotations

from collections import Counter

import polars as pl
import pytest

from spine_models.corpus.statements import units_of_text
from spine_models.domain import DISCS, condition_keys
from spine_models.reporting.instructions import (
    build_benchmark,
    build_items,
    contamination,
    duplicate_share,
    unevenness,
    verify,
)
from spine_models.reporting.instructions.build import item_text
from spine_models.reporting.instructions.reading import places_in
from spine_models.reporting.instructions.tables import BENCHMARK, ITEMS
from spine_models.reporting.instructions.wording import words
from tests.reporting.instructions.conftest import PLAIN, ledgers, report, tables_of

TRAIN = [f"p-s{n:02d}" for n in range(40)]
TEST = [f"p-s{n:02d}" for n in range(40, 60)]


@pytest.fixture(scope="module")
def built(many):
    from spine_models.config import InstructionSettings

    return build_items(many.cases(TRAIN), InstructionSettings())


def test_every_kind_and_dimension_is_there_and_verified(built, many):
    items = built.items
    assert items.schema == ITEMS
    assert set(items["kind"]) == {"short", "long", "choice", "multi_turn", "report"}
    assert set(items["dimension"]) == {"condition", "level", "side", "severity", "next_sequence", "report"}
    assert items["verified"].all()
    assert items["rejected_reason"].null_count() == items.height
    assert items["item_key"].is_unique().all()
    cases = many.cases()
    assert all(verify(row, cases[row["study_key"]]) is None for row in items.iter_rows(named=True))
    assert built.refused["rejected_reason"].null_count() == 0
    assert not built.refused["verified"].any()
    assert built.refused.height < 0.05 * items.height


def test_every_item_says_where_it_comes_from(built, many):
    texts = dict(many.reports.select("report_key", "report_text").iter_rows())
    for row in built.items.iter_rows(named=True):
        assert texts[row["report_key"]][row["evidence_start"] : row["evidence_end"]] == row["evidence"] != ""
        assert row["writer"] == "templates"
        assert row["prompt_version"] == words().version
        assert row["labels_version"].startswith("rules@")
        assert row["draft"]
        assert len(row["turns"]) == len(row["asks"])
        assert row["patient_key"] in TRAIN


def test_answers_are_those_of_the_labels_read_without_this_room(built, many):
    """Against the consensus table itself, by plain comparison."""
    told = {(r["study_key"], r["condition"]): r for r in many.consensus.iter_rows(named=True)}
    for row in built.items.filter(pl.col("kind").is_in(["short", "choice"])).iter_rows(named=True):
        label = told[row["study_key"], row["condition"]]
        assert label["status"] == row["status"]
        answer = row["answer"].casefold()
        if row["dimension"] == "condition" and row["kind"] == "short":
            assert answer.startswith("yes" if label["label"] == 1 else "no")
        if row["dimension"] == "level":
            assert answer.rstrip(".").rsplit(" ", 1)[-1].upper() in label["levels"]
        if row["dimension"] == "severity":
            assert label["severity"] in answer
        if row["dimension"] == "side":
            assert label["side"] in answer


def test_yes_and_no_are_balanced_for_each_condition(built):
    yes_no = built.items.filter(kind="short", dimension="condition")
    both = 0
    for condition in condition_keys():
        own = Counter(yes_no.filter(condition=condition)["status"])
        if len(own) == 2:
            both += 1
            assert abs(own["present"] - own["absent"]) <= 1
    assert both >= 3


def test_right_options_stand_in_all_places_alike_and_answers_do_not_tell_the_place(built):
    assert unevenness(built.items) <= 1
    choices = built.items.filter(kind="choice")
    for (_, size), own in choices.with_columns(n=pl.col("options").list.len()).group_by("dimension", "n"):
        shares = Counter(own["correct"])
        assert max(shares.values()) - min(shares.get(k, 0) for k in range(size)) <= 1
    for row in choices.iter_rows(named=True):
        assert row["options"][row["correct"]] == row["answer"]
        assert row["turns"][0]["answer"] == f"{'ABCD'[row['correct']]}. {row['answer']}"
        for letter, option in zip("ABCD", row["options"], strict=False):
            assert f"\n{letter}. {option}" in row["turns"][0]["question"]


def test_the_right_level_has_no_favourite_rank_among_the_levels_offered(many, settings):
    """With neighbours on both sides the middle one would be right; here every rank is, where anatomy allows it."""
    ranks = Counter()
    for seed in range(8):
        choices = build_items(many.cases(TRAIN), settings(seed=seed)).items.filter(
            kind="choice", dimension="level"
        )
        for row in choices.iter_rows(named=True):
            if row["answer"] == "L3-L4":
                ranks[sorted(row["options"], key=DISCS.index).index(row["answer"])] += 1
    assert len(ranks) >= 3
    assert max(ranks.values()) < 0.7 * sum(ranks.values())


def test_wrong_options_are_wrong_by_the_labels_and_plausible(built, many):
    told = {(r["study_key"], r["condition"]): r for r in many.consensus.iter_rows(named=True)}
    names = {words().topic(key, region).casefold(): key for key in condition_keys() for region in _regions()}
    for row in built.items.filter(kind="choice").iter_rows(named=True):
        wrong = [o for n, o in enumerate(row["options"]) if n != row["correct"]]
        if row["dimension"] == "condition":
            assert all(told[row["study_key"], names[o.casefold()]]["label"] == 0 for o in wrong)
        if row["dimension"] == "level":
            levels = set(told[row["study_key"], row["condition"]]["levels"])
            assert not levels & set(wrong)
            assert {o[0] for o in wrong} <= {"L", "S", "T"}


def _regions():
    from spine_models.domain import Region

    return (Region.LUMBAR, Region.CERVICAL)


def test_questions_do_not_give_the_answer_away(built):
    for row in built.items.iter_rows(named=True):
        named = places_in(row["question"])
        assert row["dimension"] != "level" or not named.levels
        assert row["dimension"] != "side" or not named.sides
        assert row["dimension"] != "severity" or not named.severities


def test_no_two_items_have_the_same_words(built):
    assert duplicate_share(built.items) == 0.0
    assert len({item_text(row) for row in built.items.iter_rows(named=True)}) == built.items.height
    twice = pl.concat([built.items, built.items.head(1)])
    assert duplicate_share(twice) == pytest.approx(2 / twice.height)
    assert duplicate_share(built.items.clear()) == 0.0


def test_reports_say_what_the_labels_say(built, many):
    cases = many.cases()
    reports = built.items.filter(kind="report")
    assert reports.height >= 30
    for row in reports.iter_rows(named=True):
        reference = cases[row["study_key"]].reference
        said = [u for u in units_of_text(row["answer"]) if u.condition not in reference.excluded]
        assert said == [u for u in reference.units if u.condition not in reference.excluded]


def test_the_same_seed_gives_the_same_items_and_another_other_words(many, settings):
    few = many.cases(TRAIN[:6])
    first = build_items(few, settings()).items
    assert build_items(few, settings()).items.equals(first)
    other = build_items(few, settings(seed=1)).items
    shared = first.join(other, on="item_key", suffix="_other")
    assert (shared["question"] != shared["question_other"]).any()


def test_the_benchmark_has_questions_of_its_own(many, settings, built):
    benchmark = build_benchmark(many.cases(TEST), settings())
    assert benchmark.schema == BENCHMARK
    assert set(benchmark["kind"]) == {"choice", "report"}
    assert set(benchmark["dimension"]) == {
        "condition",
        "level",
        "side",
        "severity",
        "next_sequence",
        "report",
    }
    assert set(benchmark["split"]) == {"test"}
    assert unevenness(benchmark) <= 1
    assert not set(benchmark["template"]) & set(built.items["template"])
    frozen, today = ledgers(TRAIN, TEST)
    found = contamination(
        built.items, benchmark, reports=many.reports, ledger=frozen, splits=today, threshold=0.95
    )
    assert found["overlap"].sum() == 0


def test_a_report_of_a_test_patient_under_a_train_patient_is_left_out(settings):
    texts = {f"s{n:02d}": report(n) for n in range(6)} | {"bad": PLAIN.replace("PLAIN", ""), "test": PLAIN}
    tables = tables_of(texts)
    cases = tables.cases([p for p in tables.reports["patient_key"] if p != "p-test"])
    held_out = {"r-test": PLAIN}
    built = build_items(cases, settings(near_duplicate=0.95), held_out=held_out)
    assert "bad" not in set(built.items["study_key"])
    refused = built.refused.filter(study_key="bad")
    assert set(refused["rejected_reason"]) == {"report_like_a_held_out_one"}
    assert built.items["study_key"].n_unique() == 6
    touched = {"r-test": PLAIN.upper().replace("02/08/2023", "03/09/2019").replace("DICTATED", "SIGNED")}
    again = build_items(cases, settings(near_duplicate=0.8), held_out=touched)
    assert "bad" not in set(again.items["study_key"])


def test_a_lake_without_reports_gives_empty_tables(settings):
    built = build_items({}, settings())
    assert (built.items.height, built.refused.height) == (0, 0)
    assert built.items.schema == ITEMS
    benchmark = build_benchmark({}, settings())
    assert benchmark.schema == BENCHMARK
    assert unevenness(benchmark) == 0
