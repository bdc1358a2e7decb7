"""The process group of a run, and the device of this process.

Belongs here: joining the group that torchrun prepared. Does not belong here: starting processes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist


@contextmanager
def process_group() -> Iterator[torch.device]:
    """Join torchrun's process group where there is one, and leave it at the end; yields this process's device.

    NCCL and one GPU per local rank where there are GPUs, else gloo on the CPU. Without torchrun, or inside a group
    that the caller has joined, nothing is joined.
    """
    joins = dist.is_available() and not dist.is_initialized() and dist.is_torchelastic_launched()
    device = torch.device("cpu")
    if torch.cuda.is_available():
        device = torch.device("cuda", dist.get_node_local_rank(fallback_rank=0))
        torch.cuda.set_device(device)
    if joins:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield device
    finally:
        if joins:
            dist.destroy_process_group()
