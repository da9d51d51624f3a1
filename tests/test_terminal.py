"""Lines of a finding in a terminal: numbers with intervals, reasons for those missing, nothing that moves a cursor."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lora_doctor.terminal import cause_label, lines_shown, measurement_texts, unjudged_names, verdict_lines
from lora_doctor.types import Finding, Fix, Measurement, NotEvaluated, RankedCause, Verdict


def measurement(value: float | None, reason: str | None = None, **where: str) -> Measurement:
    interval = None if value is None else (value - 0.1, value + 0.1)
    return Measurement(
        name="body.deficit", value=value, unit="share", n=4, interval=interval, where=where, reason=reason
    )


def told(m: Measurement, **limit: float) -> str:
    found = Finding(rule="r", symptom="", why="", state="confirmed", severity="blocker", strength=1.0,
                    measurements=(m,), limits=(limit,) if limit else (), causes=())  # fmt: skip
    (text,) = measurement_texts(found)
    return text


def test_a_number_is_told_in_words_with_place_interval_and_the_rules_limit() -> None:
    """The words are the report's; the name that rules and policies know it by follows."""
    assert told(measurement(0.5, framing="full_body"), above=0.15) == (
        "Body off-spec in full body (framing full_body) = 0.50  [0.40, 0.60]; limit: above 0.15  (body.deficit)"
    )
    assert told(measurement(0.5)) == "Body off-spec in full body = 0.50  [0.40, 0.60]  (body.deficit)"
    assert "; limit: at least 0.6 and below 0.85  (body" in told(measurement(0.5), at_least=0.6, below=0.85)
    flips = replace(measurement(0.5, attribute="hair_colour"), name="attribute.flip_rate")
    assert told(flips).startswith("Hair colour flips to another label = 0.50")
    assert told(replace(measurement(0.5), name="own.number")) == "own.number = 0.50  [0.40, 0.60]"


def test_a_missing_number_is_told_with_its_reason() -> None:
    assert told(measurement(None, "no face\n in it", arm="poses")) == (
        "Body off-spec in full body (arm poses): not measured: no face in it"
    )
    assert told(measurement(None)) == "Body off-spec in full body: not measured"


def test_names_and_reasons_cannot_move_the_cursor() -> None:
    moved = told(measurement(None, "\x1b[2Jgone", token="\x1b[31mred"))
    assert "\x1b" not in moved and "x1b[2Jgone" in moved


@pytest.mark.parametrize(("odds", "label"), [(0.5, "likely cause"), (0.0, "possible cause"), (-0.5, "less likely")])
def test_a_cause_is_called_likely_only_where_more_speaks_for_it_than_against(odds: float, label: str) -> None:
    assert cause_label(RankedCause(because="So.", fix=Fix(), log_odds=odds, evidence=())) == label


def test_a_rule_that_could_not_tell_all_is_named_so() -> None:
    poses = Finding(rule="pose-rigidity", symptom="", why="", state="suspected", severity="warning", strength=1.0,
                    measurements=(), causes=())  # fmt: skip
    unjudged = [NotEvaluated(rule=rule, reason="no") for rule in ("body-drift", "pose-rigidity")]
    assert unjudged_names(unjudged, [poses]) == "body-drift, pose-rigidity in part"


def test_a_diff_is_shown_line_by_line_and_moves_no_cursor() -> None:
    diff = "--- 0.txt\r\n+\tyuki_nk\x1b[2J\x1b]0;title\x07, \u202egnp\u2066, caf\u00e9 \udced\n\n"
    assert lines_shown(diff) == [
        "--- 0.txt",
        "+\tyuki_nk\\x1b[2J\\x1b]0;title\\x07, \\u202egnp\\u2066, caf\u00e9 \\xed",
    ]


def test_the_reasons_of_a_hold_that_are_not_proven_are_said_to_be_undecided() -> None:
    verdict = Verdict(outcome="HOLD", sentence="No.", reasons=("the body drifts", "too close to call"), proven=1)
    assert verdict_lines(verdict) == ["the body drifts", "undecided: too close to call"]
    assert verdict_lines(verdict, most=1)[0] == "the body drifts"


@pytest.mark.parametrize(("count", "lines_told"), [(2, 2), (8, 8), (11, 9)])
def test_the_reasons_of_a_verdict_are_told_up_to_the_limit_and_the_rest_counted(count: int, lines_told: int) -> None:
    reasons = tuple(f"identity at weight 0.{n}: not measured" for n in range(count))
    verdict = Verdict(outcome="INCONCLUSIVE", sentence="No.", reasons=reasons, warnings=("small faces",))
    assert verdict_lines(verdict) == [*reasons, "warning: small faces"]
    lines = verdict_lines(verdict, most=8)
    assert len(lines) == lines_told + 1 and lines[:2] == list(reasons[:2]) and lines[-1] == "warning: small faces"
    assert [line for line in lines if line.startswith("and ")] == (
        ["and 3 more: the report and `lora-doctor gate` list them all"] if count > 8 else []
    )
