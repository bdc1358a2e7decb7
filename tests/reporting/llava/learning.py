"""Made-up studies whose reports follow from their images, for the trainings' tests."""

from __future__ import annotations

from typing import Any

import numpy as np

from spine_models.config import LlavaSettings
from spine_models.domain import condition_keys
from spine_models.reporting.agents.serialised import serialise
from spine_models.reporting.llava.examples import ReportStudy
from spine_models.reporting.llava.images import StudyImages
from spine_models.reporting.llava.sequence import Turn
from spine_models.reporting.llava.studies import known_line

DIM = 12
SAYINGS = {
    "canal": ("Severe spinal canal stenosis at L4-L5.", "No spinal canal stenosis."),
    "fracture": ("Compression fracture of L2.", "No fracture."),
    "edema": ("Marrow edema at L1.", "No marrow edema."),
}


def claim(condition: str, **about: Any) -> dict[str, Any]:
    row = {"study_key": "s", "condition": condition, "status": "absent", "affirmed": False, "certainty": None}
    return row | {"places": [], "level": None, "side": None, "severity": None} | about


def line_of(present: dict[str, dict[str, Any]]) -> str:
    """A line of tokens of which the conditions named are present."""
    there = {"status": "present", "affirmed": True, "certainty": "definite"}
    return serialise(claim(c, **(there | present[c])) if c in present else claim(c) for c in condition_keys())


def study(number: int, *, prefix: str = "t", images: bool = True, report: bool = True) -> ReportStudy:
    """A study that shows by its vectors which of three conditions it has."""
    draw = np.random.default_rng([number, len(prefix)])
    there = draw.random(3) < 0.5
    sentences = [said[0 if has else 1] for said, has in zip(SAYINGS.values(), there, strict=True)]
    target = "FINDINGS:\n" + " ".join(sentences) if report else ""
    n = 3 + number % 4
    vectors = draw.normal(size=(n, DIM)).astype(np.float32) * 0.3
    vectors[:, :3] += np.where(there, 2.0, -2.0)
    seen = StudyImages(
        vectors=vectors,
        route=np.sort(draw.integers(3, size=n)),
        plane=draw.integers(3, size=n),
        contrast=draw.integers(3, size=n),
        series=np.arange(n) // 2,
        position=((np.arange(n) + 0.5) / n).astype(np.float32),
        offset_mm=np.full(n, np.nan, dtype=np.float32),
        slice_keys=tuple(f"{prefix}{number}-{i}" for i in range(n)),
    )
    agents = {c: {} for c, has in zip(SAYINGS, there, strict=True) if has}
    return ReportStudy(
        study_key=f"{prefix}{number:03d}",
        patient_key=f"p{prefix}{number:03d}",
        images=seen if images else None,
        target=target,
        known=known_line(target) if target else "",
        agents=line_of(agents),
        similar="FINDINGS:\nNo fracture.",
        similar_study="t000" if number else "t001",
        similar_patient="pt000" if number else "pt001",
        items=((Turn("Is there a fracture?", "Yes." if there[1] else "No."),),),
    )


def studies(n: int, *, prefix: str = "t") -> list[ReportStudy]:
    """One without images and one without a report are among them."""
    return [study(i, prefix=prefix, images=i != 1, report=i != 2) for i in range(n)]


def small_settings(**changes: Any) -> LlavaSettings:
    stage = {"batch_size": 4, "micro_batch": 2, "checkpoint_every": 2, "evaluate_every": 2}
    document: dict[str, Any] = {
        "decoder": None,
        "tiny": {
            "vocabulary_size": 400, "dim": 32, "depth": 2, "heads": 2, "hidden": 48, "steps": 4, "batch_size": 4,
            "window": 256, "checkpoint_every": 2, "min_train_texts": 4, "warmup_steps": 1,
        },
        "queries": 4, "heads": 2, "max_slices": 8, "lora_r": 4, "lora_alpha": 8, "lora_dropout": 0.1,
        "warm": stage | {"lr": 1e-2, "epochs": 2}, "tune": stage | {"lr": 1e-2, "epochs": 1},
        "max_length": 512, "max_new_tokens": 24, "precision": "float32", "activation_checkpointing": False,
        "items_per_study": 1, "min_train_studies": 4, "processes": 1, "min_fit_claims": 1,
    }  # fmt: skip
    return LlavaSettings.model_validate(document | changes)
