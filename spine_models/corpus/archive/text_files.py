"""Text of unknown encoding, opened so that neither a wrong encoding nor a huge line passes unnoticed.

Belongs here: which encoding, whether it is text at all, bounded memory. Does not belong here: what the text holds
(`text_tables`). One pass over the bytes decides; nothing is guessed that the bytes contradict.
"""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, TextIO

from spine_models.corpus.archive.instance import open_regular

MAX_TEXT_BYTES: Final = 256 * 1024**2
"""Of a text that is read as a whole."""

MAX_LINE_BYTES: Final = 8 * 1024**2
"""Longer than any report with its quoting; a table whose line is longer is no table."""

_CHUNK: Final = 1024**2
_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_NOT_TEXT: Final = (b"%PDF", b"{\\rtf", b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"\x1f\x8b")
_CONTROLS: Final = bytes(set(range(1, 32)) - set(b"\t\n\v\f\r\x1a\x1c\x1d\x1e\x1f")) + b"\x7f"
_UPPER_HALF: Final = bytes(range(128, 256))
_NOT_LETTERS: Final = bytes(b for b in range(256) if not (65 <= b <= 90 or 97 <= b <= 122 or b >= 192))
_UNDEFINED_IN_1252: Final = b"\x81\x8d\x8f\x90\x9d"
_MAX_CONTROLS: Final = 0.01
_MAX_ACCENTED: Final = 0.3
"""Share of letters above ASCII: French and Czech stay below 0.2, other alphabets read as Windows-1252 are near 1."""


class TextTableError(ValueError):
    """The file is no readable text or table; the message says what is wrong, never with a value."""


@contextmanager
def open_text(path: Path) -> Iterator[TextIO]:
    """The decoded text as a stream, line ends as they are.

    Encodings: byte-order mark, UTF-16 without one, UTF-8, else Windows-1252 or Latin-1 where the letters look
    Western. Reads the file twice, in pieces.

    Raises:
        TextTableError: not text (binary content, a document format, an alphabet that only a code page knows), or a
            line longer than `MAX_LINE_BYTES`.
        OSError: cannot be read.
    """
    with open_regular(path) as stream:
        encoding = _encoding_of(stream)
        stream.seek(0)
        with io.TextIOWrapper(stream, encoding=encoding, newline="") as text:
            try:
                yield text
            except UnicodeDecodeError:
                raise TextTableError(f"the file is not valid {encoding}") from None


def read_text(path: Path) -> str:
    """A whole file as text with ``\\n`` as line end; errors as `open_text`, and for more than `MAX_TEXT_BYTES`."""
    with open_text(path) as text:
        content = text.read(MAX_TEXT_BYTES + 1)
    if len(content) > MAX_TEXT_BYTES:
        raise TextTableError("the file is larger than a text file of this kind may be")
    return content.replace("\r\n", "\n").replace("\r", "\n")


def _encoding_of(stream: BinaryIO) -> str:
    head = stream.read(4096)
    if head.startswith(_NOT_TEXT):
        raise TextTableError("the file is a document or an archive, not plain text")
    encoding = next((name for mark, name in _BOMS if head.startswith(mark)), None) or _utf_16_of(head)
    stream.seek(0)
    if encoding is not None and encoding != "utf-8-sig":
        _check_wide(stream, encoding)
        return encoding
    return _narrow(stream, encoding or "utf-8")


def _utf_16_of(head: bytes) -> str | None:
    """Western text in UTF-16 has a zero in every other byte."""
    half = len(head) // 2
    if half >= 2 and head[1::2].count(0) > 0.6 * half and head[::2].count(0) == 0:
        return "utf-16-le"
    if half >= 2 and head[::2].count(0) > 0.6 * half and head[1::2].count(0) == 0:
        return "utf-16-be"
    return None


def _check_wide(stream: BinaryIO, encoding: str) -> None:
    decoder = codecs.getincrementaldecoder(encoding)()
    open_line = 0
    while True:
        chunk = stream.read(_CHUNK)
        try:
            text = decoder.decode(chunk, not chunk)
        except UnicodeDecodeError:
            raise TextTableError(f"the file is not valid {encoding}") from None
        if "\0" in text:
            raise TextTableError("the file holds binary content")
        open_line = _longest(text.encode("utf-8", "replace"), open_line)
        if not chunk:
            return


def _narrow(stream: BinaryIO, utf_8: str) -> str:
    """``utf_8`` where the bytes are that, else the Western code page that they fit."""
    decoder = codecs.getincrementaldecoder(utf_8)()
    valid, open_line, total, controls, letters, accented, undefined = True, 0, 0, 0, 0, 0, 0
    while chunk := stream.read(_CHUNK):
        if b"\0" in chunk:
            raise TextTableError("the file holds binary content")
        open_line = _longest(chunk, open_line)
        total += len(chunk)
        controls += len(chunk) - len(chunk.translate(None, _CONTROLS))
        if not chunk.isascii():
            only_letters = chunk.translate(None, _NOT_LETTERS)
            letters += len(only_letters)
            accented += len(only_letters) - len(only_letters.translate(None, _UPPER_HALF))
            undefined += len(chunk) - len(chunk.translate(None, _UNDEFINED_IN_1252))
        if valid:
            try:
                decoder.decode(chunk)
            except UnicodeDecodeError:
                valid = False
    if controls > _MAX_CONTROLS * total:
        raise TextTableError("the file holds binary content")
    if valid:
        try:
            decoder.decode(b"", final=True)
            return utf_8
        except UnicodeDecodeError:
            valid = False
    if utf_8 == "utf-8-sig":
        raise TextTableError("the file is not valid utf-8")
    if accented > _MAX_ACCENTED * letters:
        raise TextTableError("the file is neither Unicode nor Western text: convert it to UTF-8")
    return "latin-1" if undefined else "cp1252"


def _longest(chunk: bytes, open_line: int) -> int:
    """Length of the line that is open at the end of ``chunk``; refuses one that is too long."""
    lines = chunk.replace(b"\r", b"\n")
    first, last = lines.find(b"\n"), lines.rfind(b"\n")
    if open_line + (len(lines) if first < 0 else first) > MAX_LINE_BYTES:
        raise TextTableError("a line is longer than a line of text may be")
    return open_line + len(lines) if first < 0 else len(lines) - last - 1
