"""Judging: what a run saw + rules + policy -> Diagnosis, diagnosis.json and report.html; torch is never imported."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from lora_doctor import diagnosis as diagnosis_file
from lora_doctor.effects import weigh
from lora_doctor.errors import InputRefused, UsageError
from lora_doctor.evidence import evidence_cells, traits_of
from lora_doctor.looks import AGAIN
from lora_doctor.plugins import data_folder
from lora_doctor.policy import Policy, ended, has_presets, load_policy, resolve_policy, unknown_rules
from lora_doctor.prescription import prescribe, with_met, without_settled
from lora_doctor.public_measurements import public_facts
from lora_doctor.report import render_report
from lora_doctor.rule_files import DATASET_RULES, FILE_RULES, load_rules
from lora_doctor.rules import confirmed_at, evaluate
from lora_doctor.run_folder import RunFolder
from lora_doctor.settings import from_plain
from lora_doctor.types import Diagnosis, Finding, LabelSet, Rule, TrainingSettings
from lora_doctor.verdict import decide

DIAGNOSIS, REPORT = "diagnosis.json", "report.html"
JUDGED_BY = "judged_by"
"""Name of the document in a run folder that remembers the rules and the policy of its diagnosis.json."""
NO_SYMPTOM = "No proven symptom holds it by itself: what the dataset's own findings ask for is prescribed."
SUSPECTED = "No proven symptom holds it by itself: what is suspected and has a likely cause is treated, as a guess."
BEFORE = "before"
"""Name of the document in a run folder, and of the folder of pictures, that tell of the LoRA before a retraining."""
STORED = ("facts", "training", "label_sets")
"""Documents of a run folder: all that is judged."""


def judge_run(
    folder: Path,
    *,
    rules: Path | None = None,
    policy: str | None = None,
    private: bool | None = None,
    write: bool = True,
) -> Diagnosis:
    """Judge and draw again from a finished run; torch is never imported.

    `rules` and `policy` default to those of the check-up, and so does `private`: otherwise diagnosis.json and report
    hold no picture, caption or file name of the dataset, whatever the check-up saw. Without `write` the run folder
    stays as it is. Raises InputRefused for a folder without finished measurements.
    """
    with RunFolder(folder, create=False, write=write) as run:
        stored = run.get_json("settings")
        if stored is None or run.get_json("facts") is None:
            raise InputRefused("holds no finished check-up.", path=folder, advice="Run `lora-doctor check` to its end.")
        settings = from_plain(stored, run=folder)
        judges = load_judges(rules or settings.judge.rules, policy or settings.judge.policy)
        if not write:
            return diagnose(run, judges)
        return judge(run, judges, private=settings.report.private if private is None else private)


def gate_run(folder: Path, *, rules: Path | None = None, policy: str | None = None) -> Diagnosis:
    """The diagnosis that a finished run holds, judged anew where other judges are asked or a waiver has run out since.

    In the latter case by the rules and the policy that it was judged by. Writes nothing. Raises InputRefused for a
    folder without diagnosis.json.
    """
    held = held_diagnosis(folder)
    run_out = [f for f in held.findings if f.waiver is not None and f.waiver.expires < today().isoformat()]
    if rules is None and policy is None and not run_out:
        return held
    if rules is None and policy is None:
        rules, policy = _judged_by(folder)
    return judge_run(folder, rules=rules, policy=policy, write=False)


def held_diagnosis(folder: Path) -> Diagnosis:
    """The diagnosis.json of a finished run; raises InputRefused where there is none, or what is there is none."""
    path = folder / DIAGNOSIS
    try:
        return diagnosis_file.from_json(path.read_text("utf-8"))
    except UnicodeDecodeError as error:
        advice = "Run `lora-doctor report` to write it anew."
        raise InputRefused(f"is not UTF-8 at byte {error.start}.", path=path, advice=advice) from None
    except OSError:
        advice = "Run `lora-doctor check` to its end."
        raise InputRefused("holds no diagnosis.json.", path=folder, advice=advice) from None


def _judged_by(folder: Path) -> tuple[Path | None, str | None]:
    """The rules and the policy of the run's diagnosis.json; (None, None) = those of the check-up."""
    with RunFolder(folder, create=False, write=False) as run:
        known = run.get_json(JUDGED_BY) or {}
    return Path(known["rules"]) if known.get("rules") else None, known.get("policy")


def _lasting(policy: str) -> str:
    """A policy's name, or the whole path of its file: the next command may be called from elsewhere."""
    path = Path(policy)
    return str(path.resolve()) if path.is_file() else policy


def today() -> date:
    """The day (UTC) that waivers are held against; SOURCE_DATE_EPOCH sets it, for reports that can be made again.

    Raises UsageError where that says no day.
    """
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    if not epoch:
        return datetime.now(UTC).date()
    try:
        return datetime.fromtimestamp(int(epoch), UTC).date()
    except (ValueError, OverflowError, OSError):
        shown = epoch if len(epoch) <= 40 else f"{epoch[:37]}..."
        what = f"the environment variable SOURCE_DATE_EPOCH is {shown!r}, which is no day."
        raise UsageError(what, advice="Set it to seconds since 1970, or unset it.") from None


@dataclass(frozen=True, kw_only=True, slots=True)
class Judges:
    """What a run is judged by."""

    policy: Policy
    rules: tuple[Rule, ...]
    dataset_rules: tuple[Rule, ...]
    """They explain, and never hold a release; nor do the file's."""
    file_rules: tuple[Rule, ...]
    chosen: Mapping[str, str | None] = field(default_factory=dict)
    """Folder of `rules` and name or file of `policy` that were asked for; None = lora-doctor's own."""


def load_judges(folder: Path | None, policy: str) -> Judges:
    """The policy of that name or path, the rules in `folder`; None = lora-doctor's own.

    Dataset and file rules, and presets of policies, that the folder lacks are lora-doctor's own.

    Raises UsageError for a policy that cannot be used, such as one that names a rule which is not there.
    """
    own = data_folder("rules")
    where = folder or own
    beside = {part: where / part if (where / part).is_dir() else own / part for part in (DATASET_RULES, FILE_RULES)}
    rules = load_rules(where)
    presets = where if has_presets(where) else own
    chosen = load_policy(presets, policy)
    for key, complaint in unknown_rules(chosen, [rule.id for rule in rules]):
        raise UsageError(ended(complaint), path=resolve_policy(presets, policy).at(*key))
    about = {part: load_rules(path) for part, path in beside.items()}
    return Judges(
        policy=chosen, rules=rules, dataset_rules=about[DATASET_RULES], file_rules=about[FILE_RULES],
        chosen={"rules": None if folder is None else str(folder.resolve()), "policy": _lasting(policy)},
    )  # fmt: skip


def judge(run: RunFolder, judges: Judges, *, private: bool) -> Diagnosis:
    """Judge the facts stored in an open run folder, and write diagnosis.json and report.html there.

    Unless `private`, neither holds pictures, captions or file names of the dataset.
    """
    diagnosis = diagnose(run, judges, private=private)
    run.put_json(JUDGED_BY, dict(judges.chosen))
    run.write_text(DIAGNOSIS, diagnosis_file.to_json(diagnosis))
    run.write_text(REPORT, render_report(diagnosis, templates=data_folder("reports"), run=run.path, private=private))
    return diagnosis


def diagnose(run: RunFolder, judges: Judges, *, private: bool = False) -> Diagnosis:
    """Judge the facts stored in an open run folder, which is left as it is; waivers are held against today.

    Unless `private`, nothing of it names what only the dataset knows.
    """
    judged = diagnose_stored({name: run.get_json(name) for name in STORED}, judges, private=private)
    return replace(judged, before=run.get_json(BEFORE) or {})


def diagnose_stored(stored: Mapping[str, Any], judges: Judges, *, private: bool = False) -> Diagnosis:
    """Judge the documents `STORED` of a run folder, wherever they are kept; waivers are held against today.

    Without cells and arms among the facts the findings name no pictures, and all else is the same.
    """
    day = today()
    rules, policy = judges.rules, judges.policy
    facts = diagnosis_file.from_json(json.dumps(stored["facts"]))
    training, labels = training_and_labels(stored)
    facts = facts if private else public_facts(facts, labels)
    findings, not_evaluated = evaluate(rules, facts.measurements, policy.weights)
    shows = {rule.id: rule.shows for rule in rules}
    spec = facts.character["spec"]
    findings = tuple(
        replace(f, cells=evidence_cells(f, shows[f.rule], facts, labels), traits=traits_of(f, spec, labels))
        for f in findings
    )
    findings = with_met(findings, training, facts.measurements)
    novel = [e["name"] for e in facts.matrix["environments"] if not e["trained"]]
    lora = facts.inputs.get("lora", "")
    about = evaluate(judges.dataset_rules, facts.measurements)[0]
    top = max(facts.matrix["ship_weights"], default=None)
    verdict = decide(
        findings, not_evaluated, facts.measurements, policy, novel=novel, today=day, lora=lora,
        failing_at=confirmed_at(rules, facts.measurements, top), noted=facts.verdict.warnings,
        ends=_ends(facts),
    )  # fmt: skip
    treated, why = _treated(findings, about, verdict.outcome)
    prescription = prescribe(treated, training, facts.measurements, spec=spec, label_sets=labels)
    prescription = replace(prescription, advice=(*why, *prescription.advice))
    return replace(
        facts, findings=weigh(findings, policy, today=day, lora=lora), not_evaluated=not_evaluated,
        prescription=prescription, verdict=verdict,
        dataset_findings=with_met(without_settled(about, prescription), training, facts.measurements),
        file_findings=evaluate(judges.file_rules, facts.measurements)[0],
        matrix={**facts.matrix, "threshold": policy.identity_at_least, "policy": policy.name},
    )  # fmt: skip


def _ends(facts: Diagnosis) -> int:
    """How often rendering ended before, as the run remembers; what is no such number is taken for many times."""
    ends = (facts.matrix.get("rounds") or {}).get("ends", 0)
    return ends if isinstance(ends, int) and ends >= 0 else len(AGAIN)


def _treated(
    findings: Sequence[Finding], about: Sequence[Finding], outcome: str
) -> tuple[Sequence[Finding], tuple[str, ...]]:
    """The findings that are prescribed for, and what is to be said of the choice.

    Those that the pictures prove; where a LoRA does not ship and nothing proven holds it, what is `about` its dataset
    and makes ill as well, or where that tells nothing, suspected blockers with a likely cause.
    """
    proven = [finding for finding in findings if finding.state == "confirmed" and finding.causes]
    if outcome == "SHIP" or any(finding.severity == "blocker" for finding in proven):
        return findings, ()
    harmful = [finding for finding in about if finding.state == "confirmed" and finding.predicts]
    if harmful:
        return [*proven, *harmful], (NO_SYMPTOM,)
    blockers = [finding for finding in findings if finding.state == "suspected" and finding.severity == "blocker"]
    likely = [finding for finding in blockers if any(cause.log_odds > 0 for cause in finding.causes)]
    guessed = [replace(finding, state="confirmed") for finding in likely]
    return [*proven, *guessed], (SUSPECTED,) if likely else ()


def training_and_labels(stored: Mapping[str, Any]) -> tuple[TrainingSettings, dict[str, LabelSet]]:
    """The settings that were trained with, and the closed label sets, of the stored documents of a run."""
    labels = {
        name: LabelSet(attribute=name, labels=tuple(words), prompts=(), kind=kind, crop="whole")
        for name, (kind, *words) in stored["label_sets"].items()
    }
    try:
        return TrainingSettings(**_tuples(stored["training"])), labels
    except TypeError:
        what = "the run was made by another lora-doctor: its training settings are not those of this one."
        raise UsageError(what, advice="Use that one, or check the LoRA again into another folder.") from None


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
