"""What is left out is collected by name, in one printable line each, or refused at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from lora_doctor import dataset_skips
from lora_doctor.dataset_skips import MAX_REASON, Skips
from lora_doctor.errors import InputRefused

ERROR = InputRefused("is\nbad.", path=Path("a.png"), advice="Mend\x1bit.")


def test_a_skip_is_the_error_without_its_path_in_one_printable_line() -> None:
    skips = Skips()
    skips.skip(ERROR, "picture")
    (skipped,) = skips.named
    assert (skipped.path, skipped.kind, skipped.reason) == (Path("a.png"), "picture", r"is bad. Mend\x1bit.")


def test_strict_refuses_what_cannot_be_used_and_only_remarks_on_the_rest() -> None:
    skips = Skips(strict=True)
    skips.remark(Path("a.png"), "picture", "is odd.")
    assert len(skips.named) == 1
    with pytest.raises(InputRefused, match=r"a\.png: is bad"):
        skips.skip(ERROR, "picture")


def test_a_reason_is_cut_where_it_gets_long() -> None:
    skips = Skips()
    skips.remark(Path("a.png"), "picture", "x" * 10_000)
    assert len(skips.named[0].reason) == MAX_REASON


def test_of_too_many_only_the_number_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset_skips, "MAX_NAMED", 3)
    skips = Skips()
    for _ in range(5):
        skips.skip(ERROR, "picture")
    assert (len(skips.named), skips.unnamed) == (3, 2)
