"""The article's identity ratios stand in one file, and the rules prescribe nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lora_doctor.article_band import ArticleBand, article_band
from lora_doctor.errors import EnvironmentFailure
from lora_doctor.rule_files import load_rules

RULES = Path(__file__).parents[1] / "rules"


def test_a_third_is_aimed_at_within_a_quarter_and_two_fifths() -> None:
    assert article_band() == ArticleBand(low=0.25, aim=0.33, high=0.4)


def prescribed() -> Iterator[tuple[str, str, float]]:
    """Rule, way and number of every identity ratio that a rule prescribes."""
    for folder in (RULES, RULES / "dataset"):
        for rule in load_rules(folder):
            for change in (cause.fix.change.get("identity_ratio", {}) for cause in rule.causes):
                yield from ((rule.id, way, number) for way, number in change.items())


def test_rules_prescribe_the_aim_or_go_from_it_to_an_end_of_the_band() -> None:
    band, found = article_band(), list(prescribed())
    assert {way for _, way, _ in found} == {"set", "at_least", "at_most"}
    assert [each for each in found if each[1] == "set" and each[2] != band.aim] == []
    for way, end in (("at_most", band.low), ("at_least", band.high)):
        ranges = [(amount["from"], amount["to"]) for _, each, amount in found if each == way]
        assert ranges and set(ranges) == {(band.aim, end)}


@pytest.mark.parametrize(
    "text",
    [
        "low = 0.25",
        "low = 0.4\naim = 0.33\nhigh = 0.25",
        'low = "a"\naim = 0.33\nhigh = 0.4',
        "low = ",
        "low = 0\naim = 1\nhigh = 2",
    ],
)
def test_a_file_that_holds_no_band_is_refused_with_its_path(tmp_path: Path, text: str) -> None:
    (tmp_path / "band.toml").write_text(text)
    with pytest.raises(EnvironmentFailure, match=r"band\.toml: cannot be read"):
        article_band(tmp_path / "band.toml")
