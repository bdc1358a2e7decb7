"""Who decides what a series is when rules, header model and pixels have each been heard.

Belongs here: the order of authority, the limits of each source, what confidence follows, what contradicts what.
Does not belong here: the sources themselves, tables (`classify`).

Rules come first because they explain themselves. The model is heard always: where both say the same, their joint
confidence is higher than either; where they differ, neither decides before the pixels were asked. Pixels were taught
on phantom images, so their evidence counts with a limited weight (`PIXEL_WEIGHT`), and never decides alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from spine_models.config import SequenceSettings
from spine_models.corpus.sequences.header_model import CLASSES
from spine_models.corpus.sequences.verdict import Verdict
from spine_models.domain import Contrast

PIXEL_WEIGHT: Final = 0.5
"""Exponent of the pixels' likelihood: half of what the same evidence of a header would count."""

CONTRAST_NOTE: Final = "timing says"
"""What the note of a contradiction of name and timing contains (`contrast`), unlike one about the agent."""

_CEILING: Final = 0.995
_PIXEL_FLOOR: Final = 0.01
_SURE_PIXELS: Final = 0.6
_SURE_RULES: Final = 0.9
_MODEL_CONTRADICTS: Final = 0.6


@dataclass(frozen=True)
class Opinion:
    """What one source says: a contrast, or null, and how sure it is; ``probabilities`` ``[17]`` where it has them."""

    contrast: Contrast | None
    confidence: float
    probabilities: np.ndarray | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Contradiction:
    """Two sources that say different things of one series."""

    source_a: str
    says_a: str
    confidence_a: float
    source_b: str
    says_b: str
    confidence_b: float

    def __str__(self) -> str:
        return f"{self.source_a} says {self.says_a}, {self.source_b} says {self.says_b}"


@dataclass(frozen=True)
class Decision:
    """The contrast of a series, or null; ``by`` is rules, header_model, header+pixels or nobody."""

    contrast: Contrast | None
    confidence: float
    by: str
    contradictions: tuple[Contradiction, ...] = ()


def by_header(rules: Verdict, model: Opinion, settings: SequenceSettings) -> Decision:
    """The decision of rules and header model alone; without a contrast where neither may decide."""
    said = rules.contrast is not None and rules.confidence >= settings.min_confidence
    against = contradictions(rules, model, None, settings)
    if said and rules.contrast is model.contrast:
        joint = 1 - (1 - rules.confidence) * (1 - model.confidence)
        found = Decision(rules.contrast, min(_CEILING, joint), "rules", against)
    elif said and model.confidence < _MODEL_CONTRADICTS and rules.confidence >= _SURE_RULES:
        found = Decision(rules.contrast, rules.confidence * _SURE_RULES, "rules", against)
    elif model.contrast is not None and model.confidence >= settings.min_model_confidence:
        found = Decision(model.contrast, model.confidence, "header_model", against)
    else:
        found = Decision(None, model.confidence, "nobody", against)
    if found.contrast is not None and found.confidence < settings.min_confidence:
        return Decision(None, found.confidence, "nobody", against)
    return found


def is_open(rules: Verdict, decision: Decision) -> bool:
    """Whether the pixels should be asked: nobody decided, or the header contradicts itself about the contrast."""
    return (
        decision.contrast is None
        or bool(decision.contradictions)
        or CONTRAST_NOTE in (rules.disagreement or "")
    )


def with_pixels(
    rules: Verdict, model: Opinion, pixels: Opinion, settings: SequenceSettings, *, silent: bool = False
) -> Decision:
    """The decision when the pixels were asked: the header's probabilities, moved by theirs within their weight.

    Where the header had decided and the moved probabilities favour another contrast, nobody is believed. Of a
    ``silent`` header, which has neither a name nor a time, the pixels are recorded and nothing is decided.
    """
    header = by_header(rules, model, settings)
    against = contradictions(rules, model, pixels, settings)
    if silent or pixels.probabilities is None or model.probabilities is None:
        return replace(header, contradictions=against)
    moved = model.probabilities * np.maximum(pixels.probabilities, _PIXEL_FLOOR) ** PIXEL_WEIGHT
    moved = moved / moved.sum()
    best = int(moved.argmax())
    confidence = min(float(moved[best]), _CEILING)
    if header.contrast is not None:
        if header.contrast is not CLASSES[best] or confidence < settings.min_confidence:
            return Decision(None, confidence, "nobody", against)
        return Decision(header.contrast, confidence, header.by, against)
    if confidence < settings.min_model_confidence or confidence < settings.min_confidence:
        return Decision(None, confidence, "nobody", against)
    return Decision(CLASSES[best], confidence, "header+pixels", against)


def contradictions(
    rules: Verdict, model: Opinion, pixels: Opinion | None, settings: SequenceSettings
) -> tuple[Contradiction, ...]:
    """Every pair of sources that are sure of different things."""
    found = []
    sure = rules.contrast is not None and rules.confidence >= settings.min_confidence
    if sure and model.contrast is not rules.contrast and model.confidence >= settings.min_confidence:
        found.append(_pair("rules", rules, "header_model", model))
    if pixels is not None and pixels.contrast is not None and pixels.confidence >= _SURE_PIXELS:
        header: Verdict | Opinion = rules if sure else model
        if header.contrast is not pixels.contrast and header.confidence >= settings.min_confidence:
            found.append(_pair("rules" if sure else "header_model", header, "pixels", pixels))
    return tuple(found)


def _pair(a: str, one: Verdict | Opinion, b: str, other: Opinion) -> Contradiction:
    def name(source: Verdict | Opinion) -> str:
        return source.contrast.value if source.contrast is not None else "nothing"

    return Contradiction(a, name(one), one.confidence, b, name(other), other.confidence)
