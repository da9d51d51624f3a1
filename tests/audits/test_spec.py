"""The spec audit counts what the spec names, by kind and by attribute."""

from pathlib import Path

from lora_doctor.audits.spec import audit
from lora_doctor.types import Case, Dataset, LabelSet, LoraFile, TrainingSettings


def case(spec: dict[str, str]) -> Case:
    kinds = {"hair_colour": "identity", "body": "body", "height": "body", "top": "outfit", "pose": "pose"}
    labels = {
        name: LabelSet(attribute=name, labels=("a", "b"), prompts=(("a",), ("b",)), kind=kind, crop="whole")
        for name, kind in kinds.items()
    }
    lora = LoraFile(path=Path("x"), sha256="", size=0, format="peft", family="sd15", modules=(), metadata={})
    return Case(
        lora=lora, dataset=Dataset(path=Path("d"), images=()), references=(), training=TrainingSettings(), trigger="t",
        label_sets=labels, spec=spec,
    )  # fmt: skip


def values(spec: dict[str, str]) -> dict[tuple[str, str], float | None]:
    return {next(iter(m.where.items())): m.value for m in audit(case(spec))}


def test_each_kind_is_counted():
    found = values({"hair_colour": "a", "body": "a", "height": "b"})
    assert (found["kind", "identity"], found["kind", "body"], found["kind", "outfit"]) == (1, 2, 0)


def test_each_attribute_is_one_or_zero():
    found = values({"top": "b"})
    assert found["attribute", "top"] == 1 and found["attribute", "hair_colour"] == 0 and found["attribute", "pose"] == 0


def test_an_attribute_without_a_label_set_is_of_no_kind():
    assert values({"aura": "blue"})["kind", "identity"] == 0
