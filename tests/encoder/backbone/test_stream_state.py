from __future__ import annotations

import gc

import numpy as np
import torch

from spine_models.corpus.shards import EpochReader
from spine_models.encoder.backbone.data import CropStream, open_stream

EPOCHS = 40


def size(value: object) -> int:
    """Entries of a container, elements of an array, with what they hold."""
    if isinstance(value, np.ndarray):
        return value.size
    if isinstance(value, dict):
        return len(value) + sum(map(size, value.values()))
    if isinstance(value, list | tuple | set | frozenset):
        return len(value) + sum(map(size, value))
    return 0


def test_neither_reader_nor_stream_holds_more_after_many_epochs(tars, settings):
    """Counts of all that Python holds, at the end of the third epoch and forty later."""
    readers: list[EpochReader] = []

    def opened(*arguments, **keywords):
        readers.append(EpochReader(*arguments, **keywords))
        return readers[-1]

    stream = CropStream(tars[:1], settings, open_reader=opened, rank=0, world=1)
    batches = open_stream(stream)

    def held_after(epoch: int) -> tuple[int, int, int]:
        for batch in batches:
            if batch.position == (epoch, 20):
                del batch
                break
        gc.collect()
        everything = gc.get_objects()
        tensors = sum(issubclass(type(held), torch.Tensor | np.ndarray) for held in everything)
        return len(everything), tensors, size(vars(readers[0])) + size(vars(stream))

    early, late = held_after(2), held_after(2 + EPOCHS)
    assert len(readers) == 1
    assert late[0] - early[0] < EPOCHS / 2  # one object an epoch would be twice this
    assert late[1] <= early[1]  # fewer where another test's tensors went meanwhile
    assert late[2] == early[2]
