"""Runs that were not made under the same conditions are refused, or compared on what they share, and it is said."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lora_doctor.compared_run import ComparedRun, agree_on_terms
from lora_doctor.errors import UsageError
from tests.make_compared_run import make_compared_run


@pytest.mark.parametrize(
    ("key", "said"),
    [("base", "another base model"), ("instruments", "other instruments"), ("seed", "another seed"),
     ("trigger", "another trigger"), ("steps", "another number of steps"), ("sampler", "another sampler")],
)  # fmt: skip
def test_other_conditions_are_refused_by_name(key: str, said: str) -> None:
    runs = [make_compared_run("a"), make_compared_run("b", fingerprint={key: "other"})]
    with pytest.raises(UsageError, match=f"/runs/b: was checked with {said} than /runs/a"):
        agree_on_terms(runs)


def test_another_device_is_no_other_model_and_is_said() -> None:
    here = {"device": "cpu", "precision": "float32, float32", "tiles": False, "rendering": 1}
    runs = [make_compared_run("a", fingerprint=here), make_compared_run("b", fingerprint=here | {"device": "cuda"})]
    notes = agree_on_terms(runs).notes
    assert any("rendered in different ways" in note and "device cpu and cuda" in note for note in notes)
    assert not any("precision" in note for note in notes)


def test_what_an_older_run_does_not_say_of_itself_is_no_difference() -> None:
    newer = make_compared_run("b", fingerprint={"device": "cpu", "precision": "p", "tiles": False, "rendering": 2})
    assert not agree_on_terms([make_compared_run("a"), newer]).notes
    with pytest.raises(UsageError, match="another version of lora-doctor's rendering"):
        agree_on_terms([make_compared_run("a", fingerprint={"rendering": 1}), newer])


def test_one_run_and_the_same_run_twice_are_refused() -> None:
    one = make_compared_run("a")
    with pytest.raises(UsageError, match="one run is nothing to compare"):
        agree_on_terms([one])
    with pytest.raises(UsageError, match="named twice"):
        agree_on_terms([one, replace(one, name="b")])


def changed(run: ComparedRun, environment: str | None = None, **fields: object) -> ComparedRun:
    cells = {k: replace(c, **fields) if environment in (None, c.environment) else c for k, c in run.cells.items()}  # type: ignore[arg-type]
    return replace(run, cells=cells)


@pytest.mark.parametrize("fields", [{"prompt": "another"}, {"seed": 9}, {"negative_prompt": "bad"}])
def test_cells_with_other_prompts_or_seeds_are_left_out_and_all_of_them_refused(fields: dict[str, object]) -> None:
    first, second = make_compared_run("a"), make_compared_run("b")
    terms = agree_on_terms([first, changed(second, "beach", **fields)])
    assert len(terms.shared) == 96 and not any("beach" in key for key in terms.shared)
    assert any(note.startswith("24 cells have other prompts or seeds") for note in terms.notes)
    with pytest.raises(UsageError, match="share no cell: other prompts or seeds"):
        agree_on_terms([first, changed(second, **fields)])


def test_matrices_without_a_common_cell_are_refused() -> None:
    runs = [make_compared_run("a", weights=(0.0, 0.4)), make_compared_run("b", weights=(0.0, 0.7))]
    with pytest.raises(UsageError, match="share no cell: another matrix"):
        agree_on_terms(runs)


def test_traits_that_not_every_run_demands_are_left_out_and_named() -> None:
    runs = [make_compared_run("a"), make_compared_run("b", spec={"hair_colour": "black_hair", "body": "athletic"})]
    terms = agree_on_terms(runs)
    assert terms.spec == {"body": "athletic"}
    assert any("hair_colour, height, top" in note for note in terms.notes)


def test_the_same_file_under_two_names_is_told() -> None:
    runs = [make_compared_run("a"), make_compared_run("b", fingerprint={"lora": "sha of a"})]
    assert "b is the same file as a" in agree_on_terms(runs).notes


def test_equal_conditions_need_no_note() -> None:
    assert agree_on_terms([make_compared_run("a"), make_compared_run("b")]).notes == ()
