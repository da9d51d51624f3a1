"""Identity is measured as planted: by weight, framing and environment, and never without a ruler."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from lora_doctor.image_states import UNREADABLE
from lora_doctor.metrics.identity import measure
from lora_doctor.types import CLOSE_UP, FRAMINGS, FULL_BODY, UPPER_BODY, Cell, Measurement, Study
from tests.metrics.make_study import get, make_study, references


def test_the_score_is_zero_at_weight_zero_one_at_the_ceiling_and_linear_between() -> None:
    found = measure(make_study())
    for weight in ("0", "0.4", "0.7", "1"):
        assert get(found, "identity.score", weight=weight).value == pytest.approx(float(weight), abs=1e-4)
    assert get(found, "identity.score", weight="ship").value == pytest.approx(0.85, abs=1e-4)


EXACT = {"identity.floor_slope", "identity.outlier_references", "identity.ceiling_spread", "identity.of_pictures"}
"""Without an interval, or, where the base model always scores 0, without a value."""


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
    assert all(m.value is not None and m.interval is not None for m in found if m.name not in EXACT)


def test_intervals_come_from_environments_and_from_the_ruler() -> None:
    """Of a score of 0.7, seven tenths of the ceiling's error and three of the floor's, each framing's by itself."""
    spread = {"library": 0.9, "forest": 0.8, "beach": 0.7, "city": 0.6, "snow": 0.5}
    found = measure(make_study(identity=lambda c: spread[c.environment] if c.weight else 0.0))
    one, gap = get(found, "identity.score", weight="1"), get(found, "identity.gap").value
    half = 2.131847 * 0.158114 / 5**0.5

    def error(mark: str) -> float:
        known = [get(found, f"identity.{mark}", framing=framing) for framing in FRAMINGS]
        return math.hypot(*(m.interval[1] - m.value for m in known if m.interval and m.value is not None)) / 3

    above, below = error("ceiling"), error("floor")
    assert gap and below > 0
    low = 0.7 - math.hypot(half, 0.7 * above / gap, 0.3 * below / gap)
    assert one.value == pytest.approx(0.7, abs=1e-4)
    assert one.interval is not None and one.interval[0] == pytest.approx(low, abs=1e-4)
    assert one.n == 30
    base = get(found, "identity.score", weight="0")
    assert base.interval is not None and base.value == pytest.approx(0.0, abs=1e-4)


def test_a_face_that_turns_generic_on_close_ups_is_a_framing_gap() -> None:
    found = measure(make_study(identity=lambda c: 0.0 if c.framing == CLOSE_UP else 0.8 * (c.weight > 0)))
    gap = get(found, "identity.framing_gap", framing=CLOSE_UP)
    assert gap.value == pytest.approx(0.8, abs=0.05)
    assert gap.interval and gap.interval[0] > 0.4
    others = [get(found, "identity.framing_gap", framing=framing).value for framing in (UPPER_BODY, FULL_BODY)]
    assert others == pytest.approx([-0.4, -0.4], abs=0.05)


def test_small_faces_do_not_hide_what_is_lost_at_close_up() -> None:
    held = {CLOSE_UP: 0.2, UPPER_BODY: 0.6, FULL_BODY: 0.1}
    found = measure(make_study(identity=lambda c: held[c.framing] * (c.weight > 0)))
    assert get(found, "identity.closeup_gap").value == pytest.approx(0.4, abs=0.03)
    assert get(found, "identity.framing_gap", framing=CLOSE_UP).value == pytest.approx(0.15, abs=0.03)


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


def scaled(level: float) -> Callable[[Cell], float]:
    return lambda cell: cell.weight * level


def test_more_identity_never_lowers_a_score() -> None:
    values = []
    for level in (0.2, 0.5, 0.8, 1.0):
        found = measure(make_study(identity=scaled(level)))
        values.append(get(found, "identity.score", weight="ship").value or 0)
    assert values == sorted(values)


def test_a_lost_render_is_counted_and_named() -> None:
    found = measure(make_study(missing=lambda c: c.weight == 1 and c.environment == "beach" and c.replicate == 0))
    one = get(found, "identity.score", weight="ship")
    assert one.n == 27
    assert one.value == pytest.approx(0.85, abs=1e-4)
    assert one.reason == "3 of 30 units are missing: not rendered, or not readable"
    assert get(found, "identity.score", weight="0.7").n == 30


def lost(reason: str) -> Study:
    """A study whose beach renders at weight 1 are missing, for this reason."""
    study = make_study(missing=lambda c: c.weight == 1 and c.environment == "beach")
    return replace(study, missing=dict.fromkeys(study.missing, reason))


def test_a_picture_that_the_lora_made_empty_counts_like_one_without_a_face() -> None:
    found = measure(lost("the picture is flat: one colour everywhere"))
    one = get(found, "identity.score", weight="1", environment="beach")
    assert one.value == 0.0 and one.n == 6 and one.reach is None
    share = get(found, "identity.no_face", weight="ship", framing="full_body")
    assert share.value == pytest.approx(0.1) and share.n == 10


def test_a_picture_that_was_lost_counts_for_nothing_and_its_reach_is_told() -> None:
    found = measure(lost(UNREADABLE))
    one = get(found, "identity.score", weight="1")
    assert one.n == 24 and one.value == pytest.approx(1.0, abs=1e-4)
    assert one.reach == (pytest.approx(0.8, abs=1e-4), pytest.approx(1.0, abs=1e-4))
    assert get(found, "identity.score", weight="0.7").reach is None
    assert get(found, "identity.no_face", weight="ship", framing="full_body").reach == (0.0, pytest.approx(0.2))


UNMEASURABLE = {
    "few references": make_study(refs=references(FRAMINGS)),
    "no weight 0": make_study(weights=(0.7, 1.0)),
    "no gap": make_study(identity=lambda _: 1.0),
}


@pytest.mark.parametrize("case", UNMEASURABLE)
def test_without_a_ruler_nothing_has_a_value_and_everything_a_reason(case: str) -> None:
    """Where floor and ceiling are known but not apart, these are still told, and so are renders without a face."""
    still = (
        ("floor", "ceiling", ".gap", "no_face", "ceiling_spread", "outlier_references", "of_pictures")
        if case == "no gap"
        else ()
    )
    found = measure(UNMEASURABLE[case])
    silent = [m for m in found if not m.name.endswith(still)] if still else found
    assert {m.value for m in silent} == {None}
    assert all((m.reason or "").startswith("cannot measure identity") for m in silent)


def test_the_same_slices_are_told_whether_or_not_they_can_be_measured() -> None:
    slices = [
        {(m.name, *m.where.items()) for m in measure(study)} for study in (make_study(), UNMEASURABLE["few references"])
    ]
    assert slices[0] == slices[1]


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


def test_an_environment_must_hold_with_one_more_unit_as_bad_as_the_worst_anywhere() -> None:
    def of(bad: bool) -> Callable[[Cell], float]:
        def score(cell: Cell) -> float:
            stranger = bad and cell.environment == "snow" and (cell.framing, cell.replicate) == ("close-up", 0)
            return 0.0 if cell.weight == 0 or stranger else 0.8 + 0.02 * (cell.replicate % 3)

        return score

    def read(bad: bool) -> Measurement:
        study = make_study(weights=(0.0, 0.7, 1.0), replicates=4, identity=of(bad))
        return get(measure(study), "identity.score", weight="ship", environment="library")

    calm, warned = read(bad=False), read(bad=True)
    assert calm.value == pytest.approx(warned.value, abs=0.02)
    assert calm.one_worse is not None and calm.one_worse > 0.75
    assert warned.one_worse is not None and warned.one_worse < 0.75 and warned.one_worse < calm.one_worse


def test_faces_that_the_base_model_no_longer_shows_make_no_score_firmer() -> None:
    """The most alike ones are gone: the floor falls, and what is proven does not rise with it."""

    def alike(cell: Cell) -> float | None:
        if cell.weight == 0:
            return 0.3 if cell.replicate == 1 and cell.environment == "beach" else 0.1 * (cell.replicate % 2)
        return 0.62

    whole = make_study(weights=(0.0, 0.7, 1.0), replicates=4, identity=alike)
    hidden = make_study(weights=(0.0, 0.7, 1.0), replicates=4, identity=lambda c: None if alike(c) == 0.3 else alike(c))
    before, after = (get(measure(study), "identity.score", weight="ship") for study in (whole, hidden))
    assert after.value is not None and before.value is not None and after.value > before.value
    assert after.interval is not None and before.interval is not None and after.interval[0] <= before.interval[0]
    assert "show no face" in (after.reason or "")


def test_a_gap_reaches_down_to_where_unread_pictures_of_the_dataset_would_take_it() -> None:
    whole = make_study()
    unread = replace(whole, references=(*(None,) * 3, *whole.references[3:]))
    assert get(measure(whole), "identity.gap").reach is None
    gap, floor, ceiling = (get(measure(unread), f"identity.{name}") for name in ("gap", "floor", "ceiling"))
    assert gap.reach is not None and gap.value is not None and ceiling.value is not None and floor.value is not None
    share = 3 / len(whole.references)
    assert gap.reach[0] == pytest.approx(gap.value - share * (ceiling.value - floor.value), abs=1e-6)


def test_lost_renders_of_the_base_model_make_no_score_firmer() -> None:
    def alike(cell: Cell) -> float:
        if cell.weight == 0:
            return 0.4 if cell.replicate == 1 else 0.0  # the base model draws a look-alike at every other seed
        return 0.62

    whole = make_study(weights=(0.0, 0.7, 1.0), replicates=4, identity=alike)
    gone = {c.key for c in whole.cells if c.weight == 0 and c.replicate == 1}
    lossy = replace(whole, renders={key: one for key, one in whole.renders.items() if key not in gone})
    for where in ({"weight": "ship"}, {"weight": "1"}, {"weight": "ship", "environment": "beach"}):
        before, after = (get(measure(study), "identity.score", **where) for study in (whole, lossy))
        assert after.value is not None and before.value is not None and after.value > before.value + 0.04
        assert after.interval is not None and before.interval is not None and after.interval[0] < before.interval[0]
        assert after.reach is not None and after.reach[0] < before.value
        assert "pictures of the base model or the dataset are missing or show no face" in (after.reason or "")
