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
    assert (same.same, same.sure) == (True, True)


@pytest.mark.parametrize(
    ("recorded", "here", "same", "sure"),
    [
        # A hash tells files apart, not models: the same one is saved in half precision, or with another VAE.
        ("sd_xl_base_1.0_0.9vae.safetensors", "sd_xl_base_1.0.safetensors", None, False),
        ("my_mix.safetensors", "my_mix.safetensors", None, False),
        ("ponyDiffusionV6XL.safetensors", "sd_xl_base_1.0.safetensors", False, True),
        ("my_mix_fp16.safetensors", "my_mix.safetensors", False, False),
        (None, "my_mix.safetensors", False, False),
    ],
)
def test_another_hash_is_another_base_for_sure_only_where_the_names_say_so_too(
    recorded: str | None, here: str, same: bool | None, sure: bool, tmp_path: Path
) -> None:
    path = tmp_path / here
    path.write_bytes(b"weights" * 200_000)
    source = BaseSource(kind="file", path=path, name=here)
    for record in (TrainedBase(name=recorded, sha256="0" * 64), TrainedBase(name=recorded, legacy_hash="0" * 8)):
        found = compare_base(record, source, "sdxl")
        assert (found.same, found.sure) == (same, sure)
        assert found.why.startswith(f"the recorded hash is not that of {here}")


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
