"""The report model: a study's images and a dialogue to the loss of its answers, or to a written answer.

Belongs here: what joins decoder, special tokens and projector; batches, loss, writing. Does not belong here: which
weights are trained and their files (``adapters``), the order of training (``train``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from spine_models.reporting.llava.generate import Generated, greedy, positions
from spine_models.reporting.llava.images import StudyImages
from spine_models.reporting.llava.projector import ImageBatch, Projector, batch_images
from spine_models.reporting.llava.sequence import Encoded, Turn, Writer


class LlavaBatch(NamedTuple):
    """Dialogues of B studies, padded on the right.

    Attributes:
        ids: [B, L] int64.
        mask: [B, L] bool, True for tokens.
        learned: [B, L] bool, True for tokens that are to be predicted.
        images: of the same studies.
    """

    ids: Tensor
    mask: Tensor
    learned: Tensor
    images: ImageBatch

    def to(self, device: torch.device) -> LlavaBatch:
        """The same on a device."""
        return LlavaBatch(
            self.ids.to(device), self.mask.to(device), self.learned.to(device), self.images.to(device)
        )


class AnswerLosses(NamedTuple):
    """Summed negative log likelihood (nats) of each dialogue's answer tokens, float32 [B], and their number [B].

    Sums, so that the mean over an effective batch of any size weighs every token alike.
    """

    total: Tensor
    count: Tensor


class Llava(nn.Module):
    """A Llama decoder that reads a study's images.

    The decoder is frozen here as it comes. The special tokens are added to the tokenizer, and their embeddings are
    rows of this module in float32: the decoder's own table keeps its size and its values, and no special token is
    ever written. A row starts as the mean embedding of the words of its name, so that ``<|absent|>`` means something
    before it is trained.

    Args:
        decoder: LlamaForCausalLM of transformers, in any float type and on any device; its place is kept.
        tokenizer: the decoder's own; it is changed (special tokens).
        projector: with ``dim_out`` the decoder's width.
        special_tokens: ``agents.serialised.SPECIAL_TOKENS``, IMAGE among them.
        max_length: tokens of a dialogue, image and answer included; the decoder's own limit where that is lower.

    Raises:
        ValueError: the projector has another width than the decoder.
        SequenceError: a tokenizer that cannot be used.
    """

    def __init__(
        self,
        decoder: Any,
        tokenizer: Any,
        projector: Projector,
        *,
        special_tokens: Sequence[str],
        max_length: int = 8096,
    ) -> None:
        super().__init__()
        width = int(decoder.config.hidden_size)
        if projector.dim_out != width:
            raise ValueError(
                f"the projector makes tokens of width {projector.dim_out}, the decoder takes {width}: make the "
                "projector for this decoder"
            )
        known = set(tokenizer.get_vocab())
        tokenizer.add_tokens(_as_special(special_tokens), special_tokens=True)
        self.decoder, self.tokenizer, self.projector = decoder, tokenizer, projector
        self.special_tokens, self.max_length = tuple(special_tokens), max_length
        self.lora: Any = None  # what ``adapters.add_lora`` put on the decoder
        ids = [int(tokenizer.convert_tokens_to_ids(token)) for token in special_tokens]
        table = decoder.get_input_embeddings().weight.detach()
        self.special_rows = nn.Parameter(
            torch.stack([
                table[i].float() if token in known and i < len(table) else self._named(table, token)
                for token, i in zip(special_tokens, ids, strict=True)
            ])
        )  # fmt: skip
        row_of = torch.full((max(len(tokenizer), *(i + 1 for i in ids)),), -1, dtype=torch.int64)
        row_of[ids] = torch.arange(len(ids))
        self.register_buffer("row_of", row_of.to(table.device), persistent=False)
        self._never = frozenset(i for i in ids if i < len(table)) | frozenset(
            range(len(tokenizer), len(table))  # rows that pad the table stand for no token
        )
        own = int(decoder.config.max_position_embeddings)
        self.writer = Writer(
            tokenizer,
            image_tokens=projector.n_tokens,
            limit=min(max_length, own),
            limit_name="llava.max_length" if max_length <= own else "the decoder",
            ends=_ends(decoder),
        )
        decoder.requires_grad_(False)
        projector.to(table.device)

    def encode(self, dialogue: str | Sequence[Turn], *, room: int = 0) -> Encoded:
        """A question, or turns, as token ids; see ``Writer.encode``.

        Raises:
            ContextTooLong, SequenceError: as there.
        """
        return self.writer.encode([Turn(dialogue)] if isinstance(dialogue, str) else dialogue, room=room)

    def batch(self, dialogues: Sequence[Encoded], images: Sequence[StudyImages | None]) -> LlavaBatch:
        """Dialogues, at least one, and the images of their studies (None: no slice), on the CPU."""
        ids, mask = _padded([d.ids for d in dialogues])
        learned, _ = _padded([d.learned for d in dialogues])
        return LlavaBatch(ids, mask, learned.bool(), batch_images(images, self.projector.dim_in))

    def forward(self, batch: LlavaBatch) -> AnswerLosses:
        """Losses of the answers of a batch on the model's device; nothing of a dialogue depends on its batch mates.

        Called through a wrapper (DistributedDataParallel), every trained parameter gets a gradient from every batch.
        """
        hidden = self.decoder.model(
            inputs_embeds=self.embed(batch.ids, self.projector(batch.images)),
            attention_mask=batch.mask.long(),
            position_ids=positions(batch.mask),
            use_cache=False,
        ).last_hidden_state
        # The hidden state before a token predicts it. Only answers are taken through the vocabulary: for a long prompt
        # and 128 thousand tokens the rest would be gigabytes.
        wanted = batch.learned[:, 1:] & batch.mask[:, 1:]
        logits = self.decoder.lm_head(hidden[:, :-1][wanted]).float()
        nats = functional.cross_entropy(logits, batch.ids[:, 1:][wanted], reduction="none")
        owner = wanted.nonzero()[:, 0]
        total = nats.new_zeros(len(batch.ids)).index_add(0, owner, nats)
        return AnswerLosses(total, wanted.sum(dim=1))

    def loss(self, batch: LlavaBatch) -> Tensor:
        """Mean negative log likelihood (nats) of the batch's answer tokens; 0 where it has none."""
        losses = self(batch)
        return losses.total.sum() / losses.count.sum().clamp(min=1)

    def embed(self, ids: Tensor, images: Tensor | None = None) -> Tensor:
        """Embeddings [B, L, width] of token ids [B, L]; at IMAGE, in their order, the image tokens [B, Q, width]."""
        row = self.row_of[ids]
        special = row >= 0
        rows = self.decoder.get_input_embeddings()(ids.masked_fill(special, 0))
        rows = torch.where(special[..., None], self.special_rows[row.clamp(min=0)].to(rows.dtype), rows)
        if images is None:
            return rows
        at = (ids == self.writer.image_id)[..., None]
        return rows.masked_scatter(at, images.to(rows.dtype))

    @torch.no_grad()
    def generate(
        self,
        prompts: Sequence[str | Sequence[Turn]],
        images: Sequence[StudyImages | None],
        max_new_tokens: int,
        *,
        at_a_time: int = 8,
    ) -> list[Generated]:
        """Write an answer to every prompt, the likeliest token at each place; deterministic.

        A text that repeats itself ends there (``generate.circle``).
        What is written does not depend on the other prompts (``generate.greedy`` says what is done about rounding).

        Args:
            prompts: a question each, or turns of which the last has no answer.
            images: of the prompts' studies; None is a study without slices.
            max_new_tokens: of an answer.
            at_a_time: prompts that are written together, those of like length.

        Raises:
            ContextTooLong: a prompt and ``max_new_tokens`` do not fit; nothing has been written then.
            SequenceError: a prompt that cannot be used.
        """
        encoded = [self.encode(prompt, room=max_new_tokens) for prompt in prompts]
        pairs = list(zip(encoded, images, strict=True))
        order = sorted(range(len(pairs)), key=lambda i: (len(encoded[i].ids), i))
        answers: dict[int, Generated] = {}
        was_training = self.training
        self.eval()
        try:
            for start in range(0, len(order), at_a_time):
                turn = order[start : start + at_a_time]
                written = self._write([pairs[i] for i in turn], max_new_tokens)
                answers.update(zip(turn, written, strict=True))
        finally:
            self.train(was_training)
        return [answers[i] for i in range(len(pairs))]

    def _write(
        self, pairs: Sequence[tuple[Encoded, StudyImages | None]], max_new_tokens: int
    ) -> list[Generated]:
        device = self.special_rows.device
        ids, mask = (part.to(device) for part in _padded([own.ids for own, _ in pairs], left=True))
        seen = batch_images([images for _, images in pairs], self.projector.dim_in).to(device)
        written = greedy(
            self.decoder,
            self.embed,
            self.embed(ids, self.projector(seen)),
            mask,
            max_new_tokens=max_new_tokens,
            stops=self.writer.stops,
            never=self._never - self.writer.stops,
        )
        return [
            Generated(self.writer.text(own), len(own), ended, encoded.cut)
            for (own, ended), (encoded, _) in zip(written, pairs, strict=True)
        ]

    def _named(self, table: Tensor, token: str) -> Tensor:
        """Mean embedding of the words of a special token's name, float32."""
        words = token.strip("<|>").replace("_", " ").replace("/", "end ")
        ids = self.tokenizer(words, add_special_tokens=False, verbose=False)["input_ids"]
        rows = table[[i for i in ids if i < len(table)]]
        return (rows if len(rows) else table).float().mean(dim=0)


def _as_special(tokens: Sequence[str]) -> list[Any]:
    from transformers import AddedToken

    return [AddedToken(token, special=True, normalized=False) for token in tokens]


def _ends(decoder: Any) -> list[int]:
    ends = getattr(decoder.generation_config, "eos_token_id", None)
    return [] if ends is None else [ends] if isinstance(ends, int) else list(ends)


def _padded(rows: Sequence[Sequence[int]], *, left: bool = False) -> tuple[Tensor, Tensor]:
    """Rows [B, L] int64 padded with zeros on one side, and the mask [B, L] of what is not padding."""
    longest = max(len(row) for row in rows)
    lengths = torch.tensor([[len(row)] for row in rows])
    place = torch.arange(longest)
    mask = place >= longest - lengths if left else place < lengths
    ids = torch.zeros(mask.shape, dtype=torch.int64)
    ids[mask] = torch.tensor([token for row in rows for token in row], dtype=torch.int64)
    return ids, mask
