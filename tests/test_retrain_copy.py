"""What a retraining writes is what its trainer then reads, and nothing of the user's is ever touched."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lora_doctor.copy_check import captions_in
from lora_doctor.dataset_layout import read_dataset
from lora_doctor.errors import UsageError
from lora_doctor.retrain_plan import RetrainPlan
from lora_doctor.training_config import read_training_config
from lora_doctor.types import IDENTITY_EMPHASIS, IN_CONTEXT, Dataset, Patch


def plan(config: Path, dataset: Dataset, **more: Any) -> RetrainPlan:
    """Of a config that is patched already; nobody asks it what was found."""
    read = read_training_config(config)
    unused: Any = None
    return RetrainPlan(
        run=config.parent, before=unused, settings=unused, config=read, texts=read.files.texts, dataset=dataset,
        patch=Patch(path=config, text=read.files.text, changes=(), diff="", unsupported=()),
        **({"captions": {}, "added": None, "known": dataset, "to_do": (), "left_out": {}} | more),
    )  # fmt: skip


def pictures(folder: Path, *names: str, caption: str | None = None, ending: str = ".txt") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        Image.new("RGB", (8, 8), (number, len(str(folder)) % 256, len(name))).save(folder / name)
        if caption is not None:
            (folder / name).with_suffix(ending).write_bytes(caption.encode())
    return folder


def kohya(folder: Path, images: str, *lines: str, top: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ds.toml").write_text(
        f"{top}[[datasets]]\n[[datasets.subsets]]\nimage_dir = {json.dumps(images)}\n" + "\n".join(lines) + "\n"
    )
    (folder / "args.toml").write_text('dataset_config = "ds.toml"\nnetwork_dim = 8\n')
    return folder / "args.toml"


def onetrainer(folder: Path, *concepts: dict[str, Any]) -> Path:
    (folder / "c.json").write_text(json.dumps({"__version": 11, "lora_rank": 8, "concepts": list(concepts)}))
    return folder / "c.json"


def ai_toolkit(folder: Path, *images: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    datasets = "".join(f"        - folder_path: {json.dumps(each)}\n" for each in images)
    (folder / "j.yaml").write_text(
        "job: extension\nconfig:\n  name: yuki\n  process:\n    - type: sd_trainer\n      trigger_word: yuki\n"
        f"      network: {{linear: 8}}\n      datasets:\n{datasets}"
    )
    return folder / "j.yaml"


def simpletuner(folder: Path, images: Path, **backend: Any) -> Path:
    (folder / "config.json").write_text(
        json.dumps({"model_type": "lora", "model_family": "sdxl", "data_backend_config": "mdb.json"})
    )
    own = {"id": "a", "type": "local", "instance_data_dir": str(images), **backend}
    (folder / "mdb.json").write_text(json.dumps([own, {"id": "te", "dataset_type": "text_embeds", "default": True}]))
    return folder / "config.json"


def said(config: Path) -> dict[str, tuple[str, ...]]:
    return {image.path.name: captions_in(image) for image in read_dataset(config).images}


def everything(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# ---------------------------------------------------------------- the user's own


@pytest.mark.parametrize("where", [".", "dataset", "dataset/inner", ".."])
def test_a_users_own_dataset_is_never_replaced(tmp_path: Path, where: str) -> None:
    """`--write .` beside a dataset called `dataset` is what deleted one."""
    home = tmp_path / "dataset" if where == ".." else tmp_path
    data = pictures(home / "dataset", "a.png", "b.png", caption="yuki, tall")
    config = kohya(tmp_path / "configs", str(data), 'caption_extension = ".txt"')
    dataset, before = read_dataset(data), everything(tmp_path)
    told = plan(config, dataset, captions={data / "b.png": "yuki, short"})
    with pytest.raises(UsageError, match="a folder of the dataset"):
        told.write(home / where if where != ".." else tmp_path)
    assert everything(tmp_path) == before
    assert (home / "dataset" / "inner").exists() is False


def test_the_folder_of_added_pictures_is_never_replaced(tmp_path: Path) -> None:
    data = pictures(tmp_path / "data", "a.png", caption="yuki")
    new = pictures(tmp_path / "out" / "dataset", "n.png", caption="yuki")
    config = kohya(tmp_path, str(data), 'caption_extension = ".txt"')
    with pytest.raises(UsageError, match="a folder of the dataset"):
        plan(config, read_dataset(data), added=read_dataset(new)).write(tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").rglob("*.*")) == ["n.png", "n.txt"]


def test_a_dataset_or_config_that_somebody_else_put_there_stays(tmp_path: Path) -> None:
    data = pictures(tmp_path / "data", "a.png", caption="yuki")
    config = kohya(tmp_path / "cfg", str(data), 'caption_extension = ".txt"')
    told = plan(config, read_dataset(data), captions={data / "a.png": "yuki, tall"})
    pictures(tmp_path / "one" / "dataset", "holiday.png")
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "ds.toml").write_text("mine")
    for name, what in (("one", "'dataset'"), ("two", "'ds.toml'")):
        before = everything(tmp_path / name)
        with pytest.raises(UsageError, match=f"{what} that lora-doctor did not write"):
            told.write(tmp_path / name)
        assert everything(tmp_path / name) == before
    copied, other = tmp_path / "three", read_dataset(data)
    plan(config, other).write(copied)  # nothing in the dataset changes: no copy is made, and none is touched
    pictures(copied / "dataset", "holiday.png")
    plan(config, other).write(copied)
    assert (copied / "dataset" / "holiday.png").is_file()


def test_what_was_written_is_written_again_unless_somebody_changed_it(tmp_path: Path) -> None:
    data = pictures(tmp_path / "data", "a.png", "b.png", caption="yuki")
    config, out = kohya(tmp_path / "cfg", str(data), 'caption_extension = ".txt"'), tmp_path / "new" / "out"
    dataset = read_dataset(data)
    plan(config, dataset, captions={data / "a.png": "yuki, tall"}).write(out)
    less = replace(dataset, images=dataset.images[:1])
    plan(config, less, captions={data / "a.png": "yuki, short"}, left_out={data / "b.png": "x"}).write(out)
    assert said(out / "args.toml") == {"a.png": ("yuki, short",)}
    assert sorted(path.name for path in out.iterdir()) == [
        ".lora-doctor-written.json", "args.toml", "args.toml.diff", "dataset", "ds.toml",
    ]  # fmt: skip
    (out / "args.toml").write_text("network_dim = 99\n")
    with pytest.raises(UsageError, match=r"args\.toml"):
        plan(config, dataset).write(out)
    assert (out / "args.toml").read_text() == "network_dim = 99\n"


def _their_own_caption(copy: Path) -> str:
    (copy / "b.txt").write_text("yuki, corrected by hand")
    return "b.txt"


def _their_own_picture(copy: Path) -> str:
    pictures(copy, "mine.png")
    return "mine.png"


def _a_caption_of_their_own(copy: Path) -> str:
    (copy / "c.txt").write_text("yuki, of a picture that comes later")
    return "c.txt"


def _a_retouched_picture(copy: Path) -> str:
    Image.new("RGB", (9, 9)).save(copy / "a.png")
    return "a.png"


def _a_link(copy: Path) -> str:
    (copy / "z.png").symlink_to(copy / "a.png")
    return "z.png"


def _a_folder_of_theirs(copy: Path) -> str:
    return f"more/{_their_own_picture(copy / 'more')}"


@pytest.mark.parametrize("change", [_their_own_caption, _their_own_picture, _a_caption_of_their_own,
                                    _a_retouched_picture, _a_link, _a_folder_of_theirs])  # fmt: skip
def test_what_somebody_put_into_the_copied_dataset_is_never_lost(tmp_path: Path, change: Callable[[Path], str]) -> None:
    data = pictures(tmp_path / "data", "a.png", "b.png", caption="yuki")
    config, out = kohya(tmp_path / "cfg", str(data), 'caption_extension = ".txt"'), tmp_path / "out"
    told = plan(config, read_dataset(data), captions={data / "a.png": "yuki, tall"})
    told.write(out)
    name = change(out / "dataset")
    before = everything(tmp_path)
    with pytest.raises(UsageError, match=re.escape(f"'dataset/{name}'")):
        told.write(out)
    assert everything(tmp_path) == before


def test_caches_that_trainers_keep_beside_the_pictures_do_not_keep_the_copy_from_being_written_again(
    tmp_path: Path,
) -> None:
    data = pictures(tmp_path / "data", "a.png", caption="yuki")
    config, out = kohya(tmp_path / "cfg", str(data), 'caption_extension = ".txt"'), tmp_path / "out"
    told = plan(config, read_dataset(data), captions={data / "a.png": "yuki, tall"})
    told.write(out)
    for name in ("a_64x64_sdxl.npz", "_latent_cache/a_x.safetensors", ".aitk_size.json", "a_64x64_x.safetensors",
                 "aspect_ratio_bucket_indices_a.json"):  # fmt: skip
        path = out / "dataset" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"cache")
    told.write(out)
    assert sorted(path.name for path in (out / "dataset").iterdir()) == ["a.png", "a.txt"]
    (out / "dataset" / "yuki.safetensors").write_bytes(b"a LoRA")
    with pytest.raises(UsageError, match=r"yuki\.safetensors"):
        told.write(out)


def test_a_picture_that_is_edited_in_the_copy_stays_as_it_was_in_the_dataset(tmp_path: Path) -> None:
    data = pictures(tmp_path / "data", "a.png", caption="yuki")
    config, out = kohya(tmp_path / "cfg", str(data), 'caption_extension = ".txt"'), tmp_path / "out"
    plan(config, read_dataset(data), captions={data / "a.png": "yuki, tall"}).write(out)
    before = (data / "a.png").read_bytes()
    with (out / "dataset" / "a.png").open("r+b") as copy:
        copy.write(b"retouched")
    assert (data / "a.png").read_bytes() == before


# ---------------------------------------------------------------- captions


@dataclass(frozen=True)
class Trained:
    """A dataset with its config, and a caption that is corrected."""

    make: Callable[[Path], Path]
    corrected: str
    """One caption a line."""
    file: str
    """The caption file of the corrected picture in the copy."""


def _with_prefix(folder: Path) -> Path:
    pictures(folder / "data", "a.png", "b.png", caption="tall, park")
    return kohya(folder, str(folder / "data"), 'caption_extension = ".txt"', 'caption_prefix = "yuki,"',
                 'caption_suffix = ", masterpiece"')  # fmt: skip


def _with_ending(folder: Path) -> Path:
    pictures(folder / "data", "a.png", "b.png", caption="yuki,tall", ending=".tags")
    return kohya(folder, str(folder / "data"), 'caption_extension = ".tags"', 'class_tokens = "girl"')


def _with_wildcards(folder: Path) -> Path:
    pictures(folder / "data", "a.png", "b.png", caption="yuki, {red|blue} dress\r\n\r\nyuki, in a park")
    return kohya(folder, str(folder / "data"), 'caption_extension = ".txt"', "enable_wildcard = true")


def _of_lines(folder: Path) -> Path:
    pictures(folder / "data", "a.png", "b.png", caption="yuki, tall\nportrait of yuki")
    return onetrainer(folder, {"path": str(folder / "data"), "text": {"prompt_source": "sample"}})


def _with_instance_prompt(folder: Path) -> Path:
    pictures(folder / "data", "a.png", "b.png", caption="tall, park\nin a park")
    return simpletuner(folder, folder / "data", caption_strategy="textfile", instance_prompt="yuki",
                       prepend_instance_prompt=True)  # fmt: skip


def _with_trigger(folder: Path) -> Path:
    pictures(folder / "data", "a.png", "b.png", caption="[trigger],  tall")
    return ai_toolkit(folder, str(folder / "data"))


def _numbered(folder: Path) -> Path:
    pictures(folder / "data" / "3_yuki girl", "a.png", "b.png", caption="yuki, tall", ending=".caption")
    (folder / "args.toml").write_text(f'train_data_dir = "{folder / "data"}"\nnetwork_dim = 8\n')
    return folder / "args.toml"


TRAINED = {
    "prefix and suffix": Trained(_with_prefix, "yuki, tall, park, smile , masterpiece", "tall, park, smile\n"),
    "own ending": Trained(_with_ending, "yuki, tall, smile", "yuki, tall, smile\n"),
    "wildcards": Trained(
        _with_wildcards, "yuki, {red|blue} dress, smile\nyuki, in a park",
        "yuki, {red|blue} dress, smile\nyuki, in a park\n",
    ),
    "lines": Trained(_of_lines, "yuki, tall, smile\nportrait of yuki", "yuki, tall, smile\nportrait of yuki\n"),
    "prompt before each": Trained(
        _with_instance_prompt, "yuki tall, park, smile\nyuki in a park", "tall, park, smile\nin a park\n"
    ),
    "trigger": Trained(_with_trigger, "yuki, tall, smile", "yuki, tall, smile\n"),
    "numbered": Trained(_numbered, "yuki, tall, smile", "yuki, tall, smile\n"),
}  # fmt: skip


@pytest.mark.parametrize("case", TRAINED.values(), ids=TRAINED)
def test_captions_in_the_copy_are_what_the_trainer_reads(tmp_path: Path, case: Trained) -> None:
    """A corrected one without the config's own words and with the subset's ending, any other byte for byte."""
    config = case.make(tmp_path)
    dataset, before = read_dataset(config), said(config)
    corrected = next(image for image in dataset.images if image.path.name == "b.png")
    other = next(image for image in dataset.images if image.path.name == "a.png")
    assert corrected.caption_file is not None and other.caption_file is not None
    plan(config, dataset, captions={corrected.path: case.corrected}).write(tmp_path / "out")
    [file] = (tmp_path / "out").rglob(corrected.caption_file.name)
    [same] = (tmp_path / "out").rglob(other.caption_file.name)
    assert file.read_text() == case.file
    assert same.read_bytes() == other.caption_file.read_bytes()
    after = said(tmp_path / "out" / config.name)
    assert after["a.png"] == before["a.png"]
    assert "smile" in after["b.png"][0] and len(after["b.png"]) == len(before["b.png"])


def test_a_correction_that_the_prefix_does_not_allow_is_refused(tmp_path: Path) -> None:
    config = _with_prefix(tmp_path)
    told = plan(config, read_dataset(config), captions={tmp_path / "data" / "b.png": "1girl, yuki, park, masterpiece"})
    with pytest.raises(UsageError, match="puts around every caption"):
        told.write(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def _of_names(folder: Path) -> Path:
    pictures(folder / "data", "a.png", "b.png")
    return onetrainer(folder, {"path": str(folder / "data"), "text": {"prompt_source": "filename"}})


def _of_one_prompt(folder: Path) -> Path:
    pictures(folder / "data", "a.png", "b.png")
    return simpletuner(folder, folder / "data", caption_strategy="instanceprompt", instance_prompt="a photo of yuki")


def _of_another_ending(folder: Path) -> Path:
    pictures(folder / "data", "a.png", "b.png", caption="yuki")
    return kohya(folder, str(folder / "data"), 'class_tokens = "girl"')


@pytest.mark.parametrize("make", [_of_names, _of_one_prompt, _of_another_ending])
def test_a_correction_that_the_trainer_would_not_read_is_refused_and_nothing_is_left(
    tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    config = make(tmp_path)
    data = read_dataset(tmp_path / "data")
    before = everything(tmp_path)
    told = plan(config, data, captions={tmp_path / "data" / "b.png": "yuki, smile"})
    if make is _of_another_ending:
        (tmp_path / "data" / "b.txt").write_text("yuki, tall")
        before = everything(tmp_path)
    with pytest.raises(UsageError, match="'yuki, smile' is meant"):
        told.write(tmp_path / "new" / "out")
    assert everything(tmp_path) == before and not (tmp_path / "new").exists()
    plan(config, data, left_out={tmp_path / "data" / "b.png": "x"}, captions={}).write(tmp_path / "out")


# ---------------------------------------------------------------- what it trains on


def test_a_config_that_does_not_name_the_pictures_is_refused(tmp_path: Path) -> None:
    data, other = pictures(tmp_path / "data", "a.png", "b.png"), pictures(tmp_path / "other", "c.png")
    config = kohya(tmp_path / "cfg", str(other), 'class_tokens = "yuki"')
    with pytest.raises(UsageError, match=r"2 pictures \(a\.png \.\.\.\) of the dataset: in no folder that it names"):
        plan(config, read_dataset(data), left_out={data / "x.png": "x"}).write(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_added_pictures_that_the_config_would_not_see_are_refused(tmp_path: Path) -> None:
    data, new = pictures(tmp_path / "data", "a.png"), pictures(tmp_path / "new", "n.png")
    config = kohya(tmp_path / "cfg", str(data), f'metadata_file = "{tmp_path / "m.json"}"')
    (tmp_path / "m.json").write_text(json.dumps({"a.png": {"caption": "yuki"}}))
    with pytest.raises(UsageError, match=r"1 picture \(n\.png\) given with --add"):
        plan(config, read_dataset(config), added=read_dataset(new)).write(tmp_path / "out")
    plan(config, read_dataset(config), left_out={data / "x.png": "x"}).write(tmp_path / "out")
    assert said(tmp_path / "out" / "args.toml") == {"a.png": ("yuki",)}


@pytest.mark.parametrize("trainer", ["kohya", "ai-toolkit", "OneTrainer", "numbered"])
def test_added_pictures_go_to_the_folder_of_their_role(tmp_path: Path, trainer: str) -> None:
    faces = pictures(tmp_path / "d" / "1_face", "a.png", "b.png", caption="yuki, face")
    places = pictures(tmp_path / "d" / "2_ctx", "a.png", "c.png", "d.png", caption="yuki, park")
    new = pictures(tmp_path / "new", "a.png", "n.png", caption="yuki, new")
    subsets = f'caption_extension = ".txt"\n[[datasets.subsets]]\nimage_dir = "{places}"\ncaption_extension = ".txt"'
    (tmp_path / "n").mkdir()
    (tmp_path / "n" / "args.toml").write_text(
        f'train_data_dir = "{tmp_path / "d"}"\ncaption_extension = ".txt"\nnetwork_dim = 8\n'
    )
    config = {
        "kohya": lambda: kohya(tmp_path / "k", str(faces), subsets),
        "ai-toolkit": lambda: ai_toolkit(tmp_path / "t", str(faces), str(places)),
        "OneTrainer": lambda: onetrainer(tmp_path, {"path": str(faces)}, {"path": str(places)}),
        "numbered": lambda: tmp_path / "n" / "args.toml",
    }[trainer]()
    dataset, added = read_dataset(tmp_path / "d"), read_dataset(new)
    known = [
        replace(i, role=IDENTITY_EMPHASIS if i.path.parent == faces or i.path.name == "n.png" else IN_CONTEXT)
        for i in (*dataset.images, *added.images)
    ]
    plan(config, dataset, added=added, known=replace(dataset, images=tuple(known))).write(tmp_path / "out")
    read = read_dataset(tmp_path / "out" / config.name)
    assert len(read.images) == 7
    assert {f"{i.path.parent.name}/{i.path.name}" for i in read.images if "new" in (i.caption or "")} == {
        "1_face/n.png", "2_ctx/a-2.png",
    }  # fmt: skip
    assert sorted(path.name for path in new.iterdir()) == ["a.png", "a.txt", "n.png", "n.txt"]


def test_a_prefix_that_added_captions_have_already_is_not_said_twice(tmp_path: Path) -> None:
    config = _with_prefix(tmp_path)
    new = pictures(tmp_path / "new", "n.png", caption="yuki, beach")
    plain = pictures(tmp_path / "plain", "m.png", caption="beach")
    for number, folder in enumerate((new, plain)):
        out = tmp_path / f"out-{number}"
        plan(config, read_dataset(config), added=read_dataset(folder)).write(out)
        [got] = [caption for name, (caption,) in said(out / "args.toml").items() if name in ("n.png", "m.png")]
        assert got == "yuki, beach , masterpiece"


def test_a_folder_of_pictures_alone_holds_nothing_else(tmp_path: Path) -> None:
    """diffusers' DreamBooth scripts open whatever lies in it as a picture."""
    data = pictures(tmp_path / "data", "a.png", "b.png", caption="yuki")
    new = pictures(tmp_path / "new", "n.png", caption="yuki")
    script = tmp_path / "run.sh"
    script.write_text(
        f"accelerate launch train_dreambooth_lora_sdxl.py --instance_data_dir={data} "
        '--instance_prompt="a photo of yuki" --rank=8 --output_dir=/o\n'
    )
    for number, dataset in enumerate((read_dataset(script), read_dataset(data))):
        out = tmp_path / f"out-{number}"
        some = replace(dataset, images=dataset.images[1:])
        plan(script, some, left_out={data / "a.png": "x"}, added=read_dataset(new)).write(out)
        [told] = [word for word in (out / "run.sh").read_text().split() if word.startswith("--instance_data_dir=")]
        assert sorted(path.name for path in Path(told.partition("=")[2]).iterdir()) == ["b.png", "n.png"]
    with pytest.raises(UsageError, match="one prompt for all pictures"):
        plan(script, read_dataset(data), captions={data / "a.png": "yuki, tall"}).write(tmp_path / "out")


def test_a_list_of_folders_that_lacks_some_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    """Where a patch lists numbered folders anew, every picture is still to be trained on."""
    for name in ("3_yuki", "5"):
        pictures(tmp_path / "data" / name, f"{name}.png", caption="yuki, tall", ending=".caption")
    config = tmp_path / "args.toml"
    config.write_text(f'train_data_dir = "{tmp_path / "data"}"\n')
    dataset = read_dataset(config)
    whole = {config: config.read_text() + 'dataset_config = "list.toml"\n'}
    listed = [f'[[datasets.subsets]]\nimage_dir = "{tmp_path / "data" / name}"\n' for name in ("3_yuki", "5")]
    lacking = replace(plan(config, dataset), texts=whole | {tmp_path / "list.toml": f"[[datasets]]\n{listed[0]}"})
    with pytest.raises(UsageError, match=r"1 picture \(5\.png\) of the dataset"):
        lacking.write(tmp_path / "out")
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())
    complete = replace(lacking, texts=whole | {tmp_path / "list.toml": "[[datasets]]\n" + "".join(listed)})
    complete.write(tmp_path / "out")
    assert said(tmp_path / "out" / "args.toml") == said(config)


@pytest.mark.parametrize("named", ["datasets/yuki", "../datasets/yuki", "../config/../datasets/yuki"])
def test_relative_names_mean_for_the_patch_what_they_mean_for_the_audit(tmp_path: Path, named: str) -> None:
    data = pictures(tmp_path / "datasets" / "yuki", "a.png", "b.png", caption="yuki, tall")
    for config in (
        ai_toolkit(tmp_path / "config", named),
        kohya(tmp_path / "config", named, 'caption_extension = ".txt"'),
    ):
        dataset = read_dataset(config)
        corrected = {dataset.images[1].path: "yuki, short"}
        out = tmp_path / f"out-{config.name}"
        plan(config, dataset, captions=corrected).write(out)
        assert said(out / config.name) == {"a.png": ("yuki, tall",), "b.png": ("yuki, short",)}
        assert all(image.path.is_relative_to(out) for image in read_dataset(out / config.name).images)
    assert everything(data) == everything(tmp_path / "datasets")


def test_a_relative_dataset_config_is_found_where_the_audit_finds_it(tmp_path: Path) -> None:
    data = pictures(tmp_path / "data", "a.png", caption="yuki")
    kohya(tmp_path / "configs", "data", 'caption_extension = ".txt"')
    config = tmp_path / "configs" / "args.toml"
    config.write_text('dataset_config = "configs/ds.toml"\nnetwork_dim = 8\n')
    assert tmp_path / "configs" / "ds.toml" in read_training_config(config).files.texts
    plan(config, read_dataset(config), captions={data / "a.png": "yuki, tall"}).write(tmp_path / "out")
    assert said(tmp_path / "out" / "args.toml") == {"a.png": ("yuki, tall",)}


def test_a_relative_folder_that_stays_is_still_found_from_the_new_place(tmp_path: Path) -> None:
    data = pictures(tmp_path / "here" / "data", "a.png", caption="yuki")
    pictures(tmp_path / "here" / "reg", "r.png")
    reg = '[[datasets.subsets]]\nimage_dir = "reg"\nis_reg = true'
    config = kohya(tmp_path / "here", "data", 'caption_extension = ".txt"', reg)
    out = tmp_path / "a" / "b" / "c" / "d" / "e"
    plan(config, read_dataset(config), captions={data / "a.png": "yuki, tall"}).write(out)
    assert read_dataset(out / "args.toml").regularisation == 1


def test_two_files_of_one_name_are_not_written_over_each_other(tmp_path: Path) -> None:
    data = pictures(tmp_path / "data", "a.png", caption="yuki")
    for name in ("args", "ds"):
        (tmp_path / name).mkdir()
    (tmp_path / "ds" / "yuki.toml").write_text(f'[[datasets]]\n[[datasets.subsets]]\nimage_dir = "{data}"\n')
    (tmp_path / "args" / "yuki.toml").write_text(f'dataset_config = "{tmp_path / "ds"}/yuki.toml"\nnetwork_dim = 8\n')
    with pytest.raises(UsageError, match=r"two files of the config are called 'yuki\.toml'"):
        plan(tmp_path / "args" / "yuki.toml", read_dataset(data)).write(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_masks_go_with_their_pictures_to_the_copy_of_the_trainer_that_reads_them(tmp_path: Path) -> None:
    data = pictures(tmp_path / "d", "a.png", "b.jpg", "a-masklabel.png", "b-condlabel.png", "c.png", caption="1girl")
    dataset = replace(read_dataset(data), images=read_dataset(data).images[:2])
    captions = {data / "a.png": "1girl, tall"}
    told = plan(onetrainer(tmp_path, {"path": str(data)}), dataset, captions=captions, left_out={data / "c.png": "x"})
    told.write(tmp_path / "out")
    copied = sorted(path.name for path in (tmp_path / "out" / "dataset").rglob("*.png"))
    assert copied == ["a-masklabel.png", "a.png", "b-condlabel.png"]
    mask = next((tmp_path / "out" / "dataset").rglob("a-masklabel.png"))
    assert mask.read_bytes() == (data / "a-masklabel.png").read_bytes()
    plan(kohya(tmp_path / "k", str(data)), dataset, captions=captions)._copy(tmp_path / "copy")
    assert not list((tmp_path / "copy").rglob("*label.png"))
