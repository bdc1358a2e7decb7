"""Every rule holds in a valid lake, and each is broken by a lake that breaks it, alone."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from copy import deepcopy

import pytest

from sql.catalogue import checks
from sql.declarations import declarations
from sql.warehouse import broken_rows, open_lake
from tests.sql.strata_lake import STRATA_CASES
from tests.sql.tiny_lake import key

NAN = math.nan
TRAINED_ON = (
    "backbone__only_train_patients",
    "backbone__gram_only_train_patients",
    "clip__only_train_patients",
    "synthesizer__only_train_patients",
    "synthesizer__align_only_train_patients",
    "ablations__only_train_patients",
)
"""Rules that read the frozen ledger too."""


def _move_quote(lake):
    lake.change("labels.verdicts", where={"condition": "canal"}, evidence_start=3)


def _drop_quote(lake):
    lake.change("labels.mentions", evidence=None, evidence_start=None, evidence_end=None)


def _test_slice_in_a_training_tar(lake):
    tar = lake.first("shards.slices", split="train", route="t1")["shard"]
    lake.change("shards.slices", where={"split": "test", "route": "t1"}, shard=tar)
    manifest = lake.first("shards.manifest", shard=tar)
    manifest.update(n_slices=manifest["n_slices"] + 1, n_patients=manifest["n_patients"] + 1)


def _scored_in_the_other_evaluation(lake):
    patient = lake.first("probes.predictions", evaluation="test")["patient_key"]
    for row in lake.rows["probes.predictions"]:
        if row["patient_key"] == patient:
            row.update(evaluation="cv", fold=0)


def _scored_twice(lake):
    lake.repeat("probes.predictions", evaluation="test")
    lake.rows["probes.predictions"][-1].update(evaluation="cv", fold=0)


def _another_probability(lake):
    for row in lake.rows["attribution.weights"]:
        row["probability"] = 0.5


def _its_own_patient(lake):
    """The patient stays one of train, so that only the identity is wrong."""
    row = lake.first("retrieval.neighbours", patient_key=key("ann"))
    row["neighbour_patient_key"] = row["patient_key"]


def _a_study_without_claims(lake):
    lake.repeat("deid.studies")
    lake.rows["deid.studies"][-1]["study_key"] = "0" * 32


def _one_key_for_two_claims(lake):
    first, second = [row for row in lake.rows["agents.claims"] if row["condition"] == "pars"][:2]
    for sentence in lake.rows["reports.sentences"]:
        if second["claim_key"] in sentence["claim_keys"]:
            sentence["claim_keys"] = [first["claim_key"], *sentence["claim_keys"]]
            sentence["claim_keys"].remove(second["claim_key"])
    second["claim_key"] = first["claim_key"]


def _no_draft(lake):
    draft = lake.rows["reports.drafts"].pop()["draft_key"]
    lake.rows["reports.sentences"] = [r for r in lake.rows["reports.sentences"] if r["draft_key"] != draft]


def _two_patients_in_one_study(lake):
    lake.repeat("deid.studies")
    lake.rows["deid.studies"][-1]["patient_key"] = "0" * 32


def _unsaid_claim(lake):
    sentence = lake.first("reports.sentences", kind="finding")
    sentence["claim_keys"] = sentence["claim_keys"][1:]


def _a_claim_of_another_study(lake):
    mine, other = [row for row in lake.rows["reports.sentences"] if row["kind"] == "finding"][:2]
    mine["claim_keys"] = [*mine["claim_keys"], *other["claim_keys"]]


def _a_claim_of_nobody(lake):
    sentence = lake.first("reports.sentences", kind="finding")
    sentence["claim_keys"] = [*sentence["claim_keys"], "0" * 32]


def _change_box(lake, **changes):
    lake.change("deid.annotations", where={"kind": "box"}, **changes)


CASES: list[tuple[str, Callable]] = [
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
    ("backbone__loss_finite", lambda lake: lake.change("backbone.curves", ibot=math.inf)),
    ("backbone__loss_finite", lambda lake: lake.change("backbone.curves", loss=NAN)),
    ("backbone__steps_increase", lambda lake: lake.repeat("backbone.curves")),
    ("backbone__steps_increase", lambda lake: lake.change("backbone.gram_curves", step=-1)),
    ("backbone__gram_loss_finite", lambda lake: lake.change("backbone.gram_curves", gram=NAN)),
    ("backbone__only_train_patients", lambda lake: lake.change("backbone.patients", patient_key=key("ben"))),
    (
        "backbone__only_train_patients",
        lambda lake: lake.change("backbone.patients", where={"patient_key": key("cem")}, role="train"),
    ),
    (
        "backbone__gram_only_train_patients",
        lambda lake: lake.change("backbone.gram_patients", patient_key=key("nobody")),
    ),
    ("clip__only_train_patients", lambda lake: lake.change("clip.patients", patient_key=key("ben"))),
    (
        "clip__only_train_patients",
        lambda lake: lake.change("clip.patients", where={"role": "held_out"}, patient_key=key("ben")),
    ),
    (
        "ablations__only_train_patients",
        lambda lake: lake.change("ablations.gates_scalar_patients", patient_key=key("ben")),
    ),
    (
        "ablations__gain_matches_its_values",
        lambda lake: lake.change("ablations.scores", where={"is_reference": False}, relative_gain=0.2),
    ),
    (
        "ablations__gain_matches_its_values",
        lambda lake: lake.change("ablations.scores", where={"is_reference": True}, n_studies=9),
    ),
    (
        "ablations__gain_matches_its_values",
        lambda lake: lake.change("ablations.scores", where={"variant": "concat"}, relative_gain=1.0),
    ),
    (
        "ablations__gain_matches_its_values",
        lambda lake: lake.change("ablations.scores", where={"variant": "concat"}, conditions=1),
    ),
    (
        "ablations__scores_in_range",
        lambda lake: lake.change("ablations.scores", where={"variant": "with_gram"}, high=1.1),
    ),
    (
        "ablations__scores_in_range",
        lambda lake: lake.change("ablations.scores", where={"variant": "bi_modal"}, reason=None),
    ),
    (
        "ablations__scores_in_range",
        lambda lake: lake.change("ablations.scores", where={"variant": "bi_modal"}, evaluation="cv"),
    ),
    (
        "ablations__only_test_patients_ask",
        lambda lake: lake.change("ablations.aligned", patient_key=key("ann")),
    ),
    ("clip__loss_finite", lambda lake: lake.change("clip.curves", loss=math.inf)),
    ("clip__recall_in_range", lambda lake: lake.change("clip.retrieval", recall_1=1.5)),
    ("clip__recall_in_range", lambda lake: lake.change("clip.retrieval", median_rank=9.0)),
    ("synthesizer__only_train_patients", lambda lake: lake.change("synthesizer.patients", role="looked at")),
    (
        "synthesizer__align_only_train_patients",
        lambda lake: lake.change("synthesizer.align_patients", patient_key=key("ben")),
    ),
    ("synthesizer__align_loss_finite", lambda lake: lake.change("synthesizer.align_curves", grad_norm=NAN)),
    ("synthesizer__recall_in_range", lambda lake: lake.change("synthesizer.retrieval", recall_5=0.25)),
    ("synthesizer__loss_finite", lambda lake: lake.change("synthesizer.curves", dino=NAN)),
    ("synthesizer__gates_are_weights", lambda lake: lake.change("synthesizer.gates", weight_t1=0.5)),
    ("synthesizer__every_layer_has_its_gate", lambda lake: lake.drop("synthesizer.gates", layer=0)),
    ("synthesizer__every_layer_has_its_gate", lambda lake: lake.repeat("synthesizer.gates")),
    (
        "embeddings__one_version_per_encoder",
        lambda lake: lake.change("embeddings.studies", preprocessing_version="p0"),
    ),
    (
        "embeddings__one_version_per_encoder",
        lambda lake: lake.change("embeddings.studies", encoder="another-t1"),
    ),
    ("embeddings__refreshed_adds_up", lambda lake: lake.drop("embeddings.refreshed")),
    ("embeddings__refreshed_adds_up", lambda lake: lake.change("embeddings.refreshed", n_slices=1)),
    ("embeddings__refreshed_adds_up", lambda lake: lake.change("embeddings.refreshed", reason="vanished")),
    (
        "embeddings__every_routed_slice_has_a_vector",
        lambda lake: lake.change("embeddings.slices", pixel_hash="old"),
    ),
    ("embeddings__vector_has_its_slice", lambda lake: lake.change("embeddings.slices", patient_key="0" * 32)),
    ("embeddings__finite", lambda lake: lake.change("embeddings.series", vector=[1.0, NAN, 0.0])),
    ("embeddings__finite", lambda lake: lake.change("embeddings.studies", vector=[])),
    ("embeddings__one_width_per_encoder", lambda lake: lake.change("embeddings.series", vector=[1.0, 0.0])),
    ("embeddings__aligned_unit_length", lambda lake: lake.change("embeddings.aligned", vector=[0.6, NAN])),
    ("embeddings__aligned_unit_length", lambda lake: lake.change("embeddings.aligned", vector=[0.6, 0.6])),
    ("embeddings__aligned_unit_length", lambda lake: lake.repeat("embeddings.aligned", modality="t2")),
    (
        "embeddings__aligned_one_version",
        lambda lake: lake.change("embeddings.aligned_slices", model_version="c0"),
    ),
    ("probes__evaluation_matches_split", _scored_in_the_other_evaluation),
    ("probes__baselines_one_version", lambda lake: lake.change("probes.baselines", model_version="before")),
    ("probes__baselines_one_version", lambda lake: lake.change("probes.baselines", model_version=None)),
    ("probes__one_fold_per_patient", lambda lake: lake.change("probes.predictions", fold=None)),
    (
        "probes__one_fold_per_patient",
        lambda lake: lake.change("probes.predictions", where={"evaluation": "test"}, fold=1),
    ),
    ("probes__interval_contains_value", lambda lake: lake.change("probes.metrics", auroc_high=0.1)),
    ("probes__interval_contains_value", lambda lake: lake.change("probes.metrics", sensitivity_low=0.9)),
    ("probes__interval_contains_value", lambda lake: lake.change("probes.summary", auprc_low=0.9)),
    ("probes__interval_contains_value", lambda lake: lake.change("probes.comparisons", difference_low=0.15)),
    ("probes__comparisons_agree", lambda lake: lake.change("probes.comparisons", p_delong=2.0)),
    (
        "probes__comparisons_agree",
        lambda lake: lake.change("probes.comparisons", value=0.9, against_value=0.8),
    ),
    ("probes__comparisons_agree", lambda lake: lake.change("probes.comparisons", against_value=0.6)),
    (
        "probes__comparisons_agree",
        lambda lake: lake.change("probes.comparisons", where={"condition": "pars"}, reason=None),
    ),
    (
        "probes__metrics_in_range",
        lambda lake: lake.change("probes.metrics", threshold=1.5, threshold_on="cv"),
    ),
    ("probes__metrics_in_range", lambda lake: lake.change("probes.metrics", threshold=0.5)),
    (
        "probes__metrics_in_range",
        lambda lake: lake.change("probes.metrics", threshold=0.5, threshold_on="test"),
    ),
    (
        "probes__metrics_in_range",
        lambda lake: lake.change("probes.metrics", brier=1.5, brier_high=1.6),
    ),
    ("probes__metrics_in_range", lambda lake: lake.change("probes.metrics", ece=NAN, ece_high=NAN)),
    (
        "probes__metrics_in_range",
        lambda lake: lake.change("probes.metrics", where={"condition": "pars"}, reason=None),
    ),
    ("probes__seventeen_conditions", lambda lake: lake.drop("probes.metrics", condition="pars")),
    ("probes__seventeen_conditions", lambda lake: lake.repeat("probes.metrics", condition="pars")),
    (
        "attribution__contributions_sum_to_logit",
        lambda lake: lake.change("attribution.weights", contribution=1.9),
    ),
    ("attribution__contributions_sum_to_logit", _another_probability),
    (
        "attribution__contributions_sum_to_logit",
        lambda lake: lake.drop("attribution.weights", unit="series", route="t2"),
    ),
    (
        "attribution__knockouts_in_range",
        lambda lake: lake.change("attribution.knockouts", probability_after=1.5),
    ),
    (
        "attribution__knockouts_in_range",
        lambda lake: lake.change("attribution.knockouts", probability_after=None),
    ),
    (
        "attribution__knockouts_in_range",
        lambda lake: lake.change("attribution.knockouts", where={"unit": "route"}, reason=None),
    ),
    (
        "attribution__only_test_patients",
        lambda lake: lake.change("attribution.measured", patient_key=key("ann")),
    ),
    ("attribution__scores_have_values_or_reasons", lambda lake: lake.change("attribution.scores", value=1.5)),
    ("attribution__scores_have_values_or_reasons", lambda lake: lake.change("attribution.scores", low=0.9)),
    (
        "attribution__scores_have_values_or_reasons",
        lambda lake: lake.change("attribution.scores", where={"condition": "pars"}, reason=None),
    ),
    ("retrieval__neighbours_are_train_patients", _its_own_patient),
    (
        "retrieval__neighbours_are_train_patients",
        lambda lake: lake.change("retrieval.neighbours", neighbour_patient_key=key("ben")),
    ),
    (
        "retrieval__neighbours_are_train_patients",
        lambda lake: lake.change("retrieval.neighbours", neighbour_patient_key=key("cem")),
    ),
    (
        "retrieval__neighbours_are_train_patients",
        lambda lake: lake.change("retrieval.neighbours", neighbour_patient_key=None),
    ),
    ("retrieval__one_clip_version", lambda lake: lake.change("retrieval.neighbours", clip_version="c0")),
    ("retrieval__one_clip_version", lambda lake: lake.change("retrieval.neighbours", index_version="i0")),
    ("retrieval__scores_in_range", lambda lake: lake.change("retrieval.scores", recall_1=0.9)),
    ("retrieval__scores_in_range", lambda lake: lake.change("retrieval.scores", mrr=NAN)),
    ("retrieval__scores_in_range", lambda lake: lake.change("retrieval.scores", median_rank=0.0)),
    (
        "retrieval__scores_in_range",
        lambda lake: lake.change("retrieval.scores", where={"sequence_set": "other"}, reason=None),
    ),
    ("retrieval__gains_agree", lambda lake: lake.change("retrieval.gains", gain=0.3)),
    ("retrieval__gains_agree", lambda lake: lake.change("retrieval.gains", gain_high=math.inf)),
    ("retrieval__gains_agree", lambda lake: lake.change("retrieval.gains", next_best_recall_5=0.0)),
    ("retrieval__gains_agree", lambda lake: lake.change("retrieval.gains", against="another")),
    (
        "retrieval__gains_agree",
        lambda lake: lake.change("retrieval.gains", status="not_evaluable", gain=None),
    ),
    (
        "localization__boxes_lie_on_their_slices",
        lambda lake: lake.change("localization.findings", output_w=90.0),
    ),
    ("localization__boxes_lie_on_their_slices", lambda lake: lake.change("localization.findings", x=-1.0)),
    (
        "localization__boxes_lie_on_their_slices",
        lambda lake: lake.change("localization.findings", slice_key="0"),
    ),
    (
        "localization__one_rank_per_study_and_condition",
        lambda lake: lake.change("localization.findings", rank=2),
    ),
    (
        "localization__fitted_on_train_patients",
        lambda lake: lake.change("localization.patients", patient_key=key("ben")),
    ),
    (
        "localization__fitted_on_train_patients",
        lambda lake: lake.change("localization.patients", role="held_out"),
    ),
    (
        "localization__only_test_patients_are_scored",
        lambda lake: lake.change("localization.scores", n_patients=2),
    ),
    ("localization__scores_in_range", lambda lake: lake.change("localization.scores", iou=NAN)),
    (
        "localization__scores_in_range",
        lambda lake: lake.change("localization.scores", where={"condition": "pars"}, reason=None),
    ),
    ("localization__seventeen_conditions", lambda lake: lake.drop("localization.scores", condition="pars")),
    ("reports__refresh_says_why", lambda lake: lake.change("reports.nights", reasons=[])),
    ("reports__refresh_says_why", lambda lake: lake.change("reports.nights", stage=None)),
    ("agents__seventeen_claims_per_study", _a_study_without_claims),
    (
        "agents__seventeen_claims_per_study",
        lambda lake: lake.change("agents.claims", where={"condition": "pars"}, condition="canal"),
    ),
    ("agents__claim_keys_are_unique", _one_key_for_two_claims),
    (
        "agents__not_assessed_has_reason",
        lambda lake: lake.change("agents.claims", where={"condition": "pars"}, reason=""),
    ),
    ("agents__not_assessed_has_reason", lambda lake: lake.change("agents.claims", reason="why not")),
    ("agents__probability_in_range", lambda lake: lake.change("agents.claims", probability=None)),
    ("agents__probability_in_range", lambda lake: lake.change("agents.claims", confidence=NAN)),
    ("agents__sources_exist", lambda lake: lake.change("agents.claims", source_instances=["0" * 32])),
    ("agents__sources_exist", lambda lake: lake.change("agents.claims", source_instances=[])),
    ("reports__one_draft_per_study", _no_draft),
    (
        "reports__every_sentence_has_claims",
        lambda lake: lake.change("reports.sentences", where={"kind": "technique"}, kind="finding"),
    ),
    ("reports__every_claim_is_said", _unsaid_claim),
    ("reports__claim_exists", _a_claim_of_another_study),
    ("reports__claim_exists", _a_claim_of_nobody),
    (
        "reports__draft_holds_its_sentences",
        lambda lake: lake.change("reports.sentences", text="Never written."),
    ),
    ("reports__draft_holds_its_sentences", lambda lake: lake.change("reports.drafts", n_sentences=9)),
    *STRATA_CASES,
]

# A patient who is scored in both evaluations is, in one of them, in the wrong split; a test slice in a training tar
# has another split than its tar. The wider rule is broken with the narrower one.
TOGETHER = [
    (
        {"embeddings__every_routed_slice_has_a_vector", "embeddings__refreshed_adds_up"},
        lambda lake: lake.drop("embeddings.slices"),
    ),
    (
        {"embeddings__every_routed_slice_has_a_vector", "embeddings__refreshed_adds_up"},
        lambda lake: lake.repeat("embeddings.slices"),
    ),
    ({"probes__no_patient_in_both_evaluations", "probes__evaluation_matches_split"}, _scored_twice),
    (
        {"shards__no_test_patient_trains", "shards__slice_in_manifest_is_train_or_val"},
        _test_slice_in_a_training_tar,
    ),
    (
        {"shards__no_test_patient_trains", *TRAINED_ON},
        lambda lake: lake.change("shards.patients", may_train=False),
    ),
    (
        {"shards__no_test_patient_trains", *TRAINED_ON},
        lambda lake: lake.drop("shards.patients", split="train"),
    ),
]


def broken(connection, names=None) -> set[str]:
    return {name for name in names or checks() if broken_rows(connection, checks()[name])[0]}


@pytest.fixture(scope="module")
def reads() -> dict[str, set[str]]:
    """The declared tables that each rule reads, through the derived views too."""
    _, views = declarations()
    behind = {view.name: view.statement for view in views}

    def tables(statement: str) -> set[str]:
        found = set(re.findall(r"\b[a-z]+\.[a-z_]+\b", statement))
        return found.union(*(tables(behind[name].partition(" AS ")[2]) for name in found & set(behind)))

    return {name: tables(check.statement) for name, check in checks().items()}


@pytest.fixture(scope="module")
def opened(valid):
    with open_lake(valid) as connection:
        yield connection


@pytest.fixture
def broken_by(opened, valid, reads, lake, tmp_path):
    """The rules that a mutation breaks; only changed tables are written, only rules that read them are asked."""

    def ask(mutate) -> set[str]:
        before, after = deepcopy(lake), lake
        mutate(after)
        changed = [name for name in after.rows if after.rows[name] != before.rows[name]]
        assert changed, "the mutation does nothing"
        opened.execute("BEGIN")
        try:
            for name in changed:
                # Inside the lake: the connection reads nothing else.
                path = valid / f"{tmp_path.name}-{name}.parquet"
                after.frame(name).write_parquet(path)
                opened.execute(f"CREATE OR REPLACE VIEW {name} AS SELECT * FROM read_parquet('{path}')")
            return broken(opened, [rule for rule, tables in reads.items() if tables & set(changed)])
        finally:
            opened.execute("ROLLBACK")

    return ask


def test_a_valid_lake_breaks_no_rule(opened):
    assert broken(opened) == set()


@pytest.mark.parametrize(("rule", "mutate"), CASES, ids=[f"{i}-{rule}" for i, (rule, _) in enumerate(CASES)])
def test_a_broken_rule_is_found_and_no_other(rule, mutate, broken_by):
    assert broken_by(mutate) == {rule}


@pytest.mark.parametrize(("rules", "mutate"), TOGETHER)
def test_rules_that_break_together(rules, mutate, broken_by):
    assert broken_by(mutate) == rules


def test_every_rule_has_a_lake_that_breaks_it():
    assert {rule for rule, _ in CASES} | set.union(*(rules for rules, _ in TOGETHER)) == set(checks())


def test_broken_rows_show_no_free_text(opened):
    """The first rows of a broken rule become metadata of the orchestrator; texts stay in the lake."""
    texts = {"text", "report_text", "note", "evidence", "sentence", "exam", "series_description"}
    for name, check in checks().items():
        assert not texts & set(opened.sql(check.statement).columns), name


def test_broken_rows_counts_all_and_shows_the_first(lake, tmp_path):
    for row in lake.rows["deid.files"]:
        row["outcome"] = "lost"
    with open_lake(lake.write(tmp_path)) as connection:
        assert broken(connection) == {"deid__every_file_has_one_outcome"}
        number, first = broken_rows(connection, checks()["deid__every_file_has_one_outcome"], limit=2)
    assert number == len(lake.rows["deid.files"])
    assert len(first) == 2
    assert first[0]["outcomes"] == ["lost"]


def test_batches_that_wait_are_not_broken(lake, tmp_path):
    """Only deid has run for the second batch: no rule of a later stage may complain yet."""
    for name in lake.rows:
        if not name.startswith("deid."):
            lake.rows[name] = [row for row in lake.rows[name] if row.get("batch_key") != "internal-0002"]
    seen = {row["patient_key"] for row in lake.rows["shards.splits"]}
    for name in ("probes.predictions", "probes.guard_patients", "localization.patients"):
        lake.rows[name] = [r for r in lake.rows[name] if r["patient_key"] in seen]
    held = {row["study_key"] for row in lake.rows["embeddings.aligned"]}
    found = lake.rows["retrieval.neighbours"]
    lake.rows["retrieval.neighbours"] = [row for row in found if row["neighbour_study_key"] in held]
    with open_lake(lake.write(tmp_path)) as connection:
        assert broken(connection) == set()


def test_a_patient_with_nothing_but_outside_slices_breaks_no_rule(lake, tmp_path):
    """The manifest then calls the patient outside, whatever split the patient has for ever."""
    patient = lake.first("shards.patients", split="test")["patient_key"]
    for row in lake.rows["shards.slices"]:
        if row["patient_key"] == patient:
            row.update(split="outside", shard="t1/outside/shard-000000.tar")
    lake.change("shards.patients", where={"patient_key": patient}, split="outside")
    with open_lake(lake.write(tmp_path)) as connection:
        assert broken(connection) == set()


def test_numbers_that_a_site_left_out_break_no_rule(lake, tmp_path):
    lake.change("deid.ehr_encounters", encounter_key=None)
    lake.change("deid.ehr_orders", order_key=None)
    with open_lake(lake.write(tmp_path)) as connection:
        assert broken(connection) == set()


def test_an_empty_lake_breaks_no_rule(tmp_path):
    with open_lake(tmp_path) as connection:
        assert broken(connection) == set()
