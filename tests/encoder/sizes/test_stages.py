"""Stages of whole profiles, and the table."""

from __future__ import annotations

import pytest

from spine_models.config import load_profile
from spine_models.encoder.sizes.devices import GIB, GPUS, Gpu, gpu_named
from spine_models.encoder.sizes.stages import MODES, shard_bytes, stage_sizes, step_batch
from spine_models.encoder.sizes.table import sizes_table


@pytest.fixture(scope="module", params=["phantom", "workstation", "paper"])
def profile(request):
    return load_profile(request.param)


@pytest.fixture(scope="module")
def stages(profile):
    return {stage.name: stage for stage in stage_sizes(profile, studies=32_047)}


def test_every_training_stage_is_there_and_adds_up(profile, stages):
    assert list(stages) == ["backbone", "gram", "synthesizer", "clip"]
    for stage in stages.values():
        assert 0 < stage.trained <= stage.parameters
        assert stage.flops > 0 <= stage.recomputed
        for needed in stage.memory.values():
            assert needed.total == sum(needed[:-1])
    ssl, gram = stages["backbone"], stages["gram"]
    assert gram.parameters - ssl.parameters == ssl.model_bytes // 4  # the Gram teacher's backbone
    assert ssl.parameters == 2 * ssl.trained
    assert gram.flops > ssl.flops or profile.gram.image_px is not None


def test_the_profiles_fit_the_devices_they_are_made_for(profile, stages):
    device = GPUS["a100-80" if profile.name == "paper" else "rtx4090"]
    modes = {name: stage.mode_for(device) for name, stage in stages.items()}
    assert None not in modes.values()
    needs_checkpointing = {name for name, mode in modes.items() if mode.checkpointed}
    assert needs_checkpointing == ({"backbone", "gram"} if profile.name == "paper" else set())
    assert not any(mode.sharded for mode in modes.values())


def test_the_published_run():
    stages = {stage.name: stage for stage in stage_sizes(load_profile("paper"), studies=32_047)}
    assert (stages["backbone"].units_a_step, stages["backbone"].steps) == (400, 187_500)
    assert (stages["gram"].steps, stages["clip"].units_a_step) == (75_000, 320)
    assert stages["clip"].steps == 5 * (int(32_047 * 0.7) // 320)


def test_masked_patches_are_those_of_training():
    """Half of the images, on average three tenths of their patches."""
    batch = step_batch(load_profile("paper").backbone)
    assert (batch.globals, batch.locals) == (200, 800)
    assert batch.masked == pytest.approx(100 * 0.3 * 196, rel=0.02)


def test_time_is_work_over_rate(stages):
    stage = stages["backbone"]
    device = Gpu("mine", 80.0, stage.flops / 1e12, "nowhere")
    assert stage.seconds_a_step(device, 0.5, checkpointed=False) == pytest.approx(2.0)
    again = stage.seconds_a_step(device, 0.5, checkpointed=True)
    assert again == pytest.approx(2.0 * (stage.flops + stage.recomputed) / stage.flops)
    assert stage.hours(device, 0.5, checkpointed=False) == pytest.approx(2 * stage.steps * 2.0 / 3600)


def test_the_first_mode_that_fits(stages):
    stage = stages["backbone"]
    least = min(needed.total for needed in stage.memory.values())
    assert stage.mode_for(Gpu("small", least / GIB, 1.0, "nowhere")) is None
    assert stage.mode_for(Gpu("large", 1e6, 1.0, "nowhere")) == MODES[0]


def test_no_steps_no_runs():
    profile = load_profile("phantom")
    without = profile.model_copy(update={"gram": profile.gram.model_copy(update={"steps": 0})})
    gram = stage_sizes(without, studies=100)[1]
    assert gram.hours(GPUS["h100"], 0.35, checkpointed=False) == 0


def test_the_table_says_what_fits_and_what_it_assumes(profile):
    text = sizes_table(profile, GPUS["rtx4090"], utilisation=0.5, studies=3000, slices=1_000_000)
    lines = text.splitlines()
    for name in ("backbone", "gram", "synthesizer", "clip"):
        assert sum(line.startswith(name) for line in lines) >= 2
    assert ("FSDP2, " in text or "FSDP2 +" in text) == (profile.backbone.processes > 1)
    assert "50% of the peak rate is assumed" in text
    edge = profile.shards.size_px
    assert shard_bytes(profile, 1_000_000) == pytest.approx(1.11e6 * edge**2)
    for utilisation in (0.0, 1.5):
        with pytest.raises(ValueError, match="utilisation"):
            sizes_table(profile, GPUS["h100"], utilisation=utilisation, studies=3000, slices=0)


def test_an_unknown_device_names_the_known_ones():
    with pytest.raises(ValueError, match="a100-80, h100, h200, l40s, rtx4090"):
        gpu_named("abacus")
