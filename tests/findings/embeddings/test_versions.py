"""Two versions in one route are refused wherever they meet, by name and number."""

from __future__ import annotations

import polars as pl
import pytest

from spine_models.findings.embeddings.versions import NAMED, VERSIONS, Table, one_version


class Refused(ValueError):
    """Of this test alone."""


TABLE = Table("embeddings/slices", "embed again", Refused)


def rows(*kinds):
    """route, encoder, model and preprocessing of each row."""
    return pl.DataFrame(kinds, schema=dict.fromkeys(("route", *VERSIONS), pl.String), orient="row")


ONE = rows(("t1", "dino", "m1", "p"), ("t2", "dino", "m2", "p"), ("t1", "dino", "m1", "p"))
TOLD = {
    "t1": {"encoder": "dino", "model_version": "m1", "preprocessing_version": "p"},
    "t2": {"encoder": "dino", "model_version": "m2", "preprocessing_version": "p"},
}


def test_routes_may_differ_and_each_has_its_versions():
    assert one_version(ONE, TABLE) == TOLD
    assert one_version(ONE.clear(), TABLE) == {}


@pytest.mark.parametrize("column", VERSIONS)
@pytest.mark.parametrize("together", [True, False])
def test_a_second_version_is_refused_in_the_same_rows_and_in_later_ones(column, together):
    second = ONE.filter(route="t2").with_columns(pl.lit("another").alias(column))
    first = ONE[column][1]
    said = rf"^embeddings/slices, route 't2': {column} has 2 versions \(another, {first}\): embed again$"
    with pytest.raises(Refused, match=said):
        if together:
            one_version(pl.concat([ONE, second]), TABLE)
        else:
            one_version(second, TABLE, known=one_version(ONE, TABLE))


def test_what_is_known_is_kept_and_not_written_to():
    known = one_version(ONE.filter(route="t1"), TABLE)
    assert one_version(ONE, TABLE, known=known) == TOLD
    assert list(known) == ["t1"]


def test_a_missing_column_proves_nothing_unless_it_is_asked_for_and_a_null_is_a_version():
    bare = ONE.select("route", "model_version")
    assert one_version(bare, TABLE)["t1"] == {"model_version": "m1"}
    assert one_version(ONE.select("route"), TABLE, known=TOLD) == TOLD
    with pytest.raises(Refused, match="embeddings/slices has no column model_version: embed again"):
        one_version(ONE.drop("model_version"), TABLE, columns=["model_version"])
    with pytest.raises(Refused, match=r"preprocessing_version has 2 versions \(none, p\)"):
        one_version(pl.concat([ONE, rows(("t1", "dino", "m1", None))]), TABLE)


def test_only_the_columns_asked_for_and_whatever_they_are_asked_by():
    two = pl.concat([ONE, rows(("t1", "vit", "m1", "p"))])
    assert one_version(two, TABLE, columns=["model_version"])["t1"] == {"model_version": "m1"}
    with pytest.raises(Refused, match=r"encoder 'dino': model_version has 2 versions"):
        one_version(two, TABLE, by="encoder", columns=["model_version"])


def test_many_versions_are_counted_and_some_of_them_named():
    many = rows(*(("t1", "dino", f"m{n}", "p") for n in range(7)))
    with pytest.raises(Refused, match=rf"has 7 versions \(m0, m1, m2, m{NAMED - 1}, \.\.\.\)"):
        one_version(many, TABLE)
