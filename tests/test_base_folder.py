"""Hostile base folders: each is refused by name before anything is loaded, and no code of theirs runs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lora_doctor.base_classes import COMPONENTS, NEEDED_PARTS, PIPELINES
from lora_doctor.base_folder import check_folder, uses_half_variant, weight_files
from lora_doctor.base_models import load_pipeline
from lora_doctor.errors import InputRefused
from tests.tiny_pipeline import tiny_folder

MARK = "LORA_DOCTOR_TEST_RAN"
"""Environment variable with the file that hostile code would write."""
CODE = f"import os\nopen(os.environ['{MARK}'], 'w').close()\n"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("models") / "base")


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(saved, tmp_path / "base"))


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps((json.loads(path.read_text()) if path.exists() else {}) | changes))


class Bomb:
    """Runs the code when it is unpickled."""

    def __reduce__(self) -> Any:
        return exec, (CODE,)


def pickled(folder: Path) -> None:
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    torch.save({"x": Bomb()}, folder / "unet" / "diffusion_pytorch_model.bin")


def pickled_under_a_false_name(folder: Path) -> None:
    torch.save({"x": Bomb()}, folder / "unet" / "diffusion_pytorch_model.safetensors")


def module_beside_the_index(folder: Path) -> None:
    (folder / "unet" / "evil.py").write_text(CODE + "class Evil: pass\n")
    edit(folder / "model_index.json", unet=["evil", "Evil"])


def custom_pipeline(folder: Path) -> None:
    (folder / "pipeline.py").write_text(CODE + "class Mine: pass\n")
    edit(folder / "model_index.json", _class_name=["pipeline", "Mine"])


def class_outside_the_list(folder: Path) -> None:
    edit(folder / "model_index.json", unet=["transformers", "pipeline"])


def class_of_another_library(folder: Path) -> None:
    edit(folder / "model_index.json", unet=["transformers", "UNet2DConditionModel"])


def part_name_that_climbs(folder: Path) -> None:
    shutil.copytree(folder / "vae", folder.parent / "outside")
    edit(folder / "model_index.json", **{"../outside": ["diffusers", "AutoencoderKL"]})


def link_to_a_file_outside(folder: Path) -> None:
    weights = folder / "vae" / "diffusion_pytorch_model.safetensors"
    shutil.move(weights, folder.parent / "outside.safetensors")
    weights.symlink_to(folder.parent / "outside.safetensors")


def part_that_is_a_link(folder: Path) -> None:
    shutil.move(folder / "vae", folder.parent / "outside")
    (folder / "vae").symlink_to(folder.parent / "outside")


def link_in_a_circle(folder: Path) -> None:
    config = folder / "vae" / "config.json"
    config.unlink()
    config.symlink_to(config)


def shards_elsewhere(folder: Path) -> None:
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    shutil.move(weights, folder.parent / "other.safetensors")
    edit(weights.with_suffix(".safetensors.index.json"), weight_map={"conv_in.weight": "../../other.safetensors"})


def pickled_shards(folder: Path) -> None:
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights.unlink()
    torch.save({"x": Bomb()}, folder / "unet" / "part.bin")
    edit(weights.with_suffix(".safetensors.index.json"), weight_map={"conv_in.weight": "part.bin"})


def remote_code_of_a_text_encoder(folder: Path) -> None:
    (folder / "text_encoder" / "modeling.py").write_text(CODE)
    edit(folder / "text_encoder" / "config.json", auto_map={"AutoModel": "modeling.Evil"})


def remote_code_of_a_tokenizer(folder: Path) -> None:
    (folder / "tokenizer" / "tok.py").write_text(CODE)
    edit(folder / "tokenizer" / "tokenizer_config.json", auto_map={"AutoTokenizer": ["tok.Evil", None]})


def tokenizer_file_elsewhere(folder: Path) -> None:
    edit(folder / "tokenizer" / "tokenizer_config.json", vocab_file="/etc/passwd")


def adapter_that_leads_away(folder: Path) -> None:
    edit(folder / "text_encoder" / "adapter_config.json", base_model_name_or_path="someone/else", peft_type="LORA")


def kernels_from_the_hub(folder: Path) -> None:
    edit(folder / "text_encoder" / "config.json", _attn_implementation="someone/kernel")


def quantised(folder: Path) -> None:
    edit(folder / "unet" / "config.json", quantization_config={"quant_method": "bitsandbytes", "load_in_4bit": True})


def named_pipe(folder: Path) -> None:
    config = folder / "scheduler" / "scheduler_config.json"
    config.unlink()
    os.mkfifo(config)


def index_that_is_a_named_pipe(folder: Path) -> None:
    (folder / "model_index.json").unlink()
    os.mkfifo(folder / "model_index.json")


def index_that_is_a_link_out(folder: Path) -> None:
    shutil.move(folder / "model_index.json", folder.parent / "index.json")
    (folder / "model_index.json").symlink_to(folder.parent / "index.json")


HOSTILE: list[tuple[Callable[[Path], None], str]] = [
    (pickled, r"`unet` has no \.safetensors weights"),
    (pickled_under_a_false_name, "does not load"),
    (module_beside_the_index, "code of its own"),
    (custom_pipeline, "this is a"),
    (class_outside_the_list, "not among the known classes"),
    (class_of_another_library, "not among the known classes"),
    (part_name_that_climbs, "no plain folder name"),
    (link_to_a_file_outside, r"vae/diffusion_pytorch_model\.safetensors is a link that leads out"),
    (part_that_is_a_link, "vae is a link that leads out"),
    (link_in_a_circle, "link to nowhere"),
    (shards_elsewhere, "no .safetensors file beside it"),
    (pickled_shards, "no .safetensors file beside it"),
    (remote_code_of_a_text_encoder, "code of its own"),
    (remote_code_of_a_tokenizer, "code of its own"),
    (tokenizer_file_elsewhere, "leads out of the folder"),
    (adapter_that_leads_away, "leads to another model"),
    (kernels_from_the_hub, "names code on the hub"),
    (quantised, "quantised"),
    (named_pipe, "neither a file nor a folder"),
    (index_that_is_a_named_pipe, "neither a file nor a folder"),
    (index_that_is_a_link_out, r"model_index\.json is a link that leads out"),
]


@pytest.mark.parametrize(("spoil", "says"), HOSTILE, ids=[spoil.__name__ for spoil, _ in HOSTILE])
def test_a_hostile_folder_is_refused_and_runs_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Path], None], says: str
) -> None:
    monkeypatch.setenv(MARK, str(tmp_path / "ran"))
    spoil(folder)
    modules = set(sys.modules)
    with pytest.raises(InputRefused, match=says) as caught:
        load_pipeline(folder, "cpu")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "ran").exists()
    assert not {"evil", "pipeline", "modeling", "tok"} & (set(sys.modules) - modules)


def test_the_hostile_code_would_work_if_it_were_run(tmp_path: Path) -> None:
    """The test above can fail: run or unpickled, the code leaves its mark."""
    torch.save({"x": Bomb()}, tmp_path / "bomb.bin")
    code = f"import torch; torch.load({str(tmp_path / 'bomb.bin')!r}, weights_only=False)"
    subprocess.run([sys.executable, "-c", code], env=os.environ | {MARK: str(tmp_path / "ran")}, check=False)
    assert (tmp_path / "ran").exists()


def test_python_files_that_nothing_names_do_no_harm(folder: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv(MARK, str(tmp_path / "ran"))
    (folder / "convert.py").write_text(CODE)
    load_pipeline(folder, "cpu")
    assert not (tmp_path / "ran").exists()


def hub_snapshot(saved: Path, cache: Path) -> Path:
    """The folder as the hub's cache keeps it: a snapshot of links to blobs."""
    model = cache / "models--someone--model"
    (model / "blobs").mkdir(parents=True)
    snapshot = model / "snapshots" / ("0123456789" * 4)
    for number, file in enumerate(sorted(path for path in saved.rglob("*") if path.is_file())):
        blob = model / "blobs" / f"{number:064x}"
        shutil.copy(file, blob)
        place = snapshot / file.relative_to(saved)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(os.path.relpath(blob, place.parent))
    return snapshot


def test_the_hub_caches_links_to_blobs_are_followed(saved: Path, tmp_path: Path) -> None:
    snapshot = hub_snapshot(saved, tmp_path)
    assert (snapshot / "unet" / "config.json").is_symlink()
    assert check_folder(snapshot)["_class_name"] == "StableDiffusionPipeline"
    assert load_pipeline(snapshot, "cpu").unet is not None


@pytest.mark.parametrize("target", ["../../outside", "../../models--other--model/blobs/x"])
def test_a_snapshots_link_past_its_blobs_is_refused(saved: Path, tmp_path: Path, target: str) -> None:
    snapshot = hub_snapshot(saved, tmp_path / "cache")
    outside = (snapshot / target).resolve()
    outside.parent.mkdir(parents=True, exist_ok=True)
    link = snapshot / "vae" / "config.json"
    shutil.copy(link, outside)
    link.unlink()
    link.symlink_to(outside)
    with pytest.raises(InputRefused, match="leads out"):
        check_folder(snapshot)


def test_a_plain_folder_gets_no_licence_for_blobs_by_its_neighbours(saved: Path, tmp_path: Path) -> None:
    snapshot = hub_snapshot(saved, tmp_path)
    plain = snapshot.rename(snapshot.with_name("main"))
    with pytest.raises(InputRefused, match="leads out"):
        check_folder(plain)


@pytest.mark.parametrize("name", ["unet", "vae", "text_encoder", "tokenizer", "scheduler"])
def test_every_part_is_needed(folder: Path, name: str) -> None:
    edit(folder / "model_index.json", **{name: [None, None]})
    with pytest.raises(InputRefused, match=f"names no {name}"):
        check_folder(folder)


def test_a_part_without_its_folder_is_refused(folder: Path) -> None:
    shutil.rmtree(folder / "vae")
    with pytest.raises(InputRefused, match="its `vae` is missing"):
        check_folder(folder)


def test_a_folder_without_weights_will_do_for_configs(folder: Path) -> None:
    for path in folder.rglob("*.safetensors"):
        path.unlink()
    assert check_folder(folder, weights=False)
    with pytest.raises(InputRefused, match=r"no \.safetensors"):
        check_folder(folder)


def test_weights_of_the_half_variant_are_found_and_loaded(folder: Path) -> None:
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    half = weights.rename(weights.with_name("diffusion_pytorch_model.fp16.safetensors"))
    assert weight_files(folder / "unet", folder) == (half,)
    assert uses_half_variant(folder, check_folder(folder))
    assert load_pipeline(folder, "cpu").unet.dtype == torch.float32


def test_shards_are_found_and_loaded(folder: Path) -> None:
    from diffusers import UNet2DConditionModel

    unet = UNet2DConditionModel.from_pretrained(folder / "unet")
    shutil.rmtree(folder / "unet")
    unet.save_pretrained(folder / "unet", max_shard_size="100KB")
    assert len(weight_files(folder / "unet", folder)) > 1
    loaded = load_pipeline(folder, "cpu").unet.state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in unet.state_dict().items())


def test_a_missing_shard_is_named(folder: Path) -> None:
    index = folder / "unet" / "diffusion_pytorch_model.safetensors.index.json"
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    edit(index, weight_map={"a": "diffusion_pytorch_model-00001-of-00002.safetensors"})
    with pytest.raises(InputRefused, match=r"00001-of-00002\.safetensors`, which is not there"):
        check_folder(folder)


@pytest.mark.parametrize("depth", [10_000])
def test_a_json_bomb_is_refused(folder: Path, depth: int) -> None:
    (folder / "vae" / "config.json").write_text("[" * depth + "]" * depth)
    with pytest.raises(InputRefused):
        check_folder(folder)


def test_every_known_class_exists_in_its_library() -> None:
    import diffusers
    import transformers

    libraries = {"diffusers": diffusers, "transformers": transformers}
    for name, library in COMPONENTS.items():
        if library in libraries and name not in ("CLIPFeatureExtractor", "CLIPImageProcessorPil"):
            assert hasattr(libraries[library], name), name
    assert set(NEEDED_PARTS) == set(PIPELINES)
    assert all(hasattr(diffusers, name) for name in PIPELINES)
