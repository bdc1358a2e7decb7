"""Claims with places: random ones of every kind, and single ones as a test needs them."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl
import pytest

from spine_models.corpus.labels.rules.lexicon import lexicon
from spine_models.domain import DISCS_OF_REGION, Region, condition_keys
from spine_models.reporting.agents.evidence import digest
from spine_models.reporting.agents.tables import CLAIMS

VERTEBRAE = {
    Region.CERVICAL: [f"C{i}" for i in range(2, 8)],
    Region.THORACIC: [f"T{i}" for i in range(1, 13)],
    Region.LUMBAR: [f"L{i}" for i in range(1, 6)],
}
MIXES = [(1, 1, 1, 1), (0, 0, 0, 1), (0, 1, 0, 0), (1, 0, 0, 0), (3, 5, 1, 1), (0, 1, 1, 0), (5, 0, 0, 1)]


def make_place(study: str, number: int, **told: Any) -> dict[str, Any]:
    """A place on the study's first series; ``told`` gives level, side, severity and whatever differs."""
    key = f"{study}-s0-i{number % 5}"
    place = {
        "level": None, "side": None, "severity": None, "confidence": 0.4, "level_uncertain": False,
        "supervision": "supervised", "series_key": f"{study}-s0", "slice_key": f"{key}-0000",
        "instance_key": key, "frame": 0, "x": 10.0 + number, "y": 20.0, "w": 30.0, "h": 15.0,
        "centre_mm": [1.0, 2.0, float(number)],
    }  # fmt: skip
    return place | told


def make_claim(
    condition: str,
    status: str = "absent",
    *,
    study: str = "study",
    seed: object = 0,
    places: Sequence[Mapping[str, Any]] = (),
    certainty: str | None = None,
    reason: str | None = None,
    probability: float | None = None,
) -> dict[str, Any]:
    """A row of CLAIMS; affirmed where it is present or its certainty is ``possible``."""
    known = status != "not_assessed"
    affirmed = status == "present" or certainty is not None
    certainty = (certainty or "definite") if affirmed else None
    guess = {"present": 0.9, "absent": 0.1, "indeterminate": 0.5}.get(status)
    placed = [make_place(study, i, **place) for i, place in enumerate(places)] if affirmed else []
    return {
        "batch_key": "internal-0001",
        "patient_key": f"p-{study}",
        "study_key": study,
        "claim_key": digest(seed, study, condition),
        "agent": f"diagnosis/{condition}",
        "agent_version": "1+heads-a",
        "condition": condition,
        "status": status,
        "certainty": certainty,
        "affirmed": affirmed,
        "reason": reason if known else reason or "no T1 or T2 series",
        "probability": probability if probability is not None else guess,
        "confidence": 0.5 if known else None,
        "level": placed[0]["level"] if placed else None,
        "side": placed[0]["side"] if placed else None,
        "severity": placed[0]["severity"] if placed else None,
        "places": placed,
        "sequence_set": "all" if known else None,
        "model_versions": ["v-t1", "v-t2"] if known else [],
        "source_series": [f"{study}-s0", f"{study}-s1"] if known else [],
        "source_instances": [f"{study}-s0-i2"] if known else [],
    }


def claims_frame(rows: Sequence[Mapping[str, Any]], study: str = "study") -> pl.DataFrame:
    """17 claims: those given, and absent ones of every other condition."""
    given = {row["condition"]: row for row in rows}
    return pl.DataFrame([given.get(c) or make_claim(c, study=study) for c in condition_keys()], schema=CLAIMS)


def random_places(draw: random.Random, condition: str, region: Region) -> list[dict[str, Any]]:
    """None to three places with levels that readers of the region use for the condition."""
    phrases = lexicon().of(condition)
    region = region if region in VERTEBRAE else draw.choice(list(VERTEBRAE))
    discs, bodies = list(DISCS_OF_REGION[region]), VERTEBRAE[region]
    pool = {"disc": discs, "vertebra": bodies, "any": [*discs, *bodies]}[phrases.level_kind]
    sides = ["left", "right", "bilateral", "central", None]
    return [
        {
            "level": draw.choice([*pool, None]),
            "side": draw.choice(sides),
            "severity": draw.choice(["mild", "moderate", "severe", None, None]),
            "supervision": draw.choice(["supervised", "weak"]),
        }
        for _ in range(draw.choice([0, 1, 1, 1, 2, 3]))
    ]


def random_claims(
    seed: int, study: str = "study", *, region: str = "lumbar", placed: bool = True
) -> pl.DataFrame:
    """17 claims with random statuses, certainties and places; the same seed gives the same claims."""
    draw = random.Random(seed)
    weights = draw.choice(MIXES)
    rows = []
    for condition in condition_keys():
        status = draw.choices(["present", "absent", "indeterminate", "not_assessed"], weights)[0]
        certainty = None
        if status == "present":
            certainty = draw.choice(["definite", "probable"])
        elif status == "indeterminate" and draw.random() < 0.5:
            certainty = "possible"
        rows.append(
            make_claim(
                condition,
                status,
                study=study,
                seed=seed,
                places=random_places(draw, condition, Region(region)) if placed else (),
                certainty=certainty,
                reason=draw.choice(["no T1 or T2 series", "no trained head"])
                if status == "not_assessed"
                else None,
                probability={"present": draw.uniform(0.6, 1), "absent": draw.uniform(0, 0.4)}.get(
                    status, draw.uniform(0.41, 0.59)
                )
                if status != "not_assessed"
                else None,
            )
        )
    return pl.DataFrame(rows, schema=CLAIMS)


@pytest.fixture
def claims() -> Callable[..., pl.DataFrame]:
    return random_claims


@pytest.fixture
def claim() -> Callable[..., dict[str, Any]]:
    return make_claim


@pytest.fixture
def filled() -> Callable[..., pl.DataFrame]:
    return claims_frame
