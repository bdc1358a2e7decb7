"""A version is of the content alone: neither of the order of names nor of how arrays lie in memory."""

from __future__ import annotations

import hashlib

import numpy as np

from spine_models.findings.probes.fitted_version import fitted_version


def test_a_version_is_the_hash_of_card_names_shapes_and_numbers():
    weights, bias = np.arange(6, dtype=np.float32).reshape(2, 3), np.ones(2, dtype=np.float32)
    content = {"format": 1, "names": ["a", "b"]}
    plain = b'{"format": 1, "names": ["a", "b"]}' + b"bias:(2,)" + bias.tobytes()
    plain += b"weights:(2, 3)" + weights.tobytes()
    wanted = hashlib.sha256(plain).hexdigest()[:16]
    assert fitted_version(content, {"weights": weights, "bias": bias}) == wanted
    turned = {"bias": bias.astype(np.float64), "weights": np.asfortranarray(weights)}
    assert fitted_version(dict(reversed(content.items())), turned) == wanted


def test_whatever_bears_on_the_output_changes_it():
    weights = np.arange(6, dtype=np.float32)
    versions = {
        fitted_version({"format": 1}, {"weights": weights}),
        fitted_version({"format": 2}, {"weights": weights}),
        fitted_version({"format": 1}, {"weight": weights}),
        fitted_version({"format": 1}, {"weights": weights.reshape(2, 3)}),
        fitted_version({"format": 1}, {"weights": np.nextafter(weights, np.float32(9))}),
    }
    assert len(versions) == 5
