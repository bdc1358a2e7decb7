from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file

from spine_models.encoder.backbone.augment import Crops
from spine_models.encoder.backbone.blocks import blocks_of, prepare_blocks
from spine_models.encoder.backbone.network import Network
from spine_models.encoder.backbone.objective import objective
from spine_models.encoder.backbone.teacher import make_teacher
from spine_models.encoder.backbone.train import pretrain

COMPILING = pytest.mark.filterwarnings(
    "ignore:The .grad attribute of a Tensor that is not a leaf", "ignore::DeprecationWarning"
)
COMPILED = {"compile": True, "compile_backend": "aot_eager"}


@pytest.fixture(autouse=True)
def _nothing_compiled():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def step(settings, *, steps: int = 2) -> tuple[Network, torch.Tensor, int]:
    """Network with the gradients of a seeded step, its loss, and the bytes that were kept for backward."""
    generator = torch.Generator().manual_seed(0)
    crops = Crops(
        torch.rand(2, 4, 1, 32, 32, generator=generator), torch.rand(1, 4, 1, 16, 16, generator=generator)
    )
    masks = torch.rand(8, 16, generator=generator) < 0.3
    torch.manual_seed(0)
    student = Network(settings).train()
    teacher = make_teacher(student)
    prepare_blocks(student.backbone, settings)
    torch.manual_seed(1)
    kept = 0

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        nonlocal kept
        kept += tensor.numel() * tensor.element_size()
        return tensor

    for _ in range(steps):
        student.zero_grad()
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            loss = objective(student, teacher, crops, masks, settings, temperature=0.05).total
        loss.backward()
    return student, loss.detach(), kept


def assert_same_step(one, other, *, rtol=0.0, atol=0.0):
    torch.testing.assert_close(one[1], other[1], rtol=rtol, atol=atol)
    names = dict(other[0].named_parameters())
    assert names.keys() == dict(one[0].named_parameters()).keys()
    for name, parameter in one[0].named_parameters():
        torch.testing.assert_close(parameter.grad, names[name].grad, rtol=rtol, atol=atol, msg=name)
    assert one[0].state_dict().keys() == other[0].state_dict().keys()


@pytest.fixture
def drawing(settings):
    """Drop path and RoPE draw in every block."""
    return settings.model_copy(update={"drop_path": 0.4, "rope_rescale": 2.0, "depth": 4})


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_recomputed_blocks_give_the_same_loss_and_gradients_and_keep_less(drawing, precision):
    drawing = drawing.model_copy(update={"precision": precision})
    plain = step(drawing)
    recomputed = step(drawing.model_copy(update={"activation_checkpointing": True}))
    assert_same_step(plain, recomputed)
    assert recomputed[2] < plain[2] / 2


def test_a_recomputed_block_runs_twice_in_training_and_once_without_gradient(drawing):
    runs = []
    network = Network(drawing).train()
    for block in blocks_of(network.backbone):
        block.norm1.register_forward_hook(lambda *_: runs.append(1))
    prepare_blocks(network.backbone, drawing.model_copy(update={"activation_checkpointing": True}))
    images = torch.rand(2, 1, 32, 32)
    with torch.no_grad():
        network.backbone(images)
    assert len(runs) == 4
    network.backbone(images).cls.sum().backward()
    assert len(runs) == 4 + 8


@COMPILING
@pytest.mark.parametrize("recomputed", [False, True])
@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_compiled_blocks_give_the_same_loss_and_gradients(drawing, backend, recomputed):
    plain = step(drawing)
    changes = {"compile": True, "compile_backend": backend, "activation_checkpointing": recomputed}
    torch._dynamo.utils.counters.clear()
    assert_same_step(plain, step(drawing.model_copy(update=changes)), rtol=1e-5, atol=1e-6)
    # Four blocks, two steps: one graph for the tokens of global crops, one for those of local crops.
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 2
    assert not torch._dynamo.utils.counters["graph_break"]


def weights(folder):
    return load_file(folder / "encoder.safetensors")


def test_a_recomputing_run_ends_with_the_same_weights(settings, tars, tmp_path):
    pretrain(settings, tars, tmp_path / "plain", route="t1")
    sparing = settings.model_copy(update={"activation_checkpointing": True})
    pretrain(sparing, tars, tmp_path / "sparing", route="t1")
    pretrain(sparing, tars, tmp_path / "both", route="t1", stop_after=3)
    pretrain(settings, tars, tmp_path / "both", route="t1")
    plain = weights(tmp_path / "plain")
    for name in ("sparing", "both"):
        assert all(torch.equal(tensor, plain[key]) for key, tensor in weights(tmp_path / name).items())


@COMPILING
def test_checkpoints_of_compiled_and_plain_runs_are_interchangeable(settings, tars, tmp_path):
    pretrain(settings, tars, tmp_path / "plain", route="t1")
    compiled = settings.model_copy(update=COMPILED)
    for name, first, then in (("a", compiled, settings), ("b", settings, compiled)):
        pretrain(first, tars, tmp_path / name, route="t1", stop_after=3)
        result = pretrain(then, tars, tmp_path / name, route="t1")
        assert result.card["trained"] is True
        for key, tensor in weights(tmp_path / name).items():
            torch.testing.assert_close(tensor, weights(tmp_path / "plain")[key], rtol=1e-4, atol=1e-6)


def test_a_backbone_without_blocks_is_left_as_it_is(settings):
    linear = torch.nn.Linear(2, 2)
    prepare_blocks(linear, settings.model_copy(update=COMPILED | {"activation_checkpointing": True}))
    assert blocks_of(linear) == []
    assert "forward" not in vars(linear)
