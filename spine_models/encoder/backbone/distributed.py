"""What the losses need to know of the other ranks: how many there are, their rows, their sums.

Belongs here: differentiable gathers and plain reductions that do nothing in a single process.
Does not belong here: starting a process group's program, or anything about models.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.tensor import DTensor


def world_size() -> int:
    """Number of processes of this run; 1 without a process group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """This process among them, from 0."""
    return dist.get_rank() if world_size() > 1 else 0


def barrier() -> None:
    """Wait for every rank."""
    if world_size() > 1:
        dist.barrier()


def everyones(value: Any) -> list[Any]:
    """What every rank brings, in rank order; small JSON-like things only."""
    if world_size() == 1:
        return [value]
    values: list[Any] = [None] * world_size()
    dist.all_gather_object(values, value)
    return values


def is_dealt(tensor: Tensor) -> bool:
    """Whether this process holds a part of the tensor only (FSDP2)."""
    return isinstance(tensor, DTensor)


def full(tensor: Tensor) -> Tensor:
    """The whole of a tensor that is dealt over the ranks, who all call this; any other tensor as it is."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def local(tensor: Tensor) -> Tensor:
    """This process's part of a tensor that is dealt, sharing its memory; any other tensor as it is."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def summed(value: Tensor) -> Tensor:
    """Sum over ranks, without gradient; the argument is not changed."""
    if world_size() == 1:
        return value
    total = value.detach().clone()
    dist.all_reduce(total, op=dist.ReduceOp.SUM)
    return total


def maximum(value: Tensor) -> Tensor:
    """Elementwise maximum over ranks, without gradient; the argument is not changed."""
    if world_size() == 1:
        return value
    largest = value.detach().clone()
    dist.all_reduce(largest, op=dist.ReduceOp.MAX)
    return largest


class _SumOverRanks(torch.autograd.Function):
    """Every rank receives the sum, so every rank's gradient reaches every addend."""

    @staticmethod
    def forward(context: Any, value: Tensor) -> Tensor:
        total = value.clone()
        dist.all_reduce(total, op=dist.ReduceOp.SUM)
        return total

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        total = gradient.contiguous().clone()
        dist.all_reduce(total, op=dist.ReduceOp.SUM)
        return total


class _RowsOfRanks(torch.autograd.Function):
    """Rows of all ranks in rank order; a row's gradient is the sum of what every rank asks of it."""

    @staticmethod
    def forward(context: Any, rows: Tensor) -> Tensor:
        parts = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, rows.contiguous())
        context.n_rows = rows.shape[0]
        return torch.cat(parts)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        total = gradient.contiguous().clone()
        dist.all_reduce(total, op=dist.ReduceOp.SUM)
        start = dist.get_rank() * context.n_rows
        return total[start : start + context.n_rows]


def summed_with_gradient(value: Tensor) -> Tensor:
    """Sum over ranks that gradients flow through."""
    return value if world_size() == 1 else _SumOverRanks.apply(value)


def gathered_rows(rows: Tensor) -> Tensor:
    """Rows [N, D] of every rank as [world * N, D], rank after rank; every rank must bring the same N."""
    return rows if world_size() == 1 else _RowsOfRanks.apply(rows)
