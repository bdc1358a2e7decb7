"""A run that is killed at any moment of any stage, two runs at once, a disk that refuses: the lake stays whole.

Moments are drawn with a fixed seed among all changes of the file system that a stage makes (``crashing``).
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipelines.runtime.storage import folder_version
from tests.conftest import REPO, tiny_profile
from tests.pipelines.hospital_inbox import write_inbox, write_slice

STAGES = ("archive", "deid", "labels", "sequences", "shards")
IDENTIFYING = ("Vandermeulen", "Ottilie", "47110815", "ACC1", "1.2.826.0.1.77")


class Graph:
    """The forking process and the installations that it works on, all with one key and one inbox."""

    def __init__(self, folder: Path) -> None:
        from spine_models.corpus.deid import new_key_file

        self.folder, self.inbox = folder, write_inbox(folder / "inbox")
        self.profile, self.key_file = tiny_profile(folder), folder / "key"
        new_key_file(self.key_file)
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("crashing.py")), str(folder / "empty_log")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=REPO,
            env=os.environ | {"PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "2"},
        )

    def order(self, *orders: dict[str, Any]) -> tuple[list[int], list[dict[str, Any] | None]]:
        """Exit codes and answers of one child per order, all at once; a killed one answers nothing."""
        shared = {
            "profile": str(self.profile),
            "key_file": str(self.key_file),
            "inbox": str(self.inbox),
            "through": "shards",
        }
        answers = [self.folder / f"answer{n}.json" for n in range(len(orders))]
        whole = [shared | o | {"answer": str(a)} for o, a in zip(orders, answers, strict=True)]
        for order, answer in zip(whole, answers, strict=True):
            order["root"] = str(order["root"])
            answer.unlink(missing_ok=True)
        self.process.stdin.write(json.dumps(whole) + "\n")
        self.process.stdin.flush()
        codes = json.loads(self.process.stdout.readline())
        return codes, [json.loads(a.read_text()) if a.exists() else None for a in answers]

    def run(self, root: Path, **more: Any) -> dict[str, Any]:
        """One run that is not killed."""
        (code,), (answer,) = self.order({"root": root} | more)
        assert code == 0
        return answer

    def kill(self, root: Path, stage: str, moment: int) -> None:
        """One run that is killed at a moment of a stage."""
        (code,), _ = self.order({"root": root, "stage": stage, "kill_at": moment})
        assert code == -9, (stage, moment)

    def close(self) -> None:
        with self.process:
            self.process.stdin.close()


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Graph]:
    graph = Graph(tmp_path_factory.mktemp("kills"))
    yield graph
    graph.close()


@pytest.fixture(scope="module")
def undisturbed(graph: Graph) -> tuple[Path, dict[str, int]]:
    """The root of a run that nothing disturbed, and how many moments each stage has."""
    root = graph.folder / "undisturbed"
    answer = graph.run(root)
    assert "moments" in answer, answer.get("error")
    return root, answer["moments"]


def zones(root: Path) -> list[Path]:
    return [root / "tiny" / zone for zone in ("lake", "restricted")]


def visible(root: Path) -> dict[str, str]:
    """What a reader can reach: hash of every table but the ledger, and of every artifact that is pointed to."""
    found = {}
    for zone in zones(root):
        for table in zone.glob("*/*/*.parquet"):
            if table.name.startswith(".") or table.parent.name == "ledger":
                continue
            pl.read_parquet(table)
            found[str(table.relative_to(zone))] = hashlib.sha256(table.read_bytes()).hexdigest()
        for pointer in zone.glob("*/*/*/current.json"):
            version = json.loads(pointer.read_text())["version"]
            folder = pointer.with_name(version)
            card = json.loads((folder / "card.json").read_text())
            assert folder_version(folder) == version == card["version"], "a half-written artifact is visible"
            found[str(pointer.parent.relative_to(zone))] = version + json.dumps(card, sort_keys=True)
    return found


def runs_that_look_alive(root: Path) -> int:
    """Runs that the event log shows as started, in whichever of its files."""
    with closing(sqlite3.connect(root / "tiny" / "dagster" / "history" / "runs.db")) as log:
        return log.execute("SELECT count(*) FROM runs WHERE status = 'STARTED'").fetchone()[0]


def leftovers(root: Path) -> list[str]:
    return [
        str(p.relative_to(root))
        for zone in zones(root)
        for p in zone.rglob("*")
        if p.name.startswith(".") or p.suffix in (".lock", ".partial", ".part")
    ]


def test_every_stage_killed_at_random_moments_ends_in_the_same_bytes(graph, undisturbed, tmp_path):
    """Kills in each stage, each over what the kill before left, then one run to the end."""
    reference, moments = undisturbed
    whole = visible(reference)
    rng = random.Random("moments")
    root = tmp_path / "root"
    for stage in STAGES:
        # Folders that an earlier attempt made are not made again: the last moments may not come.
        kills = 2 if stage in ("deid", "shards") else 1
        for moment in rng.sample(range(1, moments[stage] - 1), kills):
            graph.kill(root, stage, moment)
            assert visible(root).items() <= whole.items(), f"{stage} {moment}: not what a whole run writes"
    assert graph.run(root)["executed"] == [["corpus_through_shards", "internal-0001"]]
    assert visible(root) == whole
    assert leftovers(root) == []
    assert graph.run(root)["executed"] == []
    assert runs_that_look_alive(root) == 0


def test_a_killed_change_is_made_up_for(graph, undisturbed, tmp_path):
    """A file is replaced, another one goes; the run that takes notice dies when the new index is already there."""
    root, inbox = tmp_path / "root", tmp_path / "inbox"
    shutil.copytree(graph.inbox, inbox)
    more = {"inbox": str(inbox)}
    graph.run(root, **more)
    before = visible(root)
    write_slice(inbox / "dicom/1/1_0", patient=1, series=1, index=0, seed=9)
    (inbox / "dicom/2/1_1").unlink()
    codes, _ = graph.order({"root": root, "stage": "deid", "kill_at": 12} | more)
    assert codes == [-9]
    now = visible(root)
    changed = {name for name in before if now[name] != before[name]}
    assert changed
    assert {name.split("/")[0] for name in changed} == {"archive"}
    assert graph.run(root, **more)["executed"] == [["corpus_through_shards", "internal-0001"]]
    after = visible(root)
    assert after["shards/tars/internal-0001"] != before["shards/tars/internal-0001"]
    files = pl.read_parquet(root / "tiny/restricted/archive/files/internal-0001.parquet")
    assert files.filter(pl.col("relative_path") == "dicom/2/1_1")["reason"].to_list() == ["vanished"]
    ledger = pl.read_parquet(root / "tiny/lake/deid/files/internal-0001.parquet")
    assert ledger.filter(pl.col("outcome") == "rejected")["reason"].to_list() == ["vanished"]
    assert graph.run(root, **more)["executed"] == []
    fresh = tmp_path / "fresh"
    graph.run(fresh, **more)
    instances = "lake/deid/instances/internal-0001.parquet"
    assert pl.read_parquet(root / "tiny" / instances).equals(pl.read_parquet(fresh / "tiny" / instances))
    assert leftovers(root) == []


def test_two_runs_of_one_batch_at_once_end_as_one(graph, undisturbed, tmp_path):
    root = tmp_path / "root"
    graph.run(root, through="archive")  # the event log and the partition exist
    codes, answers = graph.order({"root": root}, {"root": root})
    assert codes == [0, 0]
    assert all("error" not in answer for answer in answers)
    assert sorted(len(answer["executed"]) for answer in answers) == [0, 1], "the second one finds it done"
    assert visible(root) == visible(undisturbed[0])
    assert leftovers(root) == []


def test_a_lake_that_may_not_be_written_to_is_named_with_its_remedy(graph, undisturbed, tmp_path):
    root = tmp_path / "root"
    graph.run(root, through="deid")
    before = visible(root)
    lake = root / "tiny" / "lake"
    lake.chmod(0o555)
    answer = graph.run(root, unprivileged=True)
    assert "could not be written: permission is denied" in answer["error"]
    assert "SPINE_ROOT" in answer["error"]
    assert not [word for word in IDENTIFYING if word in json.dumps(answer)]
    assert visible(root) == before
    lake.chmod(0o755)
