"""The length of a training: whole epochs where they are near, else steps or a word about it; a patched one is left."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_doctor.trainers import diffusers, kohya, musubi, onetrainer, simpletuner
from lora_doctor.trainers.length import NEAR, whole_epochs
from lora_doctor.types import (
    IDENTITY_EMPHASIS,
    IN_CONTEXT,
    Change,
    ConfigFiles,
    Dataset,
    DatasetImage,
    PatchedFiles,
)

SD_SCRIPTS, MUSUBI = Path("/cfg/a.toml"), Path("/cfg/m.toml")
ONE_EPOCH = {
    SD_SCRIPTS: 'train_data_dir = "/data"\nmax_train_epochs = 1\ntrain_batch_size = 2\n',
    MUSUBI: 'dataset_config = "data.toml"\ndit = "/m"\nmax_train_epochs = 1\n',
}
OF_MUSUBI = '[[datasets]]\nimage_directory = "/data"\nbatch_size = 2\nnum_repeats = 300\n'


def change(field: str, after: float, before: float | None = None) -> Change:
    return Change(field=field, before=before, after=after, rule="x", because="x")


def pictures(count: int, repeats: float, folder: str = "/data") -> Dataset:
    images = tuple(
        DatasetImage(path=Path(f"{folder}/{i}.png"), sha256="", width=8, height=8, caption="", repeats=repeats)
        for i in range(count)
    )
    return Dataset(path=Path("/data"), images=images)


def patched(trainer: ModuleType, texts: dict[Path, str], *changes: Change, dataset: Dataset | None) -> PatchedFiles:
    found = trainer.patch(ConfigFiles(path=next(iter(texts)), texts=texts), list(changes), dataset)
    assert isinstance(found, PatchedFiles)
    return found


@given(st.floats(0.01, 1000))
def test_whole_epochs_are_near_to_those_wanted_or_it_is_told(wanted: float) -> None:
    told: list[str] = []
    made = whole_epochs(wanted, told)
    assert made >= 1 and (bool(told) or made == pytest.approx(wanted, rel=NEAR + 1e-6))


@pytest.mark.parametrize("trainer, path", [(kohya, SD_SCRIPTS), (musubi, MUSUBI)])
def test_half_an_epoch_is_trained_in_steps(trainer: ModuleType, path: Path) -> None:
    texts = {path: ONE_EPOCH[path]} | ({Path("/cfg/data.toml"): OF_MUSUBI} if trainer is musubi else {})
    once = patched(trainer, texts, change("epochs", 0.5, 1.0), dataset=pictures(20, 300))
    told = tomllib.loads(once.texts[path])
    assert (told["max_train_steps"], told.get("max_train_epochs")) == (1500, None)
    assert not once.unsupported and "stands for 0.5 epochs" in once.notes[0]
    again = patched(trainer, dict(once.texts), change("epochs", 0.5, 1.0), dataset=pictures(20, 300))
    assert again.texts == once.texts


def test_half_of_the_steps_are_regularisations() -> None:
    texts = {SD_SCRIPTS: ONE_EPOCH[SD_SCRIPTS] + 'reg_data_dir = "/reg"\ngradient_accumulation_steps = 4\n'}
    told = patched(kohya, texts, change("epochs", 0.5), dataset=pictures(20, 300))
    assert tomllib.loads(told.texts[SD_SCRIPTS])["max_train_steps"] == 750


SIMPLETUNER = '{"model_family": "sdxl", "model_type": "lora", "num_train_epochs": 1, "train_batch_size": 1}'
DIFFUSERS = "accelerate launch train_dreambooth_lora_sdxl.py --dataset_name=/d --train_batch_size=1"


@pytest.mark.parametrize(
    "trainer, name, text, said",
    [
        (kohya, "a.toml", 'train_data_dir = "/d"\nmax_train_epochs = 1\n', "repeats times 0.5"),
        (musubi, "a.sh", "python wan_train_network.py --dataset_config d.toml --max_train_epochs 1", "repeats times"),
        (onetrainer, "a.json", '{"__version": 11, "concepts": [], "epochs": 1}', "balancing times 0.5"),
        (simpletuner, "a.json", SIMPLETUNER, "3000 steps, or repeats times 0.5"),
        (diffusers, "a.sh", DIFFUSERS, "3000 steps, or rows times 0.5"),
    ],
)
def test_half_an_epoch_that_cannot_be_trained_is_told(trainer: ModuleType, name: str, text: str, said: str) -> None:
    dataset = pictures(20, 300) if trainer in (simpletuner, diffusers) else None
    made = patched(trainer, {Path("/cfg") / name: text}, change("epochs", 0.5, 1.0), dataset=dataset)
    (told,) = made.unsupported
    assert "0.5 wanted" in told and said in told
    if trainer is not simpletuner:  # which gets the 0 of the other count
        assert made.texts[Path("/cfg") / name] == text
    else:
        assert json.loads(made.texts[Path("/cfg") / name]) == json.loads(text)


def test_epochs_that_new_repeats_cut_below_one_are_trained_in_steps() -> None:
    texts = {SD_SCRIPTS: 'dataset_config = "d.toml"\nmax_train_epochs = 1\ntrain_batch_size = 1\n',
             Path("/cfg/d.toml"): FOLDERS}  # fmt: skip
    told = patched(kohya, texts, change("identity_ratio", 0.6), dataset=roles())
    args = tomllib.loads(told.texts[SD_SCRIPTS])
    assert (args["max_train_steps"], args.get("max_train_epochs")) == (40, None)


FOLDERS = """\
[[datasets]]
[[datasets.subsets]]
image_dir = "/data/face"
num_repeats = 1
[[datasets.subsets]]
image_dir = "/data/context"
num_repeats = 1
"""
OF_BACKENDS = """[
 {"id": "a", "type": "local", "instance_data_dir": "/data/face", "repeats": 0},
 {"id": "b", "type": "local", "instance_data_dir": "/data/context", "repeats": 0}
]"""
EACH = [
    (kohya, {SD_SCRIPTS: 'dataset_config = "d.toml"\nmax_train_epochs = 10\n', Path("/cfg/d.toml"): FOLDERS}),
    (musubi, {MUSUBI: 'dataset_config = "d.toml"\ndit = "/m"\nmax_train_epochs = 10\n', Path("/cfg/d.toml"): (
        FOLDERS.replace("[[datasets]]\n", "").replace("datasets.subsets", "datasets").replace("_dir", "_directory")
    )}),
    (simpletuner, {Path("/cfg/config.json"): '{"data_backend_config": "b.json", "num_train_epochs": 10}',
                   Path("/cfg/b.json"): OF_BACKENDS}),
]  # fmt: skip


def roles() -> Dataset:
    folders = (("face", IDENTITY_EMPHASIS, 10), ("context", IN_CONTEXT, 30))
    images = tuple(
        DatasetImage(path=Path(f"/data/{folder}/{i}.png"), sha256="", width=8, height=8, caption="", role=role)
        for folder, role, count in folders for i in range(count)
    )  # fmt: skip
    return Dataset(path=Path("/data"), images=images)


@pytest.mark.parametrize("trainer, texts", EACH, ids=["sd-scripts", "musubi-tuner", "SimpleTuner"])
def test_a_config_that_was_patched_is_not_made_longer_again(trainer: ModuleType, texts: dict[Path, str]) -> None:
    asked = (change("epochs", 20.0, 10.0), change("identity_ratio", 0.4))
    once = patched(trainer, texts, *asked, dataset=roles())
    read = trainer.read(ConfigFiles(path=next(iter(texts)), texts=once.texts))
    assert read.epochs == 16
    again = patched(trainer, dict(once.texts), *asked, dataset=roles())
    assert again.texts == once.texts and not again.unsupported
    assert any("has 16, the check-up saw 10; taken as changed already" in note for note in again.notes)


@pytest.mark.parametrize("trainer, texts", EACH, ids=["sd-scripts", "musubi-tuner", "SimpleTuner"])
def test_epochs_alone_are_those_asked_for_whatever_the_config_has(trainer: ModuleType, texts: dict[Path, str]) -> None:
    once = patched(trainer, texts, change("epochs", 20.0, 12.0), dataset=roles())
    assert trainer.read(ConfigFiles(path=next(iter(texts)), texts=once.texts)).epochs == 20


@pytest.mark.parametrize("rate", ["cosine", "constant"])
@pytest.mark.parametrize(
    ("warm_up", "told"), [("500", "50% of the 1000 steps"), ("0.5", ""), ("100", ""), ("1600", "all of")]
)
def test_a_warm_up_that_takes_much_of_a_shorter_training_is_told(rate: str, warm_up: str, told: str) -> None:
    more = {"lr_scheduler": rate, "lr_warmup_steps": float(warm_up)}
    arguments = f'lr_scheduler = "{rate}"\nlr_warmup_steps = {warm_up}\nmax_train_steps = 2000\n'
    tuned = {"model_type": "lora", "model_family": "sdxl", "max_train_steps": 2000, **more}
    command = f"python train_dreambooth_lora_sdxl.py --max_train_steps 2000 --lr_scheduler {rate} --lr_warmup_steps "
    configs: list[tuple[ModuleType, dict[Path, str]]] = [
        (kohya, {SD_SCRIPTS: f'train_data_dir = "/data"\n{arguments}'}),
        (musubi, {MUSUBI: f'dataset_config = "data.toml"\ndit = "/m"\n{arguments}'}),
        (simpletuner, {Path("/cfg/config.json"): json.dumps(tuned)}),
        (diffusers, {Path("/cfg/run.sh"): command + warm_up}),
    ]
    for trainer, texts in configs:
        for steps, says in ((1000, told if rate != "constant" else ""), (4000, "")):
            notes = " ".join(patched(trainer, texts, change("steps", steps), dataset=None).notes)
            assert ("lr_warmup_steps stays" in notes) == bool(says) and says in notes


@pytest.mark.parametrize(
    ("accumulated", "told"), [(1, "all of the 200 steps"), (2, "all of the 100 steps"), (None, "")]
)
def test_a_warm_up_is_told_of_epochs_too(accumulated: int | None, told: str) -> None:
    concepts = [{"path": "/data", "balancing": 1.0}]
    more = {"gradient_accumulation_steps": accumulated} if accumulated else {"learning_rate_warmup_steps": 0.2}
    config = {"__version": 11, "concepts": concepts, "epochs": 10, "batch_size": 2, **more}
    config |= {"learning_rate_scheduler": "CONSTANT"}
    texts = {Path("/cfg/config.json"): json.dumps(config)}
    notes = patched(onetrainer, texts, change("epochs", 4.0), dataset=pictures(100, 1.0)).notes
    assert told in " ".join(notes) and bool(notes) == bool(told)


@pytest.mark.parametrize("trainer", [kohya, musubi])
@pytest.mark.parametrize(
    ("schedule", "told"),
    [
        ("lr_decay_steps = 1600\n", "(lr_decay_steps 1600)"),
        ('lr_scheduler_args = ["T_max=2000", "eta_min=1e-6"]\n', "(T_max 2000)"),
        ("lr_scheduler_timescale = 500\n", "(lr_scheduler_timescale 500)"),
        ("lr_decay_steps = 0.2\n", ""),  # a share
        ('lr_scheduler = "cosine"\n', ""),
    ],
)
def test_a_schedule_with_steps_of_its_own_is_told_when_the_length_changes(
    trainer: ModuleType, schedule: str, told: str
) -> None:
    path = Path("/cfg/args.toml")
    start = 'dit = "/dit"\n' if trainer is musubi else 'pretrained_model_name_or_path = "x"\n'
    config = ConfigFiles(path=path, texts={path: start + "max_train_steps = 2000\n" + schedule})
    notes = trainer.patch(config, [Change(field="steps", before=2000, after=1000, rule="", because="")]).notes
    shorter = f"The schedule of the learning rate keeps its own length {told}: make it 0.5 times as long."
    assert ([note for note in notes if "schedule" in note] == [shorter]) is bool(told)
    assert not [note for note in trainer.patch(config, []).notes if "schedule" in note]
