"""The attention head as fitted: probabilities, attention weights, and its file.

Belongs here: a trained network with its calibration. Does not belong here: fitting (``mil``), the network
(``attention``), the linear heads and the card (``heads``).
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
import torch
from safetensors.torch import load_file, save_file

from spine_models.domain import condition_keys
from spine_models.findings.probes.attention import GatedAttention, logits_of
from spine_models.findings.probes.bags import Bags, Versions, bags_of
from spine_models.findings.probes.calibration import probabilities
from spine_models.findings.probes.studies import ProbeInputError

WEIGHTS: Final = "mil.safetensors"
ATTENTION: Final = pl.Schema(
    {
        "study_key": pl.String,
        "series_key": pl.String,
        "slice_key": pl.String,
        "route": pl.String,
        "condition": pl.String,
        "weight": pl.Float64,  # of the slices of a study they sum to 1
        "contribution": pl.Float64,  # to the logit before calibration
    }
)


@dataclass(frozen=True)
class MilHead:
    """A trained network with its calibration: sigmoid(slope * logit + intercept).

    Attributes:
        network: in evaluation mode.
        slope, intercept: [C].
        fitted: bool [C]; the other columns must not be used.
        decay, epochs: as chosen.
        limit: most slices of a study that it reads.
        versions: by route the encoder that it was fitted on (``bags.Versions``), and the only one that it takes.
    """

    network: GatedAttention
    slope: np.ndarray
    intercept: np.ndarray
    fitted: np.ndarray
    decay: float
    epochs: int
    limit: int
    versions: Versions = field(default_factory=dict)

    def probabilities(self, bags: Bags, rows: np.ndarray) -> np.ndarray:
        """Calibrated [N, C]; NaN in columns that are not fitted."""
        chance = probabilities(logits_of(self.network, bags, rows), self.slope, self.intercept)
        return np.where(self.fitted, chance, np.nan)

    def predict(self, slices: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """Study keys [N] and probabilities [N, C] of embeddings.SLICES, studies without a slice of its routes left out.

        Raises:
            ProbeInputError: vectors that are not finite, of several lengths, or of another encoder than the head's.
        """
        bags, folder = self._bags(slices)
        with folder:
            rows = bags.having(list(self.network.widths))
            return bags.study_keys[rows], self.probabilities(bags, rows)

    def _bags(self, slices: pl.DataFrame) -> tuple[Bags, tempfile.TemporaryDirectory[str]]:
        bags, folder = bags_of(slices, limit=self.limit)
        for route, told in bags.versions.items():
            if self.versions.get(route, told) != told:
                folder.cleanup()
                raise ProbeInputError(
                    f"the attention heads were fitted on another encoder or preprocessing of route {route!r} than the "
                    "slice vectors are of: materialise embeddings and probes with one encoder"
                )
        return bags, folder

    @torch.inference_mode()
    def attend(self, slices: pl.DataFrame) -> pl.DataFrame:
        """``ATTENTION`` of every slice that is read (at most ``limit`` a study) and every fitted condition."""
        bags, folder = self._bags(slices)
        with folder:
            routes = [route for route in self.network.widths if route in bags.vectors]
            bag = bags.take(np.arange(len(bags.study_keys)), routes)
            weights, parts, _ = self.network.parts(bag)
            named = [pl.DataFrame(schema=bags.slices.schema)]
            for route in routes:
                # ``take`` goes by study, the index by row.
                held = bags.slices.filter(route=route)
                at = np.concatenate(
                    [np.arange(*ends) for ends in bags.ends[route]] or [np.empty(0, np.int64)]
                )
                named.append(held[at.astype(np.int64)])
            keys = pl.concat(named)
            frames = [pl.DataFrame(schema=ATTENTION)]
            for c, condition in enumerate(condition_keys()):
                if self.fitted[c]:
                    found = keys.with_columns(
                        pl.lit(condition).alias("condition"),
                        pl.Series("weight", weights[:, c].double().numpy()),
                        pl.Series("contribution", parts[:, c].double().numpy()),
                    )
                    frames.append(found.select(*ATTENTION))
        return pl.concat(frames).sort("study_key", "condition", "slice_key")


def save_mil(heads: Mapping[str, MilHead], folder: Path) -> dict[str, Any]:
    """Write ``mil.safetensors`` and return what the card says of it."""
    arrays: dict[str, torch.Tensor] = {}
    card: dict[str, Any] = {}
    names = condition_keys()
    for sequence_set, head in heads.items():
        arrays |= {
            f"{sequence_set}.{name}": value.contiguous() for name, value in head.network.state_dict().items()
        }
        for name in ("slope", "intercept"):
            arrays[f"{sequence_set}.{name}"] = torch.from_numpy(getattr(head, name).astype(np.float32))
        card[sequence_set] = {
            "widths": head.network.widths,
            "dim": head.network.content.in_features,
            "conditions": [name for name, fitted in zip(names, head.fitted, strict=True) if fitted],
            "decay": head.decay,
            "epochs": head.epochs,
            "limit": head.limit,
            "versions": head.versions,
        }
    save_file(arrays, folder / WEIGHTS)
    return {"sets": card, "sha256": hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()}


def load_mil(card: Mapping[str, Any], folder: Path) -> dict[str, MilHead] | None:
    """Open what ``save_mil`` wrote, or None where the file is not the one that the card was written with."""
    path = folder / WEIGHTS
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != card["sha256"]:
        return None
    arrays = load_file(path)
    names = condition_keys()
    heads = {}
    for sequence_set, told in card["sets"].items():
        start = f"{sequence_set}."
        held = {name.removeprefix(start): value for name, value in arrays.items() if name.startswith(start)}
        slope, intercept = (held.pop(name).double().numpy() for name in ("slope", "intercept"))
        network = GatedAttention(told["widths"], told["dim"], len(names))
        network.load_state_dict(held)
        fitted = np.array([name in told["conditions"] for name in names])
        heads[sequence_set] = MilHead(
            network.eval(), slope, intercept, fitted, told["decay"], told["epochs"], told["limit"],
            told["versions"],
        )  # fmt: skip
    return heads
