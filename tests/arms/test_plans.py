"""What each arm asks: somebody else, other clothes, poses, the training captions."""

from __future__ import annotations

from collections.abc import Callable

from lora_doctor.arms import captions, no_trigger, other_people, outfits, places, poses, recombined
from lora_doctor.arms.cells import CAPTIONS as REPLAYED
from tests.arms.make_case import LABEL_SETS, make_case

CAPTIONS = [f"yuki_nk, purple_hair, red_shirt, {place}, full_body" for place in ("beach", "city") * 10]


def test_without_the_trigger_neither_it_nor_the_usual_outfit_is_named() -> None:
    prompts = {cell.prompt for cell in no_trigger.plan(make_case())}
    assert not any("yuki_nk" in prompt or "red_shirt" in prompt for prompt in prompts)
    assert all("1girl" in prompt for prompt in prompts)


def test_other_people_have_other_traits_and_no_trigger() -> None:
    cells = other_people.plan(make_case())
    asked = {label for cell in cells for label in cell.labels_asked}
    assert asked == {"green_hair", "black_hair"}
    assert all(label in cell.prompt for cell in cells for label in cell.labels_asked)
    assert not any("yuki_nk" in cell.prompt for cell in cells)


def test_a_character_without_identity_traits_has_no_other_people() -> None:
    assert other_people.plan(make_case(spec={"height": "tall"})) == ()


def test_only_clothes_that_the_dataset_does_not_name_are_asked_for() -> None:
    cells = outfits.plan(make_case(captions=CAPTIONS))
    assert {label for cell in cells for label in cell.labels_asked} == {"blue_jacket", "white_sweater"}
    assert all("red_shirt" not in cell.prompt and "yuki_nk" in cell.prompt for cell in cells)


def test_a_dataset_in_every_kind_of_clothes_leaves_nothing_to_ask() -> None:
    worn = ["yuki_nk, red_shirt", "yuki_nk, blue_jacket", "yuki_nk, white_sweater"]
    assert outfits.plan(make_case(captions=worn)) == ()


def test_every_pose_and_expression_has_its_turn_where_it_can_be_seen() -> None:
    cells = poses.plan(make_case())
    asked = {label for cell in cells for label in cell.labels_asked}
    assert asked == {*LABEL_SETS["pose"].labels, *LABEL_SETS["expression"].labels}
    close = {label for cell in cells if cell.framing == "close-up" for label in cell.labels_asked}
    assert close == set(LABEL_SETS["expression"].labels)


def test_places_are_asked_for_with_nobody_in_them() -> None:
    cells = places.plan(make_case())
    assert {cell.prompt for cell in cells} == {"beach", "city", "snow", "forest"}
    assert len({cell.seed for cell in cells}) == len({(cell.environment, cell.replicate) for cell in cells}) == 8
    assert {cell.weight for cell in cells} == {0.0, 1.0}


def test_with_and_without_the_lora_the_same_is_asked_with_the_same_seed() -> None:
    for arm in (no_trigger, other_people, outfits, places, poses, captions):
        cells = arm.plan(make_case(captions=CAPTIONS))
        by_weight = {w: {(c.prompt, c.seed, c.asked) for c in cells if c.weight == w} for w in (0.0, 1.0)}
        assert cells and by_weight[0.0] == by_weight[1.0]


def test_captions_are_replayed_as_they_are_at_their_place_and_not_all_of_them() -> None:
    cells = captions.plan(make_case(captions=CAPTIONS))
    assert {cell.prompt for cell in cells} <= set(CAPTIONS)
    assert len({cell.asked for cell in cells}) == REPLAYED
    assert all(CAPTIONS[int(cell.asked)].split(", ")[3] == cell.environment for cell in cells)


def cut_at(tags: int) -> Callable[[str], str]:
    """A text encoder that reads no more than so many tags."""
    return lambda prompt: ",".join(prompt.split(",")[:tags])


def test_captions_that_the_text_encoder_reads_whole_are_replayed_first_and_others_cut() -> None:
    few, long = [f"yuki_nk, beach, {n}" for n in range(REPLAYED - 2)], [f"yuki_nk, city, {n}, far" for n in range(20)]
    case = make_case(captions=[*few, *long], fitted=cut_at(3))
    cells = captions.plan(case)
    prompts = {cell.asked: cell.prompt for cell in cells}
    assert len(prompts) == REPLAYED and set(few) <= set(prompts.values())
    assert all(prompt.count(",") == 2 for prompt in prompts.values())
    assert all(prompts[number] == cut_at(3)(case.dataset.images[int(number)].caption or "") for number in prompts)
    said = captions.remark(case, cells)
    assert said is not None and said.startswith("20 of 30 captions") and "2 of the 12 that are replayed" in said


def test_nothing_is_said_of_captions_that_are_read_whole() -> None:
    case = make_case(captions=CAPTIONS)
    assert captions.remark(case, captions.plan(case)) is None


def test_captions_of_which_nothing_can_be_read_are_not_replayed_and_it_is_said() -> None:
    case = make_case(captions=CAPTIONS, fitted=lambda prompt: "")
    assert captions.plan(case) == () and "none is replayed" in (captions.remark(case, ()) or "")


def test_recombined_captions_are_within_what_the_text_encoder_reads() -> None:
    cells = recombined.plan(make_case(captions=CAPTIONS, fitted=cut_at(4)))
    assert cells and all(cell.prompt.count(",") == 3 and cell.prompt not in CAPTIONS for cell in cells)


def test_which_captions_are_replayed_does_not_depend_on_their_order() -> None:
    import dataclasses

    case = make_case(captions=[f"yuki_nk, {n}" for n in range(30)])
    turned = dataclasses.replace(case.dataset, images=case.dataset.images[::-1])
    again = captions.plan(dataclasses.replace(case, dataset=turned))
    assert {cell.prompt for cell in again} == {cell.prompt for cell in captions.plan(case)}


def test_a_picture_that_is_there_twice_is_replayed_once() -> None:
    """Its renders would be the same, and count as several."""
    import dataclasses

    case = make_case(captions=[f"yuki_nk, {n}" for n in range(4)])
    twice = dataclasses.replace(case.dataset, images=(*case.dataset.images, *case.dataset.images[:3]))
    cells = captions.plan(dataclasses.replace(case, dataset=twice))
    assert len({cell.asked for cell in cells}) == 4 and len({(c.prompt, c.seed, c.weight) for c in cells}) == len(cells)


def test_a_dataset_without_captions_replays_none() -> None:
    assert captions.plan(make_case()) == ()


def test_recombined_captions_were_never_trained_on_and_differ_in_the_place_alone() -> None:
    trained = [f"yuki_nk, purple_hair, {place}, full_body, {n}" for n, place in enumerate(("beach", "city") * 10)]
    cells = recombined.plan(make_case(captions=trained))
    assert cells and {cell.weight for cell in cells} == {1.0}
    assert not {cell.prompt for cell in cells} & set(trained)
    for cell in cells:
        other = {"beach": "city", "city": "beach"}[cell.environment]
        assert cell.prompt == trained[int(cell.asked)].replace(cell.environment, other)


def test_captions_that_are_there_with_every_place_are_not_recombined() -> None:
    assert recombined.plan(make_case(captions=CAPTIONS)) == ()
    assert recombined.plan(make_case(captions=["yuki_nk, smile", "yuki_nk, frown"])) == ()
