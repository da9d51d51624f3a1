"""The page of a comparison shows the pictures that the run folders keep, whatever their cells are called."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from lora_doctor.comparison import ChangedCell, compare
from lora_doctor.comparison_report import render_comparison
from lora_doctor.plugins import data_folder
from lora_doctor.run_folder import RunFolder
from lora_doctor.types import UPPER_BODY, Cell
from tests.in_browser import in_browser, needs_chromium
from tests.make_compared_run import make_compared_run
from tests.test_comparison import EFFECTS, scaled

NAMES = ("a.safetensors", "b.safetensors")


def cell(environment: str, weight: float) -> Cell:
    return Cell(
        weight=weight, environment=environment, trained=False, framing=UPPER_BODY, replicate=0, prompt="yuki_nk",
        negative_prompt="", seed=1,
    )  # fmt: skip


@pytest.mark.parametrize("environment", ["beach", "night sky", "café", "a/b", "x" * 200])
def test_the_pictures_of_an_environment_are_shown_whatever_its_name(environment: str, tmp_path: Path) -> None:
    cells = [cell(environment, weight) for weight in (0.0, 1.0)]
    folders = {name: tmp_path / name for name in NAMES}
    for folder in folders.values():
        with RunFolder(folder) as run:
            run.put_plan({}, cells)
            for number, each in enumerate(cells):
                run.save_image(each, Image.new("RGB", (8, 8), (90 * number, 0, 0)))
    compared = compare([make_compared_run(name, identity=scaled(0.9)) for name in NAMES], EFFECTS)
    changed = ChangedCell(
        key=cells[1].key, weight=1.0, environment=environment, framing=UPPER_BODY, replicate=0, identity={}
    )
    shown = replace(compared, changed=(changed,))
    page = render_comparison(shown, templates=data_folder("reports"), folders=folders)
    assert page.count("data:image/webp") == 3  # the base model's and one of each version


@needs_chromium
def test_the_script_runs_on_the_page_of_a_comparison_without_an_error(tmp_path: Path) -> None:
    compared = compare([make_compared_run(name, identity=scaled(0.9)) for name in NAMES], EFFECTS)
    page = render_comparison(compared, templates=data_folder("reports"), folders={})
    _, logged = in_browser(page, tmp_path)
    assert not logged
