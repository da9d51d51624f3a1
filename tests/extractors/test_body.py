"""The body crop as geometry, and what an embedding sees in it."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from lora_doctor.extractors import clip, dino
from lora_doctor.extractors.body import Embedder, body_crop, embed_bodies
from lora_doctor.plugins import data_folder
from lora_doctor.types import FaceReading

GREY = (124, 116, 104)


@pytest.fixture(scope="module", params=["clip", "dino"])
def reader(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Embedder:
    from tests.tiny_instruments import make_dino

    if request.param == "clip":
        return clip.load(data_folder("miniature") / "clip")
    return dino.load(make_dino(tmp_path_factory.mktemp("dino") / "tiny"))


def person(head: tuple[int, int, int], body: tuple[int, int, int]) -> tuple[Image.Image, FaceReading]:
    """A face of 20 pixels at the top of 100 x 200, and a body below it."""
    image = Image.new("RGB", (100, 200), (0, 255, 0))
    image.paste(head, (35, 10, 65, 40))
    image.paste(body, (30, 45, 70, 200))
    return image, FaceReading(faces=1, score=1.0, box=(40, 18, 60, 38))


def test_the_body_does_not_know_the_head() -> None:
    one, face = person((255, 0, 0), (0, 0, 255))
    two, _ = person((255, 255, 255), (0, 0, 255))
    assert body_crop(one, face, GREY).tobytes() == body_crop(two, face, GREY).tobytes()


def test_the_body_knows_the_outfit(reader: Embedder) -> None:
    people = [person((255, 0, 0), colour) for colour in ((0, 0, 255), (255, 255, 0))]
    one, two = embed_bodies(reader, [image for image, _ in people], [face for _, face in people])
    assert not np.allclose(one, two, atol=1e-3)
    assert np.linalg.norm(one) == pytest.approx(1, abs=1e-5)


def test_the_body_is_cut_around_the_person_and_stays_inside() -> None:
    image, face = person((255, 0, 0), (0, 0, 255))
    crop = body_crop(image, face, GREY)
    assert crop.size == (65, 181)  # 3.2 face heights wide, 9 high, rounded outwards, within 100 x 200
    assert crop.getpixel((32, 10)) == GREY and crop.getpixel((32, 120)) == (0, 0, 255)


@pytest.mark.parametrize(
    "face",
    [FaceReading(faces=0), FaceReading(faces=1, box=(20, 20, 90, 190)), FaceReading(faces=1, box=(5, 5, 5, 5))],
)
def test_without_a_face_or_below_a_portrait_there_is_no_body(reader: Embedder, face: FaceReading) -> None:
    image, known = person((255, 0, 0), (0, 0, 255))
    assert body_crop(image, face, GREY) is None
    nobody, somebody = embed_bodies(reader, [image, image], [face, known])
    assert nobody is None and somebody is not None


def test_a_wide_and_a_tall_crop_are_seen_whole() -> None:
    seen: list[tuple[int, int]] = []

    class Recorder:
        blank = GREY

        def embed(self, images: list[Image.Image]) -> np.ndarray:  # type: ignore[type-arg]
            seen.extend(image.size for image in images)
            assert images[0].getpixel((0, 0)) == GREY and images[0].getpixel((90, 170)) == (0, 0, 255)
            return np.zeros((len(images), 2), np.float32)

    image, face = person((255, 0, 0), (0, 0, 255))
    embed_bodies(Recorder(), [image], [face])
    assert seen == [(181, 181)]
