"""The dataset's split: how much of what the trainer sees is the face, and how much the character somewhere.

Shares are weighted by how often the trainer shows each picture: the exposed ratio is what trains. The dataset is a
census, so nothing but the instruments makes a share uncertain; `ratio_interval` says how much, for the ratio.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from lora_doctor.ratio_interval import likely_share
from lora_doctor.types import (
    CLOSE_UP,
    FRAMINGS,
    FULL_BODY,
    IDENTITY_EMPHASIS,
    IN_CONTEXT,
    UPPER_BODY,
    Case,
    DatasetImage,
    Measurement,
    Reading,
    Role,
)

LOOKS = True
"""It asks what the instruments read."""

INSTRUMENT_ERROR = 0.003
"""How often a role that the classifier is surest of is wrong, at most. Measured (`benchmarks.roles`): none of 6000 on
the miniature, below 0.001 on paper (photos, anime, big-headed); three times that, for what neither shows."""
LEAN = 1.1
"""Standard deviation, in nats, by which the classifier's log-odds lean one way in all pictures of one dataset: what
makes the 90 % interval hold the truth in 9 of 10 datasets on paper, big-headed ones too, which need the most."""
LEAN_WITHOUT_CLIP = 2.0
"""The same where no framing was read: by its boxes a half body of a big-headed character is a portrait of an adult."""
UNSURE = 0.1
"""A role less probable than 1 - this is worth a look."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Picture:
    """A picture with its reading."""

    image: DatasetImage
    reading: Reading | None

    @property
    def emphasis(self) -> float | None:
        """Probability of identity-emphasis; of a role from elsewhere, that of a classifier that is sure."""
        if self.image.emphasis is not None or self.image.role is None:
            return self.image.emphasis
        return 1 - INSTRUMENT_ERROR if self.image.role == IDENTITY_EMPHASIS else INSTRUMENT_ERROR


def audit(case: Case) -> list[Measurement]:
    """The split, by role, framing and face: `dataset.` ...

    `images`, `role_images` (per role), `unsure_roles`: counts. `identity_ratio` and `identity_ratio_files` (every file
    once), with interval; `framing_share` (per framing), `body_visible_share`, `no_face_share` (of all, and of those
    that CLIP reads as close-ups): shares.
    """
    pairs = zip(case.dataset.images, case.references, strict=True)
    pictures = [_Picture(image=image, reading=reading) for image, reading in pairs]
    labels = case.label_sets.get("framing")

    def framing(one: _Picture) -> str | None:
        return None if one.reading is None else one.reading.top_label(labels)

    def framed(*wanted: str) -> Callable[[_Picture], bool | None]:
        return lambda one: None if (own := framing(one)) is None else own in wanted

    close = [i for i, one in enumerate(pictures) if framing(one) == CLOSE_UP]
    readable = any(framing(one) is not None for one in pictures)
    return [
        Measurement(name="dataset.images", value=len(pictures), unit="count", n=len(pictures)),
        *(_role_images(pictures, role) for role in (IDENTITY_EMPHASIS, IN_CONTEXT)),
        _unsure(pictures),
        *_ratios(pictures, readable),
        *(_share("dataset.framing_share", pictures, framed(f), {"framing": f}, _UNREAD) for f in FRAMINGS),
        _share("dataset.body_visible_share", pictures, framed(UPPER_BODY, FULL_BODY), {}, _UNREAD),
        _faceless_share(pictures, range(len(pictures)), {}),
        _faceless_share(pictures, close, {"framing": CLOSE_UP}),
    ]


_UNREAD = "have no framing that could be read"


def _ratios(pictures: Sequence[_Picture], readable: bool) -> tuple[Measurement, Measurement]:
    """As the trainer sees it, and with every file once."""
    exposures = [one.image.repeats for one in pictures]
    exposed = _ratio("dataset.identity_ratio", pictures, exposures, readable)
    if len(set(exposures)) == 1:
        return exposed, replace(exposed, name="dataset.identity_ratio_files")
    return exposed, _ratio("dataset.identity_ratio_files", pictures, [1.0] * len(pictures), readable)


def _ratio(name: str, pictures: Sequence[_Picture], exposures: Sequence[float], readable: bool) -> Measurement:
    """The identity ratio of the pictures that have a role; the interval allows for either role of the others."""
    known = [(p, shown) for one, shown in zip(pictures, exposures, strict=True) if (p := one.emphasis) is not None]
    total, shown = sum(exposures), sum(exposure for _, exposure in known)
    caveats = []
    if len(known) < len(pictures) or not known:
        caveats.append(f"{len(pictures) - len(known)} of {len(pictures)} pictures could not be given a role")
    if not shown > 0:
        reason = caveats[0] if caveats else "no picture is ever shown"
        return Measurement(name=name, value=None, unit="share", reason=reason)
    if not readable and not all(p in (0.0, 1.0) for p, _ in known):
        caveats.append("CLIP read no framing: roles are told by face boxes alone")
    lean = LEAN if readable else LEAN_WITHOUT_CLIP
    share = likely_share([p for p, _ in known], [each for _, each in known], error=INSTRUMENT_ERROR, lean=lean)
    low, high = (bound * shown / total for bound in share.interval)
    interval = (min(low, share.value), max(high + (total - shown) / total, share.value))
    return Measurement(
        name=name, value=share.value, unit="share", n=len(known), interval=interval, reason="; ".join(caveats) or None
    )


def _role_images(pictures: Sequence[_Picture], role: Role) -> Measurement:
    """How many files have a role."""
    return Measurement(
        name="dataset.role_images", value=sum(one.image.role == role for one in pictures), unit="count",
        n=sum(one.image.role is not None for one in pictures), where={"role": role},
    )  # fmt: skip


def _unsure(pictures: Sequence[_Picture]) -> Measurement:
    """Pictures whose role is worth a look, the least sure first; those without one come last."""
    sure = {i: max(p, 1 - p) for i, one in enumerate(pictures) if (p := one.emphasis) is not None}
    unsure = sorted((i for i, chance in sure.items() if chance < 1 - UNSURE), key=lambda i: sure[i])
    unknown = [i for i in range(len(pictures)) if i not in sure]
    found = (*unsure, *unknown)
    return Measurement(name="dataset.unsure_roles", value=len(found), unit="count", n=len(pictures), pictures=found)


def _share(
    name: str, pictures: Sequence[_Picture], holds: Callable[[_Picture], bool | None], where: dict[str, str],
    unread: str,
) -> Measurement:  # fmt: skip
    """The exposed share of the pictures for which `holds`, out of those it is known for."""
    known = [(one.image.repeats, held) for one in pictures if (held := holds(one)) is not None]
    total, left_out = sum(shown for shown, _ in known), len(pictures) - len(known)
    value = sum(shown for shown, held in known if held) / total if total else None
    reason = f"{left_out} of {len(pictures)} pictures {unread}" if left_out or not total else None
    return Measurement(name=name, value=value, unit="share", n=len(known), where=where, reason=reason)


def _faceless_share(pictures: Sequence[_Picture], among: Sequence[int], where: dict[str, str]) -> Measurement:
    """The exposed share, among some of the pictures, of those without a face; they are named."""

    def faceless(one: _Picture) -> bool | None:
        return None if one.reading is None else one.reading.face.embedding is None

    if not among:
        reason = "there are no such pictures"
        return Measurement(name="dataset.no_face_share", value=None, unit="share", where=where, reason=reason)
    share = _share("dataset.no_face_share", [pictures[i] for i in among], faceless, where, "could not be read")
    return replace(share, pictures=tuple(i for i in among if faceless(pictures[i])))
