"""The three prescriptions of a cure trial: the one that was made out, a placebo, and one for another illness. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from fixtures.miniature.build.recipes import RECIPES
from lora_doctor.prescription import prescribe
from lora_doctor.rules import with_sizes
from lora_doctor.types import Cause, Diagnosis, Finding, LabelSet, Prescription, RankedCause, Rule, TrainingSettings

PRESCRIBED, PLACEBO, WRONG = ARMS = ("prescribed", "placebo", "wrong")
BUDGET = ("steps", "epochs")
"""Settings that say how long is trained: a placebo trains as long as the prescription does."""


def arms(
    before: Diagnosis, fault: str, training: TrainingSettings, label_sets: Mapping[str, LabelSet], rules: Sequence[Rule]
) -> dict[str, Prescription]:
    """Arm -> what it prescribes to a patient with this fault; every arm also gets a new training seed."""
    right = before.prescription
    budget = tuple(change for change in right.changes if change.field in BUDGET)
    return {
        PRESCRIBED: right,
        PLACEBO: Prescription(changes=budget),
        WRONG: wrong(before, fault, training, label_sets, rules),
    }


def wrong(
    before: Diagnosis, fault: str, training: TrainingSettings, label_sets: Mapping[str, LabelSet], rules: Sequence[Rule]
) -> Prescription:
    """What the next fault of the table would get, in this patient's numbers, as if it had been diagnosed.

    The next whose treatment changes a setting or the pictures here, and has nothing in common with the right one.
    Raises ValueError when there is none.
    """
    order = [name for name in RECIPES if RECIPES[name].finding]
    at = order.index(fault)
    by_id = {rule.id: rule for rule in rules}
    for other in (*order[at + 1 :], *order[:at]):
        taken_for = _as_if(by_id[RECIPES[other].finding], RECIPES[other].causes)
        told = prescribe(
            [taken_for], training, before.measurements, spec=before.character["spec"], label_sets=label_sets
        )
        if (told.changes or told.dataset) and not set(_touches(told)) & set(_touches(before.prescription)):
            return told
    raise ValueError(f"every other treatment is the right one too, or changes nothing: {fault}")


def _as_if(rule: Rule, planted: tuple[str, ...]) -> Finding:
    """A confirmed finding of the rule, with the causes that the fault of that row has."""
    causes = tuple(_sure(cause) for cause in rule.causes if cause.because.startswith(planted))
    return Finding(
        rule=rule.id, symptom=rule.symptom, why=rule.why, state="confirmed", severity=rule.severity, strength=1.0,
        measurements=(), causes=causes, references=rule.references,
    )  # fmt: skip


def _sure(cause: Cause) -> RankedCause:
    return with_sizes(RankedCause(because=cause.because, fix=cause.fix, log_odds=1.0, evidence=()), 1.0, {})


def _touches(told: Prescription) -> Iterator[str]:
    """What a prescription lays hands on: settings, kinds of pictures, tokens."""
    yield from (change.field for change in told.changes)
    yield from (f"pictures {each.role}" for each in told.dataset)
    yield from (f"pictures of another {each.attribute}" for each in told.left_out)
    yield from (f"captions {fix.get('correct_tokens') or fix.get('add_tokens')}" for fix in told.captions)
