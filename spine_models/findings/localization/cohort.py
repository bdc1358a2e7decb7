"""What localization is fitted on and judged by: annotated series, their slices, their vectors, their boxes.

Belongs here: the join, the caps on studies and slices, pools of one condition, route and split. Does not belong here:
the box rule (``targets``), fitting.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from spine_models.config import LocalizationSettings
from spine_models.findings.localization.slices import slice_features, with_extent
from spine_models.findings.localization.targets import boxes_of
from spine_models.findings.localization.tokens import LocalizationError
from spine_models.findings.localization.versions import NAMES, check_same_preprocessing, versions_of


@dataclass(frozen=True)
class Pool:
    """Slices of the annotated series of one condition, route and split.

    Attributes:
        rows: shards.SLICES with series_first and series_last, whole series, sorted by study, series and slice.
        vectors: [N, D].
        labels: 1 where the slice is annotated with the condition, else 0 [N].
    """

    rows: pl.DataFrame
    vectors: np.ndarray
    labels: np.ndarray

    @property
    def features(self) -> np.ndarray:
        """Features [N, F] of ``slices.slice_features``."""
        return slice_features(self.rows, self.vectors)

    @property
    def annotated(self) -> pl.DataFrame:
        """The rows that are annotated."""
        return self.rows.filter(pl.Series(self.labels == 1))

    @property
    def n_patients(self) -> int:
        """Patients with an annotated slice."""
        return self.annotated["patient_key"].n_unique()

    @property
    def studies(self) -> np.ndarray:
        """Number of each row's study [N]."""
        return np.unique(self.rows["study_key"].to_numpy(), return_inverse=True)[1]


@dataclass(frozen=True)
class Cohort:
    """Targets of all batches and the slices of their series; vectors by route, in the order of ``place``."""

    targets: pl.DataFrame
    slices: pl.DataFrame
    vectors: dict[str, np.ndarray]
    settings: LocalizationSettings

    @classmethod
    def of(
        cls,
        targets: pl.DataFrame,
        slices: pl.DataFrame,
        vectors: pl.DataFrame,
        *,
        settings: LocalizationSettings,
    ) -> Cohort:
        """Join the slices of annotated series to their vectors.

        Args:
            targets: tables.TARGETS.
            slices: shards.SLICES of the annotated series, whole series.
            vectors: embeddings.SLICES of the same; slices without a vector are left out.
            settings: the caps.

        Raises:
            LocalizationError: vectors that are not finite or, in a route, of several lengths or versions of encoder
                or preprocessing; vectors of another preprocessing than the shards.
        """
        check_same_preprocessing(slices, vectors)
        extended = with_extent(slices).drop("split", "preprocessing_version")
        splits = targets.select("patient_key", "split").unique()
        rows = (
            extended.join(
                vectors.select("slice_key", "model_version", "preprocessing_version", "vector"),
                on="slice_key",
                how="inner",
            )
            .join(splits, on="patient_key", how="inner")
            .sort("route", "study_key", "series_key", "slice_index", "slice_key")
            .with_columns(place=pl.int_range(pl.len()).over("route").cast(pl.Int64))
        )
        for column in NAMES:
            versions_of(rows, column)
        held = {}
        for (route,), part in rows.group_by("route", maintain_order=True):
            if part["vector"].list.len().n_unique() > 1:
                raise LocalizationError(
                    f"slice vectors of route {route!r} come from two encoders: materialise the embeddings again"
                )
            matrix = part["vector"].explode().to_numpy().reshape(part.height, -1)
            if not np.isfinite(matrix).all():
                raise LocalizationError(
                    f"slice vectors of route {route!r} are not finite: materialise the embeddings again"
                )
            held[str(route)] = matrix
        return cls(targets, rows.drop("vector"), held, settings)

    @property
    def model_versions(self) -> dict[str, str]:
        """Encoder version by route."""
        return versions_of(self.slices, "model_version")

    @property
    def preprocessing_versions(self) -> dict[str, str]:
        """Preprocessing version by route."""
        return versions_of(self.slices, "preprocessing_version")

    def pool(self, condition: str, route: str, split: str) -> Pool:
        """The pool of a condition, route and split; at most ``max_studies`` studies, drawn by their keys' hash."""
        own = self.targets.filter(pl.col("positive"), condition=condition, route=route, split=split)
        own = own.join(self.slices.select("slice_key"), on="slice_key", how="semi")
        studies = own["study_key"].unique()
        if len(studies) > self.settings.max_studies:
            order = studies.hash(self.settings.seed).arg_sort()
            studies = studies.gather(order[: self.settings.max_studies])
            own = own.filter(pl.col("study_key").is_in(studies.implode()))
        rows = self.slices.filter(pl.col("route") == route).join(
            own.select("series_key").unique(), on="series_key", how="semi", maintain_order="left"
        )
        vectors = self.vectors.get(route, np.zeros((0, 0), np.float32))[rows["place"].to_numpy()]
        labels = rows["slice_key"].is_in(own["slice_key"].unique().implode()).to_numpy().astype(np.int8)
        return Pool(rows, vectors, labels)

    def capped(self, rows: pl.DataFrame) -> pl.DataFrame:
        """At most ``max_slices`` rows, drawn by their keys' hash."""
        if rows.height <= self.settings.max_slices:
            return rows
        return rows[rows["slice_key"].hash(self.settings.seed).arg_sort()[: self.settings.max_slices]]

    def boxes(self, condition: str) -> dict[str, np.ndarray]:
        """Boxes [B, 4] of a condition's findings by slice key."""
        own = self.targets.filter(pl.col("positive"), condition=condition)
        return {str(key): boxes_of(part) for (key,), part in own.group_by("slice_key")}
