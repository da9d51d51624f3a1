"""Framings are rendered as asked, and what the LoRA takes of that is its loss."""

from __future__ import annotations

import pytest

from lora_doctor.exact_shares import exact
from lora_doctor.metrics.framing import measure
from lora_doctor.types import CLOSE_UP, FULL_BODY, UPPER_BODY
from tests.metrics.make_study import LABEL_SETS, get, make_study


def test_what_is_asked_is_what_is_read() -> None:
    found = measure(make_study())
    for weight in ("0", "0.4", "0.7", "1", "ship"):
        assert get(found, "framing.match", weight=weight).value == 1.0
    for framing in (CLOSE_UP, UPPER_BODY, FULL_BODY):
        assert get(found, "framing.loss", framing=framing).value == 0.0


def test_a_lora_that_only_draws_close_ups_loses_the_other_framings() -> None:
    found = measure(make_study(labels=lambda c: {"framing": CLOSE_UP} if c.weight else {}))
    assert get(found, "framing.match", weight="1").value == 1 / 3
    assert get(found, "framing.loss", framing=CLOSE_UP).value == 0.0
    loss = get(found, "framing.loss", framing=FULL_BODY)
    assert (loss.value, loss.n) == (1.0, 10)
    assert loss.interval and loss.interval[0] > 0.4


def test_a_framing_the_base_model_cannot_draw_cannot_be_seen_lost() -> None:
    found = measure(make_study(labels=lambda c: {"framing": CLOSE_UP}))
    loss = get(found, "framing.loss", framing=FULL_BODY)
    assert loss.value is None and loss.reach is None
    assert "asked for full_body pictures, the base model draws them no better than chance" in str(loss.reason)
    assert get(found, "framing.loss", framing=CLOSE_UP).value == 0.0
    assert get(found, "framing.match", weight="0").value == 1 / 3


def test_none_framed_otherwise_of_twenty_is_as_sure_as_the_exact_interval() -> None:
    loss = get(measure(make_study(replicates=4)), "framing.loss", framing=FULL_BODY)
    assert loss.n == 20 and loss.interval == pytest.approx((-exact(0, 20, 0.045)[1], exact(0, 20, 0.045)[1]))


def test_lost_renders_are_counted() -> None:
    found = measure(make_study(missing=lambda c: c.weight == 0.7 and c.replicate == 1 and c.framing == FULL_BODY))
    loss = get(found, "framing.loss", framing=FULL_BODY)
    assert (loss.value, loss.n) == (0.0, 5)
    assert loss.reason == "5 of 10 units are missing: not rendered, or not readable"
    assert loss.reach == (0.0, 0.5)
    assert get(found, "framing.loss", framing=CLOSE_UP).reach is None
    assert get(found, "framing.match", weight="1").n == 30


def test_without_labels_there_is_a_reason() -> None:
    found = measure(make_study(label_sets={name: one for name, one in LABEL_SETS.items() if name != "framing"}))
    assert {(m.value, m.reason) for m in found} == {(None, "there is no label set of framings")}
