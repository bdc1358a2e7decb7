"""What a training may read: the frozen manifest, its tars, the slices in them and their studies' reports.

Belongs here: from the manifest to files and frames, and the proof that they are what was frozen. Does not belong here:
freezing (``spine_models.corpus.shards``), what became of a training (``provenance``).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import dagster as dg
import polars as pl

from pipelines.runtime.resources import Hospital
from pipelines.runtime.storage import StorageError, content_version
from pipelines.runtime.training import INPUT_SUFFIX
from spine_models.corpus.deid.tables import REPORTS
from spine_models.corpus.shards.tables import SLICES

TARS: Final = ("shards", "tars")
HASHES: Final = "tar_hashes.json"
FROZEN: Final = {"manifest": dg.AssetIn(["shards", "manifest"]), "ledger": dg.AssetIn(["shards", "patients"])}
"""What every training may see, and whom. Shards are read as the manifest names them and are no dependency of their own:
a new batch would make every model look out of date."""


ALIGNED: Final = (
    "patient_key", "study_key", "series_key", "slice_key", "slice_index", "route", "plane", "split", "pixel_hash",
    "preprocessing_version",
)  # fmt: skip
"""What a training that reads studies is told of every slice, beside its shard."""


def tars_of(hospital: Hospital, manifest: pl.DataFrame) -> list[str]:
    """Absolute paths of the manifest's tars, in its order, each proved to be what was frozen.

    A tar is read for its hash once per published version; ``note_frozen`` spares that too.

    Raises:
        StorageError: a tar is gone, or was written anew since the freeze.
    """
    roots = hospital.artifacts(TARS, manifest["batch_key"].unique().sort().to_list())
    known = _hashes(hospital)
    before = len(known)
    paths = []
    for batch, shard, sha256 in manifest.select("batch_key", "shard", "sha256").rows():
        path = roots[batch] / shard if batch in roots else None
        if path is not None and path.is_file():
            name = _name(batch, roots[batch], shard)
            if name not in known:
                known[name] = _sha256(path)
            if known[name] == sha256:
                paths.append(str(path))
                continue
        raise StorageError(
            f"{shard} of batch {batch} is no longer what the manifest froze: freeze again (job `freeze`, or "
            "`spineagent run INBOX --through STAGE --retrain`), then train"
        )
    if len(known) > before:
        _remember(hospital, known)
    return paths


def note_frozen(hospital: Hospital, manifest: pl.DataFrame) -> None:
    """Remember the hashes that a freeze has just computed of the published tars."""
    roots = hospital.artifacts(TARS, manifest["batch_key"].unique().sort().to_list())
    rows = manifest.select("batch_key", "shard", "sha256").rows()
    _remember(hospital, {_name(batch, roots[batch], shard): sha256 for batch, shard, sha256 in rows})


def frozen_slices(hospital: Hospital, manifest: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """Rows of the slice index that lie in the manifest's tars: ``columns``, batch_key and shard of them."""
    wanted = sorted({*columns, "batch_key", "shard"})
    slices = _of_batches(hospital, ("shards", "slices"), SLICES, manifest, wanted)
    return slices.join(manifest.select("batch_key", "shard"), on=["batch_key", "shard"], how="semi")


def _of_batches(
    hospital: Hospital,
    key: tuple[str, str],
    schema: pl.Schema,
    manifest: pl.DataFrame,
    columns: list[str] | None = None,
) -> pl.DataFrame:
    """A table of the manifest's batches; no rows where there are none."""
    batches = manifest["batch_key"].unique().sort().to_list()
    if not batches:
        return pl.DataFrame(schema=schema).select(columns or pl.all())
    return hospital.lake.read_table(key, batches, columns=columns)


def study_reports(hospital: Hospital, manifest: pl.DataFrame) -> pl.DataFrame:
    """study_key and report_text of the manifest's batches; several reports of a study one after the other."""
    reports = _of_batches(hospital, ("deid", "reports"), REPORTS, manifest)
    texts = pl.col("report_text").sort_by("report_key").str.join("\n\n")
    return reports.group_by("study_key").agg(texts).sort("study_key")


def aligned_inputs(hospital: Hospital, manifest: pl.DataFrame) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a training that reads studies and reports is given, and the parents that make it this training.

    The slice vectors lie beside the trainings, one folder that is replaced when slices or encoders change.

    Raises:
        StorageError: a tar of the manifest was written anew since the freeze.
    """
    tars_of(hospital, manifest)  # refuses where the index below is of other tars than were frozen
    slices = frozen_slices(hospital, manifest, ALIGNED)
    reports = study_reports(hospital, manifest).join(slices, on="study_key", how="semi")
    encoders = hospital.newest_encoders()
    batches = manifest["batch_key"].unique().sort().to_list()
    folder = hospital.training_folder(("clip", "inputs"), None, {}, code_version="1")
    inputs: dict[str, Any] = handed_over(folder, slices=slices, reports=reports)
    inputs["shards"] = {batch: str(root) for batch, root in hospital.artifacts(TARS, batches).items()}
    inputs["encoders"] = {route: str(root) for route, root in encoders.items()}
    inputs["vectors"] = str(folder / "vectors")
    parents = {
        "encoders": {route: root.name for route, root in encoders.items()},
        "shards": manifest["sha256"].sort().to_list(),
        "reports": content_version(reports),
    }
    return inputs, parents


def handed_over(folder: Path, **frames: pl.DataFrame) -> dict[str, str]:
    """Write frames for a training process to read; paths by name."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {name: folder / f"{name}{INPUT_SUFFIX}" for name in frames}
    for name, frame in frames.items():
        frame.write_parquet(paths[name])
    return {name: str(path) for name, path in paths.items()}


def _name(batch: str, root: Path, shard: str) -> str:
    """A tar of a published version; a version never changes."""
    return f"{batch}/{root.name}/{shard}"


def _hashes(hospital: Hospital) -> dict[str, str]:
    file = hospital.training_root / HASHES
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def _remember(hospital: Hospital, hashes: dict[str, str]) -> None:
    folder = hospital.training_root
    folder.mkdir(parents=True, exist_ok=True)
    aside = folder / f".{HASHES}.{os.getpid()}"
    aside.write_text(json.dumps(hashes, indent=0, sort_keys=True) + "\n", encoding="utf-8")
    os.replace(aside, folder / HASHES)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
