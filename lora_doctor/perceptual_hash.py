"""A picture's 64-bit hash that look-alikes share: the signs of its lowest frequencies.

The idea of pHash (phash.org): shrink, take the cosine transform, keep the slow waves. Signs are kept instead of a
comparison with the median, because then the hash of the mirrored picture follows from that of the picture: the odd
horizontal waves change their sign and nothing else does.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

BITS = 64
SHRUNK = 32
"""Pixels a side that the picture is shrunk to, whatever its shape, so that size and small detail do not matter."""
SILENT = 16.0
"""Unscaled amplitude (levels of 0 to 255, summed) that the rounding of a flat picture's pixels makes up."""


def perceptual_hashes(grey: Image.Image) -> tuple[int, int]:
    """The 64-bit hash of a picture (mode L, any size) and that of the same picture turned left to right."""
    import numpy as np
    from PIL import Image

    small = grey.resize((SHRUNK, SHRUNK), Image.Resampling.BOX, reducing_gap=None)
    waves = _cosines() @ np.asarray(small, np.float64) @ _cosines().T
    rows, columns = _lowest()
    lowest = waves[rows, columns]
    turned = np.where(columns % 2 == 1, -lowest, lowest)
    return _number(lowest > SILENT), _number(turned > SILENT)


@lru_cache(maxsize=1)
def _cosines() -> np.ndarray[Any, Any]:
    """(waves, SHRUNK): the first rows of the cosine transform (DCT-II), unscaled; only signs are read off it."""
    import numpy as np

    waves = np.arange(int(_lowest()[0].max()) + 1)[:, None]
    return np.cos(np.pi * waves * (np.arange(SHRUNK) + 0.5)[None, :] / SHRUNK)


@lru_cache(maxsize=1)
def _lowest() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Vertical and horizontal frequency of the 64 slowest waves, slowest first; the mean brightness is left out."""
    import numpy as np

    rows, columns = np.indices((SHRUNK, SHRUNK)).reshape(2, -1)
    order = np.lexsort((rows, rows**2 + columns**2))[1 : BITS + 1]
    return rows[order], columns[order]


def _number(signs: np.ndarray[Any, Any]) -> int:
    import numpy as np

    return int.from_bytes(np.packbits(signs).tobytes(), "big")
