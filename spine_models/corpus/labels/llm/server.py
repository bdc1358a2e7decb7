"""A model server for as long as it is needed: one that runs already, or one started here and always stopped.

Belongs here: the command line of ``vllm serve``, waiting for it, stopping it. Does not belong here: questions
(``client``). vLLM has an environment of its own and is never imported.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from spine_models.config import LlmSettings
from spine_models.corpus.labels.llm.endpoint import demand_model, endpoint_of
from spine_models.corpus.labels.llm.errors import ServerDownError

VLLM: Final = "vllm"
START_WITHIN_S: Final = 1800.0
"""Loading 140 GB of weights from a network file system takes minutes."""

_ASK_EVERY_S: Final = 0.5
_TELL_EVERY_S: Final = 15.0
_STOP_WITHIN_S: Final = 20.0
_LAST_LINES: Final = 20
_LAST_BYTES: Final = 16_384

_QUIET: Final = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
"""A server in a hospital reports to nobody."""


@contextmanager
def serving(
    settings: LlmSettings,
    *,
    log: Path,
    url: str | None = None,
    command: str | None = None,
    api_key: str | None = None,
    weights: Path | None = None,
    start_within_s: float = START_WITHIN_S,
    progress: Callable[[str], None] | None = None,
) -> Iterator[str]:
    """The URL of a server that serves the model.

    Args:
        settings: the model, and with what it is started.
        log: file for the started server's output; appended to.
        url: of a server that runs (SPINE_LLM_URL); it is checked and left as it is.
        command: path of the ``vllm`` executable of its own environment (SPINE_VLLM); null for ``vllm`` on the
            PATH. Used where there is no ``url``.
        api_key: of the server at ``url``.
        weights: local folder that a started server reads the model from; null leaves it to vLLM to find the model.
        start_within_s: how long a started server may load.
        progress: told in words how the start goes.

    Raises:
        ServerDownError: nothing answers at ``url``; or the server cannot be started, ends, or is not ready in
            time: with the last lines of its log.
        ModelMissingError: the server at ``url`` lacks the model.
    """
    if url:
        endpoint = endpoint_of(url)
        demand_model(endpoint, settings, api_key=api_key)
        yield endpoint.root
        return
    port = _free_port()
    process = _start(arguments(settings, command or VLLM, port, weights), log)
    lifeline = _lifeline(process.pid)
    try:
        _wait(process, port, log, start_within_s, progress)
        yield f"http://127.0.0.1:{port}"
    finally:
        _stop(process)
        lifeline.kill()
        lifeline.communicate()


def arguments(settings: LlmSettings, command: str, port: int, weights: Path | None = None) -> list[str]:
    """The command line that serves a model as ``settings`` has it; ``serve_args`` come last and win."""
    line = [command, "serve", str(weights or settings.model), "--served-model-name", settings.model]
    line += ["--host", "127.0.0.1", "--port", str(port)]
    line += ["--tensor-parallel-size", str(settings.tensor_parallel), "--dtype", settings.dtype]
    line += ["--max-model-len", str(settings.max_model_len), "--max-num-seqs", str(settings.concurrency)]
    line += ["--seed", str(settings.seed), "--enable-prefix-caching", "--enable-prompt-tokens-details"]
    if settings.structured_outputs is not None:
        line += ["--structured-outputs-config", json.dumps(settings.structured_outputs)]
    return [*line, *settings.serve_args]


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _start(line: list[str], log: Path) -> subprocess.Popen[bytes]:
    log.parent.mkdir(parents=True, exist_ok=True)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        return subprocess.Popen(
            line,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | _QUIET,
            start_new_session=True,  # a group of its own, so that its workers stop with it
        )
    except OSError as error:
        raise ServerDownError(
            f"cannot start {line[0]} ({error.strerror}): set SPINE_VLLM to the vllm executable of its environment, "
            "or SPINE_LLM_URL to a server that runs"
        ) from None
    finally:
        os.close(output)


def _lifeline(group: int) -> subprocess.Popen[bytes]:
    """A shell that stops the server's group when this process is gone, however it goes.

    A killed run would leave its server behind, on the very GPUs that the next run needs. The shell reads from a
    pipe that only this process holds, and a pipe ends with who holds it.
    """
    script = f'read _; kill -s TERM -- "-$0" && sleep {_STOP_WITHIN_S:g} && kill -s KILL -- "-$0"'
    return subprocess.Popen(
        ["/bin/sh", "-c", script, str(group)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _wait(
    process: subprocess.Popen[bytes],
    port: int,
    log: Path,
    within_s: float,
    progress: Callable[[str], None] | None,
) -> None:
    began = told = time.monotonic()
    while not _healthy(port):
        now = time.monotonic()
        if process.poll() is not None:
            raise ServerDownError(f"the model server ended with status {process.returncode}: {_tail(log)}")
        if now - began > within_s:
            raise ServerDownError(f"the model server is not ready after {within_s:g} s: {_tail(log)}")
        if progress is not None and now - told > _TELL_EVERY_S:
            progress(f"model server loads since {now - began:.0f} s; its log: {log}")
            told = now
        time.sleep(_ASK_EVERY_S)
    if progress is not None:
        progress(f"model server ready after {time.monotonic() - began:.0f} s")


def _healthy(port: int) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{port}/health", timeout=5) as reply:
            return bool(reply.status == 200)
    except (OSError, http.client.HTTPException):
        return False


def _tail(log: Path) -> str:
    """The last lines of a server's log, where its reason to end stands."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _LAST_BYTES))
        lines = file.read().decode(errors="replace").splitlines()
    return "\n".join([f"{log} ends", *lines[-_LAST_LINES:]])


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Stop the server and its workers: asked first, then made to."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:  # none of the group is left
            break
        try:
            process.wait(_STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            continue
    process.wait()
