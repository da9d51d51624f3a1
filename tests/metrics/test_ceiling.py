"""The ceiling is what new pictures of the person would reach: copies do not raise it, strangers do not lower it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lora_doctor.metrics.ceiling import References, ceilings_of, leave_one_out, references_of
from lora_doctor.metrics.identity import measure
from lora_doctor.metrics.likeness import to_each
from lora_doctor.metrics.ruler import Ruler, build_ruler
from lora_doctor.types import CLOSE_UP, FRAMINGS, Study
from tests.metrics.make_study import CEILING, get, make_study, reading, references
from tests.metrics.test_ruler import cosine, faces


def ruler_of(study: Study) -> Ruler:
    found = build_ruler(study)
    assert isinstance(found, Ruler), found
    return found


def with_copies(count: int) -> Study:
    """Eighteen references, and `count` copies of the first."""
    refs = references()
    study = make_study(refs=(*refs, *([refs[0]] * count)))
    return replace(study, copies=((0, *range(18, 18 + count)),) if count else ())


@pytest.mark.parametrize("count", [1, 5, 30])
def test_copies_change_neither_ceiling_nor_scores(count: int) -> None:
    once, often = (ruler_of(with_copies(n)) for n in (0, count))
    assert often.whole.ceiling.value == pytest.approx(once.whole.ceiling.value, abs=1e-6)
    assert often.whole.ceiling.n == once.whole.ceiling.n == 18
    assert often.references.centroid == pytest.approx(once.references.centroid, abs=1e-6)


def test_copies_that_nobody_tells_would_raise_the_ceiling() -> None:
    """What leaving out the whole group is for."""
    told, untold = with_copies(9), replace(with_copies(9), copies=())
    assert (ruler_of(untold).whole.ceiling.value or 0) > (ruler_of(told).whole.ceiling.value or 0) + 0.02


def test_many_copies_of_two_pictures_are_two_references() -> None:
    refs = references([CLOSE_UP] * 2)
    study = replace(make_study(refs=refs * 10), copies=(tuple(range(0, 20, 2)), tuple(range(1, 20, 2))))
    reason = references_of(study)
    assert isinstance(reason, str) and "20 of 20 dataset pictures (2 without copies), and 5 are needed" in reason


@pytest.mark.parametrize("count", [5, 12])
def test_a_perfect_likeness_scores_one_however_often_some_pictures_are_repeated(count: int) -> None:
    rng, likeness = np.random.default_rng(3), []
    for _ in range(400):
        person = rng.standard_normal(64)
        rows = person + rng.standard_normal((count, 64))
        copies = [*range(count), 0, 0, 0, 1]
        centroid, similarities, _ = leave_one_out(faces(rows[copies]), copies)
        own = [np.mean([s for s, g in zip(similarities, copies, strict=True) if g == group]) for group in range(count)]
        fresh = faces(person + rng.standard_normal((8, 64)))
        likeness.append(np.mean([cosine(f, centroid) for f in fresh]) / np.mean(own))
    assert np.mean(likeness) == pytest.approx(1, abs=0.012)


def test_a_centroid_of_n_references_has_its_closed_form() -> None:
    """Pairwise similarity c: that with a centroid of n others is c / sqrt(c + (1 - c) / n); .46 and 20 give .659."""
    rng = np.random.default_rng(1)
    person, noise = rng.standard_normal(4096), rng.standard_normal((21, 4096))
    rows = np.sqrt(0.46) * person / np.linalg.norm(person) + np.sqrt(0.54) * noise / 64
    similarities = leave_one_out(faces(rows))[1]
    assert np.mean(similarities) == pytest.approx(0.659, abs=0.01)


def test_pairs_are_compared_without_copies_too() -> None:
    rows = [np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), np.array([0.6, 0.8, 0])]

    def cosines(a, b):
        return a @ b.T

    likeness, own, _ = to_each([*rows, rows[0], rows[0]], cosines, [0, 1, 2, 0, 0])
    plain, alone, _ = to_each(rows, cosines)
    assert own[:3] == pytest.approx(alone)
    assert likeness(rows[2]) == pytest.approx(plain(rows[2]))


def test_a_stranger_among_the_references_is_left_out_and_told() -> None:
    stranger = reading(cosine=0.0, noise=200, labels={"framing": CLOSE_UP})
    plain, mixed = make_study(), make_study(refs=(*references(), stranger))
    found = references_of(mixed)
    assert isinstance(found, References) and (found.outliers, found.left_out) == ((18,), 1)
    ceilings = [ruler_of(study).whole.ceiling for study in (plain, mixed)]
    assert ceilings[1].value == pytest.approx(ceilings[0].value)
    assert "1 outlying references left out" in (ceilings[1].reason or "")
    told = get(measure(mixed), "identity.outlier_references")
    assert (told.value, told.pictures) == (1.0, (18,))


def test_a_poor_picture_of_the_person_is_told_and_stays() -> None:
    """Renders have their poor pictures too."""
    poor = reading(cosine=0.6, noise=200, labels={"framing": CLOSE_UP})
    found = references_of(make_study(refs=(*references(), poor)))
    assert isinstance(found, References) and (found.outliers, found.left_out) == ((18,), 0)
    assert len(found.known) == 19


def test_references_that_all_but_agree_have_no_outliers() -> None:
    found = references_of(make_study())
    assert isinstance(found, References) and found.outliers == () and found.spread == pytest.approx(0, abs=1e-6)


def test_outliers_stay_where_too_few_would_be_left() -> None:
    stranger = reading(cosine=0.0, noise=200, labels={"framing": CLOSE_UP})
    found = references_of(make_study(refs=(*references([CLOSE_UP] * 4), stranger)))
    assert isinstance(found, References) and (found.count, found.left_out) == (5, 0)


def test_the_spread_tells_two_looks_and_not_two_framings() -> None:
    rng = np.random.default_rng(2)

    def some(level: float, framing: str, start: int) -> list:  # type: ignore[type-arg]
        levels = level + 0.01 * rng.standard_normal(8)
        return [reading(cosine=float(c), noise=start + i, labels={"framing": framing}) for i, c in enumerate(levels)]

    framings = make_study(refs=(*some(0.9, FRAMINGS[0], 2), *some(0.5, FRAMINGS[1], 20)))
    looks = make_study(refs=(*some(0.95, CLOSE_UP, 2), *some(0.45, CLOSE_UP, 20)))
    spreads = [get(measure(study), "identity.ceiling_spread").value or 0 for study in (framings, looks)]
    assert spreads[0] < 0.05 and spreads[1] > 0.2


def test_a_render_as_like_the_references_as_they_are_scores_one_at_any_number_of_copies() -> None:
    for copies in (0, 6):
        found = measure(with_copies(copies))
        assert get(found, "identity.ceiling").value == pytest.approx(
            CEILING * CEILING / np.sqrt(CEILING**2 + (1 - CEILING**2) / 17), abs=1e-4
        )


def test_each_reference_is_known_with_one_group_less_too() -> None:
    rows = np.random.default_rng(2).standard_normal((7, 32)) + 1
    copies = [0, 1, 2, 3, 4, 0, 5]
    read = faces(rows)
    _, _, without = leave_one_out(read, copies)
    for gone in range(6):
        kept = [i for i, group in enumerate(copies) if group != gone]
        _, again, _ = leave_one_out([read[i] for i in kept], [copies[i] for i in kept])
        assert without[kept, gone] == pytest.approx(again)
        assert np.isnan(without[[i for i in range(7) if i not in kept], gone]).all()


def pairs(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    return np.asarray(one) @ np.asarray(two).T


@pytest.mark.parametrize("similarity", [None, pairs], ids=["centroid", "pairs"])
@pytest.mark.parametrize("count", [5, 12, 30])
def test_the_interval_of_the_ceiling_holds_the_truth_as_often_as_it_says(similarity, count: int) -> None:
    """References that scatter differently about the person; as if their similarities were independent it held in 55 to
    83 of 100."""
    rng = np.random.default_rng(11)
    person, plain, found = rng.standard_normal(64), make_study(), []
    for _ in range(400):
        rows = person + rng.standard_normal((count, 64)) * rng.uniform(0.4, 1.4, (count, 1))
        study = replace(plain, references=tuple(faces(rows)), similarity=similarity)
        read = references_of(replace(study, copies=()))
        assert isinstance(read, References)
        found.append(ceilings_of(study, read)[""])
    truth = float(np.mean([one.value for one in found]))
    held = [one.interval is not None and one.interval[0] <= truth <= one.interval[1] for one in found]
    assert 0.85 <= np.mean(held) <= 0.95
