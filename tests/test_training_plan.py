"""Training settings with everything left open filled in, and nonsense refused."""

from __future__ import annotations

from typing import Any

import pytest

from lora_doctor.errors import UsageError
from lora_doctor.training_plan import TrainingPlan, plan_training
from lora_doctor.types import TrainingSettings


def plan(**settings: Any) -> TrainingPlan:
    return plan_training(TrainingSettings(**settings), pictures=30, resolution=64, grain=16)


def test_what_the_config_does_not_say_has_a_default() -> None:
    assert plan(steps=10) == TrainingPlan(steps=10, resolution=64)


def test_alpha_is_the_rank_unless_given() -> None:
    assert (plan(steps=1, rank=48).alpha, plan(steps=1, rank=48, alpha=1).alpha) == (48, 1)


@pytest.mark.parametrize(("epochs", "batch", "steps"), [(1, 8, 4), (2.5, 8, 10), (10, 30, 10), (0.01, 8, 1)])
def test_epochs_become_steps_rounded_up(epochs: float, batch: int, steps: int) -> None:
    assert plan(epochs=epochs, batch_size=batch).steps == steps


def test_steps_win_over_epochs() -> None:
    assert plan(steps=7, epochs=100).steps == 7


def test_what_is_given_is_kept() -> None:
    given = {
        "steps": 3, "rank": 4, "alpha": 2.0, "batch_size": 2, "learning_rate": 1e-4, "train_text_encoder": True,
        "identity_ratio": 0.33, "caption_token_dropout": 0.3, "caption_dropout": 0.1, "negative_tokens": ("a",),
        "seed": 9, "resolution": 96,
    }  # fmt: skip
    assert plan(**given) == TrainingPlan(**given)


@pytest.mark.parametrize(
    "settings",
    [
        {}, {"steps": 0}, {"epochs": 0}, {"steps": 1, "rank": 0}, {"steps": 1, "alpha": -1.0},
        {"steps": 1, "batch_size": 0}, {"steps": 1, "learning_rate": 0.0}, {"steps": 1, "learning_rate": float("nan")},
        {"steps": 1, "identity_ratio": 1.5}, {"steps": 1, "caption_token_dropout": -0.1},
        {"steps": 1, "caption_dropout": 2}, {"steps": 1, "resolution": 40},
    ],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        plan(**settings)
