from __future__ import annotations

import pytest
import torch

from spine_models.corpus.shards import EpochReader
from spine_models.encoder.backbone.probe import Probe, effective_rank, split_tars, view_retrieval
from spine_models.encoder.backbone.vit import Backbone


def test_effective_rank():
    rows = torch.eye(6).repeat(2, 1)
    assert effective_rank(rows) == pytest.approx(5.0)  # six directions, one of them lost by centring
    line = torch.arange(8.0)[:, None] * torch.ones(1, 4)
    assert effective_rank(line) == pytest.approx(1.0, abs=1e-6)
    assert effective_rank(torch.ones(8, 4)) == 0.0


def test_view_retrieval():
    x = torch.randn(16, 8, generator=torch.Generator().manual_seed(0))
    assert view_retrieval(x, 3 * x) == 1.0
    assert view_retrieval(x, x.roll(1, 0)) == 0.0
    swapped = x.clone()
    swapped[:2] = x[:2].flip(0)
    assert view_retrieval(x, swapped) == pytest.approx(14 / 16)


def test_views_are_sought_in_groups_and_both_ways():
    x = torch.randn(20, 8, generator=torch.Generator().manual_seed(0))
    across = x.clone()
    across[[0, 8]] = x[
        [8, 0]
    ]  # each stands in the other's group: sought together both would be found elsewhere
    assert view_retrieval(x, across, group=20) == pytest.approx(18 / 20)
    assert view_retrieval(x[:16], across[:16], group=8) <= 15 / 16
    assert view_retrieval(x, x, group=8) == 1.0
    hub = x.clone()
    hub[1:] = x[:1] + 0.01 * x[1:]  # one way every row goes to the hub, the other way not
    assert view_retrieval(x, hub) == view_retrieval(hub, x)


def test_probe_slices_are_of_val_and_fixed(tars, settings):
    train, val = split_tars(tars)
    assert (train, val) == (tars[:1], tars[1:])
    probe = Probe(tars, settings, open_reader=EpochReader)
    assert probe.n_slices == 8
    assert probe.excluded == frozenset()
    assert probe.views.shape == (2, 8, 1, 32, 32)
    assert torch.equal(probe.views, Probe(tars, settings, open_reader=EpochReader).views)


def test_training_slices_fill_up_and_are_held_out(tars, settings):
    probe = Probe(tars, settings.model_copy(update={"probe_slices": 9}), open_reader=EpochReader)
    assert probe.n_slices == 9
    assert len(probe.excluded) == 1
    probe = Probe(tars, settings.model_copy(update={"probe_slices": 12}), open_reader=EpochReader)
    assert probe.n_slices == 10
    assert len(probe.excluded) == 2  # an eighth of 20 and no more
    assert probe.excluded < set(EpochReader(tars[:1], seed=0).keys)


def test_measuring_needs_eval_mode_and_repeats(tars, settings):
    probe, backbone = Probe(tars, settings, open_reader=EpochReader), Backbone(settings)
    with pytest.raises(ValueError, match="eval mode"):
        probe.measure(backbone.train())
    assert probe.measure(backbone.eval()) == probe.measure(backbone)


@pytest.mark.parametrize("split", ["test", "outside"])
def test_tars_that_nobody_may_train_on_are_refused(tars, tmp_path, split):
    from spine_models.encoder.backbone.probe import split_tars

    with pytest.raises(ValueError, match=f"tars of split {split} were given to a training"):
        split_tars([*tars, tmp_path / "t1" / split / "shard-000000.tar"])
