"""How well the units of one report stand for those of another.

Units of one condition are matched one to one, so that the matched credit is as large as it can be (an assignment
problem, Kuhn 1955, solved per condition). A pair's credit is 1 where both say the same; otherwise the condition earns
its share and each of level, side, severity and certainty that at least one of the two tells earns as much of its share
as they agree: 1 equal, the settings' partial credit where nearly right or told by one of the two alone, 0 wrong. Shares
and the weight ``w`` of a condition are data (``weights.yaml``).

Let ``M`` be the sum of ``w`` times credit over the pairs, ``C`` that of ``w`` over the draft's units and ``R`` over the
reference's. Precision is M / C, recall M / R, and F1 = 2 M / (C + R), their harmonic mean. What follows, and is tested:

- equal sets score 1, and only they do; draft and reference exchanged exchange precision and recall, and leave F1;
- another unit never lowers M, one less never raises it; a unit whose condition the reference lacks lowers precision;
- a report that affirms nothing has precision 1 (nothing of it is wrong), a reference that affirms nothing has recall 1
  (nothing is missing): normal drafted as normal scores 1, anything else beside nothing scores F1 0.

Over many studies M, C and R are summed first (``Tally`` adds up), so that silence on normal studies cannot buy a score.

A draft's unit without a partner is a false positive, a reference's unit without one an omission.

Belongs here: agreement, matching, the tally of one study, the ladder. Does not belong here: where units come from
(``corpus.statements``), intervals and tables (``harness``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, fields
from math import fsum
from typing import Final

import numpy as np
from scipy.optimize import linear_sum_assignment

from spine_models.config.reporting.scores import PartialCredit
from spine_models.corpus.statements import CERTAINTIES, Unit
from spine_models.domain import VERTEBRAE, Severity, Side
from spine_models.reporting.scores.weights import ATTRIBUTES, Weights

GRADED: Final = "graded"
LADDER: Final = ("condition", *ATTRIBUTES)
"""Rungs: a unit counts only where it agrees wholly in everything up to the rung."""

_SEVERITIES: Final = tuple(str(severity) for severity in Severity)


@dataclass(frozen=True)
class Tally:
    """Sums over one study or, added up, over many.

    Attributes:
        credit: M, weighted credit of the matched pairs.
        said: C, weight of the draft's units.
        told: R, weight of the reference's units.
        n_said: the draft's units.
        n_told: the reference's units.
        false_positives: the draft's units without a partner.
        omissions: the reference's units without a partner.
        wrong_level: pairs whose levels are told and differ, the neighbour's too.
        wrong_side: the same of sides.
        wrong_severity: the same of severities.
        false_weight: weight of the false positives.
        omitted_weight: weight of the omissions.
    """

    credit: float = 0.0
    said: float = 0.0
    told: float = 0.0
    n_said: int = 0
    n_told: int = 0
    false_positives: int = 0
    omissions: int = 0
    wrong_level: int = 0
    wrong_side: int = 0
    wrong_severity: int = 0
    false_weight: float = 0.0
    omitted_weight: float = 0.0

    def __add__(self, other: Tally) -> Tally:
        return Tally(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    @property
    def precision(self) -> float:
        """Share of what the draft says that holds; 1 where it says nothing."""
        return self.credit / self.said if self.said else 1.0

    @property
    def recall(self) -> float:
        """Share of what the reference tells that is said; 1 where it tells nothing."""
        return self.credit / self.told if self.told else 1.0

    @property
    def f1(self) -> float:
        """2 M / (C + R); 1 where neither says anything."""
        return 2 * self.credit / (self.said + self.told) if self.said or self.told else 1.0


@dataclass(frozen=True)
class Metric:
    """The metric with its data."""

    weights: Weights
    partial: PartialCredit

    def credit(self, one: Unit, other: Unit) -> float:
        """Credit of a pair, 0 to 1, symmetric; 0 for two conditions."""
        if one.condition != other.condition:
            return 0.0
        earned = whole = self.weights.condition
        for name, share in self.weights.attributes.items():
            agreed = self.agreement(name, getattr(one, name), getattr(other, name))
            if agreed is not None:
                earned, whole = earned + share * agreed, whole + share
        return earned / whole

    def agreement(self, name: str, one: str | None, other: str | None) -> float | None:
        """Agreement of two values of an attribute, 0 to 1; None where neither is told."""
        if one is None and other is None:
            return None
        if one is None or other is None:
            return self.partial.untold
        if one == other:
            return 1.0
        if name == "level":
            return self.partial.neighbour_level if level_steps(one, other) <= 2 else 0.0
        if name == "side":
            lateral = {one, other} <= {Side.LEFT, Side.RIGHT, Side.BILATERAL}
            return self.partial.part_of_side if lateral and Side.BILATERAL in (one, other) else 0.0
        scale: Sequence[str] = _SEVERITIES if name == "severity" else CERTAINTIES
        near = abs(scale.index(one) - scale.index(other)) == 1
        return self.partial.neighbour_grade if near else 0.0

    def match(self, said: Sequence[Unit], told: Sequence[Unit]) -> list[tuple[int, int]]:
        """Pairs of positions, one to one, of the largest weighted credit; all that one of the sides has of a condition.

        Which of several equally good pairings is chosen does not depend on the order of either side, nor on which is
        called draft.
        """
        ours, theirs = _in_order(said), _in_order(told)
        turned = [said[i].order for i in ours] > [told[j].order for j in theirs]
        pairs: list[tuple[int, int]] = []
        for condition in {unit.condition for unit in said} & {unit.condition for unit in told}:
            rows = [i for i in ours if said[i].condition == condition]
            columns = [j for j in theirs if told[j].condition == condition]
            credit = np.array([[self.credit(said[i], told[j]) for j in columns] for i in rows])
            # The same matrix either way round, so that ties are broken alike.
            found = linear_sum_assignment(credit.T if turned else credit, maximize=True)
            chosen = zip(*(reversed(found) if turned else found), strict=True)
            pairs += [(rows[i], columns[j]) for i, j in chosen]
        return sorted(pairs)

    def compare(self, said: Sequence[Unit], told: Sequence[Unit], *, excluded: Collection[str] = ()) -> Tally:
        """Score a draft's units against a reference's.

        Args:
            said: of the draft, folded (``statements.merged``).
            told: of the reference, folded.
            excluded: conditions on which the reference is in doubt; left out on both sides.
        """
        said = [unit for unit in said if unit.condition not in excluded]
        told = [unit for unit in told if unit.condition not in excluded]
        pairs = self.match(said, told)
        wrong = Counter(
            name
            for i, j in pairs
            for name in ("level", "side", "severity")
            if None not in (values := (getattr(said[i], name), getattr(told[j], name)))
            and values[0] != values[1]
        )
        matched = [self._weight(said[i]) for i, _ in pairs]
        total, due = (fsum(map(self._weight, units)) for units in (said, told))
        # Exactly rounded sums: the order of the units leaves no trace, and equal sets score 1 to the last bit.
        return Tally(
            credit=fsum(w * self.credit(said[i], told[j]) for w, (i, j) in zip(matched, pairs, strict=True)),
            said=total,
            told=due,
            n_said=len(said),
            n_told=len(told),
            false_positives=len(said) - len(pairs),
            omissions=len(told) - len(pairs),
            wrong_level=wrong["level"],
            wrong_side=wrong["side"],
            wrong_severity=wrong["severity"],
            false_weight=max(0.0, total - fsum(matched)),
            omitted_weight=max(0.0, due - fsum(matched)),
        )

    def rung(
        self, said: Iterable[Unit], told: Iterable[Unit], rung: str, *, excluded: Collection[str] = ()
    ) -> Tally:
        """The same with credit 1 or 0: 1 where condition and all attributes up to ``rung`` are equal, untold ones too.

        Units count as often as they occur, so a stricter rung never scores higher.

        Args:
            said: as in ``compare``.
            told: as in ``compare``.
            rung: one of ``LADDER``.
            excluded: as in ``compare``.
        """
        names = LADDER[: LADDER.index(rung) + 1]
        ours, theirs = (
            Counter(tuple(getattr(u, name) for name in names) for u in units if u.condition not in excluded)
            for units in (said, told)
        )
        both = ours & theirs

        def weight(units: Counter[tuple[str, ...]]) -> float:
            return fsum(self.weights.conditions[key[0]] * n for key, n in units.items())

        return Tally(
            credit=weight(both),
            said=weight(ours),
            told=weight(theirs),
            n_said=ours.total(),
            n_told=theirs.total(),
            false_positives=(ours - both).total(),
            omissions=(theirs - both).total(),
            false_weight=weight(ours - both),
            omitted_weight=weight(theirs - both),
        )

    def _weight(self, unit: Unit) -> float:
        return self.weights.conditions[unit.condition]


def level_steps(one: str, other: str) -> int:
    """Half steps along the spine between two levels: 1 from a vertebra to the disc below it, 2 from disc to disc."""
    return abs(_position(one) - _position(other))


def _position(level: str) -> int:
    upper, _, lower = level.partition("-")
    return 2 * VERTEBRAE.index(upper) + bool(lower)


def _in_order(units: Sequence[Unit]) -> list[int]:
    return sorted(range(len(units)), key=lambda i: units[i].order)
