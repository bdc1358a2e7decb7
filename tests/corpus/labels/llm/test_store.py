from __future__ import annotations

import os
import stat

import pytest

from spine_models.corpus.labels.llm.errors import AnswerLogError
from spine_models.corpus.labels.llm.store import AnswerLog, Stored

KEYS = [f"{i:064x}" for i in range(5)]


def stored(key, text="{}"):
    return Stored(key, text, "answered", "stop", 10, 5, 3, 0.1, 1, 8192, {"canal": -0.5})


def fill(path, keys=KEYS):
    with AnswerLog(path) as log:
        for key in keys:
            log.add(stored(key, text='{"quote":"Größe\\n\u2028"}' * 300))


def test_what_is_added_is_found_again_and_the_last_line_of_a_key_counts(tmp_path):
    path = tmp_path / "deep" / "a.jsonl"
    fill(path)
    with AnswerLog(path) as log:
        log.add(stored(KEYS[1], "other"))
        assert log.get(KEYS[1]).text == "other"
    with AnswerLog(path) as log:
        assert len(log) == 5
        assert KEYS[0] in log
        assert "f" * 64 not in log
        assert log.get("f" * 64) is None
        assert log.get(KEYS[0]) == stored(KEYS[0], '{"quote":"Größe\\n\u2028"}' * 300)
        assert log.get(KEYS[1]).text == "other"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("cut", [1, 2, 30, 1000])
def test_a_torn_last_line_is_dropped_and_the_log_goes_on(cut, tmp_path):
    path = tmp_path / "a.jsonl"
    fill(path)
    os.truncate(path, path.stat().st_size - cut)
    with AnswerLog(path) as log:
        assert len(log) == 4
        assert log.get(KEYS[4]) is None
        log.add(stored(KEYS[4]))
    with AnswerLog(path) as log:
        assert [log.get(key).key for key in KEYS] == KEYS


@pytest.mark.parametrize("damage", [b"x", b'{"key":"zz'])
def test_damage_in_the_middle_is_told_not_dropped(damage, tmp_path):
    path = tmp_path / "a.jsonl"
    fill(path, KEYS[:1])
    with path.open("ab") as file:
        file.write(damage + b"\n")
    fill_more = path.read_bytes()
    with pytest.raises(AnswerLogError, match=f"damaged at byte {len(fill_more) - len(damage) - 1}"):
        AnswerLog(path)
    assert path.read_bytes() == fill_more


def test_one_run_at_a_time(tmp_path):
    path = tmp_path / "a.jsonl"
    with AnswerLog(path), pytest.raises(AnswerLogError, match="another run"):
        AnswerLog(path)
    AnswerLog(path).__exit__(None, None, None)


def test_a_full_disk_leaves_the_log_sound(tmp_path, monkeypatch):
    path = tmp_path / "a.jsonl"
    fill(path, KEYS[:2])
    with AnswerLog(path) as log:
        write = os.write
        monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:7]))
        with pytest.raises(AnswerLogError, match="disk is full"):
            log.add(stored(KEYS[2]))
        monkeypatch.undo()
        log.add(stored(KEYS[3]))
    with AnswerLog(path) as log:
        assert [key in log for key in KEYS] == [True, True, False, True, False]
