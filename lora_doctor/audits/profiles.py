"""From how many sides the pictures show the head, told from five landmarks of the face (`head_pose`).

Degrees only where the faces are proportioned as people are; of drawn ones, how much the nose moves between the eyes
from picture to picture, which is told of any face. Shares are weighted by repeats; pictures without landmarks are
left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from lora_doctor.face_shares import QUANTILE, normal_chance, quantile, share, sure_faces
from lora_doctor.head_pose import Points, drawn_proportions, eyes_apart, nose_shift, yaw
from lora_doctor.types import Case, Measurement

LOOKS = True
"""It asks what the instruments read."""

BEYOND = (15, 30, 45)
"""Degrees asked for; rules choose one. 30 to 45 is what portraitists call three quarters."""
QUANTILES = {"10": 0.1, "50": 0.5, "90": 0.9}
YAW_ERROR = 6.0
"""Degrees, standard error of one reading, assumed: noses differ in depth, and landmarks are a few pixels off."""
MIN_FACES = 5
"""Fewer faces have no spread to speak of."""
OUTLIER = 4.0
"""Robust standard deviations beyond which a nose is misplaced, not turned, for the spread of all."""
DRAWN = "the faces are drawn, with eyes wider apart than people's: their landmarks do not tell degrees"


def audit(case: Case) -> list[Measurement]:
    """`faces.yaw` (quantiles, degrees), `faces.yaw_share` beyond some degrees, `faces.turn_spread`,
    `faces.turn_middle`."""
    found: list[tuple[int, float, Points]] = [
        (index, float(case.dataset.images[index].repeats), face.landmarks)
        for index, face in sure_faces(case)[0]
        if face.landmarks and nose_shift(face.landmarks) is not None and eyes_apart(face.landmarks) is not None
    ]
    reason = None
    if not found:
        reason = "no picture with a face whose landmarks are told"
    elif drawn_proportions([eyes_apart(points) or 0.0 for _, _, points in found]):
        reason = DRAWN
    return [*_degrees(found, reason), *_turns(found)]


def _degrees(found: Sequence[tuple[int, float, Points]], reason: str | None) -> list[Measurement]:
    """In degrees, or the reason there are none. `pictures` of a share: those that are turned so far, farthest
    first."""
    if reason is not None:
        return [
            *(Measurement(name="faces.yaw", value=None, unit="degrees", where={"quantile": q}, reason=reason)
              for q in QUANTILES),
            *(Measurement(name="faces.yaw_share", value=None, unit="share", where={"beyond": str(b)}, reason=reason)
              for b in BEYOND),
        ]  # fmt: skip
    weights = [weight for _, weight, _ in found]
    angles = [yaw(points) or 0.0 for _, _, points in found]
    quantiles = [
        Measurement(name="faces.yaw", value=quantile(weights, angles, at), unit="degrees", n=len(found),
                    where={"quantile": name}, reason="read on an average head")
        for name, at in QUANTILES.items()
    ]  # fmt: skip
    shares = []
    for limit in BEYOND:
        held = [abs(angle) > limit for angle in angles]
        # Only what is seen to be beyond can fail to be: a frontal set is not made a turned one by errors of reading.
        chances = [normal_chance(abs(angle) - limit, YAW_ERROR) for angle in angles]
        value, interval = share(weights, held, chances)
        farthest = sorted((i for i, one in enumerate(held) if one), key=lambda i: (-abs(angles[i]), i))
        shares.append(
            Measurement(name="faces.yaw_share", value=value, unit="share", n=len(found), where={"beyond": str(limit)},
                        interval=interval, pictures=tuple(found[i][0] for i in farthest))
        )  # fmt: skip
    return [*quantiles, *shares]


def _turns(found: Sequence[tuple[int, float, Points]]) -> list[Measurement]:
    """Middle and standard deviation of the nose's place between the eyes, in eye distances; misplaced noses left out.

    The spread holds errors of the landmarks too, so that poor ones hide a lack of turns and never make one up.
    """
    names = ("faces.turn_spread", "faces.turn_middle")
    if len(found) < MIN_FACES:
        reason = f"{len(found)} faces with landmarks, and {MIN_FACES} are needed"
        return [Measurement(name=name, value=None, unit="eye distances", n=len(found), reason=reason) for name in names]
    weights = [weight for _, weight, _ in found]
    shifts = [nose_shift(points) or 0.0 for _, _, points in found]
    middle = quantile(weights, shifts, 0.5)
    rough = 1.4826 * quantile(weights, [abs(shift - middle) for shift in shifts], 0.5)
    kept = [(w, s) for w, s in zip(weights, shifts, strict=True) if abs(s - middle) <= OUTLIER * rough]
    total = sum(weight for weight, _ in kept)
    mean = sum(weight * shift for weight, shift in kept) / total
    spread = math.sqrt(sum(weight * (shift - mean) ** 2 for weight, shift in kept) / total)
    # Each landmark is read with an error, so the spread of n of them is uncertain as that of a sample is.
    half = QUANTILE / math.sqrt(2 * max(1, len(kept) - 1))
    error = QUANTILE * spread / math.sqrt(len(kept))
    return [
        Measurement(name=names[0], value=spread, unit="eye distances", n=len(kept),
                    interval=(spread * max(0.0, 1 - half), spread * (1 + half))),
        Measurement(name=names[1], value=middle, unit="eye distances", n=len(kept),
                    interval=(middle - error, middle + error)),
    ]  # fmt: skip
