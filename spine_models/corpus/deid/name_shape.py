"""How much the letters of an unread word look like a name's rather than a report's: two letter models compared.

Belongs here: the models, built from the word lists at first use, and the score of one word.
Does not belong here: the lists (terms), or what surrounds a word (names).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from spine_models.corpus.deid.terms import english_words, names

_ORDER: Final = 4
_LETTERS: Final = 40
"""Size of the alphabet that the last back-off spreads its mass over."""


class _Letters:
    """Letter n-grams up to four with Witten-Bell back-off: probability of a letter after the three before it."""

    def __init__(self, words: Iterable[str]) -> None:
        self._after: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        for word in words:
            padded = f"^{word}$"
            for at in range(1, len(padded)):
                for size in range(_ORDER):
                    if at - size < 0:
                        break
                    self._after[padded[at - size : at]][padded[at]] += 1
        self._total = {context: sum(seen.values()) for context, seen in self._after.items()}

    def log_probability(self, word: str) -> float:
        padded = f"^{word}$"
        total = 0.0
        for at in range(1, len(padded)):
            p = 1 / _LETTERS
            for size in range(min(_ORDER, at + 1)):
                context = padded[at - size : at]
                seen = self._after.get(context)
                if seen is None:
                    break
                count, kinds = self._total[context], len(seen)
                p = (seen.get(padded[at], 0) + kinds * p) / (count + kinds)
            total += math.log(p)
        return total


@lru_cache(maxsize=1)
def _models() -> tuple[_Letters, _Letters]:
    words = english_words()
    return _Letters(sorted(names() - words)), _Letters(sorted(w for w in words if w.isalpha()))


@lru_cache(maxsize=65536)
def name_likeness(word: str) -> float:
    """Natural log odds that a word of neither list is a name by its letters; above zero speaks for a name.

    Only the letters count; the word may be in any case, hyphens and apostrophes are left out.
    """
    bare = "".join(c for c in word.casefold() if c.isalpha())
    if len(bare) < 2:
        return 0.0
    named, written = _models()
    return named.log_probability(bare) - written.log_probability(bare)
