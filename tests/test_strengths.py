"""The same LoRA at another strength: what it does at weight 1 is what the first one does at that weight."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file

from benchmarks.strengths import HEALTHY, STRENGTHS, all_severities, scaled
from lora_doctor.plugins import data_folder
from lora_doctor.settings import load_settings

YUKI = data_folder("miniature") / "patients" / "yuki"


def test_every_update_is_scaled_and_nothing_else(tmp_path: Path) -> None:
    half = scaled(YUKI, 0.5, tmp_path)
    before, after = load_file(YUKI / "lora.safetensors"), load_file(half / "lora.safetensors")
    assert half.name == "yuki-x0.5" and before.keys() == after.keys()
    for down in (name for name in before if name.endswith("lora_A.weight")):
        up = down.replace("lora_A", "lora_B")
        whole, now = (f[up].double().flatten(1) @ f[down].double().flatten(1) for f in (before, after))
        torch.testing.assert_close(now, whole * 0.5, rtol=0, atol=1e-3 * float(whole.abs().max()))


def test_it_has_the_dataset_and_settings_of_its_patient(tmp_path: Path) -> None:
    settings = load_settings(scaled(YUKI, 1.25, tmp_path) / "lora.safetensors", {})
    assert settings.dataset == tmp_path / "yuki-x1.25" / "dataset"
    assert len(list(settings.dataset.glob("*.png"))) == len(list((YUKI / "dataset").glob("*.png")))


def test_there_are_twenty_one_of_different_names(tmp_path: Path) -> None:
    folders = all_severities(tmp_path)
    assert len({folder.name for folder in folders}) == len(folders) == 9 + len(HEALTHY) * len(STRENGTHS) == 21
