"""Fixtures of more than one room: the repaired torchvision, and one tiny installation run once through the graph."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
import yaml

os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # two test processes share two cores
REPO = Path(__file__).resolve().parents[1]


def real_data() -> Path | None:
    """The folder of third-party files, where it is there."""
    named = os.environ.get("SPINE_REAL_DATA")
    candidates = [Path(named)] if named else [parent / "shared" / "data" for parent in REPO.parents]
    return next((c for c in candidates if c.is_dir()), None)


KEY = "5b" * 32
"""The key of every installation of the tests, in hex."""


@dataclass
class Installation:
    """A profile's home with its inbox, as a test uses it."""

    hospital: object
    definitions: dg.Definitions
    instance: dg.DagsterInstance
    inbox: Path
    truth: Path
    said: list[str]

    def runner(self) -> object:
        from pipelines.runner import Runner

        return Runner(self.hospital, self.definitions, self.instance, self.said.append)

    def table(self, stage: str, thing: str) -> pl.DataFrame:
        zone = self.hospital.zone_of((stage, thing))
        return zone.read_table((stage, thing), zone.partitions((stage, thing)))


def tiny_profile(folder: Path, **changes: object) -> Path:
    """A profile that trains in seconds; written as YAML because that is how a site would."""
    document = {
        "name": "tiny",
        "archive": {"batch_studies": 8, "workers": 1},
        "deid": {"workers": 1},
        "shards": {"size_px": 32, "workers": 1, "train_fraction": 0.6, "val_fraction": 0.1},
        "backbone": yaml.safe_load((REPO / "spine_models/profiles/phantom.yaml").read_text())["backbone"]
        | {
            "image_px": 32,
            "patch_px": 8,
            "dim": 32,
            "depth": 2,
            "heads": 2,
            "prototypes": 32,
            "head_hidden": 32,
            "head_bottleneck": 16,
            "batch_size": 16,
            "steps": 8,
            "warmup_steps": 2,
            "checkpoint_every": 4,
            "probe_every": 4,
            "precision": "float32",
            "min_train_slices": 16,
        },
        "gram": {
            "image_px": 16,
            "px": 24,
            "global_scale": [0.85, 1.0],
            "steps": 4,
            "first_refresh": 2,
            "refresh_every": 2,
            "max_refreshes": 1,
            "lr": 1e-4,
        },
        "synthesizer": {
            "hidden": 8,
            "batch_size": 16,
            "steps": 4,
            "warmup_steps": 1,
            "teacher_temperature_steps": 1,
            "checkpoint_every": 2,
            "probe_every": 2,
            "align": {
                "slices": 2,
                "pool_hidden": 8,
                "batch_size": 4,
                "chunk_size": 2,
                "epochs": 1,
                "checkpoint_every": 2,
                "evaluate_every": 2,
                "min_train_studies": 4,
            },
        },
        "clip": {
            "text_model": None,
            "max_slices": 6,
            "pool_hidden": 8,
            "dim": 16,
            "max_tokens": 64,
            "vocabulary_size": 320,
            "text_dim": 16,
            "text_heads": 2,
            "text_depth": 1,
            "batch_size": 4,
            "chunk_size": 2,
            "epochs": 1,
            "checkpoint_every": 2,
            "evaluate_every": 2,
            "min_train_studies": 4,
            "processes": 1,
        },
        "probes": {
            "folds": 3,
            "bootstrap": 20,
            "min_positive": 2,
            "pca_components": 8,
            "regularisation": [0.1],
            "baselines": ["random_init", "pixel_pca"],
            "mil_dim": 8,
            "mil_epochs": 2,
        },
        "attribution": {
            "max_slices": 2,
            "curve_steps": 4,
            "random_orders": 1,
            "gradient_steps": 4,
            "bootstrap": 20,
        },
        "llava": {
            "decoder": None,
            "tiny": {
                "vocabulary_size": 400, "dim": 32, "depth": 2, "heads": 2, "hidden": 48, "steps": 4, "batch_size": 4,
                "checkpoint_every": 2, "min_train_texts": 2,
            },
            "queries": 4, "heads": 2, "max_slices": 6, "lora_r": 4, "lora_alpha": 8,
            "warm": {"epochs": 1, "batch_size": 4, "checkpoint_every": 2},
            "tune": {"epochs": 1, "batch_size": 4, "checkpoint_every": 2},
            "max_length": 2048, "max_new_tokens": 16, "generated_at_a_time": 32, "precision": "float32",
            "activation_checkpointing": False, "items_per_study": 1, "min_train_studies": 2, "processes": 1,
        },
    }  # fmt: skip
    document.update(changes)
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


def install(folder: Path, inbox: Path, truth: Path, **changes: object) -> Installation:
    """A fresh installation in ``folder`` over an existing inbox."""
    from pipelines.definitions import build_defs
    from pipelines.home import open_instance
    from pipelines.runtime.profiles import Settings
    from pipelines.runtime.resources import Hospital

    settings = Settings(
        profile=str(tiny_profile(folder, **changes)), root=folder / "root", key_file=folder / "pseudonym.key"
    )
    # Who is of which split follows from the key: of twelve patients another one may leave too few to train on.
    settings.key_path.write_text(KEY + "\n", encoding="ascii")
    settings.key_path.chmod(0o600)
    hospital = Hospital.from_settings(settings)
    return Installation(
        hospital, build_defs(hospital), open_instance(settings.dagster_home), inbox, truth, []
    )


@pytest.fixture(scope="session")
def phantom_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """inbox/ and truth/ of a small phantom hospital; read-only for tests."""
    from spine_models.phantom import write_hospital

    out = tmp_path_factory.mktemp("phantom")
    write_hospital(out, patients=12, seed=3)
    return out


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory, phantom_source: Path) -> Installation:
    """The phantom hospital run once through the whole graph, in two batches."""
    installed = install(
        tmp_path_factory.mktemp("installation"), phantom_source / "inbox", phantom_source / "truth"
    )
    installed.runner().run(installed.inbox, through="scores")
    return installed
