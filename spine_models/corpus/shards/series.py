"""One series: from its files to ordered, preprocessed slices with their index rows.

Belongs here: the two passes over a series (window, then slices), the order of slices, frames that fail.
Does not belong here: which series are worth it, splits and tars (``write``). Worker processes
run ``shard_series``.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, NamedTuple

from spine_models.config import ShardSettings
from spine_models.corpus.geometry import FrameGeometry, frame_geometry, order_along_normal, slice_normal
from spine_models.corpus.shards.codec import encode
from spine_models.corpus.shards.mosaic import Sheet, cut_tiles, tile_places
from spine_models.corpus.shards.pixels import Frame, Histogram, PixelsError, open_header, read_frames
from spine_models.corpus.shards.place import output_grid
from spine_models.corpus.shards.preprocess import (
    Quantum,
    preprocess,
    preprocessing_version,
    series_quantum,
    series_window,
)
from spine_models.corpus.shards.quality import (
    SliceScores,
    is_empty,
    score_frame,
    scored_indices,
    series_quality,
)

_HOLD_BYTES: Final = 256 * 1024**2
"""A series whose decoded frames fit in this is decoded once; a larger one twice, in bounded memory."""

_MIN_EDGE_PX: Final = 16

_SAME_DIRECTION: Final = 0.9994
"""Cosine of two degrees: normals closer than this are one stack."""


class SkipReason(StrEnum):
    """Why instances of a series are in no shard."""

    LOCALIZER = "localizer"
    DERIVED = "derived"
    MOSAIC = "mosaic"
    UNCLASSIFIED = "unclassified"
    REGION_OTHER = "region_other"
    REGION_UNKNOWN = "region_unknown"
    CONSTANT = "constant"
    TOO_SMALL = "too_small"
    MISSING_FILE = "missing_file"
    UNREADABLE = "unreadable"
    NO_PIXELS = "no_pixels"
    NOT_GREYSCALE = "not_greyscale"
    UNDECODABLE = "undecodable"


class Source(NamedTuple):
    """One file; ``sheet`` is null but for a mosaic."""

    instance_key: str
    number: int | None
    path: str
    sheet: Sheet | None = None

    def places(self) -> list[FrameGeometry]:
        """Where every frame lies, as far as the header says; of a mosaic, every tile. Raises ``PixelsError``."""
        ds = open_header(Path(self.path))
        return frame_geometry(ds) if self.sheet is None else tile_places(ds, self.sheet)

    def frames(self) -> Iterator[Frame]:
        """All frames in file order, of a mosaic its tiles. Raises ``PixelsError``."""
        for frame in read_frames(Path(self.path)):
            if self.sheet is None:
                yield frame
            else:
                yield from cut_tiles(frame, self.sheet.tiles or 0)


@dataclass(frozen=True)
class SeriesTask:
    """What a worker needs to know of a series."""

    batch_key: str
    patient_key: str
    study_key: str
    series_key: str
    contrast: str | None
    route: str
    plane: str
    region: str
    split: str
    instances: tuple[Source, ...]

    def identity(self) -> dict[str, Any]:
        """The columns that every slice of the series shares."""
        names = (
            "batch_key",
            "patient_key",
            "study_key",
            "series_key",
            "contrast",
            "route",
            "plane",
            "region",
        )
        return {name: getattr(self, name) for name in names} | {"split": self.split}


@dataclass(frozen=True)
class SeriesSlices:
    """``slices`` are (index row without shard, member bytes) in order; the others are rows of their tables."""

    route: str
    split: str
    slices: list[tuple[dict[str, Any], bytes]]
    skipped: list[dict[str, Any]]
    quality: list[dict[str, Any]]


@dataclass(frozen=True)
class _Slot:
    """One readable frame: which file, which frame of it, where in space."""

    source: Source
    frame: int
    geometry: FrameGeometry

    @property
    def key(self) -> tuple[str, int]:
        return self.source.instance_key, self.frame


def shard_series(task: SeriesTask, *, settings: ShardSettings) -> SeriesSlices:
    """Decode, window and preprocess one series. Raises nothing for bad pixels: they are counted by reason."""
    reasons: Counter[str] = Counter()
    slots, held, histogram = _first_pass(task, reasons)
    window = series_window(histogram.parts(), settings)
    slices: list[tuple[dict[str, Any], bytes]] = []
    scores: list[SliceScores] = []
    empty = 0
    if window is None:
        reasons[SkipReason.CONSTANT.value] += len({slot.source.instance_key for slot in slots})
        empty = len(slots)
    else:
        quantum = series_quantum(histogram.parts(), histogram.source_step())
        position = {slot.key: index for index, slot in enumerate(_ordered(slots))}
        shared = task.identity() | {"preprocessing_version": preprocessing_version(settings)}
        wanted = scored_indices(len(slots))
        for slot, frame in _second_pass(slots, held):
            if position[slot.key] in wanted:
                scores.append(score_frame(frame))
            empty += is_empty(frame, window)
            row, image = _slice(slot, frame, window, quantum, settings)
            row["slice_index"] = position[slot.key]
            slices.append((shared | row, image))
        slices.sort(key=lambda item: item[0]["slice_index"])
    names = ("batch_key", "patient_key", "study_key", "series_key")
    who = {name: getattr(task, name) for name in names}
    skipped = [who | {"reason": reason, "n": n} for reason, n in sorted(reasons.items()) if n]
    quality = []
    if slots:
        measured = series_quality(
            [slot.geometry for slot in slots],
            scores,
            [row["clipped_fraction"] for row, _ in slices],
            empty=empty,
            stored_span=histogram.stored_span(),
        )
        quality.append(task.identity() | measured)
    return SeriesSlices(task.route, task.split, slices, skipped, quality)


def _first_pass(
    task: SeriesTask, reasons: Counter[str]
) -> tuple[list[_Slot], dict[tuple[str, int], Frame] | None, Histogram]:
    """Every usable frame's place, the series' histogram, and the frames themselves while they fit."""
    slots: list[_Slot] = []
    held: dict[tuple[str, int], Frame] | None = {}
    held_bytes = 0
    histogram = Histogram()
    for source in task.instances:
        try:
            geometries = source.places()
            frames = []
            counted = Histogram()
            for index, frame in enumerate(source.frames()):
                if min(frame.stored.shape) < _MIN_EDGE_PX:
                    raise PixelsError(SkipReason.TOO_SMALL.value)
                counted.add(frame)
                frames.append((index, frame if held is not None else None))
                held_bytes += frame.stored.nbytes
                if held_bytes > _HOLD_BYTES:
                    held = None
                    frames = [(i, None) for i, _ in frames]
        except PixelsError as error:
            reasons[error.reason] += 1
            continue
        histogram.merge(counted)
        for index, frame in frames:
            geometry = geometries[min(index, len(geometries) - 1)]
            slots.append(_Slot(source, index, geometry))
            if held is not None and frame is not None:
                held[slots[-1].key] = frame
    return slots, held, histogram


def _second_pass(
    slots: list[_Slot], held: dict[tuple[str, int], Frame] | None
) -> Iterator[tuple[_Slot, Frame]]:
    if held is not None:
        yield from ((slot, held[slot.key]) for slot in slots)
        return
    by_file: dict[Source, dict[int, _Slot]] = {}
    for slot in slots:
        by_file.setdefault(slot.source, {})[slot.frame] = slot
    for source, wanted in by_file.items():
        for index, frame in enumerate(source.frames()):
            yield wanted[index], frame


def _slice(
    slot: _Slot, frame: Frame, window: tuple[float, float], quantum: Quantum, settings: ShardSettings
) -> tuple[dict[str, Any], bytes]:
    low, high = (window[1], window[0]) if frame.inverted else window
    spacing = slot.geometry.pixel_spacing_mm
    result = preprocess(
        frame.intensities(),
        (low, high),
        settings.size_px,
        quantum=quantum,
        spacing_mm=None if spacing is None else (spacing[0], spacing[1]),
    )
    rows, columns = frame.stored.shape
    row = {
        "instance_key": slot.source.instance_key,
        "frame": slot.frame,
        "slice_key": f"{slot.source.instance_key}-{slot.frame:04d}",
        "pixel_hash": hashlib.sha256(result.array.astype("<u2").tobytes()).hexdigest(),
        "stored_hash": hashlib.sha256(result.stored.astype("<u2").tobytes()).hexdigest(),
        "intensity_origin": quantum.origin,
        "intensity_step": quantum.step,
        "window_low": low,
        "window_high": high,
        "clipped_fraction": result.clipped_fraction,
        "source_rows": rows,
        "source_columns": columns,
        "scale": result.scale,
        "pad_top_px": result.pad_top_px,
        "pad_left_px": result.pad_left_px,
        "size_px": settings.size_px,
        "iop": _floats(slot.geometry.iop),
        "ipp_mm": _floats(slot.geometry.ipp_mm),
        "pixel_spacing_mm": _floats(spacing),
        "slice_thickness_mm": slot.geometry.slice_thickness_mm,
    }
    row["output_spacing_mm"], row["output_ipp_mm"] = output_grid(row)
    return row, encode(result.stored, quantum, (low, high))


def _floats(values: Any) -> list[float] | None:
    return None if values is None else [float(value) for value in values]


def _ordered(slots: list[_Slot]) -> list[_Slot]:
    """Slices by orientation, then along the normal; acquisition order breaks ties or replaces geometry."""
    acquired = sorted(slots, key=lambda slot: (slot.source.number or 0, *slot.key))
    stacks: list[tuple[tuple[float, ...] | None, list[_Slot]]] = []
    for slot in acquired:
        normal = slice_normal(slot.geometry.iop) if slot.geometry.ipp_mm is not None else None
        stack = next((members for other, members in stacks if _same_direction(normal, other)), None)
        if stack is None:
            stacks.append((normal, [slot]))
        else:
            stack.append(slot)
    ordered: list[_Slot] = []
    for _, stack in stacks:
        places = [slot.geometry.ipp_mm for slot in stack]
        ordered.extend(stack[i] for i in order_along_normal([stack[0].geometry.iop] * len(stack), places))
    return ordered


def _same_direction(one: tuple[float, ...] | None, other: tuple[float, ...] | None) -> bool:
    if one is None or other is None:
        return one is other
    return sum(a * b for a, b in zip(one, other, strict=True)) > _SAME_DIRECTION
