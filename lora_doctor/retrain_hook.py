"""The retrain hook: the user's own trainer, started on the patched config, and the new LoRA that it wrote.

What is started comes from the user's own lora-doctor.toml or from the trainer's documentation, never from a run folder,
a LoRA or a dataset: those may be somebody else's.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lora_doctor.errors import UsageError
from lora_doctor.new_lora import files_in, new_lora
from lora_doctor.settings import RetrainSettings
from lora_doctor.trainer_command import Start, documented, filled, kept_environment
from lora_doctor.trainer_process import Told, run_trainer
from lora_doctor.training_note import (
    Training,
    contents_of,
    finished,
    is_noted,
    note_end,
    note_start,
    refuse_other,
    training_of,
)
from lora_doctor.written_folder import digest_of

LOG = "training.log"


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
    dataset: Path
    """What it trains on; the same holds for its files."""
    trained_on: str | None = None
    """Digest of pictures and captions in place of that of the files in `dataset`."""

    @property
    def shown(self) -> str:
        """The command as one may type it; it is started without a shell."""
        from shlex import join

        return join(self.command)


def hook_of(
    settings: RetrainSettings, trainer: str | None, family: str, *, configs: Sequence[Path], dataset: Path,
    output: Path, name: str, text: str = "", trained_on: str | None = None,
) -> Hook:  # fmt: skip
    """The hook for the patched `configs`, of which the trainer is given the first, with `text`; `name` is the LoRA's
    file name, `trained_on` as in the hook.

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
        dataset=dataset, trained_on=trained_on,
    )  # fmt: skip


def train(
    hook: Hook, old: str, told: Told, ready: Callable[[], None] = lambda: None, model: Path | None = None
) -> Path:  # fmt: skip
    """Start the trainer and return the LoRA it wrote; `old` is the sha256 of the one that is trained again, `model` its
    file.

    A training that has ended well before, with the same command, configs, pictures and captions, is not done again: its
    LoRA is returned. `ready` is called before one is started and may raise. Raises UsageError where that would be
    written over a LoRA of anything else, EnvironmentFailure and InputRefused as `run_trainer` and `new_lora` do.
    """
    place, which = hook.output.parent, _training(hook)
    if (known := finished(place, which)) is not None:
        return known
    before = files_in(hook.output)
    refuse_other(place, before, which.contents, which.command)
    if os.path.lexists(hook.log) and not is_noted(place):
        what = f"holds a {LOG!r} that lora-doctor did not write."
        raise UsageError(what, path=place, advice="Train in another folder (--write DIR).")
    ready()
    hook.output.mkdir(parents=True, exist_ok=True)
    note_start(place, which)
    run_trainer(hook.command, hook.environment, hook.folder, hook.log, hook.seconds, told)
    lora = new_lora(hook.output, before, old, hook.log, model)
    note_end(place, which, lora)
    return lora.path


def _training(hook: Hook) -> Training:
    texts = {path.name: path.read_bytes() for path in hook.configs}
    return training_of(hook.command, contents_of(texts, hook.trained_on or digest_of(hook.dataset)))
