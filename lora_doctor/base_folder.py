"""A diffusers folder before anything of it is loaded: which files count, and why a folder is refused.

Nothing here relies on the loading library's own checks (diffusers ran a local folder's .py before 0.38, see
CVE-2026-44513): classes are on a list of ours, weights are .safetensors, and no file outside the folder is reached.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lora_doctor.base_classes import COMPONENTS, LEFT_OUT, NEEDED_PARTS, PIPELINES, WITH_WEIGHTS
from lora_doctor.errors import InputRefused

INDEX = "model_index.json"
STEMS = ("diffusion_pytorch_model", "model")
"""Names of a part's weights, as diffusers and transformers write them."""
HALF = "fp16"
"""The variant that is taken when a part has no other weights."""
SHARD_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\.safetensors")
COMMIT = re.compile(r"[0-9a-f]{40}")
_PART_NAME = re.compile(r"[a-z][a-z0-9_]*")
_NAMED_FILES = ("vocab_file", "merges_file", "tokenizer_file")
_KERNELS = ("attn_implementation", "_attn_implementation", "_attn_implementation_internal", "experts_implementation")
MAX_JSON = 64 * 1024 * 1024
"""Bytes; tokenizer.json reaches 20 MB."""


def check_folder(folder: Path, *, weights: bool = True) -> dict[str, Any]:
    """model_index.json of a diffusers folder, once all of it was found harmless.

    Raises InputRefused for an unknown pipeline, a class outside the list, code that comes with the model, a name or a
    link that leads out of the folder, weights that are not .safetensors. `weights` False leaves the weights out: a
    folder of configs and tokenizers will do.
    """
    if (folder / INDEX).exists():
        _check_place(folder / INDEX, folder, _allowed_root(folder))
    index = read_json(folder / INDEX, folder)
    check_index(index, folder)
    for name, class_name in loaded_parts(index):
        _check_part(folder, name, class_name, weights=weights)
    return index


def check_index(index: Mapping[str, Any], folder: Path | str) -> None:
    """Refuse a model_index.json that names any class, library or folder outside the lists, or lacks a part."""
    pipeline = index.get("_class_name")
    if not isinstance(pipeline, str) or pipeline not in PIPELINES:
        raise InputRefused(f"this is a `{pipeline}`", path=folder, advice=f"Known: {', '.join(PIPELINES)}.")
    for name, value in index.items():
        if isinstance(value, list):
            _check_entry(name, value, folder)
        elif isinstance(value, dict):
            raise InputRefused(f"{INDEX}: `{name}` is no part and no setting", path=folder)
    missing = NEEDED_PARTS[pipeline] - {name for name, _ in loaded_parts(index)}
    if missing:
        raise InputRefused(f"{INDEX} names no {', '.join(sorted(missing))}: no whole {pipeline}", path=folder)


def _check_entry(name: str, value: list[Any], folder: Path | str) -> None:
    if not _PART_NAME.fullmatch(name):
        raise InputRefused(f"{INDEX} names a part `{name}`, which is no plain folder name", path=folder)
    if value == [None, None]:
        return
    if len(value) != 2 or not all(isinstance(word, str) for word in value):
        raise InputRefused(f"{INDEX}: `{name}` is not a library and a class", path=folder)
    library, class_name = value
    if library not in COMPONENTS.values():
        raise InputRefused(f"its `{name}` comes with code of its own (`{library}`), which is never run", path=folder)
    if COMPONENTS.get(class_name) != library:
        raise InputRefused(
            f"its `{name}` is a `{library}.{class_name}`, which is not among the known classes", path=folder
        )


def loaded_parts(index: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(name, class) of each part of a checked index that will be loaded."""
    for name, value in index.items():
        if isinstance(value, list) and value[0] is not None and name not in LEFT_OUT:
            yield name, value[1]


def _check_part(folder: Path, name: str, class_name: str, *, weights: bool) -> None:
    part = folder / name
    if not part.is_dir():
        raise InputRefused(f"its `{name}` is missing", path=folder)
    root = _allowed_root(folder)
    for path in (part, *sorted(part.rglob("*"))):
        _check_place(path, folder, root)
    for path in sorted(part.glob("*.json")):
        _check_config(path, folder)
    if weights and class_name in WITH_WEIGHTS and not weight_files(part, folder):
        raise InputRefused(
            f"its `{name}` has no .safetensors weights", path=folder, advice="Pickled weights are never loaded."
        )


def _allowed_root(folder: Path) -> Path:
    """Where the folder's files may lie: in itself, or, in the hub's cache, among the same model's blobs.

    The cache is `models--owner--name/{refs,blobs,snapshots/COMMIT}`, and the files of a snapshot are links to blobs.
    """
    model = folder.absolute().parent.parent
    in_cache = (
        COMMIT.fullmatch(folder.name) is not None
        and folder.absolute().parent.name == "snapshots"
        and model.name.startswith("models--")
    )
    return (model / "blobs").resolve() if in_cache else folder.resolve()


def _check_place(path: Path, folder: Path, root: Path) -> None:
    """Refuse what is neither a file nor a folder, and a link that leads out."""
    shown = path.relative_to(folder)
    try:
        real = path.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise InputRefused(f"{shown} is a link to nowhere", path=folder) from error
    if not (real.is_relative_to(folder.resolve()) or real.is_relative_to(root)):
        raise InputRefused(f"{shown} is a link that leads out of the folder", path=folder)
    if not (real.is_file() or real.is_dir()):
        raise InputRefused(f"{shown} is neither a file nor a folder", path=folder)


def _check_config(path: Path, folder: Path) -> None:
    """Refuse a config that names code, kernels or another model to fetch, or a tokenizer file elsewhere."""
    config = read_json(path, folder)
    shown = path.relative_to(folder)
    if path.name == "adapter_config.json":  # transformers would follow it to the model that it names
        raise InputRefused(f"{shown} leads to another model", path=folder, advice="Name that model itself as `base`.")
    if "auto_map" in config:
        raise InputRefused(f"{shown} names code of its own (`auto_map`), which is never run", path=folder)
    if "quantization_config" in config:
        raise InputRefused(
            f"{shown}: the weights are quantised; a LoRA cannot be merged into them",
            path=folder,
            advice="Set `base` to the same model in half or full precision.",
        )
    for key in _KERNELS:
        if "/" in str(config.get(key, "")):  # a hub id: transformers would fetch compiled code from there
            raise InputRefused(f"{shown}: `{key}` names code on the hub, which is never run", path=folder)
    for key in _NAMED_FILES:
        name = config.get(key)
        if isinstance(name, str) and Path(name).name != name:
            raise InputRefused(f"{shown}: `{key}` leads out of the folder", path=folder)


def weight_files(part: Path, folder: Path) -> tuple[Path, ...]:
    """The .safetensors files a part is loaded from, shards in order of their names; () when it has none.

    Raises InputRefused when the shard index names a file elsewhere or one that is not there.
    """
    for variant in ("", HALF):
        found = _variant_files(part, folder, variant)
        if found:
            return found
    return ()


def uses_half_variant(folder: Path, index: Mapping[str, Any]) -> bool:
    """Whether some part's only weights are of the `fp16` variant."""
    parts = [folder / name for name, class_name in loaded_parts(index) if class_name in WITH_WEIGHTS]
    return any(not _variant_files(part, folder, "") for part in parts)


def _variant_files(part: Path, folder: Path, variant: str) -> tuple[Path, ...]:
    for stem in STEMS:
        single = part / (f"{stem}.{variant}.safetensors" if variant else f"{stem}.safetensors")
        if single.is_file():
            return (single,)
        name = f"{stem}.safetensors.index.{variant}.json" if variant else f"{stem}.safetensors.index.json"
        if (part / name).is_file():
            return _shards(part / name, folder)
    return ()


def _shards(index: Path, folder: Path) -> tuple[Path, ...]:
    places = read_json(index, folder).get("weight_map")
    names = set(places.values()) if isinstance(places, dict) and _all_text(places.values()) else set()
    shown = index.relative_to(folder)
    for name in sorted(names):
        if not SHARD_FILE.fullmatch(name):
            raise InputRefused(f"{shown} names `{name}`, which is no .safetensors file beside it", path=folder)
        if not (index.parent / name).is_file():
            raise InputRefused(f"{shown} names `{name}`, which is not there", path=folder)
    if not names:
        raise InputRefused(f"{shown} names no files", path=folder)
    return tuple(index.parent / name for name in sorted(names))


def _all_text(values: Any) -> bool:
    return all(isinstance(value, str) for value in values)


def read_json(path: Path, folder: Path) -> dict[str, Any]:
    """A JSON object; InputRefused when it is missing, unreadable, too large or something else."""
    shown = path.relative_to(folder)
    try:
        if path.is_file() and path.stat().st_size > MAX_JSON:
            raise InputRefused(f"{shown} is larger than {MAX_JSON} bytes", path=folder)
        if not path.is_file():  # opening a named pipe would wait for ever
            raise FileNotFoundError(path)
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        what = f"not a diffusers pipeline folder: {shown} is missing or unreadable"
        raise InputRefused(what, path=folder) from error
    if not isinstance(content, dict):
        raise InputRefused(f"not a diffusers pipeline folder: {shown} is not an object", path=folder)
    return content
