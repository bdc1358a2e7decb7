import json

import polars as pl
import pytest

from pipelines.runtime.storage import StorageError, Zone, content_version

KEY = ("stage", "thing")


def test_a_table_comes_back_with_one_partition_and_with_two(tmp_path):
    zone = Zone(tmp_path / "lake")
    one, two = pl.DataFrame({"a": [1]}), pl.DataFrame({"a": [2, 3]})
    zone.write_table(KEY, "b-0001", one)
    assert zone.read_table(KEY, ["b-0001"]).equals(one)
    zone.write_table(KEY, "b-0002", two)
    assert zone.read_table(KEY, ["b-0001", "b-0002"])["a"].to_list() == [1, 2, 3]
    assert zone.partitions(KEY) == ["b-0001", "b-0002"]


def test_a_missing_partition_is_named(tmp_path):
    with pytest.raises(StorageError, match=r"stage/thing \[b-0001\] has not been materialised"):
        Zone(tmp_path).read_table(KEY, ["b-0001"])


def test_a_failed_write_leaves_the_old_table_and_no_litter(tmp_path, monkeypatch):
    zone = Zone(tmp_path)
    zone.write_table(KEY, None, pl.DataFrame({"a": [1]}))

    def broken(self, path, **_):
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(pl.DataFrame, "write_parquet", broken)
    with pytest.raises(OSError, match="disk full"):
        zone.write_table(KEY, None, pl.DataFrame({"a": [2]}))
    assert zone.read_table(KEY, [None])["a"].to_list() == [1]
    assert [p.name for p in (tmp_path / "stage" / "thing").iterdir()] == ["all.parquet"]


def test_content_version_sees_values_types_and_order():
    frame = pl.DataFrame({"a": [1, 2]})
    assert content_version(frame) == content_version(pl.DataFrame({"a": [1, 2]}))
    others = [pl.DataFrame({"a": [2, 1]}), pl.DataFrame({"b": [1, 2]}), frame.cast(pl.Int32)]
    assert len({content_version(f) for f in (frame, *others)}) == 4


def test_a_draft_is_published_whole_with_its_card(tmp_path):
    zone = Zone(tmp_path / "lake")
    with zone.draft(KEY, "p") as draft:
        (draft.folder / "x.bin").write_bytes(b"1")
        draft.card = {"epochs": 3}
        assert not zone.has_artifact(KEY, "p")
    folder = zone.current(KEY, "p")
    assert folder.name == draft.version
    card = json.loads((folder / "card.json").read_text())
    assert card["epochs"] == 3
    assert card["asset"] == "stage/thing"


def test_a_failed_draft_publishes_nothing(tmp_path):
    zone = Zone(tmp_path)
    with pytest.raises(RuntimeError, match="no"), zone.draft(KEY, "p") as draft:
        (draft.folder / "x.bin").write_bytes(b"1")
        raise RuntimeError("no")
    assert not zone.has_artifact(KEY, "p")
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


def test_the_version_before_stays_and_older_ones_go(tmp_path):
    zone = Zone(tmp_path)
    versions = []
    for content in (b"1", b"2", b"3"):
        with zone.draft(KEY) as draft:
            (draft.folder / "x").write_bytes(content)
        versions.append(draft.version)
    kept = {p.name for p in zone.artifact_root(KEY).iterdir() if p.is_dir()}
    assert kept == set(versions[1:])
    assert zone.current(KEY).name == versions[-1]


def test_the_restricted_zone_is_closed_to_others(tmp_path):
    zone = Zone(tmp_path / "restricted", mode=0o700)
    zone.write_table(KEY, None, pl.DataFrame({"a": [1]}))
    assert (tmp_path / "restricted").stat().st_mode & 0o777 == 0o700


def test_a_version_is_of_the_rows_and_not_of_what_they_were_cut_from():
    """A text of more than twelve bytes lies in a buffer that rows may share with rows that are gone."""

    def cut(gone: str) -> pl.DataFrame:
        columns = {"key": ["gone", "kept"], "text": [gone, "an addendum"], "tags": [[gone], [gone[:4]]]}
        return pl.DataFrame(columns).filter(pl.col("key") == "kept")

    one, two = cut("text of another row"), cut("text")
    assert one.equals(two)
    assert content_version(one) == content_version(two)
    assert content_version(one) != content_version(one.with_columns(text=pl.lit("an addendun")))
    assert content_version(one) != content_version(pl.concat([one, one]))


def test_a_journal_stays_after_a_failure_and_goes_after_a_success(tmp_path):
    zone = Zone(tmp_path / "lake")
    with pytest.raises(ValueError, match="on the way"), zone.journal(KEY, "b") as journal:
        journal.write_bytes(b"half")
        raise ValueError("on the way")
    assert zone.partitions(KEY) == []
    zone.sweep()
    with zone.journal(KEY, "b") as journal:
        assert journal.read_bytes() == b"half"
        # The table is written while its journal is open: neither waits for the other.
        zone.write_table(KEY, "b", pl.DataFrame({"a": [1]}))
        assert journal.read_bytes() == b"half"
    assert [path.name for path in (tmp_path / "lake" / "stage" / "thing").iterdir()] == ["b.parquet"]


def test_a_journal_on_a_full_disk_names_the_table_and_the_remedy(tmp_path):
    with (
        pytest.raises(StorageError, match=r"stage/thing \[b\] could not be written: the disk is full"),
        Zone(tmp_path).journal(KEY, "b"),
    ):
        raise OSError(28, "No space left on device")


def test_a_probe_that_was_killed_is_swept_from_zone_and_generation(tmp_path):
    zone = Zone(tmp_path / "lake", 0o755)
    left = [zone.root / ".probe-a", zone.root / "generations" / "g2" / ".probe-b"]
    for folder in left:
        folder.mkdir(parents=True)
    assert zone.sweep() == 2
    assert not any(folder.exists() for folder in left)
