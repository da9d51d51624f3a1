"""The ways to the identity ratio are said in the trainer's own numbers, and what each of them gives."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from lora_doctor.dataset import survey
from lora_doctor.dataset_layout import layout_of
from lora_doctor.ratio_ways import folder_groups, role_groups, ways_to
from lora_doctor.types import IDENTITY_EMPHASIS, IN_CONTEXT, Dataset, DatasetImage, Role


def dataset(*folders: tuple[str, Role | None, int, float], trainer: str = "sd-scripts") -> Dataset:
    """Folder, role, pictures, repeats."""
    images = [
        DatasetImage(
            path=Path("set") / folder / f"{role}-{i}.png", sha256="", width=1, height=1, caption=None, repeats=repeats,
            role=role,
        )
        for folder, role, count, repeats in folders
        for i in range(count)
    ]  # fmt: skip
    return Dataset(path=Path("set"), images=tuple(images), trainer=trainer)


FACE, BODY = IDENTITY_EMPHASIS, IN_CONTEXT


def test_pictures_are_grouped_by_the_folder_that_gives_their_repeats() -> None:
    one = dataset(("3_a/x", FACE, 2, 3), ("3_a/y", BODY, 1, 3), ("b", BODY, 4, 1), ("", FACE, 1, 1), ("b", None, 5, 1))
    found = {each.name: (each.emphasis, each.context, each.repeats) for each in folder_groups(one)}
    assert found == {"3_a": (2, 1, 3), "b": (0, 4, 1), ".": (1, 0, 1)}
    assert {each.name: each.repeats for each in role_groups(one)} == {FACE: pytest.approx(7 / 3), BODY: 7 / 5}


def test_ways_say_repeats_first_and_what_each_gives() -> None:
    ways = ways_to(dataset(("face", FACE, 4, 1), ("body", BODY, 38, 1)))
    assert ways.repeats == {"face": 5, "body": 1}
    assert ways.says == (
        "Set repeats of face from 1 to 5: the identity ratio becomes 0.34; 0.72 times the epochs keep the training as "
        "long.",
        "Add 15 identity-emphasis pictures: the identity ratio becomes 0.33.",
    )


def test_one_flat_folder_is_told_to_split() -> None:
    ways = ways_to(dataset(("", FACE, 30, 1), ("", BODY, 12, 1)))
    assert ways.repeats == {}
    assert ways.says[0].startswith("With a folder for each role: Set repeats of in-context from 1 to ")


def test_trainers_with_fractional_repeats_get_them() -> None:
    ways = ways_to(dataset(("face", FACE, 4, 1), ("body", BODY, 38, 1), trainer="OneTrainer"))
    assert any(repeats != int(repeats) for repeats in ways.repeats.values())


def test_fractional_repeats_are_told_as_hundredths_and_no_more() -> None:
    ways = ways_to(dataset(("face", FACE, 30, 1.5), ("body", BODY, 50, 0.2), trainer="OneTrainer"))
    assert ways.repeats == {"face": 0.6, "body": 0.74}


def test_a_good_ratio_and_an_unknown_one_are_said_so() -> None:
    assert ways_to(dataset(("", FACE, 14, 1), ("", BODY, 28, 1))).says == ("The identity ratio is 0.33 already.",)
    assert ways_to(dataset(("", None, 3, 1))).says == ("No picture has a role: the identity ratio is not known.",)


def test_names_that_cannot_be_printed_are_escaped() -> None:
    ways = ways_to(dataset(("f\udcff\n", FACE, 4, 1), ("body", BODY, 38, 1)))
    assert r"f\xff\n" in ways.says[0]


def surveyed(folder: Path, name: str, text: str, *, close: int = 2, far: int = 9) -> Dataset:
    """Pictures of `close` and `ctx` as the config has them, each folder of one role."""
    for part, count in (("close", close), ("ctx", far)):
        (folder / part).mkdir()
        for number in range(count):
            path = folder / part / f"{number}.png"
            Image.new("RGB", (32, 32), (20 * number, 80, len(part))).save(path)
            path.with_suffix(".txt").write_text("yuki_nk, 1girl", "utf-8")
    (folder / name).write_text(text, "utf-8")
    found = survey(layout_of(folder / name), folder / name)
    roles: dict[str, Role] = {"close": FACE, "ctx": BODY}
    return replace(found, images=tuple(replace(one, role=roles[one.path.parent.name]) for one in found.images))


AI_TOOLKIT = """\
job: extension
config:
  name: my
  process:
    - type: sd_trainer
      datasets:
        - {folder_path: close, num_repeats: CLOSE, resolution: [512, 768, 1024], flip_x: true}
        - {folder_path: ctx, num_repeats: CTX, resolution: [512, 768, 1024], flip_x: true}
"""
SUBSET = '  [[datasets.subsets]]\n  image_dir = "FOLDER"\n  num_repeats = FOLDER_REPEATS\n'
TWICE = "[general]\ncaption_extension = '.txt'\n" + "".join(
    f"[[datasets]]\nresolution = {side}\n{SUBSET.replace('FOLDER_REPEATS', 'CLOSE').replace('FOLDER', 'close')}"
    f"{SUBSET.replace('FOLDER_REPEATS', 'CTX').replace('FOLDER', 'ctx')}"
    for side in (512, 1024)
)
SIMPLETUNER = json.dumps(
    [
        {"id": name, "type": "local", "instance_data_dir": name, "caption_strategy": "textfile", "repeats": repeats}
        for name, repeats in (("close", "CLOSE"), ("ctx", "CTX"))
    ]
).replace('"CLOSE"', "CLOSE").replace('"CTX"', "CTX")  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text", "before"),
    [("a.yaml", AI_TOOLKIT, (1, 1)), ("a.yaml", AI_TOOLKIT, (4, 2)), ("st.json", SIMPLETUNER, (0, 0)),
     ("st.json", SIMPLETUNER, (2, 1)), ("ko.toml", TWICE, (1, 1)), ("ko.toml", TWICE, (4, 4))],
)  # fmt: skip
def test_a_plan_that_is_written_into_the_config_gives_the_ratio_that_it_says(
    tmp_path: Path, name: str, text: str, before: tuple[int, int]
) -> None:
    def written(place: str, close: float, ctx: float) -> Dataset:
        (tmp_path / place).mkdir()
        return surveyed(tmp_path / place, name, text.replace("CLOSE", f"{close:g}").replace("CTX", f"{ctx:g}"))

    ways = ways_to(written("before", *before))
    after = written("after", ways.repeats["close"], ways.repeats["ctx"])
    faces = sum(image.repeats for image in after.images if image.role == FACE)
    ratio = faces / sum(image.repeats for image in after.images)
    assert f"the identity ratio becomes {ratio:.2f}" in ways.says[0]
    assert f"close from {before[0]} to {ways.repeats['close']:g}" in ways.says[0]
    assert abs(ratio - 0.33) < 0.03


def test_where_no_one_setting_gives_the_repeats_it_is_said_by_how_much(tmp_path: Path) -> None:
    samples = [
        {"name": name, "path": name, "balancing": count, "balancing_strategy": "SAMPLES"}
        for name, count in (("close", 20), ("ctx", 90))
    ]
    ways = ways_to(surveyed(tmp_path, "ot.json", json.dumps(samples)))
    assert ways.repeats == {}
    assert ways.says[0].startswith("Change repeats or samples of close times 1.8")
