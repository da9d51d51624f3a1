"""A finished run + a training config -> the plan of a retraining: what the prescription changes, and where."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lora_doctor.captions import texts
from lora_doctor.copy_check import as_read
from lora_doctor.corrected_dataset import (
    TRIGGER,
    caption_diff,
    corrected_captions,
    homes,
    joined,
    pictures_to_leave_out,
    still_said,
    without,
)
from lora_doctor.dataset_layout import read_dataset
from lora_doctor.dataset_reading import Looked, look_at
from lora_doctor.errors import LoraDoctorError, UsageError, bytes_shown, printable
from lora_doctor.given_mending import NOTHING_GIVEN, GivenMending, read_mending
from lora_doctor.instruments import label_sets_of
from lora_doctor.judgement import held_diagnosis
from lora_doctor.picture_rows import CaptionTable, present_rows, rows_for
from lora_doctor.ratio_ways import ratio_with
from lora_doctor.retrain_plan import RetrainPlan, reading_of, reads_captions
from lora_doctor.run_folder import RunFolder
from lora_doctor.settings import RetrainSettings, Settings, from_plain
from lora_doctor.spelling import Spelling
from lora_doctor.text_encoder_rate import kept_rate
from lora_doctor.training_config import TrainingConfig, read_training_config
from lora_doctor.trigger import spelt_otherwise
from lora_doctor.types import (
    Change,
    Dataset,
    Patch,
    Prescription,
    TrainingSettings,
)
from lora_doctor.wording import FOR_NEW

_ONE_PROMPT = (
    "Corrected captions are not read: every picture has the one prompt. Give the trainer a dataset with metadata.jsonl "
    "and its caption column."
)
_IN_SENTENCES = "Correct by hand what sentences say against the character, which are left as they are, in"


def prepare(
    run: Path, config: Path, *, seed: int | None = None, add: Path | None = None, mended: Path | None = None,
    instead: Prescription | None = None, start: RetrainSettings | None = None,
) -> RetrainPlan:  # fmt: skip
    """Read a finished run and a training config, and work out the patch.

    `seed` also asks for another training seed; `add` is a folder of new pictures to train on as well; `mended` one of
    an `audit --fix`, whose captions, removals and repeats take part; `instead` is followed in place of what the run
    prescribes; `start` as in the plan. Raises InputRefused for an unfinished run or a folder without pictures,
    UsageError for a config no trainer recognises and where nothing would be left to train on.
    """
    with RunFolder(run, create=False, write=False) as folder:
        settings = from_plain(folder.get_json("settings") or {}, run=run)
    before = held_diagnosis(run)
    told = before.prescription if instead is None else instead
    own = read_training_config(config)
    changes = [*told.changes, *_seed(own.settings, seed)]
    pictures = _pictures(settings, own, add)
    given = NOTHING_GIVEN if mended is None else read_mending(mended, pictures.own)
    looked = _looked(pictures, own, told, changes, given, lambda all_of_them: look_at(
        settings, run, all_of_them, before.character["spec"]
    ))  # fmt: skip
    left_out = {**pictures_to_leave_out(looked.off_spec, told.left_out), **given.left_out}
    _refuse_emptied(pictures.own, left_out, own)
    known = without(looked.dataset, left_out)
    changes += _balance(own.settings, known, given, mended, changes)
    captions = corrected_captions(
        known, told.captions, settings.trigger, looked.unnamed, _spellings(known, told.captions, settings),
        given.captions,
    )  # fmt: skip
    patched = _patched(own, changes, _to_train(known, pictures, captions), settings.trigger)
    table = own.trainer.caption_table(own.files) if hasattr(own.trainer, "caption_table") else None
    patch = replace(patched.patch, diff=patched.patch.diff + caption_diff(captions, pictures.parts, left_out))
    added = pictures.added
    plan = RetrainPlan(
        run=run, before=replace(before, prescription=told), settings=settings, config=own, patch=patch,
        texts=patched.texts, dataset=without(pictures.own, left_out), left_out=left_out, captions=captions,
        added=None if added is None else without(added, left_out), known=known,
        to_do=(*patched.notes, *_by_hand(known, told, captions, own, added), *told.advice),
        table=table, rows={} if table is None else _rows(known, table, changes), start=start,
    )  # fmt: skip
    again = getattr(own.trainer, "OF_A_COPY", None)
    return replace(plan, to_do=(again, *plan.to_do)) if again and plan.copies else plan


@dataclass(frozen=True, kw_only=True)
class _Pictures:
    """The dataset as its trainer sees it, and the new pictures."""

    own: Dataset
    added: Dataset | None

    @property
    def parts(self) -> list[Dataset]:
        return [self.own, *([] if self.added is None else [self.added])]


def _pictures(settings: Settings, own: TrainingConfig, add: Path | None) -> _Pictures:
    dataset, added = read_dataset(settings.dataset), None if add is None else read_dataset(add)
    return _Pictures(own=as_read(dataset, reading_of(own, (dataset,))), added=added)


def _seed(training: TrainingSettings, seed: int | None) -> list[Change]:
    """The change of the seed, where another one is asked for."""
    if seed is None or seed == training.seed:
        return []
    return [Change(field="seed", before=training.seed, after=seed, rule="", because="asked on the command line")]


@dataclass(frozen=True, kw_only=True)
class _Patched:
    """The config with every change that its trainer has."""

    patch: Patch
    texts: Mapping[Path, str]
    notes: tuple[str, ...]


def _patched(own: TrainingConfig, changes: Sequence[Change], shown: Dataset, trigger: str) -> _Patched:
    """`shown`: the pictures as the next training has them, with their captions and roles."""
    training = own.settings
    made = [change for change in changes if change.field != "learning_rate" or training.why_no_rate is None]
    kept = (f"learning_rate: {training.why_no_rate} and it stays.",) if len(made) < len(changes) else ()
    patched = own.trainer.patch(own.files, made, shown, trigger)
    trained = own.trainer.read(replace(own.files, texts={**own.files.texts, **patched.texts}))
    path = own.files.path
    diff = "".join(_diff(file, own.files.texts.get(file, ""), text) for file, text in patched.texts.items())
    patch = Patch(
        path=path, text=patched.texts[path], changes=tuple(changes), diff=diff,
        unsupported=(*kept, *patched.unsupported),
    )  # fmt: skip
    return _Patched(
        patch=patch, texts=patched.texts, notes=(*patched.notes, *filter(None, [kept_rate(training, trained)]))
    )


def _by_hand(
    known: Dataset, told: Prescription, captions: Mapping[Path, str], own: TrainingConfig, added: Dataset | None
) -> tuple[str, ...]:
    """What only a person can do: captions that stay wrong, new pictures."""
    wanted = () if added else _wanted(told)
    if wrong := still_said(known, told.captions, captions):
        shown = f"{bytes_shown(wrong[0].name)}{' ...' * (len(wrong) > 1)}"
        wanted = (f"{_IN_SENTENCES} {len(wrong)} caption{'s' * (len(wrong) != 1)} ({shown}).", *wanted)
    return (_ONE_PROMPT, *wanted) if captions and not reads_captions(own) else wanted


# ---------------------------------------------------------------- what the pictures show


def _looked(
    pictures: _Pictures, own: TrainingConfig, told: Prescription, changes: Sequence[Change], given: GivenMending,
    look: Callable[[Dataset], Looked],
) -> Looked:  # fmt: skip
    """All pictures as the instruments see them, where the plan depends on that; else as they are told."""
    dataset = joined(pictures.own, pictures.added)
    if _needs_looks(told, pictures.own, pictures.added):
        return look(dataset)
    if given.repeats or _needs_roles(changes, pictures.own, own):
        with suppress(LoraDoctorError):  # the patch then says that it does not know the roles
            return look(dataset)
    return Looked(dataset=dataset, unnamed={}, off_spec={})


def _balance(
    training: TrainingSettings, known: Dataset, given: GivenMending, mended: Path | None, changes: Sequence[Change]
) -> list[Change]:
    """The identity ratio that the repeats of a mending bring about for the pictures that stay; none beside another."""
    if not given.repeats or any(change.field == "identity_ratio" for change in changes):
        return []
    try:
        ratio = ratio_with(known, given.repeats)
    except KeyError as error:
        what = f"the repeats in it are of {error.args[0]!r}, which is no one folder of the dataset."
        raise UsageError(what, path=mended, advice="Write `{}` into repeats.json for none.") from None
    if ratio is None:
        what = "by the repeats in it nothing is shown, or nobody can tell what the pictures show."
        raise UsageError(what, path=mended, advice="Write `{}` into repeats.json for none.")
    because = "asked for by the repeats plan of the mending"
    asked = Change(
        field="identity_ratio", before=training.identity_ratio, after=round(ratio, 3), rule="", because=because
    )
    return [asked]


def _refuse_emptied(dataset: Dataset, left_out: Mapping[Path, str], config: TrainingConfig) -> None:
    """Raises UsageError where nothing would be left to train on, or, for another trainer, in one of its folders."""
    folders = dict[Path, list[bool]]()
    for image in dataset.images:
        folders.setdefault(image.path.parent, []).append(image.path in left_out)
    emptied = [folder for folder, gone in folders.items() if all(gone)]
    if len(emptied) == len(folders) and emptied:
        raise UsageError("no picture would be left to train on.", path=dataset.path, advice="Keep some.")
    if emptied and hasattr(config.trainer, "writing_to"):
        what = f"no picture would be left in {printable(str(emptied[0]))}."
        raise UsageError(what, path=config.files.path, advice="Take that folder out of the config, or keep one.")


def _needs_looks(prescription: Prescription, dataset: Dataset, added: Dataset | None) -> bool:
    """Whether the plan depends on what pictures show: captions, pictures that go, new ones that find their folder."""
    several = len({image.path.parent for image in dataset.images}) > 1
    return bool(prescription.captions or prescription.left_out) or (added is not None and several)


def _needs_roles(changes: Sequence[Change], dataset: Dataset, config: TrainingConfig) -> bool:
    """Whether repeats, or rows of a table, have to bring about an identity ratio, and nobody has told every role.

    Our own trainer is told the ratio itself.
    """
    unknown = any(image.role is None for image in dataset.images)
    return unknown and hasattr(config.trainer, "writing_to") and any(c.field == "identity_ratio" for c in changes)


def _wanted(prescription: Prescription) -> tuple[str, ...]:
    """The new pictures that are asked for, and the changes that do harm without them."""
    only = [(c.field, c.because.partition(FOR_NEW)[2]) for c in prescription.changes if FOR_NEW in c.because]
    says = (each.says for each in prescription.dataset)
    return (*says, *(f"{name} is {FOR_NEW}{without}. Give them with --add." for name, without in only))


def _spellings(dataset: Dataset, fixes: Sequence[Mapping[str, Any]], settings: Settings) -> tuple[Spelling, ...]:
    """How captions write the trigger otherwise, where it is to be added to those that lack it."""
    if all(fix.get("add_tokens") != TRIGGER for fix in fixes):
        return ()
    said = [text for image in dataset.images for text in texts(image)]
    return spelt_otherwise(said, settings.trigger, label_sets_of(settings.instruments))


def _to_train(known: Dataset, pictures: _Pictures, captions: Mapping[Path, str]) -> Dataset:
    """The pictures with corrected captions, the new ones in the folders that they go to: they have their repeats."""
    roles = {image.path: image.role for image in known.images}
    into = {} if pictures.added is None else homes(pictures.own, pictures.added, roles)
    lines = {path: tuple(text.split("\n")) for path, text in captions.items()}
    return replace(known, images=tuple(
        replace(i, path=into.get(i.path, i.path), variants=lines.get(i.path, i.variants)) for i in known.images
    ))  # fmt: skip


def _rows(known: Dataset, table: CaptionTable, changes: Sequence[Change]) -> Mapping[Path, int]:
    """Picture -> its rows in the table of captions, for the identity ratio that is asked for, if one is."""
    target = next((change.after for change in changes if change.field == "identity_ratio"), None)
    found = None if target is None else rows_for(known, table, target)
    return present_rows(known, table) if found is None else found.rows


def _diff(path: Path, before: str, after: str) -> str:
    name = printable(path.name)
    lines = difflib.unified_diff(before.splitlines(True), after.splitlines(True), name, f"{name} (prescribed)")
    return "".join(lines)
