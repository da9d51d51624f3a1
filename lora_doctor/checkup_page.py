"""A check-up -> what `check` and `report` show in a terminal, and two of them side by side; nothing is printed."""

from __future__ import annotations

from collections.abc import Iterator

from click import style

from lora_doctor.dataset_lines import dataset_lines
from lora_doctor.terminal import cause_label, effect_text, measurement_texts, unjudged_names, verdict_lines
from lora_doctor.types import Diagnosis, Finding, Prescription
from lora_doctor.wording import caption_text, change_text, how_to_go_on, too_close

MOST_REASONS = 8
"""Reasons of a verdict that are shown; `gate` shows all."""
_MEASUREMENTS, _CAUSES, _EVIDENCE = 4, 3, 3
"""Of a finding, and of each cause; the report has all."""
_COLOURS = {"SHIP": "green", "HOLD": "red", "INCONCLUSIVE": "yellow"}


def page(diagnosis: Diagnosis) -> Iterator[str]:
    """Line by line, with a terminal's colours: the verdict, the findings, the prescription, what could not be told."""
    verdict = diagnosis.verdict
    stamp = style(f" {verdict.outcome} ", fg="white", bg=_COLOURS[verdict.outcome], bold=True)
    yield from ("", f"{stamp}  {verdict.sentence}")
    yield from (f"  - {line}" for line in verdict_lines(verdict, most=MOST_REASONS))
    if advice := how_to_go_on(diagnosis):
        yield f"  - {advice}"
    for number, finding in enumerate(diagnosis.findings, 1):
        yield from _finding(number, finding)
    if told := dataset_lines(diagnosis):
        yield from ("", style("Dataset", bold=True))
        yield from (f"  - {line}" for line in told)
    if lines := _prescribed(diagnosis.prescription):
        yield from ("", style("Prescription", bold=True))
        yield from (f"  - {line}" for line in lines)
    if diagnosis.not_evaluated:
        yield from ("", f"Could not tell: {unjudged_names(diagnosis.not_evaluated, diagnosis.findings)}")


def _finding(number: int, finding: Finding) -> Iterator[str]:
    yield from ("", f"{number}. {style(finding.rule, bold=True)} ({finding.state}{effect_text(finding)})")
    yield f"   {' '.join(finding.symptom.split())}"
    yield from (f"   {told}" for told in measurement_texts(finding)[:_MEASUREMENTS])
    if doubt := too_close(finding):
        yield f"   {doubt}"
    for cause in finding.causes[:_CAUSES]:
        yield f"   {cause_label(cause)}: {' '.join(cause.because.split())}"
        yield from (f"          - {' '.join(evidence.split())}" for evidence in cause.evidence[:_EVIDENCE])


def _prescribed(prescription: Prescription) -> list[str]:
    """Every request and change, one to a line; new pictures first, for what the rest does without them is less."""
    pictures = (each.says for each in prescription.dataset)
    changes = (f"{c.field}: {change_text(c)}   ({' '.join(c.because.split())})" for c in prescription.changes)
    left_out = (each.says for each in prescription.left_out)
    captions = (caption_text(fix) for fix in prescription.captions)
    return [*pictures, *changes, *left_out, *captions, *prescription.advice, *prescription.conflicts]


def before_and_after(before: Diagnosis, after: Diagnosis) -> Iterator[str]:
    """Line by line, side by side: verdicts, findings, identity by weight."""
    yield from ("", f"{'':28}{'before':>16}{'after':>16}")
    yield f"{'verdict':28}{before.verdict.outcome:>16}{after.verdict.outcome:>16}"
    for name in dict.fromkeys(f.rule for f in (*before.findings, *after.findings)):
        states = [next((f.state for f in d.findings if f.rule == name), "-") for d in (before, after)]
        yield f"{name:28}{states[0]:>16}{states[1]:>16}"
    for weight in before.matrix["weights"]:
        values = [_score(d, f"{weight:g}") for d in (before, after)]
        yield f"{f'identity at weight {weight:g}':28}{values[0]:>16}{values[1]:>16}"


def _score(diagnosis: Diagnosis, weight: str) -> str:
    found = (m for m in diagnosis.measurements if m.name == "identity.score" and dict(m.where) == {"weight": weight})
    measured = next(found, None)
    return "-" if measured is None or measured.value is None else f"{measured.value:.2f}"
