"""The LoRA file's weight updates: their size and the shape of their singular values, without rendering anything.

dW = scale * up @ down is never formed: with up = Qu Ru and down^T = Qd Rd its singular values are those of the small
matrix scale * Ru Rd^T. Weight space alone judges nothing; it tells causes of one symptom apart (measurement: a flat
spectrum near that of random factors is an update that was hardly trained; one that uses its whole rank wants more).
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_doctor.errors import InputRefused
from lora_doctor.types import Case, LoraModule, Measurement

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[np.float64]]

DEAD = 1e-3
"""A module whose norm is below this share of the median was not trained: it is noise of storage."""
ENERGY = 0.9
"""k90: the number of singular values that hold this share of the squared norm."""
NULL_DRAWS = 16
"""Random updates simulated per shape for the null's stable rank."""


def audit(case: Case) -> list[Measurement]:
    """`spectrum.*`; modules that are not a plain product of two factors are left out and counted in the reason.

    Raises InputRefused when the file's factors do not fit together or cannot be read.
    """
    plain = [m for m in case.lora.modules if {"down", "up"} <= set(m.keys) and "mid" not in m.keys]
    norms: list[float] = []
    shapes: dict[str, list[float]] = {"entropy_rank_share": [], "k90_share": [], "null_ratio": []}
    null_of: dict[tuple[int, int, int], float] = {}
    for down, up, scale in _factors(case.lora.path, plain):
        sigma = singular_values(up, down, scale)
        norms.append(math.sqrt(float((sigma**2).sum())))
        if not norms[-1]:
            continue
        shape = up.shape[0], down.shape[1], down.shape[0]
        if shape not in null_of:
            null_of[shape] = null_stable_rank(*shape)
        entropy_rank, k90, stable = effective_ranks(sigma)
        shapes["entropy_rank_share"].append(entropy_rank / shape[2])
        shapes["k90_share"].append(k90 / shape[2])
        shapes["null_ratio"].append(stable / null_of[shape])
    skipped = len(case.lora.modules) - len(plain)
    note = f"{skipped} of {len(case.lora.modules)} modules are no plain LoRA and were left out" if skipped else None
    return _measurements(case, norms, shapes, note)


def effective_ranks(sigma: Array) -> tuple[float, int, float]:
    """(exp of the entropy of the energy, k90, stable rank) of singular values, descending, not all zero.

    Energy = squared singular values as shares of their sum; stable rank = their sum over the largest.
    """
    import numpy as np

    energy = sigma**2 / (sigma**2).sum()
    entropy = -sum(share * math.log(share) for share in energy.tolist() if share > 0)
    k90 = int(np.searchsorted(np.cumsum(energy), ENERGY * (1 - 1e-12))) + 1
    return math.exp(entropy), k90, float(1 / energy[0])


def singular_values(up: Array, down: Array, scale: float) -> Array:
    """The min(out, r, in) singular values of scale * up @ down, descending, for up (out, r) and down (r, in)."""
    import numpy as np

    left: Array = np.asarray(np.linalg.qr(up.astype(np.float64), mode="r"))
    right: Array = np.asarray(np.linalg.qr(down.astype(np.float64).T, mode="r"))
    return np.asarray(abs(scale) * np.linalg.svd(left @ right.T, compute_uv=False))


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


def _factors(path: Path, modules: list[LoraModule]) -> Iterator[tuple[Array, Array, float]]:
    """(down (r, in), up (out, r), scale) of each module; convolutions flattened to in * height * width columns.

    The bytes are read as they lie in the file: the safetensors library's numpy reader knows no bfloat16, and its torch
    reader would make a look at a file wait for torch.
    """
    import numpy as np

    if not modules:
        return
    header, start = _header(path)
    data = np.memmap(path, np.uint8, "r", offset=start)
    for module in modules:
        down, up = (_tensor(path, data, header[module.keys[part]]) for part in ("down", "up"))
        down, up = down.reshape(down.shape[0], -1), up.reshape(up.shape[0], -1)
        if up.shape[1] != down.shape[0]:
            raise InputRefused(f"{module.name} has factors that do not fit: {up.shape} and {down.shape}", path=path)
        yield down, up, module.scale


def _header(path: Path) -> tuple[dict[str, dict[str, Any]], int]:
    """Tensor name -> dtype, shape and data_offsets, and where the data starts."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        return json.loads(file.read(length)), 8 + length


def _tensor(path: Path, data: np.ndarray[Any, Any], entry: dict[str, Any]) -> Array:
    """One tensor as float64."""
    import numpy as np

    start, stop = entry["data_offsets"]
    raw = np.array(data[start:stop])
    if entry["dtype"] == "BF16":
        numbers = (raw.view("<u2").astype(np.uint32) << 16).view(np.float32)
    elif entry["dtype"] in _DTYPES:
        numbers = raw.view(_DTYPES[entry["dtype"]])
    else:
        raise InputRefused(f"has factors of type {entry['dtype']}, which cannot be read", path=path)
    return numbers.reshape(entry["shape"]).astype(np.float64)


_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}


def _measurements(
    case: Case, norms: list[float], shapes: dict[str, list[float]], note: str | None
) -> list[Measurement]:
    """The module values -> one measurement each."""
    count = len(norms)
    none = None if count else "the file has no plain LoRA module"
    dead = "every update in the file is zero" if count and not any(norms) else None
    size = math.sqrt(statistics.fmean(norm**2 for norm in norms)) if norms else None
    typical = statistics.median(norm for norm in norms if norm) if any(norms) else 0.0
    asleep = sum(norm <= DEAD * typical for norm in norms) / count if count else None
    rank = max((module.rank for module in case.lora.modules), default=None)

    def told(name: str, value: float | None, unit: str, why: str | None) -> Measurement:
        reason = note if value is not None else why or note
        return Measurement(name=f"spectrum.{name}", value=value, unit=unit, n=count, reason=reason)

    medians = {name: statistics.median(values) if values else None for name, values in shapes.items()}
    return [
        told("rank", rank, "rank", "the file has no module"),
        told("norm", size, "", none),
        *(told(name, value, "share", none or dead) for name, value in medians.items()),
        told("dead_share", asleep, "share", none),
    ]
