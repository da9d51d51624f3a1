"""Arms are found by their files; probes wait until a finding asks for them."""

from __future__ import annotations

import pytest

from lora_doctor.arm_plan import plan_arms
from lora_doctor.errors import UsageError
from lora_doctor.plugins import find
from tests.arms.make_case import make_case

CASE = make_case()
FILES = find("arms", needs="plan")
PROBES = {name for name, module in FILES.items() if getattr(module, "FOR_FINDINGS", False)}


def test_all_arms_are_planned_when_none_is_named() -> None:
    planned = plan_arms(CASE, None)
    assert {cell.arm for cell in planned.arms} <= set(FILES) - PROBES
    assert "described" in {cell.arm for cell in planned.arms}
    assert set(planned.probes) == PROBES


def test_what_an_arm_could_not_ask_as_it_is_meant_is_said_where_it_is_rendered() -> None:
    case = make_case(captions=["yuki_nk, beach, far away"] * 12, fitted=lambda prompt: prompt[:15])
    assert [said[:14] for said in plan_arms(case, None).remarks] == ["12 of 12 capti"]
    assert plan_arms(case, ["described"]).remarks == plan_arms(CASE, None).remarks == ()


def test_no_arm_means_no_probe_either() -> None:
    planned = plan_arms(CASE, ())
    assert (planned.arms, dict(planned.probes)) == ((), {})


def test_only_what_is_named_is_planned() -> None:
    assert {cell.arm for cell in plan_arms(CASE, ["described"]).arms} == {"described"}


def test_an_unknown_arm_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"no arm `describe`.*described"):
        plan_arms(CASE, ["describe"])


@pytest.mark.parametrize("name", FILES)
def test_an_arm_says_its_own_name_on_every_cell_and_shares_no_key(name: str) -> None:
    cells = FILES[name].plan(make_case(captions=["yuki_nk, red_shirt, beach"] * 12))
    assert {cell.arm for cell in cells} <= {name}
    assert len({cell.key for cell in cells} | {cell.key for cell in CASE.matrix}) == len(cells) + len(CASE.matrix)
