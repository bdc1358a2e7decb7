"""Text of a model against claims: what stays, what goes and why, what the template adds."""

from __future__ import annotations

import random

import polars as pl
import pytest

from spine_models.corpus.statements import merged, units_of_text
from spine_models.reporting.reports import draft_reports
from spine_models.reporting.reports.claims import Claim
from spine_models.reporting.reports.drafting import NOTHING_LEFT, claims_of
from spine_models.reporting.reports.linking import COMPARES, link, sentences_of

SERIES = [("T1", "sagittal", "t1"), ("T2", "sagittal", "t2")]


@pytest.fixture
def given(claim, filled) -> pl.DataFrame:
    """A left moderate herniation at L4-5, possible canal stenosis at L3-4, edema undetermined, pars not assessed."""
    return filled(
        [
            claim(
                "herniation",
                "present",
                places=[{"level": "L4-L5", "side": "left", "severity": "moderate"}],
            ),
            claim("canal", "indeterminate", certainty="possible", places=[{"level": "L3-L4"}]),
            claim("edema", "indeterminate"),
            claim("pars", "not_assessed"),
        ]
    )


def linked(text: str, given: pl.DataFrame, **how):
    return link(text, [Claim.of(row) for row in given.iter_rows(named=True)], **how)


def test_a_sentence_that_says_its_claim_stays(given) -> None:
    matched, removed = linked("Moderate left disc herniation at L4-L5.", given)
    assert removed == []
    (one,) = matched
    assert [said.claim.condition for said in one.said] == ["herniation"]
    assert one.exact == set(one.said[0].units)
    assert one.said[0].units == one.said[0].claim.units


def test_less_than_the_claim_stays_but_is_not_all_of_it(given) -> None:
    (one,), removed = linked("There is a disc protrusion.", given)
    assert removed == []
    assert one.said[0].claim.condition == "herniation"
    assert one.exact == frozenset()


def test_negatives_of_absent_claims_stay(given) -> None:
    (one,), removed = linked("No fracture or spondylolisthesis.", given)
    assert removed == []
    assert one.kind == "negative"
    assert {said.claim.condition for said in one.said} == {"fracture", "spondylolisthesis"}


@pytest.mark.parametrize(
    ("text", "reason", "condition"),
    [
        ("Moderate left disc herniation at L5-S1.", "says level L5-S1 where its claim says L4-L5", "herniation"),
        ("Moderate right disc herniation at L4-5.", "says side right where its claim says left", "herniation"),
        ("Severe disc herniation at L4-5.", "says severity severe where its claim says moderate", "herniation"),
        ("Possible disc herniation at L4-5.", "says possible where its claim says definite", "herniation"),
        ("Spinal canal stenosis at L3-4.", "says definite where its claim says possible", "canal"),
        ("Possible severe spinal canal stenosis at L3-4.", "says severity severe that its claim does not", "canal"),
        ("Compression fracture of L2.", "affirms what its claim says is absent", "fracture"),
        ("No disc herniation.", "denies what its claim affirms", "herniation"),
        ("L1-2: No disc herniation.", "no claim says that it is absent there", "herniation"),
        ("Bone marrow edema at L4.", "its agent could not determine it", "edema"),
        ("No pars defect.", "its agent did not assess it", "pars"),
        ("The conus ends at L1.", "says nothing that a claim carries", None),
        ("Fibroids of the uterus are noted.", "says nothing that a claim carries", None),
        ("The disc herniation at L4-5 is unchanged.", "compares with another study", None),
        ("New moderate left disc herniation at L4-5.", "compares with another study", None),
        ("Not assessed (no T1 or T2 series): vertebral fracture.", "tells what could not be assessed", None),
        ("Spondylolisthesis cannot be reliably assessed.", "tells what could not be assessed", None),
        ("TECHNIQUE: Sagittal T1 and T2.", "technique, history and comparison", None),
        ("COMPARISON: None.", "technique, history and comparison", None),
    ],
)  # fmt: skip
def test_what_no_claim_carries_goes_with_its_reason(given, text: str, reason: str, condition) -> None:
    matched, (gone,) = linked(text, given)
    assert matched == []
    assert gone.reason.startswith(reason)
    assert gone.condition == condition
    assert gone.text in text


def test_one_wrong_statement_takes_its_sentence(given) -> None:
    text = "Moderate left disc herniation at L4-5 and a compression fracture of L2."
    matched, (gone,) = linked(text, given)
    assert (matched, gone.condition) == ([], "fracture")


def test_a_text_that_was_cut_loses_its_last_words(given) -> None:
    text = "No fracture. Moderate left disc herniation at"
    matched, (gone,) = linked(text, given, stopped=False)
    assert len(matched) == 1
    assert gone.reason.startswith("cut off")
    assert len(linked(text, given, stopped=True)[0]) == 2


def test_every_sentence_is_accounted_for(given) -> None:
    text = (
        "MRI LUMBAR SPINE\n\nFINDINGS:\nDiscs: Moderate left disc herniation\nat L4-5. Desiccation.\n"
        "L3-4: Possible spinal canal stenosis.\nL1-2: Normal.\n\nIMPRESSION:\n1. Moderate left disc herniation "
        "at L4-5.\n2. Fracture of L1.<|/report|>"
    )
    matched, removed = linked(text, given)
    written = [sentence for _, _, sentence in sentences_of(text)]
    assert len(written) == len(matched) + len(removed)
    assert [one.text for one in matched] == [
        "Moderate left disc herniation at L4-5.",
        "L3-4: Possible spinal canal stenosis.",
        "Moderate left disc herniation at L4-5.",
    ]
    assert [one.concludes for one in matched] == [False, False, True]


def draft(archive, given: pl.DataFrame, text: str | None, **told):
    tables = archive({"study": SERIES})
    row = {"study_key": "study", "text": text, "stopped": True, "model_version": "llava-1", "reason": None}
    written = pl.DataFrame([row | told], schema_overrides={"text": pl.String, "reason": pl.String})
    return draft_reports(given, tables.studies, tables.series, written=written)


def test_the_template_adds_what_the_model_left_unsaid(archive, given) -> None:
    text = "Moderate left disc herniation at L4-5. Fracture of L1. No spondylolisthesis.\nIMPRESSION: Disc herniation."
    made = draft(archive, given, text)
    assert made.drafts["writer"].to_list() == ["llava-1"]
    assert made.drafts["reason"].to_list() == [None]
    sentences = made.sentences
    assert sentences.filter(linked_by="matched")["text"].to_list() == [
        "No spondylolisthesis.",
        "Moderate left disc herniation at L4-5.",
        "Disc herniation.",
    ]
    discs = sentences.filter(section="DISCS")["text"].to_list()
    assert discs == ["Moderate left disc herniation at L4-5.", "No loss of disc height."]
    impression = sentences.filter(section="IMPRESSION")["text"].to_list()
    assert impression[:3] == [
        "Disc herniation.",
        "Moderate left disc herniation at L4-5.",
        "Possible spinal canal stenosis at L3-4.",
    ]
    assert made.removed["text"].to_list() == ["Fracture of L1."]
    claimed = sentences.filter(~pl.col("kind").is_in(["technique", "notice"]))
    assert set(claimed["claim_keys"].explode()) == set(given["claim_key"])
    assert claimed.filter(pl.col("claim_keys").list.len() == 0).is_empty()
    wanted = merged(unit for claim in claims_of(given)["study"] for unit in claim.units)
    assert units_of_text(made.drafts["report_text"].item()) == wanted


def test_a_sentence_of_one_level_stands_in_the_line_of_its_level(archive, given) -> None:
    made = draft(archive, given, "Possible spinal canal stenosis at L3-L4. No neural foraminal stenosis.")
    axial = made.sentences.filter(section="AXIAL DISCS/DURAL COMPRESSION/FORAMINA")
    lines = axial.filter(pl.col("level").is_not_null())
    assert lines["level"].to_list() == ["L1-L2", "L2-L3", "L3-L4", "L4-L5", "L5-S1"]
    third = lines.row(2, named=True)
    assert (third["text"], third["linked_by"]) == ("Possible spinal canal stenosis at L3-L4.", "matched")
    assert set(lines.filter(pl.col("level") != "L3-L4")["linked_by"]) == {"added"}
    assert axial["text"][0] == "No neural foraminal stenosis."


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"text": None, "reason": "the report model is not fit for drafts"}, "the report model is not fit for drafts"),
        ({"text": "  "}, "the report model wrote nothing"),
        ({"text": "Fracture of L1. Fracture of L2."}, NOTHING_LEFT),
    ],
)  # fmt: skip
def test_templates_write_where_nothing_is_left(archive, given, told, reason: str) -> None:
    made = draft(archive, given, **{"text": None} | told)
    assert made.drafts["writer"].to_list() == ["templates"]
    assert made.drafts["reason"].to_list() == [reason]
    assert set(made.sentences["linked_by"]) == {"template"}
    plain = draft_reports(given, *_tables(archive))
    assert made.drafts["report_text"].to_list() == plain.drafts["report_text"].to_list()


def _tables(archive):
    tables = archive({"study": SERIES})
    return tables.studies, tables.series


@pytest.mark.parametrize("seed", range(500, 510))
def test_a_perfect_text_stays_whole_and_a_shuffled_one_is_as_true(archive, claims, seed: int) -> None:
    """A model that writes the template's own sentences, in disorder and beside untrue ones, ends in a true draft."""
    given = claims(seed)
    plain = draft_reports(given, *_tables(archive))
    own = plain.sentences.filter(pl.col("kind").is_in(["finding", "negative"]), section="DISCS")
    text = "Fracture of L9. " + " ".join(reversed(own["text"].to_list())) + " All is well."
    made = draft(archive, given, text)
    wanted = merged(unit for claim in claims_of(given)["study"] for unit in claim.units)
    assert units_of_text(made.drafts["report_text"].item()) == wanted
    said = made.sentences.filter(~pl.col("kind").is_in(["technique", "notice"]))
    assert set(said["claim_keys"].explode()) == set(given["claim_key"])
    assert (said["claim_keys"].list.len() > 0).all()


@pytest.mark.parametrize("seed", range(700, 715))
def test_no_text_makes_a_draft_say_anything_else(archive, claims, seed: int) -> None:
    """A model that mixes its own study's sentences with another's, in any order, cut anywhere."""
    draw = random.Random(seed)
    given, other = claims(seed), claims(seed + 1000)
    mine, theirs = (
        draft_reports(one, *_tables(archive)).sentences["text"].to_list() for one in (given, other)
    )
    pool = [text for text in mine if draw.random() < 0.7] + [text for text in theirs if draw.random() < 0.3]
    draw.shuffle(pool)
    text = "\n".join(pool) + "\nIMPRESSION:\n" + "\n".join(draw.sample(pool, min(4, len(pool))))
    text = text[: draw.randrange(len(text) // 2, len(text))]
    made = draft(archive, given, text, stopped=False)
    wanted = merged(unit for claim in claims_of(given)["study"] for unit in claim.units)
    assert units_of_text(made.drafts["report_text"].item()) == wanted
    assert not COMPARES.search(made.drafts["report_text"].item())
    said = made.sentences.filter(~pl.col("kind").is_in(["technique", "notice"]))
    assert set(said["claim_keys"].explode()) == set(given["claim_key"])
    assert (said["claim_keys"].list.len() > 0).all()
    if made.drafts["reason"].item() is None:
        kept = made.sentences.filter(linked_by="matched").height
        assert kept + made.removed.height == len(list(sentences_of(text)))
