"""Face identity with insightface: any model folder (detector + 112 x 112 recogniser, ONNX) or a pack by name."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_doctor.errors import EnvironmentFailure, InputRefused
from lora_doctor.instrument_files import Announce, digest, warn
from lora_doctor.types import FaceReading

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

SMALL_PICTURE = 128
"""Pictures up to this side are searched at 128 x 128; larger ones at insightface's own two sizes."""
RESCUE_PADDING = 0.4
"""A face that fills the frame is missed without a margin: a picture without a face is tried again with 40 % padding."""
_LICENCES = {
    "buffalo_l": "insightface models: non-commercial research use only",
    "antelopev2": "insightface models: non-commercial research use only",
}


class FaceReader:
    """Finds faces and embeds the largest one."""

    def __init__(self, analysis: Any, name: str, licence: str, digest: str) -> None:
        self._analysis = analysis
        self.name, self.licence, self.digest = name, licence, digest

    def read(self, images: Sequence[Image.Image]) -> list[FaceReading]:
        """One reading per image (RGB, any size). `box` is in pixels of that image; `embedding` has unit length."""
        return [self._read(image) for image in images]

    def _read(self, image: Image.Image) -> FaceReading:
        import numpy as np

        bgr = np.ascontiguousarray(np.asarray(image.convert("RGB"))[:, :, ::-1])
        faces, margin = self._find(bgr), 0
        if not faces:
            margin = round(RESCUE_PADDING * max(bgr.shape[:2]) / 2)
            faces = self._find(np.pad(bgr, ((margin, margin), (margin, margin), (0, 0)), mode="edge"))
        if not faces:
            return FaceReading(faces=0)
        faces.sort(key=lambda f: (f.bbox[0] - f.bbox[2]) * (f.bbox[3] - f.bbox[1]))
        boxes = [(float(f.bbox[0]), float(f.bbox[1]), float(f.bbox[2]), float(f.bbox[3])) for f in faces]
        boxes = [(left - margin, top - margin, right - margin, bottom - margin) for left, top, right, bottom in boxes]
        points = (
            None if faces[0].kps is None else tuple((float(x) - margin, float(y) - margin) for x, y in faces[0].kps)
        )
        return FaceReading(
            faces=len(faces), score=float(faces[0].det_score), box=boxes[0], boxes=tuple(boxes), landmarks=points,
            embedding=np.asarray(faces[0].normed_embedding, np.float32),
        )  # fmt: skip

    def _find(self, bgr: np.ndarray[Any, Any]) -> list[Any]:
        size = (SMALL_PICTURE, SMALL_PICTURE) if max(bgr.shape[:2]) <= SMALL_PICTURE else None
        if size != self._analysis.det_size:
            self._analysis.prepare(ctx_id=-1, det_size=size)
            self._analysis.det_size = size
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # insightface calls what scikit-image deprecates
            return list(self._analysis.get(bgr))


def load(source: str | Path, device: str = "cpu", announce: Announce = warn) -> FaceReader:
    """Open an insightface pack: a folder of ONNX files, or a name such as `buffalo_l` (fetched on first use).

    Raises InputRefused for a folder without a detector and a recogniser, EnvironmentFailure when a pack cannot be had.
    """
    import onnxruntime
    from insightface.app import FaceAnalysis

    onnxruntime.set_default_logger_severity(3)
    folder = Path(source)
    providers = ["CUDAExecutionProvider", "CPUExecutionProvider"] if device == "cuda" else ["CPUExecutionProvider"]
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
    return FaceReader(analysis, name, _LICENCES.get(name, "see the pack"), digest(files))
