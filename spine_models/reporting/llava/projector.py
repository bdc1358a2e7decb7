"""Slice vectors of a study to a fixed number of tokens in the decoder's space.

Belongs here: batches of images, what a slice token carries beside its vector, masked attention pooling, the two-layer
map. Does not belong here: choosing slices (``images``), where the tokens stand in a prompt (``sequence``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from spine_models.encoder.clip.pooler import FREQUENCIES, sinusoids
from spine_models.reporting.llava.images import CONTRASTS, PLANES, ROUTES, LlavaDataError, StudyImages

SERIES: Final = 32
"""Series that are told apart; a study's further ones share the last number."""
SPAN_MM: Final = 1024.0
"""Offsets of half of it to either side are told apart."""
_PLACE: Final = 4 * FREQUENCIES + 1


class ImageBatch(NamedTuple):
    """Images of B studies padded to the longest, S at least 1; a study without slices has no True in its mask."""

    vectors: Tensor  # [B, S, D] float32
    mask: Tensor  # [B, S] bool, True for slices
    route: Tensor  # [B, S] int64
    plane: Tensor  # [B, S] int64
    contrast: Tensor  # [B, S] int64
    series: Tensor  # [B, S] int64
    position: Tensor  # [B, S] float32
    offset_mm: Tensor  # [B, S] float32, NaN where not known

    def to(self, device: torch.device) -> ImageBatch:
        """The same on a device."""
        return ImageBatch(*(part.to(device) for part in self))


def batch_images(studies: Sequence[StudyImages | None], dim: int) -> ImageBatch:
    """Studies, at least one, as a batch; None is a study without slices.

    Args:
        studies: in the order of the batch.
        dim: length of a slice vector.

    Raises:
        LlavaDataError: slice vectors of another length.
    """
    for study in studies:
        if study is not None and study.vectors.shape[1] != dim:
            raise LlavaDataError(
                f"slice vectors have length {study.vectors.shape[1]}, the report model takes {dim}: use the encoders "
                "that it was trained with, or train llava again"
            )
    longest = max((len(study) for study in studies if study is not None), default=0) or 1
    shape = (len(studies), longest)
    vectors, mask = np.zeros((*shape, dim), dtype=np.float32), np.zeros(shape, dtype=bool)
    whole = {name: np.zeros(shape, dtype=np.int64) for name in ("route", "plane", "contrast", "series")}
    real = {name: np.zeros(shape, dtype=np.float32) for name in ("position", "offset_mm")}
    for b, study in enumerate(studies):
        if study is not None:
            n = len(study)
            vectors[b, :n], mask[b, :n] = study.vectors, True
            for name, array in (whole | real).items():
                array[b, :n] = getattr(study, name)
    return ImageBatch(*(torch.from_numpy(a) for a in (vectors, mask, *whole.values(), *real.values())))


class Projector(nn.Module):
    """Attention pooling with learned queries and an MLP (SpineAgent, arXiv 2606.08897: 64 queries, 8 heads, 2x GELU).

    A slice token is its vector, normed and mapped by a layer of its route (the routes' encoders have spaces of their
    own), plus learned embeddings of plane, contrast and series number and a map of its position. The queries attend
    to a study's slice tokens alone. A study without slices has learned tokens instead.

    Args:
        dim_in: length of a slice vector.
        dim_out: width of the decoder.
        queries: tokens that a study becomes.
        heads: of the attention, whose width is ``dim_in`` rounded up to a multiple of them.
    """

    def __init__(self, dim_in: int, dim_out: int, *, queries: int = 64, heads: int = 8) -> None:
        super().__init__()
        self.dim_in, self.dim_out, self.heads = dim_in, dim_out, heads
        self.width = width = -(-dim_in // heads) * heads
        self.routes = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(dim_in), nn.Linear(dim_in, width)) for _ in ROUTES
        )
        self.plane = nn.Embedding(len(PLANES), width)
        self.contrast = nn.Embedding(len(CONTRASTS), width)
        self.series = nn.Embedding(SERIES, width)
        for table in (self.plane, self.contrast, self.series):
            nn.init.normal_(table.weight, std=0.1)  # beside a normed vector: heard, not drowning it
        self.place = nn.Linear(_PLACE, width, bias=False)
        self.queries = nn.Parameter(torch.randn(queries, width))
        self.slice_norm, self.pooled_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key, self.value, self.joined = (nn.Linear(width, width) for _ in range(4))
        self.mlp = nn.Sequential(nn.Linear(width, dim_out), nn.GELU(), nn.Linear(dim_out, dim_out))
        self.no_image = nn.Parameter(torch.randn(queries, dim_out) * 0.02)

    @property
    def n_tokens(self) -> int:
        """Tokens that a study becomes."""
        return len(self.queries)

    def forward(self, images: ImageBatch) -> Tensor:
        """Tokens [B, queries, dim_out]; what stands in padding, and how much of it there is, changes nothing.

        Raises:
            ValueError: shapes that do not belong together, or a mask that is not bool.
        """
        vectors, mask = images.vectors, images.mask
        if vectors.ndim != 3 or vectors.shape[2] != self.dim_in or mask.shape != vectors.shape[:2]:
            raise ValueError(
                f"vectors [B, S, {self.dim_in}] and mask [B, S] are needed, not {list(vectors.shape)} and "
                f"{list(mask.shape)}"
            )
        if mask.dtype != torch.bool:
            raise ValueError(f"the mask is bool, True for slices, not {mask.dtype}")
        present = mask.any(dim=1)
        # A row without slices attends to its padding, so that nothing is divided by zero; it is replaced below.
        seen = mask | ~present[:, None]
        pooled = self._pool(self.slice_tokens(images), seen)
        return torch.where(present[:, None, None], self.mlp(self.pooled_norm(pooled)), self.no_image)

    def slice_tokens(self, images: ImageBatch) -> Tensor:
        """What the queries attend to, [B, S, width]; zeros in padding."""
        mask, dtype = images.mask, self.queries.dtype
        vectors = images.vectors.to(dtype).masked_fill(~mask[..., None], 0.0)
        tokens = vectors.new_zeros(*mask.shape, self.width)
        for number, layer in enumerate(self.routes):
            own = mask & (images.route == number)
            # Also where no slice has the route: every parameter then has a gradient, if of zeros.
            tokens = tokens.index_put((own,), layer(vectors[own]).to(dtype))
        known = images.offset_mm.isfinite() & mask
        offset = (images.offset_mm / SPAN_MM + 0.5).clamp(0.0, 1.0).masked_fill(~known, 0.0)
        far = sinusoids(offset) * known[..., None]
        place = torch.cat([sinusoids(images.position), far, known[..., None]], dim=-1).to(dtype)
        tokens = tokens + self.plane(images.plane) + self.contrast(images.contrast) + self.place(place)
        tokens = tokens + self.series(images.series.clamp(max=SERIES - 1))
        return self.slice_norm(tokens).masked_fill(~mask[..., None], 0.0)

    def _pool(self, tokens: Tensor, seen: Tensor) -> Tensor:
        """Multi-head attention of the queries over the tokens [B, S, width] where ``seen`` [B, S]."""

        def heads(rows: Tensor) -> Tensor:
            return rows.unflatten(-1, (self.heads, -1)).transpose(-2, -3)

        queries = heads(self.query(self.queries)).expand(len(tokens), -1, -1, -1)
        pooled = functional.scaled_dot_product_attention(
            queries, heads(self.key(tokens)), heads(self.value(tokens)), attn_mask=seen[:, None, None, :]
        )
        return self.joined(pooled.transpose(1, 2).flatten(2))
