from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from spine_models.encoder.backbone.augment import to_unit
from spine_models.encoder.synthesizer import gate_table as module
from spine_models.encoder.synthesizer.fused import FusedEncoder
from spine_models.encoder.synthesizer.gate_table import SeriesImages, gate_table
from spine_models.encoder.synthesizer.tables import GATES
from tests.encoder.synthesizer.test_fused import opinionated


def slices(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 65536, (n, 32, 32)).astype(np.uint16)


def test_a_row_a_series_and_layer_with_the_mean_over_slices(pair, monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 2)
    fused = opinionated(FusedEncoder(*pair, "conditional", hidden=8)).freeze()
    series = [
        SeriesImages("b", "T1", slices(3)),
        SeriesImages("c", None, slices(0)),
        SeriesImages("a", None, slices(1, 1)),
    ]
    table = gate_table(fused, series)
    assert table.schema == GATES
    assert table["series_key"].to_list() == ["b", "b", "a", "a"]
    assert table["layer"].to_list() == [0, 1, 0, 1]
    assert table["contrast"].to_list() == ["T1", "T1", None, None]
    assert table["n_slices"].to_list() == [3, 3, 1, 1]
    expected = fused.with_gates(to_unit(slices(3)))[1].mean(dim=0)
    assert table["weight_t1"][:2].to_list() == pytest.approx(expected[:, 0].tolist(), abs=1e-6)
    assert (table["weight_t1"] + table["weight_t2"]).to_list() == pytest.approx([1.0] * 4)


def test_a_fixed_encoder_has_its_weights_in_the_table(pair):
    table = gate_table(FusedEncoder(*pair, "t2_only").eval(), [SeriesImages("a", "T2", slices(2))])
    assert table.select("weight_t1", "weight_t2").rows() == [(0.0, 1.0), (0.0, 1.0)]


def test_nothing_in_nothing_out_and_wrong_use_is_refused(pair):
    fused = FusedEncoder(*pair, "scalar").eval()
    assert gate_table(fused, []).equals(pl.DataFrame(schema=GATES))
    with pytest.raises(ValueError, match="uint16"):
        gate_table(fused, [SeriesImages("a", "T1", slices(2).astype(np.float32))])
    with pytest.raises(ValueError, match="eval mode"):
        gate_table(fused.train(), [])
