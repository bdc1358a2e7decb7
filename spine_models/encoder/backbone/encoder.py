"""A trained encoder in use: slices in, vectors out, nothing drawn and nothing learned.

Belongs here: the files of an encoder, opening and writing them, encoding. Does not belong here: training state,
pooling over slices.

A folder holds ``encoder.safetensors`` (the EMA teacher's backbone), ``config.json`` (settings, route, trained) and
``card.json``. The version is a content hash of the first two.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from spine_models.config import BackboneSettings
from spine_models.encoder.backbone.augment import reduced, to_unit
from spine_models.encoder.backbone.vit import Backbone, Tokens

WEIGHTS: Final = "encoder.safetensors"
CONFIG: Final = "config.json"
CARD: Final = "card.json"
CHUNK: Final = 64  # images at a time; bounds memory and has no effect on the vectors beyond float rounding


class EncoderError(ValueError):
    """A folder that holds no encoder, or slices that an encoder cannot take."""


def _dump(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def version_of(folder: Path, weights: str = WEIGHTS) -> str:
    """sha256 (first 16 hex digits) over config and weights."""
    digest = hashlib.sha256((folder / CONFIG).read_bytes())
    with (folder / weights).open("rb") as stream:
        while chunk := stream.read(1 << 24):
            digest.update(chunk)
    return digest.hexdigest()[:16]


def save_encoder(
    folder: Path, backbone: Backbone, settings: BackboneSettings, *, route: str, trained: bool
) -> str:
    """Write weights and config; returns the version. The folder is made if it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in backbone.state_dict().items()}
    save_file(weights, folder / WEIGHTS)
    config = {"route": route, "trained": trained, "settings": settings.model_dump(mode="json")}
    (folder / CONFIG).write_text(_dump(config), encoding="utf-8")
    return version_of(folder)


def write_card(folder: Path, card: dict[str, Any]) -> None:
    """Write ``card.json`` beside the weights."""
    (folder / CARD).write_text(_dump(card), encoding="utf-8")


class Encoder:
    """A frozen backbone.

    Attributes:
        version: content hash of weights and config.
        route: "t1" or "t2".
        name: "dinov3-<route>".
        trained: False for an encoder that was only initialised.
        dim: length of a vector, 3 times the width of the network.
        image_px: edge that larger slices are brought down to; None takes slices of any size as they are.
    """

    def __init__(
        self,
        backbone: Backbone,
        *,
        route: str,
        version: str,
        trained: bool,
        image_px: int | None = None,
    ) -> None:
        self._backbone = backbone.freeze()
        self.image_px = image_px
        self.route, self.version, self.trained = route, version, trained
        self.name = f"dinov3-{route}"
        self.dim = 3 * backbone.mask_token.numel()

    @property
    def backbone(self) -> Backbone:
        """The frozen network, for what is built on its layers."""
        return self._backbone

    @torch.no_grad()
    def encode(self, images: np.ndarray) -> np.ndarray:
        """CLS, mean and maximum of the patch tokens, one after the other, in float32.

        A slice's vector does not depend on the other slices of the call. Slices larger than ``image_px`` are first
        made that small with a low-pass, as training made them; others are taken as they are.

        Args:
            images: [N, S, S] uint16 as the shards store them; S above ``image_px`` or a multiple of the patch size.

        Returns:
            [N, 3 * dim] float32.

        Raises:
            EncoderError: another dtype or shape.
        """
        vectors = [np.zeros((0, self.dim), dtype=np.float32)]
        for tokens in self._tokens(images):
            parts: list[Tensor] = [tokens.cls, tokens.patches.mean(dim=1), tokens.patches.amax(dim=1)]
            vectors.append(torch.cat(parts, dim=1).float().cpu().numpy())
        return np.concatenate(vectors)

    @torch.no_grad()
    def encode_patches(self, images: np.ndarray) -> np.ndarray:
        """Patch tokens on their grid, for pictures of what the encoder sees (``patch_similarity``).

        Args:
            images: [N, S, S] uint16 as for ``encode``.

        Returns:
            [N, h, w, D] float32; h = w = S / patch size, of slices larger than ``image_px`` that / patch size.

        Raises:
            EncoderError: another dtype or shape.
        """
        maps = [tokens.patches.float().cpu().numpy() for tokens in self._tokens(images)]
        grid = self._backbone.grid(*(min(edge, self.image_px or edge) for edge in images.shape[1:]))
        return np.concatenate([np.zeros((0, grid[0] * grid[1], self.dim // 3), np.float32), *maps]).reshape(
            len(images), *grid, self.dim // 3
        )

    def _tokens(self, images: np.ndarray) -> Iterator[Tokens]:
        """Tokens of ``CHUNK`` images at a time."""
        if images.dtype != np.uint16 or images.ndim != 3:
            raise EncoderError(f"slices are uint16 [N, S, S], not {images.dtype} {list(images.shape)}")
        device = self._backbone.mask_token.device
        for start in range(0, len(images), CHUNK):
            chunk = to_unit(images[start : start + CHUNK]).to(device)
            yield self._backbone(chunk if self.image_px is None else reduced(chunk, self.image_px))


def read_config(folder: Path) -> dict[str, Any]:
    """What the config of an encoder's folder says: route, trained, settings.

    Raises:
        EncoderError: a file of the encoder is missing.
    """
    missing = [name for name in (CONFIG, WEIGHTS) if not (folder / name).is_file()]
    if missing:
        raise EncoderError(
            f"no encoder in folder {folder.name}: {' and '.join(missing)} missing; train the backbone"
        )
    return json.loads((folder / CONFIG).read_text(encoding="utf-8"))


def open_backbone(folder: Path) -> tuple[Backbone, dict[str, Any]]:
    """Backbone of an encoder's folder, on the CPU, and what its config says: route, trained, settings.

    Raises:
        EncoderError: a file is missing, or the weights do not fit the config.
    """
    folder = Path(folder)
    config = read_config(folder)
    with torch.random.fork_rng(devices=[]):  # the draws of an initialisation that is overwritten at once
        backbone = Backbone(BackboneSettings.model_validate(config["settings"]))
    try:
        backbone.load_state_dict(load_file(folder / WEIGHTS))
    except RuntimeError as error:
        raise EncoderError(
            f"the weights in folder {folder.name} do not fit its {CONFIG}: train the backbone again"
        ) from error
    return backbone, config


def load_encoder(folder: Path) -> Encoder:
    """Open an encoder, on the GPU where there is one.

    Raises:
        EncoderError: a file is missing, or the weights do not fit the config.
    """
    backbone, config = open_backbone(folder)
    if torch.cuda.is_available():
        backbone.cuda()
    return Encoder(
        backbone,
        route=config["route"],
        version=version_of(folder),
        trained=config["trained"],
        image_px=config["settings"]["image_px"],
    )
