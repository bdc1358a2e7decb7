"""Studies, series, labels and what is found in them, of the valid lake."""

from __future__ import annotations

from spine_models.domain import condition_keys
from tests.sql.findings_lake import add_attribution, add_claims
from tests.sql.tiny_lake import FIRST, REPORT, Lake, key


def add_study(
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
        add_series(lake, ids, split, *series)
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
    add_labels(lake, ids, number)
    add_claims(lake, ids, [i for part in instances[:2] for i in part])
    add_attribution(lake, ids, split, instances[0][0])
    if split in ("train", "test"):
        for encoder in ("spinefm", "pixel_pca"):
            lake.add(
                "probes.predictions", study_key=study, patient_key=key(patient), condition="canal", encoder=encoder,
                head="linear", sequence_set="all", evaluation="cv" if split == "train" else "test",
                fold=len(patient + date) % 2 if split == "train" else None, label=1, probability=0.7,
            )  # fmt: skip


def add_series(
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


def add_labels(lake: Lake, ids: dict[str, str], number: int) -> None:
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


def add_panel(lake: Lake) -> None:
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
