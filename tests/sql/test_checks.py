"""Every rule holds in a valid lake, and each is broken by a lake that breaks it, alone."""

from __future__ import annotations

import math
import re
from copy import deepcopy

import pytest

from sql.catalogue import checks
from sql.declarations import declarations
from sql.warehouse import broken_rows, open_lake
from tests.sql.agents_lake import AGENT_CASES, AGENTS_TOGETHER, forget_neighbours
from tests.sql.broken_corpus import CORPUS_CASES
from tests.sql.broken_findings import FINDINGS_CASES
from tests.sql.broken_training import TRAINING_CASES
from tests.sql.instructions_lake import INSTRUCTION_CASES
from tests.sql.levels_lake import LEVEL_CASES, LEVELS_TOGETHER
from tests.sql.llava_lake import LLAVA_CASES
from tests.sql.scores_lake import SCORES_CASES
from tests.sql.strata_lake import STRATA_CASES

NAN = math.nan
TRAINED_ON = (
    "backbone__only_train_patients",
    "backbone__gram_only_train_patients",
    "clip__only_train_patients",
    "synthesizer__only_train_patients",
    "synthesizer__align_only_train_patients",
    "ablations__only_train_patients",
    "llava__only_train_patients",
)
"""Rules that read the frozen ledger too."""


def _test_slice_in_a_training_tar(lake):
    tar = lake.first("shards.slices", split="train", route="t1")["shard"]
    lake.change("shards.slices", where={"split": "test", "route": "t1"}, shard=tar)
    manifest = lake.first("shards.manifest", shard=tar)
    manifest.update(n_slices=manifest["n_slices"] + 1, n_patients=manifest["n_patients"] + 1)


def _scored_twice(lake):
    lake.repeat("probes.predictions", evaluation="test")
    lake.rows["probes.predictions"][-1].update(evaluation="cv", fold=0)


CASES = [
    *CORPUS_CASES, *TRAINING_CASES, *FINDINGS_CASES, *LEVEL_CASES, *STRATA_CASES, *AGENT_CASES, *INSTRUCTION_CASES,
    *LLAVA_CASES, *SCORES_CASES,
]  # fmt: skip

# A patient who is scored in both evaluations is, in one of them, in the wrong split; a test slice in a training tar
# has another split than its tar. The wider rule is broken with the narrower one.
TOGETHER = [
    *AGENTS_TOGETHER,
    *LEVELS_TOGETHER,
    (
        {"embeddings__every_routed_slice_has_a_vector", "embeddings__refreshed_adds_up"},
        lambda lake: lake.drop("embeddings.slices"),
    ),
    (
        {"embeddings__every_routed_slice_has_a_vector", "embeddings__refreshed_adds_up"},
        lambda lake: lake.repeat("embeddings.slices"),
    ),
    ({"probes__no_patient_in_both_evaluations", "probes__evaluation_matches_split"}, _scored_twice),
    (
        {"shards__no_test_patient_trains", "shards__slice_in_manifest_is_train_or_val"},
        _test_slice_in_a_training_tar,
    ),
    (
        {"shards__no_test_patient_trains", *TRAINED_ON},
        lambda lake: lake.change("shards.patients", may_train=False),
    ),
    (
        {"shards__no_test_patient_trains", *TRAINED_ON},
        lambda lake: lake.drop("shards.patients", split="train"),
    ),
]


def broken(connection, names=None) -> set[str]:
    return {name for name in names or checks() if broken_rows(connection, checks()[name])[0]}


@pytest.fixture(scope="module")
def reads() -> dict[str, set[str]]:
    """The declared tables that each rule reads, through the derived views too."""
    _, views = declarations()
    behind = {view.name: view.statement for view in views}

    def tables(statement: str) -> set[str]:
        found = set(re.findall(r"\b[a-z]+\.[a-z_]+\b", statement))
        return found.union(*(tables(behind[name].partition(" AS ")[2]) for name in found & set(behind)))

    return {name: tables(check.statement) for name, check in checks().items()}


@pytest.fixture(scope="module")
def opened(valid):
    with open_lake(valid) as connection:
        yield connection


@pytest.fixture
def broken_by(opened, valid, reads, lake, tmp_path):
    """The rules that a mutation breaks; only changed tables are written, only rules that read them are asked."""

    def ask(mutate) -> set[str]:
        before, after = deepcopy(lake), lake
        mutate(after)
        changed = [name for name in after.rows if after.rows[name] != before.rows[name]]
        assert changed, "the mutation does nothing"
        opened.execute("BEGIN")
        try:
            for name in changed:
                # Inside the lake: the connection reads nothing else.
                path = valid / f"{tmp_path.name}-{name}.parquet"
                after.frame(name).write_parquet(path)
                opened.execute(f"CREATE OR REPLACE VIEW {name} AS SELECT * FROM read_parquet('{path}')")
            return broken(opened, [rule for rule, tables in reads.items() if tables & set(changed)])
        finally:
            opened.execute("ROLLBACK")

    return ask


def test_a_valid_lake_breaks_no_rule(opened):
    assert broken(opened) == set()


@pytest.mark.parametrize(("rule", "mutate"), CASES, ids=[f"{i}-{rule}" for i, (rule, _) in enumerate(CASES)])
def test_a_broken_rule_is_found_and_no_other(rule, mutate, broken_by):
    assert broken_by(mutate) == {rule}


@pytest.mark.parametrize(("rules", "mutate"), TOGETHER)
def test_rules_that_break_together(rules, mutate, broken_by):
    assert broken_by(mutate) == rules


def test_every_rule_has_a_lake_that_breaks_it():
    assert {rule for rule, _ in CASES} | set.union(*(rules for rules, _ in TOGETHER)) == set(checks())


def test_broken_rows_show_no_free_text(opened):
    """The first rows of a broken rule become metadata of the orchestrator; texts stay in the lake."""
    texts = {"text", "report_text", "note", "evidence", "sentence", "exam", "series_description"}
    for name, check in checks().items():
        assert not texts & set(opened.sql(check.statement).columns), name


def test_broken_rows_counts_all_and_shows_the_first(lake, tmp_path):
    for row in lake.rows["deid.files"]:
        row["outcome"] = "lost"
    with open_lake(lake.write(tmp_path)) as connection:
        assert broken(connection) == {"deid__every_file_has_one_outcome"}
        number, first = broken_rows(connection, checks()["deid__every_file_has_one_outcome"], limit=2)
    assert number == len(lake.rows["deid.files"])
    assert len(first) == 2
    assert first[0]["outcomes"] == ["lost"]


def test_batches_that_wait_are_not_broken(lake, tmp_path):
    """Only deid has run for the second batch: no rule of a later stage may complain yet."""
    for name in lake.rows:
        if not name.startswith("deid."):
            lake.rows[name] = [row for row in lake.rows[name] if row.get("batch_key") != "internal-0002"]
    seen = {row["patient_key"] for row in lake.rows["shards.splits"]}
    for name in (
        "probes.predictions",
        "probes.guard_patients",
        "localization.patients",
        "localization.level_patients",
    ):
        lake.rows[name] = [r for r in lake.rows[name] if r["patient_key"] in seen]
    for name in ("probes.operating_points", "agents.scorecard"):
        lake.rows[name] = []
    held = {row["study_key"] for row in lake.rows["embeddings.aligned"]}
    found = lake.rows["retrieval.neighbours"]
    lake.rows["retrieval.neighbours"] = [row for row in found if row["neighbour_study_key"] in held]
    forget_neighbours(lake, held)
    with open_lake(lake.write(tmp_path)) as connection:
        assert broken(connection) == set()


def test_a_patient_with_nothing_but_outside_slices_breaks_no_rule(lake, tmp_path):
    """The manifest then calls the patient outside, whatever split the patient has for ever."""
    patient = lake.first("shards.patients", split="test")["patient_key"]
    for row in lake.rows["shards.slices"]:
        if row["patient_key"] == patient:
            row.update(split="outside", shard="t1/outside/shard-000000.tar")
    lake.change("shards.patients", where={"patient_key": patient}, split="outside")
    with open_lake(lake.write(tmp_path)) as connection:
        assert broken(connection) == set()


def test_numbers_that_a_site_left_out_break_no_rule(lake, tmp_path):
    lake.change("deid.ehr_encounters", encounter_key=None)
    lake.change("deid.ehr_orders", order_key=None)
    with open_lake(lake.write(tmp_path)) as connection:
        assert broken(connection) == set()


def test_an_empty_lake_breaks_no_rule(tmp_path):
    with open_lake(tmp_path) as connection:
        assert broken(connection) == set()
