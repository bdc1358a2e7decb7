"""Which vertebral level lies at which height, with the uncertainty that the field of view leaves.

Levels of a region are a ladder: a mean height (mm above the middle of the sagittal slice) per level, learned from the
annotated levels of train patients. A study's own ladder is the mean one moved by a shift, which a ridge regression
reads from the patch tokens of its middle sagittal slice. A finding's height is then compared with every rung: the
probability of a level is that of a normal error whose deviation was measured out of fold.

The count is only settled where an end of the spine is seen: S1 for lumbar, C2 for cervical spines. A finding of a study
whose own ladder puts that end outside the slice is uncertain, however near it lies to a rung; so is one of an unknown
region or without a sagittal slice.

Belongs here: ladders, shifts, distributions over levels. Does not belong here: encoding, scores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from spine_models.domain import DISCS, VERTEBRAE, Region
from spine_models.findings.localization.slices import LinearMap
from spine_models.findings.localization.targets import LEVELS

REGIONS: Final = (Region.CERVICAL.value, Region.THORACIC.value, Region.LUMBAR.value)
ANCHORS: Final = {Region.CERVICAL.value: LEVELS["C2-C3"], Region.LUMBAR.value: LEVELS["L5-S1"]}
"""The rung that settles the count; a thoracic spine alone has none."""
BEYOND: Final = 2
"""Levels beyond the outermost annotated ones that a finding may still be given."""
LEAST_SPREAD_MM: Final = 2.0
SHOWN: Final = 0.05
"""Alternatives less probable than this are not named."""


@dataclass(frozen=True)
class View:
    """The middle sagittal slice of a study.

    Attributes:
        region: of the study; none of ``REGIONS`` where it is not known.
        x_mm: how far to the patient's left its middle lies: the midline.
        z_mm: height of its middle in the patient.
        edge_mm: height of the slice as it was scanned.
        features: [F], of its tokens; None where they were not read.
    """

    region: str
    x_mm: float
    z_mm: float
    edge_mm: float
    features: np.ndarray | None


@dataclass(frozen=True)
class Ladder:
    """Rungs of a region.

    Attributes:
        places: level numbers of ``targets.LEVELS``, ascending by one half [K].
        heights_mm: mean height above the slice's middle [K], falling.
        prior_mm: standard deviation of annotated levels around the mean ladder.
        spread_mm: the same around the study's own ladder, out of fold.
        shift: features to shift, in mm; None where it was not better than the mean.
    """

    places: np.ndarray
    heights_mm: np.ndarray
    prior_mm: float
    spread_mm: float
    shift: LinearMap | None

    def shift_of(self, view: View) -> float:
        """The study's shift in mm; 0 where it cannot be read."""
        if self.shift is None or view.features is None:
            return 0.0
        return float(self.shift(view.features[None])[0, 0])

    def probabilities(
        self, height_mm: float, shift_mm: float, spread_mm: float, wanted: np.ndarray
    ) -> np.ndarray:
        """Probabilities of the rungs ``wanted`` (bool [K]) at a height above the slice's middle; they sum to 1."""
        away = (height_mm - shift_mm - self.heights_mm[wanted]) / spread_mm
        logits = -0.5 * away**2
        weights = np.exp(logits - logits.max())
        return weights / weights.sum()


@dataclass(frozen=True)
class Level:
    """A finding's level.

    Attributes:
        level: the likeliest; None where nothing is known.
        confidence: its probability.
        uncertain: it is below the setting, or the count is not settled.
        alternatives: further levels down to 5 %, likeliest first.
    """

    level: str | None
    confidence: float | None
    uncertain: bool
    alternatives: list[str]


UNKNOWN: Final = Level(None, None, True, [])


@dataclass(frozen=True)
class RegionGuess:
    """Logits of regions from a view's features, for studies whose header does not name theirs."""

    map: LinearMap
    regions: tuple[str, ...]

    def __call__(self, features: np.ndarray, certain: float) -> str | None:
        """The likeliest region; None below ``certain``."""
        logits = self.map(features[None])[0]
        chance = np.exp(logits - np.logaddexp.reduce(logits))
        best = int(np.argmax(chance))
        return self.regions[best] if chance[best] >= certain else None


@dataclass(frozen=True)
class LevelModel:
    """Ladders by region.

    Attributes:
        ladders: by region; none where too few train patients have annotated levels.
        by_vertebra: conditions that are named by vertebra rather than by disc.
        certain: probability below which a level or a guessed region is uncertain.
        route: whose sagittal slices the views are.
        guess: of unknown regions; None where it could not be fitted.
    """

    ladders: dict[str, Ladder]
    by_vertebra: tuple[str, ...]
    certain: float
    route: str
    guess: RegionGuess | None = None

    def placed(self, view: View) -> View:
        """The view with its region guessed where it is not known."""
        if view.region in REGIONS or view.features is None or self.guess is None:
            return view
        return replace(view, region=self.guess(view.features, self.certain) or view.region)

    def level(self, view: View | None, condition: str, z_mm: float | None, *, prior: bool = False) -> Level:
        """Level of a finding of a condition at height ``z_mm`` (LPS); ``prior`` leaves the study's shift out."""
        ladder = None if view is None else self.ladders.get(view.region)
        if view is None or ladder is None or z_mm is None or not np.isfinite(z_mm):
            return UNKNOWN
        seen = not prior and ladder.shift is not None and view.features is not None
        shift, spread = (ladder.shift_of(view), ladder.spread_mm) if seen else (0.0, ladder.prior_mm)
        named = name_of_vertebra if condition in self.by_vertebra else name_of_disc
        wanted = np.array([named(place) is not None for place in ladder.places])
        if not wanted.any():
            return UNKNOWN
        chance = ladder.probabilities(z_mm - view.z_mm, shift, spread, wanted)
        order = np.argsort(-chance, kind="stable")
        names = [str(named(place)) for place in ladder.places[wanted][order]]
        best = float(chance[order[0]])
        settled = self.settled(view, shift)
        others = [name for name, p in zip(names[1:], chance[order[1:]], strict=True) if p >= SHOWN]
        return Level(names[0], best, best < self.certain or not settled, others)

    def settled(self, view: View, shift_mm: float) -> bool:
        """Whether the end that settles the count lies in the slice, by the study's own ladder."""
        ladder, anchor = self.ladders[view.region], ANCHORS.get(view.region)
        if anchor is None or not np.isin(anchor, ladder.places):
            return False
        height = float(ladder.heights_mm[ladder.places == anchor][0]) + shift_mm
        return abs(height) < view.edge_mm / 2

    def card(self) -> dict[str, Any]:
        """What ``of`` needs beside the arrays."""
        return {
            "certain": self.certain,
            "route": self.route,
            "guessed": None if self.guess is None else list(self.guess.regions),
            "by_vertebra": list(self.by_vertebra),
            "regions": {
                region: {
                    "prior_mm": ladder.prior_mm,
                    "spread_mm": ladder.spread_mm,
                    "first": float(ladder.places[0]),
                }
                for region, ladder in sorted(self.ladders.items())
            },
        }

    def arrays(self) -> dict[str, np.ndarray]:
        """Heights and shift maps by name."""
        out = {}
        for region, ladder in self.ladders.items():
            out[f"level.{region}.heights"] = ladder.heights_mm
            if ladder.shift is not None:
                out[f"level.{region}.weights"] = ladder.shift.weights
                out[f"level.{region}.bias"] = ladder.shift.bias
        if self.guess is not None:
            out |= {"region.weights": self.guess.map.weights, "region.bias": self.guess.map.bias}
        return out

    @classmethod
    def of(cls, card: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> LevelModel:
        """The model again from ``card`` and ``arrays``."""
        ladders = {}
        for region, held in card["regions"].items():
            heights = arrays[f"level.{region}.heights"].astype(np.float64)
            shift = None
            if f"level.{region}.weights" in arrays:
                shift = LinearMap(
                    arrays[f"level.{region}.weights"].astype(np.float64),
                    arrays[f"level.{region}.bias"].astype(np.float64),
                )
            places = held["first"] + 0.5 * np.arange(len(heights))
            ladders[region] = Ladder(places, heights, held["prior_mm"], held["spread_mm"], shift)
        guess = None
        if card["guessed"] is not None:
            named = LinearMap(arrays["region.weights"].astype(float), arrays["region.bias"].astype(float))
            guess = RegionGuess(named, tuple(card["guessed"]))
        return cls(ladders, tuple(card["by_vertebra"]), card["certain"], card["route"], guess)


def name_of_disc(place: float) -> str | None:
    """Disc of a level number, None where it is a vertebra or beyond the named discs."""
    number = int(np.floor(place)) - 1
    return DISCS[number] if place % 1 == 0.5 and 0 <= number < len(DISCS) else None


def name_of_vertebra(place: float) -> str | None:
    """Vertebra of a level number, None where it is a disc or beyond the named vertebrae."""
    return VERTEBRAE[int(place)] if place % 1 == 0 and 0 <= place < len(VERTEBRAE) else None


def region_of(levels: Sequence[str]) -> str | None:
    """Region of annotated levels by majority of their upper vertebra; None without any."""
    letters = [level[0] for level in levels if level in LEVELS]
    names = {"C": REGIONS[0], "T": REGIONS[1], "L": REGIONS[2], "S": REGIONS[2]}
    return names[max(sorted(set(letters)), key=letters.count)] if letters else None


def mean_ladder(
    places: np.ndarray, heights_mm: np.ndarray, studies: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Rungs and mean heights of annotated levels, free of which studies annotate which levels.

    Heights are modelled as rung + shift of the study, by alternating means (both converge to least squares up to a
    constant, which is set so that the shifts' mean is 0). Rungs without annotation lie between their neighbours, those
    beyond follow at the mean step.

    Args:
        places: level number of each annotation [N].
        heights_mm: above the slice's middle [N].
        studies: number of its study, 0 .. S - 1 [N].
    """
    known = np.unique(places)
    member = np.searchsorted(known, places)
    rungs = np.bincount(member, heights_mm) / np.bincount(member)
    shifts = np.zeros(int(studies.max()) + 1)
    for _ in range(200):
        counts = np.bincount(studies, minlength=len(shifts))
        # One annotation more at a shift of 0 keeps studies of one level from taking a rung with them.
        shifts = np.bincount(studies, heights_mm - rungs[member], minlength=len(shifts)) / (counts + 1)
        moved = np.bincount(member, heights_mm - shifts[studies]) / np.bincount(member)
        if np.abs(moved - rungs).max() < 1e-6:
            break
        rungs = moved
    rungs = rungs + shifts[np.unique(studies)].mean()
    step = float(np.polyfit(known, rungs, 1)[0]) if len(known) > 1 else -30.0
    all_places = np.arange(known[0] - BEYOND, known[-1] + BEYOND + 0.25, 0.5)
    inside = np.interp(all_places, known, rungs)
    below, above = all_places < known[0], all_places > known[-1]
    inside[below] = rungs[0] + step * (all_places[below] - known[0])
    inside[above] = rungs[-1] + step * (all_places[above] - known[-1])
    return all_places, inside
