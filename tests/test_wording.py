"""Values as text."""

from __future__ import annotations

from typing import Any

import pytest

from lora_doctor.wording import setting_text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "not set"),
        (True, "yes"),
        (1e-4, "0.0001"),
        (20 / 21, "0.952"),
        (0.25, "0.25"),
        (48.0, "48"),
        (1234.0, "1234"),
        (1600, "1600"),
        (("a_hair", "b_hair"), "a_hair, b_hair"),
        ((), "none"),
        ({"name": "x", "max_size": 3}, "name: x; max size: 3"),
    ],
)
def test_settings_have_one_format(value: Any, text: str) -> None:
    assert setting_text(value) == text
