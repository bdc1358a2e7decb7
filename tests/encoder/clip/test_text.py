from __future__ import annotations

import pytest
import torch

from spine_models.config import ClipSettings
from spine_models.encoder.clip.text import batch_reports, pool_chunks, report_chunks, report_sections
from spine_models.encoder.clip.text_encoder import (
    FrozenTextModel,
    SmallTextEncoder,
    TextModelError,
    train_vocabulary,
    vocabulary_of,
)

REPORT = """MRI LUMBAR SPINE

INDICATION: Low back pain.

FINDINGS:
L4-L5: Broad-based disc bulge with mild canal stenosis. No cord compression.
L5-S1: Facet arthropathy.

IMPRESSION:
1. Mild canal stenosis at L4-L5.
"""
EMPTY = ("", "   \n", "INDICATION: Low back pain.\n\nFINDINGS:\n\nIMPRESSION:\n")


@pytest.fixture(scope="module")
def tokenizer():
    return train_vocabulary(report_sections(REPORT) * 4, 400)


@pytest.fixture
def encoder(tokenizer):
    torch.manual_seed(0)
    settings = ClipSettings(text_model=None, text_dim=16, text_heads=2, max_tokens=16)
    return SmallTextEncoder(tokenizer.get_vocab_size(), settings).eval()


def test_sections_leave_the_indication_out():
    findings, impression = report_sections(REPORT)
    assert "disc bulge" in findings
    assert "facet" in findings
    assert "mild canal stenosis at l4-l5" in impression
    assert "pain" not in findings + impression


def test_letterhead_and_signature_are_left_out():
    head = "Larkspur Valley Hospital\nPatient: [NAME]   MRN: [ID]\nAccession: [ID]   Exam date: [DATE]\n"
    tail = (
        "\nRead by Dr. [NAME] at Larkspur Valley Hospital.\n"
        "Findings were discussed with Dr. [NAME] at 12:27 on [DATE].\n"
    )
    assert report_sections(head + REPORT + tail) == report_sections(REPORT)


@pytest.mark.parametrize(
    ("report", "first"),
    [
        ("There is a disc bulge at L4-L5.\n\nIMPRESSION: Disc bulge.", "disc bulge at l4-l5"),
        ("Disc bulge at L4-L5. No fracture.", "disc bulge at l4-l5"),
        ("No fracture.\nAlignment: Normal.\nCord: Normal.", "no fracture"),
        ("MRI LUMBAR SPINE. FINDINGS: Disc bulge at L4-L5. IMPRESSION: Disc bulge.", "disc bulge at l4-l5"),
    ],
)
def test_reports_without_a_letterhead_keep_their_findings(report, first):
    assert first in report_sections(report)[0]


def test_chunks_hold_every_token_once_and_no_more_than_allowed(tokenizer):
    vocabulary = vocabulary_of(tokenizer)
    sections = report_sections(REPORT)
    chunks = report_chunks(REPORT, vocabulary, max_tokens=12)
    assert len(chunks) > 2
    assert all(c[0] == vocabulary.cls and c[-1] == vocabulary.sep and len(c) <= 12 for c in chunks)
    ids = [vocabulary.encode(s) for s in sections]
    assert [t for c in chunks for t in c[1:-1]] == ids[0] + ids[1]
    assert len(report_chunks(REPORT, vocabulary, max_tokens=512)) == 2


@pytest.mark.parametrize("report", EMPTY)
def test_an_empty_report_has_no_chunk_and_is_masked(tokenizer, encoder, report):
    vocabulary = vocabulary_of(tokenizer)
    chunks = [report_chunks(r, vocabulary, max_tokens=16) for r in (report, REPORT)]
    tokens = batch_reports(chunks, vocabulary.pad)
    assert tokens.present.tolist() == [False, True]
    vectors = encoder(tokens)
    assert vectors[0].eq(0).all()
    assert vectors[1].isfinite().all()
    nothing = batch_reports([[], []], vocabulary.pad)
    assert nothing.present.tolist() == [False, False]
    assert encoder(nothing).eq(0).all()


def test_the_mean_is_weighed_by_tokens():
    tokens = batch_reports([[[1, 5, 2], [1, 5, 6, 7, 2]], [], [[1, 9, 2]]], pad=0)
    vectors = torch.tensor([[1.0, 0.0], [0.0, 1.0], [3.0, 4.0]])
    expected = torch.tensor([[0.25, 0.75], [0.0, 0.0], [3.0, 4.0]])
    torch.testing.assert_close(pool_chunks(vectors, tokens), expected)


def test_a_report_does_not_depend_on_its_batch_mates(tokenizer, encoder):
    vocabulary = vocabulary_of(tokenizer)
    short = report_chunks("FINDINGS: Normal study.", vocabulary, max_tokens=16)
    long = report_chunks(REPORT, vocabulary, max_tokens=16)
    together = encoder(batch_reports([short, long], vocabulary.pad))
    alone = encoder(batch_reports([short], vocabulary.pad))
    torch.testing.assert_close(together[0], alone[0], rtol=1e-5, atol=1e-6)


def test_the_vocabulary_is_the_same_again_and_in_any_order():
    texts = [f"level l{i}-l{i + 1}: disc bulge {i}" for i in range(40)]
    first = train_vocabulary(texts, 320).to_str()
    assert train_vocabulary(texts[::-1], 320).to_str() == first
    tokenizer = train_vocabulary(texts, 320)
    assert tokenizer.get_vocab_size() <= 320
    strange = "é 脊椎 \t"
    assert tokenizer.decode(tokenizer.encode(strange).ids).strip() == strange.strip()


def test_a_vocabulary_without_its_special_tokens_is_refused():
    from tokenizers import Tokenizer, models

    with pytest.raises(TextModelError, match="CLS"):
        vocabulary_of(Tokenizer(models.BPE()))


def test_a_frozen_model_is_its_cls_averaged_over_chunks(bert):
    from transformers import AutoModel

    model = FrozenTextModel(str(bert), max_tokens=32)
    vectors = model.encode([REPORT, "", REPORT])
    assert vectors[1] is None
    assert model.dim == 16
    assert torch.equal(vectors[0], vectors[2])
    chunks = report_chunks(REPORT, model._vocabulary, max_tokens=32)
    raw = AutoModel.from_pretrained(bert).eval()
    with torch.no_grad():
        states = [raw(input_ids=torch.tensor([c])).last_hidden_state[0, 0] for c in chunks]
    weights = torch.tensor([len(c) - 2.0 for c in chunks])
    expected = (torch.stack(states) * weights[:, None]).sum(0) / weights.sum()
    torch.testing.assert_close(vectors[0], expected, rtol=1e-4, atol=1e-5)


def test_a_model_that_is_not_there_or_too_short_is_named(bert, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(TextModelError, match="text_model"):
        FrozenTextModel(str(tmp_path / "empty"))
    with pytest.raises(TextModelError, match="max_tokens"):
        FrozenTextModel(str(bert), max_tokens=512)
