"""The published models that put images and reports into one space, opened where they are trained.

Belongs here: from the store to open models. Does not belong here: what is done with them (``spine_models.findings``).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from pipelines.runtime.resources import Hospital

if TYPE_CHECKING:  # opening them imports torch
    from spine_models.encoder.synthesizer.alignment import Alignment
    from spine_models.findings.embeddings.aligned import ClipSide

CLIP = ("clip", "aligned")
SYNTHESIZER = ("synthesizer", "aligned")


def trained_clip(hospital: Hospital) -> ClipSide | None:
    """Clip with its version and parents; None where it is not published or was only initialised."""
    from spine_models.encoder.clip.model import load_clip, version_of
    from spine_models.findings.embeddings.aligned import ClipSide

    if not _trained(hospital, CLIP):
        return None
    folder = hospital.current(CLIP)
    parents = hospital.lake.card(CLIP)["training"]["parents"]
    return ClipSide(load_clip(folder), version_of(folder), parents)


def aligned_synthesizer(hospital: Hospital) -> Alignment | None:
    """The aligned synthesizer; None where it is not published or was only initialised.

    Raises:
        EncoderError: it was aligned on other encoders than are published now.
    """
    from spine_models.encoder.synthesizer.alignment import load_alignment

    if not _trained(hospital, SYNTHESIZER):
        return None
    encoders = hospital.encoders()
    return load_alignment(hospital.current(SYNTHESIZER), encoders["t1"], encoders["t2"])


class Versions(NamedTuple):
    """Of a space: clip's, that of the synthesizer aligned to this very clip (or None), and the length of a vector."""

    clip: str
    synthesizer: str | None
    dim: int


def space_versions(hospital: Hospital) -> Versions | None:
    """The versions of the published space, without opening a model; None without a trained clip."""
    from spine_models.encoder.clip.model import CONFIG, version_of
    from spine_models.encoder.synthesizer.alignment import ABOUT, alignment_version

    if not _trained(hospital, CLIP):
        return None
    folder = hospital.current(CLIP)
    clip = version_of(folder)
    dim = int(json.loads((folder / CONFIG).read_text(encoding="utf-8"))["settings"]["dim"])
    if not _trained(hospital, SYNTHESIZER):
        return Versions(clip, None, dim)
    own = hospital.current(SYNTHESIZER)
    of_this = json.loads((own / ABOUT).read_text(encoding="utf-8"))["clip"] == clip
    return Versions(clip, alignment_version(own) if of_this else None, dim)


def _trained(hospital: Hospital, key: tuple[str, str]) -> bool:
    return hospital.lake.has_artifact(key) and bool(hospital.lake.card(key)["training"]["trained"])
