"""Which network embeds which route: the anchored encoders for T1 and T2, the aligned synthesizer for the rest.

Belongs here: opening them, and why a route has none. Does not belong here: the networks (``encoder``), where they are
stored, which slices are stale (``slices``). The one module of this stage that imports torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from safetensors import SafetensorError

from spine_models.encoder.backbone.encoder import CONFIG, EncoderError, load_encoder
from spine_models.encoder.synthesizer.encode import ROUTE as OTHER
from spine_models.encoder.synthesizer.encode import Synthesizer
from spine_models.encoder.synthesizer.files import WEIGHTS, load_fused
from spine_models.findings.embeddings.images import EmbeddingError
from spine_models.findings.embeddings.slices import Encoder

PAIR: Final = ("t1", "t2")
"""Routes whose encoders a synthesizer mixes."""


class Embedders(NamedTuple):
    """What there is to embed with.

    Attributes:
        by_route: embedder by route.
        without_other: why route other has none; None where it has one.
        broken: whether that is a fault to repair (a synthesizer that does not fit or cannot be opened) and not
            merely a synthesizer that was never trained.
    """

    by_route: dict[str, Encoder]
    without_other: str | None
    broken: bool


def open_embedders(encoders: Mapping[str, Path], synthesizer: Path | None) -> dict[str, Encoder]:
    """Embedder by route; no ``other`` where no synthesizer was trained or one of its two encoders is not there.

    Args:
        encoders: folder of the anchored encoder by route (t1, t2).
        synthesizer: folder of the aligned synthesizer (``encoder.synthesizer.align``); None where there is none.

    Raises:
        EncoderError: a folder of ``encoders`` holds no encoder.
        EmbeddingError: the synthesizer was fused from other versions of the encoders (names all hashes), or its files
            cannot be opened.
    """
    opened = _of_the_pair(encoders)
    if _why_none(encoders, synthesizer) is None and synthesizer is not None:
        opened[OTHER] = _other(opened, encoders, synthesizer)
    return opened


def usable_embedders(encoders: Mapping[str, Path], synthesizer: Path | None) -> Embedders:
    """As ``open_embedders``, but a synthesizer that does not fit costs its own route alone, and says why.

    Raises:
        EncoderError: a folder of ``encoders`` holds no encoder.
    """
    opened = _of_the_pair(encoders)
    reason = _why_none(encoders, synthesizer)
    if reason is not None or synthesizer is None:
        return Embedders(opened, reason, broken=False)
    try:
        opened[OTHER] = _other(opened, encoders, synthesizer)
    except EmbeddingError as error:
        return Embedders(opened, str(error), broken=True)
    return Embedders(opened, None, broken=False)


def _of_the_pair(encoders: Mapping[str, Path]) -> dict[str, Encoder]:
    return {route: load_encoder(folder) for route, folder in sorted(encoders.items())}


def _why_none(encoders: Mapping[str, Path], synthesizer: Path | None) -> str | None:
    """Why there is nothing to embed route other with, where that is no fault."""
    if synthesizer is None:
        return "no synthesizer has been made"
    if lacking := [route for route in PAIR if route not in encoders]:
        return f"the encoder of route {' and '.join(lacking)} has not been made"
    # A training that could not begin publishes its card alone.
    untouched = not any((synthesizer / name).is_file() for name in (CONFIG, WEIGHTS))
    if untouched or _config(synthesizer).get("trained") is False:
        return "the synthesizer was not trained"
    return None


def _config(folder: Path) -> dict[str, object]:
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}  # said by whoever opens the folder
    return config if isinstance(config, dict) else {}


def _other(opened: Mapping[str, Encoder], encoders: Mapping[str, Path], folder: Path) -> Encoder:
    """The synthesizer on the two encoders that are in use."""
    fused_from = _config(folder).get("encoders")
    present = {route: opened[route].version for route in PAIR}
    if isinstance(fused_from, dict) and fused_from != present:
        told = ", ".join(f"{route} {fused_from.get(route)} but in use is {present[route]}" for route in PAIR)
        raise EmbeddingError(
            f"the synthesizer was fused from other encoders ({told}): train the synthesizer again, or use the "
            "encoders that it was fused from"
        )
    try:
        return Synthesizer(load_fused(folder, *(encoders[route] for route in PAIR)))
    except (EncoderError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise EmbeddingError(
            f"the synthesizer in folder {folder.name} cannot be opened: its files are damaged or incomplete; "
            "train the synthesizer again"
        ) from error
