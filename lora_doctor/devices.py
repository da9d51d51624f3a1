"""Which device is meant, one answer for the base model, all instruments and the training; and how it fails."""

from __future__ import annotations

import gc
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lora_doctor.errors import EnvironmentFailure, LoraDoctorError, first_line

_NO_MEMORY = (
    "out of memory", "can't allocate memory", "not enough memory", "STATUS_ALLOC_FAILED", "bad allocation",
)  # fmt: skip
"""What torch (on Windows in words of its own), CUDA's libraries and onnxruntime say without a class of their own."""
_OF_A_DEVICE = re.compile(r"\b(?:CUDA|cuBLAS|cuDNN|cuSOLVER|HIP|hipBLAS|MIOpen)(?: driver)? (?:error|failure)", re.I)
"""What torch and onnxruntime say of a GPU, its driver or its libraries, without a class of their own for it."""


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


def release_memory() -> None:
    """Gives back what nobody uses any more: models that only cycles of references keep, and what torch keeps aside.

    For whoever needs a GPU's memory next: a trainer, another check-up, onnxruntime.
    """
    gc.collect()
    torch = sys.modules.get("torch")  # what was never loaded keeps nothing
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch, onnxruntime or Python ran out of memory, on a GPU or a CPU."""
    import torch

    known = isinstance(error, (torch.OutOfMemoryError, MemoryError))
    return known or any(words in str(error) for words in _NO_MEMORY)


def is_machine_failure(error: BaseException) -> bool:
    """Whether memory ran out or the GPU itself failed (no kernels for this card, a driver error), not the input."""
    import torch

    of_torch = getattr(torch, "AcceleratorError", ())  # torch 2.8 and later
    return is_out_of_memory(error) or isinstance(error, of_torch) or _OF_A_DEVICE.search(str(error)) is not None


@contextmanager
def machine_failures(when: str) -> Iterator[None]:
    """Whatever in this block is the machine's failure becomes EnvironmentFailure, `while {when}`, with what to do.

    Also where somebody took it for a bad input and refused that; who already told of it is left alone.
    """
    try:
        yield
    except Exception as error:  # onnxruntime's classes derive from nothing narrower
        reason = error.__cause__ if isinstance(error, LoraDoctorError) else error
        told = isinstance(error, EnvironmentFailure) and is_machine_failure(error)
        if reason is None or told or not is_machine_failure(reason):
            raise
        if is_out_of_memory(reason):
            advice = (
                "Close what else needs memory, or set `memory` to a more sparing mode (offload, sequential) or "
                "`device` to cpu, and run it again: it resumes."
            )
            raise EnvironmentFailure(f"out of memory while {when}.", advice=advice) from error
        advice = "Set `device` to cpu, or install the torch and the driver that this GPU needs."
        raise EnvironmentFailure(f"the GPU failed while {when}: {first_line(reason)}.", advice=advice) from error
