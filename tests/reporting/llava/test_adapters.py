from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from spine_models.reporting.llava.adapters import (
    CONFIG,
    TARGETS,
    LlavaModelError,
    Lora,
    add_lora,
    load_llava,
    load_own_state,
    own_state,
    save_llava,
    train_adapters,
    train_projector,
)
from spine_models.reporting.llava.model import Llava
from spine_models.reporting.llava.sequence import Turn
from tests.reporting.llava.parts import TOKENS, images, tiny_decoder, tiny_llava, tiny_tokenizer

LORA = Lora(r=4, alpha=8, dropout=0.0)
ASKED = "<|image|> <|findings|>canal<|present|> disc<|absent|><|/findings|> Level?"


def step(
    llava: Llava, learning: list[torch.nn.Parameter], *, times: int = 1, lr: float = 1e-2
) -> list[float]:
    """Optimiser steps on one dialogue; the losses before each."""
    optimiser = torch.optim.AdamW(learning, lr=lr, weight_decay=0.1)
    batch = llava.batch([llava.encode([Turn(ASKED, "mild at L4-L5")])], [images(6, 0)])
    losses = []
    for _ in range(times):
        loss = llava.loss(batch)
        losses.append(loss.item())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return losses


def whole(llava: Llava) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in llava.named_parameters()}


def moved(llava: Llava, before: dict[str, torch.Tensor]) -> set[str]:
    return {name for name, parameter in llava.named_parameters() if not torch.equal(parameter, before[name])}


@pytest.mark.parametrize("tied", [False, True])
def test_warm_up_trains_the_projector_and_nothing_else(tied: bool) -> None:
    llava = tiny_llava(tied=tied)
    before = whole(llava)
    learning = train_projector(llava)
    losses = step(llava, learning, times=8)
    assert losses[-1] < losses[0]
    there = {name for name in before if name.startswith("projector.")}
    assert {id(p) for p in learning} == {id(p) for n, p in llava.named_parameters() if n in there}
    changed = moved(llava, before)
    assert changed <= there
    assert {"projector.queries", "projector.mlp.2.weight", "projector.routes.0.1.weight"} <= changed


@pytest.mark.parametrize("tied", [False, True])
def test_tuning_moves_lora_special_tokens_and_projector_and_the_decoder_never(tied: bool) -> None:
    llava = tiny_llava(tied=tied)
    add_lora(llava, LORA, seed=3)
    before = whole(llava)
    learning = train_adapters(llava)
    losses = step(llava, learning, times=8)
    assert losses[-1] < losses[0]
    changed = moved(llava, before)
    lora = {name for name in before if ".lora_" in name}
    assert len(lora) == 2 * 2 * len(TARGETS)  # A and B, two layers
    assert lora <= changed
    assert {"special_rows", "projector.queries"} <= changed
    assert not any(name.startswith("decoder.") for name in changed - lora)
    # Decay aside, a row moves where its token stood in a prompt.
    rows = (llava.special_rows - before["special_rows"]).abs().amax(dim=1)
    used = [TOKENS.index(t) for t in ("<|findings|>", "<|/findings|>", "<|present|>", "<|absent|>")]
    unused = [TOKENS.index(t) for t in ("<|similar|>", "<|not_assessed|>", "<|image|>")]
    assert rows[used].min() > 5 * rows[unused].max()


def test_embeddings_of_old_tokens_are_those_of_the_decoder_for_ever() -> None:
    llava = tiny_llava()
    old = torch.arange(len(llava.decoder.model.embed_tokens.weight))[None]
    before = llava.embed(old).detach().clone()
    assert torch.equal(before, llava.decoder.model.embed_tokens(old))
    add_lora(llava, LORA, seed=3)
    step(llava, train_adapters(llava), times=3)
    assert torch.equal(llava.embed(old), before)


def test_lora_says_the_same_until_it_is_trained_and_its_seed_is_its_own() -> None:
    llava = tiny_llava()
    batch = llava.batch([llava.encode([Turn(ASKED, "mild")])], [images(6, 0)])
    before = llava.loss(batch)
    state = torch.get_rng_state()
    add_lora(llava, LORA, seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(llava.loss(batch), before)
    other, third = tiny_llava(), tiny_llava()
    torch.manual_seed(99)
    add_lora(other, LORA, seed=3)
    add_lora(third, LORA, seed=4)
    assert all(torch.equal(own_state(llava)[n], t) for n, t in own_state(other).items())
    assert not all(torch.equal(own_state(llava)[n], t) for n, t in own_state(third).items())


def test_lora_is_float32_on_a_bfloat16_decoder_and_small_steps_are_kept() -> None:
    llava = tiny_llava()
    llava.decoder.to(torch.bfloat16)
    add_lora(llava, LORA, seed=3)
    before = whole(llava)
    learning = train_adapters(llava)
    assert {p.dtype for p in learning} == {torch.float32}
    step(llava, learning, lr=2e-5)
    changed = moved(llava, before)
    assert {n for n in before if "lora_B" in n} <= changed
    assert all(
        llava.decoder.state_dict()[n].dtype == torch.bfloat16
        for n in llava.decoder.state_dict()
        if "lora" not in n
    )


def test_dropout_is_of_training_alone() -> None:
    llava = tiny_llava()
    add_lora(llava, Lora(r=4, alpha=8, dropout=0.5), seed=3)
    step(llava, train_adapters(llava), times=3)
    batch = llava.batch([llava.encode([Turn(ASKED, "mild")])], [images(6, 0)])
    with torch.no_grad():
        assert float(llava.loss(batch)) == float(llava.loss(batch))
        llava.train()
        assert float(llava.loss(batch)) != float(llava.loss(batch))


@pytest.mark.parametrize("with_lora", [False, True])
def test_a_saved_model_says_what_it_said(tmp_path: Path, with_lora: bool) -> None:
    llava = tiny_llava()
    if with_lora:
        add_lora(llava, LORA, seed=3)
    step(llava, train_adapters(llava) if with_lora else train_projector(llava), times=3)
    version = save_llava(tmp_path / "model", llava, decoder_version="d1", trained="tuned")
    assert save_llava(tmp_path / "again", llava, decoder_version="d1", trained="tuned") == version
    tokenizer = tiny_tokenizer()
    opened = load_llava(tmp_path / "model", tiny_decoder(tokenizer), tokenizer, decoder_version="d1")
    assert opened.lora == (LORA if with_lora else None)
    assert opened.special_tokens == TOKENS
    prompts, seen = [ASKED, "<|image|> Side?"], [images(6, 0), None]
    batch = llava.batch([llava.encode([Turn(p, "left")]) for p in prompts], seen)
    assert torch.equal(opened(batch).total, llava(batch).total)
    assert opened.generate(prompts, seen, 10) == llava.generate(prompts, seen, 10)
    assert not any(parameter.requires_grad for parameter in opened.parameters())
    with torch.no_grad():
        llava.special_rows[0] += 0.25
    assert save_llava(tmp_path / "model", llava, decoder_version="d1", trained="tuned") != version


def test_a_warmed_model_is_tuned_on(tmp_path: Path) -> None:
    llava = tiny_llava()
    step(llava, train_projector(llava))
    save_llava(tmp_path, llava, decoder_version="d1", trained="warmed")
    tokenizer = tiny_tokenizer()
    opened = load_llava(tmp_path, tiny_decoder(tokenizer), tokenizer, decoder_version="d1")
    add_lora(opened, LORA, seed=0)
    before = whole(opened)
    step(opened, train_adapters(opened), times=2)
    assert {"special_rows", "projector.queries"} <= moved(opened, before)


def test_the_state_of_a_checkpoint_is_set_again() -> None:
    llava = tiny_llava()
    add_lora(llava, LORA, seed=3)
    learning = train_adapters(llava)
    state = own_state(llava)
    step(llava, learning, times=2)
    after = own_state(llava)
    assert not torch.equal(after["special_rows"], state["special_rows"])
    load_own_state(llava, state)
    assert all(torch.equal(tensor, state[name]) for name, tensor in own_state(llava).items())
    with pytest.raises(LlavaModelError, match="do not fit"):
        load_own_state(llava, {name: t for name, t in state.items() if name != "special_rows"})


def test_folders_that_hold_no_model_or_another_decoder_s_are_refused(tmp_path: Path) -> None:
    def opened(
        folder: Path, version: str = "d1", seed: int = 0, extra: bool = False, **decoder: int
    ) -> Llava:
        tokenizer = tiny_tokenizer()
        made = tiny_decoder(tokenizer, seed=seed, **decoder)
        if extra:
            tokenizer.add_tokens(["<|else|>"], special_tokens=True)
        return load_llava(folder, made, tokenizer, decoder_version=version)

    with pytest.raises(LlavaModelError, match=r"config.json and llava.safetensors missing; train llava"):
        opened(tmp_path / "nothing")
    save_llava(tmp_path / "m", tiny_llava(), decoder_version="d1", trained="warmed")
    assert opened(tmp_path / "m").training is False
    with pytest.raises(LlavaModelError, match="trained on decoder d1, this one is d2"):
        opened(tmp_path / "m", "d2")
    with pytest.raises(LlavaModelError, match="numbers the special tokens"):
        opened(tmp_path / "m", extra=True)
    config = json.loads((tmp_path / "m" / CONFIG).read_text())
    (tmp_path / "m" / CONFIG).write_text(json.dumps(config | {"lora": LORA._asdict()}))
    with pytest.raises(LlavaModelError, match="do not fit"):
        opened(tmp_path / "m")
    config["projector"]["dim_out"] = 64
    (tmp_path / "m" / CONFIG).write_text(json.dumps(config))
    with pytest.raises(LlavaModelError, match="width"):
        opened(tmp_path / "m")


def test_stages_out_of_order_are_refused() -> None:
    llava = tiny_llava()
    with pytest.raises(ValueError, match="no LoRA to train"):
        train_adapters(llava)
    add_lora(llava, LORA, seed=0)
    with pytest.raises(ValueError, match="LoRA already"):
        add_lora(llava, LORA, seed=0)
