"""Exact singular values of the update of one module, through the structure of its factors. Pure, NumPy alone.

dW = scale * up @ down is never formed: with up = Qu Ru and down^T = Qd Rd its singular values are those of the small
matrix scale * Ru Rd^T. LoHa, LoKr and Tucker updates have structures of their own; differences are taken whole.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[np.float64]]
    Parts = Mapping[str, Any]
    """Part -> its array."""

ENERGY = 0.9
"""k90: the number of singular values that hold this share of the squared norm."""
NULL_DRAWS = 16
"""Random updates simulated per shape for the null's stable rank."""
NEEDS_BASE = ("oft", "boft", "ia3", "glora", "norm")
"""Kinds whose update is made from the base model's own weights, or is no matrix."""


def update_singular_values(kind: str, parts: Parts, scale: float) -> Array | None:
    """The singular values of a module's update at weight 1, descending; None for `NEEDS_BASE`.

    A convolution is the matrix of its outputs over inputs * kernel. For DoRA they are those of the product, before the
    magnitudes, which need the base model.
    """
    if kind in ("lora", "dora"):
        return singular_values(_flat(parts["up"]), _flat(parts["down"]), scale)
    if kind == "tucker":
        core = parts["mid"].reshape(*parts["mid"].shape[:2], -1)
        right = _einsum("mnk,ni->mik", core, _flat(parts["down"]))
        return singular_values(_flat(parts["up"]), right.reshape(right.shape[0], -1), scale)
    if kind == "loha":
        return _hadamard(parts, scale)
    if kind == "lokr":
        return _kronecker(parts, scale)
    if kind == "full" and "diff" in parts:
        return _values(_flat(parts["diff"])) if parts["diff"].ndim > 1 else None
    return None


def singular_values(up: Array, down: Array, scale: float) -> Array:
    """The min(out, r, in) singular values of scale * up @ down, descending, for up (out, r) and down (r, in)."""
    import numpy as np

    left: Array = np.asarray(np.linalg.qr(up.astype(np.float64), mode="r"))
    right: Array = np.asarray(np.linalg.qr(down.astype(np.float64).T, mode="r"))
    return abs(scale) * _values(left @ right.T)


def effective_ranks(sigma: Array) -> tuple[float, int, float]:
    """(exp of the entropy of the energy, k90, stable rank) of singular values, descending, not all zero.

    Energy = squared singular values as shares of their sum; stable rank = their sum over the largest.
    """
    import numpy as np

    energy = sigma**2 / (sigma**2).sum()
    entropy = -sum(share * math.log(share) for share in energy.tolist() if share > 0)
    k90 = int(np.searchsorted(np.cumsum(energy), ENERGY * (1 - 1e-12))) + 1
    return math.exp(entropy), k90, float(1 / energy[0])


def null_stable_rank(out: int, into: int, rank: int) -> float:
    """Mean stable rank of the product of two Gaussian factors, (out, rank) and (rank, into); the same at every call.

    Only the triangles of their QR decompositions matter, so only those are drawn (Bartlett's decomposition): the size
    of the module costs nothing. The Marchenko-Pastur law of one random matrix would overstate it.
    """
    import numpy as np

    rng = np.random.default_rng((out, into, rank))
    ranks = []
    for _ in range(NULL_DRAWS):
        sigma = np.linalg.svd(_triangle(rng, out, rank) @ _triangle(rng, into, rank).T, compute_uv=False)
        ranks.append(float((sigma**2).sum() / sigma[0] ** 2))
    return statistics.fmean(ranks)


def _triangle(rng: np.random.Generator, rows: int, columns: int) -> Array:
    """R of the QR decomposition of a (rows, columns) Gaussian matrix; the matrix itself when it is wide."""
    import numpy as np

    if rows < columns:
        return rng.standard_normal((rows, columns))
    upper = np.triu(rng.standard_normal((columns, columns)), 1)
    return np.asarray(upper + np.diag(np.sqrt(rng.chisquare(rows - np.arange(columns)))))


def _hadamard(parts: Parts, scale: float) -> Array:
    """(a1 b1) * (a2 b2), entry by entry, is one product with r * r columns (Khatri-Rao by rows and by columns)."""
    import numpy as np

    sides = [_hadamard_side(parts, side) for side in ("1", "2")]
    rank = sides[0][0].shape[1] * sides[1][0].shape[1]
    if rank >= min(len(sides[0][0]), sides[0][1].shape[1]):
        (a1, b1), (a2, b2) = sides
        return abs(scale) * _values((a1 @ b1) * (a2 @ b2))
    up = np.einsum("or,os->ors", sides[0][0], sides[1][0]).reshape(len(sides[0][0]), rank)
    down = np.einsum("ri,si->rsi", sides[0][1], sides[1][1]).reshape(rank, -1)
    return singular_values(up, down, scale)


def _hadamard_side(parts: Parts, side: str) -> tuple[Array, Array]:
    """(outputs, r) and (r, inputs * kernel) of one of LoHa's two matrices."""
    import numpy as np

    a, b = (parts[f"hada_w{side}_{half}"].astype(np.float64) for half in ("a", "b"))
    core = parts.get(f"hada_t{side}")
    if core is None:
        return a, b
    right = _einsum("mnk,ni->mik", core.reshape(*core.shape[:2], -1), b)
    return a.T, right.reshape(right.shape[0], -1)


def _kronecker(parts: Parts, scale: float) -> Array:
    """The singular values of a Kronecker product are the products of those of its factors."""
    import numpy as np

    left, right = (_kronecker_side(parts, side) for side in ("1", "2"))
    return np.sort(np.outer(left, right).ravel())[::-1] * abs(scale)


def _kronecker_side(parts: Parts, side: str) -> Array:
    if f"lokr_w{side}" in parts:
        return _values(_flat(parts[f"lokr_w{side}"]))
    a, b = parts[f"lokr_w{side}_a"], parts[f"lokr_w{side}_b"]
    core = parts.get(f"lokr_t{side}")
    if core is None:
        return singular_values(a, b, 1.0)
    right = _einsum("mnk,ni->mik", core.reshape(*core.shape[:2], -1), b)
    return singular_values(a.T, right.reshape(right.shape[0], -1), 1.0)


def _einsum(spell: str, *arrays: Any) -> Array:
    import numpy as np

    return np.asarray(np.einsum(spell, *(array.astype(np.float64) for array in arrays)))


def _flat(array: Any) -> Any:
    return array.reshape(array.shape[0], -1)


def _values(matrix: Any) -> Array:
    import numpy as np

    return np.asarray(np.linalg.svd(matrix.astype(np.float64), compute_uv=False))
