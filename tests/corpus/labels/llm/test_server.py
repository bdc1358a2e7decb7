from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from spine_models.corpus.labels.llm import ModelMissingError, ServerDownError, server, serving
from tests.corpus.labels.llm.fake_server import FakeServer

VLLM = """#!{python}
import http.server, json, os, signal, subprocess, sys, time
arguments = sys.argv[1:]
print("fake vllm", json.dumps(arguments), flush=True)
with open({pids!r}, "w") as file:
    child = subprocess.Popen(["sleep", "300"])
    file.write(f"{{os.getpid()}} {{child.pid}}")
{behaviour}
port = int(arguments[arguments.index("--port") + 1])
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *_):
        pass
http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


@pytest.fixture
def vllm(tmp_path):
    """Writes an executable that behaves as told; returns its path. Its process numbers go to ``pids``."""

    def make(behaviour=""):
        path = tmp_path / "vllm"
        path.write_text(VLLM.format(python=sys.executable, pids=str(tmp_path / "pids"), behaviour=behaviour))
        path.chmod(0o755)
        return str(path)

    return make


def gone(tmp_path):
    """Whether server and worker have ended (a zombie has)."""
    for pid in (tmp_path / "pids").read_text().split():
        for _ in range(100):
            try:
                with open(f"/proc/{pid}/stat") as file:
                    if file.read().rsplit(")", 1)[1].split()[0] == "Z":
                        break
            except FileNotFoundError:
                break
            time.sleep(0.05)
        else:
            return False
    return True


def test_a_server_is_started_waited_for_and_stopped(vllm, settings, tmp_path):
    told = []
    given = settings(
        tensor_parallel=2, structured_outputs={"backend": "guidance"}, serve_args=("--enforce-eager",)
    )
    log = tmp_path / "logs" / "server.log"
    with (
        serving(given, log=log, command=vllm("time.sleep(0.7)"), progress=told.append) as url,
        urllib.request.urlopen(f"{url}/health") as reply,
    ):
        assert reply.status == 200
    assert gone(tmp_path)
    assert "ready after" in told[-1]
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    arguments = json.loads(log.read_text().splitlines()[0].removeprefix("fake vllm "))
    assert arguments[:4] == ["serve", "tiny", "--served-model-name", "tiny"]
    assert arguments[arguments.index("--tensor-parallel-size") + 1] == "2"
    assert arguments[arguments.index("--structured-outputs-config") + 1] == '{"backend": "guidance"}'
    assert arguments[-1] == "--enforce-eager"
    assert {"--enable-prefix-caching", "--enable-prompt-tokens-details"} <= set(arguments)


def test_a_server_is_stopped_when_the_work_fails(vllm, settings, tmp_path):
    with pytest.raises(ZeroDivisionError), serving(settings(), log=tmp_path / "log", command=vllm()):
        raise ZeroDivisionError
    assert gone(tmp_path)


def test_a_server_that_does_not_listen_to_sigterm_is_killed(vllm, settings, tmp_path, monkeypatch):
    monkeypatch.setattr(server, "_STOP_WITHIN_S", 0.5)
    deaf = vllm("signal.signal(signal.SIGTERM, signal.SIG_IGN)")
    with serving(settings(), log=tmp_path / "log", command=deaf):
        pass
    assert gone(tmp_path)


def test_a_server_is_stopped_when_its_process_is_killed(vllm, settings, tmp_path):
    code = f"""
import os, signal
from pathlib import Path
from spine_models.config import LlmSettings
from spine_models.corpus.labels.llm import serving
with serving(LlmSettings(name="tiny", model="tiny"), log=Path({str(tmp_path / "log")!r}), command={vllm()!r}):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    repo = str(Path(__file__).resolve().parents[4])
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": repo}, check=False)
    assert done.returncode == -signal.SIGKILL
    assert gone(tmp_path)


def test_a_server_that_ends_shows_the_end_of_its_log(vllm, settings, tmp_path):
    broken = vllm("print('CUDA out of memory', flush=True); sys.exit(3)")
    began = time.monotonic()
    with (
        pytest.raises(ServerDownError, match=r"(?s)status 3: .*CUDA out of memory"),
        serving(settings(), log=tmp_path / "log", command=broken),
    ):
        pytest.fail("it must not come so far")
    assert time.monotonic() - began < 10
    assert gone(tmp_path)


def test_a_server_that_never_gets_ready_is_given_up(vllm, settings, tmp_path):
    slow = vllm("time.sleep(300)")
    with (
        pytest.raises(ServerDownError, match=r"not ready after 1 s: (?s:.*)fake vllm"),
        serving(settings(), log=tmp_path / "log", command=slow, start_within_s=1.0),
    ):
        pytest.fail("it must not come so far")
    assert gone(tmp_path)


def test_a_command_that_is_not_there_names_the_remedy(settings, tmp_path):
    with (
        pytest.raises(ServerDownError, match="set SPINE_VLLM"),
        serving(settings(), log=tmp_path / "log", command=str(tmp_path / "nothing")),
    ):
        pytest.fail("it must not come so far")


def test_a_server_that_runs_is_checked_and_left_alone(settings, tmp_path):
    with FakeServer() as running:
        with serving(settings(), log=tmp_path / "log", url=f"{running.url}/v1") as url:
            assert url == running.url
        with (
            pytest.raises(ModelMissingError, match="it serves: tiny"),
            serving(settings(model="other"), log=tmp_path / "log", url=running.url),
        ):
            pytest.fail("it must not come so far")
    with (
        pytest.raises(ServerDownError, match="set SPINE_LLM_URL"),
        serving(settings(), log=tmp_path / "log", url="http://127.0.0.1:9"),
    ):
        pytest.fail("it must not come so far")
    assert not os.path.exists(tmp_path / "log")
