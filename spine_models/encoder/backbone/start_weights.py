"""Weights of other DINOv3 ViTs made those of our backbone.

Belongs here: names, the patch embedding of grey images, attention's biases, whether shapes agree. Does not belong here:
files, what a run does with the weights (start).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import torch
from torch import Tensor

from spine_models.config import BackboneSettings

PATCHES: Final = "vit.patch_embed.proj"
NORM_EPSILON: Final = 1e-5
_TRANSFORMERS: Final = {
    "embeddings.cls_token": "vit.cls_token",
    "embeddings.mask_token": "mask_token",
    "embeddings.register_tokens": "vit.reg_token",
    "embeddings.patch_embeddings.weight": f"{PATCHES}.weight",
    "embeddings.patch_embeddings.bias": f"{PATCHES}.bias",
    "norm.weight": "vit.norm.weight",
    "norm.bias": "vit.norm.bias",
}
_TRANSFORMERS_LAYER: Final = re.compile(r"(?:model\.)?layer\.(\d+)\.(.+)")
_TRANSFORMERS_PARTS: Final = {
    "attention.o_proj": "attn.proj",
    "layer_scale1.lambda1": "gamma_1",
    "layer_scale2.lambda1": "gamma_2",
    "mlp.gate_proj": "mlp.fc1_g",
    "mlp.down_proj": "mlp.fc2",
}


class StartError(ValueError):
    """A checkpoint that cannot be read, or that another network than the settings' was trained with."""


def grey_patches(
    weight: Tensor,
    bias: Tensor,
    mean: Sequence[float],
    std: Sequence[float],
    *,
    pixel_mean: float,
    pixel_std: float,
) -> tuple[Tensor, Tensor]:
    """A patch embedding for one channel x that gives what another gives for x in each of its channels.

    sum over c of W_c * (x - m_c) / s_c + b = W' * (x - pixel_mean) / pixel_std + b', with
    W' = pixel_std * sum over c of W_c / s_c, and b' = b + sum over c and pixels of W_c (pixel_mean - m_c) / s_c.
    Exact, since patches are not padded.

    Args:
        weight: [D, C, p, p] of normalised channels.
        bias: [D].
        mean: C numbers that are taken from the channels.
        std: C numbers that those are divided by.
        pixel_mean: ours.
        pixel_std: ours.

    Returns:
        Weight [D, 1, p, p] and bias [D], float32.

    Raises:
        StartError: not as many numbers as channels.
    """
    if not weight.shape[1] == len(mean) == len(std):
        raise StartError(
            f"backbone.start: a patch embedding of {weight.shape[1]} channels with {len(mean)} means and {len(std)} "
            "deviations"
        )
    means, stds = (torch.tensor(numbers, dtype=torch.float64).view(1, -1, 1, 1) for numbers in (mean, std))
    scaled = weight.double() / stds
    grey = pixel_std * scaled.sum(dim=1, keepdim=True)
    moved = bias.double() + (scaled * (pixel_mean - means)).sum(dim=(1, 2, 3))
    return grey.float(), moved.float()


def from_transformers(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """Tensors by our names, queries, keys and values joined; and the names that mean nothing to us."""
    ours: dict[str, Tensor] = {}
    unused: list[str] = []
    apart: dict[str, dict[str, Tensor]] = {}
    gated = any(".mlp.gate_proj." in name for name in tensors)
    for name, tensor in tensors.items():
        match = _TRANSFORMERS_LAYER.fullmatch(name)
        if name in _TRANSFORMERS:
            ours[_TRANSFORMERS[name]] = tensor.flatten() if name.endswith("mask_token") else tensor
        elif match is None:
            unused.append(name)
        else:
            block, rest = f"vit.blocks.{match.group(1)}.", match.group(2)
            if part := re.fullmatch(r"attention\.([qkv])_proj\.(weight|bias)", rest):
                if part.group(2) == "weight":
                    apart.setdefault(block, {})[part.group(1)] = tensor
                else:
                    ours[f"{block}attn.{part.group(1)}_bias"] = tensor
                continue
            for theirs, own in (
                _TRANSFORMERS_PARTS | {"mlp.up_proj": "mlp.fc1_x" if gated else "mlp.fc1"}
            ).items():
                rest = rest.replace(theirs, own)
            ours[block + rest] = tensor
    for block, parts in apart.items():
        if sorted(parts) == ["k", "q", "v"]:
            ours[f"{block}attn.qkv.weight"] = torch.cat([parts["q"], parts["k"], parts["v"]])
    return ours, unused


def without_attention_bias(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Biases of queries and keys dropped, those of values moved behind attention, whose weights sum to 1."""
    kept = dict(tensors)
    for name in [name for name in tensors if re.search(r"\.attn\.[qkv]_bias$", name)]:
        bias, kind = kept.pop(name), name[-6]
        if not bias.any():
            continue
        if kind != "v":
            raise StartError(
                f"backbone.start: {name.removeprefix('vit.')} is not zero, and this network has no bias of queries "
                "or keys"
            )
        proj = name.removesuffix("v_bias") + "proj"
        moved = kept[f"{proj}.bias"].double() + kept[f"{proj}.weight"].double() @ bias.double()
        kept[f"{proj}.bias"] = moved.float()
    return kept


def _described(shapes: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    """What the shapes of a backbone say, by the names of the settings."""
    blocks = {int(m.group(1)) for name in shapes if (m := re.match(r"vit\.blocks\.(\d+)\.", name))}
    gated = any(".mlp.fc1_g." in name for name in shapes)
    inner = shapes.get("vit.blocks.0.mlp.fc2.weight", (0, 0))[-1]
    return {
        "dim": shapes[f"{PATCHES}.weight"][0],
        "patch_px": shapes[f"{PATCHES}.weight"][-1],
        "depth": len(blocks),
        "registers": shapes["vit.reg_token"][1] if "vit.reg_token" in shapes else 0,
        "mlp": f"{'swiglu' if gated else 'gelu'} of width {inner}",
    }


def demand_same_shape(
    ours: Mapping[str, Tensor],
    wanted: Mapping[str, Sequence[int]],
    told: Mapping[str, Any],
    settings: BackboneSettings,
) -> None:
    """Compare in the words of the settings, before any single tensor."""
    if f"{PATCHES}.bias" not in ours:
        raise StartError(f"backbone.start: the checkpoint has nothing for {PATCHES}.bias")
    found = _described({name: tuple(tensor.shape) for name, tensor in ours.items()})
    expected = _described(wanted)
    # None of these can be seen in a tensor; a timm file alone tells none.
    unseen = {
        "heads": settings.heads,
        "rope_base": settings.rope_base,
        "activation": "silu" if settings.mlp == "swiglu" else "gelu",
        "norm_epsilon": NORM_EPSILON,
    }
    for name, own in unseen.items():
        if told.get(name) is not None:
            found[name], expected[name] = told[name], own
    differing = [name for name in found if found[name] != expected[name]]
    if differing:
        theirs = ", ".join(f"{name} {found[name]}" for name in differing)
        mine = ", ".join(f"{name} {expected[name]}" for name in differing)
        raise StartError(
            f"backbone.start: the checkpoint has {theirs}, the profile's backbone {mine}: set the backbone to the "
            "checkpoint's shape"
        )
