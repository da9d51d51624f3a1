"""Runs work in this process, one item after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def map(make_worker: Callable[[], Callable[[Item], Result]], items: Iterable[Item]) -> Iterator[Result]:
    """Yields `worker(item)` for each item in order, lazily.

    `make_worker` is called once, when the first item comes: with nothing to do, no model is ever loaded.
    """
    worker: Callable[[Item], Result] | None = None
    for item in items:
        worker = worker or make_worker()
        yield worker(item)
