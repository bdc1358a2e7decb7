"""Numbers of the retrieval."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from spine_models.config.section import Section


class RetrievalSettings(Section):
    """Which patients the index holds, when it stops being exact, and how retrieval is scored.

    Pools of up to ``exact_values`` numbers (vectors times their length; what one core scans in about 8 ms) are searched
    exactly, larger ones through FAISS's inverted lists: about
    ``lists_per_root`` times the square root of their number, ``probed`` of which are looked into, trained on
    ``train_most`` vectors drawn with ``seed``. ``chunk`` vectors are in memory at a time while an index is built.
    """

    pool: Literal["train"] = "train"  # reports of val and test must never reach a prompt
    neighbours: int = Field(5, ge=1)
    exact_values: int = Field(64_000_000, ge=0)
    lists_per_root: float = Field(2.0, gt=0)
    probed: int = Field(32, ge=1)
    train_most: int = Field(100_000, ge=256)
    chunk: int = Field(50_000, ge=1)
    shown: int = Field(3, ge=1)  # slices of each text query on the sheet
    ridge: tuple[float, ...] = (
        0.01,
        0.1,
        1.0,
        10.0,
        100.0,
    )  # of a baseline's map to the reports, chosen on val
    bootstrap: int = Field(1000, ge=10)
    seed: int = 0
