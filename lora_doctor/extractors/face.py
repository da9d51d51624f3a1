"""Face identity with insightface: any model folder (detector + 112 x 112 recogniser, ONNX) or a pack by name."""

from __future__ import annotations

import contextlib
import math
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_doctor.devices import onnx_providers
from lora_doctor.errors import EnvironmentFailure, InputRefused
from lora_doctor.face_views import NATIVE_FACE, RESCUED_SCORE, View, closer_view, rescue_views
from lora_doctor.instrument_files import Announce, digest, warn
from lora_doctor.types import FaceReading

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

SMALL_PICTURE = 128
"""Pictures up to this side are searched at 128 x 128; larger ones at insightface's own two sizes."""
LEAST_FACE = {"buffalo_l": 64.0, "antelopev2": 64.0}
"""Pixels, shorter side, below which those who score with a pack do not trust it (lora-dataset-studio's gate); of a pack
that nobody tells of, `NATIVE_FACE`."""
_LICENCES = {
    "buffalo_l": "insightface models: non-commercial research use only",
    "antelopev2": "insightface models: non-commercial research use only",
}


SAME_FROM = 0.28
"""Cosine of two faces from which insightface calls them one person (deepinsight/insightface,
web-demos/src_recognition/main.py, for buffalo_l)."""


class FaceReader:
    """Finds faces and embeds the largest one."""

    same_from = SAME_FROM

    def __init__(
        self, analysis: Any, name: str, licence: str, digest: str, *, rescue: bool = True, on_gpu: bool = False
    ) -> None:
        self._analysis, self._rescue = analysis, rescue
        self._ctx_id = 0 if on_gpu else -1  # below 0 insightface takes its sessions off the GPU again
        self.name, self.licence, self.digest = name, licence, digest if rescue else f"{digest}-unrescued"
        self.least_face: float = LEAST_FACE.get(name, NATIVE_FACE)

    def read(self, images: Sequence[Image.Image]) -> list[FaceReading]:
        """One reading per image (RGB, any size). `box` is in pixels of that image; `embedding` has unit length."""
        return [self._read(image) for image in images]

    def _read(self, image: Image.Image) -> FaceReading:
        import numpy as np

        bgr = np.ascontiguousarray(np.asarray(image.convert("RGB"))[:, :, ::-1])
        if _too_thin(bgr):
            return FaceReading(faces=0)
        view = View(name="", pixels=bgr, left=0, top=0)
        faces = self._find(bgr)
        rescues = rescue_views(bgr) if self._rescue and not faces else iter(())
        while not faces and (other := next(rescues, None)) is not None:
            view, faces = other, [f for f in self._find(other.pixels) if f.det_score >= RESCUED_SCORE]
        if not faces:
            return FaceReading(faces=0)
        faces.sort(key=lambda f: (f.bbox[0] - f.bbox[2]) * (f.bbox[3] - f.bbox[1]))
        corners = [[float(number) for number in f.bbox[:4]] for f in faces]
        boxes = [(*view.back(left, top), *view.back(right, bottom)) for left, top, right, bottom in corners]
        points = None if faces[0].kps is None else tuple(view.back(float(x), float(y)) for x, y in faces[0].kps)
        return FaceReading(
            faces=len(faces), score=float(faces[0].det_score), box=boxes[0], boxes=tuple(boxes), landmarks=points,
            embedding=np.asarray(faces[0].normed_embedding, np.float32), rescued=view.name,
            closer=self._closer(bgr, boxes[0]),
        )  # fmt: skip

    def _closer(self, bgr: np.ndarray[Any, Any], box: tuple[float, float, float, float]) -> Any:
        """The embedding of a small face from its surroundings enlarged, or None."""
        import numpy as np

        view = closer_view(bgr, box)
        if view is None:
            return None
        middle = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        found = [(view.back(*(f.bbox[:2] + f.bbox[2:4]) / 2), f) for f in self._find(view.pixels)]
        near = [(math.dist(at, middle), f) for at, f in found if math.dist(at, middle) < (box[2] - box[0]) / 2]
        if not near:
            return None
        return np.asarray(min(near, key=lambda pair: pair[0])[1].normed_embedding, np.float32)

    def _find(self, bgr: np.ndarray[Any, Any]) -> list[Any]:
        if _too_thin(bgr):
            return []
        size = (SMALL_PICTURE, SMALL_PICTURE) if max(bgr.shape[:2]) <= SMALL_PICTURE else None
        if size != self._analysis.det_size:
            self._analysis.prepare(ctx_id=self._ctx_id, det_size=size)
            self._analysis.det_size = size
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # insightface calls what scikit-image deprecates
            return list(self._analysis.get(bgr))


def _too_thin(bgr: np.ndarray[Any, Any]) -> bool:
    """Whether nothing is left of the shorter side where the longer one is shrunk to what the detector looks at."""
    height, width = bgr.shape[:2]
    return bool(SMALL_PICTURE * min(height, width) < max(height, width))


def load(source: str | Path, device: str = "cpu", announce: Announce = warn, *, rescue: bool = True) -> FaceReader:
    """Open an insightface pack: a folder of ONNX files, or a name such as `buffalo_l` (fetched on first use).

    `rescue`: whether a picture without a face is looked at again, with a margin and zoomed (`face_views`).
    Raises InputRefused for a folder without a detector and a recogniser, EnvironmentFailure when a pack cannot be had.
    """
    import onnxruntime
    from insightface.app import FaceAnalysis

    onnxruntime.set_default_logger_severity(3)
    folder = Path(source)
    providers = onnx_providers(device)
    home = Path("~/.insightface/models").expanduser()
    if not folder.is_dir() and not (home / str(source)).is_dir():
        terms = _LICENCES.get(str(source), "see its makers")
        announce(f"Fetching the insightface pack {source} from insightface's releases (licence: {terms}), to {home}.")
    try:
        with contextlib.redirect_stdout(sys.stderr):  # the library prints where it downloads to
            analysis = FaceAnalysis(name=str(source), providers=providers)
    except AssertionError as error:
        raise InputRefused(
            "holds no face detector.", path=folder, advice="Point [instruments] face at a pack."
        ) from error
    except Exception as error:  # the library raises whatever its download raised
        raise EnvironmentFailure(
            f"the face pack {str(source)!r} cannot be opened ({type(error).__name__}).",
            advice="It is fetched on first use and needs a network; or name a folder with the pack's .onnx files.",
        ) from error
    if "recognition" not in analysis.models:
        raise InputRefused("holds no face recogniser.", path=folder, advice="A pack needs a 112 x 112 recogniser.")
    analysis.det_size = "unset"
    name = folder.name if folder.is_dir() else str(source)
    files = sorted(Path(analysis.model_dir).glob("*.onnx"))
    return FaceReader(
        analysis, name, _LICENCES.get(name, "see the pack"), digest(files), rescue=rescue, on_gpu=len(providers) > 1
    )
