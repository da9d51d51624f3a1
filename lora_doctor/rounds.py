"""Which cells of the matrix are rendered next: rounds of one replicate, until the verdict is clear. Pure.

The first round is a whole small matrix: every weight. Later ones ask again only what is still open: in environments
that are not decided, at the weights that decide, beside weight 0 for the floor.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from lora_doctor.types import Cell, Finding, Measurement, Rule, Verdict


def first_round(cells: Sequence[Cell], replicates: int) -> tuple[Cell, ...]:
    """The cells of the first `replicates` replicates, in the order of the plan."""
    return tuple(cell for cell in cells if cell.replicate < replicates)


def next_round(
    cells: Sequence[Cell], replicate: int, environments: Collection[str], weights: Collection[float]
) -> tuple[Cell, ...]:
    """The cells of one replicate in some environments, at some weights and at 0; no environments = in all of them."""
    return tuple(
        cell for cell in cells
        if cell.replicate == replicate
        and (not environments or cell.environment in environments)
        and (cell.weight == 0 or cell.weight in weights)
    )  # fmt: skip


def next_of_arms(cells: Sequence[Cell], replicate: int, arms: Collection[str]) -> tuple[Cell, ...]:
    """The cells of one replicate of some arms, at every weight they have."""
    return tuple(cell for cell in cells if cell.replicate == replicate and cell.arm in arms)


def asked_arms(suspected: Sequence[Finding], rules: Sequence[Rule]) -> frozenset[str]:
    """The arms in which the symptoms of suspected findings are seen; `""` for the matrix."""
    asked = {finding.rule for finding in suspected}
    return frozenset(rule.shows.get("arm", "") for rule in rules if rule.id in asked)


def asked_probes(findings: Sequence[Finding], rules: Sequence[Rule]) -> frozenset[str]:
    """The probes that tell apart the causes of what was found."""
    asked = {finding.rule for finding in findings}
    return frozenset(probe for rule in rules if rule.id in asked for probe in rule.probes)


def deciding_weights(
    claimed: Sequence[float], suspected: Sequence[Finding], rules: Sequence[Rule]
) -> tuple[float, ...]:
    """The weights that something is claimed of, and those that the rules of suspected findings are about."""
    asked = {finding.rule for finding in suspected}
    named = [rule.shows.get("weight", "ship") for rule in rules if rule.id in asked and "arm" not in rule.shows]
    return tuple(sorted({*claimed, *(float(weight) for weight in named if weight != "ship")}))


def worth_a_look(weighed: Sequence[Finding]) -> tuple[Finding, ...]:
    """Suspected findings that would hold a release if they were confirmed; `weighed`: as `effects.weigh` returns.

    One that the policy bears even at its worst would only warn then too.
    """
    return tuple(finding for finding in weighed if finding.effect == "leaves open")


def is_explained(weighed: Sequence[Finding]) -> bool:
    """Whether a finding says why a release is held; a proven failure of a demand alone says that, not why."""
    return any(finding.effect == "holds" for finding in weighed)


def may_explain(weighed: Sequence[Finding]) -> tuple[Finding, ...]:
    """Suspected findings that would say something of a LoRA which is held, be it a warning."""
    return tuple(f for f in weighed if f.effect == "leaves open" or (f.effect == "warns" and f.state == "suspected"))


def within_reach(suspected: Sequence[Finding], foreseen: Sequence[Finding]) -> tuple[Finding, ...]:
    """Suspected findings that the last round would confirm, if pictures went on as so far: `foreseen` is judged so."""
    confirmed = {(finding.rule, *sorted(finding.about.items())) for finding in foreseen if finding.state == "confirmed"}
    return tuple(f for f in suspected if (f.rule, *sorted(f.about.items())) in confirmed)


def is_decided(verdict: Verdict, suspected: Sequence[Finding], gap: Measurement | None) -> bool:
    """Whether more pictures would change nothing.

    SHIP or HOLD without a suspicion left; or a `gap` between floor and ceiling without a value: identity cannot be
    measured, and no picture more makes a ruler.
    """
    if gap is not None and gap.value is None:
        return True
    return verdict.outcome in ("SHIP", "HOLD") and not suspected
