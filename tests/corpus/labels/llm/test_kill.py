from __future__ import annotations

from collections import Counter

from spine_models.corpus.labels.llm import label_with_llm
from tests.corpus.labels.llm.conftest import TEXTS
from tests.corpus.labels.llm.fake_server import FakeServer
from tests.corpus.labels.llm.killing import killed_after

REPORTS = 12


def test_a_killed_run_asks_nothing_again_that_was_answered_and_ends_as_an_uninterrupted_one(
    reports, settings, tmp_path
):
    frame = reports([f"{TEXTS[i % 3]} Case {i}." for i in range(REPORTS)])
    total = 17 * REPORTS
    with FakeServer(service_s=0.02) as server:
        whole = label_with_llm(frame, settings=settings(), endpoint=server.url, answers=tmp_path / "whole")
    with FakeServer(service_s=0.02) as server:
        kept = killed_after(60, frame, settings(), server.url, tmp_path / "killed")
        asked_before = [asked.prompt for asked in server.asked]
        resumed = label_with_llm(frame, settings=settings(), endpoint=server.url, answers=tmp_path / "killed")
        asked = Counter(asked.prompt for asked in server.asked)
    log = (tmp_path / "killed" / "tiny.jsonl").read_bytes()
    lines = kept.count(b"\n")
    assert 60 <= lines < total
    assert log.startswith(kept[: kept.rindex(b"\n") + 1])
    assert log.count(b"\n") == total
    assert len(server.asked) - len(asked_before) == total - lines
    # What was in flight when the process died was never answered to it: only that may be asked a second time.
    assert len(asked) == total
    assert sum(asked.values()) - total == len(asked_before) - lines <= settings().concurrency
    assert resumed.labels.equals(whole.labels)
    assert resumed.requests.drop("seconds", "cached_tokens").equals(
        whole.requests.drop("seconds", "cached_tokens")
    )
