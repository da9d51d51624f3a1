"""Pictures get the role the source article would give them, with a probability that can be believed, and the reason."""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from benchmarks.role_sets import LABELS, STYLES, PaperSet, Style, draw_set
from benchmarks.roles import calibration_error
from lora_doctor.errors import UsageError
from lora_doctor.roles import SUREST, classify_roles, overruled
from lora_doctor.types import (
    CLOSE_UP,
    FRAMINGS,
    FULL_BODY,
    IDENTITY_EMPHASIS,
    IN_CONTEXT,
    UPPER_BODY,
    Dataset,
    DatasetImage,
    FaceReading,
    LabelSet,
    Reading,
    Subset,
)
from tests.make_label_set import label_set


def dataset(count: int, names: Sequence[str] = ()) -> Dataset:
    paths = names or [f"{i}.png" for i in range(count)]
    return Dataset(
        path=Path("set"),
        images=tuple(
            DatasetImage(path=Path("set") / name, sha256=name, width=1, height=1, caption="a", repeats=3)
            for name in paths
        ),
    )


def seen(framing: str | None, face: float | None, below: float = 1.0, *, plain: float | None = 0.1) -> Reading:
    """A picture whose face is so large a share of its height, with so many face heights of picture below the chin."""
    rows = {}
    if framing is not None:
        rows["framing"] = np.array([0.94 if each == framing else 0.03 for each in FRAMINGS], np.float32)
    if plain is not None:
        rows["environment"] = np.array([1 - plain, plain], np.float32)
    reading = FaceReading(faces=0)
    if face is not None:
        chin = 1000 * (1 - below * face)
        reading = FaceReading(faces=1, score=0.9, box=(0.0, chin - 1000 * face, 10.0, chin))
    return Reading(width=1000, height=1000, face=reading, probabilities=rows)


def classified(*readings: Reading | None, labels: dict[str, LabelSet] = LABELS) -> tuple[DatasetImage, ...]:
    return classify_roles(dataset(len(readings)), readings, labels).images


def chances(readings: Sequence[Reading | None]) -> list[float]:
    return [image.emphasis if image.emphasis is not None else -1 for image in classified(*readings)]


ADULT = (
    [seen(CLOSE_UP, 0.5, 0.4)] * 6
    + [seen(UPPER_BODY, 0.2, 3.0)] * 8
    + [seen(FULL_BODY, 0.09, 9.0)] * 8
)  # fmt: skip
"""A set of somebody of seven heads or so."""
BIG_HEADED = (
    [seen(CLOSE_UP, 0.57, 0.23)] * 6
    + [seen(UPPER_BODY, 0.35, 1.35)] * 8
    + [seen(FULL_BODY, 0.26, 2.2)] * 8
)  # fmt: skip
"""A set of somebody of two and a half."""


# ---------------------------------------------------------------- one picture


@pytest.mark.parametrize(
    ("reading", "role", "shot"),
    [
        (seen(CLOSE_UP, 0.55, 0.4), IDENTITY_EMPHASIS, "close-up"),
        (seen(CLOSE_UP, 0.32, 1.3), IDENTITY_EMPHASIS, "head and shoulders"),
        (seen(CLOSE_UP, None), IDENTITY_EMPHASIS, "close-up"),
        (seen(CLOSE_UP, 0.08, 9.0), IN_CONTEXT, "full body"),
        (seen(UPPER_BODY, 0.18, 3.5), IN_CONTEXT, "upper body"),
        (seen(UPPER_BODY, None), IN_CONTEXT, "upper body"),
        (seen(UPPER_BODY, 0.65, 0.1), IDENTITY_EMPHASIS, "close-up"),
        (seen(FULL_BODY, 0.09, 9.0), IN_CONTEXT, "full body"),
        (seen(FULL_BODY, None), IN_CONTEXT, "full body"),
        (seen(None, 0.5, 0.3), IDENTITY_EMPHASIS, "close-up"),
        (seen(None, 0.09, 9.0), IN_CONTEXT, "full body"),
    ],
)
def test_a_lone_picture_is_told_by_what_is_usual(reading: Reading, role: str, shot: str) -> None:
    (image,) = classified(reading)
    assert image.role == role
    assert image.role_reason.startswith(f"{shot}: ")
    assert image.emphasis is not None
    assert (image.emphasis >= 0.5) == (role == IDENTITY_EMPHASIS)


def test_the_reason_names_what_each_witness_saw() -> None:
    (image,) = classified(seen(CLOSE_UP, 0.5, 0.4, plain=0.9))
    expected = (
        "close-up: face 50% of the height, 0.4 face heights below the chin, CLIP reads close-up, plain background"
    )
    assert image.role_reason == expected
    (image,) = classified(seen(FULL_BODY, None, plain=None))
    assert image.role_reason == "full body: no face found, CLIP reads full_body"


def test_a_picture_that_shows_nothing_keeps_no_role_and_says_why() -> None:
    unread, blank = classified(None, seen(None, None))
    assert (unread.role, unread.emphasis, unread.role_reason) == (None, None, "could not be read")
    assert (blank.role, blank.emphasis) == (None, None)
    assert blank.role_reason == "neither framing nor face could be read"


def test_pictures_that_show_nothing_do_not_change_the_others() -> None:
    alone = chances(ADULT)
    assert chances([*ADULT, None, seen(None, None)])[: len(ADULT)] == pytest.approx(alone, abs=1e-12)


def test_nobody_is_quite_certain_of_a_classified_role() -> None:
    assert all(1 - SUREST <= chance <= SUREST for chance in chances(ADULT))


def test_a_plain_background_speaks_for_identity_emphasis() -> None:
    unsure = (UPPER_BODY, 0.30, 1.5)
    busy, plain = (chances([*ADULT, seen(*unsure, plain=p)])[-1] for p in (0.02, 0.98))
    assert plain > busy + 0.05


@pytest.mark.parametrize("framing", [None, *FRAMINGS])
def test_more_room_below_the_chin_never_speaks_for_identity_emphasis(framing: str | None) -> None:
    rows = [chances([*ADULT, seen(framing, 0.9 / (4 / 3 + below), below)])[-1] for below in np.linspace(0.2, 9, 30)]
    assert all(later <= earlier + 1e-3 for earlier, later in itertools.pairwise(rows))


def test_labels_of_other_framings_take_nothing_away_from_the_three() -> None:
    wide = {**LABELS, "framing": label_set("framing", "framing", "cowboy_shot close-up upper_body full_body")}
    reading = dataclasses.replace(
        seen(None, None), probabilities={"framing": np.array([0.1, 0.8, 0.05, 0.05], np.float32)}
    )
    (image,) = classified(reading, labels=wide)
    assert image.role == IDENTITY_EMPHASIS


@pytest.mark.parametrize("row", [[np.nan] * 3, [0.0] * 3])
def test_a_framing_that_is_no_number_counts_as_not_read(row: list[float]) -> None:
    broken = dataclasses.replace(seen(None, 0.5, 0.3), probabilities={"framing": np.array(row, np.float32)})
    assert chances([broken])[0] == pytest.approx(chances([seen(None, 0.5, 0.3, plain=None)])[0])


# ---------------------------------------------------------------- the dataset teaches


def test_the_same_box_is_a_portrait_of_an_adult_and_half_a_body_of_a_big_headed_character() -> None:
    silent = seen(None, 0.35, 1.35)
    assert chances([*ADULT, silent])[-1] > 0.5
    assert chances([*BIG_HEADED, silent])[-1] < 0.2


def test_big_headed_characters_are_told_also_when_the_set_has_no_full_body() -> None:
    half = BIG_HEADED[:6] + BIG_HEADED[6:14] * 3
    assert all((chance >= 0.5) == (i < 6) for i, chance in enumerate(chances(half)))


@pytest.mark.parametrize("stuck", range(2))  # one that calls everything a full body is half believed
def test_an_eye_that_says_the_same_of_every_picture_is_not_believed(stuck: int) -> None:
    row = np.array([0.94 if i == stuck else 0.03 for i in range(3)], np.float32)
    right = []
    for drawn in paper("photo", clip=True, count=8):
        blind = [dataclasses.replace(r, probabilities={**r.probabilities, "framing": row}) for r in drawn.readings]
        pairs = zip(chances(blind), drawn.roles, drawn.readings, strict=True)
        right += [(chance >= 0.5) == (role == IDENTITY_EMPHASIS) for chance, role, r in pairs if r.face.box is not None]
    assert np.mean(right) >= 0.75


def test_backgrounds_that_are_all_plain_say_nothing() -> None:
    def with_plain(share: float) -> list[Reading]:
        ground = np.array([1 - share, share], np.float32)
        return [dataclasses.replace(r, probabilities={**r.probabilities, "environment": ground}) for r in ADULT]

    assert chances(with_plain(0.98)) == pytest.approx(chances(with_plain(0.02)), abs=0.05)


@pytest.mark.parametrize("pictures", [ADULT, BIG_HEADED], ids=["adult", "big-headed"])
def test_more_pictures_of_the_same_kind_never_unlearn_what_fewer_taught(pictures: list[Reading]) -> None:
    for times in (2, 10, 60):
        assert all((chance >= 0.9) == (i % len(pictures) < 6) for i, chance in enumerate(chances(pictures * times)))


def test_the_order_of_the_pictures_does_not_matter() -> None:
    drawn = draw_set(random.Random(2), "anime", pictures=40, ratio=0.3)
    order = list(range(40))
    random.Random(3).shuffle(order)
    shuffled = chances([drawn.readings[i] for i in order])
    assert shuffled == pytest.approx([chances(drawn.readings)[i] for i in order], abs=1e-9)


def test_nothing_else_of_the_dataset_changes_and_the_order_stays() -> None:
    before = dataset(2)
    after = classify_roles(before, [seen(CLOSE_UP, 0.5, 0.4), seen(FULL_BODY, 0.09, 9)], LABELS)
    unset = [dataclasses.replace(image, role=None, role_reason="", emphasis=None) for image in after.images]
    assert (after.path, unset) == (before.path, list(before.images))
    assert [image.role for image in after.images] == [IDENTITY_EMPHASIS, IN_CONTEXT]


def test_classifying_twice_is_classifying_once() -> None:
    once = classify_roles(dataset(len(ADULT)), ADULT, LABELS)
    assert classify_roles(once, ADULT, LABELS) == once


# ---------------------------------------------------------------- many datasets


def judged(sets: Sequence[PaperSet]) -> tuple[list[float], list[bool]]:
    told: list[tuple[float, bool]] = []
    for drawn in sets:
        found = classified(*drawn.readings)
        told += [(i.emphasis, r == IDENTITY_EMPHASIS) for i, r in zip(found, drawn.roles, strict=True) if i.emphasis]
    return [chance for chance, _ in told], [truth for _, truth in told]


def paper(style: Style, *, clip: bool, count: int = 25) -> list[PaperSet]:
    rng = random.Random(f"{style} {clip}")
    return [
        draw_set(rng, style, pictures=rng.randint(12, 80), ratio=rng.uniform(0.05, 0.95), clip=clip)
        for _ in range(count)
    ]


@pytest.mark.parametrize("style", STYLES)
def test_roles_of_photos_anime_and_big_headed_characters_are_right_and_calibrated(style: Style) -> None:
    told, truths = judged(paper(style, clip=True))
    assert np.mean([(chance >= 0.5) == truth for chance, truth in zip(told, truths, strict=True)]) >= 0.94
    assert calibration_error(told, truths) <= 0.06


@pytest.mark.parametrize("style", ["photo", "anime"])
def test_face_boxes_alone_tell_roles_of_usual_proportions(style: Style) -> None:
    told, truths = judged(paper(style, clip=False))
    assert np.mean([(chance >= 0.5) == truth for chance, truth in zip(told, truths, strict=True)]) >= 0.95


# ---------------------------------------------------------------- what the user says

NAMES = ["a/01.png", "a/02.png", "10_yuki_closeups/03.png", "portrait_x.png", "a/b/04.png"]
WIDE = [seen(FULL_BODY, 0.09, 9.0)] * 5


def test_a_given_role_wins_whatever_the_picture_shows() -> None:
    given = overruled(dataset(5, NAMES), {"a/01.png": IDENTITY_EMPHASIS, "portrait_x.png": IN_CONTEXT})
    images = classify_roles(given, WIDE, LABELS).images
    assert (images[0].role, images[0].emphasis, images[0].role_reason) == (IDENTITY_EMPHASIS, 1.0, "given")
    assert (images[3].role, images[3].emphasis, images[3].role_reason) == (IN_CONTEXT, 0.0, "given")
    assert images[1].role_reason != "given"


def test_a_given_role_can_come_after_the_classifying() -> None:
    after = overruled(classify_roles(dataset(5, NAMES), WIDE, LABELS), {"*.png": IDENTITY_EMPHASIS})
    assert {image.emphasis for image in after.images} == {1.0}


def test_a_given_role_needs_no_readable_picture() -> None:
    given = overruled(dataset(1), {"0.png": IN_CONTEXT})
    (image,) = classify_roles(given, [None], LABELS).images
    assert (image.role, image.emphasis) == (IN_CONTEXT, 0.0)


@pytest.mark.parametrize(
    ("glob", "hits"),
    [
        ("a", {0, 1, 4}), ("a/", {0, 1, 4}), ("./a/0?.png", {0, 1}), ("a/*", {0, 1, 4}), ("*closeups", {2}),
        ("portrait*", {3}), ("*", {0, 1, 2, 3, 4}),
    ],
)  # fmt: skip
def test_globs_are_those_of_paths_below_the_dataset(glob: str, hits: set[int]) -> None:
    images = overruled(dataset(5, NAMES), {glob: IDENTITY_EMPHASIS}).images
    assert {i for i, image in enumerate(images) if image.role is not None} == hits


def test_the_last_glob_that_matches_decides() -> None:
    images = overruled(dataset(5, NAMES), {"*": IN_CONTEXT, "a/b/*": IDENTITY_EMPHASIS}).images
    assert [image.role for image in images] == [IN_CONTEXT] * 4 + [IDENTITY_EMPHASIS]


def test_a_glob_that_matches_nothing_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match=r"'clsoeups/\*'"):
        overruled(dataset(5, NAMES), {"a": IN_CONTEXT, "clsoeups/*": IDENTITY_EMPHASIS})


def test_a_subset_gives_its_role_and_a_file_overrules_its_subset() -> None:
    subsets = (Subset(folder=Path("set/a"), role=IDENTITY_EMPHASIS),)
    one = dataclasses.replace(dataset(2, ["a/1.png", "a/2.png"]), subsets=subsets)
    images = classify_roles(overruled(one, {"a/2.png": IN_CONTEXT}), WIDE[:2], LABELS).images
    assert [(i.role, i.emphasis, i.role_reason) for i in images] == [
        (IDENTITY_EMPHASIS, 1.0, "given"), (IN_CONTEXT, 0.0, "given"),
    ]  # fmt: skip


def test_globs_reach_subsets_that_lie_beside_their_config() -> None:
    images = (DatasetImage(path=Path("work/faces/1.png"), sha256="", width=1, height=1, caption=None),)
    one = Dataset(path=Path("work/dataset.toml"), images=images, subsets=(Subset(folder=Path("work/faces")),))
    assert overruled(one, {"faces": IN_CONTEXT}).images[0].role == IN_CONTEXT
    elsewhere = dataclasses.replace(one, path=Path("other/dataset.toml"))
    assert overruled(elsewhere, {"faces/1.png": IN_CONTEXT}).images[0].role == IN_CONTEXT


def test_given_roles_teach_the_others() -> None:
    silent = [seen(None, 0.35, 1.35, plain=None)] * 12 + [seen(None, 0.57, 0.23, plain=None)] * 6
    told = classify_roles(overruled(dataset(18), {f"{i}.png": IN_CONTEXT for i in range(11)}), silent, LABELS).images
    untold = classify_roles(dataset(18), silent, LABELS).images
    assert told[11].emphasis is not None
    assert untold[11].emphasis is not None
    assert told[11].emphasis < untold[11].emphasis - 0.2


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("close-ups/1.png", IDENTITY_EMPHASIS), ("10_yuki_Closeup/1.png", IDENTITY_EMPHASIS),
        ("Face/1.png", IDENTITY_EMPHASIS), ("headshots/1.png", IDENTITY_EMPHASIS), ("full_body/1.png", IN_CONTEXT),
        ("in-context/x/1.png", IN_CONTEXT), ("surface/1.png", None), ("1.png", None), ("face_fullbody/1.png", None),
    ],
)  # fmt: skip
def test_a_telling_folder_is_mentioned_and_decides_nothing(name: str, role: str | None) -> None:
    (image,) = classify_roles(dataset(1, [name]), WIDE[:1], LABELS).images
    assert image.role == IN_CONTEXT
    assert ("folder" in image.role_reason) == (role is not None)
    if role == IDENTITY_EMPHASIS:
        assert image.role_reason.endswith("though its folder's name says identity-emphasis")
    elif role is not None:
        assert image.role_reason.endswith("as its folder's name says in-context")


def test_undecodable_names_are_no_obstacle() -> None:
    images = overruled(dataset(1, ["f\udcff/1.png"]), {"f*": IN_CONTEXT}).images
    assert images[0].role == IN_CONTEXT
