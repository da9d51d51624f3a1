"""The trigger is induced from tags and prose, and is left open where captions do not tell."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from lora_doctor.spelling import other_spellings
from lora_doctor.trigger import Vocabulary, induce_trigger
from lora_doctor.types import Dataset, Subset
from tests.audits.make_case import LABEL_SETS, Picture, dataset_of

PLACES = ("library", "beach", "quiet forest street", "cosy kitchen", "park bench")
ACTS = ("reading a book", "walking slowly", "sitting on a chair", "drinking tea")
WAYS = {
    "tags": "1girl, solo, {t}, white_hair, ahoge, thighhighs, looking_at_viewer, red_scarf, {p}",
    "prose": "A photo of {t} {a} in a {p}. She has long white hair and wears a red silk scarf.",
    "name first": "{t}, a young woman with long white hair and blue eyes, is {a} in a {p}.",
}


def captions(trigger: str, way: str, count: int = 30) -> list[str]:
    rng = Random(f"{trigger}-{way}")
    return [WAYS[way].format(t=trigger, p=rng.choice(PLACES), a=rng.choice(ACTS)) for _ in range(count)]


def dataset(texts: list[str], **subset: object) -> Dataset:
    made = dataset_of([Picture(caption=text) for text in texts])
    return replace(made, subsets=(Subset(folder=Path("10_x"), **subset),)) if subset else made  # type: ignore[arg-type]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("trigger", ["yuki_nk", "ohwx", "sks", "xq7", "misa", "Luna", "Sakura", "Emma_v2", "c5001_nk"])
def test_the_word_that_no_vocabulary_knows_is_the_trigger(trigger: str, way: str) -> None:
    found = induce_trigger(dataset(captions(trigger, way)), LABEL_SETS)
    assert found.word == trigger
    assert found.candidates[0] == trigger
    assert "100%" in found.reason


def test_a_class_word_is_no_part_of_the_trigger_and_a_second_name_is() -> None:
    assert induce_trigger(dataset(captions("ohwx woman", "prose")), LABEL_SETS).word == "ohwx"
    assert induce_trigger(dataset(captions("Yuki Tanaka", "prose")), LABEL_SETS).word == "Yuki Tanaka"


@pytest.mark.parametrize(
    "tag",
    ["saber_(fate)", "saber \\(fate\\)", "hoshino ai \\(oshi no ko\\)", "hoshino_ai_(oshi_no_ko)", "2b_(nier:automata)",
     "rem_(re:zero)", "yorha no. 2 type b"],
)  # fmt: skip
def test_a_name_of_danbooru_is_the_trigger_as_a_whole_with_its_brackets(tag: str) -> None:
    found = induce_trigger(dataset(captions(tag, "tags")), LABEL_SETS)
    assert (found.word, found.candidates) == (tag, (tag,))


def test_a_tag_with_a_class_word_is_not_the_trigger_as_a_whole() -> None:
    assert induce_trigger(dataset(captions("ohwx woman", "tags")), LABEL_SETS).word == "ohwx"


@pytest.mark.parametrize(
    "way",
    [
        "(yuki_nk:1.2), 1girl, smile, {p}",
        "1girl, yuki_nk ||| white_hair, smile, {p}",
        "yuki_nk站在{p}里，白色长发，蓝色眼睛。",
        "1girl, (yuki_nk), smile, {p}",
    ],
)
def test_weights_kept_parts_and_scripts_without_spaces_are_no_part_of_the_trigger(way: str) -> None:
    places = ["海滩", "森林", "城市", "教室", "厨房", "花园", "舞台", "街道"]
    found = induce_trigger(dataset([way.format(p=place) for place in places]), LABEL_SETS)
    assert found.word == "yuki_nk"


@pytest.mark.parametrize("way", ["tags", "prose"])
def test_misspellings_count_for_the_trigger(way: str) -> None:
    texts = captions("yuki_nk", way, 20) + captions("yuki_nl", way, 12)
    found = induce_trigger(dataset(texts), LABEL_SETS)
    assert (found.word, found.candidates) == ("yuki_nk", ("yuki_nk",))
    assert "100%" in found.reason


def test_a_trigger_that_half_of_the_captions_lack_is_still_found() -> None:
    texts = captions("yuki_nk", "tags", 15) + [
        text.replace("yuki_nk, ", "") for text in captions("yuki_nk", "tags", 15)
    ]
    found = induce_trigger(dataset(texts), LABEL_SETS)
    assert found.word == "yuki_nk"
    assert "50%" in found.reason


@pytest.mark.parametrize("artist", ["by gregx_rt", "artist:gregx_rt"])
def test_who_drew_the_pictures_is_not_who_is_in_them(artist: str) -> None:
    texts = [text.replace("1girl, ", f"1girl, {artist}, ") for text in captions("yuki_nk", "tags")]
    assert all(artist in text for text in texts)
    assert induce_trigger(dataset(texts), LABEL_SETS).word == "yuki_nk"


def test_two_characters_leave_it_open() -> None:
    found = induce_trigger(dataset(captions("yuki_nk", "tags") + captions("akane_nk", "tags")), LABEL_SETS)
    assert found.word is None
    assert set(found.candidates[:2]) == {"yuki_nk", "akane_nk"}
    assert "each stand in a part" in found.reason
    assert set(found.apart) == {"yuki_nk", "akane_nk"}
    assert found.public_reason == "two words each stand in a part of the captions"


def test_ordinary_words_alone_leave_it_open() -> None:
    found = induce_trigger(dataset(captions("anna", "prose")), LABEL_SETS)
    assert (found.word, "ordinary" in found.reason) == (None, True)
    assert induce_trigger(dataset([]), LABEL_SETS).reason == "no picture has a caption"


def test_a_folders_name_makes_an_ordinary_name_the_trigger() -> None:
    texts = captions("anna", "prose")
    assert induce_trigger(dataset(texts, class_tokens="anna woman"), LABEL_SETS).word == "anna"
    named = replace(dataset(texts), subsets=(Subset(folder=Path("set/10_anna woman")),))
    assert induce_trigger(named, LABEL_SETS).word == "anna"


def test_what_the_config_says_stands() -> None:
    found = induce_trigger(dataset(captions("yuki_nk", "tags"), trigger="other"), LABEL_SETS)
    assert (found.word, found.reason) == ("other", "the training config says so")


def test_repeats_weigh() -> None:
    pictures = [Picture(caption="1girl, yuki_nk, beach", repeats=9)] + [Picture(caption="1girl, library")] * 6
    assert induce_trigger(dataset_of(pictures), LABEL_SETS).word == "yuki_nk"


def test_labels_of_the_label_sets_are_no_triggers() -> None:
    texts = ["1girl, petite, night_sky"] * 9
    assert induce_trigger(dataset(texts), LABEL_SETS).word is None


@pytest.mark.parametrize("word", ["1girl", "4k", "35mm", "80s", "long_hair", "white-haired", "score_9", "thighhighs"])
def test_tags_with_digits_and_tags_that_clip_does_not_know_are_known(word: str) -> None:
    assert Vocabulary(LABEL_SETS).knows(word)


def test_an_induced_trigger_holds_the_same_in_whatever_order_captions_come() -> None:
    texts = captions("yuki_nk", "prose", 12) + captions("yuki_nl", "prose", 3)
    words = set()
    for seed in range(5):
        Random(seed).shuffle(texts)
        words.add(induce_trigger(dataset(texts), LABEL_SETS).word)
        assert [len(one.captions) for one in other_spellings(texts, "yuki_nk")] == [3]
    assert words == {"yuki_nk"}
