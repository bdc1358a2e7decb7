"""One study explained from end to end: shards, an encoder, heads fitted on its vectors."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from spine_models.config import AttributionSettings, EmbeddingSettings, ProbeSettings
from spine_models.domain import condition_keys
from spine_models.findings.attribution.explain import explain_study
from spine_models.findings.attribution.sight import Sight, open_sights, slice_heads
from spine_models.findings.attribution.terms import AttributionError
from spine_models.findings.embeddings import embed_slices, pool_series, pool_studies
from spine_models.findings.probes.heads import fit_heads, load_heads
from tests.findings.attribution.conftest import slice_array, tiny_encoder


@pytest.fixture
def world(make_batch, tmp_path):
    """Thirty patients with a T2 study of two series; every second has canal stenosis and a brighter disc."""
    members = [
        {"patient": f"p{n:02d}", "study": f"s{n:02d}", "series": f"s{n:02d}{series}", "route": "t2",
         "slice": f"s{n:02d}{series}{i}-0000",
         "image": (slice_array(7 * n + i) * (1.0 if n % 2 else 0.6)).astype(np.uint16)}
        for n in range(30) for series in "ab" for i in range(2)
    ]  # fmt: skip
    made = make_batch(members)
    encoder = tiny_encoder("t2")
    vectors, _ = embed_slices(
        made.table,
        shard_root=made.root,
        encoders={"t2": encoder},
        previous=None,
        settings=EmbeddingSettings(),
    )
    labels = pl.DataFrame(
        [
            {"study_key": f"s{n:02d}", "patient_key": f"p{n:02d}", "condition": name,
             "label": int(name == "canal" and n % 2)}
            for n in range(30) for name in condition_keys()
        ],
        schema_overrides={"label": pl.Int8},
    )  # fmt: skip
    splits = pl.DataFrame({"patient_key": [f"p{n:02d}" for n in range(30)], "split": ["train"] * 30})
    studies = pool_studies(pool_series(vectors))
    settings = ProbeSettings(bootstrap=20, regularisation=(0.1,), folds=3)
    fit_heads(studies, labels, splits, settings=settings, out=tmp_path / "heads")
    return made, vectors, studies, load_heads(tmp_path / "heads"), {"t2": Sight(encoder)}


def explain(world, study="s01", condition="canal", **options):
    made, vectors, _, heads, sights = world
    roots = {"internal-0001": made.root}
    settings = AttributionSettings(gradient_steps=4)
    return explain_study(
        study, condition, vectors, made.table, heads, sights, roots, settings=settings, **options
    )


def test_a_study_is_explained_by_its_series_its_slices_and_their_patches(world):
    told = explain(world, n_slices=3)
    made, _, studies, heads, sights = world
    said = heads.predict(studies).filter(study_key="s01", condition="canal")["probability"].item()
    assert told.probability == pytest.approx(said)
    assert told.weights.filter(unit="series").height == 2
    assert told.weights.filter(unit="slice").height == 4
    assert told.knockouts.height == 2 + 1
    assert len(told.slices) == 3
    loudest = told.weights.filter(unit="slice").sort("contribution", descending=True)["slice_key"].to_list()
    assert [seen.slice_key for seen in told.slices] == loudest[:3]
    head = slice_heads(heads, sights["t2"], {"t2": 96})["canal"]
    for seen in told.slices:
        np.testing.assert_array_equal(seen.image, made.images[seen.slice_key])
        assert seen.saliency.shape == (4, 4)
        # A study of this slice alone: its own logit is the constant plus four slices' worth of its contribution.
        own = head.logits(sights["t2"].vectors(sights["t2"].image(seen.image))).item()
        assert own == pytest.approx(head.constant + 4 * seen.contribution, abs=1e-4)


def test_every_method_explains_and_no_encoder_leaves_the_numbers(world):
    for method in ("tokens", "gradients", "masking"):
        assert len(explain(world, method=method, n_slices=1).slices) == 1
    made, vectors, studies, heads, _ = world
    told = explain((made, vectors, studies, heads, {}))
    assert told.slices == []
    assert told.weights.height == 6


def test_what_cannot_be_explained_is_said(world):
    with pytest.raises(AttributionError, match="no slice vectors"):
        explain(world, study="nobody")
    with pytest.raises(AttributionError, match="no head judges this study for 'pars'"):
        explain(world, condition="pars")


def test_encoders_are_opened_for_the_routes_that_the_heads_know(world, tmp_path):
    from spine_models.config import BackboneSettings
    from spine_models.encoder.backbone.encoder import EncoderError, save_encoder
    from tests.findings.attribution.conftest import TINY, tiny_backbone

    heads = world[3]
    assert open_sights(heads, {}, None) == {}
    with pytest.raises(EncoderError, match="no encoder in folder"):
        open_sights(heads, {"t2": tmp_path / "nothing"}, None)
    save_encoder(tmp_path / "t2", tiny_backbone(1), BackboneSettings(**TINY), route="t2", trained=True)
    with pytest.raises(AttributionError, match="fitted on encoder version m-t2"):
        open_sights(heads, {"t2": tmp_path / "t2"}, None)
