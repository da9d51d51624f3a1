"""What metadata says about the base model is told with its evidence; contradictions are said; the rest is unknown."""

from __future__ import annotations

import json

import pytest

from lora_doctor.lora_base import describe_base
from lora_doctor.lora_base_names import HASHES, OPEN_QUESTIONS
from lora_doctor.lora_family_tables import FAMILIES

SHA = {base: value for value, (_, base) in HASHES.items() if len(value) == 64}


@pytest.mark.parametrize(
    ("family", "name", "base"),
    [
        ("sdxl", "ponyDiffusionV6XL_v6StartWithThisOne.safetensors", "pony"),
        ("sdxl", "Illustrious-XL-v0.1.safetensors", "illustrious"),
        ("sdxl", "waiIllustriousSDXL_v140.safetensors", "illustrious"),
        ("sdxl", "NoobAI-XL-v1.1.safetensors", "noobai"),
        ("sdxl", "NoobAI-XL-Vpred-v1.0.safetensors", "noobai-vpred"),
        ("sdxl", "noobaiXLNAIXL_vPred10Version.safetensors", "noobai-vpred"),
        ("sdxl", "animagine-xl-3.1.safetensors", "animagine"),
        ("sdxl", "sd_xl_base_1.0_0.9vae.safetensors", "sdxl-1.0"),
        ("sdxl", "stabilityai/stable-diffusion-xl-base-1.0", "sdxl-1.0"),
        ("sd15", "v1-5-pruned-emaonly.safetensors", "sd-1.5"),
        ("sd15", "runwayml/stable-diffusion-v1-5", "sd-1.5"),
        ("sd15", "animefull-final-pruned.ckpt", "novelai"),
        ("flux", "flux1-dev.safetensors", "flux-dev"),
        ("flux", "flux1-dev-kontext_fp8_scaled.safetensors", "flux-kontext"),
        ("flux", "flux1-schnell.safetensors", "flux-schnell"),
        ("sd3", "sd3_medium_incl_clips_t5xxlfp16.safetensors", "sd-3-medium"),
        ("sd3", "stabilityai/stable-diffusion-3-medium-diffusers", "sd-3-medium"),
        ("sd3", "sd3.5_medium.safetensors", "sd-3.5-medium"),
        ("sd3", "stabilityai/stable-diffusion-3.5-large", "sd-3.5-large"),
        ("sd3", "sd3.5_large_turbo.safetensors", "sd-3.5-large-turbo"),
        ("wan", "wan2.1_t2v_14B_fp16.safetensors", "wan-2.1"),
        ("wan", "wan2.2_t2v_high_noise_14B_fp16.safetensors", "wan-2.2-high-noise"),
        ("wan", "wan2.2_i2v_low_noise_14B_fp16.safetensors", "wan-2.2-low-noise"),
        ("qwen-image", "qwen_image_edit_2509_bf16.safetensors", "qwen-image-edit"),
        ("z-image", "z_image_turbo_bf16.safetensors", "z-image-turbo"),
    ],
)
def test_the_name_of_the_checkpoint_tells_the_base(family: str, name: str, base: str) -> None:
    guess = describe_base(family, {"ss_sd_model_name": name})
    assert (guess.family, guess.base, guess.name, guess.doubt) == (family, base, name, None)
    assert guess.evidence == (f"ss_sd_model_name is '{name}'",)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", ["model.safetensors", "final_v2.safetensors", "", "ponyIllustriousMix.safetensors"])
def test_a_name_that_tells_nothing_leaves_the_base_unknown(family: str, name: str) -> None:
    guess = describe_base(family, {"ss_sd_model_name": name})
    assert (guess.base, guess.evidence) == (None, ())
    assert (guess.doubt is not None) == (family in OPEN_QUESTIONS)


def test_a_name_means_something_in_its_own_family_only() -> None:
    assert describe_base("sd15", {"ss_sd_model_name": "ponyDiffusionV6XL.safetensors"}).base is None


@pytest.mark.parametrize(("base", "value"), SHA.items())
@pytest.mark.parametrize("spell", [str, str.upper, "0x{}".format])
def test_a_known_hash_tells_the_base_whatever_the_file_was_called(base: str, value: str, spell: object) -> None:
    family = HASHES[value][0]
    spelled = spell(value)  # type: ignore[operator]
    guess = describe_base(family, {"ss_sd_model_name": "model.safetensors", "ss_new_sd_model_hash": spelled})
    assert (guess.base, guess.doubt) == (base, None)


def test_a_name_cannot_turn_one_hashed_checkpoint_into_a_kind_of_it() -> None:
    fields = {"ss_new_sd_model_hash": SHA["noobai"], "ss_sd_model_name": "NoobAI-XL-Vpred-v1.0.safetensors"}
    guess = describe_base("sdxl", fields)
    assert (guess.base, guess.prediction_type) == ("noobai", None)
    assert guess.doubt is not None
    assert "Vpred" in guess.doubt


def test_a_hash_that_is_not_known_tells_nothing() -> None:
    assert describe_base("sdxl", {"ss_new_sd_model_hash": "0" * 64, "ss_sd_model_hash": "00000000"}).base is None


def test_the_hash_counts_before_the_name_and_the_name_is_said_to_contradict_it() -> None:
    fields = {"ss_new_sd_model_hash": SHA["pony"], "ss_sd_model_name": "Illustrious-XL-v0.1.safetensors"}
    guess = describe_base("sdxl", fields)
    assert guess.base == "pony"
    assert guess.doubt == (
        "ss_new_sd_model_hash is that of pony, but ss_sd_model_name is 'Illustrious-XL-v0.1.safetensors'"
    )


@pytest.mark.parametrize(
    ("version", "family"),
    [
        # sd-scripts: library/model_util.py, sdxl_model_util.py, sd3_utils.py, flux_utils.py, lumina_util.py ...
        ("sd_v1", "sd15"), ("sd_v1_v", "sd15"), ("sd_v2", "sd2"), ("sd_v2_v", "sd2"), ("sdxl_base_v1-0", "sdxl"),
        ("medium", "sd3"), ("5-medium", "sd3"), ("5-large", "sd3"), ("flux1", "flux"), ("chroma", "chroma"),
        ("lumina2", "lumina2"), ("hunyuan-image-2.1", "hunyuan-image"), ("anima", "anima"),
        # musubi-tuner: dataset/architectures.py
        ("hunyuan_video", "hunyuan-video"), ("framepack", "hunyuan-video"), ("wan", "wan"), ("flux_kontext", "flux"),
        ("flux_2_dev", "flux2"), ("flux_2_klein_4b", "flux2"), ("qwen_image", "qwen-image"), ("z_image", "z-image"),
        ("qwen_image_layered", "qwen-image"),
        # ai-toolkit: get_base_model_version
        ("sd_1.5", "sd15"), ("sd_2.1", "sd2"), ("sdxl_1.0", "sdxl"), ("ssd", "sdxl"), ("vega", "sdxl"), ("sd_3", "sd3"),
        ("pixart", "pixart"), ("auraflow", "auraflow"), ("flux.1", "flux"), ("flux.1_kontext", "flux"),
        ("flux2_klein_9b", "flux2"), ("zimage", "z-image"), ("wan_2.1", "wan"), ("wan_2.2_14b", "wan"),
        # OneTrainer: DtypeModelSaverMixin.py
        ("sdxl_", "sdxl"),
        # sd-scripts and musubi-tuner: sai_model_spec.py
        ("stable-diffusion-v1/lora", "sd15"), ("stable-diffusion-v2-768-v/lora", "sd2"),
        ("stable-diffusion-xl-v1-base/lora", "sdxl"), ("stable-diffusion-3-5-large/lora", "sd3"),
        ("flux-1-dev/lora", "flux"), ("lumina-2/lora", "lumina2"), ("anima-preview/lora", "anima"),
        ("Qwen-Image-Edit-Plus/lora", "qwen-image"), ("Z-Image/lora", "z-image"), ("Flux.2-klein-9b/lora", "flux2"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("key", ["ss_base_model_version", "modelspec.architecture"])
def test_a_version_settles_what_the_modules_leave_open_and_contradicts_others(
    version: str, family: str, key: str
) -> None:
    settled = describe_base("unknown", {key: version}, candidates=(family, "cogvideox"))
    assert settled.family == family
    other = "cogvideox"
    against = describe_base(other, {key: version})
    assert against.family == other
    assert against.doubt == f"{key} is {version.partition('/')[0]!r}, but its modules are those of cogvideox"


@pytest.mark.parametrize(
    "version",
    ["hidream_i1", "krea2", "hunyuan_video_1_5", "ltx2", "chroma_radiance", "kandinsky5", "", "None", "x" * 999],
)
def test_a_version_of_no_family_here_settles_nothing(version: str) -> None:
    assert describe_base("unknown", {"ss_base_model_version": version}, candidates=FAMILIES).family == "unknown"


def test_metadata_never_makes_a_family_that_the_modules_exclude() -> None:
    guess = describe_base("unknown", {"ss_base_model_version": "sdxl_base_v1-0"}, candidates=("flux", "chroma"))
    assert guess.family == "unknown"
    assert guess.doubt == "ss_base_model_version is 'sdxl_base_v1-0', but its modules are of no family that is known"


def test_keys_of_sdxl_with_metadata_of_sd1_are_a_contradiction() -> None:
    guess = describe_base("sdxl", {"ss_base_model_version": "sd_v1", "ss_sd_model_name": "NoobAI-XL-v1.1.safetensors"})
    assert (guess.family, guess.base) == ("sdxl", "noobai")
    assert guess.doubt == "ss_base_model_version is 'sd_v1', but its modules are those of sdxl"


def test_ss_v2_says_sd2() -> None:
    assert describe_base("unknown", {"ss_v2": "True"}, candidates=("sd15", "sd2")).family == "sd2"
    assert describe_base("unknown", {"ss_v2": "False"}, candidates=("sd15", "sd2")).family == "unknown"


@pytest.mark.parametrize(
    ("fields", "base"),
    [
        ({"modelspec.architecture": "flux-1-schnell/lora"}, "flux-schnell"),
        ({"modelspec.architecture": "flux-1-dev/lora"}, "flux-dev"),
        ({"ss_base_model_version": "flux_kontext", "modelspec.architecture": "Flux.1-dev/lora"}, "flux-kontext"),
        ({"ss_base_model_version": "flux.1"}, None),
    ],
)
def test_flux_dev_schnell_and_kontext(fields: dict[str, str], base: str | None) -> None:
    guess = describe_base("flux", fields)
    assert guess.base == base
    assert (guess.doubt is None) == (base is not None)


def test_wan2_1_in_modelspec_is_no_evidence_for_2_1() -> None:
    """musubi-tuner writes it for 2.2 as well."""
    assert describe_base("wan", {"ss_base_model_version": "wan", "modelspec.architecture": "wan2.1/lora"}).base is None


@pytest.mark.parametrize(
    ("family", "fields", "prediction"),
    [
        ("sdxl", {"modelspec.prediction_type": "v"}, "v_prediction"),
        ("sdxl", {"modelspec.prediction_type": "epsilon"}, "epsilon"),
        ("sdxl", {}, None),
        ("sdxl", {"ss_sd_model_name": "NoobAI-XL-Vpred-v1.0.safetensors"}, "v_prediction"),
        ("sd2", {"ss_base_model_version": "sd_v2_v"}, "v_prediction"),
        ("sd2", {"ss_new_sd_model_hash": SHA["sd-2.1-v"]}, "v_prediction"),
        ("lumina2", {"modelspec.prediction_type": "epsilon"}, None),
    ],
)
def test_the_prediction_type(family: str, fields: dict[str, str], prediction: str | None) -> None:
    assert describe_base(family, fields).prediction_type == prediction


def test_a_v_prediction_base_trained_with_epsilon_is_said() -> None:
    fields = {"ss_sd_model_name": "NoobAI-XL-Vpred-v1.0.safetensors", "modelspec.prediction_type": "epsilon"}
    guess = describe_base("sdxl", fields)
    assert guess.prediction_type == "epsilon"
    assert guess.doubt == "noobai-vpred predicts v_prediction, but modelspec.prediction_type is 'epsilon'"


def test_onetrainer_s_configuration_is_read() -> None:
    config = {
        "model_type": "STABLE_DIFFUSION_XL_10_BASE",
        "base_model_name": "D:\\models\\me\\ponyDiffusionV6XL.safetensors",
    }
    guess = describe_base("unknown", {"ot_config": json.dumps(config)}, candidates=("sd15", "sdxl"))
    assert (guess.family, guess.base, guess.name) == ("sdxl", "pony", "ponyDiffusionV6XL.safetensors")


@pytest.mark.parametrize("config", ["", "[", "[]", "3", "null", "[" * 100_000, '{"base_model_name": 3}'])
def test_a_broken_onetrainer_configuration_says_nothing(config: str) -> None:
    guess = describe_base("sdxl", {"ot_config": config})
    assert (guess.base, guess.name) == (None, None)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/home/jane/models/pony.safetensors", "pony.safetensors"),
        ("C:\\Users\\jane\\pony.safetensors", "pony.safetensors"),
        ("jane/pony.safetensors", "pony.safetensors"),
        ("./x/pony", "pony"),
        ("~/pony", "pony"),
        ("stabilityai/sdxl-turbo", "stabilityai/sdxl-turbo"),
        ("///", ""),
    ],
)
def test_the_name_of_the_base_shows_no_folders(path: str, name: str) -> None:
    guess = describe_base("sdxl", {"ss_sd_model_name": path})
    assert guess.name == name
    assert "jane" not in f"{guess.evidence}{guess.doubt}"


def test_hostile_metadata_is_escaped_where_it_is_repeated() -> None:
    fields = {"ss_sd_model_name": "\x1b[2Jpony\n" + "x" * 5000, "ss_base_model_version": "sdxl\x1b[2J" + "y" * 5000}
    guess = describe_base("sd15", fields)
    assert guess.doubt is not None
    assert all(text.isprintable() and len(text) < 400 for text in (*guess.evidence, guess.doubt))
