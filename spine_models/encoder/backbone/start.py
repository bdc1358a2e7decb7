"""What pretraining may start from instead of random weights: a DINOv3 checkpoint on disk.

Belongs here: reading one, the recipe that begins with it. Does not belong here: making its weights ours
(start_weights), downloading (nothing is), training.

Three kinds are read, all safetensors: a folder of transformers' ``DINOv3ViTModel``, a folder or file of timm's
``vit_*_patch16_dinov3``, and a folder of one of our own encoders. Weights have their own licence.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from spine_models.config import BackboneSettings
from spine_models.encoder.backbone.encoder import CONFIG, WEIGHTS
from spine_models.encoder.backbone.network import Network
from spine_models.encoder.backbone.recipe import Recipe, single_route
from spine_models.encoder.backbone.start_weights import (
    PATCHES,
    StartError,
    demand_same_shape,
    from_transformers,
    grey_patches,
    without_attention_bias,
)
from spine_models.encoder.backbone.vit import Backbone

MODEL: Final = "model.safetensors"
PREPROCESSOR: Final = "preprocessor_config.json"
IMAGENET: Final = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_PICKLES: Final = {".bin", ".pt", ".pth", ".pkl", ".ckpt"}
_MAY_BE_FRESH: Final = ("mask_token", "local_cls_norm.weight", "local_cls_norm.bias")


@dataclass(frozen=True)
class Start:
    """A checkpoint as weights of our ``Backbone``.

    Attributes:
        weights: float32 by name of the backbone's parameters; those in ``fresh`` are not among them.
        version: sha256 (first 16 hex digits) of its files.
        kind: "transformers", "timm" or "encoder".
        fresh: our parameters that it has nothing for; they begin as they are initialised.
        unused: its tensors that we have no place for.
    """

    weights: dict[str, Tensor]
    version: str
    kind: str
    fresh: tuple[str, ...]
    unused: tuple[str, ...]


def started(settings: BackboneSettings, route: str) -> Recipe:
    """The recipe of one route's ViT that begins with ``settings.start``; student and teacher begin alike.

    Identity and card tell the checkpoint by its content hash, never by its place.

    Raises:
        StartError: see ``read_start``.
    """
    start = read_start(Path(settings.start or ""), settings)
    scratch = single_route(settings.model_copy(update={"start": None}), route)

    def build() -> Network:
        network = scratch.build()
        network.backbone.load_state_dict(start.weights, strict=False)
        return network

    told = {"version": start.version, "kind": start.kind, "fresh": list(start.fresh)}
    identity = {"start": told | {"unused": list(start.unused)}}
    return replace(scratch, build=build, identity=scratch.identity | identity)


def read_start(place: Path, settings: BackboneSettings) -> Start:
    """Read a checkpoint for the network of the settings.

    The patch embedding takes one channel with our normalisation in place of three with the checkpoint's: for a grey
    image it gives what the checkpoint gives for that image in all three channels, up to rounding. Biases of values are
    moved into the projection that follows, which is exact; those of queries and keys must be zero, as DINOv3's are.

    Args:
        place: folder or safetensors file.
        settings: of the backbone.

    Raises:
        StartError: no such place, a pickle, no checkpoint of a known kind, or one of another shape (names both).
    """
    files = _files(place)
    try:
        tensors = {name: tensor.float() for name, tensor in load_file(files[0]).items()}
    except SafetensorError as error:
        raise StartError(f"backbone.start: {files[0].name} is no whole safetensors file") from error
    configs = {path.name: _document(path) for path in files[1:]}
    config = configs.get(CONFIG, {})
    mean, std = IMAGENET
    if files[0].name == WEIGHTS:
        kind, ours = "encoder", dict(tensors)
        own = config.get("settings", {})
        mean, std = (own.get("pixel_mean", 0.0),), (own.get("pixel_std", 1.0),)
        told = {"heads": own.get("heads"), "rope_base": own.get("rope_base")}
        unused: list[str] = []
    elif "embeddings.patch_embeddings.weight" in tensors:
        kind = "transformers"
        ours, unused = from_transformers(tensors)
        said = {"heads": "num_attention_heads", "rope_base": "rope_theta"}
        said |= {"activation": "hidden_act", "norm_epsilon": "layer_norm_eps"}
        told = {name: config.get(theirs) for name, theirs in said.items()}
        prepared = configs.get(PREPROCESSOR, {})
        mean, std = prepared.get("image_mean", mean), prepared.get("image_std", std)
    elif "patch_embed.proj.weight" in tensors:
        kind = "timm"
        ours, unused = {f"vit.{name}": tensor for name, tensor in tensors.items()}, []
        told = {"heads": config.get("model_args", {}).get("num_heads")}
        prepared = config.get("pretrained_cfg", {})
        mean, std = prepared.get("mean", mean), prepared.get("std", std)
    else:
        raise StartError(
            f"backbone.start: {files[0].name} holds no DINOv3 ViT of transformers, timm or ours; it begins with "
            f"{', '.join(sorted(tensors)[:3]) or 'nothing'}"
        )
    if kind != "encoder":
        ours = without_attention_bias(ours)
    ours = {name: tensor for name, tensor in ours.items() if tensor.numel()}
    with torch.device("meta"):
        wanted = {name: tuple(tensor.shape) for name, tensor in Backbone(settings).state_dict().items()}
    demand_same_shape(ours, wanted, told, settings)
    weight, bias = f"{PATCHES}.weight", f"{PATCHES}.bias"
    ours[weight], ours[bias] = grey_patches(
        ours[weight], ours[bias], mean, std, pixel_mean=settings.pixel_mean, pixel_std=settings.pixel_std
    )
    unused += [name.removeprefix("vit.") if kind == "timm" else name for name in ours if name not in wanted]
    weights = {name: tensor.contiguous() for name, tensor in ours.items() if name in wanted}
    if differing := [name for name, tensor in weights.items() if tuple(tensor.shape) != wanted[name]]:
        raise StartError(
            f"backbone.start: {differing[0]} has shape {list(weights[differing[0]].shape)}, the network of the "
            f"profile has {list(wanted[differing[0]])}, as have {len(differing) - 1} others"
        )
    fresh = tuple(sorted(set(wanted) - set(weights)))
    if missing := [name for name in fresh if name not in _MAY_BE_FRESH]:
        raise StartError(f"backbone.start: the checkpoint has nothing for {', '.join(missing[:5])}")
    return Start(weights, _version(files), kind, fresh, tuple(sorted(unused)))


def _files(place: Path) -> list[Path]:
    """The weights, then the documents that belong to them."""
    if place.is_file():
        if place.suffix in _PICKLES:
            raise StartError(
                f"backbone.start: {place.name} is a pickle, which may run code: give safetensors"
            )
        return [place]
    if not place.is_dir():
        raise StartError(f"backbone.start: no folder or file {place.name!r}: give its absolute path")
    weights = [place / name for name in (WEIGHTS, MODEL) if (place / name).is_file()]
    if not weights:
        pickles = sorted(path.name for path in place.iterdir() if path.suffix in _PICKLES)
        found = f"; {pickles[0]} is a pickle, which may run code" if pickles else ""
        raise StartError(f"backbone.start: folder {place.name!r} has no {MODEL} or {WEIGHTS}{found}")
    documents = [place / name for name in (CONFIG, PREPROCESSOR)]
    return [weights[0], *(path for path in documents if path.is_file())]


def _document(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise StartError(f"backbone.start: {path.name} is no JSON") from error


def _version(files: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as stream:
            while chunk := stream.read(1 << 24):
                digest.update(chunk)
    return digest.hexdigest()[:16]
