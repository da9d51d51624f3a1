"""ai-toolkit's settings come from the config beside the file, and from nowhere else."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from lora_doctor.types import TrainingRecord
from tests.recorded.written_metadata import record

WHERE = "config.yaml beside the file"


def config(**process: Any) -> dict[str, Any]:
    """A job like ai-toolkit's own examples (config/examples/train_lora_flux_24gb.yaml)."""
    usual = {
        "type": "sd_trainer",
        "trigger_word": "ohwx",
        "network": {"type": "lora", "linear": 16, "linear_alpha": 4},
        "datasets": [
            {
                "folder_path": "/data/private/closeup",
                "caption_dropout_rate": 0.1,
                "num_repeats": 3,
                "resolution": [768],
            },
            {"folder_path": "/data/reg", "is_reg": True, "resolution": [512]},
        ],
        "train": {"batch_size": 2, "steps": 2000, "lr": "1e-4", "dtype": "bf16", "noise_scheduler": "flowmatch"},
        "model": {"name_or_path": "black-forest-labs/FLUX.1-dev", "is_flux": True},
    }
    return {"job": "extension", "config": {"name": "my_lora", "process": [usual | process]}}


def beside(folder: Path, job: Any, **changes: str | None) -> TrainingRecord:
    YAML().dump(job, folder / "config.yaml")
    return record("ai_toolkit", folder / "my_lora.safetensors", **changes)


def test_without_its_config_only_trigger_and_steps_are_known() -> None:
    read = record("ai_toolkit")
    assert (read.trainer, read.triggers, read.folders) == ("ai-toolkit", ("ohwx",), ())
    assert (read.progress.steps, read.progress.epochs, read.base.version) == (250, 3, "flux.1")
    assert read.settings.rank is None and read.sources["rank"].endswith("no config.yaml beside it")
    assert read.hidden is not None


def test_the_config_beside_the_file_gives_the_settings(tmp_path: Path) -> None:
    read = beside(tmp_path, config())
    settings = read.settings
    assert (settings.rank, settings.steps, settings.batch_size, settings.resolution) == (16, 2000, 2, 768)
    assert (settings.learning_rate, settings.mixed_precision, settings.caption_dropout) == (1e-4, "bf16", 0.1)
    assert (settings.prediction_type, settings.train_text_encoder) == ("flow", False)
    assert read.sources["rank"] == f"{WHERE} linear" and read.hidden is None
    assert read.base.name == "black-forest-labs/FLUX.1-dev"


def test_what_the_config_leaves_out_is_the_trainer_s_default_and_says_so(tmp_path: Path) -> None:
    read = beside(tmp_path, config())
    assert read.settings.caption_token_dropout == 0.0
    assert read.sources["caption_token_dropout"] == f"{WHERE} does not set token_dropout_rate: ai-toolkit's default"


def test_only_the_last_part_of_a_folder_s_path_is_kept(tmp_path: Path) -> None:
    read = beside(tmp_path, config())
    assert [(folder.name, folder.repeats, folder.regularisation) for folder in read.folders] == [
        ("closeup", 3, False), ("reg", 1, True),
    ]  # fmt: skip
    assert "private" not in repr(read)


def test_linear_alpha_is_ignored_for_transformers_and_used_for_sdxl(tmp_path: Path) -> None:
    flux = beside(tmp_path, config())
    assert flux.settings.alpha == 16.0 and "ignored" in flux.sources["alpha"]
    assert beside(tmp_path, config(), ss_base_model_version="sdxl_1.0").settings.alpha == 4.0
    unknown = beside(tmp_path, config(), ss_base_model_version=None)
    assert unknown.settings.alpha is None and "depends on the family" in unknown.sources["alpha"]


def test_several_resolutions_are_no_width_and_height(tmp_path: Path) -> None:
    read = beside(tmp_path, config(datasets=[{"folder_path": "a", "resolution": [512, 1024]}]))
    assert read.settings.resolution is None and "differs between the resolutions" in read.sources["resolution"]


def test_datasets_that_differ_leave_a_setting_open(tmp_path: Path) -> None:
    rates = [{"folder_path": "a", "caption_dropout_rate": rate} for rate in (0.1, 0.2)]
    read = beside(tmp_path, config(datasets=rates))
    assert read.settings.caption_dropout is None and "differs between the datasets" in read.sources["caption_dropout"]


def test_lokr_with_whole_factors_has_no_rank(tmp_path: Path) -> None:
    read = beside(tmp_path, config(network={"type": "lokr", "linear": 16}))
    assert (read.settings.kind, read.settings.rank) == ("lokr", None)
    assert beside(tmp_path, config(network={"type": "lokr", "linear": 16, "lokr_full_rank": False})).settings.rank == 16


def test_another_training_s_config_is_not_believed(tmp_path: Path) -> None:
    read = beside(tmp_path, config(), ss_output_name="her_lora")
    assert read.settings.rank is None and "of another training" in read.sources["rank"]


BOMB = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"


@pytest.mark.parametrize(
    "text",
    [
        "config: [", BOMB, "- a", "a: " + "[" * 3000, "a: " + "9" * 5000, "a: 2020-13-45", "!!python/name:os.system x",
        "\x00", "? [a]: b", "x" * (2**20 + 1), "a: !!float x", "<<: 3",
    ],
    ids=["broken", "aliases", "list", "deep", "digits", "date", "python", "control", "key", "long", "float", "merge"],
)  # fmt: skip
def test_a_hostile_config_is_unreadable(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.yaml").write_text(text)
    read = record("ai_toolkit", tmp_path / "my_lora.safetensors")
    assert read.settings.rank is None and "unreadable" in read.sources["rank"]
    assert read.unreadable["config.yaml"].startswith("unreadable: ")


def test_a_folder_a_pipe_and_other_bytes_are_unreadable(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").mkdir()
    assert "config.yaml" in record("ai_toolkit", tmp_path / "x").unreadable
    (tmp_path / "config.yaml").rmdir()
    os.mkfifo(tmp_path / "config.yaml")
    assert record("ai_toolkit", tmp_path / "x").unreadable["config.yaml"] == "unreadable: it is not a regular file"
    (tmp_path / "config.yaml").unlink()
    (tmp_path / "config.yaml").write_bytes(b"\xff\xfe")
    assert record("ai_toolkit", tmp_path / "x").unreadable["config.yaml"] == "unreadable: it is not UTF-8"


def test_a_config_of_far_too_many_values_is_given_up_soon(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("".join(f"{key}: {{<<: {{b: 1}}}}\n" for key in range(12_000)))
    before = time.perf_counter()
    read = record("ai_toolkit", tmp_path / "my_lora.safetensors")
    assert "more than" in read.unreadable["config.yaml"] and time.perf_counter() - before < 8


@pytest.mark.parametrize("process", [None, [], [None], ["x"], [{"network": 3}], {"network": {}}])
def test_a_config_of_another_shape_leaves_reasons(tmp_path: Path, process: Any) -> None:
    read = beside(tmp_path, {"config": {"process": process}})
    assert read.settings.rank is None and read.sources["rank"] == f"{WHERE} trains no LoRA"


def test_values_of_the_wrong_type_leave_reasons(tmp_path: Path) -> None:
    read = beside(
        tmp_path, config(network={"linear": "many"}, train={"lr": float("nan"), "steps": [1], "batch_size": -1})
    )
    for field in ("rank", "learning_rate", "steps", "batch_size"):
        assert getattr(read.settings, field) is None and "unreadable" in read.sources[field]
