"""YuNet and SFace through OpenCV itself, with the miniature's pack in their graph shapes."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fixtures.miniature.world import vocabulary as words
from fixtures.miniature.world.character import Character
from fixtures.miniature.world.drawing import draw_empty, draw_scene
from fixtures.miniature.world.scene import random_scene
from lora_doctor.errors import EnvironmentFailure, InputRefused
from lora_doctor.extractors import face, sface
from lora_doctor.plugins import data_folder
from tests.make_sface_pack import make_sface_pack


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_sface_pack(tmp_path_factory.mktemp("packs") / "small")


@pytest.fixture(scope="module")
def reader(pack: Path) -> sface.SFaceReader:
    return sface.load(pack)


def drawings(seed: int, count: int = 1, **fixed: str):
    rng = random.Random(seed)
    return [draw_scene(random_scene(rng, Character.from_seed(70_000 + seed), **fixed)) for _ in range(count)]


@pytest.mark.parametrize("framing", words.FRAMINGS)
def test_it_sees_what_insightface_sees_with_the_same_networks(reader: sface.SFaceReader, framing: str) -> None:
    images = [drawing.image for seed in range(4) for drawing in drawings(seed, framing=framing)]
    for mine, theirs in zip(
        reader.read(images), face.load(data_folder("miniature") / "face").read(images), strict=True
    ):
        assert mine.faces == theirs.faces == len(mine.boxes) == 1
        assert np.allclose(mine.box, theirs.box, atol=2)
        assert np.allclose(mine.landmarks, theirs.landmarks, atol=2)
        assert mine.embedding @ theirs.embedding > 0.9
        assert np.linalg.norm(mine.embedding) == pytest.approx(1, abs=1e-5)


def test_an_empty_place_has_no_face_and_no_embedding(reader: sface.SFaceReader) -> None:
    [reading] = reader.read([draw_empty("beach").image])
    assert (reading.faces, reading.box, reading.embedding) == (0, None, None)


def test_boxes_are_in_the_pictures_own_pixels_whatever_its_size(reader: sface.SFaceReader) -> None:
    [drawing] = drawings(3, framing=words.UPPER_BODY)
    large = drawing.image.resize((128, 128), Image.Resampling.BICUBIC)
    one, two = reader.read([drawing.image, large])
    assert np.allclose(np.array(one.box) * 2, two.box, atol=4)
    assert one.embedding @ two.embedding > 0.9


def test_a_face_is_found_in_a_wide_picture_too(reader: sface.SFaceReader) -> None:
    [drawing] = drawings(3, framing=words.CLOSE_UP)
    wide = Image.new("RGB", (96, 64), (200, 200, 200))
    wide.paste(drawing.image, (32, 0))
    [reading] = reader.read([wide])
    assert reading.faces == 1 and reading.box[0] > 32


def test_reading_does_not_depend_on_the_company(reader: sface.SFaceReader) -> None:
    images = [d.image for d in drawings(4, 3, framing=words.UPPER_BODY)]
    together, alone = reader.read(images), [reader.read([image])[0] for image in images]
    assert all(np.array_equal(a.embedding, b.embedding) for a, b in zip(together, alone, strict=True))


def test_name_licence_and_hash_are_told_and_the_hash_follows_the_files(pack: Path, tmp_path: Path) -> None:
    reader = sface.load(pack)
    assert (reader.name, reader.licence) == ("small", "YuNet: MIT; SFace: Apache-2.0")
    copy = Path(shutil.copytree(pack, tmp_path / "copy"))
    assert sface.load(copy).digest == reader.digest
    file = copy / "face_recognition_sface_2021dec.onnx"
    import onnx

    model = onnx.load(file)
    model.producer_name = "another"
    onnx.save(model, file)
    assert sface.load(copy).digest != reader.digest


def test_a_full_precision_file_is_taken_before_a_quantised_one(pack: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(pack, tmp_path / "copy"))
    (copy / "face_detection_yunet_2099mar_int8.onnx").write_bytes(b"not read")
    assert sface.load(copy).digest == sface.load(pack).digest


def test_only_its_name_and_its_files_are_recognised(pack: Path, tmp_path: Path) -> None:
    assert sface.recognises("yunet-sface") and sface.recognises(pack)
    assert not sface.recognises("buffalo_l") and not sface.recognises(data_folder("miniature") / "face")


def test_a_folder_without_a_detector_is_refused_with_what_it_needs(pack: Path, tmp_path: Path) -> None:
    shutil.copy(pack / "face_recognition_sface_2021dec.onnx", tmp_path)
    with pytest.raises(InputRefused, match=r"holds no face_detection_yunet_\*\.onnx.*needs"):
        sface.load(tmp_path)


@pytest.mark.parametrize("damage", [b"", b"not a network", b"\x08\x07"])
@pytest.mark.parametrize("name", ["face_detection_yunet_2023mar.onnx", "face_recognition_sface_2021dec.onnx"])
def test_a_damaged_network_is_refused(pack: Path, tmp_path: Path, damage: bytes, name: str) -> None:
    copy = Path(shutil.copytree(pack, tmp_path / "copy"))
    (copy / name).write_bytes(damage)
    with pytest.raises(InputRefused, match="cannot be read by OpenCV"):
        sface.load(copy)


def test_a_recogniser_in_the_detectors_place_is_refused(pack: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(pack, tmp_path / "copy"))
    shutil.copy(copy / "face_recognition_sface_2021dec.onnx", copy / "face_detection_yunet_2023mar.onnx")
    with pytest.raises(InputRefused, match="cannot be read by OpenCV"):
        sface.load(copy)


def test_offline_the_name_says_what_to_put_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(EnvironmentFailure, match="Go online once, or name a folder that holds face_detection_yunet"):
        sface.load("yunet-sface")
