"""What contradicts what within one series, as rows that a person can ask for.

Belongs here: name against timing, name against contrast agent, and the contradictions of the decision.
Does not belong here: who is believed (`decision`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from spine_models.corpus.sequences.decision import Decision
from spine_models.corpus.sequences.physics import by_physics
from spine_models.corpus.sequences.text import agent_given, by_text
from spine_models.corpus.sequences.verdict import Facts, Verdict, plausible

Row = dict[str, Any]


def disagreement_rows(kinds: Sequence[Facts], rules: Verdict, decision: Decision) -> list[Row]:
    """Rows of ``tables.DISAGREEMENTS`` without the keys: at most one about each pair of sources."""
    end = {
        "decision": decision.contrast.value if decision.contrast is not None else None,
        "decided_by": decision.by,
    }
    rows: list[Row] = []
    if rules.disagreement is not None:
        rows.append(_of_rules(kinds) | end)
    for found in decision.contradictions:
        rows.append(
            {
                "about": "contrast",
                "source_a": found.source_a,
                "says_a": found.says_a,
                "confidence_a": round(found.confidence_a, 4),
                "source_b": found.source_b,
                "says_b": found.says_b,
                "confidence_b": round(found.confidence_b, 4),
                **end,
            }
        )
    return rows


def summary(rows: Sequence[Row]) -> str | None:
    """One line for the series table; null where nothing contradicts."""
    said = [f"{r['source_a']} says {r['says_a']}, {r['source_b']} says {r['says_b']}" for r in rows]
    return "; ".join(said) or None


def _of_rules(kinds: Sequence[Facts]) -> Row:
    for facts in map(plausible, kinds):
        text, timing = by_text(facts), by_physics(facts)
        if agent_given(facts)[1] is not None:
            return {
                "about": "contrast_agent",
                "source_a": "text",
                "says_a": "before contrast agent",
                "confidence_a": None,
                "source_b": "header",
                "says_b": "an agent",
                "confidence_b": None,
            }
        if text.contrast is not None and timing.contrast is not None and text.contrast is not timing.contrast:
            return {
                "about": "contrast",
                "source_a": "text",
                "says_a": text.contrast.value,
                "confidence_a": round(text.confidence, 4),
                "source_b": "timing",
                "says_b": timing.contrast.value,
                "confidence_b": round(timing.confidence, 4),
            }
    raise AssertionError("a contradiction of the rules comes from names, timing or agent")
