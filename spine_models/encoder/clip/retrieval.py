"""Does a held-out study find its other half? Recall and median rank, with chance beside them.

Belongs here: ranks and what is made of them. Does not belong here: retrieval of reports for drafting.
"""

from __future__ import annotations

import polars as pl
import torch
from torch import Tensor

from spine_models.encoder.clip.objective import Embedded
from spine_models.encoder.clip.tables import RETRIEVAL
from spine_models.encoder.clip.variants import Pair


def ranks(queries: Tensor, gallery: Tensor) -> Tensor:
    """Rank float [N], from 1, of row i of the gallery [N, D] among all rows for query i of queries [N, D].

    Equal similarities share their mean rank, so a collapsed embedding scores chance and not perfection.
    """
    similarity = queries.double() @ gallery.double().T
    own = similarity.diagonal()[:, None]
    above = (similarity > own).sum(dim=1)
    tied = (similarity == own).sum(dim=1) - 1
    return 1.0 + above + tied / 2.0


def retrieval(embedded: Embedded, terms: tuple[Pair, ...]) -> pl.DataFrame:
    """tables.RETRIEVAL: both directions of every pair, among the studies that have both sides.

    Chance is what random order gives: 1 / n, 5 / n (at most 1) and (n + 1) / 2. A pair that no study has has n 0 and
    nulls. The median of an even number of ranks is the mean of the middle two.
    """
    rows = []
    for pair in terms:
        for query, gallery in ((pair.left, pair.right), (pair.right, pair.left)):
            both = embedded.present[query] & embedded.present[gallery]
            n = int(both.sum())
            row = dict.fromkeys(RETRIEVAL) | {"query": query, "gallery": gallery, "n": n}
            if n:
                found = ranks(embedded.vectors[query][both], embedded.vectors[gallery][both])
                row |= {
                    "recall_1": float((found <= 1).double().mean()),
                    "recall_5": float((found <= 5).double().mean()),
                    "median_rank": float(torch.quantile(found.double(), 0.5)),
                    "chance_recall_1": 1 / n,
                    "chance_recall_5": min(5 / n, 1.0),
                    "chance_median_rank": (n + 1) / 2,
                }
            rows.append(row)
    return pl.DataFrame(rows, schema=RETRIEVAL)
