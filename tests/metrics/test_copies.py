"""A copy is nearer to a training picture than training pictures are to one another."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lora_doctor.metrics.copies import measure
from lora_doctor.types import PictureFacts, Study
from tests.metrics.make_arm import with_arm
from tests.metrics.make_study import get, make_study, references

RNG = np.random.default_rng(5)
ROWS = RNG.standard_normal((24, 64))
ROWS /= np.linalg.norm(ROWS, axis=1, keepdims=True)


def study(near: float, *, hashes: list[int] | None = None, refs: int = 24) -> Study:
    """Renders with the LoRA are `near` (cosine) to a training picture; the base model's are anywhere."""
    made = make_study(refs=tuple(replace(r, embedding=ROWS[i]) for i, r in enumerate(references(["close-up"] * refs))))
    facts = [PictureFacts(format="PNG", mode="RGB", perceptual_hash=h) for h in hashes or far_apart(refs)]
    images = tuple(replace(i, facts=f) for i, f in zip(made.dataset.images, facts, strict=True))
    made = with_arm(replace(made, dataset=replace(made.dataset, images=images)), "captions", asked="3")
    cells = [*made.cells, *made.arms["captions"]]
    renders = {c.key: replace(made.renders[c.key], embedding=drawn(near if c.weight else 0.0)) for c in cells}
    return replace(made, renders=renders)


def drawn(near: float) -> np.ndarray:
    away = RNG.standard_normal(64)
    away -= (away @ ROWS[3]) * ROWS[3]
    return near * ROWS[3] + np.sqrt(1 - near**2) * away / np.linalg.norm(away)


def far_apart(count: int) -> list[int]:
    return [int(RNG.integers(0, 2**63)) for _ in range(count)]


def test_a_render_that_is_a_training_picture_is_a_copy() -> None:
    found = measure(study(0.99))
    assert get(found, "copies.share", arm="captions").value == 1.0
    assert get(found, "copies.excess", arm="matrix").value == pytest.approx(1.0, abs=0.1)


def test_a_render_that_is_as_far_as_training_pictures_are_from_one_another_is_none() -> None:
    assert get(measure(study(0.2)), "copies.share", arm="captions").value < 0.2


def test_copies_in_the_dataset_do_not_make_copying_look_usual() -> None:
    twice = far_apart(12)
    same = [h for pair in zip(twice, twice, strict=True) for h in pair]
    found = measure(study(0.99, hashes=same))
    assert get(found, "copies.share", arm="captions").value is None
    assert "no copy in the dataset" in str(get(found, "copies.share", arm="captions").reason)


def test_too_few_training_pictures_tell_nothing() -> None:
    found = get(measure(study(0.99, refs=8)), "copies.share", arm="matrix")
    assert found.value is None and "8 training pictures" in str(found.reason)


def test_each_caption_is_a_unit_of_its_own_not_its_place() -> None:
    found = get(measure(study(0.99)), "copies.share", arm="captions")
    assert found.n == 4  # one caption: two framings, two replicates
