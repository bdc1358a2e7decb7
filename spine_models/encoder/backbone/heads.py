"""The projection heads of a pretraining, published beside its encoder so that the stage after it can go on with them.

Belongs here: the file of heads, of student and teacher. Does not belong here: the heads themselves (head).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from safetensors.torch import load_file
from torch import nn

from spine_models.encoder.backbone.tensor_files import write_tensors

HEADS: Final = "heads.safetensors"
NAMES: Final = ("dino_head", "ibot_head")


def save_heads(folder: Path, student: nn.Module, teacher: nn.Module) -> None:
    """Write both heads of both networks; every rank calls this.

    Args:
        folder: of the encoder; it is there.
        student: a ``Network``.
        teacher: a ``Network``.
    """
    tensors = {
        f"{who}.{head}.{name}": tensor
        for who, network in (("student", student), ("teacher", teacher))
        for head in NAMES
        for name, tensor in getattr(network, head).state_dict().items()
    }
    write_tensors(tensors, folder / HEADS)


def load_heads(folder: Path, student: nn.Module, teacher: nn.Module) -> bool:
    """Fill the heads of both networks, not dealt yet, from a folder; False where it holds none.

    Raises:
        RuntimeError: the heads are of other sizes.
    """
    if not (folder / HEADS).is_file():
        return False
    tensors = load_file(folder / HEADS)
    for who, network in (("student", student), ("teacher", teacher)):
        for head in NAMES:
            prefix = f"{who}.{head}."
            own = {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
            getattr(network, head).load_state_dict(own)
    return True
