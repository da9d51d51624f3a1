"""The bytes of a caption file -> its text, or what is wrong with them: which byte, where, and what it looks like. Pure.

Trainers open captions as UTF-8 (sd-scripts library/train_util.py, ai-toolkit toolkit/dataloader_mixins.py, OneTrainer's
mgds): a file in another encoding stops some of them and is an empty caption to others. Nothing is guessed here that
would be trained differently.
"""

from __future__ import annotations

import codecs
import itertools
import unicodedata
from pathlib import Path

from lora_doctor.errors import InputRefused

_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32, little-endian, by its mark"),
    (codecs.BOM_UTF32_BE, "UTF-32, big-endian, by its mark"),
    (codecs.BOM_UTF16_LE, "UTF-16, little-endian, by its mark"),
    (codecs.BOM_UTF16_BE, "UTF-16, big-endian, by its mark"),
)
"""The longer ones first: a mark of UTF-32 begins with one of UTF-16."""
_PLAIN = {
    "\u2018": "a typographic quote", "\u2019": "a typographic quote", "\u201a": "a typographic quote",
    "\u201c": "a typographic quote", "\u201d": "a typographic quote", "\u201e": "a typographic quote",
    "\u2013": "a dash", "\u2014": "a dash", "\u2026": "three dots", "\u00a0": "a space that does not break",
}  # fmt: skip
_KANA = range(0x3041, 0x30FF)
_IDEOGRAPHS = range(0x4E00, 0xA000)


def text_of(raw: bytes, path: Path) -> str:
    """The text in `raw`, the bytes of `path`: UTF-8, without a byte order mark, otherwise as it is.

    Raises InputRefused for bytes that are not UTF-8, and for NUL.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        what = f"caption is not UTF-8: byte 0x{raw[error.start]:02x} at offset {error.start}."
        advice = f"It looks like {looks_like(raw)}: save it as UTF-8."
        raise InputRefused(what, path=path, advice=advice) from None
    if (at := raw.find(b"\0")) >= 0:
        advice = f"It looks like {looks_like(raw)}: save it as UTF-8."
        raise InputRefused(f"caption has a NUL byte at offset {at}.", path=path, advice=advice)
    return text.removeprefix("\ufeff")


def has_mark(raw: bytes) -> bool:
    """Whether the file begins with the byte order mark of UTF-8."""
    return raw.startswith(codecs.BOM_UTF8)


def looks_like(raw: bytes) -> str:
    """A guess at the encoding of bytes that are not a UTF-8 text, in words; never raises."""
    if marked := next((name for mark, name in _MARKS if raw.startswith(mark)), None):
        return marked
    if b"\0" in raw:
        return _with_zeros(raw)
    if east_asian := _east_asian(raw):
        return east_asian
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.reason == "unexpected end of data" and not raw[: error.start].isascii():
            return "UTF-8 that was cut off inside a character"
        return f"cp1252 0x{raw[error.start]:02x}, {_character(raw[error.start])}"
    return "UTF-8"


def _with_zeros(raw: bytes) -> str:
    even, odd = raw[::2].count(0), raw[1::2].count(0)
    if len(raw) > 1 and max(even, odd) > len(raw) // 4:
        order = "little-endian" if odd > even else "big-endian"
        return f"UTF-16, {order}, without its mark"
    return "no text, or a text that a tool left the byte in"


def _east_asian(raw: bytes) -> str | None:
    """Shift JIS by its kana, GBK by two ideographs side by side; None for anything else.

    Western text has single bytes above 0x7f among letters, East Asian text has them in runs.
    """
    for codec, name, letters in (("cp932", "Shift JIS", _KANA), ("gbk", "GBK", _IDEOGRAPHS)):
        try:
            text = raw.decode(codec)
        except UnicodeDecodeError:
            continue
        if any(ord(a) in letters and ord(b) in letters for a, b in itertools.pairwise(text)):
            return name
    return None


def _character(byte: int) -> str:
    """What a byte means in Western Windows."""
    try:
        character = bytes([byte]).decode("cp1252")
    except UnicodeDecodeError:
        return "which means nothing there"
    if character in _PLAIN:
        return _PLAIN[character]
    return f"`{character}`" if character.isalpha() else unicodedata.name(character, "a sign").lower()
