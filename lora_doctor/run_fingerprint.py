"""What a run is bound to: all that changes a render or a reading. A folder made under another one is refused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from lora_doctor.base_cache import cache_folder, tile_of
from lora_doctor.base_choice import Base
from lora_doctor.base_digest import base_digest
from lora_doctor.dossier import dataset_digest
from lora_doctor.instruments import Instruments
from lora_doctor.settings import Settings
from lora_doctor.types import Dataset, LoraFile

_OF_THE_LORA = ("lora", "scales", "dataset", "instruments", "trigger", "seed", "steps", "guidance")
"""Keys that do not change what the base model's encoder and decoder make of a picture."""


def fingerprint_of(
    settings: Settings, lora: LoraFile, dataset: Dataset, renderer: Any, instruments: Instruments, base: Base
) -> dict[str, Any]:
    """JSON-able; the base model by its content, whatever its path.

    The digest of a model of one's own is kept in the user's cache folder as long as its files do not change, unless
    `settings.base_cache` is off.
    """
    pipeline = renderer.pipeline
    # peft keeps the scale in a file of its own, which the LoRA's hash does not see.
    scales = {"scales": sorted({module.scale for module in lora.modules})} if lora.format == "peft" else {}
    return {
        "lora": lora.sha256,
        **scales,
        "dataset": dataset_digest(dataset),
        "base": base_digest(base.source, kept_in=cache_folder() if settings.base_cache else None),
        **{name: value for name, value in base.options.items() if value is not None},
        "instruments": instruments.digest,
        "steps": renderer.steps,
        "guidance": renderer.guidance,
        "size": [renderer.width, renderer.height],
        "seed": settings.seed,
        "trigger": settings.trigger,
        "rendering": renderer.version,
        "device": str(pipeline._execution_device).partition(":")[0],
        "precision": _precision(pipeline),
        "tiles": tile_of(pipeline.vae),
    }


def decoder_digest(fingerprint: Mapping[str, Any]) -> str:
    """Names what the encoder and decoder alone make of pictures: base model, size, device and the like."""
    kept = {key: value for key, value in fingerprint.items() if key not in _OF_THE_LORA}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:16]


def _precision(pipeline: Any) -> str:
    """Of the denoiser and the decoder: `float16, float32`."""
    denoiser = getattr(pipeline, "unet", None) or pipeline.transformer
    return ", ".join(str(part.dtype).removeprefix("torch.") for part in (denoiser, pipeline.vae))
