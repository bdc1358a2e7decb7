"""What a run trains on and is probed with, and the proof of it.

Belongs here: which tars and slices a run may use, what is left out because it cannot be read, the list of slices that
an encoder leaves beside itself. Does not belong here: the order they come in (data), choosing probe slices (probe).
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from spine_models.config import BackboneSettings
from spine_models.corpus.shards import ShardError, readable_shards, shard_name
from spine_models.encoder.backbone.data import SKIP_REMEDY, OpenReader, Spoilt
from spine_models.encoder.backbone.probe import Probe, TooFewToProbe, split_tars
from spine_models.encoder.backbone.tables import SEEN

LOG: Final = logging.getLogger(__name__)
SEEN_FILE: Final = "seen.parquet"


@dataclass(frozen=True)
class Material:
    """What a run trains on and is probed with.

    Attributes:
        tars: of training, that can be opened.
        probe: of the run.
        n_train: slices, without those held out for the probe.
        digest: sha256 over the keys of all slices.
        seen: SEEN rows of every slice that the stream may draw and of every probe slice.
        left_out: shards that could not be opened, each with what was wrong with it.
    """

    tars: list[Path]
    probe: Probe
    n_train: int
    digest: str
    seen: pl.DataFrame
    left_out: Spoilt

    @classmethod
    def gathered(
        cls,
        tars: Sequence[Path],
        settings: BackboneSettings,
        *,
        open_reader: OpenReader,
        gram_px: int | None = None,
    ) -> Material | None:
        """Of a route's shards; None with fewer than ``min_train_slices`` slices beside those held out.

        Raises:
            ShardError: a shard cannot be read, and the settings want training to stop then.
            SlicesTooSmall: with ``gram_px``, see ``augment.MultiCrop``.
        """
        tars, left_out = sound_tars(tars, settings)
        train, val = split_tars(tars)
        train_keys, val_keys = (_slice_keys(part, open_reader) for part in (train, val))
        if len(train_keys) < settings.min_train_slices:
            return None
        try:
            probe = Probe(tars, settings, open_reader=open_reader, gram_px=gram_px)
        except TooFewToProbe:
            return None
        drawn = [key for key in train_keys if key not in probe.excluded]
        if len(drawn) < max(settings.min_train_slices, 1):
            return None
        text = "\n".join([*train_keys, "", *val_keys])
        digest = hashlib.sha256(text.encode()).hexdigest()
        seen = _seen(drawn, probe.keys)
        return cls(train, probe, len(drawn), digest, seen, left_out)


def sound_tars(tars: Sequence[Path], settings: BackboneSettings) -> tuple[list[Path], Spoilt]:
    """Tars that can be opened and hold slices, and the names of the others with what is wrong with them.

    Raises:
        ShardError: one cannot be opened, and the settings want training to stop then.
    """
    readable, broken = readable_shards(tars)
    named = {shard_name(tar): reason for tar, reason in broken.items()}
    for name, reason in named.items():
        if settings.corrupt_shards == "stop":
            raise ShardError(f"{name}: {reason}, {SKIP_REMEDY}")
        LOG.warning("shard left out of training: %s: %s", name, reason)
    return readable, named


def nothing_seen() -> pl.DataFrame:
    """The list of an encoder that was trained on nothing."""
    return pl.DataFrame(schema=SEEN)


def write_seen(folder: Path, seen: pl.DataFrame) -> None:
    """Write ``seen.parquet`` beside an encoder, whole or not at all; the folder is made if it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    aside = folder / f".{SEEN_FILE}"
    seen.write_parquet(aside)
    aside.replace(folder / SEEN_FILE)


def _seen(drawn: Iterable[str], held_out: Iterable[str]) -> pl.DataFrame:
    rows = [(key, "train") for key in drawn] + [(key, "held_out") for key in held_out]
    return pl.DataFrame(rows, schema=SEEN, orient="row").sort("role", "slice_key")


def _slice_keys(tars: Sequence[Path], open_reader: OpenReader) -> tuple[str, ...]:
    return tuple(open_reader(tars, seed=0, rank=0, world=1, balance="slice").keys) if tars else ()
