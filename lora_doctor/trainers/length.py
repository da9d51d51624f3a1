"""How long a training is to be, for trainers that count epochs in whole numbers alone. Pure."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lora_doctor.edits.edit import REMOVED
from lora_doctor.trainers.agreed import number
from lora_doctor.trainers.folders import Repeats
from lora_doctor.trainers.places import Place
from lora_doctor.types import Change, Dataset, TrainingSettings

NEAR = 0.1
"""Share by which whole epochs may miss what is wanted; the batches that an epoch rounds up to miss it by as much."""
SEEN = 0.02
"""Difference of two identity ratios from which on they are two: one of them may be rounded to hundredths."""
WARM_UP = 0.25
"""Share of a training from which on its warm-up is told, where the training gets shorter and the warm-up does not."""


def whole_epochs(wanted: float, unsupported: list[str], steps: float | None = None, what: str = "repeats") -> int:
    """The whole epochs, 1 or more, that come nearest to those wanted; where that is not near, it is told.

    `steps`: as many say the same, if they are known; `what` an epoch shows pictures by, in the trainer's word.
    """
    made = max(1, round(wanted))
    if _far(made, wanted):
        instead = "" if steps is None else f"{max(1, round(steps))} steps, or "
        unsupported.append(
            f"epochs: {wanted:.3g} wanted, and only whole ones are trained: {made} it is; nearest: {instead}{what} "
            f"times {wanted / made:.2g}."
        )
    return made


def steps_per_epoch(settings: TrainingSettings, dataset: Dataset | None, share: float = 1.0) -> float | None:
    """Steps that show every picture as often as its repeats say; None where pictures or a batch's size are not known.

    `share` of the pictures in a step show the character, the others are regularisation's.
    """
    shown = 0.0 if dataset is None else sum(image.repeats for image in dataset.images)
    per_step = (settings.batch_size or 0) * (settings.gradient_accumulation or 1) * share
    return shown / per_step if shown and per_step else None


def warm_up_notes(
    name: str, given: Any, changes: Sequence[Change], settings: TrainingSettings, per_epoch: float | None
) -> list[str]:
    """A sentence where changes leave little of a training behind its warm-up of `given` steps, which stays; else none.

    A warm-up of 1 or less is a share and follows by itself. `per_epoch`: steps of an epoch, if they are known.
    """
    warm_up, constant = number(given), settings.lr_scheduler == "constant"  # OneTrainer's CONSTANT warms up as well
    for change in changes:
        present, each = getattr(settings, change.field), {"steps": 1.0, "epochs": per_epoch}.get(change.field)
        if warm_up is None or warm_up <= 1 or constant or each is None or present is None or change.after >= present:
            continue
        if warm_up >= WARM_UP * (steps := change.after * each):
            share = f"all of the {steps:.0f}" if warm_up >= steps else f"{warm_up / steps:.0%} of the {steps:.0f}"
            return [f"{name} stays {warm_up:g}, {share} steps, in which the rate only rises: make it as much shorter."]
    return []


def schedule_notes(given: Mapping[str, Any], changes: Sequence[Change], settings: TrainingSettings) -> list[str]:
    """A sentence where a training gets another length and its learning rate's schedule has steps of its own; else none.

    `given`: setting -> its steps, of which 1 or less are a share, or none.
    """
    longer = [change for change in changes if change.field in ("steps", "epochs")]
    ratios = [change.after / now for change in longer if (now := getattr(settings, change.field))]
    counted = {name: steps for name, value in given.items() if (steps := number(value)) is not None and steps > 1}
    if not ratios or ratios[-1] == 1 or not counted:
        return []
    told = ", ".join(f"{name} {steps:g}" for name, steps in counted.items())
    return [f"The schedule of the learning rate keeps its own length ({told}): make it {ratios[-1]:.2g} times as long."]


@dataclass(slots=True)
class Length:
    """The length of a training while its patch is written: what is asked of it, and `settle` once the rest is drafted.

    So the order of the changes does not matter.
    """

    asked: Change | None = None
    """The change of epochs, if there is one."""
    longer: float = 1.0
    """How many times as many epochs make up for new repeats."""
    ratio_before: float | None = None
    """The identity ratio that the check-up saw, where another is asked for."""
    unmoved: bool = False
    """Whether an identity ratio was asked for, and no repeats change for it."""
    moved_since: bool = False
    """Whether they do not because they have been changed since the check-up."""
    what: str = "repeats"
    """What an epoch shows pictures by, in the trainer's word."""
    notes: list[str] = field(default_factory=list)
    unsupported: list[str] = field(default_factory=list)

    def follow(self, found: Repeats) -> None:
        """Make up for the repeats that an identity ratio asks for."""
        self.longer, self.unmoved = found.longer if found.values else 1.0, not found.values
        known = self.unmoved and found.ratio is not None and self.ratio_before is not None
        self.moved_since = known and abs((found.ratio or 0.0) - (self.ratio_before or 0.0)) > SEEN

    def settle(
        self, values: MutableMapping[Place, Any], place: Place, given: Any,
        steps: float | None = None, steps_place: Place | None = None,
    ) -> None:  # fmt: skip
        """Draft the epochs at `place` in `values`: those asked for, else those `given`, longer by what repeats take.

        `steps` of one epoch now; where whole epochs are not near and there is a `steps_place`, they are set instead.
        """
        name, present = place.keys[-1], number(given)
        if (seen := self._seen_before_a_change(present)) is not None:
            self.notes.append(f"{name}: the config has {given}, the check-up saw {seen:g}; taken as changed already.")
            return
        basis = present if self.asked is None else number(self.asked.after)
        if not basis or (self.asked is None and (self.longer == 1.0 or values.get(place) is REMOVED)):
            return
        wanted, exact = basis * self.longer, None if steps is None else basis * steps
        if steps_place is not None and exact is not None and _far(max(1, round(wanted)), wanted):
            values[steps_place] = max(1, round(exact))
            if given is not None:
                values[place] = REMOVED
            self.notes.append(f"{steps_place.keys[-1]} stands for {wanted:.3g} epochs: only whole ones are trained.")
            return
        made = whole_epochs(wanted, self.unsupported, exact, self.what)
        if made != present:
            values[place] = made
        if self.longer != 1.0 and made != basis:
            told = "as long" if abs(made - wanted) < 0.005 * wanted else f"{made / wanted:.0%} as long"
            self.notes.append(f"{name} follows the {self.what}, so that the training stays {told} ({self.longer:.2f}).")

    def _seen_before_a_change(self, present: float | None) -> float | None:
        """The epochs that the check-up saw, where the config has been changed since: no repeats are left to change for
        an identity ratio, and it is another than the check-up saw, or the epochs are neither those of before nor those
        asked for. Else None."""
        if not self.unmoved or self.asked is None or self.asked.before is None:
            return None
        told = present in (self.asked.before, self.asked.after) and not self.moved_since
        return None if told else float(self.asked.before)


def _far(made: float, wanted: float) -> bool:
    return abs(made - wanted) > NEAR * wanted + 1e-9  # 4 are near to 4.444
