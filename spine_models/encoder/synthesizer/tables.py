"""Schema of the exported gates.

Belongs here: columns and their meaning. Does not belong here: how they are computed (gate_table).
"""

from typing import Final

import polars as pl

GATES: Final = pl.Schema(
    {
        "series_key": pl.String,
        "contrast": pl.String,  # domain.Contrast; null when abstained
        "layer": pl.Int32,  # 0-based, from the input on
        "weight_t1": pl.Float64,  # mean over the series' slices
        "weight_t2": pl.Float64,  # 1 - weight_t1
        "n_slices": pl.Int32,
    }
)
"""One row a series and layer."""
