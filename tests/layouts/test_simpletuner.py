"""SimpleTuner's backends and the config that names them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lora_doctor.caption_files import captions_of
from lora_doctor.dataset_layout import layout_of
from lora_doctor.errors import UsageError
from lora_doctor.types import Layout
from tests.layouts.lay_out import folders, lay_out, noted, written

THREE = ("closeup", "context", "reg")


def backends(root: Path, *listed: dict[str, object]) -> Layout:
    full = [{"id": str(i), "type": "local", "instance_data_dir": "a", **one} for i, one in enumerate(listed)]
    return written(root, "multidatabackend.json", json.dumps(full), "a", "b")


def test_backends_with_pictures_on_this_disk_are_subsets(tmp_path: Path) -> None:
    layout = layout_of(lay_out(tmp_path, "multidatabackend.json", *THREE))
    closeup, context, reg = layout.subsets
    assert layout.trainer == "SimpleTuner"
    assert [one.repeats for one in layout.subsets] == [3, 1, 1]
    assert (closeup.shuffle, closeup.keep_tokens, closeup.recursive, closeup.buckets) == (True, 1, True, True)
    assert closeup.resolution == (1024, 1024) and context.resolution == (1000, 1000)
    assert (context.buckets, context.random_crop, context.obeys_orientation) == (False, False, True)
    assert reg.regularisation and captions_of(reg, "01.png", None) == ("a person",)
    assert captions_of(closeup, "01.png", "one\n\ntwo\n") == ("one", "two")
    assert captions_of(context, "01.png", "one\ntwo") == ("ohwx person one", "ohwx person two")
    assert captions_of(context, "01.png", None) == ()
    assert closeup.source == "multidatabackend.json, closeup"
    assert noted(layout, "1 backends are disabled") and noted(layout, "1 backends have their pictures elsewhere")


@pytest.mark.parametrize("name", ["simpletuner.json", "simpletuner.toml"])
def test_the_config_leads_to_the_backends_and_stands_behind_them(tmp_path: Path, name: str) -> None:
    folders(tmp_path, *THREE)
    (tmp_path / "config").mkdir()
    lay_out(tmp_path / "config", "multidatabackend.json")
    layout = layout_of(lay_out(tmp_path, name))
    assert [one.caption_dropout for one in layout.subsets] == [0.1, 0.1, 0.1]
    assert layout.subsets[2].resolution == (512, 512)


def test_backends_beside_the_config_are_the_default(tmp_path: Path) -> None:
    backends(tmp_path, {"caption_strategy": "textfile"})
    config = '{"model_family": "sdxl", "model_type": "lora", "resolution": "768", "caption_strategy": "textfile"}'
    layout = written(tmp_path, "config.json", config)
    assert layout.subsets[0].resolution == (768, 768) and not noted(layout, "relative names")


def test_names_are_captions_unless_something_else_is_said(tmp_path: Path) -> None:
    folders(tmp_path, "a")
    (tmp_path / "a" / "ohwx_by_the_sea.png").write_bytes(b"")
    layout = backends(tmp_path, {"prepend_instance_prompt": True, "instance_prompt": "photo,"})
    (subset,) = layout.subsets
    assert captions_of(subset, "x", (subset.captions or {})["ohwx_by_the_sea.png"]) == ("photo, ohwx by the sea",)
    assert noted(layout, "caption files are not read")


def test_one_prompt_for_all_may_be_several(tmp_path: Path) -> None:
    (subset,) = backends(tmp_path, {"caption_strategy": "instanceprompt", "instance_prompt": ["one", "two"]}).subsets
    assert captions_of(subset, "01.png", None) == ("one", "two")
    layout = backends(tmp_path, {"only_instance_prompt": True, "instance_prompt": "photo of ohwx woman"})
    assert layout.trigger == "ohwx"


def test_lines_may_be_kept_together(tmp_path: Path) -> None:
    (subset,) = backends(tmp_path, {"caption_strategy": "textfile", "disable_multiline_split": True}).subsets
    assert captions_of(subset, "01.png", "one\ntwo") == ("one\ntwo",)


def test_one_folder_at_two_sizes_is_one_subset_with_the_repeats_of_both(tmp_path: Path) -> None:
    layout = backends(
        tmp_path, {"caption_strategy": "textfile", "resolution": 512, "repeats": 1},
        {"caption_strategy": "textfile", "resolution": 1024, "repeats": 2},
    )  # fmt: skip
    assert [(one.repeats, one.resolution) for one in layout.subsets] == [(5, (1024, 1024))]


@pytest.mark.parametrize(
    ("backend", "says"),
    [
        ({"instance_data_dir": "nowhere"}, r"\[0\]\.instance_data_dir names 'nowhere'"),
        ({"instance_data_dir": None}, "instance_data_dir must be the name of a folder"),
        ({"repeats": -1, "caption_strategy": "textfile"}, "repeats must be a whole number"),
        ({"caption_strategy": "parquet"}, "caption_strategy is 'parquet', which is not read here"),
        ({"caption_strategy": "instanceprompt"}, "instance_prompt must be a text"),
        ({"caption_strategy": "textfile", "resolution_type": "miles"}, "must be pixel, area or pixel_area"),
        (
            {"caption_strategy": "textfile", "caption_shuffle": {"enable": True, "split_on": "x"}},
            "comma, space or period",
        ),
        ({"disabled": True}, "has no backend with pictures"),
        ({"type": "huggingface"}, "has no backend with pictures"),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(tmp_path: Path, backend: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        backends(tmp_path, backend)


def test_pictures_that_are_filtered_are_noted(tmp_path: Path) -> None:
    assert noted(backends(tmp_path, {"caption_strategy": "textfile", "minimum_image_size": 512}), "left out")
