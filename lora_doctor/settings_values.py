"""What the value of a settings key may be: readers (value, folder) -> value.

They raise ValueError that says what the value must be. `folder` is what relative paths are relative to.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lora_doctor.types import FRAMINGS

FACE_KINDS = ("insightface", "sface")
IDENTITY_KINDS = (*FACE_KINDS, "ccip", "dino", "clip")
"""What may measure identity besides the face instrument."""
_DEVICES = re.compile(r"auto|cpu|mps|cuda(:\d+)?")
_PATH_LIKE = re.compile(r"[./~\\]")
"""How a value starts that can only mean a folder, not a name."""


def line(value: Any, folder: Path) -> str:
    """A text of one line, without surrounding white space and not empty."""
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ValueError("must be a text of one line")
    return value.strip()


def token(value: Any, folder: Path) -> str:
    """A text that stays one token in a caption."""
    if "," in (text := line(value, folder)):
        raise ValueError("must be a single token, without a comma")
    return text


def token_or_nothing(value: Any, folder: Path) -> str:
    """A text that stays one token in a caption, or that may be empty."""
    return "" if value == "" else token(value, folder)


def line_or_nothing(value: Any, folder: Path) -> str:
    """A text of one line that may be empty."""
    return "" if value == "" else line(value, folder)


def path(value: Any, folder: Path) -> Path:
    """A path, `~` allowed; whether it exists is for its reader to say."""
    if not isinstance(value, (str, Path)) or not str(value) or "\0" in str(value):
        raise ValueError("must be a path")
    try:
        return folder / Path(value).expanduser()
    except RuntimeError:
        raise ValueError("must be a path; there is no such home folder") from None


def name_or_folder(value: Any, folder: Path) -> str:
    """A name as it is, or an existing folder as an absolute path."""
    place = path(value, folder)
    if place.is_dir():
        return str(place.resolve())
    if _PATH_LIKE.match(text := line(str(value), folder)):
        raise ValueError("must be a name or an existing folder")
    return text


def identity_instruments(value: Any, folder: Path) -> tuple[str, ...]:
    """Instruments, each once: `kind` or `kind:source`, with `@head` at the end for the head alone."""
    names = []
    for item in _items(value, 'instruments, for example ["ccip", "dino@head"]'):
        text = line(item, folder)
        what = text.removesuffix("@head")
        kind, colon, source = what.partition(":")
        if kind not in IDENTITY_KINDS:
            raise ValueError(f"must name kinds of {', '.join(IDENTITY_KINDS)}, each with `:source` where it needs one")
        if kind in FACE_KINDS and what != text:
            raise ValueError(f"must name `{kind}` without @head: it finds faces by itself")
        if kind == "insightface" and not source:
            raise ValueError("must say which pack, for example insightface:buffalo_l")
        names.append(text if not colon else f"{kind}:{name_or_folder(source, folder)}{text[len(what) :]}")
    if len(set(names)) < len(names):
        raise ValueError("must name each instrument once")
    return tuple(names)


def name_or_place(value: Any, folder: Path) -> str:
    """A name as it is, or an existing folder or file as an absolute path."""
    place = path(value, folder)
    return str(place.resolve()) if place.is_file() else name_or_folder(value, folder)


def name_or_toml(value: Any, folder: Path) -> str:
    """A name as it is, or a TOML file, told by its name or a slash, as an absolute path."""
    text = line(str(value) if isinstance(value, Path) else value, folder)
    if text.endswith(".toml") or "/" in text or "\\" in text:
        return str(path(text, folder).resolve())
    return text


def one_of(*words: str) -> Callable[[Any, Path], str]:
    """A reader of one of the words."""

    def read(value: Any, folder: Path) -> str:
        if value not in words:
            raise ValueError(f"must be one of {', '.join(words)}")
        return str(value)

    return read


def flag(value: Any, folder: Path) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def number(least: float, most: float) -> Callable[[Any, Path], float]:
    """A reader of finite numbers from `least` to `most`."""

    def read(value: Any, folder: Path) -> float:
        plain = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not plain or not math.isfinite(value) or not least <= value <= most:
            raise ValueError(f"must be a number from {least:g} to {most:g}")
        return float(value)

    return read


def whole_number(least: int, most: int, step: int = 1) -> Callable[[Any, Path], int]:
    """A reader of multiples of `step` from `least` to `most`."""

    def read(value: Any, folder: Path) -> int:
        if type(value) is not int or not least <= value <= most or value % step:
            raise ValueError(f"must be a whole number from {least} to {most}{f', a multiple of {step}' * (step > 1)}")
        return value

    return read


def weights(least: float) -> Callable[[Any, Path], tuple[float, ...]]:
    """A reader of ascending LoRA weights from `least` to 2 in hundredths (cell keys have two decimals).

    With `least` 0 the first must be 0: the base model alone is what identity is measured from.
    """
    one = number(least, 2)

    def read(value: Any, folder: Path) -> tuple[float, ...]:
        result = tuple(one(weight, folder) for weight in _items(value, "numbers"))
        if list(result) != sorted(set(result)):
            raise ValueError("must go up, each weight once")
        if any(weight != round(weight, 2) for weight in result):
            raise ValueError("must have at most two decimals")
        if least == 0 and result[0] != 0:
            raise ValueError("must begin with 0, the base model alone: identity is measured from there")
        return result

    return read


def environments(value: Any, folder: Path) -> tuple[str, ...]:
    """Tokens, each once."""
    names = tuple(token(name, folder) for name in _items(value, "environments"))
    if len(set(names)) < len(names):
        raise ValueError("must name each environment once")
    return names


def framings(value: Any, folder: Path) -> tuple[str, ...]:
    """Some of the framings, each once, from near to far."""
    names = [str(name) for name in _items(value, "framings")]
    if len(set(names)) < len(names) or not set(names) <= set(FRAMINGS):
        raise ValueError(f"must be some of {', '.join(FRAMINGS)}, each once")
    return tuple(name for name in FRAMINGS if name in names)


def arms(value: Any, folder: Path) -> tuple[str, ...]:
    """Names of arms, each once; `none` or an empty list = no arm."""
    names = () if value in ("none", []) else tuple(str(name) for name in _items(value, "arms"))
    if len(set(names)) < len(names):
        raise ValueError("must name each arm once")
    return names


def command(value: Any, folder: Path) -> tuple[str, ...]:
    """A program and its arguments, one text each; never a line for a shell."""
    if isinstance(value, str):
        raise ValueError('must be a list of arguments, ["python", "train.py", "{config}"]: no shell takes it apart')
    return tuple(line(item, folder) for item in _items(value, "arguments"))


def variables(value: Any, folder: Path) -> tuple[str, ...]:
    """Names of environment variables, each once."""
    names = tuple(line(name, folder) for name in _items(value, "names of environment variables"))
    if len(set(names)) < len(names) or any("=" in name for name in names):
        raise ValueError("must name each environment variable once, without its value")
    return names


def spec(value: Any, folder: Path) -> dict[str, str]:
    """A table of attribute -> label."""
    if not isinstance(value, Mapping):
        raise ValueError('must be a table like {hair_colour = "white_hair"}')
    return {token(attribute, folder): token(label, folder) for attribute, label in value.items()}


def device(value: Any, folder: Path) -> str:
    """The name of a torch device, or `auto`."""
    if not isinstance(value, str) or not _DEVICES.fullmatch(value):
        raise ValueError("must be auto, cpu, mps, cuda or cuda:<number>")
    return value


def _items(value: Any, what: str) -> list[Any]:
    if not isinstance(value, (list, tuple)) or not value:
        raise ValueError(f"must be a list of {what}")
    return list(value)
