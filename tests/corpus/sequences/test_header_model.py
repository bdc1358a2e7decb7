from __future__ import annotations

import dataclasses
import json
import shutil

import numpy as np
import pytest

from spine_models.config import SequenceSettings
from spine_models.corpus.sequences import header_model as module
from spine_models.corpus.sequences.contrast import judge
from spine_models.corpus.sequences.decision import Opinion, by_header
from spine_models.corpus.sequences.features import NAMES, header_features
from spine_models.corpus.sequences.header_model import CLASSES, ModelError, header_model, load_stored
from spine_models.corpus.sequences.verdict import Facts
from spine_models.domain import Contrast as C

T2 = Facts(
    series_description="t2_tse_sag", scanning_sequence="SE", acquisition_type="2D", tr_ms=3600, te_ms=100, flip_deg=150,
    echo_train_length=15, field_strength_t=1.5, vendor="Siemens", image_type="ORIGINAL\\PRIMARY\\M\\ND",
)  # fmt: skip


def says(facts: Facts) -> tuple[C, float]:
    p = header_model().probabilities([facts])[0]
    return CLASSES[int(p.argmax())], header_model().confidence(float(p.max()))


def test_the_card_says_what_the_model_was_made_from():
    card = header_model().card
    assert card["features"] == len(NAMES)
    assert card["training"]["real"].startswith("spine-generic/data-multi-subject")
    assert "CC-BY 4.0" in card["training"]["real"]
    assert card["left_out"]["real"]["accuracy_groups_left_out"] > 0.98
    assert card["left_out"]["real"]["ece"] < 0.03


def test_probabilities_add_up_and_do_not_depend_on_company():
    facts = [T2, Facts(), dataclasses.replace(T2, te_ms=10.0, tr_ms=600.0)]
    together = header_model().probabilities(facts)
    assert together.shape == (3, len(CLASSES))
    np.testing.assert_allclose(together.sum(axis=1), 1)
    for row, one in zip(together, facts, strict=True):
        np.testing.assert_array_equal(header_model().probabilities([one])[0], row)
    assert header_model().probabilities([]).shape == (0, len(CLASSES))


def test_what_a_damaged_header_leaves_is_enough():
    assert says(T2) == (C.T2, pytest.approx(0.99, abs=0.01))
    without_names = dataclasses.replace(T2, series_description=None)
    without_times = dataclasses.replace(T2, tr_ms=None, te_ms=None, echo_train_length=None, flip_deg=None)
    for damaged in (
        without_names,
        without_times,
        dataclasses.replace(T2, scanning_sequence=None, vendor=None),
    ):
        assert says(damaged)[0] is C.T2
        decision = by_header(judge(damaged), Opinion(*says(damaged)), SequenceSettings())
        assert decision.contrast is C.T2
        assert decision.confidence > 0.9


def test_nothing_known_is_nothing_claimed():
    assert says(Facts())[1] < 0.6
    assert by_header(judge(Facts()), Opinion(*says(Facts())), SequenceSettings()).contrast is None


def test_absence_and_denial_are_different_features():
    silent, denied = (
        header_features(dataclasses.replace(T2, scan_options=None)),
        header_features(dataclasses.replace(T2, scan_options="SAT1")),
    )
    at = NAMES.index("option:fat_suppressed")
    assert np.isnan(silent[at])
    assert denied[at] == 0


@pytest.fixture
def stored(tmp_path, monkeypatch):
    """A copy of the stored models that may be broken."""
    shutil.copytree(module.FOLDER, tmp_path / "models")
    monkeypatch.setattr(module, "FOLDER", tmp_path / "models")
    header_model.cache_clear()
    yield tmp_path / "models"
    header_model.cache_clear()


@pytest.mark.parametrize(("key", "value"), [("features_version", "0"), ("features", 3), ("classes", ["T1"])])
def test_a_model_that_does_not_fit_the_code_is_refused_with_the_remedy(stored, key, value):
    card = json.loads((stored / "header.json").read_text(encoding="utf-8")) | {key: value}
    (stored / "header.json").write_text(json.dumps(card), encoding="utf-8")
    with pytest.raises(ModelError, match=r"train_sequences\.py"):
        header_model()


def test_the_stored_arrays_are_plain():
    _, trees = load_stored("header")
    assert trees.feature.shape[0] % len(CLASSES) == 0
    assert trees.feature.max() < len(NAMES)
    assert trees.left.max() < trees.feature.shape[1]
