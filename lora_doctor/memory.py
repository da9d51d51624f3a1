"""How a base model is laid out in GPU memory: all of it there, tiled decoding, or its parts on the CPU between uses."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from lora_doctor.devices import is_machine_failure
from lora_doctor.errors import EnvironmentFailure, UsageError, first_line

if TYPE_CHECKING:
    import torch

Memory = Literal["full", "tiled", "offload", "sequential"]
MODES: tuple[str, ...] = ("auto", *get_args(Memory))
DENOISERS = ("unet", "transformer")
GB = 10**9
WORKING = {
    "miniature": (1 * GB // 10, 1 * GB // 10), "sd15": (2 * GB, 1 * GB), "sd2": (3 * GB, 1 * GB),
    "sdxl": (5 * GB, 3 * GB // 2), "sd3": (4 * GB, 3 * GB // 2), "flux": (4 * GB, 3 * GB // 2),
    "z-image": (4 * GB, 3 * GB // 2), "qwen-image": (5 * GB, 2 * GB),
}  # fmt: skip
"""Family -> bytes that one picture of the family's default size takes beside the weights: decoded whole, in tiles.

Estimates, from three live activations of the decoder's widest full-size layer (SDXL's decoder runs in float32); not
measured on a card. Too little is met by halving batches, and then by the next mode.
"""
_HEADER_LENGTH = 8
_MAX_HEADER = 100_000_000


def choose_memory(
    free_bytes: int, weights_bytes: Mapping[str, int], family: str, adapted: Collection[str] = ()
) -> Memory:
    """The least sparing mode that fits into `free_bytes` of GPU memory; pure.

    `weights_bytes` is bytes per part (unet, vae, ...) in the precision it will be loaded in. `full` and `tiled` keep
    all parts on the GPU, and a second copy of the denoiser and of what else the LoRA adapts (`adapted`, as its file
    calls them) for the pristine weights; `offload` one part at a time (the copies stay on the CPU); `sequential` one
    layer at a time, several times slower, and fits anywhere.
    """
    whole, tiled = WORKING.get(family, WORKING["sdxl"])
    t5_of_flux = {"text_encoder_3": "text_encoder_2"} if "text_encoder_3" not in weights_bytes else {}
    copied = {t5_of_flux.get(name, name) for name in (*DENOISERS, *adapted)}
    copies = sum(weights_bytes.get(name, 0) for name in copied)
    resident = sum(weights_bytes.values()) + copies
    if resident + whole <= free_bytes:
        return "full"
    if resident + tiled <= free_bytes:
        return "tiled"
    if max(weights_bytes.values(), default=0) + tiled <= free_bytes:
        return "offload"
    return "sequential"


def check_mode(memory: str) -> None:
    """UsageError unless `memory` is `auto` or one of the modes."""
    if memory not in MODES:
        raise UsageError(f"there is no memory mode `{memory}`", advice=f"Known: {', '.join(MODES)}.")


def part_bytes(parts: Mapping[str, Sequence[Path]], itemsize: int) -> dict[str, int]:
    """Bytes of each part once its tensors have `itemsize` bytes a number, from the headers of its .safetensors files.

    A header that does not parse counts as the file's size.
    """
    return {name: sum(_elements(path, itemsize) * itemsize for path in paths) for name, paths in parts.items()}


def _elements(path: Path, itemsize: int) -> int:
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(_HEADER_LENGTH), "little")
            header = json.loads(file.read(min(length, _MAX_HEADER)))
        return sum(_product(entry["shape"]) for name, entry in header.items() if name != "__metadata__")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return path.stat().st_size // itemsize


def _product(shape: Sequence[int]) -> int:
    product = 1
    for length in shape:
        product *= int(length)
    return product


def free_memory(device: str) -> int | None:
    """Free bytes of a CUDA device, or None where there is nothing to choose (the CPU)."""
    import torch

    if not device.startswith("cuda"):
        return None
    try:
        return int(torch.cuda.mem_get_info(device)[0])
    except (RuntimeError, AssertionError, ValueError) as error:
        raise EnvironmentFailure(f"there is no device `{device}`: {first_line(error)}") from error


def place(pipeline: Any, memory: Memory, device: str, *, side: int | None = None) -> Any:
    """The pipeline laid out on `device` as `memory` says, through diffusers' own methods.

    `full` slices the decoder's batches where the device is a GPU; the other modes also decode in tiles (which blends
    the seams: pictures differ slightly from those of `full`). `side`: of the pictures that are usual for the model, in
    pixels; None = as its decoder says. It knows the mode as `memory_mode`. Raises EnvironmentFailure when the device is
    not there, what torch raises when its memory runs out.
    """
    pipeline.memory_mode = memory
    if memory != "full":
        _tile(pipeline.vae, side)
    if memory != "full" or (not device.startswith("cpu") and _is_half(pipeline)):
        pipeline.vae.enable_slicing()
    try:
        if memory == "offload":
            pipeline.enable_model_cpu_offload(device=device)
        elif memory == "sequential":
            _offload_layers(pipeline, device)
        else:
            return pipeline.to(device)
    except (RuntimeError, AssertionError) as error:
        if is_machine_failure(error):
            raise
        raise EnvironmentFailure(f"the base model does not go to device `{device}`: {first_line(error)}") from error
    return pipeline


def _tile(vae: Any, side: int | None) -> None:
    """Decoding and encoding in tiles of half a picture's side.

    diffusers' own are as large as the picture that the model is made for, and so would cut none of them up; but for
    Qwen-Image's, which are of 256 pixels.
    """
    vae.enable_tiling()
    if hasattr(vae, "tile_latent_min_size"):
        scale = 2 ** (len(vae.config.block_out_channels) - 1)
        whole = vae.tile_latent_min_size if side is None else side // scale
        vae.tile_latent_min_size = max(2, whole // 2)
        vae.tile_sample_min_size = vae.tile_latent_min_size * scale


def _is_half(pipeline: Any) -> bool:
    return bool(next(pipeline.vae.parameters()).element_size() < 4)


# ---------------------------------------------------------------- weights within reach


@contextmanager
def weights_at_hand(pipeline: Any) -> Iterator[None]:
    """While it lasts, every weight is a plain tensor on the CPU or GPU, so that a LoRA can be matched and copied.

    Sequential offload leaves empty (meta) tensors in the modules and keeps the numbers aside. Its hooks are taken off,
    which puts the numbers back, and put on again at the end: they then keep the very memory that was seen here, so
    that what is written into those tensors later is what the next forward pass uses. Other modes need nothing:
    moving a module changes where its parameters lie, not which they are.
    """
    device = _sequential_device(pipeline)
    if device is None:
        yield
        return
    pipeline.remove_all_hooks()
    try:
        yield
    finally:
        _offload_layers(pipeline, device)


def _modules(pipeline: Any) -> list[torch.nn.Module]:
    import torch

    return [part for part in pipeline.components.values() if isinstance(part, torch.nn.Module)]


def _sequential_device(pipeline: Any) -> str | None:
    on_meta = any(parameter.is_meta for module in _modules(pipeline) for parameter in module.parameters())
    return str(pipeline._execution_device) if on_meta else None


def _offload_layers(pipeline: Any, device: str) -> None:
    """Sequential offload; on the CPU, where it saves nothing, by accelerate's function that diffusers calls.

    diffusers would call the CPU `cpu:0`, which accelerate takes for another device than the weights' and stumbles on.
    """
    if not device.startswith("cpu"):
        pipeline.enable_sequential_cpu_offload(device=device)
        return
    from accelerate import cpu_offload

    for module in _modules(pipeline):
        cpu_offload(module, "cpu", offload_buffers=bool(module._parameters))
