"""The device that is named is the one that is used, by the instruments too; running out of memory is known by name."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from lora_doctor.devices import (
    is_machine_failure,
    is_out_of_memory,
    machine_failures,
    onnx_providers,
    release_memory,
    resolved,
)
from lora_doctor.errors import EnvironmentFailure, InputRefused
from lora_doctor.extractors import clip
from lora_doctor.instrument_choice import BUNDLED
from lora_doctor.instruments import open_instruments
from lora_doctor.settings import Settings
from tests.test_instruments import instruments

__all__ = ["instruments"]


class Model:
    """Refers to itself, as hooked pipelines do: only the garbage collector ends it."""

    def __init__(self) -> None:
        self.own = self


@contextmanager
def ring() -> Iterator[weakref.ref[Model]]:
    """A model that nobody uses any more, while the collector does not come by itself."""
    gc.disable()
    try:
        yield weakref.ref(Model())
    finally:
        gc.enable()


@pytest.mark.parametrize(
    "says",
    ["CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", "CUDA error: out of memory",
     "cuDNN error: CUDNN_STATUS_ALLOC_FAILED", "DefaultCPUAllocator: can't allocate memory: you tried",
     "DefaultCPUAllocator: not enough memory: you tried to allocate 26214400 bytes.", "std::bad_alloc: bad allocation"],
)  # fmt: skip
def test_running_out_of_memory_is_known_by_what_the_libraries_say(says: str) -> None:
    assert is_out_of_memory(RuntimeError(says)) and is_out_of_memory(MemoryError())


def test_another_failure_is_not_taken_for_it() -> None:
    assert not is_out_of_memory(RuntimeError("CUDA error: an illegal memory access was encountered"))


@pytest.mark.parametrize(
    ("error", "machine"),
    [
        (RuntimeError("CUDA error: no kernel image is available for execution on the device"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), True),
        (RuntimeError("cusolver error: CUSOLVER_STATUS_INTERNAL_ERROR, when calling `cusolverDnCreate`"), True),
        (RuntimeError("HIP error: invalid device function"), True),
        (RuntimeError("[ONNXRuntimeError] : 1 : FAIL : CUDA failure 700: an illegal memory access"), True),
        (torch.AcceleratorError("unspecified launch failure"), True),
        (torch.OutOfMemoryError("tried to allocate 2 GiB"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)"), False),
        (ValueError("an update of (3, 4) for a layer of (4, 4)"), False),
    ],
)
def test_a_failure_of_the_machine_is_told_from_one_of_the_input(error: Exception, machine: bool) -> None:
    assert is_machine_failure(error) is machine


def test_a_failure_of_the_machine_is_one_line_that_says_what_to_do_also_where_it_was_taken_for_a_bad_file() -> None:
    def refused(reason: Exception) -> None:
        with machine_failures("models are opened"):
            try:
                raise reason
            except RuntimeError as error:
                raise InputRefused("is no model.") from error

    with pytest.raises(EnvironmentFailure, match=r"^out of memory while models are opened\. .*`memory`.*resumes\.$"):
        refused(torch.OutOfMemoryError("tried to allocate 2 GiB"))
    with pytest.raises(EnvironmentFailure, match=r"GPU failed while models are opened: CUDA error: no kernel\. Set"):
        refused(RuntimeError("CUDA error: no kernel\nCUDA kernel errors might be reported at some other call"))
    with pytest.raises(InputRefused, match="is no model"):
        refused(RuntimeError("a tensor is missing"))


def test_what_was_told_of_a_full_memory_already_is_not_told_otherwise() -> None:
    told = pytest.raises(EnvironmentFailure, match=r"^out of memory with a single picture")
    with told, machine_failures("pictures are rendered"):
        raise EnvironmentFailure("out of memory with a single picture.") from torch.OutOfMemoryError("2 GiB")


@pytest.mark.parametrize("on_gpu", [True, False])
def test_releasing_memory_ends_what_only_cycles_keep_and_what_torch_keeps_aside(
    monkeypatch: pytest.MonkeyPatch, on_gpu: bool
) -> None:
    emptied: list[bool] = []
    monkeypatch.setattr("torch.cuda.is_initialized", lambda: on_gpu)
    monkeypatch.setattr("torch.cuda.empty_cache", lambda: emptied.append(left() is None))
    with ring() as left:
        assert left() is not None
        release_memory()
        assert left() is None
    assert emptied == [True] * on_gpu  # the cache last: what was freed is in it


@pytest.mark.parametrize(("device", "goal"), [("auto", "cuda"), ("cuda", "cuda"), ("cuda:1", "cuda:1"), ("cpu", "cpu")])
def test_instruments_are_opened_on_the_device_that_the_base_model_is_loaded_on(
    device: str, goal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(source: Any, device: str, announce: Any) -> Any:
        raise EnvironmentFailure(f"asked for {device}.")

    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr(clip, "load", asked)
    nowhere = Path()
    settings = Settings(
        model=nowhere, trigger="", dataset=nowhere, out=nowhere, device=device, instruments=BUNDLED
    )  # fmt: skip
    with pytest.raises(EnvironmentFailure, match=f"asked for {goal}[.]$"):
        open_instruments(settings)
    assert resolved(device) == goal


def test_onnxruntime_is_given_the_number_of_the_gpu() -> None:
    assert onnx_providers("cuda:1")[0] == ("CUDAExecutionProvider", {"device_id": 1})
    assert onnx_providers("cuda")[0] == ("CUDAExecutionProvider", {"device_id": 0})
    assert onnx_providers("cpu") == onnx_providers("mps") == ["CPUExecutionProvider"]


def test_a_gpu_without_memory_for_the_instruments_is_the_machine_s_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*given: Any, **options: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr("open_clip.create_model_and_transforms", full)
    nowhere = Path()
    settings = Settings(model=nowhere, trigger="", dataset=nowhere, out=nowhere, device="cpu", instruments=BUNDLED)
    with pytest.raises(EnvironmentFailure, match=r"out of memory while the instruments are opened"):
        open_instruments(settings)


@pytest.mark.miniature
def test_memory_that_runs_out_while_pictures_are_read_is_one_line(
    instruments: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*given: Any) -> Any:
        raise RuntimeError("CUDA error: out of memory")

    monkeypatch.setattr(instruments.clip, "read", full)
    with pytest.raises(EnvironmentFailure, match=r"out of memory while the instruments read.*offload"):
        instruments.read([])
