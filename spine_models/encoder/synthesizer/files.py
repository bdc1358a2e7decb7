"""The files of a fused encoder: its gates and mask tokens, and which two encoders they were trained on.

Belongs here: writing and opening a folder, refusing other encoders. Does not belong here: the encoders' own files
(backbone.encoder), training state.

A folder holds ``synthesizer.safetensors``, ``config.json`` (variant, hidden, the encoders' versions, trained) and
``card.json``. Encoders are named by content hash and never copied: they may lie anywhere.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final, NamedTuple

import torch
from safetensors.torch import load_file, save_file

from spine_models.config import BackboneSettings
from spine_models.encoder.backbone.encoder import CONFIG, Encoder, EncoderError, load_encoder, version_of
from spine_models.encoder.synthesizer.fused import FusedEncoder
from spine_models.encoder.synthesizer.gates import ConditionalGate

WEIGHTS: Final = "synthesizer.safetensors"


class Fused(NamedTuple):
    """A fused encoder in use, frozen; ``version`` covers gates, config and, through it, both encoders."""

    encoder: FusedEncoder
    version: str
    trained: bool


class OpenFused(NamedTuple):
    """A fused encoder for training: gates that may learn, and the encoders' versions."""

    encoder: FusedEncoder
    version: str
    trained: bool
    versions: dict[str, str]
    settings: BackboneSettings  # of T1's training


class Pair(NamedTuple):
    """The two encoders that are fused, opened from their folders."""

    t1: Encoder
    t2: Encoder
    settings: BackboneSettings  # of T1's training

    @property
    def versions(self) -> dict[str, str]:
        """Content hash of each encoder."""
        return {"t1": self.t1.version, "t2": self.t2.version}


def load_pair(t1: Path, t2: Path) -> Pair:
    """Open both encoders.

    Raises:
        EncoderError: a folder holds no encoder, or one of another route.
    """
    encoders = {"t1": load_encoder(t1), "t2": load_encoder(t2)}
    for route, encoder in encoders.items():
        if encoder.route != route:
            raise EncoderError(
                f"the {route} encoder's folder holds one of route {encoder.route}: give {route}'s"
            )
    config = json.loads((Path(t1) / CONFIG).read_text(encoding="utf-8"))
    return Pair(encoders["t1"], encoders["t2"], BackboneSettings.model_validate(config["settings"]))


def save_fused(folder: Path, fused: FusedEncoder, versions: dict[str, str], *, trained: bool) -> str:
    """Write gates, mask tokens and config; the folder is made if it is not there.

    Args:
        folder: of the fused encoder.
        fused: what to write; its encoders are not written.
        versions: content hashes of the encoders, of "t1" and "t2" (``Pair.versions``).
        trained: False for gates that were only initialised.

    Returns:
        The version, a content hash of weights and config.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in fused.state_dict().items()}
    save_file(weights, folder / WEIGHTS)
    gate = fused.gates[0] if len(fused.gates) else None
    config = {
        "variant": fused.variant,
        "hidden": gate.hidden.out_features if isinstance(gate, ConditionalGate) else None,
        "encoders": {"t1": versions["t1"], "t2": versions["t2"]},
        "trained": trained,
    }
    (folder / CONFIG).write_text(json.dumps(config, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return version_of(folder, WEIGHTS)


def load_fused(folder: Path, t1: Path, t2: Path) -> Fused:
    """Open a fused encoder for use on its two encoders, on the GPU where there is one.

    Args:
        folder: written by ``save_fused``.
        t1: folder of the T1 encoder.
        t2: folder of the T2 encoder.

    Raises:
        EncoderError: as ``open_fused``.
    """
    opened = open_fused(folder, t1, t2)
    return Fused(opened.encoder.freeze(), opened.version, opened.trained)


def open_fused(folder: Path, t1: Path, t2: Path) -> OpenFused:
    """Open a fused encoder for training on its two frozen encoders, on the GPU where there is one.

    Args:
        folder: written by ``save_fused``.
        t1: folder of the T1 encoder.
        t2: folder of the T2 encoder.

    Raises:
        EncoderError: a file is missing, the weights do not fit the config, or an encoder is not the one that the
            gates were trained on (names both hashes).
    """
    folder = Path(folder)
    missing = [name for name in (CONFIG, WEIGHTS) if not (folder / name).is_file()]
    if missing:
        raise EncoderError(
            f"no fused encoder in folder {folder.name}: {' and '.join(missing)} missing; train the synthesizer"
        )
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    pair = load_pair(t1, t2)
    for route, version in pair.versions.items():
        if version != config["encoders"][route]:
            raise EncoderError(
                f"the gates in folder {folder.name} were trained on {route} encoder {config['encoders'][route]}, "
                f"this is {version}: give that encoder, or train the synthesizer again"
            )
    fused = FusedEncoder(
        pair.t1.backbone,
        pair.t2.backbone,
        config["variant"],
        hidden=config["hidden"] or 1,
        image_px=pair.t1.image_px,
    )
    try:
        fused.load_state_dict(load_file(folder / WEIGHTS))
    except RuntimeError as error:
        raise EncoderError(
            f"the weights in folder {folder.name} do not fit its {CONFIG}: train the synthesizer again"
        ) from error
    if torch.cuda.is_available():
        fused.cuda()
    version = version_of(folder, WEIGHTS)
    return OpenFused(fused, version, config["trained"], pair.versions, pair.settings)
