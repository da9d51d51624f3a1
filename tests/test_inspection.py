"""`inspect` on real files: what it says of the miniature's patients, of broken files, and how it is shown."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console
from safetensors.numpy import load_file, save_file

from lora_doctor.cli import cli
from lora_doctor.errors import InputRefused
from lora_doctor.inspection import Inspection, inspect, to_plain
from lora_doctor.inspection_page import page
from lora_doctor.rule_files import load_rules
from lora_doctor.rules import failing_examples

ROOT = Path(__file__).parents[1]
YUKI = ROOT / "fixtures/miniature/patients/yuki/lora.safetensors"
RIN = ROOT / "fixtures/miniature/patients/rin/lora.safetensors"
RULES = load_rules(ROOT / "rules" / "file")


@pytest.fixture(scope="module")
def yuki() -> Inspection:
    return inspect(YUKI)


def shown(inspection: Inspection, width: int = 100, **options: Any) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    for part in page(inspection, **options):
        console.print(part)
    return console.file.getvalue()


def changed(path: Path, *, metadata: dict[str, str] | None = None, **tensors: Any) -> Path:
    """yuki's file with other tensors (None = left out) or other metadata."""
    whole = load_file(YUKI) | {key: value for key, value in tensors.items() if value is not None}
    kept = {key: value for key, value in whole.items() if key not in tensors or tensors[key] is not None}
    save_file(kept, path, metadata=metadata or {})
    return path


def rules_of(inspection: Inspection) -> set[str]:
    return {finding.rule for finding in inspection.findings}


KEY = "unet.mid_block.resnets.0.conv1.lora_B.weight"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_file_rule_comes_out_as_its_own_examples_say(rule: Any) -> None:
    assert failing_examples(rule) == ()


def test_every_measurement_that_a_file_rule_asks_for_exists(yuki: Inspection) -> None:
    measured = {m.name for m in yuki.measurements}

    def asked(condition: Any) -> set[str]:
        inner = (*condition.all, *condition.any, *condition.none)
        return {condition.measurement} - {None} | {name for each in inner for name in asked(each)}

    for rule in RULES:
        conditions = [rule.when, *(e.when for cause in rule.causes for e in cause.evidence)]
        assert {name for each in conditions for name in asked(each)} <= measured, rule.id


def test_a_healthy_patient_is_read_completely(yuki: Inspection) -> None:
    assert (yuki.base.family, yuki.lora.trainer, yuki.lora.record.triggers) == (
        "miniature",
        "lora-doctor",
        ("yuki_nk",),
    )
    assert yuki.lora.record.settings.rank == 48
    assert rules_of(yuki) == {"rank-unused"}
    assert not yuki.blocked
    assert len(yuki.spectra) == len(yuki.lora.modules) == 117


def test_a_fast_look_takes_a_sample_and_says_so(yuki: Inspection) -> None:
    fast = inspect(YUKI, fast=True)
    assert len(fast.spectra) == 24
    ratio = next(m for m in fast.measurements if m.name == "spectrum.null_ratio")
    assert ratio.reason == "93 of 117 modules were not looked at"
    assert {f.state for f in fast.findings} == {"suspected"}


@pytest.mark.parametrize(
    ("tensors", "rule"),
    [
        ({KEY: np.full((128, 48, 1, 1), np.nan, "float32")}, "non-finite-weights"),
        ({KEY: None}, "broken-modules"),
        ({"emb_params": np.zeros((1, 4), "float32")}, "unknown-tensors"),
    ],
)
def test_what_is_wrong_with_a_file_is_a_finding_that_names_it(
    tmp_path: Path, tensors: dict[str, Any], rule: str
) -> None:
    found = inspect(changed(tmp_path / "x.safetensors", **tensors))
    assert rule in rules_of(found)
    assert found.blocked == (rule != "unknown-tensors")
    name = next(iter(tensors))
    assert (name.removesuffix(".lora_B.weight").removeprefix("unet.")) in shown(found, width=200)


def test_a_file_of_zeros_was_never_trained(tmp_path: Path) -> None:
    zeros = {key: value * 0 for key, value in load_file(YUKI).items() if "lora_B" in key}
    assert "nothing-trained" in rules_of(inspect(changed(tmp_path / "x.safetensors", **zeros)))


def test_dead_modules_are_named(tmp_path: Path) -> None:
    zeros = {
        key: value * 0 for key, value in load_file(YUKI).items() if "mid_block.resnets.0" in key and "lora_B" in key
    }
    found = inspect(changed(tmp_path / "x.safetensors", **zeros))
    assert "dead-modules" in rules_of(found)
    assert "unet.mid_block.resnets.0.conv1" in shown(found)


def test_alpha_at_the_trainers_default_is_noticed(tmp_path: Path) -> None:
    found = inspect(changed(tmp_path / "x.safetensors", metadata={"lora_alpha": "1"}))
    finding = next(f for f in found.findings if f.rule == "alpha-far-from-rank")
    assert finding.causes[0].because.startswith("Alpha was left at the trainer's default")


LAYERS = {"to_q": (16, 8), "to_k": (16, 8), "conv1": (16, 8, 3, 3)}


@pytest.mark.parametrize(
    ("adapters", "told"),
    [
        ({"to_q": (8, 4), "to_k": (8, 4), "conv1": (4, 1)}, False),  # an ordinary LoCon
        ({"to_q": (8, 4), "to_k": (4, 2), "conv1": (4, 2)}, True),  # resized to a dynamic rank
        ({"to_q": (8, 4), "to_k": (4, 4), "conv1": (4, 4)}, False),  # ranks alone
    ],
)
def test_alphas_that_loaders_mix_up_are_those_of_linear_layers(
    tmp_path: Path, adapters: dict[str, tuple[int, float]], told: bool
) -> None:
    rng, tensors = np.random.default_rng(1), {}
    for name, (rank, alpha) in adapters.items():
        stem = f"lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_{name}"
        outputs, inputs, *kernel = LAYERS[name]
        tensors |= {
            f"{stem}.lora_down.weight": rng.standard_normal((rank, inputs, *kernel)).astype("float32"),
            f"{stem}.lora_up.weight": rng.standard_normal((outputs, rank, *[1] * len(kernel))).astype("float32"),
            f"{stem}.alpha": np.array(alpha, "float32"),
        }
    save_file(tensors, tmp_path / "x.safetensors")
    assert ("mixed-scales" in rules_of(inspect(tmp_path / "x.safetensors"))) == told


@pytest.mark.parametrize(("optimizer", "rate"), [("prodigyopt.prodigy.Prodigy", None), ("AdamW8bit", 1.0)])
def test_a_recorded_rate_is_one_where_the_optimiser_trains_at_it(
    tmp_path: Path, optimizer: str, rate: float | None
) -> None:
    told = {"ss_network_module": "networks.lora", "ss_optimizer": optimizer, "ss_unet_lr": "1.0"}
    found = inspect(changed(tmp_path / "x.safetensors", metadata=told))
    measured = next(m for m in found.measurements if m.name == "training.learning_rate")
    assert measured.value == rate
    assert rate is not None or measured.reason == f"{optimizer} finds its rate itself"


def test_random_factors_are_under_converged(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    noise = {key: rng.standard_normal(value.shape).astype("float32") for key, value in load_file(YUKI).items()}
    assert "under-converged-spectrum" in rules_of(inspect(changed(tmp_path / "x.safetensors", **noise)))


def test_private_paths_are_reported_without_repeating_them(tmp_path: Path) -> None:
    metadata = {"ss_training_comment": "from /home/jane.doe/loras/secret"}
    found = inspect(changed(tmp_path / "x.safetensors", metadata=metadata))
    assert "private-metadata" in rules_of(found)
    assert "ss_training_comment" in shown(found) and "secret" not in shown(found)


def test_metadata_of_another_family_is_contradicted(tmp_path: Path) -> None:
    metadata = {"ss_network_module": "networks.lora", "ss_base_model_version": "sdxl_base_v1-0"}
    assert "wrong-base-recorded" in rules_of(inspect(changed(tmp_path / "x.safetensors", metadata=metadata)))


def test_the_page_holds_what_a_reader_looks_for(yuki: Inspection) -> None:
    text = shown(yuki)
    for words in ("miniature", "yuki_nk", "117 lora", "Ranks and scales", "of the energy", "learning rate", "0.001",
                  "metadata lora_doctor.learning_rate", "rank-unused", "mid_block", "unknown:"):  # fmt: skip
        assert words in text
    assert "conv1" in shown(yuki, keys=True)


def test_hostile_names_neither_move_the_cursor_nor_style_the_page(tmp_path: Path) -> None:
    path = tmp_path / "x[red]\x1b[2J.safetensors"
    metadata = {"modelspec.trigger_phrase": "[bold]boo\x1b[31m\u202e", "ss_network_module": "networks.lora"}
    changed(path, metadata=metadata, **{"[blink]a": np.zeros(1, "float32")})
    text = shown(inspect(path), keys=True)
    assert "\x1b" not in text and "\u202e" not in text
    assert "[red]" in text and "[bold]boo" in text and "[blink]a" in text


def test_the_command_prints_one_json_document_that_holds_everything(yuki: Inspection) -> None:
    result = CliRunner().invoke(cli, ["inspect", str(YUKI), str(RIN), "--json"])
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    assert [each["lora"]["record"]["triggers"] for each in document] == [["yuki_nk"], ["rin_nk"]]
    assert len(document[0]["spectra"]) == 117
    assert document == json.loads(json.dumps(to_plain([yuki, inspect(RIN)])))


def test_the_exit_code_tells_of_a_blocker(tmp_path: Path) -> None:
    bad = changed(tmp_path / "x.safetensors", **{KEY: None})
    assert CliRunner().invoke(cli, ["inspect", str(bad)]).exit_code == 1
    assert CliRunner().invoke(cli, ["inspect", str(YUKI)]).exit_code == 0


def test_what_is_no_lora_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_text("hello")
    with pytest.raises(InputRefused, match="is text"):
        inspect(tmp_path / "x.safetensors")
