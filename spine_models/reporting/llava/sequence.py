"""Questions and answers as token ids: the chat template, where the image stands, what is learned, what is cut.

Belongs here: prompt assembly and its limits. Does not belong here: what is asked (``examples``), vectors.

A prompt holds ``<|image|>`` once. Its segments are tokenised one by one, so that a prompt has the same ids in training,
where an answer follows, and in generation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from spine_models.reporting.agents.serialised import IMAGE, SIMILAR

_DATE: Final = (
    "26 Jul 2024"  # templates that print a date otherwise print today's, and texts change overnight
)


class SequenceError(ValueError):
    """A prompt or a tokenizer that cannot be used; the message names the remedy."""


class ContextTooLong(SequenceError):
    """A prompt that does not fit even without its similar report."""


class Turn(NamedTuple):
    """A question and its answer; None is an answer that is to be written."""

    question: str
    answer: str | None = None


class Encoded(NamedTuple):
    """Token ids of a dialogue.

    Attributes:
        ids: with ``<|image|>`` as many times as the image has tokens.
        learned: True at the tokens of answers and the token that ends each; as long as ``ids``.
        cut: tokens of the similar report that were left out.
    """

    ids: list[int]
    learned: list[bool]
    cut: int


def plain(text: str) -> str:
    """Text of a report or a person as it may stand in a prompt: nothing in it is read as a special token."""
    return text.replace("<|", "< |").replace("|>", "| >")


class Writer:
    """Dialogues to token ids.

    Args:
        tokenizer: of transformers, with IMAGE as one token. Where it has a chat template that is used; without one a
            question and its answer stand on lines of their own.
        image_tokens: of a study.
        limit: tokens that a dialogue may have.
        limit_name: what to change where it is too low.
        ends: further token ids that end a text, such as those of the decoder's generation settings.

    Raises:
        SequenceError: the tokenizer has no IMAGE, no end token, or a chat template that rewrites what was said.
    """

    def __init__(
        self,
        tokenizer: Any,
        *,
        image_tokens: int,
        limit: int,
        limit_name: str = "llava.max_length",
        ends: Sequence[int] = (),
    ) -> None:
        self._tokenizer, self._image_tokens = tokenizer, image_tokens
        self._limit, self._limit_name = limit, limit_name
        self._image = self._single(IMAGE)
        if self._image is None:
            raise SequenceError(f"the tokenizer does not know {IMAGE}: add the special tokens to it first")
        self._similar = tuple(self._single(name) for name in SIMILAR)
        if tokenizer.eos_token_id is None:
            raise SequenceError("the tokenizer has no end token: give the decoder's own tokenizer")
        added = tokenizer.added_tokens_decoder.items()
        self._specials = {int(tokenizer.eos_token_id), *(i for i, token in added if token.special)}
        closing = self._segments([Turn("question", "answer")])[-1][0]
        self.stops: frozenset[int] = frozenset({int(tokenizer.eos_token_id), closing[0], *ends})
        """Tokens that end a text."""

    def encode(self, turns: Sequence[Turn], *, room: int = 0) -> Encoded:
        """A dialogue as ids; its similar report is shortened from its end where the limit asks for it.

        Args:
            turns: at least one; only the last may lack its answer.
            room: tokens to leave for an answer that is to be written.

        Raises:
            ContextTooLong: it does not fit without its similar report either.
            SequenceError: it holds IMAGE never or more than once, or an earlier answer is missing.
        """
        if not turns or any(turn.answer is None for turn in turns[:-1]):
            raise SequenceError("a dialogue has a turn at least, and only its last answer may be missing")
        ids: list[int] = []
        learned: list[bool] = []
        for segment, taught in self._segments(turns):
            ids += segment
            learned += taught
        if (n := ids.count(self._image)) != 1:
            raise SequenceError(
                f"a prompt holds {IMAGE} once, not {n} times: texts that are put into it go through `plain`"
            )
        at, more = ids.index(self._image), self._image_tokens
        excess = len(ids) - 1 + more + room - self._limit
        begin, end = self._similar_span(ids)
        if excess > end - begin:
            raise ContextTooLong(
                f"a prompt of {len(ids) - 1} tokens, {more} of the image and {room} kept for the answer are more than "
                f"the {self._limit} of {self._limit_name}, and its similar report has only {end - begin} that could "
                f"be left out: raise {self._limit_name}, or ask with less"
            )
        cut = max(excess, 0)
        keep = [(i < end - cut or i >= end) for i in range(len(ids))]
        copies = [(more if i == at else 1) if kept else 0 for i, kept in enumerate(keep)]
        return Encoded(
            [token for token, n in zip(ids, copies, strict=True) for _ in range(n)],
            [taught for taught, n in zip(learned, copies, strict=True) for _ in range(n)],
            cut,
        )

    def text(self, ids: Sequence[int]) -> str:
        """What was written, without special tokens."""
        text = self._tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text.strip()

    @property
    def image_id(self) -> int:
        """Id of IMAGE."""
        return self._image

    def _similar_span(self, ids: list[int]) -> tuple[int, int]:
        """Where the similar report's tokens stand; an empty span at the end where there is none."""
        begin, end = self._similar
        if begin is None or end is None or begin not in ids or end not in ids[ids.index(begin) :]:
            return len(ids), len(ids)
        first = ids.index(begin) + 1
        return first, ids.index(end, first)

    def _segments(self, turns: Sequence[Turn]) -> list[tuple[list[int], list[bool]]]:
        """Ids and what is learned of them, a segment each for question, answer and what ends the answer."""
        parts = self._chat(turns) if self._tokenizer.chat_template else self._lines(turns)
        segments = []
        for text, kind in parts:
            ids = self._ids(text, literal=kind == "answer")
            if kind == "end":
                # Where a template ends an answer with nothing, or with a line feed that reports have too.
                if not ids or ids[0] not in self._specials:
                    ids = [self._tokenizer.eos_token_id, *ids]
                segments.append((ids, [True] + [False] * (len(ids) - 1)))
            else:
                segments.append((ids, [kind == "answer"] * len(ids)))
        return segments

    def _lines(self, turns: Sequence[Turn]) -> Iterator[tuple[str, str]]:
        begin = self._tokenizer.bos_token or ""
        for turn in turns:
            yield f"{begin}{turn.question.strip()}\n", "question"
            begin = "\n"
            if turn.answer is not None:
                yield turn.answer.strip(), "answer"
                yield self._tokenizer.eos_token, "end"

    def _chat(self, turns: Sequence[Turn]) -> Iterator[tuple[str, str]]:
        messages: list[dict[str, str]] = []
        said = ""
        for turn in turns:
            messages.append({"role": "user", "content": turn.question.strip()})
            asked = self._render(messages, opened=True)
            yield _rest(asked, said), "question"
            if turn.answer is None:
                return
            answer = turn.answer.strip()
            messages.append({"role": "assistant", "content": answer})
            whole = self._render(messages, opened=False)
            yield answer, "answer"
            yield _rest(whole, asked + answer), "end"
            said = whole

    def _render(self, messages: list[dict[str, str]], *, opened: bool) -> str:
        return self._tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=opened, date_string=_DATE
        )

    def _ids(self, text: str, *, literal: bool = False) -> list[int]:
        """Token ids; ``literal`` reads nothing as a special token: a decoder may have no output for one."""
        # ``verbose`` would warn of texts longer than the decoder takes, which is what the limit is for.
        made = self._tokenizer(text, add_special_tokens=False, split_special_tokens=literal, verbose=False)
        return list(made["input_ids"])

    def _single(self, token: str) -> int | None:
        """Id of a special token, or None; a tokenizer with an unknown token has one id for every text."""
        ids = self._ids(token)
        found = len(ids) == 1 and self._tokenizer.convert_ids_to_tokens(ids[0]) == token
        return int(ids[0]) if found else None


def _rest(text: str, said: str) -> str:
    if not text.startswith(said):
        raise SequenceError(
            "the tokenizer's chat template rewrites what was said before: take the template out of its folder, or "
            "use another decoder"
        )
    return text[len(said) :]
