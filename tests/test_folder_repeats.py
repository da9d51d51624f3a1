"""Names of folders, read as sd-scripts reads them: `int(name.split("_")[0])`."""

from __future__ import annotations

import pytest

from lora_doctor.folder_repeats import MOST, folder_repeats


@pytest.mark.parametrize(("name", "told"), [
    ("10_ohwx person", (10, "ohwx person")), ("3_a_b", (3, "a_b")), ("5", (5, "")), ("5_", (5, "")), ("0_off", (0, "")),
    ("-2_off", (0, "")), ("yuki", None), ("10 yuki", None), ("", None), ("9" * 5000, (MOST, "")),
])  # fmt: skip
def test_the_number_is_the_repeats_and_the_rest_are_words(name: str, told: tuple[int, str] | None) -> None:
    found = folder_repeats(name)
    assert (found and (found[0], found[1] if found[0] else "")) == told
