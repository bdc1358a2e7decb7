from __future__ import annotations

import re

import pytest

from spine_models.corpus.deid.dates import PatientDates
from spine_models.corpus.deid.ehr import (
    DeidPolicyError,
    RowContext,
    capped_age,
    check_columns,
    column_policy,
    date_orders,
    identifiers_of,
    parse_row,
    released_row,
    withheld_dates,
    zip3,
)
from spine_models.corpus.deid.known import KnownIdentifiers
from spine_models.corpus.deid.pseudonyms import Pseudonymizer
from spine_models.corpus.deid.text import TextCleaner
from tests.corpus.deid.objects import ENCOUNTER_ROW, ORDER_ROW, PATIENT_ROW

NAMES = Pseudonymizer(bytes(range(32)))


@pytest.mark.parametrize(
    ("table", "row"), [("patients", PATIENT_ROW), ("encounters", ENCOUNTER_ROW), ("orders", ORDER_ROW)]
)
def test_the_default_policy_covers_the_tables_of_the_contract(table, row):
    check_columns(table, row)
    assert set(column_policy()[table]) == set(row)


def test_an_unknown_column_or_table_names_itself_and_the_file_to_edit():
    with pytest.raises(
        DeidPolicyError, match=r"'favourite_colour' of EHR table 'patients'.*ehr_columns\.yaml"
    ):
        check_columns("patients", ["mrn", "favourite_colour"])
    with pytest.raises(DeidPolicyError, match=r"EHR table 'billing'.*ehr_columns\.yaml"):
        check_columns("billing", ["mrn"])


@pytest.mark.parametrize(
    ("zip_code", "zone"),
    [("62701", "627"), ("62701-1234", "627"), ("03601", "000"), ("2139", "021"), ("x", None)],
)
def test_zip_codes_keep_three_digits_where_enough_people_live(zip_code, zone):
    assert zip3(zip_code) == zone


@pytest.mark.parametrize(
    "zone",
    [
        *(
            "036",
            "059",
            "063",
            "102",
            "203",
            "556",
            "692",
            "790",
            "821",
            "823",
            "830",
            "831",
            "878",
            "879",
            "884",
        ),
        *("890", "893"),
    ],
)
def test_each_of_the_seventeen_thinly_peopled_zones_becomes_000(zone):
    assert zip3(f"{zone}01") == zip3(f"{zone}01-0001") == zip3(f"{zone.lstrip('0')}01") == "000"


@pytest.mark.parametrize(
    ("zip_code", "zone"),
    [("501", "005"), ("2139.0", "021"), ("627011234", "627"), ("K1A 0B1", None), ("", None), ("62", None)],
)
def test_zip_codes_that_a_spreadsheet_has_had(zip_code, zone):
    assert zip3(zip_code) == zone


@pytest.mark.parametrize(
    ("age", "years"),
    [
        ("93", 90),
        ("90", 90),
        ("89", 89),
        ("89.9", 89),
        ("93Y", 90),
        ("104 years", 90),
        ("90+", 90),
        ("8 months", 0),
        ("30M", 2),
        ("045Y", 45),
        ("", None),
        ("old", None),
    ],
)
def test_ages_stop_at_ninety(age, years):
    assert capped_age(age) == years


def rows(*values: str, column: str = "admit_date", **more: str) -> list[dict[str, str]]:
    return [{column: value, **more} for value in values]


@pytest.mark.parametrize(
    ("column", "moved"),
    [
        (rows("13/02/2024", "03/04/2024"), "2024-04-04"),
        (rows("02/13/2024", "03/04/2024"), "2024-03-05"),
        (rows("2024-01-01", "03/04/2024"), None),
        (rows("13/02/2024", "02/13/2024", "03/04/2024"), None),
        (rows("04/04/2024"), "2024-04-05"),
        (rows("31/12/2023"), "2024-01-01"),
        (rows("4 March 2024"), "2024-03-05"),
        (rows("04.03.2024"), "2024-03-05"),
        (rows("20240304"), "2024-03-05"),
        (rows("45355"), None),
        (rows("03/11/2024", discharge_dttm="2024-03-14 10:00"), "2024-03-12"),
        (rows("03/04/2024", discharge_dttm="2024-03-06 10:00"), None),
        (rows("03/04/2024", discharge_dttm="2024-04-05 10:00"), None),
        (rows("03/04/2024", discharge_dttm="05/30/2025"), "2024-03-05"),
    ],
)
def test_a_column_proves_how_its_dates_are_read_or_they_are_withheld(column, moved):
    """Last row is read: by its column, else its table, else the other dates of its row, else not at all."""
    orders, dates = date_orders(column, "encounters"), PatientDates("shift", 1)
    context = RowContext("b", "p", dates, TextCleaner(KnownIdentifiers(), dates), NAMES, {}, frozenset())
    out = released_row("encounters", column[-1], context, orders)
    assert out["admit_date"] == moved
    assert ("admit_date" in withheld_dates("encounters", column[-1], orders, dates)) is (moved is None)


def test_year_only_needs_no_order_and_gives_years():
    dates = PatientDates("year_only", 1)
    context = RowContext("b", "p", dates, TextCleaner(KnownIdentifiers(), dates), NAMES, {}, frozenset())
    out = released_row(
        "encounters", ENCOUNTER_ROW | {"admit_date": "03/04/2024"}, context, date_orders([], "encounters")
    )
    assert (out["admit_date"], out["discharge_dttm"]) == ("2024", "2024")
    assert not re.search(r"\d\d/\d\d", str(out["note"]))


def test_every_column_of_the_default_file_is_released_as_its_action_says():
    dates = PatientDates("shift", 20)
    rows_of = {"patients": PATIENT_ROW, "encounters": ENCOUNTER_ROW, "orders": ORDER_ROW}
    known = KnownIdentifiers.of([pair for row in rows_of.values() for pair in identifiers_of(row)])
    context = RowContext(
        "b", "p", dates, TextCleaner(known, dates), NAMES, {"acc7654321": "1.2.3.1000000.1"}, frozenset()
    )
    for table, row in rows_of.items():
        out = released_row(table, row, context, date_orders([row], table))
        for column, action in column_policy()[table].items():
            if action in ("drop", "pseudonymise"):
                assert column not in out
            if action in ("drop", "pseudonymise", "shift", "zip3") and len(row[column]) > 3:
                assert row[column] not in map(str, out.values()), column
        text = " ".join(str(v) for v in out.values()).casefold()
        for secret in (
            "wexbury",
            "odalys",
            "okonkwo",
            "8675309",
            "867-5309",
            "12345678",
            "7654321",
            "tamarack",
        ):
            assert secret not in text
    assert out["study_key"] == NAMES.key_of_uid("1.2.3.1000000.1")
    encounter = released_row("encounters", ENCOUNTER_ROW, context, date_orders([ENCOUNTER_ROW], "encounters"))
    assert encounter["age_at_visit"] == 90
    assert encounter["icd10"] == "M54.5"
    same = released_row(
        "encounters", ENCOUNTER_ROW | {"mrn": "12345678"}, context, date_orders([ENCOUNTER_ROW], "encounters")
    )
    assert same["encounter_key"] == encounter["encounter_key"]


def test_numbers_that_identify_lose_the_decimal_point_of_a_spreadsheet():
    row = parse_row(
        '{"MRN": "12345678.0", "last_ip": "203.0.113.0", "height_cm": 170.0, "zip": 2139.0, "note": null}'
    )
    assert row == {
        "mrn": "12345678",
        "last_ip": "203.0.113.0",
        "height_cm": "170.0",
        "zip": "2139",
        "note": "",
    }


def test_a_relatives_telephone_is_known_too():
    assert ("phone", "(312) 555-0144") in identifiers_of({"next_of_kin": "Ana Ruiz (312) 555-0144"})
