"""The asset reads what proves the versions, and refuses a lake whose batches are not of one."""

from __future__ import annotations

import importlib
from types import SimpleNamespace

import dagster as dg
import polars as pl
import pytest

from pipelines.runtime.aligned import Versions
from spine_models.config import RetrievalSettings
from spine_models.findings.probes.tables import BASELINES
from spine_models.findings.retrieval.pool import RetrievalError
from tests.findings.retrieval.asking import others
from tests.findings.retrieval.conftest import DIM, make_space


def evaluated(monkeypatch, space, frozen, published):
    """What the asset yields over a lake of these tables."""
    # The package's attribute of this name is the asset.
    module = importlib.import_module("assets.findings.retrieval.scores")
    tables = {
        "aligned": space.aligned,
        "aligned_slices": space.slices,
        "studies": frozen,
        "splits": space.splits,
    }

    def read_table(key, batches, columns=None):
        table = tables[key[1]]
        table = table if key[1] == "splits" else table.filter(pl.col("batch_key").is_in(batches))
        return table.select(columns or pl.all())

    lake = SimpleNamespace(partitions=lambda key: ["b0", "b1"], read_table=read_table)
    hospital = SimpleNamespace(lake=lake, numbers=SimpleNamespace(retrieval=RetrievalSettings(bootstrap=20)))
    monkeypatch.setattr(module, "trained_clip", lambda _: None)
    monkeypatch.setattr(module, "space_versions", lambda _: published)
    monkeypatch.setattr(module, "study_reports", lambda *_: space.reports)
    consensus = pl.DataFrame(schema={"study_key": pl.String, "condition": pl.String, "label": pl.Int8})
    compute = module.scores.node_def.compute_fn.decorated_fn
    return list(compute(hospital, pl.DataFrame(schema=BASELINES), consensus))


def test_batches_of_another_model_than_is_published_are_refused(monkeypatch):
    space = make_space(40)
    batch = dict(space.aligned.select("study_key", "batch_key").rows())
    frozen = others(space, noise=1.0, seed=1)
    frozen = frozen.with_columns(batch_key=pl.col("study_key").replace_strict(batch))
    space_of = Versions("c1", "a1", DIM)
    results = evaluated(monkeypatch, space, frozen, space_of)
    assert sum(isinstance(result, dg.AssetCheckResult) for result in results) == 1
    assert len(results) == 4
    first = pl.col("batch_key") == "b0"
    for column in ("model_version", "preprocessing_version"):
        mixed = frozen.with_columns(pl.when(first).then(pl.lit("older")).otherwise(column).alias(column))
        with pytest.raises(RetrievalError, match="older"):
            evaluated(monkeypatch, space, mixed, space_of)
    for published in (Versions("c2", "a1", DIM), Versions("c1", None, DIM), None):
        with pytest.raises(RetrievalError, match="embeddings/aligned"):
            evaluated(monkeypatch, space, frozen, published)
