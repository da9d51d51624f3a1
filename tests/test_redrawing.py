"""A few pictures of every framing are enough, and only those with a face, once each."""

from __future__ import annotations

from lora_doctor.redrawing import ENOUGH, pictures_to_redraw
from lora_doctor.types import CLOSE_UP, FULL_BODY
from tests.metrics.make_study import LABEL_SETS, reading


def test_a_few_pictures_of_each_framing_are_chosen_without_copies() -> None:
    framings = [CLOSE_UP] * 30 + [FULL_BODY] * 3
    seen = [reading(cosine=0.8, noise=2, labels={"framing": framing}) for framing in framings]
    faceless = reading(cosine=None, noise=2, labels={"framing": FULL_BODY})
    chosen = pictures_to_redraw([*seen, faceless, None], LABEL_SETS, copies=[(30, 31)])
    assert chosen[-2:] == [30, 32], "neither the copy, nor the picture without a face, nor the unreadable one"
    assert len(chosen) == ENOUGH + 2 and len(set(chosen)) == len(chosen)
    assert chosen[0] == 0 and chosen[ENOUGH - 1] >= 27, "from one end of the dataset to the other"
