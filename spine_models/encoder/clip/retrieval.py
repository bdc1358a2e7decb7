"""Does a held-out study find its other half? Recall and median rank, with chance beside them.

Belongs here: ranks and what is made of them. Does not belong here: what ties are worth (``ties``), retrieval of reports
for drafting.
"""

from __future__ import annotations

import numpy as np
import polars as pl
import torch
from torch import Tensor

from spine_models.encoder.clip.objective import Embedded, compared
from spine_models.encoder.clip.tables import RETRIEVAL
from spine_models.encoder.clip.ties import EQUAL_WITHIN, hits, mean_rank
from spine_models.encoder.clip.variants import Pair


def standing(
    queries: Tensor, gallery: Tensor, told_apart: Tensor | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """How many rows of the gallery [N, D] are nearer to query i of queries [N, D] than row i, and how many as near.

    Args:
        queries: [N, D] float.
        gallery: [N, D] float, row i the answer to query i. What is not finite is as far as can be.
        told_apart: [N, N] bool, the rows that compete with the answer of a query; None lets all compete.

    Returns:
        int64 [N] each, as ``ties`` takes them with one answer a query.
    """
    similarity = queries.double() @ gallery.double().T
    # Nothing compares with NaN, so that it would come first; it stands behind all numbers, tied with its like.
    similarity = torch.where(torch.isfinite(similarity), similarity, torch.finfo(torch.float64).min)
    own = similarity.diagonal()[:, None]
    rivals = ~torch.eye(len(own), dtype=torch.bool, device=own.device)
    if told_apart is not None:
        rivals &= told_apart
    equal = (similarity - own).abs() <= EQUAL_WITHIN
    above = ((similarity > own) & ~equal & rivals).sum(dim=1)
    return above.cpu().numpy(), (equal & rivals).sum(dim=1).cpu().numpy()


def retrieval(embedded: Embedded, terms: tuple[Pair, ...], alike: Tensor | None = None) -> pl.DataFrame:
    """tables.RETRIEVAL: both directions of every pair, among the studies that have both sides.

    Chance is what random order gives, 1 / m, 5 / m (at most 1) and (m + 1) / 2 where m studies compete: all n, or with
    ``alike`` those that are not alike and the study itself, whose number differs by study; then it is the mean over
    studies, and the median of (m + 1) / 2. A pair that no study has has n 0 and nulls. Studies as near as the answer
    stand in random order (``ties``): recall is the mean over those orders, the median is of mean ranks. The median of
    an even number of ranks is the mean of the middle two.

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
                above, tied = standing(embedded.vectors[query][both], embedded.vectors[gallery][both], apart)
                one = np.ones_like(tied)
                row |= {
                    "recall_1": float(hits(above, tied, one, 1).mean()),
                    "recall_5": float(hits(above, tied, one, 5).mean()),
                    "median_rank": float(np.median(mean_rank(above, tied, one))),
                    "chance_recall_1": float((1 / rivals).mean()),
                    "chance_recall_5": float((5 / rivals).clamp(max=1.0).mean()),
                    "chance_median_rank": float(torch.quantile((rivals + 1) / 2, 0.5)),
                }
            rows.append(row)
    return pl.DataFrame(rows, schema=RETRIEVAL)
