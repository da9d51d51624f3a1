"""Rounds end when the verdict is clear; a run that was stopped ends as one that never was; looks are paid for."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from lora_doctor.arm_plan import ArmPlan
from lora_doctor.errors import UsageError
from lora_doctor.judgement import Judges
from lora_doctor.looks import AGAIN, EARLY, FIRMEST, SAVED, Look, bound_of_end, planned_bound
from lora_doctor.metrics import identity
from lora_doctor.policy import load_policy
from lora_doctor.run_folder import RunFolder
from lora_doctor.sequence import LOOKS, Sequenced, never_judged, require_budget, until_decided
from lora_doctor.settings import MatrixSettings
from lora_doctor.types import FRAMINGS, Cell, Condition, Measurement, Rule, Study
from lora_doctor.verdict import decide
from tests.metrics.make_study import make_study

RULES = Path(__file__).parents[1] / "rules"
ENVIRONMENTS = (("library", True), ("beach", False), ("snow", False), ("desert", False))
FULL = make_study(environments=ENVIRONMENTS, weights=(0.0, 0.4, 0.7, 1.0), replicates=8)
STANDARD = load_policy(RULES, "standard")
# Faces, which take twenty pictures of a framing to be sure of, have tests of their own at the end.
BY_INTERVAL = replace(STANDARD, environment_claim="interval", no_face_claim="point")
JUDGES = Judges(policy=BY_INTERVAL, rules=(), dataset_rules=(), file_rules=())
MATRIX = MatrixSettings(weights=(0.0, 0.4, 0.7, 1.0))


def drawn(mean: float, spread: float = 0.18, seed: int = 0) -> Callable[[Cell], float]:
    """Scores of renders: weight 0 around 0, all others around `mean`; the same for a cell whenever it is asked."""

    def of(cell: Cell) -> float:
        noise = random.Random(f"{seed}/{cell.key}").gauss(0, spread)
        return (0.0 if cell.weight == 0 else mean) + noise

    return of


class Eyes:
    """Stands in for the renderer and the instruments: reads scores off a table, and counts what it was asked for."""

    def __init__(
        self, score: Callable[[Cell], float | None], stop_after: int | None = None, replicates: int = 8
    ) -> None:
        self.score, self.stop_after, self.rendered, self.bounds = score, stop_after, [], []
        self.replicates = replicates

    def __call__(
        self, cells: Sequence[Cell], new: Sequence[Cell], bound: float
    ) -> tuple[Study, tuple[Measurement, ...]]:
        if self.stop_after is not None and len(self.bounds) == self.stop_after:
            raise KeyboardInterrupt
        self.rendered += new
        self.bounds.append(bound)
        weights, many = (0.0, 0.4, 0.7, 1.0), self.replicates
        whole = make_study(environments=ENVIRONMENTS, weights=weights, replicates=many, identity=self.score)
        known = {cell.key for cell in cells}
        kept = {key: reading for key, reading in whole.renders.items() if key in known}
        study = replace(whole, cells=tuple(cells), renders=kept, bound=bound)
        obeys = Measurement(name="overbake.adherence_loss", value=0.0, interval=(-0.02, 0.02), where={"weight": "ship"})
        drawn = Measurement(name="environment.match", value=0.95, interval=(0.9, 0.98), where={"weight": "0"})
        framed = (
            Measurement(name="framing.loss", value=0.0, interval=(-0.02, 0.02), where={"framing": framing})
            for framing in FRAMINGS
        )
        return study, (*identity.measure(study), obeys, drawn, *framed)


def went(eyes: Eyes, folder: Path, matrix: MatrixSettings = MATRIX, plan: Sequence[Cell] = FULL.cells) -> Sequenced:
    with RunFolder(folder) as run:
        return until_decided(plan, matrix, JUDGES, eyes, run)


def test_a_hopeless_lora_is_held_at_the_first_look(tmp_path: Path) -> None:
    eyes = Eyes(drawn(0.1))
    found = went(eyes, tmp_path / "run")
    assert (found.stopped, [look.rounds for look in found.looks]) == ("decided", [2])
    assert len(eyes.rendered) == len(FULL.cells) // 4


def test_what_the_last_round_may_decide_is_rendered_to_it(tmp_path: Path) -> None:
    eyes = Eyes(drawn(0.68, seed=2))
    found = went(eyes, tmp_path / "run")
    assert found.stopped == "all rounds"
    assert [look.rounds for look in found.looks] == list(range(2, 9))


def test_what_no_luck_would_decide_is_not_rendered_to_the_last_round(tmp_path: Path) -> None:
    """Three looks at least: what is missing at the first may come."""
    found = went(Eyes(drawn(0.62, spread=0.25)), tmp_path / "run")
    assert (found.stopped, found.looks[-1].rounds) == ("out of reach", 5)
    assert found.reach is not None and found.reach > 8


def test_what_is_out_of_reach_goes_on_with_as_many_rounds_as_are_named(tmp_path: Path) -> None:
    first = went(Eyes(drawn(0.64)), tmp_path / "run")
    assert first.stopped == "out of reach" and first.reach is not None
    plan = make_study(environments=ENVIRONMENTS, weights=(0.0, 0.4, 0.7, 1.0), replicates=first.reach).cells
    then = went(Eyes(drawn(0.64), replicates=first.reach), tmp_path / "run", plan=plan)
    assert then.looks[: len(first.looks)] == first.looks and len(then.looks) > len(first.looks)


def test_what_is_gone_on_with_again_and_again_needs_more_each_time(tmp_path: Path) -> None:
    """Places by the bound that is left, all together by a firmer interval; the same command again changes nothing."""

    def at_limit(cell: Cell) -> float:
        return max(-0.5, min(1.2, drawn(0.61, spread=0.25)(cell)))

    most, seen = 8, []
    for _ in range(4):
        plan = make_study(environments=ENVIRONMENTS, weights=(0.0, 0.4, 0.7, 1.0), replicates=most).cells
        found, again = (went(Eyes(at_limit, replicates=most), tmp_path / "run", plan=plan) for _ in range(2))
        assert (again.looks, again.ends, again.stopped) == (found.looks, found.ends, found.stopped)
        seen.append(found)
        most = found.reach or most + 4
    assert [one.ends for one in seen] == [0, 1, 2, 3]
    assert [one.looks[-1].bound for one in seen] == sorted(one.looks[-1].bound for one in seen)
    assert [bound_of_end(one.ends) for one in seen] == sorted({*AGAIN, EARLY})


def test_a_budget_that_is_raised_is_another_end_and_one_run_has_none_before(tmp_path: Path) -> None:
    ends = [went(Eyes(drawn(0.62, spread=0.25)), tmp_path / "run", replace(MATRIX, budget=budget)).ends
            for budget in (96, 132, 132, 168)]  # fmt: skip
    assert ends == [0, 1, 1, 2]


def test_the_number_of_rounds_that_is_named_reckons_with_the_looks_that_were_taken(tmp_path: Path) -> None:
    """They left hardly any error to claim anything by."""
    with RunFolder(tmp_path / "spent") as run:
        run.put_json(LOOKS, {"saved": SAVED, "claims": {"0.025000": {"looks": [[2, 0.5]], "ahead": []}}})
    spent, fresh = (went(Eyes(drawn(0.62, spread=0.25)), tmp_path / name) for name in ("spent", "fresh"))
    assert spent.looks[-1].bound == FIRMEST and fresh.looks[-1].bound < FIRMEST
    assert fresh.reach is not None and (spent.reach is None or spent.reach > fresh.reach)


def test_whole_matrix_is_rendered_where_it_is_asked_for(tmp_path: Path) -> None:
    found = went(Eyes(drawn(0.62, spread=0.25)), tmp_path / "run", replace(MATRIX, full=True))
    assert (found.stopped, found.looks[-1].rounds) == ("all rounds", 8)
    assert found.reach is not None and found.reach > 8


def test_dose_weights_are_rendered_in_the_first_round_only_and_no_cell_twice(tmp_path: Path) -> None:
    eyes = Eyes(drawn(0.62, spread=0.25))
    went(eyes, tmp_path / "run")
    keys = [cell.key for cell in eyes.rendered]
    assert len(keys) == len(set(keys))
    assert {cell.replicate for cell in eyes.rendered if cell.weight == 0.4} == {0, 1}


def test_an_environment_that_is_decided_is_rendered_no_more(tmp_path: Path) -> None:
    sure = drawn(0.95, spread=0.02)
    eyes = Eyes(lambda cell: sure(cell) if cell.environment in ("library", "beach") else drawn(0.67, 0.2)(cell))
    went(eyes, tmp_path / "run")
    late = {cell.environment for cell in eyes.rendered if cell.replicate > 3}
    assert late and late <= {"snow", "desert"}


def test_every_look_has_the_bound_of_all_that_were_planned(tmp_path: Path) -> None:
    eyes = Eyes(drawn(0.62, spread=0.25))
    went(eyes, tmp_path / "run")
    assert set(eyes.bounds) == {planned_bound(0.025, (), range(2, 9))}


def test_one_look_at_everything_is_cheaper_to_be_sure_of(tmp_path: Path) -> None:
    eyes = Eyes(drawn(0.62, spread=0.25))
    found = went(eyes, tmp_path / "run", replace(MATRIX, full=True))
    assert eyes.rendered == list(FULL.cells)
    assert found.looks == (Look(8, planned_bound(0.025, (), [8])),)
    assert eyes.bounds[0] < planned_bound(0.025, (), range(2, 9))


def test_a_budget_is_never_overdrawn(tmp_path: Path) -> None:
    eyes = Eyes(drawn(0.62, spread=0.25))
    found = went(eyes, tmp_path / "run", replace(MATRIX, budget=150))
    assert found.stopped == "budget"
    assert len(eyes.rendered) <= 150


def test_a_budget_below_the_first_round_is_refused_with_its_number(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="first round, which is 96"):
        went(Eyes(drawn(0.9)), tmp_path / "run", replace(MATRIX, budget=50))


@pytest.mark.parametrize(("budget", "full", "least"), [(96 + 11, False, (96 + 12, 96)), (400, True, (384 + 48, 384))])
def test_a_budget_that_the_arms_overdraw_names_what_the_matrix_alone_takes(
    budget: int, full: bool, least: tuple[int, int]
) -> None:
    arms = tuple(replace(cell, arm="outfits") for cell in FULL.cells if cell.weight == 1.0 and cell.replicate < 8)
    beside = ArmPlan(arms=arms[: len(arms) // 2] if full else tuple(c for c in arms if c.replicate < 2)[:12])
    matrix = replace(MATRIX, budget=budget, full=full)
    with pytest.raises(UsageError, match=f"Give it {least[0]} or more, or `--arms none` with {least[1]} or more"):
        require_budget(FULL.cells, matrix, beside)
    require_budget(FULL.cells, replace(matrix, budget=least[0]), beside)
    require_budget(FULL.cells, replace(matrix, budget=least[1]))


@pytest.mark.parametrize("stopped_at", [0, 1, 3])
def test_a_run_that_was_stopped_ends_as_one_that_never_was(tmp_path: Path, stopped_at: int) -> None:
    whole = went(Eyes(drawn(0.66, seed=3)), tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        went(Eyes(drawn(0.66, seed=3), stop_after=stopped_at), tmp_path / "run")
    again = went(Eyes(drawn(0.66, seed=3)), tmp_path / "run")
    assert (again.looks, again.stopped, again.study.cells) == (whole.looks, whole.stopped, whole.study.cells)
    assert again.measurements == whole.measurements


def test_rounds_added_to_a_finished_run_have_a_firmer_bound(tmp_path: Path) -> None:
    short = [cell for cell in FULL.cells if cell.replicate < 4]
    before = went(Eyes(drawn(0.62, spread=0.25)), tmp_path / "run", plan=short)
    after = went(Eyes(drawn(0.62, spread=0.25)), tmp_path / "run")
    assert after.looks[: len(before.looks)] == before.looks
    assert before.looks[-1].bound < after.looks[-1].bound < 1.2 * before.looks[-1].bound


def test_looks_of_a_plan_that_left_nothing_to_go_on_with_are_taken_again(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "run") as run:
        run.put_json(LOOKS, {"claims": {"0.025000": {"looks": [[2, 2.44]], "ahead": [[3, 2.44]]}}})
    eyes = Eyes(drawn(0.1))
    went(eyes, tmp_path / "run")
    assert eyes.bounds == [planned_bound(0.025, (), range(2, 9))]


def test_looks_at_another_claim_do_not_count(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "run") as run:
        run.put_json(LOOKS, {"saved": SAVED, "claims": {"0.500000": {"looks": [[2, 0.1]], "ahead": []}}})
    eyes = Eyes(drawn(0.1))
    went(eyes, tmp_path / "run")
    assert eyes.bounds == [planned_bound(0.025, (), range(2, 9))]


def test_looks_are_remembered_while_another_policy_has_its_own(tmp_path: Path) -> None:
    """A check by a policy that wants other places in between must not make the looks forgotten that were paid for."""
    short = [cell for cell in FULL.cells if cell.replicate < 4]
    before = went(Eyes(drawn(0.62, spread=0.25)), tmp_path / "run", plan=short)
    with RunFolder(tmp_path / "run") as run:
        judges = replace(JUDGES, policy=replace(STANDARD, environments=2))
        other = until_decided(short, MATRIX, judges, Eyes(drawn(0.62, spread=0.25)), run)
    assert other.looks[-1].bound != before.looks[-1].bound
    after = went(Eyes(drawn(0.62, spread=0.25)), tmp_path / "run")
    assert after.looks[: len(before.looks)] == before.looks


def test_fewer_rounds_asked_for_afterwards_are_another_end_too(tmp_path: Path) -> None:
    """Any other question is one more chance to be wrong, and the same one again none."""
    rounds = (8, 7, 8, 7, 6)
    plans = [[cell for cell in FULL.cells if cell.replicate < most] for most in rounds]
    ends = [went(Eyes(drawn(0.62, spread=0.25)), tmp_path / "run", plan=plan).ends for plan in plans]
    assert ends == [0, 1, 0, 1, 2]


def test_faces_that_are_open_by_the_firmer_claim_of_going_on_are_rendered_on(tmp_path: Path) -> None:
    """Twelve pictures of a framing prove nothing; gone on with, not twenty do but thirty (`looks.tail_of_end`)."""
    judges, ends = replace(JUDGES, policy=STANDARD), []
    for most in (3, 8):
        plan = [cell for cell in FULL.cells if cell.replicate < most]
        with RunFolder(tmp_path / "run") as run:
            found = until_decided(plan, MATRIX, judges, Eyes(drawn(0.9, spread=0.02)), run)
        ends.append((found.ends, found.stopped, found.looks[-1].rounds))
    assert ends == [(0, "all rounds", 3), (1, "decided", 8)]


def test_other_places_asked_for_afterwards_are_another_end_too(tmp_path: Path) -> None:
    moved = [replace(cell, seed=cell.seed + 1) for cell in FULL.cells]
    plans = FULL.cells, moved, FULL.cells
    ends = [went(Eyes(drawn(0.62, spread=0.25)), tmp_path / "run", plan=plan).ends for plan in plans]
    assert ends == [0, 1, 0]


def arm(name: str, weight: float = 1.0) -> tuple[Cell, ...]:
    return tuple(
        replace(c, arm=name, weight=weight) for c in FULL.cells if c.weight == 0 and c.replicate < 4 and not c.trained
    )


BESIDE = ArmPlan(arms=arm("no-trigger"), probes={"strong": arm("strong", 1.3)})
LEAK = Rule(
    id="leak", since="0", symptom="", why="", severity="blocker", causes=(), references=(), examples={},
    when=Condition(measurement="leak.score", above=0.2), shows={"arm": "no-trigger"}, probes=("strong",),
)  # fmt: skip


class ArmEyes(Eyes):
    """Eyes that see the character in an arm too, as surely as they are told."""

    def __init__(self, leak: tuple[float, float, float]) -> None:
        super().__init__(drawn(0.95, spread=0.02))
        self.leak = leak

    def __call__(
        self, cells: Sequence[Cell], new: Sequence[Cell], bound: float
    ) -> tuple[Study, tuple[Measurement, ...]]:
        study, found = super().__call__([cell for cell in cells if not cell.arm], new, bound)
        low, value, high = self.leak
        return study, (*found, Measurement(name="leak.score", value=value, interval=(low, high)))


def went_with_arms(eyes: Eyes, folder: Path, matrix: MatrixSettings = MATRIX) -> Sequenced:
    with RunFolder(folder) as run:
        return until_decided(FULL.cells, matrix, replace(JUDGES, rules=(LEAK,)), eyes, run, beside=BESIDE)


def test_arms_are_rendered_in_the_first_round_and_no_longer_when_nothing_is_suspected(tmp_path: Path) -> None:
    eyes = ArmEyes(leak=(0.0, 0.02, 0.05))
    went_with_arms(eyes, tmp_path / "run")
    arms = [cell for cell in eyes.rendered if cell.arm]
    assert {(cell.arm, cell.replicate) for cell in arms} == {("no-trigger", 0), ("no-trigger", 1)}


def test_a_suspicion_in_an_arm_buys_pictures_of_that_arm_alone(tmp_path: Path) -> None:
    eyes = ArmEyes(leak=(0.1, 0.4, 0.7))
    went_with_arms(eyes, tmp_path / "run")
    later = [cell for cell in eyes.rendered if cell.replicate >= 2 and cell.arm != "strong"]
    assert {(cell.arm, cell.replicate) for cell in later} == {("no-trigger", 2), ("no-trigger", 3)}


def test_a_suspicion_in_an_arm_does_not_keep_the_matrix_from_what_is_open_there(tmp_path: Path) -> None:
    level = {"library": 0.95, "beach": 0.94, "snow": 0.93, "desert": 0.35}
    sure = drawn(0.0, spread=0.02)
    eyes = ArmEyes(leak=(0.1, 0.4, 0.7))
    eyes.score = lambda cell: sure(cell) + (level[cell.environment] if cell.weight else 0.0)
    found = went_with_arms(eyes, tmp_path / "run")
    assert found.stopped == "all rounds"
    assert {cell.replicate for cell in eyes.rendered if not cell.arm} == set(range(8))


def test_an_arm_that_is_rendered_to_its_end_is_no_clear_verdict(tmp_path: Path) -> None:
    assert went_with_arms(ArmEyes(leak=(0.1, 0.4, 0.7)), tmp_path / "run").stopped == "nothing left"


def held_with_a_suspicion(
    leak: tuple[float, float, float], folder: Path, *rules: Rule, leaks: Rule = LEAK
) -> tuple[Sequenced, set[int]]:  # fmt: skip
    """A LoRA that is held for its identity, and how many rounds of the arm were rendered for what it may leak."""
    eyes = ArmEyes(leak=leak)
    eyes.score = drawn(0.1)
    with RunFolder(folder) as run:
        found = until_decided(FULL.cells, MATRIX, replace(JUDGES, rules=(leaks, *rules)), eyes, run, beside=BESIDE)
    return found, {cell.replicate for cell in eyes.rendered if cell.arm == "no-trigger"}


WEAK = replace(LEAK, id="weak", when=Condition(measurement="identity.score", where={"weight": "ship"}, below=0.6))
"""A rule that the LoRA below clearly breaks: its hold has a reason."""


def test_a_held_lora_is_rendered_on_for_a_suspicion_that_more_pictures_would_confirm(tmp_path: Path) -> None:
    _, rounds = held_with_a_suspicion((0.1, 0.5, 0.9), tmp_path / "run", replace(WEAK, shows={}))
    assert rounds == {0, 1, 2, 3}


def test_a_held_lora_is_not_rendered_on_for_a_suspicion_that_all_rounds_would_leave_one(tmp_path: Path) -> None:
    found, rounds = held_with_a_suspicion((0.0, 0.25, 0.5), tmp_path / "run", replace(WEAK, shows={}))
    assert (found.stopped, rounds) == ("decided", {0, 1})


@pytest.mark.parametrize("severity", ["blocker", "warning"])
def test_a_hold_that_nothing_explains_is_rendered_on_for_what_may_explain_it(tmp_path: Path, severity: str) -> None:
    """Whoever is held wants to know why: what all rounds may show with some luck is worth them."""
    _, rounds = held_with_a_suspicion((0.0, 0.25, 0.5), tmp_path / "run", leaks=replace(LEAK, severity=severity))
    assert rounds == {0, 1, 2, 3}


WARNS = replace(LEAK, severity="warning")


def warned(leak: tuple[float, float, float], folder: Path) -> tuple[Sequenced, list[Cell]]:
    """A LoRA that ships, but for a warning in an arm; what was rendered after the first round, probes left out."""
    eyes = ArmEyes(leak=leak)
    with RunFolder(folder) as run:
        found = until_decided(FULL.cells, MATRIX, replace(JUDGES, rules=(WARNS,)), eyes, run, beside=BESIDE)
    return found, [cell for cell in eyes.rendered if cell.replicate >= 2 and cell.arm != "strong"]


def test_a_suspected_warning_in_an_arm_buys_pictures_of_that_arm_alone_though_the_lora_ships(tmp_path: Path) -> None:
    found, later = warned((0.15, 0.4, 0.65), tmp_path / "run")
    assert {(cell.arm, cell.replicate) for cell in later} == {("no-trigger", 2), ("no-trigger", 3)}
    assert found.stopped == "decided"


@pytest.mark.parametrize("leak", [(0.0, 0.21, 0.5), (0.25, 0.4, 0.55)], ids=["out of reach", "confirmed already"])
def test_a_warning_that_pictures_would_not_change_buys_none(leak: tuple[float, float, float], tmp_path: Path) -> None:
    assert warned(leak, tmp_path / "run")[1] == []


def test_a_hold_that_nothing_explains_is_not_rendered_on_for_a_mere_note(tmp_path: Path) -> None:
    found, rounds = held_with_a_suspicion((0.0, 0.25, 0.5), tmp_path / "run", leaks=replace(LEAK, severity="note"))
    assert (found.stopped, rounds) == ("decided", {0, 1})


def test_a_lora_that_would_ship_is_rendered_on_for_any_suspicion(tmp_path: Path) -> None:
    eyes = ArmEyes(leak=(0.0, 0.22, 0.5))
    went_with_arms(eyes, tmp_path / "run")
    assert {cell.replicate for cell in eyes.rendered if cell.arm == "no-trigger"} == {0, 1, 2, 3}


class Overall(Eyes):
    """Eyes whose identity over the ship weights is what they are told; all else is measured."""

    def __init__(self, overall: Measurement, score: Callable[[Cell], float]) -> None:
        super().__init__(score)
        self.overall = overall

    def __call__(
        self, cells: Sequence[Cell], new: Sequence[Cell], bound: float
    ) -> tuple[Study, tuple[Measurement, ...]]:
        study, found = super().__call__(cells, new, bound)
        others = (m for m in found if (m.name, m.where) != (self.overall.name, self.overall.where))
        return study, (*others, self.overall)


@pytest.mark.parametrize("score", [drawn(0.62, spread=0.25), drawn(0.95, spread=0.02)], ids=["open", "all else holds"])
@pytest.mark.parametrize(("upper", "looks"), [(0.595, list(range(2, 9))), (0.56, [2])])
def test_identity_over_all_holds_a_release_early_only_where_it_is_three_standard_errors_below(
    tmp_path: Path, upper: float, looks: list[int], score: Callable[[Cell], float]
) -> None:
    """It is looked at seven times by the interval of one: right at the limit that would hold one LoRA in four."""
    overall = Measurement(name="identity.score", where={"weight": "ship"}, value=0.55, interval=(0.5, upper), n=60)
    found = went(Overall(overall, score), tmp_path / "run")
    assert [look.rounds for look in found.looks] == looks


@pytest.mark.parametrize(("lower", "looks"), [(0.605, list(range(2, 9))), (0.64, [2])])
def test_identity_at_a_weight_ships_early_only_where_it_is_three_standard_errors_above(
    tmp_path: Path, lower: float, looks: list[int]
) -> None:
    """All else is clear; right at the limit at 0.7, seven looks at one interval would ship one LoRA in seven."""
    at_a_weight = Measurement(name="identity.score", where={"weight": "0.7"}, value=0.67, interval=(lower, 0.7), n=60)
    found = went(Overall(at_a_weight, drawn(0.95, spread=0.02)), tmp_path / "run")
    assert [look.rounds for look in found.looks] == looks


def test_what_the_policy_demands_and_the_plan_has_not_is_said_before_anything_is_rendered() -> None:
    assert not list(never_judged(FULL.cells, BY_INTERVAL))
    few = [c for c in FULL.cells if c.weight != 0.7 and c.framing != "full_body" and c.environment in ("beach", "snow")]
    (said,) = never_judged(few, BY_INTERVAL)
    for lacking in ("weight 0.7", "framing full_body", "3 environments (it has 2)"):
        assert lacking in said
    assert "new to the dataset" not in said


@pytest.mark.parametrize("cut", [{"weights": (0.0, 0.4, 1.0)}, {"framings": ("close-up", "upper_body")}])
def test_what_was_not_planned_and_is_demanded_ends_the_rendering_after_two_more_rounds(
    tmp_path: Path, cut: dict[str, tuple[object, ...]]
) -> None:
    plan = [c for c in FULL.cells if all(getattr(c, name[:-1]) in values for name, values in cut.items())]
    found = went(Eyes(drawn(0.95, spread=0.02)), tmp_path / "run", plan=plan)
    assert (found.stopped, [look.rounds for look in found.looks]) == ("nothing left", [2, 3, 4])


def test_a_rule_without_its_measurement_ends_the_rendering_after_two_more_rounds(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "run") as run:
        eyes = Eyes(drawn(0.95, spread=0.02))
        found = until_decided(FULL.cells, MATRIX, replace(JUDGES, rules=(replace(LEAK, shows={}),)), eyes, run)
    assert (found.stopped, [look.rounds for look in found.looks]) == ("nothing left", [2, 3, 4])


def test_a_rule_without_its_measurement_is_no_matter_of_luck(tmp_path: Path) -> None:
    """No number of rounds brings it in reach: what is too close to call beside it is rendered on."""
    judges = replace(JUDGES, rules=(replace(LEAK, shows={}),))
    with RunFolder(tmp_path / "run") as run:
        found = until_decided(FULL.cells, MATRIX, judges, Eyes(drawn(0.68)), run)
    assert (found.stopped, found.reach) == ("all rounds", None)


def test_places_that_differ_for_good_end_the_rendering(tmp_path: Path) -> None:
    sure = drawn(0.0, spread=0.02)
    eyes = Eyes(lambda cell: sure(cell) + (0.0 if not cell.weight else 0.5 if cell.environment == "library" else 0.9))
    assert went(eyes, tmp_path / "run").stopped == "nothing left"


def test_without_a_ruler_rendering_ends_for_that_reason(tmp_path: Path) -> None:
    assert went(Eyes(lambda _: None), tmp_path / "run").stopped == "no ruler"


def test_a_weight_that_the_policy_demands_is_rendered_in_later_rounds(tmp_path: Path) -> None:
    policy = replace(BY_INTERVAL, weights=(0.4, 1.0), weight_claim="interval")
    eyes = Eyes(drawn(0.68, seed=2))
    with RunFolder(tmp_path / "run") as run:
        until_decided(FULL.cells, MATRIX, replace(JUDGES, policy=policy), eyes, run)
    assert {cell.replicate for cell in eyes.rendered if cell.weight == 0.4} == set(range(8))


def test_a_finding_that_is_just_confirmed_ends_nothing_before_the_last_round(tmp_path: Path) -> None:
    eyes = ArmEyes(leak=(0.21, 0.4, 0.59))
    went_with_arms(eyes, tmp_path / "run")
    assert {cell.replicate for cell in eyes.rendered if cell.arm == "no-trigger"} == {0, 1, 2, 3}


def test_a_probe_is_rendered_once_its_symptom_is_found(tmp_path: Path) -> None:
    eyes = ArmEyes(leak=(0.5, 0.6, 0.7))
    found = went_with_arms(eyes, tmp_path / "run")
    assert found.stopped == "decided"
    assert [cell for cell in eyes.rendered if cell.arm == "strong"] == list(BESIDE.probes["strong"])


def test_a_probe_does_not_overdraw_the_budget(tmp_path: Path) -> None:
    eyes = ArmEyes(leak=(0.5, 0.6, 0.7))
    first = sum(cell.replicate < 2 for cell in (*FULL.cells, *BESIDE.arms))
    went_with_arms(eyes, tmp_path / "run", replace(MATRIX, budget=first + 1))
    assert not [cell for cell in eyes.rendered if cell.arm == "strong"]


# ---------------------------------------------------------------- faces


def sure(cell: Cell) -> float:
    return drawn(0.95, spread=0.02)(cell)


def loses(share: float, seed: int = 0) -> Callable[[Cell], float | None]:
    """A sound LoRA that shows no face in such a share of the seeds of full bodies, at every weight."""

    def of(cell: Cell) -> float | None:
        luck = random.Random(f"{seed}/{cell.environment}/{cell.framing}/{cell.replicate}").random()
        return None if cell.weight and cell.framing == "full_body" and luck < share else sure(cell)

    return of


def faced(eyes: Eyes, folder: Path) -> tuple[str, list[int]]:
    """The verdict by the standard policy, and the looks that were taken."""
    judges = replace(JUDGES, policy=STANDARD)
    with RunFolder(folder) as run:
        done = until_decided(FULL.cells, MATRIX, judges, eyes, run)
    novel = tuple(name for name, trained in ENVIRONMENTS if not trained)
    outcome = decide((), (), done.measurements, STANDARD, novel=novel).outcome
    return outcome, [look.rounds for look in done.looks]


def test_a_lora_that_loses_no_face_ships_once_twenty_pictures_of_each_framing_show_one(tmp_path: Path) -> None:
    """Four environments: after four rounds there are sixteen."""
    assert faced(Eyes(sure), tmp_path / "run") == ("SHIP", [2, 3, 4, 5])


def test_where_faces_are_open_no_environment_is_left_out(tmp_path: Path) -> None:
    eyes = Eyes(sure)
    faced(eyes, tmp_path / "run")
    asked = {(cell.environment, cell.replicate) for cell in eyes.rendered if cell.weight == 1.0}
    assert asked == {(name, replicate) for name, _ in ENVIRONMENTS for replicate in range(5)}


@pytest.mark.parametrize("seed", range(6))
def test_a_lora_that_loses_one_face_in_four_does_not_ship_for_want_of_pictures(tmp_path: Path, seed: int) -> None:
    outcome, looks = faced(Eyes(loses(0.25, seed)), tmp_path / "run")
    assert outcome != "SHIP"
    assert len(looks) > 1


def test_where_a_demand_fails_no_picture_is_made_for_the_sake_of_faces(tmp_path: Path) -> None:
    assert faced(Eyes(drawn(0.1)), tmp_path / "run") == ("HOLD", [2])
