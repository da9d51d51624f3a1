"""`audit`: a dataset alone, looked at as the trainer sees it: roles, captions, pictures, findings. Needs no LoRA."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from lora_doctor import __version__, dossier
from lora_doctor.dataset import read_dataset
from lora_doctor.diagnosis import FORMAT_VERSION, to_json
from lora_doctor.instruments import (
    Instruments,
    Progress,
    open_instruments,
    read_dataset_pictures,
    save_thumbnails,
    silent,
)
from lora_doctor.plugins import data_folder, find
from lora_doctor.prescription import prescribe
from lora_doctor.report import render_audit
from lora_doctor.roles import classify_roles
from lora_doctor.rules import DATASET_RULES, evaluate, load_rules
from lora_doctor.run_folder import RunFolder
from lora_doctor.settings import InstrumentSettings, Settings
from lora_doctor.spec import induce_spec
from lora_doctor.types import (
    AuditRecord,
    Case,
    Dataset,
    Finding,
    Measurement,
    NotEvaluated,
    Reading,
    Role,
    TrainingSettings,
)

AUDIT, REPORT = "audit.json", "audit.html"


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditSettings:
    """What an audit needs to know."""

    dataset: Path
    """A folder of pictures, or the config of a trainer."""
    out: Path
    """The run folder."""
    trigger: str | None = None
    """None = as the config says, or as the captions tell."""
    spec: Mapping[str, str] = field(default_factory=dict)
    """Attribute -> label; what is not given is induced."""
    training: TrainingSettings = field(default_factory=TrainingSettings)
    instruments: InstrumentSettings = field(default_factory=InstrumentSettings)
    device: str = "cpu"
    rules: Path | None = None
    """A folder of dataset rules instead of lora-doctor's own."""
    roles: Mapping[str, Role] = field(default_factory=dict)
    """Glob below the dataset -> the role that its pictures have, whatever they look like."""
    private: bool = False
    """True = the record and the report hold training pictures, captions and file names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Audit:
    """All that a dataset tells."""

    case: Case
    record: AuditRecord
    trigger_reason: str
    """How the trigger is known."""
    misspelt: tuple[str, ...] = ()
    """Spellings that mean the trigger."""
    class_words: tuple[str, ...] = ()
    """Tokens that stand before the trigger."""
    plan: tuple[str, ...] = ()
    """Ways to the source's identity ratio, a sentence each."""
    repeats: Mapping[str, float] = field(default_factory=dict)
    """Folder -> repeats that bring it nearest."""

    @property
    def dataset(self) -> Dataset:
        """With roles."""
        return self.case.dataset

    @property
    def references(self) -> tuple[Reading | None, ...]:
        """What the instruments read, in the order of the pictures."""
        return self.case.references

    @property
    def measurements(self) -> tuple[Measurement, ...]:
        """All of them."""
        return self.record.measurements

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Most pressing first."""
        return self.record.findings

    @property
    def not_evaluated(self) -> tuple[NotEvaluated, ...]:
        """Rules that could not be judged."""
        return self.record.not_evaluated


def open_audit_instruments(settings: AuditSettings) -> Instruments:
    """The instruments that the settings name, for several audits."""
    return open_instruments(
        Settings(
            model=settings.dataset,
            trigger="",
            dataset=settings.dataset,
            out=settings.out,
            instruments=settings.instruments,
            device=settings.device,
        )
    )


def audit_dataset(
    settings: AuditSettings, progress: Progress = silent, instruments: Instruments | None = None
) -> Audit:
    """Look at every picture and caption, measure, and judge by the dataset rules; resumes in `settings.out`.

    `instruments`: opened already. Writes audit.json and audit.html there. Raises InputRefused for what is no dataset,
    UsageError for rules or a spec that cannot be used.
    """
    began = time.monotonic()
    rules = load_rules(settings.rules or data_folder("rules") / DATASET_RULES)
    dataset = read_dataset(settings.dataset)
    tools = instruments or open_audit_instruments(settings)
    with RunFolder(settings.out) as run:
        references = read_dataset_pictures(dataset, tools, run, progress)
        dataset = classify_roles(dataset, references, tools.label_sets)
        case = Case(
            lora=None, dataset=dataset, references=references, training=settings.training,
            trigger=settings.trigger or "", label_sets=tools.label_sets,
            spec=induce_spec(dataset, references, tools.label_sets, settings.spec),
        )  # fmt: skip
        measurements = tuple(m for module in find("audits", needs="audit").values() for m in module.audit(case))
        findings, not_evaluated = evaluate(rules, measurements)
        record = AuditRecord(
            format_version=FORMAT_VERSION,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            versions={"lora-doctor": __version__},
            inputs={},
            character={"trigger": case.trigger, "spec": dict(case.spec)},
            instruments={},
            dataset=dossier.describe_dataset(
                dataset, references, tools.label_sets, measurements=measurements,
                pictures=save_thumbnails(dataset, run) if settings.private else None,
            ),
            measurements=measurements,
            findings=findings,
            not_evaluated=not_evaluated,
            prescription=prescribe(
                findings, settings.training, measurements, spec=case.spec, label_sets=tools.label_sets
            ),
            timings={"seconds": round(time.monotonic() - began, 2)},
        )  # fmt: skip
        run.write_text(AUDIT, to_json(record))
        page = render_audit(record, templates=data_folder("reports"), run=run.path, private=settings.private)
        run.write_text(REPORT, page)
    return Audit(case=case, record=record, trigger_reason="given" if settings.trigger else "not known")
