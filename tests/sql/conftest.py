"""A tiny valid lake: two batches, four patients, every table; tests break one thing at a time."""

from __future__ import annotations

import math
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

from spine_models.domain import condition_keys
from tests.sql.asking import answer  # noqa: F401  a fixture
from tests.sql.strata_lake import add_strata
from tests.sql.tiny_lake import FIRST, REPORT, SCHEMAS, STUDIES, Lake, key


def valid_lake() -> Lake:
    lake = Lake()
    for patient, split in sorted({(patient, split) for patient, _, split, *_ in STUDIES}):
        lake.add("shards.patients", patient_key=key(patient), split=split, may_train=split == "train")
    for batch, patient, split in sorted({(batch, patient, split) for patient, batch, split, *_ in STUDIES}):
        lake.add("shards.splits", batch_key=batch, patient_key=key(patient), split=split)
    for number, study in enumerate(STUDIES):
        _add_study(lake, number, *study)
    for reason, outcome in (
        ("not_dicom", "rejected"),
        ("duplicate_sop", "duplicate"),
        ("not_mr", "quarantined"),
    ):
        lake.add(
            "deid.files", batch_key=FIRST, cohort="internal", file_key=key(reason), kind="dicom", outcome=outcome,
            reason=reason,
        )  # fmt: skip
    _add_panel(lake)
    _add_refreshed(lake)
    _add_nights(lake)
    _add_retrieval(lake)
    _add_manifest(lake)
    _add_training(lake)
    _add_saliency_scores(lake)
    add_strata(lake)
    return lake


def _add_study(
    lake: Lake, number: int, patient: str, batch: str, split: str, date: str, age: int, sex: str
) -> None:
    ids = {"batch_key": batch, "patient_key": key(patient), "study_key": key("study", number)}
    study = ids["study_key"]
    lake.add(
        "deid.studies", **ids, cohort="internal", study_date=date, age_years=age, sex=sex, n_series=3, n_instances=5,
        has_report=True,
    )  # fmt: skip
    lake.add(
        "deid.date_integrity", batch_key=batch, patient_key=key(patient), n_studies=1, n_encounters=1, n_orders=1,
        n_report_dates=0, n_intervals=2, wrong_intervals=0, wrong_dates=0, beyond_bound=0, report_dates_unproved=0,
    )  # fmt: skip
    lake.add("deid.reports", **ids, report_key=key("report", number), report_text=REPORT)
    lake.add(
        "deid.files",
        batch_key=batch,
        cohort="internal",
        file_key=key("text", number),
        kind="report",
        outcome="released",
    )
    lake.add("deid.ehr_patients", batch_key=batch, patient_key=key(patient), sex=sex, zip3="123")
    lake.add(
        "deid.ehr_encounters", batch_key=batch, patient_key=key(patient), encounter_key=key("visit", number),
        age_at_visit=age, note="Back pain at L4-L5 for 1.5 years.",
    )  # fmt: skip
    lake.add(
        "deid.ehr_orders", batch_key=batch, patient_key=key(patient), order_key=key("order", number),
        study_key=study if number else None, exam="MRI spine", reason="pain",
    )  # fmt: skip
    instances = [
        _add_series(lake, ids, split, *series)
        for series in (("T1", "t1", 2), ("STIR", "t2", 2), (None, "other", 1))
    ]
    for route, count in (("t1", 2), ("t2", 2)):
        vector = [float(number), 1.0, -1.0] if route == "t1" else [0.0, float(number), 2.0]
        versions = {
            "encoder": f"dinov3-{route}",
            "model_version": f"m-{route}",
            "preprocessing_version": "p1",
        }
        lake.add(
            "embeddings.studies", **ids, route=route, **versions, n_series=1, n_slices=count, vector=vector
        )
        lake.add(
            "probes.baselines",
            patient_key=key(patient),
            study_key=study,
            encoder="pixel_pca",
            model_version=f"pca-{route}",
            route=route,
            vector=[1.0],
        )
    image = lake.first("deid.instances", study_key=study)
    place = {"series_key": image["series_key"], "instance_key": image["instance_key"]}
    graded = {"condition": "canal", "level": "L4-L5"}
    lake.add("deid.annotations", **ids, kind="label", **graded, severity="severe", grade=2)
    lake.add("deid.annotations", **ids, kind="point", **place, **graded, x=10.5, y=20.25)
    drawn = {"condition": "fracture", "level": "L4", "severity": "mild"}
    lake.add("deid.annotations", **ids, kind="box", **place, **drawn, frame=0, x=1.5, y=2.0, w=4.0, h=5.25)
    lake.add(
        "deid.annotations", **ids, kind="series", series_key=image["series_key"], description="sagittal_t1"
    )
    found = lake.first("shards.slices", study_key=study)
    place = {name: found[name] for name in ("series_key", "slice_key", "route", "plane")}
    lake.add(
        "localization.findings", **ids, **place, condition="canal", rank=1, supervision="supervised",
        probability=0.7, slice_score=1.0, x=2.0, y=4.0, w=3.0, h=3.0, output_x=2.0, output_y=3.0, output_w=3.0,
        output_h=3.0, level="L4-L5", level_confidence=0.9, level_uncertain=False, level_alternatives=[],
        models_version="l1", model_version="m-t1", heads_version="h1",
    )  # fmt: skip
    _add_labels(lake, ids, number)
    _add_claims(lake, ids, [i for part in instances[:2] for i in part])
    _add_attribution(lake, ids, split, instances[0][0])
    if split in ("train", "test"):
        for encoder in ("spinefm", "pixel_pca"):
            lake.add(
                "probes.predictions", study_key=study, patient_key=key(patient), condition="canal", encoder=encoder,
                head="linear", sequence_set="all", evaluation="cv" if split == "train" else "test",
                fold=len(patient + date) % 2 if split == "train" else None, label=1, probability=0.7,
            )  # fmt: skip


def _add_series(
    lake: Lake, ids: dict[str, str], split: str, contrast: str | None, route: str, count: int
) -> list[str]:
    study, batch = ids["study_key"], ids["batch_key"]
    series = key(study, route)
    facts = {"vendor": "Siemens", "scanner_model": "Aera", "field_strength_t": 1.5}
    lake.add(
        "sequences.series", **ids, series_key=series, contrast=contrast, route=route, plane="sagittal",
        region="lumbar", confidence=0.9 if contrast else 0.2, abstained=contrast is None, rule="text",
        decided_by="rules" if contrast else "nobody", n_instances=count, n_slices=count, **facts,
    )  # fmt: skip
    if contrast == "STIR":
        lake.add(
            "sequences.disagreements", **ids, series_key=series, about="contrast", source_a="text", says_a="T2-FS",
            source_b="timing", says_b="STIR", decision=contrast, decided_by="rules",
        )  # fmt: skip
    shard = f"{route}/{split}/shard-000000.tar"
    versions = {"encoder": f"dinov3-{route}", "model_version": f"m-{route}", "preprocessing_version": "p1"}
    instances = []
    for i in range(count):
        instance = key(series, i)
        instances.append(instance)
        lake.add(
            "deid.instances", **ids, series_key=series, instance_key=instance, sop_class="MR",
            series_description=contrast or "other", dicom_path=f"{instance}.dcm", rows=32, columns=48, **facts,
        )  # fmt: skip
        lake.add(
            "deid.audit",
            batch_key=batch,
            patient_key=ids["patient_key"],
            instance_key=instance,
            removed=3,
            kept=40,
            engine="e1",
        )
        lake.add(
            "deid.files",
            batch_key=batch,
            cohort="internal",
            file_key=key("file", instance),
            kind="dicom",
            outcome="released",
        )
        if route == "other":
            continue
        slice_key = f"{instance}-0000"
        lake.add(
            "shards.slices", **ids, series_key=series, instance_key=instance, frame=0, slice_key=slice_key,
            slice_index=i, contrast=contrast, route=route, plane="sagittal", region="lumbar", split=split,
            shard=shard, pixel_hash=key("pixels", instance), preprocessing_version="p1", size_px=16,
            source_rows=20, source_columns=16,
        )  # fmt: skip
        lake.add(
            "embeddings.slices", **ids, series_key=series, slice_key=slice_key, route=route, plane="sagittal",
            **versions, pixel_hash=key("pixels", instance), vector=[float(i), 0.5, -1.0],
        )  # fmt: skip
    if route == "other":
        lake.add("shards.skipped", **ids, series_key=series, reason="unclassified", n=count)
    else:
        lake.add(
            "shards.quality", **ids, series_key=series, contrast=contrast, route=route, plane="sagittal",
            region="lumbar", split=split, n_slices=count, n_scored=count, geometry="regular", missing_slices=0,
            empty_slices=0, snr=20.0, motion_score=0.0, flags=[],
        )  # fmt: skip
        lake.add(
            "embeddings.series", **ids, series_key=series, route=route, plane="sagittal", **versions, n_slices=count,
            vector=[0.5, 0.5, -1.0],
        )  # fmt: skip
    return instances


def _add_labels(lake: Lake, ids: dict[str, str], number: int) -> None:
    """Two labellers that agree, but for one synovial cyst that the second reads into the first report."""
    report = key("report", number)
    said = {"canal": ("present", 1, "canal stenosis"), "fracture": ("absent", 0, "No fracture")}
    study = {name: ids[name] for name in ("batch_key", "study_key")}
    for condition in condition_keys():
        disputed = number == 1 and condition == "synovial"
        rules = said.get(condition, ("not_mentioned", 0, None))
        model = ("present", 1, "stenosis at L4-L5") if disputed else rules
        for labeller, (status, label, quote) in (("rules", rules), ("llama", model)):
            evidence = {"condition": condition, "status": status, **_quoted(quote)}
            lake.add(
                "labels.verdicts",
                **ids,
                report_key=report,
                labeller=labeller,
                label=label,
                confidence=0.9,
                **evidence,
            )
            if labeller == "rules" and quote:
                lake.add("labels.mentions", **ids, report_key=report, labeller="rules", **evidence)
        status, label, quote = ("ambiguous", -1, None) if disputed else rules
        lake.add(
            "labels.consensus",
            **ids,
            condition=condition,
            status=status,
            label=label,
            evidence=quote,
            labellers=["rules", "llama"],
            agreed=not disputed,
            reason="disagreement" if disputed else None,
        )
        if disputed:
            lake.add(
                "labels.review_queue", **ids, report_key=report, condition=condition, rank=1, weight=2.5,
                reason="disagreement", statuses="rules: not_mentioned, llama: present",
                quotes=["stenosis at L4-L5"],
            )  # fmt: skip
        lake.add(
            "labels.requests", **study, report_key=report, labeller="llama", condition=condition, repeat=0,
            request_key=key(report, condition), model="llama-70b", prompt_version="v1", seed=0,
            finish_reason="stop", outcome="answered", prompt_tokens=400, cached_tokens=300, completion_tokens=40,
            seconds=0.5, attempts=1,
        )  # fmt: skip


def _quoted(quote: str | None) -> dict[str, object]:
    start = REPORT.index(quote) if quote else None
    return {"evidence": quote, "evidence_start": start, "evidence_end": start + len(quote) if quote else None}


def _add_panel(lake: Lake) -> None:
    where = {"batch_key": FIRST, "condition": "pars"}
    lake.add(
        "labels.contradictions", **where, findings_status="present", impression_status="absent",
        findings_quote="Pars defect.", impression_quote="No pars defect.",
    )  # fmt: skip
    lake.add(
        "labels.raters", condition="pars", labeller="llama", studies=5, prevalence=0.2, sensitivity=0.9,
        specificity=0.95, error_rate=0.06, converged=True,
    )  # fmt: skip
    lake.add(
        "labels.audit", **where, stratum="absent", stratum_size=5, sampled=1, weight=5.0, status="absent"
    )
    lake.add(
        "labels.agreement", condition="all", first="rules", second="llama", studies=85, observed=84 / 85,
        kappa=0.95, pabak=0.97, first_present=5, second_present=6, equal=84,
    )  # fmt: skip
    lake.add(
        "labels.drift", batch_key=FIRST, condition="canal", studies=2, present=2, prevalence=1.0, other_studies=3,
        other_prevalence=1.0, p_value=1.0, drifted=False,
    )  # fmt: skip
    lake.add(
        "labels.reliability", labeller="rules", condition="all", measure="evidence_rate", n=10, value=1.0, low=0.7,
        high=1.0,
    )  # fmt: skip


def _add_retrieval(lake: Lake) -> None:
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


def _add_claims(lake: Lake, ids: dict[str, str], instances: list[str]) -> None:
    study = ids["study_key"]
    for condition in condition_keys():
        assessed = condition in ("canal", "fracture")
        lake.add(
            "agents.claims", **ids, claim_key=key(study, condition), agent=f"diagnosis/{condition}",
            agent_version="a1", condition=condition, status="present" if assessed else "not_assessed",
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
        "reports.drafts", **ids, region="lumbar", template_version="t1", draft_key=draft, n_sentences=len(texts),
        report_text=" ".join(text for _, text, _ in texts).replace("stenosis and", "stenosis\n   and"),
    )  # fmt: skip
    for position, (kind, text, claims) in enumerate(texts):
        lake.add(
            "reports.sentences", batch_key=ids["batch_key"], study_key=study, draft_key=draft,
            sentence_key=key(draft, position), section="findings", position=position, text=text, kind=kind,
            claim_keys=claims,
        )  # fmt: skip


def _add_nights(lake: Lake) -> None:
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


def _add_refreshed(lake: Lake) -> None:
    """Both batches were embedded once."""
    by = ["batch_key", "route", "model_version"]
    vectors = lake.frame("embeddings.slices").group_by(by, maintain_order=True)
    counted = vectors.agg(
        n_slices=pl.len(), n_series=pl.col("series_key").n_unique(), n_studies=pl.col("study_key").n_unique()
    )
    for row in counted.iter_rows(named=True):
        version = row.pop("model_version")
        lake.add("embeddings.refreshed", **row, reason="new_slice", model_version_after=version)


def _add_attribution(lake: Lake, ids: dict[str, str], split: str, instance: str) -> None:
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


def _add_saliency_scores(lake: Lake) -> None:
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


def _add_manifest(lake: Lake) -> None:
    slices = lake.frame("shards.slices").filter(pl.col("split") != "test")
    tars = slices.group_by("batch_key", "route", "split", "shard", maintain_order=True).agg(
        pl.len().alias("n_slices"), pl.col("patient_key").n_unique().alias("n_patients")
    )
    for tar in tars.iter_rows(named=True):
        lake.add("shards.manifest", **tar, sha256=key(tar["shard"]))


def _add_training(lake: Lake) -> None:
    for table, routes in (
        ("backbone.curves", ("t1", "t2")),
        ("backbone.gram_curves", ("t1", "t2")),
        ("synthesizer.curves", ("all",)),
    ):
        gram = {"gram": 0.1} if table == "backbone.gram_curves" else {}
        for route in routes:
            for step in range(1, 4):
                losses = dict.fromkeys(("loss", "dino", "ibot", "koleo", "grad_norm"), 4.0 - step)
                probe = 5.0 if step == 2 else None
                lake.add(table, route=route, step=step, **losses, **gram, effective_rank=probe)
    for step in range(1, 4):
        for table in ("clip.curves", "synthesizer.align_curves"):
            lake.add(table, step=step, epoch=0, loss=4.0 - step, grad_norm=1.0)
    found = {"n": 4, "recall_1": 0.5, "recall_5": 1.0, "median_rank": 1.5}
    chance = {"chance_recall_1": 0.25, "chance_recall_5": 1.0, "chance_median_rank": 2.5}
    for query, gallery in (("t1", "report"), ("report", "t1")):
        lake.add("clip.retrieval", query=query, gallery=gallery, **found, **chance)
    for stage in ("before", "after"):
        about = {"stage": stage, "series": "all", "query": "study", "gallery": "report"}
        lake.add("synthesizer.retrieval", **about, **found, **chance)
    for series in lake.rows["sequences.series"][:2]:
        for layer in range(2):
            lake.add(
                "synthesizer.gates", series_key=series["series_key"], contrast=series["contrast"], layer=layer,
                weight_t1=0.25, weight_t2=0.75, n_slices=2,
            )  # fmt: skip
    for table, training, routes in (
        ("backbone.patients", "pretrain", ("t1", "t2")),
        ("backbone.gram_patients", "anchor", ("t1", "t2")),
        ("clip.patients", "align", ("all",)),
        ("synthesizer.patients", "synthesize", ("all",)),
        ("synthesizer.align_patients", "align_gates", ("all",)),
        ("ablations.clip_bi_modal_patients", "align", ("all",)),
        ("ablations.clip_concat_patients", "align", ("all",)),
        ("ablations.gates_scalar_patients", "align_gates", ("all",)),
    ):
        for route in routes:
            for patient, role in (("ann", "train"), ("dot", "train"), ("cem", "held_out")):
                lake.add(table, training=training, route=route, patient_key=key(patient), role=role, n=2)
    about = {
        "question": "gram",
        "sequence_set": "t1",
        "evaluation": "test",
        "measure": "auroc",
        "n_studies": 3,
    }
    about |= {"conditions": 1, "low": 0.5, "high": 0.9}
    gain = {"relative_gain": 0.8 / 0.5 - 1, "relative_gain_low": -0.1, "relative_gain_high": 1.5}
    lake.add("ablations.scores", variant="with_gram", is_reference=True, value=0.8, **about)
    lake.add(
        "ablations.scores",
        variant="without_gram",
        is_reference=False,
        value=0.5,
        difference=0.8 - 0.5,
        **gain,
        **about,
    )
    recall = about | {"question": "alignment", "measure": "recall_at_5", "conditions": None, "n_studies": 2}
    lake.add("ablations.scores", variant="tri_modal", is_reference=True, value=0.5, **recall)
    nothing = recall | {"low": 0.0, "high": 0.0, "reason": "nothing is gained over nothing"}
    lake.add("ablations.scores", variant="concat", is_reference=False, value=0.0, difference=0.5, **nothing)
    without = recall | {"low": None, "high": None, "n_studies": 0, "reason": "no text side"}
    lake.add("ablations.scores", variant="bi_modal", is_reference=False, **without)
    ben = {"patient_key": key("ben"), "study_key": lake.first("shards.slices", split="test")["study_key"]}
    for side in ("t1", "report"):
        lake.add(
            "ablations.aligned", question="alignment", variant="tri_modal", side=side, model_version="c1",
            vector=[0.6, 0.8], **ben,
        )  # fmt: skip
    for patient, role in (("ann", "train"), ("dot", "train"), ("cem", "held_out")):
        lake.add(
            "localization.patients",
            training="localize",
            route="all",
            patient_key=key(patient),
            role=role,
            n=2,
        )
    for region in ("lumbar", "all"):
        lake.add(
            "localization.level_scores", region=region, method="model", status="evaluated", n_patients=1,
            n_annotations=1, exact=1.0, within_one=1.0, ece=0.1, uncertain=0.0, exact_certain=1.0,
        )  # fmt: skip
    for condition in condition_keys():
        for method, overlap in (("model", 0.4), ("image_centre", 0.1)):
            seen = condition == "canal"
            values = {
                "slice_auroc": 0.9,
                "slice_top1": 1.0,
                "iou": overlap,
                "iou_over_25": 1.0,
                "iou_over_50": 0.0,
            }
            lake.add(
                "localization.scores", condition=condition, supervision="supervised", method=method,
                status="evaluated" if seen else "not_evaluable", reason=None if seen else "no slice is annotated",
                n_patients=int(seen), n_studies=int(seen), n_slices=int(seen), **(values if seen else {}),
            )  # fmt: skip
        lake.add(
            "agents.registry",
            agent=f"diagnosis/{condition}",
            kind="diagnosis",
            condition=condition,
            version="a1",
        )
        for encoder, auroc in (("spinefm", 0.8), ("pixel_pca", 0.7)):
            for evaluation in ("cv", "test"):
                names = ("auroc", "auprc", "brier", "ece", "sensitivity")
                scores = dict.fromkeys(f"{name}{end}" for name in names for end in ("", "_low", "_high"))
                if condition == "canal":
                    scores = dict.fromkeys(scores, auroc)
                lake.add(
                    "probes.metrics", condition=condition, encoder=encoder, head="linear", sequence_set="all",
                    evaluation=evaluation, specificity=0.9,
                    status="evaluated" if condition == "canal" else "not_evaluable",
                    reason=None if condition == "canal" else "no positives", n_studies=3, n_positive=1, **scores,
                )  # fmt: skip
    for evaluation in ("cv", "test"):
        names = {"head": "linear", "sequence_set": "all", "evaluation": evaluation}
        for encoder, auroc in (("spinefm", 0.8), ("pixel_pca", 0.7)):
            ends = {"auroc": auroc, "auroc_low": auroc - 0.1, "auroc_high": auroc + 0.1}
            lake.add(
                "probes.summary", **names, encoder=encoder, status="evaluated", n_conditions=1, conditions=["canal"],
                n_studies=3, n_patients=3, **ends, **{n.replace("roc", "prc"): v for n, v in ends.items()},
            )  # fmt: skip
        for condition, metric in ((None, "auroc"), (None, "auprc"), ("canal", "auroc"), ("pars", "auroc")):
            pair = {"metric": metric, "condition": condition, "encoder": "spinefm", "against": "pixel_pca"}
            pair |= {"against_head": "linear", "best_baseline": True}
            if condition == "pars":
                found = {"status": "not_evaluable", "reason": "no positives", "n_conditions": 0}
            else:
                found = {
                    "status": "evaluated", "n_conditions": 1, "n_studies": 3, "value": 0.8, "against_value": 0.7,
                    "difference": 0.1, "difference_low": -0.1, "difference_high": 0.2, "relative_gain": 1 / 7,
                    "relative_gain_low": -0.1, "relative_gain_high": 0.3, "p_bootstrap": 0.2,
                }  # fmt: skip
            lake.add("probes.comparisons", **names, **pair, **found)


@pytest.fixture
def lake() -> Lake:
    """Rows of a lake in which every rule holds; change them, then ``write``."""
    return valid_lake()


@pytest.fixture(scope="session")
def schemas() -> dict[str, pl.Schema]:
    """The domain's schema of every table of the lake."""
    return SCHEMAS


@pytest.fixture(scope="session")
def valid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a valid lake; not to be changed."""
    return valid_lake().write(tmp_path_factory.mktemp("valid") / "lake")
