"""The CLIP instrument, with the miniature's model loaded through open_clip itself."""

import random

import numpy as np
import pytest

from fixtures.miniature.world import vocabulary as words
from fixtures.miniature.world.captions import attribute_values
from fixtures.miniature.world.character import Character
from fixtures.miniature.world.drawing import draw_scene
from fixtures.miniature.world.scene import random_scene
from lora_doctor.errors import InputRefused
from lora_doctor.extractors import clip
from lora_doctor.labels import load_labels
from lora_doctor.plugins import data_folder
from lora_doctor.types import FaceReading, LabelSet

NOBODY = FaceReading(faces=0)


@pytest.fixture(scope="module")
def reader():
    return clip.load(data_folder("miniature") / "clip")


@pytest.fixture(scope="module")
def labels():
    return load_labels(data_folder("miniature") / "clip" / "labels.toml")


def sample(count: int = 24):
    rng = random.Random(8)
    scenes = [random_scene(rng, Character.from_seed(80_000 + i)) for i in range(count)]
    drawn = [draw_scene(scene) for scene in scenes]
    faces = [FaceReading(faces=1, score=1.0, box=d.face_box) for d in drawn]
    return scenes, [d.image for d in drawn], faces


def test_the_label_file_covers_the_worlds_vocabulary(labels):
    assert {name: set(each.labels) for name, each in labels.items()} == {
        name: set(known) for name, known in words.ATTRIBUTES.items()
    }


def test_probabilities_sum_to_one_and_embeddings_have_unit_length(reader, labels):
    _, images, faces = sample(4)
    for probabilities, embedding in reader.read(images, faces, labels):
        assert all(row.sum() == pytest.approx(1, abs=1e-4) for row in probabilities.values())
        assert np.linalg.norm(embedding) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("attribute", ["hair_colour", "environment", "framing", "skin"])
def test_zero_shot_reads_what_was_drawn(reader, labels, attribute):
    scenes, images, faces = sample()
    read = [labels[attribute].labels[int(p[attribute].argmax())] for p, _ in reader.read(images, faces, labels)]
    assert np.mean([r == attribute_values(s)[attribute] for r, s in zip(read, scenes, strict=True)]) > 0.8


def test_the_order_of_labels_does_not_change_the_reading(reader, labels):
    _, images, faces = sample(4)
    hair = labels["hair_colour"]
    turned = LabelSet(
        attribute="hair_colour", labels=hair.labels[::-1], prompts=hair.prompts[::-1], kind="identity", crop="head"
    )
    for (one, _), (other, _) in zip(
        reader.read(images, faces, {"hair_colour": hair}),
        reader.read(images, faces, {"hair_colour": turned}),
        strict=True,
    ):
        assert np.allclose(one["hair_colour"], other["hair_colour"][::-1], atol=1e-4)


def test_the_head_crop_holds_the_face_and_stays_inside():
    _, images, faces = sample(8)
    for image, face in zip(images, faces, strict=True):
        crop = clip.head_crop(image, face)
        assert crop.width <= image.width and crop.height <= image.height
        assert crop.width >= min(image.width, face.box[2] - face.box[0]) - 1


def test_without_a_face_the_whole_picture_is_read():
    _, [image, *_], _ = sample(1)
    assert clip.head_crop(image, NOBODY) is image


def test_a_folder_that_is_no_model_is_refused(tmp_path):
    with pytest.raises(InputRefused, match="no open_clip model"):
        clip.load(tmp_path)
