"""The arms and probes of a check-up -> their cells. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lora_doctor.errors import UsageError
from lora_doctor.plugins import find
from lora_doctor.types import ArmCase, Cell


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmPlan:
    """What may be rendered beside the matrix."""

    arms: tuple[Cell, ...] = ()
    """Rendered from the first round on, where they have replicates."""
    probes: Mapping[str, tuple[Cell, ...]] = field(default_factory=dict)
    """Probe -> its cells, rendered only when a finding asks for it."""
    remarks: tuple[str, ...] = ()
    """What the arms have to say of what they could not ask as it is meant, a sentence each."""


def plan_arms(case: ArmCase, names: Sequence[str] | None) -> ArmPlan:
    """The cells of the named arms, and of every probe; None = of all arms, an empty sequence = neither.

    Raises UsageError for a name that is no arm.
    """
    if names is not None and not names:
        return ArmPlan()
    known = find("arms", needs="plan")
    probes = {name: module for name, module in known.items() if getattr(module, "FOR_FINDINGS", False)}
    arms = {name: module for name, module in known.items() if name not in probes}
    if stray := [name for name in names or () if name not in arms]:
        raise UsageError(f"there is no arm `{stray[0]}`.", advice=f"Known: {', '.join(arms)}.")
    chosen = arms if names is None else {name: arms[name] for name in arms if name in names}
    planned = {name: module.plan(case) for name, module in chosen.items()}
    told = [module.remark(case, planned[name]) for name, module in chosen.items() if hasattr(module, "remark")]
    return ArmPlan(
        arms=tuple(cell for cells in planned.values() for cell in cells),
        probes={name: module.plan(case) for name, module in probes.items()},
        remarks=tuple(remark for remark in told if remark is not None),
    )
