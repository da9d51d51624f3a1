"""sd-scripts' numbered folders (`10_name`, `10`) as a dataset config, where other repeats can be written. Pure.

Source: kohya-ss/sd-scripts library/config_util.py (generate_dreambooth_subsets_config_by_subdirs: repeats, then the
class tokens; other folders are left out), train_network.py (with a dataset_config, train_data_dir is passed over).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os.path import abspath
from pathlib import Path

from lora_doctor.folder_repeats import folder_repeats
from lora_doctor.named_places import found_folder, real
from lora_doctor.types import Dataset


@dataclass(frozen=True, slots=True)
class NumberedFolder:
    """A folder of `train_data_dir`, or of `reg_data_dir`."""

    name: str
    place: str
    """As the config would name it."""
    repeats: int
    words: str
    """What follows the number: the caption of pictures without one."""
    regularisation: bool = False


def numbered_folders(dataset: Dataset | None, named: str, config: Path) -> list[NumberedFolder]:
    """The folders of `train_data_dir` that hold pictures of the dataset, in the order of their names."""
    above = _folder(named, config)
    folders = {Path(abspath(image.path)).parent for image in (dataset.images if dataset is not None else ())}
    names = sorted(folder.name for folder in folders if real(folder.parent) == real(above))
    told = [(name, folder_repeats(name)) for name in names]
    return [NumberedFolder(name, str(above / name), *each) for name, each in told if each is not None and each[0]]


def regularisation_folders(dataset: Dataset | None, named: str, config: Path) -> list[NumberedFolder]:
    """The folders of `reg_data_dir`, where the dataset was read from this config; else none."""
    above = _folder(named, config)
    found = []
    for subset in dataset.subsets if dataset is not None else ():
        name, parent = subset.folder.name, Path(abspath(subset.folder)).parent
        told = folder_repeats(name)
        if told is not None and told[0] and subset.regularisation and real(parent) == real(above):
            found.append(NumberedFolder(name, str(above / name), *told, regularisation=True))
    return found


def dataset_config(folders: Sequence[NumberedFolder], repeats: Mapping[str, int]) -> str:
    """A dataset config in TOML that says what the folders' names say, with other repeats for some (name -> repeats)."""
    lines = [
        "# what the numbered folders say; whatever else a subset may have comes from the arguments",
        "[[datasets]]",
    ]
    for folder in folders:
        lines += ["", "  [[datasets.subsets]]", f"  image_dir = {json.dumps(folder.place, ensure_ascii=False)}"]
        lines += [f"  num_repeats = {repeats.get(folder.name, folder.repeats)}"]
        lines += [f"  class_tokens = {json.dumps(folder.words, ensure_ascii=False)}"] if folder.words else []
        lines += ["  is_reg = true"] if folder.regularisation else []
    return "\n".join(lines) + "\n"


def _folder(named: str, config: Path) -> Path:
    """The folder that the config names; below its own where there is none."""
    return Path(abspath(found_folder(named, config) or config.parent / named))
