"""The device that is named is the one that is used, by the instruments too; running out of memory is known by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lora_doctor.devices import is_out_of_memory, onnx_providers, resolved
from lora_doctor.errors import EnvironmentFailure
from lora_doctor.extractors import clip
from lora_doctor.instrument_choice import BUNDLED
from lora_doctor.instruments import open_instruments
from lora_doctor.settings import Settings
from tests.test_instruments import instruments

__all__ = ["instruments"]


@pytest.mark.parametrize(
    "says",
    ["CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", "CUDA error: out of memory",
     "cuDNN error: CUDNN_STATUS_ALLOC_FAILED", "DefaultCPUAllocator: can't allocate memory: you tried",
     "std::bad_alloc: bad allocation"],
)  # fmt: skip
def test_running_out_of_memory_is_known_by_what_the_libraries_say(says: str) -> None:
    assert is_out_of_memory(RuntimeError(says)) and is_out_of_memory(MemoryError())


def test_another_failure_is_not_taken_for_it() -> None:
    assert not is_out_of_memory(RuntimeError("CUDA error: an illegal memory access was encountered"))


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


@pytest.mark.miniature
def test_memory_that_runs_out_while_pictures_are_read_is_one_line(
    instruments: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*given: Any) -> Any:
        raise RuntimeError("CUDA error: out of memory")

    monkeypatch.setattr(instruments.clip, "read", full)
    with pytest.raises(EnvironmentFailure, match=r"out of memory while the instruments read.*offload"):
        instruments.read([])
