from __future__ import annotations

from itertools import chain

import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spine_models.encoder.clip.batch import ClipItem, batch_indices, batch_sizes, collate
from spine_models.encoder.clip.data import (
    KINDS,
    ClipDataError,
    choose_slices,
    clip_studies,
    encoder_versions,
)


@given(st.lists(st.integers(1, 30), max_size=8), st.integers(1, 40))
def test_slices_are_shared_between_series(lengths, most):
    chosen = choose_slices(lengths, most)
    assert sum(map(len, chosen)) == min(most, sum(lengths))
    for own, length in zip(chosen, lengths, strict=True):
        assert own == sorted(set(own))
        assert all(0 <= i < length for i in own)
    cut = [len(own) for own, length in zip(chosen, lengths, strict=True) if len(own) < length]
    assert not cut or max(map(len, chosen)) - min(cut) <= 1


def test_a_long_first_series_does_not_crowd_out_the_second():
    assert choose_slices([200, 4], 8) == [[25, 75, 125, 175], [0, 1, 2, 3]]


def table(**changes):
    rows = [
        {"patient_key": "p", "study_key": study, "series_key": series, "slice_key": f"{study}{series}-{i}",
         "route": route, "plane": plane, "encoder": f"dinov3-{route}", "model_version": "m",
         "preprocessing_version": "w", "vector": [float(i)] * (3 if route == "t1" else 2)}
        for study, series, route, plane, n in (
            ("b", "x", "t1", "sagittal", 3), ("b", "y", "t1", "axial", 2), ("b", "z", "t2", "axial", 1),
            ("a", "w", "t2", "odd", 2), ("a", "o", "other", "axial", 2),
        )
        for i in range(n)
    ]  # fmt: skip
    return pl.DataFrame(rows).with_columns(**changes).sample(fraction=1.0, shuffle=True, seed=1)


REPORTS = pl.DataFrame({"study_key": ["b"], "report_text": ["FINDINGS: x."]})


def test_studies_from_tables():
    first, second = clip_studies(table(), REPORTS, max_slices=4)
    assert (first.study_key, first.report, set(first.routes)) == ("a", "", {"t2"})
    assert first.routes["t2"].kind.tolist() == [KINDS.index("unknown")] * 2
    t1 = second.routes["t1"]
    assert t1.series.tolist() == [0, 0, 1, 1]
    assert t1.vectors[:, 0].tolist() == [0, 2, 0, 1]
    assert [KINDS[k] for k in t1.kind] == ["sagittal", "sagittal", "axial", "axial"]
    assert second.report == "FINDINGS: x."


def test_mixtures_are_refused():
    assert encoder_versions(table())["t2"] == {
        "encoder": "dinov3-t2",
        "model_version": "m",
        "preprocessing_version": "w",
    }
    with pytest.raises(ClipDataError, match="several encoders"):
        encoder_versions(table(model_version=pl.col("slice_key")))
    with pytest.raises(ClipDataError, match="several lengths"):
        clip_studies(table(route=pl.lit("t1")), REPORTS, max_slices=4)
    with pytest.raises(ClipDataError, match="two reports"):
        clip_studies(table(), pl.concat([REPORTS, REPORTS]), max_slices=4)


def test_a_batch_pads_and_masks():
    first, second = clip_studies(table(), REPORTS, max_slices=4)
    items = [ClipItem(first.routes, []), ClipItem(second.routes, [[1, 5, 2]])]
    batch = collate(items, {"t1": 3, "t2": 2}, pad=0, text_dim=None)
    assert batch.bags["t1"].mask.tolist() == [[False] * 4, [True] * 4]
    assert batch.bags["t2"].mask.tolist() == [[True, True], [True, False]]
    assert batch.reports.present.tolist() == [False, True]
    frozen = [ClipItem(first.routes, None), ClipItem(second.routes, torch.ones(5))]
    reports = collate(frozen, {"t2": 2}, pad=None, text_dim=5).reports
    assert reports.vectors.tolist() == [[0.0] * 5, [1.0] * 5]
    assert reports.present.tolist() == [False, True]


def test_every_epoch_is_a_fresh_order_known_from_the_step():
    own, steps = batch_sizes(11, 2, 2)
    assert (own, steps) == (2, 2)
    given_ = [
        batch_indices(11, own, step=step, seed=0, rank=rank, world=2) for step in range(4) for rank in (0, 1)
    ]
    first, second = list(chain(*given_[:4])), list(chain(*given_[4:]))
    assert len(set(first)) == len(set(second)) == 8
    assert first != second
    whole = batch_indices(11, 4, step=1, seed=0, rank=0, world=1)
    assert whole == given_[2] + given_[3]
    assert batch_sizes(5, 80, 2) == (2, 1)
    assert batch_sizes(1, 80, 2) == (0, 0)
