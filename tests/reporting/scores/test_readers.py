"""The readers' file, read strictly; each reading beside its draft; what all of them amount to."""

from __future__ import annotations

import itertools

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from spine_models.config import ScoreSettings
from spine_models.reporting.scores.harness import metric_of
from spine_models.reporting.scores.radpeer import alpha_ordinal, radpeer, weighted_kappa
from spine_models.reporting.scores.readers import ReadersError, Reading, read_readings, readings_table
from spine_models.reporting.scores.tables import RADPEER, READERS

METRIC = metric_of(ScoreSettings())
HEADER = "reader,study_key,draft_key,score,corrected_text\n"
DRAFT = "FINDINGS:\nSevere canal stenosis at L4-L5. Fracture of L2.\n"
DRAFTS = pl.DataFrame(
    {"study_key": ["s1", "s2"], "draft_key": ["d1", "d2"], "report_text": [DRAFT, "FINDINGS: No fracture."]}
)
SECRET = "Mueller"


def written(tmp_path, text: str, encoding: str = "utf-8"):
    file = tmp_path / "readers.csv"
    file.write_bytes(text.encode(encoding))
    return file


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_file_as_spreadsheets_write_it_is_read(tmp_path, delimiter):
    text = (
        "\ufeffReader,study_key,draft_key,SCORE,corrected_text,note\r\n\r\n"
        'r1,s1,d1,2B,"FINDINGS:\r\nMild ""canal"" stenosis, at L4-L5.",x\r\n'
        "r2,s1,d1,1,,\r\n"
    )
    if delimiter != ",":
        text = text.replace(",", delimiter).replace("stenosis" + delimiter, "stenosis,")
    found = read_readings(written(tmp_path, text))
    assert found == [
        Reading("r1", "s1", "d1", "2b", 'FINDINGS:\r\nMild "canal" stenosis, at L4-L5.'),
        Reading("r2", "s1", "d1", "1", None),
    ]


def test_no_file_holds_no_readings(tmp_path):
    assert read_readings(tmp_path / "readers.csv") == []
    frame = readings_table([], DRAFTS, METRIC)
    assert frame.schema == READERS
    summary = radpeer(frame, bootstrap=20, seed=0)
    assert set(summary.filter(pl.col("measure") != "readings")["status"]) == {"not_evaluable"}
    assert summary.filter(measure="readings")["n"].to_list() == [0, 0, 0]


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("", 1, "reader"),
        ("reader,study_key,draft_key\nr1,s1,d1\n", 1, "score"),
        ("reader,study_key,draft_key,score,score\n", 1, "score"),
        (HEADER.replace("corrected_text", SECRET), 1, "number 5"),
        (HEADER + f"r1,s1,d1,{SECRET},\n", 2, "score"),
        (HEADER + "r1,s1,d1,5,\n", 2, "score"),
        (HEADER + "r1,s1,d1,2,\n", 2, "score"),
        (HEADER + "r1,s1,d1,1a,\n", 2, "score"),
        (HEADER + f"Dr. {SECRET},s1,d1,1,\n", 2, "reader"),
        (HEADER + f"r1,s1,{SECRET} 12,1,\n", 2, "draft_key"),
        (HEADER + ",s1,d1,1,\n", 2, "reader"),
        (HEADER + "r1,s1,,1,\n", 2, "draft_key"),
        (HEADER + f"r1,s1,d1,1,text,{SECRET}\n", 2, None),
        (HEADER + f'r1,s1,d1,1,"{SECRET}\n\nr2,s1,d1,1,\n', 2, None),
        (HEADER + "r1,s1,d1,1,\n\nr1,s1,d1,2a,\n", 4, "draft_key"),
    ],
)
def test_errors_name_line_and_column_and_no_content(tmp_path, text, line, column):
    with pytest.raises(ReadersError) as raised:
        read_readings(written(tmp_path, text))
    assert (raised.value.line, raised.value.column) == (line, column)
    said = str(raised.value)
    assert f"readers.csv, line {line}" in said
    assert SECRET not in said
    assert str(tmp_path) not in said


def test_other_encodings_are_refused(tmp_path):
    with pytest.raises(ReadersError, match="UTF-8"):
        read_readings(written(tmp_path, HEADER + "r1,s1,d1,1,Wirbels\u00e4ule\n", "latin-1"))


def test_a_reading_stands_beside_its_draft_and_its_text_is_kept_nowhere():
    corrected = "FINDINGS:\nModerate canal stenosis at L4-L5. Hemangioma of L3. Seen by Mueller.\n"
    readings = [
        Reading("r1", "s1", "d1", "3b", corrected),
        Reading("r2", "s1", "d1", "1"),
        Reading("r1", "s1", "gone", "2a", "text"),
        Reading("r1", "s1", "d2", "2a", "text"),
    ]
    frame = readings_table(readings, DRAFTS, METRIC)
    one, none, unknown, other = frame.to_dicts()
    assert (one["status"], one["discrepancy"], one["significant"]) == ("read", 3, True)
    assert (one["removed"], one["added"], one["changed"]) == (1, 1, 1)
    # severe -> moderate, fracture -> hemangioma, l2 -> l3; "Seen by" is no finding, but words.
    assert one["words_changed"] >= 3
    assert 0 < one["edit_distance"] <= 1
    assert (none["corrected"], none["words_changed"], none["significant"]) == (False, None, None)
    assert (unknown["status"], unknown["score"], unknown["n_words"]) == ("unknown_draft", "2a", None)
    assert other["status"] == "other_study"
    assert SECRET not in str(frame.to_dicts())


def test_an_untouched_draft_has_no_edit():
    row = readings_table([Reading("r1", "s1", "d1", "1", DRAFT)], DRAFTS, METRIC).to_dicts()[0]
    assert (row["words_changed"], row["edit_distance"]) == (0, 0.0)
    assert (row["removed"], row["added"], row["changed"]) == (0, 0, 0)


def table_of(one, other) -> np.ndarray:
    counts = np.zeros((4, 4))
    for a, b in zip(one, other, strict=True):
        counts[a - 1, b - 1] += 1
    return counts


DEGREES = st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4)), min_size=1, max_size=12)


@given(DEGREES)
@settings(max_examples=100, deadline=None)
def test_kappa_is_scikit_learns(pairs):
    one, other = zip(*pairs, strict=True)
    found = weighted_kappa(table_of(one, other))
    if len({*one, *other}) == 1:
        assert np.isnan(found)
    else:
        expected = cohen_kappa_score(one, other, labels=[1, 2, 3, 4], weights="quadratic")
        assert found == pytest.approx(expected)


def slow_alpha(units) -> float:
    """Observed over expected disagreement, pair by pair, by Krippendorff's definition."""
    units = [values for values in units if len(values) > 1]
    values = [value for unit in units for value in unit]
    n = {degree: values.count(degree) for degree in range(1, 5)}

    def distance(a: int, b: int) -> float:
        low, high = sorted((a, b))
        return (sum(n[g] for g in range(low, high + 1)) - (n[a] + n[b]) / 2) ** 2 if a != b else 0.0

    observed = sum(
        distance(a, b) / (len(unit) - 1) for unit in units for a, b in itertools.permutations(unit, 2)
    ) / len(values)
    expected = sum(distance(a, b) for a, b in itertools.permutations(values, 2)) / (
        len(values) * (len(values) - 1)
    )
    return 1 - observed / expected


@given(st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=4), max_size=8))
@settings(max_examples=120, deadline=None)
def test_alpha_is_krippendorffs(units):
    found = alpha_ordinal(units)
    pairable = [value for unit in units if len(unit) > 1 for value in unit]
    if len(set(pairable)) < 2:
        assert np.isnan(found)
    else:
        assert found == pytest.approx(slow_alpha(units))


def test_alpha_of_a_published_example():
    """Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", example C: four observers, ordinal, 0.815."""
    missing = None
    observers = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, missing, missing, missing],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, missing, 3],
        [missing, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, missing],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, missing],
    ]
    units = [[value for value in column if value is not None] for column in zip(*observers, strict=True)]
    import spine_models.reporting.scores.radpeer as module

    before = module.DEGREES
    try:
        module.DEGREES = (1, 2, 3, 4, 5)
        assert alpha_ordinal(units) == pytest.approx(0.815, abs=5e-4)
    finally:
        module.DEGREES = before


def readings_of(scores: dict[str, list[str]], corrected: bool = False) -> pl.DataFrame:
    drafts = pl.DataFrame(
        [(f"s{n}", f"d{n}", DRAFT) for n in range(6)],
        schema=["study_key", "draft_key", "report_text"],
        orient="row",
    )
    readings = [
        Reading(reader, f"s{n}", f"d{n}", score, DRAFT + "Hemangioma of L3." if corrected else None)
        for reader, given_ in scores.items()
        for n, score in enumerate(given_)
    ]
    return readings_table(readings, drafts, METRIC)


def test_the_summary_counts_spreads_and_agrees():
    frame = readings_of(
        {"r1": ["1", "2a", "3b", "4b", "1"], "r2": ["1", "2b", "3a", "4a", "1"], "r3": ["1", "2a"]}
    )
    summary = radpeer(frame, bootstrap=60, seed=1)
    assert summary.schema == RADPEER
    shares = summary.filter(measure="share", reader="all")
    assert shares["value"].sum() == pytest.approx(1)
    assert shares.filter(score="1")["value"][0] == pytest.approx(5 / 12)
    assert summary.filter(measure="significant", reader="r1")["value"][0] == pytest.approx(2 / 5)
    kappas = summary.filter(measure="kappa")
    assert kappas.select("reader", "other").rows() == [("r1", "r2"), ("r1", "r3"), ("r2", "r3")]
    pair = kappas.row(0, named=True)
    assert pair["n"] == 5
    assert pair["value"] == pytest.approx(1.0)  # equal in degree, whatever the letter
    alpha = summary.filter(measure="alpha").row(0, named=True)
    assert (alpha["n"], alpha["value"]) == (5, pytest.approx(1.0))
    assert summary.equals(radpeer(frame.sample(fraction=1.0, shuffle=True, seed=3), bootstrap=60, seed=1))


def test_disagreement_lowers_kappa_and_one_reader_has_none():
    apart = radpeer(readings_of({"r1": ["1", "2a", "4b"], "r2": ["4b", "2a", "1"]}), bootstrap=20, seed=0)
    # Squared distances seen: 9 + 0 + 9; expected of these margins: 2 (1 + 9 + 4) / 3.
    assert apart.filter(measure="kappa")["value"][0] == pytest.approx(1 - 18 / (28 / 3))
    alone = radpeer(readings_of({"r1": ["1", "2a", "4b"]}), bootstrap=20, seed=0)
    assert alone.filter(measure="kappa").is_empty()
    row = alone.filter(measure="alpha").row(0, named=True)
    assert (row["status"], row["reason"]) == ("not_evaluable", "no draft was read by two readers")
    same = radpeer(readings_of({"r1": ["1", "1"], "r2": ["1", "1"]}), bootstrap=20, seed=0)
    assert "all scores are the same" in same.filter(measure="kappa")["reason"][0]


def test_edits_are_told_by_score():
    summary = radpeer(readings_of({"r1": ["1", "3b"]}, corrected=True), bootstrap=20, seed=0)
    edits = {row["score"]: row for row in summary.filter(measure="edit_distance", reader="all").to_dicts()}
    assert edits["3b"]["n"] == 1
    assert edits["3b"]["value"] > 0
    assert (edits["2a"]["status"], edits["2a"]["n"]) == ("not_evaluable", 0)
    assert edits[None]["n"] == 2
