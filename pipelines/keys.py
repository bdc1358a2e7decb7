"""Changing the pseudonym key: what is sealed again, what has to be released anew, what may be forgotten.

Belongs here: rotation, reversal and purge over the storage of one installation.
Does not belong here: cryptography (``spine_models.corpus.deid``), running anything (``runner``).
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from pipelines.runtime import generations
from pipelines.runtime.frozen import tars_of
from pipelines.runtime.locks import if_free
from pipelines.runtime.resources import Hospital
from pipelines.runtime.storage import StorageError
from spine_models.corpus.deid import KeyFileError, Pseudonymizer, new_key_file, read_key_file
from spine_models.corpus.deid.crosswalk import CrosswalkError, seal, unseal

_DICOM = ("deid", "dicom")
_CROSSWALK = ("deid", "crosswalk")
_MANIFEST = ("shards", "manifest")
_GIVEN = "clip-inputs-"
"""Slices, reports and vectors that trainings with reports are given; made anew for the next one."""
_RETIRED = "retired_crosswalks"


@dataclass(frozen=True)
class Rotation:
    """What a rotation did: the public fingerprints of both keys and how many crosswalks it sealed again."""

    old_id: str
    new_id: str
    crosswalks: int
    batches: int


def batches_under_another_key(hospital: Hospital) -> list[str]:
    """Released batches whose pseudonyms are not those of the key in use; the next run releases them anew."""
    key_id = Pseudonymizer(hospital.key()).key_id
    return [b for b in _batches(hospital) if hospital.lake.card(_DICOM, b).get("key_id") != key_id]


def rotate(hospital: Hospital, new_file: Path) -> Rotation:
    """Seal every crosswalk under a new key, keeping the old pseudonyms reversible until they are purged.

    The new key file is made where it does not exist. Nothing in the lake changes: the batches become due as soon
    as the installation uses the new key. A rotation that was cut off is finished by calling this again.

    Raises:
        KeyFileError: the new file holds the key in use, or cannot be read.
        CrosswalkError: a crosswalk opens with neither key; nothing is lost, and the message names its batch.
    """
    if not new_file.exists():
        new_key_file(new_file)
    old, new = hospital.key(), read_key_file(new_file)
    old_id, new_id = Pseudonymizer(old).key_id, Pseudonymizer(new).key_id
    if old_id == new_id:
        raise KeyFileError(f"key file {new_file} holds the key in use: name another file")
    sealed = sum(_seal_again(path, path, old, new) for path in _retired(hospital))
    batches = batches_with_crosswalk(hospital)
    for batch in batches:
        kept = _folder(hospital, old_id) / f"{batch}.bin"
        if not kept.exists():
            source = hospital.current(_CROSSWALK, batch) / "crosswalk.bin"
            sealed += _seal_again(source, kept, old, new)
    return Rotation(old_id, new_id, sealed, len(batches))


def batches_with_crosswalk(hospital: Hospital) -> list[str]:
    """Batches that have a crosswalk in the restricted zone, sorted."""
    root = hospital.restricted.root.joinpath(*_CROSSWALK)
    return sorted(
        p.name for p in root.glob("*") if p.is_dir() and hospital.restricted.has_artifact(_CROSSWALK, p.name)
    )


def reverse(hospital: Hospital, pseudonym: str) -> list[tuple[str, str]]:
    """(kind, identifier) behind a pseudonym of this key or of one retired and not yet purged, sorted.

    Raises:
        CrosswalkError: a crosswalk does not open with the key in use.
    """
    key, found = hospital.key(), set()
    retired = list(_retired(hospital))
    current = [hospital.current(_CROSSWALK, b) / "crosswalk.bin" for b in batches_with_crosswalk(hospital)]
    for path in (*current, *retired):
        try:
            rows = unseal(path.read_bytes(), key)
        except CrosswalkError:
            if path in current and any(kept.stem == path.parent.parent.name for kept in retired):
                continue  # rotated and not released anew yet: the retired copy opens
            raise
        name = pseudonym.strip().lower()
        found |= {(kind, identifier) for kind, identifier, given in rows.iter_rows() if given == name}
    return sorted(found)


def purge(hospital: Hospital, key_id: str) -> int:
    """Forget a retired key: its crosswalks, every superseded version in the lake, the log of answers, and what
    trainings were given and left behind go; only trainings on the manifest that is frozen now stay, to be resumed.

    Returns:
        How many crosswalks went.

    Raises:
        KeyFileError: no such retired key, batches of the lake are still under another key than the one in use, or
            generations beside the served one may hold its pseudonyms, or a training is under way.
    """
    folder = _folder(hospital, key_id)
    if not key_id.isalnum() or not folder.is_dir():
        known = sorted(p.name for p in folder.parent.glob("*")) or ["none"]
        raise KeyFileError(f"no retired key {key_id!r}: retired are {', '.join(known)}")
    waiting = batches_under_another_key(hospital)
    if waiting:
        raise KeyFileError(
            f"{len(waiting)} batches are still released under another key: run their inboxes again, then purge"
        )
    lake = hospital.lake.root
    served = generations.served(lake)
    if beside := [name for name in generations.names(lake) if name != served]:
        raise KeyFileError(
            f"generations {', '.join(beside)} may hold pseudonyms of the retired key: drop them with `spineagent "
            "models drop NAME`, or switch to what you want to keep, then purge"
        )
    trainings = _trainings_to_drop(hospital)
    count = len(list(folder.glob("*.bin")))
    pinned = set(generations.pins(lake, served).values())
    for pointer in lake.rglob("current.json"):
        _drop_superseded(pointer.parent, pinned)
    _drop_superseded_crosswalks(hospital)
    # The answers of language models quote reports as the retired key released them; their tables are made anew.
    shutil.rmtree(hospital.answers_root, ignore_errors=True)
    for training in trainings:
        shutil.rmtree(training)
    shutil.rmtree(folder)
    return count


def _trainings_to_drop(hospital: Hospital) -> list[Path]:
    """Folders of trainings that may name patients of a retired key: what they were given, and all that began before
    the manifest was frozen or while it named tars that have been written anew since.

    Raises:
        KeyFileError: one of them is in use.
    """
    root = hospital.training_root
    folders = sorted(p for p in root.glob("*") if p.is_dir())
    for folder in folders:
        with if_free(folder.with_name(f".{folder.name}.lock")) as free:
            if not free:
                raise KeyFileError("a training is under way: wait until it ends, then purge")
    frozen = _frozen_at(hospital)
    return [f for f in folders if frozen is None or f.name.startswith(_GIVEN) or _begun_at(f) < frozen]


def _frozen_at(hospital: Hospital) -> int | None:
    """When the manifest was written (ns); None where there is none of the lake as it is."""
    place = hospital.lake.table_path(_MANIFEST)
    if not place.is_file():
        return None
    try:
        tars_of(hospital, hospital.lake.read_table(_MANIFEST, [None]))
    except StorageError:
        return None
    return place.stat().st_mtime_ns


def _begun_at(folder: Path) -> int:
    """The oldest change of anything in a folder (ns)."""
    return min(p.stat().st_mtime_ns for p in (folder, *folder.rglob("*")))


def _batches(hospital: Hospital) -> list[str]:
    root = hospital.lake.root.joinpath(*_DICOM)
    return sorted(p.name for p in root.glob("*") if p.is_dir() and hospital.lake.has_artifact(_DICOM, p.name))


def _folder(hospital: Hospital, key_id: str) -> Path:
    return hospital.restricted.root / _RETIRED / key_id


def _retired(hospital: Hospital) -> Iterator[Path]:
    yield from sorted((hospital.restricted.root / _RETIRED).glob("*/*.bin"))


def _seal_again(source: Path, target: Path, old: bytes, new: bytes) -> bool:
    """Write the crosswalk sealed under the new key; False where it already is."""
    data = source.read_bytes()
    try:
        rows = unseal(data, old)
    except CrosswalkError:
        try:
            unseal(data, new)
        except CrosswalkError:
            raise CrosswalkError(
                f"the crosswalk of {source.stem if source == target else source.parent.parent.name} opens with "
                "neither key: set SPINE_KEY_FILE to the key it was made with"
            ) from None
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}.{os.getpid()}.partial")
    aside.touch(mode=0o600)
    aside.write_bytes(seal(rows, new))
    os.replace(aside, target)
    return True


def _drop_superseded(root: Path, pinned: Collection[str] = ()) -> None:
    version = json.loads((root / "current.json").read_text(encoding="utf-8"))["version"]
    for old in root.iterdir():
        if old.is_dir() and old.name not in {version, *pinned}:
            shutil.rmtree(old)


def _drop_superseded_crosswalks(hospital: Hospital) -> None:
    for batch in batches_with_crosswalk(hospital):
        _drop_superseded(hospital.restricted.artifact_root(_CROSSWALK, batch))
