"""Devices that a profile may be estimated for.

Belongs here: peak rates and memories, as makers state them. Does not belong here: what a stage needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

GIB: Final = 1024**3
USABLE: Final = 0.92
"""Share of a device's memory that tensors may fill; the rest is the driver's context, NCCL and fragmentation
(an assumption)."""
UTILISATION: Final = 0.35
"""Share of the peak rate that training reaches (an assumption; large ViTs in plain PyTorch lie at 0.3 to 0.5)."""


@dataclass(frozen=True)
class Gpu:
    """One device.

    Attributes:
        name: as ``--gpu`` takes it.
        memory_gib: of the device.
        peak_tflops: dense bfloat16 matrix products with float32 sums, 10^12 FLOP/s, without sparsity.
        source: where both numbers stand.
    """

    name: str
    memory_gib: float
    peak_tflops: float
    source: str

    @property
    def usable_bytes(self) -> float:
        """What tensors may fill."""
        return self.memory_gib * GIB * USABLE


GPUS: Final = {
    gpu.name: gpu
    for gpu in (
        Gpu("a100-80", 80.0, 312.0, "NVIDIA A100 data sheet, SXM4 80 GB"),
        Gpu("h100", 80.0, 989.4, "NVIDIA H100 data sheet, SXM5"),
        Gpu("h200", 131.0, 989.4, "NVIDIA H200 data sheet, SXM; 141 GB are 131 GiB"),
        Gpu("l40s", 48.0, 362.0, "NVIDIA L40S data sheet"),
        Gpu("rtx4090", 24.0, 165.2, "NVIDIA Ada architecture white paper, appendix A"),
    )
}


def gpu_named(name: str) -> Gpu:
    """The device of that name.

    Raises:
        ValueError: an unknown name; lists the known ones.
    """
    if name not in GPUS:
        raise ValueError(f"no device {name!r}: choose one of {', '.join(sorted(GPUS))}")
    return GPUS[name]
