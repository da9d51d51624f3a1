"""What a Diagnosis says about its inputs: cells, dataset, matrix and LoRA as plain mappings. Pure."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lora_doctor.article_band import article_band
from lora_doctor.errors import bytes_shown
from lora_doctor.image_states import NO_LIMITS, Limits, state_of
from lora_doctor.types import (
    IDENTITY_EMPHASIS,
    IN_CONTEXT,
    Cell,
    Dataset,
    LabelSet,
    LoraFile,
    Measurement,
    Reading,
    Render,
    Study,
)

ScoreOf = Callable[[Reading, str], float | None]
"""The identity score of a render of some framing; None where it has none."""


def labels_read(reading: Reading, label_sets: Mapping[str, LabelSet], framing: str) -> dict[str, str]:
    """Attribute -> label read, for the attributes that a picture of this framing shows."""
    shown = {name: reading.top_label(labels) for name, labels in label_sets.items() if framing in labels.framings}
    return {name: label for name, label in shown.items() if label is not None}


def describe_lora(lora: LoraFile, base: str) -> dict[str, Any]:
    """Name, layout, family, rank (the largest) and alpha if it has a rank, number of modules, the base model's name."""
    largest = max(lora.modules, key=lambda module: module.rank)
    return {
        "name": lora.path.name, "format": lora.format, "family": lora.family, "trainer": lora.trainer,
        "rank": largest.rank or None, "alpha": largest.alpha if largest.rank else None, "modules": len(lora.modules),
        "base": base, "size": lora.size,
    }  # fmt: skip


def describe_cells(
    cells: Sequence[Cell],
    study: Study,
    renders: Sequence[Render],
    folder: Path,
    score_of: ScoreOf | None,
    limits: Limits = NO_LIMITS,
    verified: Callable[[Reading], bool | None] = lambda reading: None,
) -> tuple[dict[str, Any], ...]:
    """One mapping for each of these cells of the study, in their order.

    `limits`: the faces that can be scored; `verified`: whether a render is the character by the instrument's own mark.
    They tell the state alone.
    """
    images = {render.cell.key: render for render in renders}
    return tuple(_cell(cell, images.get(cell.key), study, folder, score_of, limits, verified) for cell in cells)


def _cell(
    cell: Cell, render: Render | None, study: Study, folder: Path, score_of: ScoreOf | None,
    limits: Limits, verified: Callable[[Reading], bool | None],
) -> dict[str, Any]:  # fmt: skip
    reading, reason = study.renders.get(cell.key), study.missing.get(cell.key)
    image = render.image.relative_to(folder).as_posix() if render is not None and render.image is not None else None
    identity = score_of(reading, cell.framing) if reading is not None and score_of is not None else None
    return {
        "key": cell.key, "weight": cell.weight, "environment": cell.environment, "trained": cell.trained,
        "framing": cell.framing, "replicate": cell.replicate, "image": image,
        "reason": reason, "identity": None if identity is None else round(identity, 4),
        "state": state_of(
            reading, reason, cell.weight, identity, limits, study.held, None if reading is None else verified(reading)
        ),
        "labels": {} if reading is None else labels_read(reading, study.label_sets, cell.framing),
        "faces": 0 if reading is None else reading.face.faces,
        # No prompt: an arm may replay captions of the training set, which are nobody else's business.
        **({"arm": cell.arm, "asked": cell.asked, "variant": cell.variant} if cell.arm else {}),
    }  # fmt: skip


def describe_dataset(
    dataset: Dataset,
    references: Sequence[Reading | None],
    label_sets: Mapping[str, LabelSet],
    *,
    pictures: Sequence[str] | None = None,
    measurements: Sequence[Measurement] = (),
    ways: Sequence[str] = (),
) -> dict[str, Any]:
    """Counts by role, framing and environment, exposed ratio and band; the ratio as measured, where it was.

    `pictures`, for private reports alone, are the thumbnails in the run folder, in the dataset's order; with them go
    the captions.
    """
    pairs = list(zip(dataset.images, references, strict=True))
    exposed = {
        role: sum(i.repeats for i in dataset.images if i.role == role) for role in (IDENTITY_EMPHASIS, IN_CONTEXT)
    }
    total = sum(exposed.values())
    summary: dict[str, Any] = {
        "images": len(dataset.images),
        "exposures": round(sum(i.repeats for i in dataset.images), 1),
        "trainer": dataset.trainer,
        "roles": {role: sum(i.role == role for i in dataset.images) for role in exposed},
        "without_role": sum(i.role is None for i in dataset.images),
        "skipped": dict(Counter(each.kind for each in dataset.skipped if not each.remark)),
        "identity_ratio": exposed[IDENTITY_EMPHASIS] / total if total else None,
        "band": [article_band().low, article_band().high],
        "framings": _counts(pairs, label_sets.get("framing")),
        "environments": _counts(pairs, label_sets.get("environment")),
    }
    measured = next((m for m in measurements if m.name == "dataset.identity_ratio"), None)
    if measured is not None:
        summary["identity_ratio"] = measured.value
        summary["identity_ratio_interval"] = None if measured.interval is None else list(measured.interval)
    if pictures is not None:
        framing = label_sets.get("framing")
        summary["pictures"] = [
            {
                "file": file, "name": name_in(dataset, image.path), "role": image.role, "why": image.role_reason,
                "sure": None if image.emphasis is None else round(max(image.emphasis, 1 - image.emphasis), 3),
                "caption": image.caption or "", "repeats": image.repeats,
                "framing": None if reading is None or framing is None else reading.top_label(framing),
            }
            for file, (image, reading) in zip(pictures, pairs, strict=False)
        ]  # fmt: skip
        summary["notes"] = list(dataset.notes)
        summary["plan"] = list(ways)  # names folders
        summary["not_shown"] = len(pairs) - len(pictures)
        summary["skipped_files"] = [f"{name_in(dataset, each.path)}: {each.reason}" for each in dataset.skipped]
    return summary


def dataset_digest(dataset: Dataset) -> str:
    """SHA-256 over the pictures' names, contents, repeats and captions."""
    lines = [f"{name_in(dataset, i.path)} {i.sha256} {i.repeats} {i.caption}" for i in dataset.images]
    return hashlib.sha256("\n".join(lines).encode("utf-8", "backslashreplace")).hexdigest()


def name_in(dataset: Dataset, path: Path) -> str:
    """The path as it stands below the dataset, or below the folder of its config; undecodable bytes as `\\xNN`."""
    roots = (dataset.path, dataset.path.parent, *(path.parents[1:2]))  # beside a config, or two parts of any path
    name = next((path.relative_to(root) for root in roots if path.is_relative_to(root)), path)
    return bytes_shown(name.as_posix())


def _counts(pairs: Sequence[tuple[Any, Reading | None]], labels: LabelSet | None) -> dict[str, int]:
    if labels is None:
        return {}
    seen = Counter(reading.top_label(labels) for _, reading in pairs if reading is not None)
    return {label: seen[label] for label in labels.labels if seen[label]}
