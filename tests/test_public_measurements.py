"""What a public file may say of captions: labels, and numbers for everything else."""

from __future__ import annotations

from lora_doctor.public_measurements import public
from lora_doctor.types import Measurement
from tests.audits.make_case import LABEL_SETS


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
