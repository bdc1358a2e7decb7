"""Two numbers that show whether training works: effective rank and view retrieval, on slices kept out of training.

Belongs here: choosing the fixed probe slices and measuring an encoder on them. Does not belong here: verdicts (health).
"""

from __future__ import annotations

import itertools
from collections.abc import Container, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from spine_models.config import BackboneSettings
from spine_models.domain import Split
from spine_models.encoder.backbone.augment import MultiCrop
from spine_models.encoder.backbone.data import (
    OpenReader,
    Position,
    Reader,
    Spoilt,
    sample_seed,
    sound_samples,
)
from spine_models.encoder.backbone.tables import RETRIEVAL_GROUP
from spine_models.encoder.backbone.vit import Backbone

LARGEST_SHARE_OF_TRAIN = 1 / 8


def split_tars(tars: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Training tars and validation tars, by the split folder that a tar lies in.

    Raises:
        ValueError: a tar of split test or outside.
    """
    wrong = {Path(tar).parent.name for tar in tars} & {Split.TEST.value, Split.OUTSIDE.value}
    if wrong:
        raise ValueError(
            f"tars of split {' and '.join(sorted(wrong))} were given to a training: give the manifest's alone"
        )
    val = [tar for tar in tars if Path(tar).parent.name == Split.VAL]
    return [tar for tar in tars if Path(tar).parent.name != Split.VAL], val


def effective_rank(features: Tensor) -> float:
    """exp of the entropy of the normalised singular values of the centred features [N, D] (Roy and Vetterli 2007).

    1 when all features lie on a line, at most min(N - 1, D); 0 when they are all the same.
    """
    centred = features.double() - features.double().mean(dim=0, keepdim=True)
    values = torch.linalg.svdvals(centred)
    total = values.sum()
    if float(total) <= 1e-12:
        return 0.0
    share = values / total
    return float(torch.special.entr(share).sum().exp())


def view_retrieval(first: Tensor, second: Tensor, group: int = RETRIEVAL_GROUP) -> float:
    """Share of views [N, D] whose nearest other view by cosine is that of the same slice, sought in both directions.

    Sought among ``group`` slices at a time, so that chance is 1 / group whatever N; rows beyond the last whole group
    are left out. Fewer rows than a group are one group.
    """
    group = min(group, len(first))
    found = []
    for start in range(0, len(first) - group + 1, group):
        a, b = (functional.normalize(x[start : start + group].double(), dim=1) for x in (first, second))
        own = torch.arange(group, device=a.device)
        similarity = a @ b.T
        found += [(similarity.argmax(dim=1) == own), (similarity.argmax(dim=0) == own)]
    return float(torch.cat(found).double().mean())


def _studies_in_turn(
    reader: Reader, known: Container[str], spoilt: Spoilt, policy: str
) -> Iterator[tuple[str, np.ndarray]]:
    """Slices that are not ``known`` when they come, epoch after epoch, until no sound one is left."""
    for epoch in itertools.count():
        for key, image, _ in sound_samples(reader, epoch, spoilt=spoilt, policy=policy):
            if key not in known:
                yield key, image
        if all(key in known or reader.shard_of(n) in spoilt for n, key in enumerate(reader.keys)):
            return


class TooFewToProbe(ValueError):
    """Fewer than two slices to probe with."""


class Probe:
    """A fixed batch of slices in two fixed views each.

    Slices come from the validation tars, studies in turn. Where those have too few, training slices fill up, at most
    one in eight of them, and are named in ``excluded`` for the training stream to leave out.

    Attributes:
        keys: slice keys of all of them.
        excluded: those among them that lie in training tars.
        spoilt: shards that were found to hold a slice that cannot be decoded, where the settings skip such.
        views: [2, N, 1, px, px] float in [0, 1].

    Raises:
        TooFewToProbe: fewer than two slices.
        ShardError: a slice cannot be decoded, and the settings want training to stop then.
    """

    def __init__(
        self,
        tars: Sequence[Path],
        settings: BackboneSettings,
        *,
        open_reader: OpenReader,
        gram_px: int | None = None,
    ) -> None:
        train, val = split_tars(tars)
        self.spoilt: Spoilt = {}
        chosen: dict[str, np.ndarray] = {}
        held_out: list[str] = []
        for source in (val, train):
            if not source or len(chosen) == settings.probe_slices:
                continue
            reader = open_reader(source, seed=settings.seed, rank=0, world=1, balance="study")
            share = 1 if source is val else LARGEST_SHARE_OF_TRAIN
            wanted = min(settings.probe_slices, len(chosen) + int(len(reader.keys) * share))
            slices = _studies_in_turn(reader, chosen, self.spoilt, settings.corrupt_shards)
            for key, image in itertools.islice(slices, wanted - len(chosen)):
                chosen[key] = image
                if source is train:
                    held_out.append(key)
        if len(chosen) < 2:
            raise TooFewToProbe(
                "fewer than two slices to probe with: give more shards, or write an untrained encoder"
            )
        self.keys = tuple(chosen)
        self.excluded = frozenset(held_out)
        self.n_slices = len(chosen)
        two_views = settings.model_copy(update={"global_crops": 2, "local_crops": 0})
        seeds = [sample_seed(settings.seed, Position(-1, 0), key) for key in chosen]
        self.views = MultiCrop(two_views, gram_px)(np.stack(list(chosen.values())), seeds).global_crops

    @torch.no_grad()
    def measure(self, backbone: Backbone) -> tuple[float, float]:
        """Effective rank of both views' CLS tokens and view retrieval, of a backbone in eval mode, in float32."""
        if backbone.training:
            raise ValueError("a backbone is probed in eval mode")
        device = next(backbone.parameters()).device
        first, second = (backbone(view.to(device)).cls.float() for view in self.views)
        return effective_rank(torch.cat([first, second])), view_retrieval(first, second)
