"""A file of another format is known by its own mark, and sound tensors are not taken for one."""

from __future__ import annotations

import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.hostile.loras import GOOD
from fixtures.hostile.other_formats import disguised, zipped
from lora_doctor.file_magic import SNIFFED, ZIP_TAIL, ends_like_zip, other_format

KNOWN = {name: case for name, case in disguised(GOOD).items() if name != "git-lfs-pointer"}


@pytest.mark.parametrize("name", KNOWN)
def test_every_format_is_named(name: str) -> None:
    content, says = KNOWN[name]
    assert (other_format(content[:SNIFFED]) or "").startswith(says.removeprefix("is "))


@pytest.mark.parametrize("start", [b"", b"\xff" * 8, bytes(300), b"GGU\x00", b"cat\x00dog\n", GOOD[:SNIFFED]])
def test_what_bears_no_mark_has_no_format(start: bytes) -> None:
    assert other_format(start) is None


def test_text_cut_inside_a_character_is_text() -> None:
    assert other_format(b"caf" + "é".encode()[:1]) == "text"


@given(st.binary(max_size=300))
def test_any_bytes_have_a_format_or_none(start: bytes) -> None:
    found = other_format(start)
    assert found is None or found == "text" or found.startswith(("a ", "an "))


def commented(length: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.comment = b"c" * length
    return buffer.getvalue()


@pytest.mark.parametrize("archive", [zipped(), commented(0), commented(1), commented(2**16 - 1)])
def test_a_zip_archive_behind_anything_is_found(archive: bytes) -> None:
    whole = GOOD * 1000 + archive
    assert zipfile.is_zipfile(io.BytesIO(whole))
    assert ends_like_zip(whole[-ZIP_TAIL:])


def test_the_mark_alone_or_followed_by_more_is_no_archive() -> None:
    assert not ends_like_zip(GOOD)
    assert not ends_like_zip(b"PK\x05\x06")
    assert not ends_like_zip(zipped() + b"x")
