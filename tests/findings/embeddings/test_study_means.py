"""One pass gives each model what it would have been given alone, to the last bit."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from spine_models.findings.ablations.models import Routed
from spine_models.findings.ablations.variants import Question
from spine_models.findings.ablations.vectors import encoded_studies
from spine_models.findings.embeddings import study_means as module
from spine_models.findings.embeddings.study_means import study_means
from spine_models.findings.probes import baselines


class Turned:
    """Numbers whose float32 rounding shows in which order and precision they are summed."""

    def __init__(self, seed: int) -> None:
        self.turn = np.random.default_rng(seed).normal(size=(256, 5)).astype(np.float32)
        self.seen: list[int] = []

    version = "v"

    def encode(self, images: np.ndarray, route: str = "") -> np.ndarray:
        self.seen.append(len(images))
        return np.stack(
            [np.tanh(image.reshape(-1).astype(np.float32) / 65535 @ self.turn) for image in images]
        )


@pytest.fixture
def world(make_batch):
    """Two batches of shards; series of one to nine slices, some studies with several series of a route."""
    rng = np.random.default_rng(0)
    made = {}
    for key in ("internal-0001", "rsna-0001"):
        members = [
            {
                "batch": key, "patient": f"{key}-p{study}", "study": f"{key}-s{study}", "route": route,
                "series": f"{key}-{study}{route}{series}", "slice": f"{key[0]}{study}{route}{series}x{i}-0000",
            }
            for study in range(5)
            for route in ("t1", "t2", "other")
            for series in range(rng.integers(0, 4))
            for i in range(rng.integers(1, 10))
        ]  # fmt: skip
        made[key] = make_batch(members, folder=key, seed=len(made))
    table = pl.concat([batch.table for batch in made.values()])
    images = {key: image for batch in made.values() for key, image in batch.images.items()}
    return table, images, {key: batch.root for key, batch in made.items()}


def alone(table: pl.DataFrame, images, model: Turned, route: str) -> dict[str, np.ndarray]:
    """Plain transcription: float64 sums in the order of the shards, float32 at the end of each level."""
    found = {}
    rows = table.filter(route=route).sort("batch_key", "shard", "slice_key")
    for study in sorted(set(rows["study_key"])):
        means = []
        for series in sorted(set(rows.filter(study_key=study)["series_key"])):
            keys = rows.filter(series_key=series)["slice_key"]
            total = np.zeros(5)
            for key in keys:
                total = total + model.encode(images[key][None])[0].astype(np.float64)
            means.append((total / len(keys)).astype(np.float32))
        found[study] = (np.stack(means).sum(axis=0, dtype=np.float64) / len(means)).astype(np.float32)
    return found


def test_vectors_are_those_of_each_model_alone_to_the_last_bit(world):
    table, images, roots = world
    one, two = Turned(1), Turned(2)
    models = {"t1": {"one": one.encode}, "t2": {"one": one.encode, "two": two.encode}}
    found = {(own.name, own.route): own for own in study_means(table, roots, models)}
    assert set(found) == {("one", "t1"), ("one", "t2"), ("two", "t2")}
    for (name, route), own in found.items():
        wanted = alone(table, images, {"one": one, "two": two}[name], route)
        assert own.studies["study_key"].to_list() == list(wanted)
        assert own.vectors.dtype == np.float32
        assert own.vectors.tobytes() == np.stack(list(wanted.values())).tobytes()


def test_baselines_and_ablations_are_pooled_alike_to_the_last_bit(world, monkeypatch):
    table, _, roots = world
    model = Turned(3)
    baseline = SimpleNamespace(encode=model.encode, version=lambda route: f"v-{route}")
    monkeypatch.setattr(baselines, "featurizer", lambda *_, **__: baseline)
    stored = baselines.baseline_vectors(
        table, shard_roots=roots, names=["random_init"], backbone=None, settings=None
    )
    routed = Routed(dict.fromkeys(("t1", "t2", "other"), model))
    variants = encoded_studies(table, roots, {(Question.GRAM, "without_gram"): routed})
    columns = ["patient_key", "study_key", "route", "vector"]
    assert stored.select(columns).equals(variants.select(columns).sort("route", "study_key"))
    assert stored["route"].n_unique() == 3
    assert stored["model_version"].equals("v-" + stored["route"], check_names=False)


def test_every_slice_is_read_once_in_full_batches(world, monkeypatch):
    table, _, roots = world
    read = []
    stored = module.stored_images

    def counted(rows, root):
        for key, image in stored(rows, root):
            read.append(key)
            yield key, image

    monkeypatch.setattr(module, "stored_images", counted)
    one, two, told = Turned(1), Turned(2), []
    models = {route: {"one": one.encode, "two": two.encode} for route in ("t1", "other")}
    study_means(table, roots, models, progress=lambda *state: told.append(state))
    asked = table.filter(pl.col("route") != "t2")
    assert sorted(read) == sorted(asked["slice_key"])
    expected = []
    for route in ("t1", "other"):
        n = table.filter(route=route).height
        expected += [64] * (n // 64) + ([n % 64] if n % 64 else [])
    assert one.seen == two.seen == expected
    assert len(expected) > 2
    assert told == [(int(done), asked.height) for done in np.cumsum(expected)]


def test_a_model_that_knows_nothing_of_a_route_has_no_vectors_of_it(world):
    table, _, roots = world
    one = Turned(1)
    models = {"t1": {"one": one.encode, "none": lambda images: None}, "t2": {}}
    assert [(own.name, own.route) for own in study_means(table, roots, models)] == [("one", "t1")]
    assert study_means(table, roots, {}) == []
    with pytest.raises(ValueError, match="no shard folder for batch rsna-0001: materialise shards"):
        study_means(table, {"internal-0001": roots["internal-0001"]}, models)
