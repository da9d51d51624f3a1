"""A colour seen in tinted light -> the colour it has in the usual one, told from the skin beside it. Pure mathematics.

Von Kries: light scales each channel by itself, so what it does to skin of a known colour it does to everything near.
"""

from __future__ import annotations

from collections.abc import Sequence

Lab = tuple[float, float, float]
WHITE = (0.95047, 1.0, 1.08883)
"""D65."""
MATRIX = ((3.2404542, -1.5371385, -0.4985314), (-0.9692660, 1.8760108, 0.0415560), (0.0556434, -0.2040259, 1.0572252))
"""XYZ to linear sRGB (IEC 61966-2-1): in these channels a tint of a picture scales."""
INVERSE = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041))
DARKEST = 0.002
"""Linear: a channel with less light than this has none to tell of, one of 256 steps being 0.0003."""


def relit(colour: Sequence[float], skin: Sequence[float], usual: Sequence[float]) -> Lab:
    """The CIE Lab of `colour`, were the light such that `skin` looked as `usual` does."""
    seen, here, there = (_linear(one) for one in (colour, skin, usual))
    return _lab([c * max(t, DARKEST) / max(h, DARKEST) for c, h, t in zip(seen, here, there, strict=True)])


def _linear(lab: Sequence[float]) -> list[float]:
    y = (lab[0] + 16) / 116
    bent = y + lab[1] / 500, y, y - lab[2] / 200
    xyz = [w * (f**3 if f > 6 / 29 else 3 * (6 / 29) ** 2 * (f - 4 / 29)) for f, w in zip(bent, WHITE, strict=True)]
    return [sum(m * x for m, x in zip(row, xyz, strict=True)) for row in MATRIX]


def _lab(linear: Sequence[float]) -> Lab:
    ratio = [sum(m * c for m, c in zip(row, linear, strict=True)) / w for row, w in zip(INVERSE, WHITE, strict=True)]
    x, y, z = (r ** (1 / 3) if r > (6 / 29) ** 3 else r / (3 * (6 / 29) ** 2) + 4 / 29 for r in ratio)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)
