"""Body and outfit add up over their attributes, and are compared with what can be expected."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lora_doctor.metrics.attributes import measure as measure_attributes
from lora_doctor.metrics.body_and_outfit import measure
from lora_doctor.types import CLOSE_UP, FRAMINGS, FULL_BODY, UPPER_BODY, Cell
from tests.metrics.make_study import Labels, get, make_study, references


def drifting(cell: Cell) -> Labels:
    """Body and height go wrong in full body, once the LoRA is on."""
    wrong = cell.weight > 0 and cell.framing == FULL_BODY
    return {"body": "curvy", "height": "petite"} if wrong else {}


def test_a_body_that_drifts_in_full_body_is_a_deficit_there() -> None:
    found = measure(make_study(labels=drifting))
    deficit = get(found, "body.deficit")
    assert deficit.value == 1.0
    assert deficit.interval and deficit.interval[0] > 0.5
    assert get(found, "body.match", weight="ship", framing=FULL_BODY).value == 0.0
    assert get(found, "body.match", weight="ship", framing=UPPER_BODY).value == 1.0
    assert get(found, "outfit.deficit").value == 0.0


def test_body_match_is_the_mean_of_its_attributes_matches() -> None:
    study = make_study(labels=drifting)
    attributes, found = measure_attributes(study), measure(study)
    parts = [get(attributes, "attribute.match", attribute=a, weight="ship").value or 0 for a in ("body", "height")]
    assert parts == [0.5, 0.0]
    assert get(found, "body.match", weight="ship").value == pytest.approx(0.25)
    assert get(found, "body.match", weight="ship").n == 20


def test_a_face_only_dataset_still_shows_a_wrong_body_with_a_caveat() -> None:
    found = measure(make_study(refs=references([CLOSE_UP] * 40), labels=drifting))
    deficit = get(found, "body.deficit")
    assert deficit.value == 1.0
    assert "sensitivity of CLIP taken as 1: no picture shows it" in (deficit.reason or "")


def test_an_attribute_that_cannot_be_read_is_left_out_of_the_body_and_named() -> None:
    found = measure(make_study(refs=references(FRAMINGS * 6, height="petite"), labels=drifting))
    one = get(found, "body.match", weight="ship", framing=FULL_BODY)
    assert one.value == 0.0
    assert (one.reason or "").startswith("height: full_body: not measurable by CLIP")


def test_a_character_as_specified_lacks_nothing() -> None:
    found = measure(make_study())
    assert get(found, "body.deficit").value == get(found, "outfit.deficit").value == 0.0


def test_a_spec_without_a_body_says_so() -> None:
    found = measure(make_study(spec={"hair_colour": "white_hair"}))
    assert get(found, "body.deficit").reason == "the spec names no body attribute that can be read in full_body"
    assert get(found, "body.match", weight="ship").reason == "the spec names no body attribute"


def test_a_matrix_without_full_body_has_no_deficit() -> None:
    found = measure(make_study(framings=[CLOSE_UP, UPPER_BODY]))
    assert get(found, "body.deficit").value is None
    assert get(found, "body.deficit").reason
    assert get(found, "body.match", weight="ship").value == 1.0


def wears(*, base: float, lora: float) -> Callable[[Cell], Labels]:
    """The asked-for top in this share of the environments, without and with the LoRA."""
    order = ("library", "forest", "beach", "city", "snow")

    def labels(cell: Cell) -> Labels:
        share = lora if cell.weight > 0 else base
        return {} if order.index(cell.environment) < share * len(order) else {"top": "blue_shirt"}

    return labels


def test_an_outfit_owed_by_the_trigger_is_missing_whatever_the_base_model_draws() -> None:
    for base in (0.0, 0.4, 1.0):
        found = measure(make_study(labels=wears(base=base, lora=0.4)))
        assert get(found, "outfit.deficit").value == pytest.approx(0.6)


@pytest.mark.parametrize(("base", "lora"), [(1.0, 1.0), (0.6, 0.6), (0.8, 0.2), (0.6, 1.0)])
def test_an_outfit_asked_for_by_name_lacks_what_the_base_model_draws_and_the_lora_does_not(
    base: float, lora: float
) -> None:
    one = get(measure(make_study(labels=wears(base=base, lora=lora), asked=("top",))), "outfit.deficit")
    assert one.value == pytest.approx(base - lora)
    assert one.interval and one.interval[0] <= base - lora <= one.interval[1]
    assert f"top: asked for by name, compared with the base model's {base:.0%}" in (one.reason or "")


def test_an_outfit_that_nobody_draws_when_asked_cannot_be_judged() -> None:
    one = get(measure(make_study(labels=wears(base=0.4, lora=0.2), asked=("top",))), "outfit.deficit")
    assert one.value is None
    assert one.reason == (
        "top: cannot be told from what the base model does not know: "
        "asked for it, the base model draws it in 40% of the renders, the LoRA in 20%"
    )


def test_asking_for_the_outfit_changes_nothing_about_the_body() -> None:
    plain, asked = (measure(make_study(labels=drifting, asked=names)) for names in ((), ("top",)))
    assert get(plain, "body.deficit") == get(asked, "body.deficit")
