"""FLOPs against torch's own counter."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from spine_models.config import ClipSettings
from spine_models.encoder.clip.batch import Bag, ClipBatch, ReportVectors
from spine_models.encoder.clip.network import ClipNetwork
from spine_models.encoder.clip.objective import Embedded, clip_objective
from spine_models.encoder.sizes import flops
from spine_models.encoder.sizes.alignment import Alignment, alignment_step
from tests.encoder.sizes.conftest import GRAM_PX, HIDDEN


def counted(loss) -> int:
    with FlopCounterMode(display=False) as counter:
        loss().backward()
    return counter.get_total_flops()


@pytest.mark.parametrize("mlp", ["gelu", "swiglu"])
@pytest.mark.parametrize("kind", ["ssl", "gram", "conditional", "scalar", "t2_only"])
def test_a_step_has_the_flops_that_torch_counts(step, kind, mlp):
    run = step(kind, mlp=mlp, precision="float32")
    if kind == "ssl":
        expected = flops.pretraining_step(run.shape, run.batch)
    elif kind == "gram":
        expected = flops.gram_step(run.shape, run.batch, gram_px=GRAM_PX, image_level=True)
    else:
        expected = flops.synthesizer_step(
            run.shape,
            run.batch,
            streams=1 if kind == "t2_only" else 2,
            gate_hidden=HIDDEN if kind == "conditional" else 0,
        )
    assert expected == pytest.approx(counted(run.loss), rel=1e-3)


def test_checkpointing_runs_the_students_blocks_once_more(step):
    run = step("ssl")
    more = flops.pretraining_step(run.shape, run.batch, recomputed=True) - flops.pretraining_step(
        run.shape, run.batch
    )
    # Of 8 global and 12 local crops 5 and 8 keep a residual; the last feed-forward layer runs for watched tokens.
    every = 5 * flops.blocks(run.shape, 64) + 8 * flops.blocks(run.shape, 32)
    last = flops.feed_forward(run.shape, 5 * 69 + 8 * 21) - flops.feed_forward(
        run.shape, 20 + run.batch.masked
    )
    assert more == every - last


@pytest.mark.parametrize("variant", ["tri_modal", "bi_modal", "concat"])
def test_an_alignment_step_has_the_flops_that_torch_counts(variant):
    settings = ClipSettings(variant=variant, max_slices=12, pool_hidden=32, dim=48, text_model="a name")
    reads = variant != "bi_modal"
    network = ClipNetwork(settings, {"t1": 96, "t2": 96}, text_dim=40 if reads else None, n_tokens=None)
    rng = np.random.default_rng(0)

    def bag() -> Bag:
        vectors = torch.from_numpy(rng.normal(size=(6, 12, 96)).astype(np.float32))
        nothing = torch.zeros(6, 12, dtype=torch.int64)
        return Bag(vectors, torch.ones(6, 12, dtype=torch.bool), nothing, nothing)

    everyone = torch.ones(6, dtype=torch.bool)
    batch = ClipBatch(
        {"t1": bag(), "t2": bag()}, ReportVectors(torch.randn(6, 40), everyone) if reads else None
    )

    def loss():
        embedded = Embedded(network.embed(batch), network.present(batch))
        return clip_objective(embedded, network.scale(), network.terms).total

    alignment = Alignment(network, settings, {"t1": 96, "t2": 96}, 40 if reads else None, 0)
    assert alignment_step(alignment, studies=6, processes=1) == pytest.approx(counted(loss), rel=0.02)
