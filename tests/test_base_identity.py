"""A recorded base model is told from the one at hand by hash, else by name, else not at all."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from lora_doctor.base_digest import folder_digest
from lora_doctor.base_identity import compare_base
from lora_doctor.base_models import BaseSource
from lora_doctor.types import TrainedBase


def checkpoint(folder: Path, content: bytes = b"weights" * 200_000) -> BaseSource:
    path = folder / "some_merge.safetensors"
    path.write_bytes(content)
    return BaseSource(kind="file", path=path, name=path.name)


def diffusers_folder(path: Path) -> BaseSource:
    (path / "unet").mkdir(parents=True)
    (path / "model_index.json").write_text("{}")
    (path / "unet" / "weights.safetensors").write_bytes(b"weights")
    return BaseSource(kind="folder", path=path, name=path.name)


def test_a_checkpoint_with_the_recorded_hash_is_the_same_whatever_its_name(tmp_path: Path) -> None:
    source = checkpoint(tmp_path)
    own = hashlib.sha256(source.path.read_bytes()).hexdigest()
    same = compare_base(TrainedBase(name="pony.safetensors", sha256=own), source, "sdxl")
    other = compare_base(TrainedBase(name=source.name, sha256="0" * 64), source, "sdxl")
    assert (same.same, same.sure) == (True, True)
    assert (other.same, other.sure) == (False, True)


def test_the_first_hash_of_automatic1111_serves_where_there_is_no_other(tmp_path: Path) -> None:
    source = checkpoint(tmp_path)
    part = source.path.read_bytes()[0x100000 : 0x100000 + 0x10000]
    assert len(part) == 0x10000
    own = hashlib.sha256(part).hexdigest()[:8]
    assert compare_base(TrainedBase(legacy_hash=own), source, "sdxl").same is True
    assert compare_base(TrainedBase(legacy_hash="00000000"), source, "sdxl").same is False


def test_a_folder_is_its_weights_and_configs_and_not_its_notes(tmp_path: Path) -> None:
    source = diffusers_folder(tmp_path / "base")
    record = TrainedBase(name="base", folder_sha256=folder_digest(source.path))
    (source.path / "README.md").write_text("a note")
    assert compare_base(record, source, "sdxl").same is True
    (source.path / "unet" / "weights.safetensors").write_bytes(b"others")
    changed = compare_base(record, source, "sdxl")
    assert (changed.same, changed.sure) == (False, True)


@pytest.mark.parametrize(
    ("recorded", "here", "expected"),
    [
        ("ponyDiffusionV6XL.safetensors", "ponyDiffusionV6XL", True),
        ("ponyDiffusionV6XL.safetensors", "AstraliteHeart/pony-diffusion-v6@0123", True),
        ("ponyDiffusionV6XL.safetensors", "illustriousXL_v01.safetensors", False),
        ("my_own_mix_v3.safetensors", "illustriousXL_v01.safetensors", None),
        ("my_own_mix_v3.safetensors", "MyOwnMix-v3", True),
    ],
)
def test_names_tell_what_they_can(recorded: str, here: str, expected: bool | None, tmp_path: Path) -> None:
    source = BaseSource(kind="hub", path=tmp_path, name=here)
    found = compare_base(TrainedBase(name=recorded), source, "sdxl")
    assert (found.same, found.sure) == (expected, False)
    assert recorded in found.why


def test_without_a_record_nothing_is_said(tmp_path: Path) -> None:
    found = compare_base(TrainedBase(), checkpoint(tmp_path), "sdxl")
    assert found.same is None and "does not say" in found.why


def test_a_hash_that_a_folder_has_no_counterpart_of_leaves_it_open(tmp_path: Path) -> None:
    found = compare_base(TrainedBase(sha256="0" * 64), diffusers_folder(tmp_path / "base"), "sdxl")
    assert found.same is None
