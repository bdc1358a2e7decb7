"""Regular-expression alternatives gathered by first letter, which makes patterns that ignore case several times faster.

Belongs here: writing such a group.
Does not belong here: the words (terms, date_grammar).
"""

from __future__ import annotations

from collections.abc import Iterable


def by_first_letter(words: Iterable[str]) -> str:
    """A group of the alternatives, in their order among those of one first letter; for patterns that ignore case.

    The engine tries every alternative of such a pattern at every word, but skips a branch that begins with a set of
    letters when the next letter is not in it. No quantifier may follow the first letter of an alternative; those that
    do not begin with a letter come last.
    """
    branches: dict[str, list[str]] = {}
    for word in words:
        branches.setdefault(word[0].casefold() if word[0].isalpha() else "", []).append(word)
    rest = branches.pop("", [])
    made = [
        f"(?-i:[{letter}{letter.upper()}])(?:{'|'.join(word[1:] for word in words)})"
        for letter, words in branches.items()
    ]
    return f"(?:{'|'.join(made + rest)})"
