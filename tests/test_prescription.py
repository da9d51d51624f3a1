"""Prescriptions: sizes of changes, which of two findings decides, sentences about the dataset, tokens filled in."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_doctor.prescription import prescribe, with_met, without_settled
from lora_doctor.rule_files import load_rules
from lora_doctor.rules import evaluate
from lora_doctor.types import IN_CONTEXT, Change, Finding, Fix, LabelSet, Measurement, RankedCause, TrainingSettings
from lora_doctor.wording import change_text

RULES = {rule.id: rule for rule in load_rules(Path(__file__).parents[1] / "rules")}
ARTICLE = "https://civitai.com/articles/31467"
SPEC = {"hair_colour": "white_hair", "body_type": "slender", "height": "tall"}


def labels(attribute: str, kind: str, *names: str) -> LabelSet:
    prompts = tuple((name,) for name in names)
    return LabelSet(attribute=attribute, labels=names, prompts=prompts, kind=kind, crop="whole")  # type: ignore[arg-type]


LABEL_SETS = {
    "hair_colour": labels("hair_colour", "identity", "white_hair", "black_hair", "red_hair"),
    "body_type": labels("body_type", "body", "slender", "curvy"),
    "height": labels("height", "body", "petite", "tall"),
}


def number(name: str, value: float | None, **where: str) -> Measurement:
    return Measurement(name=name, value=value, where=where)


def finding(
    change: Mapping[str, Any] | None = None,
    *,
    rule: str = "a-rule",
    strength: float = 1.0,
    state: str = "confirmed",
    **fix: Any,
) -> Finding:
    cause = RankedCause(because="This.", fix=Fix(change=change or {}, **fix), log_odds=1.0, evidence=())
    other = RankedCause(because="That.", fix=Fix(advice="never said"), log_odds=0.0, evidence=())
    return Finding(
        rule=rule,
        symptom="Wrong.",
        why="",
        state=state,  # type: ignore[arg-type]
        severity="blocker",
        strength=strength,
        measurements=(Measurement(name="body.deficit", value=0.62, interval=(0.5, 0.74), where={"framing": "x"}),),
        causes=(cause, other),
        references=(ARTICLE,),
    )


def only_change(change: Mapping[str, Any], settings: TrainingSettings, *measurements: Measurement) -> Change:
    (made,) = prescribe([finding(change)], settings, measurements).changes
    return made


# ---------------------------------------------------------------- nothing


def test_no_confirmed_finding_means_no_prescription() -> None:
    empty = prescribe([], TrainingSettings(), [])
    assert empty == prescribe([finding({"rank": {"set": 4}}, state="suspected")], TrainingSettings(), [])
    assert (empty.changes, empty.dataset, empty.captions, empty.advice, empty.conflicts) == ((), (), (), (), ())


@pytest.mark.parametrize(
    ("change", "present"),
    [
        ({"identity_ratio": {"at_most": 0.25}}, TrainingSettings(identity_ratio=0.25)),
        ({"identity_ratio": {"at_most": 0.25}}, TrainingSettings(identity_ratio=0.15)),
        ({"identity_ratio": {"at_least": 0.4}}, TrainingSettings(identity_ratio=0.5)),
        ({"rank": {"at_least": 48}}, TrainingSettings(rank=64, alpha=64.0)),
        ({"learning_rate": {"at_most": 1e-4}}, TrainingSettings(learning_rate=5e-5)),
        ({"caption_token_dropout": {"set": 0.3}}, TrainingSettings(caption_token_dropout=0.3)),
        ({"negative_tokens": {"set": ["black_hair"]}}, TrainingSettings(negative_tokens=("black_hair",))),
    ],
)
def test_a_change_that_equals_the_present_value_is_dropped(change: dict[str, Any], present: TrainingSettings) -> None:
    assert prescribe([finding(change)], present, []).changes == ()


@pytest.mark.parametrize(("framing", "role"), [("close-up", "identity-emphasis"), ("full_body", "in-context")])
def test_where_a_fix_names_no_role_the_framing_says_it(framing: str, role: str) -> None:
    asks = finding({}, dataset={"framing": framing, "until_share": 0.25})
    shares = [number("dataset.framing_share", 0.0, framing=framing), number("dataset.images", 42)]
    (asked,) = prescribe([asks], TrainingSettings(), shares).dataset
    assert (asked.role, asked.pictures) == (role, 14) and f"Add 14 {role} {framing} pictures" in asked.says


# ---------------------------------------------------------------- sizes


def test_every_change_names_its_finding_its_measured_number_and_its_source() -> None:
    change = only_change({"caption_token_dropout": {"set": 0.3}}, TrainingSettings(caption_token_dropout=0.0))
    assert (change.field, change.before, change.after, change.rule) == ("caption_token_dropout", 0.0, 0.3, "a-rule")
    assert change.because == f"body.deficit {{framing: x}} is 0.62 [0.50, 0.74]; source: {ARTICLE}"


def test_the_value_before_is_the_configs_and_else_the_measured_one() -> None:
    lower, measured = {"identity_ratio": {"at_most": 0.25}}, number("dataset.identity_ratio", 0.95)
    assert only_change(lower, TrainingSettings(identity_ratio=0.8), measured).before == 0.8
    assert only_change(lower, TrainingSettings(), measured).before == 0.95
    assert only_change(lower, TrainingSettings()).before is None
    rank = prescribe([finding({"rank": {"at_least": 48}})], TrainingSettings(), [number("spectrum.rank", 2.0)])
    assert (rank.changes[0].before, rank.changes[0].after) == (2, 48)


def test_times_multiplies_what_the_config_says_and_only_that() -> None:
    twice = {"steps": {"times": 2}, "epochs": {"times": 2}}
    made = prescribe([finding(twice)], TrainingSettings(steps=401), [])
    assert [(c.field, c.before, c.after) for c in made.changes] == [("steps", 401, 802)] and made.advice == ()
    made = prescribe([finding(twice)], TrainingSettings(epochs=2.5), [])
    assert [(c.field, c.before, c.after) for c in made.changes] == [("epochs", 2.5, 5.0)] and made.advice == ()
    made = prescribe([finding(twice)], TrainingSettings(), [])
    assert made.changes == () and "Multiply steps by 2" in made.advice[0]


def test_a_length_in_epochs_is_changed_in_epochs_though_its_steps_were_reckoned() -> None:
    half, reckoned = {"steps": {"times": 0.5}, "epochs": {"times": 0.5}}, [number("training.steps", 200.0)]
    made = prescribe([finding(half)], TrainingSettings(epochs=10.0), reckoned)
    assert [(c.field, c.after) for c in made.changes] == [("epochs", 5.0)] and made.advice == ()
    made = prescribe([finding(half)], TrainingSettings(), reckoned)
    assert [(c.field, c.after) for c in made.changes] == [("steps", 100)]


def test_a_rate_that_the_optimiser_finds_itself_stays_and_what_is_near_to_it_is_advised() -> None:
    settings = TrainingSettings(optimizer="Prodigy", learning_rate=1.0, epochs=10)
    made = prescribe([finding({"learning_rate": {"times": 0.5}, "epochs": {"times": 0.5}})], settings, [])
    assert [change.field for change in made.changes] == ["epochs"]
    (said,) = made.advice
    assert said.startswith("learning_rate: Prodigy finds its rate itself and it stays; nearest: ") and "d_coef" in said


def test_whole_numbers_stay_whole() -> None:
    after = only_change({"steps": {"times": 1.5}}, TrainingSettings(steps=401)).after
    assert after == 602 and isinstance(after, int)


@pytest.mark.parametrize(
    ("rank", "alpha", "after"),
    [(4, 4.0, 48.0), (4, 2.0, 24.0), (4, None, 48.0), (None, None, 48.0), (None, 16.0, 48.0)],
    ids=["equal", "half", "alpha unsaid", "nothing said", "rank unsaid"],
)
def test_alpha_follows_rank(rank: int | None, alpha: float | None, after: float) -> None:
    settings = TrainingSettings(rank=rank, alpha=alpha)
    made = prescribe([finding({"rank": {"at_least": 48}})], settings, [])
    assert [(c.field, c.before, c.after) for c in made.changes] == [("rank", rank, 48), ("alpha", alpha, after)]


@pytest.mark.parametrize(
    ("kind", "rank", "changed"),
    [
        ("dora", 4, {"rank": 48, "alpha": 72.0}),
        ("loha", 4, {"alpha": 6.0}),  # dim 48 would be a rank of 2304
        ("lokr", None, {}),  # stored whole: its scale is 1, whatever alpha is
        ("oft", None, {}),
    ],
)
def test_what_an_adapter_does_not_have_is_not_prescribed(kind: str, rank: int | None, changed: dict[str, Any]) -> None:
    findings = [finding({"rank": {"at_least": 48}}), finding({"alpha": {"times": 1.5}})]
    settings = TrainingSettings(kind=kind, rank=rank, alpha=4.0 if rank else None)
    made = prescribe(findings, settings, [])
    assert {change.field: change.after for change in made.changes} == changed
    missing = [name for name in ("rank", "alpha") if name not in changed]
    assert [line.partition(":")[0] for line in made.advice] == missing


@pytest.mark.parametrize(("rank", "alpha", "after"), [(1, 1.0, 72.0), (16, 8.0, 36.0), (16, 16.0, 72.0)])
def test_another_alpha_is_meant_at_the_new_rank(rank: int, alpha: float, after: float) -> None:
    """A factor of alpha is one of alpha / rank: 1.5 beside a rank of 48 would all but switch the LoRA off."""
    findings = [finding({"rank": {"at_least": 48}}), finding({"alpha": {"times": 1.5}})]
    made = prescribe(findings, TrainingSettings(rank=rank, alpha=alpha), [])
    assert [(c.field, c.after) for c in made.changes] == [("rank", 48), ("alpha", after)]
    assert "at the new rank" in made.changes[1].because
    alone = prescribe([finding({"alpha": {"times": 1.5}})], TrainingSettings(rank=rank, alpha=alpha), [])
    assert [(c.field, c.after) for c in alone.changes] == [("alpha", 1.5 * alpha)]


# ---------------------------------------------------------------- conflicts


def test_of_two_findings_that_pull_apart_the_stronger_decides_and_it_is_said() -> None:
    down = finding({"identity_ratio": {"at_most": 0.25}}, rule="body-drift", strength=3.0)
    up = finding({"identity_ratio": {"at_least": 0.4}}, rule="closeup-identity-loss", strength=1.2)
    for findings in ([down, up], [up, down]):
        made = prescribe(findings, TrainingSettings(identity_ratio=0.33), [])
        assert [(c.rule, c.after) for c in made.changes] == [("body-drift", 0.25)]
        (conflict,) = made.conflicts
        assert "body-drift asks for 0.25, closeup-identity-loss for 0.4" in conflict and "3.00 against 1.20" in conflict


def test_a_finding_that_wants_to_stay_still_conflicts_with_one_that_wants_to_move() -> None:
    down = finding({"identity_ratio": {"at_most": 0.25}}, rule="body-drift", strength=1.0)
    stay = finding({"identity_ratio": {"at_least": 0.4}}, rule="closeup-identity-loss", strength=2.0)
    made = prescribe([stay, down], TrainingSettings(identity_ratio=0.4), [])
    assert made.changes == () and len(made.conflicts) == 1


def test_findings_that_pull_the_same_way_are_no_conflict_and_the_stronger_ones_size_is_taken() -> None:
    much = finding({"identity_ratio": {"at_most": 0.25}}, rule="body-drift", strength=0.6)
    less = finding({"identity_ratio": {"at_most": 0.31}}, rule="small-face-loss", strength=0.1)
    for findings in ([much, less], [less, much]):
        made = prescribe(findings, TrainingSettings(identity_ratio=0.95), [])
        assert [(c.rule, c.after) for c in made.changes] == [("body-drift", 0.25)] and made.conflicts == ()
    between = prescribe([much, less], TrainingSettings(identity_ratio=0.3), [])
    assert between.changes[0].after == 0.25 and len(between.conflicts) == 1  # 0.31 is met: that one would stay


def test_findings_that_agree_make_one_change_and_no_conflict() -> None:
    ask = {"identity_ratio": {"at_least": 0.4}}
    made = prescribe([finding(ask, rule="a"), finding(ask, rule="b")], TrainingSettings(), [])
    assert len(made.changes) == 1 and made.conflicts == ()


# ---------------------------------------------------------------- several causes


def with_causes(*causes: tuple[float, Fix]) -> Finding:
    ranked = tuple(RankedCause(because="So.", fix=fix, log_odds=odds, evidence=()) for odds, fix in causes)
    return dataclasses.replace(finding(), causes=ranked)


def test_every_cause_likelier_than_not_is_treated_and_no_other() -> None:
    captions, pictures = {"add_tokens": "environment"}, {"add": "in-context", "environments_at_least": 4}
    doubtful = Fix(change={"rank": {"set": 4}})
    sick = with_causes((3.0, Fix(captions=captions)), (1.5, Fix(dataset=pictures)), (0.0, doubtful), (-1.0, doubtful))
    made = prescribe([sick], TrainingSettings(), [number("dataset.environments", 2.0)])
    assert [each["add_tokens"] for each in made.captions] == ["environment"]
    assert [each.environments for each in made.dataset] == [2]
    assert made.changes == ()


def test_an_unlikely_cause_is_treated_when_there_is_no_likelier_one() -> None:
    made = prescribe([with_causes((-1.5, Fix(change={"steps": {"set": 800}})))], TrainingSettings(steps=400), [])
    assert [change.after for change in made.changes] == [800]


def test_the_likelier_cause_decides_about_a_setting() -> None:
    sick = with_causes((2.0, Fix(change={"rank": {"set": 48}})), (1.0, Fix(change={"rank": {"set": 64}})))
    made = prescribe([sick], TrainingSettings(rank=4), [])
    assert [change.after for change in made.changes if change.field == "rank"] == [48] and made.conflicts == ()


# ---------------------------------------------------------------- dataset


@settings(deadline=None)
@given(st.integers(5, 200), st.floats(0, 0.95), st.floats(0.05, 0.9))
def test_the_pictures_to_add_reach_the_wanted_share_and_one_fewer_would_not(
    n: int, share: float, wanted: float
) -> None:
    ask = finding(dataset={"add": "in-context", "framing": "full_body", "until_share": wanted})
    measured = [number("dataset.images", n), number("dataset.framing_share", share, framing="full_body")]
    asked = prescribe([ask], TrainingSettings(), measured).dataset
    if not asked:
        assert share >= wanted - 1e-6
        return
    more = asked[0].pictures
    assert more is not None and str(more) in asked[0].says.split()
    assert (share * n + more) / (n + more) >= wanted - 1e-6
    assert (share * n + more - 1) / (n + more - 1) < wanted + 1e-6


@pytest.mark.parametrize("wanted", [(4, 6), (6, 4)])
def test_a_request_that_another_one_contains_is_not_made_twice(wanted: tuple[int, int]) -> None:
    """Six environments hold the four: 56 new pictures in all, and an identity ratio thinned by those alone."""
    asking = [finding(rule=f"wants-{n}", dataset={"add": "in-context", "environments_at_least": n}) for n in wanted]
    measured = [
        number("dataset.images", 42), number("dataset.identity_ratio", 1 / 3), number("dataset.environments", 2),
    ]  # fmt: skip
    made = prescribe(asking, TrainingSettings(), measured)
    (asked,) = made.dataset
    assert (asked.pictures, asked.environments) == (56, 4)
    assert asked.says.endswith(f"For wants-{wanted[0]} and wants-{wanted[1]}.")
    (ratio,) = made.changes
    assert "the 56 new pictures would thin the identity-emphasis ones from 33% to 14%" in ratio.because


def test_requests_for_different_pictures_are_all_made() -> None:
    fixes = [
        {"add": "in-context", "environments_at_least": 4},
        {"add": "in-context", "until_share": 0.75},
        {"add": "in-context", "framing": "full_body", "until_share": 0.5},
        {"add": "in-context", "framing": "full_body", "until_share": 0.33},
        {"add": "identity-emphasis", "until_share": 0.4},
    ]
    measured = [
        number("dataset.images", 40), number("dataset.identity_ratio", 0.3), number("dataset.environments", 2),
        number("dataset.framing_share", 0.1, framing="full_body"),
    ]  # fmt: skip
    made = prescribe([finding(dataset=fix) for fix in fixes], TrainingSettings(), measured).dataset
    assert [(one.role, one.framing, one.pictures, one.within) for one in made] == [
        ("in-context", "full_body", 32, None), ("in-context", None, 28, 32), ("identity-emphasis", None, 7, None),
    ]  # fmt: skip
    assert "50% are wanted" in made[0].says and made[1].says.startswith("Spread these 32 over")


def test_requests_that_the_same_pictures_can_answer_say_how_they_overlap() -> None:
    """42 pictures, 40 of them close-ups: what is asked for one by one does not add up to more than the largest."""
    fixes = [
        {"add": "in-context", "until_share": 0.67}, {"add": "in-context", "environments_at_least": 4},
        {"add": "in-context", "framing": "full_body", "until_share": 0.4},
    ]  # fmt: skip
    measured = [
        number("dataset.images", 42), number("dataset.identity_ratio", 40 / 42), number("dataset.environments", 2),
        number("dataset.framing_share", 1 / 42, framing="full_body"),
    ]  # fmt: skip
    made = prescribe([finding(dataset=fix) for fix in fixes], TrainingSettings(), measured)
    whole, places, bodies = made.dataset
    assert (whole.pictures, whole.within, places.within, bodies.within) == (80, None, 80, 80)
    assert bodies.pictures is not None and (1 + bodies.pictures) / 122 >= 0.4 > bodies.pictures / 122
    assert bodies.says.startswith("Of these 80, 48 in full_body:") and places.says.startswith("Spread these 80 over")
    counted = prescribe([finding(dataset=fix) for fix in fixes], TrainingSettings(), measured, counted={IN_CONTEXT: 79})
    assert [one.within for one in counted.dataset] == [None, 79, 79] and "Add 79 in-context" in counted.dataset[0].says


def test_a_finding_about_the_dataset_leaves_to_the_prescription_what_it_has_numbers_for() -> None:
    """0.33 and 67 % beside a prescription of 0.25 and 40 full bodies are two answers to one question."""
    asked = {"add": "in-context", "until_share": 0.67}
    ratio, rank = {"identity_ratio": {"set": 0.33}}, {"rank": {"set": 8}}
    about = finding(ratio | rank, dataset=asked, rule="too-much-identity-emphasis")
    measured = [number("dataset.images", 42), number("dataset.identity_ratio", 0.95)]
    made = prescribe([finding({"identity_ratio": {"at_most": 0.25}}, dataset=asked)], TrainingSettings(), measured)
    (left,) = without_settled([about], made)
    assert left.causes[0].fix == Fix(change=rank, advice="The prescription has the numbers for this.")
    assert without_settled([about], prescribe([], TrainingSettings(), measured)) == (about,)
    places = finding(dataset={"add": "in-context", "environments_at_least": 4}, rule="few-environments")
    bodies = finding(dataset={"add": "in-context", "framing": "full_body", "until_share": 0.4}, rule="one-framing")
    assert without_settled([places, bodies], made) == (places, bodies)  # new places, new framings: said nowhere else


def test_a_cause_says_which_settings_are_already_as_its_fix_asks() -> None:
    sick = finding({"caption_token_dropout": {"at_least": 0.3}, "rank": {"at_least": 48}, "alpha": {"times": 1.5}})
    present = TrainingSettings(caption_token_dropout=0.3, rank=16, alpha=16.0)
    assert with_met([sick], present, [])[0].causes[0].met == ("caption_token_dropout",)
    assert with_met([sick], TrainingSettings(), [])[0].causes[0].met == ()


def test_pictures_that_are_a_part_of_others_thin_the_face_out_once() -> None:
    fixes = [{"add": "in-context", "environments_at_least": 4}, {"add": "in-context", "until_share": 0.9}]
    measured = [
        number("dataset.images", 42), number("dataset.identity_ratio", 1 / 3), number("dataset.environments", 2),
    ]  # fmt: skip
    made = prescribe([finding(dataset=fix) for fix in fixes], TrainingSettings(), measured)
    assert [(one.pictures, one.within) for one in made.dataset] == [(98, None), (28, 98)]
    assert "the 98 new pictures would thin" in made.changes[0].because


def test_a_dataset_sentence_has_its_numbers() -> None:
    ask = finding(dataset={"add": "identity-emphasis", "until_share": 0.4})
    measured = [number("dataset.images", 40), number("dataset.identity_ratio", 0.05)]
    (asked,) = prescribe([ask], TrainingSettings(), measured).dataset
    assert (
        asked.says == "Add 24 identity-emphasis pictures: identity-emphasis pictures are 5% of 40 now, 40% are wanted."
    )
    assert (asked.role, asked.framing, asked.pictures, asked.environments) == ("identity-emphasis", None, 24, None)


def test_unknown_shares_are_said_to_be_unknown() -> None:
    ask = finding(dataset={"add": "in-context", "until_share": 0.67})
    (asked,) = prescribe([ask], TrainingSettings(), []).dataset
    assert "present share is not known" in asked.says and "67%" in asked.says and asked.pictures is None


def test_environments_are_counted_up_to_what_is_wanted() -> None:
    ask = finding(dataset={"add": "in-context", "environments_at_least": 4})
    (asked,) = prescribe([ask], TrainingSettings(), [number("dataset.environments", 1.4)]).dataset
    assert asked.says.startswith("Add in-context pictures in 3 or more environments") and asked.environments == 3
    assert asked.pictures is None
    assert prescribe([ask], TrainingSettings(), [number("dataset.environments", 5.0)]).dataset == ()


@given(st.lists(st.integers(1, 30), min_size=1, max_size=6), st.integers(2, 9))
def test_the_pictures_in_new_environments_bring_the_effective_number_to_what_is_wanted(
    counts: list[int], wanted: int
) -> None:
    def effective(counts: list[int]) -> float:
        return math.exp(-sum(c / sum(counts) * math.log(c / sum(counts)) for c in counts))

    measured = [
        number("dataset.images", 2 * sum(counts)), number("dataset.identity_ratio", 0.5),
        number("dataset.environments", effective(counts)),
    ]  # fmt: skip
    fix = {"add": "in-context", "environments_at_least": wanted}
    asked = prescribe([finding(dataset=fix)], TrainingSettings(), measured).dataset
    if not asked:
        assert effective(counts) > wanted - 1e-6
        return
    pictures, new = asked[0].pictures, asked[0].environments
    assert pictures is not None and new is not None and f"{pictures // new} in each" in asked[0].says
    # Whole pictures only: a few too many in each costs a little evenness.
    assert effective([*counts, *[pictures // new] * new]) > wanted - 0.1


def test_new_in_context_pictures_do_not_thin_out_the_face() -> None:
    ask = finding(dataset={"add": "in-context", "framing": "full_body", "until_share": 0.5}, rule="body-type-wrong")
    measured = [
        number("dataset.images", 42), number("dataset.identity_ratio", 1 / 3),
        number("dataset.framing_share", 0.0, framing="full_body"),
    ]  # fmt: skip
    (change,) = prescribe([ask], TrainingSettings(), measured).changes
    assert (change.field, change.after, change.rule) == ("identity_ratio", 0.33, "body-type-wrong")
    assert change_text(change) == "stays 0.33"  # the setting is what keeps it, not a new ratio
    assert "the 42 new pictures" in change.because and "from 33% to 17%" in change.because
    assert prescribe([ask], TrainingSettings(identity_ratio=0.4), measured).changes == ()


def test_a_ratio_in_whole_hundredths_is_kept_too() -> None:
    ask = finding(dataset={"add": "in-context", "until_share": 0.875})
    measured = [number("dataset.images", 40), number("dataset.identity_ratio", 0.25)]
    (change,) = prescribe([ask], TrainingSettings(), measured).changes
    assert (change.before, change.after) == (0.25, 0.25) and "from 25% to 12%" in change.because


def test_a_ratio_that_a_finding_changes_is_that_findings_matter() -> None:
    ask = finding({"identity_ratio": {"at_most": 0.25}}, dataset={"add": "in-context", "until_share": 0.75})
    measured = [number("dataset.images", 40), number("dataset.identity_ratio", 0.9)]
    (change,) = prescribe([ask], TrainingSettings(), measured).changes
    assert change.after == 0.25


@pytest.mark.parametrize("ratio", [0.25, 0.2])
def test_a_ratio_that_a_finding_leaves_where_it_is_is_kept_with_new_pictures_too(ratio: float) -> None:
    ask = finding({"identity_ratio": {"at_most": 0.25}}, dataset={"add": "in-context", "until_share": 0.875})
    measured = [number("dataset.images", 40), number("dataset.identity_ratio", ratio)]
    (change,) = prescribe([ask], TrainingSettings(), measured).changes
    assert (change.before, change.after) == (ratio, ratio) and "would thin" in change.because


@pytest.mark.parametrize(("wide", "told"), [(2, "the 2 that are there"), (1, "the 1 that is there"), (0, "none yet")])
def test_a_lower_ratio_that_needs_new_pictures_says_what_it_does_without_them(wide: int, told: str) -> None:
    ask = finding({"identity_ratio": {"at_most": 0.25}}, dataset={"add": "in-context", "until_share": 0.75})
    measured = [
        number("dataset.images", 42), number("dataset.identity_ratio", 1 - wide / 42),
        number("dataset.role_images", wide, role="in-context"),
    ]  # fmt: skip
    (change,) = prescribe([ask], TrainingSettings(), measured).changes
    assert told in change.because and ("shown 75% of the time" in change.because) == bool(wide)
    (bare,) = prescribe([finding({"identity_ratio": {"at_most": 0.25}})], TrainingSettings(), measured).changes
    assert "for use with" not in bare.because


def test_new_identity_pictures_may_raise_the_ratio() -> None:
    ask = finding(dataset={"add": "identity-emphasis", "until_share": 0.4})
    measured = [number("dataset.images", 40), number("dataset.identity_ratio", 0.2)]
    assert prescribe([ask], TrainingSettings(), measured).changes == ()


def test_a_fix_names_its_own_source_or_the_rules_first() -> None:
    (first,) = prescribe([finding({"steps": {"set": 9}})], TrainingSettings(steps=1), []).changes
    (own,) = prescribe([finding({"steps": {"set": 9}}, source="https://x.org")], TrainingSettings(steps=1), []).changes
    assert first.because.endswith(f"source: {ARTICLE}") and own.because.endswith("source: https://x.org")


def test_an_unlikely_cause_is_treated_only_when_there_is_no_likely_one() -> None:
    def doubtful(rule: str, log_odds: float, rank: int) -> Finding:
        one, seen = finding({"rank": {"at_least": rank}}, rule=rule), ("seen: speaks against it",)
        return dataclasses.replace(one, causes=(dataclasses.replace(one.causes[0], log_odds=log_odds, evidence=seen),))

    def ranks(*findings: Finding) -> list[int]:
        return [
            c.after for c in prescribe(findings, TrainingSettings(alpha=4.0, rank=4), []).changes if c.field == "rank"
        ]

    assert ranks(doubtful("one", -1.5, 16), doubtful("two", 1.0, 48)) == [48]
    assert ranks(doubtful("one", -1.5, 16)) == [16]


def test_the_fix_of_the_only_cause_a_rule_knows_is_no_guess() -> None:
    made = finding({"steps": {"set": 9}}, rule="only")
    only = dataclasses.replace(made, causes=(dataclasses.replace(made.causes[0], log_odds=0.0),))
    assert prescribe([only], TrainingSettings(steps=1), []).advice == ()


def test_a_finding_for_which_nothing_is_changed_is_named() -> None:
    def one(rule: str, log_odds: float) -> Finding:
        made, seen = finding({"rank": {"at_least": 48}}, rule=rule), ("seen: speaks against it",)
        cause = dataclasses.replace(made.causes[0], log_odds=log_odds, evidence=seen)
        return dataclasses.replace(made, causes=(cause,))

    made = prescribe([one("unlikely", -1.5), one("likely", 1.0)], TrainingSettings(alpha=4.0, rank=4), [])
    assert "unlikely: the evidence speaks for none of its causes: nothing is changed." in made.advice
    assert not any(text.startswith("likely:") for text in made.advice)


def test_a_finding_of_whose_causes_nothing_is_known_is_treated_beside_another() -> None:
    def one(rule: str, change: Mapping[str, Any], log_odds: float) -> Finding:
        made = finding(change, rule=rule)
        return dataclasses.replace(made, causes=(dataclasses.replace(made.causes[0], log_odds=log_odds),))

    known, unknown = one("known", {"rank": {"at_least": 48}}, 1.0), one("unknown", {"steps": {"set": 9}}, -0.5)
    made = prescribe([known, unknown], TrainingSettings(alpha=4.0, rank=4, steps=1), [])
    assert {"rank", "steps"} <= {change.field for change in made.changes}
    assert "unknown: No cause is likelier than not; what is tried is a guess." in made.advice
    assert not any("nothing is changed" in text or text.startswith("known: No") for text in made.advice)


def test_pictures_of_another_trait_are_left_out_and_counted() -> None:
    ask = finding(dataset={"leave_out": "hair_colour"})
    measured = [number("dataset.off_spec_share", 0.25, attribute="hair_colour")]
    said = prescribe([ask], TrainingSettings(), measured, spec=SPEC, label_sets=LABEL_SETS)
    (asked,) = said.left_out
    assert (asked.attribute, asked.label, said.dataset) == ("hair_colour", "white_hair", ())
    assert "another hair_colour than white_hair" in asked.says and "25%" in asked.says


def test_nothing_is_left_out_for_a_trait_the_spec_does_not_name() -> None:
    ask = finding(dataset={"leave_out": "eye_colour"})
    assert prescribe([ask], TrainingSettings(), [], spec=SPEC, label_sets=LABEL_SETS).left_out == ()


# ---------------------------------------------------------------- tokens


def test_off_spec_tokens_are_filled_in_and_join_those_there_are() -> None:
    ask = [finding({"negative_tokens": {"set": {"off_spec": "hair_colour"}}})]
    present = TrainingSettings(negative_tokens=("glasses", "red_hair"))
    (change,) = prescribe(ask, present, [], spec=SPEC, label_sets=LABEL_SETS).changes
    assert change.after == ("glasses", "red_hair", "black_hair")
    without = prescribe(ask, present, [])
    assert without.changes == () and "off-spec tokens of hair_colour" in without.advice[0]


def test_caption_fixes_carry_the_tokens_of_the_spec() -> None:
    asks = [
        finding(captions={"add_tokens": "body", "to": "all"}),
        finding(captions={"correct_tokens": "hair_colour", "to": "all"}),
        finding(captions={"add_tokens": "environment", "to": "in-context"}),
        finding(captions={"add_tokens": "body", "to": "all"}),
    ]
    assert prescribe(asks, TrainingSettings(), [], spec=SPEC, label_sets=LABEL_SETS).captions == (
        {"add_tokens": "body", "to": "all", "tokens": ["slender", "tall"]},
        {"correct_tokens": "hair_colour", "to": "all", "tokens": ["white_hair"], "remove": ["black_hair", "red_hair"]},
        {"add_tokens": "environment", "to": "in-context", "tokens": []},
    )


def test_only_the_likeliest_cause_is_treated() -> None:
    assert prescribe([finding(advice="do this")], TrainingSettings(), []).advice == ("do this",)


# ---------------------------------------------------------------- the article's numbers


@pytest.mark.parametrize(
    ("rule", "evidence", "present", "expected"),
    [
        ("body-drift", [], TrainingSettings(), {"identity_ratio": 0.25}),
        (
            "closeup-identity-loss",
            [number("dataset.identity_ratio", 0.05)],
            TrainingSettings(),
            {"identity_ratio": 0.4},
        ),
        (
            "environment-lock",
            [number("training.caption_token_dropout", 0.0)],
            TrainingSettings(caption_token_dropout=0.0),
            {"caption_token_dropout": 0.3},
        ),
        (
            "hair-flip",
            [number("captions.identity_token_conflict", 0.3, attribute="hair_colour")],
            TrainingSettings(),
            {"negative_tokens": ("black_hair", "red_hair")},
        ),
        (
            "low-weight-forgetting",
            [number("training.rank", 2), number("spectrum.rank", 2), number("training.exposures", 150)],
            TrainingSettings(rank=2, alpha=2.0, steps=400),
            {"rank": 64, "alpha": 64.0},
        ),
        (
            "low-weight-forgetting",
            [number("training.rank", 48), number("spectrum.rank", 48), number("training.exposures", 10)],
            TrainingSettings(rank=48, alpha=48.0, steps=40),
            {"steps": 80},
        ),
        ("body-type-wrong", [], TrainingSettings(), {}),
    ],
)
def test_the_rules_prescribe_the_articles_numbers(
    rule: str, evidence: list[Measurement], present: TrainingSettings, expected: dict[str, Any]
) -> None:
    measurements = [*RULES[rule].examples["fires"][0], *evidence]
    findings, _ = evaluate([RULES[rule]], measurements)
    made = prescribe(findings, present, measurements, spec=SPEC, label_sets=LABEL_SETS)
    assert {change.field: change.after for change in made.changes} == expected
    assert made.changes or made.captions == ({"add_tokens": "body", "to": "all", "tokens": ["slender", "tall"]},)


# ---------------------------------------------------------------- how often a picture is seen then

ADDED = {"add": "in-context", "framing": "full_body", "until_share": 0.5}
SHORT_OF_BODIES = [number("dataset.images", 42.0), number("dataset.framing_share", 0.0, framing="full_body")]


@pytest.mark.parametrize(
    ("change", "present", "said"),
    [
        (
            {},
            TrainingSettings(steps=1600),
            "With 42 new pictures, each picture is seen some 76 times in 1600 steps, where",
        ),
        ({"steps": {"times": 2}}, TrainingSettings(steps=1600), "seen some 152 times in 3200 steps, where it was 152."),
        ({}, TrainingSettings(epochs=10.0), "With 42 new pictures, 10 epochs take 2 times the steps of before."),
        ({"epochs": {"times": 0.5}}, TrainingSettings(epochs=10.0), "5 epochs take 1 times the steps of before."),
    ],
)
def test_what_new_pictures_do_to_the_length_is_told(
    change: dict[str, Any], present: TrainingSettings, said: str
) -> None:
    measured = [*SHORT_OF_BODIES, number("training.exposures", 152.0)]
    advice = prescribe([finding(change, dataset=ADDED)], present, measured).advice
    assert sum("new pictures, " in line for line in advice) == 1 and any(said in line for line in advice)


@pytest.mark.parametrize("present", [TrainingSettings(), TrainingSettings(steps=1600), TrainingSettings(epochs=10.0)])
def test_nothing_is_told_of_the_length_where_it_is_not_known_or_no_pictures_are_new(present: TrainingSettings) -> None:
    def told(*measured: Measurement, **fix: Any) -> bool:
        return any("new pictures, " in line for line in prescribe([finding(**fix)], present, measured).advice)

    assert not told(*SHORT_OF_BODIES, dataset=ADDED)
    assert not told(*SHORT_OF_BODIES, number("training.exposures", 152.0))


# ---------------------------------------------------------------- what was measured


@pytest.mark.parametrize("rule", ["low-weight-forgetting", "overbaked", "small-face-loss"])
@pytest.mark.parametrize(("share", "prescribed"), [(0.5, True), (0.75, False), (None, False)])
def test_pictures_shown_far_below_the_base_models_resolution_are_to_be_shown_at_it(
    rule: str, share: float | None, prescribed: bool
) -> None:
    seen = [] if share is None else [number("training.resolution_share", share)]
    measured = [*RULES[rule].examples["fires"][0], *seen, number("base.resolution", 1024.0)]
    findings, _ = evaluate([RULES[rule]], measured)
    made = prescribe(findings, TrainingSettings(resolution=512), measured)
    assert [(c.field, c.before, c.after) for c in made.changes if c.field == "resolution"] == [
        ("resolution", 512, 1024)
    ] * prescribed
    assert (findings[0].causes[0].because.startswith("The pictures were shown at a far lower")) == prescribed


def test_a_change_to_what_was_not_measured_is_advice() -> None:
    made = prescribe([finding({"resolution": {"at_least": {"measured": "base.resolution"}}})], TrainingSettings(), [])
    assert made.changes == ()
    assert any("Set resolution to base.resolution, which was not measured" in line for line in made.advice)
