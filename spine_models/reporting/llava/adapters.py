"""What is trained of a report model, and its files.

Belongs here: LoRA on the decoder, which parameters a stage trains, writing and opening a model's folder. Does not
belong here: the loop (``train``), opening a decoder (``decoder``).

A folder holds ``llava.safetensors`` (projector, rows of the special tokens, LoRA weights, all float32), ``config.json``
(sizes, special tokens with their ids, the decoder's version) and ``card.json``. The decoder is not copied. The version
is a content hash of weights and config.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from spine_models.reporting.llava.model import Llava
from spine_models.reporting.llava.projector import Projector

WEIGHTS: Final = "llava.safetensors"
CONFIG: Final = "config.json"
CARD: Final = "card.json"
TARGETS: Final = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""Linear maps of a Llama layer that LoRA is put on: all of them."""


class LlavaModelError(ValueError):
    """A folder that holds no report model, or one of another decoder; the message names the remedy."""


class Lora(NamedTuple):
    """Rank, scale (the update is weighed by ``alpha / r``) and dropout (Hu et al. 2021)."""

    r: int
    alpha: int
    dropout: float


def add_lora(llava: Llava, lora: Lora, *, seed: int) -> None:
    """Put LoRA on every layer of the decoder, in place; what the model says is the same until it is trained.

    The LoRA weights are float32 whatever the decoder is: steps of 2e-5 vanish in bfloat16.

    Args:
        llava: without LoRA.
        lora: of the settings.
        seed: of the initial weights; torch's generator is left as it was.

    Raises:
        ValueError: the model has LoRA already.
    """
    from peft import LoraConfig, inject_adapter_in_model

    if lora_of(llava) is not None:
        raise ValueError("the report model has LoRA already: open the one that was warmed up")
    config = LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(TARGETS),
        task_type="CAUSAL_LM",
    )
    learning = {name for name, parameter in llava.named_parameters() if parameter.requires_grad}
    devices = [llava.special_rows.device] if llava.special_rows.is_cuda else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        inject_adapter_in_model(config, llava.decoder)
    for name, parameter in llava.named_parameters():
        if _is_lora(name):
            parameter.data = parameter.data.float()
        parameter.requires_grad_(_is_lora(name) or name in learning)
    llava.lora = lora
    llava.train(llava.training)  # new layers come in training mode, and would drop out in use


def lora_of(llava: Llava) -> Lora | None:
    """The LoRA that a model has, or None."""
    return llava.lora


def train_projector(llava: Llava) -> list[nn.Parameter]:
    """Make the projector the only part that learns (warm-up); its parameters."""
    return _train_only(llava, lambda name: name.startswith("projector."))


def train_adapters(llava: Llava) -> list[nn.Parameter]:
    """Make projector, special tokens and LoRA learn, and nothing else (tuning); their parameters.

    Raises:
        ValueError: the model has no LoRA.
    """
    if lora_of(llava) is None:
        raise ValueError("the report model has no LoRA to train: add_lora first")
    return _train_only(llava, _is_own)


def own_state(llava: Llava) -> dict[str, Tensor]:
    """All weights beside the decoder's own, float32 on the CPU, by name: what a checkpoint and a folder hold."""
    return {
        name: parameter.detach().float().cpu().contiguous().clone()
        for name, parameter in llava.named_parameters()
        if _is_own(name)
    }


def load_own_state(llava: Llava, state: Mapping[str, Tensor]) -> None:
    """Set the weights that ``own_state`` gave; a tensor's device and type stay as they are.

    Raises:
        LlavaModelError: other names or shapes than the model has.
    """
    own = {name: parameter for name, parameter in llava.named_parameters() if _is_own(name)}
    if {n: p.shape for n, p in own.items()} != {n: t.shape for n, t in state.items()}:
        raise LlavaModelError("the weights do not fit the report model: train llava again")
    with torch.no_grad():
        for name, parameter in own.items():
            parameter.copy_(state[name])


def save_llava(folder: Path, llava: Llava, *, decoder_version: str, trained: str) -> str:
    """Write weights and config; returns the version. The folder is made if it is not there.

    Args:
        folder: its files are replaced.
        llava: the model.
        decoder_version: content hash of the decoder's folder.
        trained: stage that it went through, as the config says it (``no``, ``warmed``, ``tuned``).
    """
    folder.mkdir(parents=True, exist_ok=True)
    save_file(own_state(llava), folder / WEIGHTS)
    projector = llava.projector
    config = {
        "decoder_version": decoder_version,
        "trained": trained,
        "max_length": llava.max_length,
        "special_tokens": _numbered(llava.tokenizer, llava.special_tokens),
        "projector": {
            "dim_in": projector.dim_in,
            "dim_out": projector.dim_out,
            "queries": projector.n_tokens,
            "heads": projector.heads,
        },
        "lora": None if llava.lora is None else llava.lora._asdict(),
    }
    (folder / CONFIG).write_text(_dump(config), encoding="utf-8")
    return version_of(folder)


def load_llava(folder: Path, decoder: Any, tokenizer: Any, *, decoder_version: str) -> Llava:
    """Open a report model on its decoder, for use; nothing of it learns until a stage says so.

    Args:
        folder: of ``save_llava``.
        decoder: as it was opened; LoRA is put on it in place.
        tokenizer: the decoder's own.
        decoder_version: content hash of the decoder's folder.

    Raises:
        LlavaModelError: a file is missing, the decoder or its tokenizer is another one, or weights do not fit.
    """
    folder = Path(folder)
    if missing := [name for name in (CONFIG, WEIGHTS) if not (folder / name).is_file()]:
        raise LlavaModelError(
            f"no report model in folder {folder.name}: {' and '.join(missing)} missing; train llava"
        )
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    if config["decoder_version"] != decoder_version:
        raise LlavaModelError(
            f"the report model of folder {folder.name} was trained on decoder {config['decoder_version']}, this one is "
            f"{decoder_version}: give that decoder, or train llava again"
        )
    sizes = dict(config["projector"])
    if sizes["dim_out"] != decoder.config.hidden_size:
        raise LlavaModelError(f"the decoder's width is not that of folder {folder.name}: train llava again")
    llava = Llava(
        decoder,
        tokenizer,
        Projector(sizes.pop("dim_in"), sizes.pop("dim_out"), **sizes),
        special_tokens=[token for token, _ in config["special_tokens"]],
        max_length=config["max_length"],
    )
    if _numbered(tokenizer, llava.special_tokens) != config["special_tokens"]:
        raise LlavaModelError(
            f"the tokenizer numbers the special tokens of folder {folder.name} otherwise than in its training: give "
            "the decoder's own tokenizer, as it came"
        )
    if config["lora"] is not None:
        add_lora(llava, Lora(**config["lora"]), seed=0)
    load_own_state(llava, load_file(folder / WEIGHTS))
    llava.requires_grad_(False)
    return llava.eval()


def write_card(folder: Path, card: dict[str, Any]) -> None:
    """Write ``card.json`` beside the weights."""
    (folder / CARD).write_text(_dump(card), encoding="utf-8")


def version_of(folder: Path) -> str:
    """sha256 (first 16 hex digits) over config and weights."""
    digest = hashlib.sha256((folder / CONFIG).read_bytes())
    with (folder / WEIGHTS).open("rb") as stream:
        while chunk := stream.read(1 << 24):
            digest.update(chunk)
    return digest.hexdigest()[:16]


def _numbered(tokenizer: Any, tokens: Sequence[str]) -> list[list[Any]]:
    """Special tokens with their ids, in the order of their rows."""
    return [[token, int(tokenizer.convert_tokens_to_ids(token))] for token in tokens]


def _is_lora(name: str) -> bool:
    return name.startswith("decoder.") and ".lora_" in name


def _is_own(name: str) -> bool:
    return not name.startswith("decoder.") or _is_lora(name)


def _train_only(llava: Llava, wanted: Callable[[str], bool]) -> list[nn.Parameter]:
    learning = []
    for name, parameter in llava.named_parameters():
        parameter.requires_grad_(wanted(name))
        if wanted(name):
            learning.append(parameter)
    return learning


def _dump(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=1, sort_keys=True) + "\n"
