"""The weights of findings and of what is told of them, read from ``weights.yaml``.

Belongs here: reading and validating the data. Does not belong here: how weights enter a score (``metric``).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import yaml

from spine_models.domain import condition_keys

FILE: Final = Path(__file__).parent / "weights.yaml"
ATTRIBUTES: Final = ("level", "side", "severity", "certainty")
"""What is told of a finding, in the order in which the ladder grows strict."""


class WeightsError(ValueError):
    """The file of weights cannot be used; the message names the entry and the remedy."""


@dataclass(frozen=True)
class Weights:
    """Clinical weights.

    Attributes:
        conditions: above zero, for each condition.
        condition: share of a match that the condition itself earns, not normalised, above zero.
        attributes: the same of level, side, severity and certainty, each above zero: what earned nothing could be
            wrong without moving the score.
        version: hash of the file.
    """

    conditions: MappingProxyType[str, float]
    condition: float
    attributes: MappingProxyType[str, float]
    version: str


@lru_cache(maxsize=4)
def load_weights(path: Path = FILE) -> Weights:
    """Read weights.

    Raises:
        WeightsError: a condition or attribute is missing, unknown, or not a number above zero.
    """
    content = path.read_bytes()
    document = yaml.safe_load(content)
    conditions = _numbers(document, "conditions", condition_keys())
    shares = _numbers(document, "attributes", ("condition", *ATTRIBUTES))
    return Weights(
        MappingProxyType(conditions),
        shares.pop("condition"),
        MappingProxyType(shares),
        hashlib.sha256(content).hexdigest()[:12],
    )


def _numbers(document: Any, part: str, names: tuple[str, ...]) -> dict[str, float]:
    found = document.get(part) if isinstance(document, dict) else None
    if not isinstance(found, dict):
        raise WeightsError(f"weights.yaml has no mapping '{part}': name {', '.join(names)} there")
    wrong = [f"'{name}' is missing" for name in names if name not in found]
    wrong += [f"'{name}' is unknown" for name in found if name not in names]
    wrong += [
        f"'{name}' is not a number above zero"
        for name in names
        if name in found and not (type(found[name]) in (int, float) and 0 < found[name] < float("inf"))
    ]
    if wrong:
        raise WeightsError(f"weights.yaml, {part}: {'; '.join(wrong)}")
    return {name: float(found[name]) for name in names}
