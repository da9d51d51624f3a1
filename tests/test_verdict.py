"""Verdicts: the article's ship rule, what holds a release, and that less evidence never makes a better verdict."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_doctor.errors import UsageError
from lora_doctor.rules import evaluate, load_rules
from lora_doctor.types import FRAMINGS, Finding, Measurement, NotEvaluated, Verdict
from lora_doctor.verdict import Policy, decide, load_policy, open_environments, units_to_decide

FOLDER = Path(__file__).parents[1] / "rules"
RULES = load_rules(FOLDER)
STANDARD = load_policy(FOLDER, "standard")
NOVEL = ("beach", "snow", "desert")
TRAINED = ("library", "city")


def number(name: str, value: float | None, half: float | None = None, **where: str) -> Measurement:
    interval = None if half is None or value is None else (value - half, value + half)
    return Measurement(name=name, value=value, interval=interval, where=where)


def score(value: float | None, half: float | None = 0.05, **where: str) -> Measurement:
    return number("identity.score", value, half, **where)


def ship_readings(identity: float = 0.85) -> list[Measurement]:
    """What the verdict itself reads, for a LoRA that holds everywhere at `identity`."""
    return [
        number("identity.gap", 0.5, 0.05),
        *(score(identity, weight=weight) for weight in ("ship", "0.7", "0.8", "1")),
        *(score(identity, 0.2, weight="ship", environment=name) for name in (*TRAINED, *NOVEL)),
        *(number("identity.no_face", 0.0, 0.02, weight="ship", framing=framing) for framing in FRAMINGS),
    ]


def healthy() -> list[Measurement]:
    """The same, and what the rules read."""
    return [
        *ship_readings(),
        score(0.85, weight="ship", framing="close-up"),
        number("identity.framing_gap", 0.0, 0.08, framing="close-up"),
        number("identity.closeup_gap", -0.1, 0.08),
        number("framing.loss", 0.0, 0.1, framing="full_body"),
        number("identity.environment_gap", 0.02, 0.08),
        number("environment.adherence_loss", 0.02, 0.06, environment_kind="novel"),
        number("environment.intrusion", 0.0, 0.04),
        number("attribute.flip_rate", 0.01, 0.02, attribute="hair_colour"),
        number("attribute.match", 0.99, 0.02, attribute="hair_colour", weight="ship"),
        number("spec.attributes", 2, kind="body"),
        number("spec.attributes", 1, kind="outfit"),
        number("spec.attributes", 1, attribute="hair_colour"),
        number("body.deficit", 0.05, 0.05),
        number("outfit.deficit", 0.05, 0.05),
        number("dose.low_weight_ratio", 0.5, 0.1),
        number("dose.plateau", 0.87, 0.05),
        number("dataset.identity_ratio", 0.33),
        number("dataset.body_visible_share", 0.7),
        number("training.identity_ratio", 0.33),
        number("captions.body_token_coverage", 1.0, role="identity-emphasis"),
        number("captions.body_token_coverage", 1.0, role="in-context"),
    ]


def judge(measurements: list[Measurement], policy: Policy = STANDARD) -> Verdict:
    return decide(*evaluate(RULES, measurements), measurements, policy, novel=NOVEL)


def replaced(measurements: list[Measurement], *new: Measurement) -> list[Measurement]:
    slots = [(m.name, m.where) for m in new]
    return [m for m in measurements if (m.name, m.where) not in slots] + list(new)


def outcome(*new: Measurement, policy: Policy = STANDARD) -> str:
    return decide((), (), replaced(ship_readings(), *new), policy, novel=NOVEL).outcome


def finding(state: str = "confirmed", severity: str = "blocker") -> Finding:
    return Finding(
        rule="hair-flip",
        symptom="The hair colour flips.",
        why="",
        state=state,  # type: ignore[arg-type]
        severity=severity,  # type: ignore[arg-type]
        strength=1.0,
        measurements=(number("attribute.flip_rate", 0.3, 0.1, attribute="hair_colour"),),
        causes=(),
    )


# ---------------------------------------------------------------- ship


def test_a_healthy_lora_ships_with_its_numbers_and_limits() -> None:
    verdict = judge(healthy())
    assert verdict.outcome == "SHIP"
    assert "0.85 [0.80, 0.90]" in verdict.sentence and "5 of 5 environments, 3 of them new" in verdict.sentence
    assert verdict.limits[0].startswith("Weights: 0.7, 1;") and "beach (new)" in verdict.limits[2]


def test_three_environments_with_two_new_ones_are_enough_and_fewer_are_not() -> None:
    low = [score(0.55, 0.2, weight="ship", environment=name) for name in ("library", "desert")]
    assert outcome(*low) == "SHIP"
    assert outcome(*low, score(0.55, 0.2, weight="ship", environment="city")) == "INCONCLUSIVE"
    assert outcome(*low, score(0.55, 0.2, weight="ship", environment="snow")) == "INCONCLUSIVE"


def test_environments_that_only_hold_where_it_was_trained_do_not_ship() -> None:
    low = [score(0.3, 0.1, weight="ship", environment=name) for name in ("beach", "snow")]
    assert outcome(*low) == "HOLD"
    assert decide((), (), ship_readings(), STANDARD, novel=()).outcome == "INCONCLUSIVE"


def test_every_weight_of_the_policy_must_hold() -> None:
    assert outcome(score(0.58, 0.05, weight="0.7")) == "INCONCLUSIVE"
    assert outcome(score(0.40, 0.05, weight="0.7")) == "HOLD"
    assert outcome(score(0.40, 0.05, weight="0.8")) == "SHIP"


def test_overall_identity_needs_its_whole_interval() -> None:
    assert outcome(score(0.65, 0.04, weight="ship")) == "SHIP"
    assert outcome(score(0.65, 0.10, weight="ship")) == "INCONCLUSIVE"
    assert outcome(score(0.65, None, weight="ship")) == "INCONCLUSIVE"
    assert outcome(score(0.40, 0.10, weight="ship")) == "HOLD"


def test_faceless_renders_hold_once_proven() -> None:
    assert outcome(number("identity.no_face", 0.2, 0.1, weight="ship", framing="full_body")) == "INCONCLUSIVE"
    assert outcome(number("identity.no_face", 0.4, 0.1, weight="ship", framing="full_body")) == "HOLD"


@pytest.mark.parametrize(
    "gap",
    [number("identity.gap", 0.1, 0.05), number("identity.gap", 0.2, 0.3), number("identity.gap", None)],
    ids=["small", "not clear of zero", "absent"],
)
def test_without_a_clear_gap_identity_cannot_be_measured_whatever_the_scores_say(gap: Measurement) -> None:
    assert outcome(gap) == "INCONCLUSIVE"
    low = replaced(ship_readings(0.1), gap)
    verdict = decide((), (), low, STANDARD, novel=NOVEL)
    assert verdict.outcome == "INCONCLUSIVE" and "cannot be measured" in verdict.sentence


# ---------------------------------------------------------------- findings


def test_a_confirmed_blocker_holds_and_is_named_with_its_number() -> None:
    verdict = decide([finding()], (), ship_readings(), STANDARD, novel=NOVEL)
    assert verdict.outcome == "HOLD"
    assert "The hair colour flips (hair-flip, confirmed: attribute.flip_rate 0.30 [0.20, 0.40])" in verdict.sentence


def test_a_suspected_blocker_is_borne_by_the_standard_policy_and_said() -> None:
    verdict = decide([finding("suspected")], (), ship_readings(), STANDARD, novel=NOVEL)
    assert verdict.outcome == "SHIP" and any("hair-flip, suspected" in reason for reason in verdict.reasons)
    wary = dataclasses.replace(STANDARD, suspected="inconclusive")
    assert decide([finding("suspected")], (), ship_readings(), wary, novel=NOVEL).outcome == "INCONCLUSIVE"


def test_a_warning_does_not_hold_under_the_standard_policy() -> None:
    assert decide([finding(severity="warning")], (), ship_readings(), STANDARD, novel=NOVEL).outcome == "SHIP"


def test_a_rule_that_was_not_evaluated_prevents_a_ship_unless_it_is_optional() -> None:
    unjudged = [NotEvaluated(rule="hair-flip", reason="attribute.flip_rate: not measured")]
    verdict = decide((), unjudged, ship_readings(), STANDARD, novel=NOVEL)
    assert verdict.outcome == "INCONCLUSIVE" and "hair-flip was not evaluated" in verdict.sentence
    lax = dataclasses.replace(STANDARD, optional_rules=("hair-flip",))
    assert decide((), unjudged, ship_readings(), lax, novel=NOVEL).outcome == "SHIP"


def test_nothing_measured_is_inconclusive_under_every_policy() -> None:
    for name in ("standard", "strict", "lenient"):
        assert judge([], load_policy(FOLDER, name)).outcome == "INCONCLUSIVE"


# ---------------------------------------------------------------- law 1

HEALTHY = healthy()


@st.composite
def patients(draw: st.DrawFn) -> list[Measurement]:
    """The healthy LoRA with some of its numbers replaced by worse or vaguer ones."""
    made = list(HEALTHY)
    for i in draw(st.lists(st.integers(0, len(made) - 1), max_size=3)):
        value = draw(st.sampled_from([-0.3, 0.0, 0.1, 0.3, 0.58, 0.65, 0.95]))
        half = draw(st.sampled_from([None, 0.01, 0.1, 0.4]))
        made[i] = number(made[i].name, value, half, **made[i].where)
    return made


@settings(max_examples=200, deadline=None)
@given(patients(), st.sampled_from(["standard", "strict", "lenient"]), st.data())
def test_taking_evidence_away_never_makes_a_ship(made: list[Measurement], name: str, data: st.DataObject) -> None:
    policy = load_policy(FOLDER, name)
    before = judge(made, policy).outcome
    gone = data.draw(st.sets(st.integers(0, len(made) - 1), min_size=1, max_size=4))
    less = [m for i, m in enumerate(made) if i not in gone]
    empty = [dataclasses.replace(m, value=None, interval=None) if i in gone else m for i, m in enumerate(made)]
    for after in (judge(less, policy).outcome, judge(empty, policy).outcome):
        assert before == "SHIP" or after != "SHIP"


def test_any_single_measurement_the_verdict_rests_on_is_missed() -> None:
    for gone in HEALTHY:
        verdict = judge([m for m in HEALTHY if m is not gone])
        assert verdict.outcome in ("SHIP", "INCONCLUSIVE")
        if gone.name in ("identity.gap", "identity.no_face", "body.deficit", "dose.plateau"):
            assert verdict.outcome == "INCONCLUSIVE", gone


# ---------------------------------------------------------------- policies


@pytest.mark.parametrize("name", ["standard", "strict", "lenient"])
def test_every_policy_of_the_folder_is_read(name: str) -> None:
    assert load_policy(FOLDER, name).name == name


def test_the_standard_policy_is_the_articles_ship_rule() -> None:
    assert min(STANDARD.weights) == 0.7 and STANDARD.environments == 3


def test_the_stricter_policy_ships_no_lora_that_the_more_lenient_holds() -> None:
    for identity in (0.3, 0.55, 0.63, 0.9):
        made = [dataclasses.replace(m) for m in HEALTHY]
        made = replaced(made, *(m for m in ship_readings(identity) if m.name == "identity.score"))
        ships = [judge(made, load_policy(FOLDER, name)).outcome == "SHIP" for name in ("strict", "standard", "lenient")]
        assert ships == sorted(ships)


def test_an_unknown_policy_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="Choose one of: lenient, standard, strict"):
        load_policy(FOLDER, "standart")


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("novel = 2", "novl = 2", "novl: is not a key of a policy"),
        ("novel = 2", "", "novel: field required"),
        ("novel = 2", 'novel = "two"', "novel: input should be a valid integer"),
        ("novel = 2", "novel = ", "cannot be read as TOML"),
    ],
)
def test_a_faulty_policy_is_refused_with_its_file_and_key(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    text = (FOLDER / "policies" / "standard.toml").read_text("utf-8")
    assert old in text
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "own.toml").write_text(text.replace(old, new), "utf-8")
    with pytest.raises(UsageError) as refusal:
        load_policy(tmp_path, "own")
    assert complaint in str(refusal.value) and "own.toml" in str(refusal.value)


def test_an_open_claim_says_how_many_more_pictures_would_settle_it() -> None:
    near = [replace_n(score(0.66, 0.12, weight="ship", environment=e), 6) for e in (*TRAINED, *NOVEL)]
    found = judge(replaced(healthy(), *near), dataclasses.replace(STANDARD, environment_claim="interval"))
    assert found.outcome == "INCONCLUSIVE"
    assert any("about 162 more pictures would decide it" in reason for reason in found.reasons)


def replace_n(measurement: Measurement, n: int) -> Measurement:
    return dataclasses.replace(measurement, n=n)


def test_twice_too_wide_an_interval_needs_four_times_the_units() -> None:
    one = replace_n(score(0.7, 0.2, weight="ship", environment="beach"), 10)
    assert units_to_decide({"beach": one}, 0.6, holding=1, failing=1) == 30


def test_the_cheaper_proof_is_counted_and_an_impossible_one_is_not() -> None:
    high, low = (replace_n(score(v, 0.2, weight="ship", environment=e), 10) for v, e in ((0.7, "a"), (0.4, "b")))
    assert units_to_decide({"a": high, "b": low}, 0.6, holding=1, failing=1) == 1
    assert units_to_decide({"a": high}, 0.6, holding=2, failing=2) is None
    on_it = replace_n(score(0.6, 0.2, weight="ship", environment="a"), 10)
    assert units_to_decide({"a": on_it}, 0.6, holding=1, failing=1) is None


def test_open_environments_are_those_that_more_pictures_could_settle() -> None:
    policy = dataclasses.replace(STANDARD, environment_claim="interval")
    near = [score(0.62, 0.1, weight="ship", environment=e) for e in ("beach", "snow")]
    assert open_environments(healthy(), policy, NOVEL) == ()
    assert set(open_environments(replaced(healthy(), *near), policy, NOVEL)) == {"beach", "snow"}
