from __future__ import annotations

import polars as pl
import pytest

from spine_models.corpus.statements import Unit
from spine_models.domain import condition_keys
from spine_models.reporting.instructions import (
    agents_choose,
    agents_report,
    build_benchmark,
    build_items,
    contamination,
    prior_chooses,
    prior_report,
    score_choices,
    score_reports,
)
from spine_models.reporting.instructions.tables import BENCHMARK_SCORES
from tests.reporting.instructions.conftest import ledgers

TRAIN = [f"p-s{n:02d}" for n in range(40)]
TEST = [f"p-s{n:02d}" for n in range(40, 60)]
DRAWN = {"bootstrap": 200, "seed": 0}


@pytest.fixture(scope="module")
def room(many):
    from spine_models.config import InstructionSettings

    settings = InstructionSettings()
    held = many.cases(TEST)
    return build_items(many.cases(TRAIN), settings).items, build_benchmark(held, settings), held


def row(scores, dimension):
    return scores.row(by_predicate=pl.col("dimension") == dimension, named=True)


def test_right_answers_score_one_wrong_ones_none_and_silence_is_not_right(room):
    _, benchmark, _ = room
    choices = benchmark.filter(kind="choice")
    right = dict(choices.select("item_key", "correct").iter_rows())
    scores = score_choices(benchmark, right, "perfect", **DRAWN)
    assert scores.schema == BENCHMARK_SCORES
    assert set(scores["score"]) == {1.0}
    assert set(scores["answered"]) == {1.0}
    wrong = {r["item_key"]: (r["correct"] + 1) % len(r["options"]) for r in choices.iter_rows(named=True)}
    assert set(score_choices(benchmark, wrong, "wrong", **DRAWN)["score"]) == {0.0}
    for silent in ({}, dict.fromkeys(right), dict.fromkeys(right, 99), dict.fromkeys(right, -1)):
        none = score_choices(benchmark, silent, "silent", **DRAWN)
        assert set(none["score"]) == {0.0}
        assert set(none["answered"]) == {0.0}


def test_chance_is_one_over_the_options_and_intervals_hold_the_score(room):
    _, benchmark, _ = room
    first = dict.fromkeys(benchmark["item_key"], 0)
    scores = score_choices(benchmark, first, "first", **DRAWN)
    severity = row(scores, "severity")
    assert severity["chance"] == pytest.approx(1 / 3)
    for one in scores.iter_rows(named=True):
        assert one["low"] <= one["score"] <= one["high"]
        # Places are dealt evenly, so always taking the first one is right as often as chance, up to one item a block.
        assert abs(one["score"] - one["chance"]) <= 4 / one["n"] + 1e-9
    assert row(scores, "all")["n"] == benchmark.filter(kind="choice").height
    assert row(scores, "all")["n_patients"] == benchmark.filter(kind="choice")["patient_key"].n_unique()


def claims_of(held, probability=0.9):
    rows = []
    place = {"level": pl.String, "side": pl.String, "severity": pl.String}
    for case in held.values():
        for condition, (_, label) in case.labels.items():
            units = case.units(condition)
            rows.append(
                {
                    "study_key": case.study_key,
                    "condition": condition,
                    "probability": probability if label == 1 else 0.1,
                    "affirmed": label == 1,
                    "certainty": "definite" if label == 1 else None,
                    "places": [{"level": u.level, "side": u.side, "severity": u.severity} for u in units],
                }
            )
    schema = {
        "study_key": pl.String,
        "condition": pl.String,
        "probability": pl.Float64,
        "affirmed": pl.Boolean,
    }
    return pl.DataFrame(rows, schema=schema | {"certainty": pl.String, "places": pl.List(pl.Struct(place))})


def test_agents_that_know_everything_answer_all_but_the_next_sequence(room):
    _, benchmark, held = room
    claims = claims_of(held)
    scores = score_choices(benchmark, agents_choose(benchmark, claims), "agents", **DRAWN)
    for dimension in ("condition", "level", "side", "severity"):
        assert row(scores, dimension)["score"] == 1.0, dimension
    assert row(scores, "next_sequence")["answered"] == 0.0
    reports = score_reports(benchmark, held, agents_report(claims), "agents", **DRAWN)
    assert row(reports, "report: all")["score"] == pytest.approx(1.0)


def test_agents_without_claims_or_places_do_not_guess(room):
    _, benchmark, held = room
    assert set(agents_choose(benchmark, claims_of(held).clear()).values()) == {None}
    silent = claims_of(held).with_columns(
        probability=pl.lit(None, dtype=pl.Float64), places=pl.lit([], dtype=claims_of(held).schema["places"])
    )
    assert set(agents_choose(benchmark, silent).values()) == {None}


def judged_levels(held, reverse: bool = False) -> pl.DataFrame:
    """Every level that any report names, probable where the study's own does; the other way round with ``reverse``."""
    levels = {unit.level for case in held.values() for unit in case.reference.units if unit.level}
    rows = []
    for study, case in held.items():
        for condition in condition_keys():
            own = [u for u in case.reference.units if u.condition == condition]
            for level in sorted(levels):
                for side in ("left", "right"):
                    said = any(u.level == level and u.side in (side, "bilateral", None) for u in own)
                    rows.append((study, condition, level, side, 0.9 if said is not reverse else 0.1))
    return pl.DataFrame(rows, schema=["study_key", "condition", "level", "side", "probability"], orient="row")


def test_judged_levels_answer_what_no_claim_names(room):
    """All claims say nothing; heads of levels that know the reports choose every condition, level and single side."""
    _, benchmark, held = room
    silent = claims_of(held).with_columns(
        probability=pl.lit(None, dtype=pl.Float64), places=pl.lit([], dtype=claims_of(held).schema["places"])
    )
    chosen = agents_choose(benchmark, silent, judged_levels(held))
    wrong = agents_choose(benchmark, silent, judged_levels(held, reverse=True))
    asked = missed = 0
    for item in benchmark.filter(kind="choice").iter_rows(named=True):
        key = item["item_key"]
        if item["dimension"] in ("severity", "next_sequence"):
            assert chosen[key] is None
        elif item["dimension"] in ("condition", "level") or item["side"] in ("left", "right"):
            own = [u for u in held[item["study_key"]].reference.units if u.condition == item["condition"]]
            if any(unit.level is None for unit in own):
                continue
            asked += 1
            missed += wrong[key] != item["correct"]
            assert chosen[key] == item["correct"], item["question"]
    assert asked > 20
    assert missed > 0.8 * asked


def test_the_first_of_equally_probable_options_is_taken_and_unjudged_studies_fall_back_to_claims(room):
    _, benchmark, held = room
    flat = judged_levels(held).with_columns(probability=pl.lit(0.5))
    chosen = agents_choose(benchmark, claims_of(held).clear(), flat)
    known = set(flat["level"])
    for item in benchmark.filter(kind="choice", dimension="level").iter_rows(named=True):
        judged = [n for n, option in enumerate(item["options"]) if option in known]
        assert chosen[item["item_key"]] == judged[0]
    assert agents_choose(benchmark, claims_of(held), flat.clear()) == agents_choose(
        benchmark, claims_of(held)
    )


def test_the_prior_reads_train_items_and_never_the_answers(room, many):
    items, benchmark, held = room
    chosen = prior_chooses(benchmark, items)
    truth = [pl.lit(None).alias(name) for name in ("level", "side", "severity", "status")]
    blind = benchmark.with_columns(correct=pl.lit(0, dtype=pl.Int32), answer=pl.lit("?")).with_columns(truth)
    assert prior_chooses(blind, items) == chosen
    assert agents_choose(blind, claims_of(held)) == agents_choose(benchmark, claims_of(held))
    assert set(prior_chooses(benchmark, items.clear()).values()) == {None}
    said = prior_report(many.cases(TRAIN), list(held))
    assert len({tuple(units) for units in said.values()}) == 1


def test_sections_are_scored_by_condition_level_and_side(room):
    _, benchmark, held = room
    said = {study: list(case.reference.units) for study, case in held.items()}
    assert row(score_reports(benchmark, held, said, "x", **DRAWN), "report: AXIAL")["score"] == pytest.approx(
        1.0
    )
    flipped = {
        study: [
            Unit(u.condition, u.level, {"left": "right", "right": "left"}.get(u.side, u.side)) for u in units
        ]
        for study, units in said.items()
    }
    part = row(score_reports(benchmark, held, flipped, "x", **DRAWN), "report: AXIAL")["score"]
    assert 0.3 < part < 1.0
    marrow = row(score_reports(benchmark, held, flipped, "x", **DRAWN), "report: MARROW")["score"]
    assert marrow == pytest.approx(1.0), "marrow has no sides"
    empty = row(score_reports(benchmark, held, dict.fromkeys(held, ()), "x", **DRAWN), "report: all")
    assert (empty["score"], empty["answered"]) == (0.0, 1.0)
    assert row(score_reports(benchmark, held, {}, "x", **DRAWN), "report: all")["answered"] == 0.0


def overlaps(found):
    return {r["rule"] for r in found.filter(pl.col("overlap") > 0).iter_rows(named=True)}


def test_contamination_finds_whatever_is_smuggled_in(room, many):
    items, benchmark, _ = room
    frozen, today = ledgers(TRAIN, TEST)

    def ask(items=items, benchmark=benchmark, frozen=frozen, today=today, reports=many.reports):
        found = contamination(items, benchmark, reports=reports, ledger=frozen, splits=today, threshold=0.9)
        return overlaps(found)

    assert ask() == set()
    moved = items.with_columns(
        patient_key=pl.when(pl.col("study_key") == "s00").then(pl.lit("p-s40")).otherwise("patient_key")
    )
    assert ask(items=moved) == {
        "item_patients_are_frozen", "item_patients_are_not_held_out", "no_common_patients", "studies_have_one_patient",
    }  # fmt: skip
    late = frozen.filter(pl.col("patient_key") != "p-s00")
    assert ask(frozen=late) == {"item_patients_are_frozen"}
    resplit = today.with_columns(
        split=pl.when(pl.col("patient_key") == "p-s00").then(pl.lit("test")).otherwise("split")
    )
    assert "item_patients_are_not_held_out" in ask(today=resplit)
    smuggled = pl.concat([items, benchmark.drop("split").head(1).with_columns(
        patient_key=pl.lit("p-s00"), study_key=pl.lit("s00"), report_key=pl.lit("r-s00")
    )])  # fmt: skip
    assert ask(items=smuggled) == {"no_common_texts", "no_similar_texts"}
    text = many.reports.filter(study_key="s40")["report_text"][0].replace(
        "FINDINGS:", "[PLACE]\nName: [NAME]\nAcc# [ID], 02/03/2024\nFINDINGS: "
    )
    copied = many.reports.with_columns(
        report_text=pl.when(pl.col("study_key") == "s00").then(pl.lit(text)).otherwise("report_text")
    )
    assert ask(reports=copied) == {"no_similar_reports"}
    wrong = benchmark.with_columns(patient_key=pl.lit("p-s01"))
    assert ask(benchmark=wrong) == {"benchmark_patients_are_test", "no_common_patients"}
    outside = frozen.with_columns(
        split=pl.when(pl.col("patient_key") == "p-s40").then(pl.lit("outside")).otherwise("split")
    )
    assert ask(frozen=outside) == set(), "whose slices are no spine is test for ever all the same"
