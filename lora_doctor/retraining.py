"""The retrain hook: prescription -> patched config and captions in a folder of their own -> training -> a new check-up.

Knows the stages of `checkup` and the reference trainer; the user's own files are read and never written.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from lora_doctor.checkup import run_checkup
from lora_doctor.corrected_dataset import (
    caption_diff,
    copy_dataset,
    corrected_captions,
    folders_in_copy,
    joined,
    pictures_to_leave_out,
    without,
)
from lora_doctor.dataset_layout import read_dataset
from lora_doctor.dataset_reading import Looked, look_at
from lora_doctor.diagnosis import from_json
from lora_doctor.errors import InputRefused, UsageError
from lora_doctor.instruments import Progress
from lora_doctor.judgement import DIAGNOSIS
from lora_doctor.plugins import data_folder
from lora_doctor.retrain_hook import Hook, hook_of, train
from lora_doctor.run_folder import RunFolder
from lora_doctor.settings import Settings, from_plain, load_retrain
from lora_doctor.trainer_process import Told
from lora_doctor.training_config import TrainingConfig, read_training_config
from lora_doctor.types import Change, ConfigFiles, Dataset, Diagnosis, Patch, Prescription

OWN_TRAINER = "lora-doctor"
OUTPUT = "output"
"""Folder of what another trainer writes, in the folder of the new training."""


@dataclass(frozen=True, kw_only=True)
class RetrainPlan:
    """What would be written, trained and checked again; nothing is on the disk yet."""

    run: Path
    before: Diagnosis
    settings: Settings
    """Those of the check-up that is answered."""
    config: TrainingConfig
    patch: Patch
    """Of the file that was named, with the diff of all."""
    texts: Mapping[Path, str]
    """Every file of the patched config."""
    dataset: Dataset
    """Without the pictures that are left out, as is `added`."""
    left_out: Mapping[Path, str]
    """Picture -> what it shows instead of the character."""
    captions: Mapping[Path, str]
    """Picture -> its corrected caption; only where it differs."""
    added: Dataset | None
    """New pictures."""
    known: Dataset
    """Dataset and new pictures as one, with roles if somebody had to look."""
    to_do: tuple[str, ...]
    """What only a person can do."""

    @property
    def copies(self) -> bool:
        """Whether the next training has a dataset of its own."""
        return bool(self.captions or self.left_out) or self.added is not None

    def write(self, folder: Path) -> tuple[Path, ...]:
        """Write the patched config, its diff and, if anything in it changes, a copy of the dataset to `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        source = self.dataset.path
        if self.copies:
            source = copy_dataset(self.dataset, self.added, self.captions, folder / "dataset")
        if folder.resolve() in {path.parent.resolve() for path in self.texts}:
            raise UsageError(
                "is the config's own folder.", path=folder, advice="Choose another: it is never changed in place."
            )
        moved = {path: folder / path.name for path in self.texts} | {self.dataset.path: source}
        if self.copies:
            moved |= {old: new for old, new in folders_in_copy(self.dataset, source).items() if old not in moved}
        trainer, path = self.config.trainer, self.patch.path
        texts = trainer.relocated(ConfigFiles(path=path, texts=self.texts), moved)
        if hasattr(trainer, "writing_to"):
            texts = trainer.writing_to(ConfigFiles(path=path, texts=texts), folder / OUTPUT)
        for path, text in texts.items():
            moved[path].write_bytes(text.encode("utf-8"))
        written = tuple(moved[path] for path in texts)
        diff = folder / f"{self.patch.path.name}.diff"
        diff.write_text(self.patch.diff, "utf-8")
        return (*written, diff, *([source] if self.copies else []))


@dataclass(frozen=True, kw_only=True, slots=True)
class Retrained:
    """A new LoRA and its check-up."""

    before: Diagnosis
    after: Diagnosis
    lora: Path
    run: Path
    """The run folder of its check-up."""


def prepare(
    run: Path, config: Path, *, seed: int | None = None, add: Path | None = None, instead: Prescription | None = None
) -> RetrainPlan:
    """Read a finished run and a training config, and work out the patch.

    `seed` also asks for another training seed; `add` is a folder of new pictures to train on as well; `instead` is
    followed in place of what the run prescribes. Raises InputRefused for an unfinished run or a folder without
    pictures, UsageError for a config no trainer recognises.
    """
    with RunFolder(run, create=False) as folder:
        stored = folder.get_json("settings") or {}
    try:
        before = from_json((run / DIAGNOSIS).read_text("utf-8"))
    except OSError:
        raise InputRefused("holds no diagnosis.json.", path=run, advice="Run `lora-doctor check` to its end.") from None
    if instead is not None:
        before = replace(before, prescription=instead)
    own = read_training_config(config)
    training = own.settings
    changes = list(before.prescription.changes)
    if seed is not None and seed != training.seed:
        asked = Change(field="seed", before=training.seed, after=seed, rule="", because="asked on the command line")
        changes.append(asked)
    settings = from_plain(stored)
    dataset, added = read_dataset(settings.dataset), None if add is None else read_dataset(add)
    parts = [part for part in (dataset, added) if part is not None]
    looked = Looked(dataset=joined(dataset, added), unnamed={}, off_spec={})
    if before.prescription.captions or before.prescription.left_out:
        looked = look_at(settings, run, looked.dataset, before.character["spec"])
    left_out = pictures_to_leave_out(looked.off_spec, before.prescription.left_out)
    known = without(looked.dataset, left_out)
    patched = own.trainer.patch(own.files, changes, known)
    captions = corrected_captions(known, before.prescription.captions, settings.trigger, looked.unnamed)
    diff = "".join(_diff(path, own.files.texts.get(path, ""), text) for path, text in patched.texts.items())
    patch = Patch(
        path=config, text=patched.texts[config], changes=tuple(changes),
        diff=diff + caption_diff(captions, parts, left_out), unsupported=patched.unsupported,
    )  # fmt: skip
    wanted = () if added else tuple(each.says for each in before.prescription.dataset)
    return RetrainPlan(
        run=run, before=before, settings=settings, config=own, patch=patch, texts=patched.texts,
        dataset=without(dataset, left_out), left_out=left_out,
        captions=captions, added=None if added is None else without(added, left_out), known=known,
        to_do=(*patched.notes, *wanted, *before.prescription.advice),
    )  # fmt: skip


def hook_for(plan: RetrainPlan, folder: Path) -> Hook | None:
    """What is started to train with the config in `folder`; None = our own trainer, in this process.

    Raises UsageError for a trainer that cannot be started as things are, before anything is written.
    """
    if plan.config.settings.trainer == OWN_TRAINER:
        return None
    return hook_of(
        load_retrain(plan.patch.path), plan.config.settings.trainer, str(plan.before.lora["family"]),
        configs=[folder / path.name for path in sorted(plan.texts, key=lambda path: path != plan.patch.path)],
        dataset=folder / "dataset" if plan.copies else plan.dataset.path, output=folder / OUTPUT,
        name=plan.settings.model.name,
    )  # fmt: skip


def train_and_check(
    plan: RetrainPlan, folder: Path, progress: Progress, told: Told = lambda line, again: None
) -> Retrained:
    """Train with the written config and check the new LoRA on the same cells and seeds.

    `told` is called with every line that another trainer prints. What was finished before is not done again. Raises the
    children of LoraDoctorError.
    """
    hook = hook_for(plan, folder)
    if hook is None:
        out = _trained(plan, folder, progress)
    else:
        _ensure_copy_is_used(plan, folder)
        out = train(hook, plan.before.inputs["lora"], told)
    run = folder / f"{plan.settings.model.stem}-checkup"
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


def _ensure_copy_is_used(plan: RetrainPlan, folder: Path) -> None:
    """Raises UsageError where pictures or captions were corrected, and the written config does not name the copy."""
    copy = str((folder / "dataset").absolute())
    texts = [(folder / path.name).read_text("utf-8") for path in plan.texts]
    if plan.copies and not any(copy in text or json.dumps(copy)[1:-1] in text for text in texts):
        raise UsageError(
            f"does not say which folders it trains on, so the corrected ones in {copy} would not be used.",
            path=folder / plan.patch.path.name, advice="Name them there, and start the trainer by hand.",
        )  # fmt: skip


def _trained(plan: RetrainPlan, folder: Path, progress: Progress) -> Path:
    """The new LoRA, by our own trainer."""
    from lora_doctor.training import train_lora

    training = read_training_config(folder / plan.patch.path.name).settings
    out = folder / f"{plan.settings.model.stem}.safetensors"
    dataset = _with_roles(read_dataset(_source(plan, folder)), plan)
    base = data_folder("miniature") / "base" if plan.settings.base == "miniature" else Path(plan.settings.base)
    if not out.exists():
        train_lora(
            base, dataset, training, trigger=plan.settings.trigger, out=out, checkpoint=folder / "training.checkpoint",
            progress=lambda step, steps, loss: progress("training", step, steps),
        )  # fmt: skip
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


def _diff(path: Path, before: str, after: str) -> str:
    lines = difflib.unified_diff(
        before.splitlines(True), after.splitlines(True), path.name, f"{path.name} (prescribed)"
    )
    return "".join(lines)
