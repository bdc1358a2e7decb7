"""Random tiny Llamas, a byte-level tokenizer and studies of random slices for the report model's tests."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from spine_models.encoder.torchvision_repair import repair_torchvision
from spine_models.reporting.agents.serialised import SPECIAL_TOKENS
from spine_models.reporting.llava.images import CONTRASTS, PLANES, ROUTES, StudyImages
from spine_models.reporting.llava.model import Llava
from spine_models.reporting.llava.projector import Projector

DIM = 12
WIDTH = 32
QUERIES = 4
TOKENS = SPECIAL_TOKENS
CHAT = (
    "{{ bos_token }}{% for message in messages %}[{{ message['role'] }}]\n{{ message['content'] | trim }}<|eot|>\n"
    "{% endfor %}{% if add_generation_prompt %}[assistant]\n{% endif %}"
)
WORDS = "no end of findings present absent not assessed similar image disc canal stenosis at L4-L5 mild severe left"


def tiny_tokenizer(*, chat: bool = False) -> Any:
    """A tokenizer of bytes and a few merges; with ``chat`` a template whose turns end in a token of their own."""
    repair_torchvision()  # transformers imports it
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["<s>", "</s>", "<|eot|>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator([WORDS] * 3, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")
    if chat:
        fast.chat_template = CHAT
    return fast


def tiny_decoder(
    tokenizer: Any, *, seed: int = 0, tied: bool = False, context: int = 512, pad: int = 0
) -> Any:
    """A Llama of two layers with grouped key-value heads, at random; ``pad`` more rows than the tokenizer has."""
    repair_torchvision()
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer) + pad,
        hidden_size=WIDTH,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=context,
        initializer_range=0.2,  # wide, so that what is attended to matters
        tie_word_embeddings=tied,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return LlamaForCausalLM(config).eval()


def tiny_llava(*, chat: bool = False, seed: int = 0, max_length: int = 8096, **decoder: Any) -> Llava:
    """The report model on a tiny decoder, in evaluation mode."""
    tokenizer = tiny_tokenizer(chat=chat)
    opened = tiny_decoder(tokenizer, seed=seed, **decoder)
    torch.manual_seed(seed + 1)
    projector = Projector(DIM, WIDTH, queries=QUERIES, heads=2)
    return Llava(opened, tokenizer, projector, special_tokens=TOKENS, max_length=max_length).eval()


def images(n: int, seed: int, *, routes: tuple[int, ...] = (0, 1, 2), known: bool = True) -> StudyImages:
    """A study of ``n`` random slices of some routes, in series of four."""
    draw = np.random.default_rng(seed)
    return StudyImages(
        vectors=draw.normal(size=(n, DIM)).astype(np.float32),
        route=np.sort(draw.choice(routes, size=n)),
        plane=draw.integers(len(PLANES), size=n),
        contrast=draw.integers(len(CONTRASTS), size=n),
        series=np.arange(n) // 4,
        position=draw.uniform(0.01, 0.99, size=n).astype(np.float32),
        offset_mm=(draw.normal(size=n) * 60 if known else np.full(n, np.nan)).astype(np.float32),
        slice_keys=tuple(f"slice-{i}" for i in range(n)),
    )


assert len(ROUTES) == 3
