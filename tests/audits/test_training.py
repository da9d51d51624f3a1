"""The training config's numbers are measurements; its silence is a reason."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lora_doctor.audits.training import audit
from lora_doctor.types import Case, TrainedFolder, TrainingRecord, TrainingSettings
from tests.audits.make_case import Picture, get, make_case

NAMES = {
    "rank", "alpha", "steps", "exposures", "caption_token_dropout", "caption_dropout", "identity_ratio",
    "learning_rate", "train_text_encoder", "flip_augmentation",
}  # fmt: skip


def test_what_the_config_says_is_measured_as_it_stands() -> None:
    settings = TrainingSettings(
        rank=48, alpha=24.0, steps=400, batch_size=16, learning_rate=1e-4, train_text_encoder=False,
        flip_augmentation=True, identity_ratio=0.33, caption_token_dropout=0.0, caption_dropout=0.1,
    )  # fmt: skip
    found = audit(make_case([Picture()] * 40, training=settings))
    values = {m.name.removeprefix("training."): m.value for m in found}
    assert values == {
        "rank": 48, "alpha": 24, "steps": 400, "exposures": 160, "caption_token_dropout": 0, "caption_dropout": 0.1,
        "identity_ratio": 0.33, "learning_rate": 1e-4, "train_text_encoder": 0,
        "flip_augmentation": 1,
    }  # fmt: skip
    assert all(m.reason is None and m.interval is None for m in found)


@pytest.mark.parametrize("kind", ["loha", "lokr"])
def test_a_rank_that_is_not_that_of_the_update_is_no_number(kind: str) -> None:
    rank = get(audit(make_case([Picture()], training=TrainingSettings(kind=kind, rank=4))), "training.rank")
    assert (rank.value, rank.reason) == (None, f"the rank that a {kind} is trained with is not that of its update")


def test_silence_is_a_reason_for_every_name() -> None:
    found = audit(make_case([Picture()]))
    assert {m.name.removeprefix("training.") for m in found} == NAMES
    assert {(m.value, m.reason) for m in found} == {(None, "the training config does not say")}


def test_epochs_give_exposures_and_with_a_batch_size_steps() -> None:
    pictures = [Picture(repeats=3), Picture(repeats=1)]
    found = audit(make_case(pictures, training=TrainingSettings(epochs=10, batch_size=2)))
    assert get(found, "training.exposures").value == 20
    steps = get(found, "training.steps")
    assert (steps.value, steps.reason) == (20, "computed from 10 epochs")
    alone = audit(make_case(pictures, training=TrainingSettings(epochs=10)))
    assert get(alone, "training.exposures").value == 20
    assert get(alone, "training.steps").value is None


def test_steps_without_a_batch_size_are_no_exposures() -> None:
    found = audit(make_case([Picture()], training=TrainingSettings(steps=100)))
    assert get(found, "training.steps").value == 100
    exposures = get(found, "training.exposures")
    assert exposures.value is None
    assert exposures.reason == "the training config does not say what the batch size is"


@pytest.mark.parametrize(("trained", "value"), [(True, 1.0), (False, 0.0)])
def test_the_text_encoder_is_one_or_zero(trained: bool, value: float) -> None:
    found = audit(make_case([Picture()], training=TrainingSettings(train_text_encoder=trained)))
    assert get(found, "training.train_text_encoder").value == value


@pytest.mark.parametrize(
    "optimizer",
    ["Prodigy", "prodigy8bit", "PRODIGY_PLUS_SCHEDULE_FREE", "DAdaptAdam", "dadaptation", "DADAPT_LION", "D-Adaptation",
     "prodigyopt.prodigy.Prodigy(decouple=True)"],
)  # fmt: skip
def test_a_rate_that_the_optimiser_finds_itself_is_no_number(optimizer: str) -> None:
    settings = TrainingSettings(optimizer=optimizer, learning_rate=1.0)
    rate = get(audit(make_case([Picture()], training=settings)), "training.learning_rate")
    assert (rate.value, rate.reason) == (None, f"{optimizer} finds its rate itself")


@pytest.mark.parametrize(("optimizer", "rate"), [("AdamW8bit", 0.01), ("AdamWScheduleFree", 0.01), ("Prodigy", 0.0)])
def test_a_rate_that_is_trained_at_is_one(optimizer: str, rate: float) -> None:
    settings = TrainingSettings(optimizer=optimizer, learning_rate=rate)
    assert get(audit(make_case([Picture()], training=settings)), "training.learning_rate").value == rate


def with_regularisation(settings: TrainingSettings, pictures: int) -> Case:
    case = make_case([Picture()] * pictures, training=settings)
    return replace(case, dataset=replace(case.dataset, regularisation=100))


@pytest.mark.parametrize(("accumulation", "shown"), [(None, 25), (1, 25), (8, 200)])
def test_a_step_shows_every_batch_that_it_accumulates(accumulation: int | None, shown: float) -> None:
    settings = TrainingSettings(steps=1000, batch_size=1, gradient_accumulation=accumulation)
    assert get(audit(make_case([Picture()] * 40, training=settings)), "training.exposures").value == shown
    epochs = TrainingSettings(epochs=shown, batch_size=1, gradient_accumulation=accumulation)
    assert get(audit(make_case([Picture()] * 40, training=epochs)), "training.steps").value == 1000


@pytest.mark.parametrize(
    ("trainer", "shown"), [("sd-scripts", 130), ("ai-toolkit", 130), ("diffusers", 260), ("SimpleTuner", None)]
)
def test_regularisation_pictures_take_their_share_of_the_steps(trainer: str, shown: float | None) -> None:
    settings = TrainingSettings(trainer=trainer, steps=5200, batch_size=1)
    exposures = get(audit(with_regularisation(settings, 20)), "training.exposures")
    assert exposures.value == shown
    assert shown is not None or exposures.reason == "how many of the steps were regularisation pictures is not told"


def test_epochs_show_the_characters_pictures_whatever_else_is_in_them() -> None:
    found = audit(with_regularisation(TrainingSettings(trainer="sd-scripts", epochs=10, batch_size=1), 20))
    assert get(found, "training.exposures").value == 10
    assert get(found, "training.steps").value == 400


@pytest.mark.parametrize(("recorded", "shown"), [(True, 130), (False, 260)])
def test_what_the_lora_says_of_its_folders_comes_before_those_of_today(recorded: bool, shown: float) -> None:
    case = with_regularisation(TrainingSettings(trainer="sd-scripts", steps=5200, batch_size=1), 20)
    folders = (TrainedFolder(name="yuki"), TrainedFolder(name="other", regularisation=recorded))
    assert case.lora is not None
    record = TrainingRecord(settings=TrainingSettings(), sources={}, folders=folders)
    case = replace(case, lora=replace(case.lora, record=record))
    assert get(audit(case), "training.exposures").value == shown
