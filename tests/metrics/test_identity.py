"""Identity is measured as planted: by weight, framing and environment, and never without a ruler."""

from __future__ import annotations

import random

import pytest

from lora_doctor.metrics.identity import measure
from lora_doctor.types import CLOSE_UP, FRAMINGS, FULL_BODY, UPPER_BODY, Cell
from tests.metrics.make_study import get, make_study, references


def test_the_score_is_zero_at_weight_zero_one_at_the_ceiling_and_linear_between() -> None:
    found = measure(make_study())
    for weight in ("0", "0.4", "0.7", "1"):
        assert get(found, "identity.score", weight=weight).value == pytest.approx(float(weight), abs=1e-4)
    assert get(found, "identity.score", weight="ship").value == pytest.approx(0.85, abs=1e-4)


def test_every_slice_that_rules_may_ask_for_is_there_once() -> None:
    found = measure(make_study())
    keys = [(m.name, tuple(sorted(m.where.items()))) for m in found]
    assert len(keys) == len(set(keys))
    for framing in FRAMINGS:
        for name in ("floor", "ceiling", "gap", "framing_gap"):
            assert get(found, f"identity.{name}", framing=framing).value is not None
        assert get(found, "identity.score", weight="ship", framing=framing).n == 10
        assert get(found, "identity.no_face", weight="ship", framing=framing).value == 0.0
    assert get(found, "identity.score", weight="ship", environment="beach").n == 6
    assert get(found, "identity.score", weight="ship", environment_kind="novel").n == 18
    assert get(found, "identity.score", weight="0.4", environment="library").n == 6
    assert all(m.value is not None and m.interval is not None for m in found)


def test_intervals_come_from_environments() -> None:
    spread = {"library": 0.9, "forest": 0.8, "beach": 0.7, "city": 0.6, "snow": 0.5}
    one = get(
        measure(make_study(identity=lambda c: spread[c.environment] if c.weight else 0.0)), "identity.score", weight="1"
    )
    half = 2.131847 * 0.158114 / 5**0.5
    assert one.value == pytest.approx(0.7, abs=1e-4)
    assert one.interval == pytest.approx((0.7 - half, 0.7 + half), abs=1e-4)
    assert one.n == 30


def test_a_face_that_turns_generic_on_close_ups_is_a_framing_gap() -> None:
    found = measure(make_study(identity=lambda c: 0.0 if c.framing == CLOSE_UP else 0.8 * (c.weight > 0)))
    gap = get(found, "identity.framing_gap", framing=CLOSE_UP)
    assert gap.value == pytest.approx(0.8, abs=0.05)
    assert gap.interval and gap.interval[0] > 0.4
    others = [get(found, "identity.framing_gap", framing=framing).value for framing in (UPPER_BODY, FULL_BODY)]
    assert others == pytest.approx([-0.4, -0.4], abs=0.05)


def test_a_character_locked_to_its_environments_is_an_environment_gap() -> None:
    rng = random.Random(1)
    locked = make_study(identity=lambda c: c.weight * (0.9 if c.trained else 0.3) + rng.gauss(0, 0.02))
    found = measure(locked)
    gap = get(found, "identity.environment_gap")
    trained, novel = (
        get(found, "identity.score", weight="ship", environment_kind=kind).value or 0 for kind in ("trained", "novel")
    )
    assert gap.value == pytest.approx(trained - novel)
    assert gap.value == pytest.approx(0.51, abs=0.03)
    assert gap.interval and gap.interval[0] > 0.3


def test_renders_without_a_face_score_zero_and_are_counted() -> None:
    def without(cell: Cell) -> float | None:
        return None if cell.weight and cell.framing == CLOSE_UP and cell.replicate else cell.weight

    found = measure(make_study(identity=without))
    assert get(found, "identity.no_face", weight="ship", framing=CLOSE_UP).value == 0.5
    assert get(found, "identity.no_face", weight="ship", framing=FULL_BODY).value == 0.0
    assert get(found, "identity.score", weight="1", framing=CLOSE_UP).value == pytest.approx(0.5, abs=1e-4)


def test_copies_closer_than_the_references_are_to_each_other_are_counted() -> None:
    found = measure(make_study(identity=lambda c: c.weight * (1.2 if c.environment == "beach" else 0.9)))
    assert get(found, "identity.above_ceiling").value == pytest.approx(
        0.1
    )  # beach at weight 1 only: 1.2, and 0.84 at 0.7


def test_more_identity_never_lowers_a_score() -> None:
    values = []
    for level in (0.2, 0.5, 0.8, 1.0):
        strength = dict.fromkeys(study_weights("any"), level)
        found = measure(make_study(identity=lambda c, strength=strength: c.weight * strength[c.weight]))
        values.append(get(found, "identity.score", weight="ship").value or 0)
    assert values == sorted(values)


def test_a_lost_render_is_counted_and_named() -> None:
    found = measure(make_study(missing=lambda c: c.weight == 1 and c.environment == "beach" and c.replicate == 0))
    one = get(found, "identity.score", weight="ship")
    assert one.n == 27
    assert one.value == pytest.approx(0.85, abs=1e-4)
    assert one.reason == "3 of 30 units are missing: not rendered, or not readable"
    assert get(found, "identity.score", weight="0.7").n == 30


@pytest.mark.parametrize("case", ["few references", "no weight 0", "no gap"])
def test_without_a_ruler_nothing_has_a_value_and_everything_a_reason(case: str) -> None:
    study = {
        "few references": lambda: make_study(refs=references(FRAMINGS)),
        "no weight 0": lambda: make_study(weights=(0.7, 1.0)),
        "no gap": lambda: make_study(identity=lambda _: 1.0),
    }[case]()
    found = [
        m for m in measure(study) if case != "no gap" or not m.name.endswith(("floor", "ceiling", ".gap", "no_face"))
    ]
    assert {m.value for m in found} == {None}
    assert all(m.reason and m.reason.startswith("cannot measure identity") for m in found)
    assert {(m.name, *m.where.items()) for m in found} <= {
        (m.name, *m.where.items()) for m in measure(make_study(weights=study_weights(case)))
    }


def study_weights(case: str) -> tuple[float, ...]:
    return (0.0, 0.7, 1.0) if case == "no weight 0" else (0.0, 0.4, 0.7, 1.0)


def test_one_environment_gives_values_without_intervals_across_environments() -> None:
    found = measure(make_study(environments=[("beach", False)]))
    one = get(found, "identity.score", weight="1")
    assert one.value == pytest.approx(1.0, abs=1e-4)
    assert one.interval is None
    assert one.reason == "no interval: too few environments to tell"
    assert get(found, "identity.score", weight="1", environment="beach").interval is not None
    assert get(found, "identity.environment_gap").reason == "no such cell was planned"


def test_an_unplanned_ship_weight_is_said() -> None:
    found = measure(make_study(ship_weights=(0.7, 0.8, 1.0)))
    assert get(found, "identity.score", weight="ship").reason == "ship weight 0.8 was not planned"
    assert get(found, "identity.score", weight="1").reason is None
