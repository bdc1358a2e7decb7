"""Text in encodings known and unknown, tables not to be trusted, lines without end: a reason, in bounded memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from spine_models.config import ArchiveSettings
from spine_models.corpus.archive import index_batch, scan_inbox
from spine_models.corpus.archive.text_files import MAX_LINE_BYTES, TextTableError, open_text, read_text
from spine_models.corpus.archive.text_tables import ehr_rows, read_reports, table_rows

SETTINGS = ArchiveSettings(workers=1)
GERMAN = "Befund: Bandscheibenvorfall L5/S1, mäßige Stenose, Größe 4 mm. Keine Fraktur.\n"
RUSSIAN = "Грыжа межпозвонкового диска на уровне поясничных позвонков.\n"
JAPANESE = "腰椎椎間板ヘルニアを認める。脊柱管狭窄は認めない。\n"


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        *(
            (GERMAN, name)
            for name in ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252")
        ),
        *((RUSSIAN, name) for name in ("utf-8", "utf-8-sig", "utf-16", "utf-32")),
        *((JAPANESE, name) for name in ("utf-8", "utf-16")),
    ],
)
def test_encodings_that_can_be_told_are_read(put, text, encoding):
    path = put("a.txt", (text * 3000).encode(encoding))
    assert read_text(path) == text * 3000


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (RUSSIAN, "cp1251"),
        (RUSSIAN, "koi8-r"),
        (JAPANESE, "shift-jis"),
        (JAPANESE, "euc-jp"),
        ("Κήλη μεσοσπονδύλιου δίσκου.\n", "cp1253"),
    ],
)
def test_an_alphabet_that_only_a_code_page_knows_is_refused_rather_than_misread(put, text, encoding):
    """Misread text could not be searched for names."""
    with pytest.raises(TextTableError, match="convert it to UTF-8"):
        read_text(put("a.txt", text.encode(encoding) * 20))


@pytest.mark.parametrize("seed", range(5))
def test_random_bytes_are_no_text(put, seed):
    content = np.random.default_rng(seed).integers(1, 256, 5000, np.uint8).tobytes()
    with pytest.raises(TextTableError):
        read_text(put("a.txt", content))
    with pytest.raises(TextTableError):
        read_text(put("b.txt", b"Some words first. " * 400 + content[:400] + b"\0"))


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf\xdc\xff",
        b"\xff\xfea\0\0\xdc",
        b"\xfe\xff\0a\xdc\0",
        b"\xff\xfe\0\0abcd",
        b"\xff\xfea\0b",
    ],
)
def test_a_mark_that_the_content_contradicts_is_not_believed(put, content):
    with pytest.raises(TextTableError, match="not valid"):
        read_text(put("a.txt", content))


def test_the_second_megabyte_counts_too(put):
    late = GERMAN.encode() * 20000 + "Größe".encode("cp1252")
    assert read_text(put("a.txt", late)).endswith("Größe")
    with pytest.raises(TextTableError, match="binary"):
        read_text(put("b.txt", GERMAN.encode() * 20000 + b"\0"))


@pytest.mark.parametrize(
    "content", ["a,a\n1,2\n", "a,A\n1,2\n", "a,\n1,2\n", "\n \n", "a,b\n1\n", "a,b\n1,2,3\n"]
)
def test_tables_without_a_sound_header_are_refused(content):
    with pytest.raises(TextTableError):
        list(table_rows(content))


def test_line_ends_of_every_system_give_the_same_rows():
    rows = [{"mrn": "1", "note": "two\nlines"}, {"mrn": "2", "note": None}]
    for end in ("\n", "\r\n"):
        assert list(table_rows(f'mrn,note{end}1,"two{end}lines"{end}{end}2,{end}')) == rows


def test_a_table_without_a_header_line_is_refused_before_its_values_pass_for_names(put):
    with pytest.raises(TextTableError, match="whose") as error:
        list(ehr_rows(put("ehr/patients.csv", "Smith,John,1960\nDoe,Jane,1970\n")))
    assert "Smith" not in str(error.value)


def test_two_hundred_megabytes_in_one_line_cost_a_few(put):
    path = put("ehr/patients.csv", "mrn,note\n1,")
    with path.open("r+b") as file:
        file.seek(200 * 1024**2)
        file.write(b"\n")
    holes = put("reports/all.csv", "accession_number,report_text\nACC1,")
    with holes.open("ab") as file:
        file.write(b"x" * (MAX_LINE_BYTES + 1))
    tracemalloc.start()
    try:
        for reader in (lambda: list(ehr_rows(path)), lambda: read_reports(holes), lambda: read_text(path)):
            with pytest.raises(TextTableError):
                reader()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 24 * 1024**2


def test_a_field_that_is_never_closed_is_found_in_bounded_memory(put):
    path = put("r/all.csv", 'accession_number,report_text\nACC1,"' + "word word word\n" * 700_000)
    tracemalloc.start()
    try:
        with pytest.raises(TextTableError, match="quoting"):
            read_reports(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 80 * 1024**2


def test_a_long_table_is_read_row_by_row(put):
    path = put("r/all.csv", "mrn,note\n" + "1,some words of a note\n" * 30_000)
    tracemalloc.start()
    try:
        assert sum(1 for _ in ehr_rows(path)) == 30_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 6 * 1024**2


def test_every_unreadable_table_and_report_has_its_reason_and_the_rest_goes_on(put, inbox):
    put("dicom/1", study="1")
    put("reports/ACC1.txt", GERMAN)
    put("reports/ACC2.txt", RUSSIAN.encode("cp1251") * 20)
    put("reports/ACC3.txt", b"%PDF-1.7")
    put("reports/broken.csv", "accession_number,report_text\nACC1,fine\nACC1\n")
    put("reports/utf16.csv", "accession_number,report_text\nACC1,Größe\n".encode("utf-16"))
    put("ehr/patients.csv", "mrn,mrn\n1,2\n")
    put("ehr/encounters.csv", b"mrn,note\n1,\0\n")
    put("ehr/orders.csv", "Smith,John\nDoe,Jane\n")
    ledger = scan_inbox(inbox, cohort="internal", ledger=None, settings=SETTINGS)
    found = index_batch(ledger, "internal-0001", settings=SETTINGS)
    reasons = dict(found.files.select("relative_path", "reason").iter_rows())
    assert {path for path, reason in reasons.items() if reason is None} == {
        "dicom/1",
        "reports/ACC1.txt",
        "reports/utf16.csv",
    }
    assert set(reasons.values()) == {None, "report_unreadable", "ehr_unreadable"}
    assert found.reports["report_text"].to_list() == [GERMAN.strip(), "Größe"]
    assert found.ehr.is_empty()


def test_open_text_closes_its_file(put):
    with open_text(put("a.txt", GERMAN)) as text:
        pass
    assert text.closed
