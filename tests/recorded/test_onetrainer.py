"""OneTrainer's config is read whole, without concepts, or not at all, and each is told apart."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lora_doctor.types import TrainingRecord
from tests.recorded.written_metadata import record, written

WITH, WITHOUT = "onetrainer_all", "onetrainer_settings"


def changed(**settings: Any) -> TrainingRecord:
    config = json.loads(written(WITH)["ot_config"]) | settings
    return record(WITH, ot_config=json.dumps(config))


def with_text(*texts: dict[str, Any]) -> TrainingRecord:
    usual = json.loads(written(WITH)["ot_config"])["concepts"][0]
    return changed(concepts=[usual | {"text": usual["text"] | text} for text in texts])


def test_its_settings_come_back() -> None:
    read = record(WITH)
    settings = read.settings
    assert (read.trainer, settings.rank, settings.alpha, settings.kind) == ("OneTrainer", 16, 8.0, "lora")
    assert (settings.epochs, settings.batch_size, settings.resolution) == (10, 2, 1024)
    assert (settings.learning_rate, settings.train_text_encoder, settings.clip_skip) == (3e-4, False, 2)
    assert (settings.noise_offset, settings.min_snr_gamma, settings.optimizer) == (0, 0, "ADAMW")
    assert (read.progress.finished, read.base.name) == ("2026-08-19", "stabilityai/stable-diffusion-xl-base-1.0")
    assert read.sources["rank"] == "metadata ot_config lora_rank" and read.hidden is None


def test_caption_dropout_and_balancing_are_known_only_with_the_concepts() -> None:
    whole, part = record(WITH), record(WITHOUT)
    assert (whole.settings.caption_token_dropout, whole.settings.caption_dropout) == (0.05, 0.0)
    assert [(folder.name, folder.samples, folder.repeats) for folder in whole.folders] == [
        ("closeup", 33, None), ("context", 67, None),
    ]  # fmt: skip
    assert (part.settings.rank, part.settings.caption_token_dropout, part.folders) == (16, None, ())
    assert "leave its concepts out" in part.sources["caption_token_dropout"]


def test_without_a_config_every_setting_has_that_reason() -> None:
    read = record(WITH, ot_config=None)
    assert read.trainer == "OneTrainer" and "include_train_config: NONE" in (read.hidden or "")
    assert read.settings.rank is None and read.sources["rank"] == read.hidden


def test_dropping_a_whole_caption_is_told_from_dropping_tags() -> None:
    full = {"tag_dropout_mode": "FULL", "tag_dropout_probability": 0.2}
    assert with_text(full | {"keep_tags_count": 0}).settings.caption_dropout == 0.2
    assert with_text(full | {"keep_tags_count": 0}).settings.caption_token_dropout == 0.0
    kept = with_text(full | {"keep_tags_count": 1})
    assert kept.settings.caption_dropout is None and "all but the first 1 tags" in kept.sources["caption_dropout"]
    weighted = with_text({"tag_dropout_mode": "RANDOM WEIGHTED"})
    assert weighted.settings.caption_token_dropout is None
    assert with_text({"tag_dropout_enable": False}).settings.caption_token_dropout == 0.0


def test_concepts_that_differ_leave_the_dropout_open() -> None:
    read = with_text({"tag_dropout_probability": 0.1}, {"tag_dropout_probability": 0.3})
    assert read.settings.caption_token_dropout is None
    assert "differs between the concepts: 0.1, 0.3" in read.sources["caption_token_dropout"]


def test_disabled_and_validation_concepts_do_not_count() -> None:
    usual = json.loads(written(WITH)["ot_config"])["concepts"]
    other = usual[0] | {"text": usual[0]["text"] | {"tag_dropout_probability": 0.9}, "name": "other"}
    read = changed(concepts=[*usual, other | {"enabled": False}, other | {"type": "VALIDATION"}])
    assert read.settings.caption_token_dropout == 0.05 and len(read.folders) == 2


def test_prior_predictions_are_regularisation() -> None:
    usual = json.loads(written(WITH)["ot_config"])["concepts"]
    read = changed(concepts=[usual[0], usual[1] | {"type": "PRIOR_PREDICTION"}])
    assert [folder.regularisation for folder in read.folders] == [False, True]


def test_a_text_encoder_the_family_does_not_have_does_not_count() -> None:
    trained = {"train": True, "learning_rate": 1e-5}
    read = changed(model_type="STABLE_DIFFUSION_15", text_encoder={"train": False}, text_encoder_2=trained)
    assert read.settings.train_text_encoder is False
    both = changed(text_encoder_2=trained)
    assert (both.settings.train_text_encoder, both.settings.text_encoder_learning_rate) == (True, 1e-5)


def test_a_part_s_own_rate_wins() -> None:
    assert changed(unet={"learning_rate": 2e-5}).settings.learning_rate == 2e-5


@pytest.mark.parametrize(
    ("settings", "kind", "rank"),
    [
        ({"peft_type": "LORA", "lora_decompose": True}, "dora", 16),
        ({"peft_type": "LOKR", "lokr_dim": 7}, "lokr", 7),
        ({"peft_type": "LOKR", "lokr_full_matrix": True}, "lokr", None),
        ({"peft_type": "OFT_2"}, "oft", None),
        ({"peft_type": 3}, None, None),
    ],
)
def test_kinds_have_their_own_rank(settings: dict[str, Any], kind: str | None, rank: int | None) -> None:
    read = changed(**settings)
    assert (read.settings.kind, read.settings.rank) == (kind, rank)


def test_min_snr_is_a_loss_weight() -> None:
    assert changed(loss_weight_fn="MIN_SNR_GAMMA", loss_weight_strength=5.0).settings.min_snr_gamma == 5.0


@pytest.mark.parametrize("bad", ["{", "[]", '{"a": NaN}', "[" * 10_000, '{"lora_rank": ' + "9" * 5000 + "}"])
def test_a_hostile_config_is_unreadable(bad: str) -> None:
    read = record(WITH, ot_config=bad)
    assert read.settings.rank is None and "unreadable" in read.sources["rank"]
