"""What says nothing about the LoRA changes nothing: order, the trigger's name, the file's precision, more weights."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from lora_doctor.arms import captions, no_trigger, other_people, outfits, places, poses
from lora_doctor.inspection import inspect
from lora_doctor.plugins import data_folder, find
from lora_doctor.policy import load_policy
from lora_doctor.rule_files import load_rules
from lora_doctor.rules import evaluate
from lora_doctor.types import Cell, Finding, Measurement, NotEvaluated, Study
from lora_doctor.verdict import decide
from tests.arms.make_case import make_case as make_arm_case
from tests.audits.make_case import Picture, make_case
from tests.examples import many
from tests.metrics.make_study import LABEL_SETS, SPEC, make_study

SEEDS = st.integers(0, 2**32)
METRICS, AUDITS = find("metrics", needs="measure"), find("audits", needs="audit")
RULES, POLICY = load_rules(data_folder("rules")), load_policy(data_folder("rules"), "standard")
PATIENT = data_folder("miniature") / "patients" / "yuki" / "lora.safetensors"
Known = Mapping[tuple[str, tuple[tuple[str, str], ...]], Measurement]


def known(found: Iterable[Measurement]) -> Known:
    """Measurements by name and slice."""
    return {(m.name, tuple(sorted(m.where.items()))): m for m in found}


def measured(study: Study) -> Known:
    return known(m for metric in METRICS.values() for m in metric.measure(study))


def same(first: Known, second: Known, names: Iterable[tuple[str, tuple[tuple[str, str], ...]]] | None = None) -> None:
    """Asserts that the numbers, their intervals and counts are the same; None = of every measurement."""
    if names is None:
        assert first.keys() == second.keys()
    for key in first if names is None else names:
        one, other = first[key], second[key]
        assert one.value == pytest.approx(other.value, abs=1e-9, nan_ok=True), key
        assert one.interval == pytest.approx(other.interval, abs=1e-9), key
        assert one.n == other.n, key


def any_study(seed: int, weights: Sequence[float] = (0.0, 0.7, 1.0)) -> Study:
    """A LoRA of any quality: scores, labels and missing pictures are drawn for each cell, whatever else is rendered."""
    strength = random.Random(seed).uniform(0.2, 1.0)

    def luck(cell: Cell, what: str) -> random.Random:
        return random.Random(f"{seed}/{cell.key}/{what}")

    def labels(cell: Cell) -> dict[str, str]:
        rng = luck(cell, "labels")
        return {a: rng.choice(LABEL_SETS[a].labels) for a in (*SPEC, "environment") if rng.random() < 0.2}

    return make_study(
        identity=lambda cell: None if luck(cell, "face").random() < 0.05 else min(1.0, cell.weight) * strength
        + luck(cell, "score").gauss(0, 0.05),
        labels=labels,
        missing=lambda cell: luck(cell, "missing").random() < 0.03,
        weights=weights,
        ship_weights=(0.7, 1.0),
    )  # fmt: skip


# ---------------------------------------------------------------- order


@settings(max_examples=12, deadline=None)
@given(SEEDS)
def test_the_order_of_dataset_pictures_and_of_cells_changes_no_measurement(seed: int) -> None:
    study, rng = any_study(seed), random.Random(seed)
    cells = tuple(rng.sample(study.cells, len(study.cells)))
    turn = rng.sample(range(len(study.references)), len(study.references))
    dataset = dataclasses.replace(study.dataset, images=tuple(study.dataset.images[i] for i in turn))
    shuffled = dataclasses.replace(
        study, cells=cells, dataset=dataset, references=tuple(study.references[i] for i in turn)
    )
    same(measured(study), measured(shuffled))


SOME = [list(measured(any_study(seed)).values()) for seed in (1, 2, 3)]
NOVEL = ["forest", "snow"]


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(SOME), SEEDS)
def test_the_order_of_measurements_changes_no_finding(found: list[Measurement], seed: int) -> None:
    rng = random.Random(seed)
    (straight, without), (shuffled, also_without) = (
        evaluate(RULES, some) for some in (found, rng.sample(found, len(found)))
    )
    assert {(f.rule, f.state, f.worst) for f in straight} == {(f.rule, f.state, f.worst) for f in shuffled}
    assert {one.rule for one in without} == {one.rule for one in also_without}


@settings(max_examples=many(10_000), deadline=None)
@given(st.sampled_from([(some, *evaluate(RULES, some)) for some in SOME]), SEEDS)
def test_the_order_of_findings_and_measurements_changes_no_verdict(
    judged: tuple[list[Measurement], tuple[Finding, ...], tuple[NotEvaluated, ...]], seed: int
) -> None:
    (found, findings, not_evaluated), rng = judged, random.Random(seed)
    straight = decide(findings, not_evaluated, found, POLICY, novel=NOVEL)
    shuffled = decide(
        tuple(rng.sample(findings, len(findings))), tuple(rng.sample(not_evaluated, len(not_evaluated))),
        rng.sample(found, len(found)), POLICY, novel=NOVEL,
    )  # fmt: skip
    assert (straight.outcome, sorted(straight.warnings)) == (shuffled.outcome, sorted(shuffled.warnings))


# ---------------------------------------------------------------- more weights


@settings(max_examples=12, deadline=None)
@given(SEEDS, st.sampled_from([0.2, 0.5, 0.85, 1.3]))
def test_a_further_weight_changes_nothing_that_is_said_of_the_others(seed: int, weight: float) -> None:
    before, after = measured(any_study(seed)), measured(any_study(seed, (0.0, 0.7, 1.0, weight)))
    assert before.keys() <= after.keys()
    asked_of_all = ("dose.", "states.")  # the whole curve, and the pictures of the whole matrix
    told = [key for key in before if not key[0].startswith(asked_of_all) and "weight" in dict(key[1])]
    assert len(told) > 50
    same(before, after, told)


# ---------------------------------------------------------------- the trigger's name


TRIGGERS = st.from_regex(r"[a-z]{3,8}_[a-z]{2}", fullmatch=True).filter(lambda name: "nk" not in name)
CAPTIONS = [f"yuki_nk, white_hair, red_shirt, athletic, tall, {place}, full_body" for place in ("beach", "library")]


@settings(max_examples=8, deadline=None)
@given(TRIGGERS)
def test_another_trigger_changes_no_audit_of_the_dataset(trigger: str) -> None:
    def told(name: str) -> Known:
        pictures = [Picture(caption=c.replace("yuki_nk", name), labels={"body": "athletic"}) for c in CAPTIONS * 6]
        pictures[3] = dataclasses.replace(pictures[3], caption="white_hair, beach")
        case = make_case(pictures, trigger=name)
        found = [m for audit in AUDITS.values() for m in audit.audit(case)]
        wheres = [{slot: value.replace(name, "TRIGGER") for slot, value in m.where.items()} for m in found]
        return known(dataclasses.replace(m, where=where) for m, where in zip(found, wheres, strict=True))

    first, second = told("yuki_nk"), told(trigger)
    about_the_word = ("captions.tokens", "captions.trigger_word_rank")
    assert first.keys() == second.keys()
    same(first, second, [key for key in first if key[0] not in about_the_word])


@settings(max_examples=100, deadline=None)
@given(TRIGGERS)
def test_another_trigger_changes_nothing_of_an_arm_but_its_prompts(trigger: str) -> None:
    case = make_arm_case(captions=CAPTIONS)
    renamed = dataclasses.replace(
        case,
        trigger=trigger,
        matrix=tuple(dataclasses.replace(c, prompt=c.prompt.replace(case.trigger, trigger)) for c in case.matrix),
    )
    for arm in (captions, no_trigger, other_people, outfits, places, poses):
        pairs = zip(arm.plan(case), arm.plan(renamed), strict=True)
        assert all(dataclasses.replace(a, prompt="") == dataclasses.replace(b, prompt="") for a, b in pairs)


# ---------------------------------------------------------------- the file's precision


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_a_lora_saved_in_another_precision_gets_the_same_findings_and_numbers(
    dtype: torch.dtype, tmp_path: Path
) -> None:
    """Half precision keeps 11 bits of a number, bfloat16 8: norms and ranks of whole modules move by less."""
    saved = tmp_path / PATIENT.name
    with safe_open(PATIENT, "pt") as file:
        metadata = file.metadata()
    save_file({name: one.to(dtype).contiguous() for name, one in load_file(PATIENT).items()}, saved, metadata)
    before, after = inspect(PATIENT), inspect(saved)
    assert [f.rule for f in before.findings] == [f.rule for f in after.findings]
    one, other = known(before.measurements), known(after.measurements)
    assert one.keys() == other.keys()
    for key, told in one.items():
        assert (told.value is None) == (other[key].value is None), key
        assert told.value is None or told.value == pytest.approx(other[key].value, rel=0.01, abs=1e-3), key
