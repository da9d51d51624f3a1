"""Face identity with OpenCV: YuNet finds faces, SFace embeds the largest one. Both may be used commercially."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_doctor.errors import InputRefused
from lora_doctor.instrument_files import Announce, digest, from_folder, from_hub, warn
from lora_doctor.types import FaceReading

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    Pixels = np.ndarray[Any, Any]

NAME = "yunet-sface"
FILES = ("face_detection_yunet_*.onnx", "face_recognition_sface_*.onnx")
"""As OpenCV's model zoo names them; a folder that holds both is opened here."""
HUB = (
    ("opencv/face_detection_yunet", "face_detection_yunet_2023mar.onnx"),
    ("opencv/face_recognition_sface", "face_recognition_sface_2021dec.onnx"),
)
LICENCE = "YuNet: MIT; SFace: Apache-2.0"
CANVAS = 640
"""Pixels a side of what YuNet looks at: published files are exported for it, and not all of them take other sizes."""
ENLARGED = 2
"""A picture is enlarged by this at most: more adds nothing, and YuNet knows faces up to some 300 pixels."""
RESCUE_PADDING = 0.4
"""As for insightface: a picture without a face is tried again, smaller, with a margin."""
LEAST_SCORE = 0.7
"""OpenCV's own default of 0.9 is for video; at it two of the six faces of insightface's test picture are lost."""
OVERLAP = 0.3
"""Boxes that overlap by more are one face (intersection over union): OpenCV's default."""


class SFaceReader:
    """Finds faces and embeds the largest one."""

    def __init__(self, detector: Any, recogniser: Any, name: str, licence: str, digest: str) -> None:
        self._detector, self._recogniser = detector, recogniser
        self.name, self.licence, self.digest = name, licence, digest

    def read(self, images: Sequence[Image.Image]) -> list[FaceReading]:
        """One reading per image (RGB, any size). `box` is in pixels of that image; `embedding` has unit length."""
        return [self._read(image) for image in images]

    def _read(self, image: Image.Image) -> FaceReading:
        import numpy as np

        bgr = np.ascontiguousarray(np.asarray(image.convert("RGB"))[:, :, ::-1])
        margin = round(RESCUE_PADDING * max(bgr.shape[:2]) / 2)
        faces = self._find(bgr)
        if not len(faces):
            padded = np.pad(bgr, ((margin, margin), (margin, margin), (0, 0)), mode="edge")
            faces = self._find(padded)
            faces[:, [0, 1, *range(4, 14)]] -= margin
        if not len(faces):
            return FaceReading(faces=0)
        faces = faces[np.argsort(-faces[:, 2] * faces[:, 3], kind="stable")]
        boxes = [(float(x), float(y), float(x + w), float(y + h)) for x, y, w, h in faces[:, :4]]
        return FaceReading(
            faces=len(faces), score=min(1.0, float(faces[0, 14])), box=boxes[0], boxes=tuple(boxes),
            landmarks=tuple((float(x), float(y)) for x, y in faces[0, 4:14].reshape(5, 2)),
            embedding=self._embed(bgr, faces[0]),
        )  # fmt: skip

    def _find(self, bgr: Pixels) -> Pixels:
        """(faces, 15): left, top, width, height, five landmarks and the score, in pixels of the picture."""
        import cv2
        import numpy as np

        scale = min(ENLARGED, CANVAS / max(bgr.shape[:2]))
        size = (max(1, round(bgr.shape[1] * scale)), max(1, round(bgr.shape[0] * scale)))
        canvas = np.zeros((CANVAS, CANVAS, 3), np.uint8)
        smooth = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        canvas[: size[1], : size[0]] = cv2.resize(bgr, size, interpolation=smooth)
        found = self._detector.detect(canvas)[1]
        if found is None:
            return np.zeros((0, 15), np.float32)
        faces = np.array(found, np.float32)
        faces = faces[np.isfinite(faces).all(axis=1) & (faces[:, 2] > 0) & (faces[:, 3] > 0)]
        faces[:, :14] /= scale
        return faces

    def _embed(self, bgr: Pixels, face: Pixels) -> Pixels | None:
        """(d,) float32 of unit length; None for a network that answers with zeros or NaN."""
        import numpy as np

        row = self._recogniser.feature(self._recogniser.alignCrop(bgr, face)).astype(np.float32).ravel()
        norm = float(np.linalg.norm(row))
        return row / np.float32(norm) if np.isfinite(norm) and norm > 0 else None


def recognises(source: str | Path) -> bool:
    """Whether this is the name `yunet-sface`, or a folder with an SFace file."""
    return str(source) == NAME or any(Path(source).glob(FILES[1]))


def load(source: str | Path = NAME, device: str = "cpu", announce: Announce = warn) -> SFaceReader:
    """Open a folder with both .onnx files under their published names, or `yunet-sface` (fetched on first use).

    Runs on the processor whatever the device: OpenCV's packages come without CUDA. Raises InputRefused for a folder
    without them or with what OpenCV cannot read, EnvironmentFailure when they cannot be fetched.
    """
    import cv2

    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
    folder = Path(source)
    local = folder.is_dir()
    files = from_folder(folder, FILES, NAME) if local else from_hub(HUB, "the face instrument YuNet + SFace", LICENCE,
                                                                    announce)  # fmt: skip
    try:
        detector = cv2.FaceDetectorYN.create(str(files[0]), "", (CANVAS, CANVAS), LEAST_SCORE, OVERLAP)
        recogniser = cv2.FaceRecognizerSF.create(str(files[1]), "")
        reader = SFaceReader(detector, recogniser, folder.name if local else NAME, LICENCE, digest(files))
        _try(reader)
    except (cv2.error, IndexError) as error:
        advice = "Download the two files of OpenCV's model zoo again."
        raise InputRefused("cannot be read by OpenCV as YuNet and SFace.", path=folder, advice=advice) from error
    return reader


def _try(reader: SFaceReader) -> None:
    """One empty picture through each network: a wrong graph shows here, not in the middle of a run."""
    import numpy as np

    reader._find(np.zeros((CANVAS, CANVAS, 3), np.uint8))
    reader._recogniser.feature(np.zeros((112, 112, 3), np.uint8))
