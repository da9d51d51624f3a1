"""The terminal page tells the answer first, then every change, and nothing that a name smuggles in."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rich.console import Console

from lora_doctor.comparison import Comparison, compare
from lora_doctor.comparison_page import page
from lora_doctor.comparison_words import difference_text, level_text, place, quantity_name
from lora_doctor.types import FULL_BODY, Cell, Measurement
from tests.make_compared_run import make_compared_run
from tests.test_comparison import EFFECTS, scaled


def told(comparison: Comparison, width: int = 100) -> str:
    console = Console(width=width, record=True, force_terminal=False, highlight=False)
    with console.capture() as shown:
        for part in page(comparison):
            console.print(part)
    return shown.get()


def lost(cell: Cell) -> dict[str, str]:
    return {"top": "blue_shirt"} if cell.weight and cell.framing == FULL_BODY else {}


def comparison(name: str = "b.safetensors") -> Comparison:
    first = make_compared_run("a.safetensors", identity=scaled(0.9))
    return compare([first, make_compared_run(name, "HOLD", identity=scaled(0.5, 0.01), labels=lost)], EFFECTS)


def test_the_answer_comes_first_and_what_got_worse_is_listed_with_its_interval() -> None:
    found = comparison()
    text = told(found)
    assert " ".join(text.split("Versions")[0].split()).endswith(found.choice.sentence)
    below = text.split("b.safetensors against a.safetensors")[1]
    worse = [" ".join(line.split()) for line in below.splitlines() if line.strip().startswith("worse")]
    assert any(line.startswith("worse identity −0.3") and "[" in line for line in worse)
    assert any(line.startswith("worse outfit as a whole −50") for line in worse)
    assert "the whole 90 % interval lies beyond the smallest effect that matters" in " ".join(below.split())


def test_notes_are_told() -> None:
    found = replace(comparison(), notes=("the runs have different matrices",))
    assert "the runs have different matrices" in told(found)


def test_a_hostile_name_moves_no_cursor_and_is_no_markup() -> None:
    text = told(comparison("[red]x[/]\x1b[2J.safetensors"), 200)
    assert "\x1b" not in text and "[red]x[/]" in text


@pytest.mark.parametrize("width", [60, 80, 200])
def test_it_fits_narrow_and_wide_terminals(width: int) -> None:
    assert all(len(line) <= width for line in told(comparison(), width).splitlines())


def test_numbers_are_said_with_their_sign_and_shares_in_points() -> None:
    score = Measurement(name="x", value=-0.413, unit="score", interval=(-0.47, 0.0))
    assert difference_text(score) == "−0.41 [−0.47, 0.00]"
    share = Measurement(name="x", value=0.125, unit="share", interval=(-0.03, 0.28))
    assert difference_text(share) == "+12 [−3, +28] points"
    assert difference_text(Measurement(name="x", value=None, reason="no ruler")) == "no ruler"
    assert level_text(share) == "12 %" and level_text(None) == "–"


def test_places_and_quantities_have_names() -> None:
    assert (place("ship"), place("0.7"), place("1 and 0.7")) == (
        "at ship weights", "at weight 0.7", "at weights 1 and 0.7",
    )  # fmt: skip
    assert quantity_name("attribute:hair_colour") == "hair colour"
    assert all(quantity_name(name) for name in comparison().effects)
