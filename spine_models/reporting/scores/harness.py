"""Every method's reports of the test patients against the studies' own, in one harness.

Methods: ``agents`` (drafts as they are published), ``agents_llm`` (the language model conditioned on the agents),
``image_only`` (the same model given the images alone) and ``retrieved`` (the report of the most similar study of the
index). All texts are read by the same eyes, the rules labeller; no method is scored by what it meant to say.

A study is of a test patient and was released. What becomes of it is told, by method:

- ``scored``: it has a reference and a text.
- ``unreadable``: the text is there and holds no word, or neither affirms nor denies any condition. It is scored as the
  report that says nothing, so that failing does not pay, and counted apart: beside such texts nobody invents less.
- ``missing``: the method has no text for it, or says why it wrote none; not scored, counted apart.
- ``no_reference``: the study has no report, an empty one, or no labels; not scored by any method, counted apart.

Conditions on which the reference is in doubt are left out on both sides.

Belongs here: which studies are scored with what, one row a study and method. Does not belong here: the metric, sums
with intervals (``summary``), AUROC (``conditions``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from spine_models.config import ScoreSettings
from spine_models.corpus.statements import Reference, Unit, says_something, units_of_labels, units_of_text
from spine_models.reporting.scores.metric import Metric, Tally
from spine_models.reporting.scores.tables import STUDIES
from spine_models.reporting.scores.text import Likeness, body, likeness, words
from spine_models.reporting.scores.weights import load_weights

METHODS: Final = ("agents", "agents_llm", "image_only", "retrieved")
NO_REPORT: Final = "the study has no report"
EMPTY_REPORT: Final = "the study's report is empty"
NO_LABELS: Final = "the study's report has no labels"
NO_WORDS: Final = "the text holds no word"
NO_STATEMENT: Final = "the text neither affirms nor denies any condition"
ABSENT: Final[Mapping[str, str]] = {
    "agents": "no draft of this study",
    "agents_llm": "the language model wrote no report of this study from the agents",
    "image_only": "the language model wrote no report of this study from its images",
    "retrieved": "no similar report was found for this study",
}


@dataclass(frozen=True)
class Text:
    """What a method wrote of a study.

    Attributes:
        text: as written, without a word where it failed; None where the method wrote none.
        source_key: what it is of: a draft, a neighbour's study, a model version.
        reason: why there is no text, in the method's own words.
    """

    text: str | None
    source_key: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Compared:
    """A text beside its reference.

    Attributes:
        reference: what the study's own report says.
        units: what the text says.
        tally: of the graded metric.
        alike: both as texts.
    """

    reference: Reference
    units: tuple[Unit, ...]
    tally: Tally
    alike: Likeness


@dataclass(frozen=True)
class Case:
    """One study and method.

    Attributes:
        study: batch_key, patient_key, study_key.
        method: whose text.
        status: as the module says.
        reason: of a status other than scored.
        source_key: of the text.
        compared: None where nothing is scored.
    """

    study: Mapping[str, str]
    method: str
    status: str
    reason: str | None
    source_key: str | None = None
    compared: Compared | None = None

    @property
    def row(self) -> dict[str, Any]:
        """A row of ``STUDIES``."""
        held = {name: self.study[name] for name in ("batch_key", "patient_key", "study_key")} | {
            "method": self.method,
            "status": self.status,
            "reason": self.reason,
            "source_key": self.source_key,
        }
        if self.compared is None:
            return held
        tally = self.compared.tally
        names = (
            "n_told", "n_said", "credit", "told", "said", "precision", "recall", "f1", "false_positives", "omissions",
            "wrong_level", "wrong_side", "wrong_severity",
        )  # fmt: skip
        return (
            held
            | {"excluded": sorted(self.compared.reference.excluded)}
            | {name: getattr(tally, name) for name in names}
            | {name: getattr(self.compared.alike, name) for name in ("edit_distance", "rouge_l", "bleu")}
        )


def metric_of(settings: ScoreSettings) -> Metric:
    """The metric with the weights of the package and the settings' partial credits."""
    return Metric(load_weights(), settings.partial)


def references(
    studies: pl.DataFrame, reports: pl.DataFrame, consensus: pl.DataFrame, mentions: pl.DataFrame
) -> dict[str, Reference | str]:
    """What each study's own report says, or why it cannot be asked.

    Args:
        studies: with study_key.
        reports: study_key and report_text, one row a study.
        consensus: ``labels.CONSENSUS``.
        mentions: ``labels.MENTIONS``.
    """
    texts = dict(reports.select("study_key", "report_text").iter_rows())
    asked = studies.select("study_key").unique()
    decided, told = (
        {key: rows.to_dicts() for (key,), rows in frame.partition_by("study_key", as_dict=True).items()}
        for frame in (
            consensus.join(asked, on="study_key", how="semi"),
            mentions.join(asked, on="study_key", how="semi"),
        )
    )
    found: dict[str, Reference | str] = {}
    for key in asked["study_key"].sort():
        if key not in texts:
            found[key] = NO_REPORT
        elif not words(texts[key] or ""):
            found[key] = EMPTY_REPORT
        elif key not in decided:
            found[key] = NO_LABELS
        else:
            found[key] = units_of_labels(decided[key], told.get(key, ()))
    return found


def compare_texts(
    studies: pl.DataFrame,
    known: Mapping[str, Reference | str],
    reports: pl.DataFrame,
    texts: Mapping[str, Mapping[str, Text]],
    metric: Metric,
) -> list[Case]:
    """Every method on every study.

    Args:
        studies: batch_key, patient_key and study_key of the studies to score.
        known: of ``references``.
        reports: study_key and report_text, one row a study.
        texts: method to study_key to text; a method that is not named has none.
        metric: to score with.

    Returns:
        One case per study and method, by method as in ``METHODS``, then by study_key.
    """
    own = dict(reports.select("study_key", "report_text").iter_rows())
    rows = (
        studies.select("batch_key", "patient_key", "study_key")
        .unique("study_key")
        .sort("study_key")
        .to_dicts()
    )
    return [
        _case(
            study,
            method,
            known[study["study_key"]],
            own,
            texts.get(method, {}).get(study["study_key"]),
            metric,
        )
        for method in METHODS
        for study in rows
    ]


def _case(
    study: Mapping[str, str],
    method: str,
    reference: Reference | str,
    own: Mapping[str, str],
    text: Text | None,
    metric: Metric,
) -> Case:
    source = text.source_key if text else None
    if isinstance(reference, str):
        return Case(study, method, "no_reference", reference, source)
    if text is None or text.text is None:
        reason = text.reason if text and text.reason else ABSENT[method]
        return Case(study, method, "missing", reason, source)
    units = tuple(units_of_text(text.text))
    tally = metric.compare(units, reference.units, excluded=reference.excluded)
    alike = likeness(body(text.text), body(own[study["study_key"]]))
    reason = None if says_something(text.text) else NO_STATEMENT if words(text.text) else NO_WORDS
    status = "unreadable" if reason else "scored"
    return Case(study, method, status, reason, source, Compared(reference, units, tally, alike))


def study_table(cases: Sequence[Case]) -> pl.DataFrame:
    """``STUDIES``, one row per study and method."""
    return pl.DataFrame([case.row for case in cases], schema=STUDIES)
