"""How sure a condition is: the tables of its logic, and closed forms of its strength."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_doctor.rule_conditions import CONFIRMED, DOUBTED, NO, SUSPECTED, Index, asked, judge_condition, named, slot
from lora_doctor.types import Condition, Measurement

NAN, INF = math.nan, math.inf


def index(*measurements: Measurement) -> Index:
    return {slot(m.name, m.where): m for m in measurements}


def number(name: str, value: float | None, interval: tuple[float, float] | None = None, unit: str = "") -> Measurement:
    return Measurement(name=name, value=value, interval=interval, unit=unit)


def above(name: str) -> Condition:
    return Condition(measurement=name, above=0.5)


def levels(condition: Condition, *measurements: Measurement) -> tuple[int, int]:
    found = judge_condition(condition, index(*measurements))
    return found.low, found.high


# ---------------------------------------------------------------- the logic

READ: dict[str, tuple[float, tuple[float, float]] | None] = {
    "yes": (0.9, (0.8, 1.0)), "likely": (0.6, (0.4, 0.8)), "unlikely": (0.4, (0.2, 0.6)), "no": (0.1, (0.0, 0.2)),
    "absent": None,
}  # fmt: skip
"""How a number above 0.5 is asked for may be answered."""
TRUTH = ("no", "unlikely", "likely", "yes")
"""From the least sure to the surest."""
LEVELS = {"no": NO, "unlikely": DOUBTED, "likely": SUSPECTED, "yes": CONFIRMED}
PAIRS = list(itertools.product(READ, READ))


def reading(name: str, truth: str) -> list[Measurement]:
    read = READ[truth]
    return [] if read is None else [number(name, *read)]


def possible(truth: str) -> tuple[str, ...]:
    """What an answer may turn out to be: one that is absent, anything."""
    return TRUTH if truth == "absent" else (truth,)


def spread(truths: set[str]) -> tuple[int, int]:
    return min(LEVELS[truth] for truth in truths), max(LEVELS[truth] for truth in truths)


@pytest.mark.parametrize("truth", TRUTH)
def test_a_comparison_is_as_sure_as_the_interval_is_clear_of_the_threshold(truth: str) -> None:
    assert levels(above("a"), *reading("a", truth)) == (LEVELS[truth], LEVELS[truth])


def test_an_absent_number_may_be_anything() -> None:
    assert levels(above("a")) == (NO, CONFIRMED)


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_all_is_as_sure_as_the_least_sure_of_them(one: str, other: str) -> None:
    outcomes = {min(pair, key=TRUTH.index) for pair in itertools.product(possible(one), possible(other))}
    both = Condition(all=(above("a"), above("b")))
    assert levels(both, *reading("a", one), *reading("b", other)) == spread(outcomes)


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_any_is_as_sure_as_the_surest_of_them(one: str, other: str) -> None:
    outcomes = {max(pair, key=TRUTH.index) for pair in itertools.product(possible(one), possible(other))}
    either = Condition(any=(above("a"), above("b")))
    assert levels(either, *reading("a", one), *reading("b", other)) == spread(outcomes)


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_none_is_the_opposite_of_any(one: str, other: str) -> None:
    found = [*reading("a", one), *reading("b", other)]
    low, high = levels(Condition(any=(above("a"), above("b"))), *found)
    assert levels(Condition(none=(above("a"), above("b"))), *found) == (-high, -low)


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_a_condition_is_undecided_where_what_is_absent_could_make_or_strengthen_it(one: str, other: str) -> None:
    """And where it could not, nothing more needs to be measured."""
    found = judge_condition(Condition(all=(above("a"), above("b"))), index(*reading("a", one), *reading("b", other)))
    known = [truth for truth in (one, other) if truth != "absent"]
    assert found.undecided == (len(known) < 2 and all(LEVELS[truth] > 0 for truth in known))


VALUES = st.none() | st.tuples(st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from([0.0, 0.3, 0.6]))
LEAVES = st.builds(
    lambda name, operator: Condition(measurement=name, **{operator: 0.5}),
    st.sampled_from("abc"), st.sampled_from(["above", "below", "at_least", "at_most", "equals"]),
)  # fmt: skip
CONDITIONS = st.recursive(
    LEAVES,
    lambda inner: st.builds(
        lambda kind, parts: Condition(**{kind: tuple(parts)}),
        st.sampled_from(["all", "any", "none"]), st.lists(inner, min_size=1, max_size=3),
    ),
    max_leaves=6,
)  # fmt: skip


@given(CONDITIONS, st.lists(VALUES, min_size=3, max_size=3), st.sampled_from("abc"))
def test_taking_a_number_away_only_widens_what_may_be_concluded(
    condition: Condition, values: list[tuple[float, float] | None], gone: str
) -> None:
    found = [number(n, v[0], (v[0] - v[1], v[0] + v[1])) for n, v in zip("abc", values, strict=True) if v is not None]
    with_it, without = levels(condition, *found), levels(condition, *(m for m in found if m.name != gone))
    assert without[0] <= with_it[0] <= with_it[1] <= without[1]


# ---------------------------------------------------------------- one comparison


@pytest.mark.parametrize(
    ("operator", "below_it", "on_it", "above_it"),
    [
        ("above", NO, NO, CONFIRMED),
        ("at_least", NO, CONFIRMED, CONFIRMED),
        ("below", CONFIRMED, NO, NO),
        ("at_most", CONFIRMED, CONFIRMED, NO),
        ("equals", NO, CONFIRMED, NO),
    ],
)
def test_an_exact_number_is_compared_as_the_operator_says(
    operator: str, below_it: int, on_it: int, above_it: int
) -> None:
    asks = Condition(measurement="a", **{operator: 0.5})  # type: ignore[arg-type]
    found = [levels(asks, number("a", value)) for value in (0.4, 0.5, 0.6)]
    assert found == [(below_it, below_it), (on_it, on_it), (above_it, above_it)]


@pytest.mark.parametrize(
    ("condition", "interval", "level"),
    [
        (Condition(measurement="a", above=0.5), (0.5, 0.9), SUSPECTED),
        (Condition(measurement="a", at_least=0.5), (0.5, 0.9), CONFIRMED),
        (Condition(measurement="a", above=0.5), (0.51, NAN), CONFIRMED),
        (Condition(measurement="a", above=0.5), (NAN, 0.9), SUSPECTED),
        (Condition(measurement="a", below=0.5), (0.2, 0.9), DOUBTED),
        (Condition(measurement="a", above=0.5, below=0.8), (0.6, 0.75), CONFIRMED),
        (Condition(measurement="a", above=0.5, below=0.8), (0.6, 0.85), SUSPECTED),
        (Condition(measurement="a", equals=0.7), (0.7, 0.7), CONFIRMED),
        (Condition(measurement="a", equals=0.7), (0.6, 0.8), SUSPECTED),
        (Condition(measurement="a", equals=0.6), (0.6, 0.8), DOUBTED),
        (Condition(measurement="a", equals=0.5), (0.6, 0.8), NO),
    ],
)
def test_the_ends_of_the_interval_decide_how_sure_it_is(
    condition: Condition, interval: tuple[float, float], level: int
) -> None:
    assert levels(condition, number("a", 0.7, interval)) == (level, level)


def test_a_number_that_only_lacks_its_interval_is_never_certain() -> None:
    lone = Measurement(name="a", value=0.9, reason="one environment alone")
    assert levels(above("a"), lone) == (SUSPECTED, SUSPECTED)
    assert levels(Condition(none=(above("a"),)), lone) == (-SUSPECTED, -SUSPECTED)


@pytest.mark.parametrize("value", [None, NAN, INF, -INF])
def test_what_is_no_number_is_absent_with_its_reason(value: float | None) -> None:
    gone = Measurement(name="a", value=value, reason="no face")
    found = judge_condition(above("a"), index(gone))
    assert (found.low, found.high, found.missing) == (NO, CONFIRMED, ("a: no face",))
    assert levels(Condition(measurement="a", absent=True), gone) == (CONFIRMED, CONFIRMED)
    assert levels(Condition(measurement="a", absent=False), gone) == (NO, NO)


def test_presence_can_be_asked_for() -> None:
    there = number("a", 0.0)
    assert levels(Condition(measurement="a", absent=False), there) == (CONFIRMED, CONFIRMED)
    assert levels(Condition(measurement="a", absent=True), there) == (NO, NO)
    assert levels(Condition(measurement="a", absent=True)) == (CONFIRMED, CONFIRMED)


def test_a_slice_is_another_number_whatever_the_order_of_its_keys() -> None:
    where = {"weight": "1", "framing": "full_body"}
    there = Measurement(name="a", value=0.9, where={"framing": "full_body", "weight": "1"})
    assert levels(Condition(measurement="a", where=where, above=0.5), there) == (CONFIRMED, CONFIRMED)
    assert levels(Condition(measurement="a", where={"weight": "1"}, above=0.5), there) == (NO, CONFIRMED)
    assert named("a", where) == "a {weight: 1, framing: full_body}" and named("a", {}) == "a"


# ---------------------------------------------------------------- what is told of it


@pytest.mark.parametrize(
    ("condition", "value", "unit", "strength"),
    [
        (Condition(measurement="a", above=0.05), 0.35, "share", 0.30 / 0.95),
        (Condition(measurement="a", below=0.6), 0.2, "score", 0.4 / 0.6),
        (Condition(measurement="a", below=0.6), -0.3, "score", 1.0),
        (Condition(measurement="a", at_least=1.0), 1.0, "share", 1.0),
        (Condition(measurement="a", above=1.25), 2.5, "ratio", 1.0),
        (Condition(measurement="a", above=1.25), 5.0, "ratio", 3.0),
        (Condition(measurement="a", above=0.8), 0.9, "ratio", 0.5),
        (Condition(measurement="a", above=20.0), 50.0, "pixels", 1.5),
        (Condition(measurement="a", above=0.0), 3.0, "count", 3.0),
        (Condition(measurement="a", above=0.2, below=0.9), 0.4, "share", 0.5 / 0.9),
        (Condition(measurement="a", above=0.5), 0.4, "share", 0.0),
    ],
)
def test_strength_is_how_far_beyond_of_how_far_it_could_be_or_in_thresholds(
    condition: Condition, value: float, unit: str, strength: float
) -> None:
    assert judge_condition(condition, index(number("a", value, unit=unit))).strength == pytest.approx(strength)


def test_the_strength_of_all_is_that_of_its_first_number_and_of_any_that_of_the_surest() -> None:
    sure, strong = number("a", 0.6, (0.55, 0.65), "share"), number("b", 1.0, (0.4, 1.0), "share")
    both = judge_condition(Condition(all=(above("b"), above("a"))), index(sure, strong))
    assert (both.strength, [m.name for m in both.seen]) == (1.0, ["b", "a"])
    either = judge_condition(Condition(any=(above("b"), above("a"))), index(sure, strong))
    assert (either.strength, [m.name for m in either.seen]) == (pytest.approx(0.2), ["a", "b"])


def test_nothing_is_seen_of_what_does_not_hold_and_every_number_once() -> None:
    low, high = number("a", 0.1), number("b", 0.9)
    assert judge_condition(Condition(all=(above("b"), above("a"))), index(low, high)).seen == ()
    assert judge_condition(Condition(all=(above("b"), above("b"))), index(high)).seen == (high,)


def test_what_is_absent_is_named_once_and_may_be_as_bad_as_can_be() -> None:
    found = judge_condition(Condition(all=(above("a"), above("a"), above("b"))), index())
    assert (found.missing, found.worst) == (("a: not measured", "b: not measured"), 1.0)
    assert judge_condition(above("a"), index(number("a", 0.1))).worst == 0.0


def test_every_number_that_a_condition_asks_for_is_told() -> None:
    nested = Condition(
        all=(above("a"), Condition(any=(Condition(measurement="b", where={"k": "v"}, below=1.0),))), none=(above("c"),)
    )
    assert list(asked(nested)) == [("a", {}), ("b", {"k": "v"}), ("c", {})]
