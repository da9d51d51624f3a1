"""The dataset of the next training: a copy with corrected captions, some pictures more and some fewer.

The original stays as it is.
"""

from __future__ import annotations

import difflib
import json
import os
import shutil
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lora_doctor.caption_company import names_others
from lora_doctor.caption_files import keyed_text
from lora_doctor.caption_mending import CaptionPlan, inserted, spelled, without_rival, written_with_underscores
from lora_doctor.caption_source import (
    as_file,
    beside,
    ending_of,
    file_text,
    left_alone,
    said,
    subset_of,
    without_prefix,
)
from lora_doctor.caption_words import CLASS_WORDS
from lora_doctor.captions import caption_tokens, pieces, says, texts
from lora_doctor.errors import UsageError, printable
from lora_doctor.rival_labels import rivals, two_colours
from lora_doctor.spelling import Spelling, holds, place_in, rightly_spelt, writes
from lora_doctor.types import Dataset, DatasetImage, LeftOutPictures, Role, Subset

TRIGGER = "trigger"
"""What a fix adds that asks for the word that calls the character."""
ADDED = "added"
"""Sub-folder of the copy that holds the added pictures."""


def joined(dataset: Dataset, added: Dataset | None) -> Dataset:
    """Both as one dataset, with the path of the first."""
    if added is None:
        return dataset
    own = dataset.subsets or (Subset(folder=dataset.path),)
    others = tuple(replace(image, subset=image.subset + len(own)) for image in added.images)
    subsets = (*own, *(added.subsets or (Subset(folder=added.path),)))
    return replace(dataset, images=(*dataset.images, *others), subsets=subsets)


def pictures_to_leave_out(
    off_spec: Mapping[Path, Mapping[str, str]], asked: Sequence[LeftOutPictures]
) -> dict[Path, str]:
    """Picture -> why it goes: what it shows instead, for those that `Prescription.left_out` speaks of.

    `off_spec`: picture -> attribute -> the label it certainly shows instead of the character's.
    """
    attributes = [each.attribute for each in asked]
    found = {path: [shown[name] for name in attributes if name in shown] for path, shown in off_spec.items()}
    return {path: f"it shows {', '.join(labels)}" for path, labels in found.items() if labels}


def without(dataset: Dataset, left_out: Collection[Path]) -> Dataset:
    """The dataset without some of its pictures."""
    return replace(dataset, images=tuple(image for image in dataset.images if image.path not in left_out))


def corrected_captions(
    dataset: Dataset, fixes: Sequence[Mapping[str, Any]], trigger: str,
    seen: Mapping[Path, Mapping[str, str]] | None = None, spellings: Collection[Spelling] = (),
    given: Mapping[Path, tuple[str, ...]] | None = None,
) -> dict[Path, str]:  # fmt: skip
    """Picture -> its captions, one a line, with the tokens of `Prescription.captions` added or corrected.

    Only where one differs; captions are as the trainer says them, see `caption_source.said`. Tokens are written, put in
    and replaced as `caption_mending` does it, between the config's own words: behind the trigger of a list of tags
    (without it, behind the first), at the end of prose, whose own words stay (`still_said`). A fix without tokens of
    its own, such as that of the environment, takes each picture's own label from `seen` (picture -> attribute its
    caption lacks -> label); a picture without one keeps its caption. One for the `trigger` adds that, where it is
    known; where a caption has one of its other `spellings`, that is corrected instead. A fix for one role leaves
    pictures of the other role alone. A picture whose caption file was not read (`caption_source.left_alone`) keeps it.
    `given`: picture -> captions that somebody has corrected already, on which the fixes come.
    """
    corrected: dict[Path, str] = {}
    leading = _leading(dataset, trigger)
    underscores = written_with_underscores([text for image in dataset.images for text in texts(image)], trigger)
    plan = CaptionPlan(trigger=trigger, spec={}, label_sets={}, class_words=leading, underscores=underscores)
    for image in dataset.images:
        subset = subset_of(image, dataset)
        if subset.caption_extensions and left_alone(image, subset):
            continue
        asked = _asked(fixes, image)
        now = said(image, subset) or ("",)
        before = (given or {}).get(image.path, now) or ("",)
        wrong = spellings if trigger and any(fix.get("add_tokens") == TRIGGER for fix in asked) else ()
        right = [_rightly_spelt(text, trigger, wrong) for text in before]
        after = [_fixed(text, asked, plan, (seen or {}).get(image.path, {}), subset) for text in right]
        if tuple(after) != now:
            corrected[image.path] = "\n".join(after)
    return corrected


def still_said(dataset: Dataset, fixes: Sequence[Mapping[str, Any]], captions: Mapping[Path, str]) -> tuple[Path, ...]:
    """Pictures whose captions still say what a fix takes out, with the corrected `captions`: their sentences do."""
    found = []
    for image in dataset.images:
        told = captions[image.path].split("\n") if image.path in captions else said(image, subset_of(image, dataset))
        wrong = ((text, label) for text in told for fix in _asked(fixes, image) for label in _unwanted(fix, text))
        if any(says(text, label) for text, label in wrong):
            found.append(image.path)
    return tuple(found)


def _asked(fixes: Sequence[Mapping[str, Any]], image: DatasetImage) -> list[Mapping[str, Any]]:
    """The fixes for pictures of its role."""
    return [fix for fix in fixes if image.role is None or fix.get("to", "all") in ("all", image.role)]


def _rightly_spelt(text: str, trigger: str, spellings: Collection[Spelling]) -> str:
    found = None if not spellings or writes(text, trigger) else rightly_spelt(text, trigger, spellings)
    return text if found is None else found[0]


def _fixed(
    text: str, fixes: Sequence[Mapping[str, Any]], plan: CaptionPlan, seen: Mapping[str, str], subset: Subset
) -> str:
    """The caption after all fixes, between the config's own words; as it is written where they change nothing."""
    start, end = (_stands(words, plan) for words in (subset.prefix, subset.suffix))
    start, end = start if text.startswith(start) else "", end if text.endswith(end) else ""
    text = text.removeprefix(start).removesuffix(end)
    for fix in fixes:
        own = fix["tokens"][0] if len(fix.get("tokens", ())) == 1 else ""
        unwanted = _unwanted(fix, f"{start}{text}{end}")
        for label in unwanted:
            text = without_rival(text, label, own, plan, certain=False)
        if fix.get("add_tokens") == TRIGGER and plan.trigger and not holds(text, plan.trigger):
            text = inserted(text, [plan.trigger], plan)
        whole = f"{start}{text}{end}"
        wanted = fix.get("tokens") or [label for name, label in seen.items() if name == fix.get("add_tokens")]
        missing = [spelled(token, plan) for token in wanted if not says(whole, token)]
        if missing and not any(says(whole, label) for label in unwanted):  # beside black hair, white would be no better
            text = inserted(text, missing, plan if holds(text, plan.trigger) else _first_first(text, plan))
    return f"{start}{text}{end}"


def _stands(words: str, plan: CaptionPlan) -> str:
    """What the config puts around a caption; nothing where the trigger is in it, behind which tokens are added."""
    return "" if plan.trigger and holds(words, plan.trigger) else words


def _first_first(text: str, plan: CaptionPlan) -> CaptionPlan:
    """For a caption without the trigger: what stands first calls the character there, and nothing is put before it."""
    return replace(plan, class_words=caption_tokens(text)[:1])


def _unwanted(fix: Mapping[str, Any], text: str) -> Sequence[str]:
    """The labels to take out; of one trait, only those that contradict it and cannot be another's.

    Both halves of `heterochromia` are true.
    """
    labels, tokens = fix.get("remove", ()), fix.get("tokens", ())
    if len(tokens) != 1:
        return tuple(labels)
    if two_colours(tokens[0], text) or names_others(text):
        return ()
    return rivals(labels, tokens[0], text)


def _leading(dataset: Dataset, trigger: str) -> Collection[str]:
    """What stands before the trigger in half of the captions that have it; the known class words where none has."""
    captions = [caption_tokens(image.caption or "") for image in dataset.images]
    told = [tokens[:at] for tokens in captions if (at := place_in(tokens, trigger)) is not None]
    counted = Counter(" ".join(pieces(token)) for tokens in told for token in tokens)
    return {token for token, count in counted.items() if 2 * count >= len(told)} if told else CLASS_WORDS


def places_in_copy(dataset: Dataset) -> dict[Path, Path]:
    """Picture -> where it lies below a copy's root: as below the dataset, or below the folder of its config.

    Pictures from elsewhere lie in a folder named after theirs, numbered where another one has the name.
    """
    roots = [_plain(root) for root in (dataset.path.parent, dataset.path)]
    own = {image.path: _plain(image.path) for image in dataset.images}
    near = {path: each.relative_to(root) for path, each in own.items() for root in roots if each.is_relative_to(root)}
    names = {place.parts[0] for place in near.values()}
    far: dict[Path, str] = {}
    for folder in dict.fromkeys(_folder_of(i, dataset) for i in dataset.images if i.path not in near):
        free = (folder.name, *(f"{folder.name}-{number}" for number in range(2, len(names) + 3)))
        far[folder] = next(name for name in free if name not in names)
        names.add(far[folder])
    elsewhere = ((i.path, _folder_of(i, dataset)) for i in dataset.images if i.path not in near)
    return near | {path: Path(far[folder]) / own[path].relative_to(folder) for path, folder in elsewhere}


def _folder_of(image: DatasetImage, dataset: Dataset) -> Path:
    """The folder of the picture's subset, or its own."""
    path, folder = _plain(image.path), _plain(subset_of(image, dataset).folder)
    return folder if path.is_relative_to(folder) else path.parent


def _plain(path: Path) -> Path:
    """Without `..`: below a folder only what really is."""
    return Path(os.path.abspath(path))


def caption_diff(captions: Mapping[Path, str], parts: Sequence[Dataset], left_out: Mapping[Path, str]) -> str:
    """A unified diff of every caption that changes or goes; both mappings as the functions above return them."""
    lines: list[str] = []
    for part in parts:
        places = places_in_copy(part)
        for image in part.images:
            picture, subset = places[image.path], subset_of(image, part)
            name = printable(beside(picture, ending_of(image, subset)).as_posix())
            before = _lines(said(image, subset) or ("",))
            if image.path in left_out:
                shown = printable(picture.as_posix())
                gone = f"/dev/null ({shown} is left out: {left_out[image.path]})"
                lines += difflib.unified_diff(before, [], name, gone, n=0)
            elif image.path in captions:
                after = _lines(captions[image.path].split("\n"))
                lines += difflib.unified_diff(before, after, name, f"{name} (prescribed)", n=0)
    return "".join(lines)


def _lines(captions: Sequence[str]) -> list[str]:
    return [f"{line}\n" for caption in captions for line in caption.split("\n")]


def homes(dataset: Dataset, added: Dataset, roles: Mapping[Path, Role | None]) -> dict[Path, Path]:
    """Added picture -> a name that is free in the folder of the dataset that it belongs to.

    That is the one that shows the picture's role most; where roles are not known, the largest. `roles`: of both.
    """
    folders: dict[Path, list[DatasetImage]] = {}
    for image in dataset.images:
        folders.setdefault(image.path.parent, []).append(image)
    taken = {folder: {image.path.stem.casefold() for image in images} for folder, images in folders.items()}

    def fitness(folder: Path, role: Role | None) -> tuple[bool, int, int]:
        same = sum(roles.get(image.path) == role for image in folders[folder]) if role is not None else 0
        return 2 * same > len(folders[folder]), same, len(folders[folder])

    found: dict[Path, Path] = {}
    for image in added.images:
        home = max(folders, key=lambda folder: fitness(folder, roles.get(image.path)))
        stem = image.path.stem
        free = (stem, *(f"{stem}-{number}" for number in range(2, len(taken[home]) + 3)))
        name = next(name for name in free if name.casefold() not in taken[home])
        taken[home].add(name.casefold())
        found[image.path] = home / f"{name}{image.path.suffix}"
    return found


def copied_to(
    dataset: Dataset, added: Dataset | None, folder: Path, into: Mapping[Path, Path] | None = None
) -> dict[Path, Path]:
    """Picture -> where `copy_dataset` puts it."""
    places = places_in_copy(dataset)
    targets = {path: folder / place for path, place in places.items()}
    if added is None:
        return targets
    if into is not None:
        copied = {path.parent: folder / place.parent for path, place in places.items()}
        return targets | {path: copied[home.parent] / home.name for path, home in into.items()}
    taken = {target.relative_to(folder).parts[0] for target in targets.values()}
    names = (ADDED, *(f"{ADDED}-{number}" for number in range(2, len(taken) + 3)))
    name = next(name for name in names if name not in taken)
    return targets | {path: folder / name / place for path, place in places_in_copy(added).items()}


def copy_dataset(
    dataset: Dataset, added: Dataset | None, captions: Mapping[Path, str], folder: Path, *,
    into: Mapping[Path, Path] | None = None, trained: Mapping[Path, Subset] | None = None, caption_files: bool = True,
    with_each: Sequence[str] = (),
) -> Path:  # fmt: skip
    """A copy in the new `folder`; nothing in it is the same file as the original, so that either may be edited.

    Caption files are copied byte for byte but for those in `caption_texts`. Added pictures lie where `into` (as `homes`
    returns it) says, else in a sub-folder `added`, or `added-2` ... where the dataset has one of that name. `trained`:
    folder -> its subset as the trainer of the copy sees it. `caption_files` False: only pictures are copied.
    `with_each`: what follows a picture's stem in the names of further files that its trainer reads with it, as masks.
    Raises UsageError as `caption_texts` does.
    """
    texts = caption_texts(dataset, added, captions, into=into, trained=trained) if caption_files else {}
    targets = copied_to(dataset, added, folder, into)
    folder.mkdir(parents=True)
    for part in (dataset, *((added,) if added is not None else ())):
        for image in part.images:
            target, reader = targets[image.path], _reader(image, trained or {}, into)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(image.path, target)
            if image.path in texts:
                wanted = subset_of(image, part) if reader is None else reader
                new = part is added and bool(wanted.caption_extensions)
                ending = wanted.caption_extensions[0] if new else ending_of(image, wanted)
                text = texts[image.path].encode("utf-8", "backslashreplace")
                beside(target, ending).write_bytes(text)
            if caption_files:
                _copy_captions(image, target, reader)
            for ending in with_each:
                if (file := beside(image.path, ending)).is_file():
                    shutil.copyfile(file, beside(target, ending))
    return folder


def caption_texts(
    dataset: Dataset, added: Dataset | None, captions: Mapping[Path, str], *,
    into: Mapping[Path, Path] | None = None, trained: Mapping[Path, Subset] | None = None,
) -> dict[Path, str]:  # fmt: skip
    """Picture -> what its caption file in a copy holds, where that is not what a file of the dataset holds.

    Arguments as for `copy_dataset`. Raises UsageError for a corrected caption that no file can make the trainer say.
    """
    texts: dict[Path, str] = {}
    for part in (dataset, *((added,) if added is not None else ())):
        for image in part.images:
            reader = _reader(image, trained or {}, into)
            text = _new_text(image, subset_of(image, part), reader, captions.get(image.path), new=part is added)
            if text is not None:
                texts[image.path] = text
    return texts


def _reader(image: DatasetImage, trained: Mapping[Path, Subset], into: Mapping[Path, Path] | None) -> Subset | None:
    """The subset by which the trainer of the copy sees a picture."""
    return trained.get(_plain((into or {}).get(image.path, image.path)).parent)


def _new_text(image: DatasetImage, own: Subset, reader: Subset | None, caption: str | None, *, new: bool) -> str | None:
    """As `caption_texts` says; None where the picture's own files, or none, are as they should be."""
    if caption is None and reader is None:
        tabled = image.caption_file is None and own.captions is not None and not own.caption_extensions
        return f"{image.caption}\n" if tabled and image.caption else None
    if caption is None and (not new or image.caption is None):
        return None
    text = file_text("\n".join(said(image, own)) if caption is None else caption, image, own)
    if text is None:
        raise UsageError(
            f"the corrected caption {caption!r} lacks the words that the config puts around every caption of its "
            f"subset, {own.prefix!r} and {own.suffix!r}, so it cannot be written.",
            path=image.path, advice="Correct it by hand, or take caption_prefix and caption_suffix out of the config.",
        )  # fmt: skip
    if not new or reader is None:
        return text
    bare = without_prefix(text, reader)
    return bare if own.caption_key == reader.caption_key else as_file(keyed_text(bare, own), reader)


def _copy_captions(image: DatasetImage, target: Path, reader: Subset | None) -> None:
    """The caption files that the dataset or the trainer reads, byte for byte, where there is none in the copy yet."""
    near = (beside(image.path, ending) for ending in (reader.caption_extensions if reader is not None else ()))
    for file in (*((image.caption_file,) if image.caption_file is not None else ()), *near):
        copy = target.with_name(target.stem + file.name.removeprefix(image.path.stem))
        if file.is_file() and not copy.exists():
            shutil.copyfile(file, copy)


def table_of_captions(
    images: Sequence[DatasetImage], captions: Mapping[Path, str], rows: Mapping[Path, int], column: str,
    files: Mapping[Path, str],
) -> str:  # fmt: skip
    """A metadata.jsonl with `file_name` (from `files`) and `column`: each picture as often as `rows` says, else once.

    A picture with several captions has them in turn.
    """
    lines = []
    for image in images:
        own = image.variants or (image.caption or "",)
        told = captions[image.path].split("\n") if image.path in captions else own
        named = {"file_name": files[image.path]}
        lines += [named | {column: told[row % len(told)]} for row in range(rows.get(image.path, 1))]
    return "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines)


def folders_in_copy(dataset: Dataset, folder: Path) -> dict[Path, Path]:
    """Every folder that holds pictures of the dataset, at any depth -> where it is in the copy in `folder`."""
    pairs: dict[Path, Path] = {}
    for path, place in places_in_copy(dataset).items():
        old, new = _plain(path).parents, (folder.absolute() / place).parents
        pairs |= {old[depth]: new[depth] for depth in range(len(place.parts))}
    return pairs
