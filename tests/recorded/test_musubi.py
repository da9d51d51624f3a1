"""musubi-tuner is told from sd-scripts, and what it cannot do is said."""

from __future__ import annotations

import pytest

from tests.recorded.written_metadata import record


def test_its_settings_come_back() -> None:
    read = record("musubi")
    settings = read.settings
    assert (read.trainer, settings.rank, settings.alpha, settings.learning_rate) == ("musubi-tuner", 32, 1.0, 2e-4)
    assert (settings.batch_size, settings.resolution, settings.steps) == (1, 1024, 1600)
    assert (settings.prediction_type, settings.train_text_encoder) == ("flow", False)
    assert read.base.name == "qwen_image_bf16.safetensors"


def test_it_has_no_caption_dropout_though_it_has_data_sets() -> None:
    read = record("musubi")
    assert (read.settings.caption_dropout, read.settings.caption_token_dropout) == (0, 0)
    assert read.sources["caption_dropout"] == "musubi-tuner has none"


def test_it_records_repeats_but_no_picture_counts() -> None:
    (folder,) = record("musubi").folders
    assert (folder.name, folder.repeats, folder.images, folder.tags) == ("ohwx", 4, None, {})


def test_its_minimum_set_is_known_by_the_family() -> None:
    read = record("musubi_minimum")
    assert read.trainer == "musubi-tuner" and read.hidden is not None and read.settings.rank == 32


@pytest.mark.parametrize("repeats", ["-1", '"x"', "1e999", "null", "{}"])
def test_odd_repeats_are_not_recorded(repeats: str) -> None:
    datasets = f'[{{"num_repeats": {repeats}, "image_directory": "a"}}]'
    (folder,) = record("musubi", ss_datasets=datasets).folders
    assert folder.repeats is None
