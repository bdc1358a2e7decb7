"""How often the level is right, on the test patients' annotated findings at their annotated places.

Belongs here: exact and within-one accuracy with intervals over patients, calibration, the share called uncertain, the
same of the prior (the mean ladder, which looks at no pixel). Does not belong here: ladders (``levels``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import polars as pl

from spine_models.config import LocalizationSettings
from spine_models.domain import Split
from spine_models.findings.localization.evaluate import interval
from spine_models.findings.localization.levels import REGIONS, LevelModel, View, region_of
from spine_models.findings.localization.reading import MODEL, PRIOR
from spine_models.findings.localization.tables import LEVEL_SCORES
from spine_models.findings.localization.targets import LEVELS
from spine_models.findings.probes.scores import calibration_error, patient_draws

ALL: Final = "all"
_DISC, _VERTEBRA = "disc", "vertebra"


def score_levels(
    model: LevelModel, targets: pl.DataFrame, views: Mapping[str, View], *, settings: LocalizationSettings
) -> pl.DataFrame:
    """tables.LEVEL_SCORES: per region and over all, of the model and of the prior.

    An annotation counts once per study, level and condition. It is judged among discs where it names a disc, among
    vertebrae where it names a vertebra. Annotations of studies without a view count as wrong and uncertain.
    """
    own = targets.filter(
        pl.col("split") == Split.TEST.value, pl.col("level").is_in(list(LEVELS)), pl.col("z_mm").is_not_null()
    )
    rows = (
        own.group_by("patient_key", "study_key", "condition", "level")
        .agg(pl.col("z_mm").mean())
        .sort("study_key", "condition", "level")
    )
    judged = LevelModel(model.ladders, (_VERTEBRA,), model.certain, model.route, model.guess)
    found: list[dict[str, object]] = []
    for row in rows.iter_rows(named=True):
        view = views.get(row["study_key"])
        named = _DISC if "-" in row["level"] else _VERTEBRA
        for method in (MODEL, PRIOR):
            level = judged.level(view, named, row["z_mm"], prior=method == PRIOR)
            away = abs(LEVELS[level.level] - LEVELS[row["level"]]) if level.level else np.inf
            found.append(
                {
                    "patient_key": row["patient_key"],
                    "region": region_of([row["level"]]),
                    "method": method,
                    "exact": float(away == 0),
                    "within_one": float(away <= 1),
                    "confidence": level.confidence or 0.0,
                    "uncertain": level.uncertain,
                }
            )
    schema = {
        "patient_key": pl.String, "region": pl.String, "method": pl.String, "exact": pl.Float64,
        "within_one": pl.Float64, "confidence": pl.Float64, "uncertain": pl.Boolean,
    }  # fmt: skip
    frame = pl.DataFrame(found, schema=schema)
    scored = [
        _row(
            frame if region == ALL else frame.filter(pl.col("region") == region),
            region,
            method,
            model,
            settings,
        )
        for region in (*REGIONS, ALL)
        for method in (MODEL, PRIOR)
    ]
    return pl.DataFrame(scored, schema=LEVEL_SCORES)


def _row(
    frame: pl.DataFrame, region: str, method: str, model: LevelModel, settings: LocalizationSettings
) -> dict[str, object]:
    rows = frame.filter(pl.col("method") == method)
    names, member = np.unique(rows["patient_key"].to_numpy(), return_inverse=True)
    row: dict[str, object] = {
        "region": region, "method": method, "n_patients": len(names), "n_annotations": rows.height
    }  # fmt: skip
    reason = None
    if len(names) < 2:
        reason = f"{len(names)} test patients with an annotated level, 2 are needed"
    elif region != ALL and region not in model.ladders:
        reason = f"no ladder: fewer than {settings.min_patients} train patients with annotated levels"
    elif not model.ladders:
        reason = "no region has a ladder"
    if reason is not None:
        return row | {"status": "not_evaluable", "reason": reason}
    draws = patient_draws(len(names), settings.bootstrap, [settings.seed, len(names)])[:, member]
    for name in ("exact", "within_one"):
        ends = interval(rows[name].to_numpy(), draws, rows["patient_key"].to_numpy())
        row |= dict(zip((name, f"{name}_low", f"{name}_high"), ends, strict=True))
    certain = rows.filter(~pl.col("uncertain"))
    return row | {
        "status": "evaluated",
        "ece": calibration_error(rows["exact"].to_numpy(), rows["confidence"].to_numpy()),
        "uncertain": float(rows["uncertain"].mean()),  # type: ignore[arg-type]
        "exact_certain": certain["exact"].mean(),
    }
