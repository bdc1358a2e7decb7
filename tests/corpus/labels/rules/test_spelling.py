import pytest

from spine_models.corpus.labels.rules.spelling import corrected


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("moderate canal stenosos", "moderate canal stenosis"),
        ("disc herination", "disc herniation"),
        ("compresion fractrue", "compression fracture"),
        ("foramnal narowing", "foraminal narrowing"),
        ("narrowing of teh canal witout cord compression", "narrowing of the canal without cord compression"),
        ("protrussion, extrsion", "protrusion, extrusion"),
    ],
)
def test_one_slip_is_put_right(written, meant):
    assert corrected(written) == meant


@pytest.mark.parametrize(
    "text",
    [
        "fractures fractured foramina foraminal stenosed narrower herniates abnormally",
        "depression of the endplate; extradural mass; prevertebral swelling",
        "edma of the cnal",  # short words are left alone
        "spondylosis spondylolysis spondylitis",
        "l4-l5 disc bulge of 3 mm",
    ],
)
def test_right_words_and_short_ones_stay(text):
    assert corrected(text) == text
