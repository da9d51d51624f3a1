"""A dataset is read as a trainer sees it, and a picture or caption that would harm a training is named."""

from __future__ import annotations

import hashlib
import io
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lora_doctor import dataset as dataset_module
from lora_doctor.dataset import survey
from lora_doctor.dataset_layout import layout_of, read_dataset
from lora_doctor.errors import InputRefused
from lora_doctor.types import Layout, PictureFacts, Subset

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
    with pytest.raises(InputRefused, match="0 times an epoch"):
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
    with pytest.raises(InputRefused, match="is no dataset config"):
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
            read = io.TextIOWrapper(io.BytesIO(content), "utf-8").read()  # as trainers do: a line's end is \\n
            assert caption == read.removeprefix("\ufeff").strip()


# ---------------------------------------------------------------- survey


def layout(*subsets: Subset, trainer: str = "folder") -> Layout:
    return Layout(trainer=trainer, subsets=subsets)


def plain(folder: Path, **fields: Any) -> Layout:
    return layout(Subset(folder=folder, recursive=True, **fields))


class Store:
    """Remembers facts as a run folder does, and counts what it is told."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.facts: dict[str, tuple[PictureFacts, int, int]] = {}
        self.told = 0
        self.stop_after = stop_after

    def remember(self, sha256: str, facts: PictureFacts, width: int, height: int) -> None:
        self.facts[sha256] = (facts, width, height)
        self.told += 1
        if self.told == self.stop_after:
            raise KeyboardInterrupt


def test_a_survey_of_a_sound_folder_is_what_check_reads(tmp_path: Path) -> None:
    for name in ("a.png", "10_x/b.jpg", "10_x/3_y/c.webp"):
        write(tmp_path / name, picture(FORMATS[name[-4:].lstrip(".")]))
        write((tmp_path / name).with_suffix(".txt"), "1girl")
    dataset = survey(layout_of(tmp_path), tmp_path)
    checked = read_dataset(tmp_path)
    assert dataset.images == checked.images
    assert [image.repeats for image in checked.images] == [3, 10, 1]
    assert dataset.skipped == checked.skipped == ()
    assert [image.caption_file for image in dataset.images] == [i.path.with_suffix(".txt") for i in dataset.images]
    assert all(image.facts is not None for image in dataset.images)


def test_a_stopped_survey_resumes_and_decodes_nothing_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(6):
        write(tmp_path / f"{number}.png", picture(size=(8 + number, 8)))
    whole = survey(plain(tmp_path), tmp_path)
    store = Store(stop_after=4)
    with pytest.raises(KeyboardInterrupt):
        survey(plain(tmp_path), tmp_path, known=store.facts.get, remember=store.remember)
    assert len(store.facts) == 4
    really, decoded = dataset_module.decoded, []

    def counted(raw: bytes, path: Path) -> tuple[PictureFacts, int, int]:
        decoded.append(path.name)
        return really(raw, path)

    monkeypatch.setattr(dataset_module, "decoded", counted)
    assert survey(plain(tmp_path), tmp_path, known=store.facts.get, remember=store.remember) == whole
    assert decoded == ["4.png", "5.png"]
    assert survey(plain(tmp_path), tmp_path, known=store.facts.get, remember=store.remember) == whole
    assert len(decoded) == 2


def test_what_is_known_belongs_to_the_bytes_and_not_to_the_name(tmp_path: Path) -> None:
    store = Store()
    path = write(tmp_path / "a.png", picture(size=(8, 8)))
    survey(plain(tmp_path), tmp_path, known=store.facts.get, remember=store.remember)
    write(path, picture(size=(9, 9)))
    (image,) = survey(plain(tmp_path), tmp_path, known=store.facts.get, remember=store.remember).images
    assert (image.width, image.height) == (9, 9)


def test_copies_and_folders_listed_twice_are_decoded_once(tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "c.png"):
        write(tmp_path / name, picture())
    store = Store()
    twice = layout(Subset(folder=tmp_path), Subset(folder=tmp_path, repeats=3))
    images = survey(twice, tmp_path, remember=store.remember).images
    assert [(image.path.name, image.subset, image.repeats) for image in images] == [
        (name, subset, repeats) for name in ("a.png", "b.png", "c.png") for subset, repeats in ((0, 1), (1, 3))
    ]
    assert store.told == 1


def test_progress_tells_of_every_picture_bad_ones_included(tmp_path: Path) -> None:
    write(tmp_path / "a.png", picture())
    write(tmp_path / "b.png", b"no")
    told: list[tuple[int, int]] = []
    survey(plain(tmp_path), tmp_path, progress=lambda stage, done, total: told.append((done, total)))
    assert told == [(1, 2), (2, 2)]


def test_subsets_give_repeats_roles_and_captions_of_their_own(tmp_path: Path) -> None:
    for name in ("close/a.png", "far/b.png", "far/c.png", "far/deeper/d.png"):
        write(tmp_path / name, picture())
    write(tmp_path / "close/a.tags", "close")
    write(tmp_path / "close/a.txt", "not read")
    write(tmp_path / "texts/b.txt", "far")
    write(tmp_path / "texts/x.txt", "of no picture")
    dataset = survey(
        layout(
            Subset(folder=tmp_path / "close", repeats=2.5, role="identity-emphasis", caption_extensions=(".tags",)),
            Subset(folder=tmp_path / "far", samples=5, caption_folder=tmp_path / "texts"),
        ),
        tmp_path,
    )
    close, far, other = dataset.images
    assert (close.repeats, close.role, close.caption, close.subset) == (2.5, "identity-emphasis", "close", 0)
    assert (far.repeats, far.role, far.caption, far.subset) == (2.5, None, "far", 1)
    assert (other.path.name, other.caption, other.caption_file) == ("c.png", None, None)
    assert {each.path.relative_to(tmp_path).as_posix() for each in dataset.skipped} == {"close/a.txt", "texts/x.txt"}


def test_a_table_gives_captions_and_a_list_gives_pictures(tmp_path: Path) -> None:
    for name in ("a.png", "x/b.png", "c.png", "outside.png"):
        write(tmp_path / ("d" if name != "outside.png" else "") / name, picture())
    told = {"a.png": "one", "x/b.png": "two"}
    files = ("a.png", "x/b.png", "gone.png", "../outside.png", str(tmp_path / "outside.png"), "nul\0.png")
    dataset = survey(layout(Subset(folder=tmp_path / "d", files=files, captions=told)), tmp_path / "d")
    assert [(image.path.name, image.caption) for image in dataset.images] == [("a.png", "one"), ("b.png", "two")]
    assert [each.kind for each in dataset.skipped] == ["picture"] * 4
    assert sum("lies outside the dataset" in each.reason for each in dataset.skipped) == 2


def test_pictures_that_keep_the_base_model_are_counted_and_never_opened(tmp_path: Path) -> None:
    write(tmp_path / "train/a.png", picture())
    for number in range(3):
        write(tmp_path / f"reg/{number}.png", b"never looked at")
    both = layout(Subset(folder=tmp_path / "train"), Subset(folder=tmp_path / "reg", regularisation=True))
    dataset = survey(both, tmp_path)
    assert (len(dataset.images), dataset.regularisation, dataset.skipped) == (1, 3, ())


def test_a_subset_that_is_gone_or_never_shown_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    write(tmp_path / "a/a.png", picture())
    write(tmp_path / "never/b.png", picture())
    dataset = survey(
        layout(Subset(folder=tmp_path / "a"), Subset(folder=tmp_path / "gone"),
               Subset(folder=tmp_path / "never", repeats=0)),
        tmp_path / "config.toml",
    )  # fmt: skip
    assert len(dataset.images) == 1
    assert [(each.path.name, each.kind) for each in dataset.skipped] == [("gone", "folder"), ("never", "folder")]


def test_when_the_only_folder_cannot_be_used_that_is_the_reason(tmp_path: Path) -> None:
    with pytest.raises(InputRefused, match="gone: no such folder"):
        survey(plain(tmp_path / "gone"), tmp_path / "gone")
    with pytest.raises(InputRefused, match="holds no pictures"):
        survey(plain(tmp_path), tmp_path)


def test_a_bad_caption_leaves_its_picture_without_one_though_another_file_could_serve(tmp_path: Path) -> None:
    write(tmp_path / "a.png", picture())
    write(tmp_path / "a.txt", b"caf\xe9")
    write(tmp_path / "a.caption", "fine")
    dataset = survey(plain(tmp_path), tmp_path)
    assert (dataset.images[0].caption, dataset.images[0].caption_file) == (None, None)
    assert [each.path.name for each in dataset.skipped] == ["a.txt"]


def test_captions_are_made_as_the_trainer_makes_them(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write(tmp_path / f"{name}.png", picture())
    write(tmp_path / "a.txt", b"\xef\xbb\xbf\r\none\r\ntwo\r\n")
    write(tmp_path / "c.txt", b"caf\xe9")
    made = {}
    for lines in ("whole", "first", "any"):
        dataset = survey(plain(tmp_path, caption_lines=lines, class_tokens="ohwx woman"), tmp_path)
        made[lines] = [(image.caption, image.variants) for image in dataset.images]
        assert [image.caption_file for image in dataset.images] == [tmp_path / "a.txt", None, None]
    assert made["whole"] == [("one\ntwo", ()), ("ohwx woman", ()), (None, ())]
    assert made["first"][0] == ("", ())
    assert made["any"][0] == ("one", ("one", "two"))


def test_folders_inside_a_subset_of_a_config_are_no_repeats(tmp_path: Path) -> None:
    write(tmp_path / "10_x" / "a.png", picture())
    assert survey(plain(tmp_path, repeats=2), tmp_path).images[0].repeats == 2


def test_masks_and_controls_of_a_trainer_are_no_pictures(tmp_path: Path) -> None:
    for name in ("a.png", "a-masklabel.png", "_controls/a.png"):
        write(tmp_path / name, picture())
    read = {
        trainer: len(survey(Layout(trainer=trainer, subsets=plain(tmp_path).subsets), tmp_path).images)
        for trainer in ("OneTrainer", "ai-toolkit", "sd-scripts", "folder")
    }
    assert read == {"OneTrainer": 2, "ai-toolkit": 2, "sd-scripts": 3, "folder": 2}
    assert read_dataset(tmp_path).notes[0].startswith("1 files are named as masks or controls of other pictures")


def test_marks_of_utf_8_are_counted_in_a_note(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write(tmp_path / f"{name}.png", picture())
        write(tmp_path / f"{name}.txt", (b"\xef\xbb\xbf" if name != "c" else b"") + b"1girl")
    dataset = survey(plain(tmp_path), tmp_path)
    assert {image.caption for image in dataset.images} == {"1girl"}
    assert dataset.notes[0].startswith("2 of the captions begin with a byte order mark")


def test_every_trainer_reads_its_own_endings(tmp_path: Path) -> None:
    for name, kind in {"a.png": "PNG", "b.bmp": "BMP", "c.gif": "GIF"}.items():
        write(tmp_path / name, picture(kind))
    read = {
        trainer: [i.path.name for i in survey(layout(Subset(folder=tmp_path), trainer=trainer), tmp_path).images]
        for trainer in ("sd-scripts", "ai-toolkit", "SimpleTuner")
    }
    assert read == {
        "sd-scripts": ["a.png", "b.bmp"],
        "ai-toolkit": ["a.png"],
        "SimpleTuner": ["a.png", "b.bmp", "c.gif"],
    }


@settings(max_examples=60, deadline=None)
@given(content=st.binary(max_size=60), share=st.floats(0, 1))
def test_any_bytes_as_caption_and_any_cut_of_a_picture_never_stop_a_survey(content: bytes, share: float) -> None:
    whole = picture("JPEG")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder / "a.png", picture(size=(1, 1)))
        write(folder / "a.txt", content)
        write(folder / "b.jpg", whole[: int(share * len(whole))])
        dataset = survey(plain(folder), folder)
    assert (dataset.images[0].caption is None) == any(each.kind == "caption" for each in dataset.skipped)
    assert (len(dataset.images) == 1) == any(each.path.name == "b.jpg" for each in dataset.skipped)
