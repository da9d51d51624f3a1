"""The matrix crosses its axes completely, with seeds shared across weights and nothing else."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_doctor.errors import UsageError
from lora_doctor.matrix import choose_environments, plan_cells
from lora_doctor.types import FRAMINGS, Cell

AXES: dict[str, Any] = {
    "weights": (0, 0.4, 1),
    "environments": (("library", True), ("beach", False)),
    "framings": FRAMINGS,
    "replicates": 2,
    "prompt_of": lambda environment, framing: f"yuki, {environment}, {framing}",
    "negative_prompt": "blurry",
    "seed": 7,
}
KNOWN = ("beach", "city", "desert", "forest", "kitchen", "library", "simple_background", "snow", "stage")


def test_every_combination_is_there_once_weight_by_weight() -> None:
    cells = plan_cells(**AXES)
    assert len(cells) == len({cell.key for cell in cells}) == 3 * 2 * 3 * 2
    assert [cell.weight for cell in cells] == sorted(cell.weight for cell in cells)
    assert {cell.trained for cell in cells if cell.environment == "library"} == {True}
    assert cells[0] == Cell(
        weight=0.0, environment="library", trained=True, framing="close-up", replicate=0,
        prompt="yuki, library, close-up", negative_prompt="blurry", seed=cells[0].seed,
    )  # fmt: skip


def test_a_seed_is_the_published_hash() -> None:
    cell = plan_cells(**AXES)[-1]
    digest = hashlib.sha256(b"7/beach/full_body/1").digest()
    assert cell.seed == int.from_bytes(digest[:8], "big") % 2**31


def test_seeds_are_shared_across_weights_and_never_elsewhere() -> None:
    by_place: dict[tuple[str, str, int], set[int]] = {}
    for cell in plan_cells(**AXES):
        by_place.setdefault((cell.environment, cell.framing, cell.replicate), set()).add(cell.seed)
    assert all(len(seeds) == 1 for seeds in by_place.values())
    assert len(set.union(*by_place.values())) == len(by_place)


def test_another_run_seed_gives_other_seeds_and_more_replicates_keep_the_first() -> None:
    first = {cell.key: cell.seed for cell in plan_cells(**AXES)}
    other = {cell.key: cell.seed for cell in plan_cells(**{**AXES, "seed": 8})}
    more = {cell.key: cell.seed for cell in plan_cells(**{**AXES, "replicates": 5})}
    assert not set(first.values()) & set(other.values())
    assert first.items() <= more.items()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"environments": ()}, "no environment"),
        ({"weights": (), "framings": ()}, "no weight, framing"),
        ({"weights": (0.7, 0.701)}, "two cells"),
    ],
)
def test_an_empty_or_ambiguous_axis_is_a_usage_error(change: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        plan_cells(**AXES | change)


def test_the_most_frequent_environments_and_some_never_shown_are_chosen() -> None:
    counts = {"library": 9, "simple_background": 30, "snow": 4, "city": 4, "stage": 0}
    chosen = choose_environments(counts, KNOWN)
    assert chosen[:2] == (("library", True), ("city", True))
    assert len(chosen) == 5
    assert {name for name, trained in chosen if not trained} <= {"beach", "desert", "forest", "kitchen", "stage"}


def test_too_few_of_a_kind_gives_all_there_are() -> None:
    assert choose_environments({"library": 1}, ("library", "beach", "simple_background")) == (
        ("library", True),
        ("beach", False),
    )
    assert choose_environments({}, ()) == ()


@given(st.permutations(KNOWN), st.integers(0, 50))
def test_the_draw_depends_on_the_seed_and_not_on_the_order(known: list[str], seed: int) -> None:
    assert choose_environments({"snow": 1}, known, seed=seed) == choose_environments({"snow": 1}, KNOWN, seed=seed)


def test_every_novel_environment_is_drawn_by_some_seed() -> None:
    drawn = {choose_environments({"snow": 1}, KNOWN, 1, 1, seed)[1][0] for seed in range(100)}
    assert drawn == set(KNOWN) - {"snow", "simple_background"}


@given(st.dictionaries(st.sampled_from(KNOWN), st.integers(0, 9)), st.integers(0, 4), st.integers(0, 9))
def test_trained_means_shown_by_the_dataset(counts: dict[str, int], trained: int, novel: int) -> None:
    chosen = choose_environments(counts, KNOWN, wanted_trained=trained, wanted_novel=novel)
    assert all((counts.get(name, 0) > 0) == is_trained for name, is_trained in chosen)
    assert len(chosen) == len(dict(chosen)) <= trained + novel
