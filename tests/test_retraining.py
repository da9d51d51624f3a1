"""What is started to train again, and what is not trained again, or judged, in place of something else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from lora_doctor.dataset_layout import read_dataset
from lora_doctor.retrain_plan import RetrainPlan
from lora_doctor.retraining import hook_for
from lora_doctor.settings import load_retrain
from tests.test_retrain_copy import kohya, pictures, plan


def of_a_run(told: RetrainPlan, **settings: Any) -> RetrainPlan:
    """The plan with as much of a check-up as starting a trainer takes."""
    run: Any = SimpleNamespace(lora={"family": "sdxl"}, inputs={"lora": "0" * 64})
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
