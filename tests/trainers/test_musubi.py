"""musubi-tuner's configs and commands: hands off first, then every change in several styles."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_doctor.errors import UsageError
from lora_doctor.trainers import kohya, musubi
from lora_doctor.types import IDENTITY_EMPHASIS, IN_CONTEXT, Change, ConfigFiles, Dataset, DatasetImage

ARGS, DATA, RUN = Path("/cfg/args.toml"), Path("/cfg/data.toml"), Path("/cfg/run.sh")
NETWORK = """\
# Z-Image
dit = "/models/z_image.safetensors"
dataset_config = "data.toml"
network_module = "networks.lora_zimage"
network_dim = 32   # small
learning_rate = 1e-4
max_train_epochs = 16
own_note = "kept"
"""
DATASETS = """\
[general]
resolution = [1024, 1024]
caption_extension = ".txt"
batch_size = 1
enable_bucket = true

[[datasets]]
image_directory = "/data/closeup"
cache_directory = "/data/closeup/cache"
num_repeats = 1   # once

[[datasets]]
image_directory = "/data/context"

[[datasets]]
video_directory = "/data/videos"
target_frames = [1]
"""
COMMAND = """\
accelerate launch --num_cpu_threads_per_process 1 --mixed_precision bf16 src/musubi_tuner/zimage_train_network.py \\
    --dit path/to/dit --vae path/to/vae \\
    --dataset_config data.toml \\
    --sdpa --mixed_precision bf16 \\
    --optimizer_type adamw8bit --learning_rate 1e-4 --gradient_checkpointing \\
    --network_module networks.lora_zimage --network_dim 32 \\
    --max_train_epochs 16 --save_every_n_epochs 1 --seed 42
"""


def both(args: str = NETWORK, data: str | None = DATASETS) -> ConfigFiles:
    return ConfigFiles(path=ARGS, texts={ARGS: args, **({DATA: data} if data is not None else {})})


def script(name: str, text: str, data: str = DATASETS) -> ConfigFiles:
    path = Path("/cfg") / name
    return ConfigFiles(path=path, texts={path: text, DATA: data})


BATCH = COMMAND.replace(" \\\n", " ^\n").replace("src/musubi_tuner/", "src\\musubi_tuner\\")
STYLES = {
    "two files": both(),
    "windows": both(NETWORK.replace("\n", "\r\n"), DATASETS.replace("\n", "\r\n")),
    "sections": both('[model]\ndit = "/m"\n[network]\nnetwork_dim = 8\nnetwork_alpha = 4.0\n[data]\ndataset_config = "data.toml"\n'),  # noqa: E501
    "command": script("run.sh", COMMAND),
    "command in a line": script("run.sh", COMMAND.replace("\\\n   ", "")),
    "a module": script("run.sh", "python -m musubi_tuner.qwen_image_train_network --dataset_config=data.toml --dit=/m"),
    "batch file": script("run.bat", BATCH),
    "batch file, windows": script("run.bat", BATCH.replace("\n", "\r\n")),
    "powershell": script("run.ps1", COMMAND.replace(" \\\n", " `\n")),
    "one size": both(data=DATASETS.replace("[1024, 1024]", "1024")),
    "settings in datasets": both(data='[[datasets]]\nimage_directory = "/data/closeup"\nresolution = [960, 544]\nbatch_size = 2\n'),  # noqa: E501
}  # fmt: skip
CHANGES = {
    "rank": 48,
    "alpha": 48.0,
    "seed": 7,
    "learning_rate": 5e-5,
    "resolution": 1536,
    "batch_size": 4,
    "epochs": 20.0,
    "steps": 3000,
}


def change(field: str, after: Any) -> Change:
    return Change(field=field, before=None, after=after, rule="a-rule", because="")


@pytest.mark.parametrize("config", STYLES.values(), ids=STYLES)
def test_no_change_changes_no_byte(config: ConfigFiles) -> None:
    assert musubi.recognises(config.path, config.text)
    assert not kohya.recognises(config.path, config.text)
    assert musubi.patch(config, []).texts == config.texts
    read = musubi.read(config)
    known = [change(field, getattr(read, field)) for field in CHANGES if getattr(read, field) is not None]
    assert musubi.patch(config, known).texts == config.texts


@pytest.mark.parametrize("config", STYLES.values(), ids=STYLES)
@pytest.mark.parametrize("field", CHANGES)
def test_each_change_is_read_again_in_every_style_and_is_made_once(config: ConfigFiles, field: str) -> None:
    patched = musubi.patch(config, [change(field, CHANGES[field])])
    assert not patched.unsupported
    again = ConfigFiles(path=config.path, texts=patched.texts)
    assert getattr(musubi.read(again), field) == CHANGES[field]
    assert musubi.patch(again, [change(field, CHANGES[field])]).texts == patched.texts
    for other in set(CHANGES) - {field, "epochs", "steps"}:
        assert getattr(musubi.read(again), other) == getattr(musubi.read(config), other)


@settings(deadline=None)
@given(st.sampled_from(sorted(STYLES)), st.integers(1, 256), st.floats(1e-6, 1e-2), st.integers(1, 10**5))
def test_what_is_patched_is_read_and_patched_twice_is_patched_once(
    style: str, rank: int, rate: float, steps: int
) -> None:
    config, wanted = STYLES[style], {"rank": rank, "learning_rate": rate, "steps": steps}
    changes = [change(field, after) for field, after in wanted.items()]
    patched = ConfigFiles(path=config.path, texts=musubi.patch(config, changes).texts)
    read = musubi.read(patched)
    assert {field: getattr(read, field) for field in wanted} == wanted
    assert musubi.patch(patched, changes).texts == patched.texts


def test_a_comment_and_an_unknown_key_stay() -> None:
    patched = musubi.patch(both(), [change("rank", 48)])
    assert patched.texts == {ARGS: NETWORK.replace("= 32  ", "= 48  "), DATA: DATASETS}


def test_defaults_are_settings_too() -> None:
    read = musubi.read(STYLES["a module"])
    assert (read.rank, read.alpha, read.steps, read.learning_rate) == (4, 1.0, 1600, 2e-6)


def pictures(closeups: int, contexts: int) -> Dataset:
    images = [(IDENTITY_EMPHASIS, "closeup", i) for i in range(closeups)]
    images += [(IN_CONTEXT, "context", i) for i in range(contexts)]
    return Dataset(path=Path("/data"), images=tuple(
        DatasetImage(path=Path(f"/data/{folder}/{i}.png"), sha256="", width=8, height=8, caption="", role=role)
        for role, folder, i in images
    ))  # fmt: skip


def test_the_identity_ratio_becomes_whole_repeats_and_the_training_stays_as_long() -> None:
    patched = musubi.patch(both(), [change("identity_ratio", 0.33)], pictures(20, 60))
    closeup, context, _ = tomllib.loads(patched.texts[DATA])["datasets"]
    face, around = 20 * closeup["num_repeats"], 60 * context.get("num_repeats", 1)
    assert face / (face + around) == pytest.approx(0.33, abs=0.011)
    epochs = tomllib.loads(patched.texts[ARGS])["max_train_epochs"]
    assert epochs * (face + around) == pytest.approx(16 * 80, rel=0.1)
    assert "# once" in patched.texts[DATA]


ORDERS = pytest.mark.parametrize("order", [1, -1], ids=["before", "after"])
LENGTHS = pytest.mark.parametrize(
    "args", [NETWORK, NETWORK.replace("max_train_epochs = 16", "max_train_steps = 1600")], ids=["epochs", "steps"]
)


@ORDERS
@LENGTHS
def test_a_prescribed_number_of_epochs_stands_beside_new_repeats(args: str, order: int) -> None:
    changes = [change("epochs", 20.0), change("identity_ratio", 0.33)][::order]
    patched = musubi.patch(both(args), changes, pictures(20, 60))
    closeup, context, _ = (one.get("num_repeats", 1) for one in tomllib.loads(patched.texts[DATA])["datasets"])
    epochs = tomllib.loads(patched.texts[ARGS])["max_train_epochs"]
    assert epochs * (20 * closeup + 60 * context) == pytest.approx(20 * 80, rel=0.05)
    assert epochs != 20 and ["max_train_epochs follows" in note for note in patched.notes] == [True]


@ORDERS
@LENGTHS
def test_a_prescribed_number_of_steps_stands_beside_new_repeats(args: str, order: int) -> None:
    changes = [change("steps", 3000), change("identity_ratio", 0.33)][::order]
    patched = musubi.patch(both(args), changes, pictures(20, 60))
    told = tomllib.loads(patched.texts[ARGS])
    assert (told["max_train_steps"], told.get("max_train_epochs"), patched.notes) == (3000, None, ())
    assert patched.texts[DATA] != DATASETS


def test_arguments_in_json_are_refused_as_musubi_tuner_does() -> None:
    path = Path("/cfg/args.json")
    text = '{"dit": "/models/z.safetensors", "dataset_config": "data.toml"}'
    assert musubi.recognises(path, text)
    with pytest.raises(UsageError, match="arguments in JSON, of which musubi-tuner reads nothing"):
        musubi.read(ConfigFiles(path=path, texts={path: text}))


@pytest.mark.parametrize(
    "field, after",
    [
        ("caption_dropout", 0.1),
        ("caption_token_dropout", 0.3),
        ("train_text_encoder", True),
        ("negative_tokens", ("red_hair",)),
    ],
)
def test_what_the_trainer_cannot_do_is_said(field: str, after: Any) -> None:
    patched = musubi.patch(both(), [change(field, after)])
    assert patched.texts == both().texts
    (said,) = patched.unsupported
    assert said.startswith(field) and "musubi-tuner" in said


def test_another_resolution_takes_new_caches() -> None:
    (note,) = musubi.patch(both(), [change("resolution", 768)]).notes
    assert "caching programs" in note


def test_a_dataset_config_alone_is_patched_where_it_can_be() -> None:
    config = ConfigFiles(path=DATA, texts={DATA: DATASETS})
    assert musubi.recognises(DATA, DATASETS) and musubi.companions(DATA, DATASETS) == ()
    patched = musubi.patch(config, [change("resolution", 768), change("rank", 48)])
    assert "resolution = [768, 768]" in patched.texts[DATA]
    assert "give the file of arguments" in patched.unsupported[0]


def test_moved_pictures_get_a_cache_of_their_own() -> None:
    moved = {DATA: Path("/new/data.toml"), Path("/data/closeup"): Path("/new/dataset/closeup")}
    texts = musubi.relocated(both(), moved)
    assert tomllib.loads(texts[ARGS])["dataset_config"] == "/new/data.toml"
    closeup, context, _ = tomllib.loads(texts[DATA])["datasets"]
    assert closeup["image_directory"] == "/new/dataset/closeup"
    assert closeup["cache_directory"] == "/new/dataset/closeup/cache"
    assert context == {"image_directory": "/data/context"}


def test_the_new_lora_goes_where_it_is_told() -> None:
    config = STYLES["command"]
    texts = musubi.writing_to(config, Path("/new/output"))
    assert texts[RUN] == COMMAND.replace("--seed 42\n", "--seed 42 --output_dir /new/output\n")


def test_a_new_training_does_not_go_on_from_a_saved_state_of_the_old_one() -> None:
    config = ConfigFiles(path=RUN, texts={RUN: COMMAND.replace("--seed 42", "--resume /old/state --seed 42")})
    assert "--resume" not in musubi.writing_to(config, Path("/new"))[RUN]
    (note,) = musubi.patch(config, [change("seed", 7)]).notes
    assert "resume is taken out" in note


def test_rank_and_alpha_that_are_taken_from_weights_are_neither_read_nor_written() -> None:
    config = both(NETWORK + 'dim_from_weights = "/old.safetensors"\n')
    assert (musubi.read(config).rank, musubi.read(config).alpha) == (None, None)
    patched = musubi.patch(config, [change("rank", 48), change("alpha", 48.0)])
    assert patched.texts == config.texts
    assert all("dim_from_weights" in said for said in patched.unsupported) and len(patched.unsupported) == 2
