"""Our own training.toml."""

from __future__ import annotations

from pathlib import Path

import pytest

from lora_doctor.dataset_layout import layout_of
from lora_doctor.errors import UsageError
from lora_doctor.plugins import data_folder
from tests.layouts.lay_out import folders, lay_out, written


def test_the_folder_is_read_as_any_with_the_dropouts_and_the_trigger(tmp_path: Path) -> None:
    folders(tmp_path, "dataset/10_x")
    layout = layout_of(lay_out(tmp_path, "builtin.toml"))
    assert (layout.trainer, layout.trigger) == ("lora-doctor", "yuki_nk")
    (subset,) = layout.subsets
    assert (subset.repeats, subset.caption_token_dropout, subset.caption_dropout) == (10, 0.3, 0.05)
    assert (subset.resolution, subset.trigger) == ((64, 64), None)


@pytest.mark.parametrize("patient", sorted(path.name for path in (data_folder("miniature") / "patients").iterdir()))
def test_the_patients_configs_lead_to_their_datasets(patient: str) -> None:
    folder = data_folder("miniature") / "patients" / patient
    layout = layout_of(folder / "training.toml")
    assert layout.trigger and layout.subsets[0].folder == (folder / "dataset").absolute()


def test_a_config_without_a_dataset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="names no `dataset`"):
        written(tmp_path, "training.toml", 'trainer = "lora-doctor"')
