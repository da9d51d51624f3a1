"""What a plan writes: everything in a folder of its own, and a dataset that the trainer reads as it was meant."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lora_doctor.copy_check import as_read
from lora_doctor.dataset_layout import read_dataset
from lora_doctor.errors import UsageError
from lora_doctor.picture_rows import CaptionTable, present_rows, rows_for
from lora_doctor.retrain_plan import RetrainPlan, reading_of
from lora_doctor.training_config import read_training_config
from lora_doctor.types import IDENTITY_EMPHASIS, IN_CONTEXT, Dataset, Patch

COMMAND = "accelerate launch train_dreambooth_lora_flux.py --dataset_name {} --caption_column text --rank 4\n"


def plan(config: Path, dataset: Dataset, **more: Any) -> RetrainPlan:
    """Of a config that is patched already; nobody asks it what was found."""
    read = read_training_config(config)
    unused: Any = None
    return RetrainPlan(
        run=config.parent, before=unused, settings=unused, config=read, texts=read.files.texts, dataset=dataset,
        patch=Patch(path=config, text=read.files.text, changes=(), diff="", unsupported=()), left_out={},
        **({"captions": {}, "added": None, "known": dataset, "to_do": ()} | more),
    )  # fmt: skip


def pictures(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        Image.new("RGB", (8, 8), (number, 0, len(str(folder)) % 256)).save(folder / name)


def with_roles(dataset: Dataset) -> Dataset:
    images = (
        replace(i, role=IDENTITY_EMPHASIS if i.path.name.startswith("face") else IN_CONTEXT) for i in dataset.images
    )
    return replace(dataset, images=tuple(images))


def test_captions_of_a_table_stay_in_one_with_rows_for_the_ratio(tmp_path: Path) -> None:
    names = ("face.png", *(f"{i}.png" for i in range(8)))
    pictures(tmp_path / "data", *names)
    rows = [{"file_name": name, "text": f"ohwx, {name}"} for name in names]
    (tmp_path / "data" / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pictures(tmp_path / "new", "face-new.png")
    (tmp_path / "new" / "face-new.txt").write_text("ohwx, close-up")
    script = tmp_path / "run.sh"
    script.write_text(COMMAND.format(tmp_path / "data"))
    dataset, added = with_roles(read_dataset(script)), with_roles(read_dataset(tmp_path / "new"))
    known = replace(dataset, images=(*dataset.images, *added.images))
    table = CaptionTable("text")
    found = rows_for(known, table, 0.33)
    assert found is not None and found.rows[tmp_path / "data" / "face.png"] == 2
    told = plan(
        script, dataset, added=added, known=known, table=table, rows=found.rows,
        captions={tmp_path / "data" / "0.png": "ohwx, tall"},
    )  # fmt: skip
    told.write(tmp_path / "out")
    again = read_dataset(tmp_path / "out" / "run.sh")
    captions = {image.path.name: (image.caption, image.repeats) for image in again.images}
    assert captions["face.png"] == ("ohwx, face.png", 2) and captions["face-new.png"] == ("ohwx, close-up", 2)
    assert captions["0.png"] == ("ohwx, tall", 1) and len(captions) == 10
    assert "--output_dir" in (tmp_path / "out" / "run.sh").read_text()
    assert script.read_text() == COMMAND.format(tmp_path / "data")


def test_a_picture_that_no_table_can_name_is_refused_by_its_name_and_nothing_is_written(tmp_path: Path) -> None:
    name = os.fsdecode(b"sm\xedle.png")
    pictures(tmp_path / "data", "0.png", name)
    dataset = with_roles(read_dataset(tmp_path / "data"))
    script = tmp_path / "run.sh"
    script.write_text(COMMAND.format(tmp_path / "data"))
    told = plan(script, dataset, table=CaptionTable("text"), rows={tmp_path / "data" / name: 2})
    with pytest.raises(UsageError, match=r"metadata.jsonl cannot name the picture sm\\xedle.png"):
        told.write(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_rows_alone_are_a_reason_for_a_dataset_of_its_own(tmp_path: Path) -> None:
    pictures(tmp_path / "data", "face.png", "0.png")
    dataset = with_roles(read_dataset(tmp_path / "data"))
    script = tmp_path / "run.sh"
    script.write_text(COMMAND.format(tmp_path / "data"))
    ones = {image.path: 1 for image in dataset.images}
    assert not plan(script, dataset, table=CaptionTable("text"), rows=ones).copies
    assert plan(script, dataset, table=CaptionTable("text"), rows=ones | {tmp_path / "data" / "face.png": 2}).copies


def shown_thrice(folder: Path) -> tuple[Path, Dataset]:
    """A script that takes its table four times, and the folder of pictures as the script's trainer sees it."""
    pictures(folder / "data", "face.png", "0.png")
    rows = [{"file_name": name, "text": "ohwx"} for name in ("face.png", "face.png", "face.png", "0.png")]
    (folder / "data" / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    script = folder / "run.sh"
    script.write_text(COMMAND.format(folder / "data").replace("--rank", "--repeats 4 --rank"))
    dataset = read_dataset(folder / "data")
    return script, as_read(dataset, reading_of(read_training_config(script), (dataset,)))


def test_rows_of_a_table_are_kept_where_the_command_repeats_it_and_the_dataset_is_its_folder(tmp_path: Path) -> None:
    script, dataset = shown_thrice(tmp_path)
    table = CaptionTable("text", repeats=4)
    captions = {tmp_path / "data" / "0.png": "ohwx, tall"}
    plan(script, dataset, captions=captions, table=table, rows=present_rows(dataset, table)).write(tmp_path / "out")
    shown = {image.path.name: image.repeats for image in read_dataset(tmp_path / "out" / "run.sh").images}
    assert shown == {"face.png": 12, "0.png": 4}


def test_a_copy_that_would_be_shown_more_or_less_often_than_meant_is_refused(tmp_path: Path) -> None:
    script, dataset = shown_thrice(tmp_path)
    captions = {tmp_path / "data" / "0.png": "ohwx, tall"}
    told = plan(script, dataset, captions=captions, table=CaptionTable("text", repeats=2), rows={})
    with pytest.raises(UsageError, match=r"would show \S+ 4 times an epoch, where 2 are meant"):
        told.write(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_config_that_is_the_dataset_too_is_not_written_over(tmp_path: Path) -> None:
    pictures(tmp_path / "data", "face.png", "0.png")
    config, before = tmp_path / "args.toml", 'dataset_config = "data.toml"\nnetwork_dim = 8\n'
    config.write_text(before)
    folders = f'[[datasets]]\n[[datasets.subsets]]\nimage_dir = "{tmp_path / "data"}"\n'
    (tmp_path / "data.toml").write_text(folders)
    for dataset in (read_dataset(config), read_dataset(tmp_path / "data.toml")):
        for captions in ({}, {tmp_path / "data" / "0.png": "tall"}):
            out = tmp_path / f"out-{dataset.path.stem}-{len(captions)}"
            plan(config, dataset, captions=captions).write(out)
            assert config.read_text() == before and (tmp_path / "data.toml").read_text() == folders
            assert f'dataset_config = "{out / "data.toml"}"' in (out / "args.toml").read_text()
            assert (str(out / "dataset") in (out / "data.toml").read_text()) == bool(captions)
