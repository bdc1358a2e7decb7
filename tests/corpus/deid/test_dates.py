from __future__ import annotations

from datetime import date

import pytest

from spine_models.corpus.deid.dates import PatientDates

MOVED = PatientDates("shift", 40)
YEARS = PatientDates("year_only", 40)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("2024-03-05", "2024-04-14"),
        ("2024/3/5", "2024/4/14"),
        ("03/05/2024", "04/14/2024"),
        ("3/5/24", "4/14/24"),
        ("05.03.2024", "14.04.2024"),
        ("25/12/2023", "03/02/2024"),
        ("5 March 2024", "14 April 2024"),
        ("5-Mar-2024", "14-Apr-2024"),
        ("Mar 5th, 2024", "Apr 14th, 2024"),
        ("MARCH 5, 2024", "APRIL 14, 2024"),
        ("the 5th of March, 2024", "the 14 of April, 2024"),
        ("20240305", "20240414"),
        ("Monday, March 4, 2024", "April 13, 2024"),
        ("March 2024", "April 2024"),
        ("03/2024", "04/2024"),
        ("2024-03-05T10:22:33", "2024-04-14T10:22:33"),
        ("on March 5 he fell", "on [DATE] he fell"),
        ("seen on 3/15.", "seen on [DATE]."),
        ("last Tuesday", "[DATE]"),
        ("02/30/2024", "[DATE]"),
        ("05JUN2022", "15JUL2022"),
        ("30/Jan/2024", "10/Mar/2024"),
        ("Nov 29/23", "Jan 8/2024"),
        ("4 février 2020", "15 march 2020"),
        ("1. März 2019", "10. Apr 2019"),
        ("14 Temmuz 2021", "23 August 2021"),
        ("17.V.2023", "26.06.2023"),
        ("05 / 19 / 2017", "06/28/2017"),
        ("2019-06", "2019-07"),
        ("may fifth two thousand twenty three", "[DATE]"),
        ("since Good Friday", "since [DATE]"),
        ("began in July.", "began in [DATE]."),
        ("called 23:17 9/14", "called 23:17 [DATE]"),
    ],
)
def test_every_form_moves_in_its_own_style(before, after):
    assert MOVED.text(before)[0] == after


@pytest.mark.parametrize(
    "text",
    [
        "strength 4/5",
        "L4/5",
        "1.5.7.2",
        "12-10-11 mm",
        "2.5/3.2/1.4",
        "prior of 2019",
        "may 5 mm",
        "T2 384/288",
        "b 1000",
        "mJOA 12/18",
        "pain 7/10",
        "it may be",
    ],
)
def test_what_is_no_date_stays(text):
    assert MOVED.text(text) == (text, 0)


def test_dicom_values_keep_times_and_intervals():
    assert MOVED.da("20240305") == "20240414"
    assert MOVED.da("2024.03.05") == "20240414"
    assert MOVED.da("nonsense") is None
    assert MOVED.dt("20240305101530.25+0100") == "20240414101530.25+0100"
    assert MOVED.dt("202403") == "202404"
    assert MOVED.dt("20241399") is None
    first, second = MOVED.move(date(2020, 2, 28)), MOVED.move(date(2024, 3, 1))
    assert second - first == date(2024, 3, 1) - date(2020, 2, 28)


@pytest.mark.parametrize(
    "value", ["2024-03-07 14:30", "03/07/2024 2:30 PM", "20240307 1430", "7 March 2024, 14:30"]
)
def test_tables_get_iso_with_the_time_kept(value):
    assert MOVED.iso(value) == "2024-04-16T14:30"


def test_day_first_columns_are_read_day_first():
    assert MOVED.iso("05/03/2024", european=True) == "2024-04-14"
    assert MOVED.iso("unknown") is None


def test_year_only():
    assert YEARS.text("seen 03/05/2024 and 5 March 2023")[0] == "seen 2024 and 2023"
    assert (YEARS.da("20240305"), YEARS.iso("2024-03-05")) == ("20240101", "2024")
