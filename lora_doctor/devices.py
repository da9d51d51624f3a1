"""Which device is meant: one answer for the base model, all instruments and the training."""

from __future__ import annotations

from typing import Any

from lora_doctor.errors import EnvironmentFailure

_NO_MEMORY = ("out of memory", "can't allocate memory", "STATUS_ALLOC_FAILED", "bad allocation")
"""What torch, CUDA's libraries and onnxruntime say where they have no class of their own for it."""


def resolved(device: str) -> str:
    """The device that is worked on: `auto` is the first GPU that torch sees, else the CPU; others are themselves."""
    if device != "auto":
        return device
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def onnx_providers(device: str) -> list[Any]:
    """What onnxruntime is asked to compute on, the CPU where there is nothing else.

    Raises EnvironmentFailure for a GPU whose number is none.
    """
    kind, _, number = device.partition(":")
    if kind != "cuda":
        return ["CPUExecutionProvider"]
    if number and not number.isdecimal():
        raise EnvironmentFailure(f"there is no device `{device}`.")
    return [("CUDAExecutionProvider", {"device_id": int(number or 0)}), "CPUExecutionProvider"]


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch, onnxruntime or Python ran out of memory, on a GPU or a CPU."""
    import torch

    known = isinstance(error, (torch.OutOfMemoryError, MemoryError))
    return known or any(words in str(error) for words in _NO_MEMORY)
