"""The retrain hook: prescription -> patched config and captions in a folder of their own -> training -> a new check-up.

Knows the stages of `checkup` and the reference trainer; the user's own files are read and never written.
"""

from __future__ import annotations

import difflib
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lora_doctor.checkup import looked_at, read_training_config, run_checkup
from lora_doctor.dataset import caption_tokens, read_dataset
from lora_doctor.diagnosis import from_json
from lora_doctor.errors import InputRefused, UsageError
from lora_doctor.instruments import Progress
from lora_doctor.judgement import DIAGNOSIS
from lora_doctor.plugins import data_folder
from lora_doctor.run_folder import RunFolder
from lora_doctor.settings import Settings, from_plain
from lora_doctor.types import Change, Dataset, Diagnosis, Patch


@dataclass(frozen=True, kw_only=True)
class RetrainPlan:
    """What would be written, trained and checked again; nothing is on the disk yet."""

    run: Path
    before: Diagnosis
    settings: Settings
    """Those of the check-up that is answered."""
    patch: Patch
    dataset: Dataset
    captions: Mapping[Path, str]
    """Picture -> its corrected caption; only where it differs."""
    to_do: tuple[str, ...]
    """What only a person can do."""

    def write(self, folder: Path) -> tuple[Path, ...]:
        """Write the patched config, its diff and, if captions change, a corrected copy of the dataset to `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        source = self.dataset.path
        if self.captions:
            source = _copy_dataset(self.dataset, self.captions, folder / "dataset")
        config = folder / self.patch.path.name
        if config.resolve() == self.patch.path.resolve():
            raise UsageError(
                "is the config's own folder.", path=folder, advice="Choose another: it is never changed in place."
            )
        config.write_text(_relocated(self.patch.text, self.patch.path.parent, folder, source), "utf-8")
        diff = folder / f"{self.patch.path.name}.diff"
        diff.write_text(self.patch.diff, "utf-8")
        return (config, diff, *([source] if self.captions else []))


def prepare(run: Path, config: Path, *, seed: int | None = None) -> RetrainPlan:
    """Read a finished run and a training config, and work out the patch.

    `seed` also asks for another training seed. Raises InputRefused for an unfinished run, UsageError for a config no
    trainer recognises.
    """
    with RunFolder(run, create=False) as folder:
        stored = folder.get_json("settings") or {}
    try:
        before = from_json((run / DIAGNOSIS).read_text("utf-8"))
    except OSError:
        raise InputRefused("holds no diagnosis.json.", path=run, advice="Run `lora-doctor check` to its end.") from None
    trainer, training, text = read_training_config(config)
    changes = list(before.prescription.changes)
    if seed is not None and seed != training.seed:
        asked = Change(field="seed", before=training.seed, after=seed, rule="", because="asked on the command line")
        changes.append(asked)
    settings = from_plain(stored)
    dataset = read_dataset(settings.dataset)
    seen: dict[Path, dict[str, str]] = {}
    if before.prescription.captions:
        dataset, seen = looked_at(settings, run, dataset)
    patched = trainer.patch(text, changes)
    lines = difflib.unified_diff(
        text.splitlines(True), patched.splitlines(True), config.name, f"{config.name} (prescribed)"
    )
    captions = corrected_captions(dataset, before, settings, seen)
    diff = "".join(lines) + _caption_diff(captions, dataset)
    patch = Patch(path=config, text=patched, changes=tuple(changes), diff=diff)
    to_do = (*before.prescription.dataset, *before.prescription.advice)
    return RetrainPlan(
        run=run, before=before, settings=settings, patch=patch, dataset=dataset, captions=captions, to_do=to_do
    )


def train_and_check(plan: RetrainPlan, folder: Path, progress: Progress) -> tuple[Diagnosis, Diagnosis]:
    """Train with the written config and check the new LoRA on the same cells and seeds; (before, after)."""
    from lora_doctor.training import train_lora

    config = folder / plan.patch.path.name
    _, training, _ = read_training_config(config)
    source = folder / "dataset" if plan.captions else plan.dataset.path
    out = folder / f"{plan.settings.model.stem}.safetensors"
    dataset = _with_roles(read_dataset(source), plan)
    base = data_folder("miniature") / "base" if plan.settings.base == "miniature" else Path(plan.settings.base)
    if not out.exists():
        train_lora(
            base, dataset, training, trigger=plan.settings.trigger, out=out, checkpoint=folder / "training.checkpoint",
            progress=lambda step, steps, loss: progress("training", step, steps),
        )  # fmt: skip
    environments = plan.before.matrix["environments"]
    matrix = replace(
        plan.settings.matrix,
        trained_environments=tuple(e["name"] for e in environments if e["trained"]),
        novel_environments=tuple(e["name"] for e in environments if not e["trained"]),
    )
    character = replace(plan.settings.character, spec=dict(plan.before.character["spec"]))
    after = run_checkup(
        replace(
            plan.settings, model=out, dataset=source, training_config=config, out=folder / f"{out.stem}-checkup",
            matrix=matrix, character=character,
        ),
        progress,
    )  # fmt: skip
    return plan.before, after


def _with_roles(dataset: Dataset, plan: RetrainPlan) -> Dataset:
    """The dataset with the roles that the check-up found, by file content."""
    known = plan.dataset
    if any(image.role is None for image in known.images):
        known = looked_at(plan.settings, plan.run, plan.dataset)[0]
    roles = {image.sha256: image for image in known.images}
    images = tuple(
        replace(image, role=roles[image.sha256].role, role_reason=roles[image.sha256].role_reason)
        for image in dataset.images
    )
    return replace(dataset, images=images)


# ---------------------------------------------------------------- captions


def corrected_captions(
    dataset: Dataset, diagnosis: Diagnosis, settings: Settings, seen: Mapping[Path, Mapping[str, str]] | None = None
) -> dict[Path, str]:
    """Picture -> caption with the prescribed tokens added or corrected; only where it differs.

    Added tokens go behind the trigger (or, without one, in front). A fix without tokens of its own, such as that of
    the environment, takes each picture's own label from `seen` (picture -> attribute its caption lacks -> label); a
    picture without one keeps its caption. A fix for one role leaves pictures of the other role alone.
    """
    corrected: dict[Path, str] = {}
    for image in dataset.images:
        tokens = caption_tokens(image.caption or "")
        for fix in diagnosis.prescription.captions:
            if image.role is None or fix.get("to", "all") in ("all", image.role):
                tokens = _fixed(tokens, fix, settings.trigger, (seen or {}).get(image.path, {}))
        text = ", ".join(tokens)
        if tokens != caption_tokens(image.caption or ""):
            corrected[image.path] = text
    return corrected


def _fixed(tokens: list[str], fix: Mapping[str, Any], trigger: str, seen: Mapping[str, str]) -> list[str]:
    unwanted = set(fix.get("remove", ()))
    kept = [token for token in tokens if token not in unwanted]
    wanted = fix.get("tokens") or [label for name, label in seen.items() if name == fix.get("add_tokens")]
    missing = [token for token in wanted if token not in kept]
    place = kept.index(trigger) + 1 if trigger in kept else min(1, len(kept))
    return [*kept[:place], *missing, *kept[place:]]


def _caption_diff(captions: Mapping[Path, str], dataset: Dataset) -> str:
    """A unified diff of every caption that changes."""
    before = {image.path: image.caption or "" for image in dataset.images}
    parts: list[str] = []
    for path, text in captions.items():
        name = path.relative_to(dataset.path).with_suffix(".txt").as_posix()
        parts += difflib.unified_diff([before[path] + "\n"], [text + "\n"], name, f"{name} (prescribed)", n=0)
    return "".join(parts)


def _copy_dataset(dataset: Dataset, captions: Mapping[Path, str], folder: Path) -> Path:
    """A copy of the dataset with the corrected captions; pictures are hard links where the disk allows."""
    if folder.exists():
        shutil.rmtree(folder)
    for image in dataset.images:
        target = folder / image.path.relative_to(dataset.path)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(image.path, target)
        except OSError:
            shutil.copyfile(image.path, target)
        caption = captions.get(image.path, image.caption)
        if caption is not None:
            target.with_suffix(".txt").write_text(caption + "\n", "utf-8")
    return folder


def _relocated(text: str, before: Path, after: Path, dataset: Path) -> str:
    """The config with its relative paths made to hold in its new folder."""
    import tomlkit

    document = tomlkit.parse(text)
    if "dataset" in document:
        document["dataset"] = os.path.relpath(dataset.resolve(), after.resolve())
    if "base" in document and (before / str(document["base"])).exists():
        document["base"] = os.path.relpath((before / str(document["base"])).resolve(), after.resolve())
    return tomlkit.dumps(document)
