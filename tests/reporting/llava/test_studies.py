"""From tables to studies: whose report is shown, what a line says, which tables are refused."""

from __future__ import annotations

import polars as pl
import pytest

from spine_models.domain import condition_keys
from spine_models.findings.retrieval.tables import NEIGHBOURS
from spine_models.reporting.agents.serialised import parse
from spine_models.reporting.agents.tables import CLAIMS
from spine_models.reporting.llava.fitness import units_of_line
from spine_models.reporting.llava.images import LlavaDataError
from spine_models.reporting.llava.packed import IMAGES, pack, unpack
from spine_models.reporting.llava.studies import agents_of, encoders_of, known_line, report_studies
from tests.reporting.llava.learning import claim, study

TARGET = "FINDINGS:\nSevere spinal canal stenosis at L4-L5. Possible fracture of L2. No marrow edema."


def claims(study_key="a", version="v1", **present):
    there = {"status": "present", "affirmed": True, "certainty": "definite"}
    rows = [
        claim(c, **(there if c in present else {})) | {"study_key": study_key, "agent": f"diagnosis/{c}"}
        for c in condition_keys()
    ]
    return pl.DataFrame([r | {"agent_version": version} for r in rows], schema_overrides=CLAIMS).select(
        "study_key", "condition", "agent", "agent_version", "status", "affirmed", "certainty", "places", "level",
        "side", "severity",
    )  # fmt: skip


def neighbours(*rows):
    names = ["study_key", "rank", "neighbour_study_key", "neighbour_patient_key"]
    return pl.DataFrame(list(rows), schema={n: NEIGHBOURS[n] for n in names}, orient="row")


def frame(**texts):
    rows = [(key, f"FINDINGS:\n{text}") for key, text in texts.items()]
    return pl.DataFrame(rows, schema=["study_key", "report_text"], orient="row")


def one(near, shown=("pb", "pc"), **more):
    wanted = pl.DataFrame([("a", "pa")], schema=["study_key", "patient_key"], orient="row")
    reports = frame(
        a="No fracture.",
        a2="Own older report of it.",
        b="Marrow edema at L1.",
        c="Canal stenosis at L4-L5.",
        e="",
    )
    given = {"images": {}, "reports": reports, "claims": claims(), "neighbours": near, "may_be_shown": shown}
    return report_studies(wanted, **(given | more))[0]


def test_the_similar_report_is_of_another_patient_who_may_be_shown():
    near = neighbours(
        ("a", 1, "a2", "pa"),
        ("a", 2, "d", "pd"),
        ("a", 3, "e", "pb"),
        ("a", 5, "b", "pb"),
        ("a", 4, "c", "pc"),
    )
    found = one(near)
    assert (found.similar_study, found.similar_patient) == ("c", "pc")
    assert "Canal stenosis" in found.similar
    assert one(near, shown=("pb",)).similar_study == "b"
    assert one(near, shown=("pa",)).similar == ""
    assert one(neighbours()).similar_study is None


def test_a_study_stays_whatever_it_lacks():
    found = one(neighbours(), reports=frame(), claims=claims("z"))
    assert (found.images, found.target, found.known, found.agents) == (None, "", "", "")
    assert found.study_key == "a"


def test_what_a_report_says_as_a_line():
    said = {entry.condition: entry for entry in parse(known_line(TARGET))}
    assert str(said["canal"]) == "canal<|present|> L4-L5 severe"
    assert str(said["fracture"]) == "fracture<|possible|> L2"
    assert said["edema"].token == said["cyst"].token == "<|absent|>"


def test_of_what_a_report_is_silent_the_line_says_what_the_agents_say():
    rows = claims().with_columns(
        status=pl.when(pl.col("condition").is_in(["cyst", "edema"]))
        .then(pl.lit("not_assessed"))
        .otherwise("status")
    )
    said = {e.condition: e.token for e in parse(known_line(TARGET, rows.to_dicts()))}
    assert said["cyst"] == "<|not_assessed|>"
    assert said["edema"] == "<|absent|>"  # the report denies it


def test_what_the_agents_affirm_is_no_part_of_what_a_report_is_silent_of():
    said = {e.condition: e.token for e in parse(known_line(TARGET, claims(cyst=1).to_dicts()))}
    assert said["cyst"] == "<|absent|>"


def test_a_line_and_its_text_are_the_same_units():
    assert [(u.condition, u.level, u.severity, u.certainty) for u in units_of_line(known_line(TARGET))] == [
        ("canal", "L4-L5", "severe", "definite"),
        ("fracture", "L2", None, "possible"),
    ]


def test_claims_by_several_versions_of_an_agent_are_refused():
    mixed = pl.concat([claims("a"), claims("b", version="v2")])
    with pytest.raises(LlavaDataError, match="several versions"):
        one(neighbours(), claims=mixed)
    with pytest.raises(LlavaDataError, match="agents/claims"):
        agents_of(mixed)
    assert agents_of(claims())["diagnosis/canal"] == "v1"


def test_vectors_of_several_encoders_are_refused():
    rows = [("t1", "e", "m1", "p"), ("t2", "e", "m2", "p"), ("t1", "e", "m1", "p")]
    schema = ["route", "encoder", "model_version", "preprocessing_version"]
    assert encoders_of(pl.DataFrame(rows, schema=schema, orient="row")) == {
        "t1": ["e", "m1", "p"],
        "t2": ["e", "m2", "p"],
    }
    with pytest.raises(LlavaDataError, match="embed"):
        encoders_of(pl.DataFrame([*rows, ("t1", "e", "m3", "p")], schema=schema, orient="row"))


def test_two_reports_of_a_study_are_refused():
    with pytest.raises(LlavaDataError, match="two report texts"):
        one(neighbours(), reports=pl.concat([frame(a="x"), frame(a="y")]))


def test_items_that_ask_for_a_report_are_left_to_the_report_s_own_prompts():
    shape = {"turns": [], "question": "Q", "answer": "A", "options": None, "correct": None, "study_key": "a"}
    items = pl.DataFrame([shape | {"kind": "short"}, shape | {"kind": "report"}])
    assert len(one(neighbours(), items=items).items) == 1


def test_images_come_back_as_they_were_packed():
    held = {s.study_key: s.images for s in (study(3), study(0))}
    table = pack(held)
    assert table.schema == IMAGES
    back = unpack(table)
    assert list(back) == sorted(held)
    for key, images in held.items():
        assert back[key].slice_keys == images.slice_keys
        for name in ("vectors", "route", "plane", "contrast", "series", "position", "offset_mm"):
            had, has = getattr(images, name), getattr(back[key], name)
            assert had.dtype == has.dtype, name
            assert had.tobytes() == has.tobytes(), name
    assert unpack(pack({})) == {}
