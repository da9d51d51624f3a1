"""Requests for new pictures in numbers, made into one list; what they do to the identity ratio. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lora_doctor.present_training import Patient
from lora_doctor.types import IDENTITY_EMPHASIS, IN_CONTEXT, Change, NewPictures
from lora_doctor.wording import FOR_NEW, role_asked

ENVIRONMENTS = "environments_at_least"
"""The key of a fix that counts in environments."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What one rule asks for, as its fix says it and in numbers."""

    rule: str
    fix: Mapping[str, Any]
    new: NewPictures


def new_pictures(fix: Mapping[str, Any], patient: Patient) -> NewPictures | None:
    """`{add?, framing?, until_share}` or `{add, environments_at_least}` in numbers; None when it is so already."""
    role, framing = role_asked(fix), fix.get("framing")
    if (wanted := fix.get(ENVIRONMENTS)) is not None:
        return _new_environments(role, int(wanted), patient)
    share, images = fix.get("until_share"), patient.number("dataset.images")
    kind = " ".join(filter(None, (role, framing)))
    if share is None:
        return NewPictures(says=f"Add {kind} pictures.", role=role, framing=framing)
    if framing is None and (counted := patient.counted.get(role)) is not None:
        says = f"Add {counted} {kind} pictures: {role} pictures then are {share:.0%} of what is shown."
        return NewPictures(says=says, role=role, pictures=counted) if counted else None
    present = _present_share(role, framing, patient)
    if present is None or images is None:
        says = f"Add {kind} pictures until they are {share:.0%} of the dataset; their present share is not known."
        return NewPictures(says=says, role=role, framing=framing)
    more = math.ceil((share - present) * images / (1 - share) - 1e-9)
    now = f"{framing or role} pictures are {present:.0%} of {images:.0f} now, {share:.0%} are wanted"
    asked = NewPictures(says=f"Add {more} {kind} pictures: {now}.", role=role, framing=framing, pictures=more)
    return asked if more > 0 else None


def _new_environments(role: str, wanted: int, patient: Patient) -> NewPictures | None:
    """Pictures in environments the dataset lacks; None when it shows enough.

    As many for each new environment as the present ones have on average: that adds most to the effective number, one
    for one (the exponential of the entropy of a mixture is largest there).
    """
    present, images, share = (
        patient.number("dataset.environments"), patient.number("dataset.images"), _present_share(role, None, patient),
    )  # fmt: skip
    if present is None:
        return NewPictures(says=f"Add {role} pictures until they show {wanted} environments or more.", role=role)
    more = math.ceil(wanted - present)
    if more <= 0:
        return None
    each = None if images is None or share is None else math.ceil(share * images / present - 1e-9)
    count = "" if each is None else f"{more * each} "
    apiece = "" if each is None else f", {each} in each"
    shown = f"it shows {present:.1f} (effective number), {wanted} or more are wanted"
    says = f"Add {count}{role} pictures in {more} or more environments that are not in the dataset{apiece}: {shown}."
    pictures = None if each is None else more * each
    return NewPictures(says=says, role=role, pictures=pictures, environments=more)


def answers(new: NewPictures, fix: Mapping[str, Any]) -> bool:
    """Whether a fix that adds pictures asks for what the request is about: of their role and framing, or for places."""
    if new.role != role_asked(fix):
        return False
    if ENVIRONMENTS in fix:
        return new.environments is not None
    return new.environments is None and fix.get("framing") in (None, new.framing)


def together(requests: Sequence[Request], patient: Patient) -> tuple[NewPictures, ...]:
    """The requests as one list in which no picture is counted twice.

    Of requests for more of the same, the largest holds the others and names all that ask for it. Of those that pictures
    of one role can answer at once, the largest gives the count, and the others say how many of these they want.
    """
    by_role: dict[str, list[_Joined]] = {}
    for one in _largest_of_alike(requests):
        by_role.setdefault(one.new.role, []).append(one)
    return tuple(one.told() for joined in by_role.values() for one in _overlapping(joined, patient))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Joined:
    """A request with all the rules that it answers."""

    new: NewPictures
    fix: Mapping[str, Any]
    rules: tuple[str, ...]

    def told(self) -> NewPictures:
        """The request, which names its rules where there are several."""
        named = " and ".join(filter(None, (", ".join(self.rules[:-1]), self.rules[-1])))
        return self.new if len(self.rules) == 1 else replace(self.new, says=f"{self.new.says} For {named}.")


def _largest_of_alike(requests: Sequence[Request]) -> Iterator[_Joined]:
    """One for each role, framing, and kind of request."""
    alike: dict[tuple[str, str | None, bool], list[Request]] = {}
    for one in requests:
        alike.setdefault((one.new.role, one.new.framing, ENVIRONMENTS in one.fix), []).append(one)
    for some in alike.values():
        largest = max(some, key=lambda one: float(one.fix.get(ENVIRONMENTS, one.fix.get("until_share", 0.0))))
        yield _Joined(new=largest.new, fix=largest.fix, rules=tuple(dict.fromkeys(one.rule for one in some)))


def _overlapping(asked: Sequence[_Joined], patient: Patient) -> list[_Joined]:
    """Those of one role: the largest first, then what it is to consist of, then what comes on top of it."""
    counted = [one for one in asked if one.new.pictures]
    if len(counted) < 2:
        return list(asked)
    whole = max(counted, key=lambda one: (one.new.pictures or 0, one.new.framing is None))
    parts: list[_Joined] = []
    for one in (each for each in asked if each is not whole):
        other_framing = one.new.framing not in (None, whole.new.framing)
        if one.new.pictures is None or (other_framing and whole.new.framing is not None):
            parts.append(one)
        elif other_framing or ENVIRONMENTS in one.fix:
            parts.append(replace(one, new=_part(one, whole.new.pictures or 0, patient)))
        else:
            whole = replace(whole, rules=tuple(dict.fromkeys((*whole.rules, *one.rules))))
    return [whole, *parts]


def _part(one: _Joined, of: int, patient: Patient) -> NewPictures:
    """The request as a part of so many new pictures of its role, which thin out what is there as well."""
    if one.new.environments is not None:
        present = patient.number("dataset.environments")
        shown = f"it shows {present:.1f} (effective number), {one.fix[ENVIRONMENTS]} or more are wanted"
        places = f"{one.new.environments} or more that are not in the dataset"
        says = f"Spread these {of} over the environments of the dataset and {places}: {shown}."
        return replace(one.new, says=says, within=of)
    images, share = patient.number("dataset.images") or 0.0, float(one.fix["until_share"])
    present = _present_share(one.new.role, one.new.framing, patient) or 0.0
    count = min(of, math.ceil(share * (images + of) - present * images - 1e-9))
    now = f"{one.new.framing} pictures are {present:.0%} of {images:.0f} now, {share:.0%} are wanted"
    return replace(one.new, says=f"Of these {of}, {count} in {one.new.framing}: {now}.", pictures=count, within=of)


def undiluted(asked: Sequence[NewPictures], rule: str, patient: Patient) -> list[Change]:
    """Keeps the identity ratio where it is, so before and after are the same, when new pictures would thin it out.

    Nothing to do where the trainer samples the roles by a ratio of its own, or where the numbers are not known.
    """
    ratio, images = patient.number("dataset.identity_ratio"), patient.number("dataset.images")
    apart = [each for each in asked if each.within is None]
    new = sum(each.pictures or 0 for each in apart)
    if ratio is None or images is None or patient.settings.identity_ratio is not None or not new:
        return []
    emphasis = sum(each.pictures or 0 for each in apart if each.role == IDENTITY_EMPHASIS)
    thinned, kept = (ratio * images + emphasis) / (images + new), round(ratio, 2)
    if thinned >= ratio:
        return []
    thin = f"the {new} new pictures would thin the identity-emphasis ones from {ratio:.0%} to {thinned:.0%}"
    because = f"{thin}, so these must be shown more often"
    return [Change(field="identity_ratio", before=kept, after=kept, rule=rule, because=because)]


def seen_with_new(asked: Sequence[NewPictures], changes: Sequence[Change], patient: Patient) -> list[str]:
    """What new pictures do to a training as long as `changes` make it, in a sentence; none where numbers are not known.

    Trainers differ: in a number of steps every picture is seen less often, a number of epochs takes more steps.
    """
    images, exposures = patient.number("dataset.images"), patient.number("training.exposures")
    new = sum(each.pictures or 0 for each in asked if each.within is None)
    name = "epochs" if patient.counts_epochs else "steps"
    present = getattr(patient.settings, name)
    length = next((change.after for change in changes if change.field == name), present)
    if not new or not images or exposures is None or not present:
        return []
    more, longer = (images + new) / images, length / present
    if patient.counts_epochs:
        return [f"With {new} new pictures, {length:g} epochs take {more * longer:.2g} times the steps of before."]
    seen = f"each picture is seen some {exposures * longer / more:.0f} times in {length:g} steps"
    return [f"With {new} new pictures, {seen}, where it was {exposures:.0f}."]


def with_new(change: Change, asked: Sequence[NewPictures], patient: Patient) -> Change:
    """A lower identity ratio for which new pictures are asked, with what it does where those are not added."""
    wide = patient.number("dataset.role_images", role=IN_CONTEXT)
    lower = change.field == "identity_ratio" and change.before is not None and change.after < change.before
    if not lower or wide is None or not any(each.role == IN_CONTEXT for each in asked):
        return change
    now = "the 1 that is there" if wide == 1 else f"the {wide:.0f} that are there"
    without = f"without them {now} would be shown {1 - change.after:.0%} of the time" if wide else "there is none yet"
    return replace(change, because=f"{change.because}; {FOR_NEW}: {without}")


def _present_share(role: str, framing: str | None, patient: Patient) -> float | None:
    if framing is not None:
        return patient.number("dataset.framing_share", framing=framing)
    ratio = patient.number("dataset.identity_ratio")
    return None if ratio is None else ratio if role == IDENTITY_EMPHASIS else 1.0 - ratio
