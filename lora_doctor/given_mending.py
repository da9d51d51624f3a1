"""The folder of an `audit --fix`, looked through and perhaps edited by a person -> what it makes of a dataset."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import NoReturn

from lora_doctor.caption_bytes import text_of
from lora_doctor.caption_files import captions_of, keyed_file
from lora_doctor.caption_source import beside, ending_of, left_alone, said, subset_of
from lora_doctor.corrected_dataset import places_in_copy
from lora_doctor.dataset import MAX_CAPTION
from lora_doctor.dataset_mending import CAPTIONS, REMOVE, REPEATS, SHEET, line_of
from lora_doctor.errors import InputRefused, UsageError, bytes_shown
from lora_doctor.named_places import real
from lora_doctor.regular_file import opened, read_at
from lora_doctor.types import Dataset, DatasetImage, Subset
from lora_doctor.written_folder import files_below, holds

_OTHERS = "Give the folder that `lora-doctor audit DATASET --fix DIR` wrote for the dataset of this run."


@dataclass(frozen=True, kw_only=True, slots=True)
class GivenMending:
    """What a mending, as it is on the disk now, changes in a dataset."""

    captions: Mapping[Path, tuple[str, ...]] = field(default_factory=dict)
    """Picture -> its captions as the trainer says them, as `caption_source.said`; only where they differ."""
    left_out: Mapping[Path, str] = field(default_factory=dict)
    """Picture -> why it goes."""
    repeats: Mapping[str, float] = field(default_factory=dict)
    """Folder -> its trainer's number of repeats; empty = as they are."""


MOST_REPEATS = 1e6
NOTHING_GIVEN = GivenMending()
_Places = Mapping[Path, PurePath]
"""Picture -> where its file stands in a mending."""


def read_mending(folder: Path, dataset: Dataset) -> GivenMending:
    """Read the folder, for the pictures of a dataset.

    A picture without a caption file there stays as it is, and so does one whose own caption file nobody has read.
    Raises UsageError for a folder that is no mending or one of other pictures, InputRefused for a file in it that
    cannot be read as it is meant.
    """
    if not (folder / CAPTIONS).is_dir() or not (folder / SHEET).is_file():
        raise UsageError("holds no mending.", path=folder, advice=_OTHERS)
    there = {PurePath(path.relative_to(folder / CAPTIONS)) for path in files_below(folder / CAPTIONS)}
    lines = [line for line in _text(folder / REMOVE, folder).split("\n") if line.strip()]
    places = _places_of(folder, dataset, there, lines)
    captions = dict[Path, tuple[str, ...]]()
    files = {image.path: _file_of(image, dataset, places) for image in dataset.images}
    if there and not there & set(files.values()):
        _refuse_unread(folder, min(there), next(iter(files.values())).suffix)
    for image in dataset.images:
        subset, file = subset_of(image, dataset), files[image.path]
        if file not in there or (subset.caption_extensions and left_alone(image, subset)):
            continue
        told = _said_by(folder / CAPTIONS / file, image, subset, folder)
        if told != said(image, subset):
            captions[image.path] = told
    named = {line_of(place): path for path, place in places.items()}
    gone = {named[_line(line, named)]: f"{REMOVE} of {bytes_shown(folder.name)} names it" for line in lines}
    kept = {path: told for path, told in captions.items() if path not in gone}
    return GivenMending(captions=kept, left_out=gone, repeats=_repeats(folder))


# ---------------------------------------------------------------- which file is whose


def _places_of(folder: Path, dataset: Dataset, there: set[PurePath], lines: Iterable[str]) -> _Places:
    """Where the mending has each picture, so that every file and every line in it is of a picture of the dataset.

    It may have been made of the folder, or of a config in a folder above: all are tried, nearest to the dataset first.
    """
    tried = list(_possible(dataset))
    for places in tried:
        if not _strange(dataset, places, there) and all(_line(line, _lines(places)) for line in lines):
            return places
    best = min(tried, key=lambda places: len(_strange(dataset, places, there)))
    if strange := _strange(dataset, best, there):
        if (ending := _ending_for(strange[0], dataset, best)) is not None:
            _refuse_unread(folder, strange[0], ending)
        what = f"{bytes_shown(strange[0].as_posix())!r} in {CAPTIONS!r} is of no picture of the dataset."
        raise UsageError(what, path=folder, advice=_OTHERS)
    lost = next((line for line in lines if not _line(line, _lines(best))), "")
    raise UsageError(f"{lost!r} in {REMOVE} names no picture of the dataset.", path=folder, advice=_OTHERS)


def _file_of(image: DatasetImage, dataset: Dataset, places: _Places) -> PurePath:
    return PurePath(beside(Path(places[image.path]), ending_of(image, subset_of(image, dataset))))


def _refuse_unread(folder: Path, file: PurePath, ending: str) -> NoReturn:
    what = f"{bytes_shown(file.as_posix())!r} in {CAPTIONS!r} is not read: the trainer looks for a file that ends in "
    raise UsageError(
        f"{what}{ending!r}.", path=folder, advice="Audit the trainer's config, not the folder of pictures."
    )


def _possible(dataset: Dataset) -> Iterator[_Places]:
    """Every way in which a mending may name the dataset's pictures."""
    yield {path: PurePath(place) for path, place in places_in_copy(dataset).items()}
    own = {image.path: Path(os.path.abspath(image.path)) for image in dataset.images}
    if own:
        common = Path(os.path.commonpath([path.parent for path in own.values()]))
        for root in (common, *common.parents):
            yield {path: PurePath(each.relative_to(root)) for path, each in own.items()}


def _strange(dataset: Dataset, places: _Places, there: set[PurePath]) -> list[PurePath]:
    """The caption files of no picture, and those that end otherwise than the trainer looks for and were not unread."""
    known = set[PurePath]()
    for image in dataset.images:
        subset, place = subset_of(image, dataset), places[image.path]
        known.add(_file_of(image, dataset, places))
        known |= {place.with_name(file.name) for file in left_alone(image, subset)}
    return sorted(there - known)


def _ending_for(file: PurePath, dataset: Dataset, places: _Places) -> str | None:
    """What the caption file of the picture of that name has to end in; None where there is no such picture."""
    for image in dataset.images:
        if places[image.path].with_suffix("") == file.with_suffix(""):
            return ending_of(image, subset_of(image, dataset))
    return None


def _lines(places: _Places) -> dict[str, Path]:
    return {line_of(place): path for path, place in places.items()}


def _line(line: str, named: Mapping[str, Path]) -> str:
    """The name that a line of the list of removals says, white space around it or not; empty where it is none."""
    return next((each for each in (line, line.rstrip("\r"), line.strip()) if each in named), "")


# ---------------------------------------------------------------- what it says


def _said_by(file: Path, image: DatasetImage, subset: Subset, folder: Path) -> tuple[str, ...]:
    """Every caption that the trainer says of the picture, were this its caption file."""
    name = image.path.relative_to(subset.folder) if image.path.is_relative_to(subset.folder) else image.path
    as_file, text = replace(subset, captions=None), _text(file, folder)
    if subset.caption_key is not None and text.strip() and keyed_file(text, "", subset.caption_key) is None:
        what = f"holds no JSON with a text under {subset.caption_key!r}."
        raise InputRefused(what, path=file, advice="Write it as the trainer's caption files are.")
    captions = captions_of(as_file, name.as_posix(), text)
    first = captions[0] if captions else None
    return said(replace(image, caption_file=file, caption=first, variants=captions), as_file)


def _repeats(folder: Path) -> dict[str, float]:
    path = folder / REPEATS
    try:
        found = json.loads(_text(path, folder) or "{}")
    except (ValueError, RecursionError) as error:
        raise InputRefused(f"is no JSON: {str(error)[:80]}.", path=path, advice="Write the mending again.") from None
    told = {name: _number(one) for name, one in (found.items() if isinstance(found, dict) else [("", None)])}
    repeats = {str(name): number for name, number in told.items() if number is not None}
    if len(repeats) < len(told):
        raise InputRefused("is not folders with a number of repeats each.", path=path, advice="Write `{}` for none.")
    return repeats


def _number(value: object) -> float | None:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value <= MOST_REPEATS:
        return None
    return float(value)


def _text(path: Path, folder: Path) -> str:
    """The text of a file of the mending; empty where somebody has taken it away."""
    if not os.path.lexists(path):
        return ""
    if not holds(real(folder), real(path)):
        raise InputRefused("is a symbolic link out of the mending.", path=path, advice="Copy the file there.")
    if not path.is_file():
        raise InputRefused("is no file.", path=path, advice="Write the mending again.")
    with opened(path) as descriptor:
        raw = read_at(descriptor, 0, MAX_CAPTION + 1)
    if len(raw) > MAX_CAPTION:
        raise InputRefused(f"is more than the {MAX_CAPTION} bytes allowed.", path=path, advice="Make it smaller.")
    return text_of(raw, path)
