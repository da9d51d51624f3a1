"""A picture file is decoded to its last pixel and told by its content, or refused in a sentence."""

from __future__ import annotations

import io
import time
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin, features

from fixtures.hostile.datasets import frame_bomb, png, saved, scan_bomb, text_bomb, webp_bomb, whole_bomb
from lora_doctor import picture_files
from lora_doctor.errors import InputRefused
from lora_doctor.picture_files import MAX_GIF, decoded, mismatch

KINDS = ["PNG", "JPEG", "WEBP", "BMP", "GIF"] + (["AVIF"] if features.check("avif") else [])


def noise(kind: str, size: tuple[int, int] = (24, 16), mode: str = "RGB", **options: Any) -> bytes:
    pixels = np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


WHOLE = {kind: noise(kind) for kind in KINDS}


def refusal(raw: bytes, name: str = "a.png") -> str:
    with pytest.raises(InputRefused) as caught:
        decoded(raw, Path(name))
    assert str(caught.value).startswith(f"{name}: ")
    assert str(caught.value).isprintable()
    return caught.value.what


@pytest.mark.parametrize("kind", KINDS)
def test_every_format_is_told_by_its_content(kind: str) -> None:
    facts, width, height = decoded(WHOLE[kind], Path("a.png"))
    assert (facts.format, width, height, facts.frames) == (kind, 24, 16, 1)


@pytest.mark.parametrize(
    ("raw", "mode"),
    [
        (saved("RGB", "PNG", (1, 1)), "RGB"),
        (saved("L", "PNG", (20_000, 1)), "L"),
        (saved("CMYK", "JPEG"), "CMYK"),
        (saved("I;16", "PNG"), "I;16"),
        (saved("1", "PNG"), "1"),
        (saved("LA", "PNG"), "LA"),
        (saved("P", "PNG", transparency=bytes(256)), "P"),
        (noise("PNG", mode="P"), "P"),
        (png(2, 2, zlib.compress(bytes(2 * 13)), bits=16), "RGB"),
    ],
)
def test_odd_but_sound_modes_are_read(raw: bytes, mode: str) -> None:
    assert decoded(raw, Path("a.png"))[0].mode == mode


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("WEBP", {"lossless": True}), ("GIF", {})])
def test_of_an_animation_the_first_frame_is_read_and_the_frames_are_counted(kind: str, options: dict[str, Any]) -> None:
    facts, width, height = decoded(saved("L", kind, (9, 7), frames=4, **options), Path("a.png"))
    assert (facts.frames, width, height) == (4, 9, 7)


def test_sizes_are_as_stored_whatever_the_orientation_says() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    facts, width, height = decoded(noise("JPEG", exif=exif), Path("a.jpg"))
    assert (width, height, facts.orientation) == (24, 16, 6)


@pytest.mark.parametrize(
    ("raw", "says"),
    [(b"", "is empty"), (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"), (b" <HTML>", "is a web"),
     (saved("F", "TIFF"), "is a TIFF picture"), (b"8BPS\0\1", "Photoshop"), (b"\xff\x0a\0", "JPEG XL"),
     (saved("RGB", "PPM"), "is not a picture"), (saved("RGB", "ICO"), "is not a picture"), (b"BM", "is not a picture")],
)  # fmt: skip
def test_what_often_lies_under_a_pictures_name_is_called_what_it_is(raw: bytes, says: str) -> None:
    assert says in refusal(raw)


@pytest.mark.parametrize(("name", "agrees"), [("a.png", True), ("a.PNG", True), ("a.jpg", False), ("a", False)])
def test_a_name_that_belongs_to_another_format_is_told(name: str, agrees: bool) -> None:
    assert (mismatch(decoded(WHOLE["PNG"], Path(name))[0], Path(name)) is None) is agrees


@pytest.mark.parametrize(
    ("raw", "says"),
    [(whole_bomb(), "400000000 pixels"), (webp_bomb(), "more than the 64000000"), (scan_bomb(), "scans, more"),
     (frame_bomb(), f"more than the {MAX_GIF}"), (text_bomb(b"zTXt"), "too large"), (text_bomb(b"iTXt"), "")],
    ids=["pixels", "canvas", "scans", "frames", "zTXt", "iTXt"],
)  # fmt: skip
def test_bombs_are_refused_at_once(raw: bytes, says: str) -> None:
    began = time.perf_counter()
    if says:
        assert says in refusal(raw)
    else:  # not compressed as iTXt wants it: a comment that nobody unpacks
        decoded(raw, Path("a.png"))
    assert time.perf_counter() - began < 1


def test_the_largest_picture_that_is_allowed_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_files, "MAX_PIXELS", 24 * 16)
    decoded(WHOLE["PNG"], Path("a.png"))
    monkeypatch.setattr(picture_files, "MAX_PIXELS", 24 * 16 - 1)
    assert "24 x 16 pixels, more than the 383" in refusal(WHOLE["PNG"])


def test_many_comments_are_refused_when_they_unpack_to_too_much() -> None:
    info = PngImagePlugin.PngInfo()
    for number in range(80):
        info.add_text(f"k{number}", "x" * 1_000_000, zip=True)
    assert "Too much memory" in refusal(noise("PNG", pnginfo=info))


def test_warnings_of_decoders_are_not_shown() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        refusal(png(9500, 9500, b""))  # more than Pillow warns of
        decoded(noise("PNG", mode="P", transparency=bytes(256)), Path("a.png"))


def test_too_little_memory_is_a_reason_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(picture_files, "facts_of", full)
    assert "more memory" in refusal(WHOLE["PNG"])


def test_an_avif_without_a_decoder_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    really = features.check
    monkeypatch.setattr(features, "check", lambda name: name != "avif" and really(name))
    assert "this Pillow cannot read" in refusal(b"\0\0\0\x1cftypavif" + bytes(40))


def test_a_camera_s_second_picture_is_no_animation() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "MPO", save_all=True, append_images=[Image.new("RGB", (4, 4))])
    facts, width, height = decoded(buffer.getvalue(), Path("a.jpg"))
    assert (facts.frames, width, height) == (1, 8, 8)
    assert mismatch(facts, Path("a.jpg")) is None


@settings(max_examples=150, deadline=None)
@given(kind=st.sampled_from(KINDS), share=st.floats(0, 1))
def test_a_picture_cut_anywhere_is_refused_or_read_whole(kind: str, share: float) -> None:
    raw = WHOLE[kind][: int(share * len(WHOLE[kind]))]
    try:
        _, width, height = decoded(raw, Path("a.png"))
    except InputRefused as error:
        assert str(error).isprintable()
    else:
        assert (width, height) == (24, 16)


@settings(max_examples=200, deadline=None)
@given(kind=st.sampled_from(KINDS), at=st.integers(0, 10_000), byte=st.integers(0, 255))
def test_a_picture_with_any_byte_changed_is_read_or_refused(kind: str, at: int, byte: int) -> None:
    raw = bytearray(WHOLE[kind])
    raw[at % len(raw)] = byte
    try:
        decoded(bytes(raw), Path("a.png"))
    except InputRefused as error:
        assert str(error).isprintable()


@settings(max_examples=100, deadline=None)
@given(
    st.binary(max_size=200), st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"BM", b"RIFF"])
)
def test_any_bytes_are_refused_in_a_sentence(raw: bytes, start: bytes) -> None:
    try:
        decoded(start + raw, Path("a.png"))
    except InputRefused as error:
        assert str(error).isprintable()
