"""The text of a caption file -> every caption the trainer may show with its picture, after each trainer's habits. Pure.

| trainer | source | what it does |
|---|---|---|
| sd-scripts | library/train_util.py: read_caption, process_caption | first line, or with `enable_wildcard` any line that is not blank, and one part of every `{a\\|b}`; prefix and suffix are put on before a line is chosen |
| ai-toolkit | toolkit/dataloader_mixins.py: load_caption, get_caption; prompt_utils.py: inject_trigger_into_prompt | the whole text, of a `.json` file (until June 2026) its `caption`; `[trigger]` and `[name]` replaced; the trigger put before a caption that does not hold it |
| OneTrainer | mgds LoadMultipleTexts, SelectRandomText | any line that is not blank |
| SimpleTuner | helpers/prompts.py: prepare_instance_prompt_from_textfile | any line, the instance prompt before each |
| musubi-tuner | dataset/datasources.py | the whole text |
"""  # noqa: E501

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from lora_doctor.types import Subset

MAX_VARIANTS = 32
"""Captions of one picture; of more, a part is taken in which every line or part of a wildcard has the same chance."""
MAX_LETTERS = 2**16
"""Characters of all variants of one caption together: a long one is not multiplied."""

_WILDCARD = re.compile(r"\{([^}]+)\}")
_REPLACED = ("[name]", "[trigger]")

T = TypeVar("T")


def captions_of(subset: Subset, name: str, text: str | None) -> tuple[str, ...]:
    """Every caption that the trainer may show with the picture `name` of `subset`, the first one first, each once.

    `text`: what the caption file, or the subset's table, holds; None = there is none. An empty result: the picture has
    no caption at all; `("",)`: it has one with nothing in it. Nothing is shuffled or dropped.
    """
    given = _lines_end_alike(text if text is None or subset.captions is not None else keyed_text(text, subset))
    told = given if given is not None and (given.strip() or subset.caption_lines != "whole") else None
    base = told if told is not None else subset.class_tokens if subset.class_tokens is not None else given
    if base is None:
        return ()
    made = _wildcarded(subset, base) if subset.wildcards else _chosen(subset, base)
    found = tuple(dict.fromkeys(_with_trigger(subset, caption).strip() for caption in made))
    return () if given is None and not any(found) else found


def parts_of_wildcards(caption: str) -> list[str]:
    """`red`, `blue` of `a {red|blue} hat`: what an sd-scripts caption says one of, another each time."""
    return [
        part for inner in _WILDCARD.findall(caption.replace("{{", "").replace("}}", "")) for part in inner.split("|")
    ]


def keyed_text(text: str, subset: Subset) -> str:
    """The caption in a file's text: what stands under `Subset.caption_key`, where that is there; else all of it."""
    found = None if subset.caption_key is None else _object(text).get(subset.caption_key)
    return found if isinstance(found, str) else text


def keyed_file(text: str, caption: str, key: str) -> str | None:
    """The JSON `text` of a file with `caption` under `key`, all else byte for byte; None where no text stands there."""
    wanted = _object(text)
    if not isinstance(wanted.get(key), str):
        return None
    wanted = {**wanted, key: caption}
    for match in re.finditer(rf'"{re.escape(key)}"\s*:\s*(?=")', text):
        _, end = json.JSONDecoder().raw_decode(text, match.end())
        new = f"{text[: match.end()]}{json.dumps(caption, ensure_ascii=False)}{text[end:]}"
        if _object(new) == wanted:  # not the same key of an object inside
            return new
    return None


def _object(text: str) -> dict[str, Any]:
    """The JSON object in a text; an empty one where it is none."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _chosen(subset: Subset, base: str) -> list[str]:
    """The whole text, its first line, or each line that is not blank; prefix and suffix around each."""
    if subset.caption_lines == "whole":
        lines = [base.strip()]
    elif subset.caption_lines == "first":
        # A table's text gets its suffix before the first line is taken, a file's text after.
        lost = subset.captions is not None and "\n" in base
        return [f"{subset.prefix}{base.split(chr(10))[0].strip()}{'' if lost else subset.suffix}"]
    else:
        lines = _thinned(_not_blank(base) or [""], _room(base))
    return [f"{subset.prefix}{line}{subset.suffix}" for line in lines]


def _wildcarded(subset: Subset, base: str) -> list[str]:
    """sd-scripts' way: prefix before the first line and suffix after the last, one line, one part of each wildcard."""
    whole = f"{subset.prefix}{chr(10).join(_not_blank(base))}{subset.suffix}"
    lines = _thinned(whole.split("\n"), _room(whole))
    made = [variant for line in lines for variant in _expanded(line, max(1, _room(whole) // len(lines)))]
    return _thinned(made, MAX_VARIANTS)


def _expanded(line: str, most: int) -> list[str]:
    """The line with one part of each `{a|b}`, in `most` combinations at most; `{{` and `}}` are braces."""
    opened, closed = _unused(line, "\ue000"), _unused(line, "\ue100")
    pieces = _WILDCARD.split(line.replace("{{", opened).replace("}}", closed))
    options = [piece.split("|") if i % 2 else [piece] for i, piece in enumerate(pieces)]
    made = ("".join(parts) for parts in _combinations(options, most))
    return [one.replace(opened, "{").replace(closed, "}") for one in made]


def _combinations(options: Sequence[Sequence[str]], most: int) -> list[list[str]]:
    """All of them when they are no more than `most`; else `most`, in which each part of a wildcard comes up alike."""
    count = 1
    for parts in options:
        count *= len(parts)
        if count > most:
            return [list(row) for row in zip(*_dealt(options, most), strict=True)]
    rows: list[list[str]] = [[]]
    for parts in options:
        rows = [[*row, part] for row in rows for part in parts]
    return rows


def _dealt(options: Sequence[Sequence[str]], most: int) -> Iterator[list[str]]:
    """For each wildcard, `most` of its parts in a mixed order of its own, always the same; the first part first."""
    mixed = random.Random(0)
    for parts in options:
        rest = [parts[row % len(parts)] for row in range(1, most)]
        mixed.shuffle(rest)
        yield [parts[0], *rest]


def _with_trigger(subset: Subset, caption: str) -> str:
    """ai-toolkit's way, where the subset has a trigger; `` = the trainer replaces, and has nothing to put there."""
    if subset.trigger is None:
        return caption
    for mark in _REPLACED:
        caption = caption.replace(mark, subset.trigger)
    if subset.trigger.strip() and subset.trigger not in caption and not subset.regularisation:
        return f"{subset.trigger} {caption}"
    return caption


def _lines_end_alike(text: str | None) -> str | None:
    return None if text is None else text.replace("\r\n", "\n").replace("\r", "\n")


def _not_blank(text: str) -> list[str]:
    return [stripped for line in text.split("\n") if (stripped := line.strip())]


def _room(text: str) -> int:
    """How many variants of a text there may be."""
    return max(1, min(MAX_VARIANTS, MAX_LETTERS // max(1, len(text))))


def _thinned(many: Sequence[T], most: int) -> list[T]:
    """All, or `most` of them evenly spaced, the first among them."""
    return list(many) if len(many) <= most else [many[i * len(many) // most] for i in range(most)]


def _unused(line: str, letter: str) -> str:
    """A run of a private letter that is longer than any in the line."""
    return letter * (1 + max(map(len, re.findall(f"{letter}+", line)), default=0))
