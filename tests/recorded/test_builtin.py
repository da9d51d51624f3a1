"""The reference trainer's own metadata comes back as it was trained."""

from __future__ import annotations

import pytest

from lora_doctor.lora_settings import read_training_record
from lora_doctor.training import _metadata
from lora_doctor.training_plan import plan_training
from lora_doctor.types import TrainingRecord, TrainingSettings
from tests.recorded.written_metadata import NOWHERE

SETTINGS = TrainingSettings(
    rank=8, alpha=4.0, steps=300, batch_size=4, learning_rate=2e-4, train_text_encoder=True, identity_ratio=0.33,
    caption_token_dropout=0.3, caption_dropout=0.05, negative_tokens=("black_hair", "hat"), seed=7, resolution=64,
    flip_augmentation=True,
)  # fmt: skip


def read(settings: TrainingSettings, **more: str) -> TrainingRecord:
    plan = plan_training(settings, pictures=20, resolution=64, grain=8)
    return read_training_record(_metadata(settings, plan) | more, NOWHERE)


@pytest.mark.parametrize("field", [name for name in SETTINGS.__slots__ if getattr(SETTINGS, name) is not None])
def test_every_setting_comes_back(field: str) -> None:
    found = read(SETTINGS)
    assert getattr(found.settings, field) == getattr(SETTINGS, field)
    assert found.sources[field] == f"metadata lora_doctor.{field}"


def test_trigger_base_and_steps_come_back() -> None:
    found = read(SETTINGS, **{"lora_doctor.trigger": "kira", "lora_doctor.base": "miniature"})
    assert (found.trainer, found.triggers, found.base.name, found.progress.steps) == (
        "lora-doctor", ("kira",), "miniature", 300,
    )  # fmt: skip


@pytest.mark.parametrize("said", ["lora-doctor", "builtin"])
def test_a_file_is_ours_under_the_name_that_earlier_versions_wrote_too(said: str) -> None:
    found = read(SETTINGS, **{"lora_doctor.trainer": said})
    assert (found.trainer, found.settings.rank) == ("lora-doctor", 8)


def test_the_hash_of_the_base_model_comes_back_and_a_bad_one_does_not() -> None:
    assert read(SETTINGS, **{"lora_doctor.base_sha256": "a" * 64}).base.folder_sha256 == "a" * 64
    assert read(SETTINGS, **{"lora_doctor.base_sha256": "base"}).base.folder_sha256 is None


def test_defaults_that_were_used_are_known() -> None:
    found = read(TrainingSettings(steps=10))
    assert (found.settings.rank, found.settings.caption_dropout, found.settings.negative_tokens) == (16, 0.0, ())
