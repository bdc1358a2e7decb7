"""A disk that is full, closed or slow to two writers: what was there stays, what failed is named with its remedy."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pipelines.runtime.locks import exclusive, if_free
from pipelines.runtime.storage import StorageError, Zone, folder_version
from tests.conftest import REPO

KEY = ("stage", "thing")
BIG = pl.DataFrame({"a": np.random.default_rng(0).random(50_000)})
SMALL = pl.DataFrame({"a": [1.0]})


@contextmanager
def file_limit(size: int) -> Iterator[None]:
    """Files of this process cannot grow beyond ``size`` bytes, in whatever language they are written."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def refusing(monkeypatch, name: str, number: int, when=lambda path: True) -> None:
    """``os.<name>`` fails with an error number on the paths that match."""
    real = getattr(os, name)

    def refuse(path, *rest, **more):
        if when(str(path)):
            raise OSError(number, os.strerror(number), str(path))
        return real(path, *rest, **more)

    monkeypatch.setattr(os, name, refuse)


def litter(zone: Zone) -> list[str]:
    return [p.name for p in zone.root.rglob("*") if p.name.startswith(".")]


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EROFS, "read-only"),
        (errno.EDQUOT, "quota"),
        (errno.EACCES, "denied"),
    ],
)
def test_a_table_that_cannot_be_renamed_into_place_leaves_the_old_one(tmp_path, monkeypatch, number, remedy):
    zone = Zone(tmp_path / "lake")
    zone.write_table(KEY, "b", SMALL)
    refusing(monkeypatch, "replace", number)
    with pytest.raises(StorageError, match=rf"stage/thing \[b\] could not be written: .*{remedy}") as error:
        zone.write_table(KEY, "b", BIG)
    assert str(tmp_path) not in str(error.value)
    assert error.value.__cause__ is None
    monkeypatch.undo()
    assert zone.read_table(KEY, ["b"]).equals(SMALL)
    assert litter(zone) == []
    zone.write_table(KEY, "b", BIG)
    assert zone.read_table(KEY, ["b"]).equals(BIG)


def test_a_table_that_does_not_fit_is_named_with_its_remedy(tmp_path):
    """The limit is the operating system's, met inside polars, whose errors are not OSErrors."""
    zone = Zone(tmp_path / "lake")
    zone.write_table(KEY, "b", SMALL)
    with (
        file_limit(8192),
        pytest.raises(StorageError, match="could not be written: the file would be larger"),
    ):
        zone.write_table(KEY, "b", BIG)
    assert zone.read_table(KEY, ["b"]).equals(SMALL)
    assert litter(zone) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_polars_says_in_its_text_that_a_device_is_full():
    with pytest.raises(pl.exceptions.ComputeError, match=r"\(os error 28\)"):
        BIG.write_parquet("/dev/full")


@pytest.mark.parametrize("step", ["body", "replace", "pointer"])
def test_an_artifact_that_does_not_fit_leaves_the_version_before(tmp_path, monkeypatch, step):
    zone, aside = Zone(tmp_path / "lake"), tmp_path / "restricted" / "staging"
    with zone.draft(KEY, "b", aside=aside) as draft:
        (draft.folder / "x").write_bytes(b"1")
    before = zone.current(KEY, "b")
    if step == "replace":
        refusing(monkeypatch, "replace", errno.ENOSPC, lambda path: ".draft-" in Path(path).name)
    elif step == "pointer":
        refusing(monkeypatch, "replace", errno.ENOSPC, lambda path: ".current" in path)
    remedy = r"the disk is full|file would be larger"
    with pytest.raises(StorageError, match=remedy) as error, zone.draft(KEY, "b", aside=aside) as draft:
        (draft.folder / "x").write_bytes(b"2")
        if step == "body":
            with file_limit(10_000):
                (draft.folder / "y").write_bytes(b"2" * 20_000)
    assert str(tmp_path) not in str(error.value)
    monkeypatch.undo()
    assert zone.current(KEY, "b") == before
    assert folder_version(before) == before.name
    assert litter(zone) == []
    assert list(aside.iterdir()) == []


def test_a_closed_lake_is_found_before_the_work_and_not_after_it(tmp_path, monkeypatch):
    zone = Zone(tmp_path / "lake")
    refusing(monkeypatch, "mkdir", errno.EROFS, lambda path: "stage" in path)
    began = False
    closed = pytest.raises(StorageError, match="mount it for writing")
    with closed, zone.draft(KEY, "b", aside=tmp_path / "staging"):
        began = True
    assert not began


def test_equal_content_published_again_is_never_away(tmp_path, monkeypatch):
    """A reader holds the version open while the same bytes are published again with another card."""
    zone = Zone(tmp_path)
    for note in ("one", "two"):
        with zone.draft(KEY) as draft:
            (draft.folder / "x").write_bytes(b"same")
            draft.card = {"note": note}
        if note == "one":
            held = (zone.current(KEY) / "x").stat().st_ino
    assert (zone.current(KEY) / "x").stat().st_ino == held
    assert zone.card(KEY)["note"] == "two"


def test_a_damaged_version_is_replaced_by_its_whole_content(tmp_path):
    zone = Zone(tmp_path)
    for damage in (True, False):
        with zone.draft(KEY) as draft:
            (draft.folder / "x").write_bytes(b"whole")
        if damage:
            (zone.current(KEY) / "x").write_bytes(b"wh")
    assert (zone.current(KEY) / "x").read_bytes() == b"whole"
    assert litter(zone) == []


KILLED_WRITER = """
import os, signal, sys
from pathlib import Path
import polars as pl
from pipelines.runtime import storage
zone = storage.Zone(Path(sys.argv[1]))
if sys.argv[2] == "table":
    storage._settle = lambda path: os.kill(os.getpid(), signal.SIGKILL)
    zone.write_table(("stage", "thing"), "b", pl.DataFrame({"a": [2.0]}))
else:
    with zone.draft(("stage", "thing"), "b", aside=Path(sys.argv[1]) / "staging") as draft:
        (draft.folder / "half").write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)
"""


def killed(root: Path, what: str) -> None:
    command = [sys.executable, "-c", KILLED_WRITER, str(root), what]
    done = subprocess.run(command, cwd=REPO, env=os.environ | {"PYTHONPATH": str(REPO)}, check=False)
    assert done.returncode == -9


def test_what_a_killed_writer_left_is_swept_and_what_a_living_one_builds_is_not(tmp_path):
    zone = Zone(tmp_path)
    zone.write_table(KEY, "b", SMALL)
    killed(tmp_path, "table")
    killed(tmp_path, "draft")
    assert zone.read_table(KEY, ["b"]).equals(SMALL)
    assert not zone.has_artifact(KEY, "b")
    assert len([name for name in litter(zone) if not name.endswith(".lock")]) == 2
    with zone.draft(("stage", "other"), "b", aside=tmp_path / "staging") as living:
        (living.folder / "x").write_bytes(b"1")
        assert zone.sweep() == 2
        assert (living.folder / "x").exists()
    assert litter(zone) == []
    assert zone.has_artifact(("stage", "other"), "b")


def test_the_next_writer_of_the_same_thing_clears_up_by_itself(tmp_path):
    zone = Zone(tmp_path)
    killed(tmp_path, "draft")
    with zone.draft(KEY, "b", aside=tmp_path / "staging") as draft:
        (draft.folder / "x").write_bytes(b"1")
    assert litter(zone) == []


HOLDER = """
import sys, time
from pathlib import Path
from pipelines.runtime.locks import exclusive
with exclusive(Path(sys.argv[1]), "it"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_lock_waits_for_a_living_owner_and_not_for_a_dead_one(tmp_path):
    lock = tmp_path / "x.lock"
    owner = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(lock)],
        stdout=subprocess.PIPE,
        cwd=REPO,
        env=os.environ | {"PYTHONPATH": str(REPO)},
    )
    with owner:
        assert owner.stdout.readline() == b"held\n"
        with if_free(lock) as free:
            assert not free
        owner.kill()
        start = time.monotonic()
        with exclusive(lock, "it"), exclusive(lock, "it"):  # a thread may enter what it holds
            assert time.monotonic() - start < 30
            with if_free(lock) as free:
                assert not free
    assert not lock.exists()


def test_a_site_may_close_a_zone_further_and_it_stays_closed(tmp_path):
    zone = Zone(tmp_path / "lake")
    zone.write_table(KEY, "b", SMALL)
    zone.root.chmod(0o700)
    zone.write_table(KEY, "b", SMALL)
    assert zone.root.stat().st_mode & 0o777 == 0o700
