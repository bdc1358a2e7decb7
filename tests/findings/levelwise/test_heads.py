"""Heads of levels as files and on views."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import load_file, save_file

from spine_models.domain import condition_keys
from spine_models.findings.levelwise import heads as module
from spine_models.findings.levelwise.fit import fit_level_heads
from spine_models.findings.levelwise.heads import (
    CARD,
    PREDICTED,
    WEIGHTS,
    LevelHeads,
    inputs_of,
    load_level_heads,
    save_heads,
)
from spine_models.findings.localization.tokens import LocalizationError
from tests.findings.levelwise.conftest import SETTINGS


@pytest.fixture(scope="module")
def heads(judgeable):
    return fit_level_heads(judgeable.views, judgeable.splits, judgeable.reports, settings=SETTINGS).heads


@pytest.fixture
def saved(heads, tmp_path):
    save_heads(heads, tmp_path / "heads")
    return tmp_path / "heads"


def test_opened_again_they_say_the_same(judgeable, heads, saved):
    again = load_level_heads(saved)
    assert again.version == json.loads((saved / CARD).read_text())["heads_version"] != ""
    assert list(again.heads) == list(heads.heads) == [c for c in condition_keys() if c in heads.heads]
    said, told = heads.predict(judgeable.views), again.predict(judgeable.views)
    assert said.equals(told)
    assert said["probability"].to_numpy().tobytes() == told["probability"].to_numpy().tobytes()
    assert (again.models_version, again.model_versions, again.preprocessing) == (
        "loc-a",
        ["t1:m-t1", "t2:m-t2"],
        ["p1"],
    )
    assert again.card["missing"] == heads.card["missing"]


def test_every_place_of_a_kind_has_a_probability_of_every_condition(judgeable, heads):
    views = judgeable.views.head(40)
    said = heads.predict(views)
    assert dict(said.schema) == PREDICTED
    for condition, head in heads.heads.items():
        own = said.filter(condition=condition)
        held = [n for n, level in enumerate(views["level"]) if head.kind.holds(level)]
        assert sorted(set(own["view"])) == held
        assert own.height == len(held) * (2 if head.kind.sided else 1)
        # As written down, place by place.
        places, inputs = inputs_of(views, head.kind, heads.components)
        logits = [float(row @ head.weights) + head.bias for row in inputs]
        chance = 1 / (1 + np.exp(-(head.slope * np.array(logits) + head.shift)))
        np.testing.assert_allclose(own["probability"], chance, atol=1e-9)
        assert own.select("study_key", "level", "side").equals(places.select("study_key", "level", "side"))
        assert own["flagged"].to_list() == (own["probability"] >= head.threshold).to_list()


def test_how_many_are_looked_at_together_does_not_matter(judgeable, heads, monkeypatch):
    whole = heads.predict(judgeable.views)
    monkeypatch.setattr(module, "CHUNK", 7)
    parts = heads.predict(judgeable.views)
    np.testing.assert_allclose(whole["probability"], parts["probability"], atol=1e-6)
    assert whole.drop("probability", "flagged").equals(parts.drop("probability", "flagged"))


def test_nothing_in_view_is_nothing_said(judgeable, heads):
    empty = heads.predict(judgeable.views.clear())
    assert (empty.height, dict(empty.schema)) == (0, PREDICTED)
    bones = judgeable.views.filter(~pl.col("level").str.contains("-"))
    assert set(heads.predict(bones)["condition"]) == {"fracture"}
    assert LevelHeads().predict(judgeable.views.clear()).height == 0


def test_none_are_stored_and_opened_as_none(judgeable, tmp_path):
    none = fit_level_heads(judgeable.views.clear(), judgeable.splits, {}, settings=SETTINGS).heads
    save_heads(none, tmp_path)
    again = load_level_heads(tmp_path)
    assert (again.heads, again.components) == ({}, {})
    assert again.predict(judgeable.views.clear()).is_empty()


@pytest.mark.parametrize(
    ("column", "value", "match"),
    [
        ("models_version", "older", "fitted on localization loc-a, asked with older"),
        ("model_versions", ["t2:older"], r"fitted on encoders t1:m-t1\+t2:m-t2, asked with t2:older"),
        ("preprocessing_version", "p0", "fitted on preprocessing p1, asked with p0"),
    ],
)
def test_views_of_other_versions_are_refused(judgeable, heads, column, value, match):
    first = pl.int_range(pl.len()) == 0
    mixed = judgeable.views.with_columns(pl.when(first).then(pl.lit(value)).otherwise(column).alias(column))
    with pytest.raises(LocalizationError, match=match):
        heads.predict(mixed)


def test_vectors_that_are_not_finite_are_refused(judgeable, heads):
    broken = judgeable.views.with_columns(centre=pl.col("centre").list.eval(pl.element() / 0))
    with pytest.raises(LocalizationError, match="not finite"):
        heads.predict(broken)


def test_files_that_were_not_written_together_are_refused(heads, saved, tmp_path):
    card, arrays = json.loads((saved / CARD).read_text()), load_file(saved / WEIGHTS)
    for field in ("threshold", "bias", "slope", "shift"):
        damaged = json.loads(json.dumps(card))
        damaged["heads"]["canal"][field] += 1e-9
        (saved / CARD).write_text(json.dumps(damaged))
        with pytest.raises(LocalizationError, match="do not match their card"):
            load_level_heads(saved)
    (saved / CARD).write_text(json.dumps(card))
    load_level_heads(saved)
    for name in arrays:
        moved = {n: array.copy() for n, array in arrays.items()}
        moved[name].flat[0] += 1
        save_file(moved, saved / WEIGHTS)
        with pytest.raises(LocalizationError, match="do not match their card"):
            load_level_heads(saved)
    (saved / WEIGHTS).unlink()
    with pytest.raises(LocalizationError, match=r"no heads of levels in folder heads: materialise"):
        load_level_heads(saved)


def test_the_version_is_that_of_what_bears_on_the_answer(heads, tmp_path):
    def version(changed: LevelHeads) -> str:
        return save_heads(changed, tmp_path)["heads_version"]

    first = version(heads)
    assert version(replace(heads, card={"note": "for people"})) == first
    for change in ({"models_version": "b"}, {"model_versions": []}, {"preprocessing": ["p2"]}):
        assert version(replace(heads, **change)) != first
