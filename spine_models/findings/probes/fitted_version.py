"""The version of something that was fitted, by its content.

Belongs here: the hash. Does not belong here: which part of a card bears on the output (``heads``,
``localization.models``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np


def fitted_version(content: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> str:
    """sha256 (first 16 hex digits) over some of a card, as JSON, and over float32 arrays by name and shape."""
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name], dtype="<f4")
        digest.update(f"{name}:{array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()[:16]
