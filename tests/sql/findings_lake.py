"""Findings, claims and nights, of the valid lake."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime

import polars as pl

from spine_models.domain import condition_keys
from tests.sql.agents_lake import place_of
from tests.sql.tiny_lake import STUDIES, Lake, key


def add_retrieval(lake: Lake) -> None:
    """Every study finds the reports of the train patients but its own, in the order of their keys."""
    clip = {"encoder": "clip-tri_modal", "model_version": "c1"}
    train = {}
    for number, (patient, batch, split, *_) in enumerate(STUDIES):
        ids = {"batch_key": batch, "patient_key": key(patient), "study_key": key("study", number)}
        if split == "train":
            train[ids["study_key"]] = ids["patient_key"]
        for modality in ("t1", "t2", "report"):
            lake.add(
                "embeddings.aligned", **ids, modality=modality, **clip, content_hash="h", vector=[0.6, 0.8]
            )
        one = lake.first("embeddings.slices", study_key=ids["study_key"])
        place = {name: one[name] for name in ("series_key", "slice_key", "route", "plane", "pixel_hash")}
        lake.add("embeddings.aligned_slices", **ids, **place, **clip, vector=[0.6, 0.8])
    for row in [row for row in lake.rows["embeddings.aligned"] if row["modality"] == "t1"]:
        ids = {name: row[name] for name in ("batch_key", "patient_key", "study_key")}
        others = [
            (study, patient) for study, patient in sorted(train.items()) if patient != ids["patient_key"]
        ]
        for rank, (study, patient) in enumerate(others, start=1):
            lake.add(
                "retrieval.neighbours", **ids, query="t1", rank=rank, neighbour_study_key=study,
                neighbour_patient_key=patient, score=1.0 - rank / 10, clip_version="c1", index_version="i1",
            )  # fmt: skip
    found = {"recall_1": 0.2, "recall_5": 0.5, "recall_10": 0.8, "median_rank": 5.0, "mrr": 0.3}
    bounds = {f"{name}_{end}": value for name, value in found.items() for end in ("low", "high")}
    by_chance = {
        "chance_recall_1": 0.1,
        "chance_recall_5": 0.4,
        "chance_recall_10": 0.7,
        "chance_median_rank": 6.0,
    }
    about = {"task": "image_to_report", "gallery": "report", "sequence_set": "t1"}
    counted = {"n_queries": 9, "n_patients": 8}
    for encoder, query in (("clip-tri_modal", "t1"), ("pixel_pca+linear", "t1")):
        lake.add(
            "retrieval.scores", **about, encoder=encoder, query=query, status="evaluated", **counted, n_gallery=9,
            **found, **bounds, **by_chance,
        )  # fmt: skip
    absent = {"status": "not_evaluable", "reason": "no test study has both", "n_queries": 0, "n_patients": 0}
    lake.add(
        "retrieval.scores", **(about | {"sequence_set": "other"}), encoder="none", query="other", **absent
    )
    lake.add(
        "retrieval.gains", sequence_set="t1", encoder="clip-tri_modal", query="t1", against="best_baseline",
        next_best="pixel_pca",
        status="evaluated", **counted, recall_5=0.5, next_best_recall_5=0.4, gain=0.25, gain_low=0.1, gain_high=0.4,
    )  # fmt: skip
    lake.add(
        "retrieval.precision", encoder="pixel_pca", sequence_set="t1", condition="all", status="evaluated", **counted,
        precision_5=0.4, precision_5_low=0.3, precision_5_high=0.5, chance=0.3,
    )  # fmt: skip


def add_claims(lake: Lake, ids: dict[str, str], instances: list[str]) -> None:
    study = ids["study_key"]
    for condition in condition_keys():
        assessed = condition in ("canal", "fracture")
        places = [place_of(lake, study)] if condition == "canal" else []
        first = places[0] if places else {}
        lake.add(
            "agents.claims", **ids, claim_key=key(study, condition), agent=f"diagnosis/{condition}",
            agent_version="a1", condition=condition, status="present" if assessed else "not_assessed",
            certainty="probable" if assessed else None, affirmed=assessed, places=places,
            level=first.get("level"), severity=first.get("severity"),
            reason=None if assessed else "no head was trained", probability=0.8 if assessed else None,
            confidence=0.6 if assessed else None, model_versions=["m-t1", "m-t2"] if assessed else [],
            source_series=[key(study, "t1")] if assessed else [], source_instances=instances if assessed else [],
        )  # fmt: skip
    assessed = [key(study, "canal"), key(study, "fracture")]
    others = [key(study, c) for c in condition_keys() if c not in ("canal", "fracture")]
    texts = [
        ("technique", "Sagittal T1 and STIR.", []),
        ("finding", "There is canal stenosis and a fracture.", assessed),
        ("not_assessed", "Nothing else was assessed.", others),
        ("notice", "A draft, to be read by a radiologist.", []),
    ]
    draft = key("draft", study)
    lake.add(
        "reports.drafts", **ids, region="lumbar", template_version="t1", agent_version="a1", writer="templates",
        reason="no report model is in use", draft_key=draft, n_sentences=len(texts),
        report_text=" ".join(text for _, text, _ in texts).replace("stenosis and", "stenosis\n   and"),
    )  # fmt: skip
    for position, (kind, text, claims) in enumerate(texts):
        lake.add(
            "reports.sentences", batch_key=ids["batch_key"], study_key=study, draft_key=draft,
            sentence_key=key(draft, position), section="findings", position=position, text=text, kind=kind,
            claim_keys=claims, linked_by="template", prior_claim_keys=[],
        )  # fmt: skip
    _add_provenance(lake, ids, key(draft, 1), ("canal", "fracture"))
    _add_provenance(lake, ids, key(draft, 2), [c for c in condition_keys() if c not in ("canal", "fracture")])
    lake.add(
        "reports.removed", batch_key=ids["batch_key"], study_key=study, draft_key=draft, position=0,
        text="Uterine fibroids.", reason="says nothing that a claim carries", model_version="w1",
    )  # fmt: skip


def _add_provenance(lake: Lake, ids: dict[str, str], sentence: str, conditions: Iterable[str]) -> None:
    """What one sentence rests on; the canal has a box on a slice."""
    study = ids["study_key"]
    for condition in conditions:
        place = place_of(lake, study) if condition == "canal" else None
        seen = {}
        if place is not None:
            names = (
                "level",
                "side",
                "severity",
                "supervision",
                "series_key",
                "slice_key",
                "instance_key",
                "frame",
            )
            seen = {name: place[name] for name in names} | {"place": 1}
            seen["box"] = {name: place[name] for name in ("x", "y", "w", "h")}
        lake.add(
            "reports.provenance", batch_key=ids["batch_key"], study_key=study, sentence_key=sentence,
            claim_key=key(study, condition), agent=f"diagnosis/{condition}", agent_version="a1",
            condition=condition, model_versions=["m-t1", "m-t2"] if condition in ("canal", "fracture") else [], **seen,
        )  # fmt: skip


def add_nights(lake: Lake) -> None:
    """One refresh that was asked for, one that went by itself."""
    began = {"night": "2024-05-02", "started_at": datetime(2024, 5, 2, 2, 0), "generation": "g1"}
    job = {"stage": "embeddings", "job": "embeddings_batch"}
    lake.add(
        "reports.nights", **began, **job, trigger="schedule", batch_key="internal-0001", reasons=["new files"],
        outcome="requested",
    )  # fmt: skip
    lake.add(
        "reports.nights", **began, **job, trigger="command", batch_key="internal-0002", reasons=["other code"],
        seconds=3.5, outcome="refreshed",
    )  # fmt: skip


def add_refreshed(lake: Lake) -> None:
    """Both batches were embedded once."""
    by = ["batch_key", "route", "model_version"]
    vectors = lake.frame("embeddings.slices").group_by(by, maintain_order=True)
    counted = vectors.agg(
        n_slices=pl.len(), n_series=pl.col("series_key").n_unique(), n_studies=pl.col("study_key").n_unique()
    )
    for row in counted.iter_rows(named=True):
        version = row.pop("model_version")
        lake.add("embeddings.refreshed", **row, reason="new_slice", model_version_after=version)


def add_attribution(lake: Lake, ids: dict[str, str], split: str, instance: str) -> None:
    """T1 speaks for the stenosis, STIR against it; without T1 it is gone."""
    study = ids["study_key"]
    about = {**ids, "condition": "canal", "heads_version": "h1"}
    sums = {"sequence_set": "all", "constant": -0.5, "logit": 1.0, "probability": 1 / (1 + math.exp(-1.0))}
    for route, contrast, contribution, share, rank in (
        ("t1", "T1", 2.0, 0.8, 1),
        ("t2", "STIR", -0.5, 0.2, 2),
    ):
        series = {"route": route, "contrast": contrast, "plane": "sagittal", "series_key": key(study, route)}
        own = about | sums | series | {"n_slices": 2}
        lake.add(
            "attribution.weights", **own, unit="series", rank=rank, contribution=contribution, share=share
        )
        lake.add(
            "attribution.weights", **own, unit="slice", slice_key=f"{instance}-0000", rank=1,
            contribution=contribution / 2, share=share / 2,
        )  # fmt: skip
        before = {"sequence_set_before": "all", "probability_before": sums["probability"]}
        after = {"probability_after": 0.2 if route == "t1" else 0.9, "sequence_set_after": "all"}
        lake.add(
            "attribution.knockouts", **about, **before, **after, unit="series", key=key(study, route),
            route=route, contrast=contrast,
        )  # fmt: skip
    lake.add(
        "attribution.knockouts", **about, **before, unit="route", key="t1", route="t1", reason="nothing is left",
    )  # fmt: skip
    if split == "test":
        for method in ("tokens", "random", "centre"):
            lake.add(
                "attribution.measured", condition="canal", patient_key=ids["patient_key"], study_key=study,
                slice_key=f"{instance}-0000", route="t1", sequence_set="all", annotated=True, method=method,
                measure="pointing", value=1.0,
            )  # fmt: skip


def add_saliency_scores(lake: Lake) -> None:
    for condition in ("all", *condition_keys()):
        row = {"condition": condition, "method": "tokens", "measure": "pointing"}
        if condition in ("all", "canal"):
            interval = {"value": 0.6, "low": 0.4, "high": 0.8, "chance": 0.1, "centre": 0.3}
            gains = {"over_chance": 0.5, "over_chance_low": 0.3, "over_chance_high": 0.7}
            near = {"over_centre": 0.3, "over_centre_low": 0.1, "over_centre_high": 0.5}
            lake.add(
                "attribution.scores",
                **row,
                **interval,
                **gains,
                **near,
                status="evaluated",
                n=9,
                n_patients=4,
            )
        else:
            lake.add("attribution.scores", **row, status="not_evaluable", reason="no box", n=0, n_patients=0)
