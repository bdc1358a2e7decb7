from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
import pytest

from spine_models.corpus.shards import tables as shards
from spine_models.findings.embeddings import tables as embeddings
from spine_models.reporting.llava.images import (
    CONTRASTS,
    PLANES,
    ROUTES,
    LlavaDataError,
    choose,
    study_images,
)
from tests.reporting.conftest import frame

SAGITTAL = [0.0, 1.0, 0.0, 0.0, 0.0, -1.0]
AXIAL = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
SIZE, SPACING = 11, 2.0


def series(
    key: str,
    n: int,
    *,
    route: str = "t2",
    plane: str | None = "sagittal",
    contrast: str | None = "T2",
    study: str = "study",
    mm: Sequence[float] | None = None,
    iop: Sequence[float] = SAGITTAL,
) -> list[dict[str, Any]]:
    """Slices whose centres stand at ``mm`` along x (sagittal) or z (axial); without it they have no place."""
    rows = []
    for i in range(n):
        row: dict[str, Any] = {
            "study_key": study, "series_key": key, "slice_key": f"{study}-{key}-{i:03}", "slice_index": i,
            "route": route, "plane": plane, "contrast": contrast, "size_px": SIZE, "output_spacing_mm": SPACING,
            "encoder": f"e-{route}", "model_version": "v", "preprocessing_version": "pp",
            "vector": [float(i), float(n)],
        }  # fmt: skip
        if mm is not None:
            half = (SIZE - 1) / 2 * SPACING
            across, down = np.array(iop[:3]), np.array(iop[3:])
            normal = np.abs(np.cross(across, down))
            row["iop"] = list(iop)
            row["output_ipp_mm"] = list(normal * mm[i] - (across + down) * half)
        rows.append(row)
    return rows


def opened(rows: list[dict[str, Any]], *, most: int = 64) -> dict[str, Any]:
    # In an order that is neither that of the series nor of the slices.
    shuffled = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))]
    return study_images(frame(rows, shards.SLICES), frame(shuffled, embeddings.SLICES), max_slices=most)


def test_a_short_study_is_kept_whole_in_the_order_of_its_series() -> None:
    rows = [
        *series("b", 3, mm=[10, 0, -10]),
        *series("a", 2, route="t1", contrast="T1"),
        *series("c", 2, plane="axial", contrast=None, mm=[-5, 5], iop=AXIAL),
        *series("d", 1, route="other", plane=None, contrast="never heard of"),
    ]
    (study,) = opened(rows).values()
    assert [ROUTES[r] for r in study.route] == ["t1", "t1", *["t2"] * 5, "other"]
    assert [PLANES[p] for p in study.plane] == [*["sagittal"] * 5, "axial", "axial", "unknown"]
    assert [CONTRASTS[c] for c in study.contrast] == ["T1", "T1", "T2", "T2", "T2", "other", "other", "other"]
    assert study.series.tolist() == [0, 0, 1, 1, 1, 2, 2, 3]
    # Stored from left to right, told from right to left.
    assert study.vectors[2:5].tolist() == [[2, 3], [1, 3], [0, 3]]
    assert study.slice_keys[2:5] == ("study-b-002", "study-b-001", "study-b-000")
    assert study.vectors.dtype == np.float32
    np.testing.assert_allclose(study.position, [1 / 4, 3 / 4, 1 / 6, 3 / 6, 5 / 6, 1 / 4, 3 / 4, 1 / 2])


def test_offsets_are_from_the_middle_of_the_study_towards_left_and_head() -> None:
    rows = [
        *series("a", 3, mm=[14, 10, 6]),
        *series("b", 2, plane="axial", mm=[30, 50], iop=AXIAL),
        *series("c", 1, contrast="STIR"),
    ]
    (study,) = opened(rows).values()
    # The centres' median: x of (14, 10, 6, 0, 0), z of (0, 0, 0, 30, 50).
    by_key = dict(zip(study.slice_keys, study.offset_mm.tolist(), strict=True))
    assert by_key["study-a-002"] == pytest.approx(6 - 6)
    assert by_key["study-a-000"] == pytest.approx(14 - 6)
    assert by_key["study-b-000"] == pytest.approx(30)
    assert by_key["study-b-001"] == pytest.approx(50)
    assert np.isnan(by_key["study-c-000"])


def test_the_way_a_series_was_stored_does_not_matter() -> None:
    """The same slices with rows or columns, or their order, turned about: the same side is the same side."""
    mm = [-8, -4, 0, 4, 8]
    turned = [0.0, -1.0, 0.0, 0.0, 0.0, -1.0]
    (one,) = opened(series("a", 5, mm=mm)).values()
    (two,) = opened(series("a", 5, mm=mm, iop=turned)).values()
    (back,) = opened(series("a", 5, mm=mm[::-1])).values()
    for other in (two, back):
        np.testing.assert_allclose(other.position, one.position)
        np.testing.assert_allclose(other.offset_mm, one.offset_mm, atol=1e-6)
    assert one.vectors.tolist() == two.vectors.tolist() == back.vectors[::-1].tolist()


def test_a_series_with_a_slice_of_unknown_place_keeps_its_stored_order() -> None:
    rows = series("a", 4, mm=[9, 6, 3, 0])
    rows[1]["output_ipp_mm"] = None
    (study,) = opened(rows).values()
    assert study.slice_keys == tuple(f"study-a-{i:03}" for i in range(4))
    assert np.isnan(study.offset_mm).tolist() == [False, True, False, False]


def test_no_orientation_in_the_whole_table_is_no_place() -> None:
    rows = series("a", 3) + series("b", 2, mm=[0, 1], iop=[1.0, 0, 0, 1.0, 0, 0])
    (study,) = opened(rows).values()
    assert np.isnan(study.offset_mm).all()
    assert len(study) == 5


def test_a_long_study_loses_slices_evenly_and_no_route() -> None:
    rows = [
        *series("a", 1, route="t1", contrast="T1"),
        *series("b", 100, contrast="T2"),
        *series("c", 40, plane="axial", contrast="T2"),
        *series("d", 3, contrast="STIR"),
        *series("e", 30, route="other", contrast="PD"),
    ]
    (study,) = opened(rows, most=31).values()
    counts = {route: int((study.route == i).sum()) for i, route in enumerate(ROUTES)}
    assert counts == {"t1": 1, "t2": 15, "other": 15}
    own = {s: study.vectors[study.series == s][:, 0] for s in np.unique(study.series)}
    assert sorted(len(v) for v in own.values()) == [1, 3, 6, 6, 15]
    gaps = np.diff(study.vectors[(study.vectors[:, 1] == 100)][:, 0])
    assert len(gaps) == 5
    assert gaps.max() - gaps.min() <= 1
    np.testing.assert_allclose(np.diff(study.vectors[(study.vectors[:, 1] == 30)][:, 0]), 2)
    # Where a slice lies is told by all slices of its series, kept or not.
    kept = study.vectors[:, 1] == 100
    np.testing.assert_allclose(study.position[kept], (study.vectors[kept][:, 0] + 0.5) / 100, rtol=1e-6)


def test_fewer_places_than_series_still_hold_every_route_and_then_every_plane() -> None:
    kinds = [(0, 0), (1, 0), (1, 0), (1, 0), (1, 1), (2, 0)]
    kept = choose(kinds, [5, 9, 9, 9, 9, 5], 6)
    assert [len(own) for own in kept] == [2, 1, 0, 0, 1, 2]
    assert [len(own) for own in choose(kinds, [5, 9, 9, 9, 9, 5], 3)] == [1, 1, 0, 0, 0, 1]
    assert kept[1] == [4]


@pytest.mark.parametrize("seed", range(30))
def test_whatever_the_study_the_quota_is_used_up_and_no_route_is_lost(seed: int) -> None:
    draw = np.random.default_rng(seed)
    kinds = [(int(draw.integers(3)), int(draw.integers(4))) for _ in range(draw.integers(1, 12))]
    lengths = [int(n) for n in draw.integers(1, 40, size=len(kinds))]
    most = int(draw.integers(3, 80))
    kept = choose(kinds, lengths, most)
    assert sum(map(len, kept)) == min(most, sum(lengths))
    assert {kinds[i][0] for i, own in enumerate(kept) if own} == {route for route, _ in kinds}
    for own, n in zip(kept, lengths, strict=True):
        assert own == sorted(set(own))
        assert all(0 <= i < n for i in own)
    totals = {
        route: sum(len(o) for o, k in zip(kept, kinds, strict=True) if k[0] == route) for route, _ in kinds
    }
    there = {
        route: sum(n for n, k in zip(lengths, kinds, strict=True) if k[0] == route) for route, _ in kinds
    }
    short = [route for route in totals if totals[route] < there[route]]
    assert all(totals[a] >= max(totals.values()) - 1 for a in short)


def test_an_answer_depends_on_its_own_study_alone() -> None:
    mine = series("a", 9, mm=list(range(9)), study="mine") + series("b", 4, route="t1", study="mine")
    others = series("a", 50, study="else", mm=[0.5] * 50) + series("z", 3, route="other", study="third")
    alone, among = opened(mine, most=8)["mine"], opened(mine + others, most=8)["mine"]
    for name in ("vectors", "route", "plane", "contrast", "series", "position", "offset_mm", "slice_keys"):
        assert np.array_equal(getattr(alone, name), getattr(among, name), equal_nan=name == "offset_mm")
    assert set(opened(mine + others)) == {"mine", "else", "third"}


def test_no_vectors_are_no_studies() -> None:
    assert opened([]) == {}


def test_tables_that_do_not_belong_together_are_refused() -> None:
    rows = series("a", 3)
    slices, vectors = frame(rows, shards.SLICES), frame(rows, embeddings.SLICES)
    with pytest.raises(LlavaDataError, match="1 slice vectors have no slice in the index"):
        study_images(slices.head(2), vectors, max_slices=8)
    with pytest.raises(LlavaDataError, match="a slice has two vectors"):
        study_images(slices, pl.concat([vectors, vectors.head(1)]), max_slices=8)
    other = vectors.with_columns(model_version=pl.Series(["v", "v", "w"]))
    with pytest.raises(LlavaDataError, match="route 't2' are of several encoders"):
        study_images(slices, other, max_slices=8)
    longer = pl.concat(
        [vectors.head(2), vectors.tail(1).with_columns(vector=pl.lit([1.0], pl.List(pl.Float32)))]
    )
    with pytest.raises(LlavaDataError, match="several lengths"):
        study_images(slices, longer, max_slices=8)
    with pytest.raises(ValueError, match="at least 3"):
        study_images(slices, vectors, max_slices=2)
