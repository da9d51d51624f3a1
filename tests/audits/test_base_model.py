"""Whether the base model is the recorded one: exact by hash, a suspicion by name, unknown without either."""

from __future__ import annotations

from lora_doctor.audits.base_model import audit
from lora_doctor.types import BaseMatch
from tests.audits.make_case import get, make_case


def test_another_base_by_its_hash_is_exact() -> None:
    found = get(audit(make_case(base=BaseMatch(same=False, why="hashes", sure=True))), "base.differs")
    assert (found.value, found.n, found.reason) == (1, 1, None)


def test_another_base_by_its_name_says_that_it_is_only_a_name() -> None:
    found = get(audit(make_case(base=BaseMatch(same=False, why="trained on pony"))), "base.differs")
    assert (found.value, found.interval, found.reason) == (1, None, "trained on pony")


def test_what_cannot_be_told_has_a_reason_and_no_number() -> None:
    found = get(audit(make_case(base=BaseMatch(same=None, why="it does not say"))), "base.differs")
    assert (found.value, found.n, found.reason) == (None, 0, "it does not say")


def test_a_dataset_alone_has_no_base_model() -> None:
    assert audit(make_case()) == []
