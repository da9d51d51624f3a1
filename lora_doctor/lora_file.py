"""A .safetensors file -> LoraFile: what it adapts, with which rank and scale, for which family, by whose trainer."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_doctor.errors import InputRefused
from lora_doctor.lora_alpha import adapter_fields, alpha_and_divisor
from lora_doctor.lora_keys import ParsedKey, family_of, parse_key
from lora_doctor.safetensors_header import Header, check_regular_file, read_header, shown
from lora_doctor.safetensors_values import INTEGERS, non_finite, read_tensor
from lora_doctor.types import LoraFile, LoraModule

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

_SAVE_AGAIN = "Save it again from the trainer, or choose an earlier checkpoint."
_READ_AGAIN = "Run the command again."
_KIND_NAMES: Mapping[str, str] = {
    "loha": "LoHa", "lokr": "LoKr", "dora": "DoRA", "full": "full-difference", "tucker": "Tucker-decomposed LoRA",
    "biased": "biased LoRA", "oft": "OFT", "glora": "GLoRA", "ia3": "(IA)^3", "norm": "norm",
}  # fmt: skip


def read_lora(path: Path) -> LoraFile:
    """The LoRA at `path`, read and understood; every tensor is looked at once.

    Raises InputRefused for anything that is not a sound safetensors file with LoRA keys, and for NaN or infinity,
    half a pair, factors that do not fit each other, an alpha of 0, and a module given twice.
    """
    header = _header(path)
    parsed = {key: found for key in header.tensors if (found := parse_key(key)) is not None}
    if not parsed:
        what = f"holds no LoRA: none of its {len(header.tensors)} tensors has a LoRA's name."
        raise InputRefused(what, path=path, advice="Give the LoRA, not a checkpoint or an embedding.")
    if bad := non_finite(path, header):
        what = f"{len(bad)} of its {len(header.tensors)} tensors hold NaN or infinity ({shown(bad[0])} first)."
        raise InputRefused(what, path=path, advice=_SAVE_AGAIN)
    try:
        modules = tuple(_module(path, header, parts) for parts in _by_module(parsed))
    except ValueError as error:
        raise InputRefused(f"{error}.", path=path, advice=_SAVE_AGAIN) from None
    return LoraFile(
        path=path,
        sha256=_sha256(path),
        size=header.size,
        format=Counter(found.layout for found in parsed.values()).most_common(1)[0][0],
        family=family_of(_widths(header, modules)),
        trainer=_trainer(header.metadata),
        modules=modules,
        metadata=header.metadata,
        unknown_keys=tuple(key for key in header.tensors if key not in parsed),
    )


def require_plain_lora(lora: LoraFile) -> None:
    """Raises InputRefused, naming kinds and counts, unless every tensor of the file belongs to a plain LoRA module."""
    odd = Counter(module.kind for module in lora.modules if module.kind != "lora")
    wrong = [f"{count} {_KIND_NAMES.get(kind, kind)} module{'s' * (count > 1)}" for kind, count in odd.most_common()]
    if count := len(lora.unknown_keys):
        wrong.append(f"{count} tensor{'s' * (count > 1)} of unknown meaning ({shown(lora.unknown_keys[0])} first)")
    if wrong:
        what = f"holds {' and '.join(wrong)} beside {len(lora.modules) - odd.total()} plain LoRA modules;"
        advice = "lora-doctor cannot apply these exactly yet: convert the file to a plain LoRA first."
        raise InputRefused(what, path=lora.path, advice=advice)


def read_factors(lora: LoraFile, module: LoraModule) -> tuple[Array, Array]:
    """(down, up) of a plain LoRA module as float32, (rank, inputs) and (outputs, rank); their product is unscaled.

    A convolution's inputs are in_channels * kernel height * kernel width, in that order. Raises InputRefused when the
    module is not a plain LoRA, or the file has changed since it was read.
    """
    if module.kind != "lora":
        raise InputRefused(f"{shown(module.name)} is not a plain LoRA module but {module.kind}.", path=lora.path)
    tensors = _header(lora.path).tensors
    if not set(module.keys.values()) <= tensors.keys():
        raise InputRefused("has changed since it was read.", path=lora.path, advice=_READ_AGAIN)
    down, up = (read_tensor(lora.path, tensors[module.keys[part]]) for part in ("down", "up"))
    return down.reshape(down.shape[0], -1), up.reshape(up.shape[0], -1)


def _header(path: Path) -> Header:
    check_regular_file(path)
    status = path.stat()
    return _header_of(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=4)
def _header_of(path: Path, size: int, modified: int) -> Header:
    """Cached, because `read_factors` is called once a module; size and time tell a file that was replaced."""
    return read_header(path)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


Parts = Mapping[str, tuple[str, ParsedKey]]
"""The parts of one module: part -> (key, what the key says)."""


def _by_module(parsed: Mapping[str, ParsedKey]) -> Iterable[Parts]:
    """The keys by module. What two keys or two layouts say twice would be applied twice: ValueError."""
    modules: dict[tuple[str, str], dict[str, tuple[str, ParsedKey]]] = {}
    for key, found in parsed.items():
        parts = modules.setdefault((found.component, found.name.replace(".", "_")), {})
        if any(other.name != found.name for _, other in parts.values()):
            raise ValueError(f"it adapts {shown(found.name)} twice, under two names")
        if found.part in parts:
            raise ValueError(f"it gives the {found.part} of {shown(found.name)} twice")
        parts[found.part] = (key, found)
    return modules.values()


def _module(path: Path, header: Header, parts: Parts) -> LoraModule:
    """One module, checked. Raises ValueError with what is wrong."""
    keys = {part: key for part, (key, _) in parts.items()}
    first = next(found for _, found in parts.values())
    kind = next((found.kind for _, found in parts.values() if found.kind), "lora")
    if kind == "lora" and adapter_fields(header.metadata).get(f"{first.component}.use_dora") is True:
        kind = "dora"
    rank = _rank(header, first.name, keys) if kind == "lora" or {"down", "up"} & keys.keys() else 0
    stored = None
    if "alpha" in keys:
        values = read_tensor(path, header.tensors[keys["alpha"]]).ravel()
        if values.size != 1:
            raise ValueError(f"the alpha of {shown(first.name)} is not one number")
        stored = float(values[0])
    alpha, divisor = stored or 0.0, 0.0
    if rank:
        alpha, divisor = alpha_and_divisor(
            component=first.component,
            name=first.name,
            layout=first.layout,
            rank=rank,
            stored=stored,
            metadata=header.metadata,
        )
    return LoraModule(
        component=first.component,
        name=first.name,
        flattened=first.layout == "kohya",
        kind=kind,
        rank=rank,
        alpha=alpha,
        scale=alpha / divisor if divisor else 1.0,
        keys=keys,
    )


def _rank(header: Header, name: str, keys: Mapping[str, str]) -> int:
    """The rank of a module with `down` and `up`, which must both be there, hold fractions, and fit each other."""
    if missing := [part for part in ("down", "up") if part not in keys]:
        raise ValueError(f"module {shown(name)} has no {' and no '.join(missing)} factor")
    down, up = header.tensors[keys["down"]], header.tensors[keys["up"]]
    if down.dtype in INTEGERS or up.dtype in INTEGERS:
        raise ValueError(f"the factors of {shown(name)} are whole numbers")
    fitting = len(down.shape) >= 2 and len(up.shape) >= 2 and up.shape[1] == down.shape[0]
    if not fitting or any(side != 1 for side in up.shape[2:]):
        raise ValueError(f"the factors of {shown(name)} do not fit: down {list(down.shape)}, up {list(up.shape)}")
    return down.shape[0]


def _widths(header: Header, modules: Iterable[LoraModule]) -> dict[tuple[str, str], tuple[int, int]]:
    """(component, name) -> (input, output) width of the modules with `down` and `up`; channels for convolutions."""
    tensors = header.tensors
    return {
        (module.component, module.name): (tensors[module.keys["down"]].shape[1], tensors[module.keys["up"]].shape[0])
        for module in modules
        if "down" in module.keys
    }


def _trainer(metadata: Mapping[str, str]) -> str | None:
    """Who wrote the file, by the metadata each trainer leaves."""
    if any(key.startswith("lora_doctor.") for key in metadata):
        return "lora-doctor"
    if "ot_revision" in metadata or "ot_config" in metadata:
        return "OneTrainer"
    if "ai-toolkit" in metadata.get("software", ""):
        return "ai-toolkit"
    if "lycoris_config" in metadata or {"lora_adapter_metadata", "trained_words"} <= metadata.keys():
        return "SimpleTuner"
    if "lora_adapter_metadata" in metadata:
        return "diffusers"
    if "ss_network_module" in metadata:
        return "musubi-tuner" if "ss_num_train_items" in metadata else "sd-scripts"
    return None
