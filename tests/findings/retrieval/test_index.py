"""Who is in the index and who is not, one clip alone, and every study's neighbours."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import torch

from spine_models.config import ClipSettings, RetrievalSettings
from spine_models.encoder.clip.data import ClipStudy
from spine_models.encoder.clip.model import new_model
from spine_models.findings.retrieval.index import build_index, open_index, text_query
from spine_models.findings.retrieval.neighbours import neighbours
from spine_models.findings.retrieval.pool import RetrievalError
from tests.encoder.clip.conftest import TINY
from tests.findings.retrieval.conftest import DIM, make_space, unit


def built(folder, space, **changes):
    given = {
        "clip_version": "c1", "synthesizer_version": "a1", "dim": DIM, "settings": RetrievalSettings(chunk=5)
    } | changes  # fmt: skip
    folder.mkdir(exist_ok=True)
    splits = given.pop("splits", space.splits)
    about = build_index(folder, ["b0", "b1"], space.read, splits, **given)
    return about, open_index(folder, clip_version=given["clip_version"])


def of_split(space, split):
    return set(space.splits.filter(split=split)["patient_key"])


def test_only_train_patients_are_in_it(tmp_path, space):
    about, index = built(tmp_path, space)
    train = of_split(space, "train")
    reports = space.aligned.filter(pl.col("modality") == "report", pl.col("patient_key").is_in(train))
    assert set(index.reports.keys["study_key"]) == set(reports["study_key"])
    assert set(index.slices.keys["patient_key"]) == train
    assert about["pools"]["reports"]["n"] == reports.height
    assert about["pools"]["slices"]["patients"] == len(train)


def test_rows_and_vectors_belong_together(tmp_path, space):
    _, index = built(tmp_path, space)
    held = dict(space.slices.select("slice_key", "vector").rows())
    for row, key in enumerate(index.slices.keys["slice_key"]):
        np.testing.assert_allclose(index.slices.vectors[row], held[key], atol=1e-6)


def test_neighbours_are_those_of_a_loop(tmp_path, space):
    _, index = built(tmp_path, space)
    batch = space.aligned.filter(pl.col("batch_key") == "b0")
    found = neighbours(batch, index, "i1", 4)
    train = of_split(space, "train")
    reports = space.aligned.filter(pl.col("modality") == "report", pl.col("patient_key").is_in(train))
    for study in batch["study_key"].unique():
        own = batch.filter(pl.col("study_key") == study)
        query = own.filter(pl.col("modality") == "study").row(0, named=True)
        scored = sorted(
            (-float(np.dot(np.float32(v), np.float32(query["vector"]))), key)
            for key, patient, v in reports.select("study_key", "patient_key", "vector").rows()
            if patient != query["patient_key"]
        )
        rows = found.filter(pl.col("study_key") == study).sort("rank")
        assert rows["neighbour_study_key"].to_list() == [key for _, key in scored[:4]]
        assert rows["rank"].to_list() == [1, 2, 3, 4]
        np.testing.assert_allclose(rows["score"], [-score for score, _ in scored[:4]], atol=1e-5)
    assert set(found["clip_version"]) == {"c1"}
    assert set(found["index_version"]) == {"i1"}
    assert (found["patient_key"] != found["neighbour_patient_key"]).all()
    assert set(found["neighbour_patient_key"]) <= train


def test_a_study_is_asked_with_the_best_that_it_has(tmp_path, space):
    _, index = built(tmp_path, space)
    no_study = space.aligned.filter(pl.col("modality") != "study")
    assert set(neighbours(no_study, index, "i1", 2)["query"]) == {"t1", "t2"}
    reports = space.aligned.filter(pl.col("modality") == "report")
    assert neighbours(reports, index, "i1", 2).is_empty()


def test_one_study_and_a_pool_of_one_patient(tmp_path):
    space = make_space(1)
    _, index = built(tmp_path, space)
    assert neighbours(space.aligned, index, "i1", 3).is_empty()
    far = make_space(1, patients_from=500, seed=3)
    assert neighbours(far.aligned, index, "i1", 3).height == 1


def test_an_index_without_a_clip_is_empty_and_says_so(tmp_path, space):
    about, index = built(tmp_path, space, clip_version=None, synthesizer_version=None, dim=0)
    assert about["clip_version"] is None
    assert len(index.reports) == len(index.slices) == 0
    assert neighbours(space.aligned, index, "i1", 3).is_empty()


def test_a_lake_without_train_patients_makes_an_empty_index(tmp_path, space):
    splits = space.splits.with_columns(split=pl.lit("test"))
    _, index = built(tmp_path, space, splits=splits)
    assert len(index.reports) == 0
    assert neighbours(space.aligned, index, "i1", 3).is_empty()


def test_vectors_of_two_versions_are_refused(tmp_path, space):
    mixed = space.aligned.with_columns(
        pl.when(pl.col("study_key") == "s000")
        .then(pl.lit("c0"))
        .otherwise("model_version")
        .alias("model_version")
    )
    space.aligned = mixed
    with pytest.raises(RetrievalError, match="c0"):
        built(tmp_path, space)


def test_an_index_of_another_clip_is_refused(tmp_path, space):
    _, index = built(tmp_path, space)
    with pytest.raises(RetrievalError, match=r"c1.*c2"):
        open_index(tmp_path, clip_version="c2")
    other = space.aligned.with_columns(model_version=pl.lit("c2"))
    with pytest.raises(RetrievalError, match="c2"):
        neighbours(other, index, "i1", 3)
    with pytest.raises(RetrievalError, match="no index"):
        open_index(tmp_path / "elsewhere")


def test_a_patient_in_two_splits_is_refused(tmp_path, space):
    twice = pl.concat([space.splits, space.splits.head(1).with_columns(split=pl.lit("test"))])
    with pytest.raises(RetrievalError, match="two splits"):
        built(tmp_path, space, splits=twice)


def test_vectors_that_are_not_finite_are_refused(tmp_path, space):
    space.aligned = space.aligned.with_columns(pl.col("vector").list.eval(pl.element() * float("nan")))
    with pytest.raises(RetrievalError, match="not finite"):
        built(tmp_path, space)


def test_a_text_is_a_vector_of_the_space_or_refused():
    torch.manual_seed(0)
    report = "FINDINGS: L4-L5 disc bulge."
    model = new_model(
        ClipSettings.model_validate(TINY), {"t1": 4, "t2": 4}, [ClipStudy("s", "p", {}, report)]
    )
    vector = text_query(model, report)
    assert vector.shape == (1, 16)
    np.testing.assert_allclose(vector, unit(vector), atol=1e-5)
    with pytest.raises(RetrievalError, match="no finding"):
        text_query(model, "")
