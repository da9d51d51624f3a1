"""Versions are held against each other in pairs, and only a difference that matters is called one."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from lora_doctor.compared_run import ComparedRun
from lora_doctor.comparison import Comparison, Contrast, compare, state_of, to_json
from lora_doctor.comparison_samples import _united
from lora_doctor.plugins import data_folder
from lora_doctor.smallest_effects import load_smallest_effects
from lora_doctor.types import FRAMINGS, FULL_BODY, Cell, Measurement
from tests.make_compared_run import make_compared_run

EFFECTS = load_smallest_effects(data_folder("rules"))


def contrast(found: Comparison, quantity: str, weight: str = "ship", run: str = "b") -> Contrast:
    (one,) = [c for c in found.contrasts if (c.quantity, c.weight, c.run) == (quantity, weight, run)]
    return one


def scaled(by: float, noise: float = 0.0, scene: int = 7) -> Callable[[Cell], float]:
    """Identity is `by` times the weight, plus what the seed of the cell does to every version alike, plus noise."""
    own = random.Random(by)

    def identity(cell: Cell) -> float:
        shared = random.Random(f"{scene}{cell.environment}{cell.framing}{cell.replicate}").gauss(0, 0.08)
        return by * cell.weight + (shared + own.gauss(0, noise) if cell.weight else 0.0)

    return identity


def both(first: ComparedRun, second: ComparedRun) -> Comparison:
    return compare([first, second], EFFECTS)


def test_a_planted_loss_is_found_at_its_size_and_in_its_quantity_alone() -> None:
    def lost(cell: Cell) -> dict[str, str]:
        return {"top": "blue_shirt"} if cell.weight and cell.framing == FULL_BODY else {}

    found = both(make_compared_run("a"), make_compared_run("b", labels=lost))
    assert contrast(found, "outfit").state == "worse"
    assert contrast(found, "outfit").difference.value == pytest.approx(-0.5)  # of the two framings that show it
    assert contrast(found, "attribute:top").state == "worse"
    for quantity in ("identity", "body", "environment", "framing", "attribute:hair_colour"):
        assert contrast(found, quantity).state != "worse"
        assert contrast(found, quantity).difference.value == pytest.approx(0.0)


def test_more_faces_lost_is_worse_though_the_number_is_larger() -> None:
    def faceless(cell: Cell) -> float | None:
        return None if cell.weight and cell.framing == FULL_BODY else scaled(0.9)(cell)

    found = both(make_compared_run("a", identity=scaled(0.9)), make_compared_run("b", identity=faceless))
    assert contrast(found, "no_face").difference.value == pytest.approx(1 / 3)
    assert contrast(found, "no_face").state == "worse"
    assert contrast(found, "identity").state == "worse"


def test_turning_the_runs_round_turns_every_sign_and_state() -> None:
    first, second = make_compared_run("a", identity=scaled(0.9)), make_compared_run("b", identity=scaled(0.5, 0.02))
    there, back = both(first, second), both(second, first)
    mirror = {"better": "worse", "worse": "better"}
    for each in there.contrasts:
        other = contrast(back, each.quantity, each.weight, "a")
        assert other.state == mirror.get(each.state, each.state)
        if each.difference.value is None:
            assert other.difference.value is None
            continue
        assert other.difference.value == pytest.approx(-each.difference.value)
        low, high = each.difference.interval or (0, 0)
        assert other.difference.interval == pytest.approx((-high, -low))


def test_pairing_takes_out_what_a_seed_does_to_both() -> None:
    found = both(make_compared_run("a", identity=scaled(0.8)), make_compared_run("b", identity=scaled(0.65, 0.01)))
    low, high = contrast(found, "identity").difference.interval or (0, 0)
    level = found.runs[0].level("identity", "ship")
    assert level is not None and level.interval is not None
    assert high - low < (level.interval[1] - level.interval[0]) / 2
    assert contrast(found, "identity").state == "worse" if high < -0.1 else "open"


def test_no_version_is_ahead_because_its_worst_pictures_are_missing() -> None:
    """Both draw the same; one has no readings of the environment that both draw badly."""

    def drawn(cell: Cell) -> float:
        return scaled(0.2 if cell.environment == "beach" else 0.9)(cell)

    first, second = (make_compared_run(name, identity=drawn) for name in "ab")
    gone = {key for key, cell in second.cells.items() if cell.environment == "beach" and cell.weight}
    second = replace(second, renders={key: one for key, one in second.renders.items() if key not in gone},
                     missing=dict.fromkeys(gone, "lost"))  # fmt: skip
    found = both(first, second)
    rows = {(row.run, row.weight): row for row in found.pareto}
    for weight in found.ship_weights:
        assert rows["a", weight].levels["identity"] == pytest.approx(rows["b", weight].levels["identity"])
        own = [run.level("identity", weight) for run in found.runs]
        assert own[0] and own[1] and (own[1].value or 0) - (own[0].value or 0) > 0.05
    assert not any((row.beaten_by or "").startswith("b ") for row in found.pareto if row.run == "a")


@pytest.mark.parametrize(
    ("interval", "direction", "state"),
    [((0.11, 0.3), 1, "better"), ((0.09, 0.3), 1, "open"), ((-0.3, -0.11), 1, "worse"), ((-0.1, 0.1), 1, "alike"),
     ((-0.11, 0.1), 1, "open"), ((0.11, 0.3), -1, "worse"), ((-0.3, -0.11), -1, "better"), (None, 1, "open")],
)  # fmt: skip
def test_only_a_whole_interval_beyond_the_smallest_effect_counts(interval, direction, state) -> None:
    measured = Measurement(name="x", value=0.2, interval=interval)
    assert state_of(measured, 0.1, direction) == state


def test_two_equal_versions_are_hardly_ever_told_apart() -> None:
    """Chance does not speak: 60 comparisons of two versions that differ by noise alone, 40 contrasts each."""
    rng, alarms = random.Random(3), 0
    for _ in range(60):

        def flips(cell: Cell) -> dict[str, str]:
            return {"top": "blue_shirt"} if cell.weight and rng.random() < 0.3 else {}

        sides = [make_compared_run(name, identity=lambda cell: 0.8 * cell.weight + rng.gauss(0, 0.12), labels=flips)
                 for name in "ab"]  # fmt: skip
        found = compare(sides, EFFECTS)
        alarms += any(c.state in ("better", "worse") for c in found.contrasts)
    assert alarms <= 3, f"{alarms} of 60"


def full_bodies(cell: Cell) -> bool:
    return cell.weight > 0 and cell.framing == FULL_BODY


def test_pictures_that_a_version_made_empty_are_faces_it_lost() -> None:
    torn = make_compared_run("b", identity=scaled(0.9), missing=full_bodies)
    flat = replace(torn, missing=dict.fromkeys(torn.missing, "the picture is flat: one colour everywhere"))
    one = contrast(both(make_compared_run("a", identity=scaled(0.9)), flat), "no_face")
    assert one.difference.value == pytest.approx(1 / 3) and one.state == "worse"


def test_a_version_that_lost_its_hard_pictures_is_not_better_for_it() -> None:
    def hard(cell: Cell) -> float:
        return 0.0 if cell.weight == 0 else 0.2 if cell.framing == FULL_BODY else 0.9

    whole, torn = make_compared_run("a", identity=hard), make_compared_run("b", identity=hard, missing=full_bodies)
    assert contrast(both(whole, torn), "identity").difference.value == pytest.approx(0.0, abs=1e-6)


def test_a_trait_that_a_check_up_could_not_measure_decides_nothing() -> None:
    def flipped(cell: Cell) -> dict[str, str]:
        return {"hair_colour": "black_hair"} if cell.weight else {}

    first, second = make_compared_run("a"), make_compared_run("b", labels=flipped)
    assert contrast(both(first, second), "attribute:hair_colour").state == "worse"
    where = {"attribute": "hair_colour", "weight": "ship"}
    blind = tuple(
        Measurement(name="attribute.match", value=None, reason="not measurable", where=where | {"framing": framing})
        for framing in FRAMINGS
    )
    first = replace(first, diagnosis=replace(first.diagnosis, measurements=blind))
    one = contrast(both(first, second), "attribute:hair_colour")
    assert one.state == "not measured" and "not measurable" in (one.difference.reason or "")


def test_versions_with_other_ship_weights_are_offered_at_their_own() -> None:
    first = make_compared_run("a", ship_weights=(0.7,), identity=lambda cell: cell.weight)
    second = make_compared_run("b", ship_weights=(1.0,), identity=lambda cell: cell.weight / 2)
    found = both(first, second)
    offered = {(each.run, each.weight) for each in (found.choice.best, found.choice.runner_up) if each is not None}
    assert offered == {("a", "0.7"), ("b", "1")}
    assert any("different ship weights" in note for note in found.notes)


def test_groups_of_copies_that_overlap_are_one() -> None:
    assert _united([{0, 1}, {3, 4}, {1, 2}, {5, 6}]) == ((0, 1, 2), (3, 4), (5, 6))


def test_losing_renders_never_makes_a_difference_certain() -> None:
    rng = random.Random(5)
    whole = make_compared_run("a", identity=scaled(0.8))
    for _ in range(40):
        share, seed = rng.random() * 0.8, rng.random()

        def missing(cell: Cell, seed: float = seed, share: float = share) -> bool:
            return cell.weight > 0 and random.Random(f"{seed}{cell.key}").random() < share

        torn = both(whole, make_compared_run("b", identity=scaled(0.8), missing=missing))
        assert not [each for each in torn.contrasts if each.state in ("better", "worse")]


def test_identity_is_scored_on_one_ruler_when_datasets_differ() -> None:
    first = make_compared_run("a", identity=scaled(0.8))
    stranger = make_compared_run("b", identity=scaled(0.8), fingerprint={"dataset": "another"})
    more = {f"b{key}": value for key, value in stranger.references.items()}
    found = compare([first, replace(stranger, references=more)], EFFECTS)
    assert "36 pictures of all datasets together" in found.ruler
    assert any("different datasets" in note for note in found.notes)
    assert contrast(found, "identity").difference.value == pytest.approx(0.0, abs=1e-9)
    assert "18 pictures of the dataset" in both(first, make_compared_run("b")).ruler


def test_a_dataset_of_one_person_says_who_is_meant_where_another_shows_two() -> None:
    """Whoever kept the pictures of the second person: their own are the ruler, and not nobody's."""
    two = make_compared_run("a", identity=scaled(0.8))
    two = replace(two, others=(tuple(str(place) for place in range(12, 18)),))
    one = make_compared_run("b", identity=scaled(0.8), fingerprint={"dataset": "another"})
    kept = {key: reading for key, reading in one.references.items() if int(key) >= 12}
    found = compare([two, replace(one, references=kept)], EFFECTS)
    assert "6 pictures of the datasets that show one person" in found.ruler
    assert contrast(found, "identity").difference.value is not None


def test_near_duplicates_of_the_dataset_weigh_as_one_in_the_common_ruler() -> None:
    first, second = make_compared_run("a", identity=scaled(0.8)), make_compared_run("b", identity=scaled(0.8))
    with_copies = [replace(run, copies=(("0", "1", "2"),)) for run in (first, second)]
    plain, grouped = (compare(runs, EFFECTS).runs[0] for runs in ([first, second], with_copies))
    levels = [one.level("identity", "1") for one in (plain, grouped)]
    assert levels[0] is not None and levels[1] is not None
    assert levels[0].value == pytest.approx(0.8, abs=0.05) and levels[0].value != levels[1].value


def test_different_matrices_are_compared_on_what_they_share() -> None:
    found = both(make_compared_run("a"), make_compared_run("b", weights=(0.0, 0.7, 1.0), replicates=1))
    assert found.weights == ("0.7", "1") and found.shared_cells == 45
    assert any("45 of 120 cells are shared" in note for note in found.notes)
    assert all(c.difference.n <= 15 for c in found.contrasts)


def test_the_first_is_compared_with_each_and_not_each_with_each() -> None:
    runs = [make_compared_run(f"v{i}", "HOLD", identity=scaled(0.2 + i / 50, 0.01)) for i in range(30)]
    began = time.monotonic()
    found = compare(runs, EFFECTS)
    assert time.monotonic() - began < 30
    assert {c.against for c in found.contrasts} == {"v0"} and {c.run for c in found.contrasts} == {
        f"v{i}" for i in range(1, 30)
    }


def test_without_a_floor_identity_is_not_measured_and_nothing_is_chosen() -> None:
    found = both(make_compared_run("a", weights=(0.7, 1.0)), make_compared_run("b", weights=(0.7, 1.0)))
    assert contrast(found, "identity").state == "not measured"
    assert "no floor" in (contrast(found, "identity").difference.reason or "")
    assert found.choice.answer == "inconclusive" and found.choice.best is None


def test_the_cells_that_changed_most_come_first_and_from_several_scenes() -> None:
    def one_scene(cell: Cell) -> float:
        return 0.0 if cell.environment in ("beach", "city") else cell.weight

    found = both(make_compared_run("a"), make_compared_run("b", identity=one_scene))
    assert [each.environment for each in found.changed[:4]] == ["beach", "beach", "city", "city"]
    assert found.changed[0].identity == {"a": 1.0, "b": 0.0}


def test_json_holds_no_path_and_reads_back(tmp_path: Any) -> None:
    found = both(make_compared_run("a"), make_compared_run("b"))
    text = to_json(found)
    assert json.loads(text)["format_version"] == 1 and text.endswith("}\n")
    assert "/runs" not in text


def order_free(found: Comparison) -> dict[str, Any]:
    return {c.quantity: c.difference.value for c in found.contrasts}


def test_the_order_of_cells_changes_nothing() -> None:
    def shuffled(run: ComparedRun) -> ComparedRun:
        keys: Sequence[str] = random.Random(1).sample(list(run.cells), len(run.cells))
        return replace(run, cells={key: run.cells[key] for key in keys})

    first, second = make_compared_run("a", identity=scaled(0.9)), make_compared_run("b", identity=scaled(0.5))
    assert order_free(both(first, shuffled(second))) == pytest.approx(order_free(both(first, second)))
