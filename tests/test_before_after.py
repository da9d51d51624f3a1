"""A retrained LoRA's report tells what it was before: what was changed, what came of it, the same scene twice."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lora_doctor.before_after import PAIRS, PROVING, story, tell
from lora_doctor.diagnosis import from_json, to_json
from lora_doctor.judgement import BEFORE, DIAGNOSIS, REPORT, judge_run
from lora_doctor.plugins import data_folder
from lora_doctor.report import render_report
from lora_doctor.run_folder import RunFolder
from lora_doctor.types import Change, Diagnosis
from tests.make_diagnosis import make_diagnosis
from tests.make_finished_run import make_finished_run


def plan(before: Diagnosis, **more: Any) -> Any:
    changes = (Change(field="identity_ratio", before=None, after=0.25, rule="body-drift", because=""),)
    known = {"rescales": None, "patch": SimpleNamespace(changes=changes), "captions": {}, "left_out": {}, "added": None}
    return SimpleNamespace(before=before, **(known | more))


def comparison(*keys: str, **contrast: Any) -> Any:
    difference = SimpleNamespace(value=0.2, unit="score", interval=(0.1, 0.3), reason=None)
    told = [SimpleNamespace(quantity="identity", whole=True, state="better", difference=difference)] * bool(contrast)
    return SimpleNamespace(contrasts=told, changed=[SimpleNamespace(key=key) for key in keys])


@pytest.fixture
def both(tmp_path: Path) -> tuple[Diagnosis, Diagnosis]:
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    return make_diagnosis(tmp_path / "old"), make_diagnosis(tmp_path / "new", "SHIP")


def test_it_tells_what_was_changed_and_what_came_of_it(both: tuple[Diagnosis, Diagnosis]) -> None:
    before, after = both
    more = {"captions": {"a": "", "b": ""}, "left_out": {"c": ""}, "added": SimpleNamespace(images=(1, 2, 3))}
    told = story(plan(before, **more), after, comparison(better=True), kept=True, because="HOLD before, SHIP after.")
    assert (told["outcome"], told["kept"], told["findings"]) == ("HOLD", True, list(before.confirmed))
    assert told["changes"] == [{"field": "identity_ratio", "before": None, "after": 0.25}]
    assert told["dataset"] == ["2 captions corrected", "1 picture left out", "3 new pictures"]
    assert told["contrasts"] == [{"quantity": "identity", "state": "better", "difference": "+0.20 [+0.10, +0.30]"}]


def test_pictures_are_those_that_proved_it_then_those_that_changed_each_scene_once(
    both: tuple[Diagnosis, Diagnosis],
) -> None:
    before, after = both
    proving = before.findings[0].cells
    changed = [str(cell["key"]) for cell in after.cells if cell["weight"] == 0.7]
    told = story(plan(before), after, comparison(*changed), kept=True, because="")["pairs"]
    assert [pair["key"] for pair in told[:2]] == list(proving[:2])
    scenes = {(pair["environment"], pair["framing"], pair["replicate"]) for pair in told}
    assert len(scenes) == len(told) == PAIRS > PROVING


def test_a_scene_that_only_one_of_them_drew_is_not_shown(both: tuple[Diagnosis, Diagnosis]) -> None:
    before, after = both
    lost = dataclasses.replace(after, cells=tuple({**cell, "image": None} for cell in after.cells))
    changed = [str(cell["key"]) for cell in after.cells]
    assert story(plan(before), lost, comparison(*changed), kept=True, because="")["pairs"] == []
    assert story(plan(dataclasses.replace(before, cells=())), after, None, kept=True, because="")["pairs"] == []


def test_the_run_keeps_the_pictures_and_every_report_drawn_from_it_shows_them(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    before = make_diagnosis(tmp_path / "old")
    new = make_finished_run(tmp_path / "new", make_diagnosis(tmp_path, images=False).measurements)
    after = make_diagnosis(new, "SHIP")
    told = story(plan(before), after, comparison(), kept=True, because="HOLD before, SHIP after.")
    made = tell(new, tmp_path / "old", told)
    for pair in told["pairs"]:
        assert (new / pair["image_before"]).read_bytes() == (tmp_path / "old" / pair["old"]).read_bytes()
    assert made.before["outcome"] == "HOLD" and "old" not in made.before["pairs"][0]
    assert from_json((new / DIAGNOSIS).read_text("utf-8")).before == made.before
    page = (new / REPORT).read_text("utf-8")
    assert 'id="before"' in page and 'href="#before"' in page and page.count("<span>before ") == len(told["pairs"])
    assert str(tmp_path) not in page
    assert judge_run(new).before == made.before and 'id="before"' in (new / REPORT).read_text("utf-8")
    with RunFolder(new, create=False, write=False) as run:
        assert run.get_json(BEFORE) == made.before


def test_what_is_not_kept_is_said_and_a_check_up_without_a_before_has_no_such_section(
    both: tuple[Diagnosis, Diagnosis],
) -> None:
    before, after = both
    told = story(plan(before), after, None, kept=False, because="HOLD as before; <b>worse</b>: outfit.")
    page = render_report(
        dataclasses.replace(after, before=told), templates=data_folder("reports"), run=None, private=False
    )
    assert "it is not kept: HOLD as before; &lt;b&gt;worse&lt;/b&gt;: outfit." in page
    alone = render_report(after, templates=data_folder("reports"), run=None, private=False)
    assert 'id="before"' not in alone and '#before"' not in alone
    assert from_json(to_json(after)).before == {}
