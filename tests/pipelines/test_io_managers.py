import dagster as dg
import polars as pl
import pytest

from pipelines.runtime import generations as places
from pipelines.runtime.io_managers import ParquetIOManager, check_schema, describe, parquet_io_manager
from pipelines.runtime.metadata import table_out, table_result
from pipelines.runtime.resources import Hospital
from pipelines.runtime.storage import StorageError

BATCHES = dg.DynamicPartitionsDefinition(name="study_batches")
SCHEMA = pl.Schema({"a": pl.Int64})


@dg.multi_asset(
    outs={"rows": table_out(("shards", "rows"), SCHEMA, "rows", layer="corpus")}, partitions_def=BATCHES
)
def rows(context):
    yield table_result(("shards", "rows"), pl.DataFrame({"a": [int(context.partition_key[-1])]}))


@dg.multi_asset(
    ins={"rows": dg.AssetIn(["shards", "rows"])},
    outs={"total": table_out(("shards", "total"), SCHEMA, "total", layer="corpus")},
)
def total(rows):
    assert isinstance(rows, pl.DataFrame)
    yield table_result(("shards", "total"), rows.select(pl.col("a").sum()))


@pytest.mark.parametrize("batches", [["b1"], ["b1", "b2"]])
def test_a_fan_in_is_one_frame_for_one_batch_and_for_two(tmp_path, batches):
    hospital = Hospital(profile="phantom", home=str(tmp_path), key_file="none")
    resources = {"io_manager": ParquetIOManager(hospital=hospital)}
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("study_batches", batches)
        for batch in batches:
            assert dg.materialize([rows], partition_key=batch, instance=instance, resources=resources).success
        assert dg.materialize(
            [rows, total], selection=[total], instance=instance, resources=resources
        ).success
    assert hospital.lake.read_table(("shards", "total"), [None])["a"].item() == sum(
        int(b[-1]) for b in batches
    )


def test_archive_tables_and_quarantine_are_restricted(tmp_path):
    hospital = Hospital(profile="phantom", home=str(tmp_path), key_file="none")
    assert hospital.zone_of(("archive", "files")) == hospital.restricted
    assert hospital.zone_of(("deid", "quarantine")) == hospital.restricted
    assert hospital.zone_of(("deid", "files")) == hospital.lake


@pytest.mark.parametrize(
    ("frame", "named"),
    [
        (pl.DataFrame({"a": ["x"]}), "a"),
        (pl.DataFrame({"a": [1], "b": [2]}), "b"),
        (pl.DataFrame({"c": [1]}), "a, c"),
    ],
)
def test_a_frame_that_breaks_its_schema_is_refused_by_column(frame, named):
    with pytest.raises(StorageError, match=rf"stage/thing breaks its declared schema in: {named}$"):
        check_schema("stage/thing", frame, describe(SCHEMA))


@pytest.mark.parametrize("moves", ["pointer", "pins", "nothing", "first pins"])
def test_a_step_writes_the_generation_it_began_with_or_nothing(tmp_path, moves):
    hospital = Hospital(profile="phantom", home=str(tmp_path), key_file="none")
    lake = hospital.lake.root
    if moves != "first pins":
        places.write_pins(lake, "g1", {"clip/aligned": "1"})

    @dg.multi_asset(outs={"rows": table_out(("retrieval", "rows"), SCHEMA, "rows", layer="findings")})
    def found(hospital: Hospital):
        if moves == "pointer":
            places.serve(lake, "g2")
        elif moves != "nothing":
            places.write_pins(lake, "g1", {"clip/aligned": "2"})
        assert hospital.lake.generation == "g1"
        yield table_result(("retrieval", "rows"), pl.DataFrame({"a": [1]}))

    resources = {"io_manager": parquet_io_manager, "hospital": hospital}
    with dg.DagsterInstance.ephemeral() as instance:
        done = dg.materialize([found], instance=instance, resources=resources, raise_on_error=False)
    assert done.success == (moves in ("nothing", "first pins"))
    assert hospital.lake.generation == ("g2" if moves == "pointer" else "g1"), "held by the step alone"
    for generation in ("g1", "g2"):
        own = Hospital(profile="phantom", home=str(tmp_path), key_file="none", generation=generation)
        there = own.lake.table_path(("retrieval", "rows")).is_file()
        assert there == (done.success and generation == "g1")
