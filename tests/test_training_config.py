"""How a LoRA was trained: the config's word first, then the file's record, then what the file itself shows."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from lora_doctor.errors import UsageError
from lora_doctor.lora_file import read_lora
from lora_doctor.prescription import prescribe
from lora_doctor.rule_files import load_rules
from lora_doctor.rules import evaluate
from lora_doctor.training_config import read_training_config, training_settings
from lora_doctor.types import LoraFile, Measurement

RULES = Path(__file__).parents[1] / "rules"
LAYER = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
RESIZED = {
    "ss_network_module": "networks.lora", "ss_network_dim": "16", "ss_network_alpha": "16.0", "ss_session_id": "1",
    "ss_training_comment": "dimension is resized from 128 to 16; ",
}  # fmt: skip


def lora_of(folder: Path, metadata: dict[str, str], **shapes: tuple[int, ...]) -> LoraFile:
    torch.manual_seed(0)
    tensors = {f"{LAYER}.{part.replace('__', '.')}": torch.randn(shape) for part, shape in shapes.items()}
    save_file(tensors | {f"{LAYER}.alpha": torch.tensor(16.0)}, folder / "x.safetensors", metadata=metadata)
    return read_lora(folder / "x.safetensors")


def plain(folder: Path, metadata: dict[str, str]) -> LoraFile:
    return lora_of(folder, metadata, lora_down__weight=(16, 320), lora_up__weight=(320, 16))


def config(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    base = 'pretrained_model_name_or_path = "base.safetensors"\ntrain_data_dir = "data"\noutput_dir = "out"\n'
    path.write_text(f'{base}network_module = "networks.lora"\n{text}', encoding="utf-8")
    return path


def test_the_config_s_rank_and_alpha_count_before_those_of_a_resized_file(tmp_path: Path) -> None:
    path = config(tmp_path, "network_dim = 128\nnetwork_alpha = 64\n")
    settings = training_settings(path, plain(tmp_path, RESIZED))
    assert (settings.rank, settings.alpha, settings.kind) == (128, 64.0, "lora")


def test_without_a_config_the_record_counts_and_else_what_the_file_shows(tmp_path: Path) -> None:
    resized = training_settings(None, plain(tmp_path, RESIZED))
    assert (resized.rank, resized.alpha) == (128, None)
    silent = training_settings(None, plain(tmp_path, {}))
    assert (silent.rank, silent.alpha) == (16, 16.0)


@pytest.mark.parametrize("dim", ["10000", "4"])
def test_an_adapter_without_a_rank_has_none_whatever_the_config_says(tmp_path: Path, dim: str) -> None:
    path = config(tmp_path, f"network_dim = {dim}\nnetwork_alpha = 1\n")
    whole = lora_of(tmp_path, {}, lokr_w1=(8, 8), lokr_w2=(40, 40))
    settings = training_settings(path, whole)
    assert (settings.rank, settings.alpha, settings.kind) == (None, None, "lokr")


def test_a_weak_lora_that_was_resized_gets_no_lower_rank_written_into_its_config(tmp_path: Path) -> None:
    """The file's 16 are below the 48 that are recommended; the 128 that were trained with are not."""
    path = config(tmp_path, "network_dim = 128\nnetwork_alpha = 64\n")
    settings = training_settings(path, plain(tmp_path, RESIZED))
    measured = [
        Measurement(name="dose.low_weight_ratio", value=0.1, interval=(0.05, 0.15), n=40),
        Measurement(name="dose.plateau", value=0.7, interval=(0.66, 0.74), n=40),
        Measurement(name="training.rank", value=16.0, n=1),
        Measurement(name="spectrum.rank", value=4.0, n=1),
    ]
    rules = [rule for rule in load_rules(RULES) if rule.id == "low-weight-forgetting"]
    findings, _ = evaluate(rules, measured)
    assert findings[0].causes[0].because.startswith("The rank is too low")
    made = prescribe(findings, settings, measured)
    trainer = read_training_config(path)
    patched = trainer.trainer.patch(trainer.files, made.changes).texts[path]
    assert "network_dim = 128" in patched and "network_alpha = 64" in patched


def test_a_config_that_cannot_be_read_is_told_in_words(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nix: no such file\. Name the training config\.$"):
        read_training_config(tmp_path / "nix")
    with pytest.raises(UsageError, match=r"cannot be read: Is a directory\. Name"):
        read_training_config(tmp_path)
    (tmp_path / "args.toml").write_text('dataset_config = "/workspace/none.toml"')
    with pytest.raises(UsageError, match=r"none\.toml: no such file\. args\.toml needs it: say there where it is\.$"):
        read_training_config(tmp_path / "args.toml")
    (tmp_path / "latin.toml").write_bytes(b"rank = 8 # \xe9")
    with pytest.raises(UsageError, match="is not UTF-8 at byte 11"):
        read_training_config(tmp_path / "latin.toml")
