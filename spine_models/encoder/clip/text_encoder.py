"""What turns chunks of tokens into vectors: a small transformer with its own vocabulary, or a frozen BERT.

Belongs here: vocabularies, the two encoders. Does not belong here: cutting reports (``text``), projections.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor, nn

from spine_models.config import ClipSettings
from spine_models.encoder.clip.text import ReportTokens, Vocabulary, batch_reports, pool_chunks, report_chunks

SPECIAL: Final = ("[PAD]", "[CLS]", "[SEP]")
CHUNKS_AT_A_TIME: Final = 16


class TextModelError(ValueError):
    """A text model that cannot be opened or does not fit; the message names the setting."""


def train_vocabulary(texts: Iterable[str], size: int) -> Tokenizer:
    """A byte-level BPE vocabulary (Sennrich et al. 2016, on bytes): no text is outside it.

    Args:
        texts: of the train split only (``text.report_sections``).
        size: largest number of tokens; fewer where the texts hold no more.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=2,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    # In sorted order, so that the vocabulary does not depend on the order of the studies.
    tokenizer.train_from_iterator(sorted(texts), trainer)
    return tokenizer


def vocabulary_of(tokenizer: Tokenizer) -> Vocabulary:
    """A trained tokenizer as ``report_chunks`` uses it.

    Raises:
        TextModelError: it lacks a special token.
    """
    ids = {name: tokenizer.token_to_id(name) for name in SPECIAL}
    if missing := [name for name, found in ids.items() if found is None]:
        raise TextModelError(f"the vocabulary lacks {', '.join(missing)}: train the model again")
    pad, cls, sep = (ids[name] for name in SPECIAL)
    return Vocabulary(
        lambda text: list(tokenizer.encode(text, add_special_tokens=False).ids), cls=cls, sep=sep, pad=pad
    )


class SmallTextEncoder(nn.Module):
    """Embedding, learned positions and a pre-norm transformer; a chunk's vector is its CLS output, normed."""

    def __init__(self, n_tokens: int, settings: ClipSettings) -> None:
        super().__init__()
        width = settings.text_dim
        self.tokens = nn.Embedding(n_tokens, width)
        self.positions = nn.Parameter(torch.zeros(settings.max_tokens, width))
        nn.init.normal_(self.tokens.weight, std=0.02)
        nn.init.normal_(self.positions, std=0.02)
        layer = nn.TransformerEncoderLayer(
            width, settings.text_heads, 4 * width, settings.text_dropout,
            activation="gelu", batch_first=True, norm_first=True,
        )  # fmt: skip
        self.layers = nn.TransformerEncoder(layer, settings.text_depth, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens: ReportTokens) -> Tensor:
        """Report vectors [B, text_dim] of B reports; an absent report has zeros."""
        if len(tokens.ids) == 0:
            return self.positions.new_zeros(len(tokens.present), self.positions.shape[1])
        rows = self.tokens(tokens.ids) + self.positions[: tokens.ids.shape[1]]
        rows = self.layers(rows, src_key_padding_mask=~tokens.mask)
        return pool_chunks(self.norm(rows[:, 0]), tokens)


class FrozenTextModel:
    """A BERT-like encoder of transformers, frozen; a chunk's vector is its last hidden state at CLS.

    Attributes:
        dim: length of a vector.
        version: sha256 (first 16 hex digits) over its weights.
    """

    def __init__(self, folder_or_name: str, *, revision: str | None = None, max_tokens: int = 512) -> None:
        """Open model and tokenizer.

        Raises:
            TextModelError: there is no such model, its tokenizer has no CLS, SEP or padding, or it is shorter than
                ``max_tokens``.
        """
        from transformers import AutoModel, AutoTokenizer

        where = str(Path(folder_or_name)) if Path(folder_or_name).is_dir() else folder_or_name
        try:
            tokenizer = AutoTokenizer.from_pretrained(where, revision=revision)
            self._model = AutoModel.from_pretrained(where, revision=revision).float().eval()
        except (OSError, ValueError) as error:
            raise TextModelError(f"clip.text_model {folder_or_name!r} cannot be opened: {error}") from error
        cls, sep, pad = tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id
        if cls is None or sep is None or pad is None:
            raise TextModelError(f"clip.text_model {folder_or_name!r} has no CLS, SEP or padding token")
        longest = getattr(self._model.config, "max_position_embeddings", max_tokens)
        if longest < max_tokens:
            raise TextModelError(
                f"clip.text_model {folder_or_name!r} takes {longest} tokens: set clip.max_tokens to that"
            )
        self._max_tokens = max_tokens
        self._vocabulary = Vocabulary(
            lambda text: list(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]),
            cls=int(cls), sep=int(sep), pad=int(pad),
        )  # fmt: skip
        self._model.requires_grad_(False)
        self.dim = int(self._model.config.hidden_size)
        digest = hashlib.sha256()
        for name, tensor in sorted(self._model.state_dict().items()):
            digest.update(name.encode() + tensor.contiguous().numpy().tobytes())
        self.version = digest.hexdigest()[:16]

    def to(self, device: torch.device) -> FrozenTextModel:
        """Move to a device."""
        self._model.to(device)
        return self

    @torch.no_grad()
    def encode(self, reports: Iterable[str]) -> list[Tensor | None]:
        """One float32 vector [dim] on the CPU a report, None for a report without evidence."""
        return [self._one(report) for report in reports]

    def _one(self, report: str) -> Tensor | None:
        chunks = report_chunks(report, self._vocabulary, max_tokens=self._max_tokens)
        if not chunks:
            return None
        tokens = batch_reports([chunks], self._vocabulary.pad).to(self._model.device)
        parts = [
            self._model(input_ids=ids, attention_mask=mask.long()).last_hidden_state[:, 0]
            for ids, mask in zip(
                tokens.ids.split(CHUNKS_AT_A_TIME), tokens.mask.split(CHUNKS_AT_A_TIME), strict=True
            )
        ]
        return pool_chunks(torch.cat(parts).float(), tokens)[0].cpu()
