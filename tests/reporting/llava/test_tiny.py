"""The phantom's own decoder: vocabulary, training, resuming, and a card that says what it is."""

from __future__ import annotations

import dataclasses
import json

import polars as pl
import pytest
import torch
from safetensors.torch import load_file

from spine_models.encoder.backbone.whole import CheckpointMismatch
from spine_models.reporting.agents.serialised import SPECIAL_TOKENS
from spine_models.reporting.llava.decoder import decoder_version, open_decoder
from spine_models.reporting.llava.tables import CURVES, SEEN
from spine_models.reporting.llava.tiny import train_tiny, train_tokenizer
from tests.reporting.llava.learning import small_settings, studies

PARENTS = {"reports": "r1"}


def weights(folder):
    return load_file(folder / "model.safetensors")


def test_the_folder_opens_as_a_decoder(decoder):
    model, tokenizer = open_decoder(decoder.folder)
    assert decoder.card["version"] == decoder_version(decoder.folder)
    assert len(tokenizer) == model.config.vocab_size <= 400
    for token in SPECIAL_TOKENS:
        assert tokenizer.convert_ids_to_tokens(tokenizer.convert_tokens_to_ids(token)) == token
    text = "Severe spinal canal stenosis at L4-L5. Überall äöü 椎間板."
    assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == text


def test_card_curves_and_whom_it_read(decoder):
    assert decoder.card == json.loads((decoder.folder / "card.json").read_text())
    assert (decoder.card["trained"], decoder.card["steps"], decoder.curves.height) == (True, 4, 4)
    assert "4 steps" in decoder.card["says"]
    assert "perplexity" in decoder.card["says"]
    assert decoder.curves.schema == CURVES
    assert decoder.seen.schema == SEEN
    assert set(decoder.seen.filter(pl.col("role") == "train")["patient_key"]) == {
        f"pt{i:03d}" for i in range(10)
    }
    assert set(decoder.seen.filter(pl.col("role") == "held_out")["patient_key"]) == {"pv000", "pv001"}


def test_a_killed_training_ends_with_the_same_bits(decoder, tmp_path):
    settings, val = small_settings(), studies(3, prefix="v")
    first = train_tiny(settings, studies(10), val, tmp_path, parents=PARENTS, stop_after=3)
    assert first.card["trained"] is False
    torch.manual_seed(99)
    second = train_tiny(settings, studies(10)[::-1], val, tmp_path, parents=PARENTS)
    assert second.card == decoder.card
    assert second.curves.equals(decoder.curves)
    for name, tensor in weights(decoder.folder).items():
        assert torch.equal(weights(tmp_path)[name], tensor), name


def test_a_checkpoint_of_other_texts_is_refused(tmp_path):
    train_tiny(small_settings(), studies(10), [], tmp_path, parents=PARENTS, stop_after=1)
    with pytest.raises(CheckpointMismatch, match="train"):
        train_tiny(small_settings(), studies(9), [], tmp_path, parents=PARENTS)


def test_it_learns_what_reports_say(tmp_path):
    tiny = small_settings().tiny.model_copy(update={"steps": 40, "lr": 5e-3})
    settings = small_settings(tiny=tiny.model_dump(), known_share=1.0, image_only_share=0.0)
    result = train_tiny(settings, studies(24), studies(8, prefix="v"), tmp_path, parents={})
    # 400 tokens: ln 400 = 6 nats where nothing is known.
    assert result.curves["loss"][0] > 5
    assert result.card["val_loss"] < 4.0


def test_too_few_reports_leave_it_as_it_was_initialised(tmp_path):
    result = train_tiny(small_settings(), studies(4), [], tmp_path, parents={})
    assert (result.card["trained"], result.card["steps"]) == (False, 0)
    assert "3 reports" in result.card["reason"]
    assert result.seen.is_empty()
    open_decoder(tmp_path)


def test_vocabulary_and_weights_know_the_train_split_alone(tmp_path):
    val = [dataclasses.replace(s, target="xylophone zebra " * 20) for s in studies(3, prefix="v")]
    for name, held_out in (("a", val), ("b", [])):
        train_tiny(small_settings(), studies(10), held_out, tmp_path / name, parents={}, stop_after=2)
    assert (tmp_path / "a/tokenizer.json").read_bytes() == (tmp_path / "b/tokenizer.json").read_bytes()
    for name, tensor in weights(tmp_path / "a").items():
        assert torch.equal(weights(tmp_path / "b")[name], tensor), name


def test_a_vocabulary_does_not_depend_on_the_order_of_texts():
    texts = ["disc herniation at L4-L5", "no fracture", "marrow edema"] * 4
    one, two = (train_tokenizer(t, 320) for t in (texts, texts[::-1]))
    assert one.get_vocab() == two.get_vocab()
