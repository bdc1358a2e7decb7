"""The words of items: names of findings, sides and sequences, and the templates of questions and answers.

Belongs here: ``words.yaml``, read, checked and filled in. Does not belong here: which item is asked (``drafting``),
which of several wordings is taken (``revise``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import yaml

from spine_models.domain import Contrast, Plane, Region, condition_keys
from spine_models.reporting.instructions.cases import Case, Finding
from spine_models.reporting.instructions.sequences import FILE as SEQUENCES

FILE: Final = Path(__file__).parent / "words.yaml"
_REGIONS: Final = {
    Region.CERVICAL: "cervical spine",
    Region.THORACIC: "thoracic spine",
    Region.LUMBAR: "lumbar spine",
}


@dataclass(frozen=True)
class Words:
    """``words.yaml``.

    Attributes:
        version: "templates-<n>+<digest>" of this file and of the rules of sequences.
        document: the file's content.
    """

    version: str
    document: Mapping[str, Any]

    def topic(self, condition: str, region: Region) -> str:
        """The bare name of a condition."""
        own = self.document["findings_of"].get(region.value, {})
        return str(own.get(condition) or self.document["findings"][condition])

    def with_article(self, condition: str, text: str) -> str:
        """A name, or words that end with it, behind "a" or "an" where the condition can be counted."""
        if condition not in self.document["countable"]:
            return text
        return f"{'an' if text[0] in 'aeiou' else 'a'} {text}"

    def described(self, finding: Finding, region: Region, told: tuple[str, ...]) -> str:
        """A finding with what of its place is told: "moderate left disc herniation at L4-L5"."""
        severity = finding.severity if "severity" in told else None
        side = finding.side if "side" in told else None
        named = " ".join(word for word in (severity, side, self.topic(finding.condition, region)) if word)
        return f"{named} at {finding.level}" if "level" in told and finding.level else named

    def side(self, side: str) -> str:
        """A side in words."""
        return str(self.document["sides"][side])

    def sequence(self, sequence: str) -> str:
        """ "axial T2" in words; sequences that have no name of their own as they are."""
        plane, _, contrast = sequence.partition(" ")
        name = self.document["contrasts"].get(contrast, contrast)
        return name if plane in ("any", "unknown") or contrast == "localizer" else f"{plane} {name}"

    def region(self, region: Region) -> str:
        """The part of the spine in words."""
        return _REGIONS.get(region, "spine")

    def sequences(self, case: Case) -> str:
        """What a study has, in words, localizers and derived images left out."""
        shown = [
            self.sequence(s)
            for s in sorted(case.sequences, key=_order)
            if s.split(" ", 1)[1] not in ("localizer", "derived", "other")
        ]
        return ", ".join(shown) or "sequences not classified"

    def questions(self, part: str, ask: str) -> list[str]:
        """Templates of a question: ``part`` is train or benchmark."""
        return list(self.document["questions"][part][ask])

    def answers(self, ask: str) -> list[str]:
        """Templates of an answer."""
        return list(self.document["answers"][ask])

    def later(self, ask: str) -> list[str]:
        """What a later turn asks."""
        return list(self.document["later"][ask])

    def studies(self, *, with_sequences: bool) -> list[str]:
        """Ways to speak of a study."""
        return list(self.document["studies" if with_sequences else "studies_without_sequences"])

    def confused(self, condition: str) -> list[str]:
        """Conditions that are mistaken for this one."""
        return list(self.document["confused"][condition])

    def sections(self) -> dict[str, list[str]]:
        """Section of a report to its conditions."""
        return dict(self.document["sections"])


def _order(sequence: str) -> tuple[int, int]:
    """Sagittal first, contrasts as in the domain."""
    plane, _, contrast = sequence.partition(" ")
    return list(Plane).index(Plane(plane)), list(Contrast).index(Contrast(contrast))


def filled(template: str, slots: Mapping[str, str]) -> str:
    """A template with its slots; ``{Name}`` is ``{name}`` with a capital."""
    capitals = {name[:1].upper() + name[1:]: capitalised(text) for name, text in slots.items()}
    return template.format(**slots, **capitals)


def capitalised(text: str) -> str:
    """``text`` with its first letter in upper case and the rest left alone."""
    return text[:1].upper() + text[1:]


@lru_cache(maxsize=1)
def words() -> Words:
    """The words in use.

    Raises:
        ValueError: a condition without name, a section without it, or a question that train and benchmark share.
    """
    raw = FILE.read_bytes()
    document = yaml.safe_load(raw)
    keys = set(condition_keys())
    for name in ("findings", "confused"):
        if set(document[name]) != keys:
            raise ValueError(
                f"words.yaml, {name}: one entry for each condition of conditions.yaml, and no other"
            )
    sectioned = [key for own in document["sections"].values() for key in own]
    if sorted(sectioned) != sorted(keys):
        raise ValueError("words.yaml, sections: every condition stands in one section")
    train, benchmark = (
        {q for own in document["questions"][part].values() for q in own} for part in ("train", "benchmark")
    )
    if train & benchmark:
        raise ValueError(
            "words.yaml, questions: train and benchmark share a question; give the benchmark its own"
        )
    digest = hashlib.sha256(raw + b"\0" + SEQUENCES.read_bytes()).hexdigest()[:12]
    return Words(f"templates-{document['version']}+{digest}", document)
