"""Pictures and captions on the disk -> Dataset, as a trainer sees it; every picture is really decoded, once, by itself.

What cannot be used is skipped by name, with a reason, or refused. Nothing outside the dataset is opened, nothing
waits, and memory holds one picture at a time.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from lora_doctor.caption_bytes import has_mark, text_of
from lora_doctor.caption_files import captions_of
from lora_doctor.dataset_names import caption_names, endings_of, pictures_of, remarks, set_apart
from lora_doctor.dataset_skips import Skips
from lora_doctor.dataset_tree import Bounds, bounds_of, check_folder, files_below, read_inside
from lora_doctor.errors import InputRefused, printable
from lora_doctor.picture_files import MAX_BYTES, decoded, mismatch
from lora_doctor.types import Dataset, DatasetImage, Layout, PictureFacts, Subset

MAX_CAPTION = 2**20
"""Bytes; the longest text encoder reads some thousand."""
MAX_CAPTIONS = 2**26
"""Bytes of all captions together, which stay in memory: 6 kilobytes for each of ten thousand."""

Seen = tuple[PictureFacts, int, int]
"""What a picture is, its width and its height in pixels as stored."""
Known = Callable[[str], Seen | None]
"""Picture's SHA-256 -> what an earlier survey remembered of it."""
Remember = Callable[[str, PictureFacts, int, int], None]
"""Called with a picture's SHA-256, what it is, its width and its height, once they are known."""
Progress = Callable[[str, int, int], None]
"""Called with the stage's name, how much of it is done and how much there is."""
STAGE = "reading the files"


def survey(
    layout: Layout,
    root: Path,
    *,
    known: Known = lambda sha256: None,
    remember: Remember = lambda sha256, facts, width, height: None,
    progress: Progress = lambda stage, done, total: None,
    strict: bool = False,
) -> Dataset:
    """The dataset that `layout` describes, sorted by path; `root` is what the user gave: a folder or a config.

    A picture whose SHA-256 is `known` is not decoded again, and each new one is told to `remember` at once, so that a
    survey that was stopped resumes. `Dataset.skipped` names what cannot be used, or is not as it is meant: pictures
    that are left out, captions that are not read (their picture stays, without one), and oddities of files that were
    read all the same. Raises InputRefused when no picture is left, and for a folder of too many files; when `strict`,
    for the first picture or caption that cannot be used, a symbolic link that leads out of the dataset, and two
    captions of one picture that differ.
    """
    skips = Skips(strict=strict)
    return _Survey(layout=layout, root=root, known=known, remember=remember, progress=progress, skips=skips).dataset()


@dataclass(kw_only=True, slots=True)
class _Survey:
    """A survey under way."""

    layout: Layout
    root: Path
    known: Known = lambda sha256: None
    remember: Remember = lambda sha256, facts, width, height: None
    progress: Progress = lambda stage, done, total: None
    skips: Skips = field(default_factory=Skips)
    seen: dict[str, Seen] = field(default_factory=dict)
    """By SHA-256: copies, and folders that are listed twice, are decoded once."""
    caption_bytes: int = 0
    marked: int = 0
    """Captions that begin with a byte order mark."""
    apart: int = 0
    """Masks and controls of other pictures."""

    def dataset(self) -> Dataset:
        """Everything."""
        bounds = bounds_of(self.root, _folders(self.layout))
        names = [self._names(subset, bounds) for subset in self.layout.subsets]
        trained = [i for i, subset in enumerate(self.layout.subsets) if not subset.regularisation]
        total = sum(len(names[i]) for i in trained)
        images: list[DatasetImage] = []
        done = 0
        for index in trained:
            for name in names[index]:
                if (image := self._image(index, name, len(names[index]), bounds)) is not None:
                    images.append(image)
                done += 1
                self.progress(STAGE, done, total)
        if not images:
            raise self._nothing_left(total)
        return Dataset(
            path=self.root,
            images=tuple(sorted(images, key=lambda image: image.path)),
            trainer=self.layout.trainer,
            subsets=self.layout.subsets,
            skipped=tuple(self.skips.named),
            regularisation=sum(len(found) for i, found in enumerate(names) if i not in trained),
            notes=(*self.layout.notes, *self._notes()),
        )

    # ------------------------------------------------------------ names

    def _names(self, subset: Subset, bounds: Bounds) -> list[str]:
        """The subset's pictures, relative to its folder; what the names tell is remarked."""
        listed = self._listed(subset.folder, subset.recursive, bounds)
        if listed is None:
            return []
        beside = subset.caption_folder in (None, subset.folder)
        captions = listed if beside else self._listed(subset.caption_folder, subset.recursive, bounds) or []
        pictures = pictures_of(listed, self.layout.trainer)
        self.apart += len(set_apart(listed, self.layout.trainer))
        if subset.files is not None:
            pictures = list(dict.fromkeys(subset.files))
        elif not subset.regularisation:
            for remark in remarks(listed, captions, subset, self.layout.trainer):
                folder = subset.folder if remark.kind == "picture" else subset.caption_folder or subset.folder
                self.skips.remark(folder / remark.name, remark.kind, remark.says)
        if pictures and subset.repeats <= 0:
            what = "is shown 0 times an epoch: the trainer never sees its pictures."
            advice = "Give it repeats, or take it out."
            self.skips.skip(InputRefused(what, path=subset.folder, advice=advice), "folder")
            return []
        return pictures

    def _listed(self, folder: Path | None, recursive: bool, bounds: Bounds) -> list[str] | None:
        """All files of a folder; None when it cannot be used."""
        assert folder is not None
        try:
            check_folder(folder, bounds)
        except InputRefused as error:
            self.skips.skip(error, "folder")
            return None
        return files_below(folder, recursive=recursive, refuse=lambda error: self.skips.skip(error, "folder"))

    # ------------------------------------------------------------ one picture

    def _image(self, index: int, name: str, count: int, bounds: Bounds) -> DatasetImage | None:
        """The picture `name` of a subset that holds `count`; None when it cannot be used."""
        subset = self.layout.subsets[index]
        path = subset.folder / name
        try:
            sha256, (facts, width, height) = self._picture(path, bounds)
            repeats = _repeats(subset, count)
        except InputRefused as error:
            self.skips.skip(error, "picture")
            return None
        if facts.frames > 1 and facts.format != "MPO":
            says = f"is an animation of {facts.frames} frames, of which trainers see the first."
            self.skips.remark(path, "picture", says)
        captions, caption_file = self._captions(subset, name, bounds)
        return DatasetImage(
            path=path,
            sha256=sha256,
            width=width,
            height=height,
            caption=captions[0] if captions else None,
            caption_file=caption_file,
            variants=captions if len(captions) > 1 else (),
            subset=index,
            repeats=repeats,
            role=subset.role,
            facts=facts,
        )

    def _picture(self, path: Path, bounds: Bounds) -> tuple[str, Seen]:
        """The picture's SHA-256 and what it is. Raises InputRefused."""
        raw = read_inside(path, bounds, limit=MAX_BYTES, kind="picture")
        sha256 = hashlib.sha256(raw).hexdigest()
        seen = self.seen.get(sha256) or self.known(sha256)
        if seen is None:
            seen = decoded(raw, path)
            self.remember(sha256, *seen)
        self.seen[sha256] = seen
        if (says := mismatch(seen[0], path)) is not None:
            if self.skips.strict and seen[0].format == "GIF":
                raise InputRefused(says, path=path, advice="Save it as what it is called.")
            self.skips.remark(path, "picture", says)
        return sha256, seen

    # ------------------------------------------------------------ its caption

    def _captions(self, subset: Subset, name: str, bounds: Bounds) -> tuple[tuple[str, ...], Path | None]:
        """Every caption that the trainer may show, none for a file that cannot be read, and the file they are from."""
        plain = name.replace(os.sep, "/")
        if subset.captions is not None:
            return captions_of(subset, plain, subset.captions.get(plain)), None
        folder = subset.caption_folder or subset.folder
        there = [path for each in caption_names(name, subset) if os.path.lexists(path := folder / each)]
        texts: dict[Path, str] = {}
        for path in there:
            try:
                texts[path] = self._text(path, bounds)
            except InputRefused as error:
                self.skips.skip(error, "caption")
        if len({text.strip() for text in texts.values()}) > 1:
            self._tell_other_captions(subset.folder / name, texts)
        if not there:
            return captions_of(subset, plain, None), None
        return (captions_of(subset, plain, texts[there[0]]), there[0]) if there[0] in texts else ((), None)

    def _text(self, path: Path, bounds: Bounds) -> str:
        raw = read_inside(path, bounds, limit=MAX_CAPTION, kind="caption")
        self.caption_bytes += len(raw)
        if self.caption_bytes > MAX_CAPTIONS:
            what = f"is not read: the captions before it hold the {MAX_CAPTIONS} bytes that are allowed together."
            raise InputRefused(what, path=path, advice="Captions are a few lines long.")
        text = text_of(raw, path)
        self.marked += has_mark(raw)
        return text

    def _tell_other_captions(self, picture: Path, texts: dict[Path, str]) -> None:
        """Trainers that are told differently would choose differently."""
        first, *others = texts
        if self.skips.strict:
            what = f"has two captions that differ, {' and '.join(path.suffix for path in texts)}."
            raise InputRefused(what, path=picture, advice="Keep the one the trainer reads.")
        for path in others:
            if texts[path].strip() != texts[first].strip():
                says = f"is not read: `{printable(first.name)}` comes first, and says something else."
                self.skips.remark(path, "caption", says)

    # ------------------------------------------------------------ the whole

    def _notes(self) -> list[str]:
        notes = []
        if self.marked:
            told = "a trainer that opens files as plain UTF-8 makes it part of the first token."
            notes.append(f"{self.marked} of the captions begin with a byte order mark, left out here: {told}")
        if self.apart:
            notes.append(f"{self.apart} files are named as masks or controls of other pictures, and are no pictures.")
        if self.skips.unnamed:
            notes.append(f"{self.skips.unnamed} more files are left out or odd than could be named.")
        return notes

    def _nothing_left(self, pictures: int) -> InputRefused:
        """Why there is no picture: none was found, or none can be used."""
        named = self.skips.named
        if not pictures and len(named) == 1 and named[0].kind == "folder":
            return InputRefused(named[0].reason, path=named[0].path)
        if not pictures:
            advice = f"Pictures end in {', '.join(endings_of(self.layout.trainer))}."
            return InputRefused("holds no pictures.", path=self.root, advice=advice)
        why = next((f": `{printable(each.path.name)}` {each.reason}" for each in named if each.kind == "picture"), ".")
        what = f"holds no picture that can be used, of {pictures}{why}"
        return InputRefused(what, path=self.root)


def _folders(layout: Layout) -> list[Path]:
    apart = [subset.caption_folder for subset in layout.subsets if subset.caption_folder is not None]
    return [*(subset.folder for subset in layout.subsets), *apart]


def _repeats(subset: Subset, count: int) -> float:
    """How often an epoch shows each of the `count` pictures of a subset."""
    return subset.repeats if subset.samples is None else subset.samples / count
