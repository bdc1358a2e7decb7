"""A step publishes findings into the generation that it began with, or nothing: tables and artifacts alike."""

import dagster as dg
import polars as pl
import pytest

from pipelines.runtime import generations
from pipelines.runtime.generations import GenerationError
from pipelines.runtime.io_managers import ParquetIOManager
from pipelines.runtime.resources import Hospital

ENCODER = "backbone/anchored/t1"
ARTIFACTS = [
    (("probes", "heads"), None),
    (("probes", "guards"), None),
    (("retrieval", "index"), None),
    (("localization", "models"), None),
    (("reports", "pages"), "b1"),
]


@pytest.fixture
def hospital(tmp_path):
    found = Hospital(profile="phantom", home=str(tmp_path), key_file="")
    generations.write_pins(found.lake.root, "g1", {ENCODER: "1" * 16})
    generations.write_pins(found.lake.root, "g2", {ENCODER: "2" * 16})
    return found


def begun(hospital):
    """The resource as a step holds it."""
    own = hospital.model_copy()
    own.setup_for_execution(dg.build_init_resource_context())
    return own


def switched(hospital):
    generations.serve(hospital.lake.root, "g2")


def moved(hospital):
    generations.write_pins(hospital.lake.root, "g1", {ENCODER: "3" * 16})


def published(step, key, partition, meanwhile=lambda: None, content="new"):
    with step.draft(key, partition) as draft:
        (draft.folder / "file").write_text(content)
        meanwhile()


@pytest.mark.parametrize("change", [switched, moved])
@pytest.mark.parametrize(("key", "partition"), ARTIFACTS)
def test_an_artifact_whose_generation_moved_meanwhile_is_not_published(hospital, key, partition, change):
    published(begun(hospital), key, partition, content="old")
    with pytest.raises(GenerationError, match=r"generation g1 was switched away from.*run it again"):
        published(begun(hospital), key, partition, lambda: change(hospital))
    for name in ("g1", "g2"):
        own = Hospital(profile="phantom", home=hospital.home, key_file="", generation=name)
        assert own.lake.has_artifact(key, partition) == (name == "g1")
    first = Hospital(profile="phantom", home=hospital.home, key_file="", generation="g1")
    assert (first.current(key, partition) / "file").read_text() == "old"
    assert first.lake.card(key, partition)["asset"] == "/".join(key)
    assert not list((hospital.restricted.root / "staging").glob(".draft-*"))


def test_a_step_of_one_generation_of_its_own_goes_on_while_another_one_is_served(hospital):
    own = begun(Hospital(profile="phantom", home=hospital.home, key_file="", generation="g2"))
    published(own, ("probes", "heads"), None, lambda: generations.serve(hospital.lake.root, "g2"))
    assert own.lake.has_artifact(("probes", "heads"))
    assert not hospital.model_copy(update={"generation": "g1"}).lake.has_artifact(("probes", "heads"))


def test_models_that_are_pinned_for_the_first_time_stop_nothing(hospital):
    def pin():
        pins = {ENCODER: "1" * 16, "clip/aligned": "4" * 16}
        generations.write_pins(hospital.lake.root, "g1", pins)

    published(begun(hospital), ("probes", "heads"), None, pin)
    assert hospital.lake.has_artifact(("probes", "heads"))


def test_what_is_of_no_generation_is_published_whatever_is_served(hospital):
    published(begun(hospital), ("shards", "tars"), "b1", lambda: switched(hospital))
    assert hospital.lake.has_artifact(("shards", "tars"), "b1")


def test_a_table_whose_generation_moved_meanwhile_is_not_written(hospital):
    step = begun(hospital)
    switched(hospital)
    context = dg.build_output_context(asset_key=dg.AssetKey(["probes", "metrics"]))
    with pytest.raises(GenerationError, match="run it again"):
        ParquetIOManager(step).handle_output(context, pl.DataFrame({"a": [1]}))
    assert not step.lake.table_path(("probes", "metrics")).exists()
