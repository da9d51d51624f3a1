"""What a version does worse than the one before it, for a gate that lets no release fall back.

Versions are paired on the same prompts and seeds of the same base model, read by the same instruments; where one of
these differs there is no comparison. So what is worse is worse for certain, and not the luck of a seed.
"""

from __future__ import annotations

from pathlib import Path

from lora_doctor.comparison_files import compare_folders
from lora_doctor.comparison_words import difference_text, place, quantity_name


def regressions(
    run: Path, against: Path, *, rules: Path | None = None, policy: str | None = None
) -> tuple[str, ...]:  # fmt: skip
    """A sentence for everything that `run` does worse than the finished run `against`.

    Worse: the whole 90 % interval of the paired difference lies beyond the smallest effect that matters
    (`rules/comparison.toml`), over the ship weights or at one of them. Both folders stay as they are. Raises
    UsageError where the two cannot be compared, and for a policy or rules that do not exist; InputRefused for a folder
    that is no finished run.
    """
    names = ("before", "now")
    found, _ = compare_folders((against, run), rules=rules, policy=policy, names=names)
    worse = [one for one in found.contrasts if one.state == "worse" and (one.whole or one.weight in found.ship_weights)]
    summed = {one.quantity for one in worse if one.whole}
    told = [one for one in worse if one.whole or one.quantity not in summed]
    return tuple(
        f"worse than {against}: {quantity_name(one.quantity)} {place(one.weight)} {difference_text(one.difference)}"
        for one in told
    )
