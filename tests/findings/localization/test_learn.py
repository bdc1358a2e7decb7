"""From annotations to findings on a cohort whose finding is a bright square."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import load_file

from spine_models.domain import condition_keys
from spine_models.findings.embeddings.pooling import pool_series, pool_studies
from spine_models.findings.localization import tables
from spine_models.findings.localization.evaluate import interval
from spine_models.findings.localization.find import find, side_of
from spine_models.findings.localization.learn import learn
from spine_models.findings.localization.models import _version, load_models, save_models
from spine_models.findings.localization.reading import Reader
from spine_models.findings.localization.tokens import LocalizationError, Sources
from spine_models.findings.probes.crossfit import LinearHeads
from spine_models.findings.probes.heads import PROBABILITIES
from tests.findings.localization.conftest import BATCH, SETTINGS, SIZE, Brightness


def brightness_head():
    """A head that looks at the maximum of the brightest patch's mean, for cyst and synovial."""
    names = condition_keys()
    weights = np.zeros((9, len(names)))
    weights[7] = 5.0
    fitted = np.array([name in ("cyst", "synovial") for name in names])
    ones, zeros = np.ones(len(names)), np.zeros(len(names))
    return LinearHeads(np.zeros(9), np.ones(9), weights, zeros, ones, zeros, ones, fitted)


@dataclass
class FixedHeads:
    """Heads that hold every study for ill of the named conditions."""

    asked: tuple[str, ...] = ("cyst", "synovial")
    version: str = "h1"
    model_versions: dict[str, str] = field(default_factory=lambda: {"t2": "m-t2"})
    preprocessing_versions: dict[str, str] = field(default_factory=lambda: {"t2": "p1"})
    card: dict[str, Any] = field(default_factory=lambda: {"conditions": list(condition_keys())})
    sets: dict[str, LinearHeads] = field(default_factory=lambda: {"t2": brightness_head()})

    def predict(self, vectors):
        keys = vectors["study_key"].unique().sort().to_list()
        rows = [(key, name, "t2", 0.9) for key in keys for name in self.asked]
        return pl.DataFrame(rows, schema=PROBABILITIES, orient="row")


def run(world, annotations=None, heads=None, sources=None, vectors=None):
    return learn(
        world.annotations if annotations is None else annotations,
        world.slices,
        world.splits,
        lambda wanted: [
            (world.vectors if vectors is None else vectors).join(wanted, on="slice_key", how="semi")
        ],
        heads or FixedHeads(),
        sources or world.sources,
        settings=SETTINGS,
    )


@pytest.fixture(scope="module")
def learned(world):
    return run(world)


def search(world, models, heads=None, slices=None, sources=None, studies=None):
    return find(
        world.slices if slices is None else slices,
        world.vectors,
        pool_studies(pool_series(world.vectors)) if studies is None else studies,
        models,
        heads or FixedHeads(),
        sources or world.sources,
        settings=SETTINGS,
    )


def score(learned, supervision, method):
    return learned.scores.row(
        by_predicate=(pl.col("condition") == "cyst")
        & (pl.col("supervision") == supervision)
        & (pl.col("method") == method),
        named=True,
    )


def test_the_square_is_found_on_test_patients_and_the_priors_do_not_find_it(learned):
    model, prior, centre = (
        score(learned, "supervised", m) for m in ("model", "position_prior", "image_centre")
    )
    assert (model["n_patients"], model["n_studies"], model["n_slices"]) == (8, 8, 8)
    assert model["slice_auroc"] == 1
    assert model["slice_top1"] == 1
    assert model["slice_distance"] == 0
    assert model["iou"] > max(prior["iou"], centre["iou"]) + 0.2
    assert model["centre_distance_mm"] < 0.5 * min(prior["centre_distance_mm"], centre["centre_distance_mm"])
    assert model["found_distance_mm"] == pytest.approx(model["centre_distance_mm"])
    assert prior["slice_top1"] < 1
    assert model["iou_low"] <= model["iou"] <= model["iou_high"]


def test_a_figure_of_one_patient_is_null_and_of_two_has_an_interval():
    patients = np.array(["a", "a", "b", "c"])
    draws = np.array([[1, 1, 1, 1], [2, 2, 1, 0], [0, 0, 2, 1], [0, 0, 0, 3]])
    nan = float("nan")
    assert interval(np.array([0.2, 0.4, nan, nan]), draws, patients) == (None, None, None)
    assert interval(np.full(4, nan), draws, patients) == (None, None, None)
    value, low, high = interval(np.array([0.2, 0.4, 0.9, nan]), draws, patients)
    assert value == pytest.approx(0.5)
    # Draws of the studies that have the figure: 0.5, 0.42 and 0.9; the last draw has none of them.
    assert (low, high) == pytest.approx(tuple(np.percentile([0.5, 0.42, 0.9], [2.5, 97.5])))


def test_figures_that_one_test_patient_has_are_null(world):
    test = sorted(p for p, split in world.splits.iter_rows() if split == "test")
    placed = world.slices.with_columns(
        ipp_mm=pl.when(pl.col("patient_key").is_in(test[1:])).then(None).otherwise(pl.col("ipp_mm"))
    )
    row = score(run(replace(world, slices=placed)), "supervised", "model")
    assert row["n_patients"] == len(test)
    assert row["iou_low"] <= row["iou"] <= row["iou_high"]
    figures = [row[f"found_distance_mm{end}"] for end in ("", "_low", "_high")]
    assert figures == [None, None, None]


def test_the_weak_way_finds_the_slice_and_the_patches_without_annotations(learned):
    weak, centre = score(learned, "weak", "model"), score(learned, "weak", "image_centre")
    assert weak["slice_top1"] == 1
    assert weak["centre_distance_mm"] < centre["centre_distance_mm"]


def test_every_condition_is_accounted_for_with_a_reason(learned):
    assert learned.scores.schema == tables.SCORES
    assert learned.level_scores.schema == tables.LEVEL_SCORES
    assert learned.scores.height == 17 * 5
    others = learned.scores.filter(pl.col("condition") != "cyst")
    assert set(others["status"]) == {"not_evaluable"}
    assert set(others["reason"]) == {"no slice is annotated with it"}


def test_only_train_patients_fit_and_val_patients_choose(learned, world):
    split = dict(world.splits.iter_rows())
    roles = {(split[p], r) for p, r in learned.patients.select("patient_key", "role").iter_rows()}
    assert roles == {("train", "train"), ("val", "held_out")}


def test_findings_lie_on_the_square_in_source_and_patient(world, learned):
    found = search(world, learned.models)
    assert found.schema == tables.FINDINGS
    best = found.filter(condition="cyst", rank=1)
    assert set(best["supervision"]) == {"supervised"}
    assert set(found.filter(condition="synovial")["supervision"]) == {"weak"}
    assert found.group_by("study_key", "condition").len()["len"].unique().to_list() == [2]
    rows = best.join(world.slices.select("slice_key", "slice_index"), on="slice_key")
    hits = 0
    for row in rows.iter_rows(named=True):
        shown, *_ = world.truth[row["study_key"]]
        hits += row["slice_index"] == shown
        assert 0 <= row["output_x"] <= row["output_x"] + row["output_w"] <= SIZE
        # Two source pixels make one; the first source pixel's centre lies at (-48, 48) mm, pixels are 1 mm.
        middle = (row["x"] + row["w"] / 2, row["y"] + row["h"] / 2)
        assert row["x"] == pytest.approx(2 * row["output_x"])
        assert row["centre_mm"][1:] == pytest.approx([-48.5 + middle[0], 48.5 - middle[1]])
        assert row["centre_mm"][0] == pytest.approx(4.0 * (row["slice_index"] - 3))
        left = row["centre_mm"][0]
        assert row["side"] == (None if abs(left) < SETTINGS.midline_mm else "left" if left > 0 else "right")
    assert hits == rows.height
    assert best["models_version"].unique().to_list() == [learned.models.version]
    assert best["model_version"].unique().to_list() == ["m-t2"]


def test_confidences_are_calibrated_on_the_slices_that_a_search_reports(world, learned):
    """Over validation patients, whose studies all have the finding, they add up to the hits (as Platt counts them)."""
    val = world.splits.filter(split="val")["patient_key"].implode()
    found = search(world, learned.models).filter(pl.col("patient_key").is_in(val), condition="cyst")
    hits = 0
    for row in found.join(world.slices.select("slice_key", "slice_index"), on="slice_key").iter_rows(
        named=True
    ):
        shown, x, y = world.truth[row["study_key"]]
        middle = (row["output_x"] + row["output_w"] / 2, row["output_y"] + row["output_h"] / 2)
        hits += row["slice_index"] == shown and abs(middle[0] - x) <= 5 and abs(middle[1] - y) <= 5
    n = found.height
    assert n == 8 * SETTINGS.slices
    assert 0 < hits <= 8
    assert learned.models.card["calibrated_on"]["supervised"] == {"n": n, "hits": hits}
    wanted = hits * (hits + 1) / (hits + 2) + (n - hits) / (n - hits + 2)
    assert found["confidence_if_present"].sum() == pytest.approx(wanted, rel=1e-4)


def test_saved_models_find_the_same_and_equal_input_gives_equal_bytes(world, learned, tmp_path):
    card = save_models(learned.models, tmp_path / "one")
    assert save_models(run(world).models, tmp_path / "two") == card
    for name in ("localization.safetensors", "card.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    loaded = load_models(tmp_path / "one")
    assert loaded.version == card["models_version"]
    (tmp_path / "one" / "card.json").write_text(
        json.dumps({"asset": "localization/models", "version": "f"} | card)
    )
    assert load_models(tmp_path / "one").version == loaded.version
    drop = ["models_version"]
    numbers = ["x", "y", "w", "h", "slice_score"]
    one, two = (search(world, m).drop(drop) for m in (learned.models, loaded))
    assert one.select("slice_key", "rank", "supervision").equals(
        two.select("slice_key", "rank", "supervision")
    )
    np.testing.assert_allclose(one.select(numbers).to_numpy(), two.select(numbers).to_numpy(), atol=2e-3)


def test_damaged_or_missing_models_are_refused(learned, tmp_path):
    with pytest.raises(LocalizationError, match="no localization models"):
        load_models(tmp_path)
    save_models(learned.models, tmp_path)
    weights = tmp_path / "localization.safetensors"
    data = bytearray(weights.read_bytes())
    data[-3] ^= 1
    weights.write_bytes(bytes(data))
    with pytest.raises(LocalizationError, match="do not match their card"):
        load_models(tmp_path)


def test_other_encoders_are_refused(world, learned):
    other = Sources({"t2": Brightness(version="m-new")}, world.sources.shard_roots)
    with pytest.raises(LocalizationError, match="fitted on encoder m-t2 of route 't2', asked with m-new"):
        search(world, learned.models, sources=other)
    with pytest.raises(LocalizationError, match="asked with m-t2"):
        run(world, sources=other)


def mixed(vectors, column, value):
    """Every other slice is of another version."""
    return vectors.with_columns(
        pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.lit(value)).otherwise(pl.col(column)).alias(column)
    )


def old(models):
    """Models of before preprocessing was kept."""
    return replace(models, preprocessing_versions={})


@pytest.mark.parametrize("other", ["m-a", "m-z"])
def test_a_second_encoder_among_the_vectors_is_refused_whichever_comes_last(world, learned, other):
    """One of the two versions fits: it must not hide the one that does not."""
    two = replace(world, vectors=mixed(world.vectors, "model_version", other))
    with pytest.raises(
        LocalizationError, match="embeddings/slices, route 't2': model_version has 2 versions"
    ):
        search(two, learned.models, studies=pool_studies(pool_series(world.vectors)))
    with pytest.raises(
        LocalizationError, match="embeddings/slices, route 't2': model_version has 2 versions"
    ):
        run(two)


def test_another_preprocessing_is_refused_by_models_that_know_theirs(world, learned):
    assert learned.models.preprocessing_versions == {"t2": "p1"}
    new = pl.lit("p2").alias("preprocessing_version")
    later = replace(world, vectors=world.vectors.with_columns(new), slices=world.slices.with_columns(new))
    with pytest.raises(LocalizationError, match="fitted on preprocessing p1 of route 't2', asked with p2"):
        search(later, learned.models)
    prepared = FixedHeads(preprocessing_versions={"t2": "p2"})
    assert search(later, old(learned.models), heads=prepared).height > 0
    two = replace(world, vectors=mixed(world.vectors, "preprocessing_version", "p2"))
    with pytest.raises(LocalizationError, match=r"preprocessing_version has 2 versions \(p1, p2\)"):
        search(two, old(learned.models), studies=pool_studies(pool_series(world.vectors)))


def test_vectors_of_other_pixels_than_the_shards_are_refused(world, learned):
    stale = replace(world, slices=world.slices.with_columns(preprocessing_version=pl.lit("p2")))
    with pytest.raises(LocalizationError, match="280 slice vectors are of another preprocessing"):
        run(stale)
    with pytest.raises(LocalizationError, match="280 slice vectors are of another preprocessing"):
        search(stale, old(learned.models))


def test_weak_heads_of_another_encoder_or_preprocessing_than_the_slices_are_refused(world, learned):
    """Study vectors that the heads take do not vouch for the slices' vectors."""
    other = FixedHeads(model_versions={"t2": "m-old"})
    with pytest.raises(LocalizationError, match="heads were fitted on encoder m-old"):
        search(world, learned.models, heads=other)
    with pytest.raises(LocalizationError, match="heads were fitted on encoder m-old"):
        run(world, heads=other)
    with pytest.raises(LocalizationError, match="heads were fitted on preprocessing p0"):
        search(world, learned.models, heads=FixedHeads(preprocessing_versions={"t2": "p0"}))


def test_preprocessing_is_part_of_the_models_version_and_older_cards_open(learned, tmp_path):
    card = save_models(learned.models, tmp_path)
    assert load_models(tmp_path).preprocessing_versions == {"t2": "p1"}
    later = replace(learned.models, preprocessing_versions={"t2": "p2"})
    assert save_models(later, tmp_path / "later")["models_version"] != card["models_version"]
    before = {name: value for name, value in card.items() if name != "preprocessing_versions"}
    arrays = load_file(tmp_path / "localization.safetensors")
    before["models_version"] = _version(arrays, before)
    (tmp_path / "card.json").write_text(json.dumps(before))
    assert load_models(tmp_path).preprocessing_versions == {}


def test_without_annotations_everything_is_weak_and_the_table_says_why(world):
    found = run(world, annotations=world.annotations.clear())
    assert set(found.scores["reason"]) == {"no slice is annotated with it"}
    assert found.models.slice_heads == {}
    assert found.patients.is_empty()
    assert set(search(world, found.models)["supervision"]) == {"weak"}


def test_without_an_encoder_nothing_is_fitted_and_nothing_is_found(world):
    nothing = Sources({}, world.sources.shard_roots)
    found = run(world, sources=nothing)
    assert set(found.scores["status"]) == {"not_evaluable"}
    assert found.scores["reason"].is_not_null().all()
    assert found.models.levels.ladders == {}
    assert search(world, found.models, sources=nothing).is_empty()


def test_vectors_that_are_not_finite_are_refused(world):
    broken = world.vectors.with_columns(vector=pl.lit([float("nan")] * 9, pl.List(pl.Float32)))
    with pytest.raises(LocalizationError, match="not finite"):
        run(world, vectors=broken)


def test_a_study_of_one_slice_and_one_without_sagittal_series_are_searched(world, learned):
    one = world.slices.filter(pl.col("slice_index") == 3)
    found = search(world, learned.models, slices=one)
    assert found.filter(condition="cyst").group_by("study_key").len()["len"].unique().to_list() == [1]
    axial = world.slices.with_columns(plane=pl.lit("axial"), iop=pl.lit([1.0, 0, 0, 0, 1.0, 0]))
    found = search(world, learned.models, slices=axial)
    # The heads of annotations know sagittal slices alone; the weak way searches all.
    assert set(found["condition"]) == {"synovial"}
    assert found["level"].null_count() == found.height
    assert found["level_uncertain"].all()


def test_slices_without_a_place_have_a_box_and_nothing_in_the_patient(world, learned):
    lost = world.slices.with_columns(ipp_mm=pl.lit(None, pl.List(pl.Float64)))
    found = search(world, learned.models, slices=lost)
    assert found.height > 0
    assert found["centre_mm"].null_count() == found.height
    assert found["side"].null_count() == found.height


def test_a_condition_below_the_probability_is_not_searched(world, learned):
    assert search(world, learned.models, heads=FixedHeads(asked=())).equals(
        pl.DataFrame(schema=tables.FINDINGS)
    )


def test_a_batch_without_shards_is_named(world, learned):
    with pytest.raises(LocalizationError, match=BATCH):
        search(world, learned.models, sources=replace(world.sources, shard_roots={}))


def test_sides_are_the_patients():
    assert side_of(10.0, 0.0, SETTINGS) == "left"
    assert side_of(-10.0, 0.0, SETTINGS) == "right"
    assert side_of(1.0, 0.0, SETTINGS) is None
    assert side_of(None, 0.0, SETTINGS) is None


def test_a_slice_without_a_box_leaves_no_gap_in_the_ranks(world, learned, monkeypatch):
    whole, box, calls = search(world, learned.models), Reader.box, iter(range(10**6))
    monkeypatch.setattr(Reader, "box", lambda self, *a: None if next(calls) % 3 == 0 else box(self, *a))
    found = search(world, learned.models)
    assert 0 < found.height < whole.height
    ranks = found.group_by("study_key", "condition", maintain_order=True).agg("rank", "slice_key")
    assert all(ranks == list(range(1, len(ranks) + 1)) for ranks in ranks["rank"].to_list())
    shorter = [one for one in ranks.iter_rows(named=True) if len(one["rank"]) < 3]
    assert shorter, "some study has lost a slice, or nothing is shown"
    before = whole.group_by("study_key", "condition").agg(all_keys="slice_key")
    for one in ranks.join(before, on=["study_key", "condition"]).iter_rows(named=True):
        assert one["slice_key"] == [key for key in one["all_keys"] if key in one["slice_key"]]
