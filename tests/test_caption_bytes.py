"""A caption is its UTF-8 text, or the byte that is not is named, with what it looks like."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_doctor.caption_bytes import has_mark, looks_like, text_of
from lora_doctor.errors import InputRefused

PATH = Path("a.txt")


@pytest.mark.parametrize(
    ("raw", "like"),
    [
        (b"a girl\x92s hat", "cp1252 0x92, a typographic quote"),
        (b"long \x96 hair", "cp1252 0x96, a dash"),
        (b"caf\xe9, solo", "cp1252 0xe9, `é`"),
        (b"caf\xe9", "cp1252 0xe9, `é`"),
        (b"50 \xb0C", "cp1252 0xb0, degree sign"),
        (b"1girl \x81", "cp1252 0x81, which means nothing there"),
        ("café, café".encode()[:-1], "UTF-8 that was cut off inside a character"),
        ("少女、ネコミミ".encode("cp932"), "Shift JIS"),
        ("一个女孩".encode("gbk"), "GBK"),
        ("1girl, solo".encode("utf-16"), "UTF-16, little-endian, by its mark"),
        (b"\xfe\xff" + "1girl".encode("utf-16-be"), "UTF-16, big-endian, by its mark"),
        ("1girl".encode("utf-16-be"), "UTF-16, big-endian, without its mark"),
        ("1girl".encode("utf-32"), "UTF-32, little-endian, by its mark"),
        (b"1girl\0", "no text, or a text that a tool left the byte in"),
    ],
)
def test_the_encoding_is_told_by_what_the_bytes_look_like(raw: bytes, like: str) -> None:
    assert looks_like(raw) == like
    with pytest.raises(InputRefused, match="It looks like") as caught:
        text_of(raw, PATH)
    assert like in str(caught.value)


def test_the_mark_of_utf_8_is_no_part_of_the_text() -> None:
    assert text_of(b"\xef\xbb\xbf1girl\r\n", PATH) == "1girl\r\n"
    assert has_mark(b"\xef\xbb\xbfx")
    assert not has_mark(b"x")


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_any_text_in_utf_8_is_read_back(text: str) -> None:
    assert text_of(text.encode(), PATH) == text.removeprefix("\ufeff")


@given(st.one_of(st.binary(), st.text().map(lambda text: text.encode("cp1252", "replace")),
                 st.text().map(lambda text: text.encode("utf-16-le", "replace"))))  # fmt: skip
def test_any_bytes_are_a_text_or_are_refused_at_their_first_bad_byte(raw: bytes) -> None:
    try:
        text = text_of(raw, PATH)
    except InputRefused as error:
        at = int(error.what.rpartition("offset ")[2].rstrip("."))
        raw[:at].decode()
        assert str(error).isprintable()
        assert raw[at] == 0 or raw[at] >= 0x80
    else:
        assert text == raw.decode().removeprefix("\ufeff")


@given(st.binary())
def test_a_guess_can_be_made_of_any_bytes(raw: bytes) -> None:
    assert looks_like(raw)
