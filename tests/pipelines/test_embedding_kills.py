"""A batch whose embedding is killed in the graph: the next run goes on, and the tables are the same to the bit."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from pipelines.runtime.resources import Hospital
from tests.conftest import REPO

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning:dagster", "ignore:.*torch.distributed.*:UserWarning"
)

BATCH = "internal-0001"
THINGS = ("refreshed", "slices", "series", "studies")


def embed(home: str, profile: str, key_file: str, dies_at: int | None = None) -> int:
    """Run the job for the batch; how many slices it computed. ``dies_at`` kills it in that call of an encoder."""
    from pipelines.definitions import build_defs
    from pipelines.home import open_instance
    from pipelines.runner import Runner
    from spine_models.encoder.backbone.encoder import Encoder

    if dies_at is not None:
        encode, calls = Encoder.encode, []

        def deadly(self: Encoder, images: object) -> object:
            calls.append(1)
            if len(calls) == dies_at:
                os.kill(os.getpid(), signal.SIGKILL)
            return encode(self, images)

        Encoder.encode = deadly
    hospital = Hospital(profile=profile, home=home, key_file=key_file)
    instance = open_instance(Path(home) / "dagster")
    Runner(hospital, build_defs(hospital), instance, print).execute("embeddings_batch", BATCH)
    (record,) = instance.fetch_materializations(dg.AssetKey(["embeddings", "slices"]), limit=1).records
    return int(record.asset_materialization.metadata["computed"].value)


def test_a_killed_embedding_goes_on_from_its_journal(installation, tmp_path):
    home = tmp_path / "home"
    shutil.copytree(installation.hospital.home, home)
    hospital = Hospital(
        profile=installation.hospital.profile, home=str(home), key_file=installation.hospital.key_file
    )
    places = [hospital.lake.table_path(("embeddings", thing), BATCH) for thing in THINGS]
    before = [pl.read_parquet(path) for path in places]
    for path in places:
        path.unlink()
    wanted = before[1].group_by("route").len().sort("route").rows()
    assert [route for route, _ in wanted] == ["other", "t1", "t2"]
    # The synthesizer's one batch and T1's are through; it dies in T2's first.
    arguments = (hospital.home, hospital.profile, hospital.key_file)
    code = (
        "import sys; from tests.pipelines.test_embedding_kills import embed; embed(*sys.argv[1:4], dies_at=2)"
    )
    killed = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=REPO,
        env=os.environ | {"PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    journal = places[1].with_name(f".{BATCH}.parquet.journal")
    assert journal.stat().st_size > 0
    assert not any(path.exists() for path in places)

    assert embed(*arguments) == dict(wanted)["t2"]
    after = [pl.read_parquet(path) for path in places]
    assert [a.equals(b) for a, b in zip(after, before, strict=True)] == [True] * len(THINGS)
    assert not journal.exists()
    assert not list(journal.parent.glob(".*"))
