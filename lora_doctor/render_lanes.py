"""Lanes: on a CPU several batches of small pictures at once, each on a thread of its own.

The layers of a small model are too small to be cut up among cores: two threads in one batch gain little, two batches
on a thread each gain nearly all there is. A lane computes with one thread, however many cores there are.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

Batch = TypeVar("Batch")
Result = TypeVar("Result")


class Lanes:
    """As many pipelines as lanes, which share their models; a call's own state (scheduler, guidance) is each one's."""

    def __init__(self, pipeline: Any, count: int) -> None:
        """`count` 1 = the pipeline itself, on the caller's thread and with all of its threads."""
        self.count = count
        self._pipelines = [pipeline] if count == 1 else [_own(pipeline) for _ in range(count)]
        self._pool = None if count == 1 else ThreadPoolExecutor(count, "lane", initializer=_one_thread)

    @property
    def threads(self) -> int:
        """How many threads compute one picture."""
        import torch

        return torch.get_num_threads() if self.count == 1 else 1

    def each(self, work: Callable[[Any, Batch], Result], batches: Sequence[Batch]) -> list[Result]:
        """`work(pipeline, batch)` for at most `count` batches, in order; all have ended when it returns or raises."""
        if self._pool is None:
            return [work(self._pipelines[0], batch) for batch in batches]
        futures: list[Future[Result]] = [
            self._pool.submit(work, pipeline, batch) for pipeline, batch in zip(self._pipelines, batches, strict=False)
        ]
        wait(futures)
        return [future.result() for future in futures]


def lanes_for(device: str, small: bool) -> int:
    """As many as torch has threads, for small pictures on a CPU; else one, whose layers fill the device alone."""
    import torch

    return torch.get_num_threads() if small and device.startswith("cpu") else 1


def _own(pipeline: Any) -> Any:
    """The same models, with a scheduler and call state of its own."""
    own = copy.copy(pipeline)
    own.scheduler = copy.deepcopy(pipeline.scheduler)
    return own


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)
