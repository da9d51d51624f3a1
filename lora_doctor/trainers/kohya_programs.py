"""Which of kohya's two trainers reads a file of arguments or a command: sd-scripts or musubi-tuner. Pure.

Both name a `dataset_config`, in the same words. Source: kohya-ss/sd-scripts *_train_network.py, library/train_util.py
(read_config_from_file: TOML alone); kohya-ss/musubi-tuner training/parser_common.py (`--dit`, without which it stops;
TOML alone); bmaltais/kohya_ss kohya_gui/lora_gui.py (save_configuration: the project; train_model: the TOML that it
hands to sd-scripts).
"""

from __future__ import annotations

from pathlib import Path

from lora_doctor.edits.by_ending import parsed
from lora_doctor.edits.command_edit import program
from lora_doctor.edits.command_shells import SHELLS
from lora_doctor.errors import UsageError
from lora_doctor.trainers.kohya_places import Args

SD_SCRIPTS, MUSUBI = "sd-scripts", "musubi-tuner"
_OF_SD_SCRIPTS = ("", "sdxl_", "sd3_", "flux_", "lumina_", "hunyuan_image_", "anima_")
_PROGRAM = "train_network"
_OF_A_PROJECT = ("LoRA_type", "additional_parameters")
"""What kohya_ss's window saves and no argument is called."""
_FOLDERS = ("image_directory", "image_jsonl_file", "video_directory", "video_jsonl_file")


def reader_of(path: Path, text: str, args: Args) -> str | None:
    """The trainer that arguments or a dataset config are for; None where neither is meant."""
    if path.suffix.lower() in SHELLS:
        name = program(path, text)
        if not name.endswith(_PROGRAM):
            return None
        return SD_SCRIPTS if name.removesuffix(_PROGRAM) in _OF_SD_SCRIPTS else MUSUBI
    config = parsed(path, text)
    listed = config.get("datasets") if isinstance(config, dict) else None
    datasets = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    if any("subsets" in one for one in datasets):
        return SD_SCRIPTS
    if any(key in one for one in datasets for key in _FOLDERS):
        return MUSUBI
    return MUSUBI if "dit" in args.values and isinstance(args.get("dataset_config"), str) else SD_SCRIPTS


def refuse_json(path: Path, args: Args, trainer: str) -> None:
    """Raises UsageError for arguments in JSON, which neither trainer reads, and for a project of kohya_ss's window.

    A project is no file of arguments: some have other names there, some follow from others, 0 often means not set.
    """
    if path.suffix.lower() != ".json":
        return
    if any(key in args.values for key in _OF_A_PROJECT):
        raise UsageError(
            f"is a project of kohya_ss's window, which {trainer} does not read.", path=path,
            advice="Give the TOML that the window writes to the output folder when it prints or starts a training: "
            "config_lora-<date>.toml.",
        )  # fmt: skip
    what = f"holds arguments in JSON, of which {trainer} reads nothing."
    raise UsageError(what, path=path, advice="Give them in TOML, as --config_file reads them.")
