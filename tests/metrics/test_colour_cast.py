"""A cast is a shift of the background toward the dataset's, in the dataset's own spread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from lora_doctor.metrics.colour_cast import measure
from lora_doctor.types import Cell, Measurement, Study
from tests.metrics.make_study import make_study

Lab = tuple[float, float, float]


def lit(study: Study, light: Callable[[Cell], Lab | None], own: Callable[[int], Lab]) -> Study:
    """The study with background colours."""
    cells = {cell.key: cell for cell in study.cells}

    def coloured(key: str) -> dict[str, Lab]:
        colour = light(cells[key])
        return {} if colour is None else {"background": colour}

    return replace(
        study,
        renders={key: replace(r, colours=coloured(key)) for key, r in study.renders.items()},
        references=tuple(
            None if r is None else replace(r, colours={"background": own(i)}) for i, r in enumerate(study.references)
        ),
    )


def warm(i: int) -> Lab:
    """A dataset of yellow light: b is 40, give or take 10."""
    return (60.0, 0.0, 50.0 if i % 2 else 30.0)


def own_light(cell: Cell) -> Lab:
    """Each place has its own: their mean is grey."""
    return (60.0, 0.0, {"beach": -20.0, "city": 0.0, "snow": 20.0}.get(cell.environment, 40.0))


def cast(study: Study) -> Measurement:
    (one,) = measure(study)
    assert one.name == "colour.cast" and dict(one.where) == {"environment_kind": "novel"}
    return one


def test_the_same_light_as_the_base_model_is_no_cast() -> None:
    assert cast(lit(make_study(), own_light, warm)).value == pytest.approx(0)


@pytest.mark.parametrize("shift", [5.0, 15.0, -10.0])
def test_a_shift_is_told_in_the_datasets_spread(shift: float) -> None:
    def light(cell: Cell) -> Lab:
        place = own_light(cell)
        return place if cell.weight == 0 else (place[0], place[1], place[2] + shift)

    one = cast(lit(make_study(), light, warm))
    assert one.value == pytest.approx(shift / 10) and one.unit == "sd"


def test_a_shift_across_the_way_to_the_dataset_is_none() -> None:
    def light(cell: Cell) -> Lab:
        place = own_light(cell)
        return place if cell.weight == 0 else (place[0] + 20, place[1] + 20, place[2])

    assert cast(lit(make_study(), light, warm)).value == pytest.approx(0, abs=1e-9)


def test_trained_environments_do_not_count() -> None:
    def light(cell: Cell) -> Lab:
        place = own_light(cell)
        return (place[0], place[1], place[2] + 30) if cell.trained and cell.weight else place

    assert cast(lit(make_study(), light, warm)).value == pytest.approx(0)


def test_pictures_shown_more_often_weigh_more() -> None:
    study = lit(make_study(), lambda c: (60.0, 0.0, 20.0) if c.weight else (60.0, 0.0, 0.0), warm)
    often = [replace(image, repeats=9 if i % 2 else 1) for i, image in enumerate(study.dataset.images)]
    study = replace(study, dataset=replace(study.dataset, images=tuple(often)))
    assert cast(study).value == pytest.approx(20 / 6)  # the spread of 50 and 30 in the ratio 9 to 1 is 6


def test_a_dataset_in_the_base_models_own_light_has_nothing_to_be_drawn_to() -> None:
    one = cast(lit(make_study(), lambda _: (60.0, 0.0, 40.0), warm))
    assert one.value == 0.0 and "no way to go" in (one.reason or "")


def test_what_shows_no_background_is_left_out_and_too_few_references_are_said() -> None:
    study = lit(make_study(), lambda c: None if c.framing == "close-up" else own_light(c), warm)
    assert cast(study).n == 12 and cast(study).value == pytest.approx(0)
    few = replace(study, references=tuple(r if i < 4 else None for i, r in enumerate(study.references)))
    assert "4 dataset pictures, and 5 are needed" in (cast(few).reason or "")
    assert "no background" in (cast(lit(make_study(weights=(0.7, 1.0)), own_light, warm)).reason or "")


def test_lost_renders_are_missing_and_widen() -> None:
    def light(cell: Cell) -> Lab:
        place = own_light(cell)
        return (place[0], place[1], place[2] + (0 if cell.weight == 0 else 10 + cell.replicate + len(cell.environment)))

    whole = cast(lit(make_study(), light, warm))
    less = cast(lit(make_study(missing=lambda c: c.environment == "snow" and c.weight == 1.0), light, warm))
    assert whole.interval and less.interval and "missing" in (less.reason or "")
    assert less.interval[1] - less.interval[0] > whole.interval[1] - whole.interval[0]
