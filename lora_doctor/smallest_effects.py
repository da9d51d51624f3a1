"""`rules/comparison.toml`: the smallest differences between two versions that matter. Pure but for reading the file."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from lora_doctor.errors import UsageError

FILE = "comparison.toml"


@dataclass(frozen=True, kw_only=True, slots=True)
class SmallestEffects:
    """Per measurement the difference that matters, above 0; the file argues for each."""

    identity: float
    """Identity score: 0 = base model, 1 = the character's own pictures."""
    body: float
    """This and the rest, but for the last two: shares of renders."""
    outfit: float
    attribute: float
    framing: float
    environment: float
    no_face: float
    burnt: float
    copies: float
    replays: float
    outfits: float
    poses: float
    expressions: float
    others: float
    places: float
    intruders: float
    bleed: float
    """This and the next in identity scores."""
    leak: float

    def of(self, quantity: str) -> float:
        """The effect of a quantity; each single attribute of the character (`attribute:hair`) has the same."""
        return float(getattr(self, quantity.partition(":")[0]))


def load_smallest_effects(folder: Path) -> SmallestEffects:
    """The file in the rules folder `folder`.

    Raises UsageError when it cannot be read, and for a missing, unknown or unfit key.
    """
    from pydantic import ConfigDict, TypeAdapter, ValidationError

    path = folder / FILE
    try:
        adapter = TypeAdapter(tuple[SmallestEffects], config=ConfigDict(extra="forbid", allow_inf_nan=False))
        effects = adapter.validate_python((tomllib.loads(path.read_text("utf-8")),))[0]
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise UsageError(f"{first['loc'][-1]}: {first['msg'].lower()}.", path=path) from error
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot be read as TOML: {error}.", path=path) from error
    for name in SmallestEffects.__dataclass_fields__:
        if not getattr(effects, name) > 0:
            raise UsageError(f"{name}: must be above 0.", path=path, advice="Nobody sees a difference of nothing.")
    return effects
