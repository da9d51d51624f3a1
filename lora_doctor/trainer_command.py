"""The command that starts a trainer: the user's own or the trainer's documented one, with the places filled in.

A command is a list of arguments, never a line for a shell. Pure functions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os.path import expanduser
from pathlib import Path

from lora_doctor.edits import command_edit
from lora_doctor.errors import UsageError

PLACEHOLDERS = ("config", "dataset", "output", "lora")
"""The patched config, the folder of pictures, the folder for the new LoRA, and the file that is expected there."""
_WHOLE = re.compile(r"(?P<option>[\w.-]+=)?\{(?P<name>\w+)\}", re.ASCII)
"""A placeholder is an argument of its own, or all of an option's value: `{config}`, `--config={config}`."""
_ANY = re.compile(rf"\{{({'|'.join(PLACEHOLDERS)})\}}")
_KEPT = (
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TERM", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT", "VIRTUAL_ENV",
    "HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "TRANSFORMERS_CACHE", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONUTF8",
)  # fmt: skip
_STARTED_BY_COMMANDS = ("sd-scripts", "diffusers")
_KEPT_STARTS = ("LC_", "CUDA_", "NVIDIA_", "NCCL_", "TORCH", "PYTORCH_", "XDG_", "CONDA_", "OMP_", "MKL_",
                "ACCELERATE_", "ROCM_", "HIP_", "HSA_", "TRITON_")  # fmt: skip


def filled(command: Sequence[str], places: Mapping[str, Path]) -> tuple[str, ...]:
    """The arguments with every placeholder as the absolute path of its place, one argument whatever the name holds.

    `places` has every name of `PLACEHOLDERS`. Raises UsageError for a placeholder in the midst of a text, where a name
    could become more than a name, for an unknown one, and for an empty command.
    """
    if not command:
        raise UsageError("`retrain.command` is empty.", advice="Name the program and its arguments.")
    return tuple(_filled(argument, places) for argument in command)


def _filled(argument: str, places: Mapping[str, Path]) -> str:
    found = _WHOLE.fullmatch(argument)
    if found is not None:
        if found["name"] not in places:
            raise UsageError(
                f"`retrain.command` has {argument!r}, which stands for nothing.", advice=f"Known: {_listed()}."
            )
        return f"{found['option'] or ''}{places[found['name']].absolute()}"
    if _ANY.search(argument):
        raise UsageError(
            f"`retrain.command` has a placeholder inside {argument!r}.",
            advice="Make it an argument of its own, or the whole value of an option: --config={config}.",
        )
    return argument


def _listed() -> str:
    return ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)


def kept_environment(environment: Mapping[str, str], more: Sequence[str] = ()) -> dict[str, str]:
    """The variables that a trainer needs to find its libraries and devices, and those named in `more`; no others.

    Tokens and keys of other services are none of a trainer's business.
    """
    named = {*_KEPT, *more}
    return {name: value for name, value in environment.items() if name in named or name.startswith(_KEPT_STARTS)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """How a trainer is started."""

    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables that it reads; placeholders as in the command."""
    options: tuple[str, ...] = ()
    """Further arguments, given as they are: no placeholders are looked for in them."""


def documented(trainer: str | None, family: str, folder: Path | None, config: Path, text: str = "") -> Start:
    """What the trainer's own documentation starts a config with, in its `folder`.

    `trainer` as in `TrainingSettings.trainer`, `family` of the LoRA (sd-scripts has a script for each), `text` of the
    config. Of a config that is a command itself, the options are given to the program of that name in the trainer's
    folder; nothing else of it is run. Raises UsageError where none is known, or where the trainer's folder is needed
    and nobody said it.
    """
    if trainer == "SimpleTuner":
        if config.suffix.lower() == ".toml":  # CONFIG_PATH is asked for JSON alone (helpers/configuration/toml_file.py)
            what = "SimpleTuner finds a config.toml only in the folder config of the place it is started in."
            advice = "Write the config as JSON, or `command = [...]` below `[retrain]` in lora-doctor.toml."
            raise UsageError(what, path=config, advice=advice)
        values = {"CONFIG_BACKEND": "json", "CONFIG_PATH": "{config}"}
        return Start(command=(_program("simpletuner", folder), "train"), environment=values)
    own = command_edit.training(config, text) if trainer in _STARTED_BY_COMMANDS else None
    commands = {
        "sd-scripts": ("accelerate", "launch", _script(family), "--config_file", "{config}"),
        "diffusers": ("accelerate", "launch"),
        "ai-toolkit": ("python", "run.py", "{config}"),
        "OneTrainer": ("python", "scripts/train.py", "--config-path", "{config}"),
    }
    if trainer not in commands:
        raise UsageError(f"no command is known that starts {trainer}.", path=config,
                         advice="Write `command = [...]` below `[retrain]` in lora-doctor.toml.")  # fmt: skip
    if folder is None:
        advice = f'Write `folder = "..."` below `[retrain]` in lora-doctor.toml: where {trainer} is.'
        raise UsageError(f"is for {trainer}, and nobody said where that is.", path=config, advice=advice)
    program, *arguments = commands[trainer]
    if own is not None:
        arguments = ["launch", f"{own.program}.py"]
    elif trainer == "diffusers":
        raise UsageError("starts no training.", path=config, advice="Name the script that does.")
    return Start(command=(_program(program, folder), *arguments), options=_options(own, config) if own else ())


def _options(own: command_edit.Training, config: Path) -> tuple[str, ...]:
    """The words behind the program, `~` as the home folder. Raises UsageError for what only a running shell knows."""
    behind = own.words[len(own.before) :]
    for word in behind:
        if not word.known:
            what = f"holds {word.text!r}, which only a running shell knows."
            raise UsageError(what, path=config, advice="Write its value into the command.")
    home = config.suffix.lower() not in (".bat", ".cmd")  # their shell knows no `~`
    return tuple(expanduser(one.text) if home and one.text.startswith("~/") else one.text for one in behind)


def _script(family: str) -> str:
    """sd-scripts has a program for each architecture; SD 1 and 2 share the first one."""
    scripts = {"sdxl": "sdxl_", "sd3": "sd3_", "flux": "flux_", "lumina2": "lumina_"}
    return f"{scripts.get(family, '')}train_network.py"


def _program(name: str, folder: Path | None) -> str:
    """The program of the trainer's own virtual environment, where it has one; else by name."""
    places = [folder / venv / "bin" / name for venv in ("venv", ".venv")] if folder is not None else []
    return next((str(place.absolute()) for place in places if place.exists()), name)
