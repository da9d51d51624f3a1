"""A check-up refuses a folder that is another run's before it writes anything there."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from lora_doctor.checkup import run_checkup
from lora_doctor.errors import UsageError
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
