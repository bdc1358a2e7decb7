"""Poolers, text tower, projections and temperature as one module.

Belongs here: from a batch to embeddings of its modalities. Does not belong here: losses, training.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from spine_models.config import ClipSettings
from spine_models.encoder.clip.batch import ClipBatch, ReportVectors
from spine_models.encoder.clip.contrastive import LogitScale
from spine_models.encoder.clip.data import KINDS, ClipDataError
from spine_models.encoder.clip.objective import Embedded, joined_images
from spine_models.encoder.clip.pooler import GatedAttentionPooler
from spine_models.encoder.clip.projection import Projection, unit
from spine_models.encoder.clip.text import ReportTokens
from spine_models.encoder.clip.text_encoder import SmallTextEncoder
from spine_models.encoder.clip.variants import IMAGE, REPORT, ROUTES, pairs, reads_reports


class ClipNetwork(nn.Module):
    """Everything that the alignment trains.

    Args:
        settings: of the profile.
        dims: length of a slice vector by route.
        text_dim: length of a frozen text model's vectors, or None for the small text encoder.
        n_tokens: size of the small text encoder's vocabulary.

    Raises:
        ClipDataError: the variant needs a route that ``dims`` lacks.
    """

    def __init__(
        self, settings: ClipSettings, dims: Mapping[str, int], *, text_dim: int | None, n_tokens: int | None
    ) -> None:
        super().__init__()
        lacking = [route for route in ROUTES if route not in dims]
        if len(lacking) == len(ROUTES) or (lacking and settings.variant != "concat"):
            raise ClipDataError(
                f"clip.variant {settings.variant} needs slices of {' and '.join(lacking)} in the train split: "
                "embed that route, or choose another variant"
            )
        self.concat = settings.variant == "concat"
        self.terms = pairs(settings.variant, image_image_weight=settings.image_image_weight)
        self.poolers, self.projections = nn.ModuleDict(), nn.ModuleDict()
        for route, dim in sorted(dims.items()):
            self.poolers[route] = GatedAttentionPooler(
                dim, hidden=settings.pool_hidden, dropout=settings.pool_dropout, kinds=len(KINDS)
            )
            self.projections[route] = Projection(dim, settings.dim)
        self.text: SmallTextEncoder | None = None
        if reads_reports(settings.variant):
            if text_dim is None:
                self.text = SmallTextEncoder(n_tokens or 1, settings)
            self.projections[REPORT] = Projection(text_dim or settings.text_dim, settings.dim)
        self.scale = LogitScale(settings.temperature, settings.max_scale)

    def embed(self, batch: ClipBatch) -> dict[str, Tensor]:
        """Unit vectors [B, dim] by modality of the variant; rows of absent modalities mean nothing."""
        raw = {
            route: self.projections[route].raw(self.poolers[route](*bag).vectors)
            for route, bag in batch.bags.items()
        }
        if self.concat:
            there = {route: bag.mask.any(dim=1) for route, bag in batch.bags.items()}
            vectors = {IMAGE: joined_images(raw, there)[0]}
        else:
            vectors = {route: unit(rows) for route, rows in raw.items()}
        if batch.reports is not None and REPORT in self.projections:
            vectors[REPORT] = self.report_vectors(batch.reports)
        return vectors

    def report_vectors(self, reports: ReportTokens | ReportVectors) -> Tensor:
        """Unit vectors [B, dim] of reports; rows of absent ones mean nothing. The variant must read reports."""
        texts = self.text(reports) if isinstance(reports, ReportTokens) else reports.vectors
        return self.projections[REPORT](texts)

    def present(self, batch: ClipBatch) -> dict[str, Tensor]:
        """[B] bool by modality of ``embed``."""
        there = {route: bag.mask.any(dim=1) for route, bag in batch.bags.items()}
        if self.concat:
            there = {IMAGE: torch.stack(list(there.values())).any(dim=0)}
        if batch.reports is not None and REPORT in self.projections:
            there[REPORT] = batch.reports.present
        return there

    @torch.no_grad()
    def embed_frozen(self, batches: Iterable[ClipBatch]) -> Embedded:
        """Embeddings of all batches on the CPU, nothing drawn at random; the training mode is left as it was."""
        was_training = self.training
        self.eval()
        parts = [(self.embed(batch), self.present(batch)) for batch in batches]
        self.train(was_training)
        return Embedded(
            {n: torch.cat([vectors[n].cpu() for vectors, _ in parts]) for n in parts[0][0]},
            {n: torch.cat([present[n].cpu() for _, present in parts]) for n in parts[0][1]},
        )
