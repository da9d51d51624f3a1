"""A dataset is read as a trainer sees it, and a picture or caption that would harm a training is named."""

from __future__ import annotations

import hashlib
import io
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lora_doctor.dataset import read_dataset
from lora_doctor.errors import InputRefused

FORMATS = {"png": "PNG", "jpg": "JPEG", "jpeg": "JPEG", "webp": "WEBP", "bmp": "BMP"}


def picture(kind: str = "PNG", size: tuple[int, int] = (24, 16)) -> bytes:
    noise = np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, kind)
    return buffer.getvalue()


def write(path: Path, content: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_pictures_of_every_kind_come_sorted_with_size_hash_and_caption(tmp_path: Path) -> None:
    for ending, kind in FORMATS.items():
        write(tmp_path / f"{ending}.{ending.upper() if ending == 'bmp' else ending}", picture(kind))
        write(tmp_path / f"{ending}.txt", f"1girl, {ending}\n")
    dataset = read_dataset(tmp_path)
    assert dataset.path == tmp_path
    assert [image.path.stem for image in dataset.images] == sorted(FORMATS)
    for image in dataset.images:
        assert (image.width, image.height, image.repeats, image.role) == (24, 16, 1, None)
        assert image.sha256 == hashlib.sha256(image.path.read_bytes()).hexdigest()
        assert image.caption == f"1girl, {image.path.stem}"


def test_no_caption_is_none_and_an_empty_one_is_empty(tmp_path: Path) -> None:
    write(tmp_path / "a.png", picture())
    write(tmp_path / "b.png", picture())
    write(tmp_path / "b.txt", " \n")
    assert [image.caption for image in read_dataset(tmp_path).images] == [None, ""]


def test_a_byte_order_mark_is_no_part_of_the_caption(tmp_path: Path) -> None:
    write(tmp_path / "a.b.png", picture())
    write(tmp_path / "a.b.caption", b"\xef\xbb\xbf1girl, caf\xc3\xa9")
    assert read_dataset(tmp_path).images[0].caption == "1girl, café"


def test_two_equal_captions_are_one(tmp_path: Path) -> None:
    write(tmp_path / "a.png", picture())
    write(tmp_path / "a.txt", "1girl\n")
    write(tmp_path / "a.caption", "1girl")
    assert read_dataset(tmp_path).images[0].caption == "1girl"


def test_repeats_come_from_the_nearest_folder_that_counts(tmp_path: Path) -> None:
    root = tmp_path / "7_root"
    for name in ("a.png", "10_yuki/b.png", "10_yuki/3_close/c.png", "10_yuki/rest/d.png", "plain/e.png", "2x_no/f.png"):
        write(root / name, picture())
    images = read_dataset(root).images
    assert {image.path.stem: image.repeats for image in images} == {"a": 1, "b": 10, "c": 3, "d": 10, "e": 1, "f": 1}


def test_a_folder_that_is_never_seen_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "0_yuki" / "a.png", picture())
    with pytest.raises(InputRefused, match="0 repeats"):
        read_dataset(tmp_path)


def test_hidden_and_other_files_are_no_pictures(tmp_path: Path) -> None:
    write(tmp_path / "a.png", picture())
    for name in ("._a.png", ".cache/b.png", "__MACOSX/c.png", "a.npz", "notes.md", "Thumbs.db"):
        write(tmp_path / name, b"\0\1")
    assert [image.path.name for image in read_dataset(tmp_path).images] == ["a.png"]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP"])
def test_a_picture_cut_anywhere_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    whole = picture(kind)
    ending = next(ending for ending, name in FORMATS.items() if name == kind)
    no_pixels = {"PNG": 24, "JPEG": 2}.get(kind, 0)  # checksums and the end chunk, the end marker
    for length in range(0, len(whole) - no_pixels, max(1, len(whole) // 32)):
        path = write(tmp_path / f"cut.{ending}", whole[:length])
        with pytest.raises(InputRefused, match=path.name):
            read_dataset(tmp_path)


def test_a_link_inside_the_dataset_is_followed_and_one_to_a_folder_is_not(tmp_path: Path) -> None:
    write(tmp_path / "data" / "a.png", picture())
    (tmp_path / "data" / "b.png").symlink_to(tmp_path / "data" / "a.png")
    assert len(read_dataset(tmp_path / "data").images) == 2
    (tmp_path / "data" / "more").symlink_to(tmp_path)
    with pytest.raises(InputRefused, match="symbolic link to a folder"):
        read_dataset(tmp_path / "data")


def test_a_link_to_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(InputRefused, match=r"a.png"):
        read_dataset(tmp_path)


def test_no_folder_and_no_folder_but_a_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputRefused, match="no such folder"):
        read_dataset(tmp_path / "none")
    with pytest.raises(InputRefused, match="is not a folder"):
        read_dataset(write(tmp_path / "a.png", picture()))


@settings(max_examples=60, deadline=None)
@given(content=st.one_of(st.binary(max_size=40), st.text(max_size=20).map(str.encode)))
def test_a_caption_is_its_utf8_text_or_is_refused_at_the_right_byte(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / "a.png", picture(size=(1, 1)))
        write(Path(folder) / "a.txt", content)
        try:
            caption = read_dataset(Path(folder)).images[0].caption
        except InputRefused as error:
            at = int(str(error).rpartition("offset ")[2].partition(".")[0])
            content[:at].decode()
            with pytest.raises(UnicodeDecodeError):
                content[at : at + 4].replace(b"\0", b"\xff").decode()
        else:
            assert caption == content.decode().removeprefix("\ufeff").strip()
