"""What diffusers itself writes comes back; the files are its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionPipeline
from peft import LoraConfig
from safetensors import safe_open

from lora_doctor.lora_settings import read_training_record
from lora_doctor.types import TrainingRecord

WEIGHTS = {"a.to_q.lora_A.weight": torch.ones(4, 8), "a.to_q.lora_B.weight": torch.ones(8, 4)}


def saved(folder: Path, text_encoder: bool = False, **fields: Any) -> dict[str, str]:
    """The metadata of a LoRA that diffusers saved with the settings of a LoraConfig."""
    adapter = LoraConfig(r=4, target_modules=["to_q"], **fields).to_dict()  # type: ignore[no-untyped-call]
    more: dict[str, Any] = {}
    if text_encoder:
        more = {
            "text_encoder_lora_layers": {key: value.clone() for key, value in WEIGHTS.items()},
            "text_encoder_lora_adapter_metadata": adapter,
        }
    StableDiffusionPipeline.save_lora_weights(
        folder, unet_lora_layers=WEIGHTS, unet_lora_adapter_metadata=adapter, **more
    )
    with safe_open(folder / "pytorch_lora_weights.safetensors", "pt") as file:
        return dict(file.metadata())


def read(metadata: dict[str, str]) -> TrainingRecord:
    return read_training_record(metadata, Path("/nonexistent/x.safetensors"))


def test_rank_alpha_and_dropout_come_back(tmp_path: Path) -> None:
    found = read(saved(tmp_path, lora_alpha=16, lora_dropout=0.1))
    assert (found.trainer, found.settings.rank, found.settings.alpha) == ("diffusers", 4, 16.0)
    assert (found.settings.network_dropout, found.settings.kind) == (0.1, "lora")
    assert found.sources["rank"] == "metadata lora_adapter_metadata unet.r"
    assert found.settings.learning_rate is None and "only the adapter's own" in found.sources["learning_rate"]


def test_dora_is_a_kind_of_its_own(tmp_path: Path) -> None:
    assert read(saved(tmp_path, use_dora=True)).settings.kind == "dora"


@pytest.mark.parametrize("trained", [True, False])
def test_a_trained_text_encoder_is_seen(tmp_path: Path, trained: bool) -> None:
    assert read(saved(tmp_path, text_encoder=trained)).settings.train_text_encoder is trained


def test_a_rank_pattern_is_a_caveat(tmp_path: Path) -> None:
    found = read(saved(tmp_path, rank_pattern={"mid": 8, "up": 2}))
    assert found.settings.rank == 4 and found.sources["rank"].endswith("(rank_pattern changes 2)")


@pytest.mark.parametrize(
    "bad", ["{}", "[]", "{", '{"unet.r": "many"}', '{"unet.r": NaN}', '{"x": 1}', '{"unet.r": []}']
)
def test_a_hostile_record_leaves_a_reason(bad: str) -> None:
    found = read({"lora_adapter_metadata": bad})
    assert found.trainer == "diffusers" and found.settings.rank is None and found.sources["rank"]
