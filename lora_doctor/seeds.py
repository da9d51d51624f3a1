"""The seed of a picture's noise, from where it stands. Pure."""

from __future__ import annotations

import hashlib


def cell_seed(seed: int, environment: str, framing: str, replicate: int) -> int:
    """The seed of a cell, 0 to 2**31 - 1: the same at every weight, never shared across environments or framings."""
    digest = hashlib.sha256(f"{seed}/{environment}/{framing}/{replicate}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % 2**31
