"""How far a training goes is set in several places at once: cuts of them multiply, so one of them is made. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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


def cut_once(asked: Sequence[Asked]) -> tuple[list[Asked], list[str]]:
    """The changes (one a setting at most) with a single cut of the training's dose; a sentence for each one left out.

    Halving the learning rate and halving the steps leaves a quarter of the training, which no finding asked for: each
    says how much less would do. The cut for the likelier cause stays, of equal ones that of the stronger finding; the
    next check-up says whether more is needed. Raises, and settings that are no part of the dose, are left alone.
    """
    cuts = [one for one in asked if _cuts(one.change)]
    if len({_HANDLES[one.change.field] for one in cuts}) < 2:
        return list(asked), []
    chosen = max(cuts, key=lambda one: (one.log_odds, one.finding.strength))
    dropped = [one for one in cuts if _HANDLES[one.change.field] != _HANDLES[chosen.change.field]]
    return [one for one in asked if one not in dropped], [_left_out(one, chosen) for one in dropped]


def _cuts(change: Change) -> bool:
    known = change.field in _HANDLES and change.before is not None
    return bool(known and change.after < change.before)


def _left_out(one: Asked, chosen: Asked) -> str:
    """`steps: base-damage asks for 1200, which is left for the next round: learning_rate is cut already ...`."""
    odds = f"the likelier cause, {chosen.log_odds:.1f} against {one.log_odds:.1f} nats"
    if chosen.log_odds == one.log_odds:
        odds = "both causes are as likely, and one cut is tried at a time"
    return (
        f"{one.change.field}: {one.finding.rule} asks for {setting_text(one.change.after)}, which is left for the next "
        f"round: {chosen.change.field} is cut already ({chosen.finding.rule}: {odds}), and the two would multiply."
    )
