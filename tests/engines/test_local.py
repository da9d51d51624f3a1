"""The local engine runs items in order, lazily, with one worker."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from lora_doctor.engines import local


def test_items_go_through_one_worker_in_order() -> None:
    made: list[int] = []

    def make_worker() -> Callable[[int], int]:
        made.append(1)
        return lambda item: item * item

    assert list(local.map(make_worker, range(4))) == [0, 1, 4, 9]
    assert made == [1]


def test_nothing_to_do_builds_no_worker() -> None:
    def make_worker() -> Callable[[int], int]:
        raise AssertionError("a model would have been loaded")

    assert list(local.map(make_worker, ())) == []


def test_a_result_is_handed_over_before_the_next_item_is_taken() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(3):
            taken.append(item)
            yield item

    results = local.map(lambda: str, items())
    assert next(results) == "0"
    assert taken == [0]
