"""One conclusion from name and timing, with a confidence, and their contradiction when they have one.

Belongs here: when two sources agree, refine or contradict each other, and what confidence follows.
Does not belong here: the sources themselves (`text`, `physics`), or series as a whole (`classify`).
"""

from __future__ import annotations

from typing import Final

from spine_models.corpus.sequences.physics import by_physics
from spine_models.corpus.sequences.text import agent_given, by_text
from spine_models.corpus.sequences.verdict import Facts, Verdict, plausible
from spine_models.domain import Contrast

_CEILING: Final = 0.98
_STRONG: Final = 0.8
_CONTRADICTED_BY_STRONG: Final = 0.45
_CONTRADICTED_BY_WEAK: Final = 0.6
_NAMES_DIFFER: Final = 0.85
_NAMED_BY_WEIGHTING: Final = 0.75
_NAMED_T2: Final = frozenset({Contrast.STIR, Contrast.T2_STAR})

# A name of the first kind is what timing of the second kind looks like: no contradiction, and the name decides.
_COMPATIBLE: Final[dict[Contrast, frozenset[Contrast]]] = {
    Contrast.T1: frozenset({Contrast.T1}),
    Contrast.T1_CONTRAST: frozenset({Contrast.T1}),
    Contrast.T2: frozenset({Contrast.T2, Contrast.T2_FAT_SAT}),
    Contrast.T2_FAT_SAT: frozenset({Contrast.T2, Contrast.T2_FAT_SAT}),
    Contrast.STIR: frozenset({Contrast.STIR}),
    Contrast.PD: frozenset({Contrast.PD}),
    Contrast.T2_STAR: frozenset({Contrast.T2_STAR}),
    Contrast.MT: frozenset({Contrast.MT, Contrast.T1}),
    Contrast.DWI: frozenset({Contrast.DWI, Contrast.T2, Contrast.T2_FAT_SAT}),
}
# What an image was computed from, or a kind of exam, shows in the timing without contradicting the name.
_NOT_COMPARED: Final = frozenset(
    {
        Contrast.LOCALIZER,
        Contrast.DERIVED,
        Contrast.ADC,
        Contrast.OTHER,
        Contrast.DIXON_IN,
        Contrast.DIXON_OPPOSED,
        Contrast.DIXON_WATER,
        Contrast.DIXON_FAT,
    }
)


def judge(facts: Facts) -> Verdict:
    """The contrast family of one kind of image.

    Agreement raises the confidence (as of independent sources), a contradiction is named and lowers it: below
    one half where the timing is sure of itself. Without any name the timing decides alone, and the reverse.
    """
    facts = plausible(facts)
    text, physics = by_text(facts), by_physics(facts)
    if text.contrast is None:
        return _by_timing_alone(facts, physics)
    if text.contrast in _NOT_COMPARED or physics.contrast is None:
        return _with_agent_note(facts, text)
    if physics.contrast in _COMPATIBLE[text.contrast]:
        confidence = min(_CEILING, 1 - (1 - text.confidence) * (1 - physics.confidence))
        contrast = text.contrast
        if physics.contrast is Contrast.T2_FAT_SAT and contrast is Contrast.T2:
            contrast = Contrast.T2_FAT_SAT
        return _with_agent_note(facts, Verdict(contrast, confidence, f"{text.rule}+{physics.rule}"))
    if _is_only_silent(facts, text, physics):
        return _with_agent_note(facts, text)
    return _contradicted(text, physics)


def _by_timing_alone(facts: Facts, physics: Verdict) -> Verdict:
    if physics.contrast is Contrast.T1 and agent_given(facts)[0]:
        return Verdict(Contrast.T1_CONTRAST, physics.confidence, f"{physics.rule}_agent")
    return physics


def _with_agent_note(facts: Facts, verdict: Verdict) -> Verdict:
    """Name a contradiction about contrast agent, which matters for T1 alone."""
    if verdict.contrast is not Contrast.T1:
        return verdict
    note = agent_given(facts)[1]
    return Verdict(verdict.contrast, verdict.confidence * (_NAMES_DIFFER if note else 1), verdict.rule, note)


def _is_only_silent(facts: Facts, text: Verdict, physics: Verdict) -> bool:
    """A header without its inversion time looks like the same sequence without inversion."""
    if facts.ti_ms is not None:
        return False
    if text.contrast is Contrast.STIR:
        return physics.contrast in (Contrast.T2, Contrast.T2_FAT_SAT, Contrast.PD)
    inverted = (
        "IR" in (facts.scanning_sequence or "").upper()
        or "flair" in (facts.series_description or "").casefold()
    )
    return (
        text.contrast in (Contrast.T1, Contrast.T1_CONTRAST) and inverted and physics.contrast is Contrast.PD
    )


def _contradicted(text: Verdict, physics: Verdict) -> Verdict:
    assert text.contrast is not None
    assert physics.contrast is not None
    note = f"text says {text.contrast.value}, timing says {physics.contrast.value}"
    rule = f"{text.rule}!{physics.rule}"
    if text.contrast in (Contrast.T2, Contrast.T2_FAT_SAT) and physics.contrast in _NAMED_T2:
        # A fat-nulled or gradient-echo image is often named by its weighting alone.
        return Verdict(physics.contrast, _NAMED_BY_WEIGHTING, rule, note)
    strong = physics.confidence >= _STRONG
    return Verdict(text.contrast, _CONTRADICTED_BY_STRONG if strong else _CONTRADICTED_BY_WEAK, rule, note)
