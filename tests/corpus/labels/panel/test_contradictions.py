from __future__ import annotations

import polars as pl
import pytest

from spine_models.corpus.labels import contradictions, label_reports
from spine_models.corpus.labels.tables import CONTRADICTIONS, MENTIONS


def mentions(*rows: tuple) -> pl.DataFrame:
    """Mentions of one report: section, status, level and, where it matters, more columns."""
    made = []
    for number, (section, status, level, *rest) in enumerate(rows):
        row = {
            "batch_key": "b-0001",
            "patient_key": "p1",
            "study_key": "s1",
            "report_key": "r1",
            "labeller": "rules",
            "condition": "canal",
            "status": status,
            "level": level,
            "section": section,
            "evidence": f"{section} {status} {level}",
            "evidence_start": number * 100,
            "evidence_end": number * 100 + 50,
        }
        made.append(row | (rest[0] if rest else {}))
    return pl.DataFrame(made, schema=MENTIONS)


SEEN, SAID, YES, NO, DOUBT = "findings", "impression", "present", "absent", "ambiguous"


@pytest.mark.parametrize(
    "rows",
    [
        [(SEEN, YES, "L4-L5"), (SAID, NO, "L4-L5")],
        [(SEEN, NO, "L4-L5"), (SAID, YES, "L4-L5")],
        [(SEEN, YES, "L4-L5"), (SAID, NO, None)],
        [(SEEN, NO, None), (SAID, YES, "L4-L5")],
        [(SEEN, NO, "L3-L4"), (SAID, YES, None)],
        [(SEEN, YES, None), (SAID, NO, None)],
        [(SEEN, NO, None), (SEEN, YES, "L3-L4"), (SAID, YES, "L4-L5")],
        [(SEEN, YES, None), (SEEN, NO, "L3-L4"), (SAID, YES, "L3-L4")],
        [(SEEN, YES, None, {"side": "left"}), (SAID, NO, None, {"side": "bilateral"})],
    ],
)
def test_what_excludes_each_other(rows):
    table = contradictions(mentions(*rows))
    assert table.schema == CONTRADICTIONS
    assert table.height == 1
    row = table.row(0, named=True)
    assert {row["findings_status"], row["impression_status"]} == {YES, NO}
    assert row["findings_quote"].startswith(f"findings {row['findings_status']}")
    assert row["impression_quote"].startswith(f"impression {row['impression_status']}")


@pytest.mark.parametrize(
    "rows",
    [
        [(SEEN, NO, "L3-L4"), (SAID, YES, "L4-L5")],
        [(SEEN, YES, "L4-L5"), (SEEN, NO, "L4-L5")],
        [(SEEN, YES, "L4-L5"), (SAID, DOUBT, "L4-L5")],
        [(SEEN, NO, None), (SAID, DOUBT, None)],
        [(SEEN, NO, "L4-L5"), (SAID, YES, "L4-L5", {"condition": "cyst"})],
        [(SEEN, NO, "L4-L5"), (SAID, YES, "L4-L5", {"report_key": "r2"})],
        [(SEEN, NO, "L3-L4"), (SEEN, YES, "L4-L5"), (SAID, YES, None)],
        [(SEEN, NO, None), (SEEN, YES, "L4-L5"), (SAID, YES, "L4-L5")],
        [(SEEN, NO, "L4-L5", {"side": "left"}), (SAID, YES, "L4-L5", {"side": "right"})],
        [],
    ],
)
def test_what_does_not(rows):
    table = contradictions(mentions(*rows))
    assert table.schema == CONTRADICTIONS
    assert table.is_empty()


def test_one_row_per_report_and_condition_the_first_in_the_text():
    rows = [(SEEN, NO, "L4-L5"), (SEEN, YES, "L3-L4"), (SAID, NO, "L3-L4"), (SAID, YES, "L4-L5")]
    table = contradictions(mentions(*rows).sample(fraction=1.0, shuffle=True, seed=1))
    assert table.select("findings_quote", "impression_quote").rows() == [
        ("findings absent L4-L5", "impression present L4-L5")
    ]


def test_of_a_real_report(reports):
    texts = [
        "FINDINGS: No canal stenosis. Vertebral bodies intact.\nIMPRESSION: Severe canal stenosis at L4-5.",
        "FINDINGS: No canal stenosis at L3-4. Severe canal stenosis at L4-5.\nIMPRESSION: Canal stenosis at L4-5.",
    ]
    table = contradictions(label_reports(reports(texts)).mentions)
    assert table.select("study_key", "condition", "findings_status").rows() == [("s0000", "canal", "absent")]
    assert "No canal stenosis" in table["findings_quote"][0]
