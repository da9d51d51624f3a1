"""CLIP attributes with open_clip: zero-shot classification over closed label sets, on the whole picture or the head."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_doctor.errors import EnvironmentFailure, InputRefused
from lora_doctor.instrument_files import Announce, warn
from lora_doctor.types import FaceReading, LabelSet

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

HEAD_CROP = 1.5
"""Side of the head crop relative to the face box, as waifuc crops heads."""
BATCH = 64
MEAN = (0.481, 0.458, 0.408)
"""Of the pictures CLIP was trained on, where a model does not say."""
_LICENCES = {
    "openai": "MIT", "laion": "MIT", "datacomp": "MIT", "commonpool": "MIT", "webli": "Apache-2.0",
    "metaclip": "CC-BY-NC-4.0", "datacompdr": "see the model card",
}  # fmt: skip
"""How the name of the weights begins -> their makers' licence, as their model cards give it; the longest one counts."""


class ClipReader:
    """Reads attribute probabilities and an embedding off pictures."""

    def __init__(self, model: Any, preprocess: Any, tokenizer: Any, device: str, name: str, digest: str,
                 licence: str = "see the folder") -> None:  # fmt: skip
        self._model, self._preprocess, self._tokenizer, self._device = model, preprocess, tokenizer, device
        self.name, self.digest, self.licence = name, digest, licence
        self._texts: dict[LabelSet, Any] = {}

    def read(
        self, images: Sequence[Image.Image], faces: Sequence[FaceReading], label_sets: Mapping[str, LabelSet]
    ) -> list[tuple[dict[str, np.ndarray[Any, Any]], np.ndarray[Any, Any]]]:
        """For each image: attribute -> (labels,) probabilities, and the (d,) unit embedding of the whole image.

        Attributes asked of the head use the whole picture where no face was found.
        """
        import numpy as np

        heads = [head_crop(image, face) for image, face in zip(images, faces, strict=True)]
        whole, head = self.embed(images), self.embed(heads)
        scale = self._model.logit_scale.exp().item()
        tables = {}
        for name, labels in label_sets.items():
            logits = scale * (head if labels.crop == "head" else whole) @ self._label_embeddings(labels).T
            logits = np.exp(logits - logits.max(axis=1, keepdims=True))
            tables[name] = (logits / logits.sum(axis=1, keepdims=True)).astype(np.float32)
        return [({name: table[i] for name, table in tables.items()}, whole[i]) for i in range(len(images))]

    def embed(self, images: Sequence[Image.Image]) -> np.ndarray[Any, Any]:
        """(images, d) float32 of unit length."""
        import numpy as np
        import torch

        rows = []
        for start in range(0, len(images), BATCH):
            batch = torch.stack([self._preprocess(image.convert("RGB")) for image in images[start : start + BATCH]])
            with torch.inference_mode():
                rows.append(self._model.encode_image(batch.to(self._device), normalize=True).float().cpu().numpy())
        return np.concatenate(rows)

    @property
    def blank(self) -> tuple[int, int, int]:
        """The colour that is nothing to this model: its mean."""
        mean = getattr(self._model.visual, "image_mean", None) or MEAN
        red, green, blue = (round(255 * value) for value in mean)
        return red, green, blue

    def _label_embeddings(self, labels: LabelSet) -> np.ndarray[Any, Any]:
        """(labels, d): the normalised mean of each label's prompt ensemble."""
        import numpy as np
        import torch

        if labels not in self._texts:
            rows = []
            for prompts in labels.prompts:
                with torch.inference_mode():
                    tokens = self._tokenizer(list(prompts)).to(self._device)
                    mean = self._model.encode_text(tokens, normalize=True).float().mean(0).cpu().numpy()
                rows.append(mean / np.linalg.norm(mean))
            self._texts[labels] = np.stack(rows)
        embeddings: np.ndarray[Any, Any] = self._texts[labels]
        return embeddings


def head_crop(image: Image.Image, face: FaceReading) -> Image.Image:
    """The square around the face, 1.5 times its longer side, moved up a little to hold the hair; else the image."""
    if face.box is None:
        return image
    left, top, right, bottom = face.box
    side = max(right - left, bottom - top) * HEAD_CROP
    x, y = (left + right) / 2, (top + bottom) / 2 - 0.08 * side
    box = (max(0, int(x - side / 2)), max(0, int(y - side / 2)))
    far = (min(image.width, int(x + side / 2) + 1), min(image.height, int(y + side / 2) + 1))
    return image.crop((*box, *far)) if far[0] - box[0] > 3 and far[1] - box[1] > 3 else image


def load(source: str | Path, device: str = "cpu", announce: Announce = warn) -> ClipReader:
    """Open an open_clip model: a local folder with `open_clip_config.json`, or `ARCHITECTURE/PRETRAINED` by name.

    Raises InputRefused for a folder that is no open_clip model, EnvironmentFailure when weights cannot be fetched.
    """
    import open_clip

    folder = Path(source)
    licence = "see the folder"
    if folder.is_dir():
        name, options = f"local-dir:{folder.resolve()}", {}
    else:
        architecture, _, pretrained = str(source).partition("/")
        name, options = architecture, {"pretrained": pretrained or "openai"}
        licence = _licence(options["pretrained"])
        _tell(architecture, options["pretrained"], licence, announce)
    try:
        model, _, preprocess = open_clip.create_model_and_transforms(name, device=device, **options)
        tokenizer = open_clip.get_tokenizer(name)
    except (FileNotFoundError, ValueError, KeyError) as error:
        raise InputRefused(
            "is no open_clip model.", path=folder, advice="A folder needs open_clip_config.json and its weights."
        ) from error
    except Exception as error:  # whatever the hub client raised
        raise EnvironmentFailure(
            f"the CLIP model {str(source)!r} cannot be opened ({type(error).__name__}).",
            advice="It is fetched on first use and needs a network; or name a local open_clip folder.",
        ) from error
    model.eval()
    return ClipReader(model, preprocess, tokenizer, device, folder.name or str(source), _digest(model), licence)


def _licence(weights: str) -> str:
    fitting = [start for start in _LICENCES if weights.startswith(start)]
    return _LICENCES[max(fitting, key=len)] if fitting else "see the model card"


def _tell(architecture: str, weights: str, licence: str, announce: Announce) -> None:
    """Says what open_clip is about to fetch, unless it is cached; InputRefused for what it does not know."""
    import open_clip
    from huggingface_hub import constants, try_to_load_from_cache

    found = open_clip.get_pretrained_cfg(architecture, weights)
    if not found and ":" not in architecture and not Path(weights).is_file():
        known = ", ".join(open_clip.list_pretrained_tags_by_model(architecture)) or "see open_clip's list of models"
        raise InputRefused(
            "is no open_clip model.", path=f"{architecture}/{weights}", advice=f"Weights it knows: {known}."
        )
    repo = str(found.get("hf_hub", "")).rstrip("/") if found else ""
    names = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors", "open_clip_pytorch_model.bin")
    cache = Path(constants.HF_HUB_CACHE)
    here = any(isinstance(try_to_load_from_cache(repo, name, cache_dir=cache), str) for name in names if repo)
    if found and not here:
        place = f"from {repo} on the hub" if repo else "from its makers"
        announce(f"Fetching the CLIP model {architecture}/{weights} {place} (licence: {licence}), to {cache}.")


def _digest(model: Any) -> str:
    """SHA-256 over the weights in name order."""
    total = hashlib.sha256()
    for key, value in sorted(model.state_dict().items()):
        total.update(key.encode() + value.detach().cpu().float().numpy().tobytes())
    return total.hexdigest()
