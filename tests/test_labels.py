"""Label files: read into closed label sets, refused by file and table."""

import pytest

from lora_doctor.errors import UsageError
from lora_doctor.labels import load_labels
from lora_doctor.plugins import data_folder
from lora_doctor.types import FRAMINGS

GOOD = """
[hair_colour]
kind = "identity"
crop = "head"
labels = ["white_hair", "black_hair"]

[height]
kind = "body"
framings = ["full_body"]
labels = ["tall_female", "petite"]
templates = ["a {label} woman", "{label}"]
spaces = true
"""


def write(tmp_path, text):
    path = tmp_path / "labels.toml"
    path.write_text(text)
    return path


def test_tables_become_label_sets_in_file_order(tmp_path):
    labels = load_labels(write(tmp_path, GOOD))
    assert list(labels) == ["hair_colour", "height"]
    assert labels["hair_colour"].crop == "head"
    assert labels["hair_colour"].prompts == (("white_hair",), ("black_hair",))
    assert labels["hair_colour"].framings == ("close-up", "upper_body", "full_body")


def test_templates_and_spaces_make_the_prompt_ensemble(tmp_path):
    height = load_labels(write(tmp_path, GOOD))["height"]
    assert height.prompts[0] == ("a tall female woman", "tall female")
    assert height.labels == ("tall_female", "petite")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[hair]\nkind = "identity"\nlabels = ["one"]', "two labels"),
        ('[hair]\nkind = "mood"\nlabels = ["a", "b"]', "kind out of"),
        ('[hair]\nkind = "identity"\nlabels = ["a", "b"]\ncolour = 1', "unknown key 'colour'"),
        ("[hair", "cannot be read"),
    ],
)
def test_an_unfit_file_is_refused_by_table(tmp_path, text, said):
    path = write(tmp_path, text)
    with pytest.raises(UsageError, match=said) as error:
        load_labels(path)
    assert str(path) in str(error.value)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        load_labels(tmp_path / "none.toml")


def test_texts_stand_for_labels_that_say_too_little(tmp_path):
    text = '[framing]\nkind = "framing"\nlabels = ["full_body", "close-up"]\ntexts = ["head to feet", "a face"]\n'
    framing = load_labels(write(tmp_path, text))["framing"]
    assert framing.labels == ("full_body", "close-up") and framing.prompts == (("head to feet",), ("a face",))


def test_texts_must_match_the_labels(tmp_path):
    text = '[framing]\nkind = "framing"\nlabels = ["full_body", "close-up"]\ntexts = ["head to feet"]\n'
    with pytest.raises(UsageError, match="2 labels and 1 texts"):
        load_labels(write(tmp_path, text))


def test_the_packaged_labels_cover_what_a_checkup_needs():
    labels = load_labels(data_folder("rules") / "labels" / "character.toml")
    assert set(FRAMINGS) == set(labels["framing"].labels)
    assert any(label.startswith("simple_") for label in labels["environment"].labels)
    assert {"short_hair", "medium_hair", "long_hair", "very_long_hair"} == set(labels["hair_length"].labels)
    heights = " ".join((*labels["height"].labels, *(text for each in labels["height"].prompts for text in each)))
    assert not {"girl", "boy", "woman", "man", "female", "male"} & set(heights.replace("_", " ").split())
    assert {"identity", "body"} <= {each.kind for each in labels.values()}
