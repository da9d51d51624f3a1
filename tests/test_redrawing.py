"""A few pictures of every framing are enough, and only those with a face, once each."""

from __future__ import annotations

import hashlib

from lora_doctor.redrawing import ENOUGH, pictures_to_redraw
from lora_doctor.types import CLOSE_UP, FULL_BODY
from tests.metrics.make_study import LABEL_SETS, reading


def test_a_few_pictures_of_each_framing_are_chosen_without_copies() -> None:
    framings = [CLOSE_UP] * 30 + [FULL_BODY] * 3
    seen = [reading(cosine=0.8, noise=2, labels={"framing": framing}) for framing in framings]
    faceless = reading(cosine=None, noise=2, labels={"framing": FULL_BODY})
    contents = [f"{index:02d}" for index in range(35)]
    chosen = pictures_to_redraw(contents, [*seen, faceless, None], LABEL_SETS, copies=[(30, 31)])
    assert chosen[-2:] == [30, 32], "neither the copy, nor the picture without a face, nor the unreadable one"
    assert len(chosen) == ENOUGH + 2 and len(set(chosen)) == len(chosen)


def test_which_ones_does_not_depend_on_their_order() -> None:
    seen = [reading(cosine=0.8, noise=2, labels={"framing": CLOSE_UP}) for _ in range(40)]
    contents = [hashlib.sha256(str(index).encode()).hexdigest() for index in range(40)]
    forth = {contents[index] for index in pictures_to_redraw(contents, seen, LABEL_SETS, [(3, 9)])}
    back = {contents[::-1][index] for index in pictures_to_redraw(contents[::-1], seen, LABEL_SETS, [(36, 30)])}
    assert forth == back and len(forth) == ENOUGH
