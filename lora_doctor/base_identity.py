"""Whether the base model at hand is the one that a LoRA says it was trained on."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path

from lora_doctor.base_digest import file_digest, folder_digest
from lora_doctor.base_models import BaseSource
from lora_doctor.lora_base import base_called
from lora_doctor.types import BaseMatch, TrainedBase

_LEGACY_AT, _LEGACY_LENGTH = 0x100000, 0x10000
"""The part of a checkpoint that AUTOMATIC1111's first hash is made of."""


def compare_base(trained: TrainedBase, source: BaseSource, family: str) -> BaseMatch:
    """The record against the model: by hash where both have one, else by name.

    A name that belongs to no base model known here, such as that of somebody's own merge, tells only when both names
    are the same: files are renamed. A checkpoint with another hash is another file, and may be the same model in half
    precision, pruned, or with another VAE: it is another base for sure only where the names say so too, and not known
    to be one where both mean the same. A checkpoint of 7 GB is read once for its hash, in seconds.
    """
    if trained.sha256 is None and trained.legacy_hash is None and trained.name is None:
        return BaseMatch(same=None, why="the LoRA does not say which base model it was trained on")
    recorded, make = _hash_to_compare(trained, source)
    if recorded is not None:
        if make(source.path) == recorded:
            return BaseMatch(same=True, sure=True, why=f"the recorded hash is that of {source.name}")
        return _another_file(trained.name, source, family)
    if trained.name is None:
        return BaseMatch(same=None, why="the LoRA records a hash, which a folder of files does not have")
    return _by_name(trained.name, source.name.partition("@")[0], family)


def _hash_to_compare(trained: TrainedBase, source: BaseSource) -> tuple[str | None, Callable[[Path], str]]:
    """The recorded hash that the source has a counterpart of, and how that is made."""
    if source.kind == "file" and trained.sha256 is not None:
        return trained.sha256, file_digest
    if source.kind == "file" and trained.legacy_hash is not None:
        return trained.legacy_hash, _legacy_hash
    return (trained.folder_sha256 if source.kind == "folder" else None), folder_digest


def _another_file(trained: str | None, source: BaseSource, family: str) -> BaseMatch:
    """What an unequal hash tells beside the names; a folder's own name tells only where it is that of a known base."""
    why = f"the recorded hash is not that of {source.name}"
    known = [base_called(name, family) if name else None for name in (trained, source.name)]
    told = None not in known
    alike = source.kind == "file" and trained is not None and _plain(trained) == _plain(source.name)
    if alike or (told and known[0] == known[1]):
        return BaseMatch(same=None, why=f"{why}; by its name, {trained}, it may be the same model saved otherwise")
    return BaseMatch(same=False, sure=told or source.kind == "folder", why=why)


def _by_name(trained: str, here: str, family: str) -> BaseMatch:
    said = f"trained on {trained}, by its record; rendered with {here}"
    if _plain(trained) == _plain(here):
        return BaseMatch(same=True, why=said)
    known = [base_called(name, family) for name in (trained, here)]
    if None in known:
        return BaseMatch(same=None, why=f"{said}: names that do not tell whether they are the same")
    return BaseMatch(same=known[0] == known[1], why=said)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower().removesuffix(".safetensors").removesuffix(".ckpt"))


def _legacy_hash(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(_LEGACY_AT)
        return hashlib.sha256(file.read(_LEGACY_LENGTH)).hexdigest()[:8]
