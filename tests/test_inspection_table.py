"""Several files side by side: each column has a name of its own, and no word is broken."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from lora_doctor.inspection import Inspection, inspect
from lora_doctor.inspection_table import SideBySide, names_apart
from lora_doctor.plugins import data_folder

PATIENTS = data_folder("miniature").parent / "miniature" / "patients"


@pytest.fixture(scope="module")
def found() -> list[Inspection]:
    return [inspect(PATIENTS / name / "lora.safetensors", fast=True) for name in ("yuki", "rin", "echo")]


def shown(found: list[Inspection], width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    console.print(SideBySide(found))
    return console.file.getvalue().splitlines()


def test_several_files_stand_side_by_side_under_their_folders_where_they_are_named_alike(
    found: list[Inspection],
) -> None:
    lines = shown(found[:2], 120)
    assert lines[0].split() == ["yuki/lora.safetensors", "rin/lora.safetensors"]
    assert next(line for line in lines if line.startswith("rank ")).split()[1:] == ["48", "1"]


def test_where_columns_are_too_narrow_for_a_word_the_files_stand_below_each_other(found: list[Inspection]) -> None:
    lines = shown(found, 60)
    assert [line.strip() for line in lines if "lora.safetensors" in line] == [
        "yuki/lora.safetensors", "rin/lora.safetensors", "echo/lora.safetensors",
    ]  # fmt: skip
    assert [line.split()[1] for line in lines if line.startswith("  rank  ")] == ["48", "1", "48"]


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["a/x.st", "a/y.st"], ["x.st", "y.st"]),
        (["a/x.st", "b/x.st", "b/y.st"], ["a/x.st", "b/x.st", "y.st"]),
        (["1/a/x.st", "2/a/x.st"], ["1/a/x.st", "2/a/x.st"]),
        (["a/x.st", "a/x.st"], ["a/x.st", "a/x.st"]),
    ],
)
def test_files_of_one_name_are_told_apart_by_their_folders(paths: list[str], names: list[str]) -> None:
    assert names_apart([Path(path) for path in paths]) == names
