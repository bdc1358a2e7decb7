from __future__ import annotations

import json

import pytest
import torch

from spine_models.encoder.backbone.encoder import EncoderError, load_encoder, save_encoder
from spine_models.encoder.synthesizer.files import WEIGHTS, load_fused, load_pair, save_fused
from spine_models.encoder.synthesizer.fused import FusedEncoder
from spine_models.encoder.synthesizer.gates import VARIANTS
from tests.encoder.synthesizer.conftest import drawn
from tests.encoder.synthesizer.test_fused import images, opinionated, same


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_is_saved_comes_back(folders, tmp_path, variant):
    pair = load_pair(*folders)
    fused = opinionated(FusedEncoder(pair.t1.backbone, pair.t2.backbone, variant, hidden=8)).cpu()
    version = save_fused(tmp_path, fused, pair.versions, trained=True)
    again = load_fused(tmp_path, *folders)
    assert (again.version, again.trained, again.encoder.variant) == (version, True, variant)
    assert same(again.encoder.cpu()(images()), fused(images()))
    assert not any(p.requires_grad for p in again.encoder.parameters())
    assert (tmp_path / WEIGHTS).stat().st_size < folders.t1.joinpath("encoder.safetensors").stat().st_size / 2


def test_other_encoders_are_refused_by_both_hashes(folders, settings, tmp_path):
    pair = load_pair(*folders)
    fused = FusedEncoder(pair.t1.backbone, pair.t2.backbone, "scalar")
    save_fused(tmp_path / "fused", fused, pair.versions, trained=True)
    other = save_encoder(tmp_path / "t2", drawn(settings, 9), settings, route="t2", trained=True)
    with pytest.raises(EncoderError, match=f"t2 encoder {pair.t2.version}, this is {other}"):
        load_fused(tmp_path / "fused", folders.t1, tmp_path / "t2")
    with pytest.raises(EncoderError, match="t1 encoder's folder holds one of route t2"):
        load_fused(tmp_path / "fused", folders.t2, folders.t1)


def test_broken_folders_are_named(folders, tmp_path):
    with pytest.raises(EncoderError, match="no fused encoder in folder"):
        load_fused(tmp_path, *folders)
    pair = load_pair(*folders)
    fused = FusedEncoder(pair.t1.backbone, pair.t2.backbone, "scalar")
    save_fused(tmp_path, fused, pair.versions, trained=False)
    with pytest.raises(EncoderError, match=r"encoder\.safetensors missing"):
        load_encoder(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"variant": "conditional", "hidden": 8}))
    with pytest.raises(EncoderError, match="do not fit"):
        load_fused(tmp_path, *folders)


def test_the_version_follows_the_gates(folders, tmp_path):
    pair = load_pair(*folders)
    fused = FusedEncoder(pair.t1.backbone, pair.t2.backbone, "scalar")
    before = save_fused(tmp_path, fused, pair.versions, trained=True)
    with torch.no_grad():
        fused.gates[0].logits[0] += 1
    assert save_fused(tmp_path, fused, pair.versions, trained=True) != before
