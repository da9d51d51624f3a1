"""Training configs that trainers save in the folder of the LoRA. The only file of this package that reads any."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from lora_doctor.recorded.notes import Notes
from lora_doctor.recorded.values import MAX_DEPTH, Unreadable, mapping, shown

MAX_CONFIG = 2**18
"""Bytes; a config with a hundred sample prompts has some 30 KB, and YAML is read at no more than 400 KB a second."""
MAX_NODES = 10_000
"""Values and keys in a YAML file; the same config has some 500, and 40 000 of them would take half a minute."""


def config_beside(notes: Notes, path: Path, name: str) -> dict[str, Any]:
    """The mapping in the YAML or JSON file `name` beside `path`; {} when there is none or it is unreadable (noted)."""
    try:
        text = read_beside(path, name)
        if text is None:
            return {}
        return yaml_mapping(text) if name.endswith(".yaml") else mapping(text)
    except Unreadable as error:
        notes.unreadable[name] = f"unreadable: {error}"
        return {}


def read_beside(path: Path, name: str) -> str | None:
    """The text of the file `name` in the folder of `path`; None when there is no such file.

    Raises Unreadable for what is no regular file, has more than MAX_CONFIG bytes, or is not UTF-8.
    """
    try:
        # Without O_NONBLOCK a named pipe would keep us waiting for a writer.
        handle = os.open(path.parent / name, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    except OSError as error:
        raise Unreadable(str(error.strerror)) from None
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise Unreadable("it is not a regular file")
        with os.fdopen(handle, "rb", closefd=False) as file:
            data = file.read(MAX_CONFIG + 1)
    except OSError as error:
        raise Unreadable(str(error.strerror)) from None
    finally:
        os.close(handle)
    if len(data) > MAX_CONFIG:
        raise Unreadable(f"it has more than {MAX_CONFIG} bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Unreadable("it is not UTF-8") from None


def yaml_mapping(text: str) -> dict[str, Any]:
    """The mapping in a YAML text, of plain types only. Raises Unreadable, also for aliases: they can multiply."""
    from ruamel.yaml import YAML
    from ruamel.yaml.composer import Composer
    from ruamel.yaml.error import YAMLError

    class Bounded(Composer):
        nodes = depth = 0

        def compose_node(self, parent: Any, index: Any) -> Any:
            self.nodes, self.depth = self.nodes + 1, self.depth + 1
            if self.nodes > MAX_NODES or self.depth > MAX_DEPTH:
                raise Unreadable(f"it has more than {MAX_NODES} values, or is nested more than {MAX_DEPTH} deep")
            if getattr(self.parser.peek_event(), "anchor", None) is not None:
                raise Unreadable("it holds aliases")
            node = super().compose_node(parent, index)
            self.depth -= 1
            return node

    reader = YAML(typ="safe", pure=True)
    reader.Composer = Bounded
    try:
        found = reader.load(text)
    except Unreadable:
        raise
    except RecursionError:
        raise Unreadable("it is nested too deeply") from None
    # The library lets errors of the types it builds through: ValueError for dates and numbers, TypeError for keys.
    except (YAMLError, ValueError, TypeError, AttributeError, LookupError, AssertionError, OverflowError):
        raise Unreadable("it is no sound YAML") from None
    if not isinstance(found, dict):
        raise Unreadable(f"it is {shown(found)}, no mapping")
    return found
