"""Instruments by name, and all of them together on the miniature's pictures, through the run folder."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from lora_doctor.checkup import run_checkup
from lora_doctor.dataset_layout import read_dataset
from lora_doctor.errors import UsageError
from lora_doctor.instrument_choice import BUNDLED
from lora_doctor.instruments import READING_VERSION, Instruments, open_instruments, read_dataset_pictures, silent
from lora_doctor.plugins import data_folder
from lora_doctor.run_folder import RunFolder
from lora_doctor.settings import Settings, load_settings
from lora_doctor.types import Dataset
from tests.make_sface_pack import make_sface_pack
from tests.tiny_instruments import THRESHOLD, make_ccip, make_dino, make_tagger

DATASET = Path(__file__).parents[1] / "fixtures" / "miniature" / "patients" / "yuki" / "dataset"


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("packs")
    make_sface_pack(place / "small"), make_ccip(place / "same"), make_dino(place / "dino"), make_tagger(place / "tags")
    return place


def opened(**names: object) -> Instruments:
    settings = dataclasses.replace(BUNDLED, **names)  # type: ignore[arg-type]
    nowhere = Path()
    return open_instruments(
        Settings(model=nowhere, trigger="", dataset=DATASET, out=nowhere, device="cpu", instruments=settings)
    )


@pytest.fixture(scope="module")
def everything(packs: Path) -> Instruments:
    identity = (f"sface:{packs / 'small'}", f"ccip:{packs / 'same'}@head", f"ccip:{packs / 'same'}", "clip@head")
    return opened(identity=identity, tagger=str(packs / "tags"), body=str(packs / "dino"))


@pytest.fixture(scope="module")
def pictures() -> Dataset:
    whole = read_dataset(DATASET)
    return dataclasses.replace(whole, images=whole.images[:4])


def test_what_is_not_named_is_not_opened_and_the_readings_of_old_stay_good() -> None:
    plain = opened(body="none")
    assert (plain.identity, plain.tagger, plain.body, plain.similarities) == ((), None, None, {})
    assert set(plain.described) == {"face", "clip"}
    import hashlib

    labels = repr(sorted(plain.label_sets.items()))
    text = f"{READING_VERSION}{plain.face.digest}{plain.clip.digest}{labels}"
    assert plain.digest == hashlib.sha256(text.encode()).hexdigest()[:16]


def test_bodies_are_embedded_by_the_clip_that_is_open_unless_another_is_named() -> None:
    plain = opened()
    assert plain.body is plain.clip and plain.described["body"] == plain.described["clip"]


def test_every_instrument_is_told_with_name_licence_and_hash_and_without_its_folder(
    everything: Instruments, packs: Path
) -> None:
    told = everything.described
    assert list(told) == ["face", "clip", "tagger", "body", "sface:small", "ccip:same@head", "ccip:same", "clip@head"]
    assert all(one["name"] and one["licence"] and len(one["sha256"]) == 64 for one in told.values())
    assert told["ccip:same"]["threshold"] == f"{THRESHOLD:.4f}"
    assert str(packs) not in str(told)


def test_another_instrument_makes_another_digest(everything: Instruments) -> None:
    fewer = dataclasses.replace(everything, tagger=None)
    assert len({everything.digest, fewer.digest, opened().digest}) == 3


@pytest.mark.miniature
def test_all_of_them_read_the_miniature_and_the_run_folder_keeps_it_to_the_bit(
    everything: Instruments, pictures: Dataset, tmp_path: Path
) -> None:
    with RunFolder(tmp_path / "run") as run:
        fresh = read_dataset_pictures(pictures, everything, run, silent)
    with RunFolder(tmp_path / "run") as run:
        stored = read_dataset_pictures(pictures, everything, run, silent)
    for one, other in zip(fresh, stored, strict=True):
        assert one is not None and other is not None and one.face.faces
        assert list(one.identities) == list(other.identities) == [named.name for named in everything.identity]
        assert all(np.array_equal(row, other.identities[name]) for name, row in one.identities.items())
        assert np.array_equal(one.body, other.body) if one.body is not None else other.body is None
        assert one.identities["sface:small"] @ one.face.embedding > 0.9
        assert not np.allclose(one.identities["ccip:same"], one.identities["ccip:same@head"])
        assert one.witness == {} == other.witness  # the small tagger knows no closed set of the miniature's


def test_the_head_of_a_picture_without_a_face_is_nobody(everything: Instruments) -> None:
    from PIL import Image

    [reading] = everything.read([Image.new("RGB", (64, 64), (90, 120, 90))])
    assert reading.face.faces == 0
    assert set(reading.identities) == {"ccip:same"}  # read whole; heads and faces there are none
    assert reading.body is None


def test_a_second_witness_speaks_of_the_sets_that_it_covers(packs: Path) -> None:
    from PIL import Image

    from tests.make_label_set import label_set

    plain = opened(tagger=str(packs / "tags"))
    hair = label_set("hair_colour", "identity", "red_hair green_hair blue_hair")
    asked = dataclasses.replace(plain, label_sets={"hair_colour": hair})
    [reading] = asked.read([Image.new("RGB", (64, 64), (0, 0, 255))])
    assert set(reading.witness) == set(reading.probabilities) == {"hair_colour"}
    assert hair.labels[int(reading.witness["hair_colour"].argmax())] == "blue_hair"


def test_the_face_instrument_is_told_by_its_files(packs: Path) -> None:
    assert opened(face=str(packs / "small")).face.licence == "YuNet: MIT; SFace: Apache-2.0"
    assert opened(face=str(data_folder("miniature") / "face")).face.name == "face"


def test_two_instruments_of_one_name_are_refused(packs: Path, tmp_path: Path) -> None:
    twin = make_ccip(tmp_path / "same")
    with pytest.raises(UsageError, match="same name"):
        opened(identity=(f"ccip:{packs / 'same'}", f"ccip:{twin}"))


@pytest.mark.miniature
def test_a_check_says_which_instrument_measured_identity_and_what_the_others_were_worth(
    packs: Path, tmp_path: Path
) -> None:
    overrides = {
        "out": str(tmp_path / "run"), "render": {"steps": 3},
        "matrix": {
            "replicates": 1, "most_replicates": 1, "weights": [0.0, 1.0], "ship_weights": [1.0], "arms": "none",
            "framings": ["close-up"],
        },
        "instruments": {"identity": [f"sface:{packs / 'small'}", f"ccip:{packs / 'same'}"]},
    }  # fmt: skip
    diagnosis = run_checkup(load_settings(DATASET.parent / "lora.safetensors", overrides))
    told = diagnosis.instruments["identity"]
    assert list(told) == ["face", "sface:small", "ccip:same"]
    assert sorted(text.rpartition("; ")[2] for text in told.values()) == ["not used", "not used", "used"]
    assert all(text.startswith("gap ") for text in told.values())
    [said] = [text for text in diagnosis.warnings if text.startswith("Identity is measured with ")]
    assert all(name in said for name in told)
    page = (tmp_path / "run" / "report.html").read_text("utf-8")
    assert "OpenRAIL" in page and "Apache-2.0" in page and str(packs) not in page
