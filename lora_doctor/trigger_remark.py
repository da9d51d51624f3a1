"""What is to be said, before anything is rendered, of a trigger that no caption holds. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from lora_doctor.captions import texts
from lora_doctor.errors import printable
from lora_doctor.spelling import holds
from lora_doctor.trigger import induce_trigger
from lora_doctor.types import Dataset, LabelSet


class TriggerRemark(NamedTuple):
    """The same, for two readers."""

    told: str
    """For whoever has the dataset: with the word that most captions say instead, where one does."""
    public: str
    """Without words of captions."""


def trigger_remark(dataset: Dataset, trigger: str, labels: Mapping[str, LabelSet]) -> TriggerRemark | None:
    """None where a caption holds the trigger, or there are no captions; `labels` as for `induce_trigger`."""
    said = [text for image in dataset.images for text in texts(image)]
    if not said or any(holds(text, trigger) for text in said):
        return None
    what = f"the trigger `{printable(trigger)}` stands in none of the dataset's captions"
    why = "unless the trainer puts it there by itself, the prompts ask for a word that the LoRA was not trained with"
    word = induce_trigger(dataset, labels).word
    instead = f"; most of them say `{printable(word)}`" if word is not None else ""
    return TriggerRemark(told=f"{what}{instead}: {why}.", public=f"{what}: {why}")
