"""Size of the alignment with reports: its network, a step's FLOPs, what backward needs.

Belongs here: what the clip stage alone has. Does not belong here: the backbone's formulas.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

from spine_models.config import ClipSettings
from spine_models.encoder.clip.network import ClipNetwork
from spine_models.encoder.clip.pooler import FREQUENCIES, KIND_DIM
from spine_models.encoder.clip.variants import REPORT, pairs, reads_reports
from spine_models.encoder.sizes.shape import parameters

FLOAT: Final = 4
CHUNKS_A_REPORT: Final = 2
"""Findings and impression, each taken as long as ``max_tokens`` allows (an upper bound)."""


@dataclass(frozen=True)
class Alignment:
    """The network of the clip stage.

    Attributes:
        network: on the ``meta`` device.
        settings: of the profile.
        dims: length of a slice vector by route.
        text_dim: length of a frozen text model's vectors, or None.
        text_parameters: of the frozen text model.
    """

    network: ClipNetwork
    settings: ClipSettings
    dims: Mapping[str, int]
    text_dim: int | None
    text_parameters: int


def built_alignment(settings: ClipSettings, dims: Mapping[str, int]) -> Alignment:
    """The network with every shape and no values; a text model that has only a name is taken to be a BERT base."""
    text, text_dim, text_parameters = None, None, 0
    with torch.device("meta"):
        if reads_reports(settings.variant) and settings.text_model is not None:
            text = _text_model(settings.text_model)
            text_dim, text_parameters = int(text.config.hidden_size), parameters(text)
        network = ClipNetwork(settings, dims, text_dim=text_dim, n_tokens=settings.vocabulary_size)
    return Alignment(network, settings, dict(dims), text_dim, text_parameters)


def _text_model(name: str) -> Any:
    from transformers import AutoConfig, AutoModel, BertConfig

    config = AutoConfig.from_pretrained(name, local_files_only=True) if Path(name).is_dir() else BertConfig()
    return AutoModel.from_config(config)


def _pooled(dim: int, settings: ClipSettings) -> int:
    """One route's pooler on one study, forward and back; the slice vectors themselves need no gradient."""
    width = dim + 2 * FREQUENCIES + KIND_DIM
    gates = settings.max_slices * (4 * width * settings.pool_hidden + 2 * settings.pool_hidden)
    return 3 * gates + 2 * 2 * settings.max_slices * dim


def _read(settings: ClipSettings) -> int:
    """The small text encoder on one report, forward."""
    width, tokens = settings.text_dim, settings.max_tokens
    layer = 2 * tokens * 12 * width * width + 4 * tokens * tokens * width
    return CHUNKS_A_REPORT * settings.text_depth * layer


def alignment_step(alignment: Alignment, *, studies: int, processes: int) -> int:
    """One process's step; where ``chunk_size`` is smaller than the batch, studies are embedded twice."""
    settings = alignment.settings
    a_study = sum(_pooled(dim, settings) + 3 * 2 * dim * settings.dim for dim in alignment.dims.values())
    forward = sum(
        (_pooled(dim, settings) - 2 * settings.max_slices * dim) // 3 + 2 * dim * settings.dim
        for dim in alignment.dims.values()
    )
    if REPORT in alignment.network.projections:
        own = alignment.text_dim is None
        text_dim = settings.text_dim if own else alignment.text_dim or 0
        a_study += (3 if own else 2) * 2 * text_dim * settings.dim + (3 * _read(settings) if own else 0)
        forward += 2 * text_dim * settings.dim + (_read(settings) if own else 0)
    if settings.chunk_size < studies:
        a_study += forward
    terms = len(pairs(settings.variant, image_image_weight=settings.image_image_weight))
    return studies * a_study + 12 * terms * studies * studies * processes * settings.dim


def alignment_activations(alignment: Alignment, *, studies: int, processes: int) -> int:
    """What backward needs of one chunk of studies and of the similarities of the whole batch, in float32."""
    settings = alignment.settings
    chunk = min(studies, settings.chunk_size)
    slices = settings.max_slices
    numbers = 0
    for dim in alignment.dims.values():
        width = dim + 2 * FREQUENCIES + KIND_DIM
        gated = 4 * settings.pool_hidden + (settings.pool_hidden if settings.pool_dropout else 0)
        numbers += chunk * (slices * (dim + width + gated + 2) + dim + 3 * settings.dim)
    if alignment.text_dim is None and REPORT in alignment.network.projections:
        width, tokens = settings.text_dim, settings.max_tokens
        layer = tokens * (18 * width + settings.text_heads * tokens)
        numbers += chunk * CHUNKS_A_REPORT * settings.text_depth * layer
    terms = len(pairs(settings.variant, image_image_weight=settings.image_image_weight))
    numbers += 2 * terms * 2 * studies * studies * processes
    return FLOAT * numbers
