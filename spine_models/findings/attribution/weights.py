"""Which series and slices speak for a condition: the calibrated logit of a study, shared out exactly.

A study vector is the mean over series of the mean over slices, so of a route's term every slice brings
(its vector - centre) . weights / (slices of its series * series of the route), and a series the sum of its slices.
Constant and contributions of all series add up to the logit; nothing is left over but the rounding of means that are
stored in single precision.

Belongs here: the shares and their proof. Does not belong here: what happens without a series (``knockouts``).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from spine_models.domain import Plane
from spine_models.findings.attribution.tables import WEIGHTS
from spine_models.findings.attribution.terms import (
    TOLERANCE,
    AttributionError,
    Term,
    constants,
    terms_of,
    widths_of,
)
from spine_models.findings.embeddings.pooling import stack
from spine_models.findings.probes.heads import Heads

_IDENTITY = [
    "batch_key",
    "patient_key",
    "study_key",
    "route",
    "plane",
    "series_key",
    "slice_key",
    "n_slices",
]
STUDIES_AT_ONCE = 64
"""Every slice has a number for every condition before the heaviest are kept; this many studies' are held at once."""

ORDER = ["study_key", "condition", "unit", "rank", "series_key", "slice_key"]
REFRESH = "slice and study vectors are not of one refresh; materialise the embeddings of this batch again"
_CELL = ["study_key", "condition"]


def study_weights(
    slice_vectors: pl.DataFrame,
    study_vectors: pl.DataFrame,
    slices: pl.DataFrame,
    heads: Heads,
    *,
    top_slices: int,
) -> pl.DataFrame:
    """Contribution of every series, and of the heaviest slices of each, to every probability that the heads give.

    Args:
        slice_vectors: embeddings.SLICES of one batch.
        study_vectors: embeddings.STUDIES of the same batch.
        slices: series_key and contrast (shards.SLICES); a series that it lacks has no contrast.
        heads: loaded heads.
        top_slices: slices of each series, by absolute contribution.

    Returns:
        attribution.WEIGHTS. For n series and m slices a study it has at most conditions * (n + min(m, top * n)) rows
        a study.

    Raises:
        HeadsError: vectors of another encoder version than the heads'.
        AttributionError: vectors that are not finite, or slice vectors that the study vectors are not made of.
    """
    widths_of(slice_vectors)
    widths = widths_of(study_vectors)
    judged = heads.predict(study_vectors).with_columns(heads_version=pl.lit(heads.version))
    parts = [pl.DataFrame(schema=WEIGHTS)]
    for (sequence_set,), asked in judged.sort("sequence_set").group_by("sequence_set", maintain_order=True):
        terms = terms_of(heads, str(sequence_set), widths)
        studies = asked["study_key"].unique().sort()
        for start in range(0, len(studies), STUDIES_AT_ONCE):
            some = asked.join(studies[start : start + STUDIES_AT_ONCE].to_frame(), on="study_key", how="semi")
            parts += _of_studies(slice_vectors, study_vectors, some, terms, heads, top_slices)
    contrasts = slices.select("series_key", "contrast").unique(
        "series_key", keep="first", maintain_order=True
    )
    table = pl.concat(parts).drop("contrast").join(contrasts, on="series_key", how="left")
    return table.select(*WEIGHTS).sort(ORDER)


def _of_studies(
    slice_vectors: pl.DataFrame,
    study_vectors: pl.DataFrame,
    asked: pl.DataFrame,
    terms: Mapping[str, Term],
    heads: Heads,
    top_slices: int,
) -> list[pl.DataFrame]:
    """Rows of the asked studies, all judged by one set: their series, then their heaviest slices."""
    conditions = list(heads.card["conditions"])
    cells = _cells(study_vectors, asked, terms, heads)
    rows, brought = _slice_terms(slice_vectors, asked, terms)
    whole = _shared(*_per_series(rows, brought), cells, conditions, over=_CELL)
    _prove(whole, cells)
    found = [whole.with_columns(unit=pl.lit("series")).select(*WEIGHTS)]
    if top_slices:
        heaviest = _shared(rows, brought, cells, conditions, over=["series_key", "condition"])
        heaviest = heaviest.filter(pl.col("rank") <= top_slices).with_columns(unit=pl.lit("slice"))
        found.append(heaviest.select(*WEIGHTS))
    return found


def _cells(
    study_vectors: pl.DataFrame, asked: pl.DataFrame, terms: Mapping[str, Term], heads: Heads
) -> pl.DataFrame:
    """``asked``, all of one set, with the constant and with the logit that the study vectors themselves give."""
    names = list(heads.card["conditions"])
    own = study_vectors.filter(pl.col("route").is_in(list(terms))).join(
        asked.select("study_key").unique(), on="study_key", how="semi"
    )
    kinds = own.sort("route").group_by("study_key").agg(pl.col("route")).sort("study_key")
    keys = kinds.select("study_key").with_row_index("_row")
    constant = np.zeros((kinds.height, len(names)))
    for (routes,), part in kinds.with_row_index("_row").group_by("route", maintain_order=True):
        constant[part["_row"].to_numpy()] = constants(heads, asked["sequence_set"][0], list(routes), terms)
    logit = constant.copy()
    for route, term in terms.items():
        part = own.filter(pl.col("route") == route).join(keys, on="study_key", how="inner")
        if part.height:
            logit[part["_row"].to_numpy()] += term.of(stack(part["vector"]))
    known = pl.DataFrame(
        {
            "study_key": np.repeat(kinds["study_key"].to_numpy(), len(names)),
            "condition": names * kinds.height,
            "constant": constant.ravel(),
            "logit": logit.ravel(),
        },
        schema_overrides={"study_key": pl.String},
    )
    return asked.join(known, on=_CELL, how="left", maintain_order="left")


def _slice_terms(
    slice_vectors: pl.DataFrame, asked: pl.DataFrame, terms: Mapping[str, Term]
) -> tuple[pl.DataFrame, np.ndarray]:
    """Slices of the asked studies, series by series, and what each brings to every condition [N, C]."""
    rows, brought = [], []
    for route, term in terms.items():
        part = (
            slice_vectors.filter(pl.col("route") == route)
            .join(asked.select("study_key").unique(), on="study_key", how="semi")
            .sort("study_key", "series_key", "slice_key")
            .with_columns(
                n_slices=pl.len().over("study_key", "series_key").cast(pl.Int32),
                _n_series=pl.col("series_key").n_unique().over("study_key"),
            )
        )
        if part.height:
            equal = (part["n_slices"] * part["_n_series"]).to_numpy()[:, None]
            brought.append(term.of(stack(part["vector"])) / equal)
            rows.append(part.select(*_IDENTITY))
    if not rows:
        raise AttributionError(f"no slice of {asked['study_key'].n_unique()} studies has a vector: {REFRESH}")
    return pl.concat(rows), np.concatenate(brought)


def _per_series(rows: pl.DataFrame, terms: np.ndarray) -> tuple[pl.DataFrame, np.ndarray]:
    """One row a series, with the sum of its slices' terms; slices of a series are consecutive."""
    groups = (
        rows.with_row_index("_start")
        .group_by("study_key", "series_key", maintain_order=True)
        .agg(
            pl.col("_start").first(),
            pl.when(pl.col("plane").n_unique() == 1)
            .then(pl.col("plane").first())
            .otherwise(pl.lit(Plane.UNKNOWN.value))
            .alias("_plane"),
            pl.exclude("_start", "plane").first(),
        )
    )
    sums = np.add.reduceat(terms, groups["_start"].to_numpy(), axis=0)
    series = groups.with_columns(plane=pl.col("_plane"), slice_key=pl.lit(None, pl.String))
    return series.select(*_IDENTITY), sums


def _shared(
    rows: pl.DataFrame, terms: np.ndarray, cells: pl.DataFrame, conditions: list[str], *, over: list[str]
) -> pl.DataFrame:
    """Long form of ``terms`` for the asked studies and conditions, with shares of the study and ranks ``over``."""
    long = pl.DataFrame(
        {
            "_row": np.repeat(np.arange(rows.height, dtype=np.uint32), len(conditions)),
            "condition": pl.Series(conditions * rows.height, dtype=pl.String),
            "contribution": terms.ravel(),
        }
    )
    weight = pl.col("contribution").abs()
    total = weight.sum().over(_CELL)
    return (
        long.join(rows.with_row_index("_row"), on="_row", how="inner", maintain_order="left")
        .join(cells, on=_CELL, how="inner", maintain_order="left")
        .with_columns(
            share=pl.when(total > 0).then(weight / total).otherwise(0.0),
            rank=weight.rank("ordinal", descending=True).over(over).cast(pl.Int32),
            contrast=pl.lit(None, pl.String),
        )
    )


def _prove(series: pl.DataFrame, cells: pl.DataFrame) -> None:
    """The contributions of all series add up to the probability that the heads gave."""
    sums = series.group_by(_CELL).agg(pl.col("contribution").sum())
    found = cells.join(sums, on=_CELL, how="left").with_columns(pl.col("contribution").fill_null(0.0))
    logit = (found["constant"] + found["contribution"]).to_numpy()
    off = np.abs(0.5 * (1.0 + np.tanh(0.5 * logit)) - found["probability"].to_numpy()) > TOLERANCE
    if off.any():
        raise AttributionError(
            f"{int(off.sum())} of {found.height} probabilities are not the sum of their slices: {REFRESH}"
        )
