"""Variants with a text side see what the alignment in use sees, test patients alone, each in its own space."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from spine_models.encoder.clip.data import ClipStudy
from spine_models.findings.ablations.aligned import Batch, variants_beside_reports
from spine_models.findings.ablations.tables import ALIGNED
from spine_models.findings.embeddings.aligned import align_batch, chosen_studies
from spine_models.findings.embeddings.aligned_choice import AlignedError, by_key, chosen_slices
from tests.findings.embeddings.test_aligned import REPORT, Stand, clip_side, slice_table

MOST = 3


@pytest.fixture
def world(make_batch, members):
    """Both patients are of test; s3 is of train, s2 says nothing in its report."""
    split = [dict(m, split="test") for m in members]
    split += [
        {"patient": "p3", "study": "s3", "series": "f", "route": "t1", "slice": f"f{i}-0000"} for i in (0, 1)
    ]
    batch = make_batch(split)
    held = slice_table(batch)
    reports = pl.DataFrame(
        {"study_key": ["s1", "s2", "s3"], "report_text": [REPORT, "Technique: sagittal T1.", REPORT]}
    )
    asked: list[str] = []

    def read(keys):
        asked.extend(keys)
        return held.filter(pl.col("slice_key").is_in(keys))

    return SimpleNamespace(
        batch=Batch("internal-0001", batch.table, reports, read, batch.root), held=held, asked=asked
    )


def vectors(frame: pl.DataFrame, variant: str, side: str) -> dict[str, np.ndarray]:
    part = frame.filter(variant=variant, side=side)
    return {study: part.filter(study_key=study)["vector"][0].to_numpy() for study in part["study_key"]}


def test_the_alignment_in_use_is_what_the_lake_holds_of_test_studies(world):
    clip, stand = clip_side(), Stand()
    frame = variants_beside_reports([world.batch], {"tri_modal": clip}, {"conditional": stand}, most=MOST)
    assert frame.schema == ALIGNED
    assert set(frame["patient_key"]) == {"p1", "p2"}
    table = world.batch.slices
    trained = set(table.filter(pl.col("split") == "train")["slice_key"])
    assert not trained & set(world.asked)
    stored = align_batch(
        table, world.batch.reports, "internal-0001", clip=clip, alignment=Stand(), synthesizer_slices=MOST,
        read=world.batch.read, shard_root=world.batch.shard_root,
    ).studies.filter(pl.col("study_key") != "s3")  # fmt: skip
    for variant, modalities in (("tri_modal", ("t1", "t2", "report")), ("conditional", ("other", "report"))):
        for modality in modalities:
            wanted = {row["study_key"]: row["vector"] for row in stored.filter(modality=modality).to_dicts()}
            found = vectors(frame, variant, modality)
            assert wanted.keys() == found.keys()
            for study in wanted:
                np.testing.assert_allclose(found[study], wanted[study], atol=1e-6)
    both = vectors(frame, "tri_modal", "t1")["s1"] + vectors(frame, "tri_modal", "t2")["s1"]
    found = vectors(frame, "tri_modal", "all")
    np.testing.assert_allclose(found["s1"], both / np.linalg.norm(both), atol=1e-6)
    np.testing.assert_allclose(found["s2"], vectors(frame, "tri_modal", "t2")["s2"], atol=1e-6)


def test_an_alignment_of_the_joined_images_has_its_own_text_side(world):
    clip = clip_side("concat")
    frame = variants_beside_reports(
        [world.batch], {"concat": clip, "bi_modal": clip_side("bi_modal")}, {}, most=MOST
    )
    assert frame["variant"].unique().to_list() == ["concat"]
    rows = chosen_slices(
        world.batch.slices.filter(pl.col("split") == "test", pl.col("route") != "other"), 4, by_route=True
    )
    whole = {study.study_key: study.routes for study in chosen_studies(rows, by_key(world.held))}
    for side, routes in (("t1", {"t1"}), ("t2", {"t2"}), ("all", {"t1", "t2"})):
        own = {r: slices for r, slices in whole["s1"].items() if r in routes}
        wanted = clip.model.embed([ClipStudy("s1", "p1", own, "")]).vectors["image"][0].numpy()
        np.testing.assert_allclose(vectors(frame, "concat", side)["s1"], wanted, atol=1e-5)
    assert set(vectors(frame, "concat", "t1")) == {"s1"}
    said = clip.model.embed_reports([REPORT])[0][0].numpy()
    found = vectors(frame, "concat", "report")
    assert set(found) == {"s1"}
    np.testing.assert_allclose(found["s1"], said, atol=1e-6)


def test_gates_of_another_alignment_have_no_text_side(world):
    clip = clip_side()
    other = variants_beside_reports(
        [world.batch], {"tri_modal": clip}, {"scalar": Stand(clip_version="c0")}, most=MOST
    )
    assert "scalar" not in other["variant"]
    assert variants_beside_reports([world.batch], {}, {"scalar": Stand()}, most=MOST).is_empty()


def test_vectors_of_other_encoders_are_refused(world):
    stale = world.held.with_columns(model_version=pl.lit("older"))
    batch = world.batch._replace(read=lambda keys: stale.filter(pl.col("slice_key").is_in(keys)))
    with pytest.raises(AlignedError, match="train clip again"):
        variants_beside_reports([batch], {"concat": clip_side("concat")}, {}, most=MOST)


def test_a_batch_without_test_studies_gives_no_rows(world):
    none = world.batch._replace(slices=world.batch.slices.filter(pl.col("split") == "train"))
    assert variants_beside_reports([none], {"tri_modal": clip_side()}, {}, most=MOST).is_empty()
