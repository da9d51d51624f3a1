"""Render defaults: complete for every family that renders, and such that the family can draw them."""

from __future__ import annotations

import pytest

from lora_doctor.base_classes import PIPELINES, TEXT_WIDTHS
from lora_doctor.base_scheduler import check_sampler
from lora_doctor.errors import UsageError
from lora_doctor.memory import WORKING
from lora_doctor.render_defaults import DEFAULTS, render_defaults

FAMILIES = {*(family for family in PIPELINES.values() if family), *TEXT_WIDTHS.values()}


def test_every_family_that_renders_has_defaults_and_an_estimate_of_memory() -> None:
    assert set(DEFAULTS) == FAMILIES == set(WORKING)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_the_defaults_are_drawable(family: str) -> None:
    found = render_defaults(family)
    check_sampler(found.sampler)
    assert found.width % 16 == found.height % 16 == 0 and found.steps > 0 and found.guidance >= 0


def test_flow_matching_keeps_the_scheduler_that_its_folder_shifts() -> None:
    assert {DEFAULTS[family].sampler for family in ("sd3", "flux", "z-image", "qwen-image")} == {"folder"}


def test_families_without_a_negative_pass_have_no_negative_prompt() -> None:
    assert not DEFAULTS["flux"].negative_prompt and not DEFAULTS["z-image"].negative_prompt


def test_an_unknown_family_has_no_defaults() -> None:
    with pytest.raises(UsageError, match=r"unknown.*Known families: miniature.*qwen-image"):
        render_defaults("unknown")
