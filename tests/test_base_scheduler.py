"""Schedulers: the family's sampler from the folder's config, as the LoRA's training asks for it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
)

from lora_doctor.base_classes import COMPONENTS
from lora_doctor.base_scheduler import check_sampler, make_scheduler, prediction_name
from lora_doctor.errors import UsageError

SOLVER = "DPMSolverMultistepScheduler"


def sdxl(**config: Any) -> Any:
    """The scheduler in the folder of SDXL 1.0."""
    defaults = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}
    return EulerDiscreteScheduler(**defaults | config)


def test_nothing_asked_leaves_the_folders_prediction_type() -> None:
    made = make_scheduler(sdxl(), "sdxl", SOLVER)
    assert isinstance(made, DPMSolverMultistepScheduler)
    assert made.config.prediction_type == "epsilon" and not made.config.rescale_betas_zero_snr


def test_the_folders_own_scheduler_is_kept_as_it_is() -> None:
    scheduler = sdxl()
    assert make_scheduler(scheduler, "miniature", "folder") is scheduler


@pytest.mark.parametrize("asked", ["v", "v_prediction"])
def test_sdxl_v_prediction_starts_from_pure_noise(asked: str) -> None:
    made = make_scheduler(sdxl(), "sdxl", SOLVER, prediction_type=asked)
    assert isinstance(made, EulerDiscreteScheduler)
    assert (made.config.prediction_type, made.config.timestep_spacing) == ("v_prediction", "trailing")
    assert float(made.alphas_cumprod[-1]) < 1e-6  # zero terminal SNR, but for what keeps it finite
    made.set_timesteps(10)
    assert float(made.timesteps[0]) == 999 and float(made.sigmas[0]) > 1000


def test_sd2_v_prediction_keeps_the_folders_terminal_snr() -> None:
    made = make_scheduler(sdxl(), "sd2", SOLVER, prediction_type="v_prediction")
    assert isinstance(made, DPMSolverMultistepScheduler)
    assert made.config.prediction_type == "v_prediction" and float(made.alphas_cumprod[-1]) > 1e-3


def test_epsilon_undoes_v_prediction_and_its_terminal_snr() -> None:
    scheduler = sdxl(prediction_type="v_prediction", rescale_betas_zero_snr=True, timestep_spacing="trailing")
    made = make_scheduler(scheduler, "sdxl", SOLVER, prediction_type="epsilon")
    assert made.config.prediction_type == "epsilon" and float(made.alphas_cumprod[-1]) > 1e-3


def test_v_prediction_changes_what_a_step_does() -> None:
    sample, output = torch.ones(1, 4, 2, 2), torch.full((1, 4, 2, 2), 0.5)
    results = []
    for asked in ("epsilon", "v"):
        made = make_scheduler(DDIMScheduler(clip_sample=False), "sd15", "DDIMScheduler", prediction_type=asked)
        made.set_timesteps(10)
        results.append(made.step(output, made.timesteps[3], sample).pred_original_sample)
    signal = made.alphas_cumprod[made.timesteps[3]]
    assert torch.allclose(results[1], signal.sqrt() * sample - (1 - signal).sqrt() * output, atol=1e-6)
    assert not torch.allclose(results[0], results[1], atol=1e-2)


def test_flow_matching_keeps_its_shift_whatever_is_asked() -> None:
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    assert make_scheduler(scheduler, "sd3", "folder", prediction_type="v") is scheduler


def test_an_unknown_prediction_type_is_refused() -> None:
    with pytest.raises(UsageError, match="no prediction type `x0`"):
        prediction_name("x0")


def test_an_unknown_sampler_is_refused() -> None:
    check_sampler("folder")
    with pytest.raises(UsageError, match="no sampler `CLIPTextModel`"):
        check_sampler("CLIPTextModel")


def test_every_known_sampler_exists() -> None:
    import diffusers

    for name in COMPONENTS:
        if name.endswith("Scheduler"):
            assert hasattr(diffusers, name)
