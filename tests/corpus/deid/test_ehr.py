from __future__ import annotations

import pytest

from spine_models.corpus.deid.ehr import DeidPolicyError, check_columns, column_policy, zip3
from tests.corpus.deid.objects import ENCOUNTER_ROW, ORDER_ROW, PATIENT_ROW


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
