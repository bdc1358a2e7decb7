"""Extras meet the outcome that is expected of them in archive and deid, with bounded memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from spine_models.config import ArchiveSettings, DeidSettings
from spine_models.corpus.archive import index_batch, scan_inbox
from spine_models.corpus.archive.instance import examine
from spine_models.corpus.deid import deidentify_batch
from spine_models.phantom.dicom.hostile import write_extras
from spine_models.phantom.dicom.scanners import SCANNERS
from spine_models.phantom.dicom.strangers import STRANGERS
from spine_models.phantom.dicom.unsound import UNSOUND
from spine_models.phantom.dicom.write import write_series
from spine_models.phantom.records.plants import identify
from tests.phantom.dicom.conftest import acquired_of, study_on

KEY = bytes(range(32))


def make_inbox(folder):
    inbox = folder / "inbox"
    images, planted = [], set()
    for number, scanner in enumerate(SCANNERS[:6]):
        study = study_on(scanner, number)
        place = inbox / "dicom" / study.accession
        place.mkdir(parents=True)
        rng = np.random.default_rng([number, 3])
        for n, name in enumerate(("T1", "T2"), 1):
            series = write_series(
                place, study, acquired_of(name, n), n, rng, identify=identify, damage_rate=0.2
            )
            images += [path for path, _ in series.files]
        planted |= set(study.patient.planted)
    return inbox, images, write_extras(inbox, images, 7), planted


@pytest.fixture(scope="module")
def inbox(tmp_path_factory):
    return make_inbox(tmp_path_factory.mktemp("hospital"))


def test_every_extra_meets_its_outcome(inbox, tmp_path):
    folder, images, extras, planted = inbox
    settings = ArchiveSettings(workers=1)
    ledger = scan_inbox(folder, cohort="site", ledger=None, settings=settings)
    archive = index_batch(ledger, "site-0001", settings=settings)
    out = deidentify_batch(archive, key=KEY, out=tmp_path / "out", settings=DeidSettings(workers=1))
    status = dict(archive.files.select("relative_path", "status").iter_rows())
    found = {path: "released" if told == "indexed" else told for path, told in status.items()}
    found |= {row["relative_path"]: "quarantined" for row in out.quarantine.iter_rows(named=True)}
    assert sorted(found.values()).count("released") == out.instances.height
    expected = dict(extras) | {p.relative_to(folder).as_posix(): "released" for p in images}
    reasons = dict(archive.files.select("relative_path", "reason").iter_rows())
    wrong = {p: (found.get(p), want, reasons.get(p)) for p, want in expected.items() if found.get(p) != want}
    assert not wrong
    released = [path.read_bytes() for path in (tmp_path / "out").rglob("*.dcm")]
    assert len(released) == len(images)
    sought = {
        value for kind, value in planted if kind in ("name", "mrn", "accession", "uid") and len(value) > 5
    }
    assert len(sought) >= 30
    left = [(n, value) for n, whole in enumerate(released) for value in sought if value.encode() in whole]
    assert not left


def test_every_kind_is_there(inbox):
    _, _, extras, _ = inbox
    names = {path.rsplit("/", 1)[-1] for path, _ in extras}
    assert set(UNSOUND) | set(STRANGERS) <= names
    assert {outcome for _, outcome in extras} == {"rejected", "quarantined", "duplicate"}


def test_each_is_refused_for_its_own_reason(inbox):
    folder, *_ = inbox
    reasons = {name: examine(folder / "dicom/misc" / name, ArchiveSettings()).reason for name in UNSOUND}
    assert {name: reason.value for name, reason in reasons.items()} == {
        "cut.dcm": "truncated",
        "bulk_cut.dcm": "truncated",
        "deep.dcm": "too_deep",
        "endless.dcm": "malformed",
        "beyond.dcm": "truncated",
        "absurd_rows.dcm": "absurd_pixels",
        "absurd_frames.dcm": "absurd_pixels",
        "no_rows.dcm": "absurd_pixels",
        "short_pixels.dcm": "wrong_pixel_length",
        "empty_pixels.dcm": "wrong_pixel_length",
        "no_pixels.dcm": "no_pixels",
        "no_uid.dcm": "missing_uid",
        "no_meta.dcm": "missing_meta",
        "unknown_syntax.dcm": "unknown_transfer_syntax",
        "bomb.dcm": "too_large",
        "DICOMDIR": "dicomdir",
    }


def test_a_bomb_is_small_and_stays_small(inbox):
    folder, *_ = inbox
    path = folder / "dicom/misc/bomb.dcm"
    assert path.stat().st_size < 2 * 1024**2
    tracemalloc.start()
    examine(path, ArchiveSettings())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200 * 1024**2


def test_same_seed_same_bytes(inbox, tmp_path):
    folder, _, extras, _ = inbox
    other, _, again, _ = make_inbox(tmp_path)
    assert extras == again
    for path, _ in extras:
        assert (folder / path).read_bytes() == (other / path).read_bytes(), path


def test_needs_one_plain_image(tmp_path):
    (tmp_path / "dicom").mkdir()
    with pytest.raises(ValueError, match="classic"):
        write_extras(tmp_path, [], 1)
