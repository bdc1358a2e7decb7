"""Lakes that break one rule of findings, claims and drafts each."""

from __future__ import annotations

import math
from collections.abc import Callable

from tests.sql.tiny_lake import key

NAN = math.nan


def _scored_in_the_other_evaluation(lake):
    patient = lake.first("probes.predictions", evaluation="test")["patient_key"]
    for row in lake.rows["probes.predictions"]:
        if row["patient_key"] == patient:
            row.update(evaluation="cv", fold=0)


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
    for row in lake.rows["reports.provenance"]:
        if row["claim_key"] == second["claim_key"]:
            row["claim_key"] = first["claim_key"]
    second["claim_key"] = first["claim_key"]


def _no_draft(lake):
    draft = lake.rows["reports.drafts"].pop()
    for name in ("reports.sentences", "reports.provenance"):
        lake.rows[name] = [row for row in lake.rows[name] if row["study_key"] != draft["study_key"]]


def _unsaid_claim(lake):
    sentence = lake.first("reports.sentences", kind="finding")
    unsaid, *sentence["claim_keys"] = sentence["claim_keys"]
    lake.drop("reports.provenance", claim_key=unsaid)


def _a_claim_of_another_study(lake):
    mine, other = [row for row in lake.rows["reports.sentences"] if row["kind"] == "finding"][:2]
    mine["claim_keys"] = [*mine["claim_keys"], *other["claim_keys"]]


def _a_claim_of_nobody(lake):
    sentence = lake.first("reports.sentences", kind="finding")
    sentence["claim_keys"] = [*sentence["claim_keys"], "0" * 32]


def _compared_with_its_own_claim(lake):
    """A draft with an earlier study, and a comparison that rests on the later study twice."""
    drafted = {row["study_key"]: row for row in lake.rows["reports.drafts"]}
    dated = [row for row in lake.rows["deid.studies"] if row["study_key"] in drafted]
    earlier, later = next(
        (one, other)
        for one in dated
        for other in dated
        if one["patient_key"] == other["patient_key"] and one["study_date"] < other["study_date"]
    )
    draft = drafted[later["study_key"]]
    draft["prior_study_key"] = earlier["study_key"]
    sentence = lake.first("reports.sentences", draft_key=draft["draft_key"], kind="finding")
    sentence |= {"kind": "comparison", "prior_claim_keys": sentence["claim_keys"][:1]}


def _compared_with_itself(lake):
    draft = lake.rows["reports.drafts"][0]
    draft["prior_study_key"] = draft["study_key"]


FINDINGS_CASES: list[tuple[str, Callable]] = [
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
    (
        "reports__no_comparison_without_prior",
        lambda lake: lake.change("reports.sentences", where={"kind": "finding"}, kind="comparison"),
    ),
    (
        "reports__no_comparison_without_prior",
        lambda lake: lake.change("reports.sentences", where={"kind": "finding"}, prior_claim_keys=["0" * 32]),
    ),
    ("reports__no_comparison_without_prior", _compared_with_its_own_claim),
    ("reports__prior_is_earlier", lambda lake: lake.change("reports.drafts", prior_study_key="0" * 32)),
    ("reports__prior_is_earlier", _compared_with_itself),
    ("reports__provenance_is_whole", lambda lake: lake.drop("reports.provenance", condition="canal")),
    ("reports__provenance_is_whole", lambda lake: lake.change("reports.provenance", agent="diagnosis/none")),
    ("reports__provenance_is_whole", lambda lake: lake.change("reports.provenance", sentence_key="0" * 32)),
    (
        "reports__slices_exist",
        lambda lake: lake.change("reports.provenance", where={"condition": "canal"}, slice_key="gone"),
    ),
    (
        "reports__slices_exist",
        lambda lake: lake.change("reports.provenance", where={"condition": "canal"}, instance_key="0" * 32),
    ),
]
