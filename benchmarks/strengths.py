"""LoRAs of all severities without any training: the bundled patients, and two without an illness at other strengths.

A LoRA whose update is half as large is one that was trained too weakly by half: at weight 1 it draws what the whole
one draws at 0.5. One that is too large overbakes.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from lora_doctor.lora_rescaling import rescale
from lora_doctor.plugins import data_folder

HEALTHY = ("echo", "yuki")
STRENGTHS = (0.35, 0.5, 0.65, 0.8, 0.9, 1.25)
"""From one that hardly shows to one that is too strong; those between fall about the limits of the verdict."""


def all_severities(work: Path) -> list[Path]:
    """Folders with a LoRA and its settings: the nine patients where they lie, twelve made of two of them in `work`."""
    patients = sorted(path.parent for path in (data_folder("miniature") / "patients").glob("*/lora-doctor.toml"))
    healthy = [folder for folder in patients if folder.name in HEALTHY]
    return [*patients, *(scaled(folder, strength, work) for folder in healthy for strength in STRENGTHS)]


def scaled(folder: Path, strength: float, work: Path) -> Path:
    """A copy of a patient in `work` whose LoRA is `strength` times as strong; one that is there is kept."""
    copy = work / f"{folder.name}-x{strength:g}"
    model = copy / "lora.safetensors"
    if not model.is_file():
        shutil.copytree(folder, copy, ignore=shutil.ignore_patterns(model.name, "*-checkup"), dirs_exist_ok=True)
        rescale(folder / model.name, strength, model)
    return copy
