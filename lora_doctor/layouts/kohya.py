"""sd-scripts (kohya-ss): a dataset config, a config of arguments, a project of its two programs with windows, a script.

| file | told by |
|---|---|
| dataset config, TOML or JSON | `datasets`, none of them with musubi-tuner's folders |
| arguments in TOML (`--config_file`) | `train_data_dir`, `dataset_config` or `in_json`, at the top or in any section |
| kohya_ss's project, JSON | the same keys |
| LoRA_Easy_Training_Scripts' project, TOML | `subsets` at the top, `[NAME.args]` and `[NAME.dataset_args]` |
| a script | a command with `--dataset_config`, `--config_file` or `--train_data_dir` of a `*train_network*` |

Source: kohya-ss/sd-scripts train_network.py (dataset_config comes before train_data_dir and in_json), library/
train_util.py (read_config_from_file: sections are flattened, the command line comes first), library/config_util.py
(generate_dreambooth_subsets_config_by_subdirs: folders of train_data_dir without a number are left out).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lora_doctor.errors import UsageError
from lora_doctor.folder_repeats import folder_repeats
from lora_doctor.layouts import musubi
from lora_doctor.layouts.command_line import Command, commands_in
from lora_doctor.layouts.config_text import read_text, table_of, tried
from lora_doctor.layouts.folders import contents
from lora_doctor.layouts.kohya_dataset import OF_DATASETS, OF_SUBSETS, read_dataset_config
from lora_doctor.layouts.places import RELATIVE, file_named, folder_named, is_relative
from lora_doctor.layouts.values import Section
from lora_doctor.types import Layout

CONFIGS = (".toml", ".json")
_DATA = ("dataset_config", "train_data_dir", "in_json")
_OTHER_NAMES = {
    "dataset_repeats": "num_repeats",
    "caption_extention": "caption_extension",
    "max_resolution": "resolution",
}
_SCRIPTS = ("train_network", "train_db", "train_lora")


def recognises(path: Path, text: str | None) -> bool:
    """Whether this is one of the files above; never raises."""
    if _command(path, text) is not None:
        return True
    config = tried(path, text) if path.suffix.lower() in CONFIGS else None
    return isinstance(config, dict) and (_is_dataset(config) or _is_project(config) or _is_args(config))


def read(path: Path, text: str | None) -> Layout:
    """The subsets, with every setting from where sd-scripts takes it.

    Raises UsageError for what is of a wrong type, and for folders and files that do not exist, InputRefused for a
    folder of too many entries.
    """
    command = _command(path, text)
    if command is not None:
        return _of_args(path, _with_config_file(path, command))
    config = table_of(path, text or "")
    if _is_dataset(config):
        return read_dataset_config(path, config)
    return _of_project(path, config) if _is_project(config) else _of_args(path, _flat(config))


def _is_dataset(config: Mapping[str, Any]) -> bool:
    """Whether it has `datasets` as sd-scripts has them, not as musubi-tuner has."""
    datasets = config.get("datasets")
    if not isinstance(datasets, list) or musubi.is_dataset_config(config):
        return False
    return any(isinstance(dataset, dict) and "subsets" in dataset for dataset in datasets) or "general" in config


def _is_project(config: Mapping[str, Any]) -> bool:
    subsets = config.get("subsets")
    return isinstance(subsets, list) and any(isinstance(one, dict) and "image_dir" in one for one in subsets)


def _is_args(config: Mapping[str, Any]) -> bool:
    flat = _flat(config)
    return any(isinstance(flat.get(key), str) and flat[key] for key in _DATA) and "job" not in config


def _command(path: Path, text: str | None) -> Command | None:
    """The first command of a script that starts sd-scripts."""

    def starts(command: Command) -> bool:
        ours = command.runs(*_SCRIPTS) or "network_module" in command.options
        named = [key for key in (*_DATA, "config_file") if isinstance(command.options.get(key), str)]
        return "dataset_config" in named or bool(ours and named)

    return next(filter(starts, commands_in(path, text)), None)


def _with_config_file(path: Path, command: Command) -> dict[str, Any]:
    """The options, and where it names a `--config_file`, what that says."""
    name = command.options.get("config_file")
    if not isinstance(name, str):
        return dict(command.options)
    file = file_named(name if name.endswith(".toml") else f"{name}.toml", path, "--config_file", (".toml",))
    return {**_flat(table_of(file, read_text(file))), **command.options}


def _flat(config: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of all sections as one table, as sd-scripts takes them; nothing that is empty."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        flat.update(value if isinstance(value, dict) else {key: value})
    named = {_OTHER_NAMES.get(key, key): value for key, value in flat.items() if value not in (None, "")}
    return {**named, **({"max_token_length": None} if named.get("max_token_length") in (0, "0") else {})}


def _of_args(path: Path, given: Mapping[str, Any]) -> Layout:
    args = Section(path, (("", given),), lenient=True)
    if (name := args.text("dataset_config")) is not None:
        return _of_dataset_config(path, name, args)
    if (name := args.text("in_json")) is not None:
        subset = {"image_dir": given.get("train_data_dir"), "metadata_file": name}
        return read_dataset_config(path, {"datasets": [{"subsets": [subset]}]}, args)
    name = args.text("train_data_dir")
    if not name:
        raise UsageError("names no pictures.", path=path, advice="Add train_data_dir or dataset_config.")
    return _of_folders(path, name, args)


def _of_dataset_config(path: Path, name: str, args: Section) -> Layout:
    file = file_named(name, path, "dataset_config", CONFIGS)
    config = table_of(file, read_text(file))
    if musubi.is_dataset_config(config):
        return musubi.layout_of(file, config)
    found = read_dataset_config(file, config, args)
    notes = [RELATIVE] if is_relative(name) and RELATIVE not in found.notes else []
    if any(args.found(key) for key in ("train_data_dir", "reg_data_dir", "in_json")):
        notes.append("train_data_dir, reg_data_dir and in_json are ignored, since there is a dataset_config.")
    return replace(found, notes=(*found.notes, *notes))


def _of_folders(path: Path, name: str, args: Section) -> Layout:
    """train_data_dir and reg_data_dir: their numbered folders, without sub-folders of these."""
    pictures = folder_named(name, path, "train_data_dir")
    trained, left_out = _numbered(pictures, regularisation=False)
    if not trained:
        what = "train_data_dir holds no folder called <repeats>_<words>, so sd-scripts finds no picture there."
        raise UsageError(what, path=path, advice="Give the folder above the numbered ones, or number them: 10_name.")
    other = args.text("reg_data_dir")
    regularisation, more = (
        _numbered(folder_named(other, path, "reg_data_dir"), regularisation=True) if other else ([], 0)
    )
    found = read_dataset_config(path, {"datasets": [{"subsets": [*trained, *regularisation]}]}, args)
    subsets = tuple(replace(subset, source=subset.folder.name) for subset in found.subsets)
    notes = [RELATIVE] if is_relative(name) or is_relative(other) else []
    if left_out + more:
        notes.append(f"{left_out + more} folders without a number before their name are left out, as sd-scripts does.")
    if contents(pictures).links:
        notes.append("Links to folders are not followed here; sd-scripts follows them.")
    return replace(found, subsets=subsets, notes=(*found.notes, *notes), trigger_from="folder")


def _numbered(folder: Path, *, regularisation: bool) -> tuple[list[dict[str, Any]], int]:
    """The numbered folders as subsets, and how many others there are."""
    subsets: list[dict[str, Any]] = []
    left_out = 0
    for name in contents(folder).folders:
        told = folder_repeats(name)
        left_out += told is None
        if told is not None and told[0]:
            subsets.append({"image_dir": str((folder / name).absolute()), "num_repeats": told[0],
                            "is_reg": regularisation, "class_tokens": told[1][:1000]})  # fmt: skip
    return subsets, left_out


def _of_project(path: Path, config: Mapping[str, Any]) -> Layout:
    """LoRA_Easy_Training_Scripts: `dataset_args` of all sections are the dataset's, `args` the command line's."""
    dataset, args = _sections(config, "dataset_args"), _sections(config, "args")
    subsets = [_known(one, OF_SUBSETS) for one in config["subsets"] if isinstance(one, dict)]
    whole = {"datasets": [{**_known(dataset, OF_DATASETS), "subsets": subsets}]}
    return read_dataset_config(path, whole, Section(path, (("", args),), lenient=True))


def _sections(config: Mapping[str, Any], key: str) -> dict[str, Any]:
    """The tables called `key` of all sections, as one."""
    tables = (section.get(key) for section in config.values() if isinstance(section, dict))
    return {name: value for table in tables if isinstance(table, dict) for name, value in table.items()}


def _known(table: Mapping[str, Any], keys: frozenset[str]) -> dict[str, Any]:
    """Without what only the program with windows knows."""
    return {name: value for name, value in table.items() if name in keys}
