"""What the pictures of a dataset show, label by label, with the probability that CLIP was not mistaken. Pure.

CLIP's probabilities are read as likelihoods: which label a picture shows also depends on how usual that label is in
this dataset, and that is estimated from all its pictures (Saerens, Latinne and Decaestecker 2002, Neural Computation
14). So a doubtful reading counts for what it is worth, a stray one makes no new label, and an instrument that tells
nothing says so.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from lora_doctor.captions import one_spelling, says, texts
from lora_doctor.grey_pictures import hides
from lora_doctor.types import DatasetImage, LabelSet, Reading

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

MISREAD = 0.01
"""No reading is taken for surer than one mistake in a hundred, however near to 1 a softmax runs."""
TESTED_ON = 5
"""Captions that name one label, each but the commonest, before their agreement with CLIP says how well it reads."""
LIKELIER_RIGHT = 0.5
"""Agreement from which captions and CLIP bear each other out; below it one of them is wrong, and which is not told."""
ROUNDS = 100
REMEMBERED = 1 << 18
"""Captions whose labels are kept."""
STEPS = 96
"""Values of the unknown share that are weighed."""
LOW, HIGH = 0.05, 0.95
WIDE = 0.5
"""Width of a 90 % interval of a share from which the instrument has told nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """A share of pictures, 0 to 1, with its 90 % interval from the instrument's doubts; a census has no other."""

    value: float
    low: float
    high: float

    @property
    def told(self) -> bool:
        """False where the interval is so wide that the value means nothing."""
        return self.high - self.low <= WIDE

    @property
    def interval(self) -> tuple[float, float]:
        """As a measurement wants it."""
        return self.low, self.high


@dataclass(frozen=True, kw_only=True, slots=True)
class Visible:
    """What the pictures that can show one attribute show of it: n pictures, k labels."""

    labels: LabelSet
    pictures: tuple[int, ...]
    """Indexes into the dataset's images, ascending: framing shows the attribute, and it was read."""
    unread: int
    """How many further pictures could not be read."""
    repeats: Array
    """(n,) how often each is shown in an epoch."""
    likelihood: Array
    """(n, k) rows sum to 1: the instrument's own probabilities, no surer than `misread` lets them be."""
    usual: Array
    """(k,) estimated share of pictures that show each label, repeats not counted."""
    probability: Array
    """(n, k) rows sum to 1: that the picture shows the label, given all of them."""
    misread: float
    """Share of readings taken to be wrong whatever their probability, 0 to 1."""
    caveat: str | None = None
    """What else to know of the instrument, in a sentence."""

    def __len__(self) -> int:
        return len(self.pictures)

    @property
    def told(self) -> list[str]:
        """The likeliest label of each picture."""
        return [self.labels.labels[int(index)] for index in self.probability.argmax(axis=1)]

    def rows(self, pictures: Collection[int]) -> list[int]:
        """The rows of those of `pictures` that are here."""
        return [row for row, index in enumerate(self.pictures) if index in pictures]

    def share(self, label: str, rows: Sequence[int] | None = None) -> Share | None:
        """Share of the pictures (of those in `rows`) that show `label`, by repeats; None where there is no picture.

        The share in the population that the readings speak for has Jeffreys' prior; given it, each picture shows the
        label or not, which is the only doubt about a census. With readings that tell nothing the interval is nearly 0
        to 1.
        """
        import numpy as np

        chosen = np.arange(len(self)) if rows is None else np.asarray(rows, dtype=int)
        if not len(chosen):
            return None
        one = self.labels.labels.index(label)
        weights = self.repeats[chosen] / self.repeats[chosen].sum()
        own, rest = self.likelihood[chosen, one], self._otherwise(one)[chosen]
        angles = (np.arange(STEPS) + 0.5) / STEPS * math.pi / 2
        guess = np.sin(angles) ** 2  # evenly spaced angles are Jeffreys' prior
        evidence = np.zeros(STEPS)
        mean, variance = np.zeros(STEPS), np.zeros(STEPS)
        for start in range(0, len(chosen), 1 << 14):
            part = slice(start, start + (1 << 14))
            yes, no = own[part, None] * guess, rest[part, None] * (1 - guess)
            evidence += np.log(yes + no).sum(axis=0)
            shows = yes / (yes + no)
            mean += weights[part] @ shows
            variance += weights[part] ** 2 @ (shows * (1 - shows))
        belief = np.exp(evidence - evidence.max())
        belief /= belief.sum()
        low, high = _quantiles(belief, mean, np.sqrt(variance))
        value = float(belief @ mean)
        return Share(value=value, low=min(low, value), high=max(high, value))

    def captioned(self, label: str, says_so: Array) -> Share | None:
        """Of the pictures that show `label`, the share whose caption `says_so` ((n,), 0 to 1), by repeats.

        None where fewer than half a picture can be expected to show it. The interval is that of a ratio of sums (delta
        method) under the instrument's doubts.
        """
        import numpy as np

        shows = self.probability[:, self.labels.labels.index(label)]
        if float(shows.sum()) < 0.5:
            return None
        weights = self.repeats * shows
        value = float(weights @ says_so / weights.sum())
        spread = self.repeats**2 * shows * (1 - shows) * (says_so - value) ** 2
        half = 1.645 * float(np.sqrt(spread.sum())) / float(weights.sum())
        return Share(value=value, low=max(0.0, value - half), high=min(1.0, value + half))

    def draws(self, count: int, seed: int) -> Array:
        """(count, n) label indexes: what the pictures may show, drawn from their probabilities; equal for equal
        seeds, in whatever order the pictures are."""
        import numpy as np

        place = np.argsort(np.lexsort(self.probability.T))
        chance = np.random.default_rng(seed).random((count, len(self)))[:, place]
        upto = np.cumsum(self.probability, axis=1)
        drawn: Array = np.stack([(upto < row[:, None]).sum(axis=1) for row in chance])
        return np.minimum(drawn, len(self.labels.labels) - 1)

    def _otherwise(self, one: int) -> Array:
        """(n,) likelihood of each picture if it shows another label, as usual as those are."""
        import numpy as np

        others = np.delete(self.usual, one) + 1 / (len(self) + 1) / len(self.usual)
        mixed: Array = np.delete(self.likelihood, one, axis=1) @ (others / others.sum())
        return mixed


def look(
    images: Sequence[DatasetImage],
    references: Sequence[Reading | None],
    label_sets: Mapping[str, LabelSet],
    labels: LabelSet,
    among: Collection[int] | None = None,
) -> Visible:
    """What the pictures (those `among` the indexes) show of the attribute `labels`; `references` in their order.

    A picture without colours shows none, and is no more counted than one whose framing hides the attribute.
    """
    import numpy as np

    framings = label_sets.get("framing")
    asked = range(len(images)) if among is None else sorted(among)
    pictures, rows, unread = [], [], 0
    for index in asked:
        reading = references[index]
        row = None if reading is None else reading.probabilities.get(labels.attribute)
        if reading is None or row is None:
            unread += 1
        elif _shows(reading, labels, framings) and not hides(images[index], labels):
            pictures.append(index)
            rows.append(row)
    count = len(labels.labels)
    read = np.asarray(rows, dtype=float).reshape(len(rows), count)
    misread, caveat = _tested(read, [images[index] for index in pictures], labels)
    likelihood = (1 - misread) * read + misread / count
    usual = _usual(likelihood)
    shows = likelihood * usual
    return Visible(
        labels=labels, pictures=tuple(pictures), unread=unread, misread=misread, caveat=caveat,
        repeats=np.array([images[index].repeats for index in pictures], dtype=float),
        likelihood=likelihood, usual=usual, probability=shows / shows.sum(axis=1, keepdims=True),
    )  # fmt: skip


@lru_cache(maxsize=REMEMBERED)
def said(text: str, labels: tuple[str, ...]) -> frozenset[str]:
    """The labels that a caption says; remembered, as several audits ask it of every caption."""
    told = one_spelling(text)  # a label's first word stands in whatever says it: cheaper to look for than the label
    return frozenset(label for label in labels if _first_word(label) in told and says(text, label))


def said_share(image: DatasetImage, labels: tuple[str, ...]) -> float:
    """Share of the picture's captions, 0 to 1, that say any of the labels; 0 where it has none."""
    captions = texts(image)
    return sum(bool(said(text, labels)) for text in captions) / len(captions) if captions else 0.0


def _first_word(label: str) -> str:
    return one_spelling(label).replace(",", " ").strip().partition(" ")[0]


def _shows(reading: Reading, labels: LabelSet, framings: LabelSet | None) -> bool:
    """Whether the framing likelier shows the attribute than not; yes where the framing is not known."""
    row = None if framings is None else reading.probabilities.get(framings.attribute)
    if framings is None or row is None:
        return True
    return sum(float(p) for name, p in zip(framings.labels, row, strict=True) if name in labels.framings) >= 0.5


def _usual(likelihood: Array) -> Array:
    """(k,) the shares of labels under which all readings together are likeliest, by expectation and maximisation."""
    import numpy as np

    n, count = likelihood.shape
    shares = np.full(count, 1 / count)
    for _ in range(ROUNDS if n else 0):
        shows = likelihood * shares
        better = (shows / shows.sum(axis=1, keepdims=True)).mean(axis=0)
        done = float(np.abs(better - shares).max()) < 1e-6
        shares = better
        if done:
            break
    usual: Array = shares
    return usual


def _tested(read: Array, images: Sequence[DatasetImage], labels: LabelSet) -> tuple[float, str | None]:
    """Which share of readings to take for wrong, tested on the captions that name one label, and a caveat.

    A label in most captions may be there out of habit, and tests nothing: it is left out. Agreement of half or more can
    only come about when both sides are mostly right, and what is missing to 1 is then the most that CLIP gets wrong
    beyond what its probabilities admit. Less agreement tells that one of them is wrong: CLIP is then heard for as sure
    as it is.
    """
    said = [one[0] if len(one := _named(image, labels)) == 1 else None for image in images]
    counts = {label: said.count(label) for label in set(said) if label is not None}
    habit = {label for label, count in counts.items() if 2 * count > sum(counts.values())}
    tested = [(row, label) for row, label in zip(read, said, strict=True) if label is not None and label not in habit]
    if len(tested) < TESTED_ON:
        return MISREAD, None
    right = sum(int(row.argmax()) == labels.labels.index(label) for row, label in tested)
    if right < LIKELIER_RIGHT * len(tested):
        caveat = f"of {len(tested)} captions that name one {labels.attribute}, CLIP bears out {right}"
        return MISREAD, caveat
    admitted = sum(1 - float(row.max()) for row, _ in tested)
    return min(0.5, max(MISREAD, (len(tested) - right - admitted) / len(tested))), None


def _named(image: DatasetImage, labels: LabelSet) -> list[str]:
    """The labels that all captions of the picture together name."""
    together = frozenset[str]().union(*(said(text, labels.labels) for text in texts(image)))
    return [label for label in labels.labels if label in together]


def _quantiles(belief: Array, means: Array, spreads: Array) -> tuple[float, float]:
    """5 % and 95 % of a mixture of normals within 0 and 1."""
    import numpy as np
    from scipy.special import ndtr

    points = np.linspace(0, 1, 1001)
    upto = ndtr((points[:, None] - means) / np.maximum(spreads, 1e-6)) @ belief
    low = points[min(int(np.searchsorted(upto, LOW)), 1000)]
    high = points[min(int(np.searchsorted(upto, HIGH)), 1000)]
    return float(low), float(high)
