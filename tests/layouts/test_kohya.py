"""sd-scripts' configs, as its own parser reads them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tomlkit
from hypothesis import given
from hypothesis import strategies as st

from lora_doctor.caption_files import captions_of
from lora_doctor.dataset_layout import layout_of
from lora_doctor.errors import UsageError
from lora_doctor.layouts import kohya
from tests.layouts.lay_out import folders, lay_out, noted, written

THREE = ("closeup", "context", "reg")
ONE = '[[datasets]]\n[[datasets.subsets]]\nimage_dir = "a"\n'


def test_a_dataset_config_gives_its_subsets(tmp_path: Path) -> None:
    layout = layout_of(lay_out(tmp_path, "kohya_dataset.toml", *THREE))
    closeup, context, reg = layout.subsets
    assert layout.trainer == "sd-scripts" and layout.trigger == "ohwx"
    assert [one.folder for one in layout.subsets] == [tmp_path / name for name in THREE]
    assert [one.repeats for one in layout.subsets] == [3, 2, 1]
    assert [one.keep_tokens for one in layout.subsets] == [2, 1, 1]
    assert [one.regularisation for one in layout.subsets] == [False, False, True]
    assert closeup.source == "kohya_dataset.toml, datasets[0].subsets[0]"
    assert context.caption_extensions == (".txt",) and context.caption_lines == "first"
    assert (context.caption_dropout, context.caption_token_dropout, context.shuffle) == (0.1, 0.05, True)
    assert (context.resolution, context.buckets, context.bucket_step) == ((1024, 1024), True, 64)
    assert (context.bucket_bounds, context.upscales, context.obeys_orientation) == ((512, 1536), True, False)
    assert reg.class_tokens == "person" and context.max_tokens is None


def test_json_says_the_same_as_toml(tmp_path: Path) -> None:
    path = lay_out(tmp_path, "kohya_dataset.toml", *THREE)
    other = tmp_path / "kohya_dataset.json"
    other.write_text(json.dumps(tomlkit.parse(path.read_text(encoding="utf-8")).unwrap()), encoding="utf-8")
    assert [one.repeats for one in layout_of(other).subsets] == [3, 2, 1]
    assert layout_of(other).subsets[0].resolution == (1024, 1024)


LEVEL = st.none() | st.integers(1, 9)


@given(LEVEL, LEVEL, LEVEL)
def test_a_subset_comes_before_its_dataset_before_general(
    tmp_path_factory: pytest.TempPathFactory, general: int | None, dataset: int | None, subset: int | None
) -> None:
    root = tmp_path_factory.mktemp("config")
    own = {key: value for key, value in (("num_repeats", subset), ("keep_tokens", subset)) if value is not None}
    config = {
        "general": {} if general is None else {"num_repeats": general, "keep_tokens": general},
        "datasets": [{**({} if dataset is None else {"num_repeats": dataset, "keep_tokens": dataset}),
                      "subsets": [{"image_dir": "a", **own}]}],
    }  # fmt: skip
    (one,) = written(root, "dataset.toml", tomlkit.dumps(config), "a").subsets
    levels = [level for level in (subset, dataset, general) if level is not None]
    assert one.repeats == (levels or [1])[0]
    assert one.keep_tokens == (levels or [0])[0]


def test_the_caption_extension_is_caption_unless_somebody_says_otherwise(tmp_path: Path) -> None:
    layout = written(tmp_path, "dataset.toml", ONE, "a")
    assert layout.subsets[0].caption_extensions == (".caption",)
    assert noted(layout, "reads .caption files alone, unless the command line")
    other = written(tmp_path, "other.toml", f'[general]\ncaption_extension = "txt"\n{ONE}')
    assert other.subsets[0].caption_extensions == (".txt",)
    assert not noted(other, "caption_extension")


def test_a_folder_twice_in_one_dataset_counts_once(tmp_path: Path) -> None:
    text = f'{ONE}num_repeats = 3\n[[datasets.subsets]]\nimage_dir = "a"\nnum_repeats = 5\n'
    layout = written(tmp_path, "dataset.toml", text, "a")
    assert [one.repeats for one in layout.subsets] == [3]
    assert noted(layout, "1 subsets repeat a folder")


def test_a_folder_in_two_datasets_counts_twice_at_the_larger_size(tmp_path: Path) -> None:
    one = '[[datasets]]\nresolution = {}\n[[datasets.subsets]]\nimage_dir = "a"\nnum_repeats = {}\n'
    text = "".join(one.format(side, repeats) for side, repeats in ((512, 2), (1024, 3), (768, 1)))
    layout = written(tmp_path, "dataset.toml", text, "a")
    assert [(one.repeats, one.resolution) for one in layout.subsets] == [(6, (1024, 1024))]
    assert noted(layout, "several [[datasets]]")


def test_a_folder_in_two_datasets_with_other_captions_is_two_subsets(tmp_path: Path) -> None:
    text = f'{ONE}caption_extension = ".txt"\n{ONE}caption_prefix = "yuki,"\ncaption_extension = ".txt"\n'
    assert len(written(tmp_path, "dataset.toml", text, "a").subsets) == 2


def test_prefix_and_suffix_have_a_space_between(tmp_path: Path) -> None:
    text = f'[general]\ncaption_prefix = "masterpiece,"\ncaption_suffix = ", end"\n{ONE}'
    (subset,) = written(tmp_path, "dataset.toml", text, "a").subsets
    assert captions_of(subset, "01.png", "1girl\nsecond") == ("masterpiece, 1girl , end",)
    assert captions_of(subset, "02.png", None) == ("masterpiece,  , end",)


def test_wildcards_make_every_line_a_caption(tmp_path: Path) -> None:
    (subset,) = written(tmp_path, "dataset.toml", f"[general]\nenable_wildcard = true\n{ONE}", "a").subsets
    assert captions_of(subset, "01.png", "{a|b} girl\n\nsecond") == ("a girl", "b girl", "second")


def test_a_rate_of_zero_is_said_and_not_passed_over(tmp_path: Path) -> None:
    text = f"[general]\ncaption_dropout_rate = 0.5\n{ONE}caption_dropout_rate = 0\n"
    (subset,) = written(tmp_path, "dataset.toml", text, "a").subsets
    assert subset.caption_dropout == 0.0


def test_epochs_without_captions_are_dropout(tmp_path: Path) -> None:
    text = f"{ONE}caption_dropout_rate = 0.1\ncaption_dropout_every_n_epochs = 4\n"
    (subset,) = written(tmp_path, "dataset.toml", text, "a").subsets
    assert subset.caption_dropout == pytest.approx(1 - 0.9 * 0.75)


def test_a_subset_that_is_never_shown_has_no_repeats_and_hides_no_other(tmp_path: Path) -> None:
    never = f"{ONE}num_repeats = 0\n"
    assert [one.repeats for one in written(tmp_path, "never.toml", never, "a").subsets] == [0]
    text = f'{never}[[datasets.subsets]]\nimage_dir = "a"\nnum_repeats = 2\n'
    assert [one.repeats for one in written(tmp_path, "dataset.toml", text, "a").subsets] == [2]


def test_keys_that_sd_scripts_does_not_know_are_noted(tmp_path: Path) -> None:
    layout = written(tmp_path, "dataset.toml", f"{ONE}num_repeat = 3\n", "a")
    assert layout.subsets[0].repeats == 1
    assert noted(layout, "datasets[0].subsets[0].'num_repeat'")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f'{ONE}num_repeats = "3"\n', r"datasets\[0\]\.subsets\[0\]\.num_repeats must be a whole number .*not '3'"),
        (f"{ONE}num_repeats = 2.5\n", "must be a whole number"),
        (f"{ONE}num_repeats = true\n", "must be a whole number"),
        (f"{ONE}caption_dropout_rate = 1.5\n", "must be a number from 0 to 1"),
        (f"{ONE}caption_dropout_rate = nan\n", "must be a number from 0 to 1"),
        (f"{ONE}caption_extension = 3\n", "must be a text"),
        (f'[general]\nenable_bucket = "yes"\n{ONE}', r"general\.enable_bucket must be true or false"),
        (f"[general]\nresolution = [1, 2, 3]\n{ONE}", "must be one or two whole numbers"),
        (f"[general]\nresolution = -5\n{ONE}", "must be one or two whole numbers"),
        ("[[datasets]]\nsubsets = 5\n", r"datasets\[0\]\.subsets must be a list of tables"),
        ("[[datasets]]\n[[datasets.subsets]]\nnum_repeats = 2\n", "image_dir must be the name of a folder"),
        ('[[datasets]]\n[[datasets.subsets]]\nimage_dir = "nowhere"\n', "names 'nowhere', and there is no such folder"),
        (f'{ONE}[[datasets.subsets]]\nimage_dir = "a"\nmetadata_file = "b.json"\n', "with metadata_file and without"),
        ("[general]\n[[datasets]]\nsubsets = []\n", "names no folder of training pictures"),
        (f"{ONE}is_reg = true\n", "names no folder of training pictures"),
        (f"general = 5\n{ONE}", "general must be a table"),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as refused:
        written(tmp_path, "dataset.toml", text, "a")
    assert str(tmp_path / "dataset.toml") in str(refused.value)


def test_numbered_folders_of_the_arguments_are_subsets_and_the_others_left_out(tmp_path: Path) -> None:
    folders(tmp_path, "img/10_ohwx woman", "img/2_ohwx woman", "img/more", "img/-1_x", "img/0_y", "reg/1_woman")
    layout = layout_of(lay_out(tmp_path, "kohya_args.toml"))
    assert {one.folder.name: (one.repeats, one.regularisation) for one in layout.subsets} == {
        "10_ohwx woman": (10, False), "2_ohwx woman": (2, False), "1_woman": (1, True),
    }  # fmt: skip
    assert layout.subsets[0].source == "10_ohwx woman" and not layout.subsets[0].recursive
    assert layout.subsets[0].class_tokens == "ohwx woman" and layout.trigger == "ohwx"
    assert layout.subsets[0].resolution == (768, 1024) and layout.subsets[0].max_tokens == 225
    assert layout.subsets[0].bucket_bounds is None and layout.subsets[0].upscales is False
    assert noted(layout, "1 folders without a number") and not noted(layout, "ohwx")


def test_the_mark_of_the_kept_part_is_told(tmp_path: Path) -> None:
    text = f'[general]\nkeep_tokens_separator = "|||"\ncaption_extension = ".txt"\n{ONE}'
    (subset,) = written(tmp_path, "dataset.toml", text, "a").subsets
    assert subset.keep_separator == "|||"


def test_a_folder_of_pictures_given_for_the_one_above_it_is_explained(tmp_path: Path) -> None:
    folders(tmp_path, "img", "reg")
    with pytest.raises(UsageError, match=r"no folder called <repeats>_<words>.*number them"):
        layout_of(lay_out(tmp_path, "kohya_args.toml"))


def test_a_project_of_kohya_ss_may_write_numbers_as_text(tmp_path: Path) -> None:
    folders(tmp_path, "img/10_ohwx woman")
    (subset,) = layout_of(lay_out(tmp_path, "kohya_gui.json")).subsets
    assert (subset.resolution, subset.max_tokens, subset.keep_tokens) == ((1024, 1024), 75, 1)
    assert (subset.caption_extensions, subset.caption_dropout) == ((".txt",), 0.05)


def test_a_project_of_easy_training_scripts_is_read(tmp_path: Path) -> None:
    layout = layout_of(lay_out(tmp_path, "kohya_scripts.toml", "closeup", "context"))
    assert [(one.folder.name, one.repeats) for one in layout.subsets] == [("closeup", 3), ("context", 2)]
    assert layout.subsets[0].resolution == (768, 768) and layout.subsets[0].buckets
    assert layout.subsets[0].max_tokens == 225 and not noted(layout, "does not know")


def test_a_script_is_read_with_its_variables(tmp_path: Path) -> None:
    folders(tmp_path, "img/4_ohwx woman")
    (subset,) = layout_of(lay_out(tmp_path, "kohya.sh")).subsets
    assert (subset.repeats, subset.resolution, subset.shuffle) == (4, (1024, 1024), True)
    assert (subset.max_tokens, subset.caption_extensions) == (75, (".txt",))


def test_accelerates_own_config_is_not_that_of_sd_scripts(tmp_path: Path) -> None:
    written(tmp_path, "ko.toml", ONE, "a")
    text = (
        "accelerate launch --config_file /home/me/accel.yaml --num_cpu_threads_per_process 1 sdxl_train_network.py "
        "--dataset_config ko.toml --network_module networks.lora\n"
    )
    layout = written(tmp_path, "run.sh", text)
    assert layout.trainer == "sd-scripts" and [one.folder for one in layout.subsets] == [tmp_path / "a"]


def test_arguments_lead_to_the_dataset_config_and_stand_behind_it(tmp_path: Path) -> None:
    written(tmp_path, "dataset.toml", f"[general]\nkeep_tokens = 3\n{ONE}", "a")
    text = ('dataset_config = "dataset.toml"\ntrain_data_dir = "gone"\nkeep_tokens = 1\ncaption_extension = ".txt"\n'
            "caption_dropout_rate = 0.2\n")  # fmt: skip
    layout = written(tmp_path, "args.toml", text)
    (subset,) = layout.subsets
    assert (subset.keep_tokens, subset.caption_extensions, subset.caption_dropout) == (3, (".txt",), 0.2)
    assert subset.source == "dataset.toml, datasets[0].subsets[0]"
    assert noted(layout, "train_data_dir, reg_data_dir and in_json are ignored")


def test_arguments_may_lead_to_a_config_of_musubi_tuner(tmp_path: Path) -> None:
    lay_out(tmp_path, "musubi.toml", "closeup", "context")
    layout = written(tmp_path, "args.toml", 'dataset_config = "musubi.toml"\nnetwork_module = "networks.lora_wan"\n')
    assert layout.trainer == "musubi-tuner" and len(layout.subsets) == 2


def test_a_config_does_not_make_us_open_what_is_no_config(tmp_path: Path) -> None:
    (tmp_path / "secret.key").write_text("[general]", encoding="utf-8")
    with pytest.raises(UsageError, match="does not end in"):
        written(tmp_path, "args.toml", 'dataset_config = "secret.key"\n')


def test_relative_names_are_found_beside_the_config_or_above_it_and_noted(tmp_path: Path) -> None:
    folders(tmp_path, "a")
    (tmp_path / "config" / "mine").mkdir(parents=True)
    layout = written(tmp_path / "config" / "mine", "dataset.toml", ONE)
    assert layout.subsets[0].folder == tmp_path / "a"
    assert noted(layout, "relative")
    absolute = written(tmp_path, "other.toml", ONE.replace('"a"', f"'{tmp_path / 'a'}'"))
    assert not noted(absolute, "relative")


def metadata(tmp_path: Path, table: object, general: str = "") -> Path:
    folders(tmp_path, "a")
    (tmp_path / "meta.json").write_text(json.dumps(table), encoding="utf-8")
    path = tmp_path / "dataset.toml"
    path.write_text(f'{general}{ONE}metadata_file = "meta.json"\nnum_repeats = 2\n', encoding="utf-8")
    return path


def test_a_metadata_file_holds_captions_and_tags(tmp_path: Path) -> None:
    path = metadata(tmp_path, {"01.png": {"caption": "a girl\nsecond", "tags": "1girl, x"}, "02": {"tags": "1boy"}})
    (subset,) = layout_of(path).subsets
    assert subset.files == ("01.png", "02") and subset.repeats == 2
    assert captions_of(subset, "01.png", (subset.captions or {})["01.png"]) == ("a girl",)
    assert captions_of(subset, "02", (subset.captions or {})["02"]) == ("1boy",)


def test_tags_are_behind_every_line_with_wildcards(tmp_path: Path) -> None:
    path = metadata(
        tmp_path, {"01.png": {"caption": "a girl\nsecond", "tags": "x"}}, "[general]\nenable_wildcard=true\n"
    )
    (subset,) = layout_of(path).subsets
    assert captions_of(subset, "01.png", (subset.captions or {})["01.png"]) == ("a girl,x", "second,x")


def test_names_without_an_ending_are_those_of_the_pictures(tmp_path: Path) -> None:
    (subset,) = layout_of(metadata(tmp_path, {"01": {"caption": "a girl"}})).subsets
    assert subset.files == ("01.png",) and subset.captions == {"01.png": "a girl"}


def test_whole_paths_lead_to_a_subset_for_each_folder(tmp_path: Path) -> None:
    folders(tmp_path, "b")
    path = metadata(tmp_path, {str(tmp_path / "a" / "01.png"): {"caption": "x"}, str(tmp_path / "b" / "01.png"): {}})
    assert [(one.folder, one.files) for one in layout_of(path).subsets] == [
        (tmp_path / "a", ("01.png",)), (tmp_path / "b", ("01.png",)),
    ]  # fmt: skip


def test_a_metadata_file_in_lines_is_read(tmp_path: Path) -> None:
    folders(tmp_path, "a")
    (tmp_path / "meta.jsonl").write_text('{"image_path": "01.png", "caption": "x"}\n', encoding="utf-8")
    (subset,) = written(tmp_path, "d.toml", f'{ONE}metadata_file = "meta.jsonl"\n').subsets
    assert subset.captions == {"01.png": "x"}


@pytest.mark.parametrize(
    "table", [[], {"01.png": 5}, {"../x.png": {"caption": "x"}}], ids=["a list", "no entries", "outside"]
)
def test_a_metadata_file_that_is_none_is_refused(tmp_path: Path, table: object) -> None:
    with pytest.raises(UsageError, match=r"meta\.json"):
        layout_of(metadata(tmp_path, table))


SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "num_repeats": st.integers(1, 20), "shuffle_caption": st.booleans(), "keep_tokens": st.integers(0, 5),
        "caption_extension": st.sampled_from([".txt", "caption"]), "caption_dropout_rate": st.floats(0, 1),
        "caption_tag_dropout_rate": st.floats(0, 1), "caption_prefix": st.text("ab, ", max_size=5),
        "enable_wildcard": st.booleans(), "random_crop": st.booleans(), "class_tokens": st.text("ab ", max_size=5),
    },
)  # fmt: skip
SIZES = st.fixed_dictionaries(
    {},
    optional={
        "resolution": st.integers(64, 2048) | st.lists(st.integers(64, 2048), min_size=2, max_size=2),
        "enable_bucket": st.booleans(), "bucket_no_upscale": st.booleans(), "batch_size": st.integers(1, 8),
    },
)  # fmt: skip


@given(SETTINGS, SIZES, SETTINGS, SIZES, st.lists(SETTINGS, min_size=1, max_size=3))
def test_any_valid_config_is_read_without_a_word_about_keys(
    tmp_path_factory: pytest.TempPathFactory, general: dict[str, object], size: dict[str, object],
    dataset: dict[str, object], of_dataset: dict[str, object], subsets: list[dict[str, object]],
) -> None:  # fmt: skip
    root = tmp_path_factory.mktemp("config")
    folders(root, *(f"f{i}" for i in range(len(subsets))))
    listed = [{**one, "image_dir": f"f{i}"} for i, one in enumerate(subsets)]
    config = {"general": {**general, **size}, "datasets": [{**dataset, **of_dataset, "subsets": listed}]}
    path = root / "dataset.toml"
    layout = kohya.read(path, tomlkit.dumps(config))
    assert [one.folder.name for one in layout.subsets] == [f"f{i}" for i in range(len(subsets))]
    assert not noted(layout, "does not know")
    for one, own in zip(layout.subsets, subsets, strict=True):
        for name, key, default in (
            ("shuffle", "shuffle_caption", False), ("caption_dropout", "caption_dropout_rate", 0),
            ("repeats", "num_repeats", 1), ("wildcards", "enable_wildcard", False),
        ):  # fmt: skip
            assert getattr(one, name) == {**general, **dataset, **own}.get(key, default)
