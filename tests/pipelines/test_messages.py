"""Messages of a process that writes while they are read."""

from __future__ import annotations

import json
import time
from threading import Event, Thread

from pipelines.runtime.messages import WholeLinesReader, whole_lines


class Handler:
    """Notes what it is handed, as Dagster's does."""

    def __init__(self):
        self.messages, self.failures = [], []

    def handle_message(self, message):
        self.messages.append(message)

    def report_pipes_framework_exception(self, origin, info):
        self.failures.append(origin)


def test_a_line_that_is_written_in_pieces_is_one_message():
    handler = Handler()
    with WholeLinesReader().read_messages(handler) as params, open(params["path"], "ab", buffering=0) as file:
        for number in range(3):
            line = json.dumps({"method": "log", "params": {"message": "ä" * 40, "number": number}}).encode()
            for piece in (line[:37], line[37:90], line[90:] + b"\n"):
                file.write(piece)
                time.sleep(0.25)
    assert [message["params"]["number"] for message in handler.messages] == [0, 1, 2]
    assert handler.failures == []


def test_what_is_written_last_is_read_and_what_was_cut_off_is_not(tmp_path):
    path, over = tmp_path / "messages", Event()
    path.write_bytes(b'{"a": 1}\n\n{"b": 2}\n{"cut')
    over.set()
    assert list(whole_lines(path, over)) == [b'{"a": 1}', b'{"b": 2}']


def test_many_messages_of_a_hurried_writer_all_arrive():
    handler = Handler()

    def write(path):
        with open(path, "ab", buffering=0) as file:
            for number in range(3000):
                file.write(json.dumps({"number": number, "text": "x" * 300}).encode() + b"\n")

    with WholeLinesReader().read_messages(handler) as params:
        writer = Thread(target=write, args=(params["path"],))
        writer.start()
        writer.join()
    assert [message["number"] for message in handler.messages] == list(range(3000))


def test_a_message_that_is_no_json_is_reported_and_does_not_hang():
    import threading

    handler = Handler()
    quiet, threading.excepthook = threading.excepthook, lambda *_: None
    try:
        with WholeLinesReader().read_messages(handler) as params, open(params["path"], "ab") as file:
            file.write(b"nothing\n")
    finally:
        threading.excepthook = quiet
    assert handler.failures == ["WholeLinesReader"]
