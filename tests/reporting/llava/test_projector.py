from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from spine_models.reporting.llava.images import LlavaDataError, StudyImages
from spine_models.reporting.llava.projector import SERIES, SPAN_MM, ImageBatch, Projector, batch_images
from tests.reporting.llava.parts import DIM, QUERIES, WIDTH, images


@pytest.fixture
def projector() -> Projector:
    torch.manual_seed(5)
    return Projector(DIM, WIDTH, queries=QUERIES, heads=2).double()


def batch(*studies: StudyImages | None, extra: int = 0) -> ImageBatch:
    """A batch, with ``extra`` columns of padding that holds nonsense."""
    made = batch_images(studies, DIM)
    if not extra:
        return made
    parts = []
    for part in made:
        rubbish = {torch.bool: False, torch.int64: 1}.get(part.dtype, 1e4)
        parts.append(
            torch.cat([part, torch.full((len(part), extra, *part.shape[2:]), rubbish, dtype=part.dtype)], 1)
        )
    return ImageBatch(*parts)


def slow_tokens(p: Projector, study: StudyImages) -> torch.Tensor:
    """The projector of one study, slice by slice and head by head, from its definition."""
    weights = {name: tensor.detach() for name, tensor in p.state_dict().items()}

    def normed(row: torch.Tensor, name: str) -> torch.Tensor:
        spread = ((row - row.mean()) ** 2).mean()
        return (row - row.mean()) / torch.sqrt(spread + 1e-5) * weights[f"{name}.weight"] + weights[
            f"{name}.bias"
        ]

    def mapped(row: torch.Tensor, name: str) -> torch.Tensor:
        return weights[f"{name}.weight"] @ row + weights[f"{name}.bias"]

    def waves(x: float) -> list[float]:
        return [math.sin(math.pi * 2**k * x) for k in range(8)] + [
            math.cos(math.pi * 2**k * x) for k in range(8)
        ]

    slices = []
    for i in range(len(study)):
        route = f"routes.{study.route[i]}"
        row = mapped(normed(torch.tensor(study.vectors[i], dtype=torch.float64), f"{route}.0"), f"{route}.1")
        offset = float(study.offset_mm[i])
        far = [0.0] * 16 if math.isnan(offset) else waves(min(max(offset / SPAN_MM + 0.5, 0.0), 1.0))
        place = [*waves(float(study.position[i])), *far, 0.0 if math.isnan(offset) else 1.0]
        row = row + weights["place.weight"] @ torch.tensor(place, dtype=torch.float64)
        row = row + weights["plane.weight"][study.plane[i]] + weights["contrast.weight"][study.contrast[i]]
        row = row + weights["series.weight"][min(int(study.series[i]), SERIES - 1)]
        slices.append(normed(row, "slice_norm"))
    tokens = []
    size = p.width // p.heads
    for query in weights["queries"]:
        asked, parts = mapped(query, "query"), []
        for head in range(p.heads):
            own = slice(head * size, (head + 1) * size)
            scores = [float(asked[own] @ mapped(row, "key")[own]) / math.sqrt(size) for row in slices]
            powers = [math.exp(score - max(scores)) for score in scores]
            shares = [power / sum(powers) for power in powers]
            parts.append(sum(a * mapped(row, "value")[own] for a, row in zip(shares, slices, strict=True)))
        pooled = normed(mapped(torch.cat(parts), "joined"), "pooled_norm")
        hidden = mapped(pooled, "mlp.0")
        hidden = hidden * 0.5 * (1 + torch.special.erf(hidden / math.sqrt(2)))
        tokens.append(mapped(hidden, "mlp.2"))
    return torch.stack(tokens)


def test_pooling_is_that_of_a_slow_transcription(projector: Projector) -> None:
    studies = [images(7, 0), images(3, 1, known=False), images(150, 2, routes=(1,))]
    tokens = projector(batch(*studies))
    assert tokens.shape == (3, QUERIES, WIDTH)
    for row, study in zip(tokens, studies, strict=True):
        torch.testing.assert_close(row, slow_tokens(projector, study), rtol=1e-5, atol=1e-5)


def test_batch_mates_and_padding_change_nothing(projector: Projector) -> None:
    mine, other = images(6, 3), images(40, 4)
    alone = projector(batch(mine))[0]
    for together in (batch(mine, other), batch(other, mine), batch(None, mine), batch(mine, other, extra=9)):
        row = together.mask.sum(dim=1).tolist().index(6)
        torch.testing.assert_close(projector(together)[row], alone, rtol=0, atol=1e-12)


def test_a_study_without_slices_has_tokens_of_its_own_and_no_nan_anywhere(projector: Projector) -> None:
    nothing, some = projector(batch(None, images(3, 5)))
    assert torch.equal(nothing, projector.no_image)
    assert torch.equal(projector(batch(None, None))[1], projector.no_image)
    (nothing.square().sum() + some.square().sum()).backward()
    gradients = {name: parameter.grad for name, parameter in projector.named_parameters()}
    assert all(g is not None and g.isfinite().all() for g in gradients.values())
    assert gradients["no_image"].abs().max() > 0


def test_every_parameter_has_a_gradient_where_routes_and_slices_are_missing(projector: Projector) -> None:
    """A wrapper for several processes waits for each of them."""
    projector(batch(images(4, 6, routes=(1,)))).sum().backward()
    assert all(parameter.grad is not None for parameter in projector.parameters())
    assert projector.routes[1][1].weight.grad.abs().max() > 0
    assert projector.routes[0][1].weight.grad.abs().max() == 0


@pytest.mark.parametrize("name", ["vectors", "route", "plane", "contrast", "series", "position", "offset_mm"])
def test_all_that_is_known_of_a_slice_is_used(projector: Projector, name: str) -> None:
    """Two slices change what is known of them: the study is another. They change all of it: it is the same."""
    study = images(6, 7)
    study = dataclasses.replace(study, route=np.array([0, 1, 1, 1, 2, 2]), contrast=np.arange(6))
    study = dataclasses.replace(study, plane=np.array([0, 1, 2, 3, 4, 4]))
    swap = np.array([5, 1, 2, 3, 4, 0])
    arrays = [f.name for f in dataclasses.fields(study) if f.name != "slice_keys"]
    before = projector(batch(study))
    all_moved = dataclasses.replace(study, **{a: getattr(study, a)[swap] for a in arrays})
    torch.testing.assert_close(projector(batch(all_moved)), before, rtol=0, atol=1e-12)
    moved = dataclasses.replace(study, **{name: getattr(study, name)[swap]})
    assert (projector(batch(moved)) - before).abs().max() > 1e-3


def test_an_unknown_place_is_not_the_middle(projector: Projector) -> None:
    study = images(5, 8)
    unknown = dataclasses.replace(study, offset_mm=np.full(5, np.nan, dtype=np.float32))
    middle = dataclasses.replace(study, offset_mm=np.zeros(5, dtype=np.float32))
    assert (projector(batch(unknown)) - projector(batch(middle))).abs().max() > 1e-3


def test_a_width_that_heads_do_not_divide_is_rounded_up() -> None:
    torch.manual_seed(0)
    odd = Projector(10, 6, queries=3, heads=4)
    assert odd.width == 12
    study = images(4, 9)
    study = dataclasses.replace(study, vectors=study.vectors[:, :10])
    assert odd(batch_images([study], 10)).shape == (1, 3, 6)


def test_vectors_of_another_encoder_are_refused(projector: Projector) -> None:
    with pytest.raises(LlavaDataError, match="length 12, the report model takes 16: use the encoders"):
        batch_images([None, images(3, 0)], 16)
    made = batch(images(3, 0))
    with pytest.raises(ValueError, match="bool"):
        projector(made._replace(mask=made.mask.long()))
    with pytest.raises(ValueError, match="are needed"):
        projector(made._replace(mask=made.mask[:, :2]))
