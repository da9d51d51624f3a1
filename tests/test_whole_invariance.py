"""A whole check-up of one LoRA is the same where it is saved or called otherwise, or its pictures are reordered.

Real renders of the bundled `yuki`. For another trigger the base model's two words are exchanged along with it: what
would draw other pictures is not the name but what the text encoder knows of it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import CLIPTokenizer

from lora_doctor.base_digest import folder_digest
from lora_doctor.checkup import run_checkup
from lora_doctor.plugins import data_folder
from lora_doctor.settings import load_settings
from lora_doctor.types import Diagnosis, Measurement

MINIATURE = data_folder("miniature")
OLD, NEW = "yuki_nk", "zebo_nk"
"""Of as many tokens each, letters that no other word of the captions is made of."""
ABOUT_THE_WORD = ("captions.tokens", "captions.trigger_word_rank")
SMALL = {
    "matrix": {"replicates": 1, "most_replicates": 1, "weights": [0, 0.7, 1.0], "ship_weights": [0.7, 1.0],
               "arms": ["no_trigger", "captions"]},
    "render": {"steps": 4}, "instruments": {"face": "miniature", "clip": "miniature"},
}  # fmt: skip


def saved_in_single_precision(folder: Path) -> None:
    _saved(folder, lambda tensor: tensor.float())


def with_pictures_in_another_order(folder: Path) -> None:
    files = sorted((folder / "dataset").iterdir())
    last = max(int(file.stem) for file in files)
    for file in files:
        file.rename(file.with_name(f"new-{last - int(file.stem):02d}{file.suffix}"))


def with_another_trigger(folder: Path) -> None:
    for file in (*(folder / "dataset").glob("*.txt"), folder / "lora-doctor.toml", folder / "training.toml"):
        file.write_text(file.read_text("utf-8").replace(OLD, NEW), "utf-8")
    tokenizer = CLIPTokenizer.from_pretrained(folder / "base" / "tokenizer")
    old, new = (tokenizer(word, add_special_tokens=False).input_ids for word in (OLD, NEW))
    pairs = [(a, b) for a, b in zip(old, new, strict=True) if a != b]
    spelled = [i for file in (folder / "dataset").glob("*.txt")
               for i in tokenizer(file.read_text("utf-8").replace(NEW, "")).input_ids]  # fmt: skip
    assert pairs and not {token for pair in pairs for token in pair} & set(spelled)
    weights = folder / "base" / "text_encoder" / "model.safetensors"
    tensors = load_file(weights)
    (name,) = (key for key in tensors if key.endswith("token_embedding.weight"))
    rows = tensors[name].clone()
    for one, other in pairs:
        tensors[name][one], tensors[name][other] = rows[other], rows[one]
    with safe_open(weights, "pt") as file:
        save_file(tensors, weights, file.metadata())
    _saved(folder, lambda tensor: tensor)


def _saved(folder: Path, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """The LoRA saved anew, with the record of its base model and its trigger as they are in the folder."""
    path = folder / "lora.safetensors"
    with safe_open(path, "pt") as file:
        metadata = {key: value.replace(OLD, NEW) if NEW in (folder / "lora-doctor.toml").read_text() else value
                    for key, value in file.metadata().items()}  # fmt: skip
    metadata["lora_doctor.base_sha256"] = folder_digest(folder / "base")
    save_file({key: change(tensor).contiguous() for key, tensor in load_file(path).items()}, path, metadata)


def check(folder: Path, change: Callable[[Path], None] | None) -> Diagnosis:
    shutil.copytree(MINIATURE / "patients" / "yuki", folder, ignore=shutil.ignore_patterns("*-checkup"))
    shutil.copytree(MINIATURE / "base", folder / "base")
    if change is not None:
        change(folder)
    return run_checkup(load_settings(folder / "lora.safetensors", {**SMALL, "base": str(folder / "base")}))


CHANGES = saved_in_single_precision, with_pictures_in_another_order, with_another_trigger


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Diagnosis:
    return check(tmp_path_factory.mktemp("whole") / "yuki", None)


def by_slice(diagnosis: Diagnosis) -> dict[tuple[str, tuple[tuple[str, str], ...]], Measurement]:
    return {
        (m.name, tuple(sorted((key, value.replace(OLD, NEW)) for key, value in m.where.items()))): m
        for m in diagnosis.measurements if m.name not in ABOUT_THE_WORD
    }  # fmt: skip


@pytest.mark.miniature
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_what_says_nothing_about_the_lora_changes_no_measurement_finding_or_verdict(
    change: Callable[[Path], None], before: Diagnosis, tmp_path: Path
) -> None:
    after = check(tmp_path / "yuki", change)
    one, other = by_slice(before), by_slice(after)
    assert one.keys() == other.keys() and len(one) > 300
    for key, told in one.items():
        assert other[key].value == pytest.approx(told.value, abs=1e-5), key
        assert other[key].interval == pytest.approx(told.interval, abs=1e-5), key
    assert [(f.rule, f.state, [c.because for c in f.causes]) for f in after.findings] == [
        (f.rule, f.state, [c.because for c in f.causes]) for f in before.findings
    ]
    assert (after.verdict.outcome, after.verdict.sentence) == (before.verdict.outcome, before.verdict.sentence)
