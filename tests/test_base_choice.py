"""Which base model a check-up takes, whether the LoRA belongs to it, and what the LoRA's metadata asks of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lora_doctor import base_choice
from lora_doctor.base_choice import DEFAULT_BASES, chosen_base, open_base, require_family, with_render_defaults
from lora_doctor.base_source import BaseSource
from lora_doctor.errors import InputRefused, UsageError
from lora_doctor.lora_file import guess_family, read_lora
from lora_doctor.settings import RenderSettings, Settings
from lora_doctor.types import LoraFile, LoraModule

YUKI = Path(__file__).parents[1] / "fixtures/miniature/patients/yuki/lora.safetensors"
CROSS = {
    "sd15": ("down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k", 768, 320),
    "sdxl": ("input_blocks_4_1_transformer_blocks_0_attn2_to_k", 2048, 640),
}


def lora_of(family: str, metadata: dict[str, str] | None = None) -> LoraFile:
    name, inputs, outputs = CROSS[family]
    module = LoraModule(
        component="unet", name=name, flattened=True, kind="lora", rank=4, alpha=4.0, scale=1.0, keys={},
        inputs=inputs, outputs=outputs,
    )  # fmt: skip
    assert guess_family([module]).family == family
    return LoraFile(
        path=Path("x.safetensors"), sha256="", size=0, format="kohya", family=family, modules=(module,),
        metadata=metadata or {},
    )  # fmt: skip


def settings_of(**given: Any) -> Settings:
    return Settings(model=YUKI, trigger="yuki_nk", dataset=YUKI.parent / "dataset", out=Path("out"), **given)


def test_without_a_base_the_family_s_usual_one_is_taken() -> None:
    assert chosen_base("auto", read_lora(YUKI)) == "miniature"
    assert chosen_base("auto", lora_of("sdxl")) == "stabilityai/stable-diffusion-xl-base-1.0"
    assert chosen_base("owner/name@abc", lora_of("sdxl")) == "owner/name@abc"


def test_where_nothing_tells_the_family_a_base_is_asked_for() -> None:
    unknown = LoraFile(
        path=Path("x.safetensors"), sha256="", size=0, format="kohya", family="unknown", modules=(), metadata={}
    )
    with pytest.raises(UsageError, match="no base model is set"):
        chosen_base("auto", unknown)


def test_a_lora_of_another_family_is_refused_and_says_why() -> None:
    with pytest.raises(InputRefused, match=r"family sdxl \(.*2048.*\), and the base model is of family sd15"):
        require_family(lora_of("sdxl"), "sd15")
    require_family(lora_of("sdxl"), "sdxl")
    require_family(lora_of("sdxl"), "unknown")


def test_the_bundled_base_opens_with_its_family_s_defaults() -> None:
    base = open_base(settings_of(device="cpu"), read_lora(YUKI))
    assert (base.family, base.name, base.source.kind) == ("miniature", "miniature", "folder")
    render = with_render_defaults(settings_of(render=RenderSettings(steps=3)), base).render
    assert (render.steps, render.guidance, render.width) == (3, 3.0, 64)


@pytest.mark.parametrize(
    ("family", "metadata", "asked", "prediction", "skip"),
    [
        ("sdxl", {"modelspec.prediction_type": "v"}, RenderSettings(), "v_prediction", None),
        ("sdxl", {"modelspec.prediction_type": "epsilon"}, RenderSettings(), None, None),
        ("sdxl", {"modelspec.prediction_type": "v"}, RenderSettings(prediction_type="epsilon"), "epsilon", None),
        ("sd15", {}, RenderSettings(clip_skip=2), None, 2),
    ],
)
def test_prediction_type_and_clip_skip_follow_the_lora_unless_the_settings_say_otherwise(
    family: str, metadata: dict[str, str], asked: RenderSettings, prediction: str | None, skip: int | None
) -> None:
    from lora_doctor.base_choice import _options

    found = _options(asked, lora_of(family, metadata), "my_mix.safetensors")
    assert (found["prediction_type"], found["clip_skip"]) == (prediction, skip)


VPRED = {"ss_sd_model_name": "NoobAI-XL-Vpred-v1.0.safetensors", "modelspec.prediction_type": "v"}


@pytest.mark.parametrize(
    ("name", "prediction"),
    [
        ("NoobAI-XL-Vpred-v1.0.safetensors", "v_prediction"),
        ("Laxhar/noobai-XL-Vpred-1.0@0123", "v_prediction"),
        ("illustrious_v35_vpred.safetensors", "v_prediction"),
        ("my_mix.safetensors", "v_prediction"),
        ("stabilityai/stable-diffusion-xl-base-1.0@0123", None),
        ("ponyDiffusionV6XL.safetensors", None),
    ],
)
def test_another_base_model_that_predicts_noise_is_not_rendered_for_v_prediction(
    name: str, prediction: str | None, recwarn: pytest.WarningsRecorder
) -> None:
    from lora_doctor.base_choice import _options

    assert _options(RenderSettings(), lora_of("sdxl", VPRED), name)["prediction_type"] == prediction
    assert [name in str(warning.message) for warning in recwarn] == [True] * (prediction is None)
    asked = RenderSettings(prediction_type="v_prediction")
    assert _options(asked, lora_of("sdxl", VPRED), name)["prediction_type"] == "v_prediction"


@pytest.mark.parametrize("metadata", [{}, {"modelspec.prediction_type": "epsilon"}])
def test_a_checkpoint_that_calls_itself_v_pred_is_rendered_as_one_and_it_is_said(
    metadata: dict[str, str], recwarn: pytest.WarningsRecorder
) -> None:
    """What the LoRA was trained on may be another model: what the checkpoint predicts is its own."""
    from lora_doctor.base_choice import _options

    lora, name = lora_of("sdxl", metadata), "myMerge_vPredV2.safetensors"
    assert _options(RenderSettings(), lora, name, single_file=True)["prediction_type"] == "v_prediction"
    assert ["by its name" in str(warning.message) for warning in recwarn] == [True]
    asked = RenderSettings(prediction_type="epsilon")
    assert _options(asked, lora, name, single_file=True)["prediction_type"] == "epsilon"
    assert _options(RenderSettings(), lora, name)["prediction_type"] is None  # a folder's config tells
    assert _options(RenderSettings(), lora, "myMerge_V2.safetensors", single_file=True)["prediction_type"] is None
    assert len(recwarn) == 1


def test_a_checkpoint_opened_under_such_a_name_gets_the_scheduler_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}
    source = BaseSource(kind="file", path=tmp_path / "mix_vpred.safetensors", name="mix_vpred.safetensors")
    monkeypatch.setattr(base_choice, "resolve_base", lambda *given, **options: source)
    monkeypatch.setattr(base_choice, "load_pipeline", lambda *given, **options: asked.update(options))
    monkeypatch.setattr(base_choice, "pipeline_family", lambda pipeline: "sdxl")
    with pytest.warns(UserWarning, match="by its name"):
        open_base(settings_of(base=str(source.path)), lora_of("sdxl"))
    assert asked["prediction_type"] == "v_prediction" and asked["adapted"] == {"unet"}


def test_no_default_base_is_taken_for_a_lora_that_was_trained_for_v_prediction() -> None:
    with pytest.raises(UsageError, match=r"trained for v-prediction \(NoobAI-XL-Vpred-v1.0.safetensors\)") as caught:
        chosen_base("auto", lora_of("sdxl", VPRED))
    assert "Set `base`" in str(caught.value)


@pytest.mark.parametrize(
    ("family", "metadata", "told"),
    [
        ("sdxl", {"ss_sd_model_name": "ponyDiffusionV6XL_v6StartWithThisOne.safetensors"}, "pony"),
        ("sdxl", {"ss_sd_model_name": "Illustrious-XL-v1.0.safetensors"}, "illustrious"),
        ("sdxl", {"ss_sd_model_name": "NoobAI-XL-v1.1.safetensors"}, "noobai"),
        ("sdxl", {"ss_sd_model_name": "sd_xl_base_1.0.safetensors"}, None),
        ("sdxl", {"ss_sd_model_name": "my_mix.safetensors", "ss_base_model_version": "sdxl_base_v1-0"}, None),
        ("flux", {"modelspec.architecture": "flux-1-schnell/lora"}, "flux-schnell"),
        ("flux", {"ss_base_model_version": "flux_kontext", "modelspec.architecture": "Flux.1-dev"}, "flux-kontext"),
        ("flux", {"modelspec.architecture": "flux-1-dev/lora"}, None),
        ("qwen-image", {"ss_base_model_version": "qwen_image_edit_plus"}, "qwen-image-edit"),
        ("qwen-image", {"ss_base_model_version": "qwen_image"}, None),
        ("z-image", {"ss_sd_model_name": "Tongyi-MAI/Z-Image-Base"}, "z-image-base"),
    ],
)
def test_no_default_base_is_taken_for_a_lora_that_says_it_was_trained_on_another_model_of_its_family(
    family: str, metadata: dict[str, str], told: str | None
) -> None:
    lora = LoraFile(
        path=Path("x.safetensors"), sha256="", size=0, format="kohya", family=family, modules=(), metadata=metadata
    )
    default = DEFAULT_BASES[family]
    if told is None:
        assert chosen_base("auto", lora) == default
        return
    with pytest.raises(UsageError, match=f"it was trained on {told} .*, not on {default}.*Set `base`"):
        chosen_base("auto", lora)
    assert chosen_base(default, lora) == default


@pytest.mark.parametrize(
    ("width", "blocks", "metadata", "base"),
    [
        (2432, 38, {}, "stabilityai/stable-diffusion-3.5-large"),
        (2432, 38, {"ss_base_model_version": "medium"}, "stabilityai/stable-diffusion-3.5-large"),
        (2432, 38, {"ss_sd_model_name": "sd3.5_large_turbo.safetensors"},
         "stabilityai/stable-diffusion-3.5-large-turbo"),
        (1536, 24, {"ss_base_model_version": "medium"}, "stabilityai/stable-diffusion-3-medium-diffusers"),
        (1536, 24, {"modelspec.architecture": "stable-diffusion-3-5-medium/lora"},
         "stabilityai/stable-diffusion-3.5-medium"),
        (1536, 24, {}, None),
    ],
)  # fmt: skip
def test_of_stable_diffusion_3_the_one_is_taken_that_the_file_tells(
    width: int, blocks: int, metadata: dict[str, str], base: str | None
) -> None:
    modules = tuple(
        LoraModule(
            component="transformer", name=f"joint_blocks_{block}_x_block_mlp_fc1", flattened=True, kind="lora", rank=2,
            alpha=2.0, scale=1.0, keys={}, inputs=width, outputs=4 * width,
        )
        for block in range(blocks)
    )  # fmt: skip
    lora = LoraFile(
        path=Path("x.safetensors"), sha256="", size=0, format="kohya", family=guess_family(modules).family,
        modules=modules, metadata=metadata,
    )  # fmt: skip
    assert lora.family == "sd3"
    if base is not None:
        assert chosen_base("auto", lora) == base
        return
    with pytest.raises(UsageError, match="does not say which Stable Diffusion 3"):
        chosen_base("auto", lora)


def test_a_trained_clip_skip_is_taken_over_and_said(tmp_path: Path) -> None:
    from dataclasses import replace

    from lora_doctor.base_choice import _options

    lora = lora_of("sd15")
    record = replace(lora.record, settings=replace(lora.record.settings, clip_skip=2))
    with pytest.warns(UserWarning, match="clip skip 2"):
        assert _options(RenderSettings(), replace(lora, record=record), "x")["clip_skip"] == 2
