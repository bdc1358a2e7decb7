"""Makes ``import torchvision`` work where a CUDA build of torchvision meets a CPU build of torch.

Belongs here: the two missing operator schemas and the moment at which they are declared.
Does not belong here: any model or transform. Nothing is changed where torchvision imports by itself.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_fragments: list[Any] = []  # a library fragment takes its schemas along when it is collected


def _is_missing_operator(error: RuntimeError) -> bool:
    return "torchvision::nms" in str(error)


def _declare_operators() -> None:
    import torch

    if _fragments:
        return
    fragment = torch.library.Library("torchvision", "FRAGMENT")
    for schema in _SCHEMAS:
        fragment.define(schema)
    _fragments.append(fragment)


def _forget_submodules() -> None:
    """Drop what a failed import left behind, so that the next import runs it afresh."""
    for name in [name for name in sys.modules if name.startswith("torchvision.")]:
        del sys.modules[name]


class _RepairingLoader(Loader):
    """Runs the real loader; on the missing operator declares it and runs the loader once more."""

    def __init__(self, inner: Loader) -> None:
        self._inner = inner

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._inner.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        with warnings.catch_warnings():
            # The image codecs of the other build do not load either, and nothing here reads images with them.
            warnings.filterwarnings("ignore", message="Failed to load image Python extension")
            try:
                self._inner.exec_module(module)
            except RuntimeError as error:
                if not _is_missing_operator(error):
                    raise
                _forget_submodules()
                _declare_operators()
                self._inner.exec_module(module)


class _TorchvisionFinder(MetaPathFinder):
    """Answers for the top-level name ``torchvision`` alone."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if fullname != "torchvision":
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _RepairingLoader(spec.loader)
        return spec


def repair_on_import() -> None:
    """Arrange that the first ``import torchvision`` is repaired if it must be; imports nothing now.

    Idempotent, and cheap enough for a package's ``__init__``: torch is not imported until torchvision is.
    """
    if not any(isinstance(finder, _TorchvisionFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _TorchvisionFinder())


def repair_torchvision() -> bool:
    """Import torchvision now, repaired if it must be; True where it can be imported afterwards.

    Raises:
        RuntimeError: torchvision fails for another reason than the missing operator.
    """
    repair_on_import()
    try:
        importlib.import_module("torchvision")
    except ModuleNotFoundError:
        return False
    return True
