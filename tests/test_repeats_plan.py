"""The plan is the best there is, says what it comes to, and is never worse than what is there."""

from __future__ import annotations

import itertools
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_doctor.repeats_plan import (
    FARTHEST,
    MOST_REPEATS,
    NEAR,
    Group,
    pictures_to_add,
    pictures_to_drop,
    plan_repeats,
)
from lora_doctor.types import IDENTITY_EMPHASIS, IN_CONTEXT

TARGET, GOAL = 0.33, Fraction(33, 100)


def group(name: str, emphasis: int, context: int, repeats: float = 1) -> Group:
    return Group(name=name, emphasis=emphasis, context=context, repeats=repeats)


def ratio(groups: list[Group], repeats: dict[str, float]) -> float:
    shown = sum(g.pictures * repeats[g.name] for g in groups)
    return sum(g.emphasis * repeats[g.name] for g in groups) / shown


@st.composite
def some_groups(draw: st.DrawFn, most: int = 4) -> list[Group]:
    count = draw(st.integers(1, most))
    small = st.integers(0, 40)
    return [group(f"g{i}", draw(small), draw(small), draw(st.integers(1, 12))) for i in range(count)]


# ---------------------------------------------------------------- repeats


def test_two_folders_reach_a_third_by_whole_repeats() -> None:
    plan = plan_repeats([group("face", 8, 0), group("body", 0, 34)], TARGET)
    assert plan is not None
    assert plan.repeats == {"face": 2, "body": 1}
    assert plan.ratio == pytest.approx(16 / 50)
    assert (plan.exposures_before, plan.exposures) == (42, 50)
    assert plan.changed


def test_what_is_near_already_stays() -> None:
    plan = plan_repeats([group("face", 14, 0, 10), group("body", 0, 28, 10)], TARGET)
    assert plan is not None
    assert not plan.changed
    assert plan.repeats == {"face": 10, "body": 10}


def test_fractional_repeats_hit_the_target_and_keep_the_epoch() -> None:
    plan = plan_repeats([group("face", 4, 0), group("body", 0, 38)], TARGET, whole=False)
    assert plan is not None
    assert plan.ratio == pytest.approx(TARGET, abs=0.003)
    assert plan.exposures == pytest.approx(42, abs=0.5)


def test_one_mixed_folder_cannot_be_helped_by_repeats() -> None:
    for whole in (True, False):
        plan = plan_repeats([group("all", 4, 38, 3)], TARGET, whole=whole)
        assert plan is not None
        assert not plan.changed
        assert plan.repeats == {"all": 3}


def test_folders_of_one_kind_stay_alike() -> None:
    outfits = [group(f"outfit{i}", 0, 5 + i) for i in range(12)]
    plan = plan_repeats([group("face", 6, 0), *outfits], TARGET)
    assert plan is not None
    assert len({plan.repeats[each.name] for each in outfits}) == 1
    assert abs(plan.ratio - TARGET) < 0.03


def test_an_epoch_is_never_made_more_than_twice_as_long_or_short() -> None:
    plan = plan_repeats([group("face", 39, 0), group("body", 0, 2)], TARGET)
    assert plan is not None
    assert plan.exposures <= FARTHEST * plan.exposures_before
    assert plan.ratio < plan.ratio_before


def test_no_picture_with_a_role_gives_no_plan() -> None:
    assert plan_repeats([], TARGET) is None
    assert plan_repeats([group("empty", 0, 0)], TARGET) is None


def test_a_wanted_length_of_the_epoch_is_kept_where_it_can_be() -> None:
    plan = plan_repeats([group("face", 10, 0), group("body", 0, 20)], TARGET, keep_exposures=300)
    assert plan is not None
    assert plan.exposures == pytest.approx(300, rel=0.1)
    assert plan.ratio == pytest.approx(1 / 3)


@settings(max_examples=30)
@given(groups=some_groups(), whole=st.booleans(), target=st.sampled_from([0.25, 0.33, 0.4, 0.5]))
def test_a_plan_is_never_worse_and_tells_the_truth(groups: list[Group], whole: bool, target: float) -> None:
    plan = plan_repeats(groups, target, whole=whole)
    if plan is None:
        assert not any(each.pictures for each in groups)
        return
    filled = [each for each in groups if each.pictures]
    assert set(plan.repeats) == {each.name for each in filled}
    assert plan.ratio == pytest.approx(ratio(filled, dict(plan.repeats)))
    assert plan.exposures == pytest.approx(sum(each.pictures * plan.repeats[each.name] for each in filled))
    assert abs(plan.ratio - target) <= max(abs(plan.ratio_before - target), float(NEAR)) + 1e-12
    assert all(repeats > 0 for repeats in plan.repeats.values())
    if whole:
        assert all(repeats == int(repeats) for repeats in plan.repeats.values())
    assert plan.changed == any(plan.repeats[each.name] != each.repeats for each in filled)


@given(
    st.tuples(st.integers(0, 20), st.integers(0, 20), st.integers(1, 6)),
    st.tuples(st.integers(0, 20), st.integers(0, 20), st.integers(1, 6)),
)
def test_for_two_folders_no_other_whole_repeats_are_better(
    one: tuple[int, int, int], two: tuple[int, int, int]
) -> None:
    groups = [group("a", *one), group("b", *two)]
    same_kind = all(each.pictures for each in groups) and (
        one[0] * sum(two[:2]) == two[0] * sum(one[:2]) and one[2] == two[2]
    )
    plan = plan_repeats(groups, TARGET)
    if plan is None or same_kind or not all(each.pictures for each in groups):
        return
    keep = sum(each.pictures * each.repeats for each in groups)

    def cost(repeats: tuple[int, int]) -> tuple[Fraction, Fraction, Fraction]:
        shown = sum(each.pictures * r for each, r in zip(groups, repeats, strict=True))
        faces = sum(each.emphasis * r for each, r in zip(groups, repeats, strict=True))
        moved = sum(each.pictures * abs(r - int(each.repeats)) for each, r in zip(groups, repeats, strict=True))
        error = abs(Fraction(faces, shown) - GOAL)
        return max(Fraction(0), error - NEAR), Fraction(moved) + abs(Fraction(shown) - Fraction(keep)), error

    def allowed(repeats: tuple[int, int]) -> bool:
        shown = sum(each.pictures * r for each, r in zip(groups, repeats, strict=True))
        return keep / FARTHEST <= shown <= FARTHEST * keep

    every = filter(allowed, itertools.product(range(1, MOST_REPEATS + 1), repeat=2))
    best = min(map(cost, every))
    assert cost((int(plan.repeats["a"]), int(plan.repeats["b"]))) == best


# ---------------------------------------------------------------- pictures


def test_missing_close_ups_are_counted() -> None:
    more = pictures_to_add([1] * 4, [1] * 38, TARGET)
    assert more is not None
    assert (more.role, more.pictures) == (IDENTITY_EMPHASIS, 15)
    assert more.ratio == pytest.approx(19 / 57)


def test_new_pictures_are_shown_as_often_as_those_of_their_role() -> None:
    more = pictures_to_add([10] * 4, [1] * 160, TARGET)
    assert more is not None
    assert (more.role, more.pictures) == (IDENTITY_EMPHASIS, 4)
    assert more.ratio == pytest.approx(80 / 240)


def test_a_set_of_faces_alone_needs_twice_as_many_others() -> None:
    more = pictures_to_add([3] * 10, [], TARGET)
    assert more is not None
    assert (more.role, more.pictures) == (IN_CONTEXT, 20)


def test_dropping_takes_those_shown_most_often_and_leaves_one() -> None:
    fewer = pictures_to_drop([5, 1, 1], [1] * 4, TARGET)
    assert fewer is not None
    assert (fewer.role, fewer.pictures) == (IDENTITY_EMPHASIS, 1)
    assert fewer.ratio == pytest.approx(2 / 6)
    alone = pictures_to_drop([1] * 5, [], TARGET)
    assert alone is not None
    assert (alone.pictures, alone.ratio) == (0, 1.0)


def test_no_picture_with_a_role_gives_no_count() -> None:
    assert pictures_to_add([], [], TARGET) is None
    assert pictures_to_drop([], [], TARGET) is None


exposures = st.lists(st.integers(1, 9), max_size=25)


@given(exposures, exposures, st.sampled_from([0.25, 0.33, 0.4]))
def test_adding_is_the_best_number_and_never_worse(faces: list[int], rest: list[int], target: float) -> None:
    more = pictures_to_add(faces, rest, target)
    if more is None:
        assert not faces + rest
        return
    goal = Fraction(str(target))
    alike = (faces if more.role == IDENTITY_EMPHASIS else rest) or faces + rest
    each = Fraction(sum(alike), len(alike))

    def error(count: int) -> Fraction:
        own = each * count if more is not None and more.role == IDENTITY_EMPHASIS else 0
        return abs((sum(faces) + own) / (sum(faces) + sum(rest) + each * count) - goal)

    assert error(more.pictures) == min(error(count) for count in range(more.pictures + 30))
    assert abs(more.ratio - target) == pytest.approx(float(error(more.pictures)))


@given(exposures, exposures, st.sampled_from([0.25, 0.33, 0.4]))
def test_dropping_is_never_worse_and_leaves_both_roles(faces: list[int], rest: list[int], target: float) -> None:
    fewer = pictures_to_drop(faces, rest, target)
    if fewer is None:
        assert not faces + rest
        return
    before = sum(faces) / (sum(faces) + sum(rest))
    assert abs(fewer.ratio - target) <= abs(before - target) + 1e-12
    own = faces if fewer.role == IDENTITY_EMPHASIS else rest
    assert fewer.pictures < max(1, len(own))
