"""What a file is when it is not what its name says, by its first bytes. Pure; nothing is opened to find out."""

from __future__ import annotations

import codecs
import re

SNIFFED = 264
"""Bytes `other_format` needs: as far as the mark of a tar archive."""
ZIP_TAIL = 22 + 2**16
"""Bytes `ends_like_zip` needs: the last record of a zip archive, with the longest comment."""

_PICTURE, _PICKLE = "a picture", "a pickle"
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (rb"PK\x03\x04", "a zip archive (a pickled .pt checkpoint, perhaps)"),
    (rb"PK(\x05\x06|\x07\x08)", "a zip archive"),
    (rb"\x80[\x02-\x05]", _PICKLE),
    (rb"c[A-Za-z_][\w.]*\n[A-Za-z_][\w.]*\n", _PICKLE),  # protocols 0 and 1: module and name of what is to be called
    (rb"\x1f\x8b", "a gzip archive"),
    (rb"BZh[1-9]", "a bzip2 archive"),
    (rb"\xfd7zXZ\x00", "an xz archive"),
    (rb"\x28\xb5\x2f\xfd", "a Zstandard archive"),
    (rb"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (rb"Rar!\x1a\x07", "a RAR archive"),
    (rb"\x93NUMPY", "a NumPy array"),
    (rb"GGUF", "a GGUF model"),
    (rb"\x89PNG", _PICTURE),
    (rb"\xff\xd8\xff", _PICTURE),
    (rb"RIFF....WEBP", _PICTURE),
    (rb"\x89HDF", "an HDF5 file"),
    (rb".{257}ustar", "a tar archive"),
)


def other_format(start: bytes) -> str | None:
    """The format whose mark `start` (the first `SNIFFED` bytes, or all) bears, as `a zip archive`; None without one.

    The first two bytes of a sound safetensors file can be those of a pickle: ask only about a file that is not sound.
    """
    for mark, what in _MAGIC:
        if re.match(mark, start, re.DOTALL):
            return what
    return "text" if start and _is_text(start) else None


def ends_like_zip(tail: bytes) -> bool:
    """Whether a zip archive ends where the file does, whatever precedes it; `tail`: its last `ZIP_TAIL` bytes.

    The record that ends an archive: PKWARE APPNOTE 4.3.16, whose last field is the length of the comment that follows.
    """
    at = tail.rfind(b"PK\x05\x06")
    return 0 <= at <= len(tail) - 22 and at + 22 + int.from_bytes(tail[at + 20 : at + 22], "little") == len(tail)


def _is_text(start: bytes) -> bool:
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError:
        return False
    return all(character >= " " or character in "\t\n\r\f" for character in text)
