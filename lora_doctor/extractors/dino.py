"""Image embeddings with DINOv2 or DINOv3."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_doctor.errors import InputRefused
from lora_doctor.instrument_files import Announce, digest, from_folder, from_hub, warn

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    Array = np.ndarray[Any, Any]

NAME = "dino"
REPOSITORY = "facebook/dinov2-small"
FILES = ("config.json", "preprocessor_config.json", "model.safetensors")
BATCH = 16
MEAN, DEVIATION, SIDE = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 224
"""Of ImageNet, where preprocessor_config.json does not say."""
LARGEST_SIDE = 1024
"""Pixels: a preprocessor that asks for more asks for the machine's memory."""


class DinoReader:
    """Embeds pictures."""

    def __init__(
        self, model: Any, name: str, licence: str, digest: str, *, side: int, mean: Sequence[float],
        deviation: Sequence[float], device: str,
    ) -> None:  # fmt: skip
        self._model, self._device = model, device
        self._side, self._mean, self._deviation = side, tuple(mean), tuple(deviation)
        self.name, self.licence, self.digest = name, licence, digest

    def embed(self, images: Sequence[Image.Image]) -> Array:
        """(images, d) float32 of unit length: each picture whole, on a square of the mean colour."""
        import numpy as np
        import torch

        rows = []
        for start in range(0, len(images), BATCH):
            batch = torch.from_numpy(np.stack([self._prepared(image) for image in images[start : start + BATCH]]))
            with torch.inference_mode():
                seen = self._model(pixel_values=batch.to(self._device))
            pooled = getattr(seen, "pooler_output", None)
            token = seen.last_hidden_state[:, 0] if pooled is None else pooled
            rows.append(token.float().cpu().numpy())
        table: Array = np.concatenate(rows).reshape(len(images), -1)
        unit: Array = table / np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-12)
        return unit.astype(np.float32)

    @property
    def blank(self) -> tuple[int, int, int]:
        """The colour that is nothing to this model: its mean."""
        red, green, blue = (round(255 * value) for value in self._mean)
        return red, green, blue

    def _prepared(self, image: Image.Image) -> Array:
        """(3, side, side) float32; nothing is cut off, as the library's own centre crop does with heads and feet."""
        import numpy as np
        from PIL import Image

        scale = self._side / max(image.size)
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        square = Image.new("RGB", (self._side, self._side), self.blank)
        place = ((self._side - size[0]) // 2, (self._side - size[1]) // 2)
        square.paste(image.convert("RGB").resize(size, Image.Resampling.BICUBIC), place)
        pixels = np.asarray(square, np.float32) / 255
        scaled: Array = (pixels - np.array(self._mean, np.float32)) / np.array(self._deviation, np.float32)
        return scaled.transpose(2, 0, 1)


def load(source: str | Path = NAME, device: str = "cpu", announce: Announce = warn) -> DinoReader:
    """Open a transformers folder of a DINO model, or one by its hub id; `dino` is facebook/dinov2-small.

    Fetched on first use; safetensors alone, and no code from the hub. Raises InputRefused for a folder that is no such
    model, EnvironmentFailure when it cannot be fetched.
    """
    from safetensors import SafetensorError
    from transformers import AutoModel
    from transformers.utils import logging as library

    folder = Path(source)
    local = folder.is_dir()
    repo = REPOSITORY if str(source) == NAME else str(source)
    licence = "see the folder" if local else _licence(repo)
    files = (
        from_folder(folder, FILES, "DINO") if local
        else from_hub([(repo, name) for name in FILES], f"the image embedding {repo}", licence, announce)
    )  # fmt: skip
    place = files[0].parent
    shown = library.is_progress_bar_enabled()
    library.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        recipe = json.loads(files[1].read_text("utf-8"))
        model = AutoModel.from_pretrained(
            place, local_files_only=True, use_safetensors=True, trust_remote_code=False, output_loading_info=False
        )
        reader = DinoReader(
            model.to(device).eval(), folder.name if local else repo, licence, digest(files),
            side=_side(recipe), mean=_colour(recipe, "image_mean", MEAN),
            deviation=_colour(recipe, "image_std", DEVIATION), device=device,
        )  # fmt: skip
        _try(reader)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
        advice = f"A folder needs {', '.join(FILES)} of DINOv2 or DINOv3."
        raise InputRefused("is no DINO model.", path=place, advice=advice) from error
    finally:
        if shown:
            library.enable_progress_bar()  # type: ignore[no-untyped-call]
    return reader


def _licence(repo: str) -> str:
    name = repo.rpartition("/")[2].lower()
    return "Apache-2.0" if name.startswith("dinov2") else "DINOv3 licence" if "dinov3" in name else "see the model card"


def _side(recipe: Any) -> int:
    """The square's side in pixels: what the library would cut out of the picture, else what it would scale it to."""
    for key in ("crop_size", "size") if recipe.get("do_center_crop", True) else ("size",):
        size = recipe.get(key)
        value = (size.get("height") or size.get("shortest_edge")) if isinstance(size, dict) else size
        if isinstance(value, int) and 0 < value <= LARGEST_SIDE:
            return value
    return SIDE


def _colour(recipe: Any, key: str, usual: tuple[float, ...]) -> tuple[float, ...]:
    values = tuple(float(value) for value in recipe.get(key) or usual)
    if len(values) != len(usual) or not all(0 < value < 1 for value in values):
        raise ValueError(f"{key} is no colour")
    return values


def _try(reader: DinoReader) -> None:
    """An empty picture: a model of another kind shows here, not in the middle of a run."""
    from PIL import Image

    reader.embed([Image.new("RGB", (8, 8))])
