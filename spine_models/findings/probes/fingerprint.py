"""The version of a baseline: a content hash of its weights, or of what was fitted, and of how it is fed.

Belongs here: the hash. Does not belong here: which weights (``featurizers``, ``networks``, ``efficientnet``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor


def content_version(arrays: Mapping[str, Tensor | np.ndarray], about: Mapping[str, object]) -> str:
    """sha256 (first 16 hex digits) of arrays by name, with their types and shapes, and of settings.

    Args:
        arrays: of any shape and type, on any device; their order does not matter.
        about: what else bears on the vectors, as JSON holds it.
    """
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name in sorted(arrays):
        tensor = torch.as_tensor(arrays[name]).detach().cpu().contiguous()
        digest.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)}".encode())
        # As bytes: numpy has no bfloat16.
        digest.update(memoryview(tensor.flatten().view(torch.uint8).numpy()))
    return digest.hexdigest()[:16]
