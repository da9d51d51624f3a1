"""The body's score is a place between floor and ceiling, and is not told where it cannot be."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from lora_doctor.metrics.body_likeness import BodyRuler, build_body_ruler, measure
from lora_doctor.types import CLOSE_UP, FULL_BODY, UPPER_BODY, Cell, Reading, Study
from tests.metrics.make_study import get, make_study, references

FLOOR, CEILING = 0.3, 0.9
Bodies = Callable[[Cell], float | None]


def body(cosine: float, noise: int) -> np.ndarray:  # type: ignore[type-arg]
    """A unit vector with this cosine with the body's axis."""
    row = np.zeros(256, np.float32)
    row[0], row[noise] = cosine, math.sqrt(1 - cosine**2)
    return row


def wobble(cell: Cell) -> float:
    """A little of each cell's own, without which nothing has a spread; its mean over replicates is 0."""
    return 0.01 if cell.replicate else -0.01


def with_bodies(study: Study, score: Bodies = lambda c: c.weight, ceiling: float = CEILING) -> Study:
    """Renders in upper and full body have a body of this score (None = no body); so have the references."""

    def seen(cell: Cell, reading: Reading) -> Reading:
        wanted = None if cell.framing == CLOSE_UP else score(cell)
        if wanted is None:
            return reading
        environment = 0.02 * len(cell.environment) / 10
        return replace(reading, body=body(FLOOR + wanted * (CEILING - FLOOR) + wobble(cell) + environment - 0.01, 1))

    labels = study.label_sets["framing"]
    cells = {cell.key: cell for cell in study.cells}
    return replace(
        study,
        renders={key: seen(cells[key], reading) for key, reading in study.renders.items()},
        references=tuple(
            r if r is None or r.top_label(labels) == CLOSE_UP else replace(r, body=body(math.sqrt(ceiling), 2 + i))
            for i, r in enumerate(study.references)
        ),
    )


def many(*framings: str) -> tuple[Reading, ...]:
    return references(framings * 40)


def test_the_base_model_is_0_and_a_render_as_alike_as_the_references_is_1() -> None:
    found = measure(with_bodies(make_study(refs=many(FULL_BODY, UPPER_BODY))))
    floor, ceiling, gap = (get(found, f"body.{part}", framing=FULL_BODY) for part in ("floor", "ceiling", "gap"))
    assert floor.value is not None and ceiling.value is not None
    assert gap.value == pytest.approx(ceiling.value - floor.value)
    assert get(found, "body.score", weight="0", framing=FULL_BODY).value == pytest.approx(0, abs=1e-9)
    one = get(found, "body.score", weight="1", framing=FULL_BODY)
    assert one.value == pytest.approx((CEILING - FLOOR) / (math.sqrt(CEILING) - FLOOR), rel=0.01)
    assert one.interval is not None and one.interval[0] < one.value < one.interval[1] and one.unit == "score"
    assert get(found, "body.score", weight="0.7", environment="beach").value == pytest.approx(one.value * 0.7, abs=0.05)


def test_close_ups_show_no_body_and_are_not_asked() -> None:
    found = measure(with_bodies(make_study(refs=many(FULL_BODY, UPPER_BODY))))
    assert {m.where["framing"] for m in found if "framing" in m.where} == {UPPER_BODY, FULL_BODY}


def test_a_render_without_a_body_scores_0() -> None:
    study = with_bodies(make_study(refs=many(FULL_BODY)), lambda c: c.weight if not c.weight or c.replicate else None)
    whole = with_bodies(make_study(refs=many(FULL_BODY)))
    half, all_of_it = (get(measure(s), "body.score", weight="1", framing=FULL_BODY).value for s in (study, whole))
    assert half is not None and all_of_it is not None and half == pytest.approx(all_of_it / 2, abs=0.02)


def said(study: Study, framing: str = FULL_BODY) -> str:
    found = measure(study)
    one = get(found, "body.score", weight="ship", framing=framing)
    assert one.value is None and get(found, "body.gap", framing=framing).value is None
    return one.reason or ""


def test_four_references_are_too_few() -> None:
    study = with_bodies(make_study(refs=references([FULL_BODY] * 4 + [CLOSE_UP] * 20)))
    assert (
        said(study)
        == "cannot measure the body in full_body: 4 dataset pictures of that framing show one, and 5 are needed"
    )


def test_floor_and_ceiling_that_are_not_apart_measure_nothing() -> None:
    assert "not clearly apart" in said(with_bodies(make_study(refs=many(FULL_BODY)), lambda c: 1.1))


def test_without_weight_0_there_is_no_floor() -> None:
    assert "no floor" in said(with_bodies(make_study(refs=many(FULL_BODY), weights=(0.7, 1.0))))


def test_a_framing_in_which_the_base_model_shows_no_body_is_not_measured() -> None:
    study = with_bodies(make_study(refs=many(FULL_BODY)), lambda c: None if c.replicate or c.trained else 0.0)
    assert said(study) == "cannot measure the body in full_body: it is to be seen in 3 of 10 renders at weight 0"


def test_a_framing_that_can_be_measured_stands_with_the_others_named() -> None:
    one = get(measure(with_bodies(make_study(refs=many(FULL_BODY)))), "body.score", weight="ship")
    assert one.value is not None and one.n == 10
    assert "upper_body: 0 dataset pictures" in (one.reason or "")


def test_an_outfit_that_changes_is_said() -> None:
    refs = references([FULL_BODY] * 20) + references([FULL_BODY] * 20, top="blue_shirt")
    free = {"hair_colour": "white_hair"}
    one = get(measure(with_bodies(make_study(refs=refs, spec=free))), "body.score", weight="ship", framing=FULL_BODY)
    assert "do not agree on top (at most 50% alike)" in (one.reason or "")


def test_references_that_certainly_wear_something_else_are_no_references() -> None:
    other = tuple(
        replace(r, probabilities={**r.probabilities, "top": np.array([0.01, 0.99])})
        for r in references([FULL_BODY] * 9)
    )
    study = with_bodies(make_study(refs=(*references([FULL_BODY] * 4), *other)))
    assert "4 dataset pictures" in said(study)


def test_lost_renders_widen_the_interval() -> None:
    whole = get(measure(with_bodies(make_study(refs=many(FULL_BODY)))), "body.score", weight="1", framing=FULL_BODY)
    lost = make_study(refs=many(FULL_BODY), missing=lambda c: c.environment == "beach" and c.weight == 1)
    less = get(measure(with_bodies(lost)), "body.score", weight="1", framing=FULL_BODY)
    assert whole.interval and less.interval and less.reason
    assert less.interval[1] - less.interval[0] > whole.interval[1] - whole.interval[0]


def test_copies_of_a_picture_do_not_raise_the_ceiling_and_count_once() -> None:
    """A picture that is there four times over is as alike as can be to itself, and no more of a reference for it."""
    study = with_bodies(make_study(refs=references([FULL_BODY] * 8)))
    first = study.references[0]
    assert first is not None
    plain = build_body_ruler(study, FULL_BODY)
    again = replace(study, references=(*study.references, first, first, first))
    known = build_body_ruler(replace(again, copies=((0, 8, 9, 10),)), FULL_BODY)
    unknown = build_body_ruler(again, FULL_BODY)
    assert isinstance(plain, BodyRuler) and isinstance(known, BodyRuler) and isinstance(unknown, BodyRuler)
    assert known.ceiling.value == pytest.approx(plain.ceiling.value) and known.ceiling.n == 8
    assert known.centroid == pytest.approx(plain.centroid)
    assert (unknown.ceiling.value or 0) > (plain.ceiling.value or 0) + 0.005
