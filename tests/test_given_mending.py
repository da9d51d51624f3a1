"""What `audit --fix` wrote is read back as it was meant, with what a person has changed in it since."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from lora_doctor.caption_source import file_text, said, subset_of
from lora_doctor.copy_check import captions_in
from lora_doctor.dataset_layout import read_dataset
from lora_doctor.dataset_mending import CAPTIONS, REMOVE, REPEATS, SHEET, Mending
from lora_doctor.diagnosis import to_json
from lora_doctor.errors import InputRefused, UsageError
from lora_doctor.given_mending import read_mending
from lora_doctor.instrument_choice import BUNDLED
from lora_doctor.retrain_plan import prepare
from lora_doctor.run_folder import RunFolder
from lora_doctor.settings import Settings, to_plain
from lora_doctor.types import Prescription
from tests.make_diagnosis import make_diagnosis
from tests.make_finished_run import make_finished_run
from tests.test_dataset_mending import instruments, mending, spoiled, written  # noqa: F401  (fixtures)

TEXTS = "caption_extension = '.txt'\n"


def photos(folder: Path, *names: str, caption: str = "ohwx, smile") -> Path:
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (number, len(name) % 256, 0)).save(path)
        path.with_suffix(".txt").write_text(f"{caption}\n", "utf-8")
    return folder


def by_hand(folder: Path, captions: dict[str, str], remove: str = "", repeats: str = "{}\n") -> Path:
    for name, text in captions.items():
        (folder / CAPTIONS / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / CAPTIONS / name).write_text(text, "utf-8")
    (folder / CAPTIONS).mkdir(parents=True, exist_ok=True)
    (folder / SHEET).write_text("# Mending\n", "utf-8")
    (folder / REMOVE).write_text(remove, "utf-8")
    (folder / REPEATS).write_text(repeats, "utf-8")
    return folder


# ---------------------------------------------------------------- read back


def test_what_was_written_is_read_back(mending: Mending, written: Path) -> None:  # noqa: F811
    found = read_mending(written, mending.audit.dataset)
    assert mending.captions
    assert dict(found.captions) == {path: mended.caption for path, mended in mending.captions.items()}
    assert set(found.left_out) == {each.path for each in mending.removals if each.sure}
    assert found.balances == bool(mending.repeats)


def test_a_mending_of_the_folder_serves_a_config_and_the_other_way_round(tmp_path: Path) -> None:
    data = photos(tmp_path / "data", "a/01.png", "b/01.png")
    subsets = "".join(f"[[datasets.subsets]]\nimage_dir = {json.dumps(str(data / name))}\n" for name in "ab")
    (tmp_path / "dataset.toml").write_text(f"[[datasets]]\ncaption_extension = '.txt'\n{subsets}")
    (tmp_path / "args.toml").write_text('dataset_config = "dataset.toml"\n')
    of_config, of_folder = read_dataset(tmp_path / "args.toml"), read_dataset(data)
    for names in (("a/01.txt", "b/01.txt"), ("data/a/01.txt", "data/b/01.txt")):
        told = by_hand(tmp_path / names[0].partition("/")[0], {name: f"ohwx, {name}" for name in names})
        for dataset in (of_config, of_folder):
            found = read_mending(told, dataset).captions
            assert {path.relative_to(data).as_posix(): text.rpartition("/")[0] for path, text in found.items()} == {
                f"{name}/01.png": f"ohwx, {names[number].rpartition('/')[0]}" for number, name in enumerate("ab")
            }


@pytest.mark.parametrize(
    "lines",
    [
        "",
        'caption_prefix = "photo of "\ncaption_suffix = ", best"',
        "enable_wildcard = true",
        'caption_extension = ".caption"',
    ],
)
def test_captions_are_read_as_the_trainer_says_them(tmp_path: Path, lines: str) -> None:
    data = photos(tmp_path / "data", "01.png", caption="ohwx, smile\nohwx, frown")
    shutil.copyfile(data / "01.txt", data / "01.caption")
    (tmp_path / "ds.toml").write_text(
        f"[[datasets]]\n[[datasets.subsets]]\nimage_dir = {json.dumps(str(data))}\n{lines}\n"
    )
    (tmp_path / "args.toml").write_text('dataset_config = "ds.toml"\n')
    (dataset,) = (read_dataset(tmp_path / "args.toml"),)
    (image,) = dataset.images
    subset = subset_of(image, dataset)
    wanted = tuple(caption.replace("smile", "grin") for caption in said(image, subset))
    text = file_text("\n".join(wanted), image, subset)
    assert wanted != said(image, subset) and text is not None
    ending = subset.caption_extensions[0]
    told = by_hand(tmp_path / "out", {f"data/01{ending}": text})
    assert read_mending(told, dataset).captions == {image.path: "\n".join(wanted)}


# ---------------------------------------------------------------- a person's hand


def test_a_caption_that_somebody_edits_there_is_the_one_that_counts(tmp_path: Path) -> None:
    dataset = read_dataset(photos(tmp_path / "data", "01.png", "02.png"))
    told = by_hand(tmp_path / "out", {"01.txt": "ohwx, frown\n", "02.txt": "ohwx, smile\n"})
    assert {path.name: text for path, text in read_mending(told, dataset).captions.items()} == {"01.png": "ohwx, frown"}


def test_a_file_that_is_gone_leaves_its_picture_as_it_is(tmp_path: Path) -> None:
    dataset = read_dataset(photos(tmp_path / "data", "01.png", "02.png"))
    told = by_hand(tmp_path / "out", {"02.txt": "ohwx, frown\n"})
    (told / REMOVE).unlink()
    found = read_mending(told, dataset)
    assert [path.name for path in found.captions] == ["02.png"] and not found.left_out


def test_a_picture_that_goes_needs_no_caption(tmp_path: Path) -> None:
    dataset = read_dataset(photos(tmp_path / "data", "01.png", "02.png"))
    told = by_hand(tmp_path / "out", {"01.txt": "ohwx, frown\n", "02.txt": "ohwx, frown\n"}, remove="\n02.png\n")
    found = read_mending(told, dataset)
    assert {path.name: why for path, why in found.left_out.items()} == {"02.png": "remove.txt of out names it"}
    assert [path.name for path in found.captions] == ["01.png"]


# ---------------------------------------------------------------- refused


def test_another_datasets_mending_is_refused(tmp_path: Path) -> None:
    dataset = read_dataset(photos(tmp_path / "data", "01.png"))
    with pytest.raises(UsageError, match=r"'99.txt' in 'captions' is of no picture"):
        read_mending(by_hand(tmp_path / "out", {"01.txt": "ohwx\n", "99.txt": "ohwx\n"}), dataset)


def test_a_folder_that_is_no_mending_is_refused(tmp_path: Path) -> None:
    data = photos(tmp_path / "data", "01.png")
    for folder in (data, tmp_path / "nowhere"):
        with pytest.raises(UsageError, match="holds no mending"):
            read_mending(folder, read_dataset(data))


def test_a_file_that_may_be_of_several_pictures_is_refused(tmp_path: Path) -> None:
    dataset = read_dataset(photos(tmp_path / "data", "a/01.png", "b/01.png"))
    with pytest.raises(UsageError, match=r"'01.txt' in 'captions' may be of several pictures"):
        read_mending(by_hand(tmp_path / "out", {"01.txt": "ohwx\n"}), dataset)


def test_captions_of_another_ending_than_the_trainer_reads_are_refused_with_its_own(tmp_path: Path) -> None:
    data = photos(tmp_path / "data", "01.png")
    (tmp_path / "ds.toml").write_text(f"[[datasets]]\n[[datasets.subsets]]\nimage_dir = {json.dumps(str(data))}\n")
    (tmp_path / "args.toml").write_text('dataset_config = "ds.toml"\n')
    with pytest.raises(UsageError, match=r"looks for files that end in '.caption'"):
        read_mending(by_hand(tmp_path / "out", {"01.txt": "ohwx\n"}), read_dataset(tmp_path / "args.toml"))


@pytest.mark.parametrize(("line", "says"), [("03.png", "names no picture"), ("01.png", "names several pictures")])
def test_a_removal_that_names_no_one_picture_is_refused(tmp_path: Path, line: str, says: str) -> None:
    dataset = read_dataset(photos(tmp_path / "data", "a/01.png", "b/01.png"))
    with pytest.raises(UsageError, match=says):
        read_mending(by_hand(tmp_path / "out", {}, remove=f"{line}\n"), dataset)


def test_a_link_out_of_the_mending_and_broken_files_are_refused(tmp_path: Path) -> None:
    dataset = read_dataset(photos(tmp_path / "data", "01.png"))
    (tmp_path / "secret").write_text("ohwx\n")
    told = by_hand(tmp_path / "out", {})
    (told / CAPTIONS / "01.txt").symlink_to(tmp_path / "secret")
    with pytest.raises(InputRefused, match="symbolic link out of"):
        read_mending(told, dataset)
    (told / CAPTIONS / "01.txt").unlink()
    (told / CAPTIONS / "01.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(InputRefused, match=r"01.txt"):
        read_mending(told, dataset)
    (told / CAPTIONS / "01.txt").unlink()
    (told / REPEATS).write_text("{")
    with pytest.raises(InputRefused, match="is no JSON"):
        read_mending(told, dataset)


# ---------------------------------------------------------------- retrained with


def finished(folder: Path, data: Path) -> Path:
    """A run about this dataset."""
    run = make_finished_run(folder, ())
    with RunFolder(run) as opened:
        known = Settings(model=folder / "m", trigger="yuki_nk", dataset=data, out=folder, instruments=BUNDLED)
        opened.put_json("settings", to_plain(known))
    (run / "diagnosis.json").write_text(to_json(make_diagnosis(run, images=False)), "utf-8")
    return run


def test_a_training_is_shown_the_mended_captions_without_the_pictures_that_go(tmp_path: Path) -> None:
    data = photos(tmp_path / "data", "01.png", "02.png", "03.png")
    (tmp_path / "ds.toml").write_text(
        f"[[datasets]]\n[[datasets.subsets]]\nimage_dir = {json.dumps(str(data))}\n{TEXTS}"
    )
    (tmp_path / "args.toml").write_text('dataset_config = "ds.toml"\nnetwork_dim = 8\n')
    run = finished(tmp_path / "run", data)
    told = by_hand(tmp_path / "out", {"01.txt": "ohwx, frown\n"}, remove="02.png\n")
    plan = prepare(run, tmp_path / "args.toml", mended=told, instead=Prescription())
    assert (
        "-ohwx, smile\n+ohwx, frown" in plan.patch.diff and "02.png is left out: remove.txt of out" in plan.patch.diff
    )
    plan.write(tmp_path / "new")
    again = {image.path.name: captions_in(image) for image in read_dataset(tmp_path / "new" / "args.toml").images}
    assert again == {"01.png": ("ohwx, frown",), "03.png": ("ohwx, smile",)}
    assert (data / "01.txt").read_text() == "ohwx, smile\n" and (data / "02.png").is_file()
    assert not prepare(run, tmp_path / "args.toml", instead=Prescription()).copies


def test_prescribed_tokens_come_into_the_mended_captions(
    tmp_path: Path, mending: Mending, written: Path, spoiled: Path  # noqa: F811
) -> None:  # fmt: skip
    (tmp_path / "ds.toml").write_text(
        f"[[datasets]]\n[[datasets.subsets]]\nimage_dir = {json.dumps(str(spoiled))}\n{TEXTS}"
    )
    (tmp_path / "args.toml").write_text('dataset_config = "ds.toml"\n')
    fix = {"add_tokens": "outfit", "to": "all", "tokens": ["wooden_leg"]}
    run = finished(tmp_path / "run", spoiled)
    plan = prepare(run, tmp_path / "args.toml", mended=written, instead=Prescription(captions=(fix,)))
    for path, mended in mending.captions.items():
        asked = set(mended.caption.split(", ")) | {"wooden_leg"}
        assert set(plan.captions[path].split(", ")) == asked


def test_its_plan_of_repeats_asks_for_the_ratio_and_roles_that_nobody_told_are_looked_at(
    tmp_path: Path, mending: Mending  # noqa: F811
) -> None:  # fmt: skip
    roles = {image.path: image.role for image in mending.audit.dataset.images}
    subsets = ""
    for repeats, role in enumerate(dict.fromkeys(roles.values()), 1):
        folder = tmp_path / f"d-{repeats}"
        folder.mkdir()
        for path in (path for path in roles if roles[path] == role):
            shutil.copyfile(path, folder / path.name)
        subsets += f"[[datasets.subsets]]\nnum_repeats = {9 * repeats}\nimage_dir = {json.dumps(str(folder))}\n"
    (tmp_path / "ds.toml").write_text(f"[[datasets]]\n{subsets}")
    (tmp_path / "args.toml").write_text('dataset_config = "ds.toml"\n')
    run = finished(tmp_path / "run", tmp_path / "args.toml")
    told = by_hand(tmp_path / "out", {}, repeats='{"d-0": 3}\n')
    plan = prepare(run, tmp_path / "args.toml", mended=told, instead=Prescription())
    assert [(change.field, change.after) for change in plan.patch.changes] == [("identity_ratio", 0.33)]
    assert "num_repeats" in plan.patch.diff and not any("is not known" in each for each in plan.patch.unsupported)
    balanced = by_hand(tmp_path / "sound", {})
    assert not prepare(run, tmp_path / "args.toml", mended=balanced, instead=Prescription()).patch.changes
