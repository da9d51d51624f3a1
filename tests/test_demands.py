"""What a policy demands of one number: held, proven to fail, or open."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_doctor.demands import below_warning, claim_check, demands, gap_check, units_to_decide
from lora_doctor.exact_shares import EACH_LOOK, exact
from lora_doctor.looks import tail_of_end
from lora_doctor.measurement_book import Book
from lora_doctor.policy import Claim, load_policy
from lora_doctor.types import Measurement

FOLDER = Path(__file__).parents[1] / "rules"
STANDARD = load_policy(FOLDER, "standard")


def score(value: float | None, interval: tuple[float, float] | None = None, n: int = 10) -> Measurement:
    return Measurement(name="identity.score", value=value, interval=interval, unit="score", n=n)


def gap(value: float | None, interval: tuple[float, float] | None) -> Book:
    return Book([Measurement(name="identity.gap", value=value, interval=interval)])


STATES: list[tuple[Claim, float, tuple[float, float] | None, str]] = [
    ("point", 0.7, (0.5, 0.9), "holds"),
    ("point", 0.6, None, "holds"),
    ("point", 0.5, (0.3, 0.7), "open"),
    ("point", 0.5, None, "open"),
    ("point", 0.5, (0.4, 0.59), "fails"),
    ("point", 0.5, (0.4, 0.6), "open"),
    ("interval", 0.7, (0.6, 0.8), "holds"),
    ("interval", 0.7, (0.59, 0.8), "open"),
    ("interval", 0.7, None, "open"),
    ("interval", 0.5, (0.4, 0.59), "fails"),
]
"""Claim, value, interval and what comes of it, where 0.6 at least is wanted."""


@pytest.mark.parametrize(("claim", "value", "interval", "state"), STATES)
def test_a_claim_holds_at_the_limit_and_fails_only_with_its_whole_interval(
    claim: Claim, value: float, interval: tuple[float, float] | None, state: str
) -> None:
    assert claim_check(score(value, interval), "identity", 0.6, claim).state == state


@pytest.mark.parametrize(("claim", "value", "interval", "state"), STATES)
def test_a_largest_value_is_judged_as_the_least_one_in_a_mirror(
    claim: Claim, value: float, interval: tuple[float, float] | None, state: str
) -> None:
    mirrored = None if interval is None else (-interval[1], -interval[0])
    assert claim_check(score(-value, mirrored), "faceless", -0.6, claim, most=True).state == state


@pytest.mark.parametrize("claim", ["point", "interval"])
def test_what_was_not_measured_is_open_with_its_reason(claim: Claim) -> None:
    gone = Measurement(name="identity.score", value=None, reason="no face")
    assert claim_check(None, "identity", 0.6, claim).text == "identity: not measured"
    assert (claim_check(gone, "identity", 0.6, claim).state, claim_check(gone, "identity", 0.6, claim).text) == (
        "open", "identity: no face",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("value", "interval", "state"),
    [
        (0.5, (0.4, 0.6), "holds"),
        (STANDARD.gap_at_least, (0.01, 0.6), "holds"),
        (STANDARD.gap_at_least - 0.01, (0.01, 0.6), "open"),
        (0.5, (0.0, 1.0), "open"),
        (0.5, None, "open"),
        (None, None, "open"),
    ],
)
def test_identity_can_be_measured_where_the_gap_is_wide_and_clear_of_zero(
    value: float | None, interval: tuple[float, float] | None, state: str
) -> None:
    assert gap_check(gap(value, interval), STANDARD).state == state


@pytest.mark.parametrize(("of_pictures", "state"), [(1.0, "holds"), (0.0, "open"), (None, "open")])
def test_an_instrument_for_whole_pictures_needs_less_of_a_gap(of_pictures: float | None, state: str) -> None:
    numbers = [
        Measurement(name="identity.gap", value=0.12, interval=(0.1, 0.14)),
        Measurement(name="identity.of_pictures", value=of_pictures),
    ]
    assert gap_check(Book(numbers), STANDARD).state == state
    assert gap_check(Book([replace(numbers[0], value=0.09), numbers[1]]), STANDARD).state == "open"


def test_the_warning_level_of_such_an_instrument_is_its_own() -> None:
    numbers = Book([
        Measurement(name="identity.gap", value=0.2, interval=(0.18, 0.22)),
        Measurement(name="identity.of_pictures", value=1.0),
    ])  # fmt: skip
    told = below_warning(numbers, replace(STANDARD, warn_picture_gap_at_least=0.3), ("beach",))
    assert any("short of warn_picture_gap_at_least = 0.3" in text for text in told)
    assert not below_warning(numbers, replace(STANDARD, warn_gap_at_least=0.3), ("beach",))


def test_without_any_number_every_demand_is_open() -> None:
    checks = demands(Book([]), STANDARD, ("beach",))
    assert {check.state for check in checks} == {"open"}
    asked = " ".join(check.text for check in checks)
    assert all(f"identity at weight {weight:g}" in asked for weight in STANDARD.weights)
    assert all(f"share of {framing} renders without a face" in asked for framing in STANDARD.framings)


@given(st.integers(2, 60), st.floats(0.02, 0.35), st.floats(1.05, 5.0), st.sampled_from([1, -1]))
def test_so_many_units_more_bring_the_interval_to_the_limit_and_one_fewer_does_not(
    n: int, distance: float, wide: float, side: int
) -> None:
    """The half-width shrinks with the root of the units."""
    half, value = distance * wide, 0.6 + side * distance
    more = units_to_decide({"beach": score(value, (value - half, value + half), n)}, 0.6, holding=1, failing=1)
    assert more is not None and more >= 1
    assert half * math.sqrt(n / (n + more)) <= distance + 1e-6
    assert more == 1 or half * math.sqrt(n / (n + more - 1)) > distance - 1e-6


def test_identity_at_a_weight_that_is_too_close_to_call_says_how_many_pictures_would_decide_it_at_best() -> None:
    """0.65 less 0.08 has to be 0.60, by 2.33 standard errors the next time in place of 1.645: (0.113 / 0.05) ** 2 times
    as many units, three pictures each."""
    own = Measurement(name="identity.score", where={"weight": "0.7"}, value=0.65, interval=(0.57, 0.73), n=100)
    known = Book([Measurement(name="identity.gap", value=0.5, interval=(0.4, 0.6)), own])
    (check,) = [one for one in demands(known, STANDARD, ()) if "at weight 0.7" in one.text and one.state == "open"]
    assert "about" not in check.text and "1242 more pictures would decide it at best" in check.text


def test_so_close_to_the_limit_that_nobody_would_wait_is_said_in_place_of_a_number() -> None:
    own = Measurement(name="identity.score", where={"weight": "0.7"}, value=0.601, interval=(0.57, 0.63), n=100)
    known = Book([Measurement(name="identity.gap", value=0.5, interval=(0.4, 0.6)), own])
    (check,) = [one for one in demands(known, STANDARD, ()) if "at weight 0.7" in one.text and one.state == "open"]
    assert check.text.endswith("so close to the limit that more than 2000 pictures would be needed")


def test_a_gap_that_missing_pictures_may_make_too_small_is_open() -> None:
    known = Measurement(name="identity.gap", value=0.2, interval=(0.1, 0.3), reach=(0.16, 0.21))
    assert gap_check(Book([known]), STANDARD).state == "holds"
    check = gap_check(Book([replace(known, reach=(0.14, 0.21))]), STANDARD)
    assert check.state == "open" and "with the pictures that are missing it could be 0.14" in check.text


def face_texts(lost: int, n: int) -> list[str]:
    shares = [
        Measurement(name="identity.no_face", value=lost / n, interval=exact(lost, n, EACH_LOOK), n=n,
                    where={"weight": "ship", "framing": framing}) for framing in STANDARD.framings
    ]  # fmt: skip
    found = demands(Book(shares), STANDARD, ())
    return [check.text for check in found if "without a face" in check.text]


def test_open_faces_say_how_many_pictures_of_the_framing_would_tell() -> None:
    """Thirty pictures without a loss claim fewer than 15 % when it is gone on with, and ten were looked at, each at
    weights 0, 0.7 and 1."""
    texts = face_texts(0, 10)
    assert all(text.endswith("if the share stays where it is") for text in texts)
    assert "about 60 more pictures in full_body would decide it" in texts[-1]
    assert exact(0, 30, tail_of_end(1))[1] <= STANDARD.no_face_at_most < exact(0, 29, tail_of_end(1))[1]


@given(st.integers(0, 4), st.integers(10, 40))
def test_so_many_pictures_more_prove_a_counted_share_and_one_unit_fewer_does_not(lost: int, n: int) -> None:
    """Each unit is three pictures, at weights 0, 0.7 and 1."""
    limit, share = STANDARD.no_face_at_most, lost / n
    if not share < limit < exact(lost, n, EACH_LOOK)[1]:
        return
    text = face_texts(lost, n)[-1]
    if "would be needed" in text:
        return
    whole = n + int(text.partition("about ")[2].partition(" ")[0]) // 3
    tail = tail_of_end(1)
    assert exact(share * whole, whole, tail)[1] <= limit + 1e-6
    assert exact(share * (whole - 1), whole - 1, tail)[1] > limit - 1e-6


def test_where_the_estimate_alone_decides_nobody_says_how_many_pictures_would() -> None:
    short = score(0.58, (0.5, 0.66), 20)
    asked = claim_check(short, "identity", 0.6, "point")
    assert (asked.state, asked.by_estimate) == ("open", True)
    assert not claim_check(short, "identity", 0.6, "interval").by_estimate
    lenient = load_policy(FOLDER, "lenient")
    texts = [check.text for check in demands(Book([score(0.48, (0.4, 0.56), 20)]), lenient, ())]
    assert not any("more pictures would decide" in text for text in texts)
