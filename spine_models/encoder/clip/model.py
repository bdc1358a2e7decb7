"""An alignment model: its files, opening and writing them, and studies to embeddings.

Belongs here: what is needed to use a model. Does not belong here: training state, losses.

A folder holds ``clip.safetensors``, ``config.json`` (settings, sizes, trained), ``vocabulary.json`` where the text
encoder is its own, and ``card.json``. The version is a content hash of the first three. A frozen text model is not
copied: its folder or name stands in the settings.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import Tensor

from spine_models.config import ClipSettings
from spine_models.encoder.clip.batch import ClipBatch, ClipItem, collate
from spine_models.encoder.clip.data import ClipDataError, ClipStudy
from spine_models.encoder.clip.network import ClipNetwork
from spine_models.encoder.clip.objective import Embedded
from spine_models.encoder.clip.text import report_chunks, report_sections
from spine_models.encoder.clip.text_encoder import FrozenTextModel, train_vocabulary, vocabulary_of
from spine_models.encoder.clip.variants import reads_reports

WEIGHTS: Final = "clip.safetensors"
CONFIG: Final = "config.json"
VOCABULARY: Final = "vocabulary.json"
CARD: Final = "card.json"
EVALUATED_AT_A_TIME: Final = 32


class ClipModelError(ValueError):
    """A folder that holds no alignment model."""


class ClipModel:
    """Network and text side together.

    Attributes:
        settings: that it was made with.
        dims: length of a slice vector by route.
        network: what is trained.
        tokenizer: of the small text encoder, else None.
    """

    def __init__(
        self,
        settings: ClipSettings,
        dims: Mapping[str, int],
        *,
        tokenizer: Tokenizer | None = None,
        frozen_text: FrozenTextModel | None = None,
    ) -> None:
        self.settings, self.dims, self.tokenizer = settings, dict(sorted(dims.items())), tokenizer
        self._frozen = frozen_text
        self._vocabulary = None if tokenizer is None else vocabulary_of(tokenizer)
        self._text_dim = None if frozen_text is None else frozen_text.dim
        n_tokens = None if tokenizer is None else tokenizer.get_vocab_size()
        self.network = ClipNetwork(settings, self.dims, text_dim=self._text_dim, n_tokens=n_tokens)

    @property
    def text_dim(self) -> int | None:
        """Length of a frozen text model's vectors, else None."""
        return self._text_dim

    @property
    def text_version(self) -> str | None:
        """Content hash of the frozen text model, or of the vocabulary; None where reports are not read."""
        if self._frozen is not None:
            return self._frozen.version
        if self.tokenizer is None:
            return None
        return hashlib.sha256(self.tokenizer.to_str().encode()).hexdigest()[:16]

    def prepare(self, studies: Sequence[ClipStudy]) -> list[ClipItem]:
        """Studies with their reports tokenised, or embedded where the text model is frozen.

        Raises:
            ClipDataError: slice vectors that are not as long as those of the training.
        """
        for study in studies:
            for route, part in study.routes.items():
                if route in self.dims and part.vectors.shape[1] != self.dims[route]:
                    raise ClipDataError(
                        f"slice vectors of route {route!r} have length {part.vectors.shape[1]}, the alignment takes "
                        f"{self.dims[route]}: use the encoder that it was trained with"
                    )
        reports: Sequence[Any] = [None] * len(studies)
        if self._frozen is not None:
            reports = self._frozen.encode(study.report for study in studies)
        elif self._vocabulary is not None:
            most = self.settings.max_tokens
            reports = [report_chunks(s.report, self._vocabulary, max_tokens=most) for s in studies]
        return [ClipItem(study.routes, report) for study, report in zip(studies, reports, strict=True)]

    def batches(self, items: Sequence[ClipItem], size: int) -> Iterator[ClipBatch]:
        """Items in their order, ``size`` at a time, on the network's device."""
        pad = None if self._vocabulary is None else self._vocabulary.pad
        device = self.network.scale.log_scale.device
        for start in range(0, len(items), size):
            batch = collate(items[start : start + size], self.dims, pad=pad, text_dim=self._text_dim)
            yield batch.to(device)

    def embed(self, studies: Sequence[ClipStudy]) -> Embedded:
        """Unit vectors float32 [N, dim] and present [N] by modality of the variant, on the CPU.

        Args:
            studies: at least one.
        """
        return self.embed_items(self.prepare(studies))

    @torch.no_grad()
    def embed_reports(self, reports: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Unit vectors float32 [N, dim] of report texts, and present [N] bool, on the CPU.

        A report without findings or impression has present False; its row means nothing.

        Args:
            reports: texts, at least one.

        Raises:
            ClipDataError: the variant reads no reports.
        """
        if not reads_reports(self.settings.variant):
            raise ClipDataError(
                f"the alignment of variant {self.settings.variant} reads no reports: train clip as tri_modal or concat"
            )
        was_training = self.network.training
        self.network.eval()
        vectors, present = [], []
        for start in range(0, len(reports), EVALUATED_AT_A_TIME):
            part = [ClipStudy("", "", {}, text) for text in reports[start : start + EVALUATED_AT_A_TIME]]
            for batch in self.batches(self.prepare(part), len(part)):
                assert batch.reports is not None
                vectors.append(self.network.report_vectors(batch.reports).cpu())
                present.append(batch.reports.present.cpu())
        self.network.train(was_training)
        return torch.cat(vectors), torch.cat(present)

    def embed_items(self, items: Sequence[ClipItem]) -> Embedded:
        """The same of prepared studies."""
        return self.network.embed_frozen(self.batches(items, EVALUATED_AT_A_TIME))


def new_model(settings: ClipSettings, dims: Mapping[str, int], train: Sequence[ClipStudy]) -> ClipModel:
    """A model as it is initialised from torch's generator; a vocabulary is trained on the reports of ``train``."""
    if not reads_reports(settings.variant):
        return ClipModel(settings, dims)
    if settings.text_model is not None:
        return ClipModel(settings, dims, frozen_text=_frozen_text(settings))
    texts = [section for study in train for section in report_sections(study.report)]
    return ClipModel(settings, dims, tokenizer=train_vocabulary(texts, settings.vocabulary_size))


def version_of(folder: Path) -> str:
    """sha256 (first 16 hex digits) over config, vocabulary and weights."""
    digest = hashlib.sha256((folder / CONFIG).read_bytes())
    for name in (VOCABULARY, WEIGHTS):
        if (folder / name).is_file():
            with (folder / name).open("rb") as stream:
                while chunk := stream.read(1 << 24):
                    digest.update(chunk)
    return digest.hexdigest()[:16]


def save_clip(folder: Path, model: ClipModel, *, trained: bool) -> str:
    """Write weights, config and vocabulary; returns the version. The folder is made if it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {n: t.detach().cpu().contiguous() for n, t in model.network.state_dict().items()}
    save_file(weights, folder / WEIGHTS)
    (folder / VOCABULARY).unlink(missing_ok=True)
    if model.tokenizer is not None:
        model.tokenizer.save(str(folder / VOCABULARY), pretty=False)
    config = {
        "settings": model.settings.model_dump(mode="json"),
        "dims": model.dims,
        "text_dim": model.text_dim,
        "text_version": model.text_version,
        "trained": trained,
    }
    (folder / CONFIG).write_text(_dump(config), encoding="utf-8")
    return version_of(folder)


def write_card(folder: Path, card: dict[str, Any]) -> None:
    """Write ``card.json`` beside the weights."""
    (folder / CARD).write_text(_dump(card), encoding="utf-8")


def load_clip(folder: Path) -> ClipModel:
    """Open a model for use, on the GPU where there is one.

    Raises:
        ClipModelError: a file is missing, the weights do not fit the config, or the text model is another one.
        TextModelError: its frozen text model cannot be opened.
    """
    folder = Path(folder)
    if missing := [name for name in (CONFIG, WEIGHTS) if not (folder / name).is_file()]:
        raise ClipModelError(
            f"no alignment in folder {folder.name}: {' and '.join(missing)} missing; train clip"
        )
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    settings = ClipSettings.model_validate(config["settings"])
    own = (folder / VOCABULARY).is_file()
    model = ClipModel(
        settings,
        config["dims"],
        tokenizer=Tokenizer.from_file(str(folder / VOCABULARY)) if own else None,
        frozen_text=None if config["text_dim"] is None else _frozen_text(settings),
    )
    if model.text_version != config["text_version"]:
        raise ClipModelError(
            f"the text model of folder {folder.name} is not the one that it was trained with "
            f"({model.text_version} for {config['text_version']}): give that one, or train clip again"
        )
    try:
        model.network.load_state_dict(load_file(folder / WEIGHTS))
    except RuntimeError as error:
        raise ClipModelError(
            f"the weights in folder {folder.name} do not fit its {CONFIG}: train clip again"
        ) from error
    model.network.eval().requires_grad_(False)
    if torch.cuda.is_available():
        model.network.cuda()
    return model


def _frozen_text(settings: ClipSettings) -> FrozenTextModel:
    name = settings.text_model or ""
    text = FrozenTextModel(name, revision=settings.text_revision, max_tokens=settings.max_tokens)
    return text.to(torch.device("cuda", torch.cuda.current_device())) if torch.cuda.is_available() else text


def _dump(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=1, sort_keys=True) + "\n"
