"""`audit`: a dataset alone, looked at as the trainer sees it: roles, captions, pictures, findings. Needs no LoRA."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lora_doctor.dataset import read_dataset
from lora_doctor.instruments import Progress, open_instruments, read_references, silent
from lora_doctor.plugins import data_folder, find
from lora_doctor.roles import classify_roles
from lora_doctor.rules import DATASET_RULES, evaluate, load_rules
from lora_doctor.run_folder import RunFolder
from lora_doctor.settings import InstrumentSettings, Settings
from lora_doctor.spec import induce_spec
from lora_doctor.types import Case, Dataset, Finding, Measurement, NotEvaluated, Reading, TrainingSettings


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Audit:
    """All that a dataset tells."""

    case: Case
    measurements: tuple[Measurement, ...]
    findings: tuple[Finding, ...]
    not_evaluated: tuple[NotEvaluated, ...]

    @property
    def dataset(self) -> Dataset:
        """With roles."""
        return self.case.dataset

    @property
    def references(self) -> tuple[Reading | None, ...]:
        """What the instruments read, in the order of the pictures."""
        return self.case.references


def audit_dataset(settings: AuditSettings, progress: Progress = silent) -> Audit:
    """Look at every picture and caption, measure, and judge by the dataset rules; resumes in `settings.out`.

    Raises InputRefused for what is no dataset, UsageError for rules or a spec that cannot be used.
    """
    rules = load_rules(settings.rules or data_folder("rules") / DATASET_RULES)
    dataset = read_dataset(settings.dataset)
    instruments = open_instruments(
        Settings(
            model=settings.dataset,
            trigger=settings.trigger or "",
            dataset=settings.dataset,
            out=settings.out,
            instruments=settings.instruments,
            device=settings.device,
        )
    )
    with RunFolder(settings.out) as run:
        references = read_references(dataset, instruments, run, progress)
    dataset = classify_roles(dataset, references, instruments.label_sets)
    case = Case(
        lora=None, dataset=dataset, references=references, training=settings.training, trigger=settings.trigger or "",
        label_sets=instruments.label_sets,
        spec=induce_spec(dataset, references, instruments.label_sets, settings.spec),
    )  # fmt: skip
    measurements = tuple(m for module in find("audits", needs="audit").values() for m in module.audit(case))
    findings, not_evaluated = evaluate(rules, measurements)
    return Audit(case=case, measurements=measurements, findings=findings, not_evaluated=not_evaluated)
