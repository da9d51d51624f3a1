"""The instrument with the clearest gap measures identity; the others are told of, and one alone costs nothing."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from lora_doctor.metrics import identity, identity_choice
from lora_doctor.metrics.identity_choice import as_seen_by, candidate, choose_identity
from lora_doctor.metrics.ruler import Ruler, build_ruler
from lora_doctor.types import Reading, Study
from tests.metrics.make_study import DIMENSIONS, get, make_study


def pairs(rows: np.ndarray, references: np.ndarray) -> np.ndarray:
    """As a difference network compares: 1 - (1 - cosine) / 2."""
    return 1 - (1 - np.asarray(rows, float) @ np.asarray(references, float).T) / 2


def with_other(study: Study, sharpness: float, name: str = "other") -> Study:
    """The study with a second instrument whose cosines with the character differ `sharpness` times as much."""
    rng = np.random.default_rng(1)

    def seen(reading: Reading) -> Reading:
        if reading.face.embedding is None:
            return reading
        cosine = min(0.99, 0.1 + sharpness * (float(reading.face.embedding[0]) - 0.1 + 0.01 * rng.standard_normal()))
        row = np.zeros(DIMENSIONS, np.float32)
        row[0], row[1 + int(rng.integers(DIMENSIONS - 1))] = cosine, math.sqrt(1 - cosine**2)
        return dataclasses.replace(reading, identities=reading.identities | {name: row})

    return dataclasses.replace(
        study,
        renders={key: seen(reading) for key, reading in study.renders.items()},
        references=tuple(None if reading is None else seen(reading) for reading in study.references),
    )


def noisy(cell) -> float:
    """Weight 0 scores a little differently in each environment."""
    return cell.weight + 0.1 * (len(cell.environment) % 3)


def ruler_of(study: Study) -> Ruler:
    found = build_ruler(study)
    assert isinstance(found, Ruler), found
    return found


def test_one_instrument_alone_is_not_measured_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity_choice, "build_ruler", lambda study: pytest.fail("a ruler was built"))
    study = make_study()
    choice = choose_identity(study, "face", {})
    assert choice.study is study
    assert (choice.candidates, choice.sentence, choice.described) == ((), None, {})


def test_the_clearer_gap_is_used_and_both_are_told() -> None:
    for sharpness, wanted in ((0.1, "face"), (1.2, "other")):
        study = with_other(make_study(identity=noisy), sharpness)
        if wanted == "other":  # the face instrument hardly tells the base model from the character
            study = blurred(study)
        choice = choose_identity(study, "face", {"other": None})
        assert choice.chosen == wanted
        assert [c.name for c in choice.candidates] == ["face", "other"]
        assert {name: text.rpartition("; ")[2] for name, text in choice.described.items()} == {
            name: "used" if name == wanted else "not used" for name in ("face", "other")
        }
        assert choice.sentence is not None and choice.sentence.startswith(f"Identity is measured with {wanted}: gap ")


def blurred(study: Study) -> Study:
    """The face instrument sees everybody as nearly the same person, with noise."""
    rng = np.random.default_rng(2)

    def seen(reading: Reading) -> Reading:
        row = np.zeros(DIMENSIONS, np.float32)
        cosine = 0.5 + 0.05 * rng.standard_normal()
        row[0], row[1 + int(rng.integers(DIMENSIONS - 1))] = cosine, math.sqrt(1 - cosine**2)
        return dataclasses.replace(reading, face=dataclasses.replace(reading.face, embedding=row))

    return dataclasses.replace(
        study,
        renders={key: seen(reading) for key, reading in study.renders.items()},
        references=tuple(None if reading is None else seen(reading) for reading in study.references),
    )


def test_strength_is_the_gap_over_its_margin_of_error() -> None:
    one = candidate("face", make_study(identity=noisy))
    assert one.gap == pytest.approx(one.ceiling - one.floor)
    assert one.strength == pytest.approx(one.gap / (one.gap - one.interval[0]))
    assert one.strength > 1 and one.problem is None


def test_the_scale_of_an_instruments_similarities_does_not_help_it() -> None:
    """Half the gap with half the noise is as clear: CCIP's differences are small numbers and lose nothing by it."""
    study = with_other(make_study(identity=noisy), 1.0)
    plain = candidate("other", as_seen_by(study, "other", lambda a, b: np.asarray(a, float) @ np.asarray(b, float).T))
    halved = candidate("other", as_seen_by(study, "other", pairs))
    assert halved.gap == pytest.approx(plain.gap / 2)
    assert halved.strength == pytest.approx(plain.strength)


def test_an_instrument_that_sees_nobody_is_not_chosen_and_says_why() -> None:
    study = make_study(identity=noisy)
    choice = choose_identity(study, "face", {"blind": None})
    assert (choice.chosen, choice.study) == ("face", study)
    assert "cannot measure identity: a usable face was found in 0 of 18" in choice.described["blind"]


def test_where_no_instrument_can_measure_the_face_instrument_stays_with_its_reason() -> None:
    study = with_other(make_study(identity=lambda cell: 1.0), 0.0)
    choice = choose_identity(study, "face", {"other": None})
    assert choice.chosen == "face"
    assert all("are not clearly apart" in (one.problem or "") for one in choice.candidates)


def test_the_choice_does_not_look_at_renders_of_the_lora() -> None:
    study = with_other(make_study(identity=noisy), 0.9)
    base = {cell.key for cell in study.cells if not cell.weight}
    without = dataclasses.replace(study, renders={key: r for key, r in study.renders.items() if key in base})
    mine, theirs = (choose_identity(each, "face", {"other": None}) for each in (study, without))
    assert mine.chosen == theirs.chosen and mine.candidates == theirs.candidates


def test_a_picture_without_a_face_counts_as_one_even_where_another_instrument_reads_it() -> None:
    study = make_study(identity=lambda cell: None if cell.weight == 1 else noisy(cell))
    row = np.eye(DIMENSIONS, dtype=np.float32)[0]
    whole = {key: dataclasses.replace(reading, identities={"other": row}) for key, reading in study.renders.items()}
    seen = as_seen_by(dataclasses.replace(with_other(study, 1.0), renders=whole), "other", None)
    where = {"weight": "ship", "framing": "full_body"}
    mine, theirs = (get(identity.measure(each), "identity.no_face", **where) for each in (study, seen))
    assert mine.value == theirs.value == pytest.approx(0.5)


def test_a_ruler_of_pairs_scores_the_base_zero_and_a_perfect_likeness_one() -> None:
    study = make_study()
    seen = dataclasses.replace(study, similarity=pairs)
    one, other = ruler_of(study), ruler_of(seen)
    assert other.references.centroid is None
    assert other.whole.gap.value == pytest.approx((one.whole.gap.value or 0) / 2, rel=0.25)
    for cell in seen.cells:
        score = other.score(seen.renders[cell.key], cell.framing)
        assert score == pytest.approx(cell.weight, abs=0.02)


def test_cosines_given_as_pairs_rank_renders_as_the_centroid_does() -> None:
    study = make_study(identity=lambda cell: noisy(cell))
    one, other = ruler_of(study), ruler_of(dataclasses.replace(study, similarity=pairs))
    cells = [cell for cell in study.cells if cell.framing == study.cells[0].framing]
    first, second = ([r.score(study.renders[c.key], c.framing) for c in cells] for r in (one, other))
    assert np.argsort(first, kind="stable").tolist() == np.argsort(second, kind="stable").tolist()


def test_the_choice_of_an_earlier_look_stands() -> None:
    study = blurred(with_other(make_study(identity=noisy), 1.2))
    first = choose_identity(study, "face", {"other": None})
    later = make_study(identity=noisy)  # now the face instrument would be the clearer one
    again = choose_identity(with_other(later, 0.1), "face", {"other": None}, first)
    assert (again.chosen, again.candidates) == (first.chosen, first.candidates) == ("other", first.candidates)
    assert again.study.renders.keys() == later.renders.keys()
