"""Which cells come next: everything first, then what is open, at the weights that decide."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lora_doctor.effects import weigh
from lora_doctor.matrix import plan_cells
from lora_doctor.policy import load_policy
from lora_doctor.rounds import (
    deciding_weights,
    first_round,
    is_decided,
    is_explained,
    may_explain,
    next_round,
    within_reach,
    worth_a_look,
)
from lora_doctor.rule_files import load_rules
from lora_doctor.types import Finding, Measurement, Verdict

PLAN = plan_cells(
    weights=(0.0, 0.4, 0.7, 1.0), environments=[("beach", False), ("city", True)], framings=("close-up", "full_body"),
    replicates=4, prompt_of=lambda e, f: f"{e}, {f}", negative_prompt="", seed=0,
)  # fmt: skip
POLICY = load_policy(Path(__file__).parents[1] / "rules", "standard")
RULES = load_rules(Path(__file__).parents[1] / "rules")


def finding(rule: str, state: str = "suspected", severity: str = "blocker") -> Finding:
    return Finding(
        rule=rule, state=state, severity=severity, symptom="", why="", strength=1.0, measurements=(), causes=()
    )


def verdict(outcome: str) -> Verdict:
    return Verdict(outcome=outcome, sentence="")


def test_the_first_round_holds_every_weight_and_all_rounds_together_the_plan() -> None:
    first = first_round(PLAN, 2)
    assert {cell.weight for cell in first} == {0.0, 0.4, 0.7, 1.0}
    later = [cell for r in (2, 3) for cell in next_round(PLAN, r, (), (0.4, 0.7, 1.0))]
    assert sorted(cell.key for cell in (*first, *later)) == sorted(cell.key for cell in PLAN)


def test_a_later_round_asks_only_what_is_open_beside_its_floor() -> None:
    cells = next_round(PLAN, 2, ["beach"], (0.7, 1.0))
    assert {(cell.environment, cell.replicate) for cell in cells} == {("beach", 2)}
    assert {cell.weight for cell in cells} == {0.0, 0.7, 1.0}


def test_pairs_stay_whole_over_weights() -> None:
    seeds = {cell.weight: {c.seed for c in next_round(PLAN, 3, (), (0.7,)) if c.weight == cell.weight} for cell in PLAN}
    assert seeds[0.0] == seeds[0.7]


def test_a_suspicion_about_a_weight_has_that_weight_rendered() -> None:
    assert deciding_weights((0.7, 1.0), [finding("low-weight-forgetting")], RULES) == (0.4, 0.7, 1.0)
    assert deciding_weights((0.7, 1.0), [finding("body-drift")], RULES) == (0.7, 1.0)


def test_only_suspicions_that_would_hold_a_release_are_worth_pictures() -> None:
    borne = replace(finding("e"), worst=POLICY.bears / 2)
    found = [finding("a"), finding("b", state="confirmed"), finding("c", severity="note"), finding("d"), borne]
    policy = replace(POLICY, rules={"d": "ignore"})
    assert [f.rule for f in worth_a_look(weigh(found, policy, today=None))] == ["a"]


def test_a_warning_that_is_suspected_may_explain_a_hold_and_one_that_is_confirmed_asks_for_no_picture() -> None:
    found = [finding("a"), finding("b", severity="warning"), finding("c", state="confirmed", severity="warning")]
    found += [finding("d", severity="note"), finding("e")]
    weighed = weigh(found, replace(POLICY, rules={"e": "ignore"}), today=None)
    assert [f.rule for f in may_explain(weighed)] == ["a", "b"]


def test_a_hold_is_explained_by_a_confirmed_blocker_and_by_no_warning() -> None:
    blocker, warning = (finding("a", "confirmed", severity) for severity in ("blocker", "warning"))
    assert is_explained(weigh([warning, blocker], POLICY, today=None))
    assert not is_explained(weigh([warning, finding("b")], POLICY, today=None))


def test_a_suspicion_is_within_reach_if_the_last_round_would_confirm_it_for_the_same_slice() -> None:
    smile, frown = (replace(finding("a"), about={"expression": name}) for name in ("smile", "frown"))
    foreseen = [replace(smile, state="confirmed"), frown, finding("b", state="confirmed")]
    assert within_reach([smile, frown, finding("c")], foreseen) == (smile,)
    assert within_reach([smile], ()) == ()


def test_a_suspicion_or_an_open_verdict_asks_for_more() -> None:
    gap = Measurement(name="identity.gap", value=0.5)
    assert is_decided(verdict("SHIP"), (), gap)
    assert not is_decided(verdict("SHIP"), (finding("a"),), gap)
    assert not is_decided(verdict("INCONCLUSIVE"), (), gap)


def test_no_picture_more_is_made_for_what_cannot_be_measured() -> None:
    gap = Measurement(name="identity.gap", value=None, reason="no face in the dataset")
    assert is_decided(verdict("INCONCLUSIVE"), (), gap)
    assert not is_decided(verdict("INCONCLUSIVE"), (), replace(gap, value=0.5))
