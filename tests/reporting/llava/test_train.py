"""Warming up and tuning: what moves, what is resumed, what is refused, who is read."""

from __future__ import annotations

import dataclasses
import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file

from spine_models.config import load_profile
from spine_models.encoder.backbone.optim import TrainingDiverged
from spine_models.encoder.backbone.whole import CheckpointMismatch
from spine_models.reporting.llava.adapters import LlavaModelError, load_llava, version_of
from spine_models.reporting.llava.decoder import open_decoder
from spine_models.reporting.llava.images import LlavaDataError
from spine_models.reporting.llava.tables import CURVES, FITNESS
from spine_models.reporting.llava.train import tune, warm_up
from tests.reporting.llava.learning import small_settings, studies

REPO = Path(__file__).resolve().parents[3]
PARENTS = {"vectors": "v1"}


def weights(folder):
    return load_file(folder / "llava.safetensors")


def warm(decoder, out, settings=None, train=None, val=None, **more):
    return warm_up(
        settings or small_settings(),
        studies(10) if train is None else train,
        studies(3, prefix="v") if val is None else val,
        out,
        decoder=decoder.folder,
        decoder_version=decoder.card["version"],
        **({"parents": PARENTS} | more),
    )


def tuned_in(decoder, warmed, out, settings=None, train=None, val=None, **more):
    return tune(
        settings or small_settings(),
        studies(10) if train is None else train,
        studies(3, prefix="v") if val is None else val,
        out,
        warmed=warmed.folder,
        decoder=decoder.folder,
        decoder_version=decoder.card["version"],
        **({"parents": PARENTS} | more),
    )


@pytest.fixture(scope="module")
def tuned(tmp_path_factory, decoder, warmed):
    return tuned_in(decoder, warmed, tmp_path_factory.mktemp("tuned") / "model")


def test_files_card_and_curves(warmed, tuned):
    for result in (warmed, tuned):
        assert result.card == json.loads((result.folder / "card.json").read_text())
        assert result.card["trained"] is True
        assert result.card["version"] == version_of(result.folder)
        assert result.curves.schema == CURVES
        assert result.curves["loss"].is_finite().all()
        assert result.curves["val_loss"].drop_nulls().len() > 0
        assert result.card["manifest"]["without_images"] == 1
    assert (warmed.card["manifest"]["train_studies"], warmed.card["manifest"]["train_reports"]) == (10, 9)
    assert tuned.card["parents"]["warmed"] == warmed.card["version"]
    assert warmed.fitness.is_empty()
    assert tuned.fitness.schema == FITNESS
    assert isinstance(tuned.card["fit_for_drafts"], bool)


def test_warming_up_moves_the_projector_alone(warmed, decoder, tmp_path):
    start = warm(decoder, tmp_path, train=studies(3), val=[])
    assert (start.card["trained"], start.card["steps"]) == (False, 0)
    assert "2 reports" in start.card["reason"]
    before, after = weights(start.folder), weights(warmed.folder)
    moved = {name.split(".")[0] for name in after if not torch.equal(before[name], after[name])}
    assert moved == {"projector"}


def test_tuning_moves_lora_tokens_and_projector_and_nothing_else(warmed, tuned, decoder):
    before, after = weights(warmed.folder), weights(tuned.folder)
    lora = [name for name in after if ".lora_" in name]
    assert len(lora) == 2 * 7 * 2
    # Both factors: B starts at zero, A at random.
    assert all(after[name].abs().sum() > 0 for name in lora if ".lora_B" in name)
    assert not torch.equal(before["special_rows"], after["special_rows"])
    assert any(not torch.equal(before[n], after[n]) for n in before if n.startswith("projector."))
    untouched, tokenizer = open_decoder(decoder.folder)
    model, _ = open_decoder(decoder.folder)
    llava = load_llava(tuned.folder, model, tokenizer, decoder_version=decoder.card["version"])
    own = {
        name.replace(".base_layer", ""): p
        for name, p in llava.decoder.named_parameters()
        if ".lora_" not in name
    }
    for name, parameter in untouched.named_parameters():
        assert torch.equal(own[name], parameter), name


def test_what_is_saved_writes_what_was_trained(tuned, decoder):
    texts = []
    for _ in range(2):
        llava = load_llava(
            tuned.folder, *open_decoder(decoder.folder), decoder_version=decoder.card["version"]
        )
        study = studies(1, prefix="v")[0]
        texts.append(llava.generate(["<|image|>\nIs there a fracture?"], [study.images], 12)[0].text)
    assert texts[0] == texts[1]


@pytest.mark.parametrize("stage", ["warm", "tune"])
def test_a_killed_run_ends_with_the_same_bits(stage, warmed, tuned, decoder, tmp_path):
    def run(**more):
        done = (
            warm(decoder, tmp_path, **more)
            if stage == "warm"
            else tuned_in(decoder, warmed, tmp_path, **more)
        )
        return done

    whole = warmed if stage == "warm" else tuned
    first = run(stop_after=3)
    assert first.card["trained"] is False
    torch.manual_seed(99)
    second = run(train=studies(10)[::-1])
    assert second.card == whole.card
    assert second.curves.equals(whole.curves)
    for name, tensor in weights(whole.folder).items():
        assert torch.equal(weights(tmp_path)[name], tensor), name


def test_small_batches_of_a_step_are_rounding(decoder, warmed, tmp_path):
    """Gradients are accumulated to the batch that was asked for, every token weighing alike."""
    ends = []
    for micro in (1, 4):
        stage = small_settings().tune.model_dump() | {"micro_batch": micro}
        settings = small_settings(tune=stage, lora_dropout=0.0)
        done = tuned_in(decoder, warmed, tmp_path / str(micro), settings, stop_after=1)
        ends.append(done.curves.row(0, named=True))
    assert ends[0]["tokens"] == ends[1]["tokens"]
    assert ends[0]["loss"] == pytest.approx(ends[1]["loss"], rel=1e-5)
    assert ends[0]["grad_norm"] == pytest.approx(ends[1]["grad_norm"], rel=1e-4)


def test_a_checkpoint_of_another_run_is_refused(decoder, tmp_path):
    warm(decoder, tmp_path, stop_after=1)
    with pytest.raises(CheckpointMismatch, match="train"):
        warm(decoder, tmp_path, train=studies(9))
    with pytest.raises(CheckpointMismatch, match="parents"):
        warm(decoder, tmp_path, parents={"vectors": "other"})
    assert warm(decoder, tmp_path, parents={}, resume=False, stop_after=1).curves.height == 1


def test_another_decoder_is_refused(decoder, warmed, tmp_path):
    with pytest.raises(LlavaModelError, match="decoder"):
        tune(
            small_settings(), studies(10), [], tmp_path,
            warmed=warmed.folder, decoder=decoder.folder, decoder_version="0" * 16, parents={},
        )  # fmt: skip


def test_steps_that_are_not_finite_change_nothing_and_then_stop(decoder, tmp_path):
    spoilt = [
        s if s.images is None
        else dataclasses.replace(s, images=dataclasses.replace(s.images, vectors=s.images.vectors * np.float32(np.nan)))
        for s in studies(10)
    ]  # fmt: skip
    patient = warm(decoder, tmp_path / "a", train=spoilt, val=[])
    assert patient.card["skipped_steps"] == patient.curves.height == 4
    assert all(math.isnan(norm) for norm in patient.curves["grad_norm"])
    fresh = warm(decoder, tmp_path / "b", train=studies(3), val=[])
    for name, tensor in weights(fresh.folder).items():
        assert torch.equal(weights(tmp_path / "a")[name], tensor), name
    hasty = small_settings(warm=small_settings().warm.model_dump() | {"max_skipped_steps": 2})
    with pytest.raises(TrainingDiverged, match=r"llava\.warm\.lr"):
        warm(decoder, tmp_path / "c", hasty, train=spoilt, val=[])


def test_whom_a_training_read(warmed, tuned):
    seen = tuned.seen
    # A study without a report is read for its instruction items; reports that stood in prompts count as read.
    assert set(seen.filter(pl.col("role") == "train")["study_key"]) == {f"t{i:03d}" for i in range(10)}
    assert set(seen.filter(pl.col("role") == "held_out")["study_key"]) == {f"v{i:03d}" for i in range(3)}
    assert set(warmed.seen.filter(pl.col("role") == "train")["study_key"]) == {
        f"t{i:03d}" for i in range(10) if i != 2
    }


def test_a_stranger_s_report_in_a_prompt_shows(decoder, warmed, tmp_path):
    train = [dataclasses.replace(s, similar_study="x1", similar_patient="px") for s in studies(10)]
    seen = tuned_in(decoder, warmed, tmp_path, train=train, stop_after=1).seen
    assert ("px", "x1", "train") in seen.rows()


def test_a_patient_in_both_splits_is_refused(decoder, tmp_path):
    with pytest.raises(LlavaDataError, match="split by patient"):
        warm(decoder, tmp_path, val=studies(2))


def test_no_images_at_all_are_refused(decoder, tmp_path):
    blind = [dataclasses.replace(s, images=None) for s in studies(10)]
    with pytest.raises(LlavaDataError, match="embed"):
        warm(decoder, tmp_path, train=blind, val=[])


def test_a_report_longer_than_the_context_is_left_out_and_counted(decoder, warmed, tmp_path):
    long = dataclasses.replace(studies(10)[3], target="FINDINGS:\n" + "No fracture. " * 300)
    chatty = dataclasses.replace(long, study_key="t990", target="", items=(*long.items, ((long.items[0][0]._replace(
        answer="No. " * 600)),)))  # fmt: skip
    result = tuned_in(
        decoder, warmed, tmp_path, train=[*studies(3), *studies(10)[4:], long, chatty], stop_after=1
    )
    assert result.card["too_long"] == {"reports": 1, "items": 1}
    assert result.card["manifest"]["train_reports"] == 8


def test_the_callers_random_numbers_are_left_alone(decoder, tmp_path):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    warm(decoder, tmp_path, stop_after=1)
    assert torch.equal(torch.get_rng_state(), before)


def test_tuning_lowers_the_loss_of_held_out_reports(decoder, warmed, tmp_path):
    longer = small_settings().tune.model_dump() | {"epochs": 6, "batch_size": 8, "micro_batch": 8}
    result = tuned_in(
        decoder, warmed, tmp_path, small_settings(tune=longer), train=studies(24), val=studies(6, prefix="v")
    )
    held_out = result.curves["val_loss"].drop_nulls()
    assert held_out[-1] < held_out[0] - 0.05


def test_activation_checkpointing_is_rounding(decoder, warmed, tmp_path):
    ends = []
    for name, on in (("a", False), ("b", True)):
        settings = small_settings(activation_checkpointing=on)
        ends.append(tuned_in(decoder, warmed, tmp_path / name, settings, stop_after=1).curves["grad_norm"][0])
    assert ends[0] == pytest.approx(ends[1], rel=1e-4)


def test_the_published_sizes():
    paper = load_profile("paper").llava
    assert paper.decoder == "Llama-3.1-8B-Instruct"
    assert (paper.queries, paper.heads, paper.max_length) == (64, 8, 8096)
    assert (paper.lora_r, paper.lora_alpha, paper.lora_dropout) == (128, 256, 0.05)
    assert (paper.warm.lr, paper.warm.epochs, paper.warm.batch_size) == (1e-3, 2, 64)
    assert (paper.tune.lr, paper.tune.epochs, paper.tune.batch_size) == (2e-5, 4, 96)
    assert load_profile("phantom").llava.decoder is None
    assert load_profile("phantom_smollm2").llava.decoder == "smollm2-135m"


SCRIPT = """
import sys
from pathlib import Path
import torch
from tests.reporting.llava.learning import small_settings, studies
from spine_models.reporting.llava.train import tune
torch.set_num_threads(1)
out, warmed, decoder, version = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
settings = small_settings(lora_dropout=0.0)
about = {"warmed": warmed, "decoder": decoder, "decoder_version": version, "parents": {}}
tune(settings, studies(10), [], out, stop_after=1, **about)
print(tune(settings, studies(10), [], out, **about).card["version"])
"""


def test_two_processes_train_what_one_does(decoder, warmed, tmp_path):
    one = tuned_in(decoder, warmed, tmp_path / "one", small_settings(lora_dropout=0.0), val=[], parents={})
    (tmp_path / "two.py").write_text(SCRIPT)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += [str(tmp_path / "two.py"), str(tmp_path / "two"), str(warmed.folder), str(decoder.folder)]
    done = subprocess.run(
        [*command, decoder.card["version"]], cwd=REPO, capture_output=True, text=True, check=False, timeout=300,
        env={"PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split() == [version_of(tmp_path / "two")] * 2
    for name, tensor in weights(one.folder).items():
        torch.testing.assert_close(weights(tmp_path / "two")[name], tensor, rtol=1e-2, atol=2e-3, msg=name)
