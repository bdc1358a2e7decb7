"""Attention over slices: against a slow transcription, on a planted slice, honest folds, and files."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.metrics import roc_auc_score

from spine_models.config import ProbeSettings
from spine_models.domain import condition_keys
from spine_models.findings.probes.attention import GatedAttention, class_weights
from spine_models.findings.probes.bags import Bag, bags_of
from spine_models.findings.probes.evaluate import evaluate_probes
from spine_models.findings.probes.heads import HeadsError, fit_heads, load_heads
from spine_models.findings.probes.mil import fit_mil
from spine_models.findings.probes.mil_heads import ATTENTION
from spine_models.findings.probes.studies import ProbeInputError, study_labels
from spine_models.findings.probes.tables import BASELINES

CONDITIONS = condition_keys()
SETTINGS = ProbeSettings(
    folds=3,
    bootstrap=20,
    regularisation=(1e-2,),
    mil_dim=16,
    mil_epochs=16,
    mil_decay=(0.1,),
    mil_dropout=0.0,
)


def slices_of(made, *, seed: int = 0, signal: float = 4.0) -> pl.DataFrame:
    """Each study 1 to 5 slices of T1 and T2; where canal is present one slice of T2 carries it."""
    rng = np.random.default_rng(seed)
    positive = set(made.labels.filter(condition="canal", label=1)["study_key"])
    rows = []
    for number, study in enumerate(made.labels["study_key"].unique().sort()):
        for route in ("t1", "t2"):
            count = int(rng.integers(1, 6))
            marked = int(rng.integers(count)) if study in positive and route == "t2" else -1
            for i in range(count):
                vector = rng.normal(size=6)
                vector[0] += signal * (i == marked)
                place = f"{study}-{route}"
                rows.append((f"b{number % 3}", study, place, f"{place}-{i}", route, vector.tolist()))
    names = ("batch_key", "study_key", "series_key", "slice_key", "route")
    schema = dict.fromkeys(names, pl.String) | {"vector": pl.List(pl.Float32)}
    return pl.DataFrame(rows, schema=schema, orient="row")


@pytest.fixture(scope="module")
def made():
    from tests.findings.conftest import make_cohort

    return make_cohort(patients=110)


@pytest.fixture(scope="module")
def frame(made):
    return slices_of(made)


def fit(made, frame, **changes):
    settings = SETTINGS.model_copy(update=changes)
    batches = [part for _, part in frame.group_by("batch_key", maintain_order=True)]
    return fit_mil(batches, made.labels, made.splits, settings=settings)


@pytest.fixture(scope="module")
def fitted(made, frame):
    return fit(made, frame)


@torch.inference_mode()
def test_the_network_is_gated_attention_written_out():
    torch.manual_seed(0)
    network = GatedAttention({"t1": 4, "t2": 3}, 5, 2).eval()
    network.mean_t1.fill_(0.5)
    network.scale_t2.fill_(2.0)
    bag = Bag(
        3,
        {"t1": torch.randn(3, 4), "t2": torch.randn(2, 3)},
        {"t1": torch.tensor([0, 0, 1]), "t2": torch.tensor([0, 1])},
    )
    weights, parts, member = network.parts(bag)
    logits = network(bag)
    hidden = []
    for route, mean, scale in (("t1", 0.5, 1.0), ("t2", 0.0, 2.0)):
        for vector in bag.vectors[route]:
            hidden.append(torch.relu(network.project[route]((vector - mean) / scale)))
    for study in range(3):
        held = [h for h, m in zip(hidden, member.tolist(), strict=True) if m == study]
        for c in range(2):
            scores = [
                (
                    network.weigh.weight[c] * torch.tanh(network.content(h)) * torch.sigmoid(network.gate(h))
                ).sum()
                for h in held
            ]
            share = torch.softmax(torch.stack(scores), 0) if held else torch.zeros(0)
            expected = network.bias[c] + sum(
                a * (network.judge.weight[c] @ h) for a, h in zip(share, held, strict=True)
            )
            assert logits[study, c].item() == pytest.approx(float(expected), abs=1e-5)
            found = weights[[i for i, m in enumerate(member.tolist()) if m == study], c]
            np.testing.assert_allclose(found.detach(), share.detach(), atol=1e-6)
    assert parts.shape == (5, 2)


@torch.inference_mode()
def test_a_route_that_a_study_lacks_has_no_part_in_it():
    torch.manual_seed(0)
    network = GatedAttention({"t1": 4, "t2": 4}, 5, 2).eval()
    vector = torch.randn(2, 4)
    alone = Bag(1, {"t1": vector}, {"t1": torch.tensor([0, 0])})
    beside = Bag(
        2,
        {"t1": vector, "t2": torch.randn(3, 4) * 1e3},
        {"t1": torch.tensor([0, 0]), "t2": torch.tensor([1, 1, 1])},
    )
    torch.testing.assert_close(network(alone)[0], network(beside)[0])


def test_ambiguous_labels_and_imbalance_are_weighted_out():
    labels = np.array([[1, -1], [0, 1], [0, 0], [0, 0]], dtype=np.int8)
    weights = class_weights(labels, np.array([True, True])).numpy()
    assert weights[0, 1] == 0
    for c in (0, 1):
        assert weights[labels[:, c] == 1, c].sum() == weights[labels[:, c] == 0, c].sum() == 2.0
    assert (class_weights(labels, np.array([True, False])).numpy()[:, 1] == 0).all()


def test_a_planted_slice_is_found_out_of_fold_and_on_test_and_looked_at(made, frame, fitted):
    truth = study_labels(made.labels, made.splits)
    judged = {j.sequence_set: j for j in fitted.judgements}
    assert list(judged) == ["all"]
    canal = CONDITIONS.index("canal")
    for at, chance in (
        (judged["all"].train, judged["all"].held_out),
        (judged["all"].test, judged["all"].tested),
    ):
        assert roc_auc_score(truth.labels[at, canal], chance[:, canal]) > 0.85
    assert judged["all"].unfit[CONDITIONS.index("pars")].startswith("0 positive patients in train")
    assert np.isnan(judged["all"].tested[:, CONDITIONS.index("pars")]).all()
    seen = fitted.heads["all"].attend(frame)
    assert seen.schema == ATTENTION
    totals = seen.group_by("study_key", "condition").agg(pl.col("weight").sum())["weight"]
    np.testing.assert_allclose(totals, 1.0, atol=1e-5)
    marked = frame.filter(pl.col("vector").list.get(0) > 3.0, route="t2")["slice_key"]
    top = seen.filter(condition="canal").sort("contribution").group_by("study_key").last()
    positive = made.labels.filter(condition="canal", label=1)["study_key"]
    hits = top.filter(pl.col("study_key").is_in(positive.implode()))["slice_key"].is_in(marked.implode())
    assert hits.mean() > 0.75
    keys, chance = fitted.heads["all"].predict(frame)
    bags, folder = bags_of(frame, limit=40)
    with folder:
        logits = dict.fromkeys(keys, 0.0)
        for row in seen.filter(condition="canal").iter_rows(named=True):
            logits[row["study_key"]] += row["contribution"]
    head = fitted.heads["all"]
    expected = [
        head.slope[canal] * (logits[k] + head.network.bias[canal].item()) + head.intercept[canal]
        for k in keys
    ]
    np.testing.assert_allclose(np.log(chance[:, canal] / (1 - chance[:, canal])), expected, atol=1e-3)
    assert len(bags.study_keys) == len(keys)


def test_labels_of_the_test_patients_change_nothing_and_a_seed_decides(made, frame, fitted):
    test = made.splits.filter(split="test")["patient_key"].implode()
    flipped = made.labels.with_columns(
        label=pl.when(pl.col("patient_key").is_in(test)).then(1 - pl.col("label")).otherwise(pl.col("label"))
    )
    settings = SETTINGS
    batches = [part for _, part in frame.group_by("batch_key", maintain_order=True)]
    again = fit_mil(batches, flipped, made.splits, settings=settings)
    np.testing.assert_array_equal(again.judgements[0].tested, fitted.judgements[0].tested)
    np.testing.assert_array_equal(again.judgements[0].held_out, fitted.judgements[0].held_out)


def test_a_fold_does_not_see_its_own_labels(made, frame, fitted):
    """Swapping labels among the patients of fold 0 (counts kept) changes no probability of fold 0."""
    from spine_models.findings.probes import mil

    truth = study_labels(made.labels, made.splits)
    judged = fitted.judgements[0]
    labels = truth.labels[judged.train]
    swapped = labels.copy()
    swapped[judged.folds == 0] = labels[judged.folds == 0][::-1]
    assert not np.array_equal(labels, swapped)
    bags, folder = bags_of(frame, limit=40)
    with folder:
        rows = np.searchsorted(bags.study_keys, truth.study_keys[judged.train])
        conditions = np.array([reason is None for reason in judged.unfit])
        before, after = (
            mil._crossfit(bags, rows, given, judged.folds, conditions, "all", SETTINGS, None)[0]
            for given in (labels, swapped)
        )
    np.testing.assert_array_equal(before[judged.folds == 0], after[judged.folds == 0])
    assert not np.allclose(before[judged.folds == 1], after[judged.folds == 1], equal_nan=True)


def test_slices_that_saw_the_train_reports_have_no_cross_validation(made, frame):
    told = {"model_version": pl.lit("m"), "preprocessing_version": pl.lit("p1")}
    plain = frame.with_columns(encoder="dinov3-" + pl.col("route"), **told)
    other = frame.filter(pl.col("study_key").str.ends_with("1"), route="t1").with_columns(
        route=pl.lit("other"), encoder=pl.lit("synthesizer-conditional"), **told,
        slice_key="o" + pl.col("slice_key"), series_key="o" + pl.col("series_key"),
    )  # fmt: skip
    both = pl.concat([plain, other.select(plain.columns)])
    quick = {"mil_epochs": 1, "mil_sets": ("t2", "all")}
    seen = {j.sequence_set: j.no_cv for j in fit(made, both, **quick).judgements}
    assert seen["t2"] is None
    assert seen["all"].startswith(
        "the reports of the train patients were in the training of the encoder of other"
    )
    clean = fit(made, plain, **quick)
    assert [j.no_cv for j in clean.judgements] == [None, None]
    head = clean.heads["all"]
    assert head.versions["t1"]["encoder"] == "dinov3-t1"
    with pytest.raises(ProbeInputError, match="another encoder or preprocessing of route 't1'"):
        head.attend(plain.with_columns(preprocessing_version=pl.lit("p2")))


def test_networks_that_say_nothing_rank_nothing(made, frame, fitted, monkeypatch):
    from spine_models.findings.probes import mil

    def nothing(network, bags, rows):
        return np.zeros((len(rows), len(CONDITIONS)))

    def untrained(bags, rows, labels, conditions, *, epochs, after=None, **rest):
        for epoch in range(1, epochs + 1) if after else ():
            after(epoch, None)

    monkeypatch.setattr(mil, "logits_of", nothing)
    monkeypatch.setattr(mil, "train", untrained)
    truth = study_labels(made.labels, made.splits)
    judged = fitted.judgements[0]
    labels = truth.labels[judged.train]
    conditions = np.array([reason is None for reason in judged.unfit])
    bags, folder = bags_of(frame, limit=1)
    with folder:
        held_out, _ = mil._crossfit(
            bags, np.arange(len(labels)), labels, judged.folds, conditions, "all", SETTINGS, None
        )
    for c in np.flatnonzero(conditions):
        assert roc_auc_score(labels[:, c], held_out[:, c]) == 0.5


def test_no_slices_and_too_few_patients_give_reasons(made, frame):
    nothing = fit(made, frame.clear())
    assert nothing.heads == {}
    assert set(nothing.judgements[0].unfit) == {"no study has vectors of this encoder and sequence set"}
    other = fit(made, frame, mil_sets=("other",))
    assert other.heads == {}
    few = fit(made, frame, min_positive=1000)
    assert few.judgements[0].unfit[0].endswith("at least 1000 are needed")


def test_heads_are_saved_with_the_linear_ones_and_evaluated_beside_them(made, frame, fitted, tmp_path):
    tables = evaluate_probes(
        made.vectors, None, made.labels, made.splits, settings=SETTINGS, more=fitted.judgements
    )
    assert tables.metrics.filter(head="mil").height == 17 * 2
    row = tables.metrics.filter(head="mil", condition="canal", evaluation="test").to_dicts()[0]
    assert row["status"] == "evaluated"
    compared = tables.comparisons.filter(head="linear", against_head="mil", condition="canal", metric="auroc")
    assert compared.filter(evaluation="test", sequence_set="all")["difference_high"][0] < 0
    copy = made.vectors.with_columns(encoder=pl.lit("pixel_pca")).select(*BASELINES)
    beside = evaluate_probes(
        made.vectors, copy, made.labels, made.splits, settings=SETTINGS, more=fitted.judgements
    ).comparisons.filter("best_baseline")
    assert set(beside.select("head", "against_head").iter_rows()) == {("linear", "linear")}
    card = fit_heads(
        made.vectors, made.labels, made.splits, settings=SETTINGS, out=tmp_path, mil=fitted.heads
    )
    heads = load_heads(tmp_path)
    assert heads.version == card["heads_version"]
    first, second = (head.predict(frame) for head in (fitted.heads["all"], heads.mil["all"]))
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_allclose(first[1], second[1], atol=1e-6)
    assert {path.name for path in tmp_path.iterdir()} == {"heads.safetensors", "mil.safetensors", "card.json"}
    data = bytearray((tmp_path / "mil.safetensors").read_bytes())
    data[-3] ^= 1
    (tmp_path / "mil.safetensors").write_bytes(bytes(data))
    with pytest.raises(HeadsError, match=r"the attention heads in folder .* do not match their card"):
        load_heads(tmp_path)
    fit_heads(made.vectors, made.labels, made.splits, settings=SETTINGS, out=tmp_path / "plain")
    assert load_heads(tmp_path / "plain").mil is None
    assert "mil" not in json.loads((tmp_path / "plain" / "card.json").read_text())
