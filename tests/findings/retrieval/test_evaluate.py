"""What is asked of whom: test patients alone, planted signal found, absent sides said, baselines through a map."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from spine_models.config import RetrievalSettings
from spine_models.domain import condition_keys
from spine_models.findings.embeddings.tables import STUDIES
from spine_models.findings.probes.tables import BASELINES
from spine_models.findings.retrieval.evaluate import Vectors, evaluate_retrieval
from spine_models.findings.retrieval.linear import side_by_side, to_reports
from spine_models.findings.retrieval.pool import RetrievalError
from spine_models.findings.retrieval.precision import precision
from spine_models.findings.retrieval.ranking import rank_pairs
from spine_models.findings.retrieval.scores import condition_sentences, study_scores
from spine_models.findings.retrieval.studies import gather_studies
from spine_models.findings.retrieval.tables import GAINS, PRECISION, SCORES
from tests.findings.retrieval.conftest import DIM, make_space, unit

SETTINGS = RetrievalSettings(bootstrap=40)
VERSIONS = {"clip": "c1", "synthesizer": "a1"}


def others(space, *, noise, seed):
    """Study vectors that know of the reports what ``noise`` leaves, turned and shifted so that only a map finds it."""
    rng = np.random.default_rng(seed)
    turn = rng.normal(size=(DIM, 9))
    rows = []
    for row in space.aligned.filter(pl.col("modality") == "report").iter_rows(named=True):
        for route in ("t1", "t2"):
            vector = np.array(row["vector"]) @ turn + 5 + noise * rng.normal(size=9)
            rows.append({"study_key": row["study_key"], "patient_key": row["patient_key"], "route": route,
                         "encoder": f"dinov3-{route}", "model_version": "e1", "preprocessing_version": "p1",
                         "vector": vector.tolist()})  # fmt: skip
    return pl.DataFrame(rows)


def pixel_pca(space, *, noise):
    """The only baseline."""
    return others(space, noise=noise, seed=2).with_columns(encoder=pl.lit("pixel_pca"))


def run(space, sentences=None, labels=None, *, noise=3.0, **changes):
    frozen, baselines = changes.pop("frozen", None), changes.pop("baselines", None)
    if frozen is None:
        frozen = others(space, noise=1.0, seed=1)
    if baselines is None:
        baselines = pixel_pca(space, noise=noise)
    consensus = (
        labels
        if labels is not None
        else pl.DataFrame(schema={"study_key": pl.String, "condition": pl.String, "label": pl.Int8})
    )
    vectors = Vectors(
        space.aligned,
        lambda: (space.slices.filter(pl.col("batch_key") == batch) for batch in ("b0", "b1")),
        frozen,
        baselines.select(BASELINES.names()),
    )
    given = {
        "splits": space.splits, "reports": space.reports, "consensus": consensus, "versions": VERSIONS,
    } | changes  # fmt: skip
    return evaluate_retrieval(vectors, sentences=sentences or {}, settings=SETTINGS, **given)


def row_of(table, **where):
    found = table.filter(*[pl.col(name) == value for name, value in where.items()])
    assert found.height == 1, where
    return found.row(0, named=True)


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


def test_gains_are_over_the_best_baseline_on_the_same_studies():
    weak = row_of(run(make_space(160), noise=30.0).gains, sequence_set="t2", query="t2")
    assert (weak["status"], weak["next_best"]) == ("evaluated", "pixel_pca")
    assert weak["gain"] == pytest.approx(weak["recall_5"] / weak["next_best_recall_5"] - 1)
    assert weak["gain_low"] > 0
    # A baseline that knows the report's vector itself beats a noisy alignment: the harness favours nobody.
    strong = row_of(run(make_space(160, noise=1.0), noise=0.0).gains, sequence_set="t2", query="t2")
    assert strong["gain"] < 0
    other = row_of(run(make_space(40)).gains, sequence_set="other", against="best_baseline")
    assert other["status"] == "not_evaluable"


def test_a_map_never_sees_the_test_studies():
    space = make_space(80)
    rng = np.random.default_rng(0)
    n = 60
    values, reports = rng.normal(size=(n, 5)), unit(rng.normal(size=(n, DIM)))
    fit, choose = np.arange(n) < 30, (np.arange(n) >= 30) & (np.arange(n) < 45)
    who, alike = [str(i) for i in range(n)], np.arange(n)
    first = to_reports(values, reports, fit, choose, who, alike, [0.1, 1.0])
    reports[45:] = unit(rng.normal(size=(15, DIM)))
    np.testing.assert_array_equal(first, to_reports(values, reports, fit, choose, who, alike, [0.1, 1.0]))
    assert to_reports(values, reports, fit & (np.arange(n) < 5), choose, who, alike, [1.0]) is None
    assert space.aligned.height


@pytest.mark.parametrize("d", [4, 40])
def test_the_map_is_ridge_regression(d):
    """Solved plainly, for fewer and for more columns than studies."""
    rng = np.random.default_rng(1)
    n, penalty = 30, 0.7
    values, reports = rng.normal(size=(n, d)) + 3, unit(rng.normal(size=(n, DIM)))
    fit, nobody = np.arange(n) < 20, np.zeros(n, bool)
    found = to_reports(values, reports, fit, nobody, [str(i) for i in range(n)], np.arange(n), [penalty])
    centre, middle = values[fit].mean(axis=0), reports[fit].mean(axis=0)
    x, y = values[fit] - centre, reports[fit] - middle
    weights = np.linalg.solve(x.T @ x + penalty * 20 * np.eye(d), x.T @ y)
    np.testing.assert_allclose(found, unit((values - centre) @ weights + middle), atol=1e-9)


def test_missing_blocks_contribute_nothing_and_are_marked():
    rows = [("a", "t1", [1.0, 2.0]), ("a", "t2", [5.0]), ("b", "t1", [3.0, 2.0]), ("c", "t2", [7.0])]
    table = pl.DataFrame(rows, schema=["study_key", "route", "vector"], orient="row")
    values, present = side_by_side(table, "all", ["a", "b", "c", "d"], np.array([True, True, True, True]))
    assert present.tolist() == [True, True, True, False]
    np.testing.assert_allclose(values, [[-1, 0, 0, -1, 0], [1, 0, 0, 0, 1], [0, 0, 1, 1, 0], [0, 0, 1, 0, 1]])
    only, present = side_by_side(table, "t2", ["a", "b"], np.array([True, True]))
    assert (only.shape, present.tolist()) == ((2, 2), [True, False])


def test_precision_is_that_of_a_loop():
    rng = np.random.default_rng(2)
    n = 30
    vectors, patients = rng.normal(size=(n, 4)), [f"p{i // 2}" for i in range(n)]
    labels = rng.integers(-1, 2, size=(n, 2)).astype(np.int8)
    found = precision(
        vectors, patients, labels, ["x", "y"], encoder="e", sequence_set="t1", settings=SETTINGS
    )
    wanted, by_chance = [], []
    for i in np.flatnonzero(labels[:, 0] == 1):
        among = [j for j in range(n) if patients[j] != patients[i] and labels[j, 0] >= 0]
        cosine = {
            j: vectors[i] @ vectors[j] / np.linalg.norm(vectors[i]) / np.linalg.norm(vectors[j])
            for j in among
        }
        nearest = sorted(among, key=lambda j: -cosine[j])[:5]
        wanted.append(np.mean(labels[nearest, 0] == 1))
        by_chance.append(np.mean(labels[among, 0] == 1))
    row = row_of(found, condition="x")
    assert row["precision_5"] == pytest.approx(np.mean(wanted))
    assert row["chance"] == pytest.approx(np.mean(by_chance))
    mean = np.mean(found.filter(pl.col("condition") != "all")["precision_5"].to_list())
    assert row_of(found, condition="all")["precision_5"] == pytest.approx(mean)
    nothing = precision(
        vectors, patients, labels * 0, ["x", "y"], encoder="e", sequence_set="t1", settings=SETTINGS
    )
    assert set(nothing["status"]) == {"not_evaluable"}


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


def test_two_versions_are_refused(space):
    mixed = space.aligned.with_columns(
        pl.when(pl.col("study_key") == "s001")
        .then(pl.lit("c0"))
        .otherwise("model_version")
        .alias("model_version")
    )
    with pytest.raises(RetrievalError, match=r"embeddings/aligned, family 'clip': model_version.*\(c0, c1\)"):
        gather_studies(mixed, ["p001"], {})
    broken = space.aligned.with_columns(pl.col("vector").list.eval(pl.element() * float("nan")))
    with pytest.raises(RetrievalError, match="not finite"):
        gather_studies(broken, space.splits["patient_key"].to_list(), {})
    twice = pl.concat([space.aligned, space.aligned.head(1)])
    with pytest.raises(RetrievalError, match="two vectors"):
        gather_studies(twice, space.splits["patient_key"].to_list(), {})


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


def test_slices_and_sentences_are_of_the_studies_versions():
    """Every batch alone is of one version, and yet they are not comparable."""
    space = make_space(20)
    old = space.slices.with_columns(model_version=pl.lit("c0"))
    whole, space.slices = space.slices, old
    with pytest.raises(RetrievalError, match=r"c0.*c1"):
        run(space)
    half = pl.col("batch_key") == "b0"
    space.slices = pl.concat([whole.filter(half), old.filter(~half)])
    with pytest.raises(RetrievalError, match=r"c0.*c1"):
        run(space)
    space.slices = whole
    sentence = {"canal": unit(np.ones(DIM)).astype(np.float32)}
    for published, named in (
        ({"clip": "c2", "synthesizer": "a1"}, r"c1.*c2"),
        ({"clip": "c1", "synthesizer": "a2"}, r"a1.*a2"),
        ({"clip": "c1"}, r"a1.*none"),
        ({}, r"c1.*none"),
    ):
        with pytest.raises(RetrievalError, match=named):
            run(space, sentence, versions=published)


@pytest.mark.parametrize("column", ["encoder", "model_version", "preprocessing_version"])
def test_frozen_vectors_of_two_kinds_are_refused(column):
    space = make_space(20)
    frozen = others(space, noise=1.0, seed=1)
    first = (pl.col("study_key") == frozen["study_key"][0]) & (pl.col("route") == "t2")
    mixed = frozen.with_columns(pl.when(first).then(pl.lit("older")).otherwise(column).alias(column))
    with pytest.raises(
        RetrievalError, match=rf"embeddings/studies, route 't2': {column} has 2 versions .*older"
    ):
        run(space, frozen=mixed)


def test_a_baseline_of_two_versions_is_refused():
    space = make_space(20)
    held = pixel_pca(space, noise=3.0)
    first = (pl.col("study_key") == held["study_key"][0]) & (pl.col("route") == "t1")
    mixed = held.with_columns(model_version=pl.when(first).then(pl.lit("e0")).otherwise("model_version"))
    said = r"probes/baselines of pixel_pca, route 't1': model_version has 2 versions \(e0, e1\)"
    with pytest.raises(RetrievalError, match=said):
        run(space, baselines=mixed)


def test_with_and_without_the_synthesizer_are_asked_the_same():
    """Studies of which one has no vector count for neither; without any, each is asked all that it has."""
    space = make_space(160)
    test = set(space.splits.filter(split="test")["patient_key"])
    keys = space.aligned.filter(pl.col("patient_key").is_in(test))["study_key"].unique().sort().to_list()
    gone = pl.col("study_key").is_in(keys[:6]) & (pl.col("modality") == "study")
    lone = pl.col("study_key").is_in(keys[6:9]) & pl.col("modality").is_in(["t1", "t2"])
    space.aligned = space.aligned.filter(~gone & ~lone)
    found = run(space)
    rows = found.scores.filter(
        pl.col("sequence_set") == "all", pl.col("encoder").str.contains("^clip|^synthesizer")
    )
    for task in ("image_to_report", "report_to_image"):
        own = rows.filter(task=task)
        assert own.height == 2
        assert set(own["n_queries"]) == set(own["n_gallery"]) == {len(keys) - 9}
        assert own["chance_recall_5"].n_unique() == 1
    gain = row_of(found.gains, sequence_set="all", against="without_synthesizer")
    by_query = dict(rows.filter(task="image_to_report").select("query", "recall_5").rows())
    assert (gain["recall_5"], gain["next_best_recall_5"]) == (by_query["study"], by_query["t1+t2"])
    assert gain["gain"] == pytest.approx(by_query["study"] / by_query["t1+t2"] - 1)
    assert gain["gain_low"] <= gain["gain"] <= gain["gain_high"]
    assert (gain["query"], gain["next_best"], gain["n_queries"]) == ("study", "t1+t2", len(keys) - 9)
    other = row_of(found.gains, sequence_set="other", against="without_synthesizer")
    assert (other["status"], other["gain"]) == ("not_evaluable", None)
    assert "ablations" in other["reason"]


def test_the_synthesizer_beats_what_knows_nothing_and_says_where_it_is_not():
    space = make_space(120)
    rng = np.random.default_rng(4)
    known = space.aligned["modality"].is_in(["t1", "t2"])
    vectors = [
        unit(rng.normal(size=DIM)).tolist() if blind else v
        for v, blind in zip(space.aligned["vector"].to_list(), known, strict=True)
    ]
    space.aligned = space.aligned.with_columns(pl.Series("vector", vectors, dtype=pl.List(pl.Float32)))
    gain = row_of(run(space).gains, sequence_set="all", against="without_synthesizer")
    assert gain["gain_low"] > 0
    space.aligned = space.aligned.filter(~pl.col("modality").is_in(["study", "other"]))
    absent = run(space, versions={"clip": "c1"}).gains.filter(against="without_synthesizer")
    assert set(absent["status"]) == {"not_evaluable"}
    assert set(absent["reason"]) == {"no synthesizer is aligned with the reports"}


def test_a_gain_over_a_baseline_that_finds_nothing_has_a_reason():
    """Ours are the reports themselves; the only baseline is the reports turned away."""
    space = make_space(200, noise=0.0)
    held = dict(space.aligned.filter(modality="report").select("study_key", "vector").rows())
    baselines = others(space, noise=0.0, seed=2)
    split = dict(space.splits.rows())
    turned = [
        (-np.array(held[s]) if split[p] == "test" else np.array(held[s])).tolist()
        for s, p in baselines.select("study_key", "patient_key").rows()
    ]
    space_vectors = Vectors(
        space.aligned,
        lambda: iter([space.slices]),
        others(space, noise=1.0, seed=1),
        baselines.with_columns(
            pl.Series("vector", turned, dtype=pl.List(pl.Float32)), encoder=pl.lit("turned")
        ).select(BASELINES.names()),
    )
    gains = evaluate_retrieval(
        space_vectors,
        splits=space.splits,
        reports=space.reports,
        consensus=pl.DataFrame(schema={"study_key": pl.String, "condition": pl.String, "label": pl.Int8}),
        sentences={},
        versions=VERSIONS,
        settings=SETTINGS,
    ).gains
    row = row_of(gains, sequence_set="t2", query="t2")
    assert (row["recall_5"], row["next_best_recall_5"]) == (1.0, 0.0)
    assert (row["status"], row["gain"], row["gain_low"], row["gain_high"]) == (
        "not_evaluable",
        None,
        None,
        None,
    )
    assert "nothing" in row["reason"]
