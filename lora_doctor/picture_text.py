"""Where a picture shows writing: rows of thin marks of one height, one stroke and many shapes. Classical, no model.

Letters are what smoothing by more than a stroke takes away (black hat and top hat): darker or brighter than what
surrounds them, whatever that is. Marks that stand in a row are a line of writing when they keep one base line and one
stroke, differ in shape as letters do, and have quiet above and below; stripes, windows, book spines, foliage and hair
fail one of these. The numbers were read off lines in DejaVu, Liberation and Aileron, drawn on the miniature's pictures,
and off textures and photographs. Level lines only; letters joined by hand, and pale ones across a busy picture, are
often missed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    Array = np.ndarray[Any, Any]

Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""

SMALLEST = 128
"""Pixels of the shorter side below which a picture cannot hold writing that could be told."""
FULL = 768
"""Longest side, pixels, that is searched for small writing."""
COARSE = 288
"""The same for large writing, whose strokes are thicker than `STROKE` there."""
STROKE = 11
"""Side of the smoothing square in pixels: thinner strokes stand out."""
FAINT = 18
"""Levels (of 255) by which a stroke stands out at least: white at 40 % before a light sky does."""
AROUND = 31
"""Side of the square in which a stroke reaches half of the strongest contrast: so noise beside letters falls away."""
LOWEST, HIGHEST = 6, 80
"""Height of a letter in pixels of the searched copy."""
LETTER_WIDTH = 0.65
"""Of a line's height: how many letters a mark is in which several run together."""
FEWEST = 3
"""Marks of a line at least."""
CLOSEST = 4
"""Marks nearest to a mark's right end among which the next letter is."""
MOST_MARKS = 4000
"""Marks of one copy beyond which it is all texture."""


def find_writing(grey: Image.Image) -> tuple[Box, ...]:
    """Lines of writing in a picture (mode L), in shares of its width and height, the longest first.

    None where the shorter side is under `SMALLEST`. About 12 ms for 1024 x 1024 pixels on one core.
    """
    import cv2
    import numpy as np

    if min(grey.size) < SMALLEST:
        return ()
    copy: Array = np.asarray(grey.reduce(max(1, max(grey.size) // FULL)))
    found: list[Box] = []
    for side in (FULL, COARSE):
        scale = side / max(copy.shape)
        if scale < 1.0:
            size = max(1, round(copy.shape[1] * scale)), max(1, round(copy.shape[0] * scale))
            copy = cv2.resize(copy, size, interpolation=cv2.INTER_AREA if side == COARSE else cv2.INTER_LINEAR)
        height, width = copy.shape
        for left, top, right, bottom in _lines(copy):
            found.append((left / width, top / height, right / width, bottom / height))
        if max(grey.size) <= COARSE:
            break
    return _distinct(found)


def _lines(pixels: Array) -> Iterator[Box]:
    """Lines of writing in a grey picture, in its pixels: dark ones, then bright ones."""
    import cv2

    square = cv2.getStructuringElement(cv2.MORPH_RECT, (STROKE, STROKE))
    for polarity in (cv2.MORPH_BLACKHAT, cv2.MORPH_TOPHAT):
        contrast = cv2.morphologyEx(pixels, polarity, square)
        ink = _ink(contrast)
        marks = _marks(contrast, ink)
        if FEWEST <= len(marks.left) <= MOST_MARKS:
            yield from _writing(marks, ink)


def _ink(contrast: Array) -> Array:
    """1 where a pixel stands out, and at least half as much as the strongest one near it."""
    import cv2

    near = cv2.dilate(contrast, cv2.getStructuringElement(cv2.MORPH_RECT, (AROUND, AROUND)))
    clear = cv2.compare(contrast, cv2.addWeighted(near, 0.5, near, 0.0, 0.0), cv2.CMP_GE)
    return cv2.bitwise_and(clear, cv2.threshold(contrast, FAINT - 1, 1, cv2.THRESH_BINARY)[1])


# ---------------------------------------------------------------- marks


@dataclass(frozen=True, slots=True)
class _Marks:
    """Connected pieces of ink that may be letters, or several that run together; an entry each."""

    left: Array
    top: Array
    width: Array
    height: Array
    fill: Array
    """Ink / area of the box."""
    stroke: Array
    """Mean length of a run of ink across or down, the shorter one; pixels."""
    across: Array
    """Runs of ink per row: an l has one, an m three."""
    down: Array
    """Runs per column."""
    contrast: Array

    @property
    def right(self) -> Array:
        return self.left + self.width

    @property
    def bottom(self) -> Array:
        return self.top + self.height

    def some(self, chosen: Array) -> _Marks:
        """Those of the given indexes, or where it is true."""
        return _Marks(*(getattr(self, each.name)[chosen] for each in fields(self)))


def _marks(contrast: Array, ink: Array) -> _Marks:
    """The pieces of ink that have the size and density of letters."""
    import cv2
    import numpy as np

    count, labels, table, _ = cv2.connectedComponentsWithStats(ink, connectivity=8, ltype=cv2.CV_16U)
    set_ = ink.astype(bool)
    starts = np.flatnonzero(set_[:, 1:] & ~set_[:, :-1])
    across = np.maximum(1, np.bincount(labels[:, 1:].ravel()[starts], minlength=count))
    starts = np.flatnonzero(set_[1:] & ~set_[:-1])
    down = np.maximum(1, np.bincount(labels[1:].ravel()[starts], minlength=count))
    where = np.flatnonzero(set_)
    total = np.bincount(labels.ravel()[where], weights=contrast.ravel()[where], minlength=count)
    left, top, width, height, area = table[1:].T.astype(np.float64)
    across, down, total = across[1:count], down[1:count], total[1:count]
    found = _Marks(
        left, top, width, height, area / (width * height), np.minimum(area / across, area / down), across / height,
        down / width, total / area,
    )  # fmt: skip
    size = (height >= LOWEST) & (height <= HIGHEST) & (width <= 10 * height) & (area >= 8)
    return found.some(size & (found.fill > 0.12) & (found.stroke < 0.6 * height))


# ---------------------------------------------------------------- rows


def _rows(marks: _Marks) -> tuple[_Marks, Array]:
    """The marks that follow one another on a line, row by row and left to right, and where each row starts.

    Rows of fewer than `FEWEST` marks are left out.
    """
    import numpy as np
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    before, after = _neighbours(marks)
    count = len(marks.left)
    edges = coo_matrix((np.ones(len(before), bool), (before, after)), shape=(count, count))
    row = connected_components(edges, directed=False)[1]
    order = np.lexsort((marks.left, row))
    order = order[np.bincount(row)[row[order]] >= FEWEST]
    return marks.some(order), np.flatnonzero(np.diff(row[order], prepend=-1))


def _neighbours(marks: _Marks) -> tuple[Array, Array]:
    """Pairs of marks, left one and right one: next to each other, of one base line, one height, stroke and contrast."""
    import numpy as np
    from scipy.spatial import cKDTree

    found = [np.empty((0, 2), np.int64)]
    low = float(LOWEST)
    while low < HIGHEST:  # sizes overlap, so that a capital and a small letter meet in one of them
        some = np.flatnonzero((marks.height >= low) & (marks.height < 2.4 * low))
        if len(some) > 1:
            scale = np.array([1.6 * low, 1.3 * low])
            ends = np.stack([marks.right[some], marks.bottom[some]], axis=1) / scale
            starts = np.stack([marks.left[some], marks.bottom[some]], axis=1) / scale
            near = cKDTree(starts).query(ends, k=CLOSEST, distance_upper_bound=1.0)[1]  # no neighbour = one too far
            first, second = np.repeat(some, CLOSEST), np.append(some, -1)[near.ravel()]
            found.append(np.stack([first, second], axis=1)[second >= 0])
        low *= 1.55
    one, other = np.concatenate(found).T
    tall = np.maximum(marks.height[one], marks.height[other])
    short = np.minimum(marks.height[one], marks.height[other])
    gap = marks.left[other] - marks.right[one]
    overlap = np.minimum(marks.bottom[one], marks.bottom[other]) - np.maximum(marks.top[one], marks.top[other])
    kept = marks.left[other] + marks.width[other] / 2 > marks.left[one] + marks.width[one] / 2
    kept &= (tall <= 2.2 * short) & (gap >= -0.25 * short) & (gap <= 0.9 * tall) & (overlap >= 0.5 * short)
    kept &= np.abs(marks.bottom[one] - marks.bottom[other]) <= 0.35 * tall
    kept &= (_ratio(marks.stroke, one, other) <= 2.0) & (_ratio(marks.contrast, one, other) <= 1.8)
    return one[kept], other[kept]


def _ratio(values: Array, one: Array, other: Array) -> Array:
    import numpy as np

    return np.maximum(values[one], values[other]) / np.minimum(values[one], values[other])


# ---------------------------------------------------------------- lines


def _writing(marks: _Marks, ink: Array) -> Iterator[Box]:
    """The boxes of the rows that are more like letters than like anything else."""
    import numpy as np

    needed = _letters_needed(len(marks.left))
    marks, starts = _rows(marks)
    if not len(starts):
        return
    lines = _measured(marks, starts)
    limits = _noise_allowed(lines)
    for index in np.flatnonzero((lines.letters >= needed) & (limits > 0) & _letter_like(lines)):
        left, top, right, bottom = (float(side[index]) for side in lines.box)
        if _noise(ink, (left, top, right, bottom), float(lines.height[index])) <= limits[index]:
            yield left, top, right, bottom


def _letters_needed(marks: int) -> int:
    """How long a line has to be: among many marks, some stand in a row by chance."""
    return 5 + (marks > 60) + (marks > 250) + (marks > 1000)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Lines:
    """What rows of marks are like, an entry each; lengths in heights of the middle mark, spreads as deviations."""

    box: tuple[Array, Array, Array, Array]
    marks: Array
    letters: Array
    """Marks, those of several letters counted as such."""
    height: Array
    """Of the middle mark, pixels."""
    height_spread: Array
    span: Array
    """Height of the whole."""
    on_base: Array
    """Share of its width that stands on one straight line."""
    slope: Array
    across: Array
    down: Array
    fill: Array
    fill_spread: Array
    stroke: Array
    stroke_spread: Array
    """Relative."""
    contrast_spread: Array
    """Relative."""
    bars: Array
    """Share of the marks that are upright solid bars."""
    gap: Array
    gap_spread: Array


def _measured(marks: _Marks, starts: Array) -> _Lines:
    """What the rows are like that begin at `starts`."""
    import numpy as np

    count = np.diff(starts, append=len(marks.left))
    height, width = _middle(marks.height, starts), marks.width
    each = np.repeat(height, count)
    total = np.add.reduceat(width, starts)

    def by_width(values: Array) -> Array:
        shares: Array = np.add.reduceat(values * width, starts) / total
        return shares

    box = (np.minimum.reduceat(marks.left, starts), np.minimum.reduceat(marks.top, starts),
           np.maximum.reduceat(marks.right, starts), np.maximum.reduceat(marks.bottom, starts))  # fmt: skip
    off_base, slope = _off_base(marks, starts, count)
    inner = np.delete(np.arange(len(width)), starts)
    gaps = (marks.left[inner] - marks.right[inner - 1]) / each[inner]
    between = starts - np.arange(len(starts))
    bars = (marks.fill > 0.8) & (marks.across < 1.15) & (width < 0.6 * each)
    return _Lines(
        box=box, marks=count, height=height, span=(box[3] - box[1]) / height, slope=slope,
        letters=np.add.reduceat(np.maximum(1, np.round(width / (LETTER_WIDTH * each))), starts),
        height_spread=_spread(marks.height / each, starts, count), on_base=by_width(off_base <= 0.12 * each),
        across=by_width(marks.across), down=by_width(marks.down), fill=by_width(marks.fill),
        fill_spread=_spread(marks.fill, starts, count), stroke=_middle(marks.stroke, starts) / height,
        stroke_spread=_spread(marks.stroke, starts, count) / _mean(marks.stroke, starts, count),
        contrast_spread=_spread(marks.contrast, starts, count) / _mean(marks.contrast, starts, count),
        bars=_mean(bars, starts, count), gap=_middle(gaps, between), gap_spread=_spread(gaps, between, count - 1),
    )  # fmt: skip


def _mean(values: Array, starts: Array, count: Array) -> Array:
    import numpy as np

    means: Array = np.add.reduceat(values.astype(np.float64), starts) / count
    return means


def _spread(values: Array, starts: Array, count: Array) -> Array:
    """Standard deviation of each row's values."""
    import numpy as np

    return np.sqrt(_mean((values - np.repeat(_mean(values, starts, count), count)) ** 2, starts, count))


def _middle(values: Array, starts: Array) -> Array:
    """Median of each row's values."""
    import numpy as np

    count = np.diff(starts, append=len(values))
    ordered = values[np.lexsort((values, np.repeat(np.arange(len(starts)), count)))]
    middle: Array = (ordered[starts + (count - 1) // 2] + ordered[starts + count // 2]) / 2
    return middle


def _off_base(marks: _Marks, starts: Array, count: Array) -> tuple[Array, Array]:
    """How far each mark's lower edge is from its row's least-squares line, in pixels, and the line's slope."""
    import numpy as np

    x = marks.left + marks.width / 2
    x = x - np.repeat(_mean(x, starts, count), count)
    y = marks.bottom - np.repeat(_mean(marks.bottom, starts, count), count)
    slope = np.add.reduceat(x * y, starts) / np.maximum(np.add.reduceat(x * x, starts), 1e-9)
    return np.abs(y - np.repeat(slope, count) * x), slope


# ---------------------------------------------------------------- judging a line


def _letter_like(lines: _Lines) -> Array:
    """Whether marks have the density and the strokes of letters, and stand in one even row."""
    dense = _within(lines.across, 1.02, 3) & _within(lines.down, 1.02, 2.1) & _within(lines.fill, 0.25, 0.8)
    one_pen = _within(lines.stroke, 0.08, 0.52) & (lines.stroke_spread <= 0.35) & (lines.fill_spread >= 0.02)
    level = (abs(lines.slope) < 0.25) & (lines.height_spread <= 0.35) & (lines.span <= 2.2)
    even: Array = dense & one_pen & level & (lines.gap <= 0.5) & (lines.gap_spread <= 0.45)
    return even


def _noise_allowed(lines: _Lines) -> Array:
    """Ink per area that there may be above and below each line; 0 = it is no writing. The fewer marks, the stricter."""
    import numpy as np

    many, some = lines.marks >= 6, lines.marks >= 4
    long = lines.letters >= 8
    shaped = (lines.fill_spread >= 0.04) & (lines.fill >= 0.3) & (lines.stroke >= 0.12) & (lines.height_spread <= 0.3)
    return np.select(
        [
            many & _clear(lines, on_base=0.4, contrast=0.42, bars=0.6),
            ~many & some & long & _clear(lines, on_base=0.6, contrast=0.22, bars=0.5),
            ~many & some & ~long & shaped & _clear(lines, on_base=0.6, contrast=0.15, bars=0.4),
            ~some & long & _clear(lines, on_base=0.6, contrast=0.12, bars=1.0),
        ],
        [0.1, 0.06, 0.06, 0.03],
        0.0,
    )


def _clear(lines: _Lines, *, on_base: float, contrast: float, bars: float) -> Array:
    held: Array = (lines.contrast_spread <= contrast) & (lines.on_base >= on_base) & (lines.bars <= bars)
    return held


def _within(values: Array, low: float, high: float) -> Array:
    inside: Array = (values >= low) & (values <= high)
    return inside


def _noise(ink: Array, box: Box, height: float) -> float:
    """Ink per area just above or just below the box, the larger one: writing has quiet around it."""
    left, top, right, bottom = (round(each) for each in box)
    reach = max(2, round(0.4 * height))
    strips = ink[max(0, top - reach) : max(0, top - 1), left:right], ink[bottom + 1 : bottom + reach, left:right]
    return max((float(strip.mean()) for strip in strips if strip.size), default=0.0)


def _distinct(boxes: list[Box]) -> tuple[Box, ...]:
    """Without those that lie mostly in another: what both copies show is one line."""
    kept: list[Box] = []
    for box in sorted(boxes, key=lambda box: box[0] - box[2]):
        if all(_shared(box, other) < 0.5 for other in kept):
            kept.append(box)
    return tuple(kept)


def _shared(box: Box, other: Box) -> float:
    """Share of `box` that lies in `other`."""
    across, down = (max(0.0, min(box[i + 2], other[i + 2]) - max(box[i], other[i])) for i in (0, 1))
    area = (box[2] - box[0]) * (box[3] - box[1])
    return across * down / area if area > 0 else 1.0
