"""A model server for tests: speaks as vLLM does, answers as it is told, counts cached words and notes every question.

In a test's own process as ``FakeServer``; in one of its own as
``python fake_server.py --port-file F [--log F] [--service-ms N] [--slots N]``.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MODEL = "tiny"
BLOCK = 16
REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 429: "Too Many Requests"}


@dataclass
class Asked:
    """A question as the server sees it."""

    body: dict[str, Any]
    nth: int  # of this very prompt, from 1

    @property
    def prompt(self) -> str:
        return "\n".join(message["content"] for message in self.body["messages"])

    @property
    def condition(self) -> str:
        found = re.search(r"Answer for (\w+) in the report above", self.prompt)
        return found.group(1) if found else "joint"

    @property
    def report(self) -> str:
        return re.search(r"REPORT (\w+) BEGINS\n(.*)\nREPORT \1 ENDS", self.prompt, re.DOTALL).group(2)


@dataclass
class Reply:
    """What the server does with it; ``text`` None and status 200: the plausible answer."""

    text: str | None = None
    status: int = 200
    finish_reason: str = "stop"
    headers: dict[str, str] = field(default_factory=dict)
    error: str = "scripted"
    refusal: str | None = None
    delay_s: float = 0.0
    reset: bool = False


def plausible(asked: Asked) -> str:
    """The same answer for the same report and condition, with a quote that stands."""
    if asked.condition != "joint":
        return json.dumps(_answer(asked.report, asked.condition))
    keys = asked.body["response_format"]["json_schema"]["schema"]["required"]
    return json.dumps({key: _answer(asked.report, key) for key in keys})


def _answer(report: str, condition: str) -> dict[str, Any]:
    drawn = hashlib.sha256(f"{report}{condition}".encode()).digest()[0]
    status = ("present", "absent", "ambiguous", "not_mentioned")[drawn % 4]
    levels = ["L4/5", "L5-S1"] if status == "present" else []
    quote = None if status == "not_mentioned" else " ".join(report.split()[1:5])
    side = "left" if status == "present" else None
    severity = "mild" if status == "present" else None
    return {"status": status, "levels": levels, "side": side, "severity": severity, "quote": quote}


class FakeServer:
    """Use as ``with``; ``url`` is where it listens, ``asked`` what it was asked."""

    def __init__(
        self,
        script: Callable[[Asked], Reply | None] = lambda asked: None,
        *,
        models: tuple[str, ...] = (MODEL,),
        key: str | None = None,
        log: Path | None = None,
        service_s: float = 0.0,
        slots: int = 10_000,
        context: int | None = None,
    ) -> None:
        self.context = context
        self.script, self.models, self.key, self.log = script, models, key, log
        self.service_s, self.slots = service_s, slots
        self.asked: list[Asked] = []
        self.most_at_once = self._at_once = 0
        self._seen: dict[str, int] = {}
        self._blocks: set[bytes] = set()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> FakeServer:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _run(self) -> None:
        self._loop.run_until_complete(self.serve(0))
        self._loop.close()

    async def serve(self, port: int, told: Callable[[int], None] = lambda port: None) -> None:
        self._stop, self._slots = asyncio.Event(), asyncio.Semaphore(self.slots)
        self._tasks: set[asyncio.Task[None]] = set()
        server = await asyncio.start_server(self._connection, "127.0.0.1", port)
        self.port = server.sockets[0].getsockname()[1]
        told(self.port)
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._tasks.add(task)
        try:
            while await self._exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    def _model(self, name: str) -> dict[str, object]:
        told = {} if self.context is None else {"max_model_len": self.context}
        return {"id": name, "object": "model"} | told

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        path = head.split(" ", 2)[1]
        length = re.search(r"(?i)content-length: (\d+)", head)
        body = await reader.readexactly(int(length.group(1))) if length else b""
        key = re.search(r"(?i)authorization: bearer (\S+)", head)
        if self.key and (key is None or key.group(1) != self.key):
            status, headers, document = 401, {}, {"error": {"message": "no"}}
        elif path.endswith("/health"):
            status, headers, document = 200, {}, {}
        elif path.endswith("/v1/models"):
            status, headers, document = 200, {}, {"data": [self._model(name) for name in self.models]}
        else:
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            try:
                async with self._slots:
                    answered = await self._complete(json.loads(body))
            finally:
                self._at_once -= 1
            if answered is None:
                writer.transport.abort()
                return False
            status, headers, document = answered
        payload = json.dumps(document).encode()
        lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Error')}", "content-type: application/json"]
        lines += [f"content-length: {len(payload)}", *(f"{k}: {v}" for k, v in headers.items())]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + payload)
        await writer.drain()
        return True

    async def _complete(self, body: dict[str, Any]) -> tuple[int, dict[str, str], dict[str, Any]] | None:
        prompt = json.dumps(body["messages"])
        self._seen[prompt] = self._seen.get(prompt, 0) + 1
        asked = Asked(body, self._seen[prompt])
        self.asked.append(asked)
        reply = self.script(asked) or Reply()
        await asyncio.sleep(reply.delay_s or self.service_s)
        if reply.reset:
            return None
        if body["model"] not in self.models:
            return 404, {}, {"error": {"message": f"The model `{body['model']}` does not exist."}}
        if reply.status != 200:
            # A server may repeat what it was sent: nobody may pass that on.
            said = f"{reply.error}: {asked.prompt}"
            return reply.status, reply.headers, {"error": {"message": said, "code": reply.status}}
        text = plausible(asked) if reply.text is None else reply.text
        words, cached = self._count(asked.prompt)
        if self.log is not None:  # noted before it is sent: the client cannot have noted it earlier
            with self.log.open("a") as file:
                file.write(json.dumps([hashlib.sha256(prompt.encode()).hexdigest(), body["seed"]]) + "\n")
        tokens = [text[i : i + 4] for i in range(0, len(text), 4)]
        content = [
            {"token": t, "logprob": -0.01, "bytes": list(t.encode(errors="replace")), "top_logprobs": []}
            for t in tokens
        ]
        message = {"role": "assistant", "content": text, "refusal": reply.refusal}
        choice = {"index": 0, "message": message, "finish_reason": reply.finish_reason}
        usage = {
            "prompt_tokens": words,
            "completion_tokens": len(tokens),
            "total_tokens": words + len(tokens),
        }
        return (
            200,
            {},
            {
                "id": "x",
                "object": "chat.completion",
                "created": 0,
                "model": body["model"],
                "choices": [choice | {"logprobs": {"content": content}}],
                "usage": usage | {"prompt_tokens_details": {"cached_tokens": cached}},
            },
        )

    def _count(self, prompt: str) -> tuple[int, int]:
        """Words, and of these how many stand in whole blocks that were seen after the same beginning."""
        words, digest, cached, hit = prompt.split(), hashlib.sha256(), 0, True
        for start in range(0, len(words) - BLOCK + 1, BLOCK):
            digest.update(" ".join(words[start : start + BLOCK]).encode())
            block = digest.digest()
            hit = hit and block in self._blocks
            cached += BLOCK if hit else 0
            self._blocks.add(block)
        return len(words), cached


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port-file", type=Path, required=True)
    parser.add_argument("--log", type=Path)
    parser.add_argument("--service-ms", type=float, default=0.0)
    parser.add_argument("--slots", type=int, default=10_000)
    given = parser.parse_args()
    server = FakeServer(log=given.log, service_s=given.service_ms / 1e3, slots=given.slots)

    def told(port: int) -> None:
        partial = given.port_file.with_suffix(".partial")
        partial.write_text(str(port))
        partial.replace(given.port_file)

    asyncio.run(server.serve(0, told))


if __name__ == "__main__":
    main()
