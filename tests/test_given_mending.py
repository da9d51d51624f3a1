"""What `audit --fix` wrote is read back as it was meant, with what a person has changed in it since."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path, PurePath

import pytest
from PIL import Image

from lora_doctor.caption_source import file_text, said, subset_of
from lora_doctor.copy_check import captions_in
from lora_doctor.dataset_layout import read_dataset
from lora_doctor.dataset_mending import CAPTIONS, REMOVE, REPEATS, SHEET, Mending, line_of
from lora_doctor.diagnosis import to_json
from lora_doctor.errors import InputRefused, UsageError
from lora_doctor.given_mending import read_mending
from lora_doctor.instrument_choice import BUNDLED
from lora_doctor.retrain_prepare import prepare
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
    assert {path: "\n".join(told) for path, told in found.captions.items()} == {
        path: mended.caption for path, mended in mending.captions.items()
    }
    assert set(found.left_out) == {each.path for each in mending.removals if each.sure}
    assert found.repeats == mending.repeats


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
            assert {path.relative_to(data).as_posix(): told[0].rpartition("/")[0] for path, told in found.items()} == {
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
    assert read_mending(told, dataset).captions == {image.path: wanted}


# ---------------------------------------------------------------- a person's hand


def test_a_caption_that_somebody_edits_there_is_the_one_that_counts(tmp_path: Path) -> None:
    dataset = read_dataset(photos(tmp_path / "data", "01.png", "02.png"))
    told = by_hand(tmp_path / "out", {"01.txt": "ohwx, frown\n", "02.txt": "ohwx, smile\n"})
    assert {path.name: told for path, told in read_mending(told, dataset).captions.items()} == {
        "01.png": ("ohwx, frown",)
    }


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


def test_a_file_of_a_picture_that_is_not_in_the_dataset_is_never_given_to_one_of_the_same_name(tmp_path: Path) -> None:
    data = photos(tmp_path / "data", "01.png", "a/01.png", "a/03.png")
    (data / "a" / "01.txt").unlink()
    of_all = by_hand(tmp_path / "out", {"01.txt": "ohwx, frown\n", "a/03.txt": "ohwx\n"})
    with pytest.raises(UsageError, match="of no picture of the dataset"):
        read_mending(of_all, read_dataset(data / "a"))
    found = read_mending(of_all, read_dataset(data)).captions
    assert {path.relative_to(data).as_posix(): told for path, told in found.items()} == {
        "01.png": ("ohwx, frown",), "a/03.png": ("ohwx",),
    }  # fmt: skip


def test_a_removal_below_the_root_is_not_one_of_the_same_name_deeper_down(tmp_path: Path) -> None:
    data = photos(tmp_path / "data", "01.png", "a/01.png", "a/02.png")
    told = by_hand(tmp_path / "out", {}, remove="01.png\r\n a/02.png \n")
    assert [path.relative_to(data).as_posix() for path in read_mending(told, read_dataset(data)).left_out] == [
        "01.png", "a/02.png",
    ]  # fmt: skip


def test_odd_names_of_removed_pictures_are_lines_of_their_own(tmp_path: Path) -> None:
    names = ("new\nline.png", " leading.png", "se\u2028parator.png", "car\rriage.png")
    data = photos(tmp_path / "data", *names)
    lines = "".join(f"{line_of(PurePath(name))}\n" for name in names)
    found = read_mending(by_hand(tmp_path / "out", {}, remove=lines), read_dataset(data)).left_out
    assert {path.name for path in found} == set(names)


@pytest.mark.parametrize("text", ['{"caption": "yuki", }', '{"captoin": "yuki"}', '["yuki"]', "yuki"])
def test_a_caption_file_that_is_no_longer_json_is_refused_and_not_trained_on(tmp_path: Path, text: str) -> None:
    data = photos(tmp_path / "data", "01.png")
    (data / "01.txt").unlink()
    (data / "01.json").write_text('{"caption": "yuki, smile"}')
    config = tmp_path / "j.yaml"
    config.write_text(
        "job: extension\nconfig:\n  process:\n    - type: sd_trainer\n      datasets:\n"
        f"        - folder_path: {json.dumps(str(data))}\n          caption_ext: json\n"
    )
    dataset = read_dataset(config)
    assert dataset.images[0].caption == "yuki, smile"
    sound = by_hand(tmp_path / "out", {"data/01.json": '{"caption": "yuki, frown"}'})
    assert list(read_mending(sound, dataset).captions.values()) == [("yuki, frown",)]
    with pytest.raises(InputRefused, match=r"01.json: holds no JSON with a text under 'caption'"):
        read_mending(by_hand(tmp_path / "out", {"data/01.json": text}), dataset)


@pytest.mark.parametrize(
    "text", ["[0]", '{"a": "many"}', '{"a": -1}', '{"a": true}', '{"a": NaN}', '"x"', "[" * 99_999]
)
def test_repeats_that_are_none_are_refused(tmp_path: Path, text: str) -> None:
    dataset = read_dataset(photos(tmp_path / "data", "01.png"))
    with pytest.raises(InputRefused, match=r"repeats.json"):
        read_mending(by_hand(tmp_path / "out", {}, repeats=text), dataset)


def test_captions_of_another_ending_than_the_trainer_reads_are_refused_with_its_own(tmp_path: Path) -> None:
    data = photos(tmp_path / "data", "01.png")
    (tmp_path / "ds.toml").write_text(f"[[datasets]]\n[[datasets.subsets]]\nimage_dir = {json.dumps(str(data))}\n")
    (tmp_path / "args.toml").write_text('dataset_config = "ds.toml"\n')
    with pytest.raises(UsageError, match=r"'01.txt' .* looks for a file that ends in '.caption'"):
        read_mending(by_hand(tmp_path / "out", {"01.txt": "ohwx\n"}), read_dataset(tmp_path / "args.toml"))


def test_a_removal_that_names_no_picture_is_refused(tmp_path: Path) -> None:
    dataset = read_dataset(photos(tmp_path / "data", "a/01.png", "b/01.png"))
    for line in ("03.png", "01.png"):
        with pytest.raises(UsageError, match="names no picture of the dataset"):
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


def two_folders(folder: Path, mending: Mending) -> Path:  # noqa: F811
    """A config with a folder of nine repeats for one role and one of eighteen for the other; names say nothing."""
    roles = {image.path: image.role for image in mending.audit.dataset.images}
    subsets = ""
    for number, role in enumerate(dict.fromkeys(roles.values()), 1):
        own = folder / f"d-{number}"
        own.mkdir()
        for path in (path for path in roles if roles[path] == role):
            shutil.copyfile(path, own / path.name)
        subsets += f"[[datasets.subsets]]\nnum_repeats = {9 * number}\nimage_dir = {json.dumps(str(own))}\n"
    (folder / "ds.toml").write_text(f"[[datasets]]\n{subsets}")
    (folder / "args.toml").write_text('dataset_config = "ds.toml"\n')
    return folder / "args.toml"


def test_its_repeats_are_those_of_the_next_training_and_roles_that_nobody_told_are_looked_at(
    tmp_path: Path, mending: Mending  # noqa: F811
) -> None:  # fmt: skip
    config = two_folders(tmp_path, mending)
    run = finished(tmp_path / "run", config)
    told = by_hand(tmp_path / "out", {}, repeats='{"d-1": 5, "d-2": 5}\n')
    plan = prepare(run, config, mended=told, instead=Prescription())
    assert [change.field for change in plan.patch.changes] == ["identity_ratio"]
    assert not any("is not known" in each for each in plan.patch.unsupported)
    subsets = tomllib.loads(plan.texts[tmp_path / "ds.toml"])["datasets"][0]["subsets"]
    assert len({subset["num_repeats"] for subset in subsets}) == 1  # both are shown as often now
    assert not prepare(run, config, mended=by_hand(tmp_path / "no", {}), instead=Prescription()).patch.changes
    with pytest.raises(UsageError, match="the repeats in it are of 'nowhere', which is no one folder"):
        prepare(run, config, mended=by_hand(tmp_path / "other", {}, repeats='{"nowhere": 5}'), instead=Prescription())


def test_a_folder_that_would_be_emptied_is_said_before_anything_is_written(
    tmp_path: Path, mending: Mending  # noqa: F811
) -> None:  # fmt: skip
    config = two_folders(tmp_path, mending)
    run = finished(tmp_path / "run", config)
    names = sorted(path.name for path in (tmp_path / "d-1").glob("*.png"))
    others = sorted(path.name for path in (tmp_path / "d-2").glob("*.png"))
    lines = "".join(f"d-1/{name}\n" for name in names)
    with pytest.raises(UsageError, match=r"no picture would be left in .*d-1"):
        prepare(run, config, mended=by_hand(tmp_path / "one", {}, remove=lines), instead=Prescription())
    lines += "".join(f"d-2/{name}\n" for name in others)
    with pytest.raises(UsageError, match="no picture would be left to train on"):
        prepare(run, config, mended=by_hand(tmp_path / "two", {}, remove=lines), instead=Prescription())
