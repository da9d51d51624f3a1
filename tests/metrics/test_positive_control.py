"""Where a trait that was asked for is not read, the instrument is blind for it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

from lora_doctor.metrics.attributes import measure as attributes
from lora_doctor.metrics.positive_control import ARM, colour_blind, measure
from lora_doctor.metrics.units import arm_cells
from lora_doctor.types import CLOSE_UP, FULL_BODY, UPPER_BODY, Cell, Study
from tests.metrics.make_study import Labels, get, make_study, probabilities

HAIR = {"attribute": "hair_colour"}


def described(
    study: Study, labels: Callable[[Cell], Labels], *, weights: Collection[float] = (0.0, 1.0), replicates: int = 2
) -> Study:
    """The study with the arm: the matrix at some weights, read as the spec says but for `labels`."""
    cells = tuple(
        replace(c, arm=ARM) for c in study.cells if c.weight in weights and c.replicate < replicates
    )  # fmt: skip
    pairs = [(cell, study.renders[replace(cell, arm="").key]) for cell in cells]
    seen = {c.key: replace(r, probabilities={**r.probabilities, **probabilities(labels(c))}) for c, r in pairs}
    return replace(study, arms={ARM: cells}, renders={**study.renders, **seen})


def night(cell: Cell) -> Labels:
    return {"hair_colour": "black_hair"} if cell.environment == "city" else {}


def test_without_the_arm_nothing_is_blind_and_the_control_has_a_reason() -> None:
    study = make_study()
    assert arm_cells(study, ARM) == () and colour_blind(study, "hair_colour").environments == ()
    one = get(measure(study), "attribute.control", attribute="hair_colour")
    assert one.value is None and "white_hair asked for" in (one.reason or "")


def test_a_place_in_which_the_trait_is_missed_is_blind_and_named() -> None:
    blind = colour_blind(described(make_study(), night), "hair_colour")
    assert blind.environments == ("city",) and "city (0%)" in (blind.note or "")
    found = measure(described(make_study(), night))
    assert get(found, "attribute.control", environment="city", **HAIR).value == 0.0
    assert get(found, "attribute.control", environment="snow", **HAIR).value == 1.0


def test_flips_are_not_counted_where_the_instrument_is_blind() -> None:
    study = make_study(labels=night)
    assert get(attributes(study), "attribute.flip_rate", **HAIR).value == 0.2
    one = get(attributes(described(study, night)), "attribute.flip_rate", **HAIR)
    assert one.value == 0.0 and "left out" in (one.reason or "") and one.n == 24
    sighted = described(study, lambda _: {"hair_colour": "white_hair"})
    other = get(attributes(sighted), "attribute.flip_rate", **HAIR)
    assert other.value == 0.2 and other.n == 30


def test_where_every_place_is_read_right_nothing_is_said_to_be_left_out() -> None:
    study = described(make_study(), lambda _: {"hair_colour": "white_hair"})
    blind = colour_blind(study, "hair_colour")
    assert (blind.environments, blind.note) == ((), None)
    for name in ("attribute.flip_rate", "attribute.flip_scene_spread"):
        assert "left out" not in (get(attributes(study), name, **HAIR).reason or "")
    assert get(measure(study), "attribute.control", **HAIR).reason is None


def test_a_trait_the_base_model_draws_nowhere_blinds_nothing() -> None:
    blind = colour_blind(described(make_study(), lambda _: {"hair_colour": "red_hair"}), "hair_colour")
    assert blind.environments == () and "does not draw it anywhere" in (blind.note or "")


def test_three_pictures_are_no_control() -> None:
    assert colour_blind(described(make_study(), night, replicates=1), "hair_colour").environments == ()


def test_only_the_base_model_is_the_control_and_the_lora_has_a_number_of_its_own() -> None:
    study = described(make_study(), lambda c: night(c) if c.weight else {})
    assert colour_blind(study, "hair_colour").environments == ()
    assert get(measure(study), "attribute.described_match", **HAIR).value == 0.8


def test_framings_that_do_not_show_a_trait_are_not_asked() -> None:
    study = described(make_study(), lambda c: {} if c.framing == FULL_BODY else {"height": "petite"})
    one = get(measure(study), "attribute.control", attribute="height")
    assert one.value == 1.0 and one.n == 10


def test_lost_controls_make_no_place_blind() -> None:
    """Three of eight are misread in the city, which is seen; with right ones lost, most of those left are misread."""
    few = lambda c: night(c) if (c.replicate, c.framing) in {(0, CLOSE_UP), (1, CLOSE_UP), (0, UPPER_BODY)} else {}  # noqa: E731
    study = described(make_study(replicates=4), few, replicates=4)
    assert colour_blind(study, "hair_colour").environments == ()
    right = [c.key for c in study.arms[ARM] if c.environment == "city" and not few(c) and c.framing != FULL_BODY]
    lossy = replace(study, renders={k: r for k, r in study.renders.items() if k not in right[:4]})
    assert colour_blind(lossy, "hair_colour").environments == ()


def test_lost_controls_give_no_sight_to_a_trait_that_is_drawn_nowhere() -> None:
    nowhere = described(make_study(), lambda _: {"hair_colour": "red_hair"})
    lossy = replace(nowhere, renders={k: r for k, r in nowhere.renders.items() if "city" not in k or k.startswith("w")})
    assert colour_blind(lossy, "hair_colour").environments == ()
