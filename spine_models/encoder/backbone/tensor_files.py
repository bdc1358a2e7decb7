"""Tensors of a run as safetensors files, one tensor in memory at a time, dealt over processes or not.

Belongs here: writing and reading the bytes. Does not belong here: which tensors make a checkpoint (checkpoint), when a
folder of files counts (whole).
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch
from safetensors import safe_open
from torch import Tensor, nn

from spine_models.encoder.backbone.distributed import full, is_dealt, rank
from spine_models.encoder.backbone.sharding import put

_NAMES: Final = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
_ALIGNMENT: Final = 8


def write_tensors(tensors: Mapping[str, Tensor], file: Path) -> None:
    """Write tensors as they are in full, in the safetensors format; rank 0 writes.

    Every rank calls this where tensors are dealt over ranks: they are gathered one after the other, so that no process
    ever holds more than one of them in full beside what it trains. Tensors that every rank has are not gathered, and
    a call on rank 0 alone is enough.

    Args:
        tensors: by name; the same names in the same order on every rank.
        file: to write.
    """
    if rank() != 0:
        for tensor in tensors.values():
            if is_dealt(tensor):
                full(tensor)
        return
    header, end = {}, 0
    for name, tensor in tensors.items():
        start, end = end, end + tensor.numel() * tensor.element_size()
        header[name] = {
            "dtype": _NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    with file.open("wb") as stream:
        stream.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors.values():
            flat = full(tensor).detach().reshape(-1).contiguous().cpu()
            stream.write(memoryview(flat.view(torch.uint8).numpy()))


def load_network(module: nn.Module, file: Path) -> None:
    """Fill a network's parameters and buffers in place; each rank takes its own part of those that are dealt.

    Raises:
        RuntimeError: the file holds other names or shapes.
    """
    own = module.state_dict()
    with safe_open(file, framework="pt") as stored:
        if differing := sorted(set(stored.keys()) ^ set(own)):
            raise RuntimeError(f"{file.name} is of another network: {', '.join(differing[:8])}")
        for name, target in own.items():
            put(target, stored.get_tensor(name))
