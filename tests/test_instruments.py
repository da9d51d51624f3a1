"""Reading pictures: what is stored is not read again, and what is read anew is what it was."""

from __future__ import annotations

import dataclasses
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lora_doctor.dataset_layout import read_dataset
from lora_doctor.image_states import broken
from lora_doctor.instrument_choice import BUNDLED
from lora_doctor.instruments import (
    Instruments,
    least_face_of,
    open_instruments,
    read_redrawn,
    read_references,
    read_renders,
    silent,
)
from lora_doctor.run_folder import RunFolder
from lora_doctor.settings import Settings
from lora_doctor.types import Cell, Dataset, Reading

DATASET = Path(__file__).parents[1] / "fixtures" / "miniature" / "patients" / "yuki" / "dataset"


@pytest.fixture(scope="module")
def instruments() -> Instruments:
    nowhere = Path()
    return open_instruments(
        Settings(model=nowhere, trigger="", dataset=DATASET, out=nowhere, device="cpu", instruments=BUNDLED)
    )


def same(one: Reading | None, other: Reading | None) -> bool:
    assert one is not None and other is not None
    arrays = [np.array_equal(one.embedding, other.embedding)]
    arrays += [np.array_equal(row, other.probabilities[name]) for name, row in one.probabilities.items()]
    arrays += [one.face.score == other.face.score, np.array_equal(one.face.embedding, other.face.embedding)]
    return all(arrays)


def forget(run: Path, keys: list[str]) -> None:
    """What a kill between two readings leaves behind."""
    with sqlite3.connect(run / "run.sqlite") as database:
        database.executemany("DELETE FROM readings WHERE key = ?", [(key,) for key in keys])


@pytest.mark.miniature
def test_readings_lost_on_the_way_come_back_to_the_bit(instruments: Instruments, tmp_path: Path) -> None:
    dataset = read_dataset(DATASET)
    with RunFolder(tmp_path / "run") as run:
        whole = read_references(dataset, instruments, run, silent)
    forget(tmp_path / "run", [image.sha256 for image in dataset.images[3:9]])
    with RunFolder(tmp_path / "run") as run:
        again = read_references(dataset, instruments, run, silent)
    assert all(map(same, whole, again))


@pytest.mark.miniature
def test_what_is_stored_is_not_read_again(instruments: Instruments, tmp_path: Path) -> None:
    whole = read_dataset(DATASET)
    dataset: Dataset = dataclasses.replace(whole, images=whole.images[:3])
    told: list[tuple[Any, ...]] = []
    with RunFolder(tmp_path / "run") as run:
        first = read_references(dataset, instruments, run, lambda *each: told.append(each))
        blind = dataclasses.replace(instruments)
        object.__setattr__(blind, "read", lambda images: pytest.fail("read again"))
        second = read_references(dataset, blind, run, silent)
    assert all(map(same, first, second))
    assert told == [("reading the dataset", 3, 3)]


def cell(replicate: int) -> Cell:
    return Cell(weight=1, environment="beach", trained=False, framing="close-up", replicate=replicate, prompt="",
                negative_prompt="", seed=1)  # fmt: skip


@pytest.mark.miniature
def test_a_render_that_cannot_be_decoded_or_shows_nothing_is_broken_and_stops_nobody(
    instruments: Instruments, tmp_path: Path
) -> None:
    good = Image.open(read_dataset(DATASET).images[0].path).convert("RGB")
    cells = [cell(replicate) for replicate in range(3)]
    with RunFolder(tmp_path / "run") as run:
        run.put_plan({}, cells)
        for one, picture in zip(cells, (good, Image.new("RGB", (64, 64), (2, 2, 2)), good), strict=True):
            run.save_image(one, picture)
        next(r.image for r in run.renders() if r.cell == cells[2]).write_bytes(b"no picture")  # type: ignore[union-attr]
        readings, missing = read_renders(run, instruments, silent)
    found = [broken(readings.get(one.key), missing.get(one.key)) for one in cells]
    assert found == [False, True, True]
    assert readings[cells[0].key].face.embedding is not None


@pytest.mark.miniature
def test_the_smallest_face_is_measured_once_for_a_dataset(
    instruments: Instruments, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = read_dataset(DATASET)
    with RunFolder(tmp_path / "run") as run:
        references = read_references(dataset, instruments, run, silent)
        limit = least_face_of(dataset, references, instruments, run)
        monkeypatch.setattr(instruments.face, "read", lambda images: pytest.fail("measured again"))
        assert least_face_of(dataset, references, instruments, run) == limit
        other = dataclasses.replace(dataset, images=())
        assert least_face_of(other, (), instruments, run) == instruments.face.least_face != limit
    assert 6 <= limit <= 16


@pytest.mark.miniature
def test_what_another_base_model_or_size_redrew_is_redrawn(instruments: Instruments, tmp_path: Path) -> None:
    dataset = read_dataset(DATASET)
    drawn: list[str] = []

    def by(name: str, side: int) -> dict[int, Reading]:
        def redraw(picture: Any) -> Any:
            drawn.append(name)
            return picture.resize((side, side))

        return read_redrawn(dataset, [0, 1], redraw, instruments, run, silent, drawn_by=name)

    with RunFolder(tmp_path / "run") as run:
        assert {one.width for one in (*by("small", 64).values(), *by("small", 64).values())} == {64}
        assert {one.width for one in by("large", 128).values()} == {128}
    assert drawn == ["small", "small", "large", "large"]
