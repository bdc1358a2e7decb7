"""Greedy writing with a key-value cache.

Belongs here: the loop over tokens. Does not belong here: prompts and their embeddings (``model``).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Generated(NamedTuple):
    """What was written for one prompt.

    Attributes:
        text: without special tokens.
        n_tokens: written, the end token not counted.
        stopped: True where the model ended the text, False where it ran out of ``max_new_tokens``.
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

    Equal logits go to the lowest id. Logits are compared as float32.

    Args:
        decoder: a LlamaForCausalLM, in evaluation mode.
        embed: token ids [B, 1] to embeddings [B, 1, D].
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
    written: list[list[int]] = [[] for _ in rows]
    ended = [False] * len(rows)
    place = positions(mask)
    barred = torch.tensor(sorted(never), dtype=torch.int64, device=rows.device)
    for _ in range(max_new_tokens):
        hidden = decoder.model(
            inputs_embeds=rows,
            attention_mask=mask.long(),
            position_ids=place,
            past_key_values=cache,
            use_cache=True,
        ).last_hidden_state
        logits = decoder.lm_head(hidden[:, -1]).float()
        logits[:, barred] = -torch.inf
        chosen = logits.argmax(dim=1)
        for i, token in enumerate(chosen.tolist()):
            ended[i] = ended[i] or token in stops
            if not ended[i]:
                written[i].append(token)
        if all(ended):
            break
        rows = embed(chosen[:, None])
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
        place = place[:, -1:] + 1
    return list(zip(written, ended, strict=True))
