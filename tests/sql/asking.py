"""The fixture that asks a named query of a lake as a test has changed it.

Belongs here: asking. Does not belong here: the rows of the lake (`conftest`), what a query answers.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sql.catalogue import queries
from sql.warehouse import open_lake


@pytest.fixture
def answer(lake: Any, tmp_path: Path) -> Callable[[str], list[dict[str, object]]]:
    """Write the lake as it is now and ask a named query, which must give the columns that it declares."""

    def ask(name: str) -> list[dict[str, object]]:
        with open_lake(lake.write(tmp_path)) as connection:
            relation = connection.sql(queries()[name].statement)
            assert list(queries()[name].columns) == relation.columns
            return [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]

    return ask
