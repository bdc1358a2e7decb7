"""A small Llama of one's own, for where no decoder is given: vocabulary and weights from train patients' texts.

It knows the words of the reports that it was trained on and nothing else; what it can do with claims is measured after
tuning (``fitness``), and its card says how long it was trained.

Belongs here: vocabulary, training, the folder that ``decoder.open_decoder`` opens. Does not belong here: images,
adapters, who may be trained on.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import torch
from torch import Tensor
from torch.nn import functional

from spine_models.config import LlavaSettings
from spine_models.encoder.backbone.distributed import barrier, rank, summed, world_size
from spine_models.encoder.backbone.launch import join_process_group
from spine_models.reporting.agents.serialised import SPECIAL_TOKENS
from spine_models.reporting.llava.decoder import decoder_version, without_progress_bars
from spine_models.reporting.llava.examples import (
    ASKED,
    Conditioning,
    Drawn,
    Example,
    ReportStudy,
    report_example,
    without_image,
)
from spine_models.reporting.llava.loop import CHECKPOINTS, Report, begin, follow, new_state, pace_of
from spine_models.reporting.llava.seen import seen_studies
from spine_models.reporting.llava.tables import CURVES

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

PAD, BEGIN, END = "<|pad|>", "<|begin|>", "<|end|>"
_IGNORED: Final = -100
Line = tuple[list[int], list[bool]]
"""Token ids, and which of them are an answer."""


@dataclass(frozen=True)
class TinyResult:
    """``folder`` holds model, tokenizer, card, curves and the last checkpoint."""

    folder: Path
    curves: pl.DataFrame
    card: dict[str, Any]
    seen: pl.DataFrame


def train_tokenizer(texts: Sequence[str], size: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE vocabulary with the agents' tokens in it; no text is outside it.

    Args:
        texts: of train patients.
        size: largest number of tokens; fewer where the texts hold no more.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = [AddedToken(t, special=True, normalized=False) for t in (PAD, BEGIN, END, *SPECIAL_TOKENS)]
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=2,
        special_tokens=special,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    # In sorted order, so that the vocabulary does not depend on the order of the studies.
    tokenizer.train_from_iterator(sorted(texts), trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token=PAD, bos_token=BEGIN, eos_token=END)


def new_decoder(tokenizer: PreTrainedTokenizerFast, settings: LlavaSettings) -> LlamaForCausalLM:
    """A Llama as it is initialised from torch's generator."""
    from transformers import LlamaConfig, LlamaForCausalLM

    tiny = settings.tiny
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=tiny.dim,
        intermediate_size=tiny.hidden,
        num_hidden_layers=tiny.depth,
        num_attention_heads=tiny.heads,
        max_position_embeddings=settings.max_length,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return LlamaForCausalLM(config)


def train_tiny(
    settings: LlavaSettings,
    train: Sequence[ReportStudy],
    val: Sequence[ReportStudy],
    out: Path,
    *,
    parents: Mapping[str, Any],
    resume: bool = True,
    report: Report | None = None,
    stop_after: int | None = None,
) -> TinyResult:
    """Train vocabulary and decoder on the examples of the report model, without their images.

    Resuming, checkpoints, processes and errors are as in ``train.warm_up``.

    Args:
        settings: of the profile; ``tiny`` is the part that counts.
        train: studies of the train split.
        val: studies that only a loss is measured on.
        out: folder of the model and of the checkpoints.
        parents: what the texts come from, for the card.
        resume: go on from a checkpoint in ``out``.
        report: called on rank 0 with the numbers of every step, and ``steps`` in all.
        stop_after: stop at this step with a checkpoint; the model written then is marked as not trained.

    Returns:
        With fewer than ``min_train_texts`` reports a decoder as it was initialised, marked as not trained.
    """
    tiny = settings.tiny
    train = sorted((s for s in train if s.target or s.items), key=lambda study: study.study_key)
    val = sorted((s for s in val if s.target), key=lambda study: study.study_key)
    identity = {
        "settings": {"tiny": tiny.model_dump(mode="json"), **_drawing(settings)},
        "train": _digest(train),
        "val": _digest(val),
        "parents": json.loads(json.dumps(parents)),
    }
    device = join_process_group()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(settings.seed)
        tokenizer = train_tokenizer(_texts(train), tiny.vocabulary_size)
        decoder = new_decoder(tokenizer, settings).to(device).train()
        lines = _Lines(tokenizer, tiny.window)
        source = _Rows(Drawn(train, settings), lines, tiny.batch_size, tiny.window)
        pace = pace_of(tiny, source.steps_per_epoch)
        state = new_state(decoder, pace, section="llava.tiny")
        begin(out / CHECKPOINTS, state, identity, resume=resume)
        held_out = [
            lines(report_example(s, Conditioning.DRAFT if s.known else Conditioning.IMAGE_ONLY)) for s in val
        ]

        def gradients(step: int) -> tuple[Tensor, int]:
            return _step(decoder, source(step)[rank() :: world_size()], device, tiny.asked_weight)

        enough = len([s for s in train if s.target]) >= max(tiny.min_train_texts, world_size())
        if enough:
            follow(
                pace, state, out / CHECKPOINTS, identity,
                gradients=gradients, measure=lambda: _loss_of(decoder, held_out, device),
                report=report, stop_after=stop_after,
            )  # fmt: skip
        curves = pl.DataFrame(state.rows, schema=CURVES)
        trained = enough and state.step == pace.steps
        seen = seen_studies(train, val, trained=state.step > 0, shown=True)
        card = _card(settings, decoder, curves, train, val, identity, trained)
        card["skipped_steps"] = state.optimiser.skipped
        if rank() == 0:
            out.mkdir(parents=True, exist_ok=True)
            with without_progress_bars():
                decoder.cpu().save_pretrained(out)
                tokenizer.save_pretrained(out)
            curves.write_parquet(out / "curves.parquet")
            seen.write_parquet(out / "seen.parquet")
        barrier()
        card["version"] = decoder_version(out)
        if rank() == 0:
            (out / "card.json").write_text(
                json.dumps(card, indent=1, sort_keys=True) + "\n", encoding="utf-8"
            )
    return TinyResult(out, curves, card, seen)


class _Lines:
    """Dialogues to token ids as ``sequence.Writer`` has them without a chat template, kept once made."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, window: int) -> None:
        self._tokenizer, self._window = tokenizer, window
        self._known: dict[str, list[int]] = {}

    def __call__(self, example: Example) -> Line:
        """Ids and what of them is an answer, at most a window."""
        ids: list[int] = []
        learned: list[bool] = []
        opening = BEGIN
        for turn in without_image(example.turns):
            for text, taught in ((f"{opening}{turn.question}\n", False), ((turn.answer or "").strip(), True)):
                own = self._ids(text)
                ids += own
                learned += [taught] * len(own)
            ids.append(int(self._tokenizer.eos_token_id))
            learned.append(True)
            opening = "\n"
        return ids[: self._window], learned[: self._window]

    def _ids(self, text: str) -> list[int]:
        if text not in self._known:
            self._known[text] = list(self._tokenizer(text, add_special_tokens=False)["input_ids"])
        return self._known[text]


class _Rows:
    """What a step reads: dialogues of an epoch in its order, as many in a row as fit a window.

    Nothing separates dialogues of a row but their begin token; short ones alone would make steps that teach little.
    """

    def __init__(self, drawn: Drawn, lines: _Lines, size: int, window: int) -> None:
        self._drawn, self._lines, self._size, self._window = drawn, lines, size, window
        self._kept: tuple[int, list[Line]] = (-1, [])
        self.steps_per_epoch = max(1, len(self._epoch(0)) // size)

    def __call__(self, step: int) -> list[Line]:
        """Rows of a step; an epoch that was drawn shorter begins again."""
        epoch, place = divmod(step, self.steps_per_epoch)
        rows = self._epoch(epoch)
        return [rows[i % len(rows)] for i in range(place * self._size, (place + 1) * self._size)]

    def _epoch(self, epoch: int) -> list[Line]:
        if self._kept[0] != epoch:
            rows: list[Line] = []
            for ids, learned in map(self._lines, self._drawn(epoch)):
                if rows and len(rows[-1][0]) + len(ids) <= self._window:
                    rows[-1] = (rows[-1][0] + ids, rows[-1][1] + learned)
                else:
                    rows.append((ids, learned))
            self._kept = (epoch, rows)
        return self._kept[1]


def _padded(rows: Sequence[Line]) -> tuple[Tensor, Tensor, Tensor]:
    """Ids, what is a token and what is an answer, [B, L] each, padded on the right."""
    longest = max(len(ids) for ids, _ in rows)
    ids = torch.tensor([own + [0] * (longest - len(own)) for own, _ in rows])
    learned = torch.tensor([own + [False] * (longest - len(own)) for _, own in rows])
    mask = torch.arange(longest)[None] < torch.tensor([[len(own)] for own, _ in rows])
    return ids, mask, learned


def _nats(decoder: Any, rows: Sequence[Line], device: torch.device) -> tuple[Tensor, Tensor]:
    """Negative log likelihood of every token but the first of a row, flat, and which of them are answers.

    Padding stands behind the tokens and nothing looks ahead, so that no mask is needed.
    """
    ids, mask, learned = (part.to(device) for part in _padded(rows))
    logits = decoder(input_ids=ids, use_cache=False).logits[:, :-1].float()
    targets = ids[:, 1:].masked_fill(~mask[:, 1:], _IGNORED)
    flat = functional.cross_entropy(
        logits.flatten(0, 1), targets.flatten(), reduction="none", ignore_index=_IGNORED
    )
    here = mask[:, 1:].flatten()
    return flat[here], learned[:, 1:].flatten()[here]


def _step(
    decoder: Any, rows: Sequence[Line], device: torch.device, asked_weight: float
) -> tuple[Tensor, int]:
    """Gradients of a step; the mean over the answers' tokens of all ranks, and their number."""
    if rows:
        nats, learned = _nats(decoder, rows, device)
        weights = torch.where(learned, 1.0, asked_weight)
    else:
        nats = next(decoder.parameters()).sum().reshape(1) * 0.0
        weights, learned = torch.zeros_like(nats), torch.zeros_like(nats, dtype=torch.bool)
    everything = summed(weights.sum())
    # The optimiser takes the mean over ranks of what is here the sum's share.
    ((nats * weights).sum() / everything.clamp(min=1e-9) * world_size()).backward()
    counts = summed(torch.stack([(nats.detach() * learned).sum(), learned.sum().to(nats.dtype)]))
    return counts[0] / counts[1].clamp(min=1), int(counts[1])


@torch.no_grad()
def _loss_of(decoder: Any, rows: Sequence[Line], device: torch.device) -> float | None:
    """Mean over the answers' tokens of held-out studies; None without any."""
    if not rows:
        return None
    decoder.eval()
    total, n = 0.0, 0
    for start in range(0, len(rows), 16):
        nats, learned = _nats(decoder, rows[start : start + 16], device)
        total, n = total + float(nats[learned].sum()), n + int(learned.sum())
    decoder.train()
    return total / max(n, 1)


def _texts(train: Sequence[ReportStudy]) -> list[str]:
    """What the vocabulary is made of."""
    own = [text for s in train for text in (s.target, s.known, s.agents) if text]
    items = [part for s in train for turns in s.items for t in turns for part in (t.question, t.answer or "")]
    return [*own, *items, *ASKED.values()]


def _drawing(settings: LlavaSettings) -> dict[str, Any]:
    """Further settings that what is drawn, or the decoder's shape, depends on."""
    names = ("seed", "image_only_share", "known_share", "items_per_study", "max_length")
    return {name: getattr(settings, name) for name in names}


def _digest(studies: Sequence[ReportStudy]) -> str:
    digest = hashlib.sha256()
    for s in studies:
        texts: list[Any] = [s.study_key, s.patient_key, s.target, s.known, s.agents, s.similar]
        texts.append([[list(turn) for turn in turns] for turns in s.items])
        digest.update(json.dumps(texts).encode())
    return digest.hexdigest()


def _card(
    settings: LlavaSettings,
    decoder: Any,
    curves: pl.DataFrame,
    train: Sequence[ReportStudy],
    val: Sequence[ReportStudy],
    identity: Mapping[str, Any],
    trained: bool,
) -> dict[str, Any]:
    loss = curves["val_loss"].drop_nulls()
    last = float(loss[-1]) if len(loss) else None
    n_tokens = int(curves["tokens"].sum() or 0)
    n_parameters = sum(p.numel() for p in decoder.parameters())
    reports = sum(bool(s.target) for s in train)
    says = (
        f"a Llama of {n_parameters:,} parameters, trained for {curves.height:,} steps on {n_tokens:,} tokens of "
        f"answers and reports of {reports} studies; it has read nothing else"
    )
    if last is not None:
        says += f"; on reports of studies that it did not read it needs {last:.2f} nats a token (perplexity "
        says += f"{math.exp(min(last, 20)):.1f})"
    card = {
        "name": "tiny",
        "trained": trained,
        "steps": curves.height,
        "says": says,
        "n_parameters": n_parameters,
        "n_tokens": n_tokens,
        "val_loss": last,
        "processes": world_size(),
        "parents": identity["parents"],
        "settings": identity["settings"],
        "manifest": {
            "train_studies": len(train),
            "val_studies": len(val),
            "train_sha256": identity["train"],
            "val_sha256": identity["val"],
        },
    }
    if reports < settings.tiny.min_train_texts:
        card["reason"] = f"{reports} reports of train patients, {settings.tiny.min_train_texts} are asked for"
    return card
