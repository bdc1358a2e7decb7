from __future__ import annotations

import pytest

from spine_models.corpus.archive.text_tables import (
    TextTableError,
    normalised_mrn,
    read_reports,
    read_text,
    table_rows,
)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1"])
def test_text_in_any_usual_encoding(put, encoding):
    text = "Befund: Bandscheibenvorfall L5/S1, mäßige Stenose.\nKeine Fraktur."
    assert read_text(put("a.txt", text.encode(encoding))) == text


@pytest.mark.parametrize(
    "content",
    [b"%PDF-1.7 text", b"{\\rtf1 text}", b"PK\x03\x04zip", b"\x89PNG\0\0\0\1binary", b"\xff\xfe\x00"],
)
def test_what_is_not_text_is_refused_without_quoting_it(put, content):
    with pytest.raises(TextTableError) as error:
        read_text(put("a.txt", content))
    assert "zip" not in str(error.value)


def test_quoted_newlines_and_other_delimiters():
    rows = list(table_rows('mrn;note\n007;"two\nlines; and ""quotes"""\n\n8;\n'))
    assert rows == [{"mrn": "007", "note": 'two\nlines; and "quotes"'}, {"mrn": "8", "note": None}]
    assert next(iter(table_rows("mrn\tnote\n1\tx, y\n"))) == {"mrn": "1", "note": "x, y"}
    assert next(iter(table_rows("mrn\n1\n"))) == {"mrn": "1"}


@pytest.mark.parametrize(
    "text",
    ["", "\n\n", "a,b\n1\n", "a,b\n1,2,3\n", "a,a\n1,2\n", "a,\n1,2\n", 'a,b\n"1,2\n', 'a,b\n"1"x,2\n'],
)
def test_tables_that_cannot_be_trusted_are_refused(text):
    with pytest.raises(TextTableError):
        list(table_rows(text))


def test_reports_of_all_three_forms(put):
    assert read_reports(put("r/ACC1.txt", "No fracture.\n"))[0].accession_number == "ACC1"
    csv = read_reports(put("r/all.csv", 'accession_number,report_text\nA1,"Line\nline"\nA2,\n,Orphan\n'))
    assert [(r.row, r.accession_number, r.report_text) for r in csv] == [
        (1, "A1", "Line\nline"),
        (3, None, "Orphan"),
    ]
    jsonl = read_reports(put("r/all.jsonl", '{"accession_number": "A1", "report_text": "x"}\n\n'))
    assert (jsonl[0].row, jsonl[0].accession_number) == (1, "A1")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", "  \n"),
        ("a.csv", "accession,other\n1,2\n"),
        ("a.csv", "x"),
        ("a.jsonl", "[1]"),
        ("a.jsonl", "{broken"),
    ],
)
def test_files_without_a_report_are_refused(put, name, content):
    with pytest.raises(TextTableError):
        read_reports(put(name, content))


def test_record_numbers_differ_only_in_zeros_blanks_and_case():
    assert normalised_mrn(" 000aB12 ") == normalised_mrn("Ab12")
    assert normalised_mrn("0000") == "0"
