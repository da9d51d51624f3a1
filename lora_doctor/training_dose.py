"""How far a training goes: set in several places at once, which multiply, and sized by the distance measured. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from lora_doctor.types import Change, Finding
from lora_doctor.wording import setting_text

_HANDLES = {"steps": "length", "epochs": "length", "learning_rate": "rate", "alpha": "scale"}
"""Setting -> what of the dose it turns. The update a LoRA ends with grows with every one of them: the number of steps,
how far each goes, and by how much the result is multiplied."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A change, and who asks for it on what evidence."""

    finding: Finding
    change: Change
    log_odds: float
    """Of the cause it treats, nats."""


def once(asked: Sequence[Asked]) -> tuple[list[Asked], list[str]]:
    """The changes (one a setting at most) with a single cut and a single raise of the training's dose; a sentence for
    each one left out.

    Halving the learning rate and halving the steps leaves a quarter of the training, which no finding asked for: each
    says how much less would do. The one for the likelier cause stays, of equal ones that of the stronger finding; the
    next check-up says whether more is needed. Settings that are no part of the dose are left alone.
    """
    kept, told = list(asked), list[str]()
    for way, word in ((-1, "cut"), (1, "raised")):
        moved = [one for one in asked if one.change.field in _HANDLES and way_of(one.change) == way]
        if len({_HANDLES[one.change.field] for one in moved}) < 2:
            continue
        chosen = max(moved, key=lambda one: (one.log_odds, one.finding.strength))
        dropped = [one for one in moved if _HANDLES[one.change.field] != _HANDLES[chosen.change.field]]
        kept = [one for one in kept if one not in dropped]
        told += [_left_out(one, chosen, word) for one in dropped]
    return kept, told


def reaching(ask: Mapping[str, float], curve: Mapping[float, float]) -> float:
    """By how much an update must be stronger for its identity at a weight to be as asked; 1 where it is.

    `ask`: `{identity, at_weight, at_most}`; `curve`: weight -> identity, as measured. An update that is s times as
    strong draws at a weight w what this one draws at s x w, so s is read off the curve, straight between its points:
    where it comes to `identity`, over `at_weight`. `at_most` where it never does, or beyond that, or is not known.
    """
    known = sorted((weight, value) for weight, value in curve.items() if weight >= ask["at_weight"])
    if known and known[0][1] >= ask["identity"]:
        return 1.0
    for (low, below), (high, above) in pairwise(known):
        if above >= ask["identity"]:
            reached = low + (high - low) * (ask["identity"] - below) / (above - below)
            return min(ask["at_most"], reached / ask["at_weight"])
    return ask["at_most"]


def times_as_strong(ask: Mapping[str, float], curve: Mapping[float, float]) -> float:
    """As `reaching`, in hundredths."""
    return round(reaching(ask, curve), 2)


def rescaled(ask: Mapping[str, float], curve: Mapping[float, float]) -> str:
    """What to do with a finished LoRA that is a little too weak: how much stronger, and that nothing is to be trained.

    Training again with a higher alpha is something else: it ends where the loss says, and not that much stronger.
    """
    times, weight = times_as_strong(ask, curve), ask["at_weight"]
    reaches = f"by its own curve it has {ask['identity']:g} at weight {weight:g} then"
    if times >= ask["at_most"]:
        reaches = f"by its own curve it does not come to {ask['identity']:g} at weight {weight:g}, but nearer"
    return (
        f"Make the finished LoRA {times:g} times as strong: {reaches}. Nothing is to be trained for it: `lora-doctor "
        f"rescale LORA --times {times:g}` does it, or tell users to load it at {weight * times:.2g} to {times:.2g}."
    )


def way_of(change: Change) -> int:
    """-1 for a smaller number, 1 for a larger one, 0 for what is neither, no number, or not known before."""
    if any(isinstance(one, bool) or not isinstance(one, (int, float)) for one in (change.before, change.after)):
        return 0
    return int(change.after > change.before) - int(change.after < change.before)


def _left_out(one: Asked, chosen: Asked, word: str) -> str:
    """`steps: base-damage asks for 1200, which is left for the next round: learning_rate is cut already ...`."""
    odds = f"the likelier cause, {chosen.log_odds:.1f} against {one.log_odds:.1f} nats"
    if chosen.log_odds == one.log_odds:
        odds = f"both causes are as likely, and one is {word} at a time"
    return (
        f"{one.change.field}: {one.finding.rule} asks for {setting_text(one.change.after)}, which is left for the next "
        f"round: {chosen.change.field} is {word} already ({chosen.finding.rule}: {odds}), and the two would multiply."
    )
