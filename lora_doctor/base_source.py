"""What `--base` names: a diffusers folder, a .safetensors checkpoint or a hub id, found and turned into a place."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lora_doctor.base_hub import HubId, fetch, parse_hub_id
from lora_doctor.base_single_file import check_single_file, config_folder_beside, read_shapes
from lora_doctor.errors import EnvironmentFailure, InputRefused

_ADVICE = "Set `base` to a diffusers folder, a .safetensors checkpoint or a hub id (owner/name@revision)."


@dataclass(frozen=True, kw_only=True, slots=True)
class BaseSource:
    """Where a base model lies on this machine, and what it is called."""

    kind: Literal["folder", "file", "hub"]
    path: Path
    """The diffusers folder, or the checkpoint."""
    name: str
    """`owner/name@commit` for the hub, else the name of the folder or file: fit to be shown and recorded."""
    commit: str | None = None
    """The hub's commit, 40 hex digits, when the base model is a hub id."""
    config: Path | None = None
    """For a checkpoint, the folder with its configs and tokenizers."""


def resolve_base(
    base: str | Path, announce: Callable[[str], None] | None = None, *, config: Path | None = None
) -> BaseSource:
    """Find the base model; a hub id is downloaded if it is not here, after `announce` was told what and how much.

    `config` is the folder of configs and tokenizers for a single-file checkpoint; without it one beside the file, with
    the file's name, is taken, else those of the family's first model on the hub (some MB, announced too). `announce`
    None = the sentence comes as a warning. Raises InputRefused for what does not exist or is not safe to load,
    EnvironmentFailure when the hub cannot deliver.
    """
    tell = announce or _warn
    path = Path(base)
    if path.is_dir():
        return BaseSource(kind="folder", path=path, name=path.resolve().name)
    if path.is_file():
        return _checkpoint(path, config, tell)
    if isinstance(base, Path) or not _may_be_hub_id(base):
        raise InputRefused("no such base model folder or file", path=base, advice=_ADVICE)
    hub_id = parse_hub_id(base)
    if hub_id is None:
        raise InputRefused("neither a folder nor a hub id", path=base, advice=_ADVICE)
    return _from_hub(hub_id, tell)


def _may_be_hub_id(text: str) -> bool:
    parts = text.partition("@")[0].split("/")
    plain = len(parts) == 2 and all(parts) and parts[0] not in (".", "..", "~")
    return plain and not text.endswith((".safetensors", ".ckpt"))


def _from_hub(hub_id: HubId, announce: Callable[[str], None]) -> BaseSource:
    folder = fetch(hub_id, announce)
    return BaseSource(kind="hub", path=folder, name=f"{hub_id.repo}@{folder.name}", commit=folder.name)


def _checkpoint(path: Path, config: Path | None, announce: Callable[[str], None]) -> BaseSource:
    _, _, repo = check_single_file(path, read_shapes(path))
    chosen = config or config_folder_beside(path)
    if chosen is None:
        try:
            chosen = fetch(HubId(repo=repo), announce, weights=False)
        except EnvironmentFailure as error:
            raise EnvironmentFailure(
                f"the checkpoint needs the configs and tokenizers of {repo} (some MB): {error.what}",
                path=path,
                advice=f"Go online once, or put such a folder, without weights, at {path.with_suffix('')}.",
            ) from error
    return BaseSource(kind="file", path=path, name=path.name, config=chosen)


def _warn(sentence: str) -> None:
    warnings.warn(sentence, stacklevel=4)
