"""Lanes: several batches at once give the pictures of one after the other, and never outlive the weights they need."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lora_doctor.render_lanes import Lanes, lanes_for
from lora_doctor.types import LoraFile
from tests.test_render import cell, factors, pictures, renderer, weights_of, write_lora
from tests.tiny_pipeline import tiny_pipeline


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return tiny_pipeline(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def lora(pipeline: Any, tmp_path_factory: pytest.TempPathFactory) -> LoraFile:
    return write_lora(tmp_path_factory.mktemp("lora") / "x.safetensors", factors(pipeline))


@pytest.fixture
def one_thread() -> Iterator[None]:
    """What a lane computes with."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
def test_lanes_give_the_pictures_of_one_thread_to_the_bit_and_in_order(pipeline: Any, lora: LoraFile) -> None:
    cells = [cell(w, replicate=n, prompt=f"{n} girl") for w in (0.0, 0.8) for n in range(7)]
    single = renderer(pipeline, lora, batch_size=2, lanes=1)
    several = renderer(pipeline, lora, batch_size=2, lanes=3)
    assert [c for c, _ in several.render(cells)] == [c for c, _ in single.render(cells)]
    one, many = pictures(single, cells), pictures(several, cells)
    assert all(np.array_equal(one[key], many[key]) for key in one) and one.keys() == many.keys()


def test_batches_run_at_the_same_time_each_with_one_thread(pipeline: Any) -> None:
    lanes, meeting, threads = Lanes(pipeline, 3), threading.Barrier(3, timeout=30), torch.get_num_threads()

    def meet(own: Any, batch: int) -> tuple[int, int, Any]:
        meeting.wait()
        return batch, torch.get_num_threads(), own

    met = lanes.each(meet, [5, 6, 7])
    assert [(batch, count) for batch, count, _ in met] == [(5, 1), (6, 1), (7, 1)]
    assert len({id(own.scheduler) for *_, own in met}) == 3 and len({id(own.unet) for *_, own in met}) == 1
    assert torch.get_num_threads() == threads


def test_one_lane_is_the_pipeline_itself_on_the_callers_thread(pipeline: Any) -> None:
    lanes = Lanes(pipeline, 1)
    assert lanes.each(lambda own, batch: (own is pipeline, threading.current_thread().name, batch), [1]) == [
        (True, threading.current_thread().name, 1)
    ]


def test_an_error_is_raised_only_when_every_lane_has_ended(pipeline: Any) -> None:
    ended: list[int] = []

    def work(_: Any, batch: int) -> None:
        if batch == 0:
            raise ValueError("first")
        time.sleep(0.2)
        ended.append(batch)

    with pytest.raises(ValueError, match="first"):
        Lanes(pipeline, 3).each(work, [0, 1, 2])
    assert sorted(ended) == [1, 2]


@pytest.mark.parametrize("stop_early", [False, True])
def test_afterwards_every_weight_is_pristine(pipeline: Any, lora: LoraFile, stop_early: bool) -> None:
    before = weights_of(pipeline)
    iterator = renderer(pipeline, lora, batch_size=1, lanes=2).render([cell(1.0, replicate=n) for n in range(5)])
    next(iterator)
    assert any(not torch.equal(value, before[name]) for name, value in weights_of(pipeline).items())
    if stop_early:
        iterator.close()
    else:
        list(iterator)
    assert all(torch.equal(value, before[name]) for name, value in weights_of(pipeline).items())


@pytest.mark.usefixtures("one_thread")
def test_what_is_done_is_left_out_with_lanes_too(pipeline: Any, lora: LoraFile) -> None:
    cells = [cell(0.8, replicate=n, prompt=f"{n} girl") for n in range(9)]
    whole = pictures(renderer(pipeline, lora, batch_size=2, lanes=2), cells)
    done = set(cells[:3] + cells[4:6])
    rest = dict(renderer(pipeline, lora, batch_size=2, lanes=2).render(cells, done))
    assert set(rest) == set(cells) - done
    assert all(np.array_equal(np.asarray(picture, dtype=np.int16), whole[c.key]) for c, picture in rest.items())


def test_memory_that_runs_out_in_a_lane_halves_the_batch(pipeline: Any) -> None:
    def refuse(_: Any, arguments: Any) -> None:
        if len(arguments[0]) > 4:  # guidance doubles the batch
            raise torch.OutOfMemoryError("out of memory")

    hook, render = pipeline.unet.register_forward_pre_hook(refuse), renderer(pipeline, batch_size=8, lanes=2)
    try:
        assert len(pictures(render, [cell(replicate=n) for n in range(19)])) == 19
    finally:
        hook.remove()
    assert render.batch_size == 2


def test_lanes_are_for_small_pictures_on_a_cpu() -> None:
    assert lanes_for("cpu", small=True) == torch.get_num_threads()
    assert lanes_for("cpu", small=False) == lanes_for("cuda", small=True) == lanes_for("cuda:0", small=True) == 1


def test_the_cache_of_base_pictures_knows_the_threads(pipeline: Any, tmp_path: Path) -> None:
    assert renderer(pipeline, lanes=2).threads == 1
    assert renderer(pipeline, lanes=1).threads == torch.get_num_threads()
