"""Which of several answers the report model finds likeliest; nothing is written.

All answers of a question are read in one pass: they stand side by side behind the prompt, each sees the prompt and
itself alone, and each begins at the place where the prompt ends. What comes out is what one pass for each would give.
A question has a pass of its own, so that no other question can change it.

Belongs here: likelihoods of given answers. Does not belong here: writing (``generate``), which questions are asked
(``benchmark``), whether an answer is right.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from spine_models.reporting.llava.images import StudyImages
from spine_models.reporting.llava.model import Llava
from spine_models.reporting.llava.projector import batch_images
from spine_models.reporting.llava.sequence import Turn


def encoded(llava: Llava, question: str, answers: Sequence[str]) -> tuple[list[int], list[list[int]]]:
    """Token ids of a prompt, with its image tokens, and of each answer with the token that ends it.

    Raises:
        ContextTooLong: prompt and longest answer do not fit.
        SequenceError: a question that cannot be used.
    """
    whole = [llava.encode([Turn(question, answer)]) for answer in answers]
    told = [[i for i, learned in zip(one.ids, one.learned, strict=True) if learned] for one in whole]
    return llava.encode(question, room=max(map(len, told))).ids, told


@torch.no_grad()
def answer_nats(
    llava: Llava, question: str, answers: Sequence[str], images: StudyImages | None
) -> list[float]:
    """Negative log likelihood (nats) of each answer, with its end, after a question about a study's images.

    It is the sum over an answer's tokens, not their mean: a model that is asked to answer and to stop says each of them
    with this likelihood.

    Args:
        llava: in any mode; it is read in evaluation mode.
        question: with IMAGE once.
        answers: as the model was trained to give them, at least one.
        images: of the study; None is a study without slices.

    Returns:
        One number an answer, in their order.

    Raises:
        ContextTooLong, SequenceError: as ``encoded``.
    """
    prompt, told = encoded(llava, question, answers)
    device = llava.special_rows.device
    was_training = llava.training
    llava.eval()
    try:
        seen = llava.projector(batch_images([images], llava.projector.dim_in).to(device))
        # The last token of an answer is predicted and never read.
        group = torch.tensor([-1] * len(prompt) + [n for n, own in enumerate(told) for _ in own[:-1]])
        place = torch.tensor(
            [*range(len(prompt)), *(len(prompt) + j for own in told for j in range(len(own) - 1))]
        )
        ids = torch.tensor([*prompt, *(token for own in told for token in own[:-1])])
        rows = llava.embed(ids[None].to(device), seen)
        hidden = llava.decoder.model(
            inputs_embeds=rows,
            attention_mask=_side_by_side(group, rows.dtype).to(device),
            position_ids=place[None].to(device),
            use_cache=False,
        ).last_hidden_state[0]
        before, at = [], len(prompt)
        for own in told:
            before += [len(prompt) - 1, *range(at, at + len(own) - 1)]
            at += len(own) - 1
        logits = llava.decoder.lm_head(hidden[torch.tensor(before, device=device)]).float()
    finally:
        llava.train(was_training)
    wanted = torch.tensor([token for own in told for token in own], device=device)
    nats = functional.cross_entropy(logits, wanted, reduction="none").double()
    return [float(own.sum()) for own in nats.split([len(own) for own in told])]


def likeliest(nats: Sequence[float]) -> int:
    """Place of the smallest number; of equal ones the first."""
    return min(range(len(nats)), key=lambda n: (nats[n], n))


def _side_by_side(group: Tensor, dtype: torch.dtype) -> Tensor:
    """What is added to attention scores [1, 1, L, L]: of rows of groups (-1: all see them), 0 for what a row sees."""
    n = len(group)
    sees = torch.ones(n, n, dtype=torch.bool).tril() & ((group[None] == -1) | (group[None] == group[:, None]))
    return torch.zeros(n, n, dtype=dtype).masked_fill(~sees, torch.finfo(dtype).min)[None, None]
