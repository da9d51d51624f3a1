"""musubi-tuner's dataset configs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lora_doctor.caption_files import captions_of
from lora_doctor.dataset_layout import layout_of
from lora_doctor.errors import UsageError
from tests.layouts.lay_out import lay_out, noted, written


def test_folders_have_repeats_sizes_and_whole_captions(tmp_path: Path) -> None:
    layout = layout_of(lay_out(tmp_path, "musubi.toml", "closeup", "context"))
    closeup, context = layout.subsets
    assert layout.trainer == "musubi-tuner"
    assert (closeup.folder, closeup.repeats, closeup.resolution) == (tmp_path / "closeup", 3, (960, 544))
    assert (context.repeats, context.resolution, context.buckets, context.upscales) == (1, (1024, 1024), True, True)
    assert captions_of(context, "01.png", "one\ntwo") == ("one\ntwo",)
    assert noted(layout, "leaves out pictures without a caption file") and not context.obeys_orientation


def test_without_an_extension_no_caption_is_found(tmp_path: Path) -> None:
    layout = written(tmp_path, "d.toml", '[[datasets]]\nimage_directory = "a"\n', "a")
    assert layout.subsets[0].caption_extensions == () and noted(layout, "caption_extension is not set")
    assert layout.subsets[0].resolution == (960, 544) and layout.subsets[0].buckets is False


def test_a_table_in_lines_holds_pictures_and_captions(tmp_path: Path) -> None:
    rows = [{"image_path": str(tmp_path / "a" / "1.png"), "caption": "x"}, {"image_path": "b/2.png", "caption": "y"}]
    (tmp_path / "meta.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    layout = written(tmp_path, "d.toml", '[[datasets]]\nimage_jsonl_file = "meta.jsonl"\nnum_repeats = 2\n')
    assert [(one.folder, one.captions, one.repeats) for one in layout.subsets] == [
        (tmp_path / "a", {"1.png": "x"}, 2), (tmp_path / "b", {"2.png": "y"}, 2),
    ]  # fmt: skip


def test_videos_are_not_looked_at(tmp_path: Path) -> None:
    text = '[[datasets]]\nvideo_directory = "v"\n'
    assert noted(
        written(tmp_path, "d.toml", f'{text}[[datasets]]\nimage_directory = "a"\n', "a"), "1 datasets of videos"
    )
    with pytest.raises(UsageError, match="names no folder of pictures"):
        written(tmp_path, "only.toml", text)


def test_unknown_keys_are_noted_and_wrong_types_refused(tmp_path: Path) -> None:
    layout = written(tmp_path, "d.toml", '[[datasets]]\nimage_directory = "a"\nrepeats = 3\n', "a")
    assert noted(layout, "datasets[0].'repeats'")
    with pytest.raises(UsageError, match=r"datasets\[0\]\.num_repeats must be"):
        written(tmp_path, "e.toml", '[[datasets]]\nimage_directory = "a"\nnum_repeats = "3"\n')
    with pytest.raises(UsageError, match="no such folder"):
        written(tmp_path, "f.toml", '[[datasets]]\nimage_directory = "nowhere"\n')
