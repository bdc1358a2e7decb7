"""The line of tokens: written, read back, refused."""

from __future__ import annotations

import pytest

from spine_models.domain import condition_keys
from spine_models.reporting.agents.serialised import (
    ABSENT,
    ABSTAIN,
    NOT_ASSESSED,
    POSSIBLE,
    PRESENT,
    SPECIAL_TOKENS,
    Entry,
    Said,
    SerialisedError,
    entry,
    parse,
    serialise,
)


@pytest.mark.parametrize("seed", range(60))
def test_what_is_written_is_read_back(claims, seed):
    rows = claims(seed, placed=True).to_dicts()
    text = serialise(rows)
    assert parse(text) == [entry(row) for row in rows]
    assert serialise(reversed(rows)) == text
    assert parse(f"some words {text} and others") == parse(text)
    assert "\n" not in text


def test_each_status_has_its_token_and_only_what_is_affirmed_a_place(claims):
    rows = claims(0).to_dicts()
    for row, (status, affirmed, certainty, token) in zip(
        rows,
        [
            ("present", True, "definite", PRESENT),
            ("present", True, "probable", PRESENT),
            ("indeterminate", True, "possible", POSSIBLE),
            ("indeterminate", False, None, ABSTAIN),
            ("absent", False, None, ABSENT),
            ("not_assessed", False, None, NOT_ASSESSED),
        ],
        strict=False,
    ):
        row |= {"status": status, "affirmed": affirmed, "certainty": certainty, "places": []}
        row |= {"level": "L4-L5", "side": "left", "severity": "mild"}
        said = (Said("L4-L5", "left", "mild"),) if affirmed else ()
        assert entry(row) == Entry(row["condition"], token, certainty, said)
    text = serialise(rows)
    assert text.startswith(
        "<|findings|> canal<|present|> L4-L5 left mild; neuroforaminal<|present|> probable L4-L5"
    )
    assert f"{rows[3]['condition']}{ABSTAIN};" in text
    assert all(row["reason"] is None or row["reason"] not in text for row in rows)


def test_the_tokens_are_ten_and_all_are_used():
    assert len(set(SPECIAL_TOKENS)) == len(SPECIAL_TOKENS) == 10
    assert {PRESENT, POSSIBLE, ABSENT, ABSTAIN, NOT_ASSESSED} < set(SPECIAL_TOKENS)


def test_claims_that_are_not_of_one_study_are_refused(claims):
    rows = claims(1).to_dicts()
    with pytest.raises(SerialisedError, match="one for each of 17"):
        serialise(rows[1:])
    with pytest.raises(SerialisedError, match="one for each of 17"):
        serialise([*rows, rows[0]])
    with pytest.raises(SerialisedError, match="several studies"):
        serialise([*rows[1:], rows[0] | {"study_key": "another"}])


@pytest.mark.parametrize(
    ("before", "after", "match"),
    [
        ("<|/findings|>", "", "no <|findings|>"),
        ("<|absent|>", "<|absent|> L4-L5", "nothing is affirmed"),
        ("<|absent|>", "<|absent|> probable", "nothing is affirmed"),
        ("<|absent|>", "<|present|> L9-L10", "no level, side or severity"),
        ("<|absent|>", "<|present|> left right", "a second one"),
        ("<|absent|>", "<|present|> left,", "empty place"),
        ("<|absent|>", "", "no status token"),
        ("canal<|absent|>; ", "", "each once and in order"),
    ],
)
def test_a_line_that_follows_no_grammar_is_refused(before, after, match):
    text = "<|findings|> " + "; ".join(f"{c}<|absent|>" for c in condition_keys()) + " <|/findings|>"
    assert len(parse(text)) == 17
    with pytest.raises(SerialisedError, match=match):
        parse(text.replace(before, after, 1))
