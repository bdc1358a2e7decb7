"""Encoders of both routes by their random weights, published as if they had been trained."""

from __future__ import annotations

import torch

from pipelines.runtime.resources import Hospital
from spine_models.encoder.backbone.encoder import save_encoder
from spine_models.encoder.backbone.network import Backbone


def publish_encoders(hospital: Hospital, *, seed: int = 1) -> None:
    """Newer encoders of both routes; another seed is another version."""
    settings = hospital.numbers.backbone
    for route in ("t1", "t2"):
        torch.manual_seed(seed)
        with hospital.draft(("backbone", "anchored"), route) as draft:
            version = save_encoder(draft.folder, Backbone(settings), settings, route=route, trained=True)
            draft.card = {"training": {"version": version, "trained": True}}
