"""What is computed, what is reused, and what is refused."""

from __future__ import annotations

import hashlib

import numpy as np
import polars as pl
import pytest

from spine_models.config import EmbeddingSettings
from spine_models.findings.embeddings import EmbeddingError, embed_slices, missing_vectors
from spine_models.findings.embeddings.tables import SLICES


class Moments:
    """An encoder whose vectors can be checked by hand: mean, deviation and maximum of a slice."""

    def __init__(self, route: str, version: str = "v1") -> None:
        self.name, self.route, self.version = f"dinov3-{route}", route, version
        self.batches: list[int] = []

    def encode(self, images: np.ndarray) -> np.ndarray:
        assert images.dtype == np.uint16
        self.batches.append(len(images))
        flat = images.reshape(len(images), -1).astype(np.float64)
        return np.stack([flat.mean(1), flat.std(1), flat.max(1)], axis=1).astype(np.float32)


def embed(batch, encoders=None, previous=None, batch_size=2):
    encoders = encoders or {"t1": Moments("t1"), "t2": Moments("t2")}
    return embed_slices(
        batch.table,
        shard_root=batch.root,
        encoders=encoders,
        previous=previous,
        settings=EmbeddingSettings(batch_size=batch_size),
    )


def with_new_pixels(batch, members, make_batch, key):
    """The same batch after one slice was preprocessed anew to other pixels."""
    changed = batch.images[key][::-1].copy()
    changed[0, 0] ^= 1
    return make_batch(
        [{**m, "image": changed if m["slice"] == key else batch.images[m["slice"]]} for m in members],
        folder="again",
    )


def test_every_routed_slice_gets_its_own_vector_and_no_other(make_batch, members):
    batch = make_batch(members)
    frame, computed = embed(batch)
    assert frame.schema == SLICES
    assert computed == frame.height == 10
    assert "other" not in frame["route"].to_list()
    assert frame["slice_key"].to_list() == sorted(frame["slice_key"])
    for row in frame.iter_rows(named=True):
        assert row["vector"][0] == pytest.approx(float(batch.images[row["slice_key"]].mean()), rel=1e-6)
        assert row["encoder"] == f"dinov3-{row['route']}"
        assert row["model_version"] == "v1"


def test_a_rerun_computes_nothing_and_returns_an_equal_frame(make_batch, members):
    batch = make_batch(members)
    first, _ = embed(batch)
    encoders = {"t1": Moments("t1"), "t2": Moments("t2")}
    again, computed = embed(batch, encoders, previous=first)
    assert computed == 0
    assert again.equals(first)
    assert encoders["t1"].batches == encoders["t2"].batches == []


def test_one_changed_slice_recomputes_one_and_reads_its_tar_alone(make_batch, members):
    batch = make_batch(members)
    first, _ = embed(batch)
    changed = with_new_pixels(batch, members, make_batch, "e2-0000")
    (changed.root / "t1/train/shard-000000.tar").unlink()
    again, computed = embed(changed, previous=first)
    assert computed == 1
    differs = [a != b for a, b in zip(again["vector"].to_list(), first["vector"].to_list(), strict=True)]
    assert again.filter(pl.Series(differs))["slice_key"].to_list() == ["e2-0000"]


def test_another_model_version_recomputes_that_route(make_batch, members):
    batch = make_batch(members)
    first, _ = embed(batch)
    again, computed = embed(batch, {"t1": Moments("t1"), "t2": Moments("t2", "v2")}, previous=first)
    assert computed == 8
    assert set(again.filter(pl.col("route") == "t2")["model_version"]) == {"v2"}
    _, everything = embed(batch, {"t1": Moments("t1", "v2"), "t2": Moments("t2", "v2")}, previous=first)
    assert everything == 10


def test_another_preprocessing_recomputes_all(make_batch, members):
    batch = make_batch(members)
    first, _ = embed(batch)
    batch.table = batch.table.with_columns(preprocessing_version=pl.lit("p2"))
    assert embed(batch, previous=first)[1] == 10


def test_rows_of_vanished_slices_are_dropped_and_new_ones_added(make_batch, members):
    batch = make_batch(members)
    whole = batch.table
    batch.table = whole.filter(pl.col("series_key") != "d")
    first, _ = embed(batch)
    batch.table = whole.filter(pl.col("series_key") != "b")
    again, computed = embed(batch, previous=first)
    assert computed == 1
    assert set(again["series_key"]) == {"a", "d", "e"}


def test_reused_rows_carry_the_present_identity(make_batch, members):
    batch = make_batch(members)
    first, _ = embed(batch)
    batch.table = batch.table.with_columns(batch_key=pl.lit("internal-0002"))
    again, computed = embed(batch, previous=first)
    assert computed == 0
    assert set(again["batch_key"]) == {"internal-0002"}


def test_order_of_the_table_and_batch_size_make_no_difference(make_batch, members):
    batch = make_batch(members)
    first, _ = embed(batch, batch_size=1)
    batch.table = batch.table.sample(fraction=1.0, shuffle=True, seed=3)
    again, _ = embed(batch, batch_size=64)
    assert again.equals(first)


def test_a_route_without_an_encoder_is_left_out(make_batch, members):
    frame, computed = embed(make_batch(members), {"t2": Moments("t2")})
    assert computed == 8
    assert set(frame["route"]) == {"t2"}


def test_no_slices_give_an_empty_frame_of_the_schema(make_batch, members):
    batch = make_batch(members)
    batch.table = batch.table.clear()
    frame, computed = embed(batch)
    assert (frame.schema, frame.height, computed) == (SLICES, 0, 0)


def test_progress_counts_up_to_what_was_stale(make_batch, members):
    batch = make_batch(members)
    seen: list[tuple[int, int]] = []
    embed_slices(
        batch.table,
        shard_root=batch.root,
        encoders={"t2": Moments("t2")},
        previous=None,
        settings=EmbeddingSettings(batch_size=3),
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(3, 8), (6, 8), (8, 8)]


def test_an_encoder_of_the_other_route_is_refused(make_batch, members):
    with pytest.raises(EmbeddingError, match="'t2' is given for route 't1'"):
        embed(make_batch(members), {"t1": Moments("t2")})


def test_a_slice_that_its_shard_lacks_is_an_error(make_batch, members):
    batch = make_batch(members)
    extra = batch.table.filter(pl.col("slice_key") == "a0-0000").with_columns(slice_key=pl.lit("zz-0000"))
    batch.table = pl.concat([batch.table, extra])
    with pytest.raises(EmbeddingError, match=r"1 slices .* not in shard t1/train"):
        embed(batch)


def test_pixels_that_are_not_those_of_the_table_are_an_error(make_batch, members):
    batch = make_batch(members)
    wrong = hashlib.sha256(b"other pixels").hexdigest()
    batch.table = batch.table.with_columns(
        pixel_hash=pl.when(pl.col("slice_key") == "a0-0000")
        .then(pl.lit(wrong))
        .otherwise(pl.col("pixel_hash"))
    )
    with pytest.raises(EmbeddingError, match=r"a0-0000 .* is not the one in the slice table"):
        embed(batch)


def test_vectors_that_are_not_finite_are_refused(make_batch, members):
    class Diverged(Moments):
        def encode(self, images: np.ndarray) -> np.ndarray:
            return super().encode(images) * np.float32(np.nan)

    with pytest.raises(EmbeddingError, match="not finite"):
        embed(make_batch(members), {"t1": Diverged("t1")})


def test_missing_vectors_counts_stale_absent_and_broken_rows(make_batch, members):
    batch = make_batch(members)
    encoders = {"t1": Moments("t1"), "t2": Moments("t2")}
    frame, _ = embed(batch, encoders)
    assert missing_vectors(batch.table, frame, encoders) == 0
    assert missing_vectors(batch.table, frame.head(7), encoders) == 3
    assert missing_vectors(batch.table, frame, encoders | {"t1": Moments("t1", "v2")}) == 2
    broken = frame.with_columns(vector=pl.lit([float("nan")], dtype=pl.List(pl.Float32)))
    assert missing_vectors(batch.table, broken, encoders) == 10


def test_a_vector_of_the_real_network_does_not_depend_on_its_batch_mates(tmp_path):
    from spine_models.config import load_profile
    from spine_models.encoder.backbone.encoder import load_encoder
    from spine_models.encoder.backbone.train import untrained

    settings = load_profile("phantom").backbone.model_copy(
        update={"image_px": 32, "patch_px": 8, "dim": 32, "depth": 2, "heads": 2}
    )
    untrained(settings, tmp_path, route="t1")
    encoder = load_encoder(tmp_path)
    images = np.random.default_rng(0).integers(0, 65536, (5, 32, 32)).astype(np.uint16)
    together = encoder.encode(images)
    alone = np.concatenate([encoder.encode(image[None]) for image in images])
    assert together.shape == (5, 96)
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-5)
