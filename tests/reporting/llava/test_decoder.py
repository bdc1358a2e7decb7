"""A decoder's folder is opened, or refused with what is wrong and what to do; nothing in it is trusted."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from spine_models.reporting.llava.decoder import (
    DecoderError,
    decoder_version,
    located,
    open_decoder,
    point_to,
)


@pytest.fixture
def folder(decoder, tmp_path):
    target = tmp_path / "models" / "some-llama"
    target.mkdir(parents=True)
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"):
        shutil.copy2(decoder.folder / name, target / name)
    return target


def change(folder, **values):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | values))


def refused(folder, *words):
    with pytest.raises(DecoderError) as raised:
        open_decoder(folder)
    said = str(raised.value)
    assert all(word in said for word in words), said
    assert "llava.decoder" in said  # the remedy
    assert str(folder.parent) not in said


def test_a_folder_opens_in_the_type_that_was_asked_for(folder):
    model, tokenizer = open_decoder(folder, dtype=torch.bfloat16)
    assert model.dtype is torch.bfloat16
    assert not model.training
    assert tokenizer.pad_token_id is not None
    assert (
        tokenizer.decode(tokenizer("No fracture.", add_special_tokens=False)["input_ids"]) == "No fracture."
    )


def test_a_missing_folder(tmp_path):
    refused(tmp_path / "Llama-3.1-8B-Instruct", "no decoder 'Llama-3.1-8B-Instruct'", "SPINE_ROOT/models")


def test_an_empty_folder_and_a_file(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "config.json")
    refused(folder / "config.json", "no decoder")


def test_another_architecture_is_named(folder):
    change(folder, model_type="qwen2", architectures=["Qwen2ForCausalLM"])
    refused(folder, "Qwen2ForCausalLM", "not Llama")
    change(folder, model_type="gpt2", architectures=None)
    refused(folder, "gpt2")
    (folder / "config.json").write_text("[]")
    refused(folder, "unknown")
    (folder / "config.json").write_text("{")
    refused(folder, "no JSON")


def test_code_of_a_folder_is_not_run(folder, tmp_path):
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\nclass Evil: pass\n")
    change(folder, auto_map={"AutoConfig": "evil.Evil", "AutoModelForCausalLM": "evil.Evil"})
    open_decoder(folder)
    assert not (tmp_path / "ran").exists()


def test_pickles_are_not_read(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    refused(folder, "pickled")


def test_no_tokenizer(folder):
    (folder / "tokenizer.json").unlink()
    refused(folder, "tokenizer.json")


def test_a_broken_tokenizer(folder):
    (folder / "tokenizer.json").write_text("{}")
    refused(folder, "tokenizer")


def test_a_tokenizer_of_another_model(folder):
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["added_tokens"] += [
        tokenizer["added_tokens"][0] | {"id": 5000 + i, "content": f"<|more{i}|>"} for i in range(400)
    ]
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    refused(folder, "two models")


def test_quantised_weights(folder):
    change(folder, quantization_config={"quant_method": "bitsandbytes"})
    refused(folder, "quantised")


@pytest.mark.parametrize(
    "sizes",
    [{"hidden_size": 10**9}, {"vocab_size": 10**9}, {"num_hidden_layers": 10**9}, {"hidden_size": None}],
)
def test_sizes_that_the_weights_do_not_have_ask_for_no_memory(folder, sizes):
    change(folder, **sizes)
    refused(folder, "config")


def test_a_weight_of_another_shape_or_missing(folder):
    weights = load_file(folder / "model.safetensors")
    name = "model.layers.0.mlp.up_proj.weight"
    lacking = {n: t.clone() for n, t in weights.items() if n != name}
    save_file(lacking, folder / "model.safetensors", metadata={"format": "pt"})
    refused(folder, "up_proj")
    save_file(lacking | {name: torch.zeros(3, 3)}, folder / "model.safetensors", metadata={"format": "pt"})
    refused(folder, "some-llama")


@pytest.mark.parametrize("keep", [0, 4, 12, 2000])
def test_truncated_weights(folder, keep):
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:keep])
    refused(folder, "no whole safetensors")


def test_a_header_that_claims_to_be_huge(folder):
    (folder / "model.safetensors").write_bytes((2**63 - 1).to_bytes(8, "little") + b"{}")
    refused(folder, "no whole safetensors")


@pytest.mark.parametrize("name", ["../other.safetensors", "/etc/passwd", "weights.bin"])
def test_an_index_that_points_elsewhere(folder, name):
    index = {"weight_map": {"model.embed_tokens.weight": name}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    refused(folder, "index")


def test_an_index_names_a_file_that_is_not_there(folder):
    index = {"weight_map": {"model.embed_tokens.weight": "model-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    refused(folder, "model-2.safetensors")


def test_a_version_follows_weights_and_tokenizer(folder):
    first = decoder_version(folder)
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"] = weights["model.norm.weight"] * 2
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    second = decoder_version(folder)
    assert first != second
    (folder / "tokenizer.json").write_text((folder / "tokenizer.json").read_text() + "\n")
    assert decoder_version(folder) not in (first, second)


def test_a_published_decoder_points_to_the_models_folder(folder, tmp_path):
    published, models = tmp_path / "published", folder.parent
    published.mkdir()
    version = point_to(published, "some-llama", models)
    assert located(published, models) == (folder, version)
    # The same files copied anew are the same decoder; others are not.
    (folder / "config.json").touch()
    assert located(published, models) == (folder, version)
    change(folder, rms_norm_eps=1e-3)
    with pytest.raises(DecoderError, match="another one"):
        located(published, models)
    shutil.rmtree(folder)
    with pytest.raises(DecoderError, match="no decoder"):
        located(published, models)


def test_a_decoder_of_our_own_is_found_in_its_own_folder(decoder, tmp_path):
    assert located(decoder.folder, tmp_path) == (decoder.folder, decoder.card["version"])


@pytest.mark.parametrize("name", ["../secrets", "a/b", "..", ""])
def test_a_name_that_is_no_folder_s_name(name, tmp_path):
    with pytest.raises(DecoderError, match="no name of a folder"):
        point_to(tmp_path, name, tmp_path)


def noted(folder, *words):
    """What a profile that names the decoder is told where the decoder is first looked for."""
    with pytest.raises(DecoderError) as raised:
        point_to(folder.parent, folder.name, folder.parent)
    said = str(raised.value)
    assert all(word in said for word in (folder.name, "SPINE_ROOT/models", "llava.decoder", *words)), said
    assert str(folder.parent) not in said


def test_a_decoder_that_is_named_and_not_there_or_not_whole_is_refused_before_any_training(folder):
    noted(folder.parent / "Llama-3.1-8B-Instruct", "there is no decoder")
    index = {"weight_map": {"model.embed_tokens.weight": "model-00001-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    noted(folder, "lacks model-00001-of-00002.safetensors")
    (folder / "model.safetensors.index.json").unlink()
    (folder / "tokenizer.json").unlink()
    noted(folder, "has no tokenizer.json")
    (folder / "model.safetensors").unlink()
    noted(folder, "no weights")


def test_an_encoder_of_texts_is_no_decoder(tmp_path):
    """A folder as transformers writes it of a BERT."""
    from transformers import BertConfig, BertModel

    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    BertModel(BertConfig(vocab_size=30, **sizes)).save_pretrained(tmp_path / "models" / "some-bert")
    noted(tmp_path / "models" / "some-bert", "BertModel", "not Llama")
