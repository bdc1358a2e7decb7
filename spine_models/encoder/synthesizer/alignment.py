"""An aligned synthesizer in use: studies of any contrast as vectors in the space of the reports.

Belongs here: the head's files, opening and writing them, studies to vectors. Does not belong here: the fused encoder's
own files (``files``), training state.

Beside the files of a fused encoder a folder holds ``alignment.safetensors`` (pooler, projection) and
``alignment.json`` (sizes, trained, and the versions of the fused encoder below and of the clip whose reports it was
trained against).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from spine_models.config import AlignSettings
from spine_models.encoder.backbone.encoder import EncoderError
from spine_models.encoder.clip.batch import route_bag
from spine_models.encoder.clip.data import RouteSlices
from spine_models.encoder.synthesizer.align_network import StudyHead
from spine_models.encoder.synthesizer.encode import Synthesizer
from spine_models.encoder.synthesizer.files import load_fused

ALIGNMENT: Final = "alignment.safetensors"
ABOUT: Final = "alignment.json"
EMBEDDED_AT_A_TIME: Final = 32


class Alignment:
    """A frozen head above a frozen fused encoder.

    Attributes:
        synthesizer: slices to slice vectors.
        version: content hash of the head and of what it stands on.
        clip_version: of the clip model in whose space the vectors lie.
        trained: False for a head that was only initialised.
        dim: length of a study vector.
    """

    def __init__(
        self, synthesizer: Synthesizer, head: StudyHead, *, version: str, clip_version: str, trained: bool
    ) -> None:
        self.synthesizer, self.version = synthesizer, version
        self.clip_version, self.trained = clip_version, trained
        self._head = head.eval().requires_grad_(False)
        self.dim = head.projection.linear.out_features

    @torch.no_grad()
    def embed(self, studies: Sequence[RouteSlices]) -> np.ndarray:
        """Study vectors, comparable with ``ClipModel.embed_reports`` of ``clip_version``.

        Args:
            studies: slice vectors of ``synthesizer.encode``, series ascending, each study with at least one slice.

        Returns:
            [N, dim] float32, unit rows.

        Raises:
            EncoderError: vectors of another length, or a study without a slice.
        """
        width, device = self.synthesizer.dim, self._head.projection.linear.weight.device
        for study in studies:
            if study.vectors.ndim != 2 or not len(study.vectors) or study.vectors.shape[1] != width:
                raise EncoderError(
                    f"a study is at least one slice vector of length {width}, not {list(study.vectors.shape)}: "
                    "encode its slices with this synthesizer"
                )
        found = [np.zeros((0, self.dim), dtype=np.float32)]
        for start in range(0, len(studies), EMBEDDED_AT_A_TIME):
            bag = route_bag(studies[start : start + EMBEDDED_AT_A_TIME], width)
            found.append(self._head(*(part.to(device) for part in bag)).cpu().numpy())
        return np.concatenate(found)


def save_alignment(
    folder: Path,
    head: StudyHead,
    settings: AlignSettings,
    *,
    fused_version: str,
    clip_version: str,
    trained: bool,
) -> str:
    """Write the head beside its fused encoder; returns the version."""
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in head.state_dict().items()}
    save_file(weights, folder / ALIGNMENT)
    about = {
        "in_dim": head.projection.linear.in_features,
        "dim": head.projection.linear.out_features,
        "pool_hidden": settings.pool_hidden,
        "fused": fused_version,
        "clip": clip_version,
        "trained": trained,
    }
    (folder / ABOUT).write_text(json.dumps(about, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return alignment_version(folder)


def alignment_version(folder: Path) -> str:
    """sha256 (first 16 hex digits) over sizes, versions below and weights."""
    digest = hashlib.sha256((folder / ABOUT).read_bytes())
    digest.update((folder / ALIGNMENT).read_bytes())
    return digest.hexdigest()[:16]


def load_alignment(folder: Path, t1: Path, t2: Path) -> Alignment:
    """Open an aligned synthesizer on its two encoders, on the GPU where there is one.

    Args:
        folder: written by ``align.align``.
        t1: folder of the T1 encoder.
        t2: folder of the T2 encoder.

    Raises:
        EncoderError: a file is missing or does not fit, an encoder is another one, or the gates were changed after
            the alignment (names both hashes).
    """
    folder = Path(folder)
    fused = load_fused(folder, t1, t2)
    if missing := [name for name in (ABOUT, ALIGNMENT) if not (folder / name).is_file()]:
        raise EncoderError(
            f"the synthesizer in folder {folder.name} is not aligned: {' and '.join(missing)} missing; align it"
        )
    about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    if about["fused"] != fused.version:
        raise EncoderError(
            f"the alignment in folder {folder.name} was trained with gates {about['fused']}, these are "
            f"{fused.version}: align them again"
        )
    with torch.random.fork_rng(devices=[]):  # the draws of an initialisation that is overwritten at once
        head = StudyHead(about["in_dim"], about["dim"], hidden=about["pool_hidden"], dropout=0.0)
    try:
        head.load_state_dict(load_file(folder / ALIGNMENT))
    except RuntimeError as error:
        raise EncoderError(
            f"the weights in folder {folder.name} do not fit its {ABOUT}: align it again"
        ) from error
    head.to(fused.encoder.encoders[0].mask_token.device)
    return Alignment(
        Synthesizer(fused),
        head,
        version=alignment_version(folder),
        clip_version=about["clip"],
        trained=about["trained"],
    )
