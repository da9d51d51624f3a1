"""What a Diagnosis says about its inputs is counted, not judged, and public unless asked."""

from pathlib import Path

import numpy as np
import pytest

from lora_doctor.dossier import describe_dataset, labels_read
from lora_doctor.types import IDENTITY_EMPHASIS, IN_CONTEXT, Dataset, DatasetImage, FaceReading, LabelSet, Reading

FRAMING = LabelSet(
    attribute="framing", labels=("close-up", "full_body"), prompts=((), ()), kind="framing", crop="whole"
)
HEIGHT = LabelSet(
    attribute="height", labels=("tall", "petite"), prompts=((), ()), kind="body", crop="whole", framings=("full_body",)
)
LABELS = {"framing": FRAMING, "height": HEIGHT}


def reading(framing: float) -> Reading:
    rows = {"framing": np.array([framing, 1 - framing]), "height": np.array([0.9, 0.1])}
    return Reading(width=64, height=64, face=FaceReading(faces=0), probabilities=rows)


def image(name: str, role, repeats: int = 1) -> DatasetImage:
    return DatasetImage(
        path=Path(name), sha256=name, width=64, height=64, caption="a secret", repeats=repeats, role=role
    )


DATASET = Dataset(
    path=Path("d"), images=(image("a", IDENTITY_EMPHASIS, 3), image("b", IN_CONTEXT), image("c", IN_CONTEXT))
)
READINGS = (reading(0.9), reading(0.2), None)


def test_the_ratio_is_what_the_trainer_sees_repeats_included():
    told = describe_dataset(DATASET, READINGS, LABELS)
    assert told["identity_ratio"] == pytest.approx(3 / 5)
    assert told["roles"] == {IDENTITY_EMPHASIS: 1, IN_CONTEXT: 2}
    assert (told["images"], told["exposures"]) == (3, 5)


def test_framings_are_counted_where_they_could_be_read():
    assert describe_dataset(DATASET, READINGS, LABELS)["framings"] == {"close-up": 1, "full_body": 1}


def test_public_facts_hold_no_caption_and_no_file():
    assert "secret" not in str(describe_dataset(DATASET, READINGS, LABELS))


def test_private_facts_hold_thumbnails_with_captions():
    told = describe_dataset(DATASET, READINGS, LABELS, pictures=["t/0", "t/1", "t/2"])
    assert [p["file"] for p in told["pictures"]] == ["t/0", "t/1", "t/2"]
    assert told["pictures"][0]["caption"] == "a secret" and told["pictures"][2]["framing"] is None


def test_without_roles_there_is_no_ratio():
    unsorted = Dataset(path=Path("d"), images=(image("a", None),))
    assert describe_dataset(unsorted, (None,), LABELS)["identity_ratio"] is None


def test_only_attributes_that_the_framing_shows_are_read():
    assert labels_read(reading(0.9), LABELS, "close-up") == {"framing": "close-up"}
    assert labels_read(reading(0.2), LABELS, "full_body") == {"framing": "full_body", "height": "tall"}


def test_an_attribute_that_was_not_read_has_no_label():
    other = LabelSet(attribute="skin", labels=("a", "b"), prompts=((), ()), kind="identity", crop="head")
    assert reading(0.5).top_label(other) is None
