"""What is asked of whom: test patients alone, planted signal found, absent sides said."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from spine_models.domain import condition_keys
from spine_models.findings.embeddings.tables import STUDIES
from spine_models.findings.probes.tables import BASELINES
from spine_models.findings.retrieval.evaluate import Vectors, evaluate_retrieval
from spine_models.findings.retrieval.ranking import rank_pairs
from spine_models.findings.retrieval.scores import condition_sentences, study_scores
from spine_models.findings.retrieval.studies import gather_studies
from spine_models.findings.retrieval.tables import GAINS, PRECISION, SCORES
from tests.findings.retrieval.asking import SETTINGS, VERSIONS, row_of, run
from tests.findings.retrieval.conftest import DIM, make_space, unit


def test_tables_have_their_schemas_and_the_planted_signal_is_found():
    found = run(make_space(120))
    assert (found.scores.schema, found.gains.schema, found.precision.schema) == (SCORES, GAINS, PRECISION)
    for task, query, gallery, name in (
        ("image_to_report", "study", "report", "all"),
        ("report_to_image", "report", "t1", "t1"),
        ("text_to_slice", "report", "slice", "all"),
        ("orientation", "sagittal", "axial", "t2"),
    ):
        row = row_of(found.scores, task=task, query=query, gallery=gallery, sequence_set=name)
        assert row["status"] == "evaluated"
        assert row["recall_5_low"] > row["chance_recall_5"]


def test_only_test_patients_are_scored(space):
    found = run(space)
    test = set(space.splits.filter(split="test")["patient_key"])
    studies = space.aligned.filter(pl.col("modality") == "report", pl.col("patient_key").is_in(test))
    row = row_of(found.scores, task="image_to_report", query="study")
    assert (row["n_gallery"], row["n_patients"]) == (studies.height, len(test))
    slices = space.slices.filter(pl.col("patient_key").is_in(test), pl.col("route") == "t1")
    row = row_of(found.scores, task="text_to_slice", sequence_set="t1")
    assert row["n_gallery"] == slices.height


def test_report_to_slice_is_that_of_a_loop(space):
    found = row_of(run(space).scores, task="text_to_slice", sequence_set="all")
    test = set(space.splits.filter(split="test")["patient_key"])
    reports = space.aligned.filter(pl.col("modality") == "report", pl.col("patient_key").is_in(test))
    slices = space.slices.filter(pl.col("patient_key").is_in(test))
    ranks = []
    for study, patient, vector in reports.select("study_key", "patient_key", "vector").rows():
        scores = [
            (float(np.dot(np.float32(v), np.float32(vector))), s == study, p != patient)
            for s, p, v in slices.select("study_key", "patient_key", "vector").rows()
        ]
        best = max(score for score, own, _ in scores if own)
        ranks.append(1 + sum(score > best and rival for score, _, rival in scores))
    assert found["recall_5"] == pytest.approx(np.mean([r <= 5 for r in ranks]))
    assert found["median_rank"] == np.median(ranks)
    assert found["mrr"] == pytest.approx(np.mean([1 / r for r in ranks]))


def test_equal_reports_are_no_rivals(space):
    same = space.reports.with_columns(report_text=pl.lit("FINDINGS: Normal."))
    found = run(space, reports=same)
    assert row_of(found.scores, task="image_to_report", query="study")["status"] == "not_evaluable"
    # No report is sought here, so that they are.
    assert (
        row_of(found.scores, task="orientation", query="sagittal", sequence_set="t1")["status"] == "evaluated"
    )


def test_sentences_find_slices_of_studies_with_the_condition():
    space = make_space(60)
    keys = space.aligned["study_key"].unique().sort().to_list()
    rng = np.random.default_rng(0)
    with_it = {key for key in keys if rng.random() < 0.3}
    direction = unit(rng.normal(size=DIM))
    vectors = [
        unit(np.array(v) + (2.0 if s in with_it else -2.0) * direction).tolist()
        for s, v in space.slices.select("study_key", "vector").rows()
    ]
    space.slices = space.slices.with_columns(pl.Series("vector", vectors, dtype=pl.List(pl.Float32)))
    labels = pl.DataFrame(
        {"study_key": keys, "condition": "canal", "label": [int(key in with_it) for key in keys]},
        schema_overrides={"label": pl.Int8},
    )
    right = run(space, {"canal": direction.astype(np.float32)}, labels).scores
    row = row_of(right, task="condition_to_slice")
    assert (row["n_queries"], row["recall_1"], row["median_rank"]) == (1, 1.0, 1.0)
    assert row["recall_1_low"] == 1.0
    wrong = row_of(
        run(space, {"canal": -direction.astype(np.float32)}, labels).scores, task="condition_to_slice"
    )
    assert wrong["recall_10"] == 0.0
    nobody = row_of(
        run(space, {"pars": direction.astype(np.float32)}, labels).scores, task="condition_to_slice"
    )
    assert nobody["status"] == "not_evaluable"


@pytest.mark.parametrize("what", ["nothing", "no reports", "one study", "no baselines"])
def test_what_is_not_there_is_said(what):
    space = make_space(20)
    if what == "nothing":
        space.aligned, space.slices = space.aligned.clear(), space.slices.clear()
    elif what == "no reports":
        space.aligned = space.aligned.filter(pl.col("modality") != "report")
    elif what == "one study":
        test = space.splits.filter(split="test")["patient_key"].to_list()
        gone = space.aligned.filter(pl.col("patient_key").is_in(test))["study_key"].unique().sort()[1:]
        space.aligned = space.aligned.filter(~pl.col("study_key").is_in(gone.to_list()))
    vectors = Vectors(
        space.aligned,
        lambda: iter([space.slices]),
        pl.DataFrame(schema=STUDIES),
        pl.DataFrame(schema=BASELINES),
    )
    found = evaluate_retrieval(
        vectors,
        splits=space.splits,
        reports=space.reports,
        consensus=pl.DataFrame(schema={"study_key": pl.String, "condition": pl.String, "label": pl.Int8}),
        sentences={},
        versions=VERSIONS,
        settings=SETTINGS,
    )
    absent = found.scores.filter(pl.col("status") == "not_evaluable")
    assert absent["reason"].null_count() == 0
    assert absent["recall_5"].null_count() == absent.height
    if what != "no baselines":
        assert row_of(found.scores, task="image_to_report", query="t1", sequence_set="t1", encoder=absent.filter(
            task="image_to_report", query="t1", sequence_set="t1", gallery="report"
        ).filter(~pl.col("encoder").str.ends_with("+linear"))["encoder"][0])["status"] == "not_evaluable"  # fmt: skip
    assert set(found.gains.filter(against="best_baseline")["status"]) == {"not_evaluable"}
    assert found.gains.filter(pl.col("status") == "not_evaluable")["reason"].null_count() == 0


def test_without_a_synthesizer_all_is_asked_with_both_routes(space):
    test = space.splits.filter(split="test")["patient_key"].to_list()
    studies = gather_studies(space.aligned.filter(pl.col("modality") != "study"), test, {})
    rows = study_scores(studies, SETTINGS).filter(task="image_to_report", sequence_set="all")
    assert dict(rows.select("query", "status").rows()) == {"study": "not_evaluable", "t1+t2": "evaluated"}
    both = studies.having("t1+t2", "report")
    own = unit(sum(np.where(studies.present[r][:, None], studies.vectors[r], 0) for r in ("t1", "t2")))
    ranks = rank_pairs(own, studies.vectors["report"], studies.patient_keys, studies.alike).ranks
    assert both.all()
    assert rows.filter(query="t1+t2")["recall_5"][0] == pytest.approx((ranks <= 5).mean())


def test_every_condition_has_a_sentence():
    sentences = condition_sentences()
    assert list(sentences) == list(condition_keys())
    assert sentences["canal"] == "FINDINGS: There is spinal canal stenosis."
    assert all("(" not in text for text in sentences.values())
