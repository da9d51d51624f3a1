"""The side of what is one-sided: told by the dataset's own pictures; mirrored renders are counted, lost ones not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from lora_doctor.metrics.sides import MIN_REFERENCES, measure
from lora_doctor.types import Cell, Reading, Study
from tests.metrics.make_study import get, make_study, references

LENGTH = 864
MARK = np.zeros(LENGTH)
MARK[100:112] = 0.3


def one_sided(amount: float | None, number: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float16]] | None:
    """The mark, so strong (-1 = mirrored), in noise of its own; None = no eyes."""
    if amount is None:
        return None
    return (amount * MARK + np.random.default_rng(number).normal(0, 0.03, LENGTH)).astype(np.float16)


def study_of(
    render: Callable[[Cell], float | None], dataset: Callable[[int], float | None] = lambda _: 1.0, count: int = 18
) -> Study:
    refs = references(("close-up",) * count)
    made = make_study(refs=tuple(replace(r, sides=one_sided(dataset(i), i)) for i, r in enumerate(refs)))
    cells = {cell.key: cell for cell in made.cells}
    numbers = {key: 1000 + i for i, key in enumerate(cells)}

    def shown(key: str, reading: Reading) -> Reading:
        return replace(reading, sides=one_sided(render(cells[key]), numbers[key]))

    return replace(made, renders={key: shown(key, reading) for key, reading in made.renders.items()})


def mirrored_share(study: Study) -> float | None:
    return get(measure(study), "side.mirrored_share", weight="ship").value


def test_a_character_that_keeps_her_side_is_never_mirrored() -> None:
    study = study_of(lambda cell: cell.weight)
    assert mirrored_share(study) == 0.0
    assert get(measure(study), "side.told_share").value == 1.0
    assert get(measure(study), "side.reference_mirrored_share").value == 0.0


def test_what_is_kept_is_counted_in_medians_of_the_dataset() -> None:
    def kept(amount: float | None) -> float:
        value = get(measure(study_of(lambda cell: amount)), "side.kept", weight="ship").value
        assert value is not None
        return value

    assert kept(1.0) == pytest.approx(1.0, abs=0.05) and kept(0.4) == pytest.approx(0.4, abs=0.05)
    assert kept(-1.0) == pytest.approx(-1.0, abs=0.05) and kept(0.0) == pytest.approx(0.0, abs=0.05)
    assert kept(None) == 0.0


def test_mirrored_renders_are_counted_by_units() -> None:
    study = study_of(lambda cell: -1.0 if cell.environment == "snow" else 1.0)
    found = get(measure(study), "side.mirrored_share", weight="ship")
    assert found.value == pytest.approx(1 / 5) and found.interval is not None and found.n == 30


def test_a_side_that_is_lost_is_not_mirrored() -> None:
    assert mirrored_share(study_of(lambda cell: 0.0)) == 0.0
    assert mirrored_share(study_of(lambda cell: -0.3)) == 0.0
    assert mirrored_share(study_of(lambda cell: None)) == 0.0


def test_mirrored_pictures_of_the_dataset_are_named_and_do_not_turn_the_side() -> None:
    study = study_of(lambda cell: 1.0, lambda i: -1.0 if i in (2, 9) else 1.0)
    found = get(measure(study), "side.reference_mirrored_share")
    assert found.pictures == (2, 9) and found.value == pytest.approx(2 / 18)
    assert mirrored_share(study) == 0.0 and get(measure(study), "side.told_share").value == pytest.approx(16 / 18)


@pytest.mark.parametrize("dataset", [lambda i: 0.0, lambda i: 1.0 if i % 2 else -1.0])
def test_a_dataset_without_a_side_tells_little(dataset: Callable[[int], float]) -> None:
    value = get(measure(study_of(lambda cell: 1.0, dataset)), "side.told_share").value
    assert value is not None and value < 0.8


def test_too_few_faces_give_a_reason_not_zero() -> None:
    few = study_of(lambda cell: 1.0, lambda i: 1.0 if i < MIN_REFERENCES - 1 else None)
    for one in measure(few):
        assert one.value is None and one.reason and "9 dataset pictures" in one.reason


def test_a_missing_render_widens_the_interval() -> None:
    study = study_of(lambda cell: 1.0)
    lost = [c.key for c in study.cells if c.environment == "snow" and c.weight == 1.0][:4]
    hidden = replace(study, renders={k: r for k, r in study.renders.items() if k not in lost},
                     missing=dict.fromkeys(lost, "flat"))  # fmt: skip
    whole, torn = (get(measure(s), "side.mirrored_share", weight="ship").interval for s in (study, hidden))
    assert whole is not None and torn is not None and torn[1] > whole[1] and torn[0] <= whole[0]


def test_order_of_the_dataset_changes_nothing() -> None:
    study = study_of(lambda cell: 0.8)
    turned = replace(study, references=study.references[::-1])
    assert mirrored_share(turned) == mirrored_share(study)
