"""Commands of diffusers' LoRA scripts: hands off first, then every change in several styles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_doctor.picture_rows import CaptionTable, rows_for
from lora_doctor.trainers import diffusers, kohya, musubi
from lora_doctor.types import IDENTITY_EMPHASIS, IN_CONTEXT, Change, ConfigFiles, Dataset, DatasetImage, PatchedFiles

SDXL = """\
#!/usr/bin/env bash
# from the README
export MODEL_NAME="stabilityai/stable-diffusion-xl-base-1.0"
export INSTANCE_DIR="dog"
accelerate launch train_dreambooth_lora_sdxl.py \\
  --pretrained_model_name_or_path=$MODEL_NAME  \\
  --instance_data_dir=$INSTANCE_DIR \\
  --instance_prompt="a photo of ohwx person" \\
  --rank=16 \\
  --resolution=1024 --train_batch_size=1 --gradient_accumulation_steps=4 \\
  --learning_rate=1e-4 \\
  --max_train_steps=500 \\
  --seed="0"
"""
TABLE = """\
accelerate launch --mixed_precision=bf16 train_dreambooth_lora_flux.py --dataset_name /data/merged \
--caption_column text --instance_prompt 'ohwx' --rank 16 --lora_alpha 8 --num_train_epochs 10 --learning_rate 1.
"""
TEXT = """\
accelerate launch text_to_image/train_text_to_image_lora_sdxl.py ^
  --train_data_dir="C:\\pictures" --caption_column="text" ^
  --num_train_epochs=2 --checkpointing_steps=500 ^
  --learning_rate=1e-04 --seed=42
"""


def script(text: str, name: str = "run.sh") -> ConfigFiles:
    return ConfigFiles(path=Path("/cfg") / name, texts={Path("/cfg") / name: text})


STYLES = {
    "sdxl": script(SDXL),
    "windows lines": script(SDXL.replace("\n", "\r\n")),
    "sd 1.5": script(SDXL.replace("_sdxl.py", ".py")),
    "sd 3": script(SDXL.replace("_sdxl.py", "_sd3.py")),
    "advanced": script(SDXL.replace("_sdxl.py", "_sdxl_advanced.py")),
    "spaces": script(SDXL.replace("=$", " $").replace("rank=", "rank ").replace("rate=", "rate ")),
    "a table": script(TABLE),
    "qwen": script(TABLE.replace("flux", "qwen_image")),
    "z-image": script(TABLE.replace("flux", "z_image"), "run.bash"),
    "text to image": script(TEXT, "run.bat"),
    "powershell": script(TEXT.replace("^", "`"), "run.ps1"),
    "a list": script(
        'ARGS=(\n  --instance_data_dir /d\n  --rank 8  # small\n)\npython3 train_dreambooth_lora.py "${ARGS[@]}"\n'
    ),
}
CHANGES = {
    "rank": 48,
    "seed": 7,
    "steps": 3000,
    "epochs": 20.0,
    "learning_rate": 5e-5,
    "resolution": 768,
    "batch_size": 4,
}


def change(field: str, after: Any) -> Change:
    return Change(field=field, before=None, after=after, rule="a-rule", because="")


@pytest.mark.parametrize("config", STYLES.values(), ids=STYLES)
def test_no_change_changes_no_byte(config: ConfigFiles) -> None:
    assert diffusers.recognises(config.path, config.text)
    assert not kohya.recognises(config.path, config.text) and not musubi.recognises(config.path, config.text)
    assert diffusers.patch(config, []).texts == config.texts
    read = diffusers.read(config)
    known = [change(field, getattr(read, field)) for field in (*CHANGES, "alpha") if getattr(read, field) is not None]
    assert diffusers.patch(config, known) == PatchedFiles(texts=config.texts)


@pytest.mark.parametrize("config", STYLES.values(), ids=STYLES)
@pytest.mark.parametrize("field", CHANGES)
def test_each_change_is_read_again_in_every_style_and_is_made_once(config: ConfigFiles, field: str) -> None:
    patched = diffusers.patch(config, [change(field, CHANGES[field])])
    assert not patched.unsupported
    again = ConfigFiles(path=config.path, texts=patched.texts)
    assert getattr(diffusers.read(again), field) == CHANGES[field]
    assert diffusers.patch(again, [change(field, CHANGES[field])]).texts == patched.texts
    for other in set(CHANGES) - {field, "epochs", "steps"}:
        assert getattr(diffusers.read(again), other) == getattr(diffusers.read(config), other)


@settings(deadline=None)
@given(st.sampled_from(sorted(STYLES)), st.integers(1, 256), st.floats(1e-6, 1e-2), st.integers(1, 10**5))
def test_what_is_patched_is_read_and_patched_twice_is_patched_once(
    style: str, rank: int, rate: float, steps: int
) -> None:
    config, wanted = STYLES[style], {"rank": rank, "learning_rate": rate, "steps": steps}
    changes = [change(field, after) for field, after in wanted.items()]
    patched = ConfigFiles(path=config.path, texts=diffusers.patch(config, changes).texts)
    read = diffusers.read(patched)
    assert {field: getattr(read, field) for field in wanted} == wanted
    assert diffusers.patch(patched, changes).texts == patched.texts


def test_the_rest_of_the_script_stays() -> None:
    patched = diffusers.patch(STYLES["sdxl"], [change("rank", 48), change("alpha", 48.0)])
    assert patched.texts[Path("/cfg/run.sh")] == SDXL.replace("--rank=16", "--rank=48") and not patched.unsupported


def test_alpha_is_an_option_in_some_scripts_and_the_rank_in_the_others() -> None:
    assert diffusers.read(STYLES["sdxl"]).alpha == 16.0
    assert diffusers.read(STYLES["a table"]).alpha == 8.0
    assert diffusers.read(script(TABLE.replace("--lora_alpha 8", ""))).alpha == 4.0
    assert "--lora_alpha 32" in diffusers.patch(STYLES["a table"], [change("alpha", 32.0)]).texts[Path("/cfg/run.sh")]
    (said,) = diffusers.patch(STYLES["sdxl"], [change("rank", 48), change("alpha", 24.0)]).unsupported
    assert "always makes it the rank, 48" in said


def test_steps_come_before_epochs_so_they_go_where_epochs_are_wanted() -> None:
    text = diffusers.patch(STYLES["sdxl"], [change("epochs", 20.0)]).texts[Path("/cfg/run.sh")]
    assert "max_train_steps" not in text and "--num_train_epochs=20" in text


def test_captions_are_dropped_by_the_scripts_that_can() -> None:
    text = diffusers.patch(STYLES["qwen"], [change("caption_dropout", 0.1)]).texts[Path("/cfg/run.sh")]
    assert text.endswith("--caption_dropout 0.1\n")
    for style in ("sdxl", "text to image"):
        (said,) = diffusers.patch(STYLES[style], [change("caption_dropout", 0.1)]).unsupported
        assert "nearest" in said


def test_mirrored_pictures_are_switched_off_where_they_are_on() -> None:
    flipped = script(SDXL.replace("--rank", "--random_flip --rank"))
    assert diffusers.read(flipped).flip_augmentation is True and diffusers.read(script(SDXL)).flip_augmentation is False
    assert diffusers.patch(flipped, [change("flip_augmentation", False)]).texts == script(SDXL).texts
    (said,) = diffusers.patch(script(SDXL), [change("flip_augmentation", True)]).unsupported
    assert said.startswith("flip_augmentation: ")


def test_the_text_encoder_is_trained_by_the_scripts_that_can() -> None:
    assert "--train_text_encoder" in diffusers.patch(STYLES["sdxl"], [change("train_text_encoder", True)]).texts[
        Path("/cfg/run.sh")
    ]  # fmt: skip
    trained = script(SDXL.replace("--rank", "--train_text_encoder --rank"))
    assert diffusers.read(trained).train_text_encoder is True
    assert diffusers.patch(trained, [change("train_text_encoder", False)]).texts == script(SDXL).texts
    (said,) = diffusers.patch(STYLES["qwen"], [change("train_text_encoder", True)]).unsupported
    assert "cannot" in said


def pictures(closeups: int, contexts: int) -> Dataset:
    roles = [IDENTITY_EMPHASIS] * closeups + [IN_CONTEXT] * contexts
    images = tuple(
        DatasetImage(path=Path(f"/data/merged/{i}.png"), sha256="", width=8, height=8, caption="", role=role)
        for i, role in enumerate(roles)
    )
    return Dataset(path=Path("/data"), images=images)


def test_the_identity_ratio_becomes_rows_where_there_is_a_table() -> None:
    patched = diffusers.patch(STYLES["a table"], [change("identity_ratio", 0.33)], pictures(20, 60))
    assert patched.notes[0].startswith("identity_ratio: rows") and not patched.unsupported
    epochs = diffusers.read(ConfigFiles(path=Path("/cfg/run.sh"), texts=patched.texts)).epochs
    assert epochs is not None and epochs < 10 and "epochs follows" in patched.notes[1]
    (said,) = diffusers.patch(STYLES["sdxl"], [change("identity_ratio", 0.33)], pictures(20, 60)).unsupported
    assert "one prompt" in said
    (said,) = diffusers.patch(STYLES["a table"], [change("identity_ratio", 0.33)]).unsupported
    assert "not known" in said


def test_epochs_of_another_folder_than_the_one_that_was_checked_do_not_follow_its_rows() -> None:
    """A config that a retraining wrote names the copy, whose rows are new already."""
    again = script(TABLE.replace("/data/merged", "/out/dataset"))
    patched = diffusers.patch(again, [change("identity_ratio", 0.33)], pictures(20, 60))
    assert patched.texts == again.texts and "the epochs stay" in patched.notes[1]


ORDERS = pytest.mark.parametrize("order", [1, -1], ids=["before", "after"])
LENGTHS = pytest.mark.parametrize(
    "text", [TABLE, TABLE.replace("num_train_epochs 10", "max_train_steps 500")], ids=["epochs", "steps"]
)


@ORDERS
@LENGTHS
def test_a_prescribed_number_of_epochs_stands_beside_new_rows(text: str, order: int) -> None:
    changes = [change("epochs", 20.0), change("identity_ratio", 0.33)][::order]
    patched = diffusers.patch(script(text), changes, pictures(20, 60))
    rows = rows_for(pictures(20, 60), CaptionTable("text"), 0.33)
    read = diffusers.read(ConfigFiles(path=Path("/cfg/run.sh"), texts=patched.texts))
    assert rows is not None and read.steps is None and read.epochs is not None
    assert read.epochs * sum(rows.rows.values()) == pytest.approx(20 * 80, rel=0.05) and read.epochs != 20
    assert ["num_train_epochs follows" in note for note in patched.notes] == [False, True]


@ORDERS
@LENGTHS
def test_a_prescribed_number_of_steps_stands_beside_new_rows(text: str, order: int) -> None:
    changes = [change("steps", 3000), change("identity_ratio", 0.33)][::order]
    patched = diffusers.patch(script(text), changes, pictures(20, 60))
    read = diffusers.read(ConfigFiles(path=Path("/cfg/run.sh"), texts=patched.texts))
    assert (read.steps, read.epochs) == (3000, None)
    assert len(patched.notes) == 1 and "rows" in patched.notes[0]


def test_where_captions_come_from() -> None:
    assert diffusers.caption_table(STYLES["sdxl"]) is None
    assert diffusers.caption_table(STYLES["a table"]) == CaptionTable("text", 1)
    without = script(TEXT.replace('--caption_column="text"', ""), "run.bat")
    assert diffusers.caption_table(without) == CaptionTable("text")
    assert diffusers.caption_table(script(TABLE.replace("--caption_column text", "--repeats 3"))) is None


def test_moved_pictures_are_named_where_they_go() -> None:
    moved = {Path("/cfg/run.sh"): Path("/new/run.sh"), Path("/data/merged"): Path("/new/dataset/merged"),
             Path("/data"): Path("/new/dataset")}  # fmt: skip
    text = diffusers.relocated(STYLES["a table"], moved)[Path("/cfg/run.sh")]
    assert "--dataset_name /new/dataset --caption_column" in text  # the copy's own folder has the table
    relative = diffusers.relocated(STYLES["sdxl"], {Path("/cfg/dog"): Path("/new/dog")})[Path("/cfg/run.sh")]
    assert "--instance_data_dir=/new/dog" in relative and 'INSTANCE_DIR="dog"' in relative


def test_the_new_lora_goes_where_it_is_told() -> None:
    text = diffusers.writing_to(STYLES["sdxl"], Path("/new/my output"))[Path("/cfg/run.sh")]
    assert text == SDXL.replace('--seed="0"\n', "--seed=\"0\" \\\n  --output_dir='/new/my output'\n")


@pytest.mark.parametrize("text", ["", "python train_network.py --rank 4", "python train_dreambooth.py --rank 4", "{"])
def test_other_scripts_are_not_diffusers_loras(text: str) -> None:
    assert not diffusers.recognises(Path("a.sh"), text)
