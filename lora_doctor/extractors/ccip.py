"""Identity of anime characters with CCIP: two pictures of one character differ little, whatever they wear or do.

CCIP is a network for features and a second one for the difference of two features, published as ONNX files with the
threshold that its makers measured. Differences are no cosines: the reader offers `similarity` = 1 - difference.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_doctor.devices import onnx_providers
from lora_doctor.errors import InputRefused
from lora_doctor.instrument_files import Announce, digest, from_folder, from_hub, warn

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    Array = np.ndarray[Any, Any]

NAME = "ccip"
REPOSITORY = "deepghs/ccip_onnx"
MODEL = "ccip-caformer-24-randaug-pruned"
"""The model that its makers' own tools take unless told otherwise."""
FILES = ("model_feat.onnx", "model_metrics.onnx", "metrics.json")
LICENCE = "OpenRAIL"
SIDE = 384
"""Pixels: pictures are squashed to this square, as in training."""
MEAN, DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""Of each colour, over values from 0 to 1."""
BATCH = 16


class CcipReader:
    """Embeds pictures of one character each, and compares embeddings."""

    def __init__(self, features: Any, metric: Any, name: str, licence: str, digest: str, threshold: float) -> None:
        self._features, self._metric = features, metric
        self.name, self.licence, self.digest = name, licence, digest
        self.threshold = threshold
        """Pairs that differ by no more show one character, its makers say: where precision and recall balance."""

    @property
    def same_from(self) -> float:
        """The similarity of two pictures from which they show one character."""
        return 1.0 - self.threshold

    def embed(self, images: Sequence[Image.Image]) -> Array:
        """(images, d) float32 features, of no particular length."""
        import numpy as np

        rows = []
        for start in range(0, len(images), BATCH):
            batch = np.stack([_prepared(image) for image in images[start : start + BATCH]])
            rows.append(self._features.run(["output"], {"input": batch})[0])
        return np.concatenate(rows).astype(np.float32)

    def similarity(self, rows: Array, references: Array) -> Array:
        """(rows, references): 1 - difference of each pair, at most 1; the network's difference of a pair is its own."""
        import numpy as np

        both = np.concatenate([rows, references]).astype(np.float32)
        table = self._metric.run(["output"], {"input": both})[0]
        return 1.0 - np.asarray(table, np.float64)[: len(rows), len(rows) :]


def _prepared(image: Image.Image) -> Array:
    """(3, 384, 384) float32."""
    import numpy as np
    from PIL import Image

    squashed = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    pixels = np.asarray(squashed, np.float32) / 255
    scaled: Array = (pixels - np.array(MEAN, np.float32)) / np.array(DEVIATION, np.float32)
    return scaled.transpose(2, 0, 1)


def load(source: str | Path = NAME, device: str = "cpu", announce: Announce = warn) -> CcipReader:
    """Open a folder with model_feat.onnx, model_metrics.onnx and metrics.json, or a model of deepghs/ccip_onnx by name.

    `ccip` is the usual one; it is fetched on first use. Raises InputRefused for a folder that is no CCIP model,
    EnvironmentFailure when it cannot be fetched.
    """
    import onnxruntime

    folder = Path(source)
    local = folder.is_dir()
    model = MODEL if str(source) == NAME else str(source)
    wanted = [(REPOSITORY, f"{model}/{name}") for name in FILES]
    files = (
        from_folder(folder, FILES, "CCIP")
        if local
        else from_hub(wanted, f"the instrument CCIP {model}", LICENCE, announce)
    )
    advice = f"CCIP needs {', '.join(FILES)} of one model of {REPOSITORY}."
    providers = onnx_providers(device)
    try:
        features, metric = (onnxruntime.InferenceSession(str(path), providers=providers) for path in files[:2])
        name = folder.name if local else model
        reader = CcipReader(features, metric, name, LICENCE, digest(files), _threshold(files[2], advice))
        _try(reader)
    except InputRefused:
        raise
    except Exception as error:  # onnxruntime raises classes of its own for each kind of damage
        raise InputRefused("cannot be read as CCIP.", path=files[0].parent, advice=advice) from error
    return reader


def _threshold(path: Path, advice: str) -> float:
    """What metrics.json says; InputRefused for anything but a number from 0 to 1."""
    try:
        value = float(json.loads(path.read_text("utf-8"))["threshold"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputRefused("has no threshold.", path=path, advice=advice) from error
    if not (math.isfinite(value) and 0 < value < 1):
        raise InputRefused(f"has the threshold {value:g}.", path=path, advice=advice)
    return value


def _try(reader: CcipReader) -> None:
    """A picture through both networks: a wrong graph shows here, not in the middle of a run."""
    from PIL import Image

    rows = reader.embed([Image.new("RGB", (8, 8))] * 2)
    if rows.ndim != 2 or reader.similarity(rows[:1], rows).shape != (1, 2):
        raise ValueError("the networks answer in another shape")
