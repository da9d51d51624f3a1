"""Which pictures of a dataset repeat another one: saved again, cropped a little, or turned left to right. Pure.

Two witnesses, the perceptual hash and the embedding, have to agree, and what they say is calibrated on the dataset
itself: pictures of one character in one style may all look alike to either. Where faces were found, eyes, nose and
mouth must be at the same place, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lora_doctor.types import Dataset, Reading

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

BITS = 64
SAME = 4
"""Bits of the hash in which a picture differs from itself saved again, at most: as JPEG of quality 80, at another size
or brightness."""
NEAR = 12
"""The same of most pictures cropped by 3 % a side: the most that is called similar, where the dataset allows it."""
UNLIKE = 20
"""Bits from which two pictures are certainly not the same: how alike embeddings are among these tells what likeness of
embeddings means here."""
ALIKE = 0.96
"""Cosine that pictures of similar hash need: where data set tools drop near-duplicates (anime_screenshot_pipeline)."""
COMMON = 0.75
"""Of the pairs that are certainly not the same, the share that is less alike than two pictures need to be for the
embedding not to contradict a nearly equal hash."""
MISLED = 0.02
"""Share of the pairs of similar hash that may clearly differ by their embedding; where there are more, as among
close-ups before one backdrop, the hash sees too little, and less is called similar."""
COLOUR = 15.0
"""Distance of mean colours (CIE76) that a brighter copy may have; the hash does not see colour."""
MOVED = 0.02
"""Of the picture's sides, how far apart the features of a face may be: copies have them within 0.016, and 99 % of
pictures cropped by 3 % a side within 0.021."""
BLOCK = 256
"""Pictures that are compared with all others at once."""
SINGLY = 16_384
"""Pairs of a block up to which their cosines are computed one by one; more share a matrix product."""
SAMPLED = 50_000
"""Pairs of pictures that are looked at to see how alike embeddings are."""


def copies_among(dataset: Dataset, references: Sequence[Reading | None]) -> tuple[tuple[int, ...], ...]:
    """Groups of near-duplicates, mirrored ones among them, as indexes into `Dataset.images`."""
    known = [index for index, image in enumerate(dataset.images) if image.facts is not None]
    return tuple(map(tuple, look_alikes(dataset, references, known)[1])) if len(known) > 1 else ()


def look_alikes(
    dataset: Dataset, references: Sequence[Reading | None], known: Sequence[int]
) -> tuple[list[list[int]], list[list[int]]]:
    """Groups of two and more pictures that are alike as they are, and of those that are alike or mirrored.

    `known` are indexes into `Dataset.images`, of pictures whose files were surveyed; `references` holds a reading of
    every image. Largest groups first.
    """
    import numpy as np

    contents = [dataset.images[index].sha256 or str(index) for index in known]
    _, first, content = np.unique(contents, return_index=True, return_inverse=True)
    looks = _looks_of(dataset, references, [known[place] for place in first])  # the same bytes are the same picture
    bounds = _bounds(looks)
    straight = everything = np.arange(len(first))
    for pairs in _candidates(looks, bounds.bits):
        kept = _agreed(looks, bounds, pairs)
        everything = _joined(everything, pairs.rows[kept], pairs.columns[kept])
        if not pairs.turned:
            straight = _joined(straight, pairs.rows[kept], pairs.columns[kept])
    return _members(straight[content], known), _members(everything[content], known)


def _joined(labels: Array, rows: Array, columns: Array) -> Array:
    """Group numbers of all pictures after each of the pairs came into one group."""
    import numpy as np
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    left, right = labels[rows], labels[columns]
    apart = left != right
    if not apart.any():
        return labels
    count = int(labels.max()) + 1
    edges = coo_matrix((np.ones(int(apart.sum()), bool), (left[apart], right[apart])), shape=(count, count))
    renamed: Array = connected_components(edges, directed=False)[1].astype(np.int64)
    return renamed[labels]


def _members(labels: Array, known: Sequence[int]) -> list[list[int]]:
    found: dict[int, list[int]] = {}
    for label, index in zip(labels.tolist(), known, strict=True):
        found.setdefault(label, []).append(index)
    return ordered(list(found.values()))


def ordered(groups: list[list[int]]) -> list[list[int]]:
    """The groups of two and more, largest first."""
    return sorted((group for group in groups if len(group) > 1), key=lambda group: (-len(group), group[0]))


# ---------------------------------------------------------------- likeness


@dataclass(frozen=True, kw_only=True, slots=True)
class _Looks:
    """What is compared, a row per picture."""

    hashes: Array
    """(n, 64) -1 or 1."""
    mirrored: Array
    """The same, turned left to right."""
    colours: Array
    """(n, 3) CIE Lab."""
    embeddings: Array | None
    """(n, d) of unit length, zeros where a picture has none; None = no picture has one."""
    embedded: Array
    """(n,) whether a picture has one."""
    features: Array
    """(n, 5, 2) where the largest face has its eyes, nose and corners of the mouth, as shares of the sides; NaN = no
    face."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Bounds:
    """What hash and embedding mean in this dataset."""

    bits: int
    """Bits in which similar hashes may differ, `SAME` to `NEAR`."""
    common: float
    """Cosine that different pictures commonly stay under; two of less clearly differ."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Pairs:
    """Pairs of pictures of similar hash and colour, one row number each."""

    rows: Array
    columns: Array
    bits: Array
    """In which the hashes differ."""
    turned: bool
    """True = the one's with the mirrored other's."""


def _looks_of(dataset: Dataset, references: Sequence[Reading | None], known: Sequence[int]) -> _Looks:
    import numpy as np

    facts = [facts for index in known if (facts := dataset.images[index].facts) is not None]
    found = [reading.embedding if (reading := references[index]) is not None else None for index in known]
    width = next((len(each) for each in found if each is not None), 0)
    rows = [each if each is not None and len(each) == width else np.zeros(width) for each in found]
    return _Looks(
        hashes=_signs(one.perceptual_hash for one in facts),
        mirrored=_signs(one.mirrored_hash for one in facts),
        colours=np.array([one.colour for one in facts], np.float32),
        embeddings=np.array(rows, np.float32) if width else None,
        embedded=np.array([each is not None and len(each) == width and width > 0 for each in found]),
        features=np.stack([_features(references[index]) for index in known]).astype(np.float32),
    )


def _features(reading: Reading | None) -> Array:
    """(5, 2); NaN where there are none."""
    import numpy as np

    points = None if reading is None else reading.face.landmarks
    if reading is None or points is None or len(points) != 5:
        return np.full((5, 2), np.nan)
    return np.array(points, np.float64) / (max(1, reading.width), max(1, reading.height))


def _signs(hashes: Iterator[int]) -> Array:
    """(n, 64) of -1 and 1: the product of two rows is 64 - 2 x the bits in which they differ."""
    import numpy as np

    packed = np.array([list(int(one).to_bytes(BITS // 8, "big")) for one in hashes], np.uint8)
    return np.unpackbits(packed, axis=1).astype(np.float32) * 2 - 1


def _bounds(looks: _Looks) -> _Bounds:
    """How alike pictures of this dataset are that certainly differ."""
    import numpy as np

    if looks.embeddings is None:
        return _Bounds(bits=SAME, common=-1.0)
    cosines = _unlike(looks, looks.embeddings)
    if not len(cosines):
        return _Bounds(bits=NEAR, common=-1.0)
    common = float(np.quantile(cosines, COMMON))
    return _Bounds(bits=_trusted_bits(looks, common), common=common)


def _unlike(looks: _Looks, embeddings: Array) -> Array:
    """Cosines of pairs of pictures that are certainly not the same."""
    import numpy as np

    count = len(looks.hashes)
    left, right = np.random.default_rng(0).integers(0, count, (2, min(SAMPLED, 20 * count * count)))
    usable = looks.embedded[left] & looks.embedded[right]
    left, right = left[usable], right[usable]
    distance = (BITS - np.einsum("ij,ij->i", looks.hashes[left], looks.hashes[right])) / 2
    far = distance >= UNLIKE
    cosines: Array = np.einsum("ij,ij->i", embeddings[left[far]], embeddings[right[far]])
    return cosines


def _trusted_bits(looks: _Looks, common: float) -> int:
    """In how many bits hashes may differ before they call too many pairs similar that differ clearly."""
    import numpy as np

    similar, misled = np.zeros(NEAR + 1), np.zeros(NEAR + 1)
    for pairs in _candidates(looks, NEAR):
        cosine, told = _cosines(looks, pairs)
        bits = pairs.bits[told].astype(int)
        similar += np.bincount(bits, minlength=NEAR + 1)
        misled += np.bincount(bits[cosine[told] < common], minlength=NEAR + 1)
    trusted = np.cumsum(misled) <= MISLED * np.cumsum(similar)
    return next((bits for bits in range(NEAR, SAME, -1) if trusted[bits]), SAME)


def _candidates(looks: _Looks, bits: int) -> Iterator[_Pairs]:
    """All pairs of pictures of similar colours and features whose hashes differ in at most `bits` bits, in blocks."""
    import numpy as np

    for start in range(0, len(looks.hashes), BLOCK):
        block = looks.hashes[start : start + BLOCK]
        for others, turned in ((looks.hashes, False), (looks.mirrored, True)):
            distance = (BITS - block @ others[start:].T) / 2
            row, column = np.nonzero(distance <= bits)
            apart, row, column = distance[row, column], row + start, column + start
            for agree in (_further, _of_one_colour, _at_one_place):
                kept = agree(looks, row, column, turned)
                row, column, apart = row[kept], column[kept], apart[kept]
            yield _Pairs(rows=row, columns=column, bits=apart, turned=turned)


def _further(looks: _Looks, row: Array, column: Array, turned: bool) -> Array:
    """Each pair once."""
    once: Array = column > row
    return once


def _of_one_colour(looks: _Looks, row: Array, column: Array, turned: bool) -> Array:
    import numpy as np

    near: Array = np.linalg.norm(looks.colours[row] - looks.colours[column], axis=1) <= COLOUR
    return near


def _at_one_place(looks: _Looks, row: Array, column: Array, turned: bool) -> Array:
    """False where both pictures show a face, but not with its features at the same place."""
    import numpy as np

    features = looks.features
    if turned:
        features = features[:, [1, 0, 2, 4, 3]].copy()  # what was left is right
        features[:, :, 0] = 1 - features[:, :, 0]
    there: Array = ~(np.abs(looks.features[row] - features[column]).max(axis=(1, 2)) > MOVED)  # NaN is not above
    return there


def _cosines(looks: _Looks, pairs: _Pairs) -> tuple[Array, Array]:
    """Cosine of each pair's embeddings, and whether both have one."""
    import numpy as np

    told: Array = looks.embedded[pairs.rows] & looks.embedded[pairs.columns]
    if looks.embeddings is None:
        return np.zeros(len(told)), told
    if len(told) <= SINGLY:
        return np.einsum("ij,ij->i", looks.embeddings[pairs.rows], looks.embeddings[pairs.columns]), told
    first, last = int(pairs.rows.min()), int(pairs.rows.max())  # all of one block
    return (looks.embeddings[first : last + 1] @ looks.embeddings.T)[pairs.rows - first, pairs.columns], told


def _agreed(looks: _Looks, bounds: _Bounds, pairs: _Pairs) -> Array:
    """Which of the pairs are alike by embedding, too. One without embeddings needs a nearly equal hash."""
    import numpy as np

    cosine, told = _cosines(looks, pairs)
    agreed = (cosine >= ALIKE) | ((pairs.bits <= SAME) & (cosine >= bounds.common))
    return np.where(told, agreed, pairs.bits <= SAME)
