"""Numbered folders are found whatever way leads to them."""

from __future__ import annotations

from pathlib import Path

from lora_doctor.trainers.kohya_folders import numbered_folders, regularisation_folders
from lora_doctor.types import Dataset, DatasetImage, Subset


def test_folders_behind_a_link_are_those_of_the_dataset(tmp_path: Path) -> None:
    for name in ("img/10_yuki", "reg/1_girl"):
        (tmp_path / "data" / name).mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "data")
    picture = tmp_path / "data" / "img" / "10_yuki" / "0.png"
    image = DatasetImage(path=picture, sha256="", width=8, height=8, caption="")
    subsets = (Subset(folder=picture.parent), Subset(folder=tmp_path / "data" / "reg" / "1_girl", regularisation=True))
    dataset, config = Dataset(path=tmp_path / "data", images=(image,), subsets=subsets), tmp_path / "args.toml"
    (own,) = numbered_folders(dataset, str(tmp_path / "link" / "img"), config)
    assert (own.place, own.repeats, own.words) == (str(tmp_path / "link" / "img" / "10_yuki"), 10, "yuki")
    (other,) = regularisation_folders(dataset, str(tmp_path / "link" / "reg"), config)
    assert (other.place, other.regularisation) == (str(tmp_path / "link" / "reg" / "1_girl"), True)
