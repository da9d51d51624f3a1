"""Which instrument says who else is in a dataset."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lora_doctor.metrics.identity_choice import Candidate, Choice
from lora_doctor.other_people import as_chosen, others_for
from lora_doctor.types import Case, Study
from tests.audits.test_people import case_of
from tests.make_faces import faces
from tests.metrics.make_study import make_study

FACE = "insightface"
TWO = case_of(faces([0] * 30 + [1] * 12, far=[False] * 42))
ONE = case_of(faces([0] * 42, far=[False] * 42))


def cosines(one: Any, two: Any) -> Any:
    return np.asarray(one) @ np.asarray(two).T


def seen_as(case: Case, **more: Any) -> Study:
    """A study whose references are the case's, as the chosen instrument sees them."""
    return replace(make_study(), references=case.references, **more)


def chosen(name: str, problem: str | None = None) -> Choice:
    beside = (Candidate(name=FACE, problem=problem), Candidate(name=name)) if name != FACE else ()
    return Choice(study=make_study(), chosen=name, candidates=beside)


def others(case: Case, study: Study, choice: Choice) -> tuple[list[int], str | None]:
    found = others_for(case, study, choice, FACE, ())
    return sorted(found.pictures), found.unknown


@pytest.mark.parametrize("name", [FACE, "sface", "insightface:antelopev2"])
def test_a_face_recogniser_that_measures_identity_says_it_itself(name: str) -> None:
    assert others(ONE, seen_as(TWO), chosen(name)) == (list(range(30, 42)), None)


def test_an_instrument_for_pairs_says_it_by_its_makers_mark() -> None:
    study = seen_as(TWO, similarity=cosines, same_from=0.28)
    assert others(ONE, study, chosen("ccip", "blind here")) == (list(range(30, 42)), None)


def test_beside_an_instrument_for_whole_pictures_the_face_instrument_says_it_if_it_can() -> None:
    assert others(TWO, seen_as(ONE), chosen("dino")) == (list(range(30, 42)), None)
    nobody, unknown = others(TWO, seen_as(ONE), chosen("dino", "floor and ceiling are not apart"))
    assert nobody == [] and unknown is not None and "dino sees whole pictures" in unknown


@pytest.mark.parametrize(("name", "pictures"), [(FACE, False), ("sface", False), ("ccip", True), ("dino", True)])
def test_the_study_knows_what_measures_identity(name: str, pictures: bool) -> None:
    choice = replace(chosen(name), study=seen_as(TWO, similarity=cosines if name == "ccip" else None))
    study = as_chosen(TWO, choice, FACE, {FACE: 0.28, "sface": 0.36, "ccip": 0.28, "dino": None})
    assert (study.of_pictures, study.same_from) == (pictures, {"sface": 0.36, "dino": None}.get(name, 0.28))
    assert sorted(study.others.pictures) == list(range(30, 42))
