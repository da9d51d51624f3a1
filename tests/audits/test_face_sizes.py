"""How large faces are when they are trained on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lora_doctor.audits.face_sizes import audit
from lora_doctor.types import IDENTITY_EMPHASIS, IN_CONTEXT, Case, Subset, TrainingSettings
from tests.audits.make_case import Picture, get, make_case

FAR = Picture(role=IN_CONTEXT, face=0.1)


def sized(case: Case, wide: int, tall: int, **subset: object) -> Case:
    """The pictures are so large; they were read as 100 x 100."""
    images = tuple(replace(image, width=wide, height=tall) for image in case.dataset.images)
    subsets = (Subset(folder=case.dataset.path, **subset),) if subset else ()  # type: ignore[arg-type]
    return replace(case, dataset=replace(case.dataset, images=images, subsets=subsets))


def height(case: Case, quantile: str = "50") -> float:
    return get(audit(case), "faces.height", quantile=quantile).value or 0.0


def test_a_picture_is_made_smaller_to_the_area_trained_at() -> None:
    case = make_case([FAR], training=TrainingSettings(resolution=512))
    assert height(sized(case, 2048, 2048)) == pytest.approx(51.2)
    assert height(sized(case, 1024, 2048)) == pytest.approx(204.8 * 512 / (1024 * 2048) ** 0.5)
    assert height(sized(case, 2048, 2048, resolution=(1024, 1024))) == pytest.approx(102.4)


def test_without_buckets_the_picture_is_cut_not_squeezed() -> None:
    case = make_case([FAR])
    assert height(sized(case, 1024, 2048, resolution=(512, 512), buckets=False)) == pytest.approx(102.4)


def test_enlarging_adds_no_detail() -> None:
    case = make_case([FAR], training=TrainingSettings(resolution=1024))
    assert height(sized(case, 256, 256)) == pytest.approx(25.6)


def test_shares_are_of_in_context_pictures_and_count_repeats() -> None:
    pictures = [FAR, replace(FAR, face=0.3, repeats=3), Picture(role=IDENTITY_EMPHASIS, face=0.01)]
    found = audit(sized(make_case(pictures, training=TrainingSettings(resolution=512)), 512, 512))
    below = get(found, "faces.below_share", pixels="64")
    assert below.value == 0.25
    assert below.pictures == (0,)
    assert below.reason is None
    assert get(found, "faces.below_share", height="1/7").value == 0.25
    assert get(found, "faces.below_share", pixels="32").value == 0
    assert get(found, "faces.latent_height").value == pytest.approx(0.3 * 512 / 8)


def test_faces_near_the_limit_make_the_share_uncertain() -> None:
    case = make_case([replace(FAR, face=0.12)] * 10, training=TrainingSettings(resolution=512))
    below = get(audit(sized(case, 512, 512)), "faces.below_share", pixels="64")
    assert below.value == 1
    assert below.interval is not None
    assert below.interval[0] < 0.8


def test_an_unknown_resolution_is_a_lower_bound_and_says_so() -> None:
    below = get(audit(sized(make_case([FAR] * 4), 512, 512)), "faces.below_share", pixels="64")
    assert below.value == 1
    large = get(audit(sized(make_case([FAR] * 4), 4000, 4000)), "faces.below_share", pixels="64")
    assert large.value == 0
    assert large.interval == (0.0, 1.0)
    assert "resolution" in (large.reason or "")


@pytest.mark.parametrize(
    ("pictures", "reason"),
    [
        ([Picture(role=IDENTITY_EMPHASIS)], "the dataset has no in-context picture"),
        ([replace(FAR, face=None)], "no face was found in any in-context picture"),
        ([replace(FAR, readable=False)], "no face was found in any in-context picture"),
        ([], "the dataset has no in-context picture"),
    ],
)
def test_no_face_gives_a_reason_not_zero(pictures: list[Picture], reason: str) -> None:
    found = audit(make_case(pictures))
    assert {(one.value, one.reason) for one in found} == {(None, reason)}
    assert len(found) == len(audit(make_case([FAR])))
