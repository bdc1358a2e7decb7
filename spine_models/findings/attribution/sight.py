"""Encoders as saliency needs them: differentiable from a slice to its tokens, and heads for a study of one slice.

Belongs here: one face for the encoders of T1 and T2 and the synthesizer of the rest, the blurred slice that stands for
nothing to see, a head on a single slice's vector. Does not belong here: maps (``saliency``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from spine_models.domain import Route
from spine_models.encoder.backbone.augment import reduced, to_unit
from spine_models.encoder.backbone.encoder import Encoder, load_encoder
from spine_models.encoder.backbone.vit import Backbone, Tokens
from spine_models.encoder.synthesizer.encode import Synthesizer, slice_vector
from spine_models.encoder.synthesizer.files import load_fused
from spine_models.encoder.synthesizer.fused import FusedEncoder
from spine_models.findings.attribution.terms import AttributionError, Term, constants, terms_of
from spine_models.findings.probes.heads import Heads


class Sight:
    """A frozen encoder that gradients pass through.

    Attributes:
        route: of the encoder.
        version: of the encoder.
        network: from images [N, 1, s, s] in [0, 1], and masks [N, P] of patches to hide, to tokens.
        patch_px: side of a patch.
        dim: length of a slice's vector.
    """

    def __init__(self, encoder: Encoder | Synthesizer, *, batch_size: int = 64) -> None:
        """``batch_size`` images at a time; no effect beyond float rounding."""
        self.network: Backbone | FusedEncoder
        if isinstance(encoder, Synthesizer):
            self.network, self._image_px = encoder.fused, encoder.fused.image_px
        else:
            self.network, self._image_px = encoder.backbone, encoder.image_px
        self.route, self.version, self.dim = encoder.route, encoder.version, encoder.dim
        self.patch_px = self.network.patch_px
        self._batch_size = batch_size

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        backbone = self.network.encoders[0] if isinstance(self.network, FusedEncoder) else self.network
        return backbone.mask_token.device

    def image(self, array: np.ndarray) -> Tensor:
        """A slice uint16 [S, S] as the network sees it: float32 [1, 1, s, s] in [0, 1].

        Raises:
            AttributionError: another dtype or shape.
        """
        if array.dtype != np.uint16 or array.ndim != 2 or array.shape[0] != array.shape[1]:
            raise AttributionError(f"a slice is uint16 [S, S], not {array.dtype} {list(array.shape)}")
        image = to_unit(array[None])
        return (image if self._image_px is None else reduced(image, self._image_px)).to(self.device)

    def grid(self, image: Tensor) -> tuple[int, int]:
        """Rows and columns of patches of an image."""
        return self.network.grid(*image.shape[-2:])

    def blurred(self, image: Tensor, patches: float) -> Tensor:
        """The image without detail: a Gaussian of so many patches' width, edges continued."""
        plain = image[0, 0].cpu().numpy().astype(np.float64)
        smooth = gaussian_filter(plain, sigma=patches * self.patch_px, mode="nearest")
        return torch.from_numpy(smooth.astype(np.float32))[None, None].to(self.device)

    def tokens(self, images: Tensor, masks: Tensor | None = None) -> Tokens:
        """Tokens of a batch; gradients pass."""
        return self.network(images, masks)

    @torch.no_grad()
    def vectors(self, images: Tensor, masks: Tensor | None = None) -> np.ndarray:
        """Slice vectors float64 [N, D] of any number of images."""
        found = [np.zeros((0, self.dim))]
        for start in range(0, len(images), self._batch_size):
            part = slice(start, start + self._batch_size)
            tokens = self.tokens(images[part], None if masks is None else masks[part])
            found.append(slice_vector(tokens).cpu().numpy().astype(np.float64))
        return np.concatenate(found)


@dataclass(frozen=True)
class SliceHead:
    """What the heads say of a study that is one slice: logit = constant + (vector - centre) . weights.

    Attributes:
        condition: of the head.
        sequence_set: of the head.
        constant: calibrated logit of the average study of the route.
        centre: [D].
        weights: [D], in calibrated logits.
    """

    condition: str
    sequence_set: str
    constant: float
    centre: np.ndarray
    weights: np.ndarray

    def logits(self, vectors: np.ndarray) -> np.ndarray:
        """Calibrated logits [N] of slice vectors [N, D]."""
        return self.constant + (vectors - self.centre) @ self.weights

    def probabilities(self, vectors: np.ndarray) -> np.ndarray:
        """Calibrated probabilities [N] of slice vectors [N, D]."""
        return 0.5 * (1.0 + np.tanh(0.5 * self.logits(vectors)))


def open_sights(
    heads: Heads, encoders: Mapping[str, Path], synthesizer: Path | None, *, batch_size: int = 64
) -> dict[str, Sight]:
    """Encoders of the routes that the heads know, by route.

    Args:
        heads: loaded heads.
        encoders: folders of the encoders of T1 and T2 by route.
        synthesizer: folder of the aligned synthesizer, opened where the heads know other sequences; None leaves them.
        batch_size: images at a time.

    Raises:
        EncoderError: a folder holds no encoder, or the synthesizer was trained on others.
        AttributionError: an encoder of another version than the heads were fitted on.
    """
    found: dict[str, Sight] = {}
    for route in sorted(heads.model_versions):
        if route in encoders:
            found[route] = Sight(load_encoder(encoders[route]), batch_size=batch_size)
        elif route == Route.OTHER and synthesizer is not None:
            fused = load_fused(synthesizer, encoders[Route.T1.value], encoders[Route.T2.value])
            found[route] = Sight(Synthesizer(fused), batch_size=batch_size)
    for route, sight in found.items():
        _same_version(heads, route, sight.version)
    return found


def _same_version(heads: Heads, route: str, version: str) -> None:
    wanted = heads.model_versions[route]
    if version != wanted:
        raise AttributionError(
            f"these heads were fitted on encoder version {wanted} of route {route!r}, this encoder is of version "
            f"{version}: materialise embeddings and probes with one encoder"
        )


def slice_heads(heads: Heads, sight: Sight, widths: Mapping[str, int]) -> dict[str, SliceHead]:
    """Heads by condition for single slices of the encoder's route; conditions without a head are not in it.

    Args:
        heads: loaded heads.
        sight: of the route's encoder.
        widths: length of a vector by route, of all routes that the heads know.

    Raises:
        AttributionError: the heads were fitted on another version of the encoder.
    """
    if sight.route not in heads.model_versions:
        return {}
    _same_version(heads, sight.route, sight.version)
    names = heads.card["conditions"]
    found: dict[str, SliceHead] = {}
    for sequence_set in heads.sets:
        terms = terms_of(heads, sequence_set, widths)
        if sight.route not in terms:
            continue
        term: Term = terms[sight.route]
        for column, constant in enumerate(constants(heads, sequence_set, [sight.route], terms)):
            if np.isfinite(constant):
                name = names[column]
                found[name] = SliceHead(
                    name, sequence_set, float(constant), term.centre, term.weights[:, column]
                )
    return found
