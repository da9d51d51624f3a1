"""What a public file may say of captions: labels, and numbers for everything else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.kept import ENDING, RESULTS, recall
from lora_doctor.diagnosis import to_json
from lora_doctor.dossier import describe_dataset
from lora_doctor.labels import load_labels
from lora_doctor.plugins import data_folder
from lora_doctor.public_measurements import PRIVATE, public, public_facts
from lora_doctor.types import Diagnosis, Measurement, Skipped
from tests.audits.make_case import LABEL_SETS, Picture, dataset_of
from tests.make_diagnosis import make_diagnosis


def measured(name: str, reason: str | None = None, **where: str) -> Measurement:
    return Measurement(name=name, value=1.0, where=where, reason=reason)


def test_a_word_that_no_label_set_knows_becomes_a_number() -> None:
    secret = measured("captions.token_frequency", "my ex boyfriend is in 9 captions", token="my ex boyfriend")
    (told,) = public([secret], LABEL_SETS)
    assert told == measured("captions.token_frequency", "token 1 is in 9 captions", token="token 1")


def test_the_same_word_keeps_its_number_and_others_get_their_own() -> None:
    found = [measured("a", token="x y"), measured("b", token="z"), measured("c", token="x y"), measured("d", word="z")]
    assert [dict(m.where) for m in public(found, LABEL_SETS)] == [
        {"token": "token 1"}, {"token": "token 2"}, {"token": "token 1"}, {"word": "word 1"},
    ]  # fmt: skip


def test_labels_and_all_other_slices_stay_as_they_are() -> None:
    found = [measured("a", token="night sky"), measured("b", token="white_hair"), measured("c", attribute="x y")]
    assert public(found, LABEL_SETS) == tuple(found)


def test_the_words_of_a_slice_that_nobody_thought_of_are_not_told() -> None:
    (told,) = public([measured("a", "my ex is seen twice", nickname="my ex", weight="0.7")], LABEL_SETS)
    assert told == measured("a", "nickname 1 is seen twice", nickname="nickname 1", weight="0.7")


@pytest.mark.parametrize("patient", ["luna", "misa", "yuki"])
def test_what_check_ups_measure_is_told_slice_by_slice(patient: str) -> None:
    """No slice that a rule asks for may lose its name on the way to the public."""
    seen = recall(RESULTS / "rounds" / f"{patient}.rounds{ENDING}")
    told = public(seen.measurements, load_labels(data_folder("miniature") / "clip" / "labels.toml"))
    both = zip(seen.measurements, told, strict=True)
    changed = {key for before, after in both for key in before.where if before.where[key] != after.where[key]}
    assert changed <= {"token", "spelling", "word"}


def private_facts() -> Diagnosis:
    """Facts of a dataset that names a lover in a caption, a file and a measurement."""
    dataset = dataset_of([Picture(caption="yuki_nk, my ex boyfriend")] * 2)
    dataset = replace(
        dataset, notes=("my ex boyfriend's folder",),
        skipped=(Skipped(path=Path("my ex boyfriend"), kind="folder", reason="is empty"),),
    )  # fmt: skip
    told = describe_dataset(dataset, (None, None), LABEL_SETS, pictures=("a.png",), ways=("my ex boyfriend",))
    secret = measured("captions.token_frequency", token="my ex boyfriend")
    return replace(make_diagnosis(Path("unused"), images=False), dataset=told, measurements=(secret,))


def test_public_facts_tell_nothing_that_only_the_dataset_knows() -> None:
    private = private_facts()
    told = public_facts(private, LABEL_SETS)
    assert "boyfriend" in to_json(private) and "boyfriend" not in to_json(told)
    assert told.dataset["images"] == 2 and told.measurements[0].value == 1.0


def test_facts_that_are_public_stay_as_they_are() -> None:
    told = public_facts(private_facts(), LABEL_SETS)
    assert public_facts(told, LABEL_SETS) == told


def test_all_that_a_private_dataset_tells_more_is_held_back() -> None:
    dataset = dataset_of([Picture(caption="yuki_nk")])
    private, public_one = (describe_dataset(dataset, (None,), LABEL_SETS, pictures=p) for p in (("a.png",), None))
    assert private.keys() - public_one.keys() == set(PRIVATE)
