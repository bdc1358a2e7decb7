"""From probabilities to typed claims, with sources, and the reason where there are none."""

from __future__ import annotations

import polars as pl
import pytest

from spine_models.domain import condition_keys
from spine_models.reporting.agents import ClaimStatus, Reason
from spine_models.reporting.agents.status import status_of
from spine_models.reporting.agents.tables import CLAIMS

ALL = dict.fromkeys(condition_keys(), 0.9)
T1_T2 = [("T1", "sagittal", "t1"), ("T2", "sagittal", "t2")]


def reasons(claims: pl.DataFrame) -> set[str | None]:
    return set(claims["reason"].to_list())


@pytest.mark.parametrize(
    ("probability", "expected"),
    [
        (0.0, ClaimStatus.ABSENT),
        (0.4, ClaimStatus.ABSENT),
        (0.401, ClaimStatus.INDETERMINATE),
        (0.5, ClaimStatus.INDETERMINATE),
        (0.599, ClaimStatus.INDETERMINATE),
        (0.6, ClaimStatus.PRESENT),
        (1.0, ClaimStatus.PRESENT),
    ],
)
def test_status_by_threshold(probability: float, expected: ClaimStatus) -> None:
    assert status_of(probability, (0.4, 0.6)) == expected


def test_every_study_gets_every_agent_in_order(archive, heads) -> None:
    tables = archive({"b": T1_T2, "a": [("PD", "sagittal", "other")], "c": []})
    claims = tables.diagnose(heads(ALL))
    assert claims.schema == CLAIMS
    assert claims["study_key"].to_list() == ["a"] * 17 + ["b"] * 17 + ["c"] * 17
    assert claims["condition"].to_list() == list(condition_keys()) * 3
    assert claims["claim_key"].n_unique() == 51


def test_a_claim_carries_probability_and_sources_and_no_place(lumbar, heads) -> None:
    claim = lumbar.diagnose(heads({"canal": 0.8}), evidence_slices=1).row(0, named=True)
    assert (claim["condition"], claim["status"], claim["probability"]) == ("canal", "present", 0.8)
    assert claim["confidence"] == pytest.approx(0.6)
    assert (claim["level"], claim["side"], claim["severity"], claim["reason"]) == (None, None, None, None)
    assert (claim["sequence_set"], claim["model_versions"]) == ("all", ["v-t1", "v-t2"])
    assert claim["source_series"] == ["study-s0", "study-s1", "study-s2", "study-s3"]
    assert claim["source_instances"] == [f"study-s{i}-i2" for i in range(4)]
    assert claim["agent_version"] == "3+heads-a"


def test_sources_of_a_study_with_one_route(archive, heads) -> None:
    claim = archive({"a": [("T2", "sagittal", "t2")]}).diagnose(heads(ALL)).row(0, named=True)
    assert (claim["sequence_set"], claim["model_versions"]) == ("t2", ["v-t2"])
    assert claim["source_series"] == ["a-s0"]


def test_condition_without_a_head_is_not_assessed(lumbar, heads) -> None:
    claims = lumbar.diagnose(heads({"canal": 0.8}))
    rest = claims.filter(pl.col("condition") != "canal")
    assert reasons(rest) == {"no trained head: too few positive or negative studies"}
    assert rest["probability"].null_count() == rest["confidence"].null_count() == 16
    assert rest["source_series"].list.len().sum() == rest["source_instances"].list.len().sum() == 0


@pytest.mark.parametrize(
    ("members", "region", "expected"),
    [
        ([("PD", "sagittal", "other"), (None, "axial", "other")], "lumbar", "no T1 or T2 series"),
        ([], "lumbar", "no T1 or T2 series"),
        (T1_T2, "other", "not a spine examination"),
        (T1_T2, "unknown", "the body region could not be determined"),
    ],
)
def test_what_was_examined_decides_first(archive, heads, members, region, expected) -> None:
    stub = heads(ALL)
    claims = archive({"a": members}, region=region).diagnose(stub)
    assert set(claims["status"]) == {"not_assessed"}
    assert reasons(claims) == {expected}
    assert stub.seen == []


def test_no_heads_at_all(lumbar, heads) -> None:
    assert reasons(lumbar.diagnose(None)) == {Reason.NO_HEADS}
    assert reasons(lumbar.diagnose(heads({}))) == {Reason.NO_HEADS}


def test_series_without_a_vector(lumbar, heads) -> None:
    lumbar.vectors = lumbar.vectors.clear()
    assert reasons(lumbar.diagnose(heads(ALL))) == {"no T1 or T2 image could be encoded"}


def test_untrained_encoders_are_left_out(lumbar, heads) -> None:
    both = lumbar.diagnose(heads(ALL), untrained_versions={"v-t1", "v-t2"})
    assert reasons(both) == {"the image encoder is untrained"}
    one = lumbar.diagnose(heads(ALL), untrained_versions={"v-t1"})
    assert set(one["sequence_set"]) == {"t2"}
    assert {tuple(v) for v in one["model_versions"]} == {("v-t2",)}


def test_vectors_of_another_encoder_never_reach_the_heads(archive, heads) -> None:
    tables = archive({"a": T1_T2, "b": T1_T2})
    stale = (pl.col("study_key") == "a") & (pl.col("route") == "t1")
    tables.vectors = tables.vectors.with_columns(
        model_version=pl.when(stale).then(pl.lit("old")).otherwise("model_version")
    )
    stub = heads(ALL)
    claims = tables.diagnose(stub)
    assert claims.filter(study_key="a")["sequence_set"].unique().to_list() == ["t2"]
    assert claims.filter(study_key="b")["sequence_set"].unique().to_list() == ["all"]
    assert "old" not in stub.seen[0]["model_version"].to_list()

    tables.vectors = tables.vectors.with_columns(model_version=pl.lit("old"))
    assert reasons(tables.diagnose(heads(ALL))) == {Reason.OTHER_ENCODER}


def test_routes_that_no_head_reads(archive, heads) -> None:
    t1_only = heads({"canal": 0.9}, model_versions={"t1": "v-t1"})
    claims = archive({"a": [("T2", "sagittal", "t2")]}).diagnose(t1_only)
    by_condition = dict(claims.select("condition", "reason").iter_rows())
    assert by_condition["canal"] == Reason.NO_HEAD_FOR_SEQUENCES
    assert by_condition["edema"] == Reason.NO_HEAD


@pytest.mark.parametrize("probability", [1.2, -0.1, float("nan"), None])
def test_a_broken_probability_is_refused(lumbar, heads, probability) -> None:
    with pytest.raises(ValueError, match="no probability between 0 and 1 for study study"):
        lumbar.diagnose(heads({"canal": probability}))


def test_vectors_without_slices_are_refused(lumbar, heads) -> None:
    lumbar.slices = lumbar.slices.clear()
    with pytest.raises(ValueError, match="but no slices of it"):
        lumbar.diagnose(heads(ALL))


def test_claim_keys_are_stable_and_follow_their_inputs(archive, heads) -> None:
    def keys(version: str = "heads-a", n: int = 5, **settings) -> list[str]:
        tables = archive({"a": T1_T2, "b": T1_T2}, slices_per_series=n)
        return tables.diagnose(heads(ALL, version=version), **settings)["claim_key"].to_list()

    first = keys()
    assert keys() == first
    for other in (keys(version="heads-b"), keys(n=6), keys(indeterminate=(0.3, 0.7))):
        assert not set(other) & set(first)


def test_input_order_does_not_matter(archive, heads) -> None:
    tables = archive({"a": T1_T2, "b": T1_T2})
    first = tables.diagnose(heads(ALL))
    for name in ("studies", "series", "slices", "vectors"):
        setattr(tables, name, getattr(tables, name).reverse())
    assert tables.diagnose(heads(ALL)).equals(first)


def test_no_studies_give_an_empty_table(archive, heads) -> None:
    claims = archive({}).diagnose(heads(ALL))
    assert claims.is_empty()
    assert claims.schema == CLAIMS


def test_an_abstention_is_indeterminate_and_says_why(lumbar, heads, guards) -> None:
    stub = guards(
        {
            "canal": ("present", None),
            "edema": ("abstain", "neither can be ruled out"),
            "cyst": ("absent", None),
            "pars": ("present", None),
            "fracture": ("absent", None),
        }
    )
    chances = {"canal": 0.9, "edema": 0.9, "cyst": 0.1, "pars": 0.1, "fracture": 0.5}
    claims = lumbar.diagnose(heads(chances), guards=stub)
    found = {row["condition"]: (row["status"], row["reason"]) for row in claims.iter_rows(named=True)}
    assert found["canal"] == ("present", None)
    assert found["cyst"] == ("absent", None)
    assert found["edema"] == ("indeterminate", "neither can be ruled out")
    assert found["pars"] == ("indeterminate", Reason.GUARD_DISAGREES)
    assert found["fracture"] == ("indeterminate", Reason.PROBABILITY_UNSURE)
    assert found["herniation"][0] == "not_assessed"
    edema = claims.filter(condition="edema").row(0, named=True)
    assert edema["probability"] == 0.9
    assert edema["source_series"]


def test_a_study_out_of_scope_is_not_assessed(archive, heads, guards) -> None:
    tables = archive({"a": T1_T2, "b": T1_T2})
    stub = guards(dict.fromkeys(condition_keys(), ("present", None)), out=["b"])
    claims = tables.diagnose(heads(ALL), guards=stub)
    assert set(claims.filter(study_key="a")["status"]) == {"present"}
    odd = claims.filter(study_key="b")
    assert set(odd["status"]) == {"not_assessed"}
    assert reasons(odd) == {"the images are unlike those that the agents were trained on"}
    assert odd["probability"].null_count() == 17
    assert odd["source_instances"].list.len().sum() == 0


def test_guards_are_part_of_the_version_and_of_the_key(lumbar, heads, guards) -> None:
    sure = dict.fromkeys(condition_keys(), ("present", None))
    without, one, two = (
        lumbar.diagnose(heads(ALL), guards=given)
        for given in (None, guards(sure), guards(sure, version="guards-b"))
    )
    assert set(one["agent_version"]) == {"3+heads-a+guards-a"}
    keys = [set(claims["claim_key"]) for claims in (without, one, two)]
    assert not keys[0] & keys[1]
    assert not keys[1] & keys[2]
    assert without["status"].equals(one["status"])


def test_guards_of_other_heads_are_refused(lumbar, heads, guards) -> None:
    with pytest.raises(ValueError, match="guards belong to other heads"):
        lumbar.diagnose(heads(ALL), guards=guards({}, heads_version="heads-z"))


def test_series_that_nobody_encoded_are_no_source(archive, heads) -> None:
    tables = archive({"a": T1_T2})
    tables.vectors = tables.vectors.filter(route="t2")
    tables.slices = pl.concat(
        [tables.slices, tables.slices.with_columns(route=pl.lit("other"), series_key=pl.lit("a-sx"))]
    )
    claim = tables.diagnose(heads(ALL)).row(0, named=True)
    assert claim["source_series"] == ["a-s1"]


def test_vectors_of_another_preprocessing_are_not_judged(archive, heads) -> None:
    prepared = heads(ALL, preprocessing_versions={"t1": "newer", "t2": "newer"})
    claims = archive({"a": T1_T2}).diagnose(prepared)
    assert reasons(claims) == {str(Reason.OTHER_ENCODER)}
    assert claims["probability"].null_count() == claims.height == 17


def test_a_study_of_other_sequences_alone_is_read_where_they_are_encoded(archive, heads) -> None:
    tables = archive({"a": T1_T2, "b": [("PD", "sagittal", "other")]})
    own = tables.studies.filter(study_key="b").row(0, named=True)
    encoded = {
        "batch_key": own["batch_key"],
        "patient_key": own["patient_key"],
        "study_key": "b",
        "route": "other",
    }
    encoded |= {"encoder": "synthesizer-gate", "model_version": "v-other", "preprocessing_version": "pp"}
    row = pl.DataFrame([{**encoded, "vector": [0.5, 0.25]}])
    row = pl.DataFrame(
        [{name: row[name][0] if name in row.columns else None for name in tables.vectors.columns}],
        schema=tables.vectors.schema,
    )
    image = tables.slices.head(1).with_columns(
        study_key=pl.lit("b"),
        series_key=pl.lit("b-s0"),
        instance_key=pl.lit("b-s0-i0"),
        route=pl.lit("other"),
    )
    tables.vectors, tables.slices = pl.concat([tables.vectors, row]), pl.concat([tables.slices, image])
    versions = {"t1": "v-t1", "t2": "v-t2", "other": "v-other"}
    claim = tables.diagnose(heads(ALL, model_versions=versions)).filter(study_key="b").row(0, named=True)
    assert (claim["status"], claim["sequence_set"]) == ("present", "other")
    assert claim["source_series"] == ["b-s0"]
    assert claim["model_versions"] == ["v-other"]
