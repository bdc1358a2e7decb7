"""Keyed pseudonyms: patients, UIDs, date shifts and digests, all from one secret by domain-separated HMAC-SHA256.

Belongs here: the only functions that turn an identifier into a pseudonym, and the key file.
Does not belong here: knowledge of DICOM attributes, tables or text. Nothing is drawn at random or remembered:
the same key and input give the same output in every process and on every machine.
"""

from __future__ import annotations

import hmac
import os
import re
import secrets
import stat
from functools import lru_cache
from pathlib import Path
from typing import Final

from pydicom.uid import UID_dictionary

KEY_BYTES: Final = 32
_REMEDY: Final = "make one with `spineagent key new FILE` and keep it outside the storage root"


class KeyFileError(ValueError):
    """The key file is missing, readable by others, or too short; the message says what to do."""


def new_key_file(path: Path) -> None:
    """Write a new 256-bit key as hex, readable by the owner alone.

    Raises:
        KeyFileError: the file exists; a key is never overwritten, because pseudonyms would change.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise KeyFileError(f"key file {path} exists and is never overwritten; choose another name") from error
    with os.fdopen(descriptor, "w", encoding="ascii") as stream:
        stream.write(secrets.token_hex(KEY_BYTES) + "\n")


def read_key_file(path: Path) -> bytes:
    """The key of a file that ``new_key_file`` wrote.

    Raises:
        KeyFileError: no such file, others may read it, or it does not hold at least 256 bits of hex.
    """
    if not path.is_file():
        raise KeyFileError(f"no key file at {path}: {_REMEDY}")
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise KeyFileError(f"key file {path} can be read by others: run `chmod 600 {path}`")
    text = path.read_text(encoding="ascii", errors="replace").strip()
    if not re.fullmatch(rf"(?:[0-9a-fA-F]{{2}}){{{KEY_BYTES},}}", text):
        raise KeyFileError(f"key file {path} does not hold {KEY_BYTES} bytes of hex: {_REMEDY}")
    return bytes.fromhex(text)


def normalise_patient_id(patient_id: str) -> str:
    """A patient ID without surrounding blanks, case and leading zeros; an ID of zeros alone stays one zero."""
    folded = re.sub(r"\s+", " ", patient_id.replace("\x00", "")).strip().casefold()
    return folded.lstrip("0") or ("0" if folded else "")


class Pseudonymizer:
    """Turns identifiers into pseudonyms with one key of at least 32 bytes.

    Raises:
        KeyFileError: the key is shorter than 32 bytes.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) < KEY_BYTES:
            raise KeyFileError(f"the pseudonym key has fewer than {KEY_BYTES} bytes: {_REMEDY}")
        self._key = bytes(key)
        self.key_id = self.digest("key-id", "")[:12]
        self.uid = lru_cache(maxsize=65536)(self._uid)

    def _mac(self, domain: str, text: str) -> bytes:
        return hmac.digest(self._key, f"{domain}\x00{text}".encode("utf-8", "surrogatepass"), "sha256")

    def digest(self, domain: str, text: str) -> str:
        """32 hex digits for a text within a domain; domains never collide."""
        return self._mac(domain, text)[:16].hex()

    def patient_key(self, patient_id: str, issuer: str | None = None) -> str:
        """32 hex digits for a patient; case, blanks and leading zeros of the ID do not matter, the issuer does.

        Raises:
            ValueError: the patient ID is empty, so there is nobody to name.
        """
        normalised = normalise_patient_id(patient_id or "")
        if not normalised:
            raise ValueError("an empty patient ID has no pseudonym")
        return self.digest("patient", f"{(issuer or '').strip().casefold()}\x00{normalised}")

    def _uid(self, uid: str) -> str:
        clean = uid.strip(" \x00\t\r\n")
        if not clean or clean in UID_dictionary:
            return clean
        return f"2.25.{int(self.digest('uid', clean), 16)}"

    def key_of_uid(self, uid: str) -> str:
        """32 hex digits that name the object whose original UID this is: the integer of ``uid(uid)``.

        Raises:
            ValueError: the UID is empty or a standard one, which names no object.
        """
        replacement = self.uid(uid)
        if not replacement.startswith("2.25."):
            raise ValueError("a standard or empty UID names no object")
        return f"{int(replacement[5:]):032x}"

    def shift_days(self, patient_key: str, max_days: int) -> int:
        """Days to add to every date of a patient: uniform over -max..max without zero."""
        draw = int.from_bytes(self._mac("shift", patient_key)[:8], "big") % (2 * max_days)
        return draw - max_days if draw < max_days else draw - max_days + 1
