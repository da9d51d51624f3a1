"""A finished LoRA, made stronger or weaker: the same file, whose every update is so many times as large."""

from __future__ import annotations

import math
import os
import secrets
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_doctor.errors import EnvironmentFailure, InputRefused, UsageError
from lora_doctor.lora_file import read_lora
from lora_doctor.lora_kinds import MAGNITUDES
from lora_doctor.lora_peft_config import NAME
from lora_doctor.lora_tensors import require_sound
from lora_doctor.types import LoraFile, LoraModule

if TYPE_CHECKING:
    import torch

RECORD = "rescaled_times"
"""Key of the metadata that says how many times as strong the file is than its trainer left it. Not of our own trainer's
keys, by which its records are known."""
LEAST, MOST = 0.01, 100.0
"""Beyond these, numbers of half precision vanish or overflow, and no LoRA is that far from its strength."""
_BY_ALPHA = ("lora", "tucker", "loha")
"""Kinds whose update is alpha / rank times a product, in every program that loads them."""
_FACTORS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "lora": (("up",),), "tucker": (("up",),), "loha": (("hada_w1_a",),), "lokr": (("lokr_w1",), ("lokr_w1_a",)),
    "full": (("diff",), ()), "norm": (("w_norm",), ()),
}  # fmt: skip
"""Kind -> the parts that the update is proportional to; the first that are there."""
_ADDED = ("diff_b", "b_norm")
"""Parts that are added as they stand, whatever alpha is."""
_STALE = ("sshs_model_hash", "sshs_legacy_hash", "modelspec.hash_sha256")
"""Records of the file's own contents, which are others now. Source: kohya-ss/sd-scripts library/train_util.py
(precalculate_safetensors_hashes); Stability-AI/ModelSpec."""


def rescale(model: Path, times: float, out: Path) -> Path:
    """Write the LoRA `model` to `out`, with every update `times` as large, and return `out`.

    Alpha is multiplied where the kind has one, as float32; else the factor that the update is proportional to, in the
    file's own precision, or in half precision for a file of eight bits a number. What is no update stays as it is. A
    peft `adapter_config.json` that has the file's scale is copied beside the new one.

    Raises UsageError for a number that is not from `LEAST` to `MOST`, for an `out` that is there already or beside
    another LoRA's config, and for kinds whose update is not proportional to anything in the file (DoRA, OFT, BOFT,
    GLoRA, IA3); InputRefused for a LoRA that is not sound, EnvironmentFailure where it cannot be written.
    """
    if not LEAST <= times <= MOST:
        what = f"{times:g} times is no strength."
        raise UsageError(what, path=model, advice=f"Give a number from {LEAST:g} to {MOST:g}, such as 1.3.")
    if out.suffix != ".safetensors":
        raise UsageError("must end in .safetensors.", path=out, advice="Name the new file so.")
    if os.path.lexists(out):
        raise UsageError("is there already.", path=out, advice="Name another file, or move that one away.")
    lora = read_lora(model)
    require_sound(lora)
    tensors, metadata = _read(model)
    for key in _multiplied(lora):
        tensors[key] = _times(tensors[key], times, exact=key.endswith("alpha"))
    before = float(metadata.get(RECORD, 1)) if _is_number(metadata.get(RECORD, "1")) else 1.0
    kept = {name: value for name, value in metadata.items() if name not in _STALE}
    _write(out, tensors, {**kept, RECORD: f"{before * times:.6g}"}, lora, times)
    return out


def _multiplied(lora: LoraFile) -> set[str]:
    """The keys of the tensors that have to be multiplied. Raises UsageError for a module where none does it."""
    keys = set[str]()
    for module in lora.modules:
        parts = _parts(module)
        if parts is None:
            what = f"{module.name} is {_called(module)}, whose update does not grow with anything in the file."
            raise UsageError(what, path=lora.path, advice="Load it at another weight instead.")
        keys |= {module.keys[part] for part in parts}
    return keys


def _parts(module: LoraModule) -> set[str] | None:
    """The parts of one module that have to be multiplied; None where none does it."""
    if module.kind not in _FACTORS or set(MAGNITUDES) & set(module.keys):
        return None
    added = set(_ADDED) & set(module.keys)
    if module.kind in _BY_ALPHA and "alpha" in module.keys:
        return {"alpha"} | added
    factor = next((parts for parts in _FACTORS[module.kind] if set(parts) <= set(module.keys)), None)
    return None if factor is None else {*factor} | added | ({"bias"} & set(module.keys))


def _called(module: LoraModule) -> str:
    return "DoRA" if set(MAGNITUDES) & set(module.keys) else module.kind.upper()


def _times(tensor: torch.Tensor, times: float, *, exact: bool) -> torch.Tensor:
    import torch

    product = tensor.to(torch.float32) * times
    return product if exact else product.to(torch.float16 if tensor.element_size() == 1 else tensor.dtype)


def _is_number(text: str) -> bool:
    try:
        return 0 < float(text) < float("inf")
    except ValueError:
        return False


def _read(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as held:
        return {name: held.get_tensor(name) for name in held.keys()}, dict(held.metadata() or {})  # noqa: SIM118


def _write(out: Path, tensors: Mapping[str, Any], metadata: Mapping[str, str], lora: LoraFile, times: float) -> None:
    """Whole or not at all, and only where what is read back is the LoRA with other scales or factors, and no other."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    staged, config = out.with_name(f".{secrets.token_hex(4)}-{out.name}"), _config_to_copy(lora, out)
    try:
        if config is not None:
            shutil.copyfile(config, out.parent / NAME)
        save_file(dict(tensors), staged, dict(metadata))
        _require_rescaled(read_lora(staged), lora, times, out)
        staged.replace(out)
    except (OSError, SafetensorError) as error:
        raise EnvironmentFailure(f"cannot be written: {error}.", path=out, advice="Name another folder.") from None
    except InputRefused as error:
        raise InputRefused(error.what, path=out, advice="Name a number nearer to 1.") from None
    finally:
        with suppress(OSError):
            staged.unlink(missing_ok=True)
        if config is not None and not out.exists():
            with suppress(OSError):
                (out.parent / NAME).unlink(missing_ok=True)


def _config_to_copy(lora: LoraFile, out: Path) -> Path | None:
    """peft's config beside the LoRA, where there is none beside the new file."""
    config = lora.path.parent / NAME
    return config if config.is_file() and not os.path.lexists(out.parent / NAME) else None


def _require_rescaled(new: LoraFile, old: LoraFile, times: float, out: Path) -> None:
    """Raises InputRefused for a file that is not sound, UsageError where what is beside it gives it another scale."""
    require_sound(new)
    scales = {(m.component, m.name): m.scale * (times if "alpha" in (_parts(m) or ()) else 1.0) for m in old.modules}
    for module in new.modules:
        wanted = scales.get((module.component, module.name))
        if wanted is None or not math.isclose(module.scale, wanted, rel_tol=1e-4):
            what = f"would be read with another scale: the {NAME} beside it is not this LoRA's."
            raise UsageError(what, path=out, advice="Name a folder of its own.")
