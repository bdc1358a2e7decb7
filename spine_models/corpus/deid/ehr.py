"""EHR rows column by column: an allowlist file says what each column becomes, and unknown columns stop the batch.

Belongs here: the column policy, and the three released tables.
Does not belong here: reading csv files (archive), who owns a row (archive), prose (text).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, cast

import yaml

from spine_models.corpus.deid.dates import PatientDates
from spine_models.corpus.deid.ehr_dates import DateOrders
from spine_models.corpus.deid.known import KIND_OF_COLUMN
from spine_models.corpus.deid.pseudonyms import Pseudonymizer
from spine_models.corpus.deid.text import TextCleaner

POLICY_FILE: Final = "spine_models/corpus/deid/ehr_columns.yaml"
_ACTIONS: Final = frozenset(
    ["drop", "pseudonymise", "shift", "age_cap", "zip3", "clean", "code", "number", "sex", "keep"]
)
_RESTRICTED_ZIP3: Final = frozenset(
    "036 059 063 102 203 556 692 790 821 823 830 831 878 879 884 890 893".split()  # noqa: SIM905
)
"""Three-digit zones of 20,000 people or fewer (45 CFR 164.514(b)(2)(i)(B), census of 2000): written as 000."""


class DeidPolicyError(ValueError):
    """An EHR table or column that no policy names; the message names it and the file to edit, never a value."""


@lru_cache(maxsize=1)
def column_policy() -> Mapping[str, Mapping[str, str]]:
    """Action per table and column, in the file's order.

    Raises:
        DeidPolicyError: the policy file names an action that does not exist.
    """
    path = Path(__file__).with_name("ehr_columns.yaml")
    document: dict[str, dict[str, str]] = yaml.safe_load(path.read_text(encoding="utf-8"))
    for table, columns in document.items():
        for column, action in columns.items():
            if action not in _ACTIONS:
                raise DeidPolicyError(
                    f"{POLICY_FILE}: column {column!r} of table {table!r} has no action {action!r}"
                )
    return document


def check_columns(table: str, columns: Iterable[str]) -> None:
    """Stop at a table or column that the policy does not know.

    Raises:
        DeidPolicyError: names table, column and the file to edit.
    """
    policy = column_policy().get(table.casefold())
    if policy is None:
        raise DeidPolicyError(
            f"EHR table {table!r} has no policy: add it to {POLICY_FILE}, one action per column"
        )
    for column in columns:
        if column.strip().casefold() not in policy:
            raise DeidPolicyError(
                f"column {column!r} of EHR table {table!r} has no policy: add it to {POLICY_FILE} with one of "
                + ", ".join(sorted(_ACTIONS))
            )


def parse_row(values_json: str) -> dict[str, str]:
    """A row's values as stripped text under lower-case column names; nulls become empty.

    Numbers that identify lose the decimal point that a spreadsheet gave them.
    """
    values = json.loads(values_json).items()
    row = {k.strip().casefold(): "" if v is None else str(v).strip() for k, v in values}
    return {
        k: re.sub(r"^(\d+)\.0+$", r"\1", v) if KIND_OF_COLUMN.get(k) == "id" else v for k, v in row.items()
    }


def identifiers_of(row: Mapping[str, str]) -> list[tuple[str, str]]:
    """(kind, value) of the identifying columns of a parsed row; the full name and street too."""
    found = [(KIND_OF_COLUMN[c], v) for c, v in row.items() if c in KIND_OF_COLUMN and v]
    if row.get("first_name") and row.get("last_name"):
        found.append(("name", f"{row['first_name']} {row['last_name']}"))
    kin = row.get("next_of_kin", "")
    found += [("phone", number) for number in re.findall(r"[+(]*\d[\d\s().\-]{5,}\d", kin)]
    return found


def date_orders(rows: Iterable[Mapping[str, str]], table: str) -> DateOrders:
    """How a table's numeric dates are read, from the evidence of all its rows in the batch."""
    dated = [c for c, action in column_policy()[table].items() if action == "shift"]
    return DateOrders.of(rows, dated)


def withheld_dates(table: str, row: Mapping[str, str], orders: DateOrders, dates: PatientDates) -> list[str]:
    """Date columns whose value has no certain reading, so that ``released_row`` leaves them null."""
    dated = [c for c, action in column_policy()[table].items() if action == "shift" and row.get(c)]
    return [c for c in dated if _date(c, row, orders, dates) is None]


def _date(column: str, row: Mapping[str, str], orders: DateOrders, dates: PatientDates) -> str | None:
    day_first = orders.day_first(column, row[column], row)
    if day_first is None and dates.mode == "shift":
        return None
    return dates.iso(row[column], european=bool(day_first))


@dataclass(frozen=True)
class RowContext:
    """What one patient's rows need: pseudonym, dates, cleaner, and the studies that the archive knows."""

    batch_key: str
    patient_key: str
    dates: PatientDates
    cleaner: TextCleaner
    names: Pseudonymizer
    study_of_accession: Mapping[str, str]
    study_uids: frozenset[str]


def released_row(
    table: str, row: Mapping[str, str], context: RowContext, orders: DateOrders
) -> dict[str, object]:
    """One row of ``ehr_patients``, ``ehr_encounters`` or ``ehr_orders`` as their schemas have it.

    A date that can be read two ways without evidence, or not at all, becomes null (``withheld_dates`` names it).
    """
    out: dict[str, object] = {"batch_key": context.batch_key, "patient_key": context.patient_key}
    for column, action in column_policy()[table].items():
        value = row.get(column, "")
        if action == "shift":
            out[column] = _date(column, row, orders, context.dates) if value else None
        elif action not in ("drop", "pseudonymise"):
            out[column if action != "zip3" else "zip3"] = _value(action, value, context) if value else None
    if table == "encounters":
        out["encounter_key"] = _digest(context, "encounter", row.get("encounter_id", ""))
    if table == "orders":
        accession, uid = row.get("accession", ""), row.get("study_instance_uid", "")
        uid = uid if uid in context.study_uids else context.study_of_accession.get(accession.casefold(), "")
        out["study_key"] = context.names.key_of_uid(uid) if uid else None
        out["order_key"] = _digest(context, "order", accession)
    return out


def _digest(context: RowContext, domain: str, value: str) -> str | None:
    return context.names.digest(domain, f"{context.patient_key}\x00{value.casefold()}") if value else None


def _value(action: str, value: str, context: RowContext) -> object:
    if action == "age_cap":
        return capped_age(value)
    if action == "zip3":
        return zip3(value)
    if action == "clean":
        return context.cleaner.clean(value)
    if action == "code":
        codes = re.findall(r"(?<![A-Z0-9])[A-Z]\d[0-9A-Z](?:\.[0-9A-Z]{1,4})?(?![A-Z0-9])", value.upper())
        return ";".join(codes) or None
    if action == "number":
        number = re.fullmatch(r"\d{1,3}(?:\.\d{1,2})?", value)
        return float(value) if number else None
    if action == "sex":
        return cast(str, {"m": "M", "f": "F", "o": "O"}.get(value[0].casefold()))
    return value


def capped_age(value: str) -> int | None:
    """Whole years, 90 for 90 and more; months, weeks and days are rounded down; None where it is no age."""
    match = re.fullmatch(
        r"(?:age\s*)?(\d{1,3})(?:\.\d+)?\s*\+?\s*([a-z]*)[a-z/. ]*", value.strip().casefold()
    )
    if not match:
        return None
    years = {
        "m": 12,
        "mo": 12,
        "mos": 12,
        "month": 12,
        "months": 12,
        "w": 52,
        "wk": 52,
        "weeks": 52,
        "week": 52,
    }
    number = int(match[1]) // (365 if match[2] in ("d", "day", "days") else years.get(match[2], 1))
    return min(number, 90)


def zip3(value: str) -> str | None:
    """The first three digits of a US zip code, 000 for thinly peopled zones; None where it is none.

    One or two lost leading zeros are put back (2139 is 02139), as is a decimal point that a spreadsheet added.
    """
    match = re.fullmatch(r"(\d{3,5}|\d{8,9})(?:\.0+)?|(\d{5})[- ]?\d{4}", value.strip())
    if not match:
        return None
    digits = match[2] or match[1]
    zone = digits.zfill(9 if len(digits) > 5 else 5)[:3]
    return "000" if zone in _RESTRICTED_ZIP3 else zone
