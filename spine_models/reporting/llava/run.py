"""One run of either training: its examples in their order, the gradients of a step, the loss on held-out studies.

Belongs here: what a step of warming up or tuning computes. Does not belong here: files, cards and who begins it
(``train``), rates and checkpoints (``loop``).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor

from spine_models.config import LlavaSettings, LlavaStageSettings
from spine_models.encoder.backbone.distributed import rank, summed, world_size
from spine_models.reporting.llava.examples import (
    Conditioning,
    Drawn,
    Example,
    ReportStudy,
    item_example,
    report_example,
)
from spine_models.reporting.llava.loop import Pace, new_state, pace_of
from spine_models.reporting.llava.model import Llava
from spine_models.reporting.llava.sequence import ContextTooLong, Encoded

DTYPES: Final = {"float32": torch.float32, "bfloat16": torch.bfloat16}
"""Of a decoder's weights in memory, as settings name them."""


@dataclass(frozen=True)
class Stage:
    """What the two trainings differ in."""

    name: str  # as the config and the settings call it: warmed, warm
    section: str
    settings: LlavaStageSettings
    drawn_with: LlavaSettings
    items: bool


class Run:
    """Model, examples and optimiser of one run on this process."""

    def __init__(
        self,
        settings: LlavaSettings,
        stage: Stage,
        llava: Llava,
        train: list[ReportStudy],
        val: list[ReportStudy],
    ) -> None:
        self.settings, self.stage, self.llava = settings, stage, llava
        if settings.activation_checkpointing:
            llava.decoder.activation_checkpointing_enable()
        self.device = llava.special_rows.device
        self.train, self.too_long = fitting(llava, train)
        self.val, _ = fitting(llava, val)
        self.drawn = Drawn(self.train, stage.drawn_with, items=stage.items)
        self.pace: Pace = pace_of(stage.settings, self.drawn.steps_per_epoch(stage.settings.batch_size))
        # Every process has a generator of its own from here on: dropout must not be the same on all.
        torch.manual_seed(settings.seed * 1009 + rank())
        self.state = new_state(llava, self.pace, section=stage.section)
        asked = Conditioning.IMAGE_ONLY if stage.name == "warmed" else Conditioning.AGENTS
        self.held_out = [report_example(s, asked) for s in self.val if s.target][: settings.fit_studies]

    def gradients(self, step: int) -> tuple[Tensor, int]:
        """Gradients of the mean over the step's answer tokens, summed over small batches and processes."""
        self.llava.train()
        epoch, place = divmod(step, self.pace.steps_per_epoch)
        size = self.stage.settings.batch_size
        examples = self.drawn(epoch)[place * size : (place + 1) * size]
        own = [(e, self.llava.encode(e.turns)) for e in examples[rank() :: world_size()]]
        count = torch.tensor(float(sum(sum(encoded.learned) for _, encoded in own)), device=self.device)
        tokens = float(summed(count))
        total = torch.zeros((), device=self.device)
        for part in self._parts(own):
            loss = self.llava(self._batch(part)).total.sum()
            # The optimiser takes the mean over processes of what is here the sum's share.
            (loss / max(tokens, 1.0) * world_size()).backward()
            total += loss.detach()
        return summed(total) / max(tokens, 1.0), int(tokens)

    @torch.no_grad()
    def measure(self) -> float | None:
        """Mean loss over the answer tokens of val studies' reports; None without any."""
        self.llava.eval()
        total = tokens = 0.0
        for part in self._parts([(e, self.llava.encode(e.turns)) for e in self.held_out]):
            losses = self.llava(self._batch(part))
            total, tokens = total + float(losses.total.sum()), tokens + float(losses.count.sum())
        return total / tokens if tokens else None

    def _parts(self, own: list[tuple[Example, Encoded]]) -> list[list[tuple[Example, Encoded]]]:
        """Small batches of examples of like length, in an order that follows from them."""
        own = sorted(own, key=lambda pair: len(pair[1].ids))
        size = self.stage.settings.micro_batch
        return [own[start : start + size] for start in range(0, len(own), size)]

    def _batch(self, part: list[tuple[Example, Encoded]]) -> Any:
        return self.llava.batch([e for _, e in part], [example.study.images for example, _ in part]).to(
            self.device
        )


def fitting(llava: Llava, studies: Sequence[ReportStudy]) -> tuple[list[ReportStudy], dict[str, int]]:
    """Studies without what is longer than the context: a report (its text goes), or an instruction item.

    Returns:
        The studies, and how many ``reports`` and ``items`` were too long.
    """
    room = (
        min(llava.max_length, int(llava.decoder.config.max_position_embeddings))
        - llava.projector.n_tokens
        - 64
    )

    def fits(example: Example) -> bool:
        # A token is a byte at least: what has few bytes need not be encoded.
        if sum(len((t.question + (t.answer or "")).encode()) for t in example.turns) < room:
            return True
        try:
            llava.encode(example.turns)
        except ContextTooLong:
            return False
        return True

    kept, lost = [], {"reports": 0, "items": 0}
    for study in studies:
        items = tuple(turns for turns in study.items if fits(item_example(study, turns, Conditioning.AGENTS)))
        lost["items"] += len(study.items) - len(items)
        whole = not study.target or all(fits(report_example(study, c)) for c in Conditioning)
        lost["reports"] += not whole
        kept.append(
            dataclasses.replace(
                study, items=items, target=study.target if whole else "", known=study.known if whole else ""
            )
        )
    return kept, lost
