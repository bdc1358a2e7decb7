"""Saved guards: bound to their heads, honest about what they cannot judge."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

from spine_models.config import ProbeSettings, StratumSettings
from spine_models.findings.embeddings.tables import STUDIES
from spine_models.findings.probes.evaluate import evaluate_probes
from spine_models.findings.probes.heads import fit_heads, load_heads
from spine_models.findings.probes.strata.conformal import NO_THRESHOLD, calibrate, decide, measure
from spine_models.findings.probes.strata.guarded import guarded
from spine_models.findings.probes.strata.guards import GuardsError, fit_guards, load_guards
from spine_models.findings.probes.strata.tables import GUARD_PATIENTS, PROBABILITIES

PROBES = ProbeSettings(bootstrap=10, regularisation=(1e-2, 1e-1))
SETTINGS = StratumSettings(bootstrap=20, alpha=0.2, scope_level=0.05, scope_components=8)


@pytest.fixture
def made(cohort):
    return cohort(patients=120, signal=2.5)


def build(made, out, *, predictions=None, **changes):
    fit_heads(made.vectors, made.labels, made.splits, settings=PROBES, out=out / "heads")
    heads = load_heads(out / "heads")
    if predictions is None:
        predictions = evaluate_probes(
            made.vectors, None, made.labels, made.splits, settings=PROBES
        ).predictions
    settings = SETTINGS.model_copy(update=changes)
    fitted = fit_guards(
        predictions, made.vectors, made.labels, made.splits, heads,
        probes=PROBES, settings=settings, out=out / "guards",
    )  # fmt: skip
    return heads, fitted


def test_every_probability_has_a_decision_and_a_scope(made, tmp_path):
    heads, fitted = build(made, tmp_path)
    guards = load_guards(tmp_path / "guards", heads)
    table = guarded(made.vectors, heads, guards)
    assert table.schema == PROBABILITIES
    asked = heads.predict(made.vectors)
    assert table.select("study_key", "condition", "sequence_set", "probability").equals(asked)
    assert set(table["decision"]) <= {"present", "absent", "abstain"}
    assert (table["reason"].is_null() == (table["decision"] != "abstain")).all()
    assert table["in_scope"].mean() > 0.8
    assert set(table["heads_version"]) == {heads.version}
    assert set(table["guards_version"]) == {guards.version} == {fitted.card["guards_version"]}
    assert {tuple(v) for v in table["model_versions"]} == {("m-t1", "m-t2")}
    for row in table.head(30).iter_rows(named=True):
        threshold = guards.thresholds[row["condition"], row["sequence_set"]]
        assert decide(threshold, np.array([row["probability"]]))[0] == [row["decision"]]


def test_a_study_of_one_route_and_an_odd_study(made, tmp_path):
    heads, _ = build(made, tmp_path)
    guards = load_guards(tmp_path / "guards", heads)
    alone = guarded(made.vectors.filter(route="t2").head(5), heads, guards)
    assert alone["sequence_set"].is_in(["t2", "all"]).all()
    assert alone["study_key"].n_unique() == 5
    assert alone["out_of_scope"].is_not_null().all()
    assert not alone["out_of_scope"].is_nan().any()
    assert {tuple(v) for v in alone["model_versions"]} == {("m-t2",)}
    key = made.vectors["study_key"][0]
    far = made.vectors.filter(study_key=key).with_columns(
        vector=pl.col("vector").list.eval(pl.element() * 20)
    )
    odd = guarded(far, heads, guards)
    assert not odd["in_scope"].any()
    assert odd["out_of_scope"].max() <= 0.05


def test_guards_of_other_heads_are_refused(made, cohort, tmp_path):
    build(made, tmp_path / "a")
    other = cohort(patients=120, signal=2.5, seed=5)
    heads, _ = build(other, tmp_path / "b")
    with pytest.raises(GuardsError, match="belong to heads"):
        load_guards(tmp_path / "a" / "guards", heads)


def test_predictions_of_another_run_are_refused(made, cohort, tmp_path):
    other = cohort(patients=120, signal=2.5, seed=5)
    predictions = evaluate_probes(
        other.vectors, None, other.labels, other.splits, settings=PROBES
    ).predictions
    with pytest.raises(GuardsError, match="not those of probes/heads"):
        build(made, tmp_path, predictions=predictions)


def test_no_test_patient_is_in_the_guards(made, tmp_path):
    _, fitted = build(made, tmp_path)
    assert fitted.patients.schema == GUARD_PATIENTS
    assert set(fitted.patients["part"]) == {"conformal", "scope"}
    split = dict(made.splits.select("patient_key", "split").iter_rows())
    assert {split[key] for key in fitted.patients["patient_key"]} == {"train"}


def test_a_condition_without_threshold_abstains(made, tmp_path):
    heads, _ = build(made, tmp_path)
    guards = load_guards(tmp_path / "guards", heads)
    asked = pl.DataFrame(
        {"study_key": ["s0000"], "condition": ["cyst"], "sequence_set": ["all"], "probability": [0.99]}
    )
    judged = guards.judge(made.vectors, asked).row(0, named=True)
    assert (judged["decision"], judged["reason"]) == ("abstain", NO_THRESHOLD)


def test_an_error_rate_that_few_patients_cannot_show_abstains_always(made, tmp_path):
    heads, _ = build(made, tmp_path, alpha=0.01)
    table = guarded(made.vectors, heads, load_guards(tmp_path / "guards", heads))
    assert set(table["decision"]) == {"abstain"}
    assert table["reason"].str.contains("at least 99 are needed for an error rate of 0.01").all()


def test_a_level_that_few_patients_cannot_show_keeps_everything_in_scope(made, tmp_path):
    heads, _ = build(made, tmp_path, scope_level=0.0001)
    far = made.vectors.with_columns(vector=pl.col("vector").list.eval(pl.element() * 20))
    table = guarded(far, heads, load_guards(tmp_path / "guards", heads))
    assert table["in_scope"].all()
    assert table["out_of_scope"].is_not_null().all()


def test_no_heads_give_guards_that_judge_nothing(cohort, tmp_path):
    empty = cohort(prevalence={})
    heads, fitted = build(empty, tmp_path)
    assert fitted.patients.schema == GUARD_PATIENTS
    assert fitted.patients.is_empty()
    guards = load_guards(tmp_path / "guards", heads)
    assert guarded(empty.vectors, heads, guards).equals(pl.DataFrame(schema=PROBABILITIES))
    assert guarded(pl.DataFrame(schema=STUDIES), heads, guards).schema == PROBABILITIES


def test_vectors_of_another_encoder_are_refused(made, tmp_path):
    heads, _ = build(made, tmp_path)
    guards = load_guards(tmp_path / "guards", heads)
    retrained = made.vectors.with_columns(model_version=pl.lit("m-new"))
    with pytest.raises(GuardsError, match="version m-t1 of route 't1', the vectors are of version m-new"):
        guards.judge(retrained, heads.predict(made.vectors))


def test_vectors_of_another_preprocessing_are_refused(made, tmp_path):
    heads, fitted = build(made, tmp_path)
    assert fitted.card["preprocessing_versions"] == {"t1": "p1", "t2": "p1"}
    guards = load_guards(tmp_path / "guards", heads)
    other = made.vectors.with_columns(preprocessing_version=pl.lit("p2"))
    with pytest.raises(
        GuardsError, match="preprocessing version p1 of route 't1', the vectors are of version p2"
    ):
        guards.judge(other, heads.predict(made.vectors))


def test_guards_of_the_former_format_are_refused(made, tmp_path):
    heads, fitted = build(made, tmp_path)
    place = tmp_path / "guards" / "card.json"
    place.write_text(json.dumps({**fitted.card, "format": 1}))
    with pytest.raises(GuardsError, match="are of format 1, this version reads format 2"):
        load_guards(tmp_path / "guards", heads)


def test_vectors_that_saw_reports_are_guarded_and_no_test_patient_is_in_it(made, tmp_path):
    made.vectors = made.vectors.with_columns(
        encoder=pl.when(pl.col("route") == "t1").then(pl.lit("synthesizer-conditional")).otherwise("encoder"),
        route=pl.col("route").replace({"t1": "other"}),
    )
    split = pl.when(pl.int_range(pl.len()) % 5 == 0).then(pl.lit("val")).otherwise("split")
    made.splits = made.splits.with_columns(
        split=pl.when(pl.col("split") == "train").then(split).otherwise("split")
    )
    heads, fitted = build(made, tmp_path)
    guards = load_guards(tmp_path / "guards", heads)
    on = {key: one.calibrated_on for key, one in guards.thresholds.items()}
    assert (on["canal", "t2"], on["canal", "all"], on["canal", "other"]) == ("cv", "val", "val")
    of = dict(made.splits.select("patient_key", "split").iter_rows())
    parts = {
        name: {of[key] for key in part["patient_key"]} for (name,), part in fitted.patients.group_by("part")
    }
    assert parts == {"conformal": {"train", "val"}, "scope": {"train"}}
    assert {"present", "absent"} <= set(guarded(made.vectors, heads, guards)["decision"])


def test_same_input_same_guards_and_damage_is_seen(made, tmp_path):
    one, two = (build(made, tmp_path / name)[1].card for name in ("one", "two"))
    assert one == two == json.loads((tmp_path / "one" / "guards" / "card.json").read_text())
    heads = load_heads(tmp_path / "one" / "heads")
    with pytest.raises(GuardsError, match="no guards in folder"):
        load_guards(tmp_path, heads)
    place = tmp_path / "one" / "guards" / "scope.safetensors"
    data = bytearray(place.read_bytes())
    data[-3] ^= 1
    place.write_bytes(bytes(data))
    with pytest.raises(GuardsError, match="do not match their card"):
        load_guards(tmp_path / "one" / "guards", heads)


def test_the_whole_chain_keeps_its_promise(cohort):
    """Out-of-fold calibration, heads of all train patients, fresh test patients: pooled over cohorts and conditions."""
    hits, patients, variance = np.zeros(2), np.zeros(2), np.zeros(2)
    for seed in range(10):
        one = cohort(patients=240, signal=1.0, seed=seed)
        one.vectors = one.vectors.filter(route="t2")
        predictions = evaluate_probes(one.vectors, None, one.labels, one.splits, settings=PROBES).predictions
        shown = measure(predictions, calibrate(predictions, SETTINGS), SETTINGS)
        for row in shown.filter(status="evaluated", sequence_set="t2").iter_rows(named=True):
            for i, side in enumerate(("positive", "negative")):
                n = row[f"n_{side}"]
                hits[i] += row[f"coverage_{side}"] * n
                patients[i] += n
                variance[i] += n**2 * 0.16 * (1 / n + 1 / (row[f"n_calibration_{side}"] + 2))
    assert patients.min() > 300
    # Conformal coverage lies between the promise and 1 / (n + 1) above it.
    spread = 3 * np.sqrt(variance) / patients
    assert (hits / patients > 0.8 - spread).all()
    assert (hits / patients < 0.8 + 0.03 + spread).all()
    assert spread.max() < 0.09
