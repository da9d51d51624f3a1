"""Each picture of an arm stands beside its own twin at weight 0; arms that a report does not know are not shown.

Pictures of replayed captions, which may be training pictures, are on no public page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

from lora_doctor.album import Album
from lora_doctor.plugins import find
from lora_doctor.report import ARMS, render_report
from lora_doctor.report_arms import PAIRS, WITHHELD, arm_views, evidence_in_arms
from lora_doctor.types import Cell, Diagnosis, Finding, Measurement
from tests.arms.make_case import make_case
from tests.make_diagnosis import make_diagnosis

SHOWN = {"outfits": (("control.loss", {"kind": "outfit"}),)}


def cell(weight: float, environment: str, asked: str, arm: str = "outfits") -> dict[str, Any]:
    return {
        "key": f"{weight}{environment}{asked}{arm}", "weight": weight, "environment": environment, "replicate": 0,
        "framing": "upper_body", "image": f"{weight:g}.png", "arm": arm, "asked": asked, "variant": "",
    }  # fmt: skip


def diagnosis(*cells: dict[str, Any]) -> Diagnosis:
    loss = Measurement(name="control.loss", value=0.4, where={"kind": "outfit"})
    return replace(make_diagnosis(Path("unused"), images=False), arms=cells, measurements=(loss,))


def test_a_pair_is_one_prompt_with_and_without_the_lora(tmp_path: Path) -> None:
    for weight, colour in ((0, "red"), (1, "blue")):
        PIL.Image.new("RGB", (8, 8), colour).save(tmp_path / f"{weight}.png")
    (view,) = arm_views(diagnosis(cell(0, "city", "a+b"), cell(1, "city", "a+b")), SHOWN, Album(tmp_path))
    (pair,) = view.pairs
    assert pair.asked == ("a", "b") and pair.weight == 1
    assert pair.base is not None and pair.shown is not None and pair.base.uri != pair.shown.uri
    assert [m.value for m in view.measurements] == [0.4]


def test_a_picture_without_its_twin_is_not_shown() -> None:
    (view,) = arm_views(diagnosis(cell(0, "city", "a"), cell(1, "city", "b")), SHOWN, Album(None))
    assert view.pairs == ()


def test_an_arm_that_is_not_listed_is_not_shown() -> None:
    assert (
        arm_views(diagnosis(cell(0, "city", "", "captions"), cell(1, "city", "", "captions")), SHOWN, Album(None)) == ()
    )


def test_an_arm_shows_a_few_pairs_of_different_places() -> None:
    cells = [cell(w, f"place {n}", "a") for n in range(9) for w in (0.0, 1.0)]
    (view,) = arm_views(diagnosis(*cells), SHOWN, Album(None))
    assert len({pair.environment for pair in view.pairs}) == len(view.pairs) == PAIRS


def finding(*cells: dict[str, Any]) -> Finding:
    return Finding(
        rule="outfit-baked-in", symptom="", why="", state="confirmed", severity="warning", strength=1.0,
        measurements=(), causes=(), cells=tuple(each["key"] for each in cells),
    )  # fmt: skip


def test_a_finding_of_an_arm_shows_its_pictures_beside_the_base_models(tmp_path: Path) -> None:
    for weight, colour in ((0, "red"), (1, "blue")):
        PIL.Image.new("RGB", (8, 8), colour).save(tmp_path / f"{weight}.png")
    seen = cell(1, "city", "a")
    found = diagnosis(cell(0, "city", "b"), cell(0, "city", "a", "poses"), cell(0, "city", "a"), seen)
    (pair,) = evidence_in_arms(finding(seen), found, Album(tmp_path), private=False)
    assert pair.arm == "outfits" and pair.asked == ("a",)
    assert pair.base is not None and pair.shown is not None and pair.base.uri != pair.shown.uri


def test_an_arm_without_weight_0_stands_beside_the_matrix(tmp_path: Path) -> None:
    PIL.Image.new("RGB", (8, 8), "red").save(tmp_path / "0.png")
    strong, plain = cell(1.2, "city", "", "strong"), {**cell(0, "city", ""), "arm": ""}
    found = replace(diagnosis(strong), cells=(plain,))
    (pair,) = evidence_in_arms(finding(strong), found, Album(tmp_path), private=False)
    assert pair.base is not None


def test_a_finding_of_the_matrix_has_no_pictures_beside_it() -> None:
    assert evidence_in_arms(finding(), diagnosis(cell(0, "city", "a")), Album(None), private=False) == ()


@pytest.mark.parametrize("arm", sorted(WITHHELD))
def test_pictures_of_replayed_captions_are_on_private_pages_alone(tmp_path: Path, arm: str) -> None:
    for weight, colour in ((0, "red"), (1, "blue")):
        PIL.Image.new("RGB", (8, 8), colour).save(tmp_path / f"{weight}.png")
    seen = cell(1, "city", "3", arm)
    found = replace(diagnosis(cell(0, "city", "3", arm), seen), cells=(), findings=(finding(seen),))
    templates = Path(__file__).parents[1] / "reports"
    public, private = (render_report(found, templates=templates, run=tmp_path, private=told) for told in (False, True))
    assert public.count("data:image/webp") == 0 and "this page withholds them" in public
    assert "report RUN --private" in public
    assert private.count("data:image/webp") == 2 and "this page withholds them" not in private


def test_every_arm_that_replays_captions_is_withheld() -> None:
    captions = ["1girl, yuki_nk, smile, beach", "1girl, yuki_nk, frown, city"]
    case = make_case(captions)
    replaying = {
        name for name, arm in find("arms", needs="plan").items()
        if {one.prompt for one in arm.plan(case)} & set(captions) or _asks_for_numbers(arm.plan(case))
    }  # fmt: skip
    assert replaying == WITHHELD and not WITHHELD & ARMS.keys()


def _asks_for_numbers(cells: Sequence[Cell]) -> bool:
    """Whether its cells name pictures of the dataset."""
    return any(one.asked.isdecimal() for one in cells)
