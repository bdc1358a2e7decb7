"""Reports that contradict themselves: affirmed in the findings and denied in the impression, or the other way around.

Belongs here: which two mentions exclude each other. Does not belong here: where a section begins (``rules.sections``),
what a contradiction does to a label (``rules.labeller``: the worst mention wins), rates (``reliability``).
"""

from __future__ import annotations

from typing import Final

import polars as pl

from spine_models.corpus.labels.panel.counting import in_order
from spine_models.corpus.labels.rules.sections import Section
from spine_models.corpus.labels.tables import CONTRADICTIONS
from spine_models.domain import Side, Status

_REPORT: Final = ("batch_key", "patient_key", "study_key", "report_key", "labeller", "condition")
_MENTION: Final = ("section", "level", "side", "evidence", "evidence_start")
_ONE_SIDED: Final = (Side.LEFT.value, Side.RIGHT.value)


def contradictions(mentions: pl.DataFrame) -> pl.DataFrame:
    """Find the reports whose findings and impression exclude each other.

    A denial contradicts an affirmation of the other section at the same level, or where either names no level; not
    where the one speaks of the left and the other of the right. Where one of the two names no level, the denial is no
    contradiction if its own section also affirms what the other affirms: then it only limits that, as in "Stenosis
    at L4-5, none at L3-4" against "Stenosis." Where both name the same level, only an affirmation of that level
    excuses. Mentions in doubt neither affirm nor deny.

    Args:
        mentions: ``MENTIONS``.

    Returns:
        ``CONTRADICTIONS``, one row per report and condition with the pair that stands first in the text; in the
        order of reports and conditions.
    """
    numbered = mentions.select(*_REPORT, "status", *_MENTION).with_row_index("mention")
    affirmed = numbered.filter(status=Status.PRESENT.value).drop("status")
    denied = numbered.filter(status=Status.ABSENT.value).drop("status")
    pairs = denied.join(affirmed, on=_REPORT, suffix="_yes").filter(
        (pl.col("section") != pl.col("section_yes")) & _same_level("level", "level_yes") & _same_side()
    )
    unplaced = pl.col("level").is_null() | pl.col("level_yes").is_null()
    limited = (
        pairs.join(affirmed.select(*_REPORT, "section", own="level"), on=[*_REPORT, "section"])
        .filter((pl.col("own") == pl.col("level_yes")) | (unplaced & _same_level("own", "level_yes")))
        .select("mention", "mention_yes")
    )
    open_pairs = pairs.join(limited, on=("mention", "mention_yes"), how="anti")
    found = open_pairs.select(*_REPORT, *_as_of(Section.FINDINGS), *_as_of(Section.IMPRESSION))
    keys = [name for name in _REPORT if name != "labeller"]
    starts = (f"{Section.FINDINGS.value}_start", f"{Section.IMPRESSION.value}_start")
    first = found.sort(*keys, *starts, "labeller").unique(keys, keep="first", maintain_order=True)
    table = first.select(CONTRADICTIONS.names()).cast(CONTRADICTIONS)
    return in_order(table, "batch_key", "study_key", "report_key")


def _as_of(section: Section) -> list[pl.Expr]:
    """Status, quote and place of whichever of a pair stands in the section."""
    denies = pl.when(pl.col("section") == section.value)
    return [
        denies.then(pl.lit(Status.ABSENT.value))
        .otherwise(pl.lit(Status.PRESENT.value))
        .alias(f"{section.value}_status"),
        denies.then("evidence").otherwise("evidence_yes").alias(f"{section.value}_quote"),
        denies.then("evidence_start").otherwise("evidence_start_yes").alias(f"{section.value}_start"),
    ]


def _same_level(one: str, other: str) -> pl.Expr:
    return pl.col(one).is_null() | pl.col(other).is_null() | (pl.col(one) == pl.col(other))


def _same_side() -> pl.Expr:
    one, other = pl.col("side"), pl.col("side_yes")
    apart = one.is_in(_ONE_SIDED) & other.is_in(_ONE_SIDED) & (one != other)
    return ~apart.fill_null(False)
