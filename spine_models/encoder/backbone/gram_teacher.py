"""The Gram teacher: an earlier encoder of the same route that says which patches are alike.

Belongs here: its frozen backbone, its tokens on the student's grid, when it is replaced by the EMA teacher.
Does not belong here: the loss (gram_loss), cutting its crops (augment).
"""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from spine_models.config import GramSettings
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
