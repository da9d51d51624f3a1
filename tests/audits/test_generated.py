"""Shares of generated pictures: at least so many; by the base model where its name or hash tells."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lora_doctor.audits.generated import audit
from lora_doctor.types import Case, LoraFile, Measurement, TrainedBase, TrainingRecord, TrainingSettings
from tests.audits.make_case import get
from tests.audits.make_pictures import File, case_of

SHA = "6ce0161689b3853acaa03779ec93eafe75a02f4ced659bee03f50797806fa2fa"


def trained_on(case: Case, base: TrainedBase) -> Case:
    record = TrainingRecord(settings=TrainingSettings(), sources={}, base=base)
    lora = LoraFile(
        path=case.dataset.path, sha256="0" * 64, size=1, format="kohya", family="sd15", metadata={}, modules=(),
        record=record,
    )  # fmt: skip
    return replace(case, lora=lora)


def made(generator: str = "AUTOMATIC1111", model: str = "", digest: str = "", repeats: float = 1) -> File:
    return File(facts={"generator": generator, "made_with": model, "made_with_hash": digest}, repeats=repeats)


def by_base(files: list[File], base: TrainedBase) -> Measurement:
    return get(audit(trained_on(case_of(files), base)), "pictures.generated_by_base_share")


def test_the_share_is_by_repeats_and_says_that_it_is_a_least() -> None:
    found = get(audit(case_of([made(repeats=3), File()])), "pictures.generated_share")
    assert (found.value, found.n, found.pictures) == (0.75, 2, (0,)) and "do not say" in (found.reason or "")


@pytest.mark.parametrize(
    ("file", "base", "told"),
    [
        (made(digest="6ce0161689", model="renamed"), TrainedBase(sha256=SHA.upper(), name="v1-5"), True),
        (made(digest="81761151", model="v1-5"), TrainedBase(sha256=SHA, name="v1-5"), False),
        (made(digest="81761151"), TrainedBase(legacy_hash="81761151"), True),
        (made(model="sd/v1-5-pruned.safetensors"), TrainedBase(name="C:\\models\\v1_5_pruned.ckpt"), True),
        (made(model="v1-5-pruned"), TrainedBase(name="v2-1"), False),
        (made(model="v1-5-pruned", digest="6ce0161689"), TrainedBase(name="v1-5-pruned"), True),
        (made(), TrainedBase(name="v1-5"), False),
        (File(), TrainedBase(name="v1-5"), False),
    ],
)  # fmt: skip
def test_the_base_model_is_told_by_hash_and_else_by_name(file: File, base: TrainedBase, told: bool) -> None:
    assert by_base([file], base).value == float(told)


def test_without_a_lora_or_its_record_there_is_a_reason_not_zero() -> None:
    alone = get(audit(case_of([made()])), "pictures.generated_by_base_share")
    silent = by_base([made()], TrainedBase())
    assert alone.value is None and alone.reason == "no LoRA is there"
    assert silent.value is None and "does not say" in (silent.reason or "")


def test_facts_that_were_not_read_give_a_reason() -> None:
    assert (
        get(audit(case_of([File(facts=None)])), "pictures.generated_share").reason
        == "facts about the files were not read"
    )
    assert get(audit(case_of([])), "pictures.generated_share").reason == "the dataset is empty"
