"""What is started to train again, and what is not trained again, or judged, in place of something else."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import lora_doctor.training
from lora_doctor import retraining
from lora_doctor.dataset_layout import read_dataset
from lora_doctor.errors import EnvironmentFailure, InputRefused, LoraDoctorError, UsageError
from lora_doctor.instruments import silent
from lora_doctor.retrain_plan import RetrainPlan
from lora_doctor.retraining import hook_for, train_and_check
from lora_doctor.run_folder import RunFolder
from lora_doctor.settings import RetrainSettings, load_retrain
from lora_doctor.types import IN_CONTEXT, Dataset, Prescription
from tests.test_devices import ring
from tests.test_retrain_copy import everything, kohya, pictures, plan
from tests.test_retrain_hook import WRITES, lora, sha

OWN = RetrainSettings(command=(sys.executable, "-c", "raise SystemExit(9)"))
"""A trainer that fails."""


def of_a_run(told: RetrainPlan, **settings: Any) -> RetrainPlan:
    """The plan with as much of a check-up as starting a trainer takes."""
    run: Any = SimpleNamespace(lora={"family": "sdxl"}, inputs={"lora": "0" * 64}, prescription=Prescription())
    known: Any = SimpleNamespace(**({"model": Path("yuki.safetensors")} | settings))
    return replace(told, before=run, settings=known)


def test_a_round_is_started_where_the_users_config_says_and_not_the_written_one(tmp_path: Path) -> None:
    data = pictures(tmp_path / "img", "a.png", caption="yuki")
    config = kohya(tmp_path / "proj", str(data), 'caption_extension = ".txt"')
    (tmp_path / "sd-scripts").mkdir()
    (tmp_path / "proj" / "lora-doctor.toml").write_text('[retrain]\nfolder = "../sd-scripts"\nhours = 100\n')
    first, second = tmp_path / "new" / "round-1", tmp_path / "new" / "round-2"
    plan(config, read_dataset(data), captions={data / "a.png": "yuki, tall"}).write(first)
    told = plan(first / "args.toml", read_dataset(first / "dataset"), start=load_retrain(config))
    hook = hook_for(of_a_run(told), second)
    assert hook is not None and hook.seconds == 360_000
    assert hook.folder.resolve() == tmp_path / "sd-scripts"


# ---------------------------------------------------------------- nothing is trained over


def started(told: RetrainPlan, folder: Path, made: Path) -> Path:
    """The LoRA of a trainer that writes `made` as it is; its check-up is not looked at here."""
    told.write(folder)
    command = (sys.executable, "-c", WRITES, "{output}", str(made))
    hook = hook_for(of_a_run(replace(told, start=RetrainSettings(command=command))), folder)
    assert hook is not None
    return retraining.train(hook, "0" * 64, lambda line, again: None)


def _with_another_seed(folder: Path, dataset: Dataset) -> RetrainPlan:
    config = folder / "args.toml"
    config.write_text(config.read_text() + "seed = 2\n")
    return plan(config, dataset, captions={folder / "img" / "a.png": "yuki, tall"})


def _with_added_pictures(folder: Path, dataset: Dataset) -> RetrainPlan:
    added = read_dataset(pictures(folder / "more", "n.png", caption="yuki, beach"))
    return plan(folder / "args.toml", dataset, captions={folder / "img" / "a.png": "yuki, tall"}, added=added)


def _with_another_caption(folder: Path, dataset: Dataset) -> RetrainPlan:
    return plan(folder / "args.toml", dataset, captions={folder / "img" / "a.png": "yuki, short"})


@pytest.mark.parametrize("other", [_with_another_seed, _with_added_pictures, _with_another_caption])
def test_a_kept_retraining_is_found_again_and_no_other_is_written_over_it(
    tmp_path: Path, other: Callable[[Path, Dataset], RetrainPlan]
) -> None:
    data = pictures(tmp_path / "img", "a.png", "b.png", caption="yuki")
    config, out = kohya(tmp_path, str(data), 'caption_extension = ".txt"'), tmp_path / "run" / "retrained"
    dataset, made = read_dataset(data), lora(tmp_path / "made.safetensors", 1.0)
    told = plan(config, dataset, captions={data / "a.png": "yuki, tall"})
    found = started(told, out, made)
    (out / "dataset" / "a_64x64_sdxl.npz").write_bytes(b"what the trainer leaves beside the pictures")
    lora(made, 2.0)
    before = sha(found)
    assert started(told, out, made) == found and sha(found) == before
    kept, asked = everything(out), other(tmp_path, dataset)
    with pytest.raises(UsageError, match="trained with another config, dataset or command"):
        started(asked, out, made)
    assert everything(out) == kept
    assert sha(started(asked, tmp_path / "run" / "again", made)) == sha(made) != before


def test_a_dataset_that_is_not_copied_and_has_changed_is_another_training(tmp_path: Path) -> None:
    data = pictures(tmp_path / "img", "a.png", caption="yuki")
    config, out = kohya(tmp_path, str(data), 'caption_extension = ".txt"'), tmp_path / "out"
    made = lora(tmp_path / "made.safetensors", 1.0)
    found = started(plan(config, read_dataset(data)), out, made)
    assert started(plan(config, read_dataset(data)), out, made) == found
    (data / "a.txt").write_text("yuki, tall")
    with pytest.raises(UsageError, match="trained with another config, dataset or command"):
        started(plan(config, read_dataset(data)), out, made)


def test_a_lora_that_lies_in_the_output_of_a_project_already_keeps_anything_from_being_written(tmp_path: Path) -> None:
    data = pictures(tmp_path / "img", "a.png", caption="yuki")
    config = kohya(tmp_path / "configs", str(data), 'caption_extension = ".txt"')
    lora(tmp_path / "output" / "yuki.safetensors", 7.0)
    before = everything(tmp_path)
    told = plan(config, read_dataset(data), captions={data / "a.png": "yuki, tall"})
    with pytest.raises(UsageError, match=r"'output/yuki\.safetensors', which lora-doctor did not train"):
        told.write(tmp_path)
    assert everything(tmp_path) == before


@pytest.mark.parametrize("held", ["another check-up", "something else"])
def test_nothing_is_trained_where_the_check_up_of_the_new_lora_would_be_refused(tmp_path: Path, held: str) -> None:
    data = pictures(tmp_path / "img", "a.png", caption="yuki")
    config, out = kohya(tmp_path, str(data), 'caption_extension = ".txt"'), tmp_path / "out"
    if held == "another check-up":
        with RunFolder(out / "yuki-checkup") as run:
            run.put_plan({"lora": "1" * 64}, ())
    else:
        pictures(out / "yuki-checkup", "holiday.png")
    told = of_a_run(plan(config, read_dataset(data), captions={data / "a.png": "yuki, tall"}, start=OWN))
    told.write(out)
    with pytest.raises(LoraDoctorError) as refused:
        train_and_check(told, out, silent)
    assert isinstance(refused.value, UsageError if held == "another check-up" else InputRefused)
    assert "yuki-checkup" in str(refused.value) and not (out / "training.log").exists()


def test_the_check_up_before_holds_no_memory_any_more_when_a_trainer_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = pictures(tmp_path / "img", "a.png", caption="yuki")
    config, out = kohya(tmp_path, str(data), 'caption_extension = ".txt"'), tmp_path / "out"
    told = of_a_run(plan(config, read_dataset(data), captions={data / "a.png": "yuki, tall"}, start=OWN))
    told.write(out)

    def started(*given: Any) -> Path:
        raise EnvironmentFailure("held" if left() is not None else "free")

    monkeypatch.setattr(retraining, "train", started)
    with ring() as left, pytest.raises(EnvironmentFailure, match="free"):
        train_and_check(told, out, silent)


# ---------------------------------------------------------------- our own trainer


def own(folder: Path, seed: int) -> RetrainPlan:
    """For our own trainer, with a picture whose role is known."""
    data = pictures(folder / "data", "a.png", caption="yuki")
    (folder / "training.toml").write_text(
        f'trainer = "lora-doctor"\ndataset = "data"\nrank = 4\nsteps = 10\nseed = {seed}\n'
    )
    dataset = read_dataset(data)
    known = replace(dataset, images=tuple(replace(i, role=IN_CONTEXT, emphasis=0.0) for i in dataset.images))
    told = plan(folder / "training.toml", dataset, known=known)
    return of_a_run(told, model=Path("yuki.safetensors"), base="miniature", trigger="yuki")


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The seeds that were trained with: only whether a training is started is looked at."""
    seeds: list[int] = []

    def train_lora(base: Path, dataset: Dataset, settings: Any, *, out: Path, **more: Any) -> Path:
        seeds.append(settings.seed)
        return lora(out, float(settings.seed))

    monkeypatch.setattr(lora_doctor.training, "train_lora", train_lora)
    return seeds


def test_our_own_trainer_takes_no_lora_of_another_seed_for_the_new_one(tmp_path: Path, trained: list[int]) -> None:
    first, second = tmp_path / "one", tmp_path / "two"
    told = own(tmp_path, 1)
    for _ in range(2):
        told.write(first)
        found = retraining._trained(told, first, silent)
    before = sha(found)
    other = own(tmp_path, 2)
    with pytest.raises(UsageError, match=r"'yuki\.safetensors', which was trained with another config"):
        other.write(first)
    assert sha(found) == before and "seed = 1" in (first / "training.toml").read_text()
    other.write(second)
    assert sha(retraining._trained(other, second, silent)) != before
    assert trained == [1, 2]


def test_our_own_trainer_takes_no_lora_that_was_there_for_the_new_one(tmp_path: Path, trained: list[int]) -> None:
    mine = lora(tmp_path / "proj" / "yuki.safetensors", 7.0)
    before = everything(tmp_path / "proj")
    with pytest.raises(UsageError, match="which lora-doctor did not train"):
        own(tmp_path, 1).write(tmp_path / "proj")
    assert everything(tmp_path / "proj") == before and mine.is_file() and trained == []


# ---------------------------------------------------------------- made stronger, not trained


def weak(folder: Path, times: float | None = 1.3) -> RetrainPlan:
    """A plan that changes nothing, of a LoRA that is prescribed to be made stronger."""
    told = own(folder, 1)
    lora(folder / "yuki.safetensors", 1.0)
    run: Any = SimpleNamespace(lora={"family": "sdxl"}, inputs={"lora": "0" * 64},
                               prescription=Prescription(rescale=times))  # fmt: skip
    return replace(
        told, before=run, settings=SimpleNamespace(**{**vars(told.settings), "model": folder / "yuki.safetensors"})
    )


def test_a_lora_that_only_has_to_be_stronger_is_made_so_and_nothing_is_trained(
    tmp_path: Path, trained: list[int]
) -> None:
    told, out = weak(tmp_path), tmp_path / "new"
    assert told.rescales == 1.3 and hook_for(told, out) is None
    before = sha(tmp_path / "yuki.safetensors")
    told.write(out)
    found = retraining._rescaled(told, 1.3, out, lambda: None)
    assert found == out / "yuki.safetensors" and trained == []
    assert sha(tmp_path / "yuki.safetensors") == before != sha(found)
    made = sha(found)
    told.write(out)
    assert sha(retraining._rescaled(told, 1.3, out, lambda: None)) == made
    with pytest.raises(UsageError, match="which was trained with another config, dataset or command"):
        retraining._rescaled(told, 1.5, out, lambda: None)


def test_where_something_is_to_be_trained_it_is_trained_first(tmp_path: Path) -> None:
    told = weak(tmp_path)
    other = {path: text + "rank = 8\n" for path, text in told.texts.items()}
    assert replace(told, texts=other).rescales is None
    assert weak(tmp_path, None).rescales is None
