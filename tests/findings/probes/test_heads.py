"""Saved heads: what they predict, what they refuse."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from spine_models.config import ProbeSettings
from spine_models.findings.embeddings.tables import STUDIES
from spine_models.findings.probes.evaluate import evaluate_probes
from spine_models.findings.probes.heads import PROBABILITIES, HeadsError, fit_heads, load_heads
from spine_models.findings.probes.studies import ProbeInputError

SETTINGS = ProbeSettings(bootstrap=20, regularisation=(1e-2, 1e-1))


def fit(made, out, **changes):
    settings = SETTINGS.model_copy(update=changes)
    return fit_heads(made.vectors, made.labels, made.splits, settings=settings, out=out)


def test_heads_are_those_that_the_test_split_was_scored_with(cohort, tmp_path):
    made = cohort(signal=2.0)
    fit(made, tmp_path)
    scored = evaluate_probes(made.vectors, None, made.labels, made.splits, settings=SETTINGS).predictions
    scored = scored.filter(evaluation="test", sequence_set="all").select(
        "study_key", "condition", "probability"
    )
    found = load_heads(tmp_path).predict(made.vectors)
    assert found.schema == PROBABILITIES
    joined = found.join(scored, on=["study_key", "condition"], suffix="_scored")
    assert joined.height == scored.height > 0
    np.testing.assert_allclose(joined["probability"], joined["probability_scored"], atol=1e-5)


def test_operating_thresholds_are_those_of_the_metrics(cohort, tmp_path):
    made = cohort(signal=2.0)
    fit(made, tmp_path)
    told = {(head["condition"], head["sequence_set"]): head for head in load_heads(tmp_path).card["heads"]}
    metrics = evaluate_probes(made.vectors, None, made.labels, made.splits, settings=SETTINGS).metrics
    rows = metrics.filter(pl.col("threshold").is_not_null()).rows(named=True)
    assert len(rows) == 2 * 3 * 2
    for row in rows:
        head = told[row["condition"], row["sequence_set"]]
        assert head["threshold"] == pytest.approx(row["threshold"])
        assert head["threshold_on"] == row["threshold_on"] == "cv"
    assert ("pars", "all") not in told


def test_card_lists_heads_reasons_and_encoders(cohort, tmp_path):
    card = fit(cohort(signal=1.0), tmp_path)
    assert card == json.loads((tmp_path / "card.json").read_text())
    assert {(h["condition"], h["sequence_set"]) for h in card["heads"]} == {
        (c, s) for c in ("canal", "edema") for s in ("t1", "t2", "all")
    }
    assert len(card["missing"]) == 15 * 3 + 17
    assert card["layouts"] == {"t1": [["t1", 12]], "t2": [["t2", 12]], "all": [["t1", 12], ["t2", 12]]}
    assert card["missing"][0]["reason"] == "0 positive patients in train, at least 5 are needed"
    heads = load_heads(tmp_path)
    assert heads.conditions == ("canal", "edema")
    assert heads.model_versions == {"t1": "m-t1", "t2": "m-t2"}
    assert not list(tmp_path.glob("*.pkl"))
    assert {p.name for p in tmp_path.iterdir()} == {"heads.safetensors", "card.json"}


def test_same_input_same_bytes_and_version(cohort, tmp_path):
    one, two = (fit(cohort(signal=1.0), tmp_path / name) for name in ("one", "two"))
    assert one == two
    for name in ("heads.safetensors", "card.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    other = fit(cohort(signal=1.0, seed=9), tmp_path / "other")
    assert other["heads_version"] != one["heads_version"]
    assert load_heads(tmp_path / "one").version == one["heads_version"]


def test_a_study_is_judged_by_all_that_it_has(cohort, tmp_path):
    made = cohort(signal=2.0)
    fit(made, tmp_path)
    heads = load_heads(tmp_path)
    keys = made.vectors["study_key"].unique().sort().to_list()[:3]
    kept = made.vectors.filter(
        (pl.col("study_key") == keys[0])
        | ((pl.col("study_key") == keys[1]) & (pl.col("route") == "t1"))
        | ((pl.col("study_key") == keys[2]) & (pl.col("route") == "t2"))
    )
    found = heads.predict(kept)
    assert found.select("study_key", "condition", "sequence_set").rows() == [
        (key, condition, "all") for key in keys for condition in ("canal", "edema")
    ]
    assert found["probability"].is_between(0, 1).all()
    # Vectors of a route that the heads were not fitted on are not evidence either.
    stranger = kept.head(1).with_columns(route=pl.lit("other"), model_version=pl.lit("x"))
    assert heads.predict(pl.concat([kept, stranger])).equals(found)
    # A block that nobody of the asked studies has leaves the probability as it is.
    alone = heads.predict(kept.filter(study_key=keys[1]))
    np.testing.assert_allclose(
        alone["probability"], found.filter(study_key=keys[1])["probability"], atol=1e-12
    )


def test_a_study_does_not_depend_on_the_others_asked_with_it(cohort, tmp_path):
    made = cohort(signal=2.0)
    fit(made, tmp_path)
    heads = load_heads(tmp_path)
    together = heads.predict(made.vectors)
    key = together["study_key"][40]
    alone = heads.predict(made.vectors.filter(study_key=key))
    np.testing.assert_allclose(
        alone["probability"], together.filter(study_key=key)["probability"], atol=1e-12
    )


def test_without_a_head_for_all_the_best_single_route_is_used(cohort, tmp_path):
    made = cohort(signal=2.0)
    fit(made, tmp_path)
    heads = load_heads(tmp_path)
    fitted = heads.sets["all"].fitted & (np.arange(17) != heads.card["conditions"].index("canal"))
    heads = replace(heads, sets={**heads.sets, "all": replace(heads.sets["all"], fitted=fitted)})
    found = heads.predict(made.vectors)
    assert set(found.filter(condition="canal")["sequence_set"]) == {"t2"}
    assert set(found.filter(condition="edema")["sequence_set"]) == {"all"}
    single = heads.predict(made.vectors.filter(route="t1"))
    assert set(single.filter(condition="canal")["sequence_set"]) == {"t1"}


def test_heads_of_the_former_format_are_refused(cohort, tmp_path):
    card = fit(cohort(signal=1.0), tmp_path)
    (tmp_path / "card.json").write_text(json.dumps({**card, "format": 2}))
    with pytest.raises(HeadsError, match="are of format 2, this version reads format 3: fit them again"):
        load_heads(tmp_path)


def test_vectors_of_another_encoder_are_refused(cohort, tmp_path):
    made = cohort(signal=1.0)
    fit(made, tmp_path)
    heads = load_heads(tmp_path)
    retrained = made.vectors.with_columns(
        model_version=pl.when(pl.col("route") == "t2")
        .then(pl.lit("m-new"))
        .otherwise(pl.col("model_version"))
    )
    with pytest.raises(HeadsError, match="version m-t2 of route 't2', the vectors are of version m-new"):
        heads.predict(retrained)
    assert heads.predict(retrained.filter(route="t1")).height > 0


def test_vectors_of_another_preprocessing_are_refused(cohort, tmp_path):
    made = cohort(signal=1.0)
    card = fit(made, tmp_path)
    assert card["preprocessing_versions"] == {"t1": "p1", "t2": "p1"}
    heads = load_heads(tmp_path)
    assert heads.preprocessing_versions == card["preprocessing_versions"]
    again = pl.when(pl.col("route") == "t2").then(pl.lit("p2")).otherwise("preprocessing_version")
    shown = made.vectors.with_columns(preprocessing_version=again)
    with pytest.raises(
        HeadsError, match="preprocessing version p1 of route 't2', the vectors are of version p2"
    ):
        heads.predict(shown)
    assert heads.predict(shown.filter(route="t1")).height > 0


def test_vectors_of_another_length_are_refused(cohort, tmp_path):
    fit(cohort(signal=1.0), tmp_path)
    with pytest.raises(ProbeInputError, match="vectors of 20 numbers, heads of 12"):
        load_heads(tmp_path).predict(cohort(signal=1.0, dim=20).vectors)


def test_no_positives_anywhere_gives_no_heads_and_no_error(cohort, tmp_path):
    made = cohort(prevalence={})
    card = fit(made, tmp_path)
    heads = load_heads(tmp_path)
    assert card["heads"] == []
    assert heads.conditions == ()
    assert heads.model_versions == {}
    assert heads.predict(made.vectors).equals(pl.DataFrame(schema=PROBABILITIES))


def test_no_vectors_at_all_gives_no_heads(cohort, tmp_path):
    made = cohort()
    made.vectors = pl.DataFrame(schema=STUDIES)
    assert fit(made, tmp_path)["heads"] == []
    assert load_heads(tmp_path).predict(made.vectors).is_empty()


def test_missing_or_damaged_files_are_refused(cohort, tmp_path):
    with pytest.raises(HeadsError, match="no heads in folder"):
        load_heads(tmp_path)
    fit(cohort(signal=1.0), tmp_path)
    weights = tmp_path / "heads.safetensors"
    data = bytearray(weights.read_bytes())
    data[-3] ^= 1
    weights.write_bytes(bytes(data))
    with pytest.raises(HeadsError, match="do not match their card"):
        load_heads(tmp_path)


def test_keys_that_a_store_adds_to_the_card_do_not_matter(cohort, tmp_path):
    card = fit(cohort(signal=1.0), tmp_path)
    (tmp_path / "card.json").write_text(json.dumps({"asset": "probes/heads", "version": "f00", **card}))
    assert load_heads(tmp_path).version == card["heads_version"]
