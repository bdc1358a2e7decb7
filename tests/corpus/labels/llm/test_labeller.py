from __future__ import annotations

import logging

import polars as pl
import pytest

from spine_models.corpus.labels.llm import (
    AnswerLogError,
    LlmError,
    ModelMissingError,
    ServerDownError,
    count_open,
    label_with_llm,
    labeller_version,
)
from spine_models.corpus.labels.llm.store import AnswerLog
from spine_models.corpus.labels.tables import LABELS, REQUESTS
from spine_models.domain import condition_keys
from tests.corpus.labels.llm.conftest import SECRET, TEXTS
from tests.corpus.labels.llm.fake_server import FakeServer, Reply


def outcomes(tables):
    return dict(tables.requests.filter(pl.col("repeat") == 0).group_by("outcome").len().iter_rows())


@pytest.mark.parametrize("prompts", ["per_condition", "joint"])
def test_every_study_has_seventeen_rows_with_quotes_that_stand(prompts, reports, settings, tmp_path):
    frame = reports(TEXTS)
    with FakeServer() as server:
        tables = label_with_llm(
            frame, settings=settings(prompts=prompts), endpoint=server.url, answers=tmp_path
        )
    labels = tables.labels
    assert labels.schema == LABELS
    assert tables.requests.schema == REQUESTS
    assert labels["condition"].to_list() == list(condition_keys()) * len(TEXTS)
    assert set(labels["labeller_version"]) == {labeller_version(settings(prompts=prompts))}
    assert set(labels["status"]) == {"present", "absent", "ambiguous", "not_mentioned"}
    assert set(labels.filter(pl.col("status") == "ambiguous")["reason"]) == {"hedged"}
    text_of = dict(zip(frame["report_key"], frame["report_text"], strict=True))
    for row in labels.iter_rows(named=True):
        if row["evidence"] is not None:
            text = text_of[row["report_key"]]
            assert text[row["evidence_start"] : row["evidence_end"]] == row["evidence"]
        assert (row["evidence"] is None) == (row["status"] == "not_mentioned")
        assert 0.9 < row["confidence"] < 1
    assert labels.filter(pl.col("status") == "present", pl.col("condition") == "canal")["side"].to_list() == [
        None for _ in labels.filter(pl.col("status") == "present", pl.col("condition") == "canal").rows()
    ]
    asked = 1 if prompts == "joint" else 17
    assert len(server.asked) == asked * len(TEXTS)
    assert tables.requests.height == asked * len(TEXTS)
    assert tables.requests["request_key"].n_unique() == tables.requests.height
    assert tables.requests["condition"].null_count() == (len(TEXTS) if prompts == "joint" else 0)


def test_a_second_run_asks_nothing_and_returns_the_same(reports, settings, tmp_path):
    frame = reports(TEXTS)
    assert count_open(frame, settings=settings(), answers=tmp_path) == 51
    with FakeServer() as server:
        first = label_with_llm(frame, settings=settings(), endpoint=server.url, answers=tmp_path)
    assert count_open(frame, settings=settings(), answers=tmp_path) == 0
    second = label_with_llm(frame, settings=settings(), endpoint="http://127.0.0.1:9", answers=tmp_path)
    assert second.labels.equals(first.labels)
    assert second.requests.equals(first.requests)


def test_the_first_question_of_a_report_goes_alone_and_the_prefix_is_cached(reports, settings, tmp_path):
    report = "FINDINGS: " + " ".join(f"At level {i} the disc is unremarkable today." for i in range(30))
    with FakeServer(service_s=0.02) as server:
        tables = label_with_llm(
            reports([report, report + " End."]),
            settings=settings(concurrency=3),
            endpoint=server.url,
            answers=tmp_path,
        )
    assert server.most_at_once <= 3
    assert server.asked[0].condition == "canal"
    assert len({asked.report for asked in server.asked[:17]}) == 1
    cached = tables.requests["cached_tokens"].sum() / tables.requests["prompt_tokens"].sum()
    assert cached >= 0.7


def test_reports_of_one_text_are_asked_once_and_two_reports_make_one_study(reports, settings, tmp_path):
    frame = reports([TEXTS[0], TEXTS[0], TEXTS[1]]).with_columns(
        study_key=pl.Series(["s0", "s1", "s1"]), patient_key=pl.lit("p")
    )
    with FakeServer() as server:
        tables = label_with_llm(frame, settings=settings(), endpoint=server.url, answers=tmp_path)
    assert len(server.asked) == 34
    assert tables.labels.height == 34
    assert tables.requests.height == 51
    rank = {"present": 3, "ambiguous": 2, "absent": 1, "not_mentioned": 0}
    lone = dict(tables.labels.filter(pl.col("study_key") == "s0").select("condition", "status").iter_rows())
    both = dict(tables.labels.filter(pl.col("study_key") == "s1").select("condition", "status").iter_rows())
    assert all(rank[both[key]] >= rank[lone[key]] for key in lone)
    assert both != lone


def test_an_empty_report_is_not_asked_about_and_says_nothing(reports, settings, tmp_path):
    tables = label_with_llm(
        reports(["", "  \n"]), settings=settings(), endpoint="http://127.0.0.1:9", answers=tmp_path
    )
    assert set(tables.labels["status"]) == {"not_mentioned"}
    assert tables.labels.height == 34
    assert tables.requests.is_empty()


def test_a_share_of_the_studies_is_asked_again_with_another_seed(reports, settings, tmp_path):
    frame = reports([f"{TEXTS[0]} {i}." for i in range(12)])
    with FakeServer() as server:
        tables = label_with_llm(
            frame, settings=settings(repeat_share=0.5), endpoint=server.url, answers=tmp_path
        )
    again = tables.repeats["study_key"].n_unique()
    assert 1 <= again <= 11
    assert tables.repeats.height == 17 * again
    assert tables.labels.height == 17 * 12
    assert {asked.body["seed"] for asked in server.asked} == {0, 1}
    repeated = tables.requests.filter(pl.col("repeat") == 1)
    assert repeated.height == 17 * again
    assert set(repeated["study_key"]) == set(tables.repeats["study_key"])
    same = tables.labels.join(tables.repeats, on=["study_key", "condition"])
    assert (same["status"] == same["status_right"]).all()


FAILURES = {
    "truncated": Reply(text='{"status": "pres', finish_reason="length"),
    "malformed": Reply(text="I think that it is present."),
    "refused": Reply(text="", refusal="I cannot"),
    "context_too_long": Reply(status=400, error="This model's maximum context length is 10 tokens"),
    "rejected": Reply(status=422, error="no such thing"),
}


@pytest.mark.parametrize("reason", FAILURES)
def test_one_failing_question_is_an_ambiguous_row_with_its_reason(reason, reports, settings, tmp_path):
    def script(asked):
        return FAILURES[reason] if asked.condition == "pars" else None

    with FakeServer(script) as server:
        tables = label_with_llm(reports(TEXTS), settings=settings(), endpoint=server.url, answers=tmp_path)
    failed = tables.labels.filter(pl.col("condition") == "pars")
    assert failed.select("status", "label", "reason").unique().rows() == [("ambiguous", -1, reason)]
    assert outcomes(tables) == {"answered": 48, reason: 3}
    asked = [a for a in server.asked if a.condition == "pars"]
    assert len(asked) == (6 if reason == "malformed" else 3)


def test_a_wrong_schema_is_malformed_and_a_second_chance_counts(reports, settings, tmp_path):
    def script(asked):
        return Reply(text='{"status": "perhaps", "levels": []}') if asked.nth == 1 else None

    with FakeServer(script) as server:
        tables = label_with_llm(
            reports(TEXTS[:1]), settings=settings(), endpoint=server.url, answers=tmp_path
        )
    assert outcomes(tables) == {"answered": 17}
    assert set(tables.requests["attempts"]) == {2}
    assert len({a.body["seed"] for a in server.asked}) == 2


@pytest.mark.parametrize(
    ("quote", "reason"),
    [('"not in the report"', "quote_not_found"), ("null", "no_quote"), ('" "', "no_quote")],
)
def test_a_verdict_without_standing_evidence_is_in_doubt(quote, reason, reports, settings, tmp_path):
    text = f'{{"status":"present","levels":["L4-L5"],"side":null,"severity":null,"quote":{quote}}}'
    with FakeServer(lambda asked: Reply(text=text)) as server:
        tables = label_with_llm(
            reports(TEXTS[:1]), settings=settings(), endpoint=server.url, answers=tmp_path
        )
    assert tables.labels.select("status", "reason").unique().rows() == [("ambiguous", reason)]
    assert outcomes(tables) == {"answered": 17}


BUSY = {
    "429": Reply(status=429, headers={"Retry-After": "0.05"}),
    "500": Reply(status=500),
    "503": Reply(status=503),
    "reset": Reply(reset=True),
    "slow": Reply(delay_s=1.0),
}


@pytest.mark.parametrize("kind", BUSY)
def test_a_busy_server_is_asked_again(kind, reports, settings, tmp_path):
    with FakeServer(lambda asked: BUSY[kind] if asked.nth == 1 else None) as server:
        tables = label_with_llm(
            reports(TEXTS[:1]), settings=settings(timeout_s=0.4), endpoint=server.url, answers=tmp_path
        )
    assert outcomes(tables) == {"answered": 17}
    assert set(tables.requests["attempts"]) == {2}
    assert tables.requests["seconds"].min() >= (0.05 if kind == "429" else 0)


def test_a_question_that_breaks_the_server_is_rejected_and_the_others_answered(reports, settings, tmp_path):
    with FakeServer(
        lambda asked: Reply(status=500, delay_s=0.05) if asked.condition == "cyst" else None
    ) as server:
        tables = label_with_llm(reports(TEXTS), settings=settings(), endpoint=server.url, answers=tmp_path)
    assert outcomes(tables) == {"answered": 48, "rejected": 3}


def test_a_server_that_rejects_everything_stops_the_run_and_nothing_of_it_is_kept(
    reports, settings, tmp_path
):
    reply = Reply(status=400, error="unknown field logprobs")
    with FakeServer(lambda asked: reply) as server, pytest.raises(LlmError, match="rejects every question"):
        label_with_llm(reports(TEXTS), settings=settings(), endpoint=server.url, answers=tmp_path)
    assert count_open(reports(TEXTS), settings=settings(), answers=tmp_path) == 51


def test_what_answers_but_is_no_model_server_is_told(reports, settings, tmp_path, monkeypatch):
    async def nonsense(self, body):
        return 200, {}, {"greeting": "hello"}

    monkeypatch.setattr(FakeServer, "_complete", nonsense)
    with FakeServer() as server, pytest.raises(LlmError, match="is the URL right"):
        label_with_llm(reports(TEXTS), settings=settings(), endpoint=server.url, answers=tmp_path)


def test_half_a_surrogate_pair_does_no_harm(reports, settings, tmp_path):
    broken = '{"status":"present","levels":[],"side":null,"severity":null,"quote":"\ud83d stenosis"}'
    with FakeServer(lambda asked: Reply(text=broken)) as server:
        tables = label_with_llm(
            reports(TEXTS[:1]), settings=settings(), endpoint=server.url, answers=tmp_path
        )
    assert set(tables.labels["reason"]) == {"quote_not_found"}


def test_a_server_that_goes_down_stops_the_run_and_loses_nothing(reports, settings, tmp_path):
    def script(asked):
        return Reply(reset=True) if len(server.asked) > 20 else None

    with FakeServer(script) as server, pytest.raises(ServerDownError, match="set SPINE_LLM_URL") as raised:
        label_with_llm(reports(TEXTS), settings=settings(), endpoint=server.url, answers=tmp_path)
    assert server.url in str(raised.value)
    assert SECRET not in str(raised.value)
    with AnswerLog(tmp_path / "tiny.jsonl") as log:
        kept = len(log)
    assert 15 <= kept <= 20
    with FakeServer() as server:
        tables = label_with_llm(reports(TEXTS), settings=settings(), endpoint=server.url, answers=tmp_path)
    assert len(server.asked) == 51 - kept
    assert outcomes(tables) == {"answered": 51}


def test_a_server_that_fails_for_everything_stops_the_run(reports, settings, tmp_path):
    with FakeServer(lambda asked: Reply(status=500)) as server, pytest.raises(LlmError, match="HTTP 500"):
        label_with_llm(reports(TEXTS), settings=settings(), endpoint=server.url, answers=tmp_path)


def test_a_server_with_less_context_than_the_profile_counts_on_is_refused_at_once(
    reports, settings, tmp_path
):
    short = "with 4,096 tokens of context, the profile counts on 8,192: start it with --max-model-len 8192"
    with FakeServer(context=4096) as server, pytest.raises(LlmError, match=short):
        label_with_llm(reports(TEXTS), settings=settings(), endpoint=server.url, answers=tmp_path)
    assert not server.asked
    with FakeServer(context=8192) as server:
        label_with_llm(reports(TEXTS), settings=settings(), endpoint=server.url, answers=tmp_path)
    assert server.asked


def test_errors_of_the_whole_run_name_url_and_remedy(reports, settings, tmp_path):
    def label(url, **given):
        label_with_llm(reports(TEXTS), settings=settings(), endpoint=url, answers=tmp_path, **given)

    with pytest.raises(ServerDownError, match=r"http://127\.0\.0\.1:9 .*start it, or set SPINE_LLM_URL"):
        label("http://user:secret@127.0.0.1:9/v1")
    with pytest.raises(LlmError, match="must look like"):
        label("127.0.0.1:8000")
    missing = pytest.raises(ModelMissingError, match="does not serve tiny; it serves: llama, phi")
    with FakeServer(models=("phi", "llama")) as server, missing:
        label(server.url)
    with FakeServer(key="right") as server:
        with pytest.raises(LlmError, match="refuses the key") as raised:
            label(server.url, api_key="wrong")
        assert "wrong" not in str(raised.value)
        label(server.url + "/v1/", api_key="right")


def test_a_model_that_vanishes_in_mid_run_is_named(reports, settings, tmp_path):
    def script(asked):
        server.models = ("other",)

    with FakeServer(script) as server, pytest.raises(ModelMissingError, match="it serves: other"):
        label_with_llm(reports(TEXTS), settings=settings(), endpoint=server.url, answers=tmp_path)


def test_no_report_text_in_logs_or_errors(reports, settings, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    replies = [*FAILURES.values(), Reply(status=500)]

    def script(asked):
        return replies[condition_keys().index(asked.condition) % len(replies)]

    with FakeServer(script) as server:
        label_with_llm(reports(TEXTS), settings=settings(), endpoint=server.url, answers=tmp_path / "1")
    with FakeServer(lambda asked: Reply(status=403)) as server, pytest.raises(LlmError) as raised:
        label_with_llm(reports(TEXTS), settings=settings(), endpoint=server.url, answers=tmp_path / "2")
    shown, error = caplog.text, raised.value
    while error is not None:
        shown, error = f"{shown}{error!r}", error.__cause__
    assert SECRET not in shown
    assert "spine radiologist" not in shown


def test_more_context_asks_again_only_what_was_too_long(reports, settings, tmp_path):
    too_long = Reply(status=400, error="prompt exceeds the context window")
    with FakeServer(lambda asked: too_long if asked.condition == "edema" else None) as server:
        label_with_llm(reports(TEXTS), settings=settings(), endpoint=server.url, answers=tmp_path)
    with FakeServer() as server:
        longer = settings(max_model_len=16384)
        tables = label_with_llm(reports(TEXTS), settings=longer, endpoint=server.url, answers=tmp_path)
    assert [a.condition for a in server.asked] == ["edema"] * 3
    assert outcomes(tables) == {"answered": 51}


def test_two_runs_at_once_are_told(reports, settings, tmp_path):
    with AnswerLog(tmp_path / "tiny.jsonl"), pytest.raises(AnswerLogError, match="another run"):
        label_with_llm(reports(TEXTS), settings=settings(), endpoint="http://127.0.0.1:9", answers=tmp_path)


def test_progress_counts_to_the_end(reports, settings, tmp_path):
    told = []
    with FakeServer() as server:
        label_with_llm(
            reports(TEXTS),
            settings=settings(),
            endpoint=server.url,
            answers=tmp_path,
            progress=lambda done, total: told.append((done, total)),
        )
    assert told == [(i, 51) for i in range(1, 52)]
