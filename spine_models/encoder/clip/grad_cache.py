"""The gradient of a large contrastive batch with the memory of a small one.

Belongs here: the two passes and the replay of random numbers. Does not belong here: the loss, the optimiser.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from spine_models.encoder.backbone.distributed import maximum

Chunk = TypeVar("Chunk")


class _Generators(NamedTuple):
    cpu: Tensor
    cuda: Tensor | None

    @classmethod
    def now(cls) -> _Generators:
        return cls(torch.get_rng_state(), torch.cuda.get_rng_state() if torch.cuda.is_available() else None)

    def set(self) -> None:
        torch.set_rng_state(self.cpu)
        if self.cuda is not None:
            torch.cuda.set_rng_state(self.cuda)


def cached_backward(
    chunks: Sequence[Chunk],
    embed: Callable[[Chunk], dict[str, Tensor]],
    loss: Callable[[dict[str, Tensor]], Tensor],
) -> Tensor:
    """Add the gradient of ``loss`` over all chunks to the parameters (GradCache: Gao, Zhang, Han and Callan 2021).

    First every chunk is embedded without a graph; then the loss of all embeddings and its gradient to them; then
    every chunk again, with the random numbers of its first pass, against the surrogate embedding . gradient. The
    gradient is that of the whole batch, up to rounding, as long as ``embed`` treats rows independently (no batch
    norm). Generators end where one pass over the chunks leaves them. A single chunk is passed once, with its graph.

    Args:
        chunks: parts of this rank's batch, in order; whatever ``embed`` takes.
        embed: from a chunk of n rows to [n, ...] by name, the same names for every chunk.
        loss: scalar from the concatenated embeddings; may hold parameters of its own and talk to other ranks.

    Returns:
        The loss, detached. Where it is not finite on any rank, no gradient is added on any.
    """
    if len(chunks) == 1:
        return _backward_whole(embed(chunks[0]), loss)
    before: list[_Generators] = []
    parts: list[dict[str, Tensor]] = []
    with torch.no_grad():
        for chunk in chunks:
            before.append(_Generators.now())
            parts.append(embed(chunk))
    after = _Generators.now()
    leaves = {name: torch.cat([part[name] for part in parts]).requires_grad_() for name in parts[0]}
    value = _backward_whole(leaves, loss)
    if not _finite_everywhere(value):
        return value
    gradients = {n: torch.zeros_like(leaf) if leaf.grad is None else leaf.grad for n, leaf in leaves.items()}
    start = 0
    for chunk, state, part in zip(chunks, before, parts, strict=True):
        n_rows = len(next(iter(part.values())))
        state.set()
        again = embed(chunk)
        surrogate = sum((again[n] * g[start : start + n_rows]).sum() for n, g in gradients.items())
        if surrogate.requires_grad:
            surrogate.backward()
        start += n_rows
    after.set()
    return value


def _backward_whole(vectors: dict[str, Tensor], loss: Callable[[dict[str, Tensor]], Tensor]) -> Tensor:
    """The plain backward pass, which is all that a batch of one chunk needs."""
    value = loss(vectors)
    if _finite_everywhere(value.detach()):
        value.backward()
    return value.detach()


def _finite_everywhere(value: Tensor) -> bool:
    return not bool(maximum((~torch.isfinite(value)).float().reshape(1)).item())
