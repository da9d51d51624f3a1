"""Which attributes always come together: hair colour with one place, an outfit with one light.

Two things that never part cannot be learned apart, whatever the captions say. Pictures count once, repeats or not: a
copy is no further evidence that two things go together. Readings that CLIP is not sure of are left out, and so are
attributes that do not vary and labels of one or two pictures.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

from lora_doctor.association import corrected_v, holm, permutation_p
from lora_doctor.types import IN_CONTEXT, Case, LabelSet, Measurement
from lora_doctor.visible import look

LOOKS = True
"""It asks what the instruments read."""

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

PLAIN = "simple_background"
"""Close-ups have it for their own reasons."""
TRAITS = ("identity", "body")
"""Kinds of attribute that should be the same wherever the character is."""
LIGHT = "light"
NAMES = ("dataset.entanglement", "dataset.trait_entanglement")
ONE_THING = ({"environment", LIGHT},)
"""Kinds that always come together: the mean colour of a picture is mostly that of its place."""
SURE = 0.8
"""Probability from which a picture is taken to show a label: the misread ones would only blur an association."""
FEW = 3
"""Pictures from which a label is looked at: one or two go together with anything."""
ENOUGH = 10
"""Pictures that show both attributes, for shuffling them to tell anything at 5 % after a correction for many pairs."""
PLENTY = 1000
"""Pictures, evenly picked from more, that tell whatever association is strong."""
OTHER = "another"
LIGHTS = (("dark", 40.0), ("medium", 65.0), ("bright", 101.0))
"""Classes of mean lightness, 0 to 100, by their upper end: in thirds of what pictures use, middle grey in the
second."""
CAST = 12.0
"""Distance from grey, in CIE Lab units, from which a mean colour is a cast: five just noticeable differences."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Told:
    """What the pictures show of one attribute."""

    name: str
    kind: str
    """As `LabelSet.kind`, or `light`."""
    shows: Mapping[int, str]
    """Picture -> label, where it is sure."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Pair:
    """Two attributes over the pictures that show both."""

    first: _Told
    second: _Told
    pictures: Sequence[int]
    strength: float
    chance: float
    """p-value before any correction."""

    @property
    def name(self) -> str:
        return f"{self.first.name} x {self.second.name}"


def audit(case: Case) -> list[Measurement]:
    """`dataset.entanglement` {pair}, `.entanglement_p` {pair}, `.entangled_share` {pair, first, second}.

    Bias-corrected Cramer's V, 0 to 1; its permutation p-value, corrected by Holm for all pairs; and for the strongest
    cell the share of the pictures with its rarer label that also show the other. Two attributes of one kind are parts
    of one look and no pair. One with a trait of the character is `dataset.trait_entanglement` and
    `.trait_entanglement_p` instead: hair that goes with a place is worse than a coat. Where there is no pair of either
    sort, `any` is not entangled.
    """
    told = [_told(case, labels) for labels in case.label_sets.values() if labels.kind != "framing"]
    told.append(_light(case))
    pairs = [pair for first, second in combinations(told, 2) if (pair := _pair(first, second)) is not None]
    corrected = holm([pair.chance for pair in pairs])
    found = [one for pair, p in zip(pairs, corrected, strict=True) for one in _measurements(pair, p)]
    return found + [one for name in NAMES if name not in {m.name for m in found} for one in _none_varies(name, told)]


def _none_varies(name: str, told: Sequence[_Told]) -> list[Measurement]:
    """What is known where there is no pair: nothing to be entangled, or too few pictures to tell."""
    where, n = {"pair": "any"}, sorted([0, 0, *(len(each.shows) for each in told)])[-2]  # a pair needs two
    few = None if n >= ENOUGH else f"only {n} pictures could be read, and {ENOUGH} are wanted"
    return [
        Measurement(name=name, value=None if few else 0.0, unit="score", n=n, where=where, reason=few),
        Measurement(name=f"{name}_p", value=None if few else 1.0, unit="probability", n=n, where=where, reason=few),
    ]


def _told(case: Case, labels: LabelSet) -> _Told:
    among = None
    if labels.kind == "environment":
        among = [index for index, image in enumerate(case.dataset.images) if image.role == IN_CONTEXT]
    visible = look(case.dataset.images, case.references, case.label_sets, labels, among)
    surest = visible.probability.max(axis=1) if len(visible) else []
    shows = {
        index: label
        for index, label, p in zip(visible.pictures, visible.told, surest, strict=True)
        if p >= SURE and label != PLAIN
    }
    return _Told(name=labels.attribute, kind=labels.kind, shows=shows)


def _light(case: Case) -> _Told:
    """Lightness and colour cast of each picture, from its mean colour."""
    colours = {index: image.facts.colour for index, image in enumerate(case.dataset.images) if image.facts is not None}
    return _Told(name=LIGHT, kind=LIGHT, shows={index: light_of(*colour) for index, colour in colours.items()})


def light_of(lightness: float, red: float, yellow: float) -> str:
    """A mean CIE Lab colour in words: `dark yellow`, `bright neutral` ..."""
    level = next(name for name, upto in LIGHTS if lightness < upto or upto > 100)
    if math.hypot(red, yellow) < CAST:
        return f"{level} neutral"
    cast = ("yellow" if yellow > 0 else "blue") if abs(yellow) >= abs(red) else ("red" if red > 0 else "green")
    return f"{level} {cast}"


def _pair(first: _Told, second: _Told) -> _Pair | None:
    """None where they are parts of one look, too few pictures show both, or one of them does not vary."""
    if first.kind == second.kind or {first.kind, second.kind} in ONE_THING:
        return None
    both = sorted(set(first.shows) & set(second.shows))
    pictures = both[:: math.ceil(len(both) / PLENTY)] if both else []
    if len(pictures) < ENOUGH:
        return None
    one, other = (_codes([each.shows[index] for index in pictures]) for each in (first, second))
    if one is None or other is None:
        return None
    return _Pair(
        first=first, second=second, pictures=pictures, strength=corrected_v(one, other),
        chance=permutation_p(one, other),
    )  # fmt: skip


def _codes(labels: Sequence[str]) -> Array | None:
    """Labels as integers from 0, rare ones as one; None where fewer than two are left."""
    import numpy as np

    merged = _merged(labels)
    names = {name: code for code, name in enumerate(sorted(set(merged)))}
    return None if len(names) < 2 else np.array([names[label] for label in merged])


def _merged(labels: Sequence[str]) -> list[str]:
    """The labels, those of one or two pictures made one."""
    counts = Counter(labels)
    return [label if counts[label] >= FEW else OTHER for label in labels]


def _measurements(pair: _Pair, p: float) -> list[Measurement]:
    first, second, pictures, share = _strongest(pair)
    where, n = {"pair": pair.name}, len(pair.pictures)
    name = NAMES[bool({pair.first.kind, pair.second.kind} & set(TRAITS))]
    return [
        Measurement(name=name, value=pair.strength, unit="score", n=n, where=where, pictures=pictures),
        Measurement(name=f"{name}_p", value=p, unit="probability", n=n, where=where),
        Measurement(
            name="dataset.entangled_share", value=share, unit="share", n=len(pictures), pictures=pictures,
            where={**where, pair.first.name: first, pair.second.name: second},
        ),
    ]  # fmt: skip


def _strongest(pair: _Pair) -> tuple[str, str, tuple[int, ...], float]:
    """The two labels that go together most beyond chance, their pictures, and which share of the rarer one that is."""
    ones = _merged([pair.first.shows[index] for index in pair.pictures])
    others = _merged([pair.second.shows[index] for index in pair.pictures])
    both, one, other = Counter(zip(ones, others, strict=True)), Counter(ones), Counter(others)
    n = len(pair.pictures)

    def residual(cell: tuple[str, str]) -> float:
        expected = one[cell[0]] * other[cell[1]] / n
        rest = (1 - one[cell[0]] / n) * (1 - other[cell[1]] / n)
        return (both[cell] - expected) / math.sqrt(max(1e-9, expected * rest))

    best = max(sorted(cell for cell in both if OTHER not in cell) or sorted(both), key=residual)
    told = zip(pair.pictures, ones, others, strict=True)
    pictures = tuple(index for index, first, second in told if (first, second) == best)
    return *best, pictures, both[best] / min(one[best[0]], other[best[1]])
