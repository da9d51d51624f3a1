"""The command that starts a training, in a script: its options changed where they stand, the rest byte for byte.

Options are those behind the training program: `accelerate launch --num_processes 1 train_network.py --network_dim 16`
has one. A script that trains twice, or takes options from what only a running shell knows, is left to its owner.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lora_doctor.edits.command_shells import SHELLS, Word
from lora_doctor.edits.command_words import commands, quoted
from lora_doctor.edits.edit import REMOVED, Keys, edit
from lora_doctor.errors import UsageError

MOST_CHARACTERS = 2**16
_TRAINS = re.compile(r"(?:.*[/\\.])?(\w*train\w*)", re.DOTALL)
_LEFT_TO_A_SHELL = ("$", "%", "!", "`")
_MANY = re.compile(r"\$[@*]|\$\{[@*]|\$\{\w+\[[@*]|%\*|\A@\w")
"""Of what only a running shell knows, all that may be any number of words: they are hardly the value of an option."""
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Option:
    """One option of the command."""

    name: str
    """As it is written, without the dashes."""
    start: int
    end: int
    values: tuple[Word, ...]
    joined: bool
    """Whether the value stands in the same word: `--name=value`."""

    @property
    def value(self) -> Any:
        """True without values; one, a number or text; or a list of several."""
        told = [_typed(word.text) for word in self.values]
        return True if not told else told[0] if len(told) == 1 else told


@dataclass(frozen=True, slots=True)
class Training:
    """The command that trains."""

    program: str
    """`sdxl_train_network`: the name of the script or module, without its folder and ending."""
    words: tuple[Word, ...]
    before: tuple[Word, ...]
    """The words up to the program, which is the last of them."""
    options: tuple[Option, ...]


def training(path: Path, script: str) -> Training | None:
    """The command of the script at `path` that trains; None where none does.

    Raises UsageError where there are several, and where options come from what only a running shell knows.
    """
    shell = SHELLS.get(path.suffix.lower())
    if shell is None or len(script) > MOST_CHARACTERS:
        return None
    try:
        found = [one for words in commands(script, shell) if (one := _training(words)) is not None]
    except ValueError:
        return None
    if len(found) > 1:
        raise UsageError("holds several commands that train.", path=path, advice="Give each a file of its own.")
    if found and (unsure := _unsure(found[0])) is not None:
        what = f"takes options from {unsure}, which only a running shell knows."
        raise UsageError(what, path=path, advice="Write them into the command.")
    return found[0] if found else None


def _unsure(found: Training) -> str | None:
    """The first word that may be options, for all that can be read here; the value of an option may be anything."""
    behind = found.words[len(found.before) :]
    for before, word in zip((found.before[-1], *behind), behind, strict=False):
        valued = before.text.startswith("--") and "=" not in before.text
        if not word.known and (_MANY.search(word.text) or (word.text.startswith(_LEFT_TO_A_SHELL) and not valued)):
            return word.text
    return None


def program(path: Path, script: str) -> str:
    """The name of the program that trains, empty where none does or several do; never raises."""
    try:
        found = training(path, script)
    except UsageError:
        return ""
    return found.program if found is not None else ""


def parsed(path: Path, script: str) -> dict[str, Any]:
    """Option without dashes -> its value; the last of several counts. Raises UsageError for a script without one."""
    found = training(path, script)
    if found is None:
        raise UsageError("starts no training.", path=path, advice="Name the trainer's config or command.")
    return {option.name: option.value for option in found.options}


def edited(path: Path, script: str, changes: Mapping[Keys, Any]) -> str:
    """The script with these options; an option that is false goes. Raises UsageError."""
    asked = {keys: REMOVED if value is False else value for keys, value in changes.items()}
    return edit(
        script, asked, lambda text: parsed(path, text), lambda text, keys, value: _step(path, text, keys, value)
    )


def _training(words: Sequence[Word]) -> Training | None:
    for at, word in enumerate(words):
        module = at > 0 and words[at - 1].text == "-m"
        name = word.text.removesuffix(".py")
        found = _TRAINS.fullmatch(name) if module or word.text.endswith(".py") else None
        if found is not None and not word.text.startswith("-"):
            return Training(found[1], tuple(words), tuple(words[: at + 1]), _options(words[at + 1 :]))
    return None


def _options(words: Sequence[Word]) -> tuple[Option, ...]:
    found: list[Option] = []
    for word in words:
        if word.text.startswith("--") and len(word.text) > 2:
            name, sign, _ = word.text[2:].partition("=")
            value = Word(word.start, word.end, word.text[len(name) + 3 :], word.known)
            found.append(Option(name, word.start, word.end, (value,) if sign else (), bool(sign)))
        elif found and not found[-1].joined:
            last = found[-1]
            found[-1] = Option(last.name, last.start, word.end, (*last.values, word), False)
    return tuple(found)


def _typed(text: str) -> Any:
    if not _NUMBER.fullmatch(text):
        return text
    return int(text) if re.fullmatch(r"[+-]?\d{1,18}", text, re.ASCII) else float(text)


def _step(path: Path, script: str, keys: Keys, value: Any) -> str:
    found, shell, name = training(path, script), SHELLS[path.suffix.lower()], str(keys[0])
    if found is None or len(keys) != 1:
        raise UsageError(f"{name} cannot be set in a command.", path=path, advice="Change it by hand.")
    own = [option for option in found.options if option.name == name]
    if value is REMOVED:
        for option in reversed(own):
            gap, after = _gap(script, found, option), re.match(r"[ \t]+(?=--\w)", script[option.end :])
            if "\n" in gap and after is not None:  # the first of several in its line
                script = script[: option.start] + script[option.end + after.end() :]
            else:
                script = script[: option.start - len(gap)] + script[option.end :]
        return script
    if any(_is_option(_text(one)) for one in _listed(value)):
        what = f"{name} cannot be set in a command: {_text(value)!r} would be read as an option."
        raise UsageError(what, path=path, advice="Rename it.")
    try:
        words = [] if value is True else [quoted(_text(one), shell) for one in _listed(value)]
    except ValueError as error:
        raise UsageError(f"{name} cannot be set in a command: {error}.", path=path, advice="Rename it.") from None
    if own:
        return _replaced(script, own[-1], words)
    return _added(script, found, name, words)


def _replaced(script: str, option: Option, words: Sequence[str]) -> str:
    """The option with other values, in its own manner: behind `=`, in quotes, or bare."""
    raw = script[option.start : option.end]
    if option.joined and len(words) == 1:
        return script[: option.start] + f"--{option.name}={words[0]}" + script[option.end :]
    if not option.values or option.joined:
        return script[: option.start] + " ".join([f"--{option.name}", *words]) + script[option.end :]
    if not words:
        return script[: option.start] + f"--{option.name}" + script[option.end :]
    first = option.values[0]
    own = script[first.start : first.end]
    if len(option.values) == len(words) == 1 and own[:1] == own[-1:] == '"' and words[0][:1] not in "'\"":
        words = [f'"{words[0]}"']
    return script[: option.start] + raw[: first.start - option.start] + " ".join(words) + script[option.end :]


def _added(script: str, found: Training, name: str, words: Sequence[str]) -> str:
    """Behind the last option and in its manner: on a line of its own, with `=`."""
    last = found.options[-1] if found.options else None
    end = last.end if last is not None else found.before[-1].end
    between = _gap(script, found, last) if last is not None and len(found.options) > 1 else " "
    sign = "=" if last is not None and last.joined and len(words) == 1 else " "
    return script[:end] + (between or " ") + sign.join([f"--{name}", " ".join(words)][: 1 + bool(words)]) + script[end:]


def _gap(script: str, found: Training, option: Option) -> str:
    """What stands before an option, from the word before it or from the comment between them on."""
    before = max((word.end for word in found.words if word.end <= option.start), default=option.start)
    gap = script[before : option.start]
    return gap[gap.rfind("\n") :] if "#" in gap else gap


def _is_option(text: str) -> bool:
    """Whether a program takes an argument for one of its options: a dash at its start, but for numbers and `-`."""
    return text.startswith("-") and text != "-" and _NUMBER.fullmatch(text) is None


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _text(value: Any) -> str:
    """As an argument: a whole number without a point, which programs that ask for whole numbers need."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)
