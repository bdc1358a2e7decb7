"""The process group of a run, and the device of this process.

Belongs here: joining the group that torchrun prepared. Does not belong here: starting processes.
"""

from __future__ import annotations

import atexit

import torch
import torch.distributed as dist


def join_process_group() -> torch.device:
    """Join torchrun's process group where there is one; returns this process's device.

    NCCL and one GPU per local rank where there are GPUs, else gloo on the CPU. Without torchrun, or inside a group
    that the caller has joined, nothing is joined. A group is left when the process ends and not earlier: torchrun's
    store cannot be used to form the same group again, and a second training in this process would wait for ever.
    """
    device = torch.device("cpu")
    if torch.cuda.is_available():
        device = torch.device("cuda", dist.get_node_local_rank(fallback_rank=0))
        torch.cuda.set_device(device)
    if dist.is_available() and not dist.is_initialized() and dist.is_torchelastic_launched():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        atexit.register(_leave)
    return device


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()
