"""Every rule holds in a valid lake, and each is broken by a lake that breaks it, alone."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from sql.catalogue import checks
from sql.warehouse import broken_rows, open_lake

NAN = math.nan


def _move_quote(lake):
    lake.change("labels.rules", where={"condition": "canal"}, evidence_start=3)


def _drop_quote(lake):
    lake.change("labels.mentions", evidence=None, evidence_start=None, evidence_end=None)


def _test_slice_in_a_training_tar(lake):
    tar = lake.first("shards.slices", split="train", route="t1")["shard"]
    lake.change("shards.slices", where={"split": "test", "route": "t1"}, shard=tar)
    manifest = lake.first("shards.manifest", shard=tar)
    manifest.update(n_slices=manifest["n_slices"] + 1, n_patients=manifest["n_patients"] + 1)


def _unsaid_claim(lake):
    sentence = lake.first("reports.sentences", kind="finding")
    sentence["claim_keys"] = sentence["claim_keys"][1:]


def _claim_of_another_study(lake):
    mine, other = (row for row in lake.rows["reports.sentences"] if row["kind"] == "finding" and row["position"] == 1)[:2]
    mine["claim_keys"] = [*mine["claim_keys"], *other["claim_keys"]]


def _two_patients_in_one_study(lake):
    lake.repeat("deid.studies")
    lake.rows["deid.studies"][-1]["patient_key"] = "0" * 32


CASES: list[tuple[str, Callable]] = [
    ("deid__every_file_has_one_outcome", lambda lake: lake.repeat("deid.files")),
    ("deid__every_file_has_one_outcome", lambda lake: lake.change("deid.files", outcome="lost")),
    ("deid__every_file_has_one_outcome", lambda lake: lake.change("deid.files", outcome=None)),
    ("deid__every_file_has_one_outcome", lambda lake: lake.change("deid.files", reason="not_dicom")),
    (
        "deid__every_file_has_one_outcome",
        lambda lake: lake.change("deid.files", where={"outcome": "rejected"}, reason=None),
    ),
    ("deid__instance_has_audit", lambda lake: lake.drop("deid.audit")),
    ("deid__instance_has_audit", lambda lake: lake.repeat("deid.audit")),
    ("deid__instance_has_audit", lambda lake: lake.change("deid.audit", instance_key="0" * 32)),
    ("deid__keys_are_pseudonyms", lambda lake: lake.change("deid.ehr_orders", order_key="ACC-123")),
    ("deid__keys_are_pseudonyms", lambda lake: lake.change("deid.reports", report_key=None)),
    ("deid__keys_are_pseudonyms", lambda lake: lake.change("deid.files", file_key="A" * 32)),
    ("deid__no_uid_in_text", lambda lake: lake.change("deid.instances", protocol_name="x 1.2.840.10008.5")),
    ("deid__no_uid_in_text", lambda lake: lake.change("deid.ehr_orders", reason="sent from 10.0.0.1")),
    ("deid__released_instances_have_a_study", lambda lake: lake.drop("deid.studies")),
    ("deid__one_row_per_study", _two_patients_in_one_study),
    ("deid__ages_are_capped", lambda lake: lake.change("deid.studies", age_years=91)),
    ("deid__ages_are_capped", lambda lake: lake.change("deid.ehr_encounters", age_at_visit=97)),
    ("sequences__one_row_per_series", lambda lake: lake.drop("sequences.series", route="other")),
    ("sequences__one_row_per_series", lambda lake: lake.repeat("sequences.series")),
    ("sequences__one_row_per_series", lambda lake: lake.change("sequences.series", series_key="0" * 32)),
    ("sequences__route_matches_contrast", lambda lake: lake.change("sequences.series", contrast="STIR")),
    ("sequences__route_matches_contrast", lambda lake: lake.change("sequences.series", abstained=True)),
    (
        "sequences__route_matches_contrast",
        lambda lake: lake.change("sequences.series", where={"route": "other"}, contrast="FLAIR", abstained=False),
    ),
    ("sequences__confidence_in_range", lambda lake: lake.change("sequences.series", confidence=1.2)),
    ("sequences__confidence_in_range", lambda lake: lake.change("sequences.series", confidence=NAN)),
    ("sequences__header_agrees", lambda lake: lake.change("sequences.series", disagreement="text T1, echo T2")),
    ("labels__seventeen_rows_per_study", lambda lake: lake.drop("labels.rules", condition="pars")),
    ("labels__seventeen_rows_per_study", lambda lake: lake.repeat("labels.consensus", condition="pars")),
    ("labels__seventeen_rows_per_study", lambda lake: lake.change("labels.consensus", condition="scoliosis")),
    ("labels__evidence_is_verbatim", _move_quote),
    ("labels__evidence_is_verbatim", _drop_quote),
    ("labels__evidence_is_verbatim", lambda lake: lake.change("labels.mentions", evidence="Canal stenosis")),
    ("labels__label_matches_status", lambda lake: lake.change("labels.rules", label=0)),
    ("labels__label_matches_status", lambda lake: lake.change("labels.consensus", status="ambiguous")),
    (
        "labels__label_matches_status",
        lambda lake: lake.change("labels.consensus", where={"condition": "pars"}, status="sometimes"),
    ),
    ("shards__one_split_per_patient", lambda lake: lake.change("shards.patients", split="val")),
    ("shards__slice_follows_patient", lambda lake: lake.drop("shards.splits", split="test")),
    ("shards__slice_in_one_place", lambda lake: lake.repeat("shards.slices", split="test")),
    (
        "shards__slice_in_manifest_is_train_or_val",
        lambda lake: lake.change("shards.manifest", split="test"),
    ),
    ("shards__slice_in_manifest_is_train_or_val", lambda lake: lake.change("shards.manifest", split="val")),
    ("shards__no_outside_in_manifest", lambda lake: lake.change("shards.slices", split="outside")),
    ("shards__no_test_patient_trains", lambda lake: lake.change("shards.patients", may_train=False)),
    ("shards__manifest_counts_its_slices", lambda lake: lake.change("shards.manifest", n_slices=99)),
    ("backbone__loss_finite", lambda lake: lake.change("backbone.curves", ibot=math.inf)),
    ("backbone__loss_finite", lambda lake: lake.change("backbone.curves", loss=NAN)),
    ("backbone__steps_increase", lambda lake: lake.repeat("backbone.curves")),
    ("embeddings__one_version_per_encoder", lambda lake: lake.change("embeddings.studies", preprocessing_version="p0")),
    ("embeddings__every_routed_slice_has_a_vector", lambda lake: lake.drop("embeddings.slices")),
    ("embeddings__every_routed_slice_has_a_vector", lambda lake: lake.repeat("embeddings.slices")),
    ("embeddings__every_routed_slice_has_a_vector", lambda lake: lake.change("embeddings.slices", pixel_hash="old")),
    ("embeddings__vector_has_its_slice", lambda lake: lake.change("embeddings.slices", patient_key="0" * 32)),
    ("embeddings__finite", lambda lake: lake.change("embeddings.series", vector=[1.0, NAN, 0.0])),
    ("embeddings__finite", lambda lake: lake.change("embeddings.studies", vector=[])),
    ("embeddings__one_width_per_encoder", lambda lake: lake.change("embeddings.series", vector=[1.0, 0.0])),
    (
        "probes__no_patient_in_both_evaluations",
        lambda lake: lake.change("shards.splits", split="train"),
    ),
    ("probes__evaluation_matches_split", lambda lake: lake.change("probes.predictions", evaluation="dev")),
    ("probes__one_fold_per_patient", lambda lake: lake.change("probes.predictions", fold=None)),
    (
        "probes__one_fold_per_patient",
        lambda lake: lake.change("probes.predictions", where={"evaluation": "test"}, fold=1),
    ),
    ("probes__interval_contains_value", lambda lake: lake.change("probes.metrics", auroc_high=0.1)),
    ("probes__metrics_in_range", lambda lake: lake.change("probes.metrics", brier=1.5)),
    ("probes__metrics_in_range", lambda lake: lake.change("probes.metrics", ece=NAN)),
    (
        "probes__metrics_in_range",
        lambda lake: lake.change("probes.metrics", where={"condition": "pars"}, reason=None),
    ),
    ("probes__seventeen_conditions", lambda lake: lake.drop("probes.metrics", condition="pars")),
    ("probes__seventeen_conditions", lambda lake: lake.repeat("probes.metrics", condition="pars")),
    ("agents__seventeen_claims_per_study", lambda lake: lake.change("deid.ehr_orders", exam="x")),
    ("agents__not_assessed_has_reason", lambda lake: lake.change("agents.claims", where={"condition": "pars"}, reason="")),
    ("agents__not_assessed_has_reason", lambda lake: lake.change("agents.claims", reason="why not")),
    ("agents__probability_in_range", lambda lake: lake.change("agents.claims", probability=None)),
    ("agents__probability_in_range", lambda lake: lake.change("agents.claims", confidence=NAN)),
    ("agents__sources_exist", lambda lake: lake.change("agents.claims", source_instances=["0" * 32])),
    ("agents__sources_exist", lambda lake: lake.change("agents.claims", source_instances=[])),
    ("reports__every_sentence_has_claims", None),
    ("reports__every_claim_is_said", _unsaid_claim),
    ("reports__claim_exists", None),
    ("reports__draft_holds_its_sentences", lambda lake: lake.change("reports.sentences", text="Never written.")),
    ("reports__draft_holds_its_sentences", lambda lake: lake.change("reports.drafts", n_sentences=9)),
]
