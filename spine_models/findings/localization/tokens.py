"""Patch tokens of the slices that are asked for, a few at a time.

Belongs here: reading and encoding. Does not belong here: which slices (``fit``, ``find``), what is made of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, repeat
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import polars as pl

from spine_models.findings.embeddings.images import stored_images

CHUNK: Final = 32


class LocalizationError(ValueError):
    """Tables, models or encoders that do not fit together; the message says what to do."""


class PatchEncoder(Protocol):
    """What localization needs of an encoder; ``encoder.backbone.encoder.Encoder`` is one."""

    route: str
    version: str
    dim: int
    """Length of a slice's vector: three times that of a token."""

    def encode_patches(self, images: np.ndarray) -> np.ndarray:
        """Tokens float32 [N, h, w, D] of images uint16 [N, S, S]."""
        ...


@dataclass(frozen=True)
class Sources:
    """Encoders by route and shard folders by batch.

    Attributes:
        encoders: of the routes that are searched.
        shard_roots: folder that ``shard`` of the slice table is relative to.
        progress: called with (slices encoded, slices).
    """

    encoders: Mapping[str, PatchEncoder]
    shard_roots: Mapping[str, Path]
    progress: Callable[[int, int], None] | None = None

    def tokens(self, slices: pl.DataFrame) -> Iterator[tuple[str, np.ndarray]]:
        """Slice key and tokens float32 [h, w, D] of every row; rows of routes without an encoder are left out.

        Raises:
            LocalizationError: a batch without shards, or tokens that are not finite.
            EmbeddingError: shards and slice table do not belong together.
        """
        for key, _, tokens in self.images(slices.filter(pl.col("route").is_in(list(self.encoders)))):
            if tokens is not None:
                yield key, tokens

    def images(self, slices: pl.DataFrame) -> Iterator[tuple[str, np.ndarray, np.ndarray | None]]:
        """Slice key, image uint16 [S, S] and tokens float32 [h, w, D] of every row; None of routes without an encoder.

        Raises:
            LocalizationError: a batch without shards, or tokens that are not finite.
            EmbeddingError: shards and slice table do not belong together.
        """
        rows = slices.unique("slice_key")
        done = 0
        groups = rows.sort("route", "batch_key", "slice_key").group_by(
            "route", "batch_key", maintain_order=True
        )
        for (route, batch), part in groups:
            if batch not in self.shard_roots:
                raise LocalizationError(
                    f"no shard folder for batch {batch}: materialise shards of this batch"
                )
            stored = stored_images(part, self.shard_roots[str(batch)])
            while some := list(islice(stored, CHUNK)):
                keys, images = zip(*some, strict=True)
                yield from zip(keys, images, self._encode(str(route), images), strict=True)
                done += len(keys)
                if self.progress is not None:
                    self.progress(done, rows.height)

    def _encode(self, route: str, images: Sequence[np.ndarray]) -> Iterable[np.ndarray | None]:
        if route not in self.encoders:
            return repeat(None, len(images))
        tokens = self.encoders[route].encode_patches(np.stack(images))
        if not np.isfinite(tokens).all():
            raise LocalizationError(
                f"the encoder of route {route!r} returned values that are not finite: its weights are damaged"
            )
        return tokens
