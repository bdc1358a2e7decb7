"""Tiny tables for the reporting rooms: studies, series, slices, vectors, and heads that answer as told."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl
import pytest

from spine_models.config import AgentSettings
from spine_models.corpus.deid import tables as deid
from spine_models.corpus.sequences import tables as sequences
from spine_models.corpus.shards import tables as shards
from spine_models.domain import condition_keys
from spine_models.findings.embeddings import tables as embeddings
from spine_models.reporting.agents import diagnose
from spine_models.reporting.agents.evidence import digest
from spine_models.reporting.agents.tables import CLAIMS

LUMBAR = (
    ("T1", "sagittal", "t1"),
    ("T2", "sagittal", "t2"),
    ("STIR", "sagittal", "t2"),
    ("T2", "axial", "t2"),
)


def frame(rows: Sequence[Mapping[str, Any]], schema: pl.Schema) -> pl.DataFrame:
    """Rows with their unnamed columns null, in the schema."""
    return pl.DataFrame([{name: row.get(name) for name in schema} for row in rows], schema=schema)


@dataclass
class StubHeads:
    """Heads that give the same probabilities to every study; the sequence set follows from the vectors."""

    probabilities: Mapping[str, float]
    version: str = "heads-a"
    model_versions: Mapping[str, str] = field(default_factory=lambda: {"t1": "v-t1", "t2": "v-t2"})
    preprocessing_versions: Mapping[str, str] = field(
        default_factory=lambda: dict.fromkeys(("t1", "t2", "other"), "pp")
    )
    seen: list[pl.DataFrame] = field(default_factory=list)

    @property
    def conditions(self) -> tuple[str, ...]:
        return tuple(self.probabilities)

    def predict(self, study_vectors: pl.DataFrame) -> pl.DataFrame:
        self.seen.append(study_vectors)
        rows = []
        for (study,), own in study_vectors.partition_by("study_key", as_dict=True).items():
            routes = sorted(own["route"].unique())
            name = "all" if routes == ["t1", "t2"] else routes[0]
            rows += [(study, c, name, p) for c, p in self.probabilities.items()]
        names = ["study_key", "condition", "sequence_set", "probability"]
        return pl.DataFrame(rows, schema=names, orient="row")


@dataclass
class StubGuards:
    """Guards that say the same of every study: (decision, reason) by condition, and studies that are out of scope."""

    decisions: Mapping[str, tuple[str, str | None]]
    out: Sequence[str] = ()
    version: str = "guards-a"
    heads_version: str = "heads-a"

    def judge(self, vectors: pl.DataFrame, predictions: pl.DataFrame) -> pl.DataFrame:
        assert set(predictions["study_key"]) <= set(vectors["study_key"])
        rows = [
            (*self.decisions[condition], 0.001 if study in self.out else 0.5, study not in self.out)
            for study, condition in predictions.select("study_key", "condition").iter_rows()
        ]
        names = ["decision", "reason", "out_of_scope", "in_scope"]
        return predictions.hstack(pl.DataFrame(rows, schema=names, orient="row"))


@dataclass
class Archive:
    """A few studies in all the tables that the reporting rooms read."""

    studies: pl.DataFrame
    series: pl.DataFrame
    slices: pl.DataFrame
    vectors: pl.DataFrame

    def diagnose(self, heads: StubHeads | None, **settings: Any) -> pl.DataFrame:
        untrained = settings.pop("untrained_versions", ())
        given = {
            name: settings.pop(name, None) for name in ("guards", "points", "findings", "grading", "levels")
        }
        return diagnose(
            self.studies,
            self.vectors,
            self.series,
            self.slices,
            heads,
            settings=AgentSettings(**settings),
            untrained_versions=untrained,
            **given,
        )


def make_archive(
    studies: Mapping[str, Sequence[tuple[str | None, str, str]]],
    *,
    region: str | Mapping[str, str] = "lumbar",
    slices_per_series: int = 5,
    field_strength_t: float | None = 1.5,
) -> Archive:
    """Studies given as {study_key: [(contrast, plane, route), ...]}."""
    study_rows, series_rows, slice_rows, vector_rows = [], [], [], []
    for study, members in studies.items():
        identity = {"batch_key": "internal-0001", "patient_key": f"p-{study}", "study_key": study}
        study_rows.append({**identity, "cohort": "internal", "n_series": len(members), "has_report": False})
        for i, (contrast, plane, route) in enumerate(members):
            series = {**identity, "series_key": f"{study}-s{i}", "contrast": contrast, "route": route}
            series["plane"] = plane
            series["region"] = region if isinstance(region, str) else region[study]
            series_rows.append(
                {**series, "abstained": contrast is None, "field_strength_t": field_strength_t}
            )
            if route == "other":
                continue
            for j in range(slices_per_series):
                instance = f"{study}-s{i}-i{j}"
                slice_rows.append(
                    {
                        **series,
                        "instance_key": instance,
                        "frame": 0,
                        "slice_key": f"{instance}-0000",
                        "slice_index": j,
                        "pixel_hash": digest(instance),
                        "preprocessing_version": "pp",
                    }
                )
        for route in sorted({m[2] for m in members} & {"t1", "t2"}):
            vector_rows.append(
                {
                    **identity,
                    "route": route,
                    "encoder": f"dinov3-{route}",
                    "model_version": f"v-{route}",
                    "preprocessing_version": "pp",
                    "vector": [0.5, 0.25],
                }
            )
    return Archive(
        frame(study_rows, deid.STUDIES),
        frame(series_rows, sequences.SERIES),
        frame(slice_rows, shards.SLICES),
        frame(vector_rows, embeddings.STUDIES),
    )


def made_place(draw: random.Random, study: str, **known: str | None) -> dict[str, Any]:
    """A place on the middle slice of the study's first series; unnamed parts are drawn."""
    drawn = {
        "level": draw.choice(["L4-L5", "C5-C6", None]),
        "side": draw.choice(["left", "right", "bilateral", None]),
        "severity": draw.choice(["mild", "moderate", "severe", None]),
    }
    place = drawn | known
    return place | {
        "confidence": 0.8,
        "level_uncertain": place["level"] is None,
        "supervision": "supervised",
        "series_key": f"{study}-s0",
        "slice_key": f"{study}-s0-i2-0000",
        "instance_key": f"{study}-s0-i2",
        "frame": 0,
        **dict(zip("xywh", (10.0, 20.0, 30.0, 40.0), strict=True)),
        "centre_mm": [1.0, 2.0, 3.0],
    }


def random_claims(seed: int, study: str = "study", *, placed: bool = False) -> pl.DataFrame:
    """17 claims with random statuses; ``placed`` gives some of the affirmed ones places."""
    draw = random.Random(seed)
    weights = draw.choice(
        [(1, 1, 1, 1), (0, 0, 0, 1), (0, 1, 0, 0), (1, 0, 0, 0), (3, 5, 1, 1), (0, 1, 1, 0)]
    )
    rows = []
    for condition in condition_keys():
        status = draw.choices(["present", "absent", "indeterminate", "not_assessed"], weights)[0]
        low, high = {"present": (0.6, 1), "absent": (0, 0.4), "indeterminate": (0.41, 0.59)}.get(
            status, (0, 0)
        )
        known = status != "not_assessed"
        affirmed = status == "present" or (status == "indeterminate" and draw.random() < 0.5)
        sure = draw.choice(["definite", "probable"]) if status == "present" else "possible"
        local = placed and affirmed and draw.random() < 0.5
        places = [made_place(draw, study) for _ in range(draw.choice([1, 1, 2]))] if local else []
        first = places[0] if places else {}
        rows.append(
            {
                "batch_key": "internal-0001",
                "patient_key": f"p-{study}",
                "study_key": study,
                "claim_key": digest(seed, study, condition),
                "agent": f"diagnosis/{condition}",
                "agent_version": "2+heads-a",
                "condition": condition,
                "status": status,
                "certainty": sure if affirmed else None,
                "affirmed": affirmed,
                "reason": None if known else draw.choice(["no T1 or T2 series", "no trained head"]),
                "probability": draw.uniform(low, high) if known else None,
                "confidence": 0.5 if known else None,
                "level": first.get("level"),
                "side": first.get("side"),
                "severity": first.get("severity"),
                "places": places,
                "sequence_set": "all" if known else None,
                "model_versions": ["v-t1", "v-t2"] if known else [],
                "source_series": [f"{study}-s0", f"{study}-s1"] if known else [],
                "source_instances": [f"{study}-s0-i2"] if known else [],
            }
        )
    return frame(rows, CLAIMS)


@pytest.fixture
def archive() -> Callable[..., Archive]:
    return make_archive


@pytest.fixture
def heads() -> Callable[..., StubHeads]:
    return StubHeads


@pytest.fixture
def guards() -> Callable[..., StubGuards]:
    return StubGuards


@pytest.fixture
def claims() -> Callable[..., pl.DataFrame]:
    return random_claims


@pytest.fixture
def lumbar() -> Archive:
    """One complete lumbar study, with a localizer that no agent reads."""
    return make_archive({"study": (*LUMBAR, ("localizer", "sagittal", "other"))})
