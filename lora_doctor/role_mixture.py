"""How framings look in one dataset, learned from it: a mixture whose geometry is that of the character's own body.

No fixed table of face sizes fits all: in full body the face of an adult is a tenth of the picture's height, that of a
big-headed character a third. What is alike for all of them is *where the picture's lower edge cuts the body*: at the
shoulders, the chest, the waist to the thighs, or below the feet (film's shot scales). One unknown number turns room
below the chin into that place: how many heads tall the character is. It is the same in every picture, so all of them
are asked for it together, and so is how far CLIP and the background can be trusted here (a confusion matrix, learned as
Dawid and Skene, 1979, learn those of observers). With few pictures, what is usual and CLIP decide.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lora_doctor.role_geometry import HEAD_PER_FACE

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

SHOTS = ("close-up", "head and shoulders", "upper body", "full body")
"""The shots told apart. The first two are identity-emphasis in the source's words ("close-up portraits,
head-and-shoulders shots"), the others in-context."""
EMPHASIS_SHOTS = 2

# ---- Where the lower edge cuts, as a share of the body below the chin. Landmarks of the eight-head figure (artists'
# canon: shoulders 1/3 head below the chin, chest 1, navel 2, crotch 3, knees 5), hence for 6.5 heads below the chin:
# 0.05, 0.15, 0.3, 0.46, 0.75, feet 1; a seated full figure ends near 0.7, and a standing one has floor below its feet.
CUT_AT = (0.06, 0.15, 0.42, 1.10)
CUT_SPREAD = (0.45, 0.25, 0.35, 0.35)
"""Standard deviations of log(cut + `CUT_OFFSET`): about how far the landmarks of neighbouring shots lie apart."""
CUT_OFFSET = 0.05
"""Added before the logarithm: near the chin, a box is off by as much as shots differ."""
TIGHTEST = 0.045
"""Cuts nearer to the chin than this, or above it, are all the same: nothing is closer than a close-up."""
ABOVE_AT = (0.08, 0.10, 0.12, 0.17)
ABOVE_SPREAD = (0.10, 0.10, 0.14, 0.20)
"""Room above the head, as a share of the height: portraits leave little (rule of thirds: eyes a third from the top)."""
OUTLIER = 0.02
"""Share of pictures whose geometry follows no shot: lying figures, a wrong box, a tilted camera."""
OUTLIER_DENSITY = 0.25
"""Density of their geometry, flat over the plane it lies in (about four units of log cut by one of room above)."""

# ---- How many heads tall characters are. Adults 7.5, anime 5 to 6.5, big-headed characters 2 to 3.
HEADS = (2.0, 9.0, 25)
"""Smallest, largest, how many steps on a logarithmic scale."""
USUAL_HEADS = ((7.5, 0.08, 0.35), (5.8, 0.12, 0.40), (2.6, 0.2, 0.25))
"""Mean, standard deviation of the logarithm, and share of datasets, of adults, anime figures, big-headed characters
(a guess; it decides only where CLIP was not asked)."""
GEOMETRY_TEACHES = 10.0
"""How many pictures' worth of evidence the boxes by themselves are for how tall the character is: what shots look like
is only roughly known, and that does not average out over more pictures."""
GEOMETRY_ALONE = 3.0
"""The same where CLIP read no framing: portraits of an adult and half bodies of a big-headed character have the same
boxes, and which shots a dataset holds is its maker's choice."""
CLIP_TEACHES = 60.0
"""The same for how well the boxes agree with what CLIP reads. In larger datasets what is usual weighs as much against
the pictures as in one of so many: else thousands would teach, for any height, that CLIP uses its words otherwise."""

# ---- What is usual, and how many pictures it weighs against those of the dataset.
USUAL_SHOTS = (0.25, 0.12, 0.33, 0.30)
SHOTS_WEIGH = 4.0
CLIP_SAYS = ((0.88, 0.10, 0.02), (0.65, 0.32, 0.03), (0.06, 0.82, 0.12), (0.02, 0.14, 0.84))
"""Row: shot; column: how often CLIP says close-up, upper body, full body of it. A zero-shot reader of three framings
is right about six times in seven; head and shoulders is none of its three labels, and nearer to "portrait"."""
CLIP_WEIGHS = 12.0
CLIP_TEMPER = 0.7
"""Exponent on CLIP's probabilities: zero-shot answers to free texts are surer than they are right."""
PLAIN = (0.50, 0.50, 0.22, 0.25)
"""How often the background is plain. Weak on purpose: the source asks for clean backgrounds in portraits, but character
sheets show whole figures on white."""
PLAIN_WEIGHS = 6.0
FACE_FOUND = (0.92, 0.92, 0.88, 0.80)
"""How often the detector finds the face: backs and small faces are lost in wide shots. Weak on purpose: detectors for
photographs miss drawn faces of any size."""
FACE_WEIGHS = 10.0
ROUNDS = 40
SETTLED = 1e-3
"""Expectation and maximisation end when no learned share moves by more than this, or after so many rounds."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What was seen in n pictures."""

    below: Array
    """(n,) picture below the chin, in face heights; NaN without a face."""
    above: Array
    """(n,) picture above the head, share of the height; NaN without a face."""
    clip: Array
    """(n, 3) CLIP's probabilities of close-up, upper body, full body; rows of NaN where it was not asked."""
    plain: Array
    """(n,) CLIP's probability of a plain background; NaN where it was not asked."""
    allowed: Array
    """(n, 4) False for shots the picture cannot be, since the user gave its role."""


def shots_of(seen: Seen) -> Array:
    """(n, 4) probability of each of `SHOTS`, rows sum to 1; the same for equal pictures, in any order of them."""
    import numpy as np

    heads = [float(each) for each in np.geomspace(*HEADS[:2], HEADS[2])]
    seen = replace(seen, clip=_tempered(seen.clip))
    fits = [_fit(seen, each) for each in heads]
    count = max(1, len(seen.below))
    asked = not np.isnan(seen.clip).all()
    boxes, agreement = (GEOMETRY_TEACHES if asked else GEOMETRY_ALONE) / count, CLIP_TEACHES / count
    scores = np.log([_usual_heads(each) for each in heads])
    scores += np.array([min(1.0, boxes) * fit.geometry + min(1.0, agreement) * fit.agreement for fit in fits])
    weights = np.exp(scores - scores.max())
    found = np.einsum("h,hnk->nk", weights / weights.sum(), np.stack([fit.rows for fit in fits]))
    rows: Array = found / found.sum(axis=1, keepdims=True)
    return rows


def _usual_heads(heads: float) -> float:
    """Prior density of a character of so many heads, on a logarithmic scale."""
    return sum(
        share / spread * math.exp(-0.5 * (math.log(heads / mean) / spread) ** 2) for mean, spread, share in USUAL_HEADS
    )


@dataclass(frozen=True, kw_only=True)
class _Fit:
    """The dataset as it looks if the character is so many heads tall."""

    rows: Array
    """(n, 4) probability of each shot."""
    geometry: float
    """Log likelihood of the boxes."""
    agreement: float
    """Log likelihood, given the boxes, of what CLIP and the background say, with the prior of how they say it."""


def _fit(seen: Seen, heads: float) -> _Fit:
    """Expectation-maximisation from what is usual."""
    import numpy as np

    shape, now, weigh = _shape(seen, heads) * seen.allowed, _usual(), _weigh(len(seen.below))
    for _ in range(ROUNDS):
        says = _says(seen, now)
        joint = now["shots"] * shape * says
        rows = joint / joint.sum(axis=1, keepdims=True)
        learned, now = now, _learned(rows, seen, now, weigh)
        if max(float(np.abs(now[name] - learned[name]).max()) for name in now) < SETTLED:
            break
    boxes = np.log((learned["shots"] * shape).sum(axis=1)).sum()
    both = np.log(joint.sum(axis=1)).sum()
    return _Fit(rows=rows, geometry=float(boxes), agreement=float(both - boxes) + _log_prior(learned, weigh))


def _says(seen: Seen, now: Mapping[str, Array]) -> Array:
    """(n, 4) likelihood of what CLIP, the background and the face detector say; 1 for what was not asked."""
    import numpy as np

    plain = seen.plain[:, None]
    framing = np.where(np.isnan(seen.clip[:, :1]), 1.0, seen.clip @ now["clip"].T)
    ground = np.where(np.isnan(plain), 1.0, plain * now["plain"] + (1 - plain) * (1 - now["plain"]))
    found = np.where(np.isnan(seen.below)[:, None], 1 - now["face"], now["face"])
    likelihood: Array = framing * ground * found
    return likelihood


def _shape(seen: Seen, heads: float) -> Array:
    """(n, 4) density of the geometry; 1 without a face."""
    import numpy as np

    cut = np.maximum(seen.below / HEAD_PER_FACE / (heads - 1), TIGHTEST)
    place = np.log(cut + CUT_OFFSET)[:, None]
    lower = _normal(place, np.log(np.array(CUT_AT) + CUT_OFFSET), np.array(CUT_SPREAD))
    upper = _normal(seen.above[:, None], np.array(ABOVE_AT), np.array(ABOVE_SPREAD))
    shape = (1 - OUTLIER) * lower * upper + OUTLIER * OUTLIER_DENSITY
    return np.where(np.isnan(seen.below)[:, None], 1.0, shape)


def _normal(at: Array, mean: Array, spread: Array) -> Array:
    import numpy as np

    density: Array = np.exp(-0.5 * ((at - mean) / spread) ** 2) / (spread * math.sqrt(2 * math.pi))
    return density


def _tempered(clip: Array) -> Array:
    import numpy as np

    soft = np.maximum(clip, 1e-12) ** CLIP_TEMPER
    tempered: Array = soft / soft.sum(axis=1, keepdims=True)
    return tempered


def _usual() -> dict[str, Array]:
    import numpy as np

    return {
        "shots": np.array(USUAL_SHOTS), "clip": np.array(CLIP_SAYS), "plain": np.array(PLAIN),
        "face": np.array(FACE_FOUND),
    }  # fmt: skip


def _weigh(count: int) -> dict[str, float]:
    """How many pictures what is usual weighs, in a dataset of `count`."""
    habits = {"clip": CLIP_WEIGHS, "plain": PLAIN_WEIGHS, "face": FACE_WEIGHS}
    return {"shots": SHOTS_WEIGH} | {name: each * max(1.0, count / CLIP_TEACHES) for name, each in habits.items()}


def _learned(rows: Array, seen: Seen, now: Mapping[str, Array], weigh: Mapping[str, float]) -> dict[str, Array]:
    """The parameters that fit the posteriors, with what is usual weighed in."""
    import numpy as np

    usual, asked = _usual(), ~np.isnan(seen.clip[:, 0])
    shots = rows.sum(axis=0) + weigh["shots"] * usual["shots"]
    clip = seen.clip[asked]
    meant = now["clip"] * ((rows[asked] / (clip @ now["clip"].T)).T @ clip)  # which label was meant, per shot
    confusion = meant + weigh["clip"] * usual["clip"]
    known = ~np.isnan(seen.plain)
    return {
        "shots": shots / shots.sum(),
        "clip": confusion / confusion.sum(axis=1, keepdims=True),
        "plain": _share(rows[known], seen.plain[known], usual["plain"], weigh["plain"]),
        "face": _share(rows, (~np.isnan(seen.below)).astype(float), usual["face"], weigh["face"]),
    }


def _share(rows: Array, holds: Array, usual: Array, weighs: float) -> Array:
    share: Array = (rows.T @ holds + weighs * usual) / (rows.sum(axis=0) + weighs)
    return share


def _log_prior(now: Mapping[str, Array], weigh: Mapping[str, float]) -> float:
    """Dirichlet densities of what was learned, around what is usual, up to a constant."""
    import numpy as np

    usual = _usual()
    shares = {name: (usual[name] * np.log(now[name])).sum() for name in ("shots", "clip")}
    for name in ("plain", "face"):
        shares[name] = (usual[name] * np.log(now[name]) + (1 - usual[name]) * np.log(1 - now[name])).sum()
    return float(sum(weigh[name] * shares[name] for name in shares))
