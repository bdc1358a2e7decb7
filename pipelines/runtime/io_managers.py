"""The Parquet I/O manager: polars in and out, one file per asset and partition, a fan-in is one frame.

Belongs here: how a table crosses the graph. Does not belong here: artifact folders (``storage``).
"""

import dagster as dg
import polars as pl
from dagster import InputContext, OutputContext

from pipelines.runtime.resources import Hospital
from pipelines.runtime.storage import StorageError, content_version
from sql.generations import GENERATION_STAGES

SCHEMA_KEY = "spine/schema"


@dg.io_manager(required_resource_keys={"hospital"})  # type: ignore[misc, arg-type]
def parquet_io_manager(context: dg.InitResourceContext) -> "ParquetIOManager":
    """Of the hospital as the step holds it, with one generation from its beginning to its end."""
    return ParquetIOManager(context.resources.hospital)


class ParquetIOManager(dg.IOManager):
    """Stores frames in the zone of their asset key and refuses a frame that breaks its declared schema.

    A plain I/O manager that is handed its hospital: a nested Dagster resource would initialise through an API
    that Dagster itself has deprecated.
    """

    def __init__(self, hospital: Hospital) -> None:
        self.hospital = hospital

    def handle_output(self, context: OutputContext, obj: pl.DataFrame) -> None:
        """Write one frame.

        Raises:
            GenerationError: another generation is served than when the step began.
            StorageError: columns or types differ from the declared ones (names asset and columns).
        """
        key = context.asset_key.path
        declared = (context.definition_metadata or {}).get(SCHEMA_KEY)
        if declared is not None:
            check_schema("/".join(key), obj, getattr(declared, "data", declared))
        partition = context.asset_partition_key if context.has_asset_partitions else None
        if key[0] in GENERATION_STAGES:
            self.hospital.refuse_if_moved()
        self.hospital.zone_of(key).write_table(key, partition, obj)
        metadata: dict[str, object] = {
            "dagster/row_count": obj.height,
            "content_version": content_version(obj),
        }
        if key[0] in GENERATION_STAGES:
            metadata |= {"generation": self.hospital.lake.generation, "models": self.hospital.models_version}
        context.add_output_metadata(metadata)

    def load_input(self, context: InputContext) -> pl.DataFrame:
        """Read one frame: of the mapped partitions, one or many, or of the whole asset."""
        key = context.asset_key.path
        partitions = sorted(context.asset_partition_keys) if context.has_asset_partitions else [None]
        return self.hospital.zone_of(key).read_table(key, partitions)


def describe(schema: pl.Schema) -> list[list[str]]:
    """A schema as JSON: ``[[name, type], ...]``."""
    return [[name, str(dtype)] for name, dtype in schema.items()]


def check_schema(asset: str, frame: pl.DataFrame, declared: list[list[str]]) -> None:
    """Compare a frame with ``describe(schema)``.

    Raises:
        StorageError: naming the asset and the columns that differ.
    """
    expected = dict(map(tuple, declared))
    found = {name: str(dtype) for name, dtype in frame.schema.items()}
    differing = sorted(
        name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)
    )
    if differing or list(expected) != list(found):
        raise StorageError(f"{asset} breaks its declared schema in: {', '.join(differing) or 'column order'}")
