"""OneTrainer's configs and concepts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lora_doctor.caption_files import captions_of
from lora_doctor.dataset_layout import layout_of
from lora_doctor.errors import UsageError
from lora_doctor.types import Layout, Subset
from tests.layouts.lay_out import folders, lay_out, noted, written


def concepts(root: Path, *listed: dict[str, object], **config: object) -> Layout:
    return written(root, "config.json", json.dumps({**config, "concepts": list(listed)}), "a", "b")


def tags(root: Path, **text: object) -> Subset:
    return concepts(
        root, {"path": "a", "text": {"tag_dropout_enable": True, "tag_dropout_probability": 0.2, **text}}
    ).subsets[0]


def test_a_config_gives_the_concepts_that_are_trained_on(tmp_path: Path) -> None:
    layout = layout_of(lay_out(tmp_path, "onetrainer.json", "closeup", "context", "reg"))
    closeup, context, reg = layout.subsets
    assert layout.trainer == "OneTrainer" and layout.trigger is None
    assert (closeup.samples, closeup.repeats, closeup.shuffle) == (33, 1, True)
    assert (closeup.caption_token_dropout, closeup.caption_dropout, closeup.keep_tokens) == (0.05, 0.0, 1)
    assert (context.samples, context.repeats, context.recursive, closeup.recursive) == (None, 1.5, True, False)
    assert reg.regularisation and (closeup.resolution, closeup.bucket_step) == ((1024, 1024), 64)
    assert (closeup.max_tokens, closeup.caption_extensions, closeup.obeys_orientation) == (75, (".txt",), True)
    assert captions_of(closeup, "01.png", "one\n\ntwo") == ("one", "two")
    assert noted(layout, "1 concepts are disabled") and noted(layout, "1 concepts are for validation")
    assert noted(layout, "several resolutions")


def test_a_list_of_concepts_is_read_with_its_older_names(tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("ohwx woman\nphoto of ohwx\n", encoding="utf-8")
    layout = layout_of(lay_out(tmp_path, "onetrainer_concepts.json", "closeup", "context"))
    named, common = layout.subsets
    assert (named.repeats, (named.captions or {})["01.png"]) == (2.0, "01")
    assert captions_of(common, "01.png", None) == ("ohwx woman", "photo of ohwx")
    assert common.caption_extensions == () and noted(layout, "names of the pictures")


def test_concepts_in_a_file_of_their_own_are_found_above_the_config(tmp_path: Path) -> None:
    folders(tmp_path, "a")
    (tmp_path / "training_concepts").mkdir()
    (tmp_path / "presets").mkdir()
    (tmp_path / "training_concepts" / "concepts.json").write_text('[{"path": "a", "balancing": 2.5}]', encoding="utf-8")
    config = {"concept_file_name": "training_concepts/concepts.json", "concepts": None, "resolution": "512"}
    layout = written(tmp_path / "presets", "config.json", json.dumps(config))
    (subset,) = layout.subsets
    assert (subset.folder, subset.repeats, subset.resolution) == (tmp_path / "a", 2.5, (512, 512))
    assert subset.source == "concepts.json, concepts[0]" and noted(layout, "relative")


def test_less_than_one_sample_is_none(tmp_path: Path) -> None:
    (subset,) = concepts(tmp_path, {"path": "a", "balancing": 0.5, "balancing_strategy": "SAMPLES"}).subsets
    assert (subset.samples, subset.repeats) == (None, 0)


@pytest.mark.parametrize(
    ("text", "token", "caption"),
    [
        ({"tag_dropout_mode": "RANDOM"}, 0.2, 0.0),
        ({"tag_dropout_mode": "RANDOM WEIGHTED"}, 0.1, 0.0),
        ({"tag_dropout_mode": "FULL", "keep_tags_count": 0}, 0.0, 0.2),
        ({"tag_dropout_mode": "FULL", "keep_tags_count": 2}, 0.2, 0.0),
        ({"tag_dropout_mode": "RANDOM", "tag_dropout_enable": False}, 0.0, 0.0),
    ],
)
def test_modes_of_dropout(tmp_path: Path, text: dict[str, object], token: float, caption: float) -> None:
    subset = tags(tmp_path, **text)
    assert (subset.caption_token_dropout, subset.caption_dropout) == (token, caption)


@pytest.mark.parametrize(
    ("model", "step", "tokens"),
    [("STABLE_DIFFUSION_15", 8, 75), ("STABLE_DIFFUSION_35", 64, None), ("SANA", 32, None), ("FLUX_DEV_1", 64, None),
     ("PIXART_SIGMA", 16, None)],
)  # fmt: skip
def test_the_step_of_buckets_follows_the_model(tmp_path: Path, model: str, step: int, tokens: int | None) -> None:
    (subset,) = concepts(tmp_path, {"path": "a"}, model_type=model).subsets
    assert (subset.bucket_step, subset.max_tokens) == (step, tokens)


def test_a_resolution_may_be_a_size_or_the_concepts_own(tmp_path: Path) -> None:
    image = {"enable_resolution_override": True, "resolution_override": "640", "enable_crop_jitter": False}
    layout = concepts(tmp_path, {"path": "a", "image": image}, {"path": "b"}, resolution="1024x768")
    assert [one.resolution for one in layout.subsets] == [(640, 640), (1024, 768)]
    assert [one.random_crop for one in layout.subsets] == [False, True]


@pytest.mark.parametrize(
    ("concept", "says"),
    [
        ({"path": "nowhere"}, r"concepts\[0\]\.path names 'nowhere', and there is no such folder"),
        ({"path": ""}, "path must be the name of a folder"),
        ({"path": 5}, "path must be a text"),
        ({"path": "a", "balancing": -1}, "balancing must be a number"),
        ({"path": "a", "balancing": "inf"}, "balancing must be a number"),
        ({"path": "a", "balancing_strategy": "MORE"}, "must be REPEATS or SAMPLES"),
        ({"path": "a", "text": {"prompt_source": "book"}}, "must be sample, concept or filename"),
        ({"path": "a", "text": {"prompt_source": "concept", "prompt_path": "/etc/passwd"}}, r"does not end in \.txt"),
        ({"path": "a", "text": []}, "text must be a table"),
        ({"path": "a", "enabled": False}, "has no concept that is trained on"),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(tmp_path: Path, concept: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        concepts(tmp_path, concept)


def test_a_resolution_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="resolution must be whole numbers"):
        concepts(tmp_path, {"path": "a"}, resolution="big")


def test_unknown_keys_of_concepts_are_noted(tmp_path: Path) -> None:
    assert noted(concepts(tmp_path, {"path": "a", "balance": 3}), "concepts[0].'balance'")
