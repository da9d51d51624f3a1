"""A cached weight-0 picture is the picture that rendering gives, to the bit, or it is not found."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lora_doctor.base_cache import FOLDER_VARIABLE, BaseCache, cache_folder, conditions_of, open_base_cache
from lora_doctor.types import Cell
from tests.test_render import cell, factors, renderer, write_lora
from tests.tiny_pipeline import SIZE, tiny_folder, tiny_pipeline

CELLS = tuple(cell(0.0, replicate=r, prompt=p) for r in range(3) for p in ("a girl", "a girl on a beach"))


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return tiny_pipeline(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tiny_folder(tmp_path_factory.mktemp("files") / "base")
    source = types.SimpleNamespace(commit=None, path=folder, name="base", config=None)
    return types.SimpleNamespace(source=source, options={"clip_skip": None})


def drawn(render: Any, cells: Sequence[Cell] = CELLS) -> dict[str, bytes]:
    return {f"{c.key}{c.prompt}": picture.tobytes() for c, picture in render.render(cells)}


def with_cache(pipeline: Any, base: Any, folder: Path, lora: Any = None, **options: Any) -> Any:
    made = renderer(pipeline, lora, **{"batch_size": 4} | options)
    made.base_cache = open_base_cache(made, base, folder=folder)
    return made


def picture(level: int = 0) -> Image.Image:
    rng = np.random.default_rng(level)
    return Image.fromarray(rng.integers(0, 255, (SIZE, SIZE, 3), dtype=np.uint8))


def test_a_second_lora_gets_the_pictures_that_it_would_have_rendered(pipeline: Any, base: Any, tmp_path: Path) -> None:
    loras = [write_lora(tmp_path / f"{n}.safetensors", {k: (d * n, u) for k, (d, u) in factors(pipeline).items()})
             for n in (1, 2)]  # fmt: skip
    fresh = drawn(renderer(pipeline, loras[1], batch_size=4))
    first = with_cache(pipeline, base, tmp_path / "cache", loras[0])
    assert drawn(first) == fresh and first.base_cache.hits == 0
    second = with_cache(pipeline, base, tmp_path / "cache", loras[1])
    assert drawn(second) == fresh and second.base_cache.hits == len(CELLS)


def test_pictures_of_another_weight_are_neither_kept_nor_taken(pipeline: Any, base: Any, tmp_path: Path) -> None:
    lora = write_lora(tmp_path / "x.safetensors", factors(pipeline))
    adapted = [cell(1.0, replicate=r) for r in range(2)]
    for _ in range(2):
        made = with_cache(pipeline, base, tmp_path / "cache", lora)
        list(made.render(adapted))
        assert made.base_cache.hits == 0
    assert not (tmp_path / "cache").exists()


def test_a_batch_made_up_otherwise_is_rendered_and_not_taken(pipeline: Any, base: Any, tmp_path: Path) -> None:
    """The last bits of a picture depend on its company: that is why the whole batch is the name."""
    drawn(with_cache(pipeline, base, tmp_path))
    for cells, options in ((CELLS[:3], {}), (CELLS[::-1], {}), (CELLS, {"batch_size": 2})):
        other = with_cache(pipeline, base, tmp_path, **options)
        assert drawn(other, cells) == drawn(renderer(pipeline, **{"batch_size": 4} | options), cells)
        assert other.base_cache.hits == 0


@pytest.mark.parametrize("options", [{"steps": 2}, {"guidance": 4.0}, {"width": 2 * SIZE}])
def test_another_way_of_rendering_finds_nothing(
    pipeline: Any, base: Any, tmp_path: Path, options: dict[str, Any]
) -> None:  # fmt: skip
    drawn(with_cache(pipeline, base, tmp_path))
    other = with_cache(pipeline, base, tmp_path, **options)
    list(other.render(CELLS))
    assert other.base_cache.hits == 0


def test_everything_that_changes_arithmetic_changes_the_conditions(pipeline: Any, base: Any, tmp_path: Path) -> None:
    import torch

    made = renderer(pipeline)
    known = conditions_of(made, base)
    assert conditions_of(renderer(pipeline), base) == known
    seen = [known]

    def differs() -> None:
        now = conditions_of(made, base)
        assert now not in seen
        seen.append(now)

    pipeline.vae.use_tiling = True
    differs()
    pipeline.vae.use_tiling = False
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    differs()
    torch.set_num_threads(threads)
    scheduler = pipeline.scheduler
    pipeline.scheduler = type(scheduler).from_config(scheduler.config, beta_end=0.5)
    differs()
    pipeline.scheduler = scheduler
    assert conditions_of(made, base) == known
    made.version += 1  # what a release sets that encodes prompts otherwise
    differs()
    made.version -= 1
    weights = next(base.source.path.rglob("*.safetensors"))
    content, state = weights.read_bytes(), weights.stat()
    weights.write_bytes(content[:-1] + b"\x01")
    os.utime(weights, ns=(state.st_atime_ns, state.st_mtime_ns))  # as a copying tool would
    differs()
    weights.write_bytes(content)


def test_a_model_from_the_hub_is_told_by_its_commit(pipeline: Any, tmp_path: Path) -> None:
    def of(commit: str, folder: str) -> Any:
        source = types.SimpleNamespace(commit=commit, path=tmp_path / folder, name="o/n", config=None)
        return conditions_of(renderer(pipeline), types.SimpleNamespace(source=source, options={}))

    assert of("a" * 40, "here") == of("a" * 40, "there") != of("b" * 40, "here")


def test_a_base_that_cannot_be_told_has_no_cache(pipeline: Any, tmp_path: Path) -> None:
    source = types.SimpleNamespace(commit=None, path=tmp_path / "gone", name="n", config=None)
    made = renderer(pipeline)
    assert open_base_cache(made, types.SimpleNamespace(source=source, options={})) is None


def test_it_can_be_switched_off(pipeline: Any, base: Any) -> None:
    assert open_base_cache(renderer(pipeline), base, wanted=False) is None


# ---------------------------------------------------------------- the folder


def batch(count: int, start: int = 0) -> list[Cell]:
    return [cell(0.0, replicate=start + number) for number in range(count)]


def test_a_damaged_file_is_not_found_and_is_replaced(tmp_path: Path) -> None:
    cache = BaseCache(tmp_path, {"a": 1})
    shown = [picture(1), picture(2)]
    rng = random.Random(1)
    for damage in range(60):
        cache.put(batch(2), 4, shown)
        path = sorted(tmp_path.iterdir())[damage % 2]
        content = bytearray(path.read_bytes())
        if damage % 3:
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        else:
            del content[rng.randrange(len(content)) :]
        path.write_bytes(content)
        assert cache.get(batch(2), 4) is None
    cache.put(batch(2), 4, shown)
    found = cache.get(batch(2), 4)
    assert found is not None and [p.tobytes() for p in found] == [p.tobytes() for p in shown]


def test_a_batch_with_a_cell_that_has_no_picture_is_not_kept(tmp_path: Path) -> None:
    cache = BaseCache(tmp_path / "c", {})
    cache.put(batch(2), 4, [picture(), "the picture is flat"])
    assert cache.get(batch(2), 4) is None and not (tmp_path / "c").exists()


def test_the_folder_stays_below_its_limit_and_what_is_used_stays(tmp_path: Path) -> None:
    one = BaseCache(tmp_path, {})
    one.put(batch(1), 1, [picture()])
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    cache = BaseCache(tmp_path, {}, limit=10 * size)
    for number in range(1, 40):
        cache.put(batch(1, number), 1, [picture(number)])
        assert cache.get(batch(1), 1) is not None  # used again and again
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 11 * size
    assert cache.get(batch(1, 1), 1) is None
    assert cache.get(batch(1, 39), 1) is not None


def test_a_folder_that_cannot_be_written_costs_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    cache = BaseCache(tmp_path / "file" / "cache", {})
    cache.put(batch(1), 1, [picture()])
    assert cache.get(batch(1), 1) is None


WRITER = """
import sys
from pathlib import Path
from lora_doctor.base_cache import BaseCache
from tests.test_base_cache import batch, picture
cache = BaseCache(Path(sys.argv[1]), {}, limit=int(sys.argv[2]))
for turn in range(30):
    for number in range(6):
        found = cache.get(batch(1, number), 1)
        assert found is None or found[0].tobytes() == picture(number).tobytes()
        cache.put(batch(1, number), 1, [picture(number)])
"""


@pytest.mark.parametrize("limit", [10**9, 10_000])
def test_two_processes_share_a_folder(tmp_path: Path, limit: int) -> None:
    root = Path(__file__).parents[1]
    command = [sys.executable, "-c", WRITER, str(tmp_path), str(limit)]
    pair = [subprocess.Popen(command, cwd=root, env={**os.environ, "PYTHONPATH": str(root)}) for _ in range(2)]
    assert [each.wait(timeout=300) for each in pair] == [0, 0]
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".tmp-")]


def test_the_users_cache_folder_is_named_by_the_usual_variables(monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own" / "base"
    monkeypatch.delenv(FOLDER_VARIABLE)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "lora-doctor" / "base"
