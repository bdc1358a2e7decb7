"""What every level of a study looks like: one view per disc and vertebra, of the midline and of either side.

Where a level lies in the patient is known by the study's own ladder (``localization.levels``); every sagittal slice is
looked at there (``glances``). Slices near the midline make the view's ``centre``, those beyond ``lateral_mm`` its
sides; over slices the mean and the maximum of the tokens count, the mean and the range of the pixels. A side without
slices is seen as the centre.

What a level looks like is then compared with the other levels of the same study: their mean is taken off, and with it
most of what a patient and a scanner have in common. A part that no slice shows is 0: like the other levels.

Belongs here: these vectors. Does not belong here: where levels lie (``places``), one slice (``glances``), heads
(``fit``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import polars as pl

from spine_models.config import LocalizationSettings
from spine_models.findings.levelwise.glances import COLUMNS, ROWS, Glance, glances_of
from spine_models.findings.levelwise.places import (
    CENTRE,
    LEFT,
    PARTS,
    RIGHT,
    levels_in_view,
    part_of,
    sagittal_slices,
    showing,
    shown_on,
)
from spine_models.findings.levelwise.tables import VIEWS
from spine_models.findings.localization.level_fit import features_of, view_rows, views_of
from spine_models.findings.localization.levels import LevelModel
from spine_models.findings.localization.models import Models
from spine_models.findings.localization.tokens import Sources

ROUTES: Final = ("t1", "t2", "other")
"""Order of a vector's parts; the last has no encoder of its own and is seen by its pixels alone."""


AT_ONCE: Final = 50
"""Studies whose glances are held at a time."""


@dataclass
class Seen:
    """Glances of one study by level, route and part of the view."""

    held: dict[tuple[str, str, str], list[Glance]] = field(default_factory=lambda: defaultdict(list))

    def add(self, level: str, route: str, part: str, glance: Glance) -> None:
        """Keep one."""
        self.held[level, route, part].append(glance)

    @property
    def levels(self) -> set[str]:
        """That any slice shows."""
        return {level for level, _, _ in self.held}

    @property
    def routes(self) -> list[str]:
        """That show any, in the order of a vector's parts."""
        found = {route for _, route, _ in self.held}
        return [route for route in ROUTES if route in found]

    def glances(self, level: str, route: str, part: str) -> list[Glance]:
        """Of a part; a side without slices is seen as the centre, a centre without as all slices."""
        own = self.held.get((level, route, part)) or self.held.get((level, route, CENTRE))
        return own or [one for each in PARTS for one in self.held.get((level, route, each), [])]


def look(
    slices: pl.DataFrame, models: Models, sources: Sources, *, settings: LocalizationSettings
) -> pl.DataFrame:
    """tables.VIEWS of the studies of ``slices``, sorted by study and from head to tail.

    Studies without a sagittal slice that has a place in the patient, of a region without a ladder, or with a single
    level in view have no row.

    Args:
        slices: shards.SLICES of whole studies.
        models: of localization, for the ladders.
        sources: encoders and shards of the same batches.
        settings: sizes in mm.

    Raises:
        LocalizationError: encoders or slices of other versions than the ladders were fitted with, a batch without
            shards, or tokens that are not finite.
        EmbeddingError: shards and slice table do not belong together.
    """
    models.check_encoders({route: encoder.version for route, encoder in sources.encoders.items()})
    models.check_rows(slices)
    if models.levels is None or not models.levels.ladders:
        return pl.DataFrame(schema=VIEWS)
    studies = slices["study_key"].unique().sort().to_list()
    groups = (studies[at : at + AT_ONCE] for at in range(0, len(studies), AT_ONCE))
    parts = [
        _look(slices.filter(pl.col("study_key").is_in(group)), models, models.levels, sources, settings)
        for group in groups
    ]
    return pl.concat([pl.DataFrame(schema=VIEWS), *parts])


def _look(
    slices: pl.DataFrame,
    models: Models,
    ladders: LevelModel,
    sources: Sources,
    settings: LocalizationSettings,
) -> pl.DataFrame:
    middles = view_rows(slices, ladders.route)
    views = views_of(middles, features_of(middles, sources), ladders)
    levels = {study: levels_in_view(view, ladders) for study, view in views.items()}
    wanted = sagittal_slices(slices, [study for study, found in levels.items() if found])
    rows = {row["slice_key"]: row for row in wanted.iter_rows(named=True)}
    seen: dict[str, Seen] = defaultdict(Seen)
    lateral, route = settings.levelwise.lateral_mm, ladders.route
    for key, image, tokens in sources.images(wanted):
        row = rows[key]
        study = row["study_key"]
        part = part_of(row["x_mm"], views[study].x_mm, lateral)
        for level, glance in glances_of(image, tokens, row, levels[study], settings).items():
            seen[study].add(level, row["route"], part, glance)
    widths = {route: encoder.dim // 3 for route, encoder in sources.encoders.items()}
    encoders = sorted(f"{route}:{encoder.version}" for route, encoder in sources.encoders.items())
    of_study = {str(key): part for (key,), part in wanted.partition_by("study_key", as_dict=True).items()}
    out: list[dict[str, Any]] = []
    for study in sorted(seen):
        view, found = views[study], [level for level in levels[study] if level in seen[study].levels]
        if len(found) < 2:
            continue
        own = of_study[study]
        first = own.row(0, named=True)
        shown = {
            level: shown_on(showing(own, levels[study][level]), view.x_mm, lateral, route) for level in found
        }
        ladder = ladders.ladders[view.region]
        vectors = compared(seen[study], found, widths)
        for level in found:
            out.append(
                {name: first[name] for name in ("batch_key", "patient_key", "study_key")}
                | {
                    "region": view.region,
                    "level": level,
                    "z_mm": levels[study][level],
                    "settled": ladders.settled(view, ladder.shift_of(view)),
                    "routes": seen[study].routes,
                    "models_version": models.version,
                    "model_versions": encoders,
                    "preprocessing_version": first["preprocessing_version"],
                }
                | {f"{part}_slice": shown[level][part] for part in PARTS}
                | {part: vectors[level, part] for part in PARTS}
            )
    return pl.DataFrame(out, schema=VIEWS)


def compared(
    seen: Seen, levels: Sequence[str], widths: Mapping[str, int]
) -> dict[tuple[str, str], np.ndarray]:
    """Vector float32 [F] by level and part: what each level has beside the mean of the study's levels.

    Both sides are compared with the mean of both, so that a difference between the sides stays.

    Args:
        seen: of one study.
        levels: in view.
        widths: width of a token by route with an encoder.
    """
    found: dict[tuple[str, str], list[np.ndarray]] = {(level, part): [] for level in levels for part in PARTS}
    for route in ROUTES:
        nothing = np.zeros(2 * widths.get(route, 0) + 2 * ROWS * COLUMNS, np.float32)
        own = {
            (level, part): summary(glances)
            for level in levels
            for part in PARTS
            if (glances := seen.glances(level, route, part))
        }
        means = {
            part: np.mean([vector for (_, one), vector in own.items() if one == part] or [nothing], axis=0)
            for part in PARTS
        }
        means[LEFT] = means[RIGHT] = (means[LEFT] + means[RIGHT]) / 2
        for (level, part), parts in found.items():
            vector = own.get((level, part))
            parts.append(nothing if vector is None else vector - means[part])
    return {place: np.concatenate(parts).astype(np.float32) for place, parts in found.items()}


def summary(glances: Sequence[Glance]) -> np.ndarray:
    """One vector of several slices: mean and maximum of tokens, mean and range of pixels."""
    pixels = np.stack([one.pixels for one in glances])
    parts = [pixels.mean(axis=0), pixels.max(axis=0) - pixels.min(axis=0)]
    tokens = [one.tokens for one in glances if one.tokens is not None]
    if tokens:
        stacked = np.stack(tokens)
        parts = [stacked[:, 0].mean(axis=0), stacked[:, 1].max(axis=0), *parts]
    return np.concatenate(parts)
