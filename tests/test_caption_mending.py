"""Captions as they should be: what is added, replaced, and left alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lora_doctor.caption_mending import CaptionPlan, Mended, mend, written_with_underscores
from lora_doctor.captions import names
from lora_doctor.labels import load_labels
from lora_doctor.plugins import data_folder
from lora_doctor.rival_labels import rivals
from lora_doctor.spelling import Spelling
from lora_doctor.types import FRAMINGS, IDENTITY_EMPHASIS, IN_CONTEXT
from tests.make_label_set import label_set

SETS = {
    one.attribute: one
    for one in (
        label_set("hair_colour", "identity", "white_hair black_hair red_hair"),
        label_set("body", "body", "slender athletic curvy", FRAMINGS[1:]),
        label_set("top", "outfit", "red_shirt blue_shirt", FRAMINGS[1:]),
        label_set("environment", "environment", "library beach simple_background"),
    )
}
PLAN = CaptionPlan(
    trigger="yuki_nk", spec={"hair_colour": "white_hair", "body": "slender", "top": "red_shirt"}, label_sets=SETS,
    misspelt=tuple(Spelling(text=text, kind="typo", captions=()) for text in ("yuki_kn", "yuki nk")),
    class_words=("1girl", "solo"), free=("environment",),
)  # fmt: skip
SOUND = "1girl, yuki_nk, white_hair, slender, library"


def mended(caption: str | None, **shown: str) -> str:
    return mend(caption, PLAN, role=IN_CONTEXT, shown=shown).caption


def test_a_sound_caption_is_returned_as_it_is_written() -> None:
    untidy = "1girl,yuki_nk,  white_hair,slender , library,"
    assert mend(untidy, PLAN, role=IN_CONTEXT, shown={}) == replace(
        mend(SOUND, PLAN, role=IN_CONTEXT, shown={}), caption=untidy
    )


def test_missing_identity_and_body_tokens_go_behind_the_trigger() -> None:
    assert mended("1girl, yuki_nk, library") == "1girl, yuki_nk, white_hair, slender, library"


def test_tags_that_semicolons_part_stay_so() -> None:
    assert mended("1girl; yuki_nk; library; standing") == "1girl; yuki_nk; white_hair; slender; library; standing"
    assert mended("1girl; yuki_nk; white_hair:1.2; slender; library") == (
        "1girl; yuki_nk; white_hair:1.2; slender; library"
    )
    assert mended("1girl; yuki_nk; black_hair; slender; library", hair_colour="white_hair") == (
        "1girl; yuki_nk; white_hair; slender; library"
    )


def test_what_is_added_never_comes_before_a_trigger_that_stands_inside_a_tag() -> None:
    """Trainers that drop tokens keep the first ones: what comes before the trigger takes its place there."""
    plan = replace(PLAN, trigger="ohwx", class_words=("1girl",))

    def written(caption: str) -> str:
        return mend(caption, plan, role=IN_CONTEXT, shown={}).caption

    assert written("ohwx woman, smile") == "ohwx woman, white_hair, slender, smile"
    assert written("1girl, ohwx woman, smile") == "1girl, ohwx woman, white_hair, slender, smile"


def test_weights_stay_and_their_tokens_are_read() -> None:
    sound = "1girl, yuki_nk, (white_hair:1.2), (slender), library"
    assert mended(sound) == sound
    assert mended("1girl, yuki_nk, (black hair:1.2), slender") == "1girl, yuki_nk, (white_hair:1.2), slender"
    assert mended("1girl, yuki_nk, (black hair:1.2), white_hair, slender") == "1girl, yuki_nk, white_hair, slender"


def test_every_line_of_a_caption_stays_one() -> None:
    """Trainers read the first line, any line, or all of them with a comma between."""
    assert mended("1girl, yuki_nk, smile\nblack_hair, slender\nlibrary") == (
        "1girl, yuki_nk, smile\nwhite_hair, slender\nlibrary"
    )
    assert mended("1girl, smile\nbest quality") == "1girl, yuki_nk, white_hair, slender, smile\nbest quality"
    assert mended("1girl, yuki_nk, slender\nwhite_hair, black_hair, smile") == (
        "1girl, yuki_nk, slender\nwhite_hair, smile"
    )
    assert mended("yuki_nk is sitting in the library.\n\nShe is slender.") == (
        "yuki_nk is sitting in the library. white hair\n\nShe is slender."
    )


def test_a_kept_part_keeps_its_mark_and_the_trigger_before_it() -> None:
    assert mended("1girl, yuki_nk ||| library, smile") == "1girl, yuki_nk ||| white_hair, slender, library, smile"
    assert mended("1girl ||| white_hair, slender") == "1girl, yuki_nk ||| white_hair, slender"
    assert mended("1girl, yuki_nk ||| black_hair, slender") == "1girl, yuki_nk ||| white_hair, slender"
    assert mended("1girl, yuki_nk ||| slender ||| best quality") == (
        "1girl, yuki_nk ||| white_hair, slender ||| best quality"
    )


def test_a_trigger_in_a_sentence_without_spaces_and_one_with_escaped_brackets_are_not_written_twice() -> None:
    bare = CaptionPlan(trigger="yuki_nk", spec={}, label_sets={})
    assert mend("yuki_nk站在海滩里，白发", bare, role=IN_CONTEXT, shown={}).changes == ()
    saber = replace(bare, trigger="saber (fate)")
    assert mend("saber \\(fate\\), 1girl", saber, role=IN_CONTEXT, shown={}).changes == ()


def test_a_missing_trigger_goes_behind_the_class_words() -> None:
    assert mended("1girl, solo, white_hair, slender, library") == "1girl, solo, yuki_nk, white_hair, slender, library"


@pytest.mark.parametrize("wrong", ["yuki_kn", "yuki nk", "Yuki_KN"])
def test_a_misspelt_trigger_is_replaced_where_it_stands(wrong: str) -> None:
    assert mended(f"1girl, white_hair, {wrong}, slender") == "1girl, white_hair, yuki_nk, slender"


def test_a_word_that_means_something_is_replaced_alone_and_in_the_triggers_place() -> None:
    plan = replace(PLAN, misspelt=(Spelling(text="yuki_ng", kind="typo", captions=(), places=(1, 1)),))

    def written(caption: str) -> str:
        return mend(caption, plan, role=IN_CONTEXT, shown={}).caption

    assert written("1girl, yuki_ng, white_hair, slender") == "1girl, yuki_nk, white_hair, slender"
    assert written("1girl, white_hair, slender, yuki_ng") == "1girl, yuki_nk, white_hair, slender, yuki_ng"
    assert written("1girl, gold yuki_ng, white_hair, slender") == "1girl, yuki_nk, gold yuki_ng, white_hair, slender"


def test_a_label_is_never_taken_apart_for_the_trigger() -> None:
    plan = replace(PLAN, trigger="hana", misspelt=(Spelling(text="hair", kind="typo", captions=()),))
    found = mend("1girl, white hair, slender", plan, role=IN_CONTEXT, shown={})
    assert (found.caption, found.changes) == ("1girl, hana, white hair, slender", ("trigger hana added",))


def test_another_persons_hair_is_corrected() -> None:
    assert mended("1girl, yuki_nk, black_hair, slender") == "1girl, yuki_nk, white_hair, slender"
    assert mended("1girl, yuki_nk, black_hair, white_hair, slender") == "1girl, yuki_nk, white_hair, slender"


def test_where_the_picture_shows_the_other_hair_the_caption_is_right() -> None:
    assert mended("1girl, yuki_nk, black_hair, slender", hair_colour="black_hair") == (
        "1girl, yuki_nk, black_hair, slender"
    )


def test_a_place_is_named_as_it_is_seen_and_only_in_context() -> None:
    bare = "1girl, yuki_nk, white_hair, slender"
    assert mended(bare, environment="beach") == "1girl, yuki_nk, beach, white_hair, slender"
    assert mend(bare, PLAN, role=IDENTITY_EMPHASIS, shown={"environment": "beach"}).changes == ()
    assert mended(bare) == bare


def test_clothes_are_not_added_unless_they_are_to_be_free() -> None:
    assert "red_shirt" not in mended("1girl, yuki_nk", top="red_shirt")


def test_a_token_that_the_picture_does_not_show_goes() -> None:
    plan = replace(PLAN, unseen=("library",))
    assert mend(SOUND, plan, role=IN_CONTEXT, shown={"environment": "beach"}).caption == (
        "1girl, yuki_nk, beach, white_hair, slender"
    )
    weighted = SOUND.replace("library", "(library:1.2)")
    assert mend(weighted, plan, role=IN_CONTEXT, shown={"environment": "beach"}).caption == (
        "1girl, yuki_nk, beach, white_hair, slender"
    )
    assert mend(SOUND, plan, role=IN_CONTEXT, shown={"environment": "library"}).caption == SOUND
    assert mend(SOUND, plan, role=IN_CONTEXT, shown={}).caption == SOUND


def test_no_caption_becomes_one() -> None:
    assert mended(None, environment="beach") == "1girl, yuki_nk, white_hair, slender, beach"
    assert mended("  ") == "1girl, yuki_nk, white_hair, slender"


def test_prose_stays_prose() -> None:
    assert mended("A portrait of yuki_nk sitting at a window.") == (
        "A portrait of yuki_nk sitting at a window. white hair, slender"
    )
    assert mended("A portrait of yuki_nk with black hair sitting at a window.", hair_colour="white_hair") == (
        "A portrait of yuki_nk with white hair sitting at a window. slender"
    )


@pytest.mark.parametrize(
    ("caption", "shown"),
    [
        ("A portrait of yuki_nk with black hair sitting at a window", {}),
        ("yuki_nk standing beside a man with black hair in a street", {}),
        ("yuki_nk standing beside a man with black hair in a street", {"hair_colour": "white_hair"}),
        ("yuki_nk looks at a mannequin with a curvy figure in a shop", {"body": "slender"}),
        ("yuki_nk, doll_with_black_hair", {}),
        ("yuki_nk stands at a counter in a shop, a clerk has black hair", {"hair_colour": "white_hair"}),
        ("yuki_nk stands at the counter while the clerk with black hair smiles", {"hair_colour": "white_hair"}),
        ("A photo of yuki_nk in a cafe. She doesn't have black hair", {"hair_colour": "white_hair"}),
        ("A photo of yuki_nk in a cafe. She cannot show her black hair", {"hair_colour": "white_hair"}),
    ],
)
def test_a_sentence_that_may_mean_somebody_else_is_left_to_a_person(caption: str, shown: dict[str, str]) -> None:
    found = mend(caption, PLAN, role=IN_CONTEXT, shown=shown)
    said = "curvy" if "curvy" in caption else "black_hair"
    assert found.caption.startswith(caption.partition(",")[0]) and caption.partition(",")[2] in found.caption
    assert found.by_hand == (f"says {said}, the character has {'slender' if said == 'curvy' else 'white_hair'}",)
    assert not any("->" in change for change in found.changes)


SPOKEN_OF = {
    **SETS,
    "eye_colour": label_set("eye_colour", "identity", "red_eyes green_eyes blue_eyes"),
    "skin": label_set("skin", "identity", "pale_skin dark_skin"),
}


@pytest.mark.parametrize(
    "caption",
    [
        "2girls, yuki_nk, white_hair, black_hair, red_eyes, blue_eyes, pale_skin, slender, hug",
        "1girl, 1boy, yuki_nk, white_hair, red_eyes, dark_skin, pale_skin, slender",
        "2girls, yuki_nk, black_hair, red_eyes, pale_skin, slender",
        "yuki_nk hugging a man with black hair and green eyes in a park, white hair, red eyes, pale skin, slender",
        "yuki_nk, a girl with white hair and red eyes, holding a cat with green eyes, pale skin, slender",
        "yuki_nk with white hair and red eyes. A boy with black hair stands on the left. She is slender, pale skin",
        "photo of yuki_nk in a cafe, a clerk behind her has black hair, white hair, red eyes, pale skin, slender",
        "yuki_nk used to have black hair, red eyes, pale skin, slender",
    ],
)
def test_what_may_be_somebody_elses_is_left_to_a_person(caption: str) -> None:
    """Though the picture certainly shows the character's own."""
    spec = {"hair_colour": "white_hair", "eye_colour": "red_eyes", "skin": "pale_skin", "body": "slender"}
    plan = CaptionPlan(trigger="yuki_nk", spec=spec, label_sets=SPOKEN_OF)
    found = mend(caption, plan, role=IN_CONTEXT, shown=spec)
    assert (found.caption, found.changes) == (caption, ())
    assert found.by_hand and all(note.startswith("says ") for note in found.by_hand)


def test_hair_ties_have_no_hair_colour() -> None:
    caption = "yuki_nk, white hair with black hair ties, slender"
    assert mend(caption, PLAN, role=IN_CONTEXT, shown={"hair_colour": "white_hair"}) == Mended(caption=caption)
    assert mended("yuki_nk has black hair and black hair ties, slender", hair_colour="white_hair") == (
        "yuki_nk has white hair and black hair ties, slender"
    )


@pytest.mark.parametrize(
    ("spec", "caption"),
    [
        ({"hair_colour": "white_hair"}, "1girl, yuki_nk, white_hair, red_hair, multicolored_hair, slender"),
        ({"hair_colour": "white_hair"}, "1girl, yuki_nk, white_hair, bright_purple_hair, split-color_hair"),
        ({"hair_colour": "purple_hair"}, "1girl, yuki_nk, bright_purple_hair"),
        ({"hair_colour": "white_hair"}, "yuki_nk, a white-haired girl at the bar of a cafe"),
        ({"hair_length": "long_hair"}, "1girl, yuki_nk, very_long_hair"),
        ({"eye_colour": "blue_eyes"}, "1girl, yuki_nk, blue_eyes, red_eyes, heterochromia"),
        ({"eye_colour": "blue_eyes"}, "1girl, yuki_nk, ice_blue_eyes"),
        ({"body": "slender"}, "1girl, yuki_nk, slender, athletic"),
    ],
)
def test_true_traits_that_the_audit_accepts_are_left_as_they_are(spec: dict[str, str], caption: str) -> None:
    sets = {
        **SETS,
        "hair_colour": label_set("hair_colour", "identity", "white_hair black_hair red_hair purple_hair"),
        "hair_length": label_set("hair_length", "identity", "short_hair long_hair very_long_hair"),
        "eye_colour": label_set("eye_colour", "identity", "blue_eyes red_eyes"),
    }
    plan = CaptionPlan(trigger="yuki_nk", spec=spec, label_sets=sets)
    assert mend(caption, plan, role=IN_CONTEXT, shown={}) == Mended(caption=caption)
    assert all(rivals(sets[attribute].labels, own, caption) == [] for attribute, own in spec.items())


CHARACTER = load_labels(data_folder("rules") / "labels" / "character.toml")


@pytest.mark.parametrize(
    ("spec", "caption"),
    [
        ({"hair_length": "long_hair"}, "1girl, yuki_nk, long_hair"),
        ({"eye_colour": "blue_eyes"}, "1girl, yuki_nk, blue_eyes, purple_eyes, multicolored_eyes"),
        ({"eye_colour": "blue_eyes"}, "1girl, yuki_nk, blue_eyes, red_eyes, gradient_eyes"),
        ({"hair_colour": "grey_hair"}, "a portrait of yuki_nk with gray hair"),
        ({"hair_colour": "blonde_hair"}, "a portrait of yuki_nk with short blond hair"),
        ({"skin": "pale_skin"}, "yuki_nk with pale skin on a street, wearing a tan trench coat"),
        ({"skin": "tan"}, "1girl, yuki_nk, tanned"),
        ({"height": "tall"}, "1girl, yuki_nk, tall_female"),
    ],
)
def test_true_traits_in_the_words_of_the_shipped_labels_are_left_as_they_are(
    spec: dict[str, str], caption: str
) -> None:
    plan = CaptionPlan(trigger="yuki_nk", spec=spec, label_sets=CHARACTER)
    assert mend(caption, plan, role=IN_CONTEXT, shown=spec) == Mended(caption=caption)


def test_the_other_spelling_of_a_colour_is_corrected_too() -> None:
    plan = CaptionPlan(trigger="yuki_nk", spec={"hair_colour": "white_hair"}, label_sets=CHARACTER)
    caption = "a portrait of yuki_nk with gray hair in a park"
    found = mend(caption, plan, role=IN_CONTEXT, shown={"hair_colour": "white_hair"})
    assert found.caption == "a portrait of yuki_nk with white hair in a park"


def test_the_other_half_of_two_colours_is_kept_and_the_characters_own_added() -> None:
    assert mended("1girl, yuki_nk, red_hair, multicolored_hair, slender") == (
        "1girl, yuki_nk, white_hair, red_hair, multicolored_hair, slender"
    )


def test_a_more_precise_tag_of_another_colour_goes_whole() -> None:
    assert mended("1girl, yuki_nk, jet_black_hair, slender") == "1girl, yuki_nk, white_hair, slender"
    assert mended("1girl, yuki_nk, jet_black_hair,white_hair, slender,") == "1girl, yuki_nk, white_hair, slender"
    assert mended("1girl, yuki_nk, dark_black_hair, slender") == "1girl, yuki_nk, white_hair, slender"


def test_a_trigger_with_two_spaces_or_apart_at_its_comma_is_not_written_twice() -> None:
    def one(trigger: str, caption: str) -> Mended:
        return mend(caption, replace(PLAN, trigger=trigger, spec={}), role=None, shown={})

    assert one("ohwx woman", "ohwx  woman, smile").changes == ()
    assert one("yuki_nk, hero", "yuki_nk, smile, hero").changes == ()


@pytest.mark.parametrize("caption", [None, "", " \n"])
def test_a_picture_of_which_nothing_is_known_gets_no_empty_caption(caption: str | None) -> None:
    plan = CaptionPlan(trigger="", spec={}, label_sets=SETS)
    assert mend(caption, plan, role=None, shown={}) == Mended(caption=caption or "")


def test_nothing_is_put_into_the_middle_of_a_short_sentence() -> None:
    assert mended("yuki_nk, who is slender, walks.") == "yuki_nk, who is slender, walks. white hair"
    assert mended("the yuki_nk, in the library") == "the yuki_nk, in the library, white hair, slender"


def test_a_full_stop_behind_a_list_of_tags_is_no_part_of_the_last_one() -> None:
    sound = "1girl, yuki_nk, slender, white hair."
    assert mended(sound) == sound
    assert mended("1girl, yuki_nk, slender, black hair.") == "1girl, yuki_nk, slender, white_hair."
    assert mended("1girl, yuki_nk, white_hair, slender, black hair.") == "1girl, yuki_nk, white_hair, slender"


def test_what_a_tag_says_besides_the_colour_stays() -> None:
    assert mended("1girl, yuki_nk, long_black_hair, slender") == "1girl, yuki_nk, long_white_hair, slender"
    assert mended("1girl, yuki_nk, (very_long_black_hair:1.2), slender") == (
        "1girl, yuki_nk, (very_long_white_hair:1.2), slender"
    )
    assert mended("1girl, yuki_nk, white_hair, long_black_hair, slender") == (
        "1girl, yuki_nk, white_hair, long_hair, slender"
    )


def test_a_length_that_stands_before_a_colour_is_not_asked_for_again() -> None:
    lengths = label_set("hair_length", "identity", "short_hair long_hair")
    plan = replace(PLAN, spec={"hair_length": "long_hair"}, label_sets={"hair_length": lengths})

    def one(caption: str) -> Mended:
        return mend(caption, plan, role=None, shown={})

    assert one("1girl, yuki_nk, long_white_hair").changes == ()
    assert one("yuki_nk is a girl with long white hair in a park").changes == ()
    short = one("1girl, yuki_nk, short_white_hair")
    assert (short.changes, short.by_hand) == ((), ("says short_hair, the character has long_hair",))


def test_spaces_are_kept_where_the_dataset_writes_them() -> None:
    assert not written_with_underscores(["1girl, white hair, blue eyes"])
    assert written_with_underscores(["1girl, white_hair, blue_eyes"])
    assert not written_with_underscores(["yuki_nk, white hair", "a photo of yuki_nk in the park"], "yuki_nk")
    assert not written_with_underscores(["1girl, yuki_nk, white hair", "yuki_nk, smile"], "yuki_nk")
    assert not written_with_underscores(["A woman called yuki_nk stands on a beach at night"], "yuki_nk")
    assert written_with_underscores(["yuki_nk", "1girl, smile"], "yuki_nk")
    plan = replace(PLAN, underscores=False)
    assert mend("1girl, yuki_nk, slender", plan, role=IN_CONTEXT, shown={}).caption == (
        "1girl, yuki_nk, white hair, slender"
    )


def test_a_word_inside_a_longer_word_is_left_alone() -> None:
    assert mended("1girl, yuki_nk, white_hair, slender, black_hair_ribbon") == (
        "1girl, yuki_nk, white_hair, slender, black_hair_ribbon"
    )


CAPTIONS = st.lists(
    st.sampled_from(["1girl", "yuki_nk", "yuki_kn", "black_hair", "white_hair", "curvy", "beach", "a b c d e f"]),
    max_size=8,
).map(", ".join)


@example("_", IN_CONTEXT)  # a token without a letter
@given(CAPTIONS | st.text(max_size=60), st.sampled_from([IN_CONTEXT, IDENTITY_EMPHASIS, None]))
def test_mending_twice_changes_nothing_more(caption: str, role: object) -> None:
    once = mend(caption, PLAN, role=role, shown={"environment": "beach"})  # type: ignore[arg-type]
    assert mend(once.caption, PLAN, role=role, shown={"environment": "beach"}).changes == ()  # type: ignore[arg-type]


@given(CAPTIONS)
def test_what_is_mended_names_the_trigger_and_the_spec(caption: str) -> None:
    text = mended(caption)
    assert "yuki_nk" in text
    assert names(text, "white_hair") and names(text, "slender")
    assert not names(text, "black_hair")
