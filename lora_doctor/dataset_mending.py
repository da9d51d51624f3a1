"""`audit --fix`: an audit -> corrected captions, a repeats plan, pictures to remove and to shoot, in a folder apart.

The dataset itself is never touched.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath

from lora_doctor.caption_files import parts_of_wildcards
from lora_doctor.caption_mending import CaptionPlan, Mended, mend, written_with_underscores
from lora_doctor.caption_source import beside, ending_of, file_text, left_alone, put_in_front, said, subset_of
from lora_doctor.captions import says
from lora_doctor.corrected_dataset import places_in_copy
from lora_doctor.dataset_audit import Audit
from lora_doctor.dossier import name_in
from lora_doctor.errors import UsageError, bytes_shown
from lora_doctor.grey_pictures import hides
from lora_doctor.metrics.sensitivity import CONFIDENT
from lora_doctor.named_places import real
from lora_doctor.off_spec import shown_instead
from lora_doctor.ratio_ways import Ways
from lora_doctor.removals import Removal, gone_of, removals_of, several_characters, told_of, ways_without
from lora_doctor.types import Dataset, DatasetImage, Finding, LabelSet, Reading, Role, Subset
from lora_doctor.wording import change_text
from lora_doctor.written_folder import holds, is_written, put, refuse, staging

CAPTIONS, DIFF, SHEET, REMOVE, REPEATS = "captions", "captions.diff", "mending.md", "remove.txt", "repeats.json"
NO_COLOUR = "no colour"
"""What a grey picture shows instead of a colour."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mending:
    """What `--fix` writes; nothing is on the disk yet."""

    audit: Audit
    captions: Mapping[Path, Mended]
    """Picture -> its corrected captions, one a line; only where something changes, and a file can say it."""
    removals: tuple[Removal, ...]
    repeats: Mapping[str, float]
    """Folder -> repeats that bring the identity ratio nearest to the source's; empty = as they are."""
    plan: tuple[str, ...] = ()
    """Ways to that ratio for the pictures that stay, a sentence each."""

    by_hand: Mapping[Path, Mended] = field(default_factory=dict)
    """The same, where the config puts words around every caption of a subset that the corrected one has elsewhere."""
    unsure: Mapping[Path, tuple[str, ...]] = field(default_factory=dict)
    """Picture -> what its captions say against the spec, and may say of somebody or something else: left as it is."""

    unread: Mapping[Path, tuple[Path, ...]] = field(default_factory=dict)
    """Picture -> its caption files that were not read, and that nothing replaces."""

    @property
    def diff(self) -> str:
        """A unified diff of every caption file that changes."""
        parts: dict[str, str] = {}  # two pictures of one name have one caption file
        dataset, places = self.audit.dataset, places_in_copy(self.audit.dataset)
        for image in dataset.images:
            if (mended := self.captions.get(image.path)) is not None:
                subset = subset_of(image, dataset)
                name = bytes_shown(beside(places[image.path], ending_of(image, subset)).as_posix())
                before, after = _lines(_now(image, subset)), _lines(file_text(mended.caption, image, subset) or "")
                parts[name] = "".join(difflib.unified_diff(before, after, name, f"{name} (mended)", n=0))
        return "".join(parts.values())

    def write(self, folder: Path) -> tuple[Path, ...]:
        """Write everything to `folder`, all or nothing.

        Of a picture whose captions do not change, the caption file is copied byte for byte, or there is none. Raises
        UsageError where `folder` is, holds or lies in the dataset, and where it holds what lora-doctor did not write,
        or somebody has changed since.
        """
        _refuse(folder, self.audit.dataset)
        places = places_in_copy(self.audit.dataset)
        texts = {
            DIFF: self.diff,
            REMOVE: "".join(f"{line_of(places[each.path])}\n" for each in self.removals if each.sure),
            REPEATS: json.dumps(self.repeats, indent=1) + "\n",
            SHEET: sheet(self),
        }
        written = {name: text.encode("utf-8", "backslashreplace") for name, text in texts.items()}
        refuse(folder, written, CAPTIONS)
        with staging(folder) as stage:
            self._write_captions(stage / CAPTIONS)
            put(folder, stage, written, CAPTIONS)
        return (folder / CAPTIONS, *(folder / name for name in written))

    def _write_captions(self, folder: Path) -> None:
        """Every caption file, where its picture lies below the dataset."""
        folder.mkdir()
        places = places_in_copy(self.audit.dataset)
        for image in self.audit.dataset.images:
            subset, mended = subset_of(image, self.audit.dataset), self.captions.get(image.path)
            raw = _bytes(image, subset, mended)
            files = {} if raw is None else {ending_of(image, subset): raw}
            files |= {
                file.name.removeprefix(image.path.stem): file.read_bytes()
                for file in self.unread.get(image.path, ()) if not file.is_symlink()
            }  # fmt: skip
            for ending, content in files.items():
                path = beside(folder / places[image.path], ending)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)


def line_of(place: PurePath) -> str:
    """How the list of removals names a picture: one line, whatever the name holds."""
    return bytes_shown(place.as_posix()).replace("\n", "\\n").replace("\r", "\\r")


def _bytes(image: DatasetImage, subset: Subset, mended: Mended | None) -> bytes | None:
    """What a picture's caption file is to hold; None where it has none and needs none."""
    if mended is not None:
        text = file_text(mended.caption, image, subset)
        return None if text is None else text.encode("utf-8", "backslashreplace")
    return None if image.caption_file is None else image.caption_file.read_bytes()


def _now(image: DatasetImage, subset: Subset) -> str:
    """What the picture's caption file holds, or what is said of it where no file does."""
    if image.caption_file is not None:
        return image.caption_file.read_bytes().decode("utf-8", "backslashreplace")
    return "".join(f"{caption}\n" for caption in said(image, subset))


def _lines(text: str) -> list[str]:
    """As a unified diff has them, the last one marked where it does not end."""
    *whole, rest = text.split("\n")
    return [f"{line}\n" for line in whole] + ([f"{rest}\n\\ No newline at end of file\n"] if rest else [])


def plan_mending(audit: Audit) -> Mending:
    """Work out what would mend the dataset; captions are completed and corrected whether or not a rule speaks.

    Where the set may hold several characters no caption is changed, and no picture is sure to go.
    """
    plan, several = caption_plan(audit), several_characters(audit.apart, audit.findings) is not None
    removals = removals_of(audit.dataset, audit.findings, several=several)
    gone = gone_of(removals)
    captions: dict[Path, Mended] = {}
    by_hand: dict[Path, Mended] = {}
    unsure: dict[Path, tuple[str, ...]] = {}
    unread: dict[Path, tuple[Path, ...]] = {}
    for image, reading in zip(audit.dataset.images, audit.references, strict=True):
        if image.path in gone:
            continue
        subset = subset_of(image, audit.dataset)
        if files := left_alone(image, subset):
            unread[image.path] = files
            continue
        lead = put_in_front(image, subset) if plan.trigger == subset.trigger else ""
        if several:
            continue
        told = said(image, subset)
        if subset.wildcards and (attributes := _in_wildcards(told, plan)):
            unsure[image.path] = tuple(f"{{a|b}} stands for a {name.replace('_', ' ')}" for name in attributes)
            continue
        mended = _mended(told, plan, image.role, certainly_shown(audit, image, reading), lead)
        if mended.by_hand:
            unsure[image.path] = mended.by_hand
        if mended.changes:
            written = file_text(mended.caption, image, subset) is not None
            (captions if written else by_hand)[image.path] = mended
    ways = ways_without(audit.dataset, gone, several=several)
    return Mending(
        audit=audit, captions=captions, removals=removals, repeats=ways.repeats, plan=ways.says, by_hand=by_hand,
        unsure=unsure, unread=unread,
    )  # fmt: skip


def _mended(
    captions: Sequence[str], plan: CaptionPlan, role: Role | None, shown: Mapping[str, str], lead: str
) -> Mended:
    """Every caption of a picture as it should be, one a line; `lead`: the trigger, where the trainer writes it."""
    if lead:
        captions, plan = [caption.removeprefix(lead) for caption in captions], replace(plan, trigger="")
    lines = [mend(caption, plan, role=role, shown=shown) for caption in captions or (None,)]
    changes = dict.fromkeys(change for line in lines for change in line.changes)
    left = dict.fromkeys(note for line in lines for note in line.by_hand)
    return Mended(
        caption="\n".join(f"{lead}{line.caption}" for line in lines), changes=tuple(changes), by_hand=tuple(left)
    )


def _in_wildcards(captions: Sequence[str], plan: CaptionPlan) -> list[str]:
    """The attributes of the spec that a part of a wildcard names: each part is a caption of its own."""
    parts = [part for caption in captions for part in parts_of_wildcards(caption)]
    sets = {name: plan.label_sets[name] for name in plan.spec if name in plan.label_sets}
    return [name for name, one in sets.items() if any(says(part, label) for part in parts for label in one.labels)]


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
        underscores=written_with_underscores(texts, case.trigger),
    )  # fmt: skip


def certainly_shown(audit: Audit, image: DatasetImage, reading: Reading | None) -> dict[str, str]:
    """Attribute -> the label that the picture certainly shows, where its framing shows the attribute.

    A picture without colours shows no colour: there captions are neither asked for the character's nor corrected.
    """
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
    shown |= {name: NO_COLOUR for name, labels in sets.items() if hides(image, labels)}
    return {name: label for name, label in shown.items() if label is not None}


def sheet(mending: Mending) -> str:
    """What was done and what is left to do, as Markdown for a person."""
    audit = mending.audit
    after = " after the removals" if any(each.sure for each in mending.removals) else ""
    parts = [
        "# Mending\n",
        f"Captions changed: {len(mending.captions)} of {len(audit.dataset.images)} (`{CAPTIONS}/`, `{DIFF}`).\n",
        _of_several(audit),
        _listed(f"Identity ratio{after}", mending.plan),
        _listed(f"Repeats{after}", [f"`{name}`: {value:g}" for name, value in mending.repeats.items()]),
        _listed(
            f"Pictures to remove (`{REMOVE}` names those that are certain)",
            [
                f"`{name_in(audit.dataset, each.path)}`: {each.why}{'' if each.sure else ' (look first)'}"
                for each in mending.removals
            ],
        ),
        _listed("Pictures to shoot", [asked.says for asked in audit.prescription.dataset]),
        _listed(
            "Training settings",
            [f"`{c.field}`: {change_text(c)} ({c.because})" for c in audit.prescription.changes],
        ),
        _listed("Advice", audit.prescription.advice),
        _listed("Captions", _grouped(mending, _changes(mending.captions))),
        _listed(
            "Captions to correct by hand: the config's own words around them stand elsewhere",
            _grouped(mending, _changes(mending.by_hand)),
        ),
        _listed(
            "Captions to look at by hand: they may speak of somebody or something else",
            _grouped(mending, mending.unsure),
        ),
        _listed(
            "Captions to see to by hand: these files were not read, and nothing replaces them",
            _grouped(mending, _unread(mending)),
        ),
        _listed("Captions that are not read from a file", _read_elsewhere(mending)),
    ]
    return "\n".join(part for part in parts if part)


def _of_several(audit: Audit) -> str:
    """Why nothing is done to captions and repeats, where the set may hold several characters."""
    why = several_characters(audit.apart, audit.findings)
    says = "no caption and no repeats are changed, and every picture below is to be looked at before it goes"
    return "" if why is None else f"{' '.join(told_of(Ways(says=(), repeats={}), (), why))} Here {says}.\n"


def _listed(title: str, lines: Sequence[str]) -> str:
    return f"## {title}\n\n" + "".join(f"- {line}\n" for line in lines) if lines else ""


def _read_elsewhere(mending: Mending) -> list[str]:
    """A line on corrected captions that the trainer takes from a table, a prompt or the pictures' names."""
    dataset = mending.audit.dataset
    pictures = [image for image in dataset.images if image.path in mending.captions]
    count = sum(not subset_of(image, dataset).caption_extensions for image in pictures)
    where = "a table, from one prompt or from the pictures' names: put them there"
    return [f"{count} of the corrected captions: this dataset takes them from {where}."] if count else []


def _unread(mending: Mending) -> dict[Path, tuple[str, ...]]:
    """Picture -> why its caption files were not read."""
    told = {each.path: each.reason for each in mending.audit.dataset.skipped}
    other = "the trainer looks for another ending, or finds no caption in it"
    return {path: tuple(told.get(file, other).rstrip(".") for file in files) for path, files in mending.unread.items()}


def _changes(captions: Mapping[Path, Mended]) -> dict[Path, tuple[str, ...]]:
    return {path: mended.changes for path, mended in captions.items()}


def _grouped(mending: Mending, notes: Mapping[Path, Sequence[str]]) -> list[str]:
    """What was done, with the captions it was done to: the same change to forty captions is one line."""
    groups: dict[str, list[str]] = {}
    for path, done in notes.items():
        groups.setdefault("; ".join(done), []).append(f"`{name_in(mending.audit.dataset, path)}`")
    return [f"{done}: {', '.join(names)}" for done, names in groups.items()]


def _unseen(findings: Sequence[Finding]) -> list[str]:
    """The tokens of findings whose likeliest cause asks to take the token out of the captions."""
    asked = (f.causes[0].fix.captions.get("remove_token") for f in findings if f.causes and f.state == "confirmed")
    return [str(token) for token in asked if token]


def _shown(reading: Reading, labels: LabelSet, framing: str | None) -> str | None:
    row = reading.probabilities.get(labels.attribute)
    visible = framing is None or framing in labels.framings
    return reading.top_label(labels) if visible and row is not None and row.max() > CONFIDENT else None


def _refuse(folder: Path, dataset: Dataset) -> None:
    """Raises UsageError for a folder that is, holds or lies in one of the dataset, and for one of something else."""
    pictures = {dataset.path, *(subset.folder for subset in dataset.subsets), *(i.path.parent for i in dataset.images)}
    own = real(folder)
    for each in (path for path in pictures if path.is_dir()):
        if holds(real(each), own):
            what = "lies in the dataset, which is never changed."
        elif holds(own, real(each)):
            what = f"holds {each}, a folder of the dataset, which is never changed."
        else:
            continue
        raise UsageError(what, path=folder, advice="Choose another folder.")
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not is_written(folder))):
        raise UsageError("is not empty and holds no mending.", path=folder, advice="Choose another folder.")
