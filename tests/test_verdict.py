"""Verdicts: the article's ship rule, what holds a release, and that less evidence never makes a better verdict."""

from __future__ import annotations

import dataclasses
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_doctor.demands import open_environments, units_to_decide
from lora_doctor.looks import AGAIN
from lora_doctor.policy import Policy, load_policy
from lora_doctor.rule_files import load_rules
from lora_doctor.rules import evaluate
from lora_doctor.types import FRAMINGS, Finding, Fix, Measurement, NotEvaluated, RankedCause, Verdict, Waiver
from lora_doctor.verdict import decide
from tests.examples import many

FOLDER = Path(__file__).parents[1] / "rules"
RULES = load_rules(FOLDER)
STANDARD = load_policy(FOLDER, "standard")
TODAY = date(2026, 11, 23)
LORA = "9f2c41d07a1b" + "0" * 52
NOVEL = ("beach", "snow", "desert")
TRAINED = ("library", "city")


def number(name: str, value: float | None, half: float | None = None, **where: str) -> Measurement:
    interval = None if half is None or value is None else (value - half, value + half)
    unit = "score" if name.startswith("identity") else "share"
    return Measurement(name=name, value=value, unit=unit, interval=interval, where=where)


def score(value: float | None, half: float | None = 0.05, **where: str) -> Measurement:
    return number("identity.score", value, half, **where)


def ship_readings(identity: float = 0.85) -> list[Measurement]:
    """What the verdict itself reads, for a LoRA that holds everywhere at `identity`."""
    return [
        number("identity.gap", 0.5, 0.05),
        *(score(identity, weight=weight) for weight in ("ship", "0.7", "0.8", "1")),
        *(score(identity, 0.2, weight="ship", environment=name) for name in (*TRAINED, *NOVEL)),
        *(score(identity, 0.1, weight="ship", framing=framing) for framing in FRAMINGS),
        *(number("identity.no_face", 0.0, 0.02, weight="ship", framing=framing) for framing in FRAMINGS),
        *(number("framing.loss", 0.0, 0.1, framing=framing) for framing in FRAMINGS),
        number("overbake.adherence_loss", 0.02, 0.05, weight="ship"),
        number("environment.match", 0.95, 0.03, weight="0"),
    ]


def _not_burnt(weight: str) -> list[Measurement]:
    return [
        *(number(f"overbake.{fact}", 1.05, 0.05, weight=weight) for fact in ("chroma", "lightness_spread", "detail")),
        number("overbake.clipped", 0.0, 0.01, weight=weight),
        number("overbake.adherence_loss", 0.02, 0.05, weight=weight),
        *(
            number(f"overbake.{fact}_beyond", 0.02, 0.02, weight=weight)
            for fact in ("chroma", "lightness_spread", "detail", "clipped")
        ),
    ]


def healthy() -> list[Measurement]:
    """The same, and what the rules read."""
    return [
        *ship_readings(),
        number("identity.framing_gap", 0.0, 0.08, framing="close-up"),
        number("identity.closeup_gap", -0.1, 0.08),
        number("identity.environment_gap", 0.02, 0.08),
        number("environment.planned", 2, environment_kind="trained"),
        number("environment.adherence_loss", 0.02, 0.06, environment_kind="novel"),
        number("environment.intrusion", 0.0, 0.04),
        number("attribute.flip_rate", 0.01, 0.02, attribute="hair_colour"),
        number("attribute.match", 0.99, 0.02, attribute="hair_colour", weight="ship"),
        number("attribute.witnessed_flip_rate", 0.0, 0.02, attribute="hair_colour", delta_e="20"),
        number("attribute.flip_rate", 0.02, 0.04, attribute="eye_colour"),
        number("attribute.witnessed_flip_rate", 0.01, 0.03, attribute="eye_colour", delta_e="20"),
        number("colour.cast", 0.0, 0.3, environment_kind="novel"),
        number("spec.attributes", 2, kind="body"),
        number("spec.attributes", 1, kind="outfit"),
        number("spec.attributes", 1, attribute="hair_colour"),
        number("spec.attributes", 1, attribute="eye_colour"),
        number("body.deficit", 0.05, 0.05),
        number("outfit.deficit", 0.05, 0.05),
        number("dose.low_weight_ratio", 0.5, 0.1),
        number("dose.plateau", 0.87, 0.05),
        number("dataset.identity_ratio", 0.33),
        number("dataset.body_visible_share", 0.7),
        number("training.identity_ratio", 0.33),
        number("captions.body_token_coverage", 1.0, role="identity-emphasis"),
        number("captions.body_token_coverage", 1.0, role="in-context"),
        number("use.with_others", 0),
        number("leak.score", 0.1, 0.05),
        number("dose.peak_loss", -0.02, 0.05),
        number("base.differs", 0),
        number("spectrum.norm", 0.4),
        number("spectrum.dead_share", 0.0, block="unet mid_block"),
        number("identity.stranger_share", 0.02, 0.05),
        number("identity.same_share", 0.89, 0.1),
        number("identity.second_person", 0.0, 0.0, weight="ship"),
        number("identity.above_ceiling", 0.02, 0.05),
        number("identity.above_ceiling_excess", -0.05, 0.1),
        number("identity.attraction", 0.12, 0.1),
        number("identity.attraction_excess", 0.0, 0.1),
        number("identity.ceiling_spread", 0.05),
        number("state.share", 0.85, 0.1, weight="ship", state="held"),
        number("state.share", 0.0, 0.05, weight="ship", state="several people"),
        *(number("overbake.artefacts", 0.01, 0.04, weight=weight) for weight in ("ship", "0.7", "0.8", "1")),
        *(one for weight in ("0.7", "0.8", "1") for one in _not_burnt(weight)),
        *(one for one in _not_burnt("ship") if one.name != "overbake.adherence_loss"),  # the verdict's own
        number("trigger.description_gain", 0.02, 0.05),
        number("copies.excess", 0.0, 0.01, arm="captions"),
        number("copies.doubled_excess", 0.0, 0.0, arm="captions"),
        *(number("control.loss", 0.02, 0.1, kind=kind) for kind in ("trait", "outfit", "pose", "expression")),
    ]


def judge(measurements: list[Measurement], policy: Policy = STANDARD) -> Verdict:
    return decide(
        *evaluate(RULES, measurements, policy.weights), measurements, policy, novel=NOVEL, today=TODAY, lora=LORA
    )


def replaced(measurements: list[Measurement], *new: Measurement) -> list[Measurement]:
    slots = [(m.name, m.where) for m in new]
    return [m for m in measurements if (m.name, m.where) not in slots] + list(new)


def outcome(*new: Measurement, policy: Policy = STANDARD) -> str:
    return decide((), (), replaced(ship_readings(), *new), policy, novel=NOVEL).outcome


def finding(state: str = "confirmed", severity: str = "blocker", worst: float | None = 0.3, **more: Any) -> Finding:
    return Finding(
        rule=more.get("rule", "hair-flip"),
        symptom="The hair colour flips.",
        why="",
        state=state,  # type: ignore[arg-type]
        severity=severity,  # type: ignore[arg-type]
        strength=more.get("strength", 1.0),
        worst=worst,
        about=more.get("about", {}),
        measurements=(number("attribute.flip_rate", 0.3, 0.1, attribute="hair_colour"),),
        causes=more.get("causes", ()),
    )


# ---------------------------------------------------------------- ship


def test_a_healthy_lora_ships_with_its_numbers_and_limits() -> None:
    verdict = judge(healthy())
    assert verdict.outcome == "SHIP"
    assert "0.85 [0.80, 0.90]" in verdict.sentence and "5 of 5 environments, 3 of them new" in verdict.sentence
    assert verdict.limits[0].startswith("Weights: 0.7, 1;") and "beach (new)" in verdict.limits[2]


def test_a_framing_in_which_identity_is_not_known_never_ships() -> None:
    where = {"weight": "ship", "framing": "full_body"}
    blind = Measurement(name="identity.score", value=None, where=where, reason="no ruler")
    verdict = decide((), (), replaced(ship_readings(), blind), STANDARD, novel=NOVEL)
    assert verdict.outcome == "INCONCLUSIVE" and "identity in full_body: no ruler" in verdict.sentence.lower()
    portraits = dataclasses.replace(STANDARD, framings=("close-up", "upper_body"))
    assert outcome(blind, policy=portraits) == "SHIP"


@pytest.mark.parametrize(
    ("value", "half", "policy", "told"),
    [
        (0.0, 0.1, "standard", "HOLD"),
        (0.28, 0.05, "standard", "INCONCLUSIVE"),
        (0.4, 0.15, "standard", "INCONCLUSIVE"),
        (0.49, 0.08, "standard", "SHIP"),
        (0.0, 0.1, "lenient", "SHIP"),
        (0.49, 0.08, "strict", "INCONCLUSIVE"),
    ],
)
def test_what_the_other_framings_are_at_does_not_ship_a_stranger_in_full_body(
    value: float, half: float, policy: str, told: str
) -> None:
    """The lenient policy makes no claim about full bodies."""
    low = score(value, half, weight="ship", framing="full_body")
    assert judge(replaced(healthy(), low), load_policy(FOLDER, policy)).outcome == told


def test_traits_of_which_the_spec_says_nothing_are_named_as_not_tested() -> None:
    assert "spec" not in " ".join(judge(healthy()).limits)
    silent = replaced(
        healthy(), number("spec.attributes", 0, kind="outfit"), number("spec.attributes", 0, attribute="eye_colour")
    )
    told = next(limit for limit in judge(silent).limits if limit.startswith("Not tested"))
    assert "its eye colour (the spec does not say), its outfit (the spec does not say)" in told


def test_flips_that_the_dataset_excuses_are_told() -> None:
    excused = [number("attribute.excused_flips", 0.18, 0.08, attribute="hair_colour"),
               number("attribute.excused_flips", 0.0, 0.05, attribute="eye_colour")]  # fmt: skip
    limits = judge(replaced(healthy(), *excused)).limits
    assert [limit for limit in limits if limit.endswith("the dataset's own pictures are too: hair colour in 18%.")]
    assert not [limit for limit in judge(healthy()).limits if "not counted" in limit]


def test_two_people_in_most_pictures_hold_a_release() -> None:
    two = [number("state.share", 0.9, 0.1, weight="ship", state="several people"),
           number("overbake.artefacts", 0.88, 0.12, weight="ship")]  # fmt: skip
    verdict = judge(replaced(healthy(), *two))
    assert verdict.outcome == "HOLD" and "crowded-pictures" in verdict.sentence


def test_a_mean_that_few_pictures_reach_is_told() -> None:
    drifting = number("state.share", 0.1, 0.08, weight="ship", state="held")
    verdict = judge(replaced(healthy(), drifting))
    assert verdict.outcome == "SHIP" and any("drifting-pictures" in warning for warning in verdict.warnings)


def test_a_point_estimate_holds_only_if_it_would_with_the_missing_pictures_at_their_worst() -> None:
    def at(weight: str, low: float) -> Measurement:
        return dataclasses.replace(score(0.85, weight=weight), reach=(low, 0.9))

    def faceless(high: float) -> Measurement:
        where = {"weight": "ship", "framing": "full_body"}
        return dataclasses.replace(number("identity.no_face", 0.0, 0.02, **where), reach=(0.0, high))

    points = dataclasses.replace(STANDARD, weight_claim="point", no_face_claim="point")
    assert outcome(at("0.7", 0.61), policy=points) == "SHIP" and outcome(faceless(0.1), policy=points) == "SHIP"
    assert outcome(at("0.7", 0.59), policy=points) == outcome(faceless(0.4), policy=points) == "INCONCLUSIVE"


@pytest.mark.parametrize(
    ("loss", "half", "told"),
    [
        (0.02, 0.05, "SHIP"),
        (0.1, 0.04, "SHIP"),
        (0.1, 0.1, "INCONCLUSIVE"),
        (0.3, 0.1, "HOLD"),
        (None, None, "INCONCLUSIVE"),
    ],
)
def test_what_prompts_ask_for_must_be_proven_to_come(loss: float | None, half: float | None, told: str) -> None:
    assert outcome(number("overbake.adherence_loss", loss, half, weight="ship")) == told


@pytest.mark.parametrize(
    ("loss", "half", "policy", "told"),
    [
        (0.05, 0.1, "standard", "SHIP"),
        (0.15, 0.2, "standard", "INCONCLUSIVE"),
        (0.15, 0.2, "lenient", "SHIP"),
        (0.15, 0.2, "strict", "INCONCLUSIVE"),
        (0.3, 0.2, "standard", "INCONCLUSIVE"),
        (0.67, 0.36, "standard", "HOLD"),
        (0.67, 0.36, "lenient", "HOLD"),
        (None, None, "standard", "INCONCLUSIVE"),
    ],
)
def test_what_is_claimed_of_close_ups_is_claimed_of_close_ups(
    loss: float | None, half: float | None, policy: str, told: str
) -> None:
    """Asked for one, a LoRA that draws something else may still hold the face in what it draws."""
    one = number("framing.loss", loss, half, framing="close-up")
    assert judge(replaced(healthy(), one), load_policy(FOLDER, policy)).outcome == told


def test_faces_are_claimed_by_their_interval() -> None:
    """None lost of ten pictures, and none of twenty."""

    def faceless(high: float) -> Measurement:
        where = {"weight": "ship", "framing": "full_body"}
        return dataclasses.replace(number("identity.no_face", 0.0, 0.02, **where), interval=(0.0, high))

    assert outcome(faceless(0.27)) == "INCONCLUSIVE"
    assert outcome(faceless(0.144)) == "SHIP"


def test_a_weight_at_which_identity_is_too_close_to_the_limit_ships_by_no_mean_with_another() -> None:
    """0.62 at weight 0.7 and 0.85 at 1 and over both: whoever loads it at 0.7 may as well get somebody else."""
    assert outcome(score(0.62, 0.05, weight="0.7")) == "INCONCLUSIVE"
    assert outcome(score(0.62, 0.01, weight="0.7")) == "SHIP"


def test_what_was_gone_on_with_takes_a_firmer_interval_and_says_so() -> None:
    """Of all places together; a place by itself knows of its looks."""
    short, places = score(0.66, 0.05, weight="0.7"), score(0.66, 0.05, weight="ship", environment="beach")

    def at(bound: float, *new: Measurement) -> Verdict:
        return decide((), (), replaced(ship_readings(), *new), STANDARD, novel=NOVEL, bound=bound)

    assert at(AGAIN[0], short).outcome == "SHIP" and at(AGAIN[1], short).outcome == "INCONCLUSIVE"
    assert at(AGAIN[2], places).outcome == "SHIP"
    assert not [limit for limit in at(AGAIN[0]).limits if "Gone on with" in limit]
    assert [limit for limit in at(AGAIN[1]).limits if "Gone on with" in limit and "98.0% intervals" in limit]


def test_a_mean_over_weights_does_not_hide_a_weight_at_which_environments_are_lost() -> None:
    lost = [score(0.5, 0.05, weight="0.7", environment=name) for name in (*NOVEL, *TRAINED)]
    verdict = decide((), (), replaced(ship_readings(), *lost), STANDARD, novel=NOVEL)
    assert verdict.outcome == "HOLD" and "environments at weight 0.7" in verdict.sentence
    doubtful = [score(0.5, 0.15, weight="0.7", environment=name) for name in (*NOVEL, *TRAINED)]
    assert outcome(*doubtful) == "SHIP"


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


def test_where_identity_depends_on_the_place_the_verdict_names_it_and_promises_nothing_of_more_pictures() -> None:
    lost = score(0.1, 0.05, weight="ship", environment="city")
    verdict = judge(replaced(ship_readings(), lost, score(0.72, 0.3, weight="ship")))
    assert verdict.outcome == "INCONCLUSIVE"
    assert "it depends on the place (city 0.10 [0.05, 0.15]), which more pictures do not change" in verdict.sentence
    short = judge(replaced(ship_readings(), score(0.72, 0.3, weight="ship")))
    assert "too close to call" in short.sentence and "depends on the place" not in short.sentence


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


def given_findings(*findings: Finding, policy: Policy = STANDARD) -> Verdict:
    return decide(findings, (), ship_readings(), policy, novel=NOVEL, today=TODAY, lora=LORA)


@pytest.mark.parametrize(
    ("state", "worst", "wanted"),
    [
        ("confirmed", 0.30, "HOLD"),
        ("suspected", 0.30, "INCONCLUSIVE"),
        ("confirmed", 0.04, "SHIP"),
        ("suspected", 0.04, "SHIP"),
        ("confirmed", None, "HOLD"),
        ("suspected", None, "INCONCLUSIVE"),
    ],
)
def test_a_blocker_between_its_warning_and_its_failing_level_warns_and_beyond_it_never_ships(
    state: str, worst: float | None, wanted: str
) -> None:
    verdict = given_findings(finding(state, worst=worst))
    assert verdict.outcome == wanted
    assert bool(verdict.warnings) == (wanted == "SHIP")
    if wanted == "SHIP":
        assert f"hair-flip, {state}" in verdict.warnings[0] and "With 1 warning." in verdict.sentence


def test_what_the_evidence_explains_stands_before_what_it_explains_not() -> None:
    """A face that is lost in wide framings lowers the mean at every weight too, for no reason of weights."""
    likely, unlikely = (RankedCause(because="", fix=Fix(), log_odds=odds, evidence=()) for odds in (0.5, -1.5))
    framings = finding(rule="framings", strength=0.2, causes=(likely,))
    weights = finding(rule="weights", strength=0.9, causes=(unlikely,))
    assert "framings" in given_findings(weights, framings).sentence


@pytest.mark.parametrize(
    ("drawn", "half", "told"), [(0.3, 0.1, "SHIP"), (0.2, 0.1, "INCONCLUSIVE"), (0.1, 0.05, "INCONCLUSIVE")]
)
def test_places_that_the_base_model_hardly_draws_prove_no_loss_bearable(drawn: float, half: float, told: str) -> None:
    """Of a place that comes in one picture in ten no more than that can be lost, were it lost in all of them."""
    verdict = judge(replaced(healthy(), number("environment.match", drawn, half, weight="0")))
    assert verdict.outcome == told
    if told != "SHIP":
        assert any("a larger loss could not be seen" in reason for reason in verdict.reasons)


def test_nothing_is_borne_by_a_policy_that_bears_nothing() -> None:
    strict = dataclasses.replace(STANDARD, bears=0.0)
    assert given_findings(finding("suspected", worst=0.0), policy=strict).outcome == "INCONCLUSIVE"


def test_blockers_stand_before_demands_and_the_severest_and_strongest_first() -> None:
    slight, strong = finding(rule="slight", strength=0.2), finding(rule="strong", strength=0.9)
    noted = finding(rule="noted", severity="note", strength=1.0)
    policy = dataclasses.replace(STANDARD, hold=("blocker", "note"))
    readings = replaced(ship_readings(), number("identity.no_face", 0.4, 0.1, weight="ship", framing="full_body"))
    verdict = decide([noted, slight, strong], (), readings, policy, novel=NOVEL)
    order = ["strong, confirmed", "slight, confirmed", "noted, confirmed", "share of full_body"]
    assert all(word in reason for word, reason in zip(order, verdict.reasons, strict=True))
    assert "(strong, confirmed" in verdict.sentence and verdict.sentence.endswith("; and 3 more proven.")


def test_a_hold_tells_what_is_proven_apart_from_what_is_undecided() -> None:
    """Its sentence counts both, and `proven` says where among the reasons the one ends and the other begins."""
    readings = replaced(ship_readings(), number("identity.score", 0.62, 0.05, weight="ship"))
    doubted = finding("suspected", rule="doubted", worst=1.0)
    verdict = decide([finding(rule="sure"), finding(rule="sure-too"), doubted], (), readings, STANDARD, novel=NOVEL)
    assert verdict.outcome == "HOLD" and verdict.proven == 2 and len(verdict.reasons) == 4
    assert verdict.sentence.endswith("; and 1 more proven, 2 undecided.")
    alone = decide([finding(rule="sure"), doubted], (), ship_readings(), STANDARD, novel=NOVEL)
    assert alone.proven == 1 and alone.sentence.endswith("; and 1 undecided.")
    assert decide([doubted], (), readings, STANDARD, novel=NOVEL).sentence.endswith("; and 1 more reason.")


# ---------------------------------------------------------------- levels of rules


@pytest.mark.parametrize(
    ("level", "severity", "wanted"),
    [("fail", "note", "HOLD"), ("warn", "blocker", "SHIP"), ("ignore", "blocker", "SHIP")],
)
def test_the_level_a_policy_gives_a_rule_stands_above_its_severity(level: str, severity: str, wanted: str) -> None:
    policy = dataclasses.replace(STANDARD, rules={"hair-flip": level})
    verdict = given_findings(finding(severity=severity), policy=policy)
    assert verdict.outcome == wanted
    assert any("hair-flip" in text for text in verdict.warnings) == (level == "warn")


def test_an_ignored_rule_is_said_with_what_it_would_have_said() -> None:
    policy = dataclasses.replace(STANDARD, rules={"hair-flip": "ignore", "body-drift": "ignore", "echo": "ignore"})
    unjudged = [NotEvaluated(rule="body-drift", reason="not measured")]
    verdict = decide([finding()], unjudged, ship_readings(), policy, novel=NOVEL)
    said = "Ignored by the policy: hair-flip (confirmed), body-drift (not evaluated), echo (not seen)."
    assert verdict.outcome == "SHIP" and said in verdict.limits


def test_a_warning_severity_warns_and_a_note_does_nothing() -> None:
    assert given_findings(finding(severity="warning")).warnings
    assert not given_findings(finding(severity="note")).warnings


# ---------------------------------------------------------------- warning levels of numbers


@pytest.mark.parametrize(
    ("levels", "said"),
    [
        ({"warn_identity_at_least": 0.9}, "identity over the ship weights is 0.85 [0.80, 0.90], at least 0.90"),
        ({"warn_environments": 6}, "identity holds in 5 of 5 environments, 6 are wanted"),
        ({"warn_novel": 4}, "identity holds in 3 of 3 environments new to the dataset, 4 are wanted"),
        ({"warn_gap_at_least": 0.6}, "floor and ceiling are 0.50 [0.45, 0.55] apart, 0.60 is wanted"),
    ],
)
def test_a_number_between_its_two_levels_ships_with_a_warning(levels: dict[str, float], said: str) -> None:
    verdict = given_findings(policy=dataclasses.replace(STANDARD, **levels))
    assert verdict.outcome == "SHIP" and any(said in text for text in verdict.warnings)
    assert all(text.startswith(f"short of {next(iter(levels))}") for text in verdict.warnings)
    met = {key: value / 2 for key, value in levels.items()}
    assert not given_findings(policy=dataclasses.replace(STANDARD, **met)).warnings


def test_faceless_renders_between_the_two_levels_warn_once() -> None:
    policy = dataclasses.replace(STANDARD, warn_no_face_at_most=0.05)
    readings = replaced(ship_readings(), number("identity.no_face", 0.1, 0.04, weight="ship", framing="full_body"))
    verdict = decide((), (), readings, policy, novel=NOVEL)
    assert verdict.outcome == "SHIP" and len(verdict.warnings) == 1 and "full_body" in verdict.warnings[0]


# ---------------------------------------------------------------- waivers

WAIVER = Waiver(rule="hair-flip", reason="a wig, on purpose", expires="2027-03-01")


def waived(*findings: Finding, today: date | None = TODAY, **changes: Any) -> Verdict:
    policy = dataclasses.replace(STANDARD, waivers=(dataclasses.replace(WAIVER, **changes),))
    return decide(findings, (), ship_readings(), policy, novel=NOVEL, today=today, lora=LORA)


def test_a_waived_blocker_ships_and_is_said_with_its_reason_and_its_last_day() -> None:
    verdict = waived(finding())
    assert verdict.outcome == "SHIP" and "With 1 waived finding." in verdict.sentence
    assert verdict.waived == ("hair-flip (confirmed) until 2027-03-01: a wig, on purpose",)


def test_a_waiver_applies_through_its_last_day_and_then_says_that_it_expired() -> None:
    assert waived(finding(), today=date(2027, 3, 1)).outcome == "SHIP"
    after = waived(finding(), today=date(2027, 3, 2))
    assert after.outcome == "HOLD" and "expired after 2027-03-01" in after.warnings[0] and not after.waived
    assert waived(finding(), today=None).outcome == "HOLD"


def test_a_waiver_for_one_lora_is_no_waiver_for_another() -> None:
    policy = dataclasses.replace(STANDARD, waivers=(dataclasses.replace(WAIVER, lora=LORA[:12]),))
    for sha, wanted in ((LORA, "SHIP"), ("a" * 64, "HOLD"), ("", "HOLD")):
        verdict = decide([finding()], (), ship_readings(), policy, novel=NOVEL, today=TODAY, lora=sha)
        assert verdict.outcome == wanted
        assert any("another LoRA" in text for text in verdict.warnings) == (wanted == "HOLD")


def test_a_waiver_of_a_slice_covers_that_slice_alone() -> None:
    hair, eyes = finding(about={"attribute": "hair_colour"}), finding(about={"attribute": "eye_colour"})
    assert waived(hair, where={"attribute": "hair_colour"}).outcome == "SHIP"
    assert waived(hair, eyes, where={"attribute": "hair_colour"}).outcome == "HOLD"
    assert waived(finding(), where={"attribute": "hair_colour"}).outcome == "HOLD"


def test_a_waiver_that_matches_nothing_is_said() -> None:
    verdict = waived()
    assert verdict.outcome == "SHIP" and "matches no finding" in verdict.warnings[0]


def test_no_waiver_stands_for_a_demand_or_for_a_rule_that_was_not_evaluated() -> None:
    policy = dataclasses.replace(STANDARD, waivers=(dataclasses.replace(WAIVER, rule="unmeasurable-identity"),))
    blind = replaced(ship_readings(), number("identity.gap", None))
    seen = finding(rule="unmeasurable-identity", severity="note")
    assert decide([seen], (), blind, policy, novel=NOVEL, today=TODAY).outcome == "INCONCLUSIVE"
    unjudged = [NotEvaluated(rule="hair-flip", reason="not measured")]
    policy = dataclasses.replace(STANDARD, waivers=(WAIVER,))
    assert decide((), unjudged, ship_readings(), policy, novel=NOVEL, today=TODAY).outcome == "INCONCLUSIVE"


def test_a_warning_does_not_hold_under_the_standard_policy() -> None:
    assert decide([finding(severity="warning")], (), ship_readings(), STANDARD, novel=NOVEL).outcome == "SHIP"


def test_a_rule_that_has_a_finding_was_evaluated_in_part() -> None:
    """Poses were judged, and expressions could not be: the rule is not called unevaluated beside its own finding."""
    unjudged = [NotEvaluated(rule="hair-flip", reason="expressions could not be judged")]
    lax = dataclasses.replace(STANDARD, optional_rules=("hair-flip",))
    verdict = decide([finding("suspected")], unjudged, ship_readings(), lax, novel=NOVEL)
    assert "the rule hair-flip was evaluated in part alone: expressions could not be judged" in verdict.warnings
    sliced = [NotEvaluated(rule="hair-flip {framing: close-up}", reason="no face")]
    verdict = decide([finding("suspected")], sliced, ship_readings(), lax, novel=NOVEL)
    assert "the rule hair-flip {framing: close-up} was not evaluated: no face" in verdict.warnings


def test_a_rule_that_was_not_evaluated_prevents_a_ship_unless_it_is_optional() -> None:
    unjudged = [NotEvaluated(rule="hair-flip", reason="attribute.flip_rate: not measured")]
    verdict = decide((), unjudged, ship_readings(), STANDARD, novel=NOVEL)
    assert verdict.outcome == "INCONCLUSIVE" and "hair-flip was not evaluated" in verdict.sentence
    lax = dataclasses.replace(STANDARD, optional_rules=("hair-flip",))
    verdict = decide((), unjudged, ship_readings(), lax, novel=NOVEL)
    assert verdict.outcome == "SHIP" and "hair-flip was not evaluated" in verdict.warnings[0]


def test_a_finding_of_an_optional_rule_warns_since_hiding_its_measurement_would_help_otherwise() -> None:
    lax = dataclasses.replace(STANDARD, optional_rules=("hair-flip",))
    verdict = given_findings(finding(), policy=lax)
    assert verdict.outcome == "SHIP" and "hair-flip, confirmed" in verdict.warnings[0]


# ---------------------------------------------------------------- what a ship covers


def test_what_the_policy_asks_for_and_nobody_rendered_is_not_said_to_be_covered() -> None:
    seen = [
        m for m in ship_readings() if m.where.get("weight") != "0.7" and m.where.get("framing") in (None, "close-up")
    ]
    told = decide((), (), seen, STANDARD, novel=NOVEL).limits
    assert told[0] == "Weights: 1 (asked for by the policy, not rendered: 0.7); each judged by its whole interval."
    assert told[1] == "Framings: close-up (asked for by the policy, not rendered: upper_body, full_body)."
    blind = replaced(seen, score(None, weight="1"), score(None, weight="ship", framing="close-up"))
    told = decide((), (), blind, STANDARD, novel=NOVEL).limits
    assert told[0].startswith("Weights: none (asked for by the policy, not rendered: 0.7; not measured: 1);")
    assert told[1] == (
        "Framings: none (asked for by the policy, not rendered: upper_body, full_body; not measured: close-up)."
    )


def limits(*new: Measurement) -> str:
    return " ".join(decide((), (), replaced(ship_readings(), *new), STANDARD, novel=NOVEL).limits)


def test_the_working_range_is_where_identity_holds_of_what_was_rendered() -> None:
    low = [score(0.2, weight="0.4"), score(0.7, weight="0.6"), score(0.0, weight="0")]
    assert "identity holds from weight 0.6 to 1 (of 0.4, 0.6, 0.7, 0.8, 1 rendered)" in limits(*low)
    assert "at weight 0.6, 0.7, 1 alone" in limits(*low, score(0.5, weight="0.8"))
    assert "holds at no weight" in limits(*(score(0.1, weight=w) for w in ("0.7", "0.8", "1")))
    assert "not known, identity cannot be measured" in limits(number("identity.gap", None))


def test_what_was_not_tested_is_said() -> None:
    assert "Not tested: weights above 1, other environments" in limits()
    burnt = number("overbake.detail", 1.0, weight="1.2")
    assert "Not tested: weights above 1 (looked at to 1.2 for damage alone), other environments" in limits(burnt)
    probes = [number("probe.identity", 0.5, weight=weight) for weight in ("1.3", "1.5")]
    probed = "looked at for identity at 1.3 and 1.5, but not in full body), other environments"
    assert f"weights above 1 ({probed}" in limits(*probes)
    assert f"weights above 1 (looked at to 1.2 for damage alone; {probed}" in limits(burnt, *probes)
    policy = dataclasses.replace(STANDARD, framings=("close-up",))
    told = given_findings(policy=policy).limits
    assert any("full_body (no face is demanded there)" in text for text in told)


def test_nothing_measured_is_inconclusive_under_every_policy() -> None:
    for name in ("standard", "strict", "lenient"):
        assert judge([], load_policy(FOLDER, name)).outcome == "INCONCLUSIVE"


# ---------------------------------------------------------------- law 1

HEALTHY = healthy()
NAMES = [rule.id for rule in RULES]
PRESETS = {name: load_policy(FOLDER, name) for name in ("standard", "strict", "lenient")}


def grade(verdict: Verdict) -> int:
    """2 = SHIP, 1 = SHIP with warnings or waivers, 0 = anything else."""
    return 0 if verdict.outcome != "SHIP" else 1 if verdict.warnings or verdict.waived else 2


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """A preset with any levels, warning levels and waivers upon it."""
    base = PRESETS[draw(st.sampled_from(sorted(PRESETS)))]
    waivers = st.builds(
        Waiver, rule=st.sampled_from(NAMES), reason=st.just("so"),
        expires=st.sampled_from(["2026-01-01", "2027-01-01"]),
        lora=st.sampled_from(["", LORA[:12], "b" * 12]), where=st.sampled_from([{}, {"attribute": "hair_colour"}]),
    )  # fmt: skip
    levels = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(["fail", "warn", "ignore"]), max_size=2)
    return dataclasses.replace(
        base,
        rules=draw(levels),
        waivers=tuple(draw(st.lists(waivers, max_size=2))),
        bears=draw(st.sampled_from([0.0, base.bears, 0.05, 0.3, 0.9])),
        optional_rules=tuple(draw(st.sets(st.sampled_from(NAMES), max_size=1))),
        warn_identity_at_least=draw(st.sampled_from([None, 0.7, 0.9])),
        warn_environments=draw(st.sampled_from([None, 5])),
        warn_no_face_at_most=draw(st.sampled_from([None, 0.05])),
        warn_gap_at_least=draw(st.sampled_from([None, 0.3])),
    )


@st.composite
def patients(draw: st.DrawFn) -> list[Measurement]:
    """The healthy LoRA with some of its numbers replaced by worse or vaguer ones."""
    made = list(HEALTHY)
    for i in draw(st.lists(st.integers(0, len(made) - 1), max_size=3)):
        value = draw(st.sampled_from([-0.3, 0.0, 0.06, 0.1, 0.16, 0.3, 0.58, 0.65, 0.95]))
        half = draw(st.sampled_from([None, 0.005, 0.01, 0.1, 0.4]))
        made[i] = number(made[i].name, value, half, **made[i].where)
    return made


def wider(measurement: Measurement, by: float) -> Measurement:
    """A number without an interval has none to widen: to the verdict it is open already."""
    if measurement.interval is None:
        return measurement
    low, high = measurement.interval
    return dataclasses.replace(measurement, interval=(low - by, high + by))


@settings(max_examples=many(10_000), deadline=None)
@given(patients(), policies(), st.sampled_from(["drop", "blank", "widen"]), st.data())
def test_taking_evidence_away_never_improves_a_verdict(
    made: list[Measurement], policy: Policy, how: str, data: st.DataObject
) -> None:
    before = grade(judge(made, policy))
    gone = data.draw(st.sets(st.integers(0, len(made) - 1), min_size=1, max_size=4))
    if how == "drop":
        less = [m for i, m in enumerate(made) if i not in gone]
    elif how == "blank":
        less = [dataclasses.replace(m, value=None, interval=None) if i in gone else m for i, m in enumerate(made)]
    else:
        by = data.draw(st.sampled_from([0.01, 0.1, 0.5]))
        less = [wider(m, by) if i in gone else m for i, m in enumerate(made)]
    assert grade(judge(less, policy)) <= before


@st.composite
def any_findings(draw: st.DrawFn) -> list[Finding]:
    about = st.sampled_from([{}, {"attribute": "hair_colour"}, {"attribute": "eye_colour"}])
    made = st.builds(
        finding, st.sampled_from(["confirmed", "suspected"]), st.sampled_from(["blocker", "warning", "note"]),
        st.sampled_from([None, 0.0, 0.02, 0.2, 1.0]), rule=st.sampled_from(NAMES), about=about,
    )  # fmt: skip
    return draw(st.lists(made, max_size=3))


@settings(max_examples=many(10_000), deadline=None)
@given(any_findings(), policies(), st.data())
def test_a_finding_that_becomes_vaguer_or_unevaluated_never_improves_a_verdict(
    findings: list[Finding], policy: Policy, data: st.DataObject
) -> None:
    before = grade(given_findings(*findings, policy=policy))
    moved = {i for i in range(len(findings)) if data.draw(st.booleans())}
    unjudged = [NotEvaluated(rule=f.rule, reason="gone") for i, f in enumerate(findings) if i in moved]
    kept = [f for i, f in enumerate(findings) if i not in moved]
    if kept and data.draw(st.booleans()):
        kept[0] = dataclasses.replace(kept[0], state="suspected", worst=data.draw(st.sampled_from([None, 1.0])))
    after = decide(kept, unjudged, ship_readings(), policy, novel=NOVEL, today=TODAY, lora=LORA)
    assert grade(after) <= before


def test_any_single_measurement_the_verdict_rests_on_is_missed() -> None:
    for gone in HEALTHY:
        verdict = judge([m for m in HEALTHY if m is not gone])
        assert verdict.outcome in ("SHIP", "INCONCLUSIVE")
        if gone.name in ("identity.gap", "identity.no_face", "body.deficit", "dose.plateau"):
            assert verdict.outcome == "INCONCLUSIVE", gone


# ---------------------------------------------------------------- policies


def test_the_standard_policy_is_the_articles_ship_rule() -> None:
    assert min(STANDARD.weights) == 0.7 and STANDARD.environments == 3


def test_the_stricter_policy_ships_no_lora_that_the_more_lenient_holds() -> None:
    for identity in (0.3, 0.55, 0.63, 0.9):
        made = [dataclasses.replace(m) for m in HEALTHY]
        made = replaced(made, *(m for m in ship_readings(identity) if m.name == "identity.score"))
        ships = [judge(made, load_policy(FOLDER, name)).outcome == "SHIP" for name in ("strict", "standard", "lenient")]
        assert ships == sorted(ships)


def test_an_open_claim_says_how_many_more_pictures_would_settle_it() -> None:
    near = [replace_n(score(0.66, 0.12, weight="ship", environment=e), 6) for e in (*TRAINED, *NOVEL)]
    found = judge(replaced(healthy(), *near), dataclasses.replace(STANDARD, environment_claim="interval"))
    assert found.outcome == "INCONCLUSIVE"
    assert any("about 162 more pictures would decide it" in reason for reason in found.reasons)


def test_nobody_is_told_to_render_thousands_of_pictures() -> None:
    near = [replace_n(score(0.605, 0.12, weight="ship", environment=e), 6) for e in (*TRAINED, *NOVEL)]
    found = judge(replaced(healthy(), *near), STANDARD)
    assert found.outcome == "INCONCLUSIVE" and not any("would decide it" in reason for reason in found.reasons)
    assert any("more than 2000 pictures would be needed" in reason for reason in found.reasons)


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


def test_what_happens_without_the_trigger_and_to_others_is_told_among_the_limits() -> None:
    told = [number("leak.identity", 0.8, 0.1), number("bleed.score", 0.4, 0.1),
            number("control.match", 0.3, 0.1, kind="trait"),
            number("control.base_match", 0.9, 0.1, kind="trait")]  # fmt: skip
    limits = judge(replaced(healthy(), *told)).limits
    without = "Without the trigger: identity 0.80 [0.70, 0.90] (0 = the base model's faces, 1 = the character's)"
    usual = "nearly every LoRA of one character does this, and it is judged only with `with_others = true`"
    assert f"{without}; {usual}." in limits
    judged = judge(replaced(healthy(), *told, number("use.with_others", 1.0))).limits
    assert f"{without}." in judged
    assert any("0.40 [0.30, 0.50] of the way to the character; 30% of the traits" in line for line in limits)
    assert not any("trigger" in line for line in judge([m for m in healthy() if m.name != "leak.score"]).limits)


def test_a_warning_rule_that_was_not_evaluated_is_said_and_ships() -> None:
    verdict = judge([m for m in healthy() if m.name != "control.loss"])
    assert verdict.outcome == "SHIP"
    assert any("outfit-baked-in was not evaluated" in warning for warning in verdict.warnings)


def test_a_blocker_that_was_not_evaluated_is_not_shipped() -> None:
    assert judge([m for m in healthy() if m.name != "use.with_others"]).outcome == "INCONCLUSIVE"


def test_the_working_range_ends_where_a_symptom_is_confirmed() -> None:
    found = evaluate(RULES, healthy())
    verdict = decide(*found, healthy(), STANDARD, novel=NOVEL, failing_at={1.0: ("overbaked",), 1.2: ("overbaked",)})
    (line,) = [limit for limit in verdict.limits if limit.startswith("Working range")]
    assert "overbaked at 1, 1.2" in line and " to 1 (" not in line


def test_an_environment_is_open_while_one_more_picture_like_the_worst_would_take_its_proof() -> None:
    def with_end(end: float) -> list[Measurement]:
        return [
            dataclasses.replace(m, one_worse=end) if "environment" in m.where and m.name == "identity.score" else m
            for m in healthy()
        ]

    assert decide([], [], with_end(0.61), STANDARD, novel=NOVEL).outcome == "SHIP"
    short = decide([], [], with_end(0.59), STANDARD, novel=NOVEL)
    assert short.outcome == "INCONCLUSIVE"
    assert open_environments(with_end(0.59), STANDARD, NOVEL) and not open_environments(with_end(0.61), STANDARD, NOVEL)
    place = dataclasses.replace(score(0.8, 0.1, weight="ship", environment="beach"), n=6)
    needed = [units_to_decide({"beach": dataclasses.replace(place, one_worse=end)}, 0.6, 1, 1) for end in (0.59, 0.4)]
    assert needed == [1, 18]  # 6 units, a half-width of 0.21 or 0.4 where 0.2 is needed
