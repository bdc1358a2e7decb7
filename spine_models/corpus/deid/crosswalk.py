"""The crosswalk from identifiers to pseudonyms, encrypted with a key derived from the pseudonym key.

Belongs here: sealing and opening. Does not belong here: where it is stored (restricted zone only).
Encryption is AES-SIV (RFC 5297): authenticated, and the same content gives the same bytes.
"""

from __future__ import annotations

import json
from typing import Final

import polars as pl
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

CROSSWALK: Final = pl.Schema({"kind": pl.String, "identifier": pl.String, "pseudonym": pl.String})
_HEADER: Final = b"spineagent-crosswalk-1\n"


class CrosswalkError(ValueError):
    """The crosswalk was sealed with another key, or its bytes were changed."""


def _cipher(key: bytes) -> AESSIV:
    return AESSIV(HKDF(algorithm=SHA256(), length=64, salt=None, info=b"spineagent crosswalk").derive(key))


def seal(rows: pl.DataFrame, key: bytes) -> bytes:
    """Encrypted bytes of a CROSSWALK frame."""
    plain = json.dumps(
        rows.select(list(CROSSWALK)).sort(list(CROSSWALK)).rows(), separators=(",", ":")
    ).encode()
    return _HEADER + _cipher(key).encrypt(plain, [_HEADER])


def unseal(sealed: bytes, key: bytes) -> pl.DataFrame:
    """The CROSSWALK frame of sealed bytes.

    Raises:
        CrosswalkError: wrong key or altered bytes.
    """
    if not sealed.startswith(_HEADER):
        raise CrosswalkError("these bytes are no crosswalk of this version")
    try:
        plain = _cipher(key).decrypt(sealed[len(_HEADER) :], [_HEADER])
    except InvalidTag as error:
        raise CrosswalkError("the crosswalk does not open with this key, or was changed") from error
    return pl.DataFrame(json.loads(plain), schema=CROSSWALK, orient="row")
