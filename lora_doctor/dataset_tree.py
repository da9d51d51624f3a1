"""Which files lie below a folder of a dataset, and the bytes of one of them: bounded, nothing outside, no waiting.

A tree may hold pipes, devices, links that lead anywhere or in circles, and names in no encoding. No link to a folder is
followed; a link to a file only where it ends inside the dataset; only regular files are ever opened.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lora_doctor.errors import InputRefused

MAX_FILES = 500_000
"""Pictures, captions and other entries of one folder with its sub-folders; their names are held in memory."""
MAX_DEPTH = 32
"""Sub-folders in one another; a trainer's layout needs two or three."""

Refuse = Callable[[InputRefused], None]
"""Told of a folder that cannot be used."""

_HIDDEN = (".", "__MACOSX")
"""What desktops and archives leave behind: trainers' patterns pass over it as well."""
_OPEN = sum(getattr(os, name, 0) for name in ("O_CLOEXEC", "O_NONBLOCK", "O_NOFOLLOW", "O_NOCTTY", "O_BINARY"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """Where files may be read."""

    roots: tuple[str, ...]
    """Real paths of folders: everything below one of them."""

    def hold(self, real: str) -> bool:
        """Whether the real path `real` is one of the roots, or below one."""
        return any(real == root or real.startswith(root.rstrip(os.sep) + os.sep) for root in self.roots)


def bounds_of(root: Path, folders: Iterable[Path]) -> Bounds:
    """The bounds of a dataset at `root`, a folder or a config, whose pictures and captions lie in `folders`.

    What a config names may lie anywhere, as its trainer would read it. Of a folder `root`, only what is really below
    it: not what a link in it leads to, nor what a config found in it names.
    """
    top = os.path.realpath(root)
    named = () if os.path.isdir(top) else tuple(os.path.realpath(folder) for folder in folders)
    return Bounds(roots=tuple(dict.fromkeys(named)) or (top,))


def check_folder(folder: Path, bounds: Bounds) -> None:
    """Raises InputRefused when `folder` is none, or leads out of `bounds`."""
    try:
        status = folder.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise InputRefused("no such folder.", path=folder, advice="Give the folder the LoRA was trained on.") from None
    except (OSError, ValueError) as error:
        raise _unreadable(folder, error) from None
    if not stat.S_ISDIR(status.st_mode):
        raise InputRefused("is not a folder.", path=folder, advice="Give the folder with the pictures.")
    if not bounds.hold(os.path.realpath(folder)):
        raise InputRefused("lies outside the dataset.", path=folder, advice="Copy the folder, or give a config.")


def files_below(folder: Path, *, recursive: bool, refuse: Refuse) -> list[str]:
    """Names, relative to `folder`, of all visible entries that are no folders, sorted as paths; nothing is opened.

    `recursive`: those of sub-folders as well. Sub-folders that cannot be read, links to folders and folders more than
    `MAX_DEPTH` deep are told to `refuse` and left out. Raises InputRefused for more than `MAX_FILES` entries.
    """
    found: list[str] = []
    seen = 0
    waiting = [""]
    while waiting:
        below = waiting.pop()
        for entry in _entries(folder / below, refuse):
            seen += 1
            if seen > MAX_FILES:
                advice = "Give the folder of the training pictures alone."
                raise InputRefused(f"holds more than {MAX_FILES} files and folders.", path=folder, advice=advice)
            name = os.path.join(below, entry.name)
            if _is_folder(entry):
                if recursive and _enter(folder / name, name, entry, refuse):
                    waiting.append(name)
            else:
                found.append(name)
    return sorted(found, key=lambda name: name.split(os.sep))


def read_inside(path: Path, bounds: Bounds, *, limit: int, kind: str) -> bytes:
    """All bytes of the regular file at `path`, or at the end of a link that stays within `bounds`.

    Raises InputRefused for anything else, for more than `limit` bytes (of which none is read then), and for what the
    system does not let us read. `kind`: what to call it, for example `caption`.
    """
    try:
        real = _real_file(path, bounds)
        descriptor = os.open(real, os.O_RDONLY | _OPEN)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):  # it was one a moment ago
                raise _no_file(path)
            raw = b"" if status.st_size > limit else _read(descriptor, limit + 1)
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None
    if (size := max(status.st_size, len(raw))) > limit:
        raise InputRefused(
            f"is a {kind} of {size} bytes, more than the {limit} allowed.", path=path, advice="Make it smaller."
        )
    return raw


def _real_file(path: Path, bounds: Bounds) -> str:
    """Where the regular file called `path` really is. Raises InputRefused, or OSError where there is none."""
    linked = stat.S_ISLNK(os.lstat(path).st_mode)
    try:
        real = os.path.realpath(path, strict=True)
    except FileNotFoundError:
        raise InputRefused("is a symbolic link to nothing.", path=path, advice="Copy the file here.") from None
    if not bounds.hold(real):
        what = "is a symbolic link out of the dataset." if linked else "lies outside the dataset."
        raise InputRefused(what, path=path, advice="Copy the file.")
    if not stat.S_ISREG(os.lstat(real).st_mode):
        raise _no_file(path)
    return real


def _read(descriptor: int, length: int) -> bytes:
    """At most `length` bytes: a file may grow while it is read, and some report no size at all."""
    parts: list[bytes] = []
    while length > 0 and (part := os.read(descriptor, min(length, 2**24))):
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def _entries(folder: Path, refuse: Refuse) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.name.startswith(_HIDDEN):
                    yield entry
    except OSError as error:
        refuse(_unreadable(folder, error))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle
        return False


def _enter(path: Path, name: str, entry: os.DirEntry[str], refuse: Refuse) -> bool:
    if entry.is_symlink():
        refuse(InputRefused("is a symbolic link to a folder.", path=path, advice="Copy the folder."))
        return False
    if name.count(os.sep) >= MAX_DEPTH:
        refuse(InputRefused(f"lies more than {MAX_DEPTH} folders deep.", path=path, advice="Move its pictures up."))
        return False
    return True


def _no_file(path: Path) -> InputRefused:
    return InputRefused("is not a regular file.", path=path, advice="Remove it from the dataset.")


def _unreadable(path: Path, error: OSError | ValueError) -> InputRefused:
    why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return InputRefused(f"cannot be read: {why}.", path=path, advice="Mend it, or take it out of the dataset.")
