"""Whether the check-up renders with the base model that the LoRA was trained on."""

from __future__ import annotations

from lora_doctor.types import Case, Measurement


def audit(case: Case) -> list[Measurement]:
    """`base.differs`: 1 = another base model, 0 = the same. Told by name or hash alone, it has no interval and says so.

    Nothing where no base model is at hand.
    """
    match = case.base
    if match is None:
        return []
    value = None if match.same is None else float(not match.same)
    return [
        Measurement(
            name="base.differs", value=value, unit="yes = 1", n=int(value is not None),
            reason=None if match.sure else match.why,
        )
    ]  # fmt: skip
