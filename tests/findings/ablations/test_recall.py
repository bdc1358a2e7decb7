"""Recall of the ablations with numbers that can be counted by hand, by the retrieval's own rules."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from spine_models.config import RetrievalSettings
from spine_models.findings.ablations.recall import LINEAR, OWN, score_recall
from spine_models.findings.ablations.tables import ALIGNED, SCORES, VECTORS
from spine_models.findings.embeddings import aligned_tables
from spine_models.findings.retrieval.pool import RetrievalError
from spine_models.findings.retrieval.studies import gather_studies
from spine_models.findings.retrieval.variants import recall_of_variants

SETTINGS = RetrievalSettings(bootstrap=300)
TEST, TRAIN, VAL = 20, 30, 6


def patients(n: int = TEST) -> list[tuple[str, str, str]]:
    """Patient, study and split; a patient has one study."""
    plan = [("test", n), ("train", TRAIN), ("val", VAL)]
    return [(f"p-{split}{i:02d}", f"s-{split}{i:02d}", split) for split, count in plan for i in range(count)]


def lake(people) -> dict[str, pl.DataFrame]:
    """Reports of the alignment in use, splits and words, all different."""
    rng = np.random.default_rng(7)
    rows = []
    for patient, study, _ in people:
        vector = rng.normal(size=TEST)
        rows.append(
            {
                "batch_key": "b", "patient_key": patient, "study_key": study, "modality": "report",
                "encoder": "clip-tri_modal", "model_version": "c1", "content_hash": "h",
                "vector": (vector / np.linalg.norm(vector)).tolist(),
            }
        )  # fmt: skip
    return {
        "aligned": pl.DataFrame(rows, schema=aligned_tables.ALIGNED),
        "splits": pl.DataFrame([(p, s) for p, _, s in people], schema=["patient_key", "split"], orient="row"),
        "reports": pl.DataFrame(
            {
                "study_key": [s for _, s, _ in people],
                "report_text": [f"FINDINGS: {n}." for n in range(len(people))],
            }
        ),
    }


def beside(variant: str, images: np.ndarray, side: str = "all", question: str = "alignment", version="c1"):
    """Test study n has report e_n and the image given; rows of ablations.ALIGNED."""
    rows = [
        (f"p-test{n:02d}", f"s-test{n:02d}", question, variant, where, version, vector.tolist())
        for where, vectors in ((side, images), ("report", np.eye(len(images))))
        for n, vector in enumerate(vectors)
    ]
    return pl.DataFrame(rows, schema=ALIGNED, orient="row")


def pooled(people, *variants: str, question: str = "alignment", route: str = "t1", dim: int = 4):
    """Rows of ablations.VECTORS that say nothing."""
    rng = np.random.default_rng(3)
    rows = [
        (patient, study, question, variant, route, f"m-{variant}", rng.normal(size=dim).tolist())
        for variant in variants
        for patient, study, _ in people
    ]
    return pl.DataFrame(rows, schema=VECTORS, orient="row")


def at_rank(ranks: list[int]) -> np.ndarray:
    """Unit images [N, N] whose own report e_n comes at that rank among e_0 .. e_N-1."""
    n = len(ranks)
    images = np.zeros((n, n))
    for row, rank in enumerate(ranks):
        others = [column for column in range(n) if column != row]
        for place, column in enumerate([*others[: rank - 1], row, *others[rank - 1 :]]):
            images[row, column] = n - place
    return images / np.linalg.norm(images, axis=1, keepdims=True)


def asked(people, vectors, sides, **changes):
    found = score_recall(vectors, sides, **(lake(people) | changes), settings=SETTINGS)
    assert found.schema == SCORES
    return found


def row(scores: pl.DataFrame, **where: object) -> dict:
    found = scores.filter(**where).to_dicts()
    assert len(found) == 1
    return found[0]


def test_recall_is_what_a_hand_counts_and_the_gain_is_over_the_same_draws():
    people = patients()
    # 16 of 20 among the first five (rank 5 is, rank 6 is not), and 8 of the same 20.
    ours, theirs = [1, 5] * 8 + [6, 9, 19, 20], [2, 6] * 8 + [7, 8, 9, 10]
    sides = pl.concat([beside("tri_modal", at_rank(ours)), beside("concat", at_rank(theirs))])
    scores = asked(people, pooled(people, "tri_modal", "concat", "bi_modal"), sides)
    place = {"measure": OWN, "sequence_set": "all", "evaluation": "test", "question": "alignment"}
    best, other = (row(scores, variant=name, **place) for name in ("tri_modal", "concat"))
    assert (best["value"], other["value"]) == pytest.approx((0.8, 0.4))
    assert (best["is_reference"], other["is_reference"]) == (True, False)
    assert (best["n_studies"], other["n_studies"], other["conditions"]) == (20, 20, None)
    assert other["difference"] == pytest.approx(0.4)
    assert other["relative_gain"] == pytest.approx(1.0)
    assert (best["difference"], best["relative_gain"], best["reason"]) == (None, None, None)
    mine, rival = (np.array(ranks) <= 5 for ranks in (ours, theirs))
    # Every study is of another patient, so a draw of patients is one of queries.
    draws = np.random.default_rng([SETTINGS.seed]).multinomial(20, np.full(20, 1 / 20), size=300)
    of_mine, of_rival = (np.array([np.repeat(hit, n).mean() for n in draws]) for hit in (mine, rival))
    assert (best["low"], best["high"]) == pytest.approx(np.percentile(of_mine, (2.5, 97.5)))
    assert (other["difference_low"], other["difference_high"]) == pytest.approx(
        np.percentile(of_mine - of_rival, (2.5, 97.5))
    )
    gains = of_mine / of_rival - 1
    assert (other["relative_gain_low"], other["relative_gain_high"]) == pytest.approx(
        np.percentile(gains, (2.5, 97.5))
    )


def test_variants_without_a_text_side_say_so_and_are_compared_through_a_map():
    people = patients()
    sides = pl.concat([beside(name, at_rank([1] * TEST)) for name in ("tri_modal", "concat")])
    names = ("tri_modal", "concat", "bi_modal", "plain_concatenation")
    vectors = pooled(people, *names)
    scores = asked(people, vectors, sides)
    place = {"measure": OWN, "sequence_set": "all"}
    for name in ("bi_modal", "plain_concatenation"):
        found = row(scores, variant=name, **place)
        assert (found["value"], found["n_studies"]) == (None, 0)
        assert "no text side" in found["reason"]
        assert LINEAR in found["reason"]
    held = lake(people)
    studies = gather_studies(held["aligned"], [p for p, _, _ in people], dict(held["reports"].rows()))
    split = [dict(held["splits"].rows())[patient] for patient in studies.patient_keys]
    through = recall_of_variants(vectors, studies, split, "tri_modal", "t1", SETTINGS)
    assert {one.variant for one in through} == set(names)
    for one in through:
        found = row(scores, measure=LINEAR, sequence_set="t1", variant=one.variant)
        assert found["value"] is not None
        assert (found["value"], found["low"], found["difference"], found["relative_gain"]) == (
            one.value, one.low, one.difference, one.relative_gain,
        )  # fmt: skip
    # No vectors of T2, so that there is no map.
    assert "no train studies" in row(scores, measure=LINEAR, sequence_set="t2", variant="concat")["reason"]


def test_only_test_patients_ask_and_only_what_every_variant_has():
    people = patients()
    fewer = pl.col("study_key").is_in(["s-test00", "s-test01"])
    theirs = beside("concat", at_rank([1] * TEST)).filter(~(fewer & (pl.col("side") == "all")))
    sides = pl.concat([beside("tri_modal", at_rank([20] * 2 + [1] * 18)), theirs])
    vectors = pooled(people, "tri_modal", "concat")
    found = row(asked(people, vectors, sides), measure=OWN, sequence_set="all", variant="tri_modal")
    # The two that nobody finds have no image of the other variant: neither asked nor in the gallery.
    assert (found["n_studies"], found["value"]) == (18, 1.0)
    elsewhere = lake(people)["splits"].with_columns(
        split=pl.when(pl.col("patient_key").is_in(["p-test02", "p-test03"]))
        .then(pl.lit("train"))
        .otherwise("split")
    )
    found = row(
        asked(people, vectors, sides, splits=elsewhere), measure=OWN, sequence_set="all", variant="tri_modal"
    )
    assert found["n_studies"] == 16


def test_a_study_of_the_same_patient_or_with_the_same_words_is_no_rival():
    people = patients()
    # The sixth place of every odd study: without its even neighbour, which comes before it, the fifth.
    ranks = [1 if n % 2 == 0 else 6 for n in range(TEST)]
    images = np.zeros((TEST, TEST))
    for n, rank in enumerate(ranks):
        before = [n - 1, *[m for m in range(TEST) if m not in (n, n - 1)]] if n % 2 else []
        for place, column in enumerate([*before[: rank - 1], n, *before[rank - 1 :]]):
            images[n, column] = TEST - place
    images /= np.linalg.norm(images, axis=1, keepdims=True)
    sides = pl.concat([beside("tri_modal", images), beside("concat", images)])
    vectors = pooled(people, "tri_modal", "concat")
    place = {"measure": OWN, "sequence_set": "all", "variant": "tri_modal"}
    assert row(asked(people, vectors, sides), **place)["value"] == pytest.approx(0.5)

    words = lake(people)["reports"].with_columns(
        report_text=pl.Series([f"FINDINGS: {n // 2}." for n in range(len(people))])
    )
    assert row(asked(people, vectors, sides, reports=words), **place)["value"] == 1.0

    twins = [(f"p-test{int(s[-2:]) // 2:02d}" if split == "test" else p, s, split) for p, s, split in people]
    of_twins = {study: patient for patient, study, _ in twins}
    moved = sides.with_columns(patient_key=pl.col("study_key").replace_strict(of_twins))
    assert row(asked(twins, pooled(twins, "tri_modal", "concat"), moved), **place)["value"] == 1.0


def test_gates_are_asked_on_the_other_series_alone():
    people = patients()
    sides = pl.concat(
        [
            beside("conditional", at_rank([1] * 10 + [9] * 10), "other", "synthesizer"),
            beside("scalar", at_rank([9] * TEST), "other", "synthesizer"),
        ]
    )
    names = ("conditional", "scalar", "t1_only", "t2_only", "concatenation")
    scores = asked(people, pooled(people, *names, question="synthesizer", route="other"), sides)
    assert scores["sequence_set"].unique().to_list() == ["other"]
    assert scores["evaluation"].unique().to_list() == ["test"]
    assert row(scores, measure=OWN, variant="conditional")["value"] == pytest.approx(0.5)
    nothing = row(scores, measure=OWN, variant="scalar")
    assert (nothing["value"], nothing["difference"], nothing["relative_gain"]) == (0.0, 0.5, None)
    assert "nothing" in nothing["reason"]
    assert row(scores, measure=OWN, variant="t1_only")["value"] is None
    assert scores.filter(pl.col("measure") == LINEAR)["value"].null_count() == 0


def test_without_the_reference_beside_the_reports_there_is_no_value():
    people = patients()
    sides = beside("concat", at_rank([1] * TEST))
    scores = asked(people, pooled(people, "tri_modal", "concat"), sides).filter(pl.col("measure") == OWN)
    assert scores["value"].null_count() == scores.height == 6
    reasons = {r["variant"]: r["reason"] for r in scores.to_dicts()}
    assert "tri_modal, which is in use, has no text side" in reasons["concat"]
    lone = asked(people, pooled(people, "tri_modal"), beside("tri_modal", at_rank([1] * TEST)))
    assert lone.is_empty()


def test_two_models_or_two_splits_are_refused():
    people = patients()
    vectors = pooled(people, "tri_modal", "concat")
    one = beside("tri_modal", at_rank([1] * TEST))
    first, second = (beside("concat", at_rank([1] * TEST), version=version) for version in ("m1", "m2"))
    mixed = pl.concat([first[:3], second[3:]])
    with pytest.raises(RetrievalError, match="two models: materialise ablations/aligned"):
        asked(people, vectors, pl.concat([one, mixed]))
    twice = lake(people)["splits"]
    twice = pl.concat([twice, twice[:1].with_columns(split=pl.lit("train"))])
    with pytest.raises(RetrievalError, match="two splits"):
        asked(people, vectors, one, splits=twice)


def test_variants_of_another_alignment_than_the_one_in_use_are_refused():
    people = patients()
    older = beside("tri_modal", at_rank([1] * TEST), version="c0")
    refusal = "tri_modal is of version c0, embeddings/aligned of c1: materialise ablations/vectors again"
    with pytest.raises(RetrievalError, match=refusal):
        asked(people, pooled(people, "tri_modal", "concat"), older)
