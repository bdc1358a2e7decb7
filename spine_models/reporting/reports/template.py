"""The report templates: words, sentence frames and sections per region, read from ``templates/*.yaml``.

Belongs here: reading, merging and validating the template data. Does not belong here: filling a frame
(``phrasing``) or choosing what to say (``graph``).
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from spine_models.domain import Contrast, Plane, Region, condition_keys

TEMPLATES: Final[Path] = Path(__file__).parent / "templates"

FILE_OF_REGION: Final[dict[Region, str]] = {
    Region.CERVICAL: "cervical",
    Region.THORACIC: "thoracic",
    Region.LUMBAR: "lumbar",
    Region.SPINE: "spine",
    Region.OTHER: "other",
    Region.UNKNOWN: "other",
}


class TemplateError(ValueError):
    """A template that cannot make a complete report; the message names the file and the remedy."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Frames(_Part):
    """Sentence frames; each is filled by ``phrasing`` with the names in its braces."""

    finding: str
    unplaced: str
    negative: str
    see_limitations: str
    section_not_assessed: str
    level_finding: str
    level_free: str
    level_silent: str
    no_level: str
    undetermined: str
    not_assessed: str
    impression_normal: str
    impression_none: str
    impression_undetermined: str
    impression_not_assessed: str
    impression_nothing: str
    impression_nothing_for_reasons: str
    compared: str
    new: str
    persisting: str
    unchanged: str
    more_severe: str
    less_severe: str
    elsewhere: str
    gone: str
    examined: str
    examined_unrecorded: str
    sequences: str
    no_sequences: str
    unclassified: str
    not_read: str
    missing: str
    scope: str
    verbatim: str


class Language(_Part):
    """Words that all regions share."""

    version: int
    notice: str
    titles: dict[str, str]
    remarks: dict[str, str]
    findings: dict[str, str]
    tiers: tuple[tuple[str, ...], ...]
    frames: Frames
    contrasts: dict[Contrast, str]


class Expected(_Part):
    """A sequence that a complete examination of the region has."""

    name: str
    plane: Plane
    contrasts: tuple[Contrast, ...]


class Section(_Part):
    """One titled section: its conditions in order, and what it cannot say.

    ``limits`` is said always; conditions of ``by_level`` are told in a line of each level, those of the section there
    alone.
    """

    title: str
    conditions: tuple[str, ...]
    limits: str | None = None
    by_level: tuple[str, ...] = ()


class Layout(_Part):
    """What a region adds: sections, expected sequences, its own words for some findings.

    ``levels`` have a line each, abnormal or not; other levels only where something was found there.
    """

    version: int
    findings: dict[str, str] = {}
    expected: tuple[Expected, ...]
    levels: tuple[str, ...] = ()
    sections: tuple[Section, ...]


class Template(_Part):
    """Everything that the report of one region is made of; ``version`` moves with any change of the data."""

    region: Region
    version: str
    language: Language
    layout: Layout
    findings: dict[str, str]

    def tier(self, condition: str) -> int:
        """Clinical importance of a condition, 0 first."""
        return next(i for i, members in enumerate(self.language.tiers) if condition in members)


@lru_cache(maxsize=16)
def load_template(region: Region, folder: Path = TEMPLATES) -> Template:
    """The template of ``region``, validated.

    Raises:
        TemplateError: a file that is no template, or a condition of ``conditions.yaml`` that has no words, no
            tier or no section, or more than one.
    """
    name = FILE_OF_REGION[region]
    words = _read(folder / "language.yaml")
    own = _read(folder / f"{name}.yaml")
    try:
        language, layout = Language.model_validate(words), Layout.model_validate(own)
    except ValidationError as error:
        raise TemplateError(f"template {name} or language does not fit: {error}") from error
    _once("tiers of language.yaml", [c for tier in language.tiers for c in tier])
    _once(f"sections of {name}.yaml", [c for section in layout.sections for c in section.conditions])
    _once("findings of language.yaml", list(language.findings))
    unknown = sorted(set(layout.findings) - set(condition_keys()))
    if unknown:
        raise TemplateError(f"findings of {name}.yaml name no condition: {', '.join(unknown)}")
    absent = [str(contrast) for contrast in Contrast if contrast not in language.contrasts]
    if absent:
        raise TemplateError(f"contrasts of language.yaml lack {', '.join(absent)}: add their words")
    content = hashlib.sha256(json.dumps([words, own], sort_keys=True).encode()).hexdigest()[:8]
    return Template(
        region=region,
        version=f"{name}-{language.version}.{layout.version}-{content}",
        language=language,
        layout=layout,
        findings=language.findings | layout.findings,
    )


def _read(path: Path) -> dict[str, Any]:
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(document, dict):
        raise TemplateError(f"{path.name} is empty or not a mapping: restore the packaged file")
    return document


def _once(place: str, found: list[str]) -> None:
    wanted = condition_keys()
    missing = [c for c in wanted if c not in found]
    repeated = sorted({c for c in found if found.count(c) > 1})
    unknown = sorted(set(found) - set(wanted))
    for word, keys in (("lack", missing), ("repeat", repeated), ("name no condition with", unknown)):
        if keys:
            raise TemplateError(f"{place} {word} {', '.join(keys)}: every condition belongs there once")
