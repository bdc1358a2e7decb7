from __future__ import annotations

from pathlib import Path

import pytest

from spine_models.corpus.labels import AdjudicationError, read_adjudications
from spine_models.corpus.labels.tables import ADJUDICATIONS

SECRET = "Mrs Doe called"


@pytest.fixture
def read(tmp_path: Path):
    def from_text(content: str | bytes):
        path = tmp_path / "adjudications.csv"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return read_adjudications(path)

    return from_text


def test_a_missing_file_holds_nothing(tmp_path: Path):
    frame = read_adjudications(tmp_path / "none.csv")
    assert frame.schema == ADJUDICATIONS
    assert frame.is_empty()


def test_header_alone_holds_nothing(read):
    frame = read("study_key,condition,status\n")
    assert frame.schema == ADJUDICATIONS
    assert frame.is_empty()


@pytest.mark.parametrize(
    "content",
    [
        "study_key,condition,status\ns1,canal,present\ns2,cyst,not_mentioned\n",
        "study_key,condition,status\r\ns1,canal,present\r\ns2,cyst,not_mentioned",
        "study_key;condition;status\rs1;canal;present\rs2;cyst;not_mentioned\r",
        "\ufeffstudy_key;condition;status\ns1;canal;present\n\n;;\ns2;cyst;not_mentioned\n",
        "\n study_key\tCondition\tstatus\t\ns1\tcanal\t Present\t\ns2\tcyst\tnot_mentioned\n",
        'note,status,condition,study_key,read_at,reader\n"a, b\n""c""",present,canal,s1,,\n,not_mentioned,cyst,s2\n',
        "study_key,condition,status\ns1,canal,present\ns2,cyst,not_mentioned\ns1,canal,present\n",
    ],
    ids=[
        "lf",
        "crlf",
        "cr and semicolons",
        "bom and empty lines",
        "tabs and capitals",
        "more columns",
        "folded",
    ],
)
def test_what_spreadsheets_write_is_read(read, content):
    assert read(content).rows() == [("s1", "canal", "present"), ("s2", "cyst", "not_mentioned")]


@pytest.mark.parametrize(
    ("content", "line", "column", "says"),
    [
        ("", 1, "study_key", "is missing"),
        ("study_key,condition\n", 1, "status", "is missing"),
        (f"study_key,condition,status,{SECRET}\n", 1, "number 4", "not a known column"),
        ("study_key,condition,status,status\n", 1, "status", "is there twice"),
        (f"study_key,condition,status\ns1,{SECRET},present\n", 2, "condition", "not a known condition"),
        (f"study_key,condition,status\n\ns1,canal,{SECRET}\n", 3, "status", "use one of present, absent"),
        (f"study_key,condition,status,note\n,canal,present,{SECRET}\n", 2, "study_key", "is empty"),
        ("study_key,condition,status\ns1,canal\n", 2, "status", "is empty"),
        (f"study_key,condition,status\ns1,canal,present,{SECRET}\n", 2, None, "more cells"),
        (
            f'study_key,condition,status,note\ns1,canal,present,"{SECRET}\nand"\ns1,canal,absent,{SECRET}\n',
            4,
            "status",
            "contradicts line 2",
        ),
        (f'study_key,condition,status,note\ns1,canal,present,"{SECRET}\n', 2, None, "quotation mark"),
        ("study_key,condition,status\n".encode("utf-16"), 1, None, "save the file as CSV UTF-8"),
    ],
)
def test_errors_name_the_place_and_the_remedy_and_no_content(read, content, line, column, says):
    with pytest.raises(AdjudicationError, match=says) as caught:
        read(content)
    message = str(caught.value)
    assert message.startswith(f"adjudications.csv, line {line}")
    assert (caught.value.line, caught.value.column) == (line, column)
    assert ";" in message
    assert SECRET.lower() not in message.lower()
    assert "s1" not in message
    assert caught.value.__cause__ is None
