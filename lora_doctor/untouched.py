"""Whether a module that has no spectrum changes anything at all; read off its own tensors, without the base model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_TURNS = ("oft_blocks", "oft_R", "oft_diag")


def changes_nothing(kind: str, parts: Mapping[str, Any]) -> bool:
    """For the kinds of `NEEDS_BASE`: rotations by nothing, factors of one, products with a factor that is all zero.

    `parts`: NumPy arrays by the names that `lora_tensors` gives them. A kind that is not known here changes something.
    """
    if kind in ("oft", "boft"):
        turns = [part for name, part in parts.items() if name.startswith(_TURNS) and name != "oft_R.scaled_oft"]
        return bool(turns) and _zero(*turns) and ("rescale" not in parts or _zero(parts["rescale"] - 1))
    if kind == "ia3":
        return _zero(parts["weight"]) if "weight" in parts else _zero(parts["ia3_l"] - 1)
    if kind == "glora":
        products = ((parts["a1"], parts["a2"]), (parts["b1"], parts["b2"]))
        return all(any(_zero(factor) for factor in pair) for pair in products)
    if kind == "norm":
        return _zero(*(part for name, part in parts.items() if name in ("w_norm", "b_norm")))
    return False


def _zero(*parts: Any) -> bool:
    return not any(part.any() for part in parts)
