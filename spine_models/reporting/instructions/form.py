"""Whether questions in a model's words ask for what they were to ask, of this study.

Verification holds an item against labels and passage. A question such as "What is the most common type of bone marrow
edema?" names the right finding and no place, so nothing speaks against it there, and its answer "L3" is the label's:
small models write many of these. Templates need no such check, and pass it.

Belongs here: the form of a question. Does not belong here: what it names, its answer (``verify``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from spine_models.reporting.instructions.drafting import Draft
from spine_models.reporting.instructions.revise import Worded

_WORD: Final = re.compile(r"[A-Za-z]{2,}")
_FEWEST_WORDS: Final = (4, 2)
"""Of a first question, and of a later one ("Which side?")."""


def _one_of(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{pattern})\b", re.IGNORECASE)


_ASKS: Final = re.compile(
    r"\?|\b(?:which|what|where|how|choose|select|pick|name|identify|grade|rate|describe|comment|state|summari[sz]e"
    r"|sum|put|write|give|tell|report|look|decide|determine|locate|specify|indicate|classify|explain|suggest)\b",
    re.IGNORECASE,
)
_IN_GENERAL: Final = _one_of(
    r"(?:most|more|less|least) (?:common|frequent|often|typical)(?:ly)?|commonest|typical(?:ly)?|usual(?:ly)?"
    r"|in general|generally|definition|defined?|meaning|meant|answer to|(?:people|patients) with"
)
_REPORT: Final = _one_of(r"(?:the|this|that|a|recent|latest|last) (?:reports?|passage)|radiologists?|quoted?")
_OPEN: Final = re.compile(r"\W*(?:what|which|where|how|why|who|when)\b", re.IGNORECASE)
_CLOSED: Final = _one_of(r"is|are|was|were|does|do|did|can|could|would|will|has|have|any|whether")
_CHOOSES: Final = _one_of(r"which|what|choose|select|pick|name|identify|one of")
_HERE: Final = _one_of(
    r"this|these|following|images?|mri|study|exam|examination|scan|shows?|shown|seen|present|visible|found|made|depicted"
)
_WANTS: Final[Mapping[str, re.Pattern[str]]] = {
    "level": _one_of(r"levels?|where|vertebra[el]?|vertebral body|disc space|segments?|locat(?:e|ed|ion)"),
    "side": _one_of(r"sides?|left|right|lateral(?:ity|i[sz]ed)?"),
    "severity": _one_of(
        r"sever(?:e|ity|ely)|grad(?:e|ed|ing)|degree|extent|how (?:bad|marked|advanced|pronounced)"
    ),
    "next_sequence": _one_of(r"sequences?|series|look(?:ed)?|images?|weight(?:ed|ing)|scans?"),
}
"""Words of which a question for this must have one."""


def asks_what_it_should(draft: Draft, worded: Worded) -> bool:
    """Whether every question is one, and for what its turn is to ask.

    Args:
        draft: what is asked, turn by turn.
        worded: its words; as many turns.
    """
    if draft.kind == "report":
        return True  # its question is a template's
    turns = zip(draft.asks, worded.turns, strict=True)
    return all(
        len(_WORD.findall(question)) >= _FEWEST_WORDS[min(number, 1)]
        and _ASKS.search(question) is not None
        and _is_for(ask, question)
        for number, (ask, (question, _)) in enumerate(turns)
    )


def _is_for(ask: str, question: str) -> bool:
    if _IN_GENERAL.search(question):
        return False
    # "Write the sentence of the report about it" asks for one; elsewhere a report is what the reader does not have.
    if ask != "statement" and _REPORT.search(question):
        return False
    if ask == "condition":
        return _CLOSED.search(question) is not None and _OPEN.match(question) is None
    if ask == "choice_condition":
        return _CHOOSES.search(question) is not None and _HERE.search(question) is not None
    wants = _WANTS.get(ask)
    return wants is None or wants.search(question) is not None
