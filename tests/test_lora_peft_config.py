"""peft's own files are scaled as peft scales them, by the config that it saved beside them and by no other's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import peft
import pytest
import torch

from fixtures.loras.written import stir
from lora_doctor.inspection import inspect
from lora_doctor.lora_delta import weight_at
from lora_doctor.lora_file import read_lora
from lora_doctor.lora_peft_config import NAME
from lora_doctor.lora_tensors import read_parts
from lora_doctor.types import LoraFile

LAYERS = ("attn1.to_q", "attn1.to_k", "attn2.to_k")


class Attention(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.to_q, self.to_k = torch.nn.Linear(24, 32), torch.nn.Linear(24, 32)


class Denoiser(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attn1, self.attn2 = Attention(), Attention()


def saved(folder: Path, config: Any) -> tuple[LoraFile, dict[str, torch.Tensor]]:
    """A LoRA of three layers as peft saves it; and what peft makes of each layer, less what it was."""
    torch.manual_seed(1)
    base = Denoiser()
    pristine = {name: base.get_submodule(name).weight.detach().clone() for name in LAYERS}
    model = peft.get_peft_model(base, config, low_cpu_mem_usage=False)
    stir((parameter for parameter in model.parameters() if parameter.requires_grad), 0.2)
    model.save_pretrained(folder)
    merged = model.merge_and_unload()
    changes = {name: merged.get_submodule(name).weight.detach() - pristine[name] for name in LAYERS}
    return read_lora(folder / "adapter_model.safetensors"), changes


TARGETS: dict[str, Any] = {"target_modules": ["attn1.to_q", "attn1.to_k", "attn2.to_k"]}


@pytest.mark.parametrize(
    "config",
    [
        peft.LoraConfig(r=4, lora_alpha=32, **TARGETS),
        peft.LoraConfig(r=4, lora_alpha=32, use_rslora=True, **TARGETS),
        peft.LoraConfig(
            r=4, lora_alpha=32, rank_pattern={"attn2.to_k": 2}, alpha_pattern={"attn2.to_k": 3, "to_q": 7}, **TARGETS
        ),
        peft.LoHaConfig(r=4, alpha=6, **TARGETS),
        peft.LoKrConfig(r=2, alpha=6, **TARGETS),
        peft.LoKrConfig(r=64, alpha=6, **TARGETS),
    ],
    ids=["plain", "rank-stabilised", "patterns", "loha", "lokr", "whole lokr"],
)
def test_the_scale_is_peft_s_own(tmp_path: Path, config: Any) -> None:
    lora, changes = saved(tmp_path, config)
    assert {module.name for module in lora.modules} == set(LAYERS)
    for module in lora.modules:
        parts = {part: torch.from_numpy(values) for part, values in read_parts(lora, module).items()}
        ours = weight_at(module.kind, parts, scale=module.scale, pristine=torch.zeros(32, 24), weight=1.0)
        torch.testing.assert_close(ours, changes[module.name], rtol=1e-4, atol=1e-5)
        assert module.scale_recorded


def test_magnitudes_that_were_lost_are_a_fault(tmp_path: Path) -> None:
    saved(tmp_path, peft.LoraConfig(r=4, lora_alpha=8, **TARGETS))
    config = json.loads((tmp_path / NAME).read_text())
    (tmp_path / NAME).write_text(json.dumps(config | {"use_dora": True}))
    assert "no magnitudes" in read_lora(tmp_path / "adapter_model.safetensors").faults[0]


@pytest.mark.parametrize(
    "changed",
    [{"r": 8}, {"rank_pattern": {"to_q": 2}}, {"peft_type": "IA3"}, "[1]", "{", "[" * 9999, " " * 2**19, None],
    ids=["rank", "pattern", "kind", "list", "broken", "deep", "large", "none"],
)
def test_a_config_that_is_not_this_file_s_is_left_and_the_scale_said_to_be_unknown(
    tmp_path: Path, changed: dict[str, Any] | str | None
) -> None:
    lora, _ = saved(tmp_path, peft.LoraConfig(r=4, lora_alpha=32, **TARGETS))
    assert {module.scale for module in lora.modules} == {8.0}
    assert "scale-unrecorded" not in {finding.rule for finding in inspect(lora.path).findings}
    path = tmp_path / NAME
    if changed is None:
        path.unlink()
    else:
        config = json.loads(path.read_text())
        path.write_text(changed if isinstance(changed, str) else json.dumps(config | changed))
    assert {module.scale for module in read_lora(lora.path).modules} == {1.0}
    assert "scale-unrecorded" in {finding.rule for finding in inspect(lora.path).findings}


def test_a_config_with_a_pattern_that_could_take_for_ever_is_refused(tmp_path: Path) -> None:
    lora, _ = saved(tmp_path, peft.LoraConfig(r=4, lora_alpha=8, **TARGETS))
    config = json.loads((tmp_path / NAME).read_text())
    (tmp_path / NAME).write_text(json.dumps(config | {"alpha_pattern": {"(a+)+$": 3}}))
    assert "alpha_pattern" in read_lora(lora.path).faults[0]
