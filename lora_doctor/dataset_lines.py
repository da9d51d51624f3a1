"""What a check-up prints of the dataset: a line for each confirmed finding that is more than a note. Pure."""

from __future__ import annotations

from lora_doctor.errors import printable
from lora_doctor.terminal import line
from lora_doctor.types import Diagnosis


def dataset_lines(diagnosis: Diagnosis) -> list[str]:
    """`trigger-not-in-captions: Hardly any caption holds the trigger.`, most pressing first."""
    told = [finding for finding in diagnosis.dataset_findings if finding.state == "confirmed"]
    return [
        printable(line(f"{' '.join((finding.rule, *finding.about.values()))}: {finding.symptom}"))
        for finding in told
        if finding.severity != "note"
    ]
