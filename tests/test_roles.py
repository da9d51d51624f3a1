"""Pictures get the role the source article would give them, with the reason."""

from __future__ import annotations

import dataclasses

import pytest

from lora_doctor.roles import classify_roles, face_share
from lora_doctor.types import CLOSE_UP, FULL_BODY, IDENTITY_EMPHASIS, IN_CONTEXT, UPPER_BODY, DatasetImage
from tests.audits.make_case import LABEL_SETS, Picture, dataset_of, reading_of


def classified(*pictures: Picture) -> tuple[DatasetImage, ...]:
    references = [reading_of(picture) for picture in pictures]
    return classify_roles(dataset_of(pictures), references, LABEL_SETS).images


def seen(framing: str | None, face: float | None, environment: str = "library") -> Picture:
    return Picture(face=face, labels={"environment": environment} | ({"framing": framing} if framing else {}))


@pytest.mark.parametrize(
    ("picture", "role"),
    [
        (seen(CLOSE_UP, 0.55), IDENTITY_EMPHASIS),
        (seen(CLOSE_UP, 0.30), IDENTITY_EMPHASIS),
        (seen(CLOSE_UP, None), IDENTITY_EMPHASIS),
        (seen(CLOSE_UP, 0.10), IN_CONTEXT),
        (seen(UPPER_BODY, 0.35, "simple_background"), IDENTITY_EMPHASIS),
        (seen(UPPER_BODY, 0.35), IN_CONTEXT),
        (seen(UPPER_BODY, 0.20, "simple_background"), IN_CONTEXT),
        (seen(UPPER_BODY, None, "simple_background"), IN_CONTEXT),
        (seen(UPPER_BODY, 0.50), IDENTITY_EMPHASIS),
        (seen(FULL_BODY, 0.22), IN_CONTEXT),
        (seen(FULL_BODY, 0.35, "simple_background"), IN_CONTEXT),
        (seen(FULL_BODY, 0.60), IDENTITY_EMPHASIS),
        (seen(None, 0.40), IDENTITY_EMPHASIS),
        (seen(None, 0.10), IN_CONTEXT),
    ],
)
def test_the_table_in_the_documentation_holds(picture: Picture, role: str) -> None:
    (image,) = classified(picture)
    assert image.role == role
    assert image.role_reason


def test_a_picture_that_shows_nothing_keeps_no_role_and_says_why() -> None:
    unread, blank = classified(Picture(readable=False), seen(None, None))
    assert (unread.role, unread.role_reason) == (None, "could not be read")
    assert (blank.role, blank.role_reason) == (None, "neither framing nor face could be read")


def test_nothing_else_of_the_dataset_changes_and_the_order_stays() -> None:
    pictures = [dataclasses.replace(seen(CLOSE_UP, 0.5), caption="a", repeats=3), seen(FULL_BODY, 0.2)]
    before = dataset_of(pictures)
    after = classify_roles(before, [reading_of(p) for p in pictures], LABEL_SETS)
    assert after.path == before.path
    unset = [dataclasses.replace(image, role=None, role_reason="") for image in after.images]
    assert unset == list(before.images)
    assert [image.role for image in after.images] == [IDENTITY_EMPHASIS, IN_CONTEXT]


def test_a_larger_face_never_turns_identity_emphasis_into_in_context() -> None:
    for framing in (CLOSE_UP, UPPER_BODY, FULL_BODY):
        for environment in ("library", "simple_background"):
            roles = [
                i.role == IDENTITY_EMPHASIS
                for i in classified(*(seen(framing, k / 20, environment) for k in range(1, 18)))
            ]
            assert roles == sorted(roles)


def test_only_the_part_of_the_face_inside_the_picture_counts() -> None:
    whole = reading_of(Picture(face=0.5))
    assert whole is not None
    cut = dataclasses.replace(whole, face=dataclasses.replace(whole.face, box=(0.0, -30.0, 50.0, 20.0)))
    assert face_share(whole) == pytest.approx(0.5)
    assert face_share(cut) == pytest.approx(0.2)
    assert face_share(dataclasses.replace(whole, face=dataclasses.replace(whole.face, box=None))) is None
