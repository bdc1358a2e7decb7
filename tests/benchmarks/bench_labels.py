"""Labelling with a language model against a bare load generator on the same server, in questions a second.

Belongs here: what the labeller's own work costs (prompts, HTTP, parsing, the log of answers), with a server of fixed
service time. Does not belong here: the speed of any model.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from spine_models.config import LlmSettings
from spine_models.corpus.deid.tables import REPORTS
from spine_models.corpus.labels.llm import label_with_llm
from spine_models.corpus.labels.llm.answers import answer_schema
from spine_models.corpus.labels.llm.prompting import load_prompts
from spine_models.domain import condition_keys

REPO = Path(__file__).resolve().parents[2]
SLOTS, STUDIES, ROUNDS = 16, 48, 3
SERVICES_MS = (100, 50)
"""Of a question: far quicker than a model of 70 billion weights, so that the client's own work shows."""
SETTINGS = LlmSettings(name="tiny", model="tiny", concurrency=SLOTS)


def bench() -> list[tuple[str, float, str]]:
    """Median ratio of the rounds, for each service time."""
    reports = _reports()
    bodies = _bodies(reports)
    return [_compared(service_ms, reports, bodies) for service_ms in SERVICES_MS]


def _compared(service_ms: int, reports: pl.DataFrame, bodies: list[bytes]) -> tuple[str, float, str]:
    labelling, bare = [], []
    with tempfile.TemporaryDirectory() as name, _server(Path(name), service_ms) as port:
        endpoint = f"http://127.0.0.1:{port}"
        label_with_llm(reports.head(1), settings=SETTINGS, endpoint=endpoint, answers=Path(name) / "warm")
        for turn in range(ROUNDS):
            began = time.perf_counter()
            tables = label_with_llm(
                reports, settings=SETTINGS, endpoint=endpoint, answers=Path(name) / f"answers-{turn}"
            )
            labelling.append(time.perf_counter() - began)
            if set(tables.requests["outcome"]) != {"answered"}:
                raise RuntimeError("the server of the benchmark did not answer everything")
            bare.append(_bare(port, bodies))
    ratio = sorted(b / own for own, b in zip(labelling, bare, strict=True))[ROUNDS // 2]
    rate = len(bodies) / sorted(labelling)[ROUNDS // 2]
    what = f"of bare sockets with prepared bodies; {rate:,.0f} of {1000 * SLOTS / service_ms:,.0f} questions a second"
    return (f"labels: questions of {service_ms} ms to a language model", ratio, what)


def _reports() -> pl.DataFrame:
    """Reports of about 250 words."""
    sentence = "At this level there is a mild disc bulge without stenosis of canal or foramina. "
    rows = [
        (f"b{i}", f"p{i}", f"s{i:04d}", f"r{i}", f"FINDINGS: Case {i}. {sentence * 17}")
        for i in range(STUDIES)
    ]
    return pl.DataFrame(rows, schema=REPORTS, orient="row")


def _bodies(reports: pl.DataFrame) -> list[bytes]:
    """The same requests as the labeller sends, ready to go."""
    prompts, schema = load_prompts(SETTINGS.prompt_version), answer_schema(joint=False)
    fixed = {
        "model": SETTINGS.model,
        "temperature": 0.0,
        "seed": 0,
        "max_tokens": SETTINGS.answer_tokens,
        "logprobs": True,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "strict": True, "schema": schema},
        },
    }
    return [
        json.dumps(fixed | {"messages": prompts.messages(text, key)}).encode()
        for text in reports["report_text"]
        for key in condition_keys()
    ]


def _bare(port: int, bodies: list[bytes]) -> float:
    """Seconds for all bodies with as many in flight."""
    queue: Iterator[bytes] = iter(bodies)
    lock = threading.Lock()

    def work() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        while True:
            with lock:
                body = next(queue, None)
            if body is None:
                return connection.close()
            connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
            reply = connection.getresponse()
            if reply.status != 200 or not reply.read():
                raise RuntimeError("the server of the benchmark did not answer")

    threads = [threading.Thread(target=work) for _ in range(SLOTS)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - began


@contextmanager
def _server(folder: Path, service_ms: int) -> Iterator[int]:
    """The scripted server of the tests in a process of its own, so that it takes no time from the client."""
    port_file = folder / "port"
    script = REPO / "tests" / "corpus" / "labels" / "llm" / "fake_server.py"
    line = [sys.executable, str(script), "--port-file", str(port_file)]
    process = subprocess.Popen([*line, "--service-ms", str(service_ms), "--slots", str(SLOTS)])
    try:
        deadline = time.monotonic() + 30
        while not port_file.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the server of the benchmark does not start")
            time.sleep(0.05)
        yield int(port_file.read_text())
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    for line in bench():
        print(line)
