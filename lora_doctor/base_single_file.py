"""A base model in one .safetensors file: what it is, told by its header, and loading it with a local config."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lora_doctor.base_folder import INDEX, check_folder
from lora_doctor.errors import InputRefused

Shapes = Mapping[str, tuple[int, ...]]
_UNET = "model.diffusion_model."
_TO_K = "1.transformer_blocks.0.attn2.to_k.weight"
SINGLE_FILES = {
    "sd15": ("StableDiffusionPipeline", "stable-diffusion-v1-5/stable-diffusion-v1-5"),
    "sd2": ("StableDiffusionPipeline", "stabilityai/stable-diffusion-2-1"),
    "sdxl": ("StableDiffusionXLPipeline", "stabilityai/stable-diffusion-xl-base-1.0"),
}
"""Family -> pipeline class and the hub model whose configs and tokenizers (not its weights) complete the file."""
_OTHERS = {
    "joint_blocks.0.": "sd3", "double_blocks.0.": "flux", "noise_refiner.0.": "z-image",
    "transformer_blocks.0.img_mlp.": "qwen-image", "transformer_blocks.0.img_mod.": "qwen-image",
}  # fmt: skip
WIDTHS = {768: "sd15", 1024: "sd2", 2048: "sdxl"}
V_PREDICTION = "v_pred"
"""The name of the empty tensor by which v-prediction SDXL checkpoints (NoobAI) mark themselves."""
_WHOLE = "Save it again as a whole, or set `base` to the diffusers folder."


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Name -> shape of every tensor, from the header alone; InputRefused when it is no safetensors file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise InputRefused(
            "this is no .safetensors file", path=path, advice="Pickled weights are never loaded."
        ) from error


def single_file_family(shapes: Shapes) -> str:
    """The family of a checkpoint in Stability's own naming, by names and text width, or `unknown`; pure.

    Source: the key names in diffusers' `loaders/single_file_utils.py` (CHECKPOINT_KEY_NAMES).
    """
    keys = (shape for name, shape in shapes.items() if name.startswith(_UNET) and name.endswith(_TO_K))
    shape = next(keys, None)
    if shape is not None:
        return WIDTHS.get(shape[-1], "unknown")
    for mark, family in _OTHERS.items():
        if any(name.removeprefix(_UNET).startswith(mark) for name in shapes):
            return family
    return "unknown"


def single_file_prediction(shapes: Shapes) -> str | None:
    """`v_prediction` when the checkpoint marks itself so, else None (the config decides); pure."""
    return "v_prediction" if V_PREDICTION in shapes else None


def check_single_file(path: Path, shapes: Shapes) -> tuple[str, str, str]:
    """(family, pipeline class, hub model with the configs); InputRefused for a file that cannot render by itself."""
    family = single_file_family(shapes)
    if family in SINGLE_FILES:
        return (family, *SINGLE_FILES[family])
    what = f"a single-file checkpoint of {family}" if family != "unknown" else "no base model that is known here"
    raise InputRefused(
        f"this is {what}; single files are read for {', '.join(SINGLE_FILES)}",
        path=path,
        advice="Set `base` to the diffusers folder or the hub id of the model.",
    )


def config_folder_beside(path: Path) -> Path | None:
    """The folder of configs named as the checkpoint without its ending, if there is one."""
    folder = path.with_suffix("")
    return folder if (folder / INDEX).is_file() else None


def load_single_file(path: Path, pipeline_class: str, config: Path, dtype: Any) -> Any:
    """The pipeline of a checkpoint, with configs and tokenizers from the folder `config`; nothing is fetched.

    Raises InputRefused when the file does not fit the config or does not load.
    """
    import diffusers

    index = check_folder(config, weights=False)
    if index["_class_name"] != pipeline_class:
        raise InputRefused(f"the config is of a `{index['_class_name']}`, the file of a `{pipeline_class}`", path=path)
    options: dict[str, Any] = {}
    if pipeline_class == "StableDiffusionPipeline":
        options = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    try:
        # A folder as `config`: given a hub id, diffusers goes online even with local_files_only.
        pipeline = getattr(diffusers, pipeline_class).from_single_file(
            str(path), config=str(config), local_files_only=True, dtype=dtype, disable_mmap=True, **options
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        if "meta tensor" in str(error):  # how diffusers says it, where it notices
            raise InputRefused("the checkpoint lacks tensors of the model", path=path, advice=_WHOLE) from error
        line = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise InputRefused(f"the base model does not load: {line}", path=path) from error
    if lacking := _lacking(pipeline):
        what = f"the checkpoint lacks {len(lacking)} tensors of the model ({lacking[0]} first)"
        raise InputRefused(what, path=path, advice=_WHOLE)
    return pipeline


def _lacking(pipeline: Any) -> list[str]:
    """Parameters that the file did not fill: diffusers leaves them without memory, and says nothing."""
    return [
        f"{part}.{name}"
        for part, module in pipeline.components.items()
        if hasattr(module, "named_parameters")
        for name, parameter in module.named_parameters()
        if parameter.is_meta
    ]
