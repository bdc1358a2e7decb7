"""What the queries answer, on the tiny lake and on lakes with one thing changed."""

from __future__ import annotations

import pytest

from spine_models.domain import condition_keys
from tests.sql.agents_lake import place_of
from tests.sql.tiny_lake import key


def test_the_file_ledger_adds_up_to_the_inbox(answer, lake):
    rows = answer("file_ledger")
    assert sum(row["files"] for row in rows) == len(lake.rows["deid.files"])
    assert rows[0] == {"outcome": "released", "reason": None, "files": 30}
    assert [(row["outcome"], row["reason"]) for row in rows[1:]] == [
        ("duplicate", "duplicate_sop"),
        ("rejected", "not_dicom"),
        ("quarantined", "not_mr"),
    ]


def test_reject_reasons_are_shares_of_their_cohort(answer):
    rows = answer("reject_reasons")
    assert [(row["outcome"], row["reason"], row["files"]) for row in rows] == [
        ("quarantined", "not_mr", 1),
        ("rejected", "not_dicom", 1),
    ]
    assert rows[0]["share_of_cohort"] == pytest.approx(1 / 33)


def test_the_cohort_table_counts_patients_once_and_studies_all(answer):
    rows = answer("cohort_table")
    total = rows[-1]
    assert (total["cohort"], total["region"], total["split"]) == ("all", "all", "all")
    assert {k: total[k] for k in ("patients", "studies", "series", "slices", "female", "male", "other_sex")} == {
        "patients": 4, "studies": 5, "series": 15, "slices": 25, "female": 2, "male": 2, "other_sex": 0,
    }  # fmt: skip
    assert total["age_mean_years"] == pytest.approx((61 + 45 + 90 + 30) / 4)
    assert (total["vendors"], total["field_strengths"]) == ("Siemens 5", "1.5 T 5")
    detail = {row["split"]: (row["patients"], row["studies"]) for row in rows if row["region"] == "lumbar"}
    assert detail == {"train": (2, 3), "val": (1, 1), "test": (1, 1)}


def test_a_patient_whose_headers_disagree_has_no_sex(answer, lake):
    lake.change("deid.studies", sex="M")
    assert answer("cohort_table")[-1]["other_sex"] == 1


def test_a_study_takes_the_region_of_most_slices_but_never_of_another_body_part(answer, lake):
    study = lake.first("deid.studies", age_years=45)["study_key"]
    for row in lake.rows["sequences.series"]:
        if row["study_key"] == study:
            row["region"] = "cervical" if row["route"] == "t1" else "other"
            row["n_slices"] = 1 if row["route"] == "t1" else 90
    assert {row["region"] for row in answer("patient_timeline") if row["study_key"] == study} == {"cervical"}


def test_sequence_counts_keep_abstained_series(answer):
    rows = answer("sequence_counts")
    assert [(row["route"], row["contrast"], row["series"], row["slices"]) for row in rows] == [
        ("t1", "T1", 5, 10),
        ("t2", "STIR", 5, 10),
        ("other", None, 5, 5),
    ]


def test_the_audit_counts_instances_without_a_record(answer, lake):
    assert [(row["instances"], row["without_audit"]) for row in answer("deid_audit")] == [(10, 0), (15, 0)]
    lake.drop("deid.audit")
    first = answer("deid_audit")[0]
    assert (first["instances"], first["without_audit"], first["removed"], first["kept"]) == (9, 1, 27, 360)


def test_prevalence_leaves_ambiguous_labels_out(answer, lake):
    lake.change("labels.consensus", where={"condition": "fracture"}, status="ambiguous", label=-1)
    lake.change("labels.consensus", where={"condition": "pars"}, status="present", label=1)
    rows = {row["condition"]: row for row in answer("label_prevalence")}
    assert list(rows)[:2] == ["canal", "neuroforaminal"]
    assert (rows["canal"]["prevalence"], rows["canal"]["train_present"], rows["canal"]["test_present"]) == (
        1.0,
        3,
        1,
    )
    assert (rows["fracture"]["ambiguous"], rows["fracture"]["absent"], rows["fracture"]["prevalence"]) == (
        1,
        4,
        0.0,
    )
    assert rows["pars"]["prevalence"] == pytest.approx(1 / 5)
    assert sum(row["studies"] for row in rows.values()) == 17 * 5


def test_split_leakage_finds_a_planted_test_patient(answer, lake):
    before = {row["training_set"]: (row["patients"], row["test_patients"]) for row in answer("split_leakage")}
    assert before == {
        "tars of route t1": (3, 0),
        "tars of route t2": (3, 0),
        "pretrain of route t1": (2, 0),
        "pretrain of route t2": (2, 0),
        "anchor of route t1": (2, 0),
        "anchor of route t2": (2, 0),
        "align": (2, 0),
        "synthesize": (2, 0),
        "align_gates": (2, 0),
        "folds of spinefm": (2, 0),
        "folds of pixel_pca": (2, 0),
        "reports that may serve a prompt": (2, 0),
        "items of a report model": (1, 0),
    }
    tar = lake.first("shards.slices", split="train", route="t1")["shard"]
    lake.change("shards.slices", where={"split": "test", "route": "t1"}, shard=tar)
    lake.change("probes.predictions", where={"evaluation": "test"}, evaluation="cv")
    lake.change("clip.patients", where={"role": "train"}, patient_key=key("ben"))
    after = {row["training_set"]: row["test_patients"] for row in answer("split_leakage")}
    assert after == {
        "tars of route t1": 1,
        "tars of route t2": 0,
        "pretrain of route t1": 0,
        "pretrain of route t2": 0,
        "anchor of route t1": 0,
        "anchor of route t2": 0,
        "align": 1,
        "synthesize": 0,
        "align_gates": 0,
        "folds of spinefm": 1,
        "folds of pixel_pca": 0,
        "reports that may serve a prompt": 0,
        "items of a report model": 0,
    }


def test_auroc_stands_in_the_order_of_the_conditions_with_our_encoder_first(answer):
    rows = answer("auroc_by_condition")
    assert len(rows) == 17 * 4
    assert [row["encoder"] for row in rows[:4]] == ["spinefm", "pixel_pca", "spinefm", "pixel_pca"]
    assert (rows[0]["condition"], rows[0]["auroc"], rows[0]["reason"]) == ("canal", 0.8, None)
    assert (rows[4]["condition"], rows[4]["auroc"], rows[4]["reason"]) == (
        "neuroforaminal",
        None,
        "no positives",
    )


def test_a_series_that_speaks_for_a_condition_comes_first_with_what_is_left_without_it(answer):
    rows = answer("series_weights")
    assert len(rows) == 5 * 2
    first, second = rows[:2]
    assert (first["condition"], first["contrast"], first["contribution"]) == ("canal", "T1", 2.0)
    assert first["probability_without"] == 0.2
    assert first["heaviest_slice"].endswith("-0000")
    assert (second["contrast"], second["contribution"], second["rank"]) == ("STIR", -0.5, 2)


def test_saliency_is_scored_over_all_conditions_first(answer):
    rows = answer("attribution_scores")
    assert len(rows) == 18
    assert [row["condition"] for row in rows[:2]] == ["all", "canal"]
    assert (rows[0]["value"], rows[0]["chance"], rows[0]["over_chance_low"]) == (0.6, 0.1, 0.3)
    assert (rows[2]["value"], rows[2]["reason"]) == (None, "no box")


def test_localization_stands_in_the_order_of_the_conditions_with_the_model_before_the_priors(answer):
    rows = answer("localization_scores")
    assert len(rows) == 17 * 2
    assert [(row["condition"], row["method"], row["iou"]) for row in rows[:2]] == [
        ("canal", "model", 0.4),
        ("canal", "image_centre", 0.1),
    ]
    assert (rows[2]["n_patients"], rows[2]["slice_auroc"], rows[2]["reason"]) == (
        0,
        None,
        "no slice is annotated",
    )


def test_the_skill_of_levels_stands_in_the_order_of_the_conditions_with_why_there_is_none(answer):
    rows = answer("level_skill")
    assert [row["condition"] for row in rows] == list(condition_keys())
    canal, foraminal, third = rows[:3]
    shown = ("name", "auroc", "auroc_low", "prior_auroc", "study_auroc", "threshold", "precision", "reason")
    assert [canal[name] for name in shown] == ["Spinal canal stenosis", 0.9, 0.8, 0.7, 0.8, 0.5, 0.6, None]
    assert (canal["test_patients"], canal["test_positive"], canal["sided"]) == (1, 2, False)
    assert [foraminal[name] for name in ("status", "sided", "auroc", "threshold", "reason")] == [
        "fitted",
        True,
        None,
        0.4,
        "no test patient has it",
    ]
    assert (third["status"], third["threshold"], third["reason"]) == (
        "not_fitted",
        None,
        "2 positive patients, at least 10 are needed",
    )


def test_encoders_stand_beside_what_spinefm_gains_over_them(answer):
    rows = [row for row in answer("encoder_comparison") if row["evaluation"] == "cv"]
    assert [(r["metric"], r["encoder"], r["conditions"], r["mean"], r["best_baseline"]) for r in rows] == [
        ("auroc", "spinefm", 1, 0.8, False),
        ("auroc", "pixel_pca", 1, 0.7, True),
        ("auprc", "spinefm", 1, 0.8, False),
        ("auprc", "pixel_pca", 1, 0.7, True),
    ]
    assert rows[0]["spinefm_gain"] is None
    gains = [rows[1][name] for name in ("spinefm_gain", "spinefm_gain_low", "spinefm_gain_high", "p")]
    assert gains == pytest.approx([1 / 7, -0.1, 0.3, 0.2])


def test_an_encoder_that_is_not_compared_says_why(answer, lake):
    lake.change(
        "probes.summary",
        where={"encoder": "pixel_pca", "evaluation": "cv"},
        **{"status": "not_evaluable", "reason": "no vectors", "auroc": None, "auprc": None},
    )
    row = next(r for r in answer("encoder_comparison") if r["evaluation"] == "cv" and r["reason"])
    assert (row["encoder"], row["mean"], row["reason"]) == ("pixel_pca", None, "no vectors")


def test_every_sentence_has_its_provenance(answer, lake):
    rows = answer("sentence_provenance")
    studies = len(lake.rows["deid.studies"])
    assert len(rows) == studies * (2 + 17)
    finding = next(row for row in rows if row["kind"] == "finding")
    assert finding["agent"] == "diagnosis/canal"
    assert finding["agent_version"] == "a1"
    assert finding["model_versions"] == ["m-t1", "m-t2"]
    assert len(finding["source_instances"]) == 4
    place = place_of(lake, finding["study_key"])
    assert (finding["slice_key"], finding["instance_key"]) == (place["slice_key"], place["instance_key"])
    assert finding["box"] == {name: place[name] for name in ("x", "y", "w", "h")}
    assert (finding["writer"], finding["linked_by"], finding["certainty"]) == (
        "templates",
        "template",
        "probable",
    )
    notice = next(row for row in rows if row["kind"] == "notice")
    assert (notice["claim_key"], notice["agent"]) == (None, None)


def test_a_timeline_gives_true_intervals_and_none_for_years(answer, lake):
    rows = [row for row in answer("patient_timeline") if row["age_years"] == 61]
    assert [(row["study_number"], row["days_since_first"]) for row in rows] == [(1, 0), (2, 60)]
    assert rows[0]["reported"] == ["canal"]
    assert rows[0]["claimed"] == ["canal", "fracture"]
    assert (rows[0]["new_since_last"], rows[0]["gone_since_last"], rows[0]["like_the_last"]) == (
        None,
        None,
        None,
    )
    assert rows[1]["like_the_last"] is not None
    second = rows[1]["study_key"]
    lake.change("agents.claims", where={"study_key": second, "condition": "canal"}, status="absent")
    lake.change("agents.claims", where={"study_key": second, "condition": "pars"}, status="present")
    changed = next(row for row in answer("patient_timeline") if row["study_key"] == second)
    assert (changed["new_since_last"], changed["gone_since_last"]) == (["pars"], ["canal"])
    for row in lake.rows["deid.studies"]:
        row["study_date"] = row["study_date"][:4]
    assert {row["days_since_first"] for row in answer("patient_timeline")} == {None}


def test_what_is_stale_is_empty_and_then_names_each_stage(answer, lake):
    assert answer("what_is_stale") == []
    lake.drop("embeddings.slices")
    lake.change("embeddings.slices", pixel_hash="old")
    lake.change("embeddings.studies", model_version="m-t1-new")
    lake.rows["reports.sentences"] = [
        r for r in lake.rows["reports.sentences"] if r["batch_key"] == "internal-0001"
    ]
    lake.rows["labels.consensus"] = [
        r for r in lake.rows["labels.consensus"] if r["batch_key"] == "internal-0001"
    ]
    found = [
        (row["stage"], row["batch_key"], row["reason"], row["subjects"]) for row in answer("what_is_stale")
    ]
    assert found == [
        ("labels", "internal-0002", "reports are not labelled", 3),
        ("embeddings", "internal-0001", "pixels have changed", 1),
        ("embeddings", "internal-0001", "slices have no vector", 1),
        ("agents", "internal-0001", "vectors have changed since the claim", 2),
        ("reports", "internal-0002", "claims are not in a draft", 51),
    ]


def test_a_draft_stands_beside_its_claims(answer):
    row = answer("draft_text")[0]
    assert (row["present"], row["indeterminate"], row["not_assessed"]) == (["canal", "fracture"], None, 15)
    assert "radiologist" in row["report_text"]


def test_the_ablation_table_shows_recall_beside_the_means_over_conditions(answer):
    rows = {(row["measure"], row["variant"]): row for row in answer("ablation_table")}
    assert set(rows) == {("auroc", "without_gram"), ("recall_at_5", "concat"), ("recall_at_5", "bi_modal")}
    found = rows["recall_at_5", "concat"]
    assert (found["reference"], found["reference_value"], found["value"]) == ("tri_modal", 0.5, 0.0)
    assert (found["gain"], found["conditions"], found["n_studies"]) == (None, None, 2)
    without = rows["recall_at_5", "bi_modal"]
    assert (without["value"], without["reason"]) == (None, "no text side")


def test_the_scorecard_holds_all_agents_and_counts_the_drafts_of_the_last(answer, lake):
    rows = answer("agent_scorecard")
    assert [row["kind"] for row in rows] == ["diagnosis"] * 17 + ["localization"] * 17 + ["retrieval"] * 2 + [
        "report"
    ]
    canal, report = rows[0], rows[-1]
    assert (canal["name"], canal["metric"], canal["value"], canal["ece"]) == (
        "Spinal canal stenosis",
        "auroc",
        0.8,
        0.05,
    )
    assert (canal["n_studies"], canal["answered"], canal["severity"], canal["reason"]) == (5, 1.0, True, None)
    assert (report["n_studies"], report["asked"], report["answered"]) == (5, 5, 1.0)
    graded = next(row for row in answer("report_scores") if row["method"] == "agents")
    assert report["value"] == graded["f1"] is not None
    assert (report["metric"], report["low"], report["high"]) == (
        "claim_f1",
        graded["f1_low"],
        graded["f1_high"],
    )
    lake.drop("reports.drafts")
    assert answer("agent_scorecard")[-1]["answered"] == pytest.approx(0.8)
    untrained = rows[1]
    assert (untrained["trained"], untrained["value"]) == (False, None)
    assert untrained["reason"] == "none of it was trained; not evaluated yet; no report grades it"
