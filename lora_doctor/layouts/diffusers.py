"""diffusers' example scripts: a command with --instance_data_dir, --dataset_name or --train_data_dir.

Source: huggingface/diffusers examples/dreambooth/train_dreambooth_lora_sdxl.py (one prompt for all pictures of a
folder, or a caption column of a dataset, the prompt where a caption is empty; repeats; EXIF orientation is obeyed;
pictures are cut to a square), examples/text_to_image/train_text_to_image_lora_sdxl.py (a folder with a table).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lora_doctor.errors import UsageError
from lora_doctor.layouts.command_line import Command, commands_in
from lora_doctor.layouts.folders import contents
from lora_doctor.layouts.places import RELATIVE, folder_named, is_relative
from lora_doctor.layouts.tables import table_in
from lora_doctor.layouts.trigger_words import trigger_of
from lora_doctor.layouts.values import Section
from lora_doctor.types import Layout, Subset

TRAINER = "diffusers"
_CLIP_ALONE = ("train_dreambooth_lora.py", "train_dreambooth_lora_sdxl.py", "train_text_to_image_lora.py",
               "train_text_to_image_lora_sdxl.py")  # fmt: skip
"""Scripts whose text encoders read 75 tokens."""


def recognises(path: Path, text: str | None) -> bool:
    """Whether this is a script that starts one of them; never raises."""
    return _command(path, text) is not None


def read(path: Path, text: str | None) -> Layout:
    """The pictures, with the prompt or the captions. Raises UsageError; InputRefused for a table that is broken."""
    command = _command(path, text)
    if command is None:
        raise UsageError("starts no script of diffusers.", path=path, advice="Give the command, or the folder.")
    options = Section(path, (("", {f"--{key}": value for key, value in command.options.items()}),), lenient=True)
    like = _like(options, command)
    folder_key = "--dataset_name" if options.found("--dataset_name") else "--instance_data_dir"
    folder_key = folder_key if options.found(folder_key) else "--train_data_dir"
    name = options.text(folder_key) or ""
    folder = folder_named(name, path, folder_key)
    notes = [RELATIVE] if is_relative(name) else []
    if folder_key == "--instance_data_dir":
        subsets: tuple[Subset, ...] = (replace(like, folder=folder),)
        notes.append("All pictures have the prompt as their caption: caption files and tables are not read.")
    else:
        subsets = _of_table(folder, options, like, captions=folder_key == "--train_data_dir", notes=notes)
    return Layout(
        trainer=TRAINER,
        subsets=(*subsets, *_class_pictures(options, like)),
        notes=tuple(notes),
        trigger=trigger_of(options.text("--instance_prompt")),
        trigger_from="words",
    )


def _command(path: Path, text: str | None) -> Command | None:
    def starts(command: Command) -> bool:
        named = [key for key in ("instance_data_dir", "dataset_name", "train_data_dir")
                 if isinstance(command.options.get(key), str)]  # fmt: skip
        return bool(named) and (named != ["train_data_dir"] or command.runs("text_to_image"))

    return next(filter(starts, commands_in(path, text)), None)


def _like(options: Section, command: Command) -> Subset:
    """What all pictures have in common; nothing of their folder."""
    side = options.whole("--resolution", 1, 2**16)
    return Subset(
        folder=options.path.parent,
        source=options.path.name,
        repeats=options.whole("--repeats", 0, 10**6) or 1,
        caption_extensions=(),
        class_tokens=options.text("--instance_prompt"),
        shuffle=False, caption_token_dropout=0.0, caption_dropout=0.0,
        max_tokens=75 if command.runs(*_CLIP_ALONE) else None,
        resolution=(side, side) if side else None,
        buckets=False,
        upscales=True,
        random_crop=not (options.flag("--center_crop") or False),
        obeys_orientation=True,
    )  # fmt: skip


def _of_table(folder: Path, options: Section, like: Subset, *, captions: bool, notes: list[str]) -> tuple[Subset, ...]:
    """The pictures that the folder's table lists, or all below it. `captions`: even where no column is named."""
    column = options.text("--caption_column")
    if "train" in contents(folder).folders:
        folder = folder / "train"
    table = table_in(folder, column=column, usual="text")  # the script's own, where no --caption_column is given
    if table is None:
        if column or captions:
            what = f"{folder.name!r} has no metadata.jsonl or metadata.csv with file_name, so there are no captions."
            raise UsageError(what, path=options.path, advice="Write one, or use --instance_data_dir.")
        return (replace(like, folder=folder, recursive=True),)
    if not column and not captions:
        notes.append(
            "--caption_column is not set: the captions of the table are not read, all pictures have the prompt."
        )
    if table.outside:
        notes.append(f"{table.outside} rows of the table name no picture below its folder.")
    return tuple(
        replace(
            like, folder=folder, files=names, repeats=like.repeats * rows, caption_lines="any",
            captions=table.captions(names) if column or captions else None,
        )
        for rows, names in table.grouped()
    )  # fmt: skip


def _class_pictures(options: Section, like: Subset) -> tuple[Subset, ...]:
    """The pictures that keep the model as it is; made by the script itself where there are none yet."""
    name = options.text("--class_data_dir") if options.flag("--with_prior_preservation") else None
    if name is None:
        return ()
    try:
        folder = folder_named(name, options.path, "--class_data_dir")
    except UsageError:
        return ()
    words = options.text("--class_prompt")
    return (replace(like, folder=folder, repeats=1, class_tokens=words, regularisation=True),)
