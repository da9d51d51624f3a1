"""`audit`: a dataset alone, looked at as the trainer sees it: roles, captions, pictures, findings. Needs no LoRA."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from itertools import takewhile
from pathlib import Path

from lora_doctor import __version__, dossier
from lora_doctor.caption_source import subset_of
from lora_doctor.caption_words import CLASS_WORDS
from lora_doctor.captions import pieces, said_tokens
from lora_doctor.captions import texts as captions_of
from lora_doctor.dataset import survey
from lora_doctor.dataset_layout import layout_of
from lora_doctor.diagnosis import FORMAT_VERSION, to_json
from lora_doctor.errors import UsageError
from lora_doctor.instrument_choice import for_pictures
from lora_doctor.instruments import (
    Instruments,
    Progress,
    label_sets_of,
    open_instruments,
    read_dataset_pictures,
    save_thumbnails,
    silent,
)
from lora_doctor.plugins import data_folder, find
from lora_doctor.prescription import prescribe
from lora_doctor.public_measurements import public
from lora_doctor.removals import gone_of, removals_of, several_characters, told_of, ways_without
from lora_doctor.report import render_audit
from lora_doctor.roles import classify_roles, overruled
from lora_doctor.rule_files import DATASET_RULES, load_rules
from lora_doctor.rules import evaluate
from lora_doctor.run_folder import RunFolder
from lora_doctor.settings import InstrumentSettings, Settings
from lora_doctor.spec import induce_spec
from lora_doctor.spelling import Spelling, holds
from lora_doctor.trigger import InducedTrigger, induce_trigger, spelt_otherwise
from lora_doctor.types import (
    AuditRecord,
    Case,
    Dataset,
    Finding,
    LabelSet,
    Layout,
    Measurement,
    NotEvaluated,
    PictureFacts,
    Prescription,
    Reading,
    Role,
    Rule,
    TrainingSettings,
)
from lora_doctor.upright import remark

_SAYS = {
    "config": "the config says so",
    "words": "the config's words for pictures without a caption say so",
    "folder": "the folder's name says so",
}
"""By `Layout.trigger_from`, how a trigger is known."""
_NOT_MEASURED = "not measured"
"""What a rule says of a measurement that nobody made."""
AUDIT, REPORT = "audit.json", "audit.html"
FACTS_VERSION = 2
"""Counted up when `picture_facts` tells more than it did: what run folders remember is then looked at again."""


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
    """What may be written down: without the words of captions, unless it is private."""
    measurements: tuple[Measurement, ...]
    findings: tuple[Finding, ...]
    """Most pressing first."""
    not_evaluated: tuple[NotEvaluated, ...]
    trigger_reason: str
    """How the trigger is known."""
    misspelt: tuple[Spelling, ...] = ()
    """Spellings that mean the trigger."""
    class_words: tuple[str, ...] = ()
    """Tokens that stand before the trigger."""
    plan: tuple[str, ...] = ()
    """Ways to the source's identity ratio for the pictures that are not certain to go, a sentence each."""
    repeats: Mapping[str, float] = field(default_factory=dict)
    """Folder -> repeats that bring it nearest."""
    apart: tuple[str, ...] = ()
    """Words of captions that call a part of the pictures each; empty = one character, or no telling."""
    prescription: Prescription = field(default_factory=Prescription)
    """What `record` prescribes, with the words of captions."""

    @property
    def dataset(self) -> Dataset:
        """With roles."""
        return self.case.dataset

    @property
    def references(self) -> tuple[Reading | None, ...]:
        """What the instruments read, in the order of the pictures."""
        return self.case.references


def open_audit_instruments(settings: AuditSettings) -> Instruments:
    """The instruments that the settings name, for several audits."""
    return open_instruments(
        Settings(
            model=settings.dataset,
            trigger="",
            dataset=settings.dataset,
            out=settings.out,
            instruments=replace(settings.instruments, identity=(), tagger=None, body="none"),
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
    layout = layout_of(settings.dataset)
    _refuse_inside(settings.out, layout)
    with RunFolder(settings.out) as run:
        dataset = survey(
            layout, settings.dataset, known=partial(_known, run), remember=partial(_remember, run), progress=progress
        )
        tools = instruments or _tools(settings, dataset)
        blind = None if isinstance(tools, Instruments) else tools
        label_sets = tools.label_sets if isinstance(tools, Instruments) else label_sets_of(settings.instruments)
        references: tuple[Reading | None, ...] = (
            read_dataset_pictures(dataset, tools, run, progress) if isinstance(tools, Instruments)
            else (None,) * len(dataset.images)
        )  # fmt: skip
        dataset = classify_roles(overruled(dataset, settings.roles), references, label_sets, unread=blind)
        if (lying := remark(dataset)) is not None:
            dataset = replace(dataset, notes=(*dataset.notes, lying))
        induced = induce_trigger(dataset, label_sets)
        case, trigger_reason, public_reason = _case(settings, layout, dataset, references, label_sets, induced)
        measurements = _measured(case, blind)
        findings, not_evaluated = _judged(rules, measurements, blind)
        several = several_characters(induced.apart, findings)
        gone = gone_of(removals_of(dataset, findings, several=several is not None))
        ways = ways_without(dataset, gone, several=several is not None)
        plan = told_of(ways, gone, several)
        texts = [text for image in dataset.images for text in captions_of(image)]
        pictures = save_thumbnails(dataset, run) if settings.private else None
        told = measurements if settings.private else public(measurements, label_sets)
        shown = (findings, not_evaluated) if settings.private else _judged(rules, told, blind)
        prescribed = partial(
            prescribe, spec=case.spec, label_sets=label_sets,
            counted={} if ways.more is None else {ways.more.role: ways.more.pictures},
        )  # fmt: skip
        record = AuditRecord(
            format_version=FORMAT_VERSION,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            versions={"lora-doctor": __version__},
            inputs={"dataset": dossier.dataset_digest(dataset)},
            character={
                "trigger": case.trigger,
                "known": trigger_reason if settings.private else public_reason,
                "spec": dict(case.spec),
            },
            instruments=tools.described if isinstance(tools, Instruments) else {"none": tools},
            dataset=dossier.describe_dataset(
                dataset, references, label_sets, measurements=measurements, pictures=pictures, ways=plan
            ),
            measurements=told,
            findings=shown[0],
            not_evaluated=shown[1],
            prescription=prescribed(shown[0], settings.training, told),
            timings={"seconds": round(time.monotonic() - began, 2)},
        )
        run.write_text(AUDIT, to_json(record))
        page = render_audit(record, templates=data_folder("reports"), run=run.path, private=settings.private)
        run.write_text(REPORT, page)
    return Audit(
        case=case, record=record, measurements=measurements, findings=findings, not_evaluated=not_evaluated,
        trigger_reason=trigger_reason, plan=plan, repeats=ways.repeats,
        misspelt=spelt_otherwise(texts, case.trigger, label_sets), class_words=_class_words(texts),
        apart=induced.apart, prescription=prescribed(findings, settings.training, measurements),
    )  # fmt: skip


def _tools(settings: AuditSettings, dataset: Dataset) -> Instruments | str:
    """The instruments; or why nothing is read off the pictures."""
    names = for_pictures(settings.instruments, dataset.images)
    return names if isinstance(names, str) else open_audit_instruments(replace(settings, instruments=names))


def _measured(case: Case, blind: str | None) -> tuple[Measurement, ...]:
    """What all audits measure; where nothing was read, those that look at pictures say so first."""
    found: list[Measurement] = []
    for module in find("audits", needs="audit").values():
        looks = blind is not None and getattr(module, "LOOKS", False)
        for one in module.audit(case):
            found.append(replace(one, reason=f"{blind}: {one.reason}") if looks and one.value is None else one)
    return tuple(found)


def _judged(
    rules: Sequence[Rule], measurements: Sequence[Measurement], blind: str | None
) -> tuple[tuple[Finding, ...], tuple[NotEvaluated, ...]]:
    """Findings, and what could not be evaluated; where nothing was read, that is why something is not measured."""
    findings, silent = evaluate(rules, measurements)
    if blind is None:
        return findings, silent
    told = f"{_NOT_MEASURED}, as {blind}"
    return findings, tuple(replace(one, reason=one.reason.replace(_NOT_MEASURED, told)) for one in silent)


def _case(
    settings: AuditSettings, layout: Layout, dataset: Dataset, references: tuple[Reading | None, ...],
    label_sets: Mapping[str, LabelSet], induced: InducedTrigger,
) -> tuple[Case, str, str]:  # fmt: skip
    """All that audits may look at, and how the trigger is known: for the user, and for everybody."""
    trigger, told = (
        (settings.trigger, "given") if settings.trigger
        else (layout.trigger, _SAYS[layout.trigger_from]) if layout.trigger and _calls(layout, dataset)
        else (induced.word or "", induced.reason)
    )  # fmt: skip
    spec = induce_spec(dataset, references, label_sets, settings.spec)
    case = Case(
        lora=None, dataset=dataset, references=references, training=settings.training, trigger=trigger,
        label_sets=label_sets, spec=spec,
    )  # fmt: skip
    public_reason = induced.public_reason if told == induced.reason else None
    return case, told, public_reason or told


def _calls(layout: Layout, dataset: Dataset) -> bool:
    """Whether the layout's trigger is one that captions show.

    A folder's name and class tokens are only the caption of pictures that have none: `10_final` calls nobody where all
    captions are written and none holds the word.
    """
    if layout.trigger_from == "config" or layout.trigger is None:
        return True
    written = [
        text for image in dataset.images for text in captions_of(image)
        if image.caption_file is not None or subset_of(image, dataset).captions is not None
    ]  # fmt: skip
    return not written or any(holds(text, layout.trigger) for text in written)


def _class_words(texts: Sequence[str]) -> tuple[str, ...]:
    """The class words that at least half of the captions begin with, in their order."""
    leading: Counter[str] = Counter()
    for text in texts:
        leading.update(takewhile(lambda token: " ".join(pieces(token)) in CLASS_WORDS, said_tokens(text)))
    return tuple(word for word, count in leading.items() if 2 * count >= len(texts))


def _known(run: RunFolder, sha256: str) -> tuple[PictureFacts, int, int] | None:
    """What an earlier audit in this run folder remembered of a picture."""
    stored = run.get_json(f"picture-{FACTS_VERSION}-{sha256}")
    if stored is None:
        return None
    facts, width, height = stored
    shapes = {"colour": tuple(facts["colour"]), "text": tuple(tuple(box) for box in facts["text"])}
    return PictureFacts(**{**facts, **shapes}), width, height


def _remember(run: RunFolder, sha256: str, facts: PictureFacts, width: int, height: int) -> None:
    run.put_json(f"picture-{FACTS_VERSION}-{sha256}", [asdict(facts), width, height])


def _refuse_inside(out: Path, layout: Layout) -> None:
    """A run folder inside the dataset would be read as part of it the next time."""
    for subset in layout.subsets:
        place, folder = out.resolve(), subset.folder.resolve()
        if place == folder or (subset.recursive and place.is_relative_to(folder)):
            what = "would lie in the dataset, which is never changed."
            raise UsageError(what, path=out, advice="Choose another folder with --out.")
