"""Networks dealt over the processes of a run (FSDP2), so that none holds more than its part of weights and moments.

Belongs here: what is dealt together, giving weights to dealt networks, taking a network out in full. Does not belong
here: the plain reductions (distributed), files (tensor_files).

Zhao 2023 (arXiv 2304.11277), as torch's ``fully_shard``: a block's weights are gathered before it runs and let go
after it, gradients are averaged as they are dealt. Parameters stay float32; autocast chooses the precision of products
as it does without.
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, distribute_tensor

from spine_models.encoder.backbone.blocks import blocks_of
from spine_models.encoder.backbone.distributed import full, is_dealt, world_size
from spine_models.encoder.backbone.network import Network


def mesh_of(device: torch.device) -> DeviceMesh:
    """All processes of the run in one row."""
    return init_device_mesh(device.type, (world_size(),))


def deal_student(student: Network, mesh: DeviceMesh) -> None:
    """Deal a network that is called as a whole and trained, in place; its parameters are other objects afterwards."""
    # Blocks give views of tokens. Nothing writes into them, which is what the library warns of.
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor")
    _deal_parts(student, mesh)
    fully_shard(student, mesh=mesh)


def deal_teacher(teacher: Network, mesh: DeviceMesh) -> None:
    """Deal a frozen network whose parts are called alone too, as the student's are dealt."""
    _deal_parts(teacher, mesh)


def deal_backbone(backbone: nn.Module, mesh: DeviceMesh) -> None:
    """Deal a backbone, block by block."""
    for part in (*blocks_of(backbone), backbone):
        # Said of the outermost too: gathered weights that stay would go on as they are when the teacher has moved.
        fully_shard(part, mesh=mesh, reshard_after_forward=True)
    if hasattr(
        backbone, "watched"
    ):  # a student's backbone is called so, and must gather its weights there too
        register_fsdp_forward_method(backbone, "watched")


def _deal_parts(network: Network, mesh: DeviceMesh) -> None:
    deal_backbone(network.backbone, mesh)
    for head in (network.dino_head, network.ibot_head):
        fully_shard(head, mesh=mesh, reshard_after_forward=True)


@torch.no_grad()
def put(target: Tensor, value: Tensor) -> None:
    """Set a tensor in place from its full value; of one that is dealt, this process's part."""
    if target.shape != value.shape:
        raise RuntimeError(f"a tensor of shape {list(value.shape)} does not fit into {list(target.shape)}")
    if isinstance(target, DTensor):
        target.to_local().copy_(part_for(target, value).to_local())
    else:
        target.copy_(value)


def part_for(like: DTensor, value: Tensor) -> DTensor:
    """A full tensor that every rank has, dealt as ``like`` is, without any traffic."""
    return distribute_tensor(value.to(like.device), like.device_mesh, like.placements, src_data_rank=None)


@torch.no_grad()
def take_out(dealt: nn.Module, plain: nn.Module | None) -> None:
    """Copy a dealt network into a plain one of the same names, tensor by tensor.

    Every rank calls this; a rank with None takes part in gathering and keeps nothing.
    """
    into = {} if plain is None else plain.state_dict()
    for name, tensor in dealt.state_dict().items():
        value = full(tensor) if is_dealt(tensor) else tensor
        if plain is not None:
            into[name].copy_(value)
