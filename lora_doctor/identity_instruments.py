"""Instruments by name: which extractor serves a name of `[instruments]`, and what can measure identity beside faces."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lora_doctor.extractors import ccip, clip, dino, face, sface
from lora_doctor.instrument_files import Announce
from lora_doctor.types import FaceReading

FACES = ("insightface", "sface")
"""Kinds that recognise faces; all others look at whole pictures, or at heads."""
HEAD = "@head"
"""At the end of an instrument's name: it is shown the head alone, and nothing where no face was found."""


@dataclass(frozen=True, kw_only=True, slots=True)
class IdentityInstrument:
    """Something that tells who is in a picture."""

    name: str
    """As the settings write it, without the folder's path."""
    reader: Any
    """An extractor's reader: `name`, `licence`, `digest`, and `read` (faces) or `embed` (pictures)."""
    head: bool
    """Whether it is shown the head alone."""

    @property
    def similarity(self) -> Callable[[Any, Any], Any] | None:
        """What compares two embeddings; None = they have unit length, and the cosine does."""
        compare: Callable[[Any, Any], Any] | None = getattr(self.reader, "similarity", None)
        return compare

    @property
    def described(self) -> dict[str, str]:
        """Name, licence and hash, and the threshold of its makers where it has one."""
        threshold = getattr(self.reader, "threshold", None)
        known = {"name": self.reader.name, "licence": self.reader.licence, "sha256": self.reader.digest}
        return known if threshold is None else known | {"threshold": f"{threshold:.4f}"}

    def identify(self, images: Sequence[Any], faces: Sequence[FaceReading]) -> list[Any]:
        """Each picture's (d,) embedding, or None where it shows nobody to this instrument."""
        if hasattr(self.reader, "read") and not hasattr(self.reader, "embed"):
            return [reading.embedding for reading in self.reader.read(images)]
        if not self.head:
            return list(self.reader.embed(images))
        shown = [clip.head_crop(image, one) for image, one in zip(images, faces, strict=True) if one.box is not None]
        rows = iter(self.reader.embed(shown) if shown else ())
        return [None if one.box is None else next(rows) for one in faces]


def similarity_of(text: str, announce: Announce) -> Callable[[Any, Any], Any] | None:
    """What compares two embeddings of an entry of `[instruments] identity`; only one that needs its model is opened."""
    kind = text.removesuffix(HEAD).partition(":")[0]
    return open_identity(text, "cpu", announce, same_clip=None).similarity if kind == "ccip" else None


def looks_at_pictures(name: str) -> bool:
    """Whether the instrument of an entry of `[instruments] identity`, or of its stored name, is no face recogniser."""
    return name.removesuffix(HEAD).partition(":")[0] not in FACES


def name_of(text: str) -> str:
    """The name under which an entry of `[instruments] identity` is stored: without the folder's path."""
    what = text.removesuffix(HEAD)
    kind, _, source = what.partition(":")
    shown = Path(source).name if Path(source).is_dir() else source
    return (f"{kind}:{shown}" if source else kind) + text[len(what) :]


def open_face(source: str | Path, device: str, announce: Announce) -> Any:
    """The face instrument of a name or folder: YuNet and SFace where it is theirs, else an insightface pack."""
    return (sface if sface.recognises(source) else face).load(source, device, announce)


def open_identity(text: str, device: str, announce: Announce, *, same_clip: Any) -> IdentityInstrument:
    """The instrument that an entry of `[instruments] identity` names; raises what its loader raises.

    `same_clip` is the CLIP reader that is open already: `clip` without a source means that one.
    """
    what = text.removesuffix(HEAD)
    kind, _, source = what.partition(":")
    if kind == "insightface":
        reader: Any = face.load(source, device, announce)
    elif kind == "sface":
        reader = sface.load(source or sface.NAME, device, announce)
    elif kind == "ccip":
        reader = ccip.load(source or ccip.NAME, device, announce)
    elif kind == "dino":
        reader = dino.load(source or dino.NAME, device, announce)
    else:
        reader = clip.load(source, device, announce) if source else same_clip
    return IdentityInstrument(name=name_of(text), reader=reader, head=what != text)
