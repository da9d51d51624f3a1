"""An arm is paired with the matrix: same places, same seeds, another prompt."""

from __future__ import annotations

from lora_doctor.arms.cells import like, top_weight, turn_of
from lora_doctor.types import FRAMINGS
from tests.arms.make_case import make_case

CASE = make_case()


def test_every_cell_has_the_seed_of_its_like_in_the_matrix() -> None:
    seeds = {(c.environment, c.framing, c.replicate): c.seed for c in CASE.matrix}
    cells = like(CASE, "x", lambda cell: "other")
    assert cells and all(seeds[c.environment, c.framing, c.replicate] == c.seed for c in cells)


def test_a_weight_that_the_matrix_has_not_is_made_like_weight_0() -> None:
    cells = like(CASE, "x", lambda cell: cell.prompt, weights=(1.3,))
    assert {cell.weight for cell in cells} == {1.3}
    assert [cell.seed for cell in cells] == [c.seed for c in CASE.matrix if c.weight == 0 and c.replicate < 4]


def test_no_two_cells_share_a_key_nor_one_with_the_matrix() -> None:
    asking = (None, lambda cell: ["smile", "tall"])
    parts = (like(CASE, "x", lambda _: "", asked_of=a, variant=v) for a in asking for v in ("", "rank/2"))
    keys = [cell.key for cells in (*parts, CASE.matrix) for cell in cells]
    assert len(set(keys)) == len(keys)


def test_axes_narrow_the_arm() -> None:
    cells = like(CASE, "x", lambda _: "", weights=[0], framings=["close-up"], environments=["beach"], replicates=2)
    assert {(c.weight, c.framing, c.environment, c.replicate) for c in cells} == {
        (0.0, "close-up", "beach", 0), (0.0, "close-up", "beach", 1)
    }  # fmt: skip


def test_the_top_weight_is_the_highest_that_ships() -> None:
    assert top_weight(CASE) == 1.0


def test_what_is_asked_for_is_in_the_cell_and_its_prompt() -> None:
    cells = like(CASE, "x", lambda cell: ", ".join(cell.labels_asked), asked_of=lambda cell: ["smile", "tall"])
    assert {(cell.labels_asked, cell.prompt) for cell in cells} == {(("smile", "tall"), "smile, tall")}


def test_in_each_framing_the_turns_follow_one_another() -> None:
    for place, framing in enumerate(FRAMINGS):
        cells = like(CASE, "x", lambda _: "", weights=[0], framings=[framing])
        assert sorted(turn_of(CASE, cell) for cell in cells) == list(range(place, place + len(cells)))
