"""Several vectors of the same studies compared by recall, on the same queries and the same draws of patients.

Belongs here: gains and differences of ranked queries, paired by patient. Does not belong here: ranks (``ranking``),
whose vectors they are (``comparison``, the ablations).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from spine_models.findings.probes.bootstrap import interval_of, relative
from spine_models.findings.retrieval.ranking import Ranked, drawn_queries, rank_pairs

NOTHING_FOUND: Final = "the other finds no report among its first five: nothing is gained over nothing"


class Sides(NamedTuple):
    """Vectors of N studies in one space: images [N, D] and reports [N, D], row by row the same studies.

    Spaces differ between variants, their D too. Vectors that were never aligned with text reach a space of reports
    through ``linear.to_reports``.
    """

    images: np.ndarray
    reports: np.ndarray


@dataclass(frozen=True)
class Paired:
    """Recall of one variant and its reference's beside it; everything is None where ``reason`` says why.

    Attributes:
        variant: its name.
        n_queries: that counted, the same of every variant.
        n_patients: of them.
        value: recall in 0 .. 1, with its 95 % interval ``low`` .. ``high`` over patients.
        low: lower end.
        high: upper end.
        difference: reference less variant, with its interval; None of the reference itself.
        difference_low: lower end.
        difference_high: upper end.
        relative_gain: reference / variant - 1; None where the variant finds nothing.
        relative_gain_low: lower end, over the replicates in which the variant finds something.
        relative_gain_high: upper end.
        reason: why there is no value, or none of ``relative_gain``.
    """

    variant: str
    n_queries: int
    n_patients: int
    value: float | None = None
    low: float | None = None
    high: float | None = None
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    relative_gain: float | None = None
    relative_gain_low: float | None = None
    relative_gain_high: float | None = None
    reason: str | None = None


def paired_recall(
    variants: Mapping[str, Sides],
    reference: str,
    patients: Sequence[str],
    alike: np.ndarray,
    *,
    k: int = 5,
    bootstrap: int = 1000,
    seed: int = 0,
) -> list[Paired]:
    """Recall at ``k`` of image to report of every variant, the reference first, then by name.

    Args:
        variants: by name, of the same N studies in the same order; one gallery of N reports.
        reference: name of the variant that the others are held against.
        patients: of the studies; another study of the same patient is no rival.
        alike: labels [N] of reports (``studies.Studies.alike``); equal ones are no rivals.
        k: places that count.
        bootstrap: replicates.
        seed: of the draws, the same of every variant.

    Raises:
        ValueError: the reference is not among the variants, or a side has other rows than there are patients.
    """
    if reference not in variants:
        raise ValueError(
            f"{reference} is not among {', '.join(sorted(variants)) or 'no variants'}: give it too"
        )
    for name, sides in variants.items():
        if {len(sides.images), len(sides.reports)} != {len(patients)}:
            raise ValueError(
                f"variant {name} has {len(sides.images)} images and {len(sides.reports)} reports for "
                f"{len(patients)} studies: give every variant the same studies"
            )
    order = sorted(variants, key=lambda name: (name != reference, name))
    return paired_hits(
        {name: rank_pairs(*variants[name], patients, alike) for name in order},
        reference, k=k, bootstrap=bootstrap, seed=seed,
    )  # fmt: skip


def paired_hits(
    ranked: Mapping[str, Ranked], reference: str, *, k: int, bootstrap: int, seed: int
) -> list[Paired]:
    """The same of queries that are ranked already, in the order of ``ranked``.

    Raises:
        ValueError: other queries.
    """
    first = ranked[reference]
    for name, other in ranked.items():
        if not np.array_equal(first.kept, other.kept) or not np.array_equal(first.patients, other.patients):
            raise ValueError(
                f"{name} was asked other queries than {reference}: compare the studies that both have"
            )
    counts = (len(first.above), len(set(first.patients.tolist())))
    if first.reason is not None:
        return [Paired(name, *counts, reason=first.reason) for name in ranked]
    draws = drawn_queries(first.patients, bootstrap, seed)
    asked = draws.sum(axis=1)
    hits = {name: found.hits(k) for name, found in ranked.items()}
    drawn = {name: (draws @ own) / asked for name, own in hits.items()}
    value = {name: float(own.mean()) for name, own in hits.items()}
    rows = []
    for name in ranked:
        about: dict[str, float | str | None] = _named("", value[name], drawn[name])
        if name != reference:
            apart = drawn[reference] - drawn[name]
            about |= _named("difference", value[reference] - value[name], apart)
            gained = float(relative(value[reference], value[name]))
            about |= _named("relative_gain", gained, relative(drawn[reference], drawn[name]))
            about["reason"] = None if np.isfinite(gained) else NOTHING_FOUND
        rows.append(Paired(name, *counts, **about))  # type: ignore[arg-type]
    return rows


def _named(name: str, value: float, replicates: np.ndarray) -> dict[str, float | str | None]:
    """Value and interval under their names; None of all three where there is no value."""
    found = interval_of(value, replicates)
    names = (name, f"{name}_low", f"{name}_high") if name else ("value", "low", "high")
    ends = (value, found.low, found.high)
    kept = np.isfinite(value)
    return {key: end if kept and np.isfinite(end) else None for key, end in zip(names, ends, strict=True)}
