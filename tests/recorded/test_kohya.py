"""sd-scripts' metadata is read as its source writes it, with its traps."""

from __future__ import annotations

import json

import pytest

from tests.recorded.written_metadata import record, written


def test_a_training_with_folders_gives_back_its_settings() -> None:
    read = record("kohya_folders")
    settings = read.settings
    assert (read.trainer, read.hidden, read.altered, read.unreadable) == ("sd-scripts", None, None, {})
    assert (settings.rank, settings.alpha, settings.conv_rank, settings.conv_alpha) == (16, 8.0, 8, 4.0)
    assert (settings.steps, settings.epochs, settings.batch_size, settings.gradient_accumulation) == (1800, 30, 1, 2)
    assert (settings.learning_rate, settings.text_encoder_learning_rate) == (1e-4, 5e-5)
    assert (settings.resolution, settings.seed, settings.kind) == (1024, 42, "lora")
    assert (settings.keep_tokens, settings.shuffle_captions) == (0, False)
    assert settings.optimizer == "torch.optim.adamw.AdamW(weight_decay=0.1)"
    assert read.sources["rank"] == "metadata ss_network_dim"


def test_what_was_done_is_told_from_what_was_planned() -> None:
    read = record("kohya_folders")
    assert (read.settings.steps, read.progress.steps, read.progress.epochs) == (1800, 900, 15)
    assert (read.progress.started, read.progress.finished) == ("2026-09-21T14:13:20+00:00", "2026-09-21T15:13:20+00:00")


def test_folders_count_their_pictures_without_repeats() -> None:
    read = record("kohya_folders")
    character, regularisation = read.folders
    assert (character.name, character.repeats, character.images) == ("3_ohwx person", 3, 20)
    assert character.tags == {"ohwx": 20, "smile": 7}
    assert regularisation.regularisation and regularisation.images == 5


@pytest.mark.parametrize("name", ["kohya_folders", "kohya_toml"])
def test_the_trigger_comes_from_the_character_s_folder_not_from_regularisation(name: str) -> None:
    assert record(name).triggers == ("ohwx person",)


def test_named_triggers_come_first() -> None:
    found = record("kohya_folders", **{"modelspec.trigger_phrase": "ohwx", "trained_words": "kira, ohwx"}).triggers
    assert found == ("kira", "ohwx", "ohwx person")


def test_dropouts_of_a_training_with_folders_are_real() -> None:
    settings = record("kohya_folders").settings
    assert (settings.caption_dropout, settings.caption_token_dropout) == (0.05, 0.0)


def test_a_dropout_of_zero_with_a_data_set_toml_is_unknown() -> None:
    read = record("kohya_toml")
    for field in ("caption_dropout", "caption_token_dropout"):
        assert getattr(read.settings, field) is None
        assert "TOML's is not in the file" in read.sources[field]


def test_a_dropout_of_the_command_line_with_a_data_set_toml_has_a_caveat() -> None:
    read = record("kohya_toml", ss_caption_dropout_rate="0.1")
    assert read.settings.caption_dropout == 0.1 and "may differ" in read.sources["caption_dropout"]


def test_dropping_whole_epochs_is_no_rate() -> None:
    read = record("kohya_folders", ss_caption_dropout_every_n_epochs="2")
    assert read.settings.caption_dropout is None and "every_n_epochs" in read.sources["caption_dropout"]


def test_a_data_set_toml_s_settings_come_from_its_subsets() -> None:
    read = record("kohya_toml")
    settings = read.settings
    assert (settings.batch_size, settings.resolution, settings.keep_tokens, settings.shuffle_captions) == (
        2, 1024, 1, True,
    )  # fmt: skip
    assert [(folder.name, folder.repeats, folder.tags) for folder in read.folders] == [
        ("closeup", 3, {"ohwx": 20, "smile": 7}), ("reg", 1, {}),
    ]  # fmt: skip


def test_subsets_that_differ_leave_a_setting_open() -> None:
    datasets = json.loads(written("kohya_toml")["ss_datasets"])
    datasets[0]["subsets"].append(datasets[0]["subsets"][0] | {"keep_tokens": 3, "image_dir": "other"})
    read = record("kohya_toml", ss_datasets=json.dumps(datasets))
    assert read.settings.keep_tokens is None and "differs between the subsets: 1, 3" in read.sources["keep_tokens"]
    assert read.settings.shuffle_captions is True


def test_none_means_off_where_it_is_off_and_unknown_elsewhere() -> None:
    read = record("kohya_folders", ss_network_dim="None", ss_seed="None")
    assert (read.settings.noise_offset, read.settings.min_snr_gamma, read.settings.network_dropout) == (0, 0, 0)
    assert (read.settings.rank, read.settings.seed, read.settings.clip_skip) == (None, None, None)
    assert "None" in read.sources["rank"]


def test_a_dynamic_rank_is_no_number() -> None:
    read = record("kohya_folders", ss_network_dim="Dynamic", ss_network_alpha="Dynamic")
    assert read.settings.rank is None and "every module has its own" in read.sources["rank"]


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("dimension is resized from 128 to 32; None", "resized: dimension is resized from 128 to 32"),
        ("Dynamic resize with sv_fro: 0.9 from 128; None", "resized: Dynamic resize with sv_fro: 0.9 from 128"),
        (
            "dimension is resized from 64 to 32; dimension is resized from 128 to 64; mine",
            "resized: dimension is resized from 64 to 32",
        ),
    ],
)
def test_a_resized_file_tells_the_rank_it_was_trained_with(text: str, steps: str) -> None:
    read = record("kohya_folders", ss_training_comment=text, ss_network_dim="32", ss_network_alpha="4")
    assert (read.altered, read.settings.rank, read.settings.alpha) == (steps, 128, None)
    assert "after the file was resized" in read.sources["alpha"]


@pytest.mark.parametrize(
    ("args", "kind"),
    [
        ({"algo": "lokr"}, "lokr"),
        ({"algo": "loha", "dropout": "0.2"}, "loha"),
        ({"algo": "locon", "dora_wd": "True"}, "dora"),
        ({"preset": "full"}, "lora"),
        ({"algo": "nonesuch"}, None),
    ],
)
def test_the_kind_comes_from_the_network_arguments(args: dict[str, str], kind: str | None) -> None:
    changes = {"ss_network_module": "lycoris.kohya", "ss_network_args": json.dumps({"dropout": None} | args)}
    read = record("kohya_folders", **changes)
    assert read.settings.kind == kind
    assert read.settings.network_dropout == float(args.get("dropout", 0))


def test_plain_lora_trains_no_convolutions_without_their_rank() -> None:
    read = record("kohya_folders", ss_network_args=None)
    assert read.settings.conv_rank is None and "convolutions were not trained" in read.sources["conv_rank"]
    assert record("kohya_folders", ss_network_args='{"conv_dim": "8"}').settings.conv_alpha == 1.0


@pytest.mark.parametrize(
    ("text", "rate"),
    [("[5e-05, 5e-05]", 5e-5), ("5e-05", 5e-5), ("None", 1e-4), ("[]", 1e-4), ("[5e-05, 0.0]", None), ("[x]", None)],
)
def test_text_encoder_rates_are_read_as_lists_too(text: str, rate: float | None) -> None:
    assert record("kohya_folders", ss_text_encoder_lr=text).settings.text_encoder_learning_rate == rate


def test_a_rate_of_zero_means_that_the_text_encoder_was_not_trained() -> None:
    assert record("kohya_folders", ss_text_encoder_lr="[0.0, 0.0]").settings.train_text_encoder is False
    assert record("kohya_folders").settings.train_text_encoder is None


def test_the_unet_s_own_rate_wins() -> None:
    assert record("kohya_folders", ss_unet_lr="0.0003").settings.learning_rate == 3e-4


def test_modelspec_resolution_is_not_trusted() -> None:
    read = record("kohya_folders", ss_resolution=None)
    assert "modelspec.resolution" in written("kohya_folders") and read.settings.resolution is None


@pytest.mark.parametrize(
    ("architecture", "written_type", "prediction"),
    [
        ("stable-diffusion-xl-v1-base/lora", "v", "v_prediction"),
        ("stable-diffusion-v1/lora", "epsilon", "epsilon"),
        ("stable-diffusion-3-medium/lora", "epsilon", "flow"),
        ("flux-1-dev/lora", None, "flow"),
        ("lumina-2/lora", "epsilon", "flow"),
    ],
)
def test_epsilon_is_not_believed_of_flow_models(architecture: str, written_type: str | None, prediction: str) -> None:
    changes = {"modelspec.architecture": architecture, "modelspec.prediction_type": written_type}
    assert record("kohya_folders", **changes).settings.prediction_type == prediction


def test_files_without_modelspec_tell_v_prediction_by_their_version() -> None:
    bare = {"modelspec.architecture": None, "modelspec.prediction_type": None}
    assert record("kohya_folders", **bare, ss_base_model_version="sd_v2_v").settings.prediction_type == "v_prediction"
    assert record("kohya_folders", **bare, ss_base_model_version="sd_v1").settings.prediction_type == "epsilon"
    assert record("kohya_folders", **bare).settings.prediction_type is None


def test_the_minimum_set_is_said_to_hide_the_rest() -> None:
    read = record("kohya_minimum")
    assert read.hidden is not None and "--no_metadata" in read.hidden
    assert (read.settings.rank, read.settings.learning_rate) == (16, None)


def test_the_base_model_s_hashes_are_read_only_if_they_are_hashes() -> None:
    read = record("kohya_folders", ss_new_sd_model_hash="AB" * 32, ss_sd_model_hash="not a hash")
    assert (read.base.name, read.base.version) == ("stabilityai/sdxl", "sdxl_base_v1-0")
    assert (read.base.sha256, read.base.legacy_hash) == ("ab" * 32, None)
    assert read.unreadable.keys() == {"ss_sd_model_hash"}


def test_a_base_model_s_path_is_cut_to_its_name() -> None:
    assert record("kohya_folders", ss_sd_model_name=r"C:\Users\me\base.safetensors").base.name == "base.safetensors"
    assert record("kohya_folders", ss_sd_model_name="/home/me/base.safetensors").base.name == "base.safetensors"


@pytest.mark.parametrize("bad", ["[" * 100_000, "{}", "[NaN]", "[" + "9" * 5000 + "]", "x" * (2**20 + 1), "[1, {}]"])
def test_hostile_data_sets_leave_reasons(bad: str) -> None:
    read = record("kohya_toml", ss_datasets=bad)
    assert read.settings.batch_size is None and "ss_datasets" in read.sources["batch_size"]
    assert read.settings.rank == 16


def test_hostile_network_arguments_leave_reasons() -> None:
    read = record("kohya_folders", ss_network_args='{"conv_dim": [')
    assert "unreadable" in read.sources["conv_rank"] and read.unreadable.keys() == {"ss_network_args"}
