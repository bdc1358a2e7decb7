"""Equal content is an equal version, whatever its order and place; anything else is another one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spine_models.findings.probes.fingerprint import content_version

ARRAYS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(3)}


def test_order_library_and_strides_do_not_matter():
    first = content_version(ARRAYS, {"edge": 56, "mean": (0.5,)})
    assert len(first) == 16
    same = {"b": np.array(3), "a": np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3))}
    assert content_version(same, {"mean": [0.5], "edge": 56}) == first


@pytest.mark.parametrize(
    "other",
    [
        {"a": ARRAYS["a"].reshape(3, 2)},
        {"a": ARRAYS["a"].double()},
        {"a": ARRAYS["a"].bfloat16()},
        {"a": ARRAYS["a"] + torch.eye(2, 3) * 1e-6},
        {"c": torch.zeros(0)},
    ],
    ids=["shape", "type", "bfloat16", "value", "one more"],
)
def test_any_other_content_is_another_version(other):
    assert content_version(ARRAYS | other, {}) != content_version(ARRAYS, {})


def test_settings_are_part_of_it():
    assert content_version(ARRAYS, {"edge": 56}) != content_version(ARRAYS, {"edge": 64})
