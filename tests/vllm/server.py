"""The real server that tests ask: how it is started, counted and killed.

Belongs here: one vLLM on the CPU for a folder of weights. Does not belong here: weights (``tiny_llama``), questions.
"""

from __future__ import annotations

import os
import re
import signal
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from spine_models.config import LlmSettings
from spine_models.corpus.labels.llm import serving

VLLM = os.environ.get("SPINE_VLLM")
NEEDS_VLLM = [
    pytest.mark.vllm,
    pytest.mark.skipif(not VLLM, reason="SPINE_VLLM names no vllm executable: make test-vllm"),
]
_SERVE = ("--enforce-eager", "--block-size", "32")


def settings_for(name: str, model: Path, **changes: object) -> LlmSettings:
    """Settings of a small model on the CPU."""
    return LlmSettings.model_validate(
        {
            "name": name,
            "model": str(model),
            "max_model_len": 4096,
            "max_tokens": 1536,
            "concurrency": 16,
            "timeout_s": 300,
            "serve_args": _SERVE,
            "execution_mode": "vllm-cpu, eager",
            "structured_outputs": {"backend": "guidance", "disable_any_whitespace": True},
        }
        | changes
    )


@contextmanager
def real_server(settings: LlmSettings, folder: Path) -> Iterator[str]:
    """The URL of a server of its own."""
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1")
    began = time.monotonic()
    with serving(settings, log=folder / "server.log", command=VLLM, start_within_s=400) as url:
        print(f"\nserver ready after {time.monotonic() - began:.0f} s")
        yield url


def succeeded(url: str) -> int:
    """Requests that the server has finished, by its own count."""
    with urllib.request.urlopen(f"{url}/metrics") as reply:
        text = reply.read().decode()
    counts = re.findall(
        r'^vllm:request_success_total\{[^}]*finished_reason="(?:stop|length)"[^}]*\} (\S+)', text, re.M
    )
    return int(sum(map(float, counts)))


def kill_engine(url: str) -> None:
    """Kill the process that computes, as the kernel does when memory ends; the one that answers HTTP is left."""
    port = url.rsplit(":", 1)[1].encode()
    lines = {int(p.name): _read(p / "cmdline").split(b"\0") for p in Path("/proc").glob("[0-9]*")}
    (server,) = (pid for pid, line in lines.items() if b"--port" in line and port in line)
    engines = [pid for pid, line in lines.items() if b"EngineCore" in line[0] and _parent(pid) == server]
    assert len(engines) == 1
    os.kill(engines[0], signal.SIGKILL)


def _parent(pid: int) -> int:
    return int(_read(Path(f"/proc/{pid}/stat")).rsplit(b")", 1)[1].split()[1])


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:  # the process has ended meanwhile
        return b""
