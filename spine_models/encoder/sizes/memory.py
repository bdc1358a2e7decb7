"""Bytes of a process by kind: weights, gradients, optimiser, teachers, what backward needs, the losses' room.

Belongs here: formulas of what autograd saves and of what replicas and shards hold. Does not belong here: FLOPs,
devices.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from spine_models.encoder.sizes.flops import Batch
from spine_models.encoder.sizes.shape import Shape

FLOAT: Final = 4
GATHERED_UNITS: Final = 2
"""Sharded units whose whole weights a process holds at a time: the one that computes and the next."""


class Memory(NamedTuple):
    """Bytes of one process at its fullest, when the backward pass begins."""

    weights: int
    gradients: int
    optimiser: int
    teachers: int  # EMA teacher and Gram teacher
    activations: int  # saved for backward, the casts of weights among them
    losses: int  # saved by the losses, and their room
    total: int


@dataclass(frozen=True)
class Networks:
    """Parameters of what a process holds.

    Attributes:
        trained: with gradient and optimiser.
        frozen: part of the student without gradient; shared by the EMA teacher, never sharded.
        teachers: of the EMA teacher and of the Gram teacher together, without what they share.
        largest_unit: of the largest part that is gathered at a time where weights are sharded.
    """

    trained: int
    frozen: int
    teachers: int
    largest_unit: int


def attention_bytes(shape: Shape, tokens: int, *, itemsize: int, fused: bool = True) -> int:
    """What autograd saves of one block's attention on one image.

    The norm's float32 input and two statistics; at ``itemsize`` the norm's output, queries and keys after the rotation
    and the three of them before it, attention's output, the projection's input and what LayerScale scales. Without the
    ``fused`` kernel the softmax, scaled queries and a copy of the values are saved, and not what came before.

    Args:
        shape: of the network.
        tokens: of the image.
        itemsize: bytes of a number that matrix products take: 2 with bfloat16 autocast, 4 without.
        fused: attention by the fused kernel, as on a GPU.
    """
    weights = shape.heads * (FLOAT if fused else itemsize * tokens)
    cast = itemsize * (2 + (7 if fused else 5)) * shape.dim
    return tokens * (FLOAT * shape.dim + 2 * FLOAT + cast + weights)


def feed_forward_bytes(shape: Shape, tokens: int, *, itemsize: int) -> int:
    """The same of one block's feed-forward layer.

    The norm's output is saved once a linear layer where it is cast, by SwiGLU twice; the inner vectors twice with GELU
    and four times with SwiGLU.
    """
    inputs = 2 if shape.gated and itemsize < FLOAT else 1
    cast = itemsize * ((inputs + 1) * shape.dim + (4 if shape.gated else 2) * shape.hidden)
    return tokens * (FLOAT * shape.dim + 2 * FLOAT + cast)


def block_bytes(shape: Shape, tokens: int, *, itemsize: int, fused: bool = True) -> int:
    """What autograd saves of one block on one image; arguments as for ``attention_bytes``."""
    mixed = attention_bytes(shape, tokens, itemsize=itemsize, fused=fused)
    return mixed + feed_forward_bytes(shape, tokens, itemsize=itemsize)


def block_weights(shape: Shape) -> int:
    """Entries of the matrices of one block: what autocast copies."""
    return shape.dim * (4 * shape.dim + (3 if shape.gated else 2) * shape.hidden)


def _head_bytes(shape: Shape, rows: int, itemsize: int) -> int:
    """One head on so many rows, up to its logits."""
    inner = 2 * (shape.head_layers - 1) * shape.head_hidden
    return rows * (itemsize * (shape.dim + inner + shape.bottleneck) + 2 * FLOAT * shape.bottleneck)


def backbone_activations(
    shape: Shape,
    batch: Batch,
    *,
    itemsize: int,
    checkpointed: bool,
    fused: bool = True,
    all_patches: bool = False,
) -> int:
    """What backward needs of the student's backbone and heads.

    Residuals that stochastic depth leaves out save nothing; the last feed-forward layer saves what it has of the tokens
    that a head looks at, with ``all_patches`` of all. ``checkpointed`` keeps only the blocks' inputs, and one block
    whole while it is run again.
    """
    total = whole = last = 0
    for images, px in ((batch.globals, batch.global_px), (batch.locals, batch.local_px)):
        tokens, kept = shape.tokens(px), batch.kept(images)
        whole += kept * block_bytes(shape, tokens, itemsize=itemsize, fused=fused)
        last += kept * feed_forward_bytes(shape, tokens, itemsize=itemsize)
        if checkpointed:
            total += images * shape.depth * tokens * FLOAT * shape.dim
        total += images * (px**2 * itemsize)
        if all_patches:
            total += images * tokens * (FLOAT * shape.dim + 2 * FLOAT)
    if checkpointed:
        total += whole
    else:
        total += shape.depth * whole
        if not all_patches:
            total += feed_forward_bytes(shape, batch.watched, itemsize=itemsize) - last
    if not all_patches:
        total += batch.watched * (FLOAT * shape.dim + 2 * FLOAT)
    heads = _head_bytes(shape, batch.globals + batch.locals, itemsize)
    heads += _head_bytes(shape, batch.masked, itemsize)
    casts = 0
    if itemsize < FLOAT:
        casts = (1 if checkpointed else shape.depth) * block_weights(shape) * itemsize
        casts += 2 * shape.prototypes * shape.bottleneck * itemsize
    return total + heads + casts


def loss_bytes(shape: Shape, batch: Batch) -> int:
    """What DINO and iBOT save: log-probabilities of every student row, assignments of every teacher row, in float32."""
    students = batch.globals + batch.locals + batch.masked
    assigned = batch.globals + batch.masked
    return FLOAT * shape.prototypes * (students + assigned)


def loss_room(shape: Shape, batch: Batch, *, itemsize: int) -> int:
    """What comes and goes beside that where the larger loss ends and its backward begins.

    For each of its logits two float32 numbers and one as it left the head.
    """
    return (2 * FLOAT + itemsize) * shape.prototypes * max(batch.globals + batch.locals, batch.masked)


def forward_room(shape: Shape, images: int, image_px: int, *, itemsize: int, fused: bool = True) -> int:
    """What a forward pass without gradient holds at a time: one block's residual, norm and inner vectors.

    Without the fused kernel attention's weights come to that, before and after the softmax.
    """
    tokens = shape.tokens(image_px)
    inner = (3 if shape.gated else 2) * shape.hidden
    weights = 0 if fused else 2 * shape.heads * tokens
    return images * tokens * (2 * FLOAT * shape.dim + itemsize * (shape.dim + inner + weights))


def gram_bytes(shape: Shape, batch: Batch, *, image_level: bool) -> int:
    """Similarities of student and Gram teacher, and the student's unit-length tokens, in float32."""
    patches = shape.patches(batch.global_px)
    entries = batch.globals * patches**2 if image_level else (batch.globals * patches) ** 2
    return FLOAT * (2 * entries + batch.globals * patches * shape.dim)


def frozen_layer_bytes(shape: Shape, tokens: int, *, streams: int, itemsize: int, fused: bool = True) -> int:
    """What autograd saves of one layer of one or two frozen encoders on one image, and of the gate that mixes them.

    No weight has a gradient, so no linear layer's input is saved and nothing of LayerScale. Both streams read one
    input; mixing saves both outputs.
    """
    plain = FLOAT * shape.dim * (1 + streams + (2 if streams == 2 else 0)) + 4 * FLOAT * streams
    attention = 6 if fused else 4
    feed_forward = 3 if shape.gated else 1
    cast = itemsize * (attention * shape.dim + feed_forward * shape.hidden)
    weights = shape.heads * (FLOAT if fused else itemsize * tokens)
    return tokens * (plain + streams * (cast + weights))


def frozen_activations(
    shape: Shape,
    batch: Batch,
    *,
    streams: int,
    itemsize: int,
    fused: bool = True,
) -> int:
    """What backward needs of frozen encoders with learned gates, and of the heads.

    Local crops carry a gradient from behind the first gate on, and with a single stream none. Every pass over frozen
    weights keeps its own cast of them.
    """
    total = passes = 0
    for images, px, depth in (
        (batch.globals, batch.global_px, shape.depth),
        (batch.locals, batch.local_px, shape.depth - 1 if streams == 2 else 0),
    ):
        if not images or not depth:
            continue
        passes += depth
        tokens = shape.tokens(px)
        layer = frozen_layer_bytes(shape, tokens, streams=streams, itemsize=itemsize, fused=fused)
        total += images * depth * layer
        if depth < shape.depth:
            total += images * tokens * FLOAT * shape.dim * 2  # what the first gate mixes
        total += images * shape.tokens(px) * streams * (FLOAT * shape.dim + 2 * FLOAT)
    heads = _head_bytes(shape, batch.globals + batch.locals, itemsize)
    heads += _head_bytes(shape, batch.masked, itemsize)
    casts = 0
    if itemsize < FLOAT:
        casts = streams * passes * block_weights(shape) * itemsize
        casts += 2 * shape.prototypes * shape.bottleneck * itemsize
    return total + heads + casts


def process_memory(
    networks: Networks, *, activations: int, losses: int, processes: int, sharded: bool
) -> Memory:
    """All kinds together; AdamW keeps two float32 moments a trained parameter.

    Replicas (DDP) hold all of it, and a second set of gradients to exchange where there are several. Shards (FSDP2)
    hold their part of what is trained and of the teachers, and in float32 the units that are gathered at a time.
    """
    share = processes if sharded else 1
    gathered = GATHERED_UNITS * networks.largest_unit * FLOAT if share > 1 else 0
    exchanged = networks.trained * FLOAT if processes > 1 and not sharded else 0
    weights = networks.trained * FLOAT // share + networks.frozen * FLOAT + gathered
    gradients = networks.trained * FLOAT // share + exchanged
    optimiser = 2 * networks.trained * FLOAT // share
    teachers = networks.teachers * FLOAT // share
    parts = (weights, gradients, optimiser, teachers, activations, losses)
    return Memory(*parts, total=sum(parts))
