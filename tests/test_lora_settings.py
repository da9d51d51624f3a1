"""Every file gives a record: each setting has a source or a reason, whatever the metadata holds."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_doctor.lora_settings import read_training_record
from lora_doctor.types import TrainingRecord, TrainingSettings
from tests.recorded.written_metadata import NOWHERE, record, written

FIELDS = [field.name for field in fields(TrainingSettings)]
FILES = sorted(path.stem for path in (Path(__file__).parent / "recorded" / "written").glob("*.json"))


def check(found: TrainingRecord) -> None:
    assert list(found.sources) == FIELDS and all(found.sources.values())
    assert all(text == " ".join(text.split()) and len(text) < 400 for text in found.sources.values())
    hash(found.triggers)


@pytest.mark.parametrize("name", FILES)
def test_every_setting_has_a_source_or_a_reason(name: str) -> None:
    check(record(name))


def test_a_file_without_metadata_says_so() -> None:
    found = read_training_record({"format": "pt"}, NOWHERE)
    assert (found.trainer, found.settings) == (None, TrainingSettings())
    assert set(found.sources.values()) == {"the file has no training metadata"} == {found.hidden}


def test_an_unknown_trainer_still_tells_trigger_and_folders() -> None:
    tags = '{"10_ohwx person": {"ohwx": 12}, "closeup": {"x": 1}}'
    found = read_training_record({"ss_tag_frequency": tags, "modelspec.trigger_phrase": "ohwx"}, NOWHERE)
    assert (found.trainer, found.triggers) == (None, ("ohwx", "ohwx person"))
    assert [folder.name for folder in found.folders] == ["10_ohwx person", "closeup"]


@pytest.mark.parametrize(
    ("metadata", "trainer"),
    [
        ({"ot_revision": "1", "software": "ai-toolkit", "ss_network_module": "networks.lora"}, "OneTrainer"),
        ({"software": '{"name": "ai-toolkit"}', "ss_network_module": "x"}, "ai-toolkit"),
        ({"lora_adapter_metadata": "{}", "global_step": "1"}, "SimpleTuner"),
        ({"lora_adapter_metadata": "{}"}, "diffusers"),
        ({"ss_network_module": "networks.lora_wan", "ss_num_train_items": "1"}, "musubi-tuner"),
        ({"ss_network_module": "lycoris.kohya"}, "sd-scripts"),
        ({"lora_doctor.rank": "4", "lora_adapter_metadata": "{}"}, "lora-doctor"),
        ({"title": "mine"}, None),
    ],
)
def test_the_trainer_is_known_by_its_own_keys_first(metadata: dict[str, str], trainer: str | None) -> None:
    found = read_training_record(metadata, NOWHERE)
    assert found.trainer == found.settings.trainer == trainer


KEYS = sorted({key for name in FILES for key in written(name)} | {
    "software", "lycoris_config", "lora_adapter_metadata", "global_step", "trained_words", "modelspec.trigger_phrase",
    "lora_doctor.rank", "lora_doctor.negative_tokens", "ss_training_comment", "ss_reg_dataset_dirs", "ss_clip_skip",
    "modelspec.comment", "ss_sd_model_hash",
})  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["None", "LORA"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4) | st.sampled_from(
        ["subsets", "text", "concepts", "unet.r", "image_dir", "num_repeats", "resolution", "tags", "model_type",
         "peft_type", "tag_dropout_enable", "keep_tokens", "text_encoder", "optimizer", "algo", "conv_dim"]
    ), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
ODD = st.sampled_from(
    ["None", "True", "nan", "-1", "9" * 5000, "[" * 5000, "1e999", "{}", "[]", "ai-toolkit", "\ud800"]
)


@settings(max_examples=400, deadline=None)
@given(st.dictionaries(st.sampled_from(KEYS) | st.text(), ODD | st.text() | JSON.map(json.dumps)))
def test_any_metadata_gives_a_record(metadata: dict[str, str]) -> None:
    check(read_training_record(metadata, NOWHERE))


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(FILES), st.dictionaries(st.sampled_from(KEYS), ODD | JSON.map(json.dumps), max_size=4))
def test_real_metadata_with_odd_values_gives_a_record(name: str, changes: dict[str, str]) -> None:
    check(record(name, **changes))
