"""Heads of levels on a cohort whose signal is planted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.optimize import minimize

from spine_models.config import LocalizationSettings
from spine_models.corpus.statements import Reference, Unit
from spine_models.domain import condition_keys
from spine_models.encoder.seen import PATIENTS
from spine_models.findings.levelwise import tables
from spine_models.findings.levelwise.fit import CV, NO_LADDER, chosen_studies, fit_level_heads
from spine_models.findings.levelwise.heads import CARD, WEIGHTS, inputs_of, save_heads
from spine_models.findings.levelwise.skill import held_out
from spine_models.findings.levelwise.targets import Kind, labels_of
from spine_models.findings.localization.tokens import LocalizationError
from spine_models.findings.probes.folds import patient_folds
from tests.findings.levelwise.conftest import SETTINGS

FITTED = {"canal", "neuroforaminal", "fracture", "edema"}


@pytest.fixture(scope="module")
def fitted(judgeable):
    return fit_level_heads(judgeable.views, judgeable.splits, judgeable.reports, settings=SETTINGS)


def changed(**numbers) -> LocalizationSettings:
    return LocalizationSettings(
        **(SETTINGS.model_dump() | {"levelwise": SETTINGS.levelwise.model_dump() | numbers})
    )


def plain_auroc(labels, scores) -> float:
    """Share of pairs in the right order, ties half."""
    wins = [
        (a > b) + 0.5 * (a == b)
        for a, la in zip(scores, labels, strict=True)
        if la == 1
        for b, lb in zip(scores, labels, strict=True)
        if lb == 0
    ]
    return float(np.mean(wins))


def bytes_of(heads, folder: Path) -> list[bytes]:
    save_heads(heads, folder)
    return [(folder / name).read_bytes() for name in (WEIGHTS, CARD)]


def test_what_is_planted_is_found_and_what_is_not_is_not(judgeable, fitted):
    assert set(fitted.heads.heads) == FITTED
    assert fitted.kinds["fracture"] == Kind(True, False)
    assert fitted.kinds["neuroforaminal"] == Kind(False, True)
    said = held_out(judgeable.views, judgeable.splits, judgeable.reports, fitted.heads).filter(
        evaluation="test"
    )
    aurocs = {
        condition: plain_auroc(rows["label"], rows["probability"])
        for (condition,), rows in said.group_by("condition", maintain_order=True)
    }
    assert min(aurocs[condition] for condition in ("canal", "neuroforaminal", "fracture")) > 0.9
    assert 0.3 < aurocs["edema"] < 0.7


def test_nobody_but_train_patients_is_read(judgeable, fitted, tmp_path):
    others = judgeable.splits.filter(pl.col("split") != "train")["patient_key"].implode()
    foreign = pl.col("patient_key").is_in(others)
    turned = judgeable.views.with_columns(
        *(
            pl.when(foreign).then(pl.col(part).list.eval(pl.element() * -9)).otherwise(part).alias(part)
            for part in ("centre", "left", "right")
        ),
        preprocessing_version=pl.when(foreign).then(pl.lit("p9")).otherwise("preprocessing_version"),
    )
    silent = {
        study: report if study in set(judgeable.views.filter(~foreign)["study_key"]) else Reference(())
        for study, report in judgeable.reports.items()
    }
    first = bytes_of(fitted.heads, tmp_path / "first")
    for views, reports in (
        (turned, judgeable.reports),
        (judgeable.views.filter(~foreign), judgeable.reports),
        (judgeable.views, silent),
        (
            judgeable.views.sample(fraction=1.0, shuffle=True, seed=1).sort("z_mm", descending=True),
            judgeable.reports,
        ),
    ):
        again = fit_level_heads(views, judgeable.splits, reports, settings=SETTINGS)
        assert bytes_of(again.heads, tmp_path / "again") == first
        assert again.patients.equals(fitted.patients)
    train = judgeable.splits.filter(split="train")["patient_key"].sort().to_list()
    assert fitted.patients.schema == PATIENTS
    assert fitted.patients["patient_key"].to_list() == train
    assert set(fitted.patients["role"]) == {"train"}
    assert fitted.patients["n"].sum() == judgeable.views.filter(~foreign)["study_key"].n_unique()


def test_what_train_reports_say_is_read(judgeable, fitted, tmp_path):
    study = judgeable.views["study_key"][0]
    other = judgeable.reports | {study: Reference((Unit("canal", "L4-L5"),))}
    again = fit_level_heads(judgeable.views, judgeable.splits, other, settings=SETTINGS)
    assert bytes_of(again.heads, tmp_path / "a") != bytes_of(fitted.heads, tmp_path / "b")


def logistic(inputs, labels, penalty) -> np.ndarray:
    """Logits' weights and bias, by a general minimiser."""
    used = labels >= 0
    x, y = inputs[used], labels[used].astype(float)
    strength = 1 / (penalty * used.sum())

    def loss(at):
        logits = x @ at[:-1] + at[-1]
        error = 1 / (1 + np.exp(-logits)) - y
        value = 0.5 * at[:-1] @ at[:-1] + strength * (np.logaddexp(0, logits) - y * logits).sum()
        return value, np.append(at[:-1] + strength * x.T @ error, strength * error.sum())

    return minimize(
        loss, np.zeros(inputs.shape[1] + 1), jac=True, method="L-BFGS-B", options={"maxiter": 5000}
    ).x


def test_out_of_fold_is_by_patient_and_the_published_head_by_all(judgeable, fitted):
    """Against a general minimiser, fold by fold."""
    settings = changed(penalty=0.01)
    own = fit_level_heads(judgeable.views, judgeable.splits, judgeable.reports, settings=settings)
    train = judgeable.splits.filter(split="train").select("patient_key")
    views = judgeable.views.join(train, on="patient_key", how="semi", maintain_order="left")
    head = own.heads.heads["neuroforaminal"]
    places, inputs = inputs_of(views, head.kind, own.heads.components)
    labels = labels_of(places, judgeable.reports, ["neuroforaminal"])[:, 0]
    studies = views.select("patient_key", "study_key").unique("study_key").sort("study_key")
    named = np.array(
        [
            [any(u.condition == c for u in judgeable.reports[s].units) for c in condition_keys()]
            for s in studies["study_key"]
        ]
    )
    of_study = patient_folds(studies["patient_key"].to_numpy(), named.astype(np.int8), folds=3, seed=0)
    fold_of = dict(zip(studies["study_key"], of_study, strict=True))
    folds = np.array([fold_of[study] for study in places["study_key"]])
    assert len(set(folds)) == 3
    said = own.out_of_fold.filter(condition="neuroforaminal")
    assert said.select("study_key", "level", "side").equals(places.select("study_key", "level", "side"))
    assert said["label"].to_list() == labels.tolist()
    for fold in range(3):
        at = logistic(inputs[folds != fold], labels[folds != fold], 0.01)
        logits = inputs[folds == fold] @ at[:-1] + at[-1]
        expected = 1 / (1 + np.exp(-(head.slope * logits + head.shift)))
        np.testing.assert_allclose(said["probability"].to_numpy()[folds == fold], expected, atol=2e-3)
    at = logistic(inputs, labels, 0.01)
    np.testing.assert_allclose(np.append(head.weights, head.bias), at, atol=5e-3)


def test_a_share_of_the_places_that_reports_name_is_flagged_out_of_fold(judgeable, fitted):
    every = fit_level_heads(judgeable.views, judgeable.splits, judgeable.reports, settings=changed(named=1.0))
    for share, found in ((0.8, fitted), (1.0, every)):
        said = found.out_of_fold
        assert said.schema == {n: t for n, t in tables.PREDICTIONS.items() if n != "heads_version"}
        assert set(said["evaluation"]) == {CV}
        assert set(said["split"]) == {"train"}
        for condition in FITTED:
            own = said.filter(condition=condition)
            assert own["flagged"].sum() == round(share * (own["label"] == 1).sum())
            at = found.heads.heads[condition].threshold
            assert (own["flagged"] == (own["probability"] >= at)).all()


def test_what_is_unknown_is_neither_fitted_on_nor_counted_but_judged(judgeable):
    """Half of the studies are in doubt of canal: they change neither head nor point, and have a probability."""
    doubted = sorted(judgeable.reports)[::2]
    reports = {
        s: replace(r, excluded=frozenset({"canal"})) if s in doubted else r
        for s, r in judgeable.reports.items()
    }
    fitted = fit_level_heads(judgeable.views, judgeable.splits, reports, settings=SETTINGS)
    own = fitted.out_of_fold.filter(condition="canal")
    unknown = pl.col("study_key").is_in(doubted)
    assert set(own.filter(unknown)["label"]) == {-1}
    assert own["probability"].is_finite().all()
    known = own.filter(~unknown)
    assert known["flagged"].sum() == round(0.8 * (known["label"] == 1).sum())
    assert own.filter(unknown)["flagged"].any()


def test_who_gets_no_head_says_why(judgeable, fitted):
    missing = fitted.heads.card["missing"]
    assert set(missing) == set(condition_keys()) - FITTED
    assert missing["pars"] == "0 train places of 0 patients, 8 of 5 are needed"
    train = judgeable.views.join(judgeable.splits.filter(split="train"), on="patient_key", how="semi")
    known = {s: judgeable.reports[s] for s in train["study_key"].unique()}
    places = sum(unit.condition == "fracture" for report in known.values() for unit in report.units)
    few = fit_level_heads(
        judgeable.views, judgeable.splits, judgeable.reports, settings=changed(min_positive=places + 1)
    )
    assert few.heads.card["missing"]["fracture"].startswith(f"{places} train places of ")
    enough = fit_level_heads(
        judgeable.views, judgeable.splits, judgeable.reports, settings=changed(min_positive=places)
    )
    assert "fracture" in enough.heads.heads
    alone = fit_level_heads(
        judgeable.views, judgeable.splits, judgeable.reports, settings=changed(min_patients=46)
    )
    assert alone.heads.heads == {}
    assert set(alone.heads.card["missing"]) == set(condition_keys())


def test_a_condition_that_only_one_patient_does_not_have_gets_no_head(judgeable):
    """One of the folds would be fitted on one class."""
    spared = judgeable.views["study_key"][0]
    discs = [level for level in judgeable.views["level"].unique() if "-" in level]
    everywhere = tuple(Unit("canal", level) for level in discs)
    reports = {study: Reference(() if study[:4] == spared[:4] else everywhere) for study in judgeable.reports}
    found = fit_level_heads(judgeable.views, judgeable.splits, reports, settings=SETTINGS)
    assert "in one fold" in found.heads.card["missing"]["canal"]


@pytest.mark.parametrize("without", ["views", "train", "reports"])
def test_without_anything_to_fit_on_there_is_no_head_and_a_reason(judgeable, without, tmp_path):
    views = judgeable.views.clear() if without == "views" else judgeable.views
    splits = judgeable.splits.with_columns(split=pl.lit("test")) if without == "train" else judgeable.splits
    reports = {} if without == "reports" else judgeable.reports
    found = fit_level_heads(views, splits, reports, settings=SETTINGS)
    assert found.heads.heads == {}
    assert found.heads.card["missing"] == dict.fromkeys(condition_keys(), NO_LADDER)
    assert (found.out_of_fold.height, found.patients.height) == (0, 0)
    assert found.patients.schema == PATIENTS
    assert list(found.kinds) == list(condition_keys())
    save_heads(found.heads, tmp_path)


def test_spines_without_vertebrae_in_view_leave_their_conditions_out(judgeable):
    discs = judgeable.views.filter(pl.col("level").str.contains("-"))
    found = fit_level_heads(discs, judgeable.splits, judgeable.reports, settings=SETTINGS)
    assert set(found.heads.heads) == FITTED - {"fracture"}
    assert found.heads.card["missing"]["fracture"] == "0 train places of 0 patients, 8 of 5 are needed"


@pytest.mark.parametrize("column", ["models_version", "model_versions"])
def test_views_of_two_versions_are_refused(judgeable, column):
    newer = pl.lit("newer") if column == "models_version" else pl.lit(["t2:newer"])
    mixed = judgeable.views.with_columns(
        pl.when(pl.col("level") == "L3").then(newer).otherwise(column).alias(column)
    )
    with pytest.raises(LocalizationError, match=r"views of levels are of 2 versions of .*materialise"):
        fit_level_heads(mixed, judgeable.splits, judgeable.reports, settings=SETTINGS)


def test_vectors_that_are_not_finite_are_refused(judgeable):
    broken = judgeable.views.with_columns(
        left=pl.when(pl.int_range(pl.len()) == 0)
        .then(pl.lit([float("nan")] * 10))
        .otherwise("left")
        .cast(pl.List(pl.Float32))
    )
    with pytest.raises(LocalizationError, match="not finite"):
        fit_level_heads(broken, judgeable.splits, judgeable.reports, settings=SETTINGS)


def test_at_most_so_many_studies_of_a_split_are_drawn_whatever_their_order(judgeable):
    studies = judgeable.views.select("batch_key", "patient_key", "study_key").unique()
    few = chosen_studies(studies, judgeable.splits, changed(max_studies=4))
    assert few.columns == ["batch_key", "patient_key", "study_key", "split"]
    assert dict(few.group_by("split").len().iter_rows()) == {"train": 4, "val": 1, "test": 1}
    assert few["study_key"].is_sorted()
    turned = studies.sort("study_key", descending=True)
    assert chosen_studies(turned, judgeable.splits.reverse(), changed(max_studies=4)).equals(few)
    every = chosen_studies(pl.concat([studies, studies]), judgeable.splits, SETTINGS)
    assert every["study_key"].to_list() == sorted(studies["study_key"])
    owner = dict(judgeable.splits.iter_rows())
    assert [owner[patient] for patient in every["patient_key"]] == every["split"].to_list()
    # Half the draw is in the whole one: it does not depend on the number.
    assert set(few["study_key"]) <= set(
        chosen_studies(studies, judgeable.splits, changed(max_studies=8))["study_key"]
    )
