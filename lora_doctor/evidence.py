"""Which rendered pictures a finding is shown with: those of its slice that show it, the worst first. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from lora_doctor.types import Diagnosis, Finding, LabelSet, Measurement, Where

PICTURES = 6
"""Of a finding, at most."""
TRAITS = "identity"
"""Kind of the label sets that `control.loss {kind: trait}` is about; its other kinds have the names of theirs."""
PLACES = {
    "framing.loss": ("framing",), "environment.adherence_loss": ("environment",),
    "environment.intrusion": ("environment",), "drift.place_loss": ("environment",),
    "overbake.adherence_loss": ("environment", "framing"),
}  # fmt: skip
"""Measurement -> the kinds of label sets on which a picture must be read as the cell asks."""
KINDS = {"body.deficit": "body", "outfit.deficit": "outfit"}
"""Measurement -> the kind of the traits that it counts; others name their trait in `where`."""


def traits_of(finding: Finding, spec: Mapping[str, str], label_sets: Mapping[str, LabelSet]) -> tuple[str, ...]:
    """The attributes of the character that a finding is about, in the order of its measurements; often none."""
    found: list[str] = []
    for m in finding.measurements:
        if (kind := KINDS.get(m.name)) is not None:
            found += [name for name in spec if name in label_sets and label_sets[name].kind == kind]
        elif m.where.get("attribute") in spec:
            found.append(m.where["attribute"])
    return tuple(dict.fromkeys(found))


def evidence_cells(
    finding: Finding, shows: Where, facts: Diagnosis, label_sets: Mapping[str, LabelSet]
) -> tuple[str, ...]:
    """Keys of the cells that a finding points at; empty where nothing of its slice was drawn.

    `shows` is the rule's; the slice the finding was judged for (`about`) and the weight of its leading measurement go
    before it. Pictures that are read otherwise than the finding wants them come first, from whichever ship weight, the
    highest first; the others are of the highest ship weight, where the LoRA has had its say. Among equals the lowest
    identity leads, and all are spread over the environments.
    """
    lead = finding.measurements[0] if finding.measurements else None
    where = {**shows, **_weight(lead, shows), **finding.about}
    fitting = [cell for cell in (facts.arms if "arm" in shows else facts.cells) if _is_shown(cell, where, facts)]
    spec = facts.character.get("spec") or {}
    traits = {name: spec[name] for name in traits_of(finding, spec, label_sets)}
    wanted = {cell["key"]: traits or ({} if lead is None else _wanted(cell, lead, label_sets)) for cell in fitting}
    if any(wanted.values()):  # a picture of which it wants nothing, such as a pose, says nothing about it
        fitting = [cell for cell in fitting if wanted[cell["key"]]]
    right = {cell["key"]: not _is_off(cell, wanted[cell["key"]]) for cell in fitting}
    top = max((cell["weight"] for cell in fitting), default=0.0)
    fitting = [cell for cell in fitting if cell["weight"] == top or not right[cell["key"]]]
    fitting.sort(key=lambda c: (right[c["key"]], -c["weight"], c["identity"] is None, c["identity"] or 0.0, c["key"]))
    seen: Counter[tuple[bool, str]] = Counter()
    ranked = []
    for key, environment in ((cell["key"], cell["environment"]) for cell in fitting):
        ranked.append((right[key], seen[right[key], environment], key))
        seen[right[key], environment] += 1
    return tuple(key for _, _, key in sorted(ranked, key=lambda one: one[:2])[:PICTURES])


def _weight(lead: Measurement | None, shows: Where) -> Where:
    """The weight that the leading measurement is about; arms have weights of their own."""
    if lead is None or "weight" not in lead.where or "arm" in shows:
        return {}
    return {"weight": lead.where["weight"]}


def _is_shown(cell: Mapping[str, Any], where: Where, facts: Diagnosis) -> bool:
    """Whether the cell was drawn, and lies in the slice."""
    weight = where.get("weight", "ship")
    at = [f"{each:g}" for each in facts.matrix["ship_weights"]] if weight == "ship" else [weight]
    if not cell["image"] or f"{cell['weight']:g}" not in at:
        return False
    return all(_fits(cell, key, value) for key, value in where.items() if key != "weight")


def _fits(cell: Mapping[str, Any], key: str, value: str) -> bool:
    if key == "environment_kind":
        return bool(cell["trained"]) == (value == "trained")
    return key not in cell or str(cell[key]) == value


def _wanted(cell: Mapping[str, Any], lead: Measurement, label_sets: Mapping[str, LabelSet]) -> dict[str, str]:
    """Attribute -> label, of what the leading measurement wants read in this picture beside the character's traits."""
    kind = lead.where.get("kind")
    if kinds := PLACES.get(lead.name):
        return {name: cell[labels.kind] for name, labels in label_sets.items() if labels.kind in kinds}
    kind = TRAITS if kind == "trait" else kind
    asked = str(cell.get("asked") or "").split("+")
    sets = [(name, labels.labels) for name, labels in label_sets.items() if labels.kind == kind]
    return {name: word for name, labels in sets for word in asked if word in labels}


def _is_off(cell: Mapping[str, Any], wanted: Mapping[str, str]) -> bool:
    """Whether something is read otherwise than wanted; what is not read is not off."""
    read = cell.get("labels") or {}
    return any(read.get(attribute, label) != label for attribute, label in wanted.items())
