"""Attributes are judged where they can be read, corrected for how well."""

from __future__ import annotations

import pytest

from lora_doctor.metrics.attributes import measure
from lora_doctor.types import CLOSE_UP, FRAMINGS, FULL_BODY, UPPER_BODY, Cell
from tests.metrics.make_study import LABEL_SETS, SPEC, Labels, get, make_study, reading, references


def test_a_character_as_specified_matches_everywhere() -> None:
    found = measure(make_study())
    for attribute in ("hair_colour", "body", "height", "top"):
        one = get(found, "attribute.match", attribute=attribute, weight="ship")
        assert one.value == 1.0
        assert one.interval and one.interval[0] < one.interval[1] == 1.0
        assert get(found, "attribute.flip_rate", attribute=attribute).value == 0.0


def test_the_base_model_and_every_weight_are_measured() -> None:
    found = measure(make_study(labels=lambda c: {"hair_colour": "white_hair" if c.weight >= 0.7 else "black_hair"}))
    values = [get(found, "attribute.match", attribute="hair_colour", weight=w).value for w in ("0", "0.4", "0.7", "1")]
    assert values == [0, 0, 1, 1]
    assert get(found, "attribute.base_match", attribute="hair_colour").value == 0.0
    assert get(found, "attribute.match", attribute="hair_colour", weight="ship").value == 1.0


def test_only_framings_that_show_an_attribute_count() -> None:
    found = measure(make_study(labels=lambda c: {"top": "blue_shirt"} if c.framing == CLOSE_UP else {}))
    one = get(found, "attribute.match", attribute="top", weight="ship")
    assert (one.value, one.n) == (1.0, 20)
    slices = {
        m.where["framing"]
        for m in found
        if m.name == "attribute.match" and m.where["attribute"] == "top" and "framing" in m.where
    }
    assert slices == {UPPER_BODY, FULL_BODY}


def test_a_match_is_divided_by_the_sensitivity_and_stays_a_share() -> None:
    refs = references(FRAMINGS * 9) + references(FRAMINGS, hair_colour="black_hair")
    wrong = {"beach", "city"}
    found = measure(
        make_study(refs=refs, labels=lambda c: {"hair_colour": "black_hair"} if c.environment in wrong else {})
    )
    assert get(found, "attribute.sensitivity", attribute="hair_colour").value == 0.9
    assert get(found, "attribute.match", attribute="hair_colour", weight="ship").value == pytest.approx(0.6 / 0.9)
    whole = measure(make_study(refs=refs))
    assert get(whole, "attribute.match", attribute="hair_colour", weight="ship").value == 1.0


def test_what_clip_cannot_read_off_the_dataset_is_not_measured() -> None:
    found = measure(make_study(refs=references(FRAMINGS * 5, hair_colour="red_hair")))
    reason = "0 of 5 pictures that show it are read as white_hair"
    for name in ("match", "flip_rate", "flip_scene_spread", "base_match"):
        where = {"attribute": "hair_colour"} | ({"weight": "ship"} if name == "match" else {})
        one = get(found, f"attribute.{name}", **where)
        assert one.value is None
        assert "not measurable by CLIP on this dataset" in (one.reason or "")
        assert reason in (one.reason or "")
    assert get(found, "attribute.sensitivity", attribute="hair_colour").value == 0.0
    assert get(found, "attribute.match", attribute="body", weight="ship").value == 1.0


def test_only_confident_readings_are_flips() -> None:
    def unsure(cell: Cell) -> Labels:
        return {"hair_colour": ("black_hair", 0.45 if cell.environment == "snow" else 0.8)} if not cell.trained else {}

    found = measure(make_study(labels=unsure))
    assert get(found, "attribute.match", attribute="hair_colour", weight="ship").value == pytest.approx(0.4)
    assert get(found, "attribute.flip_rate", attribute="hair_colour").value == pytest.approx(0.4)


def test_flips_in_one_scene_are_a_spread() -> None:
    scene = measure(make_study(labels=lambda c: {"hair_colour": "black_hair"} if c.environment == "beach" else {}))
    one = get(scene, "attribute.flip_scene_spread", attribute="hair_colour")
    assert one.value == 1.0
    assert one.interval and one.interval[0] > 0
    even = measure(make_study(labels=lambda c: {"hair_colour": "black_hair"} if c.replicate else {}))
    assert get(even, "attribute.flip_scene_spread", attribute="hair_colour").value == 0.0


def test_lost_renders_are_counted() -> None:
    found = measure(make_study(missing=lambda c: c.environment == "beach"))
    one = get(found, "attribute.match", attribute="hair_colour", weight="ship")
    assert one.n == 24
    assert one.reason == "6 of 30 units are missing: not rendered, or not readable"
    assert one.interval and one.interval[0] < 0.8


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"tail": "long_tail"}, "there is no label set for tail"),
        ({"hair_colour": "mauve_hair"}, "the label set of hair_colour has no label mauve_hair"),
    ],
)
def test_a_spec_the_labels_do_not_know_has_reasons(spec: dict[str, str], reason: str) -> None:
    found = measure(make_study(spec=spec))
    assert {m.value for m in found} == {None}
    assert {m.reason for m in found if m.name.startswith("attribute.")} == {reason}


def test_a_sensitivity_that_no_picture_shows_has_a_reason() -> None:
    one = get(measure(make_study(refs=references([CLOSE_UP] * 40))), "attribute.sensitivity", attribute="body")
    assert (one.value, one.reason) == (None, "no picture of the dataset shows it")


def test_an_attribute_without_a_framing_that_shows_it_has_a_reason() -> None:
    found = measure(make_study(framings=[CLOSE_UP, UPPER_BODY]))
    assert (
        get(found, "attribute.match", attribute="height", weight="ship").reason
        == "no cell was planned in which height can be read"
    )


def test_a_spec_attribute_is_read_by_its_own_label_set() -> None:
    found = measure(make_study(spec={"hair_colour": "white_hair"}, label_sets=LABEL_SETS))
    assert {m.where["attribute"] for m in found if "attribute" in m.where} == {"hair_colour"}


def test_flips_that_the_dataset_shows_as_often_are_excused_and_counted_as_such() -> None:
    """One in five references is read as black-haired, at no certainty, and so is one in five environments."""
    unsure = {"hair_colour": ("black_hair", 0.9)}
    refs = tuple(
        reading(cosine=0.8, noise=2 + i, labels=SPEC | {"environment": "library", "framing": FRAMINGS[i % 3]}
                | (unsure if i % 5 == 0 else {}))
        for i in range(30)
    )  # fmt: skip
    found = measure(make_study(refs=refs, labels=lambda c: unsure if c.environment == "beach" else {}))
    assert get(found, "attribute.flip_rate", attribute="hair_colour").value == pytest.approx(0.0)
    assert get(found, "attribute.excused_flips", attribute="hair_colour").value == pytest.approx(0.2)
    assert get(found, "attribute.excused_flips", attribute="body").value == 0.0
