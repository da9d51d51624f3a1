"""sd-scripts' configs: hands off first, then every change in arguments and dataset configs of several styles."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_doctor.errors import UsageError
from lora_doctor.trainers import kohya, musubi
from lora_doctor.training_config import read_training_config
from lora_doctor.types import (
    IDENTITY_EMPHASIS,
    IN_CONTEXT,
    Change,
    ConfigFiles,
    Dataset,
    DatasetImage,
    PatchedFiles,
    Role,
    Subset,
    TrainingSettings,
)

ARGS, DATA = Path("/cfg/args.toml"), Path("/cfg/data.toml")
COMMAND = """\
#!/bin/bash
# third try
MODEL="/models/my sdxl.safetensors"
cd /opt/sd-scripts && accelerate launch --num_cpu_threads_per_process 1 sdxl_train_network.py \\
  --pretrained_model_name_or_path="$MODEL" \\
  --dataset_config=data.toml \\
  --network_dim=16 --network_args "conv_dim=8" "conv_alpha=4" \\
  --unet_lr=1e-4 --text_encoder_lr 5e-5 5e-5 \\
  --max_train_epochs=10 \\
  --seed 42 2>&1 | tee log.txt
"""
BATCH = """\
@echo off
rem third try
set ROOT=C:\\lora
accelerate launch "sdxl_train_network.py" ^
  --train_data_dir="%ROOT%\\img" ^
  --resolution=1024,1024 --train_batch_size=4 ^
  --network_train_unet_only --learning_rate=0.0001 --max_train_steps=3000
pause
"""
POWERSHELL = """\
$env:HF_HOME = "huggingface"
$dim = 32 # small
accelerate launch `
  "train_network.py" `
  --train_data_dir "./train" `
  --network_dim $dim `
  --network_alpha 16 --max_train_epochs 8
"""
LISTED = """\
DIM=8
ARGS=(
  --train_data_dir /data
  --network_dim $DIM   # small
  --cache_latents
)
python train_network.py "${ARGS[@]}"
"""
NETWORK = """\
# third try
pretrained_model_name_or_path = "/models/sdxl.safetensors"
dataset_config = "data.toml"
network_module = "networks.lora"
network_dim = 16            # small
network_args = ["conv_dim=8", "conv_alpha=4"]
unet_lr = 1e-4
text_encoder_lr = [5e-5, 5e-5]
max_train_epochs = 10
seed = 42
own_note = "kept"
"""
SUBSETS = """\
[general]
shuffle_caption = true
keep_tokens = 1
caption_dropout_rate = 0.10   # whole captions

[[datasets]]
resolution = 1024
batch_size = 2

  [[datasets.subsets]]
  image_dir = "/data/closeup"
  num_repeats = 3

  [[datasets.subsets]]
  image_dir = "/data/context"
  num_repeats = 2
  caption_tag_dropout_rate = 0.05

  [[datasets.subsets]]
  image_dir = "/data/reg"
  is_reg = true
  caption_dropout_rate = 0.0
"""


def files(args: str = NETWORK, data: str | None = SUBSETS) -> ConfigFiles:
    return ConfigFiles(path=ARGS, texts={ARGS: args, **({DATA: data} if data is not None else {})})


def change(field: str, after: Any) -> Change:
    return Change(field=field, before=None, after=after, rule="a-rule", because="")


def pictures(closeups: int, contexts: int) -> Dataset:
    images = [(IDENTITY_EMPHASIS, "closeup", i) for i in range(closeups)]
    images += [(IN_CONTEXT, "context", i) for i in range(contexts)]
    return Dataset(
        path=Path("/data"),
        images=tuple(
            DatasetImage(path=Path(f"/data/{folder}/{i}.png"), sha256="", width=8, height=8, caption="", role=role)
            for role, folder, i in images
        ),
    )


def read_again(config: ConfigFiles, patched: PatchedFiles) -> TrainingSettings:
    return kohya.read(ConfigFiles(path=config.path, texts=patched.texts))


STYLES = {
    "two files": files(),
    "windows": ConfigFiles(
        path=ARGS, texts={ARGS: NETWORK.replace("\n", "\r\n"), DATA: SUBSETS.replace("\n", "\r\n")}
    ),
    "sections": files(
        '[model]\nv2 = false\n[network]\nnetwork_dim = 8\nnetwork_alpha = 4.0\n[training]\nlearning_rate = 0.0001\n'
        'max_train_steps = 1600\n[dataset]\ndataset_config = "data.toml"\n'
    ),
    "folders": files('train_data_dir = "/data"\nnetwork_dim = 32\nnetwork_alpha = 16\nmax_train_epochs = 8\n', None),
    "folders, everything": files(
        'train_data_dir = "/data"\nresolution = "1024,1024"\ntrain_batch_size = 4\ncaption_dropout_rate = 0.1\n'
        'network_train_unet_only = true\nlearning_rate = 1e-4\nmax_train_steps = 3000\n', None,
    ),
    "in_json": files('in_json = "meta.json"\ntrain_data_dir = "/data"\n', None),
    "settings in subsets": files(
        data='[[datasets]]\nresolution = 768\n[[datasets.subsets]]\nimage_dir = "/data/closeup"\n'
        "caption_dropout_rate = 0.2\n"
        '[[datasets.subsets]]\nimage_dir = "/data/context"\ncaption_dropout_rate = 0.1\n'
    ),
    "inline tables": files(
        data='datasets = [{resolution = [1024, 768], subsets = [{image_dir = "/data/closeup"}]}]\n'
    ),
    "several datasets": files(
        data='[general]\n[[datasets]]\nresolution = 512\n[[datasets.subsets]]\nimage_dir = "/data/closeup"\n'
        '[[datasets]]\nresolution = 1024\n[[datasets.subsets]]\nimage_dir = "/data/closeup"\nnum_repeats = 4\n'
    ),
    "dataset config in json": ConfigFiles(
        path=ARGS,
        texts={
            ARGS: NETWORK.replace("data.toml", "data.json"),
            Path("/cfg/data.json"): json.dumps(tomllib.loads(SUBSETS), indent=2),
        },
    ),
    "command": ConfigFiles(path=Path("/cfg/train.sh"), texts={Path("/cfg/train.sh"): COMMAND, DATA: SUBSETS}),
    "command, folders": ConfigFiles(path=Path("/cfg/a.sh"), texts={Path("/cfg/a.sh"): LISTED}),
    "command in a line": ConfigFiles(path=Path("/cfg/b.bash"), texts={
        Path("/cfg/b.bash"): "python -u /opt/sd/train_network.py --train_data_dir='/my data' --caption_dropout_rate 0.2"
    }),
    "batch file": ConfigFiles(path=Path("C/a.bat"), texts={Path("C/a.bat"): BATCH}),
    "batch file, windows": ConfigFiles(path=Path("C/a.bat"), texts={Path("C/a.bat"): BATCH.replace("\n", "\r\n")}),
    "powershell": ConfigFiles(path=Path("C/a.ps1"), texts={Path("C/a.ps1"): POWERSHELL}),
}  # fmt: skip
EDITABLE = {name: one for name, one in STYLES.items() if name != "inline tables"}
CHANGES = {
    "rank": 48,
    "alpha": 48.0,
    "seed": 7,
    "learning_rate": 5e-5,
    "caption_dropout": 0.05,
    "caption_token_dropout": 0.3,
    "resolution": 1536,
    "batch_size": 1,
    "epochs": 20.0,
    "train_text_encoder": False,
    "flip_augmentation": True,
}


@pytest.mark.parametrize("config", STYLES.values(), ids=STYLES)
def test_no_change_changes_no_byte(config: ConfigFiles) -> None:
    assert kohya.recognises(config.path, config.text)
    assert kohya.patch(config, []).texts == config.texts
    read = kohya.read(config)
    known = [change(field, getattr(read, field)) for field in CHANGES if getattr(read, field) is not None]
    known = [one for one in known if one.field not in ("rank", "alpha")]  # defaults, where they are not given
    assert kohya.patch(config, known).texts == config.texts


@pytest.mark.parametrize("config", EDITABLE.values(), ids=EDITABLE)
@pytest.mark.parametrize("field", CHANGES)
def test_each_change_is_read_again_in_every_style_and_is_made_once(config: ConfigFiles, field: str) -> None:
    wanted = change(field, CHANGES[field])
    patched = kohya.patch(config, [wanted])
    assert not patched.unsupported
    assert getattr(read_again(config, patched), field) == CHANGES[field]
    again = kohya.patch(ConfigFiles(path=config.path, texts=patched.texts), [wanted])
    assert again.texts == patched.texts
    for other in set(CHANGES) - {field, "epochs"}:
        assert getattr(read_again(config, patched), other) == getattr(kohya.read(config), other)


RATES = st.floats(0, 1).map(lambda x: round(x, 3))


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(sorted(EDITABLE)), st.integers(1, 256), RATES, RATES, st.floats(1e-6, 1e-2))
def test_what_is_patched_is_read_and_patched_twice_is_patched_once(
    style: str, rank: int, whole: float, token: float, rate: float
) -> None:
    config = EDITABLE[style]
    wanted = {"rank": rank, "caption_dropout": whole, "caption_token_dropout": token, "learning_rate": rate}
    changes = [change(field, after) for field, after in wanted.items()]
    patched = kohya.patch(config, changes)
    assert {field: getattr(read_again(config, patched), field) for field in wanted} == wanted
    assert kohya.patch(ConfigFiles(path=config.path, texts=patched.texts), changes).texts == patched.texts


def test_a_comment_and_an_unknown_key_stay_and_the_diff_is_a_line() -> None:
    patched = kohya.patch(files(), [change("rank", 48)])
    assert patched.texts == {ARGS: NETWORK.replace("= 16  ", "= 48  "), DATA: SUBSETS}


def test_settings_are_read_from_both_files() -> None:
    read = kohya.read(files())
    assert (read.rank, read.alpha, read.epochs, read.steps) == (16, 1.0, 10.0, None)
    assert (read.learning_rate, read.text_encoder_learning_rate) == (1e-4, 5e-5)
    assert (read.conv_rank, read.conv_alpha, read.resolution, read.batch_size) == (8, 4.0, 1024, 2)
    assert (read.caption_dropout, read.caption_token_dropout) == (0.1, None)  # the close-ups have no token dropout
    assert read.shuffle_captions is True and read.keep_tokens == 1


def test_pictures_of_regularisation_keep_their_captions() -> None:
    patched = kohya.patch(files(), [change("caption_dropout", 0.3)])
    data = tomllib.loads(patched.texts[DATA])
    assert data["general"]["caption_dropout_rate"] == 0.3
    assert data["datasets"][0]["subsets"][2]["caption_dropout_rate"] == 0.0


@pytest.mark.parametrize(
    ("field", "key"), [("caption_token_dropout", "caption_tag_dropout_rate"), ("flip_augmentation", "flip_aug")]
)
def test_what_no_table_gives_yet_does_not_reach_pictures_of_regularisation(field: str, key: str) -> None:
    data = SUBSETS.replace("  caption_tag_dropout_rate = 0.05\n", "")
    after = CHANGES[field]
    told = tomllib.loads(kohya.patch(files(data=data), [change(field, after)]).texts[DATA])
    subsets = told["datasets"][0]["subsets"]
    assert [one.get(key) for one in subsets] == [after, after, None] and key not in told["general"]
    without = data[: data.rindex("  [[datasets.subsets]]")]
    told = tomllib.loads(kohya.patch(files(data=without), [change(field, after)]).texts[DATA])
    assert told["general"][key] == after and not any(key in one for one in told["datasets"][0]["subsets"])


@pytest.mark.parametrize("cache", ["cache_text_encoder_outputs", "cache_text_encoder_outputs_to_disk"])
def test_a_cache_that_forbids_dropout_is_switched_off_with_it(cache: str) -> None:
    config = files(NETWORK + f"{cache} = true\n")
    patched = kohya.patch(config, [change("caption_token_dropout", 0.3)])
    assert tomllib.loads(patched.texts[ARGS])[cache] is False
    assert any(cache in note for note in patched.notes)
    rank_alone = kohya.patch(config, [change("rank", 48)])
    assert tomllib.loads(rank_alone.texts[ARGS])[cache] is True and not rank_alone.notes


def captioned(caption: str) -> Dataset:
    picture = DatasetImage(path=Path("/data/closeup/0.png"), sha256="", width=8, height=8, caption=caption)
    return Dataset(path=Path("/data"), images=(picture,))


DROPOUT = change("caption_token_dropout", 0.3)
OWN = """\
[[datasets]]
[[datasets.subsets]]
image_dir = "/data/closeup"
keep_tokens = 3
[[datasets.subsets]]
image_dir = "/data/context"
{}
"""


def test_tokens_up_to_the_trigger_are_kept_with_the_dropout_of_others() -> None:
    """sd-scripts drops the first tag as readily as any other."""
    patched = kohya.patch(files(), [DROPOUT], captioned("1girl, yuki, park"), "yuki")
    assert tomllib.loads(patched.texts[DATA])["general"]["keep_tokens"] == 2
    assert ["keep_tokens raised to 2" in note for note in patched.notes] == [True]
    none = kohya.patch(files(), [change("rank", 48), change("caption_dropout", 0.2)], captioned("1girl, yuki"), "yuki")
    assert tomllib.loads(none.texts[DATA])["general"]["keep_tokens"] == 1 and not none.notes


def test_what_a_subset_keeps_is_raised_and_never_lowered() -> None:
    for own, kept in (("keep_tokens = 1", (3, 2, None)), ("", (3, None, 2)), ("keep_tokens = 2", (3, 2, None))):
        patched = kohya.patch(files(data=OWN.format(own)), [DROPOUT], captioned("1girl, yuki, park"), "yuki")
        data = tomllib.loads(patched.texts[DATA])
        found = [one.get("keep_tokens") for one in (*data["datasets"][0]["subsets"], data["general"])]
        assert tuple(found) == kept
        assert bool(patched.notes) == (own != "keep_tokens = 2")


def test_a_separator_of_kept_tokens_says_itself_what_stays() -> None:
    apart = kohya.patch(files(data=OWN.format('keep_tokens_separator = "|||"')), [DROPOUT], captioned("1girl"), "yuki")
    assert "keep_tokens = 1" not in apart.texts[DATA] and not apart.notes
    args = 'train_data_dir = "/data"\nkeep_tokens_separator = "|||"\n'
    assert "keep_tokens =" not in kohya.patch(files(args, None), [DROPOUT]).texts[ARGS]
    marked = kohya.patch(files(args, None), [DROPOUT], captioned("1girl, yuki ||| park"), "yuki")
    assert "keep_tokens =" not in marked.texts[ARGS]


def test_a_separator_of_kept_tokens_that_captions_lack_keeps_nothing() -> None:
    pictures = captioned("1girl, yuki, park")
    apart = kohya.patch(files(data=OWN.format('keep_tokens_separator = "|||"')), [DROPOUT], pictures, "yuki")
    assert "keep_tokens = 2" in apart.texts[DATA]
    args = 'train_data_dir = "/data"\nkeep_tokens_separator = "|||"\n'
    assert "keep_tokens = 2" in kohya.patch(files(args, None), [DROPOUT], pictures, "yuki").texts[ARGS]


def test_the_arguments_keep_tokens_where_they_drop_them() -> None:
    for config in (files('train_data_dir = "/data"\n', None), STYLES["command, folders"]):
        patched = kohya.patch(config, [DROPOUT], captioned("1girl, yuki, park"), "yuki")
        assert read_again(config, patched).keep_tokens == 2


def test_the_identity_ratio_becomes_whole_repeats_and_the_training_stays_as_long() -> None:
    config = files(data=SUBSETS.replace("num_repeats = 3", "num_repeats = 1").replace("num_repeats = 2\n", ""))
    patched = kohya.patch(config, [change("identity_ratio", 0.33)], pictures(20, 60))
    subsets = tomllib.loads(patched.texts[DATA])["datasets"][0]["subsets"]
    closeup, context = subsets[0]["num_repeats"], subsets[1].get("num_repeats", 1)
    assert 20 * closeup / (20 * closeup + 60 * context) == pytest.approx(0.33, abs=0.011)
    epochs = tomllib.loads(patched.texts[ARGS])["max_train_epochs"]
    assert epochs * (20 * closeup + 60 * context) == pytest.approx(10 * 80, rel=0.1)
    assert "num_repeats" not in subsets[2]


ONCE = SUBSETS.replace("num_repeats = 3", "num_repeats = 1").replace("num_repeats = 2\n", "")
ORDERS = pytest.mark.parametrize("order", [1, -1], ids=["before", "after"])
BY_STEPS = NETWORK.replace("max_train_epochs = 10", "max_train_steps = 1600")


@ORDERS
@pytest.mark.parametrize("args", [NETWORK, BY_STEPS], ids=["epochs", "steps"])
def test_a_prescribed_number_of_epochs_stands_beside_new_repeats(args: str, order: int) -> None:
    changes = [change("epochs", 20.0), change("identity_ratio", 0.33)][::order]
    patched = kohya.patch(files(args, ONCE), changes, pictures(20, 60))
    closeup, context, _ = (
        one.get("num_repeats", 1) for one in tomllib.loads(patched.texts[DATA])["datasets"][0]["subsets"]
    )
    epochs = tomllib.loads(patched.texts[ARGS])["max_train_epochs"]
    assert epochs * (20 * closeup + 60 * context) == pytest.approx(20 * 80, rel=0.05)
    assert epochs != 20 and ["max_train_epochs follows" in note for note in patched.notes] == [True]


@pytest.mark.parametrize(
    ("closeup", "context", "ratio", "epochs"), [(3, 1, 0.33, 15.0), (2, 1, 0.25, 7.5), (1, 3, 0.4, 20.0)]
)
def test_new_repeats_and_new_epochs_are_made_once(closeup: int, context: int, ratio: float, epochs: float) -> None:
    """Also where the repeats make up for the epochs, so that these are as before."""
    data = ONCE.replace("num_repeats = 1", f"num_repeats = {closeup}")
    data = data.replace('image_dir = "/data/context"', f'image_dir = "/data/context"\n  num_repeats = {context}')
    before = round(20 * closeup / (20 * closeup + 60 * context), 3)
    changes = [
        Change(field="identity_ratio", before=before, after=ratio, rule="a-rule", because=""),
        Change(field="epochs", before=10.0, after=epochs, rule="a-rule", because=""),
    ]
    once = kohya.patch(files(data=data), changes, pictures(20, 60))
    again = kohya.patch(ConfigFiles(path=ARGS, texts=once.texts), changes, pictures(20, 60))
    assert once.texts[DATA] != data and again.texts == once.texts


@ORDERS
@pytest.mark.parametrize("args", [NETWORK, BY_STEPS], ids=["epochs", "steps"])
def test_a_prescribed_number_of_steps_stands_beside_new_repeats(args: str, order: int) -> None:
    changes = [change("steps", 3000), change("identity_ratio", 0.33)][::order]
    patched = kohya.patch(files(args, ONCE), changes, pictures(20, 60))
    told = tomllib.loads(patched.texts[ARGS])
    assert (told["max_train_steps"], told.get("max_train_epochs"), patched.notes) == (3000, None, ())
    assert patched.texts[DATA] != ONCE


def test_the_length_of_a_training_follows_new_repeats_alone() -> None:
    args = NETWORK.replace("max_train_epochs = 10", 'max_train_epochs = "10.5"')
    assert kohya.patch(files(args), [change("rank", 48)], pictures(20, 60)).texts[ARGS] == args.replace("16 ", "48 ")


def test_a_ratio_that_no_repeats_reach_is_said() -> None:
    data = '[[datasets]]\n[[datasets.subsets]]\nimage_dir = "/data/context"\n'
    (said,) = kohya.patch(files(data=data), [change("identity_ratio", 0.4)], pictures(0, 12)).unsupported
    assert "0.4 is wanted" in said and "reach 0.00" in said
    (unknown,) = kohya.patch(files(), [change("identity_ratio", 0.4)]).unsupported
    assert "not known" in unknown


def test_epochs_come_before_steps_so_they_go_where_steps_are_wanted() -> None:
    text = kohya.patch(files(), [change("steps", 3000)]).texts[ARGS]
    assert "max_train_epochs" not in text and "max_train_steps = 3000" in text


def test_what_the_trainer_has_no_setting_for_is_said_with_the_nearest() -> None:
    (said,) = kohya.patch(files(), [change("negative_tokens", ("black_hair",))]).unsupported
    assert "nearest" in said


def test_a_dataset_config_alone_is_patched_where_it_can_be() -> None:
    config = ConfigFiles(path=DATA, texts={DATA: SUBSETS})
    assert kohya.recognises(DATA, SUBSETS) and kohya.companions(DATA, SUBSETS) == ()
    patched = kohya.patch(config, [change("caption_dropout", 0.3), change("rank", 48)])
    assert "caption_dropout_rate = 0.3   # whole" in patched.texts[DATA]
    assert "give the file of arguments" in patched.unsupported[0]


@pytest.mark.parametrize("text", ["", "a = 1", 'job = "extension"', "{", '[[datasets]]\nimage_directory = "a"'])
def test_other_files_are_not_sd_scripts(text: str) -> None:
    assert not kohya.recognises(Path("x.toml"), text)


def test_moved_files_and_folders_are_named_where_they_go() -> None:
    moved = {ARGS: Path("/new/args.toml"), DATA: Path("/new/data.toml"), Path("/data/context"): Path("/new/dataset")}
    texts = kohya.relocated(files(), moved)
    assert tomllib.loads(texts[ARGS])["dataset_config"] == "/new/data.toml"
    subsets = tomllib.loads(texts[DATA])["datasets"][0]["subsets"]
    assert [one["image_dir"] for one in subsets] == ["/data/closeup", "/new/dataset", "/data/reg"]


def test_the_new_lora_goes_where_it_is_told_and_nothing_else_changes() -> None:
    texts = kohya.writing_to(files(), Path("/new/output"))
    assert tomllib.loads(texts[ARGS]) == tomllib.loads(files().texts[ARGS]) | {"output_dir": "/new/output"}
    assert texts[DATA] == files().texts[DATA]


def test_ranks_and_alphas_of_blocks_come_before_those_for_all() -> None:
    config = files(NETWORK.replace("conv_dim=8", "block_dims=4,4,8").replace("conv_alpha=4", "block_alphas=4,4,4"))
    assert (kohya.read(config).rank, kohya.read(config).alpha) == (None, None)
    patched = kohya.patch(config, [change("rank", 48), change("alpha", 48.0)])
    assert patched.texts == config.texts
    assert [told.split(" in ")[0] for told in patched.unsupported] == ["rank: block_dims", "alpha: block_alphas"]
    assert kohya.read(files(NETWORK.replace("conv_alpha=4", "block_alphas=4,4,4"))).alpha == 1.0


@pytest.mark.parametrize("module", [kohya, musubi])
@pytest.mark.parametrize(
    ("args", "own"),
    [
        ("", True),
        ('"warmup_init=True", "relative_step=False"', True),
        ('"relative_step=False", "scale_parameter=False"', False),
    ],
)
def test_the_rate_that_adafactor_finds_itself_is_not_changed(module: ModuleType, args: str, own: bool) -> None:
    text = (
        f'learning_rate = 1e-4\noptimizer_type = "Adafactor"\noptimizer_args = [{args}]\ndataset_config = "data.toml"\n'
    )
    config = files(text + ('dit = "/m"\n' if module is musubi else ""), "[[datasets]]\n")
    patched = module.patch(config, [change("learning_rate", 5e-5)])
    assert (patched.texts == config.texts) == own
    assert ["Adafactor finds its rate itself" in told for told in patched.unsupported] == [True] * own


def test_a_new_training_does_not_go_on_from_a_saved_state_of_the_old_one() -> None:
    texts = {ARGS: f'resume = "/old/state"\n{files().texts[ARGS]}', DATA: files().texts[DATA]}
    config = ConfigFiles(path=ARGS, texts=texts)
    (note,) = kohya.patch(config, [change("rank", 48)]).notes
    assert "resume is taken out" in note
    assert kohya.writing_to(config, Path("/new"))[ARGS] == kohya.writing_to(files(), Path("/new"))[ARGS]


def test_a_command_is_changed_where_the_options_stand() -> None:
    config = STYLES["command"]
    changes = [change("rank", 48), change("alpha", 48.0), change("epochs", 20.0), change("caption_dropout", 0.05)]
    texts = kohya.patch(config, changes).texts
    after = COMMAND.replace("--network_dim=16", "--network_dim=48").replace("epochs=10", "epochs=20")
    assert texts[config.path] == after.replace("--seed 42 2>", "--seed 42 \\\n  --network_alpha 48 2>")
    assert texts[DATA] == SUBSETS.replace("caption_dropout_rate = 0.10", "caption_dropout_rate = 0.05")


def test_settings_are_read_from_a_command() -> None:
    read = kohya.read(STYLES["command"])
    assert (read.rank, read.alpha, read.epochs, read.learning_rate, read.seed) == (16, 1.0, 10.0, 1e-4, 42)
    assert (read.conv_rank, read.conv_alpha, read.text_encoder_learning_rate, read.resolution) == (8, 4.0, 5e-5, 1024)
    assert kohya.read(STYLES["batch file"]).train_text_encoder is False
    assert kohya.read(STYLES["powershell"]).rank == 32


def test_a_command_that_has_its_arguments_in_a_file_says_which() -> None:
    path, text = Path("/cfg/run.sh"), "accelerate launch train_network.py --config_file my.toml"
    assert kohya.recognises(path, text)
    with pytest.raises(UsageError, match=r"my\.toml"):
        kohya.read(ConfigFiles(path=path, texts={path: text}))


PROJECT = {
    "LoRA_type": "Standard", "additional_parameters": "", "epoch": 10, "max_train_steps": 0, "max_train_epochs": 0,
    "max_resolution": "1024,1024", "optimizer": "AdamW8bit", "text_encoder_lr": 5e-5, "network_dim": 32,
    "train_data_dir": "/data", "sdxl_cache_text_encoder_outputs": True,
}  # fmt: skip


@pytest.mark.parametrize(("values", "said"), [
    (PROJECT, "project of kohya_ss's window"), ({"train_data_dir": "/data", "network_dim": 16}, "arguments in JSON"),
])  # fmt: skip
def test_json_that_sd_scripts_does_not_read_is_refused_with_what_to_give_instead(
    tmp_path: Path, values: dict[str, Any], said: str
) -> None:
    path = tmp_path / "args.json"
    path.write_text(json.dumps(values, indent=2))
    with pytest.raises(UsageError, match=said) as refused:
        read_training_config(path)
    assert "TOML" in str(refused.value.advice) and refused.value.path == path


def test_a_length_that_is_not_given_is_1600_steps_as_sd_scripts_has_it() -> None:
    config = files('train_data_dir = "/data"\n', None)
    assert (kohya.read(config).steps, kohya.read(config).epochs) == (1600, None)
    patched = kohya.patch(config, [change("steps", 3200)])
    assert tomllib.loads(patched.texts[ARGS])["max_train_steps"] == 3200
    assert kohya.patch(config, [change("steps", 1600)]).texts == config.texts
    dataset_alone = ConfigFiles(path=DATA, texts={DATA: SUBSETS})
    assert kohya.read(dataset_alone).steps is None


def test_what_is_so_by_default_is_not_written() -> None:
    config = files('train_data_dir = "/data"\n', None)
    usual = {
        "flip_augmentation": False, "train_text_encoder": True, "caption_token_dropout": 0.0, "caption_dropout": 0.0,
    }  # fmt: skip
    read = kohya.read(config)
    assert {field: getattr(read, field) for field in usual} == usual
    assert (read.keep_tokens, read.shuffle_captions) == (0, False)
    assert kohya.patch(config, [change(field, after) for field, after in usual.items()]).texts == config.texts
    alone = kohya.read(ConfigFiles(path=DATA, texts={DATA: "[[datasets]]\n[[datasets.subsets]]\nimage_dir = 'a'\n"}))
    assert {getattr(alone, field) for field in usual} == {None}  # the arguments may say otherwise


@pytest.mark.parametrize("name", ["epochs", "steps"])
def test_a_length_of_0_is_none(name: str) -> None:
    read = kohya.read(files(f'train_data_dir = "/data"\nmax_train_{name} = 0\n', None))
    assert (read.steps, read.epochs) == (None, None)


def test_accelerates_own_config_file_is_neither_read_nor_edited() -> None:
    path = Path("/cfg/run.sh")
    text = "accelerate launch --config_file accel.yaml train_network.py --train_data_dir img --network_dim 8\n"
    config = ConfigFiles(path=path, texts={path: text})
    assert kohya.recognises(path, text) and kohya.read(config).rank == 8
    texts = kohya.relocated(config, {Path("/cfg/img"): Path("/new/img")})
    assert texts[path] == text.replace("--train_data_dir img", "--train_data_dir /new/img")


def test_a_command_of_another_trainer_is_not_sd_scripts() -> None:
    for name in ("zimage_train_network.py", "train_dreambooth_lora_sdxl.py", "cache_latents.py"):
        assert not kohya.recognises(Path("a.sh"), f"python {name} --dataset_config d.toml")


def test_folders_are_found_as_the_config_sees_them() -> None:
    """A relative one is meant from the config's own folder; one with dots is the same folder."""
    config = ConfigFiles(path=Path("/cfg/args.toml"), texts={Path("/cfg/args.toml"): (
        'network_dim = 8\ntrain_data_dir = "../data/./img"\n'
    )})  # fmt: skip
    texts = kohya.relocated(config, {Path("/data/img"): Path("/new/img")})
    assert 'train_data_dir = "/new/img"' in texts[Path("/cfg/args.toml")]


def numbered(*folders: tuple[str, Role, int], regularisation: str = "") -> Dataset:
    """Pictures in folders of /data, named as sd-scripts wants them."""
    images = tuple(
        DatasetImage(path=Path(f"/data/{name}/{i}.png"), sha256="", width=8, height=8, caption="", role=role)
        for name, role, count in folders for i in range(count)
    )  # fmt: skip
    subsets = (Subset(folder=Path(regularisation), regularisation=True),) if regularisation else ()
    return Dataset(path=Path("/data"), images=images, subsets=subsets)


RATIO = [Change(field="identity_ratio", before=None, after=0.33, rule="x", because="x")]
CLOSE_UPS = (("10_face yuki", IDENTITY_EMPHASIS, 20), ("1_context yuki", IN_CONTEXT, 60))


def test_numbered_folders_become_a_dataset_config_with_other_repeats() -> None:
    config = files('train_data_dir = "/data"  # mine\nresolution = "1024"\nmax_train_epochs = 10\n', None)
    patched = kohya.patch(config, RATIO, numbered(*CLOSE_UPS))
    new = config.path.with_name("args.dataset.toml")
    subsets = tomllib.loads(patched.texts[new])["datasets"][0]["subsets"]
    assert [one["image_dir"] for one in subsets] == ["/data/10_face yuki", "/data/1_context yuki"]
    assert [one["class_tokens"] for one in subsets] == ["face yuki", "context yuki"]
    face, context = (one["num_repeats"] for one in subsets)
    assert 20 * face / (20 * face + 60 * context) == pytest.approx(0.33, abs=0.02)
    args = tomllib.loads(patched.texts[config.path])
    assert args["dataset_config"] == "args.dataset.toml" and args["train_data_dir"] == "/data"
    seen_before, seen = 10 * (20 * 10 + 60), args["max_train_epochs"] * (20 * face + 60 * context)
    assert seen == pytest.approx(seen_before, rel=0.1)
    assert "# mine" in patched.texts[config.path] and not patched.unsupported


@ORDERS
def test_prescribed_epochs_stand_beside_other_repeats_of_numbered_folders(order: int) -> None:
    config = files('train_data_dir = "/data"\nmax_train_epochs = 10\n', None)
    patched = kohya.patch(config, [change("epochs", 20.0), *RATIO][::order], numbered(*CLOSE_UPS))
    subsets = tomllib.loads(patched.texts[config.path.with_name("args.dataset.toml")])["datasets"][0]["subsets"]
    face, context = (one["num_repeats"] for one in subsets)
    epochs = tomllib.loads(patched.texts[config.path])["max_train_epochs"]
    assert epochs * (20 * face + 60 * context) == pytest.approx(20 * (20 * 10 + 60), rel=0.05)


def test_what_became_a_dataset_config_is_read_and_not_changed_again() -> None:
    config = files('train_data_dir = "/data"\nmax_train_epochs = 10\n', None)
    once = ConfigFiles(path=config.path, texts=kohya.patch(config, RATIO, numbered(*CLOSE_UPS)).texts)
    assert kohya.companions(once.path, once.text) == (config.path.with_name("args.dataset.toml"),)
    assert kohya.patch(once, RATIO, numbered(*CLOSE_UPS)).texts == once.texts
    moved = {path: Path("/new") / path.name for path in once.texts} | {Path("/data/10_face yuki"): Path("/new/f")}
    texts = kohya.relocated(once, moved)
    assert tomllib.loads(texts[once.path])["dataset_config"] == "/new/args.dataset.toml"
    assert '"/new/f"' in texts[config.path.with_name("args.dataset.toml")]


def test_folders_without_a_number_are_left_out_as_sd_scripts_does() -> None:
    config = files('train_data_dir = "/data"\n', None)
    patched = kohya.patch(config, RATIO, numbered(*CLOSE_UPS, ("more", IN_CONTEXT, 9)))
    assert "/data/more" not in "".join(patched.texts.values())


def test_a_folder_named_by_its_repeats_alone_is_trained_on_as_before() -> None:
    config = files('train_data_dir = "/data"\nreg_data_dir = "/reg"\n', None)
    patched = kohya.patch(config, RATIO, numbered(*CLOSE_UPS, ("5", IN_CONTEXT, 9), regularisation="/reg/2"))
    subsets = tomllib.loads(patched.texts[config.path.with_name("args.dataset.toml")])["datasets"][0]["subsets"]
    trained = (f"/data/{name}" for name, _, _ in CLOSE_UPS)
    assert {one["image_dir"] for one in subsets} == {*trained, "/data/5", "/reg/2"}
    assert "class_tokens" not in subsets[-1] and subsets[-1]["num_repeats"] == 2


def test_regularisation_folders_come_along_or_nothing_is_changed() -> None:
    """With a dataset config, sd-scripts passes over reg_data_dir."""
    config = files('train_data_dir = "/data"\nreg_data_dir = "/reg"\n', None)
    refused = kohya.patch(config, RATIO, numbered(*CLOSE_UPS))
    assert refused.texts == config.texts and "reg_data_dir" in refused.unsupported[0]
    patched = kohya.patch(config, RATIO, numbered(*CLOSE_UPS, regularisation="/reg/1_girl"))
    subsets = tomllib.loads(patched.texts[config.path.with_name("args.dataset.toml")])["datasets"][0]["subsets"]
    assert subsets[-1] == {"image_dir": "/reg/1_girl", "num_repeats": 1, "class_tokens": "girl", "is_reg": True}


def test_rank_and_alpha_that_are_taken_from_weights_are_neither_read_nor_written() -> None:
    config = files(
        'train_data_dir = "/data"\nnetwork_weights = "/old"\ndim_from_weights = true\nnetwork_dim = 8\n', None
    )
    assert (kohya.read(config).rank, kohya.read(config).alpha) == (None, None)
    patched = kohya.patch(config, [change("rank", 48), change("alpha", 48.0)])
    assert patched.texts == config.texts
    assert all("dim_from_weights" in said for said in patched.unsupported) and len(patched.unsupported) == 2


@pytest.mark.parametrize(
    ("rates", "trained"),
    [
        ("", True),
        ("text_encoder_lr = 5e-5\n", True),
        ("text_encoder_lr = 0\n", False),
        ("text_encoder_lr = 0.0\n", False),
        ("text_encoder_lr = [0, 0.0]\n", False),
        ("text_encoder_lr = [0, 5e-5]\n", True),
    ],
)
def test_text_encoders_with_a_rate_of_0_are_not_trained_and_get_the_general_one_when_they_are_to_be(
    rates: str, trained: bool
) -> None:
    config = ConfigFiles(path=ARGS, texts={ARGS: f"network_dim = 8\nlearning_rate = 1e-4\n{rates}"})
    assert kohya.read(config).train_text_encoder is trained
    wanted = Change(field="train_text_encoder", before=trained, after=True, rule="", because="")
    text = kohya.patch(config, [wanted]).texts[ARGS]
    assert (text == config.text) == trained
    assert kohya.read(ConfigFiles(path=ARGS, texts={ARGS: text})).train_text_encoder is True
    if not trained:
        assert tomllib.loads(text)["text_encoder_lr"] == 1e-4
