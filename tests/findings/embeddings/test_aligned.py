"""Vectors in the space of the reports: the trainings' choice of slices, only what is stale, one clip."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal

from spine_models.config import ClipSettings
from spine_models.encoder.clip.data import ClipStudy, RouteSlices, choose_slices, kind_of
from spine_models.encoder.clip.model import new_model
from spine_models.findings.embeddings.aligned import ClipSide, align_batch, studies_without_vector
from spine_models.findings.embeddings.aligned_choice import AlignedError, chosen_slices
from spine_models.findings.embeddings.tables import SLICES
from tests.encoder.clip.conftest import TINY

REPORT = "FINDINGS: L4-L5: disc bulge. No canal stenosis.\n\nIMPRESSION: disc bulge."
PARENTS = {
    route: {"encoder": f"dinov3-{route}", "model_version": f"m-{route}", "preprocessing_version": "p1"}
    for route in ("t1", "t2")
}


def vector_of(image, dim):
    """Something of an image that differs from image to image."""
    return np.resize(np.asarray(image, dtype=np.float64).mean(axis=0) / 65535, dim).astype(np.float32)


class Stand:
    """In place of an aligned synthesizer: sums of slices, turned by plane numbers; counts what it encodes."""

    def __init__(self, clip_version="c1", version="a1"):
        self.version, self.clip_version, self.encoded = version, clip_version, 0
        self.synthesizer = SimpleNamespace(name="synthesizer-conditional", version="s1", encode=self.encode)

    def encode(self, images):
        self.encoded += len(images)
        return np.stack([vector_of(image, 12) for image in images])

    def embed(self, studies):
        rows = [(s.vectors * (1 + s.series[:, None] + 10 * s.kind[:, None])).sum(axis=0) for s in studies]
        return (
            np.stack([row / np.linalg.norm(row) for row in rows]) if rows else np.zeros((0, 12), np.float32)
        )


def clip_side(variant="tri_modal", **changes):
    settings = ClipSettings.model_validate(TINY | {"max_slices": 4, "variant": variant} | changes)
    torch.manual_seed(1)
    train = [ClipStudy("s", "p", {}, REPORT)]
    return ClipSide(new_model(settings, {"t1": 10, "t2": 12}, train), "c1", PARENTS)


def slice_table(batch):
    rows = []
    for row in batch.table.filter(pl.col("route") != "other").iter_rows(named=True):
        vector = vector_of(batch.images[row["slice_key"]], 10 if row["route"] == "t1" else 12)
        rows.append(
            {k: row[k] for k in SLICES if k in row} | PARENTS[row["route"]] | {"vector": vector.tolist()}
        )
    return pl.DataFrame(rows, schema=SLICES)


@pytest.fixture
def world(make_batch, members):
    batch = make_batch(members)
    held = slice_table(batch)
    reports = pl.DataFrame({"study_key": ["s1", "s2"], "report_text": [REPORT, "Technique: sagittal T1."]})
    clip, asked = clip_side(), []

    def read(keys):
        asked.append(list(keys))
        return held.filter(pl.col("slice_key").is_in(keys))

    def run(**changes):
        alignment = changes.pop("alignment", Stand())
        given = {
            "clip": clip, "alignment": alignment, "synthesizer_slices": 3, "read": read, "shard_root": batch.root,
        } | changes  # fmt: skip
        slices, texts = given.pop("slices", batch.table), given.pop("reports", reports)
        return align_batch(slices, texts, "internal-0001", **given)

    return SimpleNamespace(batch=batch, held=held, reports=reports, clip=clip, asked=asked, run=run)


def test_a_study_is_what_clip_makes_of_the_slices_that_training_would_choose(world):
    found = world.run()
    for study in ("s1", "s2"):
        routes = {}
        for route, dim in (("t1", 10), ("t2", 12)):
            rows = world.batch.table.filter(pl.col("study_key") == study, pl.col("route") == route)
            vectors, numbers, kinds = [], [], []
            series = sorted(rows["series_key"].unique())
            lengths = [rows.filter(pl.col("series_key") == s).height for s in series]
            for number, (name, own) in enumerate(zip(series, choose_slices(lengths, 4), strict=True)):
                keys = sorted(rows.filter(pl.col("series_key") == name)["slice_key"])
                for i in own:
                    vectors.append(vector_of(world.batch.images[keys[i]], dim))
                    numbers.append(number)
                    kinds.append(kind_of("sagittal"))
            if vectors:
                routes[route] = RouteSlices(np.stack(vectors), np.array(numbers), np.array(kinds))
        wanted = world.clip.model.embed([ClipStudy(study, "p", routes, "")]).vectors
        for route in ("t1", "t2"):
            row = found.studies.filter(pl.col("study_key") == study, pl.col("modality") == route)
            assert row.height == (route in routes)
            if route in routes:
                np.testing.assert_allclose(row["vector"][0].to_numpy(), wanted[route][0].numpy(), atol=1e-5)


def test_a_slice_is_a_study_of_one_slice(world):
    found = world.run().slices
    row = found.filter(pl.col("route") == "t2").row(0, named=True)
    vector = vector_of(world.batch.images[row["slice_key"]], 12)
    alone = RouteSlices(vector[None], np.zeros(1, int), np.array([kind_of("sagittal")]))
    wanted = world.clip.model.embed([ClipStudy("", "", {"t2": alone}, "")]).vectors["t2"][0]
    np.testing.assert_allclose(row["vector"], wanted.numpy(), atol=1e-5)
    # s2 has five T2 slices, of which clip reads four; s1 has three T2, two T1 and one other.
    assert found.height == 4 + 3 + 2 + 1


def test_modalities_that_a_study_lacks_are_missing_rows(world):
    found = world.run()
    of = found.studies.group_by("study_key").agg(pl.col("modality").sort()).sort("study_key")
    assert dict(of.rows()) == {"s1": ["other", "report", "study", "t1", "t2"], "s2": ["study", "t2"]}
    lengths = found.studies["vector"].list.eval(pl.element().pow(2)).list.sum()
    assert np.allclose(lengths.to_numpy(), 1, atol=1e-5)
    assert studies_without_vector(world.batch.table, found.studies, ["t1", "t2"]) == 0
    gone = found.studies.filter(pl.col("study_key") != "s2")
    assert studies_without_vector(world.batch.table, gone, ["t1", "t2"]) == 1


def test_the_synthesizer_reads_few_slices_of_all_series_and_of_the_others_alone(world):
    stand = Stand()
    found = world.run(alignment=stand)
    assert found.encoded == stand.encoded == 3 + 3  # s1: one a series, of which one is other; s2: three of T2
    chosen = chosen_slices(world.batch.table, 3, by_route=False).filter(pl.col("study_key") == "s1")
    assert chosen["series_key"].to_list() == ["a", "b", "c"]
    total = sum(
        vector_of(world.batch.images[key], 12) * (1 + n + 10 * kind_of("sagittal"))
        for n, key in enumerate(chosen["slice_key"])
    )
    row = found.studies.filter(pl.col("study_key") == "s1", pl.col("modality") == "study")
    np.testing.assert_allclose(row["vector"][0].to_numpy(), total / np.linalg.norm(total), atol=1e-5)


def test_what_has_not_changed_is_not_computed_again(world):
    first = world.run()
    stand = Stand()
    world.asked.clear()
    again = world.run(alignment=stand, previous=first.studies, previous_slices=first.slices)
    assert (again.computed, again.encoded, stand.encoded) == (0, 0, 0)
    assert [keys for keys in world.asked if keys] == []
    assert_frame_equal(again.studies, first.studies)
    assert_frame_equal(again.slices, first.slices)


def test_another_report_makes_only_that_vector_anew(world):
    first = world.run()
    reports = pl.DataFrame({"study_key": ["s1", "s2"], "report_text": [REPORT, "FINDINGS: canal stenosis."]})
    again = world.run(reports=reports, previous=first.studies, previous_slices=first.slices)
    assert (again.computed, again.encoded) == (1, 0)
    assert again.studies.filter(modality="report")["study_key"].to_list() == ["s1", "s2"]


def test_other_pixels_make_that_study_anew(world):
    first = world.run()
    changed = world.held.with_columns(
        pl.when(pl.col("slice_key") == "a0-0000")
        .then(pl.lit("x"))
        .otherwise("pixel_hash")
        .alias("pixel_hash")
    )
    slices = world.batch.table.with_columns(
        pl.when(pl.col("slice_key") == "a0-0000")
        .then(pl.lit("x"))
        .otherwise("pixel_hash")
        .alias("pixel_hash")
    )
    again = world.run(
        slices=slices, previous=first.studies, previous_slices=first.slices, alignment=None,
        read=lambda keys: changed.filter(pl.col("slice_key").is_in(keys)),
    )  # fmt: skip
    assert again.computed == 1


def test_another_clip_makes_everything_anew(world):
    first = world.run()
    clip = dataclasses.replace(world.clip, version="c2")
    again = world.run(
        clip=clip, alignment=Stand("c2", "a2"), previous=first.studies, previous_slices=first.slices
    )
    assert set(again.studies["model_version"]) == {"c2", "a2"}
    assert again.computed == first.computed


def test_slices_of_route_other_that_are_embedded_are_not_encoded(world):
    row = world.batch.table.filter(pl.col("route") == "other").row(0, named=True)
    own = {"encoder": "synthesizer-conditional", "model_version": "s1", "preprocessing_version": "p1"}
    vector = vector_of(world.batch.images[row["slice_key"]], 12).tolist()
    held = pl.concat(
        [world.held, pl.DataFrame([{k: row[k] for k in SLICES if k in row} | own | {"vector": vector}], schema=SLICES)]
    )  # fmt: skip
    found = world.run(read=lambda keys: held.filter(pl.col("slice_key").is_in(keys)))
    assert found.encoded == 5
    assert_frame_equal(found.studies, world.run().studies)


def test_without_a_model_there_are_no_rows_and_a_reason(world):
    found = world.run(clip=None)
    assert found.studies.is_empty()
    assert found.slices.is_empty()
    assert found.reasons == ("clip is not trained",)
    alone = world.run(alignment=None)
    assert set(alone.studies["modality"]) == {"t1", "t2", "report"}
    assert alone.reasons == ("the synthesizer is not aligned",)


def test_a_synthesizer_of_another_space_gives_no_row(world):
    found = world.run(alignment=Stand(clip_version="c0"))
    assert "study" not in set(found.studies["modality"])
    assert "c0" in found.reasons[0]


def test_slices_of_other_body_regions_are_left_out(world):
    outside = world.batch.table.with_columns(split=pl.lit("outside"))
    found = world.run(slices=outside)
    assert set(found.studies["modality"]) == {"report"}


def test_joined_images_are_one_modality(world):
    found = world.run(clip=clip_side("concat"), alignment=None)
    assert set(found.studies["modality"]) == {"image", "report"}
    assert found.studies.filter(modality="image").height == 2


def test_without_a_text_side_there_are_images_alone(world):
    found = world.run(clip=clip_side("bi_modal"), alignment=None)
    assert set(found.studies["modality"]) == {"t1", "t2"}
    assert "reads no reports" in found.reasons[0]


def test_vectors_of_another_encoder_are_refused(world):
    other = world.held.with_columns(model_version=pl.lit("m9"))
    with pytest.raises(AlignedError, match="m9"):
        world.run(read=lambda keys: other.filter(pl.col("slice_key").is_in(keys)))


def test_missing_and_broken_slice_vectors_are_refused(world):
    with pytest.raises(AlignedError, match="no vector"):
        world.run(read=lambda keys: world.held.filter(pl.col("slice_key").is_in(keys[1:])))
    broken = world.held.with_columns(pl.col("vector").list.eval(pl.element() * float("nan")))
    with pytest.raises(AlignedError, match="not finite"):
        world.run(read=lambda keys: broken.filter(pl.col("slice_key").is_in(keys)))


def test_an_empty_batch(world):
    found = world.run(slices=world.batch.table.clear(), reports=world.reports.clear())
    assert found.studies.is_empty()
    assert found.slices.is_empty()
