"""Vectors of two versions, or of other models than are published, are refused wherever they come in."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from spine_models.findings.retrieval.pool import RetrievalError
from spine_models.findings.retrieval.studies import gather_studies
from tests.findings.retrieval.asking import others, pixel_pca, run
from tests.findings.retrieval.conftest import DIM, make_space, unit


def test_two_versions_are_refused(space):
    mixed = space.aligned.with_columns(
        pl.when(pl.col("study_key") == "s001")
        .then(pl.lit("c0"))
        .otherwise("model_version")
        .alias("model_version")
    )
    with pytest.raises(RetrievalError, match=r"embeddings/aligned, family 'clip': model_version.*\(c0, c1\)"):
        gather_studies(mixed, ["p001"], {})
    broken = space.aligned.with_columns(pl.col("vector").list.eval(pl.element() * float("nan")))
    with pytest.raises(RetrievalError, match="not finite"):
        gather_studies(broken, space.splits["patient_key"].to_list(), {})
    twice = pl.concat([space.aligned, space.aligned.head(1)])
    with pytest.raises(RetrievalError, match="two vectors"):
        gather_studies(twice, space.splits["patient_key"].to_list(), {})


def test_slices_and_sentences_are_of_the_studies_versions():
    """Every batch alone is of one version, and yet they are not comparable."""
    space = make_space(20)
    old = space.slices.with_columns(model_version=pl.lit("c0"))
    whole, space.slices = space.slices, old
    with pytest.raises(RetrievalError, match=r"c0.*c1"):
        run(space)
    half = pl.col("batch_key") == "b0"
    space.slices = pl.concat([whole.filter(half), old.filter(~half)])
    with pytest.raises(RetrievalError, match=r"c0.*c1"):
        run(space)
    space.slices = whole
    sentence = {"canal": unit(np.ones(DIM)).astype(np.float32)}
    for published, named in (
        ({"clip": "c2", "synthesizer": "a1"}, r"c1.*c2"),
        ({"clip": "c1", "synthesizer": "a2"}, r"a1.*a2"),
        ({"clip": "c1"}, r"a1.*none"),
        ({}, r"c1.*none"),
    ):
        with pytest.raises(RetrievalError, match=named):
            run(space, sentence, versions=published)


@pytest.mark.parametrize("column", ["encoder", "model_version", "preprocessing_version"])
def test_frozen_vectors_of_two_kinds_are_refused(column):
    space = make_space(20)
    frozen = others(space, noise=1.0, seed=1)
    first = (pl.col("study_key") == frozen["study_key"][0]) & (pl.col("route") == "t2")
    mixed = frozen.with_columns(pl.when(first).then(pl.lit("older")).otherwise(column).alias(column))
    with pytest.raises(
        RetrievalError, match=rf"embeddings/studies, route 't2': {column} has 2 versions .*older"
    ):
        run(space, frozen=mixed)


def test_a_baseline_of_two_versions_is_refused():
    space = make_space(20)
    held = pixel_pca(space, noise=3.0)
    first = (pl.col("study_key") == held["study_key"][0]) & (pl.col("route") == "t1")
    mixed = held.with_columns(model_version=pl.when(first).then(pl.lit("e0")).otherwise("model_version"))
    said = r"probes/baselines of pixel_pca, route 't1': model_version has 2 versions \(e0, e1\)"
    with pytest.raises(RetrievalError, match=said):
        run(space, baselines=mixed)
