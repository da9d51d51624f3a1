"""A copy is nearer to a training picture than training pictures are to one another."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lora_doctor.metrics.copies import measure
from lora_doctor.types import Study
from tests.metrics.make_arm import with_arm
from tests.metrics.make_study import get, make_study, references

RNG = np.random.default_rng(5)
ROWS = RNG.standard_normal((24, 64))
ROWS /= np.linalg.norm(ROWS, axis=1, keepdims=True)


def study(near: float, *, copies: tuple[tuple[int, ...], ...] = (), refs: int = 24) -> Study:
    """Renders with the LoRA are `near` (cosine) to a training picture; the base model's are anywhere."""
    made = make_study(refs=tuple(replace(r, embedding=ROWS[i]) for i, r in enumerate(references(["close-up"] * refs))))
    made = with_arm(replace(made, copies=copies), "captions", asked="3")
    cells = [*made.cells, *made.arms["captions"]]
    renders = {c.key: replace(made.renders[c.key], embedding=drawn(near if c.weight else 0.0)) for c in cells}
    return replace(made, renders=renders)


def drawn(near: float) -> np.ndarray:
    away = RNG.standard_normal(64)
    away -= (away @ ROWS[3]) * ROWS[3]
    return near * ROWS[3] + np.sqrt(1 - near**2) * away / np.linalg.norm(away)


def test_a_render_that_is_a_training_picture_is_a_copy() -> None:
    found = measure(study(0.99))
    assert get(found, "copies.share", arm="captions").value == 1.0
    assert get(found, "copies.excess", arm="matrix").value == pytest.approx(1.0, abs=0.1)


def test_a_render_that_is_as_far_as_training_pictures_are_from_one_another_is_none() -> None:
    assert get(measure(study(0.2)), "copies.share", arm="matrix").value < 0.2


def test_copies_in_the_dataset_do_not_make_copying_look_usual() -> None:
    found = measure(study(0.99, copies=tuple((i, i + 1) for i in range(0, 16, 2))))
    assert get(found, "copies.share", arm="captions").value is None
    assert "no copy in the dataset" in str(get(found, "copies.share", arm="captions").reason)


def test_different_pictures_of_one_caption_show_how_alike_such_pictures_are() -> None:
    """Where a third of them are: one such pair alone would hide any copying, see below."""
    made = study(0.99)
    refs = list(made.references)
    for place in range(4, 12):
        assert refs[place] is not None
        refs[place] = replace(refs[place], embedding=drawn(0.995))
    found = measure(replace(made, references=tuple(refs)))
    assert get(found, "copies.share", arm="matrix").value == 0.0


def test_too_few_training_pictures_tell_nothing() -> None:
    found = get(measure(study(0.99, refs=8)), "copies.share", arm="matrix")
    assert found.value is None and "8 training pictures" in str(found.reason)


def test_each_caption_is_a_unit_of_its_own_not_its_place() -> None:
    found = get(measure(study(0.99)), "copies.share", arm="captions")
    assert found.n == 4  # one caption: two framings, two replicates


def with_control(near: float, apart: float) -> Study:
    """The study, with recombined captions whose pictures have this cosine with each other."""
    made = with_arm(study(near), "recombined", asked="3", weights=(1.0,))
    cells = made.arms["recombined"]
    axes = np.linalg.qr(RNG.standard_normal((64, len(cells) + 1)))[0].T
    rows = np.sqrt(apart) * axes[0] + np.sqrt(1 - apart) * axes[1:]
    seen = {c.key: replace(made.renders[c.key], embedding=row) for c, row in zip(cells, rows, strict=True)}
    return replace(made, renders=made.renders | seen)


def test_where_every_caption_tells_all_there_is_to_see_following_it_is_no_copying() -> None:
    found = measure(with_control(0.99, apart=0.999))
    assert get(found, "copies.alike", arm="recombined").value == 1.0
    assert get(found, "copies.excess", arm="captions").value == pytest.approx(0.0)
    assert get(found, "copies.excess", arm="matrix").value == pytest.approx(1.0, abs=0.1)


def test_new_captions_that_leave_room_do_not_excuse_copying() -> None:
    found = measure(with_control(0.99, apart=0.1))
    assert get(found, "copies.alike", arm="recombined").value == 0.0
    assert get(found, "copies.excess", arm="captions").value == pytest.approx(1.0, abs=0.1)


def test_losing_pictures_of_the_control_proves_nothing() -> None:
    whole = with_control(0.99, apart=0.999)
    gone = {cell.key for cell in whole.arms["recombined"][:1]}
    torn = replace(whole, renders={key: one for key, one in whole.renders.items() if key not in gone})
    before, after = (get(measure(one), "copies.excess", arm="captions") for one in (whole, torn))
    assert before.interval is not None and after.interval is not None
    assert after.interval[0] <= before.interval[0] and "was lost" in (after.reason or "")


def test_losing_pictures_of_the_control_excuses_nothing() -> None:
    whole = with_control(0.99, apart=0.999)
    gone = {cell.key for cell in whole.arms["recombined"][:1]}
    torn = replace(whole, renders={key: one for key, one in whole.renders.items() if key not in gone})
    before, after = (get(measure(one), "copies.excess", arm="captions").value for one in (whole, torn))
    assert before is not None and after is not None and after >= before


@pytest.mark.parametrize("kept", [0, 1])
def test_why_replayed_captions_are_missing_is_said(kept: int) -> None:
    made = study(0.99)
    lost = {c.key: "the prompt is 95 tokens long" for c in made.arms["captions"] if c.replicate >= kept}
    renders = {key: one for key, one in made.renders.items() if key not in lost}
    found = measure(replace(made, renders=renders, missing=lost))
    for name in ("copies.share", "copies.excess"):
        told = get(found, name, arm="captions")
        assert (told.value is None) is (kept == 0) and "the prompt is 95 tokens long" in str(told.reason)
        assert "tokens" not in str(get(found, name, arm="matrix").reason)


def test_one_pair_of_all_but_equal_training_pictures_does_not_hide_copying() -> None:
    made = study(0.9)
    refs = list(made.references)
    assert refs[7] is not None and refs[8] is not None
    refs[8] = replace(refs[8], embedding=0.999 * ROWS[7] + np.sqrt(1 - 0.999**2) * ROWS[8])
    found = measure(replace(made, references=tuple(refs)))
    assert get(found, "copies.share", arm="captions").value == 1.0


def test_a_picture_that_is_there_twice_is_looked_at_by_itself() -> None:
    """Caption 3 is replayed, whose picture has a copy."""
    found = get(measure(study(0.99, copies=((3, 4),))), "copies.doubled_excess", arm="captions")
    assert found.value == pytest.approx(1.0, abs=0.1)
    assert found.interval is not None and found.interval[0] > 0.02


def test_where_no_picture_has_a_copy_nothing_is_doubled() -> None:
    found = get(measure(study(0.99)), "copies.doubled_excess", arm="captions")
    assert (found.value, found.interval) == (0.0, (0.0, 0.0))


def test_a_doubled_picture_whose_caption_was_not_replayed_gives_a_reason_not_zero() -> None:
    found = get(measure(study(0.99, copies=((8, 9),))), "copies.doubled_excess", arm="captions")
    assert found.value is None and "was replayed" in (found.reason or "")


def test_a_doubled_picture_that_does_not_come_back_is_none() -> None:
    found = get(measure(study(0.2, copies=((3, 4),))), "copies.doubled_excess", arm="captions")
    assert found.value is not None and found.value <= 0.2
