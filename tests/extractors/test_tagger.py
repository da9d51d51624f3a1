"""A tagger of the WD14 shape, with tags whose probabilities follow the picture's colour."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lora_doctor.errors import EnvironmentFailure, InputRefused
from lora_doctor.extractors import tagger
from tests.make_label_set import label_set
from tests.tiny_instruments import TAGS, make_tagger

RED, BLUE = Image.new("RGB", (30, 30), (255, 0, 0)), Image.new("RGB", (30, 30), (0, 0, 255))
HAIR = label_set("hair_colour", "identity", "red_hair green_hair blue_hair")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tagger(tmp_path_factory.mktemp("tagger") / "tiny")


@pytest.fixture(scope="module")
def reader(folder: Path) -> tagger.TaggerReader:
    return tagger.load(folder)


def test_tags_are_read_with_blue_before_red(reader: tagger.TaggerReader) -> None:
    table = reader.tags([RED, BLUE])
    columns = {tag: table[:, i] for i, tag in enumerate(TAGS)}
    assert columns["red_hair"][0] > 0.99 > 0.01 > columns["red_hair"][1]
    assert columns["blue_hair"][1] > 0.99 > 0.01 > columns["blue_hair"][0]


def test_a_closed_set_is_answered_with_probabilities_and_the_colour_that_is_there(reader: tagger.TaggerReader) -> None:
    one, two = (read["hair_colour"] for read in reader.read([RED, BLUE], [RED, BLUE], {"hair_colour": HAIR}))
    assert [HAIR.labels[int(row.argmax())] for row in (one, two)] == ["red_hair", "blue_hair"]
    assert [float(row.sum()) for row in (one, two)] == pytest.approx([1, 1], abs=1e-5)


def test_a_set_with_a_label_that_is_no_tag_is_not_read(reader: tagger.TaggerReader) -> None:
    height = label_set("height", "body", "red_hair medium_height")
    assert not reader.covers(height)
    assert set(reader.read([RED], [RED], {"hair_colour": HAIR, "height": height})[0]) == {"hair_colour"}


def test_spaces_and_capitals_of_labels_are_those_of_tags(reader: tagger.TaggerReader) -> None:
    import dataclasses

    assert reader.covers(dataclasses.replace(HAIR, labels=("Red hair", "green hair", "blue hair")))


def test_what_is_asked_of_the_head_is_read_off_the_head(reader: tagger.TaggerReader) -> None:
    import dataclasses

    asked = {"whole": HAIR, "head": dataclasses.replace(HAIR, crop="head")}
    [read] = reader.read([RED], [BLUE], asked)
    assert (read["whole"].argmax(), read["head"].argmax()) == (0, 2)


def test_a_tall_picture_is_read_whole_on_white(reader: tagger.TaggerReader) -> None:
    tall = Image.new("RGB", (10, 40), (255, 0, 0))
    square = Image.new("RGB", (40, 40), (255, 255, 255))
    square.paste(tall, (15, 0))
    assert np.allclose(reader.tags([tall]), reader.tags([square]), atol=1e-5)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=12))
def test_closing_keeps_the_order_and_sums_to_one(values: list[float]) -> None:
    row = tagger.closed(np.array(values, np.float32))
    assert float(row.sum()) == pytest.approx(1, abs=1e-4)
    assert (row >= 0).all()
    assert row[int(np.argmax(values))] == pytest.approx(float(row.max()), abs=1e-6)


def test_no_tag_seen_is_no_answer_and_a_certain_one_is_certain() -> None:
    assert tagger.closed(np.zeros(4, np.float32)) == pytest.approx([0.25] * 4)
    assert tagger.closed(np.array([1, 0, 0, 0], np.float32)) == pytest.approx([1, 0, 0, 0])
    assert tagger.closed(np.array([0.6, 0.6], np.float32)) == pytest.approx([0.5, 0.5])
    assert tagger.closed(np.array([0.5, 0, 0, 0], np.float32)) == pytest.approx([0.625, 0.125, 0.125, 0.125])


def test_logits_in_place_of_probabilities_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputRefused, match="no probabilities"):
        tagger.load(make_tagger(tmp_path / "logits", logits=True))


@pytest.mark.parametrize("tags", [TAGS[:-1], (*TAGS, "one_more")])
def test_a_list_that_is_off_by_one_is_refused(tmp_path: Path, tags: tuple[str, ...]) -> None:
    with pytest.raises(InputRefused, match=f"knows {len(TAGS)} tags, and the list has {len(tags)}"):
        tagger.load(make_tagger(tmp_path / "off", tags=tags))


@pytest.mark.parametrize("text", [b"", b"a,b\n1,2\n", b"\xff\xfe\x00", b"tag_id,name\n1,\n"])
def test_a_list_that_is_none_is_refused(folder: Path, tmp_path: Path, text: bytes) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    (copy / "selected_tags.csv").write_bytes(text)
    with pytest.raises(InputRefused, match="no list of tags"):
        tagger.load(copy)


def test_a_damaged_network_is_refused(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    (copy / "model.onnx").write_bytes(b"not a network")
    with pytest.raises(InputRefused, match="cannot be read as a tagger"):
        tagger.load(copy)


def test_offline_the_name_is_its_makers_and_says_what_to_put_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(EnvironmentFailure, match=r"SmilingWolf/wd-vit-tagger-v3: .*selected_tags\.csv"):
        tagger.load("wd-vit-tagger-v3")
