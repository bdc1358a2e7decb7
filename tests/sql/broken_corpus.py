"""Lakes that break one rule of the corpus each."""

from __future__ import annotations

import math
from collections.abc import Callable

NAN = math.nan


def _move_quote(lake):
    lake.change("labels.verdicts", where={"condition": "canal"}, evidence_start=3)


def _drop_quote(lake):
    lake.change("labels.mentions", evidence=None, evidence_start=None, evidence_end=None)


def _two_patients_in_one_study(lake):
    lake.repeat("deid.studies")
    lake.rows["deid.studies"][-1]["patient_key"] = "0" * 32


def _change_box(lake, **changes):
    lake.change("deid.annotations", where={"kind": "box"}, **changes)


CORPUS_CASES: list[tuple[str, Callable]] = [
    ("deid__every_file_has_one_outcome", lambda lake: lake.repeat("deid.files")),
    ("deid__every_file_has_one_outcome", lambda lake: lake.change("deid.files", outcome="lost")),
    ("deid__every_file_has_one_outcome", lambda lake: lake.change("deid.files", outcome=None)),
    ("deid__every_file_has_one_outcome", lambda lake: lake.change("deid.files", reason="not_dicom")),
    (
        "deid__every_file_has_one_outcome",
        lambda lake: lake.change("deid.files", where={"outcome": "rejected"}, reason=None),
    ),
    ("deid__one_key_in_the_lake", lambda lake: lake.change("deid.audit", key_id="another")),
    ("deid__intervals_are_kept", lambda lake: lake.change("deid.date_integrity", wrong_intervals=1)),
    ("deid__intervals_are_kept", lambda lake: lake.change("deid.date_integrity", beyond_bound=1)),
    ("deid__instance_has_audit", lambda lake: lake.drop("deid.audit")),
    ("deid__instance_has_audit", lambda lake: lake.repeat("deid.audit")),
    ("deid__instance_has_audit", lambda lake: lake.change("deid.audit", instance_key="0" * 32)),
    ("deid__keys_are_pseudonyms", lambda lake: lake.change("deid.ehr_orders", order_key="ACC-123")),
    ("deid__keys_are_pseudonyms", lambda lake: lake.change("deid.audit", patient_key=None)),
    ("deid__keys_are_pseudonyms", lambda lake: lake.change("deid.files", file_key="A" * 32)),
    ("deid__no_uid_in_text", lambda lake: lake.change("deid.instances", protocol_name="x 1.2.840.10008.5")),
    ("deid__no_uid_in_text", lambda lake: lake.change("deid.ehr_orders", reason="sent from 10.0.0.1")),
    (
        "deid__released_instances_have_a_study",
        lambda lake: lake.change("deid.instances", patient_key="0" * 32),
    ),
    (
        "deid__annotations_have_their_series",
        lambda lake: lake.change("deid.annotations", where={"kind": "point"}, instance_key="0" * 32),
    ),
    (
        "deid__annotations_have_their_series",
        lambda lake: lake.change("deid.annotations", where={"kind": "series"}, series_key=None),
    ),
    (
        "deid__annotations_have_their_series",
        lambda lake: lake.change("deid.annotations", where={"kind": "label"}, patient_key="0" * 32),
    ),
    ("deid__annotations_have_their_series", lambda lake: lake.change("deid.annotations", kind=None)),
    (
        "deid__annotations_have_their_series",
        lambda lake: lake.change("deid.annotations", where={"kind": "box"}, instance_key="0" * 32),
    ),
    ("deid__boxes_lie_in_their_frame", lambda lake: _change_box(lake, w=10_000.0)),
    ("deid__boxes_lie_in_their_frame", lambda lake: _change_box(lake, y=-0.5)),
    ("deid__boxes_lie_in_their_frame", lambda lake: _change_box(lake, h=None)),
    ("deid__boxes_lie_in_their_frame", lambda lake: _change_box(lake, frame=1)),
    ("deid__boxes_lie_in_their_frame", lambda lake: _change_box(lake, frame=None)),
    (
        "deid__boxes_lie_in_their_frame",
        lambda lake: lake.change("deid.annotations", where={"kind": "point"}, w=1.0),
    ),
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
        lambda lake: lake.change(
            "sequences.series",
            where={"route": "other"},
            contrast="FLAIR",
            abstained=False,
            decided_by="rules",
        ),
    ),
    ("sequences__confidence_in_range", lambda lake: lake.change("sequences.series", confidence=1.2)),
    ("sequences__confidence_in_range", lambda lake: lake.change("sequences.series", confidence=NAN)),
    ("sequences__somebody_decided", lambda lake: lake.change("sequences.series", decided_by="nobody")),
    ("sequences__somebody_decided", lambda lake: lake.change("sequences.series", decided_by="header+pixels")),
    (
        "sequences__disagreements_are_of_their_series",
        lambda lake: lake.change("sequences.disagreements", decision="T2"),
    ),
    (
        "sequences__disagreements_are_of_their_series",
        lambda lake: lake.change("sequences.disagreements", says_a="STIR"),
    ),
    (
        "sequences__header_agrees",
        lambda lake: lake.change("sequences.series", disagreement="text T1, echo T2"),
    ),
    ("labels__seventeen_rows_per_study", lambda lake: lake.drop("labels.verdicts", condition="pars")),
    ("labels__seventeen_rows_per_study", lambda lake: lake.repeat("labels.consensus", condition="pars")),
    ("labels__seventeen_rows_per_study", lambda lake: lake.change("labels.consensus", condition="scoliosis")),
    ("labels__evidence_is_verbatim", _move_quote),
    ("labels__evidence_is_verbatim", _drop_quote),
    ("labels__evidence_is_verbatim", lambda lake: lake.change("labels.mentions", evidence="Canal stenosis")),
    ("labels__label_matches_status", lambda lake: lake.change("labels.verdicts", label=0)),
    ("labels__label_matches_status", lambda lake: lake.change("labels.consensus", status="absent")),
    (
        "labels__label_matches_status",
        lambda lake: lake.change("labels.consensus", where={"condition": "pars"}, status="sometimes"),
    ),
    ("labels__review_queue_is_whole", lambda lake: lake.repeat("labels.review_queue")),
    ("labels__review_queue_is_whole", lambda lake: lake.change("labels.review_queue", condition="cyst")),
    ("labels__prevalence_is_stable", lambda lake: lake.change("labels.drift", drifted=True)),
    ("shards__one_split_per_patient", lambda lake: lake.change("shards.patients", split="val")),
    (
        "shards__slice_follows_patient",
        lambda lake: lake.change("shards.slices", where={"split": "test"}, split="val"),
    ),
    ("shards__slice_in_one_place", lambda lake: lake.repeat("shards.slices", split="test")),
    (
        "shards__slice_in_manifest_is_train_or_val",
        lambda lake: lake.change("shards.manifest", split="test"),
    ),
    ("shards__slice_in_manifest_is_train_or_val", lambda lake: lake.change("shards.manifest", split="val")),
    ("shards__no_outside_in_manifest", lambda lake: lake.change("shards.slices", split="outside")),
    (
        "shards__slice_keeps_its_range",
        lambda lake: lake.change(
            "shards.slices",
            format=2,
            intensity_origin=0.0,
            intensity_step=0.01,
            window_low=5.0,
            window_high=900.0,
        ),
    ),
    ("shards__manifest_counts_its_slices", lambda lake: lake.change("shards.manifest", n_slices=99)),
]
