"""Versions whose files have one name are called by their run folders, and nothing more of a path is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from lora_doctor.comparison_runs import told_apart

SAME = "lora.safetensors"


@pytest.mark.parametrize(
    ("folders", "names"),
    [
        (["/secret/epoch-06-checkup", "/secret/epoch-08-checkup"], ["epoch-06", "epoch-08"]),
        (["/secret/luna/full", "/secret/rin/full"], ["luna/full", "rin/full"]),
        (["/secret/a/lora-checkup", "/secret/b/lora-checkup"], ["a/lora", "b/lora"]),
        (["/secret/x-checkup", "/secret/x"], ["x-checkup", "x"]),
        (["/secret/a/full", "/secret/b/full", "/secret/epoch-06-checkup"], ["a/full", "b/full", "epoch-06"]),
    ],
)
def test_files_of_one_name_are_told_apart_by_as_little_of_their_run_folders_as_does(
    folders: list[str], names: list[str]
) -> None:
    """In whatever order a shell lists them."""
    places = [Path(folder) for folder in folders]
    assert list(told_apart([SAME] * len(places), places)) == names
    assert list(told_apart([SAME] * len(places), places[::-1])) == names[::-1]


def test_a_name_that_one_file_alone_has_stays_and_is_given_to_no_other() -> None:
    places = [Path("/runs/a/yuki.safetensors"), Path("/runs/b/half-checkup"), Path("/runs/yuki-checkup")]
    told = told_apart([SAME, SAME, "yuki.safetensors"], places)
    assert told == ("a/yuki.safetensors", "half", "yuki.safetensors")


def test_the_same_folder_twice_has_some_name_until_it_is_refused() -> None:
    assert len(told_apart([SAME, SAME], [Path("/runs/a"), Path("/runs/a")])) == 2
