"""A folder, whoever trains on it: flat, with sub-folders, numbered ones, captions apart, or a table. The last resort.

| what is found | what it becomes |
|---|---|
| `10_name concept` | a subset of ten repeats, as sd-scripts has it; the nearest such folder around a picture counts |
| `images` beside `captions`, `labels`, `txt` ... | captions are looked for there, with the pictures' relative names |
| `metadata.jsonl`, `metadata.csv` | the pictures and captions it lists; caption files beside pictures come first |
| `mask` or `masks` without captions, with the names of the pictures beside it | masks: no pictures |
| `img` beside `reg`, `log`, `model` | the folders of kohya_ss: `reg` is regularisation, the other two are no pictures |
| `reg` beside `10_name` | regularisation as well |
| anything else | one subset, pictures of sub-folders included, once each |
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lora_doctor.layouts.folders import MAX_DEPTH, MAX_ENTRIES, PICTURES, Contents, contents, lies_in
from lora_doctor.layouts.tables import NAMES, UNREAD, Table, table_in
from lora_doctor.layouts.trigger_words import common_trigger, trigger_of
from lora_doctor.types import Layout, Subset

TRAINER = "folder"
IMAGES = ("images", "image", "imgs", "img", "pictures", "pics", "photos")
CAPTIONS = ("captions", "caption", "labels", "label", "txt", "txts", "text", "texts", "tags", "prompts")
"""Names of sibling folders, in any case of letters."""
REGULARISATION = ("reg", "regs", "regularisation", "regularization", "reg_images", "regularization_images")
MASKS = ("mask", "masks")
CAPTION_FILES = (".txt", ".caption")
_NUMBERED = re.compile(r"(\d{1,9})_(.*)", re.DOTALL)


def recognises(path: Path, text: str | None) -> bool:
    """Whether this is a folder; never raises."""
    return text is None


def read(path: Path, text: str | None) -> Layout:
    """The subsets of the folder at `path`, and what a trainer would see otherwise.

    Raises InputRefused for a folder of too many entries and for a table that cannot be read.
    """
    found = _Found()
    top = _looked(path, found, MAX_DEPTH)
    subsets = tuple(found.subsets_of(_Place(top, Subset(folder=path))))
    if not subsets:
        subsets = (Subset(folder=path, recursive=True),)
    own = _NUMBERED.fullmatch(path.absolute().name)
    return Layout(
        trainer=TRAINER,
        subsets=subsets,
        notes=tuple([*found.notes(), *_captions_beside(path, top)]),
        trigger=common_trigger(subsets) or (trigger_of(own[2]) if own else None),
        trigger_from="folder",
    )


@dataclass(frozen=True, slots=True)
class _Folder:
    """A folder with what is in it."""

    path: Path
    names: Contents
    inner: tuple[_Folder, ...]
    plain: bool
    """Whether nothing below it is numbered, apart, or in a table: it can be read as one."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A folder still to be told, and what holds for it."""

    folder: _Folder
    like: Subset
    """Repeats, class tokens and regularisation, as the folders around it say."""


@dataclass(slots=True)
class _Found:
    """What was met on the way."""

    left: int = MAX_ENTRIES
    numbered: int = 0
    elsewhere: int = 0
    """Folders with pictures outside numbered ones."""
    links: int = 0
    regularisation: int = 0
    left_out: int = 0
    tables: int = 0
    ignored_tables: int = 0
    unread_tables: int = 0
    nameless_tables: int = 0
    """Tables without a column that names pictures."""
    captionless_tables: int = 0
    lacking: int = 0
    """Pictures in tables without a caption."""
    outside: int = 0
    masks: int = 0

    def subsets_of(self, place: _Place) -> Iterator[Subset]:
        """The subsets of a folder and of those in it, in the order of their names."""
        folder, like = place.folder, replace(place.like, folder=place.folder.path)
        if folder.plain:
            if _holds(folder, PICTURES):
                yield self._told(folder, replace(like, recursive=True))
            return
        self.links += folder.names.links
        inner = {each.path.name: each for each in folder.inner if not _is_masks(each, folder)}
        self.masks += sum(_is_masks(each, folder) for each in folder.inner)
        if pair := _pair(folder):
            images, captions = pair
            yield self._told(images, replace(like, folder=images.path, recursive=True, caption_folder=captions.path))
            inner = {name: each for name, each in inner.items() if each not in pair}
        if (table := self._table(folder)) is not None:
            yield from self._listed(table, like)
            inner = {}
        elif folder.names.has(PICTURES):
            yield self._told(folder, like)
        trained, other = _project(inner)
        self.left_out += len(other)
        for name, each in trained.items():
            yield from self.subsets_of(_Place(each, self._inner(name, like, trained)))

    def _inner(self, name: str, like: Subset, siblings: dict[str, _Folder]) -> Subset:
        """What holds in the folder called `name`, given what holds around it."""
        found = _NUMBERED.fullmatch(name)
        if found:
            self.numbered += 1
            return replace(like, repeats=int(found[1]), class_tokens=found[2].strip(), source=name)
        others = [(key, each) for key, each in siblings.items() if key != name]
        numbered = any(_NUMBERED.fullmatch(key) or _has_numbered(each) for key, each in others)
        if name.lower() in REGULARISATION and numbered:
            self.regularisation += 1
            return replace(like, regularisation=True, source=name)
        return replace(like, source=like.source or name)

    def _told(self, folder: _Folder, subset: Subset) -> Subset:
        if subset.class_tokens is None and not subset.regularisation:
            self.elsewhere += 1
        return replace(subset, source=subset.source or folder.path.name)

    def _table(self, folder: _Folder) -> Table | None:
        self.unread_tables += UNREAD in folder.names.files
        table = table_in(folder.path)
        if table is None:
            self.nameless_tables += any(lies_in(folder.path, name) for name in NAMES)
            return None
        if not set(_stems(folder)).isdisjoint(_stems(folder, CAPTION_FILES)):
            self.ignored_tables += 1
            return None
        self.tables += 1
        self.outside += table.outside
        self.captionless_tables += table.column is None
        self.lacking += table.lacking
        return table

    def _listed(self, table: Table, like: Subset) -> Iterator[Subset]:
        """A subset for each number of rows that pictures have."""
        for rows, names in table.grouped():
            yield replace(
                like, files=names, captions=table.captions(names), repeats=like.repeats * rows, caption_lines="any",
                source=like.source or like.folder.name, caption_extensions=(),
            )  # fmt: skip

    def notes(self) -> list[str]:
        """What a user should know; counts only, since notes are public."""
        told = [
            (self.numbered, "Folders are named <repeats>_<words>, as sd-scripts wants them: there, a picture without a "
             "caption file gets these words as its caption, and only pictures directly in such a folder are read."),
            (self.numbered and self.elsewhere, f"{self.elsewhere} folders with pictures have no such name: they are "
             "counted once here, and sd-scripts leaves them out."),
            (self.regularisation, "The pictures of the folder for regularisation are not part of the character."),
            (self.left_out, f"{self.left_out} folders beside img, which kohya_ss keeps results in, are left out."),
            (self.masks, f"{self.masks} folders of masks, by their names and those of their files, are left out."),
            (self.tables, "Captions are read from a metadata table; pictures that it does not list are left out, as "
             "Hugging Face's imagefolder does. sd-scripts and ai-toolkit would look for caption files instead."),
            (self.captionless_tables, "A metadata table has no column that looks like captions."),
            (self.lacking, f"{self.lacking} pictures of a metadata table have nothing in the column that captions are "
             "read from, the one that most rows have: they have no caption."),
            (self.ignored_tables, "There are caption files and a metadata table: the caption files are read. A trainer "
             "that reads the table shows other captions."),
            (self.nameless_tables, "A metadata table is not read: it has no column file_name, which names the pictures "
             "(of CSV, commas part the columns)."),
            (self.unread_tables, f"{UNREAD} is not read here: save the table as metadata.jsonl."),
            (self.outside, f"{self.outside} rows of a metadata table name no picture below its folder."),
            (self.links, f"{self.links} links to folders are not followed; trainers follow them."),
        ]  # fmt: skip
        return [note for count, note in told if count]


def _looked(path: Path, found: _Found, depth: int) -> _Folder:
    """The folder with all that is in it; nothing deeper than `depth` more folders."""
    names = contents(path)
    found.left -= len(names.files) + len(names.folders)
    below = names.folders if depth > 0 and found.left > 0 else ()
    inner = tuple(_looked(path / name, found, depth - 1) for name in below)
    special = any(_NUMBERED.fullmatch(name) for name in names.folders) or _has_table(names)
    folder = _Folder(path, names, inner, not special and all(each.plain for each in inner))
    if any(_is_masks(each, folder) for each in inner):
        return replace(folder, plain=False)
    return replace(folder, plain=False) if _pair(folder) else folder


def _has_table(names: Contents) -> bool:
    return any(name.startswith("metadata.") for name in names.files)


def _pair(folder: _Folder) -> tuple[_Folder, _Folder] | None:
    """The folder of pictures and that of their captions, where they lie side by side."""
    by_name = {each.path.name.lower(): each for each in folder.inner}
    images = next((by_name[name] for name in IMAGES if name in by_name), None)
    captions = next((by_name[name] for name in CAPTIONS if name in by_name), None)
    if images is None or captions is None or not images.plain or not captions.plain:
        return None
    if _holds(images, CAPTION_FILES) or not _holds(captions, CAPTION_FILES) or not _holds(images, PICTURES):
        return None
    return images, captions


def _is_masks(one: _Folder, around: _Folder) -> bool:
    """Whether a folder in `around` holds the masks of the pictures there: called so, without captions, named alike.

    A folder of pictures that show masks has captions, or names of its own.
    """
    if one.path.name.lower() not in MASKS or _holds(one, CAPTION_FILES):
        return False
    others = set(_stems(around)).union(*(_stems(each) for each in around.inner if each is not one))
    return bool(own := set(_stems(one))) and 2 * len(own & others) > len(own)


def _stems(folder: _Folder, endings: tuple[str, ...] = PICTURES) -> Iterator[str]:
    """Names of the pictures (or other files) directly in the folder, without their endings."""
    return (Path(name).stem for name in folder.names.files if name.lower().endswith(endings))


def _project(inner: dict[str, _Folder]) -> tuple[dict[str, _Folder], list[_Folder]]:
    """The folders to read, and those of kohya_ss that hold its results, where it made them all."""
    if "img" not in inner or not _has_numbered(inner["img"]):
        return inner, []
    results = {name: each for name, each in inner.items() if name in ("log", "logs", "model")}
    return {name: each for name, each in inner.items() if name not in results}, list(results.values())


def _has_numbered(folder: _Folder) -> bool:
    return any(_NUMBERED.fullmatch(each.path.name) for each in folder.inner)


def _holds(folder: _Folder, endings: tuple[str, ...]) -> bool:
    return folder.names.has(endings) or any(_holds(each, endings) for each in folder.inner)


def _captions_beside(path: Path, top: _Folder) -> Sequence[str]:
    """A note where only the folder of pictures was given, and the captions lie in one beside it."""
    if path.absolute().name.lower() not in IMAGES or _holds(top, CAPTION_FILES):
        return ()
    beside = contents(path.absolute().parent).folders
    if not any(name.lower() in CAPTIONS for name in beside):
        return ()
    return ("The captions seem to lie in a folder beside this one: give the folder that holds both.",)
