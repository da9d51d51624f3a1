"""The folder of an `audit --fix`, looked through and perhaps edited by a person -> what it makes of a dataset."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from lora_doctor.caption_bytes import text_of
from lora_doctor.caption_files import captions_of
from lora_doctor.caption_source import beside, ending_of, left_alone, said, subset_of
from lora_doctor.corrected_dataset import places_in_copy
from lora_doctor.dataset import MAX_CAPTION
from lora_doctor.dataset_mending import CAPTIONS, REMOVE, REPEATS, SHEET
from lora_doctor.errors import InputRefused, UsageError, bytes_shown
from lora_doctor.named_places import real
from lora_doctor.regular_file import opened, read_at
from lora_doctor.types import Dataset, DatasetImage, Subset
from lora_doctor.written_folder import files_below, holds

_OTHERS = "Give the folder that `lora-doctor audit DATASET --fix DIR` wrote for the dataset of this run."


@dataclass(frozen=True, kw_only=True, slots=True)
class GivenMending:
    """What a mending, as it is on the disk now, changes in a dataset."""

    captions: Mapping[Path, str]
    """Picture -> its captions as the trainer says them, one a line; only where they differ."""
    left_out: Mapping[Path, str]
    """Picture -> why it goes."""
    balances: bool
    """Whether it has a plan of repeats that bring the identity ratio to the source's."""


NOTHING_GIVEN = GivenMending(captions={}, left_out={}, balances=False)


def read_mending(folder: Path, dataset: Dataset) -> GivenMending:
    """Read the folder, for the pictures of a dataset.

    Files are matched by where their picture lies below the dataset; a picture without one stays as it is, and so does
    one whose own caption file nobody has read. Raises UsageError for a folder that is no mending or one of other
    pictures, InputRefused for a file in it that cannot be read.
    """
    if not (folder / CAPTIONS).is_dir() or not (folder / SHEET).is_file():
        raise UsageError("holds no mending.", path=folder, advice=_OTHERS)
    captions = dict[Path, str]()
    for image, file in _files(folder, dataset):
        subset = subset_of(image, dataset)
        told = _said_by(file, image, subset, folder)
        if told != said(image, subset) and not (subset.caption_extensions and left_alone(image, subset)):
            captions[image.path] = "\n".join(told)
    names = [line for line in _text(folder / REMOVE, folder).splitlines() if line.strip()]
    gone = {_named(name, dataset, folder): f"{REMOVE} of {bytes_shown(folder.name)} names it" for name in names}
    kept = {path: text for path, text in captions.items() if path not in gone}
    return GivenMending(captions=kept, left_out=gone, balances=_has_repeats(folder))


def _files(folder: Path, dataset: Dataset) -> Iterator[tuple[DatasetImage, Path]]:
    """Every picture that the mending has a caption file of, with that file. Raises UsageError for files of others."""
    root = folder / CAPTIONS
    there = {PurePath(path.relative_to(root)) for path in files_below(root)}
    found = dict[Path, tuple[DatasetImage, PurePath]]()
    stems = set[PurePath]()
    for image, place in zip(dataset.images, _places(dataset), strict=True):
        ending = ending_of(image, subset_of(image, dataset))
        for name in place:
            stems.add(name.with_name(name.stem))
            if (file := PurePath(beside(Path(name), ending))) in there:
                found[image.path] = image, file
                break
    owners = dict[PurePath, set[Path]]()
    for image, file in found.values():
        owners.setdefault(file, set()).add(image.path.with_suffix(""))
    strange = [file for file in sorted(there) if file not in owners and not _is_of(file, stems)]
    if strange:
        shown = bytes_shown(strange[0].as_posix())
        raise UsageError(f"{shown!r} in {CAPTIONS!r} is of no picture of the dataset.", path=folder, advice=_OTHERS)
    if there and not found:
        ending = ending_of(dataset.images[0], subset_of(dataset.images[0], dataset))
        what = f"has captions that the config's trainer does not read: it looks for files that end in {ending!r}."
        raise UsageError(what, path=folder, advice="Audit the config instead of the folder of pictures.")
    if shared := next((file for file, pictures in owners.items() if len(pictures) > 1), None):
        what = f"{bytes_shown(shared.as_posix())!r} in {CAPTIONS!r} may be of several pictures of the dataset."
        raise UsageError(what, path=folder, advice=_OTHERS)
    yield from ((image, root / file) for image, file in found.values())


def _is_of(file: PurePath, stems: set[PurePath]) -> bool:
    """Whether it is named after a picture: `01.txt` or `01.png.txt`, which was copied unread."""
    stem = file.with_name(file.stem)
    return stem in stems or stem.with_name(stem.stem) in stems


def _places(dataset: Dataset) -> Iterator[list[PurePath]]:
    """Where each picture may stand in a mending, likeliest first: it may be one of the config or of the folder."""
    copied = places_in_copy(dataset)
    for image in dataset.images:
        parts = Path(os.path.abspath(image.path)).parts[1:]
        tails = (PurePath(*parts[start:]) for start in range(len(parts)))
        yield list(dict.fromkeys((PurePath(copied[image.path]), *tails)))


def _said_by(file: Path, image: DatasetImage, subset: Subset, folder: Path) -> tuple[str, ...]:
    """Every caption that the trainer says of the picture, were this its caption file."""
    name = image.path.relative_to(subset.folder) if image.path.is_relative_to(subset.folder) else image.path
    as_file = replace(subset, captions=None)
    captions = captions_of(as_file, name.as_posix(), _text(file, folder))
    first = captions[0] if captions else None
    return said(replace(image, caption_file=file, caption=first, variants=captions), as_file)


def _named(name: str, dataset: Dataset, folder: Path) -> Path:
    """The picture that a line of the list of removals names. Raises UsageError where it is none, or several."""
    found = [
        image.path for image, places in zip(dataset.images, _places(dataset), strict=True)
        if name.strip() in [bytes_shown(place.as_posix()) for place in places]
    ]  # fmt: skip
    if len(found) != 1:
        what = f"{name!r} in {REMOVE} names {'no picture' if not found else 'several pictures'} of the dataset."
        raise UsageError(what, path=folder, advice=_OTHERS)
    return found[0]


def _has_repeats(folder: Path) -> bool:
    text = _text(folder / REPEATS, folder)
    try:
        found = json.loads(text or "{}")
    except ValueError as error:
        raise InputRefused(f"is no JSON: {error}.", path=folder / REPEATS, advice="Write the mending again.") from None
    return bool(found)


def _text(path: Path, folder: Path) -> str:
    """The text of a file of the mending; empty where somebody has taken it away."""
    if not os.path.lexists(path):
        return ""
    if not holds(real(folder), real(path)):
        raise InputRefused("is a symbolic link out of the mending.", path=path, advice="Copy the file there.")
    with opened(path) as descriptor:
        raw = read_at(descriptor, 0, MAX_CAPTION + 1)
    if len(raw) > MAX_CAPTION:
        raise InputRefused(f"is more than the {MAX_CAPTION} bytes allowed.", path=path, advice="Make it smaller.")
    return text_of(raw, path)
