"""A real vLLM on the CPU: does it take our schema, keep our prefixes, and lose nothing to a kill?

    make test-vllm

The weights are random, so answers are nonsense that follows the schema: quality is no matter here.
"""

from __future__ import annotations

import time

import polars as pl
import pytest

from spine_models.corpus.labels.llm import ModelMissingError, label_with_llm
from tests.corpus.labels.llm.killing import killed_after
from tests.vllm.server import NEEDS_VLLM, succeeded
from tests.vllm.texts import reports

pytestmark = NEEDS_VLLM


def test_every_answer_follows_the_schema_and_prefixes_are_cached(served, tmp_path):
    settings, url = served
    began = time.monotonic()
    frame = reports(8)
    tables = label_with_llm(frame, settings=settings, endpoint=url, answers=tmp_path)
    seconds = time.monotonic() - began
    requests = tables.requests
    outcomes = dict(requests.group_by("outcome").len().iter_rows())
    share = requests["cached_tokens"].sum() / requests["prompt_tokens"].sum()
    print(
        f"\n{requests.height} requests in {seconds:.1f} s: {requests.height / seconds:.1f} a second; "
        f"outcomes {outcomes}; prompt {requests['prompt_tokens'].mean():.0f} tokens, cached {share:.1%}; "
        f"answer {requests['completion_tokens'].mean():.0f} tokens"
    )
    assert requests.height == 17 * frame.height
    assert outcomes == {"answered": requests.height}
    assert share >= 0.70
    assert tables.labels.height == 17 * frame.height
    assert tables.labels["confidence"].null_count() == 0


def test_a_joint_answer_follows_its_schema(served, tmp_path):
    settings, url = served
    joint = settings.model_copy(update={"prompts": "joint", "max_model_len": 4096, "max_tokens": None})
    tables = label_with_llm(reports(2, first=50), settings=joint, endpoint=url, answers=tmp_path)
    # A random model fills every string to its bound, so an answer about all may be cut off; it must never be
    # anything but whole or cut.
    assert set(tables.requests["outcome"]) <= {"answered", "truncated"}
    assert tables.labels.height == 34


def test_a_report_that_is_too_long_is_a_row_with_its_reason(served, tmp_path):
    settings, url = served
    frame = reports(2, first=200).with_columns(
        report_text=pl.when(pl.col("study_key") == "s200")
        .then(pl.col("report_text").repeat_by(12).list.join(" "))
        .otherwise(pl.col("report_text"))
    )
    tables = label_with_llm(frame, settings=settings, endpoint=url, answers=tmp_path)
    of_study = {k[0]: set(f["outcome"]) for k, f in tables.requests.group_by("study_key")}
    assert of_study == {"s200": {"context_too_long"}, "s201": {"answered"}}
    assert set(tables.labels.filter(pl.col("study_key") == "s200")["reason"]) == {"context_too_long"}


def test_another_model_than_the_server_has_is_named(served, tmp_path):
    settings, url = served
    other = settings.model_copy(update={"model": "other"})
    with pytest.raises(ModelMissingError, match="does not serve other; it serves: /"):
        label_with_llm(reports(1), settings=other, endpoint=url, answers=tmp_path)


def test_a_killed_run_asks_nothing_twice(served, tmp_path):
    settings, url = served
    frame = reports(4, first=100)
    before = succeeded(url)
    kept = killed_after(20, frame, settings, url, tmp_path)
    tables = label_with_llm(frame, settings=settings, endpoint=url, answers=tmp_path)
    log = (tmp_path / "tiny.jsonl").read_bytes()
    assert 20 <= kept.count(b"\n") < 68
    assert log.startswith(kept[: kept.rindex(b"\n") + 1])
    assert log.count(b"\n") == 68 == tables.requests["request_key"].n_unique()
    assert set(tables.requests["outcome"]) == {"answered"}
    # The server may have finished what was in flight at the kill, and no more than that a second time.
    assert succeeded(url) - before <= 68 + settings.concurrency
