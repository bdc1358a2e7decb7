"""Does a held-out study find its other half? Recall and median rank, with chance beside them.

Belongs here: ranks and what is made of them. Does not belong here: retrieval of reports for drafting.
"""

from __future__ import annotations

import polars as pl
import torch
from torch import Tensor

from spine_models.encoder.clip.objective import Embedded, compared
from spine_models.encoder.clip.tables import RETRIEVAL
from spine_models.encoder.clip.variants import Pair


def ranks(queries: Tensor, gallery: Tensor, told_apart: Tensor | None = None) -> Tensor:
    """Rank float [N], from 1, of row i of the gallery [N, D] among all rows for query i of queries [N, D].

    Equal similarities share their mean rank, so a collapsed embedding scores chance and not perfection.

    Args:
        queries: [N, D] float.
        gallery: [N, D] float, row i the answer to query i.
        told_apart: [N, N] bool, the rows that compete with the answer of a query; None lets all compete.
    """
    similarity = queries.double() @ gallery.double().T
    own = similarity.diagonal()[:, None]
    rivals = ~torch.eye(len(own), dtype=torch.bool, device=own.device)
    if told_apart is not None:
        rivals &= told_apart
    above = ((similarity > own) & rivals).sum(dim=1)
    tied = ((similarity == own) & rivals).sum(dim=1)
    return 1.0 + above + tied / 2.0


def retrieval(embedded: Embedded, terms: tuple[Pair, ...], alike: Tensor | None = None) -> pl.DataFrame:
    """tables.RETRIEVAL: both directions of every pair, among the studies that have both sides.

    Chance is what random order gives, 1 / m, 5 / m (at most 1) and (m + 1) / 2 where m studies compete: all n, or with
    ``alike`` those that are not alike and the study itself, whose number differs by study; then it is the mean over
    studies, and the median of (m + 1) / 2. A pair that no study has has n 0 and nulls. The median of an even number of
    ranks is the mean of the middle two.

    Args:
        embedded: vectors and presence of the same studies.
        terms: of ``variants.pairs``.
        alike: labels [N, 2] of patient and report (``alike.likeness``). A study that shares one does not compete: its
            report is as right an answer. As in the loss, equal reports compete where no report is sought.
    """
    rows = []
    for pair in terms:
        both = embedded.present[pair.left] & embedded.present[pair.right]
        n = int(both.sum())
        apart = torch.ones(n, n, dtype=torch.bool)
        if alike is not None:
            labels = compared(alike, pair)[both.to(alike.device)].cpu()
            apart = (labels[:, None, :] != labels[None, :, :]).all(dim=2)
        rivals = (apart & ~torch.eye(n, dtype=torch.bool)).sum(dim=1).double() + 1
        for query, gallery in ((pair.left, pair.right), (pair.right, pair.left)):
            row = dict.fromkeys(RETRIEVAL) | {"query": query, "gallery": gallery, "n": n}
            if n:
                found = ranks(embedded.vectors[query][both], embedded.vectors[gallery][both], apart)
                row |= {
                    "recall_1": float((found <= 1).double().mean()),
                    "recall_5": float((found <= 5).double().mean()),
                    "median_rank": float(torch.quantile(found.double(), 0.5)),
                    "chance_recall_1": float((1 / rivals).mean()),
                    "chance_recall_5": float((5 / rivals).clamp(max=1.0).mean()),
                    "chance_median_rank": float(torch.quantile((rivals + 1) / 2, 0.5)),
                }
            rows.append(row)
    return pl.DataFrame(rows, schema=RETRIEVAL)
