"""``crashing.py EMPTY_LOG``: loads the graph once and forks a child per order, in which a stage can be killed.

Orders come as JSON lines on stdin, answers go as JSON lines to stdout. The parent never computes, so that its forks
inherit no threads. A stage is killed at a chosen moment: the n-th change of the file system that concerns it, that is a
file opened for writing, a folder made, a rename, a removal, a table written. What is being written stays half-written.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

CHANGES = {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "shutil.rmtree", "tempfile.mkdtemp"}


class Moments:
    """Counts the changes that concern one stage and kills this process at one of them."""

    def __init__(self, stage: str | None, kill_at: int | None) -> None:
        self.stage, self.kill_at = stage, kill_at
        self.seen: dict[str, int] = {}
        self.busy = False

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.busy or event not in CHANGES:
            return
        if event == "open" and not (
            isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        ):
            return
        path = arguments[1] if event == "os.rename" else arguments[0]
        if isinstance(path, (str, bytes, os.PathLike)):
            self.moment(Path(os.fsdecode(path)), half=event == "open")

    def moment(self, path: Path, *, half: bool) -> None:
        stage = stage_of(path)
        if stage is None or path.name.endswith(".lock"):
            return
        self.seen[stage] = self.seen.get(stage, 0) + 1
        if stage == self.stage and self.seen[stage] == self.kill_at:
            self.busy = True
            if half and not path.exists():
                path.write_bytes(b"half of what was to be")
            os.kill(os.getpid(), signal.SIGKILL)

    def watch_tables(self) -> None:
        import polars as pl

        write = pl.DataFrame.write_parquet

        def written(frame: pl.DataFrame, file: Any, **more: Any) -> None:
            write(frame, file, **more)
            if not isinstance(file, str | os.PathLike):
                return  # rows that wait in memory or in a file without a name
            path = Path(file)
            stage = stage_of(path)
            if stage == self.stage and self.seen.get(stage, 0) + 1 == self.kill_at:
                os.truncate(path, path.stat().st_size // 2)
            self.moment(path, half=False)

        pl.DataFrame.write_parquet = written


def stage_of(path: Path) -> str | None:
    """The corpus stage that a path below the lake or the restricted zone belongs to."""
    parts = path.parts
    for zone in ("lake", "restricted"):
        if zone in parts:
            inner = parts[parts.index(zone) + 1 :]
            if inner and inner[0] == "staging" and len(inner) > 1:
                return inner[1].removeprefix(".draft-").split(".")[0]
            return inner[0] if len(inner) > 1 else None
    return None


def run(order: dict[str, Any]) -> dict[str, Any]:
    """One run through the graph's corpus jobs, as the command line does it, without the warehouse."""
    from pipelines.definitions import build_defs
    from pipelines.home import open_instance
    from pipelines.runner import Runner
    from pipelines.runtime.profiles import Settings
    from pipelines.runtime.resources import Hospital

    settings = Settings(profile=order["profile"], root=Path(order["root"]), key_file=Path(order["key_file"]))
    hospital = Hospital.from_settings(settings)
    if not settings.dagster_home.exists():
        shutil.copytree(sys.argv[1], settings.dagster_home)
    said: list[str] = []
    runner = Runner(hospital, build_defs(hospital), open_instance(settings.dagster_home), said.append)
    whole_lake = {"rebuild_warehouse", "lake_rules"}
    execute = Runner.execute_alone
    Runner.execute_alone = lambda self, job, partition: (
        None if job in whole_lake else execute(self, job, partition)
    )
    moments = Moments(order.get("stage"), order.get("kill_at"))
    moments.watch_tables()
    sys.addaudithook(moments.hook)
    if order.get("file_bytes"):
        resource.setrlimit(resource.RLIMIT_FSIZE, (order["file_bytes"], resource.RLIM_INFINITY))
    if order.get("unprivileged"):
        drop_override()
    try:
        batches = runner.run(Path(order["inbox"]), through=order["through"])
        return {"batches": batches, "executed": runner.executed, "moments": moments.seen, "said": said}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}", "executed": runner.executed, "said": said}


def drop_override() -> None:
    """Let file modes hold for root too: its capabilities to pass over them are given up."""
    import ctypes

    if os.geteuid():
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    sets = (ctypes.c_uint32 * 6)()
    assert libc.capget(header, sets) == 0
    for word in (0, 1, 2):
        sets[word] &= ~0b1110  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER
    assert libc.capset(header, sets) == 0


def main() -> None:
    import warnings

    warnings.simplefilter("ignore")
    import pipelines.definitions  # noqa: F401
    import spine_models.corpus.archive.batch
    import spine_models.corpus.deid
    import spine_models.corpus.labels
    import spine_models.corpus.shards  # noqa: F401
    from pipelines.home import open_instance

    # An empty event log, made once and copied: making it is slower than a run of a small batch.
    open_instance(Path(sys.argv[1])).dispose()
    for line in sys.stdin:
        orders = json.loads(line)
        pids = []
        for order in orders:
            sys.stdout.flush()
            pid = os.fork()
            if pid == 0:
                answer = run(order)
                Path(order["answer"]).write_text(json.dumps(answer))
                os._exit(0)
            pids.append(pid)
        codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
        print(json.dumps(codes), flush=True)


if __name__ == "__main__":
    main()
