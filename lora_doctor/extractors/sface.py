"""Face identity with OpenCV: YuNet finds faces, SFace embeds the largest one. Both may be used commercially."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_doctor.errors import InputRefused
from lora_doctor.face_views import RESCUED_SCORE, View, closer_view, rescue_views
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
LEAST_FACE = 64.0
"""Pixels, shorter side: the gate that tools for photographs use, whatever the recogniser."""
LEAST_SCORE = 0.7
"""OpenCV's own default of 0.9 is for video; at it two of the six faces of insightface's test picture are lost."""
OVERLAP = 0.3
"""Boxes that overlap by more are one face (intersection over union): OpenCV's default."""


SAME_FROM = 0.363
"""Cosine of two faces from which OpenCV calls them one person (opencv/samples/dnn/face_detect.py)."""


class SFaceReader:
    """Finds faces and embeds the largest one."""

    same_from = SAME_FROM
    least_face = LEAST_FACE

    def __init__(
        self, detector: Any, recogniser: Any, name: str, licence: str, digest: str, *, rescue: bool = True
    ) -> None:
        self._detector, self._recogniser, self._rescue = detector, recogniser, rescue
        self.name, self.licence, self.digest = name, licence, digest if rescue else f"{digest}-unrescued"

    def read(self, images: Sequence[Image.Image]) -> list[FaceReading]:
        """One reading per image (RGB, any size). `box` is in pixels of that image; `embedding` has unit length."""
        return [self._read(image) for image in images]

    def _read(self, image: Image.Image) -> FaceReading:
        import numpy as np

        bgr = np.ascontiguousarray(np.asarray(image.convert("RGB"))[:, :, ::-1])
        name, faces = "", self._find(bgr)
        rescues = rescue_views(bgr) if self._rescue and not len(faces) else iter(())
        while not len(faces) and (view := next(rescues, None)) is not None:
            found = self._find(view.pixels)
            name, faces = view.name, _placed(found[found[:, 14] >= RESCUED_SCORE], view)
        if not len(faces):
            return FaceReading(faces=0)
        faces = faces[np.argsort(-faces[:, 2] * faces[:, 3], kind="stable")]
        boxes = [(float(x), float(y), float(x + w), float(y + h)) for x, y, w, h in faces[:, :4]]
        return FaceReading(
            faces=len(faces), score=min(1.0, float(faces[0, 14])), box=boxes[0], boxes=tuple(boxes),
            landmarks=tuple((float(x), float(y)) for x, y in faces[0, 4:14].reshape(5, 2)),
            embedding=self._embed(bgr, faces[0]), rescued=name, closer=self._closer(bgr, boxes[0]),
        )  # fmt: skip

    def _closer(self, bgr: Pixels, box: tuple[float, float, float, float]) -> Pixels | None:
        """The embedding of a small face from its surroundings enlarged, or None."""
        import numpy as np

        view = closer_view(bgr, box)
        found = np.zeros((0, 15), np.float32) if view is None else self._find(view.pixels)
        if view is None or not len(found):
            return None
        at = _placed(found.copy(), view)
        middles, middle = at[:, :2] + at[:, 2:4] / 2, ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
        apart = np.linalg.norm(middles - np.array(middle), axis=1)
        return self._embed(view.pixels, found[apart.argmin()]) if apart.min() < (box[2] - box[0]) / 2 else None

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


def _placed(faces: Pixels, view: View) -> Pixels:
    """The faces of a view, in place, in pixels of the picture."""
    faces[:, :14] /= view.scale
    faces[:, [0, *range(4, 14, 2)]] += view.left
    faces[:, [1, *range(5, 14, 2)]] += view.top
    return faces


def recognises(source: str | Path) -> bool:
    """Whether this is the name `yunet-sface`, or a folder with an SFace file."""
    return str(source) == NAME or any(Path(source).glob(FILES[1]))


def load(
    source: str | Path = NAME, device: str = "cpu", announce: Announce = warn, *, rescue: bool = True
) -> SFaceReader:
    """Open a folder with both .onnx files under their published names, or `yunet-sface` (fetched on first use).

    `rescue`: whether a picture without a face is looked at again, with a margin and zoomed (`face_views`).
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
        name = folder.name if local else NAME
        reader = SFaceReader(detector, recogniser, name, LICENCE, digest(files), rescue=rescue)
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
