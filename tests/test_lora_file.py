"""A LoRA file is understood completely, whoever wrote it, and its factors come out as they went in."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from lora_doctor.errors import InputRefused
from lora_doctor.lora_file import read_lora
from lora_doctor.lora_tensors import read_parts, require_sound

TO_K = "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k"
CONV = "down_blocks.0.resnets.0.conv1"
TEXT = "text_model.encoder.layers.0.mlp.fc1"
SEED = np.random.default_rng(0)


def noise(*shape: int) -> np.ndarray[Any, Any]:
    return SEED.standard_normal(shape).astype("float32")


FACTORS = {TO_K: (noise(4, 128), noise(96, 4)), CONV: (noise(2, 48, 3, 3), noise(48, 2, 1, 1))}
TEXT_FACTORS = (noise(4, 128), noise(512, 4))


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
    require_sound(lora)


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
def test_tensors_come_out_as_they_went_in(tmp_path: Path, write: Any) -> None:
    lora = read_lora(write(tmp_path / "x.safetensors"))
    conv = next(module for module in lora.modules if "conv1" in module.name)
    assert (conv.outputs, conv.inputs, conv.rank) == (48, 48, 2)
    parts = read_parts(lora, conv)
    for part, tensor in zip(("down", "up"), FACTORS[CONV], strict=True):
        np.testing.assert_array_equal(parts[part], tensor)
        assert parts[part].dtype == np.float32


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
    parts = read_parts(lora, module)
    expected = model.base_model.model["to_k"].get_delta_weight("default").detach().numpy()
    np.testing.assert_allclose(parts["up"] @ parts["down"] * module.scale, expected, rtol=1e-5)
    assert module.scale_recorded
    # peft keeps alpha in adapter_config.json, beside the file; without it every loader takes alpha = rank.
    (tmp_path / "adapter_config.json").unlink()
    (alone,) = read_lora(tmp_path / "adapter_model.safetensors").modules
    assert (alone.scale, alone.scale_recorded) == (1.0, False)


def test_unknown_keys_are_listed_and_refused(tmp_path: Path) -> None:
    lora = read_lora(dotted(tmp_path / "x.safetensors", more={"emb_params": noise(2, 2), "other": noise(2)}))
    assert set(lora.unknown_keys) == {"emb_params", "other"}
    with pytest.raises(InputRefused, match="2 tensors of unknown meaning") as caught:
        require_sound(lora)
    assert caught.value.exit_code == 4


def test_kinds_may_be_mixed_in_one_file(tmp_path: Path) -> None:
    more = {f"unet.mid_block.{i}.hada_w{w}_{ab}": noise(4, 4) for i in range(3) for w in (1, 2) for ab in "ab"}
    more |= {f"unet.{TO_K}.lora_magnitude_vector": noise(96), "unet.conv_norm_out.w_norm": noise(48)}
    lora = read_lora(dotted(tmp_path / "x.safetensors", more=more))
    assert Counter(module.kind for module in lora.modules) == {"loha": 3, "dora": 1, "lora": 1, "norm": 1}
    require_sound(lora)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"unet.mid.lora_A.weight": noise(4, 8)}, "module 'mid' has no up"),
        ({"unet.mid.lora_B.weight": noise(8, 4)}, "module 'mid' has no down"),
        ({"unet.mid.lora_A.weight": noise(4, 8), "unet.mid.lora_B.weight": noise(8, 3)}, "do not fit"),
        ({"unet.mid.alpha": noise(1)}, "only alpha and nothing to apply"),
        ({f"unet.{TO_K}.alpha": np.zeros((), "float32")}, "not a number other than 0"),
        ({f"unet.{TO_K}.alpha": noise(3)}, "is not one number"),
        ({f"unet.{TO_K}.lora.down.weight": noise(4, 128)}, "the down of"),
        ({f"unet.{TO_K.replace('.', '_')}.lora_A.weight": noise(4, 8)}, "twice, under two names"),
        ({"unet.mid.lora_A.weight": np.ones((4, 8), "int8"), "unet.mid.lora_B.weight": noise(8, 4)}, "whole numbers"),
        ({"unet.mid.hada_w1_a": noise(8, 4), "unet.mid.hada_w1_b": noise(4, 8)}, "no hada_w2_a and no hada_w2_b"),
        ({"unet.mid.lokr_w1": noise(2, 2), "unet.mid.lora_A.weight": noise(4, 8)}, "has no lokr_w2_a"),
        ({"unet.mid.oft_blocks": noise(2, 3, 4)}, "square blocks"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_module_is_a_fault_and_refused(tmp_path: Path, more: dict[str, Any], says: str) -> None:
    lora = read_lora(dotted(tmp_path / "x.safetensors", more=more))
    (fault,) = lora.faults
    assert says in fault
    assert all(module.name != "mid" for module in lora.modules)
    with pytest.raises(InputRefused, match=r"x\.safetensors"):
        require_sound(lora)


def test_numbers_that_are_none_are_counted_and_refused(tmp_path: Path) -> None:
    more = {"unet.mid.diff": np.array([[1, np.nan, np.inf]], "float32")}
    lora = read_lora(dotted(tmp_path / "x.safetensors", more=more))
    assert lora.non_finite == {"unet.mid.diff": 2}
    with pytest.raises(InputRefused, match="1 of its tensors hold NaN or infinity"):
        require_sound(lora)


def test_an_infinite_alpha_that_nothing_reads_is_no_fault(tmp_path: Path) -> None:
    """ai-toolkit's LoKr in its defaults: both factors whole, alpha 9999999999 saved as float16."""
    infinite = np.array(np.inf, "float16")
    whole = {"unet.a.lokr_w1": noise(2, 2), "unet.a.lokr_w2": noise(4, 4), "unet.a.alpha": infinite}
    save_file(whole, tmp_path / "x.safetensors")
    lora = read_lora(tmp_path / "x.safetensors")
    require_sound(lora)
    (module,) = lora.modules
    assert (lora.non_finite, module.scale, module.alpha) == ({}, 1.0, 0.0)

    save_file(whole | {"unet.a.lokr_w1": noise(2, 2) * np.inf}, tmp_path / "x.safetensors")
    assert set(read_lora(tmp_path / "x.safetensors").non_finite) == {"unet.a.lokr_w1"}
    turns = {"unet.b.oft_blocks": noise(2, 4, 4), "unet.b.alpha": infinite}
    save_file(turns, tmp_path / "x.safetensors")
    assert set(read_lora(tmp_path / "x.safetensors").non_finite) == {"unet.b.alpha"}


def test_dora_that_only_the_metadata_tells_is_a_fault(tmp_path: Path) -> None:
    record = json.dumps({"unet.lora_alpha": 4, "unet.use_dora": True})
    lora = read_lora(dotted(tmp_path / "x.safetensors", metadata={"lora_adapter_metadata": record}))
    assert lora.modules == ()
    assert "trained with DoRA" in lora.faults[0]


def test_ai_toolkit_s_dora_is_read_in_the_layout_whose_alpha_is_the_rank(tmp_path: Path) -> None:
    magnitudes = {f"unet.{name}.magnitude": noise(len(up)) for name, (_, up) in FACTORS.items()}
    lora = read_lora(dotted(tmp_path / "x.safetensors", more=magnitudes))
    require_sound(lora)
    assert {(module.kind, module.scale) for module in lora.modules} == {("dora", 1.0)}


def test_ai_toolkit_s_dora_in_the_layout_that_lacks_its_alpha_is_a_fault(tmp_path: Path) -> None:
    tensors = {"lora_unet_a.lora_down.weight": noise(4, 8), "lora_unet_a.lora_up.weight": noise(8, 4)}
    tensors["lora_unet_a.magnitude"] = noise(8)
    save_file(tensors, tmp_path / "x.safetensors")
    lora = read_lora(tmp_path / "x.safetensors")
    assert lora.modules == () and "alpha is not in the file" in lora.faults[0]
    save_file(tensors | {"lora_unet_a.alpha": np.array(2.0, "float32")}, tmp_path / "x.safetensors")
    (module,) = read_lora(tmp_path / "x.safetensors").modules
    assert (module.kind, module.scale) == ("dora", 0.5)


def test_the_scale_of_every_kind(tmp_path: Path) -> None:
    two = np.array(2.0, "float32")
    tensors = {
        "lora_unet_a.hada_w1_a": noise(8, 4), "lora_unet_a.hada_w1_b": noise(4, 8), "lora_unet_a.alpha": two,
        "lora_unet_a.hada_w2_a": noise(8, 4), "lora_unet_a.hada_w2_b": noise(4, 8),
        "lora_unet_b.lokr_w1": noise(2, 2), "lora_unet_b.lokr_w2": noise(4, 4), "lora_unet_b.alpha": two,
        "lora_unet_c.lokr_w1": noise(2, 2), "lora_unet_c.lokr_w2_a": noise(4, 1), "lora_unet_c.lokr_w2_b": noise(1, 4),
        "lora_unet_c.alpha": two,
        "lora_unet_d.oft_blocks": noise(2, 4, 4), "lora_unet_d.alpha": two,
        "lora_unet_e.diff": noise(8, 8),
    }  # fmt: skip
    save_file(tensors, tmp_path / "x.safetensors")
    lora = read_lora(tmp_path / "x.safetensors")
    assert {module.name: (module.kind, module.scale) for module in lora.modules} == {
        "a": ("loha", 0.5), "b": ("lokr", 1.0), "c": ("lokr", 2.0), "d": ("oft", 2.0), "e": ("full", 1.0),
    }  # fmt: skip


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
        read_parts(lora, lora.modules[0])


def test_a_header_that_is_larger_than_usual_is_read_when_asked_for(tmp_path: Path) -> None:
    metadata = {f"ss_tag_frequency_{number}": "x" * 2**20 for number in range(7)}
    path = dotted(tmp_path / "x.safetensors", metadata=metadata)
    with pytest.raises(InputRefused, match="more than the 6291456 allowed"):
        read_lora(path)
    lora = read_lora(path, max_header=8)
    assert read_parts(lora, lora.modules[0])["down"].size
