"""Study vectors of variants are pooled as SpineFM's are, each slice read once, each route by its own reader."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from spine_models.findings.ablations.models import Routed, SideBySide
from spine_models.findings.ablations.tables import VECTORS
from spine_models.findings.ablations.variants import Question
from spine_models.findings.ablations.vectors import encoded_studies, stored_studies


class Brightness:
    """Mean and maximum of a slice, scaled."""

    def __init__(self, factor: float, version: str) -> None:
        self.factor, self.version, self.seen = factor, version, 0

    def encode(self, images: np.ndarray) -> np.ndarray:
        self.seen += len(images)
        flat = images.reshape(len(images), -1).astype(np.float64)
        return (self.factor * np.stack([flat.mean(axis=1), flat.max(axis=1)], axis=1)).astype(np.float32)


@pytest.fixture
def batch(make_batch, members):
    return make_batch(members)


def expected(batch, study: str, route: str, factor: float) -> np.ndarray:
    rows = batch.table.filter(study_key=study, route=route)
    series = []
    for (_,), part in rows.group_by("series_key", maintain_order=True):
        flat = [batch.images[key].astype(np.float64) for key in part["slice_key"]]
        series.append(np.mean([[factor * image.mean(), factor * image.max()] for image in flat], axis=0))
    return np.mean(series, axis=0)


def test_vectors_are_means_over_slices_then_series(batch):
    t1, t2 = Brightness(1.0, "one"), Brightness(0.5, "two")
    models = {(Question.GRAM, "without_gram"): Routed({"t1": t1, "t2": t2})}
    frame = encoded_studies(batch.table, {"internal-0001": batch.root}, models)
    assert frame.schema == VECTORS
    assert frame.select("study_key", "route", "model_version").rows() == [
        ("s1", "t1", "one"),
        ("s1", "t2", "two"),
        ("s2", "t2", "two"),
    ]
    for study, route, factor in (("s1", "t1", 1.0), ("s1", "t2", 0.5), ("s2", "t2", 0.5)):
        held = frame.filter(study_key=study, route=route)["vector"][0].to_numpy()
        np.testing.assert_allclose(held, expected(batch, study, route, factor), rtol=1e-5)
    assert (t1.seen, t2.seen) == (2, 8)


def test_a_reader_of_the_other_series_reads_no_t1_and_no_t2(batch):
    one, two = Brightness(1.0, "one"), Brightness(0.5, "two")
    models = {(Question.SYNTHESIZER, "concatenation"): Routed({"other": SideBySide(one, two)})}
    frame = encoded_studies(batch.table, {"internal-0001": batch.root}, models)
    assert frame.select("study_key", "route", "model_version").rows() == [("s1", "other", "one+two")]
    whole = frame["vector"][0].to_numpy()
    np.testing.assert_allclose(whole[2:], 0.5 * whole[:2], rtol=1e-6)
    assert one.seen == 1


def test_no_models_make_no_rows(batch):
    assert encoded_studies(batch.table, {"internal-0001": batch.root}, {}).is_empty()


def test_a_batch_without_shards_is_named(batch):
    models = {(Question.GRAM, "without_gram"): Routed({"t1": Brightness(1.0, "one")})}
    with pytest.raises(ValueError, match="no shard folder for batch internal-0001: materialise shards"):
        encoded_studies(batch.table, {}, models)


def test_stored_vectors_are_taken_over_under_the_questions_name(cohort):
    made = cohort(patients=4)
    studies = made.vectors.with_columns(model_version=pl.lit("v"))
    frame = stored_studies(studies, Question.GRAM, "with_gram")
    assert frame.schema == VECTORS
    assert frame.height == studies.height
    assert stored_studies(studies, Question.SYNTHESIZER, "conditional").is_empty()
