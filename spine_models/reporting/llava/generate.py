"""Greedy writing with a key-value cache, the same whatever else is in the batch.

Belongs here: the loop over tokens. Does not belong here: prompts and their embeddings (``model``).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor

CLOSE: Final = {torch.float32: 2e-5, torch.float64: 2e-10}
"""Two logits this close, by the decoder's type and as a share of the row's largest, are taken for a tie.

Of SmolLM2-135M over 32 tokens in a padded batch of three, rounding moved the ten likeliest against each other by at
most 2e-6 in float32 and 0.015 in bfloat16.
"""
CLOSE_OTHERWISE: Final = 0.02
"""Of bfloat16 and float16."""

REPEATS: Final = 8
"""A text that ends in the same tokens this many times in a row goes round in a circle, and is not written on.

Half as many cut off half of a tiny decoder's impressions, which it comes to after saying a sentence five times.
"""
SHORTEST: Final = 6
"""Tokens of what is repeated; shorter repeats, such as a row of dots, count together as one of that length."""


class Generated(NamedTuple):
    """What was written for one prompt.

    Attributes:
        text: without special tokens.
        n_tokens: of the text, the end token not counted.
        stopped: True where the model ended the text, False where it ran out of ``max_new_tokens`` or repeated itself.
        cut: tokens of the similar report that the prompt had to do without.
    """

    text: str
    n_tokens: int
    stopped: bool
    cut: int = 0


def positions(mask: Tensor) -> Tensor:
    """Position ids [B, L] of tokens under a mask [B, L] bool: they count tokens, not padding."""
    return (mask.long().cumsum(dim=1) - 1).clamp(min=0)


@torch.no_grad()
def greedy(
    decoder: Any,
    embed: Callable[[Tensor], Tensor],
    rows: Tensor,
    mask: Tensor,
    *,
    max_new_tokens: int,
    stops: Collection[int],
    never: Collection[int] = (),
) -> list[tuple[list[int], bool]]:
    """The likeliest next token again and again, until every row has ended.

    A matrix product rounds otherwise in another batch, so that where two tokens are about equally likely the batch
    would choose. There the row is read once more, alone and without cache or padding, and that decides; of equal
    logits the lowest id is taken.

    A row that repeats itself (``circle``) is ended there and keeps the first of the repeats. Each row is judged by its
    own tokens, so that what it keeps does not depend on the others either.

    Args:
        decoder: a LlamaForCausalLM, in evaluation mode.
        embed: token ids [B, L] to embeddings [B, L, D].
        rows: embeddings [B, L, D] of the prompts, padded on the left.
        mask: [B, L] bool, True for tokens.
        max_new_tokens: of a row; one more step is never taken.
        stops: token ids that end a row; they are not part of what was written.
        never: token ids that are not written.

    Returns:
        For each row the ids written, and whether it ended by itself.
    """
    from transformers import DynamicCache

    cache = DynamicCache(config=decoder.config)
    prompts = [own[kept] for own, kept in zip(rows, mask, strict=True)]
    written: list[list[int]] = [[] for _ in prompts]
    ended = [False] * len(prompts)
    place = positions(mask)
    barred = torch.tensor(sorted(never), dtype=torch.int64, device=rows.device)
    close = CLOSE.get(rows.dtype, CLOSE_OTHERWISE)
    # Which row of the prompts each row of the batch is, None once it has ended.
    open_: list[int | None] = list(range(len(prompts)))
    for _ in range(max_new_tokens):
        hidden = decoder.model(
            inputs_embeds=rows,
            attention_mask=mask.long(),
            position_ids=place,
            past_key_values=cache,
            use_cache=True,
        ).last_hidden_state
        logits = decoder.lm_head(hidden[:, -1]).float()
        bound = close * logits.abs().amax(dim=1)
        logits[:, barred] = -torch.inf
        best = logits.topk(2, dim=1).values
        tied = (best[:, 0] - best[:, 1] <= bound).tolist()
        chosen = logits.argmax(dim=1).tolist()
        for at, i in enumerate(open_):
            if i is None:
                continue
            if tied[at]:
                chosen[at] = _alone(decoder, embed, prompts[i], written[i], barred)
            if chosen[at] in stops:
                ended[i], open_[at] = True, None
                continue
            written[i].append(chosen[at])
            if size := circle(written[i]):
                del written[i][len(written[i]) - (REPEATS - 1) * size :]
                open_[at] = None
        going = [at for at, i in enumerate(open_) if i is not None]
        if not going:
            break
        if 2 * len(going) <= len(open_):
            # What has ended is computed no further; moving the cache at every end would cost more than it saves.
            kept = torch.tensor(going, device=rows.device)
            cache.batch_select_indices(kept)
            mask, place = mask[kept], place[kept]
            chosen, open_ = [chosen[at] for at in going], [open_[at] for at in going]
        rows = embed(torch.tensor(chosen, device=rows.device)[:, None])
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
        place = place[:, -1:] + 1
    return list(zip(written, ended, strict=True))


def circle(written: Sequence[int]) -> int:
    """Tokens of the shortest block, of ``SHORTEST`` at least, that a text ends in ``REPEATS`` times; 0 without one."""
    for size in range(SHORTEST, len(written) // REPEATS + 1):
        if written[-1] == written[-1 - size]:
            stretch = written[len(written) - REPEATS * size :]
            if stretch[size:] == stretch[:-size]:
                return size
    return 0


def _alone(
    decoder: Any, embed: Callable[[Tensor], Tensor], prompt: Tensor, written: list[int], barred: Tensor
) -> int:
    """The likeliest token after a prompt [L, D] and what was written, by a pass over this row alone."""
    rows = prompt[None]
    if written:
        rows = torch.cat([rows, embed(torch.tensor([written], device=prompt.device))], dim=1)
    hidden = decoder.model(inputs_embeds=rows, use_cache=False).last_hidden_state
    logits = decoder.lm_head(hidden[:, -1]).float()[0]
    logits[barred] = -torch.inf
    return int(logits.argmax())
