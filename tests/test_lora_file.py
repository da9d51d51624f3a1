"""A LoRA file is understood completely, whoever wrote it, and its factors come out as they went in."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from lora_doctor.errors import InputRefused
from lora_doctor.lora_file import read_factors, read_lora, require_plain_lora

TO_K = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k"
CONV = "down_blocks.0.resnets.0.conv1"
TEXT = "text_model.encoder.layers.0.mlp.fc1"
SEED = np.random.default_rng(0)


def noise(*shape: int) -> np.ndarray[Any, Any]:
    return SEED.standard_normal(shape).astype("float32")


FACTORS = {TO_K: (noise(4, 128), noise(96, 4)), CONV: (noise(2, 8, 3, 3), noise(48, 2, 1, 1))}
TEXT_FACTORS = (noise(4, 16), noise(64, 4))


def kohya(path: Path, *, alpha: float | None = None) -> Path:
    tensors: dict[str, np.ndarray[Any, Any]] = {}
    for start, (down, up) in {
        **{f"lora_unet_{name.replace('.', '_')}": pair for name, pair in FACTORS.items()},
        f"lora_te_{TEXT.replace('.', '_')}": TEXT_FACTORS,
    }.items():
        tensors |= {f"{start}.lora_down.weight": down, f"{start}.lora_up.weight": up}
        tensors |= {} if alpha is None else {f"{start}.alpha": np.array(alpha, "float16")}
    save_file(tensors, path, metadata={"ss_network_module": "networks.lora", "ss_network_dim": "4"})
    return path


def dotted(
    path: Path,
    prefix: str = "unet.",
    metadata: dict[str, str] | None = None,
    more: dict[str, np.ndarray[Any, Any]] | None = None,
) -> Path:
    tensors = dict(more or {})
    for name, (down, up) in FACTORS.items():
        tensors |= {f"{prefix}{name}.lora_A.weight": down, f"{prefix}{name}.lora_B.weight": up}
    save_file(tensors, path, metadata=metadata)
    return path


def test_kohya_s_layout(tmp_path: Path) -> None:
    path = kohya(tmp_path / "x.safetensors", alpha=2)
    lora = read_lora(path)
    assert (lora.format, lora.family, lora.trainer) == ("kohya", "miniature", "sd-scripts")
    assert lora.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert lora.size == path.stat().st_size
    assert lora.unknown_keys == ()
    modules = {module.name: module for module in lora.modules}
    assert set(modules) == {TO_K.replace(".", "_"), CONV.replace(".", "_"), TEXT.replace(".", "_")}
    assert all(module.flattened and module.kind == "lora" for module in lora.modules)
    assert modules[TEXT.replace(".", "_")].component == "text_encoder"
    to_k, conv = modules[TO_K.replace(".", "_")], modules[CONV.replace(".", "_")]
    assert (to_k.rank, to_k.alpha, to_k.scale) == (4, 2.0, 0.5)
    assert (conv.rank, conv.alpha, conv.scale) == (2, 2.0, 1.0)
    assert set(conv.keys) == {"down", "up", "alpha"}
    require_plain_lora(lora)


def test_kohya_without_alpha_means_scale_one(tmp_path: Path) -> None:
    assert {module.scale for module in read_lora(kohya(tmp_path / "x.safetensors")).modules} == {1.0}


def test_diffusers_layout_with_lora_doctor_s_own_metadata(tmp_path: Path) -> None:
    metadata = {"lora_alpha": "8", "rank": "4", "lora_doctor.steps": "400"}
    lora = read_lora(dotted(tmp_path / "x.safetensors", metadata=metadata))
    assert (lora.format, lora.trainer, lora.family) == ("diffusers", "lora-doctor", "miniature")
    assert lora.metadata == metadata
    assert {(module.name, module.flattened, module.scale) for module in lora.modules} == {
        (TO_K, False, 2.0),
        (CONV, False, 4.0),
    }


def test_diffusers_own_metadata_with_a_pattern(tmp_path: Path) -> None:
    record = json.dumps({"unet.r": 4, "unet.lora_alpha": 4, "unet.alpha_pattern": {CONV: 1}})
    lora = read_lora(dotted(tmp_path / "x.safetensors", metadata={"lora_adapter_metadata": record}))
    assert {module.name: module.scale for module in lora.modules} == {TO_K: 1.0, CONV: 0.5}
    assert lora.trainer == "diffusers"


def test_raw_peft_layout(tmp_path: Path) -> None:
    lora = read_lora(dotted(tmp_path / "x.safetensors", "base_model.model."))
    assert lora.format == "peft"
    assert {(module.component, module.name) for module in lora.modules} == {("unet", TO_K), ("unet", CONV)}


@pytest.mark.parametrize("write", [kohya, dotted])
def test_factors_come_out_as_matrices(tmp_path: Path, write: Any) -> None:
    lora = read_lora(write(tmp_path / "x.safetensors"))
    conv = next(module for module in lora.modules if "conv1" in module.name)
    down, up = read_factors(lora, conv)
    assert (down.shape, up.shape, down.dtype) == ((2, 72), (48, 2), np.float32)
    update = (up @ down).reshape(48, 8, 3, 3)
    exact = np.einsum("or,rikl->oikl", FACTORS[CONV][1][:, :, 0, 0], FACTORS[CONV][0])
    np.testing.assert_allclose(update, exact, rtol=1e-5, atol=1e-6)


def test_peft_s_own_file_gives_peft_s_own_update(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    peft = pytest.importorskip("peft")
    torch.manual_seed(0)
    config = peft.LoraConfig(r=4, lora_alpha=2, target_modules=["to_k"], init_lora_weights=False)
    model = peft.get_peft_model(torch.nn.ModuleDict({"to_k": torch.nn.Linear(6, 5)}), config)
    model.save_pretrained(tmp_path)
    lora = read_lora(tmp_path / "adapter_model.safetensors")
    (module,) = lora.modules
    assert (lora.format, module.name, module.rank) == ("peft", "to_k", 4)
    down, up = read_factors(lora, module)
    # peft keeps alpha in adapter_config.json, beside the file; without it every loader takes alpha = rank.
    expected = model.base_model.model["to_k"].get_delta_weight("default").detach().numpy() / (2 / 4)
    np.testing.assert_allclose(up @ down * module.scale, expected, rtol=1e-5)


def test_unknown_keys_are_listed_and_not_plain(tmp_path: Path) -> None:
    lora = read_lora(dotted(tmp_path / "x.safetensors", more={"emb_params": noise(2, 2), "other": noise(2)}))
    assert set(lora.unknown_keys) == {"emb_params", "other"}
    with pytest.raises(InputRefused, match="2 tensors of unknown meaning"):
        require_plain_lora(lora)


def test_kinds_that_cannot_be_applied_are_counted(tmp_path: Path) -> None:
    odd = {f"unet.mid_block.{i}.hada_w{w}_{ab}": noise(4, 4) for i in range(3) for w in (1, 2) for ab in "ab"}
    dora = {f"unet.{TO_K}.lora_magnitude_vector": noise(96)}
    lora = read_lora(dotted(tmp_path / "x.safetensors", more=odd | dora))
    assert [module.kind for module in lora.modules].count("loha") == 3
    with pytest.raises(InputRefused, match="3 LoHa modules and 1 DoRA module beside 1 plain LoRA modules") as caught:
        require_plain_lora(lora)
    assert caught.value.exit_code == 4
    loha = next(module for module in lora.modules if module.kind == "loha")
    with pytest.raises(InputRefused, match="not a plain LoRA module"):
        read_factors(lora, loha)


def test_dora_that_only_the_metadata_tells_is_not_plain(tmp_path: Path) -> None:
    record = json.dumps({"unet.lora_alpha": 4, "unet.use_dora": True})
    lora = read_lora(dotted(tmp_path / "x.safetensors", metadata={"lora_adapter_metadata": record}))
    assert {module.kind for module in lora.modules} == {"dora"}


@pytest.mark.parametrize(
    ("metadata", "trainer"),
    [
        ({"ot_revision": "1"}, "OneTrainer"),
        ({"software": '{"name":"ai-toolkit"}'}, "ai-toolkit"),
        ({"lycoris_config": "{}"}, "SimpleTuner"),
        ({"lora_adapter_metadata": "{}", "trained_words": "yuki"}, "SimpleTuner"),
        ({"ss_network_module": "networks.lora_wan", "ss_num_train_items": "9"}, "musubi-tuner"),
        ({"format": "pt"}, None),
    ],
)
def test_metadata_tells_the_trainer(tmp_path: Path, metadata: dict[str, str], trainer: str | None) -> None:
    assert read_lora(dotted(tmp_path / "x.safetensors", metadata=metadata)).trainer == trainer


def test_a_file_replaced_after_reading_is_noticed(tmp_path: Path) -> None:
    path = dotted(tmp_path / "x.safetensors")
    lora = read_lora(path)
    kohya(path)
    with pytest.raises(InputRefused, match="has changed since it was read"):
        read_factors(lora, lora.modules[0])
