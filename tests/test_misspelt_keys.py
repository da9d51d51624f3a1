"""Keys that are nearly a trainer's own are told; others, and anything else, never."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_doctor.dataset_layout import layout_of
from lora_doctor.errors import UsageError
from lora_doctor.misspelt_keys import misspelt
from lora_doctor.training_config import read_training_config


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"dataset": [{"subsets": [{"image_dir": "a"}]}]}, "It says `dataset`: sd-scripts and musubi-tuner would say"),
        ({"datasets": [{"subset": [{"image_dir": "a"}]}]}, "It says `subset`: sd-scripts would say `subsets`."),
        ({"datasets": [{"subsets": [{"imagedir": "a"}]}]}, "`image_dir`"),
        ({"Datasets": []}, "`datasets`"),
        ({"concept": []}, "OneTrainer would say `concepts`"),
        ({"config": {"proces": [{"datasets": []}]}}, "ai-toolkit would say `process`"),
    ],
)
def test_a_key_that_is_nearly_a_trainers_is_told_with_the_right_one(config: Any, said: str) -> None:
    assert said in misspelt(config)


@pytest.mark.parametrize("config", [None, [], "datasets", {}, {"data": 1}, {"set": 1}, {"datasets": [], "subsets": []}])
def test_what_is_like_none_or_right_is_not_told(config: Any) -> None:
    assert misspelt(config) == ""


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=9),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9) | st.integers(), inner),
        max_leaves=20,
    )
)
def test_no_config_throws_it_off(config: Any) -> None:
    told = misspelt(config)
    assert told == "" or told.startswith("It says `")


def test_both_readers_of_configs_tell_it(tmp_path: Path) -> None:
    path = tmp_path / "data.toml"
    path.write_text('[[dataset]]\nresolution = 512\n[[dataset.subsets]]\nimage_dir = "a"\n', "utf-8")
    for read in (layout_of, read_training_config):
        with pytest.raises(UsageError, match="would say `datasets`"):
            read(path)
