"""A real vLLM as judge of reports and as writer of instruction items: what it gets wrong is refused, counted and kept.

    make test-vllm

The weights are random: every verdict is nonsense that keeps to the schema, and hardly any item may hold.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import pytest

from spine_models.config import InstructionSettings, ScoreSettings
from spine_models.corpus.labels import consensus, label_reports
from spine_models.reporting.chat import ANSWERED, ServerDownError, ask_all, count_open
from spine_models.reporting.chat.schema import conforms
from spine_models.reporting.instructions import build_items, verify, writer
from spine_models.reporting.scores.harness import Text, compare_texts, metric_of, references
from spine_models.reporting.scores.judge import judged, judgements, questions
from tests.reporting.instructions.conftest import PLAIN, report, tables_of
from tests.vllm.server import NEEDS_VLLM, kill_engine, real_server, succeeded
from tests.vllm.texts import reports

pytestmark = NEEDS_VLLM

NOWHERE = "http://127.0.0.1:9"
STUDIES = 12
TOO_LONG = "s40"
DRAFT = Path(__file__).parents[1] / "reporting" / "reports" / "lumbar.txt"


def to_judge(settings: ScoreSettings):
    """Cases of a dozen studies and one whose report fits no context, and the questions about them."""
    frame = pl.concat([reports(STUDIES), reports(1, first=40)]).with_columns(
        report_text=pl.when(pl.col("study_key") == TOO_LONG)
        .then(pl.col("report_text").repeat_by(12).list.join("\n"))
        .otherwise(pl.col("report_text"))
    )
    tables = label_reports(frame)
    known = references(frame, frame, consensus([tables.rules]), tables.mentions)
    texts = {"agents": {key: Text(DRAFT.read_text(), "d") for key in frame["study_key"]}}
    cases = compare_texts(frame, known, frame, texts, metric_of(settings))
    drafts = {("agents", key): text.text for key, text in texts["agents"].items()}
    own = dict(frame.select("study_key", "report_text").iter_rows())
    return cases, questions(cases, drafts, own, settings)


def score_settings(llm) -> ScoreSettings:
    return ScoreSettings.model_validate({"bootstrap": 20, "llm": llm.model_dump()})


def test_every_verdict_is_bound_to_its_finding_and_asked_for_once(served, tmp_path):
    llm, url = served
    settings = score_settings(llm)
    cases, asked = to_judge(settings)
    began = time.monotonic()
    replies = ask_all(asked, settings=settings.judge, endpoint=url, log_folder=tmp_path)
    seconds = time.monotonic() - began
    outcomes = Counter(reply.outcome for reply in replies.values())
    whole = [reply for reply in replies.values() if reply.outcome == ANSWERED]
    verdicts = judged(cases, replies, settings)
    print(
        f"\njudge: {len(asked)} questions in {seconds:.1f} s, outcomes {dict(outcomes)}; "
        f"prompt {max(reply.prompt_tokens for reply in whole)} tokens, "
        f"answer {max(reply.completion_tokens for reply in whole)} at most; {verdicts.height} rows"
    )
    # A report that leaves no room in the context is refused alone.
    assert outcomes == {ANSWERED: STUDIES, "context_too_long": 1}
    assert all(conforms(replies[q.key].document, q.schema) for q in asked if replies[q.key].text)
    found = verdicts.filter(outcome=ANSWERED)
    assert found["verdict"].null_count() == found["error"].null_count() == 0
    assert set(verdicts.filter(outcome="context_too_long")["study_key"]) == {TOO_LONG}
    numbers = {
        (q.key.removeprefix("agents/"), side): [
            int(number) for number in q.schema["properties"][side]["properties"]
        ]
        for q in asked
        for side in ("draft", "reference")
        if replies[q.key].outcome == ANSWERED
    }
    placed = found.group_by("study_key", "side_of").agg(pl.col("position").sort())
    assert {(study, side): own for study, side, own in placed.iter_rows()} == numbers
    assert min(map(len, numbers.values())) >= 5, "reports with findings are judged"
    summed = judgements(cases, verdicts, settings=settings).filter(method="agents").to_dicts()[0]
    assert (summed["status"], summed["n_studies"], summed["n_unanswered"]) == ("evaluated", STUDIES, 1)

    before = succeeded(url)
    again = ask_all(asked, settings=settings.judge, endpoint=NOWHERE, log_folder=tmp_path)
    assert again == replies
    assert succeeded(url) == before


def test_verdicts_that_are_cut_off_are_counted_with_their_reason(served, tmp_path):
    llm, url = served
    settings = score_settings(llm.model_copy(update={"max_tokens": 40}))
    cases, asked = to_judge(settings)
    replies = ask_all(asked, settings=settings.judge, endpoint=url, log_folder=tmp_path)
    assert Counter(r.outcome for r in replies.values()) == {"truncated": STUDIES, "context_too_long": 1}
    verdicts = judged(cases, replies, settings)
    assert verdicts.height == STUDIES + 1
    summed = judgements(cases, verdicts, settings=settings).filter(method="agents").to_dicts()[0]
    assert (summed["status"], summed["n_unanswered"]) == ("not_evaluable", STUDIES + 1)
    assert summed["reason"] == "the language model answered no question about this method"


def test_hardly_anything_of_a_random_writer_passes_and_templates_stand_in(served, tmp_path, monkeypatch):
    llm, url = served
    long = f"{report(3)}\nIMPRESSION:\n" + "\n".join(
        f"{n}. Disc heights are maintained, as said." for n in range(1, 400)
    )
    cases = tables_of({"s0": PLAIN, "s1": report(1), "long": long}).cases()
    numbers = InstructionSettings.model_validate({"bootstrap": 20, "llm": llm.model_dump()})
    rounds: list[Counter[str]] = []

    def ask(endpoint: str):
        def asking(batch):
            replies = ask_all(batch, settings=llm, endpoint=endpoint, log_folder=tmp_path)
            rounds.append(Counter(reply.outcome for reply in replies.values()))
            return replies

        return asking

    began = time.monotonic()
    built = build_items(cases, numbers, ask=ask(url))
    seconds = time.monotonic() - began
    reasons = dict(built.refused.group_by("rejected_reason").len().sort("rejected_reason").iter_rows())
    of_model = built.items.filter(pl.col("writer") != "templates")
    print(
        f"\nwriter: drafts {dict(rounds[0])}, revisions {dict(rounds[1])} in {seconds:.1f} s; {built.items.height} "
        f"items, {of_model.height} of them the model's; refused {reasons}"
    )
    assert rounds[1].total() == rounds[0][ANSWERED] > 40
    assert of_model.height <= 0.02 * built.items.height
    assert all(verify(row, cases[row["study_key"]]) is None for row in built.items.iter_rows(named=True))
    # Each refused wording has its reason, and a template's item in its place that says who wrote it.
    assert built.refused["rejected_reason"].null_count() == 0
    assert "templates" not in set(built.refused["writer"])
    replaced = built.items.filter(pl.col("item_key").is_in(built.refused["item_key"].implode()))
    assert replaced.height == built.refused.height == built.items.height - of_model.height
    assert set(replaced["writer"]) == {"templates"}
    assert reasons["model: does_not_ask"] > 0.5 * built.refused.height
    # Only the report itself is too long; questions about its findings hold a passage.
    too_long = built.refused.filter(rejected_reason="model: context_too_long")
    assert set(too_long.select("study_key", "kind").iter_rows()) == {("long", "report")}

    again = build_items(cases, numbers, ask=ask(NOWHERE))
    assert again.items.equals(built.items)
    assert again.refused.equals(built.refused)

    # Verification alone, without a look at the form of questions: only a choice that names no finding can pass.
    monkeypatch.setattr(writer, "asks_what_it_should", lambda draft, worded: True)
    bare = build_items(cases, numbers, ask=ask(NOWHERE))
    reasons = dict(bare.refused.group_by("rejected_reason").len().sort("rejected_reason").iter_rows())
    passed = bare.items.filter(pl.col("writer") != "templates")
    print(f"by verification alone: {passed.height} pass, refused {reasons}")
    assert set(passed["asks"].explode()) <= {"choice_condition"}
    assert len([name for name in reasons if not name.startswith("model: ")]) >= 3


def test_a_server_that_dies_half_way_is_told_and_its_answers_are_kept(tiny, served, tmp_path):
    _, second = served
    settings = score_settings(tiny)
    cases = tables_of({f"s{number}": report(number) for number in range(2)}).cases()
    numbers = InstructionSettings.model_validate({"bootstrap": 20, "llm": tiny.model_dump()})
    asked = []

    def asking(url: str, **more):
        def ask(batch):
            asked.extend(batch)
            return ask_all(batch, settings=tiny, endpoint=url, log_folder=tmp_path, **more)

        return ask

    with dying_server(tiny, tmp_path / "server", after=20) as (url, progress):
        with pytest.raises(ServerDownError, match="Answers so far are kept") as raised:
            build_items(cases, numbers, ask=asking(url, progress=progress))
        assert "stenosis" not in str(raised.value)
        log = tmp_path / "tiny.jsonl"
        kept = log.read_bytes()
        assert kept.count(b"\n") >= 20
        # What was in flight is no answer, whatever the dying server said of it.
        assert kept.count(b'"outcome":"answered"') + kept.count(b'"outcome":"truncated"') == kept.count(b"\n")
        _, judge_asked = to_judge(settings)
        with pytest.raises(ServerDownError, match="SPINE_LLM_URL"):
            ask_all(judge_asked, settings=tiny, endpoint=url, log_folder=tmp_path / "judge")
    open_ones = count_open(asked, settings=tiny, log_folder=tmp_path)
    assert open_ones == len(asked) - kept.count(b"\n") > 0
    before = succeeded(second)
    first, asked[:] = list(asked), []
    built = build_items(cases, numbers, ask=asking(second))
    assert log.read_bytes().startswith(kept)
    assert {q.key for q in first} <= {q.key for q in asked}
    assert succeeded(second) - before == len(asked) - kept.count(b"\n")
    assert built.items.height > 30
    print(
        f"\nserver killed after {kept.count(chr(10).encode())} of {len(asked)} answers, the rest came from another"
    )


@contextmanager
def dying_server(settings, folder: Path, after: int) -> Iterator[tuple[str, object]]:
    """A server of its own and what kills its engine when so many questions are answered."""
    with real_server(settings, folder) as url:

        def progress(done: int, _: int) -> None:
            if done == after:
                kill_engine(url)

        yield url, progress
