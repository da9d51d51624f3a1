"""Whether a picture file says that a generator made it, which, and with which model.

Generators write down how a picture was made: AUTOMATIC1111 and its kin a text `parameters` (in PNG; in JPEG the EXIF
comment), ComfyUI its graph as JSON, NovelAI `Software`, InvokeAI `invokeai_metadata`. Others leave the mark of IPTC's
vocabulary, `trainedAlgorithmicMedia`, in XMP or a C2PA manifest, which names no model. Editors and websites remove all
of it, so its absence says nothing.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image

LONGEST = 65_536
"""Characters of a text that are looked at: a stranger wrote it."""
NAME_LONGEST = 200
USER_COMMENT, EXIF_PART = 0x9286, 0x8769
"""EXIF tags: the comment, and the part it stands in."""
MARK = b"trainedAlgorithmicMedia"
"""IPTC digital source type (cv.iptc.org/newscodes/digitalsourcetype) of a picture made by a trained model alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """What a file says of its making."""

    generator: str
    """`AUTOMATIC1111`, `ComfyUI`, `NovelAI`, `InvokeAI`, or `generator` where no name is written."""
    model: str = ""
    """File name or name of the model, as written; empty = not said."""
    model_hash: str = ""
    """Its hash in lower case hexadecimal, as short as the generator wrote it; empty = not said."""


def origin_of(picture: Image.Image, raw: bytes) -> Origin | None:
    """What the file says, None where it says nothing; `raw` are the file's bytes. Never raises."""
    texts = {key: text[:LONGEST] for key, text in _texts(picture)}
    for reader in (_automatic1111, _comfyui, _novelai, _invokeai):
        found = reader(texts)
        if found is not None:
            return found
    return Origin(generator="generator") if MARK in raw else None


def _texts(picture: Image.Image) -> Iterator[tuple[str, str]]:
    """The file's texts, by key; the EXIF comment as `UserComment`."""
    for key, value in picture.info.items():
        if isinstance(key, str) and isinstance(value, str):
            yield key, value
    with contextlib.suppress(Exception):  # metadata is anything a stranger wrote
        comment: Any = picture.getexif().get_ifd(EXIF_PART).get(USER_COMMENT)
        if isinstance(comment, str):
            yield "UserComment", comment
        elif isinstance(comment, bytes):
            yield "UserComment", _comment(comment)


def _comment(raw: bytes) -> str:
    """An EXIF comment: eight bytes name the encoding; UTF-16 is written in either order."""
    kind, text = raw[:8], raw[8 : 8 + 4 * LONGEST]
    if kind.startswith(b"UNICODE"):
        order = "utf-16-le" if text[1:2] == b"\0" else "utf-16-be"
        return text.decode(order, "replace")
    return (text if kind.startswith((b"ASCII", b"\0")) else raw).decode("utf-8", "replace")


def _automatic1111(texts: Mapping[str, str]) -> Origin | None:
    """Also Forge, SD.Next and others: `Steps: 20, ..., Model hash: 6ce0161689, Model: name`."""
    text = texts.get("parameters") or texts.get("UserComment") or ""
    # The last line that begins with the steps; the prompt before it may hold anything.
    settings = re.findall(r"^Steps: \d+, [^\n]*", text, re.MULTILINE)
    if not settings:
        return None
    name, digest = _after(r"\bModel: ", settings[-1]), _after(r"\bModel hash: ", settings[-1])
    return Origin(generator="AUTOMATIC1111", model=name, model_hash=digest.lower() if _is_hash(digest) else "")


def _after(key: str, line: str) -> str:
    found = re.search(key + r"([^,\n]{1,200})", line)
    return found[1].strip().strip('"') if found else ""


def _comfyui(texts: Mapping[str, str]) -> Origin | None:
    graph = texts.get("prompt") or texts.get("workflow") or ""
    if '"class_type"' not in graph and '"nodes"' not in graph:
        return None
    found = re.search(r'"(?:ckpt_name|unet_name)"\s*:\s*"([^"\\]{1,200})"', graph)
    return Origin(generator="ComfyUI", model=found[1] if found else "")


def _novelai(texts: Mapping[str, str]) -> Origin | None:
    if texts.get("Software", "").strip() != "NovelAI":
        return None
    return Origin(generator="NovelAI", model=texts.get("Source", "")[:NAME_LONGEST])


def _invokeai(texts: Mapping[str, str]) -> Origin | None:
    text = texts.get("invokeai_metadata") or texts.get("sd-metadata") or ""
    if not text:
        return None
    model = re.search(r'"model"\s*:\s*\{([^{}]{1,2000})\}', text)
    name = re.search(r'"(?:name|model_name)"\s*:\s*"([^"\\]{1,200})"', model[1]) if model else None
    return Origin(generator="InvokeAI", model=name[1] if name else "")


def _is_hash(text: str) -> bool:
    return re.fullmatch(r"[0-9a-fA-F]{8,64}", text) is not None
