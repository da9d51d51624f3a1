"""A rescaled LoRA's update is exactly so many times the old one's, whatever kind it is, and nothing else changes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from fixtures.loras.written import stir
from lora_doctor.errors import InputRefused, LoraDoctorError, UsageError
from lora_doctor.lora_delta import weight_at
from lora_doctor.lora_file import read_lora
from lora_doctor.lora_rescaling import RECORD, rescale
from lora_doctor.lora_tensors import read_parts
from tests.test_lora_delta import ALPHA, CASES, RANK, layer

MISA = Path(__file__).parents[1] / "fixtures" / "miniature" / "patients" / "misa" / "lora.safetensors"
GROWS = ("lora", "tucker", "loha", "lokr", "full")


def written(folder: Path, maker: Any, options: dict[str, Any], where: str) -> tuple[Path, torch.Tensor]:
    """A file of one module as LyCORIS saves it, and the weight of the layer that it adapts."""
    adapted = layer(where)
    given = {"multiplier": 1.0, "lora_dim": RANK, "alpha": ALPHA} | options
    module = maker("lora_unet_x", adapted, **given)
    stir(module.parameters(), 0.2)
    saved = (module.custom_state_dict() if hasattr(module, "custom_state_dict") else {}) or module.state_dict()
    state = {f"lora_unet_x.{name}": tensor.detach().contiguous() for name, tensor in saved.items()}
    save_file(state, folder / "a.safetensors")
    return folder / "a.safetensors", adapted.weight.detach()


def added(path: Path, pristine: torch.Tensor) -> torch.Tensor:
    lora = read_lora(path)
    (module,) = lora.modules
    parts = {name: torch.from_numpy(array) for name, array in read_parts(lora, module).items()}
    return weight_at(module.kind, parts, scale=module.scale, pristine=pristine, weight=1.0) - pristine


@pytest.mark.parametrize(("kind", "maker", "options", "where"), CASES)
@pytest.mark.parametrize("times", [1.29, 0.5])
def test_the_update_is_so_many_times_as_large_or_the_kind_is_refused(
    tmp_path: Path, kind: str, maker: Any, options: dict[str, Any], where: str, times: float
) -> None:
    path, pristine = written(tmp_path, maker, options, where)
    if kind not in GROWS or "weight_decompose" in options:
        with pytest.raises(UsageError, match=r"x is (DoRA|OFT|BOFT|IA3|GLORA), whose update does not grow"):
            rescale(path, times, tmp_path / "b.safetensors")
        assert not (tmp_path / "b.safetensors").exists()
        return
    before, after = added(path, pristine), added(rescale(path, times, tmp_path / "b.safetensors"), pristine)
    assert before.norm() > 0
    assert float((after - times * before).norm() / before.norm()) < 1e-5


def tensors_of(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    with safe_open(path, framework="pt") as held:
        return {name: held.get_tensor(name) for name in held.keys()}, dict(held.metadata() or {})  # noqa: SIM118


def test_of_peft_s_own_form_the_second_factor_grows_and_all_else_is_as_it_was(tmp_path: Path) -> None:
    before, told = tensors_of(MISA)
    after, kept = tensors_of(rescale(MISA, 1.3, tmp_path / "misa.safetensors"))
    assert before.keys() == after.keys() and kept == {**told, RECORD: "1.3"}
    for name, tensor in before.items():
        wanted = tensor.float() * (1.3 if name.endswith("lora_B.weight") else 1.0)
        assert after[name].dtype == tensor.dtype and torch.allclose(after[name].float(), wanted, 2e-3, 1e-6)
    old, new = (read_lora(path) for path in (MISA, tmp_path / "misa.safetensors"))
    assert [module.scale for module in old.modules] == [module.scale for module in new.modules]


def test_twice_is_once_by_the_product_and_says_so(tmp_path: Path) -> None:
    tensors = {
        "lora_unet_x.lora_down.weight": torch.ones(4, 8, dtype=torch.bfloat16),
        "lora_unet_x.lora_up.weight": torch.ones(8, 4, dtype=torch.bfloat16),
        "lora_unet_x.alpha": torch.tensor(3.0, dtype=torch.bfloat16),
    }
    told = {"sshs_model_hash": "stale", "modelspec.hash_sha256": "stale", "ss_network_dim": "4"}
    save_file(tensors, tmp_path / "a.safetensors", told)
    once = rescale(tmp_path / "a.safetensors", 1.3, tmp_path / "b.safetensors")
    found, kept = tensors_of(rescale(once, 1.1, tmp_path / "c.safetensors"))
    assert float(found["lora_unet_x.alpha"]) == pytest.approx(3 * 1.43, rel=1e-6)
    assert kept == {"ss_network_dim": "4", RECORD: "1.43"}
    assert torch.equal(found["lora_unet_x.lora_up.weight"], tensors["lora_unet_x.lora_up.weight"])


@pytest.mark.parametrize("times", [0.0, -1.0, float("nan"), float("inf"), 1e9])
def test_a_number_that_is_no_strength_is_refused(tmp_path: Path, times: float) -> None:
    with pytest.raises(UsageError, match="is no strength"):
        rescale(MISA, times, tmp_path / "b.safetensors")


def test_nothing_is_ever_written_over_and_a_failure_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "there.safetensors").write_text("mine")
    for out, says in ((MISA, "is there already"), (tmp_path / "there.safetensors", "is there already"),
                      (tmp_path / "b.ckpt", "must end in .safetensors")):  # fmt: skip
        with pytest.raises(UsageError, match=says):
            rescale(MISA, 1.3, out)
    with pytest.raises(LoraDoctorError):
        rescale(MISA, 1.3, tmp_path / "nowhere" / "b.safetensors")
    broken = tmp_path / "broken.safetensors"
    save_file({"lora_unet_x.lora_up.weight": torch.full((8, 4), float("nan")),
               "lora_unet_x.lora_down.weight": torch.ones(4, 8)}, broken)  # fmt: skip
    with pytest.raises(InputRefused, match="NaN"):
        rescale(broken, 1.3, tmp_path / "b.safetensors")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.safetensors", "there.safetensors"]
    assert (tmp_path / "there.safetensors").read_text() == "mine"


def test_a_number_too_large_for_the_files_precision_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    large = {
        "unet.x.lora_A.weight": torch.ones(4, 8, dtype=torch.float16),
        "unet.x.lora_B.weight": torch.full((8, 4), 1000.0, dtype=torch.float16),
    }
    save_file(large, tmp_path / "a.safetensors")
    with pytest.raises(InputRefused, match="NaN or infinity"):
        rescale(tmp_path / "a.safetensors", 100.0, tmp_path / "b.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


def test_a_copy_keeps_what_its_trainer_recorded(tmp_path: Path) -> None:
    shutil.copyfile(MISA, tmp_path / "misa.safetensors")
    new = rescale(tmp_path / "misa.safetensors", 0.8, tmp_path / "b.safetensors")
    assert read_lora(new).record == read_lora(MISA).record


def peft(folder: Path, rank: int = 4, alpha: float = 16.0) -> Path:
    """A LoRA as peft saves it: its scale stands in the config beside it alone."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        "base_model.model.unet.x.lora_A.weight": torch.ones(rank, 8),
        "base_model.model.unet.x.lora_B.weight": torch.ones(8, rank),
    }
    save_file(tensors, folder / "adapter_model.safetensors")
    told = {"peft_type": "LORA", "r": rank, "lora_alpha": alpha}
    (folder / "adapter_config.json").write_text(json.dumps(told))
    return folder / "adapter_model.safetensors"


def test_a_scale_that_stands_beside_the_file_goes_with_it(tmp_path: Path) -> None:
    model = peft(tmp_path / "mine")
    (tmp_path / "new").mkdir()
    new = rescale(model, 1.3, tmp_path / "new" / "b.safetensors")
    (old,), (module,) = read_lora(model).modules, read_lora(new).modules
    assert old.scale == module.scale == 4.0
    assert torch.allclose(tensors_of(new)[0][module.keys["up"]], torch.tensor(1.3))
    assert (new.parent / "adapter_config.json").read_bytes() == (model.parent / "adapter_config.json").read_bytes()
    assert read_lora(rescale(model, 1.3, model.with_name("b.safetensors"))).modules[0].scale == 4.0


def test_a_folder_with_another_loras_scale_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    model, other = peft(tmp_path / "mine"), peft(tmp_path / "other", alpha=1.0)
    told = (other.parent / "adapter_config.json").read_bytes()
    with pytest.raises(UsageError, match=r"another scale: the adapter_config\.json beside it is not this LoRA's"):
        rescale(model, 1.3, other.with_name("b.safetensors"))
    assert (other.parent / "adapter_config.json").read_bytes() == told
    assert sorted(path.name for path in other.parent.iterdir()) == ["adapter_config.json", other.name]


@pytest.mark.parametrize("trainer", ["kohya", "ai-toolkit"])
def test_what_another_trainer_recorded_is_still_read_as_its_own(tmp_path: Path, trainer: str) -> None:
    tensors = {
        "lora_unet_x.lora_down.weight": torch.ones(4, 8), "lora_unet_x.lora_up.weight": torch.ones(8, 4),
        "lora_unet_x.alpha": torch.tensor(2.0),
    }  # fmt: skip
    told = {"ss_network_module": "networks.lora", "ss_learning_rate": "0.0001", "ss_max_train_steps": "2000"}
    if trainer == "ai-toolkit":
        told = {"software": json.dumps({"name": "ai-toolkit"}), "training_info": json.dumps({"step": 2000, "epoch": 3})}
    save_file(tensors, tmp_path / "a.safetensors", told)
    before = read_lora(tmp_path / "a.safetensors").record
    after = read_lora(rescale(tmp_path / "a.safetensors", 1.3, tmp_path / "b.safetensors")).record
    assert after == before and before.settings.trainer not in (None, "lora-doctor")


@pytest.mark.parametrize("kind", ["float8_e4m3fn", "float8_e5m2"])
def test_eight_bits_a_number_are_too_few_for_the_product(tmp_path: Path, kind: str) -> None:
    dtype = getattr(torch, kind)
    tensors = {"unet.x.lora_A.weight": torch.ones(4, 8).to(dtype), "unet.x.lora_B.weight": torch.rand(8, 4).to(dtype)}
    save_file(tensors, tmp_path / "a.safetensors")
    up, _ = tensors_of(rescale(tmp_path / "a.safetensors", 1.3, tmp_path / "b.safetensors"))
    wanted = tensors["unet.x.lora_B.weight"].float() * 1.3
    assert torch.allclose(up["unet.x.lora_B.weight"].float(), wanted, rtol=1e-3)
    assert up["unet.x.lora_A.weight"].dtype == dtype
