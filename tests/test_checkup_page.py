"""What `check` and `report` show of a check-up, and `retrain` of two."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from click import unstyle

from lora_doctor.checkup_page import MOST_REASONS, before_and_after, page
from lora_doctor.types import Measurement, NotEvaluated, Prescription
from tests.make_diagnosis import make_diagnosis


def shown(path: Path, outcome: str = "HOLD") -> list[str]:
    return [unstyle(line) for line in page(make_diagnosis(path, outcome, images=False))]  # type: ignore[arg-type]


def test_the_verdict_comes_first_then_findings_then_the_prescription(tmp_path: Path) -> None:
    facts, lines = make_diagnosis(tmp_path, images=False), shown(tmp_path)
    assert lines[1] == f" HOLD   {facts.verdict.sentence}"
    places = [lines.index(next(line for line in lines if line.startswith(f"{n}. {finding.rule} ({finding.state}")))
              for n, finding in enumerate(facts.findings, 1)]  # fmt: skip
    assert places == sorted(places) and len(places) == len(facts.findings) > 1
    assert places[0] > 1 and places[-1] < lines.index("Prescription") < len(lines) - 1


def test_every_change_and_request_is_a_line_of_the_prescription(tmp_path: Path) -> None:
    made, lines = make_diagnosis(tmp_path, images=False).prescription, shown(tmp_path)
    told = [line for line in lines[lines.index("Prescription") + 1 :] if line.startswith("  - ")]
    asked = (made.changes, made.dataset, made.left_out, made.captions, made.advice, made.conflicts)
    assert len(told) == sum(map(len, asked))
    assert all(any(line.startswith(f"  - {change.field}: ") for line in told) for change in made.changes)


def test_a_lora_that_ships_without_findings_is_told_in_its_verdict_alone(tmp_path: Path) -> None:
    held = make_diagnosis(tmp_path, "SHIP", images=False)
    lines = [unstyle(line) for line in page(replace(held, findings=(), prescription=Prescription(), not_evaluated=()))]
    assert lines[:2] == ["", f" SHIP   {held.verdict.sentence}"]
    assert "Prescription" not in lines and not any(line.startswith(("1. ", "Could not")) for line in lines)


def test_many_reasons_are_cut_short(tmp_path: Path) -> None:
    facts = make_diagnosis(tmp_path, images=False)
    long = replace(facts, verdict=replace(facts.verdict, reasons=tuple(f"reason {n}" for n in range(30))), findings=())
    told = [unstyle(line) for line in page(long)]
    assert sum("reason " in line for line in told) == MOST_REASONS


def test_rules_that_could_not_be_evaluated_are_named_last(tmp_path: Path) -> None:
    facts = make_diagnosis(tmp_path, images=False)
    open_ones = (NotEvaluated(rule="hair-flip", reason="x"), NotEvaluated(rule="overbaked", reason="y"))
    assert list(page(replace(facts, not_evaluated=open_ones)))[-1] == "Could not tell: hair-flip, overbaked"


def test_before_and_after_stand_in_two_columns_and_what_is_missing_is_a_dash(tmp_path: Path) -> None:
    before, after = (make_diagnosis(tmp_path, outcome, images=False) for outcome in ("HOLD", "SHIP"))
    score = Measurement(name="identity.score", value=0.5, where={"weight": "1"})
    scored = replace(before, measurements=(score,), matrix={**before.matrix, "weights": (1.0,)})
    lines = list(before_and_after(scored, replace(after, measurements=(), findings=())))
    rows = {line[:28].strip(): (line[28:44].strip(), line[44:].strip()) for line in lines if line}
    assert rows["verdict"] == ("HOLD", "SHIP")
    assert rows["identity at weight 1"] == ("0.50", "-")
    assert {rule: rows[rule] for rule in (f.rule for f in before.findings)} == {
        f.rule: (f.state, "-") for f in before.findings
    }
