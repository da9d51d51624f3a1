"""The dose of a training: cuts in several of its settings multiply, so one is made and the others are told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_doctor.prescription import prescribe
from lora_doctor.rule_files import load_rules
from lora_doctor.rules import evaluate
from lora_doctor.training_dose import Asked, once, reaching, rescaled
from lora_doctor.types import Change, Finding, Fix, Measurement, RankedCause, TrainingSettings

RULES = {rule.id: rule for rule in load_rules(Path(__file__).parents[1] / "rules")}
PRESENT = {"steps": 1600, "epochs": 10.0, "learning_rate": 0.003, "alpha": 48.0, "rank": 96}


def finding(rule: str = "a-rule", strength: float = 1.0, causes: tuple[RankedCause, ...] = ()) -> Finding:
    return Finding(
        rule=rule, symptom="Wrong.", why="", state="confirmed", severity="blocker", strength=strength, measurements=(),
        causes=causes,
    )  # fmt: skip


def asked(name: str, times: float, *, odds: float = 1.0, rule: str = "a-rule", strength: float = 1.0) -> Asked:
    change = Change(field=name, before=PRESENT[name], after=PRESENT[name] * times, rule=rule, because="")
    return Asked(finding=finding(rule, strength), change=change, log_odds=odds)


@pytest.mark.parametrize("second", ["learning_rate", "alpha"])
@pytest.mark.parametrize("length", ["steps", "epochs"])
def test_of_two_cuts_the_one_for_the_likelier_cause_is_made(length: str, second: str) -> None:
    long, fast = asked(length, 0.5, odds=1.0, rule="one"), asked(second, 0.5, odds=2.0, rule="two")
    kept, (told,) = once([long, fast])
    assert kept == [fast]
    assert told.startswith(f"{length}: one asks for") and f"{second} is cut already (two" in told
    assert "2.0 against 1.0" in told
    assert once([asked(length, 0.5, odds=2.0), fast])[0][0].change.field == length


def test_of_cuts_for_equally_likely_causes_the_stronger_findings_is_made() -> None:
    weak, strong = asked("steps", 0.5, strength=0.3), asked("learning_rate", 0.5, strength=0.6)
    kept, (told,) = once([weak, strong])
    assert kept == [strong] and "one is cut at a time" in told


def test_of_three_cuts_one_is_made_and_two_are_told() -> None:
    kept, told = once([asked("steps", 0.5), asked("learning_rate", 0.5, odds=3.0), asked("alpha", 0.67)])
    assert [one.change.field for one in kept] == ["learning_rate"] and len(told) == 2


def test_steps_and_epochs_are_one_cut_not_two() -> None:
    both = [asked("steps", 0.5), asked("epochs", 0.5)]
    assert once(both) == (both, [])


@pytest.mark.parametrize(
    "others",
    [
        [asked("steps", 2.0)],  # longer, and slower: the two do not add up
        [asked("alpha", 1.5)],
        [asked("rank", 0.5)],  # how much it can hold, not how far it goes: alpha follows
        [],
    ],
)
def test_a_single_cut_stays_and_so_does_what_is_no_cut(others: list[Asked]) -> None:
    changes = [asked("learning_rate", 0.5), *others]
    assert once(changes) == (changes, [])


def test_a_setting_that_is_not_known_is_not_cut() -> None:
    unknown = Asked(
        finding=finding(), change=Change(field="alpha", before=None, after=8.0, rule="a-rule", because=""), log_odds=1.0
    )
    changes = [asked("steps", 0.5), unknown]
    assert once(changes) == (changes, [])


def test_raises_multiply_too_and_a_cut_beside_a_raise_stays() -> None:
    kept, (told,) = once([asked("steps", 2.0, odds=1.0), asked("alpha", 1.3, odds=2.0)])
    assert [one.change.field for one in kept] == ["alpha"] and "alpha is raised already" in told
    both = [asked("learning_rate", 0.5), asked("steps", 2.0)]
    assert once(both) == (both, [])


ASK = {"identity": 0.65, "at_weight": 0.7, "at_most": 1.5}


@pytest.mark.parametrize(
    ("curve", "factor"),
    [
        ({0.4: 0.33, 0.7: 0.57, 0.8: 0.61, 1.0: 0.69}, 0.9 / 0.7),  # half-way between 0.8 and 1
        ({0.7: 0.60, 1.0: 0.65}, 1 / 0.7),
        ({0.7: 0.66, 1.0: 0.60}, 1.0),  # there already
        ({0.4: 0.9, 0.7: 0.5, 1.0: 0.8}, 0.85 / 0.7),  # what it has at a lower weight does not count
        ({0.7: 0.3, 1.0: 0.5}, 1.5),  # never
        ({0.7: 0.3, 1.0: 0.5, 1.2: 0.7}, 1.5),  # farther than is allowed
        ({}, 1.5),
    ],
)
def test_an_update_is_made_as_much_stronger_as_its_curve_says(curve: dict[float, float], factor: float) -> None:
    assert reaching(ASK, curve) == pytest.approx(factor)


@given(
    st.floats(0.2, 3.0), st.floats(0.3, 1.0),
    st.lists(st.floats(0.7, 2.0), min_size=2, max_size=6, unique_by=lambda w: round(w, 2)),
)  # fmt: skip
def test_what_is_stretched_by_the_factor_is_as_asked(steep: float, top: float, weights: list[float]) -> None:
    """Of a curve that grows straight between its points: at the weight, the stretched one has what is asked."""
    curve = {weight: min(top, steep * weight / 3) for weight in (0.7, *weights)}
    factor = reaching({**ASK, "at_most": 9.0}, curve)
    if factor == 9.0:
        assert max(curve.values()) < ASK["identity"]
    else:
        points = sorted(curve)
        values = [curve[weight] for weight in points]
        reached = float(np.interp(0.7 * factor, points, values))
        assert factor == 1.0 or reached == pytest.approx(ASK["identity"], abs=1e-6)


def test_a_finished_lora_is_rescaled_by_the_measured_curve_and_nothing_is_trained() -> None:
    weak = RankedCause(because="Weak.", fix=Fix(rescale=ASK), log_odds=2.0, evidence=())
    measured = [
        Measurement(name="identity.score", value=value, where={"weight": weight})
        for weight, value in (("0", 0.0), ("0.7", 0.57), ("0.8", 0.61), ("1", 0.69), ("ship", 0.63))
    ]
    measured.append(Measurement(name="identity.score", value=0.99, where={"weight": "0.8", "framing": "close-up"}))
    made = prescribe([finding(causes=(weak,))], TrainingSettings(rank=32, alpha=16.0), measured)
    (said,) = made.advice
    assert made.changes == () and said.startswith(
        "Make the finished LoRA 1.29 times as strong: by its own curve it has"
    )
    assert (
        made.rescale == 1.29 and "`lora-doctor rescale LORA --times 1.29`" in said and "load it at 0.9 to 1.3" in said
    )
    assert "does not come to 0.65 at weight 0.7, but nearer" in rescaled(ASK, {0.7: 0.4, 1.0: 0.5})


def test_the_prescription_cuts_the_dose_once_and_says_what_waits() -> None:
    slow = RankedCause(because="Fast.", fix=Fix(change={"learning_rate": {"times": 0.5}}), log_odds=2.0, evidence=())
    short = RankedCause(because="Long.", fix=Fix(change={"steps": {"times": 0.75}}), log_odds=1.5, evidence=())
    present = TrainingSettings(steps=1600, learning_rate=0.003)
    one_finding = prescribe([finding(causes=(slow, short))], present, [])
    two_findings = prescribe([finding("one", causes=(slow,)), finding("two", causes=(short,))], present, [])
    for made in (one_finding, two_findings):
        assert [(c.field, c.after) for c in made.changes] == [("learning_rate", 0.0015)]
        assert len(made.conflicts) == 1 and "for 1200" in made.conflicts[0]


@pytest.mark.parametrize("rule", ["base-damage", "peaks-early"])
@pytest.mark.parametrize(
    ("facts", "changed"),
    [
        ({"training.learning_rate": 0.003, "training.exposures": 152.0}, {"learning_rate"}),  # fast, not long
        ({"training.learning_rate": 0.0005, "training.exposures": 400.0}, {"steps"}),  # long, not fast
        ({"training.learning_rate": 0.003, "training.exposures": 400.0}, {"steps"}),  # both: one cut at a time
        ({}, {"steps"}),  # nothing known: the first cause, as a guess
    ],
)
def test_too_fast_and_too_long_are_told_apart(rule: str, facts: dict[str, float], changed: set[str]) -> None:
    measured = [
        *RULES[rule].examples["fires"][0],
        *(Measurement(name=name, value=value) for name, value in facts.items()),
    ]
    findings, _ = evaluate([RULES[rule]], measured)
    made = prescribe(findings, TrainingSettings(steps=1600, learning_rate=0.003), measured)
    assert {change.field for change in made.changes} == changed
