"""Saved activations against what autograd really saves, and the rest by hand."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.checkpoint import checkpoint

from spine_models.config import BackboneSettings
from spine_models.encoder.backbone.vit import Backbone
from spine_models.encoder.sizes import memory
from spine_models.encoder.sizes.memory import Networks, process_memory
from spine_models.encoder.sizes.shape import built, shape_of
from tests.encoder.sizes.conftest import GRAM_PX, NUMBERS

TOLERANCE = 0.06
"""Of what a tiny network saves; rotations and gates, which the formulas leave out, weigh less in a large one."""


def saved_bytes(run: Callable[[], Tensor], owned: Iterable[Tensor]) -> int:
    """Bytes of all storages that autograd saves, each once, without those of ``owned``."""
    known = {tensor.untyped_storage().data_ptr() for tensor in owned}
    kept: dict[int, torch.UntypedStorage] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            kept[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        run()
    return sum(storage.nbytes() for storage in kept.values())


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("mlp", ["gelu", "swiglu"])
@pytest.mark.parametrize("kind", ["ssl", "gram", "conditional", "t1_only"])
def test_a_step_saves_what_the_formula_says(step, kind, mlp, precision):
    run = step(kind, mlp=mlp, precision=precision)
    itemsize = 2 if precision == "bfloat16" else 4
    numbers = {"itemsize": itemsize, "fused": False}  # on a CPU attention is plain products
    if kind in ("ssl", "gram"):
        expected = memory.backbone_activations(
            run.shape, run.batch, checkpointed=False, all_patches=kind == "gram", **numbers
        )
    else:
        streams = 1 if kind == "t1_only" else 2
        expected = memory.frozen_activations(run.shape, run.batch, streams=streams, **numbers)
    expected += memory.loss_bytes(run.shape, run.batch)
    if kind == "gram":
        expected += memory.gram_bytes(run.shape, run.batch, image_level=True)
    assert expected == pytest.approx(saved_bytes(run.loss, run.owned), rel=TOLERANCE)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("mlp", ["gelu", "swiglu"])
@pytest.mark.parametrize("drop_path", [0.0, 0.5])
def test_a_block_saves_what_the_formula_says(mlp, precision, drop_path):
    settings = BackboneSettings.model_validate(NUMBERS | {"mlp": mlp, "drop_path": drop_path})
    backbone = Backbone(settings).train()
    block, shape = backbone.vit.blocks[0], shape_of(built(settings), settings)
    tokens = torch.randn(16 * 69, 64, requires_grad=True)
    rope = backbone.vit.rope.get_embed(shape=(8, 8))
    itemsize = 2 if precision == "bfloat16" else 4
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=itemsize == 2):
        saved = saved_bytes(
            lambda: block(tokens, rope=[rope], sizes=[(16, 69)]), [*backbone.parameters(), rope]
        )
    expected = int(16 * (1 - drop_path)) * memory.block_bytes(shape, 69, itemsize=itemsize, fused=False)
    casts = memory.block_weights(shape) * 2 if itemsize == 2 else 0
    assert expected + casts == pytest.approx(saved, rel=0.01)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_fused_kernel_saves_what_the_formula_says(dtype):
    """From projected tokens to mixed values, which a GPU does with the fused kernel."""
    n, tokens, heads, width, itemsize = 16, 69, 4, 64, torch.finfo(dtype).bits // 8
    qkv = torch.randn(n * tokens, 3 * width, dtype=dtype, requires_grad=True)

    identity = torch.eye(width, dtype=dtype, requires_grad=True)

    def attended(part: Tensor) -> Tensor:
        split = part.view(-1, tokens, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
        q, k = (split[:2] * 1.0).clone()
        out = functional.scaled_dot_product_attention(q, k, split[2])
        return out.transpose(1, 2).reshape(-1, width)

    def mixed() -> Tensor:
        """Crops of two sizes are packed: each is attended to apart, and joined for the projection."""
        parts = (qkv + 0).split([10 * tokens, 6 * tokens])
        return torch.cat([attended(part) for part in parts]) @ identity

    saved = saved_bytes(mixed, [qkv, identity])
    shape = shape_of(
        built(BackboneSettings.model_validate(NUMBERS)), BackboneSettings.model_validate(NUMBERS)
    )
    whole = memory.attention_bytes(shape, tokens, itemsize=itemsize, fused=True)
    outside = tokens * (4 * width + 8 + 2 * itemsize * width)  # norm, its output, what LayerScale scales
    assert n * (whole - outside) == pytest.approx(saved, rel=0.02)


class Fullest(TorchDispatchMode):
    """Bytes of all tensors that live at the same time, at their most; those of ``owned`` are not counted."""

    def __init__(self, owned: Iterable[Tensor]) -> None:
        super().__init__()
        self._known = {tensor.untyped_storage().data_ptr() for tensor in owned}
        self._live: dict[int, int] = {}
        self.most = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor):
                self._see(tensor.untyped_storage())
        return out

    def _see(self, storage: torch.UntypedStorage) -> None:
        if storage._cdata in self._live or storage.data_ptr() in self._known:
            return
        self._live[storage._cdata] = storage.nbytes()
        weakref.finalize(storage, self._live.pop, storage._cdata)
        self.most = max(self.most, sum(self._live.values()))


@pytest.mark.parametrize("prototypes", [256, 8192])
@pytest.mark.parametrize("kind", ["ssl", "gram", "conditional"])
def test_a_step_at_its_fullest_holds_what_the_formulas_say(step, kind, prototypes):
    """Activations or losses the larger part, in bfloat16; gradients are counted apart and are there already."""
    run = step(kind, mlp="swiglu", precision="bfloat16", prototypes=prototypes, depth=6)
    gradients = [tensor for tensor in run.owned if tensor.requires_grad]
    for tensor in gradients:
        tensor.grad = torch.zeros_like(tensor)
    numbers = {"itemsize": 2, "fused": False}
    room = memory.loss_room(run.shape, run.batch, itemsize=2)
    expected = memory.loss_bytes(run.shape, run.batch)
    if kind == "conditional":
        expected += memory.frozen_activations(run.shape, run.batch, streams=2, **numbers)
    else:
        expected += memory.backbone_activations(
            run.shape, run.batch, checkpointed=False, all_patches=kind == "gram", **numbers
        )
    if kind == "gram":
        expected += memory.gram_bytes(run.shape, run.batch, image_level=True)
        teacher = memory.forward_room(run.shape, run.batch.globals, GRAM_PX, itemsize=2, fused=False)
        room = max(room, teacher)
    with Fullest([*run.owned, *(tensor.grad for tensor in gradients)]) as mode:
        run.loss().backward()
    assert expected + room == pytest.approx(mode.most, rel=0.1)


@pytest.mark.parametrize("mlp", ["gelu", "swiglu"])
def test_a_checkpointed_step_at_its_fullest(step, mlp):
    """With torch's own checkpointing around every block; without it the same step holds several times as much."""
    run = step("ssl", mlp=mlp, precision="bfloat16", prototypes=256, depth=12)
    for block in run.student.backbone.vit.blocks:
        block.forward = partial(checkpoint, block.forward, use_reentrant=False)
    gradients = [tensor for tensor in run.owned if tensor.requires_grad]
    for tensor in gradients:
        tensor.grad = torch.zeros_like(tensor)
    numbers = {"itemsize": 2, "fused": False}
    expected = memory.backbone_activations(run.shape, run.batch, checkpointed=True, **numbers)
    expected += memory.loss_bytes(run.shape, run.batch) + memory.loss_room(run.shape, run.batch, itemsize=2)
    with Fullest([*run.owned, *(tensor.grad for tensor in gradients)]) as mode:
        run.loss().backward()
    assert expected == pytest.approx(mode.most, rel=0.15)
    whole = memory.backbone_activations(run.shape, run.batch, checkpointed=False, **numbers)
    assert mode.most < 0.4 * whole


def test_checkpointing_keeps_the_inputs_of_blocks_and_one_block(step):
    run = step("ssl", precision="float32")
    kept = memory.backbone_activations(run.shape, run.batch, itemsize=4, checkpointed=True)
    every = memory.backbone_activations(run.shape, run.batch, itemsize=4, checkpointed=False)
    # Of 8 global and 12 local crops of 69 and 21 tokens, 5 and 8 keep a residual.
    block = sum(n * memory.block_bytes(run.shape, t, itemsize=4) for n, t in ((5, 69), (8, 21)))
    last = memory.feed_forward_bytes(run.shape, 5 * 69 + 8 * 21, itemsize=4)
    last -= memory.feed_forward_bytes(run.shape, 20 + run.batch.masked, itemsize=4)
    inputs = 3 * (8 * 69 + 12 * 21) * 64 * 4
    assert kept == every - (3 * block - last) + inputs + block


def test_replicas_hold_everything_and_shards_their_part():
    networks = Networks(trained=1000, frozen=100, teachers=600, largest_unit=50)
    one = process_memory(networks, activations=7, losses=3, processes=1, sharded=False)
    assert one == (4400, 4000, 8000, 2400, 7, 3, 18810)
    four = process_memory(networks, activations=7, losses=3, processes=4, sharded=False)
    assert four == one._replace(gradients=8000, total=22810)
    shards = process_memory(networks, activations=7, losses=3, processes=4, sharded=True)
    assert shards == (1000 + 400 + 400, 1000, 2000, 600, 7, 3, 5410)
    alone = process_memory(networks, activations=7, losses=3, processes=1, sharded=True)
    assert alone == one
