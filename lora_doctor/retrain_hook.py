"""The retrain hook: the user's own trainer, started on the patched config, and the new LoRA that it wrote.

What is started comes from the user's own lora-doctor.toml or from the trainer's documentation, never from a run folder,
a LoRA or a dataset: those may be somebody else's.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from lora_doctor.errors import LoraDoctorError, UsageError
from lora_doctor.lora_file import read_lora
from lora_doctor.lora_tensors import require_sound
from lora_doctor.new_lora import files_in, new_lora
from lora_doctor.settings import RetrainSettings
from lora_doctor.trainer_command import Start, documented, filled, kept_environment
from lora_doctor.trainer_process import Told, run_trainer

LOG, DONE = "training.log", "training.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Hook:
    """A trainer, ready to be started."""

    command: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path
    """Where it is started."""
    output: Path
    """Where the new LoRA is looked for, and nowhere else."""
    log: Path
    seconds: float
    configs: tuple[Path, ...]
    """What it reads; a training with other contents is another training."""

    @property
    def shown(self) -> str:
        """The command as one may type it; it is started without a shell."""
        from shlex import join

        return join(self.command)


def hook_of(
    settings: RetrainSettings, trainer: str | None, family: str, *, configs: Sequence[Path], dataset: Path,
    output: Path, name: str, text: str = "",
) -> Hook:  # fmt: skip
    """The hook for the patched `configs`, of which the trainer is given the first, with `text`; `name` is the LoRA's
    file name.

    Raises UsageError where no command is known for the trainer, for one that is not sound, and for a folder that is
    not there.
    """
    own = settings.command
    start = Start(command=own) if own is not None else documented(trainer, family, settings.folder, configs[0], text)
    places = {"config": configs[0], "dataset": dataset, "output": output, "lora": output / name}
    told = {variable: filled((value,), places)[0] for variable, value in start.environment.items()}
    folder = settings.folder or output.parent
    if settings.folder is not None and not folder.is_dir():
        raise UsageError("is no folder; `retrain.folder` names it.", path=folder, advice="Name the trainer's folder.")
    return Hook(
        command=(*filled(start.command, places), *start.options),
        environment=kept_environment(os.environ, settings.environment) | told,
        folder=folder, output=output, log=output.parent / LOG, seconds=settings.hours * 3600, configs=tuple(configs),
    )  # fmt: skip


def train(hook: Hook, old: str, told: Told) -> Path:
    """Start the trainer and return the LoRA it wrote; `old` is the sha256 of the one that is trained again.

    A training that has ended well before, with the same command and configs, is not done again: its LoRA is returned.
    Raises EnvironmentFailure and InputRefused as `run_trainer` and `new_lora` do.
    """
    done, which = hook.output.parent / DONE, _fingerprint(hook)
    if (known := _finished(done, which)) is not None:
        return known
    hook.output.mkdir(parents=True, exist_ok=True)
    before = files_in(hook.output)
    run_trainer(hook.command, hook.environment, hook.folder, hook.log, hook.seconds, told)
    lora = new_lora(hook.output, before, old, hook.log)
    done.write_text(json.dumps({"training": which, "lora": str(lora.path), "sha256": lora.sha256}), "utf-8")
    return lora.path


def _fingerprint(hook: Hook) -> str:
    texts = [path.read_bytes() for path in hook.configs]
    return sha256(b"\0".join([*(part.encode("utf-8", "surrogateescape") for part in hook.command), *texts])).hexdigest()


def _finished(done: Path, which: str) -> Path | None:
    """The LoRA of a training that is noted as done, if it is that training and the file is still what it was."""
    try:
        noted = json.loads(done.read_text("utf-8"))
        if noted["training"] != which:
            return None
        lora = read_lora(Path(noted["lora"]))
        require_sound(lora)
    except (OSError, ValueError, KeyError, TypeError, LoraDoctorError):
        return None
    return lora.path if lora.sha256 == noted["sha256"] else None
