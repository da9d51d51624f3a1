"""What a run is bound to: all that changes a render or a reading. A folder made under another one is refused.

But for the device, and what follows from it and from its memory: those change last bits alone, and may have to differ
for a run to go on. It is noted, and the report says it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from lora_doctor.base_cache import cache_folder, tile_of
from lora_doctor.base_choice import Base
from lora_doctor.base_digest import base_digest
from lora_doctor.compared_run import HOW, ways_apart
from lora_doctor.devices import resolved
from lora_doctor.dossier import dataset_digest
from lora_doctor.instruments import Instruments
from lora_doctor.run_folder import RunFolder
from lora_doctor.settings import Settings
from lora_doctor.types import Dataset, LoraFile

_WAYS, _MEMORY = "ways", "memory"
"""Names in the run folder: the ways in which its pictures were rendered, and the memory mode of the last."""
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


def memory_for(settings: Settings, run: RunFolder) -> str:
    """`settings.memory`, and for auto the mode in which the run was rendered so far, if it was.

    What is free on a GPU differs from one start to the next, and another mode changes the last bits of pictures.
    """
    if settings.memory != "auto":
        return settings.memory
    known = run.get_json(_MEMORY) or {}
    here = resolved(settings.device).partition(":")[0]
    return str(known["mode"]) if known.get("device") == here else settings.memory


def note_way(run: RunFolder, fingerprint: Mapping[str, Any], memory: str) -> None:
    """Note in the run how pictures are rendered from now on: device, precision and tiles, and the memory mode."""
    way = {key: fingerprint[key] for key in HOW}
    known = run.get_json(_WAYS)
    if known is None:  # rendered by an older lora-doctor, in one way
        made_with = run.get_json("fingerprint") or {}
        known = [{key: made_with[key] for key in HOW if key in made_with}] if run.renders() else []
    run.put_json(_WAYS, known if way in known else [*known, way])
    run.put_json(_MEMORY, {"device": way["device"], "mode": memory})


def ways_remark(run: RunFolder) -> str | None:
    """A sentence for the report of a run that was taken up again on another device or in another memory mode."""
    differ = ways_apart(run.get_json(_WAYS) or [])
    what = "the run was not rendered in one way throughout, which changes the last bits of pictures"
    return f"{what}: {differ}" if differ else None


def decoder_digest(fingerprint: Mapping[str, Any]) -> str:
    """Names what the encoder and decoder alone make of pictures: base model, size, device and the like."""
    kept = {key: value for key, value in fingerprint.items() if key not in _OF_THE_LORA}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:16]


def _precision(pipeline: Any) -> str:
    """Of the denoiser and the decoder: `float16, float32`."""
    denoiser = getattr(pipeline, "unet", None) or pipeline.transformer
    return ", ".join(str(part.dtype).removeprefix("torch.") for part in (denoiser, pipeline.vae))
