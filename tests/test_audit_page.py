"""What `audit` shows in a terminal: every part of it, files by name, and no character that moves the cursor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from lora_doctor.audit_page import BAR, page
from lora_doctor.dataset_audit import Audit
from lora_doctor.plugins import data_folder
from lora_doctor.rule_files import load_rules
from lora_doctor.rules import evaluate
from lora_doctor.types import (
    IDENTITY_EMPHASIS,
    IN_CONTEXT,
    AuditRecord,
    Finding,
    Fix,
    Measurement,
    Prescription,
    RankedCause,
    Skipped,
)
from tests.audits.make_case import Picture, make_case

RATIO = Measurement(name="dataset.identity_ratio", value=0.5, unit="share", n=2, interval=(0.4, 0.6))


def finding(measurement: Measurement) -> Finding:
    return Finding(
        rule="trigger-misspelt", symptom="The trigger is misspelt.", why="", state="suspected", severity="warning",
        strength=1.0, measurements=(measurement,), predicts=("body-drift",),
        causes=(RankedCause(because="Typed by hand.", fix=Fix(advice="Correct it."), log_odds=1.0, evidence=()),),
    )  # fmt: skip


def audit_of(
    measurements: Sequence[Measurement] = (RATIO,), findings: Sequence[Finding] = (), skipped: Sequence[Skipped] = ()
) -> Audit:
    case = make_case([Picture(role=IDENTITY_EMPHASIS), Picture(role=IN_CONTEXT, repeats=3), Picture(role=None)])
    record = AuditRecord(
        format_version=1, created="", versions={}, inputs={}, character={}, instruments={}, dataset={},
        measurements=tuple(measurements), findings=tuple(findings), not_evaluated=(), prescription=Prescription(),
    )  # fmt: skip
    images = [replace(image, path=case.dataset.path / image.path) for image in case.dataset.images]
    dataset = replace(case.dataset, images=tuple(images), skipped=tuple(skipped))
    return Audit(
        case=replace(case, dataset=dataset), record=record, measurements=tuple(measurements), findings=tuple(findings),
        not_evaluated=(), trigger_reason="given on the command line",
        plan=("add 3 identity-emphasis pictures",),
    )  # fmt: skip


def shown(audit: Audit, width: int = 100) -> str:
    console = Console(width=width, record=True, file=open("/dev/null", "w"), highlight=False)  # noqa: SIM115
    for part in page(audit):
        console.print(part)
    return console.export_text()


def test_the_ratio_is_drawn_with_its_interval_and_the_way_to_a_third() -> None:
    text = shown(audit_of())
    assert "identity ratio 0.50 [0.40, 0.60]" in text
    assert text.count("█") == 18
    assert "0.25 to 0.4 is the article's band, 0.33 its aim" in text
    (marks,) = [line for line in text.splitlines() if "▔" in line]
    assert abs((marks.index("▔") - 2) / BAR - 0.25) < 1 / BAR and abs((marks.rindex("▔") - 1) / BAR - 0.4) < 1 / BAR
    assert "add 3 identity-emphasis pictures" in text


def test_pictures_without_a_role_are_counted() -> None:
    assert ["no", "role", "1"] in [line.split() for line in shown(audit_of()).splitlines()]


def test_repeats_are_said_where_there_are_any() -> None:
    assert "3, shown 5 times an epoch" in shown(audit_of())


def test_a_finding_names_the_pictures_it_is_about() -> None:
    late = Measurement(name="captions.trigger_late", value=0.5, unit="share", pictures=(2, 0))
    text = shown(audit_of([late], [finding(late)]))
    assert "2.png, 0.png" in text
    assert "Typed by hand." in text and "Correct it." in text and "body-drift" in text


def fused_audit(*visible: float) -> Audit:
    """An audit that found a phrase in every caption, which pictures show or not, or nobody looked."""
    rule = next(one for one in load_rules(data_folder("rules") / "dataset") if one.id == "fused-token")
    where = {"token": "red scarf"}
    seen = [Measurement(name="captions.token_visible_share", value=share, n=2, where=where) for share in visible]
    findings, _ = evaluate([rule], [Measurement(name="captions.token_frequency", value=1.0, n=2, where=where), *seen])
    return audit_of(findings=findings)


def fused(*visible: float) -> str:
    """What the page says of it."""
    return " ".join(shown(fused_audit(*visible)).split())


def test_of_causes_that_nothing_speaks_for_all_are_told_and_none_as_a_fact() -> None:
    text = fused()
    assert "Which of the first 2 causes comes first is too close to tell" in text and " cause " not in text
    assert "perhaps It is only in the captions" in text and "perhaps It is in nearly all the pictures" in text
    assert "fix Add pictures without red scarf" in text


def test_a_cause_that_evidence_speaks_for_is_told_alone() -> None:
    text = fused(0.1)
    assert "cause It is only in the captions" in text and "- it is not to be seen" in text
    assert "too close to tell" not in text and "nearly all the pictures" not in text


def test_nothing_found_is_said() -> None:
    assert "Nothing stands out." in shown(audit_of())


def test_what_was_left_out_is_named_with_its_reason_and_harmless() -> None:
    evil = Skipped(path=Path("dataset/\x1b[2J[red]a\udcff.png"), kind="picture", reason="is truncated \x1b]0;x\x07")
    text = shown(audit_of(skipped=[evil]))
    assert "is truncated" in text
    assert "\x1b" not in text and "\x07" not in text
    assert "\\x1b[2J[red]a\\xff.png" in text


def test_the_page_fits_a_narrow_terminal() -> None:
    assert all(len(line) <= 60 for line in shown(audit_of(), 60).splitlines())


def test_a_finding_says_what_to_change_in_settings_dataset_and_captions() -> None:
    fix = Fix(
        change={"identity_ratio": {"set": 0.33}}, dataset={"add": "in-context", "environments_at_least": 4},
        captions={"add_tokens": "trigger", "to": "all"}, advice="Look first.",
    )  # fmt: skip
    made = finding(RATIO)
    told = shown(audit_of(findings=[replace(made, causes=(replace(made.causes[0], fix=fix),))]), width=200)
    for line in (
        "identity ratio, by repeats or new pictures as under Roles: set 0.33",
        "Dataset: add in-context pictures until they show 4 environments or more",
        "Captions: add trigger in the captions of all pictures", "Look first.",
    ):  # fmt: skip
        assert line in told


def test_an_instrument_is_named_once_and_its_licence_called_so() -> None:
    tools = {"face": {"name": "face", "licence": "see the pack"}, "clip": {"name": "ViT-B-32", "licence": "MIT"}}
    audit = audit_of()
    text = shown(replace(audit, record=replace(audit.record, instruments=tools)))
    assert "face (licence: see the pack)" in text and "clip ViT-B-32 (licence: MIT)" in text
