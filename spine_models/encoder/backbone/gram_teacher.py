"""The Gram teacher: an earlier encoder of the same route that says which patches are alike.

Belongs here: its frozen backbone, its tokens on the student's grid, when it is replaced by the EMA teacher, which
slices hold what its crops show. Does not belong here: the loss (gram_loss), cutting its crops (augment).
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import polars as pl
import torch
from torch import Tensor
from torch.nn import functional

from spine_models.config import BackboneSettings, GramSettings
from spine_models.encoder.backbone.augment import source_px_needed
from spine_models.encoder.backbone.encoder import EncoderError, open_backbone
from spine_models.encoder.backbone.vit import Backbone


def refresh_due(gram: GramSettings, step: int) -> bool:
    """Whether the Gram teacher is replaced when ``step`` steps are done.

    At ``first_refresh`` and every ``refresh_every`` steps on, at most ``max_refreshes`` times (DINOv3, section 4).
    """
    since = step - gram.first_refresh
    return since >= 0 and since % gram.refresh_every == 0 and since // gram.refresh_every < gram.max_refreshes


def refreshes_done(gram: GramSettings, step: int) -> int:
    """How often the Gram teacher has been replaced when ``step`` steps are done."""
    return min(max((step - gram.first_refresh) // gram.refresh_every + 1, 0), gram.max_refreshes)


def stage_settings(settings: BackboneSettings, gram: GramSettings) -> BackboneSettings:
    """Settings of the Gram stage: the backbone's with the numbers that ``gram`` names; the network is the same.

    The teacher's temperature stays where pretraining left it, and the EMA momentum is constant.
    """
    changes: dict[str, Any] = {
        "start": None,
        "image_px": gram.image_px or settings.image_px,
        "global_scale": gram.global_scale or settings.global_scale,
        "steps": gram.steps,
        "warmup_steps": gram.warmup_steps,
        "lr": gram.lr or settings.lr,
        "freeze_last_layer_steps": 0,
        "layer_decay": gram.layer_decay,
        "ema_momentum": gram.ema_momentum,
        "ema_momentum_end": gram.ema_momentum,
        "teacher_temperature": settings.teacher_temperature_end,
    }
    return settings.model_copy(update=changes)


def too_coarse(slices: pl.DataFrame, settings: BackboneSettings, gram: GramSettings) -> frozenset[str]:
    """Keys of the slices whose source had fewer pixels than the Gram teacher's crops need.

    A slice that preprocessing made larger only looks as if it had the resolution. What it truly has is its edge
    divided by ``scale`` (stored pixels per source pixel), along the more coarsely spaced source axis; that must reach
    ``augment.source_px_needed``. What the scanner itself interpolated cannot be told from the table and counts as
    real. A slice whose scale is not known is too coarse.

    Args:
        slices: rows of ``shards.SLICES``; ``slice_key``, ``size_px``, ``scale`` and ``pixel_spacing_mm`` are read.
        settings: of the backbone.
        gram: of the profile.
    """
    needed = source_px_needed(stage_settings(settings, gram), gram.px)
    spacing = pl.col("pixel_spacing_mm").list
    stretch = (spacing.max() / spacing.min()).fill_null(1.0)
    real_px = pl.col("size_px") / (pl.col("scale") * stretch).clip(lower_bound=1.0)
    # Rounding of the scale must not cost a slice that has exactly the pixels.
    enough = (real_px >= needed - 1e-6).fill_null(False)
    return frozenset(slices.filter(~enough)["slice_key"])


class GramTeacher:
    """A frozen backbone that sees global crops at a higher resolution than the student.

    Attributes:
        backbone: in eval mode for ever, without gradient.
        settings: resolution, loss variant and refresh schedule.
    """

    def __init__(self, backbone: Backbone, settings: GramSettings) -> None:
        self.backbone = copy.deepcopy(backbone).freeze()
        self.settings = settings

    @classmethod
    def from_folder(cls, folder: Path, settings: GramSettings, *, route: str) -> GramTeacher:
        """Open the route's chosen encoder (``encoder.save_encoder`` wrote it) as Gram teacher, on the CPU.

        Raises:
            EncoderError: no encoder there, or one of another route.
        """
        backbone, config = open_backbone(folder)
        if config["route"] != route:
            raise EncoderError(
                f"the encoder in folder {Path(folder).name} is of route {config['route']}, not {route}: a route is "
                "anchored to its own encoder"
            )
        return cls(backbone, settings)

    @torch.no_grad()
    def tokens(self, crops: Tensor, grid: tuple[int, int]) -> Tensor:
        """Patch tokens of high-resolution crops on the student's grid, bicubically resized (DINOv3, section 4).

        Tokens are interpolated as they leave the final norm; ``gram_loss`` makes them unit length afterwards.

        Args:
            crops: [N, 1, px, px] float in [0, 1].
            grid: rows and columns of the student's patches.

        Returns:
            [N, rows * columns, D] float32, row-major, without gradient.

        Raises:
            ValueError: crops that are no whole number of patches, or fewer of them than the grid has.
        """
        rows, columns = self.backbone.grid(*crops.shape[-2:])
        if rows < grid[0] or columns < grid[1]:
            raise ValueError(
                f"the Gram teacher's {rows}x{columns} patches are fewer than the student's {grid[0]}x{grid[1]}: "
                "raise gram.px"
            )
        patches = self.backbone(crops).patches.float()
        maps = patches.transpose(1, 2).unflatten(2, (rows, columns))
        if (rows, columns) != tuple(grid):
            maps = functional.interpolate(maps, size=grid, mode="bicubic", align_corners=False)
        return maps.flatten(2).transpose(1, 2)

    @torch.no_grad()
    def refresh(self, source: Backbone) -> None:
        """Take over the weights of the EMA teacher's backbone."""
        self.backbone.load_state_dict(source.state_dict())
