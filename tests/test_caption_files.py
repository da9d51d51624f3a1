"""The text of a caption file -> what the trainer may show."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_doctor.caption_files import MAX_LETTERS, MAX_VARIANTS, captions_of, parts_of_wildcards
from lora_doctor.types import Subset

FOLDER = Path("pictures")
TEXTS = st.text(alphabet=st.sampled_from(list("ab {}|,\n\r[trige]\ue000")), max_size=60) | st.text(max_size=60)


def subset(**fields: object) -> Subset:
    return Subset(folder=FOLDER, **fields)  # type: ignore[arg-type]


def test_a_whole_text_stays_whole() -> None:
    assert captions_of(subset(), "a.png", "1girl, yuki\nin a library\n") == ("1girl, yuki\nin a library",)


def test_no_file_gives_no_caption_and_an_empty_one_an_empty_caption() -> None:
    assert captions_of(subset(), "a.png", None) == ()
    assert captions_of(subset(), "a.png", " \n") == ("",)


def test_the_first_line_is_the_first_even_if_it_is_blank() -> None:
    assert captions_of(subset(caption_lines="first"), "a.png", "one\ntwo") == ("one",)
    assert captions_of(subset(caption_lines="first"), "a.png", "\ntwo") == ("",)


def test_any_line_may_come_but_no_blank_one() -> None:
    assert captions_of(subset(caption_lines="any"), "a.png", "one\r\n\r\n two \none") == ("one", "two")


def test_class_tokens_stand_in_for_a_file_that_is_not_there() -> None:
    assert captions_of(subset(class_tokens="ohwx girl"), "a.png", None) == ("ohwx girl",)
    assert captions_of(subset(class_tokens="ohwx girl"), "a.png", "1girl") == ("1girl",)


def test_ai_toolkits_default_caption_stands_in_for_an_empty_file_and_sd_scripts_class_tokens_do_not() -> None:
    assert captions_of(subset(class_tokens="a girl"), "a.png", " ") == ("a girl",)
    assert captions_of(subset(class_tokens="a girl", caption_lines="first"), "a.png", " ") == ("",)


def test_prefix_and_suffix_surround_every_line() -> None:
    lines = subset(caption_lines="any", prefix="ohwx, ", suffix=", end")
    assert captions_of(lines, "a.png", "one\ntwo") == ("ohwx, one, end", "ohwx, two, end")


def test_with_wildcards_the_prefix_is_on_the_first_line_alone_and_the_suffix_on_the_last() -> None:
    kohya = subset(caption_lines="any", wildcards=True, prefix="ohwx, ", suffix=", end")
    assert captions_of(kohya, "a.png", "one\ntwo") == ("ohwx, one", "two, end")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a {red|blue} dress", {"a red dress", "a blue dress"}),
        ("{a|b} {c|d}", {"a c", "a d", "b c", "b d"}),
        ("{{a|b}}", {"{a|b}"}),
        ("{one}", {"one"}),
        ("{}", {"{}"}),
        ("{a|}x", {"ax", "x"}),
        ("{a|b", {"{a|b"}),
    ],
)
def test_a_wildcard_is_one_of_its_parts(text: str, found: set[str]) -> None:
    assert set(captions_of(subset(caption_lines="any", wildcards=True), "a.png", text)) == found


def test_wildcards_are_left_alone_where_the_trainer_has_none() -> None:
    assert captions_of(subset(), "a.png", "a {red|blue} dress") == ("a {red|blue} dress",)


def test_of_many_combinations_each_part_comes_up_equally_often_and_not_always_with_the_same_other() -> None:
    found = captions_of(subset(caption_lines="any", wildcards=True), "a.png", "{a|b}{c|d}{e|f}{g|h}{i|j}{k|l}{m|n}")
    assert MAX_VARIANTS / 2 < len(found) <= MAX_VARIANTS
    for at, parts in enumerate(["ab", "cd", "ef", "gh", "ij", "kl", "mn"]):
        assert abs(sum(one[at] == parts[0] for one in found) - len(found) / 2) <= 2
    assert len({one[:2] for one in found}) == 4


def test_a_trigger_is_put_in_its_place_or_before_captions_that_lack_it() -> None:
    toolkit = subset(trigger="ohwx", class_tokens="")
    assert captions_of(toolkit, "a.png", "a [trigger] girl") == ("a ohwx girl",)
    assert captions_of(toolkit, "a.png", "a girl") == ("ohwx a girl",)
    assert captions_of(toolkit, "a.png", "ohwxy girl") == ("ohwxy girl",)  # ai-toolkit counts letters, not words
    assert captions_of(toolkit, "a.png", None) == ("ohwx",)


def test_an_empty_trigger_removes_the_mark_and_regularisation_gets_none() -> None:
    assert captions_of(subset(trigger=""), "a.png", "[trigger] girl") == ("girl",)
    assert captions_of(subset(trigger="ohwx", regularisation=True), "a.png", "a girl") == ("a girl",)
    assert captions_of(subset(), "a.png", "[trigger] girl") == ("[trigger] girl",)


def test_a_long_caption_is_not_multiplied() -> None:
    long = "{a|b}" + "x" * MAX_LETTERS
    assert len(captions_of(subset(caption_lines="any", wildcards=True), "a.png", long)) == 1


def test_a_hostile_run_of_private_letters_costs_no_time() -> None:
    text = "\ue000" * 500_000 + "{a|b}"
    assert captions_of(subset(caption_lines="any", wildcards=True), "a.png", text)[0].endswith("a")


@given(
    TEXTS | st.none(),
    st.sampled_from(["whole", "first", "any"]),
    st.booleans(),
    st.sampled_from(["", "p, "]),
    st.sampled_from([None, "", "c {x|y}"]),
    st.sampled_from([None, "", "ohwx"]),
)
def test_any_text_gives_a_bounded_number_of_captions_each_once(
    text: str | None, lines: str, wildcards: bool, prefix: str, words: str | None, trigger: str | None
) -> None:
    each = subset(caption_lines=lines, wildcards=wildcards, prefix=prefix, class_tokens=words, trigger=trigger)
    found = captions_of(each, "a.png", text)
    assert len(found) <= MAX_VARIANTS and len(set(found)) == len(found)
    assert found == captions_of(each, "a.png", text)
    assert all(one == one.strip() for one in found)
    assert text is None or found
    if trigger and found:
        assert all(trigger in one for one in found)


def test_the_parts_of_wildcards_are_told_and_braces_that_are_meant_are_none() -> None:
    assert parts_of_wildcards("a {red|dark blue} hat, {{smile|grin}}, {park}") == ["red", "dark blue", "park"]
