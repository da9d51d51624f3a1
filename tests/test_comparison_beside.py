"""What versions do besides drawing the character is compared too: what is lost there is lost in one version alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest

from lora_doctor.comparison import Comparison, Contrast, compare
from lora_doctor.plugins import data_folder
from lora_doctor.retrain_rounds import judged
from lora_doctor.smallest_effects import load_smallest_effects
from lora_doctor.types import FULL_BODY, UPPER_BODY, Cell, PixelFacts, Study
from tests.make_compared_run import make_compared_run
from tests.metrics.make_arm import with_arm
from tests.metrics.make_study import make_study, references

EFFECTS = load_smallest_effects(data_folder("rules"))
PLAIN = PixelFacts(colour=(50, 0, 0), lightness_spread=20, chroma=20, detail=0.02, clipped=0.05)
ROWS = np.linalg.qr(np.random.default_rng(3).standard_normal((64, 64)))[0]
"""Embeddings at right angles: no training picture is near another."""
REFERENCES = tuple(
    replace(one, embedding=ROWS[index], pixels=PLAIN) for index, one in enumerate(references(["close-up"] * 18))
)


def beside(
    *, outfit: str = "blue_shirt", hair: str = "black_hair", place: str | None = None, somebody: float | None = None,
    near: float = 0.0, pixels: PixelFacts = PLAIN, prompt: str = "", other: float = 0.0,
) -> Study:  # fmt: skip
    """A study with arms in which the LoRA draws what is said here, and the base model what was asked for."""
    study = make_study(refs=REFERENCES)
    asked: Mapping[str, tuple[str, Callable[[Cell], dict[str, str]]]] = {
        "outfits": ("blue_shirt", lambda cell: {"top": outfit if cell.weight else "blue_shirt"}),
        "other_people": ("black_hair", lambda cell: {"hair_colour": hair if cell.weight else "black_hair"}),
        "captions": ("3", lambda cell: {}),
    }
    for arm, (label, labels) in asked.items():
        framings = (UPPER_BODY,) if arm == "outfits" else (FULL_BODY,)
        study = with_arm(study, arm, asked=label, framings=framings, labels=labels,
                         identity=lambda cell: other if cell.weight else 0.0)  # fmt: skip
    study = with_arm(
        study, "places", framings=(FULL_BODY,), identity=lambda cell: somebody if cell.weight else None,
        labels=lambda cell: {"environment": place} if cell.weight and place else {},
    )  # fmt: skip
    cells = [*study.cells, *(cell for cells in study.arms.values() for cell in cells)]
    renders = {
        cell.key: replace(
            study.renders[cell.key], pixels=pixels if cell.weight else PLAIN, embedding=_drawn(near, cell)
        )
        for cell in cells
    }
    arms = {name: tuple(replace(cell, prompt=prompt) for cell in cells) for name, cells in study.arms.items()}
    return replace(study, renders=renders, arms=arms)


def _drawn(near: float, cell: Cell) -> np.ndarray:
    """An embedding that is `near` (cosine) to a training picture's with the LoRA, and far from all without."""
    share = near if cell.weight else 0.0
    return share * ROWS[3] + np.sqrt(1 - share**2) * ROWS[40]


def against_healthy(second: Study, *, with_others: bool = False) -> Comparison:
    runs = [make_compared_run(name, seen=seen, with_others=with_others)
            for name, seen in (("a", beside()), ("b", second))]  # fmt: skip
    return compare(runs, EFFECTS)


def contrast(found: Comparison, quantity: str, weight: str = "top") -> Contrast:
    (one,) = [each for each in found.contrasts if (each.quantity, each.weight) == (quantity, weight)]
    return one


@pytest.mark.parametrize(
    ("quantity", "weight", "second", "difference"),
    [
        ("outfits", "top", beside(outfit="red_shirt"), -1.0),
        ("others", "top", beside(hair="white_hair"), -1.0),
        ("places", "top", beside(place="desert"), -1.0),
        ("intruders", "top", beside(somebody=0.5), 1.0),
        ("replays", "top", beside(near=0.9), 1.0),
        ("copies", "ship", beside(near=0.9), 1.0),
        ("burnt", "ship", beside(pixels=replace(PLAIN, chroma=60)), 1.0),
        ("burnt", "0.7", beside(pixels=replace(PLAIN, clipped=0.4)), 1.0),
    ],
)
def test_what_one_version_does_worse_is_worse_in_its_quantity_alone(
    quantity: str, weight: str, second: Study, difference: float
) -> None:
    found = against_healthy(second)
    one = contrast(found, quantity, weight)
    assert one.difference.value == pytest.approx(difference) and one.state == "worse"
    together = {"copies", "replays"} if quantity in ("copies", "replays") else {quantity}
    others = [c for c in found.contrasts if c.quantity not in together and c.difference.value is not None]
    assert not {each.state for each in others} & {"better", "worse"}
    known = {"outfits", "others", "places", "intruders", "copies", "replays", "burnt"}
    assert known - together <= {c.quantity for c in others}


def test_a_new_lora_that_cannot_be_dressed_any_more_is_not_kept() -> None:
    found = against_healthy(beside(outfit="red_shirt"))
    kept, because = judged(
        *(run.diagnosis for run in [make_compared_run("a"), make_compared_run("b")]), found.contrasts
    )
    assert not kept and "other outfits asked for" in because


def test_pictures_that_were_asked_for_otherwise_are_not_compared() -> None:
    found = against_healthy(beside(outfit="red_shirt", prompt="another caption"))
    one = contrast(found, "outfits")
    assert one.state == "not measured" and "was not rendered" in str(one.difference.reason)
    assert contrast(found, "burnt", "ship").difference.value == 0.0


def test_other_people_who_turn_into_the_character_count_only_where_they_are_wanted() -> None:
    assert contrast(against_healthy(beside(other=0.8), with_others=True), "bleed").state == "worse"
    assert not [c for c in against_healthy(beside(other=0.8)).contrasts if c.quantity in ("bleed", "leak")]


def test_what_is_beside_the_matrix_has_levels_of_its_own() -> None:
    found = against_healthy(beside(somebody=0.5))
    levels = [run.level("intruders", "top") for run in found.runs]
    assert [level and level.value for level in levels] == [0.0, 1.0]
    assert found.runs[0].level("intruders", "ship") is None
