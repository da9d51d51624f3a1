"""No render is dropped: every one is in exactly one state, and what cannot be scored bounds what is claimed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lora_doctor.image_states import STATES
from lora_doctor.metrics.identity import measure as identity
from lora_doctor.metrics.ruler import build_ruler
from lora_doctor.metrics.states import measure, state_in
from lora_doctor.types import CLOSE_UP, FULL_BODY, Cell, Study
from tests.metrics.make_study import get, make_study

FIRST = 0


def without_faces(cell: Cell) -> float | None:
    return None if cell.weight and cell.framing == CLOSE_UP and cell.replicate == FIRST else 0.9 * (cell.weight > 0)


def smaller(study: Study, side: float = 4.0) -> Study:
    """The study with the face of the first full-body render of every place too small to be scored."""
    changed = dict(study.renders)
    for cell in study.cells:
        if cell.weight and cell.framing == FULL_BODY and cell.replicate == FIRST and cell.key in changed:
            one = changed[cell.key]
            changed[cell.key] = replace(one, face=replace(one.face, box=(0.0, 0.0, side, side)))
    return replace(study, renders=changed, held=0.6)


def test_the_states_of_a_slice_add_up_to_one() -> None:
    found = measure(replace(make_study(identity=without_faces), held=0.6))
    for where in ({"weight": "ship"}, {"weight": "ship", "framing": CLOSE_UP}):
        shares = {name: get(found, "state.share", **where, state=name).value for name in STATES}
        assert sum(value or 0 for value in shares.values()) == pytest.approx(1)
    assert get(found, "state.share", weight="ship", framing=CLOSE_UP, state="no face").value == 0.5
    assert get(found, "state.share", weight="ship", framing=CLOSE_UP, state="held").value == 0.5


def test_a_state_is_the_same_word_in_the_report() -> None:
    from pathlib import Path

    from lora_doctor.dossier import describe_cells

    study = smaller(make_study(identity=without_faces, missing=lambda c: c.environment == "snow" and c.weight == 1))
    ruler = build_ruler(study)
    assert not isinstance(ruler, str)
    shown = describe_cells(study.cells, study, [], Path(), ruler.score, ruler.limits)
    state = state_in(study, ruler)
    assert [cell["state"] for cell in shown] == [state(cell) for cell in study.cells]
    assert {"too small", "no face", "held", "base"} <= {cell["state"] for cell in shown}


def test_a_broken_render_has_a_rate_of_its_own() -> None:
    study = replace(make_study(missing=lambda c: c.environment == "snow" and c.weight == 1), held=0.6)
    broken = replace(study, missing=dict.fromkeys(study.missing, "the picture is flat: one colour everywhere"))
    lost = replace(study, missing=dict.fromkeys(study.missing, "the prompt is too long"))
    shares = [get(measure(one), "state.share", weight="ship", state="broken") for one in (broken, lost)]
    assert shares[0].value == pytest.approx(0.1)
    assert shares[1].value == 0.0 and "missing" in (shares[1].reason or "")


def test_renders_without_a_face_cost_what_the_gap_says() -> None:
    found = measure(make_study(identity=without_faces))
    where = {"weight": "ship", "framing": CLOSE_UP}
    assert get(found, "identity.scorable", **where).value == pytest.approx(0.9, abs=1e-4)
    assert get(found, "identity.scorable_gap", **where).value == pytest.approx(0.45, abs=1e-4)
    everyone = get(identity(make_study(identity=without_faces)), "identity.score", **where)
    assert everyone.value == pytest.approx(0.45, abs=1e-4)


def test_faces_too_small_are_counted_and_bound_the_claim_and_are_no_part_of_what_is_scorable() -> None:
    study = smaller(make_study(identity=lambda c: (0.9 if c.replicate else 0.3) * (c.weight > 0)))
    where = {"weight": "ship", "framing": FULL_BODY}
    found = [*measure(study), *identity(study)]
    assert get(found, "state.share", **where, state="too small").value == 0.5
    assert get(found, "identity.scorable", **where).value == pytest.approx(0.9, abs=1e-3)
    score = get(found, "identity.score", **where)
    assert score.value == pytest.approx(0.6, abs=1e-3) and "10 too small" in (score.reason or "")
    assert get(found, "identity.scorable_gap", **where).value == pytest.approx(0.3, abs=1e-3)
    worst, best = (get(found, "identity.bounds", **where, end=end).value for end in ("worst", "best"))
    assert (worst, best) == (pytest.approx(0.45, abs=1e-3), pytest.approx(0.9, abs=1e-3))


@pytest.mark.parametrize("level", [0.1, 0.5, 0.9])
def test_calling_faces_too_small_never_raises_the_score(level: float) -> None:
    """No verdict is improved by drawing faces too small to be told: what they score stays in."""
    study = make_study(identity=lambda c: level * (c.weight > 0) * (c.replicate != FIRST))
    before, after = (get(identity(one), "identity.score", weight="ship") for one in (study, smaller(study)))
    assert after.value == before.value and after.interval == before.interval
    worst = get(measure(smaller(study)), "identity.bounds", weight="ship", end="worst")
    assert (worst.value or 0) <= (before.value or 0) + 1e-9


def test_without_a_policy_or_a_ruler_nobody_is_held_and_the_reason_is_told() -> None:
    found = measure(make_study())
    silent = get(found, "state.share", weight="ship", state="held")
    assert silent.reason == "no policy says from which score a render is held"
    none = measure(replace(make_study(weights=(0.7, 1.0)), held=0.6))
    held = get(none, "state.share", weight="ship", state="drift")
    assert held.value is None and "no floor" in (held.reason or "")
