"""Batches and studies as a hospital may leave them: nothing there, or next to nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spine_models.encoder.clip.batch import ClipItem
from spine_models.encoder.clip.data import ClipStudy, RouteSlices
from spine_models.encoder.clip.grad_cache import cached_backward
from spine_models.encoder.clip.model import new_model
from spine_models.encoder.clip.objective import Embedded, clip_objective
from spine_models.encoder.clip.optim import ClipOptimiser, learning_rate
from spine_models.encoder.clip.train import train_clip


@pytest.mark.parametrize("variant", ["tri_modal", "bi_modal", "concat"])
def test_a_batch_with_every_modality_missing_teaches_nothing_and_breaks_nothing(
    clip_settings, train_studies, variant
):
    settings = clip_settings.model_copy(update={"variant": variant, "image_image_weight": 0.5})
    torch.manual_seed(0)
    model = new_model(settings, {"t1": 10, "t2": 12}, train_studies)
    network = model.network.train()
    chunks = list(model.batches([ClipItem({}, None)] * 6, 3))
    parts = [network.present(chunk) for chunk in chunks]
    present = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    assert not any(there.any() for there in present.values())
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    optimiser = ClipOptimiser(network, settings.model_copy(update={"weight_decay": 0.0}))
    total = cached_backward(
        chunks,
        network.embed,
        lambda vectors: clip_objective(Embedded(vectors, present), network.scale(), network.terms).total,
    )
    assert float(total) == 0.0
    assert optimiser.step(total, learning_rate(settings, 0)) == 0.0
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_studies_of_one_slice_are_aligned(clip_settings, studies_maker, tmp_path):
    def cut(study: ClipStudy) -> ClipStudy:
        routes = {r: RouteSlices(p.vectors[:1], p.series[:1], p.kind[:1]) for r, p in study.routes.items()}
        return ClipStudy(study.study_key, study.patient_key, routes, study.report)

    train, val = ([cut(s) for s in studies_maker(*given)] for given in ((24,), (12,)))
    val = [ClipStudy(f"v{s.study_key}", f"v{s.patient_key}", s.routes, s.report) for s in val]
    result = train_clip(clip_settings, train, val, tmp_path, parents={})
    assert result.card["trained"]
    assert np.isfinite(result.curves["loss"].to_numpy()).all()
    assert result.card["skipped_steps"] == 0


def test_vectors_that_are_not_finite_move_no_weight_and_stop_the_training(
    clip_settings, train_studies, tmp_path
):
    from spine_models.encoder.backbone.optim import TrainingDiverged

    def broken(study: ClipStudy) -> ClipStudy:
        routes = {r: RouteSlices(p.vectors * np.nan, p.series, p.kind) for r, p in study.routes.items()}
        return ClipStudy(study.study_key, study.patient_key, routes, study.report)

    settings = clip_settings.model_copy(update={"max_skipped_steps": 2})
    with pytest.raises(TrainingDiverged, match="2 steps in a row"):
        train_clip(settings, [broken(s) for s in train_studies], [], tmp_path, parents={})
    assert not (tmp_path / "clip.safetensors").exists()
