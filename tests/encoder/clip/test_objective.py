from __future__ import annotations

import pytest
import torch

from spine_models.encoder.clip.alike import likeness
from spine_models.encoder.clip.contrastive import contrastive_loss
from spine_models.encoder.clip.objective import Embedded, clip_objective, joined_images
from spine_models.encoder.clip.projection import unit
from spine_models.encoder.clip.variants import pairs, reads_reports

SCALE = torch.tensor(6.0)


@pytest.fixture
def embedded():
    generator = torch.Generator().manual_seed(0)
    names = ("t1", "t2", "report", "image")
    vectors = {n: unit(torch.randn(6, 4, generator=generator)) for n in names}
    present = {n: torch.rand(6, generator=generator) < 0.8 for n in names}
    return Embedded(vectors, present)


def one(embedded, left, right):
    both = embedded.present[left] & embedded.present[right]
    return contrastive_loss(embedded.vectors[left], embedded.vectors[right], both, SCALE)


def test_tri_modal_is_the_sum_of_the_two_report_pairs(embedded):
    losses = clip_objective(embedded, SCALE, pairs("tri_modal"))
    expected = one(embedded, "t1", "report") + one(embedded, "t2", "report")
    torch.testing.assert_close(losses.total, expected)
    assert set(losses.by_pair) == {"t1_report", "t2_report"}
    more = clip_objective(embedded, SCALE, pairs("tri_modal", image_image_weight=0.5))
    torch.testing.assert_close(more.total, expected + 0.5 * one(embedded, "t1", "t2"))


def test_bi_modal_and_concat(embedded):
    assert clip_objective(embedded, SCALE, pairs("bi_modal")).total == one(embedded, "t1", "t2")
    assert clip_objective(embedded, SCALE, pairs("concat")).total == one(embedded, "image", "report")
    assert [reads_reports(v) for v in ("tri_modal", "bi_modal", "concat")] == [True, False, True]
    with pytest.raises(ValueError, match="tri_modal, bi_modal or concat"):
        pairs("quad")


def test_joined_images_are_a_linear_map_of_the_concatenation():
    generator = torch.Generator().manual_seed(0)
    x1, x2 = torch.randn(3, 5, generator=generator), torch.randn(3, 7, generator=generator)
    w = torch.randn(12, 4, generator=generator)
    here = {"t1": torch.tensor([True, True, False]), "t2": torch.tensor([True, False, False])}
    raw = {"t1": x1 @ w[:5], "t2": (x2 @ w[5:]).masked_fill(~here["t2"][:, None], float("nan"))}
    joined, present = joined_images(raw, here)
    torch.testing.assert_close(joined[0], unit(torch.cat([x1[0], x2[0]]) @ w))
    torch.testing.assert_close(joined[1], unit(x1[1] @ w[:5]))
    assert joined[2].eq(0).all()
    assert present.tolist() == [True, True, False]


def test_equal_reports_count_where_a_report_is_compared_and_patients_everywhere(embedded):
    alike = torch.tensor([[0, 9], [0, 8], [1, 9], [2, 7], [3, 6], [4, 7]])
    losses = clip_objective(embedded, SCALE, pairs("tri_modal", image_image_weight=1.0), alike)
    for pair, labels in (("t1_report", alike), ("t2_report", alike), ("t1_t2", alike[:, :1])):
        left, right = pair.split("_")
        both = embedded.present[left] & embedded.present[right]
        expected = contrastive_loss(embedded.vectors[left], embedded.vectors[right], both, SCALE, labels)
        assert torch.equal(losses.by_pair[pair], expected), pair


def test_likeness_is_of_patients_and_of_what_the_text_encoders_read():
    reports = [
        "FINDINGS: Disc bulge.\n\nIMPRESSION: Disc bulge.\n",
        "General Hospital\nFINDINGS:  disc   bulge.\n\nIMPRESSION: Disc bulge.\nSigned by: A. B.\n",
        "FINDINGS: Disc bulge at L4-L5.\n\nIMPRESSION: Disc bulge.\n",
        "",
        "",
    ]
    labels = likeness(["a", "b", "c", "d", "e"], ["p", "q", "p", "r", "s"], reports)
    assert (labels.shape, labels.dtype) == ((5, 2), torch.int64)
    patients, texts = labels.T.tolist()
    assert patients[0] == patients[2]
    assert texts[0] == texts[1]
    assert (len(set(patients)), len(set(texts))) == (4, 4)
    assert torch.equal(likeness(["b"], ["q"], reports[1:2])[0], labels[1])
    assert likeness([], [], []).shape == (0, 2)
