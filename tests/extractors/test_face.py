"""The face instrument, with the miniature's pack loaded through insightface itself."""

import random

import numpy as np
import pytest
from PIL import Image

from fixtures.miniature.world import vocabulary as words
from fixtures.miniature.world.character import Character
from fixtures.miniature.world.drawing import draw_empty, draw_scene
from fixtures.miniature.world.scene import random_scene
from lora_doctor.errors import EnvironmentFailure, InputRefused
from lora_doctor.extractors import face
from lora_doctor.plugins import data_folder


@pytest.fixture(scope="module")
def reader():
    return face.load(data_folder("miniature") / "face")


def drawings(seed: int, count: int = 3, **fixed: str):
    rng = random.Random(seed)
    return [draw_scene(random_scene(rng, Character.from_seed(70_000 + seed), **fixed)) for _ in range(count)]


def overlap(a, b):
    left, top, right, bottom = max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])
    both = max(0, right - left) * max(0, bottom - top)
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


@pytest.mark.parametrize("framing", words.FRAMINGS)
def test_the_face_is_found_where_it_was_drawn(reader, framing):
    drawn = [drawing for seed in range(8) for drawing in drawings(seed, 1, framing=framing)]
    readings = reader.read([d.image for d in drawn])
    found = [overlap(r.box, d.face_box) for r, d in zip(readings, drawn, strict=True) if r.box is not None]
    assert len(found) == len(drawn)
    assert np.mean(found) > 0.6


@pytest.mark.parametrize(("device", "taken_off"), [("cpu", True), ("cuda", False)])
def test_insightface_is_not_taken_off_the_gpu_that_was_asked_for(monkeypatch, device, taken_off):
    """Its sessions keep what they were opened with, which without a GPU is the CPU all the same."""
    asked = []
    monkeypatch.setattr("onnxruntime.InferenceSession.set_providers", lambda self, names, *more: asked.append(names))
    opened = face.load(data_folder("miniature") / "face", device)
    opened.read([draw_empty("beach").image])
    assert (["CPUExecutionProvider"] in asked) is taken_off


def test_embeddings_have_unit_length_and_follow_the_person(reader):
    same = [r.embedding for r in reader.read([d.image for d in drawings(1, 4, framing=words.CLOSE_UP)])]
    other = [r.embedding for r in reader.read([d.image for d in drawings(2, 4, framing=words.CLOSE_UP)])]
    assert np.allclose([np.linalg.norm(e) for e in same], 1, atol=1e-5)
    assert np.mean([a @ b for a in same for b in same]) > np.mean([a @ b for a in same for b in other]) + 0.3


def test_an_empty_place_has_no_face_and_no_embedding(reader):
    [reading] = reader.read([draw_empty("beach").image])
    assert reading.faces == 0 and reading.box is None and reading.embedding is None


@pytest.mark.parametrize("size", [(1300, 10), (10, 2000), (129, 1), (1, 1)])
def test_a_picture_too_thin_to_be_searched_has_no_face(reader, size):
    [reading] = reader.read([Image.effect_noise(size, 50)])
    assert reading.faces == 0 and reading.box is None


def test_looking_again_makes_no_faces_out_of_empty_places(reader):
    rng = random.Random(21)
    tints = [tuple(rng.randint(-20, 20) for _ in range(3)) for _ in range(20)]
    places = [draw_empty(place, rng.uniform(-1, 1), tint).image for place in words.ENVIRONMENTS for tint in tints]
    assert sum(one.faces for one in reader.read(places)) == 0


def test_a_face_that_fills_the_frame_is_rescued_and_marked(reader):
    plain = face.load(data_folder("miniature") / "face", rescue=False)
    cut = []
    for drawing in (one for seed in range(30) for one in drawings(seed, 1, framing=words.CLOSE_UP)):
        left, top, right, bottom = (round(edge) for edge in drawing.face_box)
        cut.append(drawing.image.crop((left + 2, top + 2, right - 2, bottom - 2)).resize((64, 64)))
    first, again = plain.read(cut), reader.read(cut)
    saved = [two for one, two in zip(first, again, strict=True) if not one.faces and two.faces]
    assert len(saved) > 5 and all(two.rescued == "padded" and two.score >= 0.7 for two in saved)
    assert all(not two.rescued for one, two in zip(first, again, strict=True) if one.faces)
    assert plain.digest != reader.digest


@pytest.mark.parametrize(("framing", "looked"), [(words.FULL_BODY, True), (words.CLOSE_UP, False)])
def test_a_small_face_is_read_again_from_closer(reader, framing, looked):
    readings = reader.read([drawing.image for seed in range(12) for drawing in drawings(seed, 1, framing=framing)])
    closer = [one for one in readings if one.closer is not None]
    assert len(closer) == (len(readings) if looked else 0)
    assert all(one.embedding @ one.closer > 0.7 for one in closer)


def test_a_larger_copy_of_the_picture_gives_the_same_person(reader):
    [drawing] = drawings(3, 1, framing=words.CLOSE_UP)
    small, large = reader.read([drawing.image, drawing.image.resize((120, 120), Image.Resampling.BICUBIC)])
    assert small.embedding @ large.embedding > 0.7
    assert large.box[2] - large.box[0] == pytest.approx((small.box[2] - small.box[0]) * 120 / 64, rel=0.25)


def test_reading_does_not_depend_on_the_company(reader):
    images = [d.image for d in drawings(4, 3, framing=words.UPPER_BODY)]
    together, alone = reader.read(images), [reader.read([image])[0] for image in images]
    assert all(np.array_equal(a.embedding, b.embedding) for a, b in zip(together, alone, strict=True))


def test_a_folder_without_a_detector_is_refused(tmp_path):
    with pytest.raises(InputRefused, match="no face detector"):
        face.load(tmp_path)


def test_a_pack_that_cannot_be_fetched_is_announced_and_is_the_environments_fault(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    said = []
    with pytest.raises(EnvironmentFailure, match="no_such_pack"):
        face.load("no_such_pack", announce=said.append)
    assert len(said) == 1 and "Fetching the insightface pack no_such_pack" in said[0] and str(tmp_path) in said[0]
    assert capsys.readouterr().out == ""  # standard output is for results alone


def test_a_licence_that_forbids_commerce_is_said_before_the_download(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # nobody answers there
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    said = []
    with pytest.raises(EnvironmentFailure, match="cannot be opened"):
        face.load("buffalo_l", announce=said.append)
    assert "non-commercial" in said[0]
