"""The whole graph on a small phantom hospital of two batches, run once for this file."""

from __future__ import annotations

import csv
import json
import re
import shutil
import tarfile
from pathlib import Path

import duckdb
import polars as pl
import pytest
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.execution import RunFailed
from spine_models.domain import condition_keys
from tests.conftest import install

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning:dagster", "ignore:.*torch.distributed.*:UserWarning"
)


def files_below(folder: Path) -> list[Path]:
    return (
        [Path(p) / f for p, _, names in folder.walk() for f in names]
        if hasattr(folder, "walk")
        else [p for p in folder.rglob("*") if p.is_file() or p.is_symlink()]
    )


def test_the_ledger_adds_up_to_the_inbox(installation):
    ledger = installation.table("deid", "files")
    assert ledger.height == len(files_below(installation.inbox))
    assert set(ledger["outcome"]) <= {"released", "duplicate", "rejected", "quarantined"}
    assert ledger.filter(pl.col("outcome") == "released")["reason"].null_count() > 0
    assert ledger.filter(pl.col("outcome") != "released")["reason"].null_count() == 0


def test_two_batches_went_through_every_stage(installation):
    for stage, thing in (
        ("deid", "instances"),
        ("labels", "consensus"),
        ("embeddings", "studies"),
        ("reports", "drafts"),
    ):
        assert installation.table(stage, thing)["batch_key"].n_unique() == 2, stage


def test_every_study_has_its_claims_and_one_draft(installation):
    studies = installation.table("deid", "studies")
    assert installation.table("agents", "claims").height == studies.height * len(condition_keys())
    assert installation.table("reports", "drafts").height == studies.height


def planted_patterns(truth: Path) -> dict[str, re.Pattern[bytes]]:
    """Every planted identifier as a byte pattern, in 8-bit text and UTF-16.

    Study dates are left to the gate, which knows whose they are: one patient's shifted date may be another's true one.
    A short number counts only as a number of its own, since any digits turn up inside a UID or a float.
    """
    patterns = {}
    with (truth / "identifiers.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            value = row["value"].strip()
            if row["kind"] == "study_date" or len(value) < 5:
                continue
            text = re.escape(value.encode())
            if value.isdigit() and len(value) < 12:
                text = rb"(?<![0-9a-f.])" + text + rb"(?![0-9a-f])"
            patterns[value] = re.compile(text + b"|" + re.escape(value.encode("utf-16-le")))
    return patterns


def test_no_planted_identifier_is_in_the_lake(installation):
    patterns = planted_patterns(installation.truth)
    assert len(patterns) > 50
    haystacks = []
    for path in files_below(Path(installation.hospital.lake.root)):
        if path.suffix == ".parquet":
            haystacks.append((path, pl.read_parquet(path).write_ndjson().encode()))
        elif path.suffix == ".tar":
            with tarfile.open(path) as tar:
                haystacks += [(path, tar.extractfile(m).read()) for m in tar if m.name.endswith(".json")]
        haystacks.append((path, path.read_bytes()))
    joined = b"\n".join(data for _, data in haystacks)
    for value, pattern in patterns.items():
        assert not pattern.search(joined), f"an identifier of {len(value)} characters is in the lake"


def test_a_plain_client_opens_the_warehouse_read_only(installation):
    with duckdb.connect(str(installation.hospital.warehouse), read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM deid.instances").fetchone()[0] > 0
        assert connection.execute("SELECT count(DISTINCT condition) FROM probes.metrics").fetchone()[0] == 17


def test_every_sql_rule_holds(installation):
    from sql.catalogue import checks
    from sql.warehouse import broken_rows, open_lake

    with open_lake(installation.hospital.lake.root) as lake:
        broken = {name: broken_rows(lake, check)[0] for name, check in checks().items()}
        contradicting = lake.execute(
            "SELECT count(*) FROM sequences.series WHERE disagreement IS NOT NULL"
        ).fetchone()[0]
    # A tenth of the phantom's headers is damaged: a name that contradicts its timing is found, as a warning.
    assert broken.pop("sequences__header_agrees") == contradicting
    assert checks()["sequences__header_agrees"].severity == "warn"
    assert {name: rows for name, rows in broken.items() if rows} == {}


def test_a_rerun_with_nothing_new_executes_nothing(installation):
    runner = installation.runner()
    runner.run(installation.inbox, through="scores")
    assert runner.executed == []


def test_dagster_storage_and_names_carry_no_identifier(installation):
    home = Path(installation.hospital.home)
    blob = b"\n".join(p.read_bytes() for p in files_below(home / "dagster"))
    blob += "\n".join(str(p.relative_to(home)) for p in files_below(home)).encode()
    found = [len(v) for v, pattern in planted_patterns(installation.truth).items() if pattern.search(blob)]
    assert found == []


def test_a_late_series_requests_its_batch_alone_and_embeds_only_the_new(phantom_source, tmp_path):
    inbox = tmp_path / "inbox"
    shutil.copytree(phantom_source / "inbox", inbox)
    installed = install(tmp_path, inbox, phantom_source / "truth")
    catalogue = pl.read_csv(phantom_source / "truth" / "series.csv", infer_schema_length=None)
    import pydicom

    late = catalogue.filter((pl.col("contrast") == "T2") & (pl.col("plane") == "axial"))[
        "series_instance_uid"
    ][0]
    expected = pl.read_csv(phantom_source / "truth" / "files.csv", infer_schema_length=None)
    images = expected.filter(
        pl.col("relative_path").str.starts_with("dicom/") & (pl.col("expected") == "released")
    )["relative_path"]
    held = [
        inbox / path
        for path in images
        if pydicom.dcmread(inbox / path, stop_before_pixels=True).SeriesInstanceUID == late
    ]
    assert held
    aside = tmp_path / "held"
    aside.mkdir()
    for n, path in enumerate(held):
        shutil.move(path, aside / f"{n}.dcm")
    runner = installed.runner()
    runner.run(inbox, through="embeddings")
    before = installed.table("embeddings", "slices")
    for n, path in enumerate(held):
        shutil.move(aside / f"{n}.dcm", path)
    runner = installed.runner()
    runner.run(inbox, through="embeddings")
    batches = {batch for job, batch in runner.executed if job.startswith("corpus")}
    assert len(batches) == 1
    assert not {job for job, _ in runner.executed} & {"freeze", "pretrain", "probe"}
    after = installed.table("embeddings", "slices")
    new = after.join(before, on="slice_key", how="anti")
    assert 0 < new.height <= len(held)
    event = installed.instance.fetch_materializations(_key("embeddings", "slices"), limit=1).records[0]
    assert event.asset_materialization.metadata["computed"].value == new.height


def test_a_hit_of_the_gate_publishes_nothing_of_the_batch(phantom_source, tmp_path, monkeypatch):
    import spine_models.corpus.deid as deid
    from spine_models.corpus.deid.tables import GATE

    hit = pl.DataFrame([("b", "known_identifier", "p", 1)], schema=GATE, orient="row")
    monkeypatch.setattr(deid, "gate_batch", lambda *_, **__: hit)
    installed = install(tmp_path, phantom_source / "inbox", phantom_source / "truth")
    with pytest.raises(RunFailed, match="gate found 1 violations"):
        installed.runner().run(installed.inbox, through="shards")
    assert not [p for p in files_below(installed.hospital.lake.root) if "deid" in p.parts]
    assert "check deid/dicom: gate did not pass" in " ".join(installed.said)


def test_a_missing_key_file_stops_before_anything_is_read(phantom_source, tmp_path):
    from spine_models.corpus.deid import KeyFileError

    installed = install(tmp_path, phantom_source / "inbox", phantom_source / "truth")
    Path(installed.hospital.key_file).unlink()
    with pytest.raises(KeyFileError, match="spineagent key new"):
        installed.runner().run(installed.inbox, through="archive")
    assert installed.hospital.ledger() is None


def test_an_unknown_stage_lists_the_known_ones(installation):
    with pytest.raises(ValueError, match="choose one of archive, deid, sequences"):
        installation.runner().run(installation.inbox, through="nothing")


@pytest.fixture
def command(installation, monkeypatch):
    """``spineagent`` against the installation."""
    home = Path(installation.hospital.home)
    monkeypatch.setenv("SPINE_PROFILE", installation.hospital.profile)
    monkeypatch.setenv("SPINE_ROOT", str(home.parent))
    monkeypatch.setenv("SPINE_KEY_FILE", installation.hospital.key_file)
    return lambda *arguments: CliRunner().invoke(app, list(map(str, arguments)))


def test_sql_answers_as_table_csv_and_json(command, installation):
    rows = json.loads(command("sql", "file_ledger", "--format", "json").stdout)
    assert sum(row["files"] for row in rows) == len(files_below(installation.inbox))
    as_csv = list(csv.DictReader(command("sql", "file_ledger", "--format", "csv").stdout.splitlines()))
    assert sum(int(row["files"]) for row in as_csv) == sum(row["files"] for row in rows)
    assert "files" in command("sql", "file_ledger").stdout


def test_an_unknown_question_names_the_known_ones(command):
    result = command("sql", "no_such_query")
    assert result.exit_code == 2
    assert "file_ledger" in result.stderr


def one_study(installation, wanted) -> Path:
    return next(p for p in sorted((installation.inbox / "dicom").iterdir()) if p.is_dir() and wanted(p))


def test_embed_writes_the_vectors_that_the_graph_has(command, installation, tmp_path):
    folder = one_study(installation, lambda p: True)
    result = command("embed", folder, "--out", tmp_path / "v.parquet")
    assert result.exit_code == 0, result.output
    vectors = pl.read_parquet(tmp_path / "v.parquet")
    graph = installation.table("embeddings", "slices").select("slice_key", graph="vector")
    both = vectors.filter(pl.col("unit") == "slice").join(graph, left_on="key", right_on="slice_key")
    assert both.height == vectors.filter(pl.col("unit") == "slice").height > 0
    difference = (both["vector"].explode() - both["graph"].explode()).abs().max()
    assert difference < 1e-4


def test_report_prints_a_draft_with_its_notice(command, installation):
    result = command("report", one_study(installation, lambda p: True))
    assert result.exit_code == 0, result.output
    assert "IMPRESSION" in result.stdout
    assert "radiologist" in result.stdout.lower()


def _key(*path: str) -> object:
    import dagster as dg

    return dg.AssetKey(list(path))
