"""The plan of a retraining, and how it is written: patched config and captions, in a folder of their own.

The user's own files are read and never written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from os.path import abspath
from pathlib import Path

from lora_doctor.caption_source import subset_of
from lora_doctor.copy_check import Meant, captions_in, ensure_trained_on, key_of, read_known
from lora_doctor.corrected_dataset import (
    caption_texts,
    copied_to,
    copy_dataset,
    folders_in_copy,
    homes,
    table_of_captions,
)
from lora_doctor.errors import LoraDoctorError, UsageError, bytes_shown
from lora_doctor.named_places import real
from lora_doctor.new_lora import files_in
from lora_doctor.picture_rows import CaptionTable, present_rows
from lora_doctor.settings import RetrainSettings, Settings
from lora_doctor.training_config import TrainingConfig
from lora_doctor.training_note import contents_of, refuse_other
from lora_doctor.types import (
    ConfigFiles,
    Dataset,
    Diagnosis,
    Patch,
    Subset,
)
from lora_doctor.written_folder import DATASET, digest_of, put, refuse, refuse_sources, staging

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
    """Picture -> why it is left out."""
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
    start: RetrainSettings | None = None
    """How its trainer is started; None = as the lora-doctor.toml beside the config says."""

    @property
    def copies(self) -> bool:
        """Whether the next training has a dataset of its own."""
        changed = self.table is not None and self.rows != present_rows(self.known, self.table)
        return bool(self.captions or self.left_out) or self.added is not None or changed

    @property
    def changes_anything(self) -> bool:
        """Whether a training by the plan would differ from the one before."""
        return self.copies or any(self.config.files.texts.get(path) != text for path, text in self.texts.items())

    @property
    def rescales(self) -> float | None:
        """How many times as strong the finished LoRA is made, where that is all that is to be done; else None."""
        return None if self.changes_anything else self.before.prescription.rescale

    def texts_in(self, folder: Path) -> dict[Path, str]:
        """The files of the patched config as they are to stand in `folder`; nothing is written."""
        source = folder / DATASET if self.copies else self.dataset.path
        moved = {self.dataset.path: source} | {path: folder / path.name for path in self.texts}
        if self.copies:
            moved |= {old: new for old, new in folders_in_copy(self.dataset, source).items() if old not in moved}
        trainer, path = self.config.trainer, self.patch.path
        texts = trainer.relocated(ConfigFiles(path=path, texts=self.texts), moved)
        if hasattr(trainer, "writing_to"):
            texts = trainer.writing_to(ConfigFiles(path=path, texts=texts), folder / OUTPUT)
        return {folder / path.name: text for path, text in texts.items()}

    def write(self, folder: Path) -> tuple[Path, ...]:
        """Write the patched config, its diff and, if anything in it changes, a copy of the dataset to `folder`.

        All or nothing. Raises UsageError where that would touch what is not ours, where `folder` has a LoRA of another
        training already, and where the written config would not train on the copy, or on what it was trained on, as it
        is meant.
        """
        diff = f"{self.patch.path.name}.diff"
        self._refuse(folder, diff)
        tree = DATASET if self.copies else None
        with staging(folder) as stage:
            if self.copies:
                self._copy(stage / DATASET)
            if self.copies or self._lists_folders:
                for path, text in self.texts_in(stage).items():
                    path.write_bytes(text.encode("utf-8"))
                self.ensure_used(stage)
            texts = {path.name: text.encode("utf-8") for path, text in self.texts_in(folder).items()}
            refuse_other(folder, self.made(folder), contents_of(texts, self.trained_on(stage)))
            put(folder, stage, texts | {diff: self.patch.diff.encode("utf-8")}, tree)
        return (*(folder / name for name in texts), folder / diff, *([folder / DATASET] if self.copies else []))

    def made(self, folder: Path) -> tuple[Path, ...]:
        """The LoRAs that lie where a training by the config in `folder` writes its own."""
        if not self._tells_folder:
            return tuple(files_in(folder / OUTPUT))
        path = self.lora_in(folder)
        return (path,) if path.exists() else ()

    def lora_in(self, folder: Path) -> Path:
        """Where our own trainer writes the new LoRA."""
        return folder / f"{self.settings.model.stem}.safetensors"

    def trained_on(self, folder: Path) -> str:
        """Digest of the pictures and captions that a training by the config in `folder` is shown."""
        if self.copies:
            return digest_of(folder / DATASET)
        told = [[image.sha256, captions_in(image), image.repeats] for image in self.dataset.images]
        return sha256(json.dumps(told).encode()).hexdigest()

    def ensure_used(self, folder: Path) -> None:
        """Raises UsageError where the config written to `folder` does not train on the copy there as it is meant.

        Nor, without a copy, on all that it was trained on where a new file lists the folders.
        """
        if not self.copies:
            if self._lists_folders and self._reading is not None:
                same = {i.path: Meant(source=i.path, captions=captions_in(i)) for i in self._reading.images}
                ensure_trained_on(folder / self.patch.path.name, same, (), self._parts, config=self.patch.path)
            return
        if self.captions and not reads_captions(self.config):
            raise UsageError(
                "has one prompt for all pictures; corrected captions would not be used.", path=self.patch.path,
                advice="Give the trainer a dataset with metadata.jsonl and its caption column.",
            )  # fmt: skip
        source = folder / (DATASET if self._tells_folder else self.patch.path.name)
        gone = {*self.left_out, *(image.path for image in self.dataset.images)}
        ensure_trained_on(source, self._meant(folder / DATASET), gone, self._parts, config=self.patch.path)

    @property
    def _lists_folders(self) -> bool:
        """Whether the patched config has a file that the user's has not, which now says what is trained on."""
        return not set(self.texts) <= set(self.config.files.texts)

    @property
    def _parts(self) -> tuple[Dataset, ...]:
        return (self.dataset, *((self.added,) if self.added is not None else ()))

    @property
    def _tells_folder(self) -> bool:
        """Whether the trainer is told the folder of the dataset by us, and reads it as `read_dataset` does: ours."""
        return not hasattr(self.config.trainer, "writing_to")

    @cached_property
    def _reading(self) -> Dataset | None:
        """The dataset as the config's trainer sees it now; None where it cannot be read, or we read it for it."""
        return reading_of(self.config, self._parts)

    def _into(self) -> dict[Path, Path] | None:
        """Added picture -> its place among the dataset's own, for trainers that read the folders they are told."""
        if self.added is None or self._tells_folder:
            return None
        return homes(self.dataset, self.added, {image.path: image.role for image in self.known.images})

    def _copy(self, folder: Path) -> None:
        copy_dataset(
            self.dataset, self.added, self.captions, folder, into=self._into(), trained=self._subsets(),
            caption_files=not hasattr(self.config.trainer, "caption_table"),
            with_each=getattr(self.config.trainer, "WITH_EACH", ()),
        )  # fmt: skip
        if self.table is not None:
            (folder / TABLE).write_text(self._table(self.table, folder), "utf-8")

    def _subsets(self) -> dict[Path, Subset]:
        """Folder of pictures -> its subset as the config's trainer sees it."""
        reading = self._reading
        images = () if reading is None else reading.images
        return {Path(abspath(i.path)).parent: subset_of(i, reading) for i in images if reading is not None}

    def _meant(self, folder: Path) -> dict[Path, Meant]:
        """Picture in the copy in `folder` -> what is to be seen of it."""
        targets = copied_to(self.dataset, self.added, folder, self._into())
        texts = caption_texts(self.dataset, self.added, self.captions, into=self._into(), trained=self._subsets())
        reading = self.dataset if self._tells_folder else self._reading
        before = {key_of(i.path): captions_in(i) for i in (() if reading is None else reading.images)}
        found: dict[Path, Meant] = {}
        for part in self._parts:
            for image in part.images:
                told = before.get(key_of(image.path))
                if part is self.added:
                    told = captions_in(image) if self.table is not None or self._tells_folder else None
                if image.path in self.captions:
                    told = None if self.table is None else tuple(self.captions[image.path].split("\n"))
                shown = None if self.table is None else self.rows.get(image.path, 1) * self.table.repeats
                found[targets[image.path]] = Meant(
                    source=image.path, added=part is self.added, captions=told, text=texts.get(image.path),
                    repeats=shown,
                )  # fmt: skip
        return found

    def _refuse(self, folder: Path, diff: str) -> None:
        """Raises UsageError before anything is written where `folder` holds what is not ours, or another's folders."""
        if real(folder) in {real(path.parent) for path in self.texts}:
            raise UsageError(
                "is the config's own folder.", path=folder, advice="Choose another: it is never changed in place."
            )
        names = [path.name for path in self.texts]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise UsageError(
                f"two files of the config are called {twice!r}.", path=self.patch.path, advice="Rename one of them."
            )
        sources: list[Path] = []
        for part in (*self._parts, *((self._reading,) if self._reading is not None else ())):
            sources += [part.path] if part.path.is_dir() else []
            sources += [image.path.parent for image in part.images]
            for subset in part.subsets:
                sources += [subset.folder, *((subset.caption_folder,) if subset.caption_folder is not None else ())]
        refuse_sources(folder / DATASET, dict.fromkeys((*sources, *(path.parent for path in self.left_out))))
        refuse(folder, (*names, diff), DATASET if self.copies else None)

    def _table(self, table: CaptionTable, source: Path) -> str:
        """The captions of the copy, for a trainer that reads no caption files."""
        targets = copied_to(self.dataset, self.added, source, self._into())
        files = {path: target.relative_to(source).as_posix() for path, target in targets.items()}
        if odd := next((shown for name in files.values() if (shown := bytes_shown(name)) != name), None):
            what = f"{TABLE} cannot name the picture {odd}, whose name is not UTF-8."
            raise UsageError(what, path=self.dataset.path, advice="Rename it.")
        images = (*self.dataset.images, *(self.added.images if self.added is not None else ()))
        return table_of_captions(images, self.captions, self.rows, table.column, files)


def reading_of(config: TrainingConfig, known: Sequence[Dataset]) -> Dataset | None:
    """The dataset as the trainer of a config sees it; None where it cannot be read, and for our own trainer."""
    if not hasattr(config.trainer, "writing_to"):
        return None
    try:
        return read_known(config.files.path, known)
    except LoraDoctorError:
        return None


def reads_captions(config: TrainingConfig) -> bool:
    """Whether every picture has a caption of its own for this trainer, as this config has it."""
    trainer = config.trainer
    return not hasattr(trainer, "caption_table") or trainer.caption_table(config.files) is not None
