"""A small world to align in: two encoders, gates of every variant, a trained clip, shards with reports."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file

from spine_models.config import AlignSettings, SynthesizerSettings
from spine_models.encoder.synthesizer.align import align
from spine_models.encoder.synthesizer.alignment import ALIGNMENT
from spine_models.encoder.synthesizer.files import WEIGHTS, load_pair, save_fused
from spine_models.encoder.synthesizer.fused import FusedEncoder
from spine_models.encoder.synthesizer.gates import VARIANTS
from tests.encoder.clip.sharded import Sharded

NUMBERS = {
    "slices": 4,
    "pool_hidden": 8,
    "batch_size": 5,
    "chunk_size": 2,
    "epochs": 2,
    "lr": 1e-2,
    "checkpoint_every": 1,
    "evaluate_every": 2,
}


def start(folders, folder, variant="conditional", *, trained=True):
    """Gates as the stage before might leave them, some way off the middle."""
    pair = load_pair(*folders)
    fused = FusedEncoder(pair.t1.backbone, pair.t2.backbone, variant, hidden=8)
    with torch.no_grad():
        for number, parameter in enumerate(fused.gates.parameters()):
            generator = torch.Generator().manual_seed(number)
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    save_fused(folder, fused, pair.versions, trained=trained)
    return folder


class World:
    """What a run is started with."""

    def __init__(self, sharded: Sharded, folders, clip: Path, root: Path, studies=()) -> None:
        self.studies = studies  # that clip was trained on
        self.sharded, self.folders, self.clip = sharded, folders, clip
        self.sources = {v: start(folders, root / f"source-{v}", v) for v in VARIANTS}

    def align(self, out, *, variant="conditional", numbers=None, slices=None, reports=None, **changes):
        settings = SynthesizerSettings(align=AlignSettings.model_validate(NUMBERS | (numbers or {})))
        places = {"synthesizer": self.sources[variant], "clip": self.clip} | self.folders._asdict()
        return align(
            settings,
            self.sharded.slices if slices is None else slices,
            self.sharded.reports if reports is None else reports,
            self.sharded.roots,
            out,
            **places | changes,
        )


def parts(folder):
    return {
        f"{file}|{name}": tensor
        for file in (WEIGHTS, ALIGNMENT)
        for name, tensor in load_file(folder / file).items()
    }


def assert_same_weights(one, two):
    first, second = parts(one), parts(two)
    assert first.keys() == second.keys()
    assert [name for name in first if not torch.equal(first[name], second[name])] == []
