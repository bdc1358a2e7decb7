"""A Llama decoder from a local folder, opened or refused with the reason.

Belongs here: what a folder must hold, its version, opening it. Does not belong here: training one (``tiny``), adapters,
images (``model``). Nothing is downloaded, no code of a folder is run, and no pickle is read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

CONFIG: Final = "config.json"
TOKENIZER: Final = "tokenizer.json"
INDEX: Final = "model.safetensors.index.json"
SOURCE: Final = "source.json"
"""Of a published decoder that lies elsewhere: its name, version, and what its files looked like."""
ARCHITECTURE: Final = "llama"
_HEADER_LIMIT: Final = 100 * 1024 * 1024
_PAD_TOKENS: Final = ("<|finetune_right_pad_id|>", "<|pad|>", "<pad>")
_REMEDY: Final = (
    "give a folder of SPINE_ROOT/models with config.json, tokenizer.json and *.safetensors of a Llama model, "
    "or set llava.decoder to null"
)


class DecoderError(ValueError):
    """A folder that holds no decoder that can be used; the message names what is wrong with it and the remedy."""


def open_decoder(
    folder: Path, *, dtype: torch.dtype = torch.float32
) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    """Model (in evaluation mode, on the CPU) and tokenizer of a folder.

    Where the tokenizer has no padding token it gets one that it knows, else its end token: padding is masked anyway.

    Args:
        folder: with ``config.json``, ``tokenizer.json`` and one or several ``*.safetensors``.
        dtype: of the weights in memory.

    Raises:
        DecoderError: the folder is missing, is of another architecture (named), is quantised, has no tokenizer, or its
            weights do not fit its config.
    """
    folder = Path(folder)
    config = _config(folder)
    _demand_weights(folder, config)
    tokenizer = _tokenizer(folder)
    if len(tokenizer) > config["vocab_size"]:
        raise DecoderError(
            f"the tokenizer of decoder {folder.name} has {len(tokenizer)} tokens and its weights "
            f"{config['vocab_size']}: they are of two models; {_REMEDY}"
        )
    from transformers import LlamaForCausalLM

    try:
        with without_progress_bars():
            model, found = LlamaForCausalLM.from_pretrained(
                folder, dtype=dtype, local_files_only=True, use_safetensors=True, output_loading_info=True
            )
    except Exception as error:
        raise DecoderError(
            f"the weights of decoder {folder.name} cannot be read ({type(error).__name__}): {_REMEDY}"
        ) from error
    lacking = sorted({*found["missing_keys"], *(str(m[0]) for m in found["mismatched_keys"])})
    if lacking:
        raise DecoderError(
            f"the weights of decoder {folder.name} do not fit its config: {len(lacking)} tensors are missing or of "
            f"another shape, {lacking[0]} the first; {_REMEDY}"
        )
    return model.eval(), tokenizer


@contextmanager
def without_progress_bars() -> Iterator[None]:
    """A block in which transformers draws no progress bars; trainings report in their own way."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def decoder_version(folder: Path) -> str:
    """sha256 (first 16 hex digits) over config, tokenizer and weights of a folder.

    Raises:
        DecoderError: the folder is missing or holds no decoder.
    """
    folder = Path(folder)
    _config(folder)
    digest = hashlib.sha256()
    for path in [folder / CONFIG, folder / TOKENIZER, *_weight_files(folder)]:
        digest.update(path.name.encode() + b"\0")
        if not path.is_file():
            raise DecoderError(f"the decoder {folder.name} has no {path.name}: {_REMEDY}")
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]


def demand_decoder(name: str, models: Path) -> None:
    """Check that ``models`` holds a decoder of this name that can be used, without reading its weights.

    Raises:
        DecoderError: there is no such decoder, or it cannot be one.
    """
    source = _of_models(name, models)
    _demand_weights(source, _config(source))
    _tokenizer(source)


def point_to(folder: Path, name: str, models: Path) -> str:
    """Note in ``folder`` that a decoder of ``models`` is used as it lies there; returns its version.

    Raises:
        DecoderError: there is no such decoder, or it cannot be one.
    """
    source = _of_models(name, models)
    _demand_weights(source, _config(source))
    version = decoder_version(source)
    noted = {"name": name, "version": version, "stamp": _stamp(source)}
    (folder / SOURCE).write_text(json.dumps(noted, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return version


def located(folder: Path, models: Path) -> tuple[Path, str]:
    """Folder and version of a published decoder: its own files, or those of ``models`` that it points to.

    Raises:
        DecoderError: the decoder is gone, or is another one than when it was published.
    """
    if not (folder / SOURCE).is_file():
        return folder, decoder_version(folder)
    noted = json.loads((folder / SOURCE).read_text(encoding="utf-8"))
    source = _of_models(noted["name"], models)
    # Sixteen gigabytes are read again only where a file's size or time says that it may have changed.
    if _stamp(source) != noted["stamp"] and decoder_version(source) != noted["version"]:
        raise DecoderError(
            f"decoder {noted['name']} is another one than when it was published: materialise llava/decoder again and "
            "train llava on it"
        )
    return source, str(noted["version"])


def _of_models(name: str, models: Path) -> Path:
    if Path(name).name != name or name in ("", ".", ".."):
        raise DecoderError(f"llava.decoder {name!r} is no name of a folder: {_REMEDY}")
    return models / name


def _stamp(folder: Path) -> list[list[Any]]:
    """Name, size and time of a decoder's files."""
    files = [folder / CONFIG, folder / TOKENIZER, *_weight_files(folder)]
    return [[p.name, p.stat().st_size, p.stat().st_mtime_ns] for p in files if p.is_file()]


def _config(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise DecoderError(f"there is no decoder {folder.name!r}: {_REMEDY}")
    if not (folder / CONFIG).is_file():
        raise DecoderError(f"the folder of decoder {folder.name} has no {CONFIG}: {_REMEDY}")
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except ValueError as error:
        raise DecoderError(f"{CONFIG} of decoder {folder.name} is no JSON: {_REMEDY}") from error
    if not isinstance(config, dict) or config.get("model_type") != ARCHITECTURE:
        named = config.get("architectures") if isinstance(config, dict) else None
        kind = config.get("model_type") if isinstance(config, dict) else None
        what = str(named[0]) if isinstance(named, list) and named else str(kind or "unknown")
        raise DecoderError(f"decoder {folder.name} is of architecture {what[:60]}, not Llama: {_REMEDY}")
    if config.get("quantization_config"):
        raise DecoderError(f"decoder {folder.name} is quantised: give its plain weights; {_REMEDY}")
    return config


def _weight_files(folder: Path) -> list[Path]:
    """Files that hold weights, by the index where there is one; a file outside the folder is refused."""
    if not (folder / INDEX).is_file():
        return sorted(folder.glob("*.safetensors"))
    try:
        named = json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"]
        names = sorted({str(name) for name in named.values()})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DecoderError(f"{INDEX} of decoder {folder.name} cannot be read: {_REMEDY}") from error
    if strange := [name for name in names if Path(name).name != name or not name.endswith(".safetensors")]:
        raise DecoderError(
            f"{INDEX} of decoder {folder.name} names {len(strange)} files that are no safetensors of the folder: "
            f"{_REMEDY}"
        )
    return [folder / name for name in names]


def _demand_weights(folder: Path, config: dict[str, Any]) -> None:
    """Compare what the files say that they hold with the config, before any memory is asked for."""
    files = _weight_files(folder)
    if not files:
        other = any(folder.glob("*.bin")) or any(folder.glob("*.pt"))
        found = "only pickled weights, which are not read" if other else "no weights"
        raise DecoderError(f"the folder of decoder {folder.name} has {found}: {_REMEDY}")
    shapes: dict[str, list[int]] = {}
    for path in files:
        if not path.is_file():
            raise DecoderError(
                f"the folder of decoder {folder.name} lacks {path.name}, which its index names: {_REMEDY}"
            )
        shapes |= _shapes(path, folder.name)
    try:
        width, depth = int(config["hidden_size"]), int(config["num_hidden_layers"])
        wanted = [int(config["vocab_size"]), width]
    except (KeyError, TypeError, ValueError) as error:
        raise DecoderError(
            f"{CONFIG} of decoder {folder.name} does not state its sizes: {_REMEDY}"
        ) from error
    held = len([name for name in shapes if name.endswith("input_layernorm.weight")])
    if shapes.get("model.embed_tokens.weight") != wanted or held != depth:
        raise DecoderError(
            f"the weights of decoder {folder.name} do not fit its config ({depth} layers and an embedding of "
            f"{wanted[0]} x {wanted[1]} are stated, {held} layers and {shapes.get('model.embed_tokens.weight')} "
            f"found): {_REMEDY}"
        )


def _shapes(path: Path, name: str) -> dict[str, list[int]]:
    """Shapes by tensor name from a safetensors header, which also says how long the file must be."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= min(_HEADER_LIMIT, path.stat().st_size - 8):
                raise ValueError("header")
            header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        ends = [int(entry["data_offsets"][1]) for entry in header.values()]
        if path.stat().st_size != 8 + length + max(ends, default=0):
            raise ValueError("length")
        return {tensor: [int(n) for n in entry["shape"]] for tensor, entry in header.items()}
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise DecoderError(
            f"{path.name} of decoder {name} is no whole safetensors file: copy it again; {_REMEDY}"
        ) from error


def _tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    from transformers import PreTrainedTokenizerFast

    if not (folder / TOKENIZER).is_file():
        raise DecoderError(f"the folder of decoder {folder.name} has no {TOKENIZER}: {_REMEDY}")
    try:
        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
    except Exception as error:
        raise DecoderError(
            f"the tokenizer of decoder {folder.name} cannot be read ({type(error).__name__}): {_REMEDY}"
        ) from error
    if tokenizer.eos_token_id is None:
        raise DecoderError(f"the tokenizer of decoder {folder.name} has no end token: {_REMEDY}")
    if tokenizer.pad_token_id is None:
        known = [
            t for t in _PAD_TOKENS if tokenizer.convert_tokens_to_ids(t) not in (None, tokenizer.unk_token_id)
        ]
        tokenizer.pad_token = known[0] if known else tokenizer.eos_token
    return tokenizer
