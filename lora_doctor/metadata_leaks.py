"""What a LoRA file's metadata gives away about a person or a machine: paths, user names, e-mail addresses, keys. Pure.

sd-scripts once wrote whole folder paths (sd-scripts issue 151), and OneTrainer's `ot_config` and SimpleTuner's
comments still can. Folder names alone (`10_ohwx person`) are no leak here: they are what the metadata is for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

MAX_VALUE = 2**20
"""Characters of one value that are looked at."""
MAX_FOUND = 8
"""Excerpts per metadata key."""
_HIDDEN = "***"
_PICTURE = re.compile(r"data:[\w/+.-]{1,80};base64,[A-Za-z0-9+/=]+")
"""Embedded pictures (`modelspec.thumbnail`); base64 is full of slashes."""
_ADDRESS = re.compile(
    r"\b[a-zA-Z][a-zA-Z0-9+.-]{1,20}://(?:[^\s\"'<>/@]{1,200}@)?[^\s\"'<>/]{0,200}(?:/[^\s\"'<>]{0,2000})?"
)
_CREDENTIALS = re.compile(r"\A([a-zA-Z][a-zA-Z0-9+.-]*)://[^/@]+@")
_DEFAULT = re.compile(r"/workspace(?:/OneTrainer|/huggingface_cache)?(?=[\"']|\Z)")
"""Folders of rented machines that OneTrainer names in every config, used or not."""
_KEY = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"(?P<huggingface>hf_[A-Za-z0-9]{16,})"
    r"|(?P<github>gh[pousr]_[A-Za-z0-9]{16,}|github_pat_[A-Za-z0-9_]{16,})"
    r"|(?P<aws>(?:AKIA|ASIA)[0-9A-Z]{16})"
    r"|(?P<openai>sk-[A-Za-z0-9_-]{20,})"
    r")"
)
_EMAIL = re.compile(r"(?<![\w.+%-])[\w.+%-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}(?![A-Za-z0-9-])")
_HOMES = ("home", "Users", "users", "root")
_PLACES = (*_HOMES, "mnt", "media", "data", "workspace", "content", "opt", "srv", "tmp", "var", "Volumes", "kaggle",
           "notebooks", "private", "storage", "scratch")  # fmt: skip
"""Top folders that may be shown, because they tell nothing."""
_SEPARATOR = r"(?:\\{1,4}|\\?/)"
"""Of a path; in JSON a backslash is doubled, and a slash may have one before it."""
_PART = r"[^\s\\/:*?\"'<>|,;()\[\]{}]{1,200}"
_WINDOWS = re.compile(rf"(?<![A-Za-z0-9])[A-Za-z]:{_SEPARATOR}(?P<rest>{_PART}(?:{_SEPARATOR}{_PART})*)")
_SHARE = re.compile(r"(?<![\\\w:])\\{2,4}(?P<host>[A-Za-z0-9][\w.-]{1,60})\\{1,2}(?P<rest>[^\s\\/:*?\"'<>|]{1,200})")
_POSIX = re.compile(rf"(?<![\w:/\\.~*)-])(?P<home>~)?\\?/(?P<top>{_PART})(?P<rest>(?:\\?/{_PART})*)")


def private_paths(metadata: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """(metadata key, redacted excerpt) of all that gives a person, a machine or an account away, in the file's order.

    An excerpt says what was found and keeps only what tells nothing, for example `path /home/***/***`, `e-mail
    ***@***`, `key hf_***`. At most MAX_FOUND different ones per key. Never raises.
    """
    found = []
    for key, value in metadata.items():
        excerpts = dict.fromkeys(_leaks(_PICTURE.sub(" ", value[:MAX_VALUE])))
        found += [(key, excerpt) for excerpt in list(excerpts)[:MAX_FOUND]]
    return tuple(found)


def _leaks(text: str) -> Iterator[str]:
    for found in _KEY.finditer(text):
        start = re.match(r"[A-Za-z]+[_-]?(?:pat_)?", found[0])
        yield f"key {'AKIA' if found['aws'] else start[0] if start else ''}{_HIDDEN}"
    for address in _ADDRESS.finditer(text):
        yield from _address(address[0])
    # What lies inside an address is no path of this machine.
    text = _DEFAULT.sub(" ", _ADDRESS.sub(" ", text))
    if _EMAIL.search(text):
        yield f"e-mail {_HIDDEN}@{_HIDDEN}"
    for found in _WINDOWS.finditer(text):
        yield f"path {_windows(found['rest'])}"
    if _SHARE.search(text):
        yield rf"path \\{_HIDDEN}\{_HIDDEN}"
    for found in _POSIX.finditer(text):
        if shape := _posix(found):
            yield f"path {shape}"


def _address(address: str) -> Iterator[str]:
    """A web address is a leak when it is of a file, or has a password in it."""
    if address.lower().startswith("file:"):
        yield f"path file://{_HIDDEN}"
    elif found := _CREDENTIALS.match(address):
        yield f"address {found[1]}://{_HIDDEN}@{_HIDDEN}"


def _windows(rest: str) -> str:
    parts = re.split(r"[\\/]+", rest)
    top = parts[0] if parts[0] in _PLACES else _HIDDEN
    return "\\".join(["C:", top, *([_HIDDEN] if len(parts) > 1 else [])])


def _posix(found: re.Match[str]) -> str | None:
    """The redacted path; None for what only looks like one: a single slash in running text or in a caption."""
    top, deeper = found["top"], bool(found["rest"])
    if found["home"]:
        return f"~/{_HIDDEN}"
    if top in _PLACES:
        return f"/{top}/{_HIDDEN}" if deeper else None
    return f"/{_HIDDEN}/{_HIDDEN}" if found["rest"].count("/") >= 2 else None
