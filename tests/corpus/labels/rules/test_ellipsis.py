import pytest

from spine_models.corpus.labels import read_report
from spine_models.corpus.labels.rules.ellipsis import completed, same_place, shares
from spine_models.corpus.labels.rules.levels import find_levels
from spine_models.domain import Status


@pytest.mark.parametrize(
    ("sentence", "subject", "whole"),
    [
        ("no edema.", "vertebrae", "no vertebrae edema."),
        ("cord: no lesion.", None, "no cord lesion."),
        ("heights maintained.", "discs", "discs heights maintained."),
        ("normal.", "alignment", "alignment: normal."),
        ("discs: narrowed at l5-s1.", None, "discs are narrowed at l5-s1."),
        ("facet joints are degenerated.", "foramina", None),
        ("no edema.", None, None),
    ],
)
def test_a_heading_lends_its_subject(sentence, subject, whole):
    assert completed(sentence, subject) == whole


def test_a_place_named_before_is_meant_again():
    assert same_place("moderate stenosis at the same level.")
    assert same_place("this may represent a cyst.")
    assert not same_place("moderate stenosis at this examination.")


@pytest.mark.parametrize(
    ("sentence", "wanted"),
    [
        ("stenosis at c3-4, moderate at c5-6 and severe at c6-7", [None, "moderate", "severe"]),
        ("stenosis: c3-4 mild right, c4-5 severe left", ["mild", "severe"]),
        ("stenosis at c3-4 and c4-5", []),
    ],
)
def test_places_of_a_list_have_their_own_grades(sentence, wanted):
    found = shares(sentence, len("stenosis"), len(sentence), find_levels(sentence), "canal")
    assert [share.grades[0].severity if share.grades else None for share in found] == wanted


@pytest.mark.parametrize("name", ["FORAMINA", "CANAL", "LATERAL RECESSES", "CORD", "DISCS", "ALIGNMENT"])
def test_a_heading_alone_says_nothing(name):
    assert read_report(f"{name}: Facet joints show mild degenerative change.") == []
    assert read_report(f"{name}: Left perineural cyst at S1.")[0].condition == "cyst"
    assert len(read_report(f"{name}: Left perineural cyst at S1.")) == 1


def test_what_is_over_undoes_the_sentence_before():
    mentions = read_report("In 2017 there was an L4-5 extrusion. This has resolved.")
    assert [(m.condition, m.status) for m in mentions] == [("herniation", Status.ABSENT)]
