"""CCIP through onnxruntime, with networks of its shape whose differences can be worked out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lora_doctor.errors import EnvironmentFailure, InputRefused
from lora_doctor.extractors import ccip
from tests.tiny_instruments import THRESHOLD, make_ccip

RED, BLUE, GREY = (Image.new("RGB", (40, 60), colour) for colour in ((255, 0, 0), (0, 0, 255), (128, 128, 128)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_ccip(tmp_path_factory.mktemp("ccip") / "tiny")


@pytest.fixture(scope="module")
def reader(folder: Path) -> ccip.CcipReader:
    return ccip.load(folder)


def test_features_are_those_of_the_squashed_normalised_picture(reader: ccip.CcipReader) -> None:
    halves = Image.new("RGB", (100, 20), (255, 0, 0))
    halves.paste((0, 0, 255), (50, 0, 100, 20))
    [row] = reader.embed([halves])
    quarters = row.reshape(3, 2, 2)
    white = (1 - np.array(ccip.MEAN)) / np.array(ccip.DEVIATION)
    black = -np.array(ccip.MEAN) / np.array(ccip.DEVIATION)
    assert quarters[:, :, 0] == pytest.approx(np.array([[white[0]] * 2, [black[1]] * 2, [black[2]] * 2]), abs=0.05)
    assert quarters[:, :, 1] == pytest.approx(np.array([[black[0]] * 2, [black[1]] * 2, [white[2]] * 2]), abs=0.05)


def test_similarity_is_one_minus_the_networks_difference(reader: ccip.CcipReader) -> None:
    rows = reader.embed([RED, BLUE, GREY])
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    table = reader.similarity(rows[:2], rows)
    assert table == pytest.approx(1 - (1 - unit[:2] @ unit.T) / 2, abs=1e-5)
    assert table.shape == (2, 3)
    assert [table[0, 0], table[1, 1]] == pytest.approx([1, 1], abs=1e-5)


def test_a_pairs_similarity_is_symmetric_and_does_not_depend_on_the_company(reader: ccip.CcipReader) -> None:
    rows = reader.embed([RED, BLUE, GREY])
    table = reader.similarity(rows, rows)
    assert table == pytest.approx(table.T, abs=1e-6)
    assert reader.similarity(rows[:1], rows[2:])[0, 0] == pytest.approx(table[0, 2], abs=1e-6)


def test_more_pictures_than_a_batch_are_read_alike(reader: ccip.CcipReader) -> None:
    many = reader.embed([RED, BLUE] * ccip.BATCH)
    assert len(many) == 2 * ccip.BATCH
    assert np.allclose(many[-2:], reader.embed([RED, BLUE]), atol=1e-5)


def test_the_makers_own_threshold_comes_from_metrics_json(reader: ccip.CcipReader) -> None:
    assert reader.threshold == THRESHOLD
    assert (reader.name, reader.licence) == ("tiny", "OpenRAIL")


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"threshold": "x"}', '{"threshold": 7}', '{"threshold": NaN}', "[" * 99]
)
def test_a_threshold_that_is_none_is_refused(folder: Path, tmp_path: Path, text: str) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    (copy / "metrics.json").write_text(text)
    with pytest.raises(InputRefused, match="threshold"):
        ccip.load(copy)


@pytest.mark.parametrize("name", ccip.FILES)
def test_a_folder_that_lacks_a_file_is_refused_with_its_name(folder: Path, tmp_path: Path, name: str) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    (copy / name).unlink()
    with pytest.raises(InputRefused, match=f"holds no {name}"):
        ccip.load(copy)


def test_networks_in_each_others_place_are_refused(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    shutil.copy(copy / "model_metrics.onnx", copy / "model_feat.onnx")
    with pytest.raises(InputRefused, match="cannot be read as CCIP"):
        ccip.load(copy)


def test_offline_the_name_says_what_to_put_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(EnvironmentFailure, match=r"deepghs/ccip_onnx: .*Go online once.*model_feat\.onnx"):
        ccip.load("ccip")


def test_the_hubs_model_is_found_in_its_cache(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    model = tmp_path / "models--deepghs--ccip_onnx"
    (model / "refs").mkdir(parents=True)
    (model / "refs" / "main").write_text("a" * 40)
    shutil.copytree(folder, model / "snapshots" / ("a" * 40) / ccip.MODEL)
    said: list[str] = []
    reader = ccip.load("ccip", announce=said.append)
    assert (reader.name, said) == (ccip.MODEL, [])
    assert json.loads((folder / "metrics.json").read_text())["threshold"] == reader.threshold
