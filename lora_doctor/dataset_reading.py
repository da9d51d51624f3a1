"""A dataset that is to be trained on, as the instruments see it: roles, what captions leave out, what is off-spec."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lora_doctor.captions import named
from lora_doctor.grey_pictures import hides
from lora_doctor.instruments import open_instruments, read_references, silent
from lora_doctor.metrics.sensitivity import CONFIDENT
from lora_doctor.off_spec import shown_instead
from lora_doctor.roles import classify_roles
from lora_doctor.run_folder import RunFolder, writable
from lora_doctor.settings import Settings
from lora_doctor.types import Dataset


@dataclass(frozen=True, kw_only=True)
class Looked:
    """What the instruments see in a dataset that is to be trained on."""

    dataset: Dataset
    """With roles."""
    unnamed: Mapping[Path, Mapping[str, str]]
    """Picture -> attribute its caption does not name -> the label it is surely read as."""
    off_spec: Mapping[Path, Mapping[str, str]]
    """Picture -> attribute of the spec -> the label it certainly shows instead."""


def look_at(settings: Settings, run: Path, dataset: Dataset, spec: Mapping[str, str]) -> Looked:
    """The dataset as the instruments see it: from the readings that a run of these settings stored, or read anew.

    New readings are kept in the run, where it can be written.
    """
    instruments = open_instruments(settings)
    with RunFolder(run, create=False, write=writable(run)) as folder:
        references = read_references(dataset, instruments, folder, silent)
    unnamed: dict[Path, dict[str, str]] = {}
    off_spec: dict[Path, dict[str, str]] = {}
    framings = instruments.label_sets.get("framing")
    for image, reading in zip(dataset.images, references, strict=True):
        for name, row in ({} if reading is None else reading.probabilities).items():
            labels = instruments.label_sets[name]
            label = reading.top_label(labels) if reading is not None and row.max() > CONFIDENT else None
            if hides(image, labels):
                continue
            if label is not None and not named(image.caption, labels.labels):
                unnamed.setdefault(image.path, {})[name] = label
            if name in spec and (other := shown_instead(reading, labels, framings, spec[name])) is not None:
                off_spec.setdefault(image.path, {})[name] = other
    roles = classify_roles(dataset, references, instruments.label_sets)
    return Looked(dataset=roles, unnamed=unnamed, off_spec=off_spec)
