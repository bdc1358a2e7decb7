"""Studies of some patients with their vectors in the space of the reports, as arrays.

Belongs here: from tables to arrays, the proof of one space, which reports are alike. Does not belong here: ranks
(``ranking``), what is asked (``scores``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from spine_models.encoder.clip.alike import likeness
from spine_models.findings.embeddings.pooling import stack
from spine_models.findings.embeddings.versions import Table, one_version
from spine_models.findings.retrieval.pool import RetrievalError

BOTH = "t1+t2"
"""Mean of clip's T1 and T2 vectors at unit length, or the one that a study has: all sequences without a synthesizer."""

ALIGN_AGAIN: Final = "materialise embeddings/aligned of every batch again"


@dataclass(frozen=True)
class Studies:
    """N studies in key order.

    Attributes:
        study_keys: [N].
        patient_keys: [N].
        alike: int64 [N], equal for word for word the same report.
        vectors: float32 [N, D] by modality; rows of absent ones are zero and mean nothing.
        present: bool [N] by modality.
        encoders: name of the encoder by modality.
        versions: version of the model by family: clip, synthesizer.
    """

    study_keys: list[str]
    patient_keys: list[str]
    alike: np.ndarray
    vectors: Mapping[str, np.ndarray]
    present: Mapping[str, np.ndarray]
    encoders: Mapping[str, str]
    versions: Mapping[str, str]

    def having(self, *modalities: str) -> np.ndarray:
        """bool [N]: all of these are there; none where nobody has one of them."""
        there = np.ones(len(self.study_keys), dtype=bool)
        for name in modalities:
            there &= self.present.get(name, np.zeros(len(there), dtype=bool))
        return there

    def patients(self, which: np.ndarray) -> list[str]:
        """Patients of ``which`` [N] bool."""
        return [self.patient_keys[i] for i in np.flatnonzero(which)]


def gather_studies(
    aligned: pl.DataFrame, patients: Sequence[str], texts: Mapping[str, str | None]
) -> Studies:
    """The studies of ``patients`` that have any vector.

    Args:
        aligned: embeddings.ALIGNED.
        patients: whose.
        texts: report text by study key, for likeness.

    Raises:
        RetrievalError: two versions of one encoder, two vectors of one study and modality, or not unit vectors.
    """
    versions = one_space(aligned)
    rows = aligned.filter(pl.col("patient_key").is_in(list(patients))).sort("study_key", "modality")
    if rows.select("study_key", "modality").is_duplicated().any():
        raise RetrievalError("a study has two vectors of one modality: materialise embeddings/aligned again")
    pairs = rows.select("study_key", "patient_key").unique(maintain_order=True)
    keys, who = pairs["study_key"].to_list(), pairs["patient_key"].to_list()
    place = {key: n for n, key in enumerate(keys)}
    vectors, present, encoders = {}, {}, {}
    for (modality,), part in rows.group_by("modality", maintain_order=True):
        values = np.zeros((len(keys), len(part["vector"][0])), dtype=np.float32)
        at = [place[key] for key in part["study_key"]]
        values[at] = stack(part["vector"])
        lengths = np.linalg.norm(values[at].astype(np.float64), axis=1)
        if not (np.abs(lengths - 1) < 1e-3).all():
            raise RetrievalError(
                f"vectors of modality {modality} are not finite or not of unit length: materialise "
                "embeddings/aligned again"
            )
        there = np.zeros(len(keys), dtype=bool)
        there[at] = True
        vectors[str(modality)], present[str(modality)] = values, there
        encoders[str(modality)] = str(part["encoder"][0])
    if {"t1", "t2"} & set(vectors):
        both = sum(vectors[name].astype(np.float64) for name in ("t1", "t2") if name in vectors)
        lengths = np.linalg.norm(both, axis=1)
        vectors[BOTH] = (both / np.maximum(lengths, 1e-12)[:, None]).astype(np.float32)
        present[BOTH] = lengths > 1e-6
        encoders[BOTH] = encoders.get("t1") or encoders["t2"]
    labels = likeness(keys, who, [texts.get(key) or "" for key in keys]).numpy()
    return Studies(keys, who, labels[:, 1], vectors, present, encoders, versions)


def one_space(
    vectors: pl.DataFrame, expected: Mapping[str, str] | None = None, *, table: str = "embeddings/aligned"
) -> dict[str, str]:
    """The one version of each family of models in the space: clip, synthesizer.

    Args:
        vectors: encoder and model_version of embeddings.ALIGNED or ALIGNED_SLICES.
        expected: version by family that the vectors must be of; None asks for one version a family, whichever.
        table: name of the vectors' table.

    Raises:
        RetrievalError: vectors of two versions of a family, or of another than expected; names both.
    """
    families = vectors.with_columns(family=pl.col("encoder").str.split("-").list.first())
    told = Table(table, ALIGN_AGAIN, RetrievalError)
    found = one_version(families, told, columns=("model_version",), by="family")
    versions = {family: own["model_version"] for family, own in found.items()}
    for family, version in versions.items():
        wanted = version if expected is None else expected.get(family)
        if version != wanted:
            raise RetrievalError(
                f"{table}: vectors of {family} are of version {version}, what they are compared with is of "
                f"{wanted or 'none'}: {ALIGN_AGAIN}"
            )
    return versions


def one_encoder(vectors: pl.DataFrame) -> None:
    """Refuse study vectors of a route that come from two models or two preprocessings.

    Args:
        vectors: route, encoder, model_version and preprocessing_version of embeddings.STUDIES.

    Raises:
        RetrievalError: as ``embeddings.versions.one_version`` says it.
    """
    one_version(
        vectors,
        Table("embeddings/studies", "materialise embeddings/studies of every batch again", RetrievalError),
    )


def one_of_each(baselines: pl.DataFrame) -> None:
    """Refuse vectors of a baseline and route that come from two models, or from two fits of one.

    Args:
        baselines: encoder, model_version and route of probes.BASELINES.

    Raises:
        RetrievalError: as ``embeddings.versions.one_version`` says it.
    """
    for (name,), own in baselines.sort("encoder").group_by("encoder", maintain_order=True):
        table = Table(f"probes/baselines of {name}", "materialise probes/baselines again", RetrievalError)
        one_version(own, table, columns=("model_version",))
