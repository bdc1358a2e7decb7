"""The registry of the diagnosis agents."""

from __future__ import annotations

import polars as pl

from spine_models.domain import condition_keys
from spine_models.findings.probes.tables import METRICS
from spine_models.reporting.agents import registry
from spine_models.reporting.agents.tables import REGISTRY


def metrics(*rows: tuple[str, str, str, str, float]) -> pl.DataFrame:
    names = ("condition", "encoder", "sequence_set", "evaluation", "auroc")
    given = [dict(zip(names, row, strict=True)) | {"head": "linear"} for row in rows]
    return pl.DataFrame([{c: row.get(c) for c in METRICS} for row in given], schema=METRICS)


def test_seventeen_agents_with_or_without_heads(heads) -> None:
    before = registry(None, metrics())
    assert before.schema == REGISTRY
    assert before["condition"].to_list() == list(condition_keys())
    assert before["agent"].to_list() == [f"diagnosis/{c}" for c in condition_keys()]
    assert not before["trained"].any()
    assert set(before["version"]) == {"1+no-head"}
    after = registry(heads({"canal": 0.5}), metrics())
    assert after.filter("trained")["condition"].to_list() == ["canal"]
    assert after.filter("trained")["version"].to_list() == ["1+heads-a"]


def test_skill_is_that_of_our_encoder_on_all_sequences(heads) -> None:
    table = registry(
        heads({"canal": 0.5}),
        metrics(
            ("canal", "spinefm", "all", "cv", 0.8),
            ("canal", "spinefm", "all", "test", 0.7),
            ("canal", "spinefm", "t1", "cv", 0.1),
            ("canal", "pixel_pca", "all", "cv", 0.2),
        ),
    )
    row = table.row(0, named=True)
    assert (row["auroc_cv"], row["auroc_test"]) == (0.8, 0.7)
    assert table["auroc_cv"].null_count() == 16


def test_versions_are_those_of_the_claims(lumbar, heads) -> None:
    stub = heads({"canal": 0.5, "edema": 0.5})
    claims = lumbar.diagnose(stub)
    assert registry(stub, metrics())["version"].to_list() == claims["agent_version"].to_list()
