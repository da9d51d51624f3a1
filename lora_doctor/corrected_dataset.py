"""The dataset of the next training: a copy with corrected captions, some pictures more and some fewer.

The original stays as it is.
"""

from __future__ import annotations

import difflib
import json
import os
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lora_doctor.captions import caption_tokens
from lora_doctor.types import Dataset, DatasetImage, LeftOutPictures

ADDED = "added"
"""Sub-folder of the copy that holds the added pictures."""


def joined(dataset: Dataset, added: Dataset | None) -> Dataset:
    """Both as one dataset, with the path of the first."""
    return dataset if added is None else replace(dataset, images=(*dataset.images, *added.images))


def pictures_to_leave_out(
    off_spec: Mapping[Path, Mapping[str, str]], asked: Sequence[LeftOutPictures]
) -> dict[Path, str]:
    """Picture -> what it shows instead, for those that `Prescription.left_out` speaks of.

    `off_spec`: picture -> attribute -> the label it certainly shows instead of the character's.
    """
    attributes = [each.attribute for each in asked]
    found = {path: [shown[name] for name in attributes if name in shown] for path, shown in off_spec.items()}
    return {path: ", ".join(labels) for path, labels in found.items() if labels}


def without(dataset: Dataset, left_out: Collection[Path]) -> Dataset:
    """The dataset without some of its pictures."""
    return replace(dataset, images=tuple(image for image in dataset.images if image.path not in left_out))


def corrected_captions(
    dataset: Dataset, fixes: Sequence[Mapping[str, Any]], trigger: str,
    seen: Mapping[Path, Mapping[str, str]] | None = None,
) -> dict[Path, str]:  # fmt: skip
    """Picture -> caption with the tokens of `Prescription.captions` added or corrected; only where it differs.

    Added tokens go behind the trigger (or, without one, in front). A fix without tokens of its own, such as that of
    the environment, takes each picture's own label from `seen` (picture -> attribute its caption lacks -> label); a
    picture without one keeps its caption. A fix for one role leaves pictures of the other role alone.
    """
    corrected: dict[Path, str] = {}
    for image in dataset.images:
        tokens = caption_tokens(image.caption or "")
        for fix in fixes:
            if image.role is None or fix.get("to", "all") in ("all", image.role):
                tokens = _fixed(tokens, fix, trigger, (seen or {}).get(image.path, {}))
        text = ", ".join(tokens)
        if tokens != caption_tokens(image.caption or ""):
            corrected[image.path] = text
    return corrected


def _fixed(tokens: list[str], fix: Mapping[str, Any], trigger: str, seen: Mapping[str, str]) -> list[str]:
    unwanted = set(fix.get("remove", ()))
    kept = [token for token in tokens if token not in unwanted]
    wanted = fix.get("tokens") or [label for name, label in seen.items() if name == fix.get("add_tokens")]
    missing = [token for token in wanted if token not in kept]
    place = kept.index(trigger) + 1 if trigger in kept else min(1, len(kept))
    return [*kept[:place], *missing, *kept[place:]]


def places_in_copy(dataset: Dataset) -> dict[Path, Path]:
    """Picture -> where it lies below a copy's root: as below the dataset, or below the folder of its config.

    Pictures from elsewhere lie in a folder named after theirs, numbered where another one has the name.
    """
    roots = (dataset.path.parent, dataset.path)
    near = {i.path: i.path.relative_to(root) for i in dataset.images for root in roots if i.path.is_relative_to(root)}
    names = {place.parts[0] for place in near.values()}
    far: dict[Path, str] = {}
    for folder in dict.fromkeys(_folder_of(i, dataset) for i in dataset.images if i.path not in near):
        free = (folder.name, *(f"{folder.name}-{number}" for number in range(2, len(names) + 3)))
        far[folder] = next(name for name in free if name not in names)
        names.add(far[folder])
    elsewhere = ((i.path, _folder_of(i, dataset)) for i in dataset.images if i.path not in near)
    return near | {path: Path(far[folder]) / path.relative_to(folder) for path, folder in elsewhere}


def _folder_of(image: DatasetImage, dataset: Dataset) -> Path:
    """The folder of the picture's subset, or its own."""
    folder = dataset.subsets[image.subset].folder if dataset.subsets else image.path.parent
    return folder if image.path.is_relative_to(folder) else image.path.parent


def caption_diff(captions: Mapping[Path, str], parts: Sequence[Dataset], left_out: Mapping[Path, str]) -> str:
    """A unified diff of every caption that changes or goes; both mappings as the functions above return them."""
    lines: list[str] = []
    for part in parts:
        places = places_in_copy(part)
        for image in part.images:
            picture = places[image.path]
            name, before = picture.with_suffix(".txt").as_posix(), [(image.caption or "") + "\n"]
            if image.path in left_out:
                gone = f"/dev/null ({picture.as_posix()} is left out: it shows {left_out[image.path]})"
                lines += difflib.unified_diff(before, [], name, gone, n=0)
            elif image.path in captions:
                lines += difflib.unified_diff(before, [captions[image.path] + "\n"], name, f"{name} (prescribed)", n=0)
    return "".join(lines)


def copy_dataset(dataset: Dataset, added: Dataset | None, captions: Mapping[Path, str], folder: Path) -> Path:
    """A copy in `folder`, made anew, with the corrected captions; pictures are hard links where the disk allows.

    Added pictures lie in a sub-folder `added`, or `added-2`, `added-3` ... where the dataset has one of that name.
    """
    if folder.exists():
        shutil.rmtree(folder)
    targets = copied_to(dataset, added, folder)
    for image in (*dataset.images, *(added.images if added is not None else ())):
        _copy(image, targets[image.path], captions.get(image.path, image.caption))
    return folder


def copied_to(dataset: Dataset, added: Dataset | None, folder: Path) -> dict[Path, Path]:
    """Picture -> where `copy_dataset` puts it."""
    targets = {path: folder / place for path, place in places_in_copy(dataset).items()}
    if added is not None:
        taken = {target.relative_to(folder).parts[0] for target in targets.values()}
        names = (ADDED, *(f"{ADDED}-{number}" for number in range(2, len(taken) + 3)))
        name = next(name for name in names if name not in taken)
        targets |= {path: folder / name / place for path, place in places_in_copy(added).items()}
    return targets


def table_of_captions(
    images: Sequence[DatasetImage], captions: Mapping[Path, str], rows: Mapping[Path, int], column: str,
    files: Mapping[Path, str],
) -> str:  # fmt: skip
    """A metadata.jsonl with `file_name` (from `files`) and `column`: each picture as often as `rows` says, else once.

    A picture with several captions has them in turn, unless it has a corrected one.
    """
    lines = []
    for image in images:
        own = image.variants or (image.caption or "",)
        said = (captions[image.path],) if image.path in captions else own
        named = {"file_name": files[image.path]}
        lines += [named | {column: said[row % len(said)]} for row in range(rows.get(image.path, 1))]
    return "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines)


def folders_in_copy(dataset: Dataset, folder: Path) -> dict[Path, Path]:
    """Every folder that holds pictures of the dataset, at any depth -> where it is in the copy in `folder`."""
    pairs: dict[Path, Path] = {}
    for path, place in places_in_copy(dataset).items():
        old, new = path.absolute().parents, (folder.absolute() / place).parents
        pairs |= {old[depth]: new[depth] for depth in range(len(place.parts))}
    return pairs


def _copy(image: DatasetImage, target: Path, caption: str | None) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(image.path, target)
    except OSError:
        shutil.copyfile(image.path, target)
    if caption is not None:
        ending = image.caption_file.suffix if image.caption_file is not None else ""
        target.with_suffix(ending if ending == ".caption" else ".txt").write_text(caption + "\n", "utf-8")
