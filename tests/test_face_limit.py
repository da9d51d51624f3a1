"""The smallest face an instrument tells is measured: on the miniature's, and on one that says where it stops."""

from __future__ import annotations

import random

import numpy as np
import pytest
from PIL import Image

from fixtures.miniature.world import vocabulary as words
from fixtures.miniature.world.character import Character
from fixtures.miniature.world.drawing import draw_scene
from fixtures.miniature.world.scene import random_scene
from lora_doctor.extractors import face
from lora_doctor.face_limit import TRIED, chosen_faces, least_face
from lora_doctor.plugins import data_folder
from lora_doctor.types import FaceReading

PERSON, NOBODY = np.array([1.0, 0.0], np.float32), np.array([0.0, 1.0], np.float32)


class Square:
    """Reads a white square as the face, and knows whose it is down to `stops` pixels."""

    def __init__(self, stops: float, gone: bool = False) -> None:
        self.stops, self.gone = stops, gone

    def read(self, images: list[Image.Image]) -> list[FaceReading]:
        return [self._read(np.asarray(image)[:, :, 0] > 128) for image in images]

    def _read(self, white: np.ndarray) -> FaceReading:
        rows, columns = np.nonzero(white)
        side = float(columns.max() - columns.min() + 1)
        if self.gone and side < self.stops:
            return FaceReading(faces=0)
        box = (float(columns.min()), float(rows.min()), columns.min() + side, rows.max() + 1.0)
        return FaceReading(faces=1, box=box, embedding=PERSON if side >= self.stops - 1 else NOBODY)


def squares(count: int = 4, side: int = 120) -> list[Image.Image]:
    picture = np.zeros((256, 256, 3), np.uint8)
    picture[40 : 40 + side, 50 : 50 + side] = 255
    return [Image.fromarray(picture)] * count


@pytest.mark.parametrize("gone", [False, True])
@pytest.mark.parametrize("stops", [64, 32, 12])
def test_the_limit_is_where_the_instrument_stops(stops: int, gone: bool) -> None:
    reader = Square(stops, gone)
    assert least_face(reader, squares(), reader.read(squares())) == pytest.approx(stops, abs=1)


def test_too_few_or_too_small_faces_tell_no_limit() -> None:
    reader = Square(12)
    assert least_face(reader, squares(2), reader.read(squares(2))) is None
    assert least_face(reader, squares(4, 5), reader.read(squares(4, 5))) is None


def test_the_largest_faces_are_tried() -> None:
    sizes = [20, 90, 50, 70, 30, 60, 80, 40]
    faces = [FaceReading(faces=1, box=(0, 0, float(s), float(s)), embedding=PERSON) for s in sizes]
    assert chosen_faces([*faces, None, FaceReading(faces=0)]) == (1, 6, 3, 5, 2, 7)[:TRIED]


def test_the_miniatures_own_instrument_tells_faces_of_a_full_body_and_not_of_a_few_pixels() -> None:
    reader, rng = face.load(data_folder("miniature") / "face"), random.Random(1)
    person = Character.from_seed(70_321)
    drawn = [draw_scene(random_scene(rng, person, framing=words.CLOSE_UP)).image for _ in range(TRIED)]
    limit = least_face(reader, drawn, reader.read(drawn))
    assert limit is not None and 6 <= limit <= 16
