"""caption-audit and lora-doctor side by side: the four faults that caption-audit finds, planted in the same folders.

    python -m benchmarks.caption_audit [--characters 6] [--first-seed 9001] [--examples]

A misspelt trigger, a picture without a caption, a phrase in every caption that no picture shows, and one caption copied
to nine pictures; as tags and as prose, each in a folder of its own, and folders without any. Both tools get the same
folder and the same trigger; caption-audit is also told the class word and the identity tokens (`--class-word`,
`--fuse`), which lora-doctor has to know by itself. Found = the planted word, picture, phrase or group is named, not
only a finding of that kind. Needs caption-audit 1.3 (`pip install caption-audit`).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.defects.captions import prose, slip
from benchmarks.defects.draft import Draft, Picture, healthy

STYLES = ("tags", "prose")
FAULTS = ("typo'd trigger", "missing caption", "fused phrase", "identical captions")
PHRASE = "red silk scarf"
COPIES = 9


@dataclass
class Planted:
    """A folder in the making and what was planted in it."""

    draft: Draft
    word: str = ""
    """The misspelt trigger."""
    pictures: set[str] = field(default_factory=set)
    """Names of the pictures that lack a caption, or share one."""


@dataclass(frozen=True)
class Told:
    """What a tool says of one folder, by fault: the words or pictures it names, and the sentence."""

    named: Mapping[str, tuple[frozenset[str], ...]]
    says: Mapping[str, str]


# ---------------------------------------------------------------- folders


def folder_of(seed: int, style: str, fault: str | None) -> Planted:
    """A healthy dataset in one style with one fault, or none."""
    planted = Planted(healthy(seed))
    draft = planted.draft
    texts = {picture.name: _caption(picture, draft, style) for picture in draft.pictures}
    names = sorted(texts)
    if fault == "typo'd trigger":
        name, planted.word = draft.rng.choice(names), slip(draft.trigger, draft)
        texts[name] = texts[name].replace(draft.trigger, planted.word)
    elif fault == "fused phrase":
        tag, sentence = f", {PHRASE.replace(' ', '_')}", f" She wears a {PHRASE}."
        texts = {name: text + (tag if style == "tags" else sentence) for name, text in texts.items()}
    elif fault == "identical captions":
        first, *others = draft.rng.sample([p.name for p in draft.pictures if p.scene.framing != "close-up"], COPIES)
        texts |= {name: texts[first] for name in others}
        planted.pictures = {first, *others}
    for picture in draft.pictures:
        picture.raw_caption = texts[picture.name].encode()
    if fault == "missing caption":
        lacking = draft.rng.choice(draft.pictures)
        lacking.raw_caption = lacking.tokens = None
        planted.pictures = {lacking.name}
    return planted


def _caption(picture: Picture, draft: Draft, style: str) -> str:
    return ", ".join(picture.tokens or ()) if style == "tags" else prose(picture, draft.trigger)


def found(told: Told, planted: Planted, fault: str) -> bool:
    """Whether the tool names what was planted."""
    if fault == "typo'd trigger":
        return any(planted.word in words for words in told.named[fault])
    if fault == "fused phrase":
        return any(PHRASE in word.replace("_", " ") for words in told.named[fault] for word in words)
    return any(planted.pictures <= pictures for pictures in told.named[fault])


# ---------------------------------------------------------------- caption-audit


def caption_audit(folder: Path, draft: Draft, style: str) -> Told:
    """What caption-audit says as CRITICAL, from its own JSON."""
    who = draft.character
    traits = [who.hair_colour, who.hair_length, who.hair_style, who.eye_colour, who.skin, who.body, who.height]
    command = [sys.executable, "-m", "caption_audit", str(folder), "--trigger", draft.trigger, "--format", "json"]
    command += ["--class-word", "1girl" if style == "tags" else "woman"]
    for trait in traits:
        command += ["--fuse", trait if style == "tags" else trait.replace("_", " ")]
    report = json.loads(subprocess.run(command, capture_output=True, text=True, check=False).stdout)
    variants = report["trigger"]["variants"]
    lacking = [name for name, _ in report["pairing"]["images_without_caption"]]
    fused = [row["term"] for row in report["df"]["primary"] if row["severity"] == "CRITICAL"]
    groups = [frozenset(group["files"]) for group in report["redundancy"]["exact"]]
    return Told(
        named={
            FAULTS[0]: tuple(frozenset({one["token"]}) for one in variants),
            FAULTS[1]: (frozenset(lacking),) if lacking else (),
            FAULTS[2]: tuple(frozenset({term}) for term in fused),
            FAULTS[3]: tuple(groups),
        },
        says={
            FAULTS[0]: "; ".join(f"{one['token']} (distance {one['distance']}) in {one['files']}" for one in variants),
            FAULTS[1]: f"no caption file: {lacking}",
            FAULTS[2]: ", ".join(fused[:6]),
            FAULTS[3]: "; ".join(", ".join(sorted(group)) for group in groups[:3]),
        },
    )


# ---------------------------------------------------------------- lora-doctor


_RULES = dict(zip(FAULTS, ("trigger-misspelt", "caption-missing", "fused-token", "identical-captions"), strict=True))


def lora_doctor(folder: Path, draft: Draft, tools: Any, place: Path) -> Told:
    """What lora-doctor's findings say."""
    from lora_doctor.dataset_audit import AuditSettings, audit_dataset

    audit = audit_dataset(AuditSettings(dataset=folder, out=place, trigger=draft.trigger), instruments=tools)
    return told_by(audit.findings, [image.path.stem for image in audit.dataset.images])


def told_by(findings: Sequence[Any], names: Sequence[str]) -> Told:
    """The findings of the four rules; `names`: of the dataset's pictures."""
    named, says = {}, {}
    for fault, rule in _RULES.items():
        own = [finding for finding in findings if finding.rule == rule]
        pictures = [frozenset(names[n] for m in one.measurements for n in m.pictures) for one in own]
        words = [frozenset(one.about.values()) for one in own]
        named[fault] = tuple(words if fault in (FAULTS[0], FAULTS[2]) else pictures)
        says[fault] = "; ".join(
            f"{one.symptom} {', '.join(one.about.values())} {sorted(some)[:COPIES]}: {one.causes[0].because}"
            for one, some in zip(own, pictures, strict=True)
        )
    return Told(named=named, says=says)


# ---------------------------------------------------------------- tables


Tool = Callable[[Path, Draft, str], Told]


def compare(seeds: Sequence[int], tools: Mapping[str, Tool]) -> tuple[list[str], list[str]]:
    """The table, and one example of what each tool says of each fault."""
    lines = [f"| captions | fault | {' | '.join(f'{name} found' for name in tools)} | "
             f"{' | '.join(f'{name} on healthy folders' for name in tools)} |"]  # fmt: skip
    lines.append("|---" * (2 + 2 * len(tools)) + "|")
    examples = []
    for style in STYLES:
        clean = [
            {name: _tell(tool, folder_of(seed, style, None), style) for name, tool in tools.items()} for seed in seeds
        ]
        for fault in FAULTS:
            hits = dict.fromkeys(tools, 0)
            for seed in seeds:
                planted = folder_of(seed, style, fault)
                for name, tool in tools.items():
                    told = _tell(tool, planted, style)
                    hits[name] += found(told, planted, fault)
                    if seed == seeds[0]:
                        examples.append(f"{style}, {fault}, {name}: {told.says[fault] or '-'}")
            alarms = {name: sum(bool(one[name].named[fault]) for one in clean) for name in tools}
            cells = [f"{count[name]} of {len(seeds)}" for count in (hits, alarms) for name in tools]
            lines.append(f"| {style} | {fault} | {' | '.join(cells)} |")
    return lines, examples


def _tell(tool: Tool, planted: Planted, style: str) -> Told:
    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder) / "dataset"
        planted.draft.write(where)
        return tool(where, planted.draft, style)


def main() -> None:
    """Plant, run both tools, print the table."""
    from lora_doctor.dataset_audit import AuditSettings, open_audit_instruments
    from lora_doctor.instrument_choice import BUNDLED

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--characters", type=int, default=6)
    parser.add_argument("--first-seed", type=int, default=9001)
    parser.add_argument("--examples", action="store_true", help="also print what each tool says")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        instruments = open_audit_instruments(AuditSettings(dataset=place, out=place, instruments=BUNDLED))
        tools: dict[str, Tool] = {
            "caption-audit": caption_audit,
            "lora-doctor": lambda where, draft, _: lora_doctor(where, draft, instruments, place / "run"),
        }
        lines, examples = compare(range(asked.first_seed, asked.first_seed + asked.characters), tools)
    print("\n".join([*lines, *(["", *examples] if asked.examples else [])]))


if __name__ == "__main__":
    main()
