"""The published shapes, on networks without values; counts against real ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spine_models.config import BackboneSettings, load_profile
from spine_models.encoder.backbone.augment import MultiCrop
from spine_models.encoder.backbone.gram_loss import gram_loss
from spine_models.encoder.backbone.gram_teacher import GramTeacher, stage_settings
from spine_models.encoder.backbone.network import Network
from spine_models.encoder.clip.batch import Bag, ClipBatch, ReportVectors
from spine_models.encoder.sizes.alignment import built_alignment
from spine_models.encoder.sizes.shape import built, parameters, shape_of
from spine_models.encoder.synthesizer.fused import FusedEncoder
from tests.encoder.sizes.conftest import NUMBERS

PROFILES = ["paper", "workstation"]
WIDTH = {"paper": 1024, "workstation": 768}
PROTOTYPES = {"paper": 131_072, "workstation": 32_768}
GRAM_PX = {"paper": 336, "workstation": 288}


def meta(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.empty(*shape, dtype=dtype, device="meta")


@pytest.fixture(scope="module", params=PROFILES)
def profile(request):
    return load_profile(request.param)


@pytest.fixture(scope="module")
def network(profile):
    return built(profile.backbone)


@pytest.mark.parametrize("mlp", ["gelu", "swiglu"])
def test_a_network_without_values_has_the_parameters_of_a_real_one(mlp):
    settings = BackboneSettings.model_validate(NUMBERS | {"mlp": mlp})
    real, empty = Network(settings), built(settings)
    shapes = {name: tuple(p.shape) for name, p in real.named_parameters()}
    assert {name: tuple(p.shape) for name, p in empty.named_parameters()} == shapes
    assert parameters(empty) == sum(np.prod(shape, dtype=int) for shape in shapes.values())
    real.backbone.requires_grad_(False)
    assert parameters(real, trainable=True) == parameters(real) - parameters(real.backbone)


def test_counts_of_the_published_sizes_by_hand(profile, network):
    """Patch embedding, tokens, blocks, norms and both heads, written out."""
    settings = profile.backbone
    dim, hidden = settings.dim, {"paper": 2752, "workstation": 3072}[profile.name]
    into = 2 if settings.mlp == "swiglu" else 1
    block = 3 * dim * dim + dim * dim + dim  # attention without bias, its projection with
    block += into * (dim + 1) * hidden + (hidden + 1) * dim + 2 * 2 * dim + 2 * dim  # norms, LayerScale
    body = 256 * dim + dim + 5 * dim + settings.depth * block + 2 * dim  # one channel, CLS, four registers
    body += dim + 2 * dim  # mask token, the norm of local crops
    head = (dim + 1) * 2048 + 2049 * 2048 + 2049 * 384 + 384 * settings.prototypes
    assert parameters(network.backbone) == body
    assert parameters(network) == body + 2 * head


def test_the_published_shape(profile, network):
    shape = shape_of(network, profile.backbone)
    assert (shape.dim, shape.prototypes) == (WIDTH[profile.name], PROTOTYPES[profile.name])
    assert (shape.patch_px, shape.prefix, shape.head_hidden, shape.bottleneck) == (16, 5, 2048, 384)
    assert (shape.tokens(224), shape.tokens(96)) == (201, 41)
    if profile.name == "paper":
        assert (shape.depth, shape.heads, shape.gated, shape.hidden) == (24, 16, True, 2752)
        assert profile.backbone.batch_size * profile.backbone.processes == 400


def test_student_and_teacher_take_crops_and_give_logits(profile, network):
    width, prototypes = WIDTH[profile.name], PROTOTYPES[profile.name]
    for training in (True, False):
        network.train(training)
        masks = meta(4, 196, dtype=torch.bool)
        seen = network.backbone(meta(4, 1, 224, 224), masks)
        assert (seen.cls.shape, seen.registers.shape) == ((4, width), (4, 4, width))
        assert seen.patches.shape == (4, 196, width)
        small = network.backbone(meta(16, 1, 96, 96), local=True)
        assert (small.cls.shape, small.patches.shape) == ((16, width), (16, 36, width))
        assert network.dino_head(seen.cls).shape == (4, prototypes)
        assert network.ibot_head(seen.patches[0, :17]).shape == (17, prototypes)


def test_crops_of_the_profile(profile):
    slices = np.zeros((2, profile.shards.size_px, profile.shards.size_px), np.uint16)
    crops = MultiCrop(profile.backbone)(slices, [0, 1])
    assert crops.global_crops.shape == (2, 2, 1, 224, 224)
    assert crops.local_crops.shape == (8, 2, 1, 96, 96)
    assert crops.gram_crops is None
    px = GRAM_PX[profile.name]
    twins = MultiCrop(stage_settings(profile.backbone, profile.gram), profile.gram.px)(slices, [0, 1])
    assert twins.gram_crops.shape == (2, 2, 1, px, px)
    assert twins.global_crops.shape == (2, 2, 1, 224, 224)


def test_the_gram_teachers_tokens_come_on_the_students_grid(profile, network):
    px, width = GRAM_PX[profile.name], WIDTH[profile.name]
    teacher = GramTeacher(network.backbone, profile.gram)
    assert teacher.backbone.grid(px, px) == (px // 16, px // 16)
    target = teacher.tokens(meta(4, 1, px, px), (14, 14))
    assert target.shape == (4, 196, width)
    assert gram_loss(torch.rand(4, 196, width), torch.rand(target.shape)).shape == ()


def test_the_synthesizer_fuses_both_encoders(profile):
    width, depth = WIDTH[profile.name], profile.backbone.depth
    with torch.device("meta"):
        pair = (Network(profile.backbone).backbone, Network(profile.backbone).backbone)
        fused = FusedEncoder(*pair, profile.synthesizer.variant, hidden=profile.synthesizer.hidden)
    tokens, gates = fused.with_gates(meta(3, 1, 224, 224), meta(3, 196, dtype=torch.bool))
    assert (tokens.cls.shape, tokens.patches.shape) == ((3, width), (3, 196, width))
    assert gates.shape == (3, depth, 2)
    assert gates.dtype == torch.float32
    gate = (4 * width + 1) * profile.synthesizer.hidden + (profile.synthesizer.hidden + 1) * 2
    assert parameters(fused) == depth * gate + 2 * width


def test_the_alignment_pools_64_slices_into_1024_dimensions(profile):
    width = 3 * WIDTH[profile.name]
    alignment = built_alignment(profile.clip, {"t1": width, "t2": width})
    assert (profile.clip.max_slices, alignment.text_dim) == (64, 768)
    assert alignment.text_parameters == 109_482_240  # BERT base
    bag = Bag(
        meta(80, 64, width),
        meta(80, 64, dtype=torch.bool),
        meta(80, 64, dtype=torch.int64),
        meta(80, 64, dtype=torch.int64),
    )
    reports = ReportVectors(meta(80, 768), meta(80, dtype=torch.bool))
    vectors = alignment.network.embed(ClipBatch({"t1": bag, "t2": bag}, reports))
    assert {name: tuple(rows.shape) for name, rows in vectors.items()} == {
        "t1": (80, 1024),
        "t2": (80, 1024),
        "report": (80, 1024),
    }
