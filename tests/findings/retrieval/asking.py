"""Retrieval's evaluation asked on made-up vectors, with vectors of other encoders beside them."""

from __future__ import annotations

import numpy as np
import polars as pl

from spine_models.config import RetrievalSettings
from spine_models.findings.probes.tables import BASELINES
from spine_models.findings.retrieval.evaluate import Vectors, evaluate_retrieval
from tests.findings.retrieval.conftest import DIM

SETTINGS = RetrievalSettings(bootstrap=40)


VERSIONS = {"clip": "c1", "synthesizer": "a1"}


def others(space, *, noise, seed):
    """Study vectors that know of the reports what ``noise`` leaves, turned and shifted so that only a map finds it."""
    rng = np.random.default_rng(seed)
    turn = rng.normal(size=(DIM, 9))
    rows = []
    for row in space.aligned.filter(pl.col("modality") == "report").iter_rows(named=True):
        for route in ("t1", "t2"):
            vector = np.array(row["vector"]) @ turn + 5 + noise * rng.normal(size=9)
            rows.append({"study_key": row["study_key"], "patient_key": row["patient_key"], "route": route,
                         "encoder": f"dinov3-{route}", "model_version": "e1", "preprocessing_version": "p1",
                         "vector": vector.tolist()})  # fmt: skip
    return pl.DataFrame(rows)


def pixel_pca(space, *, noise):
    """The only baseline."""
    return others(space, noise=noise, seed=2).with_columns(encoder=pl.lit("pixel_pca"))


def run(space, sentences=None, labels=None, *, noise=3.0, **changes):
    frozen, baselines = changes.pop("frozen", None), changes.pop("baselines", None)
    if frozen is None:
        frozen = others(space, noise=1.0, seed=1)
    if baselines is None:
        baselines = pixel_pca(space, noise=noise)
    consensus = (
        labels
        if labels is not None
        else pl.DataFrame(schema={"study_key": pl.String, "condition": pl.String, "label": pl.Int8})
    )
    vectors = Vectors(
        space.aligned,
        lambda: (space.slices.filter(pl.col("batch_key") == batch) for batch in ("b0", "b1")),
        frozen,
        baselines.select(BASELINES.names()),
    )
    given = {
        "splits": space.splits, "reports": space.reports, "consensus": consensus, "versions": VERSIONS,
    } | changes  # fmt: skip
    return evaluate_retrieval(vectors, sentences=sentences or {}, settings=SETTINGS, **given)


def row_of(table, **where):
    found = table.filter(*[pl.col(name) == value for name, value in where.items()])
    assert found.height == 1, where
    return found.row(0, named=True)
