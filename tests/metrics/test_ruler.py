"""The ruler's 0 is the base model, its 1 the dataset itself, whatever the recogniser and the number of references."""

from __future__ import annotations

import dataclasses
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_doctor.metrics.ceiling import leave_one_out
from lora_doctor.metrics.floor import shrink
from lora_doctor.metrics.intervals import t_interval
from lora_doctor.metrics.ruler import Ruler, build_ruler, scores
from lora_doctor.metrics.units import pick
from lora_doctor.types import CLOSE_UP, FRAMINGS, FULL_BODY, UPPER_BODY, FaceReading, Reading, Study
from tests.metrics.make_study import CEILING, FLOOR, make_study, reading, references


def ruler_of(study: Study) -> Ruler:
    found = build_ruler(study)
    assert isinstance(found, Ruler), found
    return found


def cosine(face: Reading, centroid: np.ndarray) -> float:
    assert face.face.embedding is not None
    return float(face.face.embedding @ centroid)


def faces(rows: np.ndarray) -> list[Reading]:
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return [
        Reading(width=64, height=64, probabilities={}, face=FaceReading(faces=1, score=1.0, embedding=row))
        for row in unit.astype(np.float32)
    ]


@pytest.mark.parametrize("count", [5, 18, 60])
def test_floor_and_ceiling_have_their_closed_form(count: int) -> None:
    """References at cosine c to an axis, orthogonal otherwise: a centroid of m lies at c / sqrt(c2 + (1 - c2) / m)."""
    framings = (FRAMINGS * 20)[:count]
    whole = ruler_of(make_study(refs=references(framings))).whole
    along = CEILING / np.sqrt(CEILING**2 + (1 - CEILING**2) / (count - 1))
    assert whole.ceiling.value == pytest.approx(CEILING * along, abs=1e-5)
    assert whole.floor.value == pytest.approx(FLOOR * along, abs=1e-5)
    assert whole.gap.value == pytest.approx((CEILING - FLOOR) * along, abs=1e-5)
    assert whole.ceiling.n == count


@pytest.mark.parametrize("count", [5, 8, 40])
def test_a_perfect_likeness_scores_one_however_few_the_references(count: int) -> None:
    """New pictures of the person, drawn as the references were, are on average as near as these are to each other."""
    rng, likeness = np.random.default_rng(3), []
    for _ in range(400):
        person = rng.standard_normal(64)
        centroid, similarities, _ = leave_one_out(faces(person + rng.standard_normal((count, 64))))
        fresh = faces(person + rng.standard_normal((8, 64)))
        likeness.append(statistics.fmean(cosine(f, centroid) for f in fresh) / statistics.fmean(similarities))
    assert statistics.fmean(likeness) == pytest.approx(1, abs=0.01)


def test_nine_of_ten_ceiling_intervals_hold_the_similarity_of_new_pictures() -> None:
    """The leave-one-out similarities share references, and yet their t interval covers as if they were independent."""
    rng, truth, ends = np.random.default_rng(5), [], []
    person = rng.standard_normal(64)
    for _ in range(300):
        centroid, similarities, _ = leave_one_out(faces(person + rng.standard_normal((12, 64))))
        truth += [cosine(fresh, centroid) for fresh in faces(person + rng.standard_normal((4, 64)))]
        ends.append(t_interval(similarities) or (0.0, 0.0))
    held = sum(low <= statistics.fmean(truth) <= high for low, high in ends)
    assert 0.85 <= held / 300 <= 0.95


def test_the_order_of_references_does_not_matter() -> None:
    refs = references()
    there, back = ruler_of(make_study(refs=refs)), ruler_of(make_study(refs=refs[::-1]))
    assert there.references.centroid == pytest.approx(back.references.centroid)
    assert there.whole.ceiling.value == pytest.approx(back.whole.ceiling.value)


def test_a_poor_face_counts_for_less_in_the_centroid() -> None:
    labels = {"framing": CLOSE_UP}
    good = [reading(cosine=0.9, noise=2 + i, labels=labels) for i in range(5)]
    for poor in ({"quality": 0.1}, {"face": 0.02}):
        stray = reading(cosine=0.0, noise=9, labels=labels, **poor)
        assert (
            leave_one_out([*good, stray])[0][9]
            < leave_one_out([*good, reading(cosine=0.0, noise=9, labels=labels)])[0][9]
        )


def test_a_framing_with_five_references_has_its_own_ceiling_and_others_borrow_the_pooled_one() -> None:
    near = references([CLOSE_UP] * 8, cosine=0.9)
    far = tuple(reading(cosine=0.6, noise=20 + i, labels={"framing": FULL_BODY}) for i in range(5))
    marks = ruler_of(make_study(refs=near + far)).framings
    values = [marks[framing].ceiling.value or 0 for framing in (CLOSE_UP, UPPER_BODY, FULL_BODY)]
    assert values == sorted(values, reverse=True)
    assert marks[UPPER_BODY].ceiling.reason == "ceiling of all framings: the dataset has 0 upper_body faces"
    assert marks[FULL_BODY].ceiling.n == 5


@pytest.mark.parametrize("refs", [references(FRAMINGS[:2] * 2), (None,) * 30, references(cosine=None)])
def test_fewer_than_five_faces_make_no_ruler(refs: tuple[Reading | None, ...]) -> None:
    reason = build_ruler(make_study(refs=refs))
    assert isinstance(reason, str)
    assert f"of {len(refs)} dataset pictures, and 5 are needed" in reason


def test_no_weight_zero_makes_no_ruler() -> None:
    assert "nothing was rendered at weight 0" in str(build_ruler(make_study(weights=(0.7, 1.0))))
    assert "no render at weight 0 shows a face" in str(build_ruler(make_study(identity=lambda c: c.weight or None)))
    assert "no render at weight 0" in str(build_ruler(make_study(missing=lambda cell: not cell.weight)))


def test_a_dataset_no_more_alike_than_the_base_model_is_to_it_cannot_be_measured() -> None:
    ruler = ruler_of(make_study(identity=lambda cell: 1.0))
    assert "are not clearly apart" in (ruler.whole.problem or "")
    study = make_study(identity=lambda cell: 1.0)
    one, caveat = scores(study, ruler, pick(study, {"weight": "1"}))
    assert (one.n, one.absent, caveat) == (0, ruler.whole.problem, None)


def test_a_framing_without_a_gap_is_left_out_and_named() -> None:
    study = make_study(identity=lambda cell: 1.0 if cell.framing == FULL_BODY else cell.weight)
    ruler = ruler_of(study)
    assert ruler.whole.problem is None
    one, caveat = scores(study, ruler, pick(study, {"weight": "1"}))
    assert one.planned == 20
    assert (caveat or "").startswith("without full_body: cannot measure identity: floor")


def test_a_render_without_a_face_scores_zero() -> None:
    study = make_study(identity=lambda cell: None if cell.weight == 1 else cell.weight)
    ruler = ruler_of(study)
    one, _ = scores(study, ruler, pick(study, {"weight": "1"}))
    assert set(one.means().values()) == {0.0}
    assert one.n == one.planned


def test_faceless_base_renders_are_left_out_of_the_floor_and_said() -> None:
    study = make_study(identity=lambda c: None if c.weight == 0 and c.framing == FULL_BODY else c.weight)
    ruler = ruler_of(study)
    assert ruler.whole.floor.reason == "10 of 30 weight-0 renders show no face"
    assert "no weight-0 render shows a face in full_body" in (ruler.framings[FULL_BODY].floor.reason or "")
    assert ruler.framings[FULL_BODY].floor.value == pytest.approx(ruler.whole.floor.value)


def test_scaling_every_similarity_leaves_the_scores_alone() -> None:
    """Another recogniser, with all cosines pulled toward 1, is the same ruler."""

    def warped(seen: Reading) -> Reading:
        assert seen.face.embedding is not None
        row = np.concatenate([seen.face.embedding, [1.0]]) / np.sqrt(2)
        return dataclasses.replace(seen, face=dataclasses.replace(seen.face, embedding=row))

    study = make_study()
    other = dataclasses.replace(
        study,
        renders={key: warped(seen) for key, seen in study.renders.items()},
        references=tuple(warped(seen) for seen in study.references if seen),
    )
    cells = pick(study, {"weight": "0.7"})
    mine, theirs = (scores(s, ruler_of(s), cells)[0].means() for s in (study, other))
    assert mine == pytest.approx(theirs, abs=0.02)


@given(st.lists(st.lists(st.floats(-1, 1), min_size=2, max_size=6), min_size=2, max_size=4))
def test_shrinking_draws_means_together_and_never_past_their_centre(rows: list[list[float]]) -> None:
    groups = {str(i): row for i, row in enumerate(rows)}
    before = {name: statistics.fmean(row) for name, row in groups.items()}
    centre = statistics.fmean(before.values())
    for name, after in shrink(groups).items():
        assert min(before[name], centre) - 1e-9 <= after <= max(before[name], centre) + 1e-9


def test_shrinking_keeps_what_is_clearly_apart_and_pools_what_is_not() -> None:
    apart = shrink({"a": [0.10, 0.11, 0.09], "b": [0.50, 0.51, 0.49]})
    assert apart == pytest.approx({"a": 0.1, "b": 0.5}, abs=0.005)
    alike = shrink({"a": [0.1, 0.5, 0.3], "b": [0.2, 0.4, 0.31]})
    assert alike["a"] == pytest.approx(alike["b"])


def test_an_arm_in_a_framing_the_matrix_has_not_gets_no_score() -> None:
    ruler = ruler_of(make_study(framings=(CLOSE_UP,)))
    render = reading(cosine=CEILING, noise=1, labels={})
    assert ruler.score_if_framed(render, CLOSE_UP) == pytest.approx(ruler.score(render, CLOSE_UP))
    assert ruler.score_if_framed(render, FULL_BODY) is None


@pytest.mark.parametrize(("mark", "verified"), [(None, None), (0.3, True), (0.9, False)])
def test_a_render_is_verified_where_half_of_the_references_are_the_same_person_by_the_instruments_mark(
    mark: float | None, verified: bool | None
) -> None:
    """Renders are at 0.8 of the character's axis as references are: at 0.64 of each other."""
    study = dataclasses.replace(make_study(), same_from=mark)
    ruler = build_ruler(study)
    assert isinstance(ruler, Ruler)
    one = next(study.renders[cell.key] for cell in study.cells if cell.weight == 1)
    assert ruler.verified(one) is verified


def test_copies_vote_once_and_pairs_are_compared_by_the_instruments_own_function() -> None:
    study = make_study()
    twins = tuple(range(1, len(study.references)))
    ruler = build_ruler(dataclasses.replace(study, same_from=0.5, similarity=lambda one, many: one @ many.T))
    assert isinstance(ruler, Ruler) and ruler.same is not None
    first = study.references[0]
    assert first is not None and first.face.embedding is not None
    assert ruler.same(first.face.embedding) == 1.0
    unlike = np.zeros_like(first.face.embedding)
    unlike[2] = 1.0  # alike with the first reference alone
    alone = ruler.same(unlike)
    few = build_ruler(dataclasses.replace(study, same_from=0.5, copies=(twins[:10],)))
    assert isinstance(few, Ruler) and few.same is not None
    assert few.same(unlike) > alone > 0
