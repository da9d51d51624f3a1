"""Rules: what the folder holds, what the loader refuses, how sure a condition is, how causes are told apart."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_doctor.errors import UsageError
from lora_doctor.plugins import find
from lora_doctor.rule_files import load_rules
from lora_doctor.rules import confirmed_at, evaluate, failing_examples
from lora_doctor.types import Condition, Finding, Measurement, Rule
from lora_doctor.wording import too_close
from tests.examples import many
from tests.metrics.make_study import make_study

FOLDER = Path(__file__).parents[1] / "rules"
RULES = {rule.id: rule for rule in load_rules(FOLDER)}
ARTICLE = (
    "body-drift",
    "closeup-identity-loss",
    "environment-lock",
    "hair-flip",
    "low-weight-forgetting",
    "body-type-wrong",
)
RENDERED = (
    "identity.", "attribute.", "body.", "outfit.", "environment.", "framing.", "dose.", "leak.", "trigger.", "bleed.",
    "drift.", "diversity.", "overbake.", "colour.", "copies.", "control.", "side.", "state.", "probe.",
)  # fmt: skip
"""Measurements taken from renders; all others come from files."""

MINIMAL = """
id: a-rule
since: "0.1"
symptom: Something is wrong.
why: It matters.
severity: blocker
when: {measurement: x.a, above: 0.5}
causes:
  - because: This.
    fix: {advice: Do that.}
references: [https://example.org]
examples:
  fires: [[{measurement: x.a, value: 1.0}]]
  quiet: [[{measurement: x.a, value: 0.0}]]
"""


def number(name: str, value: float | None, interval: tuple[float, float] | None = None, **where: str) -> Measurement:
    return Measurement(name=name, value=value, interval=interval, where=where)


def rule_when(when: Condition) -> Rule:
    return dataclasses.replace(RULES["body-drift"], id="tried", when=when)


def state_of(when: Condition, measurements: Sequence[Measurement]) -> str:
    findings, unjudged = evaluate([rule_when(when)], measurements)
    return "+".join([f.state for f in findings] + ["open" for _ in unjudged]) or "quiet"


def leaves(condition: Condition) -> Iterator[Condition]:
    if condition.measurement is not None:
        yield condition
    for part in (*condition.all, *condition.any, *condition.none):
        yield from leaves(part)


# ---------------------------------------------------------------- the folder


def test_what_metrics_measure_is_known_as_rendered() -> None:
    """But for `use.`, which is what the LoRA is for; and probes are measured apart from the metrics."""
    study = make_study()
    names = {one.name for metric in find("metrics", needs="measure").values() for one in metric.measure(study)}
    assert {f"{name.partition('.')[0]}." for name in names} - {"use."} | {"probe."} == set(RENDERED)


def test_the_folder_holds_a_rule_for_every_row_of_the_article() -> None:
    assert set(ARTICLE) <= set(RULES)
    assert all(RULES[name].severity == "blocker" for name in ARTICLE)
    assert {RULES[name].references[0] for name in ARTICLE} == {"https://civitai.com/articles/31467"}


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_every_rule_does_what_its_own_examples_say(rule: Rule) -> None:
    assert len(rule.examples["fires"]) >= 2 and len(rule.examples["quiet"]) >= 2
    assert failing_examples(rule) == ()


@pytest.mark.parametrize("name", ARTICLE)
def test_no_file_alone_makes_a_rule_fire(name: str) -> None:
    for example in RULES[name].examples["fires"]:
        files = [m for m in example if not m.name.startswith(RENDERED)]
        assert evaluate([RULES[name]], files)[0] == ()


@pytest.mark.parametrize("name", ARTICLE)
def test_the_leading_measurement_is_a_rendered_one(name: str) -> None:
    for example in RULES[name].examples["fires"]:
        (finding,), _ = evaluate([RULES[name]], example)
        assert finding.measurements[0].name.startswith(RENDERED)
        assert finding.strength > 0


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_examples_use_only_measurements_the_rule_reads(rule: Rule) -> None:
    conditions = [rule.when, *(part.when for cause in rule.causes for part in (*cause.evidence, *cause.advise))]
    read = {(leaf.measurement, *leaf.where.items()) for condition in conditions for leaf in leaves(condition)}
    used = {(m.name, *m.where.items()) for kind in rule.examples.values() for example in kind for m in example}
    every = {(name, *((key, "*" if key == rule.each else value) for key, value in where)) for name, *where in used}
    assert every <= read


@pytest.mark.parametrize("name", ARTICLE)
def test_an_example_that_fires_one_row_fires_no_other_row_as_well(name: str) -> None:
    for example in RULES[name].examples["fires"]:
        confirmed = {f.rule for f in evaluate(tuple(RULES.values()), example)[0] if f.state == "confirmed"}
        assert confirmed & set(ARTICLE) == {name}


# ---------------------------------------------------------------- causes told apart


SHORT_AT_16 = (number("spectrum.rank", 16), number("spectrum.null_ratio", 0.93), number("training.exposures", 16))
LONG_AT_2 = (number("spectrum.rank", 2), number("spectrum.null_ratio", 0.9), number("training.exposures", 160))
NO_NEGATIVES = (number("captions.negative_tokens", 0), number("dataset.identity_ratio", 0.33))


def lock(dropout: float, captioned: float) -> list[Measurement]:
    """The files of a dataset with few environments."""
    shares = {"training.caption_token_dropout": dropout, "dataset.environment_captioned_share": captioned}
    return [number("dataset.environments", 1.9), *(number(name, value) for name, value in shares.items())]


def hair_tokens(coverage: float, conflict: float) -> list[Measurement]:
    shares = {"captions.identity_token_coverage": coverage, "captions.identity_token_conflict": conflict}
    return [number(name, value, attribute="hair_colour") for name, value in shares.items()]


@pytest.mark.parametrize(
    ("rule", "evidence", "cause"),
    [
        ("environment-lock", lock(dropout=0.0, captioned=1.0), "no tokens were dropped"),
        ("environment-lock", lock(dropout=0.0, captioned=0.0), "left out of the captions"),
        ("environment-lock", lock(dropout=0.3, captioned=1.0), "too few environments"),
        (
            "low-weight-forgetting",
            [*LONG_AT_2, number("training.rank", 2), number("spectrum.k90_share", 1.0)],
            "rank is too low",
        ),
        (
            "low-weight-forgetting",
            [*SHORT_AT_16, number("training.rank", 16), number("spectrum.k90_share", 0.85)],
            "stopped too early",
        ),
        ("hair-flip", [*NO_NEGATIVES, *hair_tokens(0.5, 0.2)], "contradict"),
        ("hair-flip", [*NO_NEGATIVES, *hair_tokens(1.0, 0.0)], "negative tokens"),
    ],
)
def test_causes_of_one_symptom_are_told_apart_by_the_files(rule: str, evidence: list[Measurement], cause: str) -> None:
    (finding,), _ = evaluate([RULES[rule]], [*RULES[rule].examples["fires"][0], *evidence])
    assert cause in finding.causes[0].because
    assert finding.causes[0].log_odds - finding.causes[1].log_odds >= 0.7, "too close to tell"


def body_wrong(ratio: float, coverage: float, *extra: Measurement) -> tuple[Finding, ...]:
    rules = [RULES["body-drift"], RULES["body-type-wrong"]]
    findings, unjudged = evaluate(
        rules,
        [
            number("body.deficit", 0.6, (0.45, 0.75)),
            number("outfit.deficit", 0.5, (0.35, 0.65)),
            number("framing.loss", 0.0, (-0.1, 0.1), framing="full_body"),
            number("identity.score", 0.9, (0.8, 1.0), weight="ship", framing="close-up"),
            number("dataset.identity_ratio", ratio),
            number("training.identity_ratio", ratio),
            number("spec.attributes", 2, kind="body"),
            number("spec.attributes", 4, kind="outfit"),
            number("captions.body_token_coverage", coverage, role="identity-emphasis"),
            number("captions.body_token_coverage", coverage, role="in-context"),
            number("dataset.body_visible_share", 1 - ratio),
            number("dataset.framing_share", 1 - ratio, framing="full_body"),
            *extra,
        ],
    )
    assert unjudged == ()
    return findings


def test_a_wrong_body_at_a_ratio_far_out_of_band_is_body_drift() -> None:
    (finding,) = body_wrong(ratio=0.95, coverage=1.0)
    assert finding.rule == "body-drift" and finding.causes[0].fix.change == {"identity_ratio": {"at_most": 0.25}}


def test_a_wrong_body_without_body_tokens_at_a_sound_ratio_is_body_type_wrong() -> None:
    (finding,) = body_wrong(ratio=0.33, coverage=0.0)
    assert finding.rule == "body-type-wrong" and finding.causes[0].fix.captions["add_tokens"] == "body"


def test_body_drift_leads_when_both_the_ratio_and_the_tokens_are_off() -> None:
    assert [f.rule for f in body_wrong(ratio=0.95, coverage=0.0)] == ["body-drift", "body-type-wrong"]


@pytest.mark.parametrize(("drawn", "led"), [(0.35, True), (0.85, False)])
def test_a_build_that_the_base_model_cannot_draw_is_told_where_the_dataset_is_sound(drawn: float, led: bool) -> None:
    asked = number("attribute.control", drawn, (drawn - 0.1, drawn + 0.1), attribute="body")
    (finding,) = body_wrong(0.33, 1.0, asked)
    assert finding.causes[0].because.startswith("The base model does not draw the build") is led
    (finding,) = body_wrong(0.95, 1.0, asked)
    assert finding.causes[0].because.startswith("Too many of the pictures")


# ---------------------------------------------------------------- how sure

ABOVE = Condition(measurement="x.a", above=0.5)


def test_an_interval_beyond_the_threshold_confirms_and_one_that_straddles_it_suspects() -> None:
    assert state_of(ABOVE, [number("x.a", 0.8, (0.6, 1.0))]) == "confirmed"
    assert state_of(ABOVE, [number("x.a", 0.8, (0.4, 1.2))]) == "suspected"
    assert state_of(ABOVE, [number("x.a", 0.4, (0.2, 0.6))]) == "quiet"


def test_an_exact_number_confirms_and_one_that_lacks_its_interval_suspects() -> None:
    assert state_of(ABOVE, [number("x.a", 0.8)]) == "confirmed"
    assert state_of(ABOVE, [Measurement(name="x.a", value=0.8, reason="one environment")]) == "suspected"


@pytest.mark.parametrize(
    "absent", [[], [number("x.a", None)], [number("x.a", float("nan"))], [number("x.a", 1.0, k="v")]]
)
def test_an_absent_measurement_leaves_the_rule_open(absent: list[Measurement]) -> None:
    assert state_of(ABOVE, absent) == "open"


def test_the_reason_of_an_absent_measurement_is_passed_on() -> None:
    gone = Measurement(name="x.a", value=None, reason="no face in any picture", where={"framing": "close-up"})
    when = Condition(measurement="x.a", where={"framing": "close-up"}, above=0.5)
    _, (unjudged,) = evaluate([rule_when(when)], [gone])
    assert unjudged.reason == "x.a {framing: close-up}: no face in any picture"


def test_what_is_decided_without_an_absent_measurement_stays_decided() -> None:
    other = Condition(measurement="x.b", above=0.5)
    high, low = number("x.a", 0.9), number("x.a", 0.1)
    assert state_of(Condition(all=(ABOVE, other)), [low]) == "quiet"
    assert state_of(Condition(all=(ABOVE, other)), [high]) == "open"
    assert state_of(Condition(any=(ABOVE, other)), [high]) == "confirmed"
    assert state_of(Condition(any=(ABOVE, other)), [low]) == "open"
    assert state_of(Condition(none=(ABOVE, other)), [high]) == "quiet"


def test_a_suspicion_that_an_absent_measurement_could_confirm_is_both_found_and_open() -> None:
    either = Condition(any=(ABOVE, Condition(measurement="x.b", above=0.5)))
    assert state_of(either, [number("x.a", 0.8, (0.4, 1.2))]) == "suspected+open"


def test_none_is_as_sure_as_the_opposite_comparison() -> None:
    not_above = Condition(none=(ABOVE,))
    assert state_of(not_above, [number("x.a", 0.2, (0.1, 0.3))]) == "confirmed"
    assert state_of(not_above, [number("x.a", 0.4, (0.2, 0.6))]) == "suspected"
    assert state_of(not_above, [number("x.a", 0.6, (0.4, 0.8))]) == "quiet"


def test_several_operators_in_one_condition_must_all_hold() -> None:
    band = Condition(measurement="x.a", above=0.2, below=0.6)
    assert state_of(band, [number("x.a", 0.4, (0.3, 0.5))]) == "confirmed"
    assert state_of(band, [number("x.a", 0.4, (0.3, 0.7))]) == "suspected"
    assert state_of(band, [number("x.a", 0.7, (0.65, 0.75))]) == "quiet"


def test_what_missing_pictures_could_raise_above_the_threshold_is_open_and_not_quiet() -> None:
    """Three of forty flipped and one is lost: it may have been the fourth."""
    seen = Measurement(name="x.a", value=0.4, interval=(0.2, 0.6), unit="share", reach=(0.38, 0.55))
    assert state_of(ABOVE, [dataclasses.replace(seen, reach=None)]) == "quiet"
    assert state_of(ABOVE, [dataclasses.replace(seen, reach=(0.38, 0.45))]) == "quiet"
    assert state_of(ABOVE, [seen]) == "open"
    _, (unjudged,) = evaluate([rule_when(ABOVE)], [seen])
    assert "with the pictures that are missing it could be 0.55" in unjudged.reason
    assert state_of(Condition(none=(ABOVE,)), [dataclasses.replace(seen, value=0.6, reach=(0.4, 0.7))]) == "open"
    assert state_of(Condition(none=(ABOVE,)), [dataclasses.replace(seen, value=0.6, reach=(0.55, 0.7))]) == "quiet"
    below = Condition(measurement="x.a", below=0.5)
    assert state_of(below, [dataclasses.replace(seen, value=0.6, reach=(0.4, 0.7))]) == "open"


def test_a_suspicion_may_be_as_strong_as_missing_pictures_could_make_it() -> None:
    seen = Measurement(name="x.a", value=0.6, interval=(0.3, 0.9), unit="share", reach=(0.55, 0.8))
    (found,), unjudged = evaluate([rule_when(ABOVE)], [seen])
    assert (found.state, found.strength, found.worst) == ("suspected", pytest.approx(0.2), pytest.approx(0.6))
    assert unjudged == ()


def test_strength_counts_thresholds_beyond_the_threshold_of_the_first_measurement() -> None:
    when = Condition(all=(Condition(measurement="x.a", above=0.2), Condition(measurement="x.b", above=0.1)))
    (finding,), _ = evaluate([rule_when(when)], [number("x.a", 0.5), number("x.b", 0.9)])
    assert finding.strength == pytest.approx(1.5)
    assert [m.name for m in finding.measurements] == ["x.a", "x.b"]


def test_strength_of_a_share_counts_the_room_between_its_threshold_and_the_worst_it_could_be() -> None:
    flips = Measurement(name="x.flips", value=0.35, unit="share", n=9)
    lost = Measurement(name="x.identity", value=0.2, unit="score", n=9)
    (flip,), _ = evaluate([rule_when(Condition(measurement="x.flips", above=0.05))], [flips])
    (loss,), _ = evaluate([rule_when(Condition(measurement="x.identity", below=0.6))], [lost])
    assert (flip.strength, loss.strength) == (pytest.approx(0.3 / 0.95), pytest.approx(0.4 / 0.6))


def test_a_ratio_beyond_one_has_no_worst_and_is_not_the_strongest_at_once() -> None:
    (near,), _ = evaluate([rule_when(Condition(measurement="x.chroma", above=1.25))], [ratio(1.26)])
    (far,), _ = evaluate([rule_when(Condition(measurement="x.chroma", above=1.25))], [ratio(2.5)])
    assert (near.strength, far.strength) == (pytest.approx(0.008), pytest.approx(1.0))
    assert near.worst == far.worst == 1.0


def ratio(value: float) -> Measurement:
    return Measurement(name="x.chroma", value=value, unit="ratio", n=9)


def test_what_the_character_is_meant_to_be_is_a_guard_and_no_evidence() -> None:
    when = Condition(
        all=(Condition(measurement="x.a", above=0.2), Condition(measurement="spec.attributes", at_least=1))
    )
    (finding,), _ = evaluate([rule_when(when)], [number("x.a", 0.5), number("spec.attributes", 3)])
    assert [m.name for m in finding.measurements] == ["x.a"]


def test_findings_come_confirmed_first_then_severe_then_strong() -> None:
    def made(name: str, severity: Literal["blocker", "warning"], threshold: float) -> Rule:
        when = Condition(measurement=f"x.{name}", above=threshold)
        return dataclasses.replace(RULES["body-drift"], id=name, when=when, severity=severity)

    rules = [made("d", "blocker", 0.1), made("c", "warning", 0.1), made("b", "blocker", 0.5), made("a", "blocker", 0.2)]
    values = [number(f"x.{name}", 0.9) for name in "abc"] + [number("x.d", 0.9, (0.0, 2.0))]
    assert [f.rule for f in evaluate(rules, values)[0]] == ["a", "b", "c", "d"]


def test_findings_whose_causes_the_evidence_speaks_against_come_after_those_it_explains() -> None:
    unlikely = dataclasses.replace(RULES["body-drift"].causes[0], prior=-2.0, evidence=())
    explained = dataclasses.replace(unlikely, prior=0.5)
    rules = [
        dataclasses.replace(rule_when(Condition(measurement=f"x.{name}", above=0.1)), id=name, causes=(cause,))
        for name, cause in (("strong", unlikely), ("slight", explained))
    ]
    found, _ = evaluate(rules, [number("x.strong", 0.9), number("x.slight", 0.2)])
    assert [finding.rule for finding in found] == ["slight", "strong"]


def test_suspected_evidence_weighs_half_and_unknown_evidence_is_listed() -> None:
    fires = RULES["hair-flip"].examples["fires"][0]

    def captions(interval: tuple[float, float] | None) -> tuple[float, tuple[str, ...]]:
        seen = number("captions.identity_token_conflict", 0.2, interval, attribute="hair_colour")
        (finding,), _ = evaluate([RULES["hair-flip"]], [*fires, seen])
        cause = next(c for c in finding.causes if "contradict" in c.because)
        return cause.log_odds, cause.unknown

    sure, unknown = captions(None)
    half, _ = captions((0.0, 0.4))
    assert half == pytest.approx(sure / 2)
    assert any("captions.identity_token_coverage" in text and "not measured" in text for text in unknown)


NAMES = ("x.a", "x.b", "x.c")
LEAVES = st.builds(
    lambda name, operator, threshold: Condition(measurement=name, **{operator: threshold}),
    st.sampled_from(NAMES),
    st.sampled_from(["above", "below", "at_least", "at_most", "equals"]),
    st.sampled_from([0.0, 0.5, 1.0]),
)


def combined(parts: st.SearchStrategy[Condition]) -> st.SearchStrategy[Condition]:
    some = st.lists(parts, min_size=1, max_size=3).map(tuple)
    return (
        some.map(lambda c: Condition(all=c))
        | some.map(lambda c: Condition(any=c))
        | some.map(lambda c: Condition(none=c))
    )


CONDITIONS = st.recursive(LEAVES, combined, max_leaves=6)
VALUES = st.tuples(st.sampled_from([-0.5, 0.0, 0.3, 0.5, 0.7, 1.0, 1.5]), st.sampled_from([None, 0.0, 0.25, 0.6]))
NUMBERS = st.tuples(VALUES, VALUES, VALUES).map(
    lambda three: [number(n, v, None if w is None else (v - w, v + w)) for n, (v, w) in zip(NAMES, three, strict=True)]
)


@settings(deadline=None)
@given(CONDITIONS, NUMBERS, st.sampled_from(NAMES))
def test_taking_a_measurement_away_either_changes_nothing_or_leaves_the_rule_open(
    when: Condition, measurements: list[Measurement], gone: str
) -> None:
    before = state_of(when, measurements)
    after = state_of(when, [m for m in measurements if m.name != gone])
    assert before in ("confirmed", "suspected", "quiet")
    assert after == before or after.endswith("open")


@settings(deadline=None)
@given(CONDITIONS, NUMBERS)
def test_none_turns_a_condition_around(when: Condition, measurements: list[Measurement]) -> None:
    assert (state_of(when, measurements) == "quiet") != (state_of(Condition(none=(when,)), measurements) == "quiet")


# ---------------------------------------------------------------- the loader


def load_text(folder: Path, text: str, name: str = "a-rule.yaml") -> tuple[Rule, ...]:
    (folder / name).write_text(text, "utf-8")
    return load_rules(folder)


def test_a_minimal_rule_is_read(tmp_path: Path) -> None:
    (rule,) = load_text(tmp_path, MINIMAL)
    assert rule.when == Condition(measurement="x.a", above=0.5)
    assert rule.examples["fires"] == ((number("x.a", 1.0),),)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("symptom:", "symptoms:", "symptoms: is not a key of a rule"),
        ("above: 0.5}", "abov: 0.5}", "when.abov: is not a key of a rule"),
        ("{advice: Do that.}", "{chnge: {}}", "causes[0].fix.chnge: is not a key of a rule"),
        ("severity: blocker", "severity: error", "severity: input should be 'blocker', 'warning' or 'note'"),
        ("above: 0.5}", "above: high}", "when.above: "),
        ("above: 0.5}", "above: .nan}", "when.above: "),
        ("above: 0.5}", "where: {weight: 0.7}, above: 0.5}", "when.where.weight: "),
        ("id: a-rule", "id: b-rule", "must equal the file name"),
        ("[https://example.org]", "[]", "references and causes"),
        ("when: {measurement: x.a, above: 0.5}", "when: {}", "when: an empty condition"),
        ("when: {measurement: x.a, above: 0.5}", "when: {measurement: x.a}", "a comparison with a number or `absent`"),
        ("when: {measurement: x.a, above: 0.5}", "when: {above: 0.5}", "when: a comparison needs its `measurement`"),
        (
            "when: {measurement: x.a, above: 0.5}",
            "when: {none: [{measurement: x.a, absent: true}]}",
            "when.none[0]: `absent` would silence the rule",
        ),
        ("above: 0.5}", "absent: false}", "when: `absent` would silence the rule"),
        ("{advice: Do that.}", "{change: {rnk: {set: 4}}}", "causes[0].fix.change.rnk: not a training setting"),
        ("{advice: Do that.}", "{change: {rank: {up: 4}}}", "causes[0].fix.change.rank: exactly one of"),
        ("{advice: Do that.}", "{change: {rank: {times: two}}}", "causes[0].fix.change.rank.times: a number"),
        ("{advice: Do that.}", "{dataset: {until_share: 1.0}}", "causes[0].fix.dataset.until_share"),
        ("{advice: Do that.}", "{captions: {tokens: body}}", "causes[0].fix.captions.tokens: not a key here"),
        ("{advice: Do that.}", "{rescale: {identity: 0.65}}", "causes[0].fix.rescale: at_most, at_weight, identity"),
        ("  fires: [[{measurement: x.a, value: 1.0}]]\n", "", "examples: at least one example"),
        ("value: 1.0}", "valu: 1.0}", "examples.fires[0]: every entry is"),
        ("[[{measurement: x.a, value: 1.0}]]", "[{measurement: x.a, value: 1.0}]", "every example is a list"),
        ("[[{measurement: x.a, value: 1.0}]]", "5", "every example is a list"),
        ("value: 1.0}", "value: 1.0, interval: [1]}", "examples.fires[0]: every entry is"),
        ("value: 1.0}", "value: 1.0, where: ship}", "examples.fires[0]: every entry is"),
        ("why: It matters.", "why: It matters.\nwhy: Twice.", "cannot be read as YAML"),
        ("why: It matters.", "why: [", "cannot be read as YAML"),
    ],
)
def test_a_faulty_rule_is_refused_with_its_file_and_place(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    assert old in MINIMAL
    with pytest.raises(UsageError) as refusal:
        load_text(tmp_path, MINIMAL.replace(old, new, 1))
    assert complaint in str(refusal.value)
    assert str(refusal.value).startswith(str(tmp_path / "a-rule.yaml")) and "\n" not in str(refusal.value)


@pytest.mark.parametrize("content", [b"- a\n- b\n", b"", b"\xff\xfe\x00", b"just text"])
def test_a_file_that_is_no_rule_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a-rule.yaml").write_bytes(content)
    with pytest.raises(UsageError, match=r"a-rule\.yaml"):
        load_rules(tmp_path)


def test_a_folder_without_rules_is_refused(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UsageError, match="holds no rules"):
            load_rules(folder)


def test_an_example_that_does_not_come_out_is_named(tmp_path: Path) -> None:
    (rule,) = load_text(tmp_path, MINIMAL.replace("value: 0.0", "value: 0.9"))
    assert failing_examples(rule) == ("a-rule: examples.quiet[0] is confirmed",)


# ---------------------------------------------------------------- rules judged for each of several things


EACH = """
id: each-rule
since: "0.3"
symptom: The {attribute} is named in some captions only.
why: It matters.
severity: warning
each: attribute
predicts: [hair-flip]
when: {measurement: x.named, where: {attribute: "*"}, below: 0.5}
causes:
  - because: The {attribute} was forgotten.
    evidence:
      - when: {measurement: x.seen, where: {attribute: "*"}, above: 0.9}
        weight: 1.0
        says: the {attribute} is always seen
    fix:
      captions: {add_tokens: "*", to: all}
      advice: Name the {attribute}.
references: [https://example.org]
examples:
  fires: [[{measurement: x.named, where: {attribute: a}, value: 0.1}]]
  quiet: [[{measurement: x.named, where: {attribute: a}, value: 0.9}]]
"""


def each_rule(folder: Path, text: str = EACH) -> Rule:
    (folder / "each-rule.yaml").write_text(text, "utf-8")
    return load_rules(folder)[0]


def test_a_rule_with_each_is_judged_once_for_every_value(tmp_path: Path) -> None:
    rule = each_rule(tmp_path)
    named = [number("x.named", value, attribute=name) for name, value in (("eye_colour", 0.1), ("skin", 0.9))]
    findings, unjudged = evaluate([rule], [*named, number("x.seen", 1.0, attribute="eye_colour")])
    assert [(f.rule, f.about, f.predicts) for f in findings] == [
        ("each-rule", {"attribute": "eye_colour"}, ("hair-flip",))
    ]
    assert unjudged == ()
    (cause,) = findings[0].causes
    assert findings[0].symptom == "The eye colour is named in some captions only."
    assert (cause.because, cause.fix.advice) == ("The eye colour was forgotten.", "Name the eye colour.")
    assert cause.fix.captions == {"add_tokens": "eye_colour", "to": "all"}
    assert cause.log_odds == 1.0


def test_a_prediction_may_hold_for_some_values_only(tmp_path: Path) -> None:
    rule = each_rule(tmp_path, EACH.replace("predicts: [hair-flip]", "predicts: [hair-flip]\npredicts_for: [hair]"))
    found, _ = evaluate([rule], [number("x.named", 0.1, attribute=name) for name in ("hair", "skin", "hair x top")])
    assert {f.about["attribute"]: f.predicts for f in found} == {
        "hair": ("hair-flip",), "skin": (), "hair x top": ("hair-flip",),
    }  # fmt: skip


def test_a_value_that_was_not_measured_leaves_its_own_case_open(tmp_path: Path) -> None:
    rule = each_rule(tmp_path)
    lacking = Measurement(name="x.named", value=None, where={"attribute": "skin"}, reason="nobody looked")
    findings, unjudged = evaluate([rule], [number("x.named", 0.1, attribute="top"), lacking])
    assert [f.about for f in findings] == [{"attribute": "top"}]
    assert [(n.rule, "nobody looked" in n.reason) for n in unjudged] == [("each-rule {attribute: skin}", True)]


def test_a_rule_with_each_and_nothing_measured_is_not_evaluated(tmp_path: Path) -> None:
    findings, unjudged = evaluate([each_rule(tmp_path)], [number("x.other", 0.1, attribute="top")])
    assert findings == ()
    assert [n.rule for n in unjudged] == ["each-rule"]


def test_a_rule_with_each_that_asks_for_no_star_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="each: no condition of `when` asks for"):
        each_rule(tmp_path, EACH.replace('{measurement: x.named, where: {attribute: "*"}', "{measurement: x.named"))


# ---------------------------------------------------------------- rules of a dataset


DATASET = {rule.id: rule for rule in load_rules(FOLDER / "dataset")}


@pytest.mark.parametrize("rule", DATASET.values(), ids=DATASET)
def test_every_dataset_rule_does_what_its_own_examples_say(rule: Rule) -> None:
    assert len(rule.examples["fires"]) >= 2 and len(rule.examples["quiet"]) >= 2
    assert failing_examples(rule) == ()


@pytest.mark.parametrize("rule", DATASET.values(), ids=DATASET)
def test_a_dataset_rule_predicts_only_symptoms_that_have_a_rule(rule: Rule) -> None:
    assert set(rule.predicts) <= set(RULES)


def test_a_dataset_rule_reads_no_render_and_has_a_name_of_its_own() -> None:
    asked = {leaf.measurement for rule in DATASET.values() for leaf in leaves(rule.when)}
    assert not [name for name in asked if name is not None and name.startswith(RENDERED)]
    assert not set(DATASET) & (set(RULES) | {rule.id for rule in load_rules(FOLDER / "file")})


# ---------------------------------------------------------------- how strong a finding may be


def worst_of(*measured: Measurement) -> float | None:
    ratio = Measurement(name="dataset.identity_ratio", value=0.95)
    (found,), _ = evaluate([RULES["body-drift"]], [*measured, ratio])
    return found.worst


def share(name: str, value: float | None, half: float = 0.01) -> Measurement:
    interval = None if value is None else (value - half, value + half)
    return Measurement(name=name, value=value, unit="share", interval=interval)


HOLDING = Measurement(
    name="identity.score",
    value=0.9,
    unit="score",
    interval=(0.85, 0.95),
    where={"weight": "ship", "framing": "close-up"},
)
FRAMED = Measurement(name="framing.loss", value=0.0, unit="share", interval=(0.0, 0.1), where={"framing": "full_body"})


def test_the_worst_of_a_finding_is_its_strongest_reading_and_ignores_intervals() -> None:
    some = (share("body.deficit", 0.2), HOLDING, FRAMED)
    assert worst_of(*some, share("outfit.deficit", 0.0)) == pytest.approx(0.05 / 0.85)
    assert worst_of(*some, share("outfit.deficit", 0.9)) == pytest.approx(0.75 / 0.85)
    assert worst_of(*some, share("outfit.deficit", 0.9, half=0.85)) == pytest.approx(0.75 / 0.85)


def test_what_is_absent_may_be_as_bad_as_can_be() -> None:
    assert worst_of(share("body.deficit", 0.2), HOLDING, FRAMED, share("outfit.deficit", None)) == 1.0


@settings(max_examples=many(10_000), deadline=None)
@given(CONDITIONS, NUMBERS, st.sampled_from(NAMES), st.booleans())
def test_taking_evidence_away_never_lowers_the_worst_of_a_finding_that_stays(
    when: Condition, measurements: list[Measurement], name: str, widen: bool
) -> None:
    rule = dataclasses.replace(RULES["hair-flip"], when=when, causes=())
    shares = [dataclasses.replace(m, unit="share") for m in measurements]
    bounds = {m.name: m.interval or (m.value, m.value) for m in shares}
    vague = (
        [dataclasses.replace(m, interval=(bounds[name][0] - 0.3, bounds[name][1] + 0.3)) if m.name == name else m
         for m in shares] if widen else [m for m in shares if m.name != name]
    )  # fmt: skip
    before, after = (evaluate([rule], some)[0] for some in (shares, vague))
    if before and after:
        assert after[0].worst >= before[0].worst


# ---------------------------------------------------------------- at every weight


def test_a_rule_by_weight_is_confirmed_at_the_weights_where_it_would_be_at_the_ship_weights() -> None:
    found = [
        number("overbake.detail", value, (value - 0.1, value + 0.1), weight=weight)
        for weight, value in (("0.7", 1.0), ("1.2", 2.4), ("ship", 1.0))
    ]
    found += [number("overbake.detail_beyond", 0.9, (0.8, 1.0), weight=weight) for weight in ("0.7", "1.2", "ship")]
    assert confirmed_at(list(RULES.values()), found) == {1.2: ("overbaked",)}


@pytest.mark.parametrize(("rule", "ends"), [("base-damage", 1.0), ("memorised", 1.0), ("peaks-early", 1.2)])
def test_what_is_looked_at_in_one_weight_alone_ends_the_range_there(rule: str, ends: float) -> None:
    beyond = number("overbake.detail", 1.0, (0.9, 1.1), weight="1.2")
    found = [*RULES[rule].examples["fires"][0], beyond]
    assert confirmed_at([RULES[rule]], found, 1.0) == {ends: (rule,)}
    assert confirmed_at([RULES[rule]], found) == {}
    assert confirmed_at([RULES[rule]], [*RULES[rule].examples["quiet"][0], beyond], 1.0) == {}


def test_without_per_weight_measurements_the_range_has_no_end() -> None:
    assert confirmed_at(list(RULES.values()), []) == {}


# ---------------------------------------------------------------- too close to tell


def forgetting(*extra: Measurement) -> Finding:
    rule = RULES["low-weight-forgetting"]
    ((finding,), _) = evaluate([rule], [*rule.examples["fires"][1], *extra])
    return finding


def test_without_evidence_no_cause_is_called_the_likeliest_and_what_would_tell_is_named() -> None:
    finding = forgetting()
    assert finding.close >= 2
    assert "too close to tell" in str(too_close(finding)) and "would tell" in str(too_close(finding))


def test_probes_tell_a_rank_that_is_short_from_an_update_that_is_scaled_too_low() -> None:
    rank = [number("training.rank", 4), number("spectrum.rank", 4)]
    short = forgetting(*rank, number("probe.kept", 0.5, (0.4, 0.6), variant="rank/2"),
                       number("probe.headroom", 0.02, (-0.05, 0.08), weight="1.5"))  # fmt: skip
    assert "rank is too low" in short.causes[0].because and short.close == 1
    turned_up = number("probe.identity", 0.75, (0.7, 0.8), weight="1.3")
    kept = number("probe.kept", 0.97, (0.94, 1.0), variant="rank/4")
    scaled = forgetting(turned_up, number("probe.headroom", 0.2, (0.1, 0.3), weight="1.3"), kept)
    assert "scaled too low" in scaled.causes[0].because and scaled.close == 1
    nothing_gained = forgetting(turned_up, number("probe.headroom", 0.01, (-0.02, 0.04), weight="1.3"), kept)
    assert not any("scaled too low" in cause.because and cause.log_odds > 0 for cause in nothing_gained.causes)


@pytest.mark.parametrize(("there", "told"), [(0.62, True), (0.48, False), (None, False)])
def test_users_are_told_to_load_it_higher_only_where_the_character_is_then_there(
    there: float | None, told: bool
) -> None:
    finding = forgetting(number("probe.identity", there, weight="1.3"))
    (scaled,) = (cause for cause in finding.causes if "scaled too low" in cause.because)
    assert ("tell users to load it at 1.3" in scaled.fix.advice) == told and "A higher alpha" in scaled.fix.advice


@pytest.mark.parametrize(("gain", "speaks"), [(0.087, "gains next to nothing"), (0.12, "at weight 1.5 the character")])
def test_one_gain_is_never_called_both_next_to_nothing_and_enough(gain: float, speaks: str) -> None:
    finding = forgetting(
        number("probe.headroom", gain, (gain - 0.01, gain + 0.01), weight="1.5"),
        number("probe.identity", 0.62, (0.61, 0.63), weight="1.5"),
    )
    (scaled,) = (cause for cause in finding.causes if "scaled too low" in cause.because)
    assert len(scaled.evidence) == 1 and speaks in scaled.evidence[0]


def test_one_question_that_nobody_can_answer_is_asked_once() -> None:
    """That the config has no negative tokens, and that it has some, are both open for the same reason."""
    ((finding,), _) = evaluate([RULES["hair-flip"]], RULES["hair-flip"].examples["fires"][0])
    for cause in finding.causes:
        reasons = [text.partition("? ")[2] for text in cause.unknown]
        assert len(reasons) == len(set(reasons))
    assert sum("negative tokens" in text for cause in finding.causes for text in cause.unknown) == 1


def test_a_finding_says_where_its_rule_begins_to_speak() -> None:
    fires = RULES["hair-flip"].examples["fires"][0]
    ((finding,), _) = evaluate([RULES["hair-flip"]], fires)
    told = dict(zip([m.name for m in finding.measurements], finding.limits, strict=True))
    assert told["attribute.flip_rate"] == {"above": 0.05} and told["identity.score"] == {"at_least": 0.4}
    absent = [m for m in fires if m.name != "attribute.witnessed_flip_rate"]
    blank = number("attribute.witnessed_flip_rate", None, attribute="hair_colour", delta_e="20")
    ((finding,), _) = evaluate([RULES["hair-flip"]], [*absent, blank])
    told = dict(zip([m.name for m in finding.measurements], finding.limits, strict=True))
    assert told["attribute.witnessed_flip_rate"] == {}


def test_a_model_that_the_training_broke_is_told_from_one_that_learned_too_little() -> None:
    finding = forgetting(number("overbake.adherence_loss", 0.45, (0.35, 0.55), weight="ship"),
                         number("training.learning_rate", 0.004))  # fmt: skip
    assert "broke the model" in finding.causes[0].because and finding.close == 1
    assert finding.causes[0].fix.change == {"learning_rate": {"times": 0.25}}


def test_a_build_that_comes_when_asked_for_is_bound_to_its_word_and_not_short_of_pictures() -> None:
    rule = RULES["body-drift"]
    sound = [number("dataset.identity_ratio", 0.33), number("dataset.framing_share", 0.45, framing="full_body")]
    asked = [number("attribute.described_match", 0.9, (0.75, 0.97), attribute="body")]
    measured = [m for m in rule.examples["fires"][0] if m.name != "dataset.identity_ratio"]
    measured += [number("captions.body_token_coverage", 1.0, role=role) for role in ("identity-emphasis", "in-context")]
    ((finding,), _) = evaluate([rule], [*measured, *sound, *asked])
    assert "bound to its words" in finding.causes[0].because and finding.close == 1
    few = [sound[0], number("dataset.framing_share", 0.02, framing="full_body")]
    ((finding,), _) = evaluate([rule], [*measured, *few])
    assert "hardly show the whole body" in finding.causes[0].because


def test_a_folder_without_its_own_lead_takes_lora_doctors(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text((FOLDER / "dead-trigger.yaml").read_text().replace("dead-trigger", "mine"))
    assert load_rules(tmp_path)[0].clear == RULES["dead-trigger"].clear
    (tmp_path / "causes.toml").write_text("clear = 2.5\n")
    assert load_rules(tmp_path)[0].clear == 2.5
    (tmp_path / "causes.toml").write_text("clear = 'much'\n")
    with pytest.raises(UsageError, match="clear"):
        load_rules(tmp_path)


def test_a_face_that_is_a_little_weak_at_close_up_hides_no_wrong_body() -> None:
    def found(close_up: float, overall: float) -> list[str]:
        measured = [
            number("body.deficit", 0.8, (0.7, 0.9)),
            number("spec.attributes", 2, kind="body"),
            number("dataset.identity_ratio", 0.95),
            number("identity.score", close_up, (close_up - 0.02, close_up + 0.02), weight="ship", framing="close-up"),
            number("identity.score", overall, (overall - 0.02, overall + 0.02), weight="ship"),
        ]
        return [f"{one.rule} {one.state}" for one in evaluate([RULES["body-drift"]], measured)[0]]

    assert found(0.66, 0.70) == found(0.57, 0.68) == found(0.45, 0.55) == ["body-drift confirmed"]
    assert found(0.45, 0.40) == []  # nothing holds: low-weight-forgetting


def test_portraits_in_place_of_full_bodies_hold_whatever_the_captions_leave_out() -> None:
    def found(coverage: float) -> list[str]:
        measured = [
            number("framing.loss", 0.9, (0.8, 1.0), framing="full_body"),
            number("dataset.identity_ratio", 0.33),
            number("spec.attributes", 2, kind="body"),
            number("captions.body_token_coverage", coverage, role="identity-emphasis"),
            number("captions.body_token_coverage", coverage, role="in-context"),
            number("identity.score", 0.9, (0.8, 1.0), weight="ship", framing="close-up"),
        ]
        return [f"{one.rule} {one.state}" for one in evaluate([RULES["body-drift"]], measured)[0]]

    assert found(0.9) == found(0.1) == ["body-drift confirmed"]


def test_what_burns_at_one_weight_of_the_policy_burns() -> None:
    def burnt(weights: tuple[float, ...], at_one: float, certain: float = 0.05) -> list[str]:
        measured = [
            number(f"overbake.{name}", value, (value - certain, value + certain), weight=weight)
            for weight, chroma, beyond in (("ship", 1.15, 0.4), ("0.7", 1.0, 0.0), ("1", at_one, 0.9))
            for name, value in (
                ("chroma", chroma), ("chroma_beyond", beyond), ("lightness_spread", 1.0), ("detail", 1.0),
                ("lightness_spread_beyond", 0.0), ("detail_beyond", 0.0), ("clipped", 0.0), ("clipped_beyond", 0.0),
                ("adherence_loss", 0.0),
            )
        ]  # fmt: skip
        findings, unjudged = evaluate([RULES["overbaked"]], measured, weights)
        assert unjudged == ()
        return [one.state for one in findings]

    assert burnt((0.7, 1.0), at_one=1.45) == ["confirmed"]
    assert burnt((0.7, 1.0), at_one=1.3, certain=0.2) == ["suspected"]
    assert burnt((0.7,), at_one=1.45) == burnt((), at_one=1.45) == burnt((0.7, 1.0), at_one=1.1) == []


def test_a_policy_weight_that_was_not_looked_at_leaves_burning_open() -> None:
    calm = [
        number(f"overbake.{name}", value, (value - 0.05, value + 0.05), weight="ship")
        for name, value in (
            ("chroma", 1.0),
            ("lightness_spread", 1.0),
            ("detail", 1.0),
            ("clipped", 0.0),
            ("adherence_loss", 0.0),
        )
    ]
    assert evaluate([RULES["overbaked"]], calm)[1] == ()
    assert [one.rule for one in evaluate([RULES["overbaked"]], calm, (1.0,))[1]] == ["overbaked"]


def test_few_pictures_that_were_hardly_shown_are_no_reason_to_train_for_less() -> None:
    measured = [
        number("identity.above_ceiling", 0.6, (0.5, 0.7)), number("identity.above_ceiling_excess", 0.5, (0.4, 0.6)),
        number("dataset.images", 10), number("training.exposures", 40),
    ]  # fmt: skip
    (finding,) = [one for one in evaluate([RULES["copied-face"]], measured)[0]]
    assert finding.causes[0].because == "There are too few pictures for the face to be anything but those."
    assert not finding.causes[0].fix.change and finding.causes[0].fix.advice


def test_a_lock_is_led_by_what_is_lost_and_not_by_what_the_matrix_has() -> None:
    """The number of places is a guard: it neither makes the finding strong, nor is it shown."""
    planned = Measurement(name="environment.planned", where={"environment_kind": "trained"}, value=2.0, unit="count")
    gap = Measurement(name="identity.environment_gap", value=0.3, interval=(0.25, 0.35), unit="score")
    held = Measurement(name="environment.intrusion", value=0.0, interval=(0.0, 0.02), unit="share")
    kept = dataclasses.replace(held, name="environment.adherence_loss", where={"environment_kind": "novel"})
    (found,), _ = evaluate([RULES["environment-lock"]], [planned, gap, held, kept])
    assert [one.name for one in found.measurements] == ["identity.environment_gap"]
    assert found.strength == found.worst == pytest.approx((0.3 - 0.15) / 0.85)
