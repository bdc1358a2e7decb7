"""Floating-point operations of a step: two for every multiply-add of a matrix product, nothing for the rest.

Belongs here: formulas of passes and losses, as ``torch.utils.flop_counter`` counts. Does not belong here: memory, time.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from spine_models.encoder.sizes.shape import Shape


@dataclass(frozen=True)
class Batch:
    """One process's images of a step.

    Attributes:
        images: slices.
        global_crops: a slice.
        local_crops: a slice.
        global_px: edge.
        local_px: edge.
        masked: patches that the student does not see, of all global crops together.
        processes: of the run.
        drop_path: share of images whose residuals are not computed, in every block of the student.
    """

    images: int
    global_crops: int
    local_crops: int
    global_px: int
    local_px: int
    masked: int
    processes: int
    drop_path: float = 0.0

    @property
    def globals(self) -> int:
        """Global crops of all slices."""
        return self.images * self.global_crops

    @property
    def locals(self) -> int:
        """Local crops of all slices."""
        return self.images * self.local_crops

    @property
    def watched(self) -> int:
        """Tokens of the student that a head looks at: CLS tokens and masked patches."""
        return self.globals + self.locals + self.masked

    def kept(self, images: int) -> int:
        """Of so many images those whose residual is computed."""
        return max(1, int(images * (1 - self.drop_path))) if images else 0


def projections(shape: Shape, tokens: int) -> int:
    """Linear layers around one block's attention, forward: queries, keys, values, output."""
    return 8 * tokens * shape.dim * shape.dim


def feed_forward(shape: Shape, tokens: int) -> int:
    """One block's feed-forward layer, forward."""
    return 2 * tokens * shape.dim * (3 if shape.gated else 2) * shape.hidden


def linears(shape: Shape, tokens: int) -> int:
    """All linear layers of one block, forward."""
    return projections(shape, tokens) + feed_forward(shape, tokens)


def attention(shape: Shape, tokens: int) -> int:
    """Products of one block's attention, forward: queries with keys, weights with values."""
    return 4 * tokens * tokens * shape.dim


def embedding(shape: Shape, image_px: int) -> int:
    """Patch embedding of one image with one channel, forward."""
    return 2 * shape.patches(image_px) * shape.patch_px**2 * shape.dim


def blocks(shape: Shape, image_px: int) -> int:
    """All blocks on one image, forward."""
    tokens = shape.tokens(image_px)
    return shape.depth * (linears(shape, tokens) + attention(shape, tokens))


def head(shape: Shape, rows: int) -> int:
    """One projection head on so many rows, forward."""
    widths = [shape.dim, *[shape.head_hidden] * (shape.head_layers - 1), shape.bottleneck, shape.prototypes]
    return 2 * rows * sum(inputs * outputs for inputs, outputs in pairwise(widths))


def _heads(shape: Shape, batch: Batch, *, locals_too: bool) -> int:
    """Both heads, forward."""
    rows = batch.globals + (batch.locals if locals_too else 0)
    return head(shape, rows) + head(shape, batch.masked)


def _losses(shape: Shape, batch: Batch) -> int:
    """Products inside the losses: pairs of global crops in DINO (and back), neighbours over all processes in KoLeo."""
    pairs = 4 * batch.global_crops**2 * batch.images * shape.prototypes
    if batch.local_crops:
        pairs += 2 * batch.images * shape.prototypes
    neighbours = 2 * batch.global_crops * batch.images * (batch.images * batch.processes) * shape.dim
    return pairs + neighbours


def _spared(shape: Shape, sizes: tuple[tuple[int, int], ...], watched: int) -> int:
    """What the last block saves by running its feed-forward layer for watched tokens alone, forward."""
    every = sum(feed_forward(shape, images * shape.tokens(px)) for images, px in sizes)
    return every - feed_forward(shape, watched)


def student_blocks(shape: Shape, batch: Batch, *, all_patches: bool = False) -> int:
    """All blocks of the student on its crops, forward: residuals that are kept, the last one's of watched tokens."""
    sizes = ((batch.kept(batch.globals), batch.global_px), (batch.kept(batch.locals), batch.local_px))
    seen = sum(images * blocks(shape, px) for images, px in sizes)
    return seen if all_patches else seen - _spared(shape, sizes, batch.watched)


def pretraining_step(
    shape: Shape, batch: Batch, *, recomputed: bool = False, all_patches: bool = False
) -> int:
    """One process's step: student forward and back, teacher forward on global crops; back is twice forward.

    ``recomputed`` adds the blocks that activation checkpointing runs again. With ``all_patches`` the student gives
    every patch token, not only those that a head looks at.
    """
    seen = student_blocks(shape, batch, all_patches=all_patches)
    embedded = batch.globals * embedding(shape, batch.global_px)
    embedded_locals = batch.locals * embedding(shape, batch.local_px)
    student = 3 * seen + 2 * (embedded + embedded_locals) + 3 * _heads(shape, batch, locals_too=True)
    teacher = embedded + batch.globals * blocks(shape, batch.global_px)
    teacher -= _spared(shape, ((batch.globals, batch.global_px),), batch.globals + batch.masked)
    teacher += _heads(shape, batch, locals_too=False)
    return student + teacher + _losses(shape, batch) + (seen if recomputed else 0)


def gram_step(
    shape: Shape, batch: Batch, *, gram_px: int, image_level: bool, recomputed: bool = False
) -> int:
    """A pretraining step, the Gram teacher forward on its twins, and both matrices of similarities."""
    twins = batch.globals * (embedding(shape, gram_px) + blocks(shape, gram_px))
    patches = shape.patches(batch.global_px)
    entries = batch.globals * patches**2 if image_level else (batch.globals * patches) ** 2
    step = pretraining_step(shape, batch, recomputed=recomputed, all_patches=True)
    return step + twins + 8 * entries * shape.dim


def synthesizer_step(shape: Shape, batch: Batch, *, streams: int, gate_hidden: int) -> int:
    """One process's step of gates between frozen encoders.

    Frozen weights get no gradient, so back through a linear layer is once forward; through attention it is twice.
    Masked global crops carry a gradient from the first block on (the mask tokens learn); local crops from behind the
    first gate on, and nowhere where a single encoder is left (``streams`` 1).

    Args:
        shape: of one encoder.
        batch: of the process.
        streams: encoders that run, 2 or 1.
        gate_hidden: width of a conditional gate; 0 without one.
    """

    def back(image_px: int, depth: int) -> int:
        tokens = shape.tokens(image_px)
        return depth * (linears(shape, tokens) + 2 * attention(shape, tokens))

    gate = shape.depth * 2 * gate_hidden * (4 * shape.dim + 2)
    passes = streams * (embedding(shape, batch.global_px) + blocks(shape, batch.global_px))
    local_passes = streams * (embedding(shape, batch.local_px) + blocks(shape, batch.local_px))
    local_depth = shape.depth - 1 if streams == 2 else 0
    student = batch.globals * (passes + streams * back(batch.global_px, shape.depth) + 3 * gate)
    student += batch.locals * (local_passes + streams * back(batch.local_px, local_depth) + 3 * gate)
    student += 3 * _heads(shape, batch, locals_too=True)
    teacher = batch.globals * (passes + gate) + _heads(shape, batch, locals_too=False)
    return student + teacher + _losses(shape, batch)
