"""Versions of one character on the miniature, from LoRA files to the answer: real renders, real readings.

The versions are the healthy patient's LoRA as it is, at half its strength, and cut to rank 1.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import save_file

from lora_doctor.checkup import run_checkup
from lora_doctor.cli import cli
from lora_doctor.comparison import Comparison
from lora_doctor.comparison_files import HTML, JSON, compare_folders, write
from lora_doctor.errors import InputRefused, UsageError
from lora_doctor.plugins import data_folder
from lora_doctor.run_folder import RunFolder
from lora_doctor.settings import load_settings
from tests.test_report import Page

PATIENTS = data_folder("miniature") / "patients"
Tensors = dict[str, np.ndarray[Any, Any]]
SMALL: dict[str, Any] = {
    "matrix": {
        "replicates": 1,
        "most_replicates": 1,
        "weights": [0, 0.7, 1.0],
        "ship_weights": [0.7, 1.0],
        "arms": "none",
    },
    "render": {"steps": 5},
}


def as_it_is(tensors: Tensors) -> Tensors:
    return tensors


def halved(tensors: Tensors) -> Tensors:
    return {name: value / 2 if ".lora_B." in name else value for name, value in tensors.items()}


def of_rank_one(tensors: Tensors) -> Tensors:
    """Every update cut to its strongest direction; the rest of the rank stays in the file, as zeros."""
    cut = dict(tensors)
    for name, down in tensors.items():
        if ".lora_A." in name:
            other = name.replace(".lora_A.", ".lora_B.")
            up, rank = tensors[other], down.shape[0]
            u, s, vt = np.linalg.svd(up.reshape(-1, rank).astype(np.float64) @ down.reshape(rank, -1))
            thin_up, thin_down = np.zeros((len(u), rank)), np.zeros((rank, len(vt)))
            thin_up[:, 0], thin_down[0] = u[:, 0] * s[0], vt[0]
            cut[other] = thin_up.reshape(up.shape).astype(up.dtype)
            cut[name] = thin_down.reshape(down.shape).astype(down.dtype)
    return cut


VERSIONS = (("full", as_it_is), ("half", halved), ("thin", of_rank_one))


def check(folder: Path, patient: str, name: str, change: Callable[[Tensors], Tensors], **overrides: Any) -> Path:
    """A check-up of a changed copy of a patient's LoRA; its run folder."""
    if not (folder / "dataset").exists():
        shutil.copytree(PATIENTS / patient, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*-checkup"))
    with safe_open(PATIENTS / patient / "lora.safetensors", "np") as file:
        tensors = change({key: file.get_tensor(key) for key in file.keys()})  # noqa: SIM118 (no mapping)
        save_file(tensors, folder / f"{name}.safetensors", metadata=file.metadata())
    run = folder / f"{name}-checkup"
    run_checkup(load_settings(folder / f"{name}.safetensors", {"out": str(run), **SMALL, **overrides}))
    return run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("secret-place") / "yuki"
    return [check(folder, "yuki", name, change) for name, change in VERSIONS]


@pytest.fixture(scope="module")
def found(runs: list[Path]) -> tuple[Comparison, dict[str, Path]]:
    return compare_folders(runs)


def contents(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.rglob("*") if p.suffix != ""}


@pytest.mark.miniature
def test_the_whole_lora_is_better_than_half_of_it_and_than_one_direction_of_it(found: Any) -> None:
    comparison, _ = found
    for name in ("half", "thin"):
        (one,) = [c for c in comparison.contrasts
                  if (c.run, c.quantity, c.weight) == (f"{name}.safetensors", "identity", "1")]  # fmt: skip
        assert one.state == "worse" and one.difference.value < -0.1
    assert comparison.choice.best.run == "full.safetensors"
    assert comparison.shared_cells == 45 and comparison.notes == ()


@pytest.mark.miniature
def test_identity_is_what_each_run_measured_where_all_share_one_dataset(found: Any, runs: list[Path]) -> None:
    comparison, _ = found
    for run, standing in zip(runs, comparison.runs, strict=True):
        own = json.loads((run / "diagnosis.json").read_text("utf-8"))["measurements"]
        (value,) = [m["value"] for m in own if m["name"] == "identity.score" and m["where"] == {"weight": "1"}]
        assert standing.level("identity", "1").value == pytest.approx(value, abs=1e-6)


@pytest.mark.miniature
def test_identity_is_compared_with_the_instrument_that_measured_it(found: Any, tmp_path: Path) -> None:
    """Two instruments are opened; the runs say which of them was used, and the comparison uses that one."""
    both = {"instruments": {"identity": ["clip@head"]}, **SMALL}
    pair = [check(tmp_path / "yuki", "yuki", name, change, **both) for name, change in VERSIONS[:2]]
    levels = {}
    for used in ("clip@head", "buffalo"):
        for folder in pair:
            with RunFolder(folder, create=False) as run:
                run.put_json("identity", {**run.get_json("identity"), "measured_with": used})
        levels[used] = compare_folders(pair)[0].runs[1].level("identity", "1").value
    assert levels["buffalo"] == pytest.approx(found[0].runs[1].level("identity", "1").value, abs=1e-6)
    assert levels["clip@head"] != levels["buffalo"]


@pytest.mark.miniature
def test_weight_zero_is_shared_to_the_bit_and_equal_to_a_fresh_render(runs: list[Path], tmp_path: Path) -> None:
    fresh = check(tmp_path / "yuki", "yuki", "half", halved, base_cache=False)
    for path in sorted((fresh / "images").iterdir()):
        shown = [np.asarray(Image.open(run / "images" / path.name)) for run in (fresh, runs[1])]
        assert np.array_equal(*shown), path.name
    bases = [{p.name: p.read_bytes() for p in (run / "images").glob("w0.00_*")} for run in runs]
    assert len(bases[0]) == 15 and bases[0] == bases[1] == bases[2]


@pytest.mark.miniature
def test_the_runs_are_left_as_they_are(runs: list[Path]) -> None:
    before = [contents(run / "images") | {"d": (run / "diagnosis.json").read_text()} for run in runs]
    compare_folders(runs, policy="strict")
    assert [contents(run / "images") | {"d": (run / "diagnosis.json").read_text()} for run in runs] == before


@pytest.mark.miniature
def test_the_page_loads_nothing_and_holds_no_path_and_no_training_picture(found: Any, tmp_path: Path) -> None:
    comparison, folders = found
    texts = [path.read_text("utf-8") for path in write(comparison, folders, tmp_path / "out")]
    assert not any("secret-place" in text or str(tmp_path) in text for text in texts)
    page = Page(texts[1])
    policy = page.all("meta")[1]["content"]
    assert policy.startswith("default-src 'none'; img-src data:;")
    for tag, attributes in page.elements:
        assert not {name for name in attributes if name == "style" or name.startswith("on")}, tag
        assert attributes.get("src", "data:").startswith("data:")
        assert attributes.get("href", "#").startswith(("#", "data:"))
    assert comparison.choice.sentence in page.text
    assert len(re.findall(r"data:image/webp;base64,", texts[1])) == 4 * len(comparison.changed)
    captions = {text.read_text().strip() for text in (PATIENTS / "yuki" / "dataset").rglob("*.txt")}
    assert not [caption for caption in captions if caption in texts[0] or caption in page.text]


@pytest.mark.miniature
def test_a_hostile_name_changes_nothing_but_text(found: Any, tmp_path: Path) -> None:
    import dataclasses

    comparison, folders = found
    evil = "<script>alert(1)</script>\u202e\"'&.safetensors"
    renamed = dataclasses.replace(
        comparison, runs=(dataclasses.replace(comparison.runs[0], name=evil), *comparison.runs[1:])
    )
    plain, changed = (Page(write(c, folders, tmp_path)[1].read_text("utf-8")) for c in (comparison, renamed))
    assert [tag for tag, _ in changed.elements].count("script") == [tag for tag, _ in plain.elements].count("script")
    assert "\u202e" not in changed.text and "<script>alert(1)</script>" in changed.text


@pytest.mark.miniature
def test_the_command_line_answers_with_text_json_files_and_exit_code(runs: list[Path], tmp_path: Path) -> None:
    paths = [str(run) for run in runs]
    shown = CliRunner().invoke(cli, ["compare", *paths, "--out", str(tmp_path / "out")])
    assert shown.exit_code in (0, 1, 3) and "against full.safetensors" in shown.output
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [HTML, JSON]
    machine = CliRunner().invoke(cli, ["compare", *paths, "--json"])
    record = json.loads(machine.stdout)
    assert machine.exit_code == shown.exit_code == {"ship": 0, "none": 1}.get(record["choice"]["answer"], 3)
    assert record == json.loads((tmp_path / "out" / JSON).read_text("utf-8"))


@pytest.mark.miniature
def test_versions_may_be_named_otherwise_than_their_files(runs: list[Path]) -> None:
    comparison, folders = compare_folders(runs[:2], names=("before", "round 1"))
    assert [run.name for run in comparison.runs] == ["before", "round 1"] == list(folders)
    assert "round 1" in comparison.choice.sentence or comparison.choice.answer != "ship"


@pytest.mark.miniature
def test_files_of_one_name_lead_back_to_their_run_folders_and_no_path_is_told(runs: list[Path], tmp_path: Path) -> None:
    places = [tmp_path / "secret-place" / name / "full" for name in ("monday", "tuesday")]
    for place in places:
        shutil.copytree(runs[0], place)
    shown = CliRunner().invoke(cli, ["compare", *map(str, places), "--out", str(tmp_path / "out")])
    assert "tuesday/full against monday/full" in shown.output
    texts = [(tmp_path / "out" / name).read_text("utf-8") for name in (JSON, HTML)]
    assert all("tuesday/full" in text and "secret-place" not in text for text in texts)


@pytest.mark.miniature
def test_none_is_shipped_where_the_policy_ships_none(runs: list[Path]) -> None:
    comparison, _ = compare_folders(runs[1:])
    assert comparison.choice.answer == "none"
    assert comparison.choice.sentence.startswith("None can be shipped. The least bad is ")


@pytest.mark.miniature
def test_another_character_or_seed_is_refused_and_no_run_is_refused(runs: list[Path], tmp_path: Path) -> None:
    one_weight = {"weights": [0, 1.0], "ship_weights": [1.0], "framings": ["close-up"]}
    tiny = {"matrix": {**SMALL["matrix"], **one_weight}, "render": {"steps": 1}}
    other = check(tmp_path / "misa", "misa", "lora", as_it_is, **tiny)
    with pytest.raises(UsageError, match=r"was checked with another number of steps"):
        compare_folders([runs[0], other])
    with pytest.raises(InputRefused, match="is not a run folder"):
        compare_folders([runs[0], tmp_path])
    with pytest.raises(UsageError, match="named twice"):
        compare_folders([runs[0], runs[0]])
