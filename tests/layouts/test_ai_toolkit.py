"""ai-toolkit's jobs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lora_doctor.caption_files import captions_of
from lora_doctor.dataset_layout import layout_of
from lora_doctor.errors import UsageError
from lora_doctor.types import Layout
from tests.layouts.lay_out import lay_out, noted, written

THREE = ("closeup", "context", "reg")


def job(root: Path, *datasets: dict[str, object], **process: object) -> Layout:
    config = {"job": "extension", "config": {"name": "mine", "process": [{**process, "datasets": list(datasets)}]}}
    return written(root, "job.json", json.dumps(config), "a", "mine")


def test_a_job_gives_its_folders_once_for_each_resolution(tmp_path: Path) -> None:
    layout = layout_of(lay_out(tmp_path, "ai_toolkit.yaml", *THREE))
    closeup, context, reg = layout.subsets
    assert layout.trainer == "ai-toolkit" and layout.trigger == "ohwx"
    assert [one.repeats for one in layout.subsets] == [9, 6, 1]
    assert closeup.resolution == (1024, 1024) and reg.resolution == (512, 512) and reg.regularisation
    assert (closeup.caption_dropout, closeup.caption_token_dropout, closeup.keep_tokens) == (0.1, 0.05, 1)
    assert closeup.recursive and closeup.obeys_orientation and closeup.buckets and closeup.upscales is False
    assert closeup.caption_extensions == (".txt",) and context.trigger == "ohwx"
    assert noted(layout, "several resolutions") and noted(layout, "Every other step")
    assert noted(layout, "loses the trigger word")


def test_the_trigger_is_put_into_captions(tmp_path: Path) -> None:
    (subset,) = job(tmp_path, {"folder_path": "a"}, trigger_word="ohwx").subsets
    assert captions_of(subset, "01.png", "a [trigger] girl") == ("a ohwx girl",)
    assert captions_of(subset, "01.png", "a girl") == ("ohwx a girl",)
    assert captions_of(subset, "01.png", None) == ("ohwx",)


def test_a_datasets_own_trigger_comes_first(tmp_path: Path) -> None:
    layout = job(tmp_path, {"folder_path": "a", "trigger_word": "yuki"}, trigger_word="ohwx")
    assert layout.subsets[0].trigger == "yuki" and layout.trigger == "yuki"


def test_without_a_trigger_the_mark_is_removed(tmp_path: Path) -> None:
    layout = job(tmp_path, {"folder_path": "a"})
    assert captions_of(layout.subsets[0], "01.png", "[trigger], a girl") == (", a girl",)
    assert captions_of(layout.subsets[0], "01.png", None) == () and layout.trigger is None


def test_the_default_caption_stands_in(tmp_path: Path) -> None:
    (subset,) = job(tmp_path, {"folder_path": "a", "default_caption": "a [trigger] girl"}, trigger_word="ohwx").subsets
    assert captions_of(subset, "01.png", None) == captions_of(subset, "01.png", " ") == ("a ohwx girl",)


def test_mirrored_copies_are_repeats_and_fewer_than_one_is_one(tmp_path: Path) -> None:
    assert job(tmp_path, {"folder_path": "a", "flip_x": True, "num_repeats": 2}).subsets[0].repeats == 4
    assert job(tmp_path, {"folder_path": "a", "num_repeats": 0}).subsets[0].repeats == 1


def test_cached_text_is_not_dropped_token_by_token(tmp_path: Path) -> None:
    layout = job(tmp_path, {"folder_path": "a", "token_dropout_rate": 0.3}, train={"cache_text_embeddings": True})
    assert layout.subsets[0].caption_token_dropout == 0.0 and noted(layout, "token_dropout_rate does nothing")


def test_the_name_of_the_job_is_put_into_folders(tmp_path: Path) -> None:
    assert job(tmp_path, {"folder_path": "[name]"}).subsets[0].folder == tmp_path / "mine"


def test_variables_of_the_environment_are_not_looked_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "hunter2")
    with pytest.raises(UsageError, match="environment variable") as refused:
        job(tmp_path, {"folder_path": "${SECRET}/a"})
    assert "hunter2" not in str(refused.value)


def test_1e_4_is_a_number_in_yaml(tmp_path: Path) -> None:
    text = "job: extension\nconfig:\n  process:\n  - datasets:\n    - {folder_path: a, caption_dropout_rate: 1e-4}\n"
    assert written(tmp_path, "job.yaml", text, "a").subsets[0].caption_dropout == 1e-4


@pytest.mark.parametrize(
    ("dataset", "says"),
    [
        ({"folder_path": "nowhere"}, r"process\[0\]\.datasets\[0\]\.folder_path names 'nowhere'"),
        ({}, "folder_path must be the name of a folder"),
        ({"folder_path": "a", "num_repeats": "3"}, r"num_repeats must be a whole number"),
        ({"folder_path": "a", "resolution": [512, "x"]}, "resolution must be a whole number"),
        ({"folder_path": "a", "caption_dropout_rate": 2}, "must be a number from 0 to 1"),
        ({"folder_path": "a", "buckets": 1}, "must be true or false"),
        ({"folder_path": "a", "is_reg": True}, "names no folder of training pictures"),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(tmp_path: Path, dataset: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        job(tmp_path, dataset)


def test_unknown_keys_are_noted(tmp_path: Path) -> None:
    layout = job(tmp_path, {"folder_path": "a", "repeats": 5})
    assert noted(layout, "config.process[0].datasets[0].'repeats'") and noted(layout, "it ignores keys")
