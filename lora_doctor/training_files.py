"""What the reference trainer writes: the LoRA and its checkpoints, both safetensors, both atomically."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lora_doctor.errors import EnvironmentFailure, InputRefused, UsageError

if TYPE_CHECKING:
    import torch

Adapters = Mapping[str, "torch.nn.Parameter"]
"""Key in a LoRA file -> the parameter in the model."""
MOMENTS = ("exp_avg", "exp_avg_sq")
"""What AdamW remembers of each parameter, besides the step."""


def save_lora(path: Path, adapters: Adapters, scale: float, metadata: Mapping[str, str]) -> None:
    """Write the LoRA to `path` in float16, with `scale` (alpha / rank) multiplied into the up factors.

    diffusers' layout has no place for alpha that every program reads; multiplied in, the scale is 1 for all of them.
    """
    tensors = {
        name: (parameter.detach() * (scale if name.endswith(".lora_B.weight") else 1.0)).half()
        for name, parameter in adapters.items()
    }
    write_safetensors(path, tensors, metadata)


def save_checkpoint(
    path: Path, adapters: Adapters, optimizer: torch.optim.AdamW, *, step: int, fingerprint: str
) -> None:
    """Write everything that step `step` + 1 needs; `fingerprint` says which training it belongs to."""
    tensors = {f"lora/{name}": parameter.detach() for name, parameter in adapters.items()}
    for name, parameter in adapters.items():
        tensors |= {f"{moment}/{name}": optimizer.state[parameter][moment] for moment in MOMENTS}
    write_safetensors(path, tensors, {"fingerprint": fingerprint, "step": str(step)})


def load_checkpoint(path: Path, adapters: Adapters, optimizer: torch.optim.AdamW, fingerprint: str) -> int:
    """Put a checkpoint's state back, if there is one; the number of steps it has behind it, else 0.

    Raises UsageError for the checkpoint of another training, InputRefused for a damaged one.
    """
    import torch
    from safetensors import SafetensorError, safe_open

    if not path.exists():
        return 0
    try:
        with safe_open(path, framework="pt") as file, torch.no_grad():
            metadata = file.metadata() or {}
            if metadata.get("fingerprint") != fingerprint:
                raise UsageError("the checkpoint is of another training", path=path, advice="Delete it to start anew.")
            step = int(metadata["step"])
            for name, parameter in adapters.items():
                parameter.copy_(file.get_tensor(f"lora/{name}"))
                moments = {part: file.get_tensor(f"{part}/{name}").to(parameter.device) for part in MOMENTS}
                optimizer.state[parameter] = {"step": torch.tensor(float(step)), **moments}
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise InputRefused("the checkpoint is damaged", path=path, advice="Delete it to start anew.") from error
    return step


def sha256_of(*values: object) -> str:
    """The hash of values that JSON can hold."""
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()


def write_safetensors(path: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file through a temporary one; equal contents give equal bytes.

    Raises EnvironmentFailure when the file cannot be written.
    """
    from safetensors.torch import save

    blob = save({name: tensor.contiguous().cpu() for name, tensor in tensors.items()}, dict(metadata))
    length = int.from_bytes(blob[:8], "little")
    # safetensors writes metadata in the random order of a Rust hash map.
    header = json.dumps(json.loads(blob[8 : 8 + length]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(len(header).to_bytes(8, "little") + header + blob[8 + length :])
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        full = error.errno == errno.ENOSPC
        advice = "Free some space and run the same command again: it resumes." if full else ""
        what = "no space left" if full else f"cannot be written: {error.strerror}"
        raise EnvironmentFailure(what, path=path, advice=advice) from error
    finally:
        temporary.unlink(missing_ok=True)
