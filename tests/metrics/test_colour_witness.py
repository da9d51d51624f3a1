"""A flip counts where two witnesses see it, and what one of them cannot see is said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from lora_doctor.metrics.colour_witness import build_hull, measure
from lora_doctor.metrics.relighting import relit
from lora_doctor.types import FRAMINGS, FULL_BODY, Cell, Measurement, Reading, Study
from tests.metrics.make_study import Labels, get, make_study, references

Lab = tuple[float, float, float]
WHITE, BLACK, GREY = (92.0, 0.0, 0.0), (15.0, 0.0, 0.0), (70.0, 0.0, 0.0)


def some_flip(cell: Cell) -> Labels:
    """What CLIP says: black hair in two of five environments."""
    return {"hair_colour": "black_hair"} if cell.environment in ("beach", "city") else {}


def seen(
    study: Study, hair: Callable[[Cell], Lab | None], own: Callable[[int], Lab] = lambda i: (92.0, i % 3, 0.0)
) -> Study:
    """The study with hair colours by pixels."""

    def coloured(reading: Reading, colour: Lab | None) -> Reading:
        return reading if colour is None else replace(reading, colours={"hair_colour": colour})

    cells = {cell.key: cell for cell in study.cells}
    return replace(
        study,
        renders={key: coloured(reading, hair(cells[key])) for key, reading in study.renders.items()},
        references=tuple(None if r is None else coloured(r, own(i)) for i, r in enumerate(study.references)),
    )


def rate(study: Study, name: str = "witnessed_flip_rate", delta_e: int = 20) -> Measurement:
    return get(measure(study), f"attribute.{name}", attribute="hair_colour", delta_e=str(delta_e))


def test_what_both_see_is_a_flip() -> None:
    study = seen(make_study(labels=some_flip), lambda c: BLACK if some_flip(c) else WHITE)
    assert rate(study).value == pytest.approx(0.4)
    assert rate(study, "witness_agreement").value == 1.0
    assert "second witness: the pixels" in (rate(study).reason or "")


def test_what_clip_alone_sees_is_none_and_the_witnesses_disagree() -> None:
    study = seen(make_study(labels=some_flip), lambda _: WHITE)
    assert rate(study).value == 0.0
    assert rate(study, "witness_agreement").value == pytest.approx(0.6)


def test_what_the_pixels_alone_see_is_no_flip() -> None:
    assert rate(seen(make_study(), lambda _: BLACK)).value == 0.0


def test_the_distance_is_counted_from_the_references_outwards() -> None:
    study = seen(make_study(labels=some_flip), lambda c: GREY if some_flip(c) else WHITE)
    assert [rate(study, delta_e=d).value for d in (10, 20, 40)] == [pytest.approx(0.4), pytest.approx(0.4), 0.0]


def test_references_that_differ_among_themselves_are_no_witness_of_less() -> None:
    study = seen(make_study(labels=some_flip), lambda _: BLACK, lambda i: (60.0 + 30 * (i % 2), 0.0, 0.0))
    assert rate(study, delta_e=10).value is None
    assert "15 apart" in (rate(study, delta_e=10).reason or "")
    assert rate(study, delta_e=20).value == pytest.approx(0.4)


def test_without_colours_there_is_no_witness_and_it_says_so() -> None:
    one = rate(make_study(labels=some_flip))
    assert one.value is None
    assert one.reason == "no second witness: its colour can be read in 0 dataset pictures, and 5 are needed"


def test_tinted_light_is_no_flip_where_the_skin_is_tinted_too() -> None:
    def tinted(one: Study, hair: Lab, skin: Lab) -> Study:
        lit = {"hair_colour": hair, "skin": skin}
        refs = tuple(r and replace(r, colours={**r.colours, "skin": (90.0, 5.0, 8.0)}) for r in one.references)
        renders = {key: replace(r, colours=lit) for key, r in one.renders.items()}
        return replace(one, references=refs, renders=renders)

    study = seen(make_study(labels=some_flip), lambda _: WHITE)
    dusk = relit(WHITE, (90.0, 5.0, 8.0), (60.0, 25.0, 40.0))  # what the light that makes skin so makes of white hair
    assert rate(tinted(study, dusk, (60.0, 25.0, 40.0))).value == 0.0
    assert rate(tinted(study, dusk, (90.0, 5.0, 8.0))).value == pytest.approx(0.4)


def test_off_spec_references_do_not_stretch_the_hull() -> None:
    refs = references() + references(hair_colour="black_hair")[:4]
    study = make_study(labels=some_flip, refs=refs)
    study = seen(study, lambda c: BLACK if some_flip(c) else WHITE, lambda i: WHITE if i < 18 else BLACK)
    assert rate(study).value == pytest.approx(0.4, abs=0.15) and (rate(study).value or 0) > 0.2


def test_a_framing_the_witness_cannot_see_is_left_out_and_named() -> None:
    flip = some_flip
    study = seen(make_study(labels=flip), lambda c: None if c.framing == FULL_BODY else BLACK if flip(c) else WHITE)
    one = rate(study)
    assert one.value == pytest.approx(0.4) and one.n == 20 and "without full_body" in (one.reason or "")
    nowhere = rate(seen(make_study(labels=flip), lambda _: None))
    assert nowhere.value is None and "too small to be seen" in (nowhere.reason or "")


def test_a_witness_that_is_silent_where_the_flips_are_does_not_hide_them() -> None:
    whole = rate(seen(make_study(labels=one_in_three), lambda c: BLACK if one_in_three(c) else WHITE))
    silent = rate(seen(make_study(labels=one_in_three), lambda c: None if one_in_three(c) else WHITE))
    assert silent.value == whole.value and silent.interval == whole.interval and whole.value == 0.2
    assert "by CLIP's word alone" in (silent.reason or "") and "alone" not in (whole.reason or "")


def test_what_clip_alone_misreads_in_the_dataset_is_not_taken_from_what_both_see() -> None:
    refs = tuple(
        reading if i % 6 else replace(reading, probabilities=references(hair_colour="black_hair")[i % 18].probabilities)
        for i, reading in enumerate(references(FRAMINGS * 12))
    )
    flips = lambda c: BLACK if some_flip(c) else WHITE  # noqa: E731
    assert rate(seen(make_study(labels=some_flip, refs=refs), flips)).value == pytest.approx(0.4)


def one_in_three(cell: Cell) -> Labels:
    """What CLIP says: black hair in every third place of each framing's replicates."""
    return {"hair_colour": "black_hair"} if (cell.replicate + len(cell.environment)) % 3 == 0 else {}


def with_tagger(study: Study, says: Callable[[Cell], str], right: int) -> Study:
    names = study.label_sets["hair_colour"].labels

    def tagged(reading: Reading, label: str) -> Reading:
        row = np.where([name == label for name in names], 0.9, 0.05)
        return replace(reading, witness={"hair_colour": row})

    cells = {cell.key: cell for cell in study.cells}
    return replace(
        study,
        renders={key: tagged(reading, says(cells[key])) for key, reading in study.renders.items()},
        references=tuple(
            None if r is None else tagged(r, "white_hair" if i < right else "red_hair")
            for i, r in enumerate(study.references)
        ),
    )


def test_the_tagger_is_heard_before_the_pixels_where_it_can_read_the_dataset() -> None:
    study = seen(make_study(labels=some_flip), lambda _: WHITE)
    good = rate(with_tagger(study, lambda c: "black_hair" if c.environment == "beach" else "white_hair", 18))
    assert good.value == pytest.approx(0.2) and "the tagger" in (good.reason or "")
    bad = rate(with_tagger(study, lambda _: "black_hair", 10))
    assert bad.value == 0.0 and "the pixels" in (bad.reason or "")


def test_the_hull_is_a_ball_that_one_odd_picture_does_not_stretch() -> None:
    hull = build_hull([WHITE] * 19 + [BLACK])
    assert not isinstance(hull, str)
    assert hull.centre == WHITE and hull.radius == 0
    assert hull.outside(BLACK) == pytest.approx(77) and hull.outside(WHITE) == 0
    assert isinstance(build_hull([WHITE] * 4), str)


def test_traits_that_are_no_colours_are_not_witnessed() -> None:
    assert {m.where["attribute"] for m in measure(make_study())} == {"hair_colour"}
