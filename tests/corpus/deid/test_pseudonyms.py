from __future__ import annotations

import os

import pytest

from spine_models.corpus.deid import KeyFileError, Pseudonymizer, new_key_file, read_key_file
from tests.corpus.deid.objects import KEY, NAMES


def test_case_blanks_and_leading_zeros_do_not_make_another_patient():
    keys = {NAMES.patient_key(v) for v in ("0012345", "12345", " 12345 ", "012345")}
    assert len(keys) == 1
    assert NAMES.patient_key("AB12") == NAMES.patient_key("ab12")
    assert NAMES.patient_key("12345", "SITE") != NAMES.patient_key("12345")
    assert NAMES.patient_key("000") != NAMES.patient_key("1")
    with pytest.raises(ValueError, match="empty patient ID"):
        NAMES.patient_key("  ")


def test_uids_are_stable_distinct_valid_and_standard_ones_stay():
    uid = NAMES.uid("1.2.3.4")
    assert uid == Pseudonymizer(KEY).uid("1.2.3.4\x00")
    assert uid.startswith("2.25.")
    assert len(uid) <= 44
    assert NAMES.uid("1.2.840.10008.5.1.4.1.1.4") == "1.2.840.10008.5.1.4.1.1.4"
    assert NAMES.uid("1.2.840.10008.9.8.7.6") != "1.2.840.10008.9.8.7.6", "only registered ones are standard"
    assert NAMES.key_of_uid("1.2.3.4") == f"{int(uid[5:]):032x}"
    assert Pseudonymizer(b"z" * 32).uid("1.2.3.4") != uid


def test_domains_do_not_collide():
    assert len({NAMES.digest(d, "1") for d in ("uid", "patient", "order", "file")}) == 4


def test_a_shift_is_never_zero_and_within_bounds():
    shifts = {NAMES.shift_days(f"{n:032x}", 5) for n in range(400)}
    assert shifts == {-5, -4, -3, -2, -1, 1, 2, 3, 4, 5}


def test_key_files(tmp_path):
    path = tmp_path / "site.key"
    with pytest.raises(KeyFileError, match="spineagent key new FILE"):
        read_key_file(path)
    new_key_file(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(read_key_file(path)) == 32
    with pytest.raises(KeyFileError, match="never overwritten"):
        new_key_file(path)
    os.chmod(path, 0o644)
    with pytest.raises(KeyFileError, match="chmod 600"):
        read_key_file(path)
    short = tmp_path / "short.key"
    short.write_text("abcd")
    os.chmod(short, 0o600)
    with pytest.raises(KeyFileError, match="32 bytes"):
        read_key_file(short)
    with pytest.raises(KeyFileError):
        Pseudonymizer(b"short")
