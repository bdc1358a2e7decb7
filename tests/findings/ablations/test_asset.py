"""The assets over small networks on disk: every variant has its vectors, the table has recall beside AUROC."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import polars as pl
import pytest
import torch

from spine_models.config import AlignSettings, ClipSettings, EmbeddingSettings, load_profile
from spine_models.domain import condition_keys
from spine_models.encoder.backbone.encoder import load_encoder
from spine_models.encoder.clip.data import ClipStudy
from spine_models.encoder.clip.model import load_clip, new_model, save_clip, version_of
from spine_models.encoder.synthesizer.align_network import StudyHead
from spine_models.encoder.synthesizer.alignment import load_alignment, save_alignment
from spine_models.encoder.synthesizer.encode import Synthesizer
from spine_models.encoder.synthesizer.files import load_fused, load_pair, save_fused
from spine_models.encoder.synthesizer.fused import FusedEncoder
from spine_models.findings.ablations.tables import ALIGNED, SCORES, VECTORS
from spine_models.findings.embeddings import embed_slices, pool_series, pool_studies
from spine_models.findings.embeddings.aligned import ClipSide, align_batch
from spine_models.findings.probes.tables import SUMMARY
from tests.encoder.clip.conftest import TINY
from tests.findings.conftest import write_batch
from tests.findings.embeddings.networks import make_encoder

BATCH = "internal-0001"
NUMBERS = load_profile("phantom")
NUMBERS = NUMBERS.model_copy(
    update={
        "probes": NUMBERS.probes.model_copy(update={"bootstrap": 20, "min_positive": 2, "folds": 3}),
        "retrieval": NUMBERS.retrieval.model_copy(update={"bootstrap": 20}),
    }
)
SPLITS = ("train", "test", "train", "val", "test", "train")


def gates(folder: Path, encoders, variant: str, clip: Path, seed: int) -> Path:
    pair = load_pair(encoders["t1"], encoders["t2"])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fused = FusedEncoder(pair.t1.backbone, pair.t2.backbone, variant, hidden=8)
        head = StudyHead(96, 16, hidden=8, dropout=0.0)
    version = save_fused(folder, fused, pair.versions, trained=True)
    settings = AlignSettings(pool_hidden=8)
    save_alignment(folder, head, settings, fused_version=version, clip_version=version_of(clip), trained=True)
    return folder


@pytest.fixture(scope="module")
def hospital(tmp_path_factory):
    """36 patients with one series of each route, and every model that the ablations open."""
    root = tmp_path_factory.mktemp("ablations")
    members = [
        {
            "patient": f"p{i:02d}", "study": f"s{i:02d}", "series": f"{i:02d}{route}", "route": route,
            "slice": f"{i:02d}{route}{j}-0000", "split": SPLITS[i % 6],
        }
        for i in range(36)
        for route in ("t1", "t2", "other")
        for j in range(2)
    ]  # fmt: skip
    batch = write_batch(root / "tars", members)
    encoders = {route: make_encoder(root / route, route, seed) for seed, route in ((1, "t1"), (2, "t2"))}
    words = [
        "canal",
        "stenosis",
        "disc",
        "bulge",
        "cord",
        "normal",
        "severe",
        "mild",
        "left",
        "right",
        "level",
    ]
    texts = [
        f"FINDINGS: {words[i % 11]} {words[(3 * i + i // 11) % 11]} at L{i % 5 + 1} {i}." for i in range(36)
    ]
    trained: dict[tuple[str, str], Path] = {}
    for seed, variant in enumerate(("tri_modal", "bi_modal", "concat")):
        torch.manual_seed(seed)
        settings = ClipSettings.model_validate(TINY | {"variant": variant})
        model = new_model(settings, {"t1": 96, "t2": 96}, [ClipStudy("s", "p", {}, text) for text in texts])
        key = ("clip", "aligned") if variant == "tri_modal" else ("ablations", f"clip_{variant}")
        trained[key] = root / variant
        save_clip(root / variant, model, trained=True)
    clip = trained["clip", "aligned"]
    trained["synthesizer", "aligned"] = gates(root / "g0", encoders, "conditional", clip, 3)
    trained["ablations", "gates_scalar"] = gates(root / "g1", encoders, "scalar", clip, 4)
    opened = {route: load_encoder(folder) for route, folder in encoders.items()}
    opened["other"] = Synthesizer(load_fused(root / "g0", encoders["t1"], encoders["t2"]))
    embedded, _ = embed_slices(
        batch.table, shard_root=batch.root, encoders=opened, previous=None, settings=EmbeddingSettings()
    )
    embedded.write_parquet(root / "slices.parquet")
    parents = {
        route: {
            "encoder": f"dinov3-{route}",
            "model_version": opened[route].version,
            "preprocessing_version": "p1",
        }
        for route in ("t1", "t2")
    }
    reports = pl.DataFrame({"study_key": [f"s{i:02d}" for i in range(36)], "report_text": texts})
    read = lambda keys: embedded.filter(pl.col("slice_key").is_in(keys))  # noqa: E731
    aligned = align_batch(
        batch.table, reports, BATCH, clip=ClipSide(load_clip(clip), version_of(clip), parents),
        alignment=load_alignment(root / "g0", encoders["t1"], encoders["t2"]),
        synthesizer_slices=NUMBERS.synthesizer.align.slices, read=read, shard_root=batch.root,
    ).studies  # fmt: skip
    splits = pl.DataFrame({"patient_key": [f"p{i:02d}" for i in range(36)], "split": SPLITS * 6})
    lake = SimpleNamespace(
        card=lambda key: {"training": {"parents": parents, "trained": True}},
        read_table=lambda key, batches: {"slices": embedded, "aligned": aligned, "splits": splits}[key[1]],
        table_path=lambda key, partition: root / "slices.parquet",
        partitions=lambda key: [BATCH],
    )
    return SimpleNamespace(
        lake=lake, numbers=NUMBERS, encoders=lambda: encoders, trained=trained.get,
        artifacts=lambda key, parts: encoders if key[0] == "backbone" else {BATCH: batch.root},
        current=lambda key, partition: batch.root, splits=splits, slices=batch.table, reports=reports, aligned=aligned,
        studies=pool_studies(pool_series(embedded)),
    )  # fmt: skip


@pytest.fixture(scope="module")
def results(hospital):
    """What both assets yield, by name of the table, and the check."""
    # The package's attribute of this name is the asset.
    module = importlib.import_module("assets.findings.ablations.scores")
    labels = pl.DataFrame(
        [(f"s{i:02d}", f"p{i:02d}", c, (i // 2) % 2) for i in range(36) for c in condition_keys()],
        schema={"study_key": pl.String, "patient_key": pl.String, "condition": pl.String, "label": pl.Int8},
        orient="row",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "study_reports", lambda *_: hospital.reports)
        patch.setattr(module.encoder_sequences, "get_partition_keys", lambda: ["t1", "t2"])
        made = list(
            module.vectors.node_def.compute_fn.decorated_fn(hospital, hospital.slices, hospital.studies)
        )
        tables = {result.asset_key.path[1]: result.value for result in made}
        table, check = module.scores.node_def.compute_fn.decorated_fn(
            hospital,
            tables["vectors"],
            tables["aligned"],
            labels,
            hospital.splits,
            pl.DataFrame(schema=SUMMARY),
        )
    return tables | {"scores": table.value}, check


def test_every_variant_has_vectors_and_those_with_a_text_side_stand_beside_reports(hospital, results):
    tables, _ = results
    assert (tables["vectors"].schema, tables["aligned"].schema) == (VECTORS, ALIGNED)
    variants = tables["vectors"].filter(pl.col("question").is_in(["alignment", "synthesizer"]))["variant"]
    assert set(variants) == {
        "tri_modal", "bi_modal", "concat", "plain_concatenation", "conditional", "scalar", "t1_only", "t2_only",
        "concatenation",
    }  # fmt: skip
    assert set(tables["aligned"]["variant"]) == {"tri_modal", "concat", "conditional", "scalar"}
    assert tables["aligned"]["patient_key"].n_unique() == 12
    ours = tables["aligned"].filter(variant="conditional", side="other").select("study_key", "vector")
    stored = hospital.aligned.filter(modality="other").select("study_key", "vector")
    both = ours.join(stored, on="study_key", suffix="_stored")
    assert both.height == 12
    gap = both.explode("vector", "vector_stored").select(
        (pl.col("vector") - pl.col("vector_stored")).abs().max()
    )
    assert gap.item() < 1e-5


def test_the_table_has_recall_of_whatever_can_be_asked(results):
    tables, check = results
    scores = tables["scores"]
    assert scores.schema == SCORES
    assert isinstance(check, dg.AssetCheckResult)
    assert check.passed
    recall = scores.filter(pl.col("measure").str.starts_with("recall"))
    assert set(recall["question"]) == {"alignment", "synthesizer"}
    own = recall.filter(measure="recall_at_5")
    asked = {row["variant"] for row in own.to_dicts() if row["value"] is not None}
    assert asked == {"tri_modal", "concat", "conditional", "scalar"}
    assert set(own.filter(pl.col("value").is_not_null())["n_studies"]) == {12}
    through = recall.filter(measure="recall_at_5_linear")
    assert through["value"].null_count() == 0
    assert through.filter(question="synthesizer")["variant"].n_unique() == 5
    assert set(scores.filter(question="alignment")["measure"]) == {
        "auroc", "auprc", "recall_at_5", "recall_at_5_linear",
    }  # fmt: skip


def test_a_variant_scored_on_fewer_studies_fails_the_check(hospital, results, monkeypatch):
    module = importlib.import_module("assets.findings.ablations.scores")
    recall = importlib.import_module("spine_models.findings.ablations.recall")
    short = results[0]["scores"].filter(pl.col("measure").str.starts_with("recall"))
    short = short.with_columns(
        n_studies=pl.when(variant="concat").then(pl.lit(11, pl.Int32)).otherwise("n_studies")
    )
    monkeypatch.setattr(recall, "score_recall", lambda *_, **__: short)
    monkeypatch.setattr(module, "study_reports", lambda *_: hospital.reports)
    none = pl.DataFrame(
        schema={"study_key": pl.String, "patient_key": pl.String, "condition": pl.String, "label": pl.Int8}
    )
    splits = pl.DataFrame(schema={"patient_key": pl.String, "split": pl.String})
    _, check = module.scores.node_def.compute_fn.decorated_fn(
        hospital,
        results[0]["vectors"].clear(),
        results[0]["aligned"],
        none,
        splits,
        pl.DataFrame(schema=SUMMARY),
    )
    assert not check.passed


def test_the_dashed_line_is_the_best_baseline_and_never_an_encoder_of_ours():
    module = importlib.import_module("assets.findings.ablations.scores")
    rows = [
        ("spinefm", "linear", "t1", 0.9), ("spinefm_aligned", "linear", "t1", 0.8), ("pixel_pca", "linear", "t1", 0.6),
        ("random_init", "linear", "t1", 0.7), ("pixel_pca", "mil", "t1", 0.75), ("pixel_pca", "linear", "t2", None),
    ]  # fmt: skip
    frame = pl.DataFrame(
        [dict(zip(("encoder", "head", "sequence_set", "auroc"), row, strict=True)) for row in rows],
        schema=SUMMARY,
    ).with_columns(evaluation=pl.lit("test"))
    assert module._best_baselines(frame) == {("t1", "test"): 0.7}
