"""A run is bound to the base model's content, not to its path, and to the way it is rendered."""

from __future__ import annotations

import json
import os
import shutil
import types
from pathlib import Path
from typing import Any

import pytest

from lora_doctor.base_cache import conditions_of
from lora_doctor.base_digest import base_digest, folder_digest
from lora_doctor.base_source import BaseSource, resolve_base
from lora_doctor.run_fingerprint import decoder_digest, fingerprint_of, memory_for, note_way, ways_remark
from lora_doctor.run_folder import RunFolder
from lora_doctor.settings import Settings
from lora_doctor.types import Cell, Dataset
from tests.test_render import renderer
from tests.tiny_pipeline import tiny_folder, tiny_pipeline

SETTINGS = Settings(model=Path("m"), trigger="yuki", dataset=Path("d"), out=Path("o"))


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return tiny_pipeline(tmp_path_factory.mktemp("base"))


def base_of(source: BaseSource, **options: Any) -> Any:
    return types.SimpleNamespace(source=source, options=options)


def fingerprint(made: Any, source: BaseSource, **options: Any) -> dict[str, Any]:
    base = base_of(source, **options)
    lora, instruments = (
        types.SimpleNamespace(sha256="l", format="kohya", modules=()),
        types.SimpleNamespace(digest="i"),
    )
    images = Dataset(path=Path("d"), images=())
    return fingerprint_of(SETTINGS, lora, images, made, instruments, base)  # type: ignore[arg-type]


def change(folder: Path) -> None:
    """Another scheduler under the same name, of the same size and time."""
    config = folder / "scheduler" / "scheduler_config.json"
    state, said = config.stat(), json.loads(config.read_text())
    said["num_train_timesteps"] = 999 if said["num_train_timesteps"] != 999 else 998
    config.write_text(json.dumps(said).ljust(state.st_size)[: state.st_size])
    os.utime(config, ns=(state.st_atime_ns, state.st_mtime_ns))


def test_a_model_that_changed_under_its_path_is_another_one(pipeline: Any, tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "base")
    made = renderer(pipeline)
    before = fingerprint(made, resolve_base(folder))
    assert fingerprint(made, resolve_base(folder)) == before
    change(folder)
    assert fingerprint(made, resolve_base(folder))["base"] != before["base"]


def test_the_same_model_under_another_path_is_the_same(pipeline: Any, tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "base")
    shutil.copytree(folder, tmp_path / "moved")
    made = renderer(pipeline)
    assert fingerprint(made, resolve_base(folder)) == fingerprint(made, resolve_base(tmp_path / "moved"))
    assert fingerprint(made, resolve_base(folder))["base"] == folder_digest(folder)


def test_a_checkpoint_is_its_file_and_its_configs(tmp_path: Path) -> None:
    config = tiny_folder(tmp_path / "configs")
    (tmp_path / "a.safetensors").write_bytes(b"weights")
    source = BaseSource(kind="file", path=tmp_path / "a.safetensors", name="a", config=config)
    before = base_digest(source)
    change(config)
    assert base_digest(source) != before


def test_a_digest_that_is_kept_is_not_made_again_and_damage_is_seen(tmp_path: Path) -> None:
    folder, cache = tiny_folder(tmp_path / "base"), tmp_path / "cache"
    source = resolve_base(folder)
    made = base_digest(source, kept_in=cache)
    (kept,) = cache.iterdir()
    kept.write_text("f" * 64)
    assert base_digest(source, kept_in=cache) == "f" * 64
    kept.write_text("cut short")
    assert base_digest(source, kept_in=cache) == made
    assert base_digest(source, kept_in=folder / "model_index.json") == made  # no place to keep it


@pytest.mark.parametrize("key", ["tiles", "rendering", "size"])
def test_another_way_of_rendering_is_another_run_and_other_redrawn_pictures(
    key: str, pipeline: Any, tmp_path: Path
) -> None:
    source = resolve_base(tiny_folder(tmp_path / "base"))
    made = renderer(pipeline)
    before = fingerprint(made, source)
    assert (before["device"], before["precision"], before["tiles"]) == ("cpu", "float32, float32", False)
    if key == "tiles":
        pipeline.vae.use_tiling = True
    elif key == "size":
        made.width *= 2
    else:
        made.version += 1
    after = fingerprint(made, source)
    pipeline.vae.use_tiling = False
    assert {name for name in before if before[name] != after[name]} == {key}
    assert decoder_digest(before) != decoder_digest(after)


def test_tiles_of_another_size_are_another_way_of_rendering(pipeline: Any, tmp_path: Path) -> None:
    """A decoder that says it tiles and has tiles as large as the picture does not."""
    source, made, usual = resolve_base(tiny_folder(tmp_path / "base")), renderer(pipeline), pipeline.vae
    said = []
    for pipeline.vae.use_tiling, usual.tile_sample_min_size in ((False, 16), (True, 16), (True, 8)):
        said.append((fingerprint(made, source)["tiles"], conditions_of(made, base_of(source))))
    usual.use_tiling, usual.tile_sample_min_size = False, 16
    assert [tiles for tiles, _ in said] == [False, 16, 8]
    assert said[0][1] != said[1][1] != said[2][1]


WAY = {"device": "cuda", "precision": "float16, float16", "tiles": False}


def of_run(folder: Path, memory: str = "auto", device: str = "auto") -> Settings:
    return Settings(model=Path("m"), trigger="yuki", dataset=Path("d"), out=folder, memory=memory, device=device)


def test_a_run_goes_on_in_the_memory_mode_it_was_begun_in_unless_another_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What happens to be free on the GPU may be less or more by then."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    with RunFolder(tmp_path / "run") as run:
        assert memory_for(of_run(run.path), run) == "auto"
        run.put_plan(WAY, ())
        note_way(run, WAY, "tiled")
        assert memory_for(of_run(run.path), run) == memory_for(of_run(run.path, device="cuda:1"), run) == "tiled"
        assert memory_for(of_run(run.path, "offload"), run) == "offload"
        assert memory_for(of_run(run.path, device="cpu"), run) == "auto"


def test_a_run_that_was_rendered_in_two_ways_says_so_once(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "run") as run:
        for way in (WAY, WAY, WAY | {"tiles": 512}, WAY):
            note_way(run, {"lora": "l"} | way, "full")
            told = ways_remark(run)
            assert told is None or "last bits of pictures: tiles False and 512" in told
        assert told is not None and "device" not in told


@pytest.mark.parametrize("rendered", [True, False])
def test_what_an_older_version_rendered_counts_as_one_way(tmp_path: Path, rendered: bool) -> None:
    cell = Cell(
        weight=0, environment="beach", trained=False, framing="close-up", replicate=0, prompt="p", negative_prompt="",
        seed=1,
    )  # fmt: skip
    with RunFolder(tmp_path / "run") as run:
        run.put_plan(WAY, (cell,))
        if rendered:
            run.save_missing(cell, "too long")
        note_way(run, WAY | {"device": "cpu"}, "full")
        assert (ways_remark(run) is not None) is rendered


def test_another_lora_has_the_same_redrawn_pictures(pipeline: Any, tmp_path: Path) -> None:
    one = fingerprint(renderer(pipeline), resolve_base(tiny_folder(tmp_path / "base")))
    assert decoder_digest(one) == decoder_digest(one | {"lora": "other", "trigger": "misa", "seed": 9, "steps": 3})
