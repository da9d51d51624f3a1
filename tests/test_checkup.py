"""A check-up refuses a folder that is another run's before it writes anything there."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from lora_doctor.checkup import run_checkup
from lora_doctor.errors import InputRefused, LoraDoctorError, UsageError
from lora_doctor.run_fingerprint import ways_remark
from lora_doctor.run_folder import RunFolder
from lora_doctor.settings import load_settings
from lora_doctor.types import Cell

YUKI = Path(__file__).parents[1] / "fixtures" / "miniature" / "patients" / "yuki"


@pytest.mark.miniature
def test_a_run_of_other_settings_is_left_as_it_is(tmp_path: Path) -> None:
    cell = Cell(weight=0, environment="beach", trained=False, framing="close-up", replicate=0, prompt="p",
                negative_prompt="", seed=1)  # fmt: skip
    with RunFolder(tmp_path / "run") as run:
        run.put_plan({"lora": "another"}, [cell])
    settings = load_settings(YUKI / "lora.safetensors", {"out": str(tmp_path / "run"), "device": "cpu"})
    with pytest.raises(UsageError, match="was made with other settings"):
        run_checkup(settings)
    with sqlite3.connect(tmp_path / "run" / "run.sqlite") as database:
        assert database.execute("SELECT count(*) FROM readings").fetchone() == (0,)
        assert database.execute("SELECT name FROM documents").fetchall() == [("fingerprint",)]


def test_a_place_where_no_run_can_be_made_is_told_before_anything_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lora_doctor.checkup.open_base", lambda *_: pytest.fail("loaded first"))
    (tmp_path / "run").write_text("something else")
    with pytest.raises(InputRefused, match="is not a folder"):
        run_checkup(load_settings(YUKI / "lora.safetensors", {"out": str(tmp_path / "run")}))


def test_a_base_model_that_is_none_leaves_no_folder(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    given = {"out": str(tmp_path / "run"), "base": str(tmp_path / "base")}
    with pytest.raises(LoraDoctorError, match=r"base"):
        run_checkup(load_settings(YUKI / "lora.safetensors", given))
    assert [path.name for path in tmp_path.iterdir()] == ["base"]


class Killed(Exception):
    """In the middle of a run."""


def after_one_picture(stage: str, done: int, total: int) -> None:
    seen.append(stage)
    if seen.count("rendering") == 2:
        raise Killed


seen: list[str] = []


@pytest.mark.miniature
def test_a_killed_run_goes_on_in_another_memory_mode_and_notes_it(tmp_path: Path) -> None:
    """As the tool advises where memory runs out; afterwards the mode that fits is taken of itself."""
    out = tmp_path / "run"
    modes = []
    for memory in ("full", "tiled", "auto"):
        seen.clear()
        given = {"out": str(out), "device": "cpu", "memory": memory, "base_cache": False, "render.steps": 1}
        with pytest.raises(Killed):
            run_checkup(load_settings(YUKI / "lora.safetensors", given), after_one_picture)
        with RunFolder(out, create=False) as run:
            modes.append(run.get_json("memory")["mode"])
            drawn, told = len(run.renders()), ways_remark(run)
    assert modes == ["full", "tiled", "tiled"] and drawn == 3
    assert told is not None and told.endswith("tiles False and 32")
