"""The terminal tells each confirmed finding about the dataset that is more than a note, in a line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lora_doctor.dataset_lines import dataset_lines
from lora_doctor.rule_files import DATASET_RULES, load_rules
from lora_doctor.rules import evaluate
from lora_doctor.types import Measurement
from tests.make_diagnosis import make_diagnosis

RULES = load_rules(Path(__file__).parents[1] / "rules" / DATASET_RULES)


def test_confirmed_findings_are_told_and_notes_and_suspicions_are_not(tmp_path: Path) -> None:
    found = evaluate(RULES, (
        Measurement(name="captions.trigger_missing_share", value=1.0, unit="share", n=42),
        Measurement(name="captions.class_word_coverage", value=0.5, unit="share", n=42),
        Measurement(name="people.stranger_share", value=0.06, unit="share", n=42, interval=(0.0, 0.2)),
    ))[0]  # fmt: skip
    assert {f.rule for f in found} >= {"trigger-not-in-captions", "class-word-missing"}
    lines = dataset_lines(replace(make_diagnosis(tmp_path, images=False), dataset_findings=found))
    assert lines == ["trigger-not-in-captions: Hardly any caption holds the trigger."]
