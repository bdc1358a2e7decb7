"""One step of DINO, iBOT and KoLeo by the book, as a yardstick: float32, plain autograd, one module after the other.

Written from the papers (DINOv2, DINOv3, RoFormer) for the settings that are compared; crops of a size go through the
network together, the patch head sees masked patches alone, stochastic depth computes no dropped residual.

Belongs here: nothing that anything but a benchmark runs. Does not belong here: options that no benchmark needs.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from spine_models.config import BackboneSettings
from spine_models.encoder.backbone.augment import Crops
from spine_models.encoder.backbone.masking import batch_masks

TEMPERATURE, TEACHER_TEMPERATURE = 0.1, 0.05


class _Attention(nn.Module):
    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(dim, 3 * dim, bias=False), nn.Linear(dim, dim)

    def forward(self, x: Tensor, sin: Tensor, cos: Tensor) -> Tensor:
        n, tokens, dim = x.shape
        q, k, v = self.qkv(x).view(n, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        q, k = _turned(q, sin, cos), _turned(k, sin, cos)
        out = functional.scaled_dot_product_attention(q, k, v)
        return self.proj(out.transpose(1, 2).reshape(n, tokens, dim))


def _turned(x: Tensor, sin: Tensor, cos: Tensor) -> Tensor:
    prefix = x.shape[2] - len(sin)
    head, rest = x[:, :, :prefix], x[:, :, prefix:]
    first, second = rest.chunk(2, dim=-1)
    return torch.cat([head, rest * cos + torch.cat([-second, first], dim=-1) * sin], dim=2)


class _SwiGlu(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        hidden = -(-int(dim * 8 / 3) // 64) * 64
        self.gate, self.value, self.out = (
            nn.Linear(dim, hidden),
            nn.Linear(dim, hidden),
            nn.Linear(hidden, dim),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.out(functional.silu(self.gate(x)) * self.value(x))


class _Block(nn.Module):
    def __init__(self, settings: BackboneSettings) -> None:
        super().__init__()
        dim = settings.dim
        self.rate = settings.drop_path
        self.norms = nn.ModuleList([nn.LayerNorm(dim), nn.LayerNorm(dim)])
        self.attention, self.feed_forward = _Attention(dim, settings.heads), _SwiGlu(dim)
        self.scales = nn.ParameterList([torch.full((dim,), settings.layer_scale) for _ in range(2)])

    def forward(self, x: Tensor, sin: Tensor, cos: Tensor) -> Tensor:
        x = self._add(x, 0, lambda y: self.attention(y, sin, cos))
        return self._add(x, 1, self.feed_forward)

    def _add(self, x: Tensor, which: int, residual: Callable[[Tensor], Tensor]) -> Tensor:
        if not (self.training and self.rate):
            return x + self.scales[which] * residual(self.norms[which](x))
        kept = torch.randperm(len(x))[: max(1, int(len(x) * (1 - self.rate)))]
        out = self.scales[which] * residual(self.norms[which](x[kept]))
        return torch.index_add(x, 0, kept, out, alpha=len(x) / len(kept))


class _Vit(nn.Module):
    def __init__(self, settings: BackboneSettings) -> None:
        super().__init__()
        dim, patch = settings.dim, settings.patch_px
        self.settings = settings
        self.embed = nn.Conv2d(1, dim, patch, patch)
        self.prefix = nn.Parameter(0.02 * torch.randn(1, 1 + settings.registers, dim))
        self.mask_token = nn.Parameter(torch.zeros(dim))
        self.blocks = nn.ModuleList(_Block(settings) for _ in range(settings.depth))
        self.norm, self.local_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)

    def _rope(self, rows: int, columns: int) -> tuple[Tensor, Tensor]:
        pairs = self.settings.dim // self.settings.heads // 4
        axes = [(torch.arange(n) + 0.5) / n * 2 - 1 for n in (rows, columns)]
        places = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).flatten(0, 1)
        if self.training and self.settings.rope_rescale:
            largest = math.log(self.settings.rope_rescale)
            places = places * torch.empty(1).uniform_(-largest, largest).exp()
        periods = self.settings.rope_base ** (torch.arange(pairs) / pairs)
        angles = (2 * math.pi * places[:, :, None] / periods).flatten(1).tile(2)
        return angles.sin(), angles.cos()

    def forward(
        self, images: Tensor, masks: Tensor | None = None, *, local: bool = False
    ) -> tuple[Tensor, Tensor]:
        x = self.embed((images - self.settings.pixel_mean) / self.settings.pixel_std)
        rows, columns = x.shape[-2:]
        x = x.flatten(2).transpose(1, 2)
        if masks is not None:
            x = torch.where(masks[..., None], self.mask_token, x)
        x = torch.cat([self.prefix.expand(len(x), -1, -1), x], dim=1)
        for block in self.blocks:
            x = block(x, *self._rope(rows, columns))
        norm = self.local_norm if local else self.norm
        return norm(x[:, 0]), self.norm(x[:, self.prefix.shape[1] :])


class _Head(nn.Module):
    def __init__(self, settings: BackboneSettings) -> None:
        super().__init__()
        hidden = settings.head_hidden
        layers = [nn.Linear(settings.dim, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU()]
        self.mlp = nn.Sequential(*layers, nn.Linear(hidden, settings.head_bottleneck))
        self.prototypes = nn.Linear(settings.head_bottleneck, settings.prototypes, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.prototypes(functional.normalize(self.mlp(x), dim=-1))


@torch.no_grad()
def _assigned(logits: Tensor) -> Tensor:
    q = (logits / TEACHER_TEMPERATURE).exp()
    for _ in range(3):
        q = q / q.sum(dim=0, keepdim=True)
        q = q / q.sum(dim=1, keepdim=True)
    return q


def _koleo(x: Tensor) -> Tensor:
    x = functional.normalize(x, dim=-1)
    with torch.no_grad():
        nearest = (x @ x.T).fill_diagonal_(-2).argmax(dim=1)
    return -(functional.pairwise_distance(x, x[nearest], eps=1e-8) + 1e-8).log().mean()


def plain_step(settings: BackboneSettings) -> Callable[[Crops], float]:
    """A callable that takes one step on two global crops and their local ones; returns the loss."""
    torch.manual_seed(0)
    parts = {"backbone": _Vit(settings), "dino": _Head(settings), "ibot": _Head(settings)}
    student = nn.ModuleDict(parts).train()
    teacher = copy.deepcopy(student).eval().requires_grad_(False)
    adamw = torch.optim.AdamW(student.parameters(), lr=1e-4, weight_decay=0.04, foreach=True)
    generator = np.random.default_rng(0)

    def step(crops: Crops) -> float:
        images, small = crops.global_crops.flatten(0, 1), crops.local_crops.flatten(0, 1)
        grid = (images.shape[-2] // settings.patch_px, images.shape[-1] // settings.patch_px)
        masks = batch_masks(len(images), grid, probability=0.5, ratio=(0.1, 0.5), generator=generator)
        with torch.no_grad():
            cls, patches = teacher["backbone"](images)
            wanted = _assigned(teacher["dino"](cls)).unflatten(0, (2, -1))
            wanted_patches = _assigned(teacher["ibot"](patches[masks]))
        cls, patches = student["backbone"](images, masks)
        local_cls, _ = student["backbone"](small, local=True)
        views = torch.cat([student["dino"](cls), student["dino"](local_cls)]).unflatten(
            0, (-1, len(cls) // 2)
        )
        logs = (views / TEMPERATURE).log_softmax(dim=-1)
        pairs = [(s, t) for t in range(2) for s in range(len(logs)) if s != t]
        dino = -sum((wanted[t] * logs[s]).sum(dim=-1).mean() for s, t in pairs) / len(pairs)
        patch_logs = (student["ibot"](patches[masks]) / TEMPERATURE).log_softmax(dim=-1)
        weights = (1 / masks.sum(dim=1, keepdim=True).clamp(min=1)).expand(masks.shape)[masks]
        ibot = -((wanted_patches * patch_logs).sum(dim=-1) * weights).sum() / len(masks)
        loss = dino + ibot + 0.1 * sum(_koleo(own) for own in cls.chunk(2))
        adamw.zero_grad()
        loss.backward()
        for part in student.values():
            nn.utils.clip_grad_norm_(part.parameters(), settings.clip_grad)
        adamw.step()
        with torch.no_grad():
            targets = list(teacher.parameters())
            torch._foreach_mul_(targets, 0.994)
            torch._foreach_add_(targets, list(student.parameters()), alpha=0.006)
        return float(loss.detach())

    return step
