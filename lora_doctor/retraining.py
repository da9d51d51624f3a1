"""The retrain hook: a plan -> training -> a new check-up.

Knows the stages of `checkup` and the reference trainer.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from lora_doctor.checkup import run_checkup
from lora_doctor.dataset_layout import read_dataset
from lora_doctor.dataset_reading import look_at
from lora_doctor.devices import release_memory
from lora_doctor.errors import UsageError
from lora_doctor.instruments import Progress
from lora_doctor.lora_file import read_lora
from lora_doctor.lora_rescaling import rescale
from lora_doctor.plugins import data_folder
from lora_doctor.retrain_hook import Hook, hook_of, train
from lora_doctor.retrain_plan import OUTPUT, RetrainPlan
from lora_doctor.run_folder import RunFolder
from lora_doctor.settings import load_retrain
from lora_doctor.trainer_process import Told
from lora_doctor.training_config import read_training_config
from lora_doctor.training_note import contents_of, note_end, note_start, refuse_other, training_of
from lora_doctor.types import OWN_TRAINER, Dataset, Diagnosis


@dataclass(frozen=True, kw_only=True, slots=True)
class Retrained:
    """A new LoRA and its check-up."""

    before: Diagnosis
    after: Diagnosis
    lora: Path
    run: Path
    """The run folder of its check-up."""


def hook_for(plan: RetrainPlan, folder: Path) -> Hook | None:
    """What is started to train with the config in `folder`; None = our own trainer, or nothing, in this process.

    Raises UsageError for a trainer that cannot be started as things are, before anything is written.
    """
    if plan.config.settings.trainer == OWN_TRAINER or plan.rescales is not None:
        return None
    return hook_of(
        plan.start or load_retrain(plan.patch.path), plan.config.settings.trainer, str(plan.before.lora["family"]),
        configs=[folder / path.name for path in sorted(plan.texts, key=lambda path: path != plan.patch.path)],
        dataset=folder / "dataset" if plan.copies else plan.dataset.path, output=folder / OUTPUT,
        name=plan.settings.model.name, text=plan.texts_in(folder)[folder / plan.patch.path.name],
        trained_on=None if plan.copies else plan.trained_on(folder),
    )  # fmt: skip


def train_and_check(
    plan: RetrainPlan, folder: Path, progress: Progress, told: Told = lambda line, again: None
) -> Retrained:
    """Train with the written config, or rescale the LoRA there is, and check the new one on the same cells and seeds.

    `told` is called with every line that another trainer prints. What was finished before is not done again, and
    nothing is trained where its check-up would be refused. Raises the children of LoraDoctorError.
    """
    hook, run = hook_for(plan, folder), folder / f"{plan.settings.model.stem}-checkup"
    release_memory()  # the models of the check-up before: the trainer needs their place
    if (times := plan.rescales) is not None:
        out = _rescaled(plan, times, folder, lambda: _refuse_checkup(run))
    elif hook is None:
        out = _trained(plan, folder, progress, lambda: _refuse_checkup(run))
    else:
        plan.ensure_used(folder)
        old = plan.before.inputs["lora"]
        out = train(hook, old, told, lambda: _refuse_checkup(run), plan.settings.model)
    environments = plan.before.matrix["environments"]
    matrix = replace(
        plan.settings.matrix,
        trained_environments=tuple(e["name"] for e in environments if e["trained"]),
        novel_environments=tuple(e["name"] for e in environments if not e["trained"]),
    )
    character = replace(plan.settings.character, spec=dict(plan.before.character["spec"]))
    after = run_checkup(
        replace(
            plan.settings, model=out, dataset=_source(plan, folder), training_config=folder / plan.patch.path.name,
            out=run, matrix=matrix, character=character,
        ),
        progress,
    )  # fmt: skip
    return Retrained(before=plan.before, after=after, lora=out, run=run)


def _source(plan: RetrainPlan, folder: Path) -> Path:
    """The dataset that the new training has; where a config of its trainer is the dataset, the patched one."""
    named = {path.resolve(): folder / path.name for path in plan.texts}
    if plan.dataset.path.resolve() in named:
        return named[plan.dataset.path.resolve()]
    return folder / "dataset" if plan.copies else plan.dataset.path


def _refuse_checkup(run: Path) -> None:
    """Raises UsageError where the folder of the new LoRA's check-up holds that of another LoRA already."""
    if not os.path.lexists(run):
        return
    with RunFolder(run) as folder:
        if folder.get_json("fingerprint") is not None:
            what = "is the check-up of another LoRA, and the new one's would be there."
            raise UsageError(what, path=run, advice="Train in another folder (--write DIR), or move it away.")


def _rescaled(plan: RetrainPlan, times: float, folder: Path, ready: Callable[[], None]) -> Path:
    """The LoRA there is, `times` as strong; `ready` and what is raised as in `train`."""
    out = plan.lora_in(folder)
    texts = {path.name: (folder / path.name).read_bytes() for path in plan.texts}
    command = ("rescale", plan.before.inputs["lora"], f"{times:g}")
    which = training_of(command, contents_of(texts, plan.trained_on(folder)))
    refuse_other(folder, (out,) if out.exists() else (), which.contents, which.command)
    if not out.exists():  # written whole or not at all
        ready()
        note_start(folder, which)
        note_end(folder, which, read_lora(rescale(plan.settings.model, times, out)))
    return out


def _trained(plan: RetrainPlan, folder: Path, progress: Progress, ready: Callable[[], None] = lambda: None) -> Path:
    """The new LoRA, by our own trainer; `ready` and what is raised as in `train`."""
    from lora_doctor.training import train_lora

    training = read_training_config(folder / plan.patch.path.name).settings
    out, known = plan.lora_in(folder), plan.settings
    dataset = _with_roles(read_dataset(_source(plan, folder)), plan)
    base = data_folder("miniature") / "base" if known.base == "miniature" else Path(known.base)
    texts = {path.name: (folder / path.name).read_bytes() for path in plan.texts}
    which = training_of((OWN_TRAINER, str(base), known.trigger), contents_of(texts, plan.trained_on(folder)))
    refuse_other(folder, plan.made(folder), which.contents, which.command)
    if not out.exists():  # written at once and whole: one that is there is the whole training
        ready()
        note_start(folder, which)
        train_lora(
            base, dataset, training, trigger=known.trigger, out=out, checkpoint=folder / "training.checkpoint",
            progress=lambda step, steps, loss: progress("training", step, steps),
        )  # fmt: skip
        note_end(folder, which, read_lora(out))
    return out


def _with_roles(dataset: Dataset, plan: RetrainPlan) -> Dataset:
    """The dataset with the roles that the check-up found, by file content."""
    known = plan.known
    if any(image.role is None for image in known.images):
        known = look_at(plan.settings, plan.run, known, {}).dataset
    roles = {image.sha256: image for image in known.images}
    images = tuple(
        replace(image, role=seen.role, role_reason=seen.role_reason, emphasis=seen.emphasis)
        for image in dataset.images
        for seen in (roles[image.sha256],)
    )
    return replace(dataset, images=images)
