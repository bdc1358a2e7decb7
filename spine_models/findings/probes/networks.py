"""Any timm or transformers model as a baseline, by name, with weights that are on disk.

Nothing is ever downloaded. Weights of a timm model are looked for in the folder of ``probes.weights``
(``<model>.safetensors``, ``.pth`` or ``<model>/model.safetensors``), then in the caches that its own download would
have filled (huggingface's and torch's). A transformers model is a folder with ``config.json`` and
``model.safetensors``. A model whose weights are not there, or not all there, is refused: weights as initialised are
only ever used where the name asks for them with ``?random``.

Slices are brought to the model's own input size (whole, without its centre crop, which would cut anatomy off),
repeated to its channels and normalised by its own mean and deviation. The vector is timm's pooled feature before the
classifier; of transformers the first token and the mean of all tokens, or the mean over the map of a convolutional
network. A vision and text model is its vision half.

Belongs here: names to networks to vectors. Does not belong here: reading names (``sources``), pooling.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from spine_models.encoder.torchvision_repair import repair_on_import
from spine_models.findings.probes.efficientnet import DEVIATION, INPUT_PX, MEAN
from spine_models.findings.probes.fingerprint import content_version
from spine_models.findings.probes.sources import RANDOM, Source, source_name

CHUNK: Final = 16
ENDINGS: Final = (".safetensors", ".pth", ".pt", ".bin")
STORED: Final = ("model.safetensors", "pytorch_model.bin")


class WeightsError(ValueError):
    """A baseline whose weights are not on disk, or do not fit; the message names it and says where it was sought."""


class Network:
    """Featurizer of one library model.

    Args:
        source: which model.
        weights: folder of timm weights, or None to look into the caches alone.
        seed: draw of the weights of a ``?random`` model.

    Raises:
        WeightsError: the model is unknown, or its weights are not on disk.
    """

    def __init__(self, source: Source, *, weights: Path | None, seed: int) -> None:
        repair_on_import()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            build = _timm if source.library == "timm" else _transformers
            self._model, self._size, self._mean, self._deviation = build(source, weights)
        told = {
            "model": f"{source.library}:{type(self._model).__name__}",
            "input": [list(self._size), list(self._mean), list(self._deviation)],
        }
        self._version = content_version(self._model.state_dict(), told)
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._model = self._model.eval().to(self._device)

    @torch.inference_mode()
    def encode(self, images: np.ndarray, route: str) -> np.ndarray:
        """Vectors float32 [N, D] of slices uint16 [N, S, S]; the route makes no difference."""
        vectors = []
        for start in range(0, len(images), CHUNK):
            batch = self.inputs(images[start : start + CHUNK]).to(self._device)
            vectors.append(_pooled(self._model(batch)).float().cpu().numpy())
        return np.concatenate(vectors)

    def version(self, route: str) -> str:
        """Of the weights, the kind of network and its input; the route makes no difference."""
        return self._version

    def inputs(self, images: np.ndarray) -> Tensor:
        """Normalised float32 [N, C, H, W] of slices uint16 [N, S, S]."""
        grey = torch.from_numpy(images.astype(np.float32) / 65535.0).unsqueeze(1)
        if grey.shape[-2:] != self._size:
            grey = interpolate(grey, size=self._size, mode="bicubic", antialias=True, align_corners=False)
            grey = grey.clamp_(0.0, 1.0)
        mean, deviation = (torch.tensor(v).view(1, -1, 1, 1) for v in (self._mean, self._deviation))
        return (grey - mean) / deviation


_Built = tuple[nn.Module, tuple[int, int], Sequence[float], Sequence[float]]


def _timm(source: Source, weights: Path | None) -> _Built:
    import timm
    import timm.data

    if not timm.is_model(source.model.partition(".")[0]):
        raise WeightsError(f"timm has no model {source.model!r} (setting probes.baselines)")
    if source.random:
        model = timm.create_model(source.model, pretrained=False, num_classes=0)
    else:
        model = _timm_loaded(source.model, weights)
    seen = timm.data.resolve_model_data_config(model)
    return model, tuple(seen["input_size"][1:]), seen["mean"], seen["std"]


def _timm_loaded(model: str, weights: Path | None) -> nn.Module:
    """The model with every tensor from its file, without classifier; the file may hold one or not."""
    import timm

    found = _timm_file(model, weights)
    if found is None:
        raise WeightsError(
            f"no weights of timm:{model} on disk: put {model}.safetensors into the folder of setting "
            f"probes.weights, or name it timm:{model}{RANDOM} for weights as initialised"
        )
    stored = {"file": str(found), "custom_load": False}
    # Asked for another number of classes than its own, timm loads what fits and leaves the rest as initialised.
    try:
        network = timm.create_model(model, pretrained=True, pretrained_cfg_overlay=stored)
        network.reset_classifier(0)
    except (RuntimeError, KeyError):
        try:
            headless = stored | {"num_classes": 0}
            network = timm.create_model(
                model, pretrained=True, pretrained_cfg_overlay=headless, num_classes=0
            )
        except (RuntimeError, KeyError) as error:
            raise WeightsError(
                f"the weights on disk do not fit timm:{model}: use that model's own"
            ) from error
    return network


def _timm_file(model: str, weights: Path | None) -> Path | None:
    """The first weights file of that model in the folder, huggingface's cache, torch's cache."""
    import timm.models
    from huggingface_hub import try_to_load_from_cache

    places = []
    if weights is not None:
        places += [weights / f"{model}{ending}" for ending in ENDINGS]
        places += [weights / model / name for name in STORED]
    known = timm.models.get_pretrained_cfg(model)
    if known is not None and known.hf_hub_id:
        cached = [try_to_load_from_cache(known.hf_hub_id, name) for name in STORED]
        places += [Path(place) for place in cached if isinstance(place, str)]
    if known is not None and known.url:
        places.append(Path(torch.hub.get_dir()) / "checkpoints" / known.url.rsplit("/", 1)[-1])
    readable = (place for place in places if place.is_file() and place.suffix in ENDINGS)
    return next(readable, None)


def _transformers(source: Source, weights: Path | None) -> _Built:
    from transformers import AutoConfig, AutoModel

    folder, name = Path(source.model), source_name(f"transformers:{source.model}")
    if not (folder / "config.json").is_file():
        raise WeightsError(f"no model folder of {name}: it needs config.json and model.safetensors")
    if source.random:
        model = AutoModel.from_config(AutoConfig.from_pretrained(folder, local_files_only=True))
    else:
        try:
            model, loaded = AutoModel.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, output_loading_info=True
            )
        except OSError as error:
            raise WeightsError(
                f"no weights of {name} on disk: its folder needs model.safetensors, or name it with {RANDOM} for "
                "weights as initialised"
            ) from error
        # A pooler is not read, so a checkpoint without one is whole.
        lacking = [
            key for key in (*loaded["missing_keys"], *loaded["mismatched_keys"]) if "pooler" not in str(key)
        ]
        if lacking:
            raise WeightsError(
                f"the weights of {name} lack {len(lacking)} tensors of its architecture: use whole weights"
            )
    config = getattr(model.config, "vision_config", model.config)
    model = getattr(model, "vision_model", model)
    told = folder / "preprocessor_config.json"
    told = json.loads(told.read_text(encoding="utf-8")) if told.is_file() else {}
    size = getattr(config, "image_size", None) or told.get("crop_size") or told.get("size")
    return model, _edges(size), told.get("image_mean", MEAN), told.get("image_std", DEVIATION)


def _edges(size: Any) -> tuple[int, int]:
    """Height and width of what transformers' configurations call a size; 224 where they say nothing."""
    if isinstance(size, dict):
        edge = size.get("shortest_edge", INPUT_PX)
        return int(size.get("height", edge)), int(size.get("width", edge))
    if isinstance(size, list | tuple):
        return int(size[0]), int(size[-1])
    return (int(size or INPUT_PX),) * 2


def _pooled(output: Any) -> Tensor:
    """[N, D] of what a network returns."""
    if isinstance(output, Tensor):
        return output
    hidden = output.last_hidden_state
    if hidden.ndim == 4:
        return hidden.mean(dim=(2, 3))
    return torch.cat([hidden[:, 0], hidden.mean(dim=1)], dim=1)
