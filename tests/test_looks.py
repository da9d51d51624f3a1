"""The bound of repeated looks: the published one, and the error that it promises."""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest

from lora_doctor.exact_shares import EACH_LOOK, exact
from lora_doctor.looks import (
    EARLY,
    FAINT,
    FIRMEST,
    LUCK,
    ONE_END,
    Look,
    early,
    foreseen,
    next_bound,
    partial_conjunction_alpha,
    planned_bound,
    tail_of_end,
)
from lora_doctor.types import Measurement


def crossing(bounds: dict[int, float], seed: int = 5) -> float:
    """How often a standard score that means nothing is above its bound at any look; other draws than the code's."""
    steps = np.random.default_rng(seed).standard_normal((100_000, max(bounds)))
    scores = steps.cumsum(1) / np.sqrt(np.arange(1, max(bounds) + 1))
    above = [scores[:, rounds - 1] > bound for rounds, bound in bounds.items()]
    return float(np.any(above, axis=0).mean())


def test_one_look_needs_the_normal_quantile() -> None:
    assert next_bound(0.05, (), [8]) == pytest.approx(NormalDist().inv_cdf(0.95), abs=0.01)


@pytest.mark.parametrize(("looks", "alpha", "bound"), [(5, 0.025, 2.413), (5, 0.05, 2.122), (2, 0.025, 2.178)])
def test_equally_spaced_looks_have_pococks_published_bound(looks: int, alpha: float, bound: float) -> None:
    assert next_bound(alpha, (), range(1, looks + 1)) == pytest.approx(bound, abs=0.015)


def test_seven_looks_of_eight_rounds_have_the_bound_of_the_design() -> None:
    assert next_bound(0.025, (), range(2, 9)) == pytest.approx(2.44, abs=0.02)


def test_the_looks_that_are_left_keep_the_bound_while_nothing_changes() -> None:
    bound = next_bound(0.05, (), range(2, 9))
    taken = [Look(rounds, bound) for rounds in (2, 3, 4)]
    assert next_bound(0.05, taken, range(5, 9)) == pytest.approx(bound, abs=0.01)


def test_looks_added_later_are_paid_for_by_all_looks_together() -> None:
    bound = next_bound(0.04, (), [2, 3, 4])
    more = next_bound(0.05, [Look(r, bound) for r in (2, 3, 4)], [6, 8])
    assert more > bound
    assert crossing({2: bound, 3: bound, 4: bound, 6: more, 8: more}) == pytest.approx(0.05, abs=0.004)


@pytest.mark.parametrize("alpha", [0.05, 0.025, 0.05 / 3])
def test_a_plan_leaves_enough_for_a_run_that_goes_on(alpha: float) -> None:
    """Four rounds more make claims easier than before, another four hardly so; all looks together err as promised."""
    first = planned_bound(alpha, (), range(2, 9))
    taken = [Look(rounds, first) for rounds in range(2, 9)]
    second = planned_bound(alpha, taken, range(9, 13))
    taken += [Look(rounds, second) for rounds in range(9, 13)]
    third = planned_bound(alpha, taken, range(13, 17))
    taken += [Look(rounds, third) for rounds in range(13, 17)]
    assert next_bound(alpha, (), range(2, 9)) < first < second < third < FIRMEST
    assert second / (12 / 8) ** 0.5 < 0.85 * first and third / (16 / 12) ** 0.5 < 1.02 * second
    assert crossing({look.rounds: look.bound for look in taken}) < alpha + 0.002


def test_a_plan_of_one_look_saves_nothing() -> None:
    assert planned_bound(0.05, (), [8]) == next_bound(0.05, (), [8])


def test_once_the_error_is_spent_no_later_look_can_claim_anything() -> None:
    assert next_bound(0.05, [Look(8, 1.2)], [12]) == FIRMEST
    assert next_bound(0.05, (), []) == FIRMEST


def test_three_of_four_claims_take_half_the_error_each() -> None:
    assert partial_conjunction_alpha(0.05, of=4, wanted=3) == 0.025
    assert partial_conjunction_alpha(0.05, of=4, wanted=4) == 0.05
    assert partial_conjunction_alpha(0.05, of=2, wanted=3) == 0.05


def test_a_partial_conjunction_errs_as_promised_where_one_claim_too_few_is_true() -> None:
    """Two of four certainly hold, the others sit on the limit: "three hold" is said wrongly 5 % of the time at most."""
    alpha, rng = partial_conjunction_alpha(0.05, of=4, wanted=3), np.random.default_rng(3)
    p_values = rng.random((200_000, 2))
    assert float((p_values < alpha).any(axis=1).mean()) <= 0.05


def test_a_finding_at_the_limit_is_confirmed_as_rarely_as_at_one_look() -> None:
    """Looks after rounds 2 to 8: early ones at 3 standard errors, the last at the end of a 90 % interval."""
    rng = np.random.default_rng(3)
    scores = rng.standard_normal((200_000, 8)).cumsum(axis=1) / np.sqrt(np.arange(1, 9))
    confirmed = (scores[:, 1:7].max(axis=1) > EARLY) | (scores[:, 7] > ONE_END)
    assert 0.05 <= confirmed.mean() < 0.054
    assert (scores[:, 1:].max(axis=1) > ONE_END).mean() > 0.12  # what it is without


def test_an_early_look_stretches_each_end_and_invents_none() -> None:
    measured = Measurement(name="a", value=0.3, unit="share", interval=(0.2, 0.5))
    assert early(measured).interval == pytest.approx((0.3 - 0.1 * EARLY / ONE_END, 0.3 + 0.2 * EARLY / ONE_END))
    vague = Measurement(name="a", value=0.3, unit="share")
    assert early(vague) == vague


def test_what_is_foreseen_is_the_interval_that_so_many_pictures_would_have() -> None:
    so_far = Measurement(name="x", value=0.3, interval=(0.1, 0.7))
    assert foreseen(so_far, 2, 8).interval == pytest.approx((0.2, 0.5))
    assert foreseen(so_far, 8, 8) == so_far
    deviation = np.random.default_rng(3).standard_normal((20_000, 8)).cumsum(1) / np.arange(1, 9)
    assert deviation[:, 7].std() / deviation[:, 1].std() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(("luck", "share"), [(LUCK, 0.159), (FAINT, 0.100)])
@pytest.mark.parametrize("rounds", [2, 4, 6])
def test_with_luck_a_limit_is_foreseen_to_be_passed_where_so_many_runs_do(
    rounds: int, luck: float, share: float
) -> None:
    """Estimates whose foreseen end just meets the limit: of runs that go on from there, so many end beyond it."""
    whole = 8
    so_far = Measurement(name="x", value=0.0, interval=(-ONE_END / rounds**0.5, ONE_END / rounds**0.5))
    limit = foreseen(so_far, rounds, whole, luck).interval[0]
    rng = np.random.default_rng(5)
    truth = rng.standard_normal(200_000) / rounds**0.5  # what the rounds so far leave possible
    to_come = truth + rng.standard_normal(200_000) / (whole - rounds) ** 0.5
    ends = to_come * (whole - rounds) / whole - ONE_END / whole**0.5
    if limit < 0:  # else even a narrow miss is hoped for
        assert (ends > limit).mean() == pytest.approx(share, abs=0.005)
    else:
        assert (ends > limit).mean() > 0.65 * share


def test_luck_takes_no_end_beyond_the_estimate_and_adds_nothing_at_the_last_round() -> None:
    so_far = Measurement(name="x", value=0.3, interval=(0.1, 0.7))
    assert foreseen(so_far, 1, 8, LUCK).interval == (0.3, 0.3)
    assert foreseen(so_far, 8, 8, LUCK) == so_far


@pytest.mark.parametrize("value", [0.3, None])
def test_nothing_is_foreseen_where_there_is_no_interval(value: float | None) -> None:
    bare = Measurement(name="x", value=value, reason=None if value else "no face")
    assert foreseen(bare, 2, 8) == bare


def test_a_share_near_nothing_may_move_by_its_longer_side() -> None:
    """A fifth, told as 0.1 to 0.5: a move by the longer side brings the lower end to the estimate."""
    share = Measurement(name="body.deficit", value=0.2, interval=(0.1, 0.5))
    assert foreseen(share, 4, 8, FAINT).interval == pytest.approx(
        (0.2, 0.2 + 0.3 * (0.5**0.5 - FAINT / ONE_END * 0.5**0.5))
    )


def crossing_a_limit(truth: float, ends: list[int], tails: list[float]) -> list[float]:
    """How often a share of five pictures a round, right at its limit, was claimed below it by each end: exactly."""
    chances, n, passed, found = {0: 1.0}, 0, 0.0, []
    for rounds in range(1, ends[-1] + 1):
        after: dict[int, float] = {}
        for seen, chance in chances.items():
            for more in range(6):
                own = math.comb(5, more) * truth**more * (1 - truth) ** (5 - more)
                after[seen + more] = after.get(seen + more, 0.0) + chance * own
        chances, n = after, n + 5
        tail = tails[sum(rounds > end for end in ends)]
        if rounds > 1:
            below = [k for k in chances if k / n < truth and exact(k, n, tail)[1] <= truth]
            passed += sum(chances.pop(k) for k in below)
        if rounds in ends:
            found.append(passed)
    return found


def test_what_is_counted_and_gone_on_with_is_claimed_wrongly_hardly_more_often() -> None:
    """Rendering that ended open after 8 rounds and is gone on with to 16, 24 and 40."""
    ends = [8, 16, 24, 40]
    firmer = crossing_a_limit(0.15, ends, [tail_of_end(before) for before in range(4)])
    alike = crossing_a_limit(0.15, ends, [EACH_LOOK] * 4)
    assert firmer == pytest.approx([0.051, 0.057, 0.059, 0.060], abs=1e-3)
    assert alike == pytest.approx([0.051, 0.097, 0.122, 0.152], abs=1e-3)


def test_the_first_end_of_what_is_counted_has_the_tail_of_its_interval() -> None:
    assert tail_of_end(0) == pytest.approx(EACH_LOOK)
    assert tail_of_end(0) > tail_of_end(1) > tail_of_end(2) > tail_of_end(3) == tail_of_end(9)


def test_what_is_counted_is_foreseen_as_a_count_and_not_by_the_root() -> None:
    """Four rounds of five pictures without a loss; eight rounds of them would claim fewer than 7.5 %, the root 10 %."""
    ends, twice = exact(0, 20, EACH_LOOK), exact(0, 40, EACH_LOOK)
    faces = Measurement(name="identity.no_face", value=0.0, interval=ends)
    assert foreseen(faces, 4, 8).interval == pytest.approx(twice)
    assert foreseen(replace(faces, name="x.y"), 4, 8).interval == pytest.approx((0.0, ends[1] / 2**0.5))
    some = Measurement(name="framing.loss", value=0.1, interval=exact(2, 20, EACH_LOOK))
    assert foreseen(some, 4, 8).interval == pytest.approx(exact(4, 40, EACH_LOOK))


def test_a_difference_that_no_count_can_give_is_foreseen_by_the_root() -> None:
    gained = Measurement(name="framing.loss", value=-0.1, interval=(-0.3, 0.1))
    assert foreseen(gained, 2, 8).interval == pytest.approx((-0.2, 0.0))


@pytest.mark.parametrize("side", [1, -1])
def test_an_estimate_is_moved_with_its_interval_as_far_as_so_many_are(side: int) -> None:
    """As many pictures again, of a truth that only the first tell of: one run in ten moves farther to that side."""
    rng, trials = np.random.default_rng(4), 20_000
    so_far = Measurement(name="x.y", value=0.5, interval=(0.5 - ONE_END * 0.1, 0.5 + ONE_END * 0.1), one_worse=0.3)
    moved = foreseen(so_far, 4, 8, FAINT, side=side)
    assert moved.value is not None and moved.interval is not None and moved.one_worse is not None
    truth = rng.normal(0.5, 0.1, trials)
    ends = (0.5 + rng.normal(truth, 0.1)) / 2
    beyond = ends > moved.value if side > 0 else ends < moved.value
    half = ONE_END * 0.1 * 0.5**0.5
    assert beyond.mean() == pytest.approx(0.1, abs=0.01)
    assert moved.interval == pytest.approx((moved.value - half, moved.value + half))
    assert moved.one_worse == pytest.approx(moved.value - 0.2 * 0.5**0.5)


def test_an_interval_of_more_standard_errors_has_less_luck_in_it() -> None:
    place = Measurement(name="identity.score", value=0.7, interval=(0.6, 0.8))
    kept = 0.5**0.5 - FAINT / 2.7 * 0.5**0.5
    assert foreseen(place, 4, 8, FAINT, 2.7).interval == pytest.approx((0.7 - 0.1 * kept, 0.7 + 0.1 * kept))


def test_an_end_with_one_picture_worse_is_foreseen_as_the_other_ends_are() -> None:
    so_far = Measurement(name="x", value=0.7, interval=(0.6, 0.8), one_worse=0.5)
    assert foreseen(so_far, 2, 8).one_worse == pytest.approx(0.6)
    assert foreseen(so_far, 8, 8, LUCK).one_worse == pytest.approx(0.5)
