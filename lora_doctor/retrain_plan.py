"""The plan of a retraining: prescription -> patched config and captions, in a folder of their own.

The user's own files are read and never written.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from lora_doctor.corrected_dataset import (
    caption_diff,
    copied_to,
    copy_dataset,
    corrected_captions,
    folders_in_copy,
    joined,
    pictures_to_leave_out,
    table_of_captions,
    without,
)
from lora_doctor.dataset_layout import read_dataset
from lora_doctor.dataset_reading import Looked, look_at
from lora_doctor.diagnosis import from_json
from lora_doctor.errors import InputRefused, UsageError
from lora_doctor.judgement import DIAGNOSIS
from lora_doctor.picture_rows import CaptionTable, present_rows, rows_for
from lora_doctor.run_folder import RunFolder
from lora_doctor.settings import Settings, from_plain
from lora_doctor.training_config import TrainingConfig, read_training_config
from lora_doctor.types import Change, ConfigFiles, Dataset, Diagnosis, Patch, Prescription

_ONE_PROMPT = (
    "Corrected captions are not read: every picture has the one prompt. Give the trainer a dataset with metadata.jsonl "
    "and its caption column."
)
TABLE = "metadata.jsonl"
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
    table: CaptionTable | None = None
    """How the trainer reads captions, if from a table."""
    rows: Mapping[Path, int] = field(default_factory=dict)
    """Picture -> its rows in that table."""

    @property
    def copies(self) -> bool:
        """Whether the next training has a dataset of its own."""
        changed = self.table is not None and self.rows != present_rows(self.known, self.table)
        return bool(self.captions or self.left_out) or self.added is not None or changed

    def texts_in(self, folder: Path) -> dict[Path, str]:
        """The files of the patched config as they are to stand in `folder`; nothing is written."""
        source = folder / "dataset" if self.copies else self.dataset.path
        moved = {self.dataset.path: source} | {path: folder / path.name for path in self.texts}
        if self.copies:
            moved |= {old: new for old, new in folders_in_copy(self.dataset, source).items() if old not in moved}
        trainer, path = self.config.trainer, self.patch.path
        texts = trainer.relocated(ConfigFiles(path=path, texts=self.texts), moved)
        if hasattr(trainer, "writing_to"):
            texts = trainer.writing_to(ConfigFiles(path=path, texts=texts), folder / OUTPUT)
        return {folder / path.name: text for path, text in texts.items()}

    def write(self, folder: Path) -> tuple[Path, ...]:
        """Write the patched config, its diff and, if anything in it changes, a copy of the dataset to `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        if folder.resolve() in {path.parent.resolve() for path in self.texts}:
            raise UsageError(
                "is the config's own folder.", path=folder, advice="Choose another: it is never changed in place."
            )
        copies: list[Path] = []
        if self.copies:
            copies = [copy_dataset(self.dataset, self.added, self.captions, folder / "dataset")]
            if self.table is not None:
                (copies[0] / TABLE).write_text(self._table(self.table, copies[0]), "utf-8")
        texts = self.texts_in(folder)
        for path, text in texts.items():
            path.write_bytes(text.encode("utf-8"))
        diff = folder / f"{self.patch.path.name}.diff"
        diff.write_text(self.patch.diff, "utf-8")
        return (*texts, diff, *copies)

    def _table(self, table: CaptionTable, source: Path) -> str:
        """The captions of the copy, for a trainer that reads no caption files."""
        targets = copied_to(self.dataset, self.added, source)
        files = {path: target.relative_to(source).as_posix() for path, target in targets.items()}
        images = (*self.dataset.images, *(self.added.images if self.added is not None else ()))
        return table_of_captions(images, self.captions, self.rows, table.column, files)


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
    table = own.trainer.caption_table(own.files) if hasattr(own.trainer, "caption_table") else None
    if captions and not reads_captions(own):
        wanted = (_ONE_PROMPT, *wanted)
    return RetrainPlan(
        run=run, before=before, settings=settings, config=own, patch=patch, texts=patched.texts,
        dataset=without(dataset, left_out), left_out=left_out,
        captions=captions, added=None if added is None else without(added, left_out), known=known,
        to_do=(*patched.notes, *wanted, *before.prescription.advice),
        table=table, rows={} if table is None else _rows(known, table, changes),
    )  # fmt: skip


def _rows(known: Dataset, table: CaptionTable, changes: Sequence[Change]) -> Mapping[Path, int]:
    """Picture -> its rows in the table of captions, for the identity ratio that is asked for, if one is."""
    target = next((change.after for change in changes if change.field == "identity_ratio"), None)
    found = None if target is None else rows_for(known, table, target)
    return present_rows(known, table) if found is None else found.rows


def reads_captions(config: TrainingConfig) -> bool:
    """Whether every picture has a caption of its own for this trainer, as this config has it."""
    trainer = config.trainer
    return not hasattr(trainer, "caption_table") or trainer.caption_table(config.files) is not None


def _diff(path: Path, before: str, after: str) -> str:
    lines = difflib.unified_diff(
        before.splitlines(True), after.splitlines(True), path.name, f"{path.name} (prescribed)"
    )
    return "".join(lines)
