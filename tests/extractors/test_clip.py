"""The CLIP instrument, with the miniature's model loaded through open_clip itself."""

import random

import numpy as np
import pytest

from fixtures.miniature.world import vocabulary as words
from fixtures.miniature.world.captions import attribute_values
from fixtures.miniature.world.character import Character
from fixtures.miniature.world.drawing import draw_scene
from fixtures.miniature.world.scene import random_scene
from lora_doctor.errors import EnvironmentFailure, InputRefused
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


@pytest.fixture
def nothing_cached(tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    return tmp_path


def test_a_model_by_name_says_what_it_fetches_with_its_licence_before_it_does(nothing_cached):
    said = []
    with pytest.raises(EnvironmentFailure, match="needs a network; or name a local open_clip folder"):
        clip.load("ViT-B-32/laion2b_s34b_b79k", announce=said.append)
    assert said == [
        "Fetching the CLIP model ViT-B-32/laion2b_s34b_b79k from laion/CLIP-ViT-B-32-laion2B-s34B-b79K on the hub "
        f"(licence: MIT), to {nothing_cached}."
    ]


def test_a_model_that_is_in_the_cache_is_not_announced(nothing_cached):
    model = nothing_cached / "models--laion--CLIP-ViT-B-32-laion2B-s34B-b79K"
    (model / "refs").mkdir(parents=True)
    (model / "refs" / "main").write_text("a" * 40)
    (model / "snapshots" / ("a" * 40)).mkdir(parents=True)
    (model / "snapshots" / ("a" * 40) / "open_clip_model.safetensors").write_bytes(b"damaged")
    said = []
    with pytest.raises(EnvironmentFailure):
        clip.load("ViT-B-32/laion2b_s34b_b79k", announce=said.append)
    assert said == []


@pytest.mark.parametrize("name", ["ViT-B-32/no_such_weights", "no_such_model"])
def test_a_name_that_open_clip_does_not_know_is_refused_without_a_download(nothing_cached, name):
    with pytest.raises(InputRefused, match=f"{name}.* is no open_clip model"):
        clip.load(name, announce=lambda sentence: pytest.fail(sentence))


@pytest.mark.parametrize(
    ("weights", "licence"),
    [("openai", "MIT"), ("metaclip_fullcc", "CC-BY-NC-4.0"), ("webli", "Apache-2.0"), ("cc12m", "see the model card")],
)
def test_licences_follow_the_weights(weights, licence):
    assert clip._licence(weights) == licence


def test_a_readers_licence_is_told(reader):
    assert reader.licence == "see the folder"
