"""A fused encoder in use: slices of any contrast in, vectors out, with the face of ``backbone.encoder.Encoder``.

Belongs here: encoding with frozen gates, the vector of a slice. Does not belong here: files (``files``), pooling over
slices, the gates as a table (``gate_table``).
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from torch import Tensor

from spine_models.encoder.backbone.encoder import EncoderError
from spine_models.encoder.backbone.vit import Tokens
from spine_models.encoder.synthesizer.files import Fused
from spine_models.encoder.synthesizer.fused import FusedEncoder

ROUTE: Final = "other"
CHUNK: Final = 64  # images at a time; bounds memory and has no effect on the vectors beyond float rounding


def slice_vector(tokens: Tokens) -> Tensor:
    """CLS, mean and maximum of the patch tokens of N slices, one after the other: [N, 3 * D] float32."""
    parts = [tokens.cls, tokens.patches.mean(dim=1), tokens.patches.amax(dim=1)]
    return torch.cat(parts, dim=1).float()


class Synthesizer:
    """A frozen fused encoder, for the series that no encoder of their own was trained on.

    Attributes:
        version: content hash of gates, config and, through it, both encoders.
        route: "other".
        name: "synthesizer-<variant>".
        trained: False for gates that were only initialised.
        dim: length of a vector, 3 times the width of the encoders.
    """

    def __init__(self, fused: Fused) -> None:
        """Take a fused encoder that ``files.load_fused`` opened."""
        self._fused = fused.encoder.freeze()
        self.version, self.trained = fused.version, fused.trained
        self.route, self.name = ROUTE, f"synthesizer-{self._fused.variant}"
        self.dim = 3 * self._fused.encoders[0].mask_token.numel()

    @property
    def fused(self) -> FusedEncoder:
        """The frozen network, for its gates."""
        return self._fused

    @torch.no_grad()
    def encode(self, images: np.ndarray) -> np.ndarray:
        """Vectors of slices, each of which depends on its own slice alone.

        Args:
            images: [N, S, S] uint16 as the shards store them; S above the encoders' ``image_px``, which they are
                brought down to, or a multiple of the patch size.

        Returns:
            [N, 3 * D] float32: CLS, mean and maximum of the patch tokens.

        Raises:
            EncoderError: another dtype or shape.
        """
        if images.dtype != np.uint16 or images.ndim != 3:
            raise EncoderError(f"slices are uint16 [N, S, S], not {images.dtype} {list(images.shape)}")
        device = self._fused.encoders[0].mask_token.device
        vectors = [np.zeros((0, self.dim), dtype=np.float32)]
        for start in range(0, len(images), CHUNK):
            tokens = self._fused(self._fused.images_of(images[start : start + CHUNK]).to(device))
            vectors.append(slice_vector(tokens).cpu().numpy())
        return np.concatenate(vectors)
