"""Views lie where they say: a point seen in one is found again in the picture."""

from __future__ import annotations

import numpy as np
import pytest

from lora_doctor.face_views import CLOSER, ZOOM, closer_view, rescue_views


def marked(height: int, width: int, x: int, y: int) -> np.ndarray:
    picture = np.zeros((height, width, 3), np.uint8)
    picture[y - 2 : y + 3, x - 2 : x + 3] = 255
    return picture


def middle(pixels: np.ndarray) -> tuple[float, float]:
    rows, columns = np.nonzero(pixels[:, :, 0] > 128)
    return float(columns.mean()) + 0.5, float(rows.mean()) + 0.5


@pytest.mark.parametrize(("height", "width"), [(64, 64), (200, 120), (90, 310)])
def test_a_point_of_a_view_is_a_point_of_the_picture(height: int, width: int) -> None:
    x, y = width // 2, height // 2 - 3
    picture, seen = marked(height, width, x, y), []
    for view in rescue_views(picture):
        seen.append(view.name)
        assert view.back(*middle(view.pixels)) == pytest.approx((x + 0.5, y + 0.5), abs=0.7)
    assert seen == ["padded", "zoomed", "zoomed"]


def test_a_zoomed_view_is_about_as_large_as_the_picture_and_shows_less() -> None:
    picture = marked(100, 80, 40, 30)
    for view in list(rescue_views(picture))[1:]:
        assert view.pixels.shape[:2] == pytest.approx((100, 80), abs=2)
        assert view.scale == pytest.approx(1 / ZOOM)


def test_only_a_small_face_is_looked_at_from_closer() -> None:
    picture = marked(200, 200, 50, 40)
    view = closer_view(picture, (40.0, 30.0, 60.0, 50.0))
    assert view is not None and view.scale == CLOSER and view.pixels.shape == (120, 120, 3)
    assert view.back(*middle(view.pixels)) == pytest.approx((50.5, 40.5), abs=0.7)
    assert closer_view(picture, (20.0, 20.0, 120.0, 120.0)) is None
    assert closer_view(np.zeros((2000, 2000, 3), np.uint8), (0.0, 0.0, 120.0, 120.0)) is None
    assert closer_view(picture, (10.0, 10.0, 10.0, 30.0)) is None
