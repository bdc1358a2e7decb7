"""The assets publish an untrained model with the reason, refuse strangers, and say why there is no text."""

from __future__ import annotations

import importlib
from contextlib import contextmanager
from types import SimpleNamespace

import dagster as dg
import polars as pl
import pytest

from pipelines.runtime.provenance import Training
from pipelines.runtime.report_model import Opened
from pipelines.runtime.training import Trained
from spine_models.config import InstructionSettings
from spine_models.corpus.shards.tables import MANIFEST, PATIENTS
from spine_models.reporting.llava import tables
from spine_models.reporting.llava.writing import NOT_TRAINED
from tests.reporting.llava.learning import small_settings

LEDGER = pl.DataFrame(
    [("pt", "train", True), ("pv", "val", False), ("px", "test", False)], schema=PATIENTS, orient="row"
)
STUDIES = pl.DataFrame(
    [("b1", "pt", "s1"), ("b1", "pv", "s2")], schema=["batch_key", "patient_key", "study_key"], orient="row"
)
PARENTS = {"encoders": {"t1": ["e", "m1", "p"]}, "reports": "r", "manifest": "m"}


class Store:
    """A hospital that keeps what is published in memory."""

    def __init__(self, folder, cards, untrained=()):
        self.folder, self.cards, self._untrained = folder, dict(cards), list(untrained)
        self.lake = SimpleNamespace(
            card=lambda key, partition=None: {"training": self.cards[tuple(key)]},
            has_artifact=lambda key, partition=None: tuple(key) in self.cards,
        )
        self.numbers = SimpleNamespace(llava=small_settings())
        self.training_root = folder / "training"
        self.home = str(folder / "phantom")

    def untrained_encoders(self):
        return self._untrained

    def current(self, key, partition=None):
        return self.folder

    def training_folder(self, key, partition, identity, *, code_version):
        return self.training_root / "-".join(key)

    @contextmanager
    def draft(self, key, partition=None):
        draft = SimpleNamespace(folder=self.folder, card={}, version="v1")
        yield draft
        self.cards[tuple(key)] = draft.card["training"]


@pytest.fixture
def training(monkeypatch):
    module = importlib.import_module("assets.reporting.llava.training")
    monkeypatch.setattr(module, "training_inputs", lambda *_: ({"studies": "x"}, dict(PARENTS)))
    monkeypatch.setattr("spine_models.reporting.llava.decoder.located", lambda folder, models: (folder, "d1"))
    return module


def launched(monkeypatch, module, tmp_path, patient="pt", **card):
    jobs = []

    def launch(context, job, processes):
        jobs.append(job)
        seen = pl.DataFrame([(patient, "s1", "train")], schema=tables.SEEN, orient="row")
        done = {
            "trained": True,
            "steps": 1,
            "version": "l1",
            "fit_for_drafts": False,
            "fit_reason": "it said 0 %",
        }
        return Trained(tmp_path, [], pl.DataFrame(schema=tables.CURVES), seen, done | card)

    monkeypatch.setattr(module, "launch", launch)
    return jobs


def run(asset, hospital):
    compute = asset.node_def.compute_fn.decorated_fn
    return list(compute(None, Training(), hospital, pl.DataFrame(schema=MANIFEST), LEDGER))


def checks(results):
    return {r.check_name: r.passed for r in results if isinstance(r, dg.AssetCheckResult)}


def test_a_training_is_launched_on_the_published_decoder(training, monkeypatch, tmp_path):
    jobs = launched(monkeypatch, training, tmp_path)
    hospital = Store(tmp_path, {training.DECODER: {"trained": True}, training.WARMED: {"trained": True}})
    results = run(training.tuned, hospital)
    assert [job.trainer for job in jobs] == ["tune"]
    assert jobs[0].inputs["decoder_version"] == "d1"
    assert jobs[0].inputs["parents"] == PARENTS
    assert checks(results)["only_train_patients"] is True
    assert hospital.cards[training.TUNED]["version"] == "l1"


@pytest.mark.parametrize("patient", ["px", "pv", "nobody"])
def test_a_training_that_read_a_stranger_is_not_published(training, monkeypatch, tmp_path, patient):
    launched(monkeypatch, training, tmp_path, patient=patient)
    hospital = Store(tmp_path, {training.DECODER: {"trained": True}})
    with pytest.raises(dg.Failure, match="not published"):
        run(training.warmed, hospital)
    assert training.WARMED not in hospital.cards


@pytest.mark.parametrize(
    ("cards", "untrained", "why"),
    [
        (
            {"decoder": {"trained": False, "reason": "3 reports"}},
            (),
            "llava/decoder was not trained: 3 reports",
        ),
        ({"decoder": {"trained": True}}, ("m1",), "encoder of route t1 was not trained"),
    ],
)
def test_what_cannot_be_trained_is_published_untrained_and_says_why(
    training, monkeypatch, tmp_path, cards, untrained, why
):
    jobs = launched(monkeypatch, training, tmp_path)
    hospital = Store(tmp_path, {("llava", name): card for name, card in cards.items()}, untrained)
    results = run(training.warmed, hospital)
    assert jobs == []
    assert why in hospital.cards[training.WARMED]["reason"]
    assert checks(results) == {"only_train_patients": True, "loss_falls": False}
    run(training.tuned, hospital)
    assert "was not trained" in hospital.cards[training.TUNED]["reason"]


def test_nothing_frozen_trains_nothing(training, monkeypatch, tmp_path):
    jobs = launched(monkeypatch, training, tmp_path)
    monkeypatch.setattr(training, "training_inputs", lambda *_: ({}, {}))
    hospital = Store(tmp_path, {})
    for asset in (training.decoder, training.warmed, training.tuned):
        run(asset, hospital)
    assert jobs == []
    assert hospital.cards[training.DECODER]["reason"] == training.NOTHING


def test_drafts_get_no_text_of_a_model_that_is_not_fit(tmp_path):
    module = importlib.import_module("assets.reporting.llava.texts")
    unfit = {"trained": True, "version": "l1", "fit_for_drafts": False, "fit_reason": "it said 0 %"}
    compute = module.written.node_def.compute_fn.decorated_fn
    for cards, why in (({("llava", "tuned"): unfit}, "it said 0 %"), ({}, NOT_TRAINED)):
        results = list(compute(None, Store(tmp_path, cards), STUDIES, pl.DataFrame()))
        frame = next(r.value for r in results if isinstance(r, dg.MaterializeResult))
        assert frame.schema == tables.WRITTEN
        assert frame["reason"].to_list() == [why, why]
        assert checks(results) == {"every_study_has_a_text_or_a_reason": True}


def test_without_a_model_the_benchmark_has_reasons_and_no_score_of_it(monkeypatch, tmp_path):
    from tests.reporting.llava.test_benchmark import choices

    module = importlib.import_module("assets.reporting.llava.benchmark")
    monkeypatch.setattr(module, "open_tuned", lambda hospital: Opened(None, None, hospital.card))
    monkeypatch.setattr("spine_models.reporting.instructions.cases_of", lambda *_: {})
    lake = SimpleNamespace(read_table=lambda key, batches: pl.DataFrame(), partitions=lambda key: [])
    numbers = SimpleNamespace(instructions=InstructionSettings())
    for card, why in (
        (None, NOT_TRAINED),
        ({"trained": False, "reason": "3 reports"}, f"{NOT_TRAINED}: 3 reports"),
    ):
        hospital = SimpleNamespace(lake=lake, numbers=numbers, card=card)
        compute = module.chosen.node_def.compute_fn.decorated_fn
        results = list(compute(hospital, choices(), pl.DataFrame(schema=tables.ANSWERS)))
        answers, scores = (r.value for r in results if isinstance(r, dg.MaterializeResult))
        assert set(answers["reason"]) == {why}
        assert scores.is_empty()
        assert checks(results) == {"every_choice_has_an_answer_or_a_reason": True}


def test_a_decoder_that_is_not_there_stops_its_asset_with_what_to_do(training, tmp_path):
    from spine_models.reporting.llava.decoder import DecoderError

    hospital = Store(tmp_path, {})
    hospital.numbers = SimpleNamespace(llava=small_settings(decoder="Llama-3.1-8B-Instruct"))
    with pytest.raises(
        DecoderError, match=r"no decoder 'Llama-3\.1-8B-Instruct': give a folder of SPINE_ROOT/models"
    ):
        run(training.decoder, hospital)
    assert hospital.cards == {}
