"""The sizes of a profile as text.

Belongs here: columns, units, what is said of assumptions. Does not belong here: numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from spine_models.config import Profile
from spine_models.encoder.sizes.devices import GIB, USABLE, Gpu
from spine_models.encoder.sizes.stages import BYTES_A_PIXEL, StageSize, shard_bytes, stage_sizes

_KINDS: Final = ("weights", "gradients", "optimiser", "teachers", "activations", "losses", "total")


def sizes_table(profile: Profile, gpu: Gpu, *, utilisation: float, studies: int, slices: int) -> str:
    """Stages of a profile on a device, as text that ends in a newline.

    Args:
        profile: its numbers.
        gpu: one of ``devices.GPUS``, for every process.
        utilisation: share of the peak rate that is reached.
        studies: of the corpus.
        slices: of the corpus, for the size of its shards.

    Raises:
        ValueError: a utilisation that is no share, or fewer than two studies.
    """
    if not 0 < utilisation <= 1:
        raise ValueError(
            f"--utilisation is a share of the peak rate, above 0 and at most 1, not {utilisation:g}"
        )
    if studies < 2:
        raise ValueError("--studies must be at least 2: an alignment contrasts studies with each other")
    stages = stage_sizes(profile, studies=studies)
    parts = [
        f"profile {profile.name} on {gpu.name}: {gpu.memory_gib:g} GiB, {gpu.peak_tflops:g} TFLOP/s in bfloat16 "
        f"({gpu.source})",
        _aligned([_WORK, *[_work(stage, gpu, utilisation) for stage in stages]]),
        _aligned([("GiB of a process", *_KINDS, "fits"), *_memory_rows(stages, gpu)]),
        f"shards: {shard_bytes(profile, slices) / 1e9:,.0f} GB for {slices:,} slices of {profile.shards.size_px} px",
        _assumptions(gpu, utilisation, studies),
    ]
    return "\n\n".join(parts) + "\n"


_WORK: Final = (
    "stage", "runs", "processes", "parameters", "trained", "a step", "steps", "TFLOP a step", "s a step", "hours",
    "checkpoint GB", "model GB",
)  # fmt: skip


def _work(stage: StageSize, gpu: Gpu, utilisation: float) -> tuple[str, ...]:
    fits = stage.fits(gpu)
    return (
        stage.name,
        str(stage.runs),
        str(stage.processes),
        f"{stage.parameters:,}",
        f"{stage.trained:,}",
        f"{stage.units_a_step} {stage.unit}",
        f"{stage.steps:,}",
        f"{stage.work / 1e12:.3g}",
        f"{stage.seconds_a_step(gpu, utilisation):.3g}" if fits else "-",
        f"{stage.hours(gpu, utilisation):,.1f}" if fits else "-",
        f"{stage.checkpoint_bytes / 1e9:.2f}",
        f"{stage.model_bytes / 1e9:.2f}",
    )


def _memory_rows(stages: Sequence[StageSize], gpu: Gpu) -> list[tuple[str, ...]]:
    rows = []
    for stage in stages:
        for mode, needed in stage.memory.items():
            if mode.sharded and stage.processes == 1:
                continue
            fits = ("yes" if stage.fits(gpu, mode) else "no") + (", set" if mode == stage.mode else "")
            rows.append((f"{stage.name}, {mode.name}", *(f"{part / GIB:.2f}" for part in needed), fits))
    return rows


def _assumptions(gpu: Gpu, utilisation: float, studies: int) -> str:
    return "\n".join(
        [
            "parameters: of all networks of a process, counted; trained: of the student.",
            "TFLOP, s: of one process as the profile sets it; hours: of all runs, one after the other; none where",
            f"  that does not fit. {utilisation:.0%} of the peak rate is assumed, with float32 in clip as well.",
            f"memory: float32 weights and moments, bfloat16 products; {USABLE:.0%} of the device may be filled.",
            "  Activations and losses are what autograd saves when backward begins; FSDP2 holds two units whole.",
            f"clip: {studies:,} studies in all; a text model that is not on disk is taken to be a BERT base.",
            f"shards: {BYTES_A_PIXEL} bytes a pixel, measured on phantom slices.",
        ]
    )


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    """The first column to the left, the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
