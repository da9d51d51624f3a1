"""Retraining: paths hold in the new folder."""

from lora_doctor.retraining import _relocated


def test_relative_paths_hold_in_the_new_folder(tmp_path):
    (tmp_path / "a" / "dataset").mkdir(parents=True)
    (tmp_path / "b" / "c").mkdir(parents=True)
    text = 'rank = 4\ndataset = "dataset"  # mine\nbase = "miniature"\n'
    moved = _relocated(text, tmp_path / "a", tmp_path / "b" / "c", tmp_path / "a" / "dataset")
    assert moved == 'rank = 4\ndataset = "../../a/dataset"  # mine\nbase = "miniature"\n'
