"""`audit --fix`: an audit -> corrected captions, a repeats plan, pictures to remove and to shoot, in a folder apart.

The dataset itself is never touched.
"""

from __future__ import annotations

import difflib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lora_doctor.caption_mending import CaptionPlan, Mended, mend, written_with_underscores
from lora_doctor.corrected_dataset import places_in_copy
from lora_doctor.dataset_audit import Audit
from lora_doctor.dossier import name_in
from lora_doctor.errors import UsageError, bytes_shown
from lora_doctor.metrics.sensitivity import CONFIDENT
from lora_doctor.off_spec import shown_instead
from lora_doctor.types import Dataset, Finding, LabelSet, Reading
from lora_doctor.wording import setting_text

CAPTIONS, DIFF, SHEET, REMOVE, REPEATS = "captions", "captions.diff", "mending.md", "remove.txt", "repeats.json"
PICTURES = "pictures"
"""In a fix's `leave_out`: the pictures that the finding is about."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Removal:
    """A picture that the next training should not see."""

    path: Path
    why: str
    sure: bool
    """False = somebody should look first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mending:
    """What `--fix` writes; nothing is on the disk yet."""

    audit: Audit
    captions: Mapping[Path, Mended]
    """Picture -> its corrected caption; only where something changes."""
    removals: tuple[Removal, ...]
    repeats: Mapping[str, float]
    """Folder -> repeats that bring the identity ratio nearest to the source's; empty = as they are."""

    @property
    def diff(self) -> str:
        """A unified diff of every caption that changes."""
        lines: list[str] = []
        places = places_in_copy(self.audit.dataset)
        for image in self.audit.dataset.images:
            if (mended := self.captions.get(image.path)) is not None:
                name = bytes_shown(places[image.path].with_suffix(".txt").as_posix())
                before = [] if image.caption is None else [image.caption + "\n"]
                lines += difflib.unified_diff(before, [mended.caption + "\n"], name, f"{name} (mended)", n=0)
        return "".join(lines)

    def write(self, folder: Path) -> tuple[Path, ...]:
        """Write everything to `folder`; UsageError where that is the dataset, or holds something else already."""
        _refuse(folder, self.audit.dataset)
        shutil.rmtree(folder / CAPTIONS, ignore_errors=True)
        places = places_in_copy(self.audit.dataset)
        for image in self.audit.dataset.images:
            mended = self.captions.get(image.path)
            text = image.caption if mended is None else mended.caption
            if text is not None:
                ending = ".txt" if image.caption_file is None else image.caption_file.suffix
                path = (folder / CAPTIONS / places[image.path]).with_suffix(ending)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text + "\n", "utf-8", errors="backslashreplace")
        folder.mkdir(parents=True, exist_ok=True)
        names = {name_in(self.audit.dataset, each.path): each for each in self.removals}
        written = {
            DIFF: self.diff,
            REMOVE: "".join(f"{name}\n" for name, each in names.items() if each.sure),
            REPEATS: json.dumps(self.repeats, indent=1) + "\n",
            SHEET: sheet(self),
        }
        for name, content in written.items():
            (folder / name).write_text(content, "utf-8", errors="backslashreplace")
        return (folder / CAPTIONS, *(folder / name for name in written))


def plan_mending(audit: Audit) -> Mending:
    """Work out what would mend the dataset; captions are completed and corrected whether or not a rule speaks."""
    plan = caption_plan(audit)
    removals = _removals(audit)
    gone = {each.path for each in removals if each.sure}
    captions = {}
    for image, reading in zip(audit.dataset.images, audit.references, strict=True):
        if image.path in gone:
            continue
        mended = mend(image.caption, plan, role=image.role, shown=certainly_shown(audit, reading))
        if mended.changes:
            captions[image.path] = mended
    return Mending(audit=audit, captions=captions, removals=removals, repeats=audit.repeats)


def caption_plan(audit: Audit) -> CaptionPlan:
    """What the captions of the audited dataset should say."""
    case, texts = audit.case, [image.caption or "" for image in audit.dataset.images]
    kinds = {
        str(fix.get("add_tokens")) for f in audit.findings for cause in f.causes[:1] if (fix := cause.fix.captions)
    }
    free = [name for name, labels in case.label_sets.items() if {name, labels.kind} & kinds]
    return CaptionPlan(
        trigger=case.trigger, spec=case.spec, label_sets=case.label_sets, misspelt=audit.misspelt,
        class_words=audit.class_words, free=free, unseen=_unseen(audit.findings),
        underscores=written_with_underscores(texts),
    )  # fmt: skip


def certainly_shown(audit: Audit, reading: Reading | None) -> dict[str, str]:
    """Attribute -> the label that the picture certainly shows, where its framing shows the attribute."""
    sets, framings = audit.case.label_sets, audit.case.label_sets.get("framing")
    if reading is None:
        return {}
    framing = reading.top_label(framings)
    shown = {name: _shown(reading, labels, framing) for name, labels in sets.items()}
    for name, own in audit.case.spec.items():
        if (other := shown_instead(reading, sets[name], framings, own)) is not None:
            shown[name] = other
        elif shown[name] not in (None, own):
            shown[name] = None  # not certain enough to speak against the character
    return {name: label for name, label in shown.items() if label is not None}


def sheet(mending: Mending) -> str:
    """What was done and what is left to do, as Markdown for a person."""
    audit = mending.audit
    parts = [
        "# Mending\n",
        f"Captions changed: {len(mending.captions)} of {len(audit.dataset.images)} (`{CAPTIONS}/`, `{DIFF}`).\n",
        _listed("Identity ratio", audit.plan),
        _listed("Repeats", [f"`{name}`: {value:g}" for name, value in mending.repeats.items()]),
        _listed(
            f"Pictures to remove (`{REMOVE}` names those that are certain)",
            [
                f"`{name_in(audit.dataset, each.path)}`: {each.why}{'' if each.sure else ' (look first)'}"
                for each in mending.removals
            ],
        ),
        _listed("Pictures to shoot", [asked.says for asked in audit.record.prescription.dataset]),
        _listed(
            "Training settings",
            [
                f"`{c.field}`: {setting_text(c.before)} -> {setting_text(c.after)} ({c.because})"
                for c in audit.record.prescription.changes
            ],
        ),
        _listed("Advice", audit.record.prescription.advice),
        _listed("Captions", _grouped(mending)),
    ]
    return "\n".join(part for part in parts if part)


def _listed(title: str, lines: Sequence[str]) -> str:
    return f"## {title}\n\n" + "".join(f"- {line}\n" for line in lines) if lines else ""


def _grouped(mending: Mending) -> list[str]:
    """What was done, with the captions it was done to: the same change to forty captions is one line."""
    groups: dict[str, list[str]] = {}
    for path, mended in mending.captions.items():
        groups.setdefault("; ".join(mended.changes), []).append(f"`{name_in(mending.audit.dataset, path)}`")
    return [f"{done}: {', '.join(names)}" for done, names in groups.items()]


def _removals(audit: Audit) -> tuple[Removal, ...]:
    """The pictures that findings ask to leave out, each once, by its surest finding."""
    found: dict[Path, Removal] = {}
    for finding in sorted(audit.findings, key=lambda each: each.state):  # `confirmed` comes first
        asked = finding.causes[0].fix.dataset.get("leave_out") if finding.causes else None
        pictures = finding.measurements[0].pictures if asked is not None and finding.measurements else ()
        for index in pictures:
            path = audit.dataset.images[index].path
            why = " ".join(finding.symptom.split()).rstrip(".")
            found.setdefault(path, Removal(path=path, why=f"{finding.rule}: {why}", sure=finding.state == "confirmed"))
    return tuple(found.values())


def _unseen(findings: Sequence[Finding]) -> list[str]:
    """The tokens of findings whose likeliest cause asks to take the token out of the captions."""
    asked = (f.causes[0].fix.captions.get("remove_token") for f in findings if f.causes and f.state == "confirmed")
    return [str(token) for token in asked if token]


def _shown(reading: Reading, labels: LabelSet, framing: str | None) -> str | None:
    row = reading.probabilities.get(labels.attribute)
    visible = framing is None or framing in labels.framings
    return reading.top_label(labels) if visible and row is not None and row.max() > CONFIDENT else None


def _refuse(folder: Path, dataset: Dataset) -> None:
    read = {dataset.path, *(subset.folder for subset in dataset.subsets)}
    if any(folder.resolve().is_relative_to(each.resolve()) for each in read):
        raise UsageError("lies in the dataset, which is never changed.", path=folder, advice="Choose another folder.")
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not (folder / SHEET).is_file())):
        raise UsageError("is not empty and holds no mending.", path=folder, advice="Choose another folder.")
