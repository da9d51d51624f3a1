"""A changed learning rate says what it leaves as it was."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lora_doctor.text_encoder_rate import kept_rate
from lora_doctor.types import TrainingSettings

BEFORE = TrainingSettings(learning_rate=2e-4, train_text_encoder=True, text_encoder_learning_rate=5e-5)
HALVED = replace(BEFORE, learning_rate=1e-4)


def test_a_rate_that_stays_is_told_with_what_would_follow_the_change():
    assert kept_rate(BEFORE, HALVED) == (
        "The text encoder keeps a learning rate of its own, 5e-05; 2.5e-05 would follow the change."
    )


def test_where_the_rate_of_before_is_not_known_only_the_kept_one_is_told():
    told = kept_rate(replace(BEFORE, learning_rate=None), HALVED)
    assert told == "The text encoder keeps a learning rate of its own, 5e-05."


def test_a_trainer_that_does_not_say_whether_it_trains_the_encoder_may_train_it():
    assert kept_rate(replace(BEFORE, train_text_encoder=None), replace(HALVED, train_text_encoder=None))


@pytest.mark.parametrize(
    "after",
    [
        BEFORE,  # nothing changed
        replace(HALVED, text_encoder_learning_rate=2.5e-5),  # followed, as where it falls back to the one rate
        replace(HALVED, text_encoder_learning_rate=None),
        replace(HALVED, text_encoder_learning_rate=0.0),
        replace(HALVED, train_text_encoder=False),  # the same patch switches it off
    ],
)
def test_nothing_is_told_where_no_rate_of_a_trained_encoder_is_left(after):
    assert kept_rate(BEFORE, after) is None
