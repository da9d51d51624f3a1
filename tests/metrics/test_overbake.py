"""Burning is told against the base model at the same seeds, and apart from the dataset's own palette."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from lora_doctor.metrics.overbake import measure
from lora_doctor.types import Cell, PixelFacts, Study
from tests.metrics.make_arm import with_arm
from tests.metrics.make_study import get, make_study

BESIDE = (400.0, 100.0, 500.0, 356.0)
PLAIN = PixelFacts(colour=(50, 0, 0), lightness_spread=20, chroma=20, detail=0.02, clipped=0.05)


def seen(pixels: Callable[[Cell], PixelFacts | None], study: Study | None = None, refs: PixelFacts = PLAIN) -> Study:
    study = make_study() if study is None else study
    cells = {cell.key: cell for cell in (*study.cells, *(c for arm in study.arms.values() for c in arm))}
    renders = {key: replace(reading, pixels=pixels(cells[key])) for key, reading in study.renders.items()}
    known = tuple(replace(r, pixels=refs) for r in study.references if r is not None)
    return replace(study, renders=renders, references=known)


def burnt(cell: Cell) -> PixelFacts:
    return replace(
        PLAIN, chroma=20 * (1 + cell.weight), detail=0.02 * (1 + cell.weight), clipped=0.05 + 0.1 * cell.weight
    )


def test_the_base_models_own_pictures_are_not_burnt() -> None:
    found = measure(seen(lambda _: PLAIN))
    assert get(found, "overbake.chroma", weight="1").value == pytest.approx(1.0)
    assert get(found, "overbake.clipped", weight="1").value == pytest.approx(0.0)
    assert get(found, "overbake.chroma_beyond", weight="1").value == 0.0


def test_ratios_and_differences_are_those_of_the_pairs() -> None:
    found = measure(seen(burnt))
    assert get(found, "overbake.chroma", weight="0.7").value == pytest.approx(1.7)
    assert get(found, "overbake.detail", weight="1").value == pytest.approx(2.0)
    assert get(found, "overbake.clipped", weight="1").value == pytest.approx(0.1)
    assert get(found, "overbake.chroma_beyond", weight="1").value == 1.0


def test_what_the_dataset_shows_itself_is_not_beyond_it() -> None:
    found = measure(seen(burnt, refs=replace(PLAIN, chroma=60)))
    assert get(found, "overbake.chroma", weight="1").value == pytest.approx(2.0)
    assert get(found, "overbake.chroma_beyond", weight="1").value == 0.0


def test_one_odd_training_picture_does_not_hide_what_burns() -> None:
    study = seen(burnt)
    odd = replace(study.references[0], pixels=replace(PLAIN, chroma=90))
    study = replace(study, references=(odd, *study.references[1:], *study.references[1:]))
    assert get(measure(study), "overbake.chroma_beyond", weight="1").value == 1.0


def test_the_strong_arm_is_compared_with_the_base_at_its_own_places() -> None:
    study = with_arm(make_study(), "strong", weights=(1.2,))
    found = measure(seen(burnt, study))
    assert get(found, "overbake.chroma", weight="1.2").value == pytest.approx(2.2)
    assert get(found, "overbake.chroma", weight="1.2").n == 20


def test_a_prompt_that_is_ignored_is_a_loss() -> None:
    deaf = make_study(labels=lambda cell: {"environment": "library"} if cell.weight == 1 else {})
    found = get(measure(seen(lambda _: PLAIN, deaf)), "overbake.adherence_loss", weight="1")
    assert found.value == pytest.approx(0.8)  # four of five environments, whatever the framing


@pytest.mark.parametrize(("kind", "label"), [("environment", "simple_background"), ("framing", "close-up")])
def test_what_the_base_model_does_not_draw_cannot_be_seen_lost(kind: str, label: str) -> None:
    """Neither by itself nor hidden behind the other kind, which it draws."""
    found = get(measure(make_study(labels=lambda _: {kind: label})), "overbake.adherence_loss", weight="ship")
    assert found.value is None and found.reason is not None
    assert found.reason.startswith(f"cannot be told: asked for {kind}s, the base model draws them no better")


def test_pictures_that_are_lost_say_how_far_the_loss_may_reach() -> None:
    found = measure(make_study(missing=lambda c: c.weight == 1 and c.replicate == 0))
    assert get(found, "overbake.adherence_loss", weight="1").reach == (0.0, 0.5)
    assert get(found, "overbake.adherence_loss", weight="0.7").reach is None


def test_pictures_whose_pixels_were_not_read_have_a_reason() -> None:
    found = measure(make_study())
    of_pixels = {f"overbake.{name}{beyond}" for name in ("chroma", "lightness_spread", "detail", "clipped")
                 for beyond in ("", "_beyond")}  # fmt: skip
    assert {one.name for one in found if one.value is None} == of_pixels
    assert all(one.reason and "read" in one.reason for one in found if one.value is None)
    assert {one.name for one in found if one.value is not None} == {"overbake.adherence_loss", "overbake.artefacts"}


def test_artefacts_are_pictures_that_came_out_where_the_base_model_draws_a_person() -> None:
    study = make_study(identity=lambda cell: None if cell.weight == 1.0 and cell.replicate == 0 else cell.weight)
    found = measure(study)
    assert get(found, "overbake.artefacts", weight="1").value == pytest.approx(0.5)
    assert get(found, "overbake.artefacts", weight="0.7").value == 0.0


def test_what_the_base_model_wrecks_as_well_is_no_artefact_of_the_lora() -> None:
    found = measure(make_study(identity=lambda cell: None if cell.replicate == 0 else cell.weight))
    assert get(found, "overbake.artefacts", weight="1").value == 0.0


def test_two_people_where_one_was_asked_for_and_an_empty_picture_are_artefacts() -> None:
    study = make_study(missing=lambda cell: cell.weight == 0.7)  # flat: the LoRA made nothing of it
    study = replace(study, missing=dict.fromkeys(study.missing, "the picture is flat: one colour everywhere"))
    two = {
        key: replace(one, face=replace(one.face, faces=2, boxes=(one.face.box, BESIDE))) if "w1.00" in key else one
        for key, one in study.renders.items()
    }
    found = measure(replace(study, renders=two))
    assert get(found, "overbake.artefacts", weight="0.7").value == pytest.approx(1.0)
    assert get(found, "overbake.artefacts", weight="1").value == pytest.approx(1.0)
