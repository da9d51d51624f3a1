"""How large a change is: by how far the finding is beyond its threshold, between the two sizes that a rule names."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_doctor.errors import UsageError
from lora_doctor.fix_size import is_size, sized, sized_because
from lora_doctor.prescription import prescribe, with_met
from lora_doctor.rule_files import load_rules
from lora_doctor.rules import evaluate
from lora_doctor.types import Measurement, TrainingSettings

FOLDER = Path(__file__).parents[1] / "rules"
RULES = {rule.id: rule for rule in load_rules(FOLDER)}
RATIO = {"from": 0.33, "to": 0.25, "at": 0.5}
RANK = {"from": 48, "to": 64, "at": 0.5, "multiple_of": 8}


@pytest.mark.parametrize(
    ("amount", "strength", "expected"),
    [
        (RATIO, 0.0, 0.33),
        (RATIO, 0.25, 0.29),
        (RATIO, 0.5, 0.25),
        (RATIO, 3.0, 0.25),
        (RANK, 0.0, 48),
        (RANK, 0.2, 56),
        (RANK, 0.5, 64),
        ({"from": 0.0001, "to": 0.00005, "at": 0.5}, 0.25, 0.000075),
        ({"from": 0.004, "to": 0.001, "at": 0.5}, 0.5, 0.001),
    ],
)
def test_a_size_slides_from_one_number_to_the_other(amount: dict[str, float], strength: float, expected: float) -> None:
    assert sized(amount, strength) == expected


numbers = st.floats(min_value=0.0001, max_value=100, allow_nan=False)


@given(numbers, numbers, numbers, st.floats(0, 50), st.floats(0, 50))
def test_a_size_stays_between_its_two_numbers_and_never_turns_back(
    start: float, end: float, at: float, one: float, other: float
) -> None:
    amount = {"from": start, "to": end, "at": at}
    less, more = sized(amount, min(one, other)), sized(amount, max(one, other))
    assert min(start, end) * 0.94 <= less <= max(start, end) * 1.06
    assert (more - less) * (end - start) >= 0


def test_a_size_is_not_mistaken_for_a_value() -> None:
    assert is_size(RATIO)
    assert not is_size(0.25) and not is_size({"off_spec": "hair_colour"}) and not is_size("bf16")


def test_why_it_is_so_large_names_both_ends() -> None:
    says = "0.47 beyond its threshold, where 0.25 is for 0.50 or more and 0.33 for next to none"
    assert sized_because(RATIO, 0.47) == says


def deficit(value: float) -> list[Measurement]:
    """Example of body-drift, the body lost by `value`."""
    first, *others = RULES["body-drift"].examples["fires"][0]
    assert first.name == "body.deficit"
    around = (value - 0.05, value + 0.05)
    lost = Measurement(name=first.name, where=first.where, value=value, interval=around, unit="score")
    return [lost, *(one for one in others if one.name != "outfit.deficit")]


@pytest.mark.parametrize(("lost", "ratio"), [(0.25, 0.31), (0.4, 0.28), (0.8, 0.25)])
def test_the_worse_the_body_the_lower_the_ratio(lost: float, ratio: float) -> None:
    measurements = deficit(lost)
    findings, _ = evaluate([RULES["body-drift"]], measurements)
    (change,) = prescribe(findings, TrainingSettings(identity_ratio=0.95), measurements).changes
    assert (change.field, change.after) == ("identity_ratio", ratio)
    assert "beyond its threshold, where 0.25 is for 0.50 or more" in change.because


def test_a_setting_that_is_as_low_as_the_finding_asks_is_met() -> None:
    for lost, met in ((0.25, True), (0.8, False)):
        measurements = deficit(lost)
        findings, _ = evaluate([RULES["body-drift"]], measurements)
        (told,) = with_met(findings, TrainingSettings(identity_ratio=0.31), measurements)
        assert [cause.met for cause in told.causes if "identity_ratio" in cause.fix.change] == [
            ("identity_ratio",) if met else ()
        ]


RANGES = [
    ("{from: 0.33, to: 0.25}", "all numbers, is wanted"),
    ("{from: 0.33, to: low, at: 0.5}", "all numbers, is wanted"),
    ("{from: 0.33, to: 0.25, at: 0.5, until: 3}", "all numbers, is wanted"),
    ("{from: 0.33, to: 0.25, at: yes}", "all numbers, is wanted"),
    ("{from: 0.33, to: 0.25, at: 0}", "must be above 0"),
    ("{from: -0.33, to: 0.25, at: 0.5}", "must be above 0"),
    ("{from: 48, to: 64, at: 0.5, multiple_of: 0}", "must be above 0"),
    ("{from: 40, to: 44, at: 0.5, multiple_of: 32}", "must be multiples of `multiple_of`, 32"),
    ("{from: .nan, to: 0.25, at: 0.5}", "all numbers, is wanted"),
    ("{from: 0.33, to: .inf, at: 0.5}", "all numbers, is wanted"),
    (f"{{from: 0.33, to: 0.25, at: 1{'0' * 400}}}", "all numbers, is wanted"),
    (".inf", "a number is wanted"),
    ("{measured: ''}", "the name of a measurement is wanted"),
    ("{measured: 5}", "the name of a measurement is wanted"),
]


@pytest.mark.parametrize(
    ("ask", "complaint"),
    [
        *((f"{{at_least: {size}}}", complaint) for size, complaint in RANGES),
        ("{times: 0}", "a number above 0 is wanted"),
        ("{times: -1.0}", "a number above 0 is wanted"),
        ("{times: {measured: base.resolution}}", "all numbers, is wanted"),
        ("{set: .inf}", "is no value of a setting"),
        ("{set: {from: 1, to: 2, at: 1}}", "a value, {off_spec"),
    ],
)
def test_an_amount_that_no_setting_can_be_is_refused_with_its_place(tmp_path: Path, ask: str, complaint: str) -> None:
    text = (FOLDER / "closeup-identity-loss.yaml").read_text("utf-8")
    old = "{at_least: {from: 0.33, to: 0.4, at: 0.5}}"
    assert old in text
    (tmp_path / "closeup-identity-loss.yaml").write_text(text.replace(old, ask), "utf-8")
    operation = ask[1 : ask.index(":")]
    with pytest.raises(UsageError, match=rf"causes\[0\].fix.change.identity_ratio.{operation}") as refused:
        load_rules(tmp_path)
    assert complaint in str(refused.value)
