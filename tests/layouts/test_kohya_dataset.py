"""What sd-scripts' dataset config says of a subset where it says nothing, or says it twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lora_doctor.errors import UsageError
from lora_doctor.layouts.kohya_dataset import read_dataset_config
from lora_doctor.layouts.values import Section
from lora_doctor.types import Layout, Subset
from tests.layouts.lay_out import folders, noted


def read(
    root: Path, subset: dict[str, Any] | None = None, dataset: dict[str, Any] | None = None,
    general: dict[str, Any] | None = None, args: dict[str, Any] | None = None,
) -> Layout:  # fmt: skip
    """A config of one `[[datasets]]` with one subset, the folder `closeup`; `args` are those of the command line."""
    folders(root, "closeup", "context")
    path = root / "config.toml"
    layers = {"image_dir": "closeup"} | (subset or {})
    config = {"general": general or {}, "datasets": [{**(dataset or {}), "subsets": [layers]}]}
    told = None if args is None else Section(root / "args.toml", (("", args),), True)
    return read_dataset_config(path, config, told)


def only(layout: Layout) -> Subset:
    (subset,) = layout.subsets
    return subset


def test_where_nothing_is_said_the_defaults_are_those_of_sd_scripts(tmp_path: Path) -> None:
    found = only(read(tmp_path))
    assert (found.repeats, found.keep_tokens, found.shuffle, found.separator) == (1, 0, False, ",")
    assert (found.caption_dropout, found.caption_token_dropout) == (0.0, 0.0)
    assert (found.caption_extensions, found.caption_lines, found.max_tokens) == ((".caption",), "first", None)
    assert (found.buckets, found.bucket_step, found.bucket_bounds, found.upscales) == (False, None, None, True)


@pytest.mark.parametrize(
    ("rate", "every", "dropped"),
    [(0.0, 0, 0.0), (0.1, 0, 0.1), (0.0, 4, 0.25), (0.1, 4, 1 - 0.9 * 0.75), (0.0, 1, 1.0), (0.5, -1, 0.5)],
)
def test_a_caption_is_dropped_at_its_step_or_with_all_of_its_epoch(
    tmp_path: Path, rate: float, every: int, dropped: float
) -> None:
    layout = read(tmp_path, {"caption_dropout_rate": rate, "caption_dropout_every_n_epochs": every})
    assert only(layout).caption_dropout == pytest.approx(dropped)
    assert noted(layout, "caption_dropout_every_n_epochs") == (every > 0)


@pytest.mark.parametrize(
    ("dataset", "step", "bounds", "upscales"),
    [
        ({"enable_bucket": True}, 64, (256, 1024), True),
        ({"enable_bucket": True, "min_bucket_reso": 512, "max_bucket_reso": 1536, "bucket_reso_steps": 32},
         32, (512, 1536), True),
        ({"enable_bucket": True, "bucket_no_upscale": True}, 64, None, False),
        ({"bucket_no_upscale": True, "min_bucket_reso": 512}, None, None, True),
    ],
)  # fmt: skip
def test_buckets_have_bounds_only_where_pictures_may_grow_into_them(
    tmp_path: Path, dataset: dict[str, Any], step: int | None, bounds: tuple[int, int] | None, upscales: bool
) -> None:
    found = only(read(tmp_path, dataset=dataset))
    assert (found.bucket_step, found.bucket_bounds, found.upscales) == (step, bounds, upscales)


@pytest.mark.parametrize(
    ("args", "tokens"),
    [
        (None, None),
        ({"max_token_length": 225, "network_module": "networks.lora"}, 225),
        ({"network_module": "networks.lora"}, 75),
        ({"network_module": "networks.lora_flux"}, None),
    ],
)
def test_captions_are_cut_where_the_command_line_says_or_clip_ends(
    tmp_path: Path, args: dict[str, Any] | None, tokens: int | None
) -> None:
    assert only(read(tmp_path, args=args)).max_tokens == tokens


def test_the_nearest_word_counts_and_the_command_line_is_the_farthest(tmp_path: Path) -> None:
    layers = [{"num_repeats": number} for number in (2, 3, 4, 5)]
    for first in range(4):
        given = [None] * first + [dict(layer) for layer in layers[first:]]
        assert only(read(tmp_path, *given)).repeats == first + 2


def test_the_folder_and_what_it_is_for_are_no_other_subsets(tmp_path: Path) -> None:
    layout = read(tmp_path, dataset={"is_reg": True}, general={"is_reg": True})
    assert not only(layout).regularisation
    assert noted(layout, "is_reg")


@pytest.mark.parametrize(("number", "repeats"), [(0, 0), (-3, 0), (7, 7)])
def test_repeats_below_one_show_the_folder_never(tmp_path: Path, number: int, repeats: int) -> None:
    assert only(read(tmp_path, {"num_repeats": number})).repeats == repeats


def test_a_negative_number_of_kept_tokens_keeps_none(tmp_path: Path) -> None:
    assert only(read(tmp_path, {"keep_tokens": -1})).keep_tokens == 0


@pytest.mark.parametrize(("extension", "read_as"), [("txt", (".txt",)), (".txt", (".txt",)), ("", ("",))])
def test_a_dot_is_put_before_the_ending_of_captions(tmp_path: Path, extension: str, read_as: tuple[str, ...]) -> None:
    assert only(read(tmp_path, {"caption_extension": extension})).caption_extensions == read_as


def test_pictures_that_are_held_out_are_said_and_not_guessed(tmp_path: Path) -> None:
    assert noted(read(tmp_path, dataset={"validation_split": 0.1}), "some pictures are not trained on")
    assert not noted(read(tmp_path, dataset={"validation_split": 0.0}), "some pictures are not trained on")


def test_tables_and_folders_in_one_dataset_are_refused(tmp_path: Path) -> None:
    folders(tmp_path, "closeup")
    config = {"datasets": [{"subsets": [{"image_dir": "closeup"}, {"metadata_file": "all.json"}]}]}
    with pytest.raises(UsageError, match=r"datasets\[0\] has subsets with metadata_file and without"):
        read_dataset_config(tmp_path / "config.toml", config)


def test_regularisation_alone_trains_nothing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="names no folder of training pictures"):
        read(tmp_path, {"is_reg": True})
