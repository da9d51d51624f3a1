"""The command line of `audit` -> AuditSettings."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from lora_doctor.dataset_audit import AuditSettings
from lora_doctor.errors import UsageError
from lora_doctor.settings import InstrumentSettings, load_audit_tables
from lora_doctor.types import IDENTITY_EMPHASIS, IN_CONTEXT, Role, TrainingSettings


def read_settings(
    dataset: Path, *, trigger: str | None, spec: Sequence[str], roles: Sequence[str], resolution: int | None,
    out: Path | None, device: str, folder: Path | None, private: bool,
) -> AuditSettings:  # fmt: skip
    """Settings from what was typed, and from a lora-doctor.toml in the dataset's folder, beside it or in the working
    folder: its trigger, `[character] spec` and `[instruments]`.

    Raises UsageError for what cannot be understood.
    """
    if dataset.name in ("", ".."):  # `.` is a folder that has a name, too
        dataset = Path(os.path.abspath(dataset))
    stored = load_audit_tables(dataset)
    given = {key: _role(role) for key, role in _pairs(roles, "role").items()}
    return AuditSettings(
        dataset=dataset,
        out=out or dataset.parent / f"{dataset.stem if dataset.is_file() else dataset.name or 'dataset'}-audit",
        trigger=(trigger or "").strip() or cast("str | None", stored.get("trigger")),
        spec=_pairs(spec, "spec") or stored.get("character.spec", {}),
        training=TrainingSettings(resolution=resolution),
        instruments=InstrumentSettings(
            **{key.partition(".")[2]: value for key, value in stored.items() if key.startswith("instruments.")}
        ),
        device=device, rules=folder, private=private, roles=given,
    )  # fmt: skip


def _pairs(words: Sequence[str], option: str) -> Mapping[str, str]:
    found = {}
    for word in words:
        key, sign, value = word.rpartition("=") if option == "role" else word.partition("=")
        if not (key and sign and value):
            raise UsageError(f"--{option} {word!r} is not NAME=VALUE.", advice="Write it with an equals sign.")
        found[key] = value
    return found


def _role(text: str) -> Role:
    for role in (IDENTITY_EMPHASIS, IN_CONTEXT):
        if text == role:
            return role
    raise UsageError(f"{text!r} is no role.", advice=f"Roles are {IDENTITY_EMPHASIS} and {IN_CONTEXT}.")
