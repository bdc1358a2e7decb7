"""One folder without the graph: routes, and what a study may lack."""

from __future__ import annotations

import shutil
from collections import defaultdict
from pathlib import Path

import polars as pl
import pytest

from pipelines.runtime.resources import SYNTHESIZER, Hospital
from pipelines.study import VECTORS, embed_study
from spine_models.domain import ROUTE_OF_CONTRAST

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning:dagster", "ignore:.*torch.distributed.*:UserWarning"
)


@pytest.fixture(scope="module")
def series(installation) -> pl.DataFrame:
    """series_instance_uid, contrast and route of what the phantom planted."""
    planted = pl.read_csv(installation.truth / "series.csv", infer_schema_length=None)
    routes = {str(contrast): str(route) for contrast, route in ROUTE_OF_CONTRAST.items()}
    return planted.with_columns(route=pl.col("contrast").replace_strict(routes, default=None))


@pytest.fixture(scope="module")
def files(installation) -> dict[str, list[Path]]:
    """Released images by Series Instance UID."""
    told = pl.read_csv(installation.truth / "files.csv", infer_schema_length=None)
    images = told.filter(
        pl.col("relative_path").str.starts_with("dicom/") & (pl.col("expected") == "released")
    )
    found: dict[str, list[Path]] = defaultdict(list)
    for path, uid in images.select("relative_path", "series_instance_uid").rows():
        found[uid].append(installation.inbox / path)
    return found


def folder_of(files: dict[str, list[Path]], uids: pl.Series, folder: Path) -> Path:
    """A folder with the images of some series and nothing else."""
    folder.mkdir()
    paths = [path for uid in uids for path in files.get(uid, [])]
    assert paths
    for n, path in enumerate(paths):
        shutil.copy2(path, folder / f"{n}.dcm")
    return folder


def routes(vectors: pl.DataFrame) -> set[str]:
    assert vectors.schema == VECTORS
    return set(vectors.filter(pl.col("unit") == "study")["route"])


def test_a_study_without_t1_and_t2_is_embedded_by_the_synthesizer(installation, series, files, tmp_path):
    others = series.filter((pl.col("route") == "other") & (pl.col("contrast") != "localizer"))
    folder = folder_of(files, others["series_instance_uid"], tmp_path / "in")
    vectors, without = embed_study(installation.hospital, folder)
    assert without == []
    assert routes(vectors) == {"other"}
    assert set(vectors["encoder"]) == {"synthesizer-conditional"}


def test_one_series_is_a_study(installation, series, files, tmp_path):
    one = series.filter(pl.col("contrast") == "T1")["series_instance_uid"].head(1)
    vectors, _ = embed_study(installation.hospital, folder_of(files, one, tmp_path / "in"))
    assert vectors.filter(pl.col("unit") != "slice").select("unit", "route").rows() == [
        ("study", "t1"),
        ("series", "t1"),
    ]


def test_localizers_alone_have_no_vectors_and_break_nothing(installation, series, files, tmp_path):
    localizers = series.filter(pl.col("contrast") == "localizer")["series_instance_uid"].head(1)
    vectors, _ = embed_study(installation.hospital, folder_of(files, localizers, tmp_path / "in"))
    assert (vectors.schema, vectors.height) == (VECTORS, 0)


@pytest.mark.parametrize("state", ["absent", "untrained", "damaged"])
def test_a_dead_synthesizer_costs_route_other_alone(
    installation, series, files, tmp_path, monkeypatch, state
):
    dead = tmp_path / "synthesizer"
    if state == "damaged":
        shutil.copytree(installation.hospital.current(SYNTHESIZER), dead)
        (dead / "synthesizer.safetensors").write_bytes(b"no tensors")
    else:
        dead.mkdir()
    monkeypatch.setattr(Hospital, "synthesizer", lambda _: None if state == "absent" else dead)
    some = pl.concat(
        series.filter(pl.col("route") == route, pl.col("contrast") != "localizer")[
            "series_instance_uid"
        ].head(1)
        for route in ("t1", "t2", "other")
    )
    vectors, without = embed_study(installation.hospital, folder_of(files, some, tmp_path / "in"))
    assert routes(vectors) == {"t1", "t2"}
    reasons = {"absent": "has been made", "untrained": "was not trained", "damaged": "cannot be opened"}
    (line,) = without
    assert line.startswith("1 series of route other: ")
    assert reasons[state] in line
