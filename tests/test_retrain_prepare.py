"""What a plan is made of: the prescription, what its trainer has of it, and what is left to a person."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from lora_doctor.dataset_layout import read_dataset
from lora_doctor.diagnosis import to_json
from lora_doctor.retrain_prepare import prepare
from lora_doctor.types import Change, Prescription
from lora_doctor.wording import FOR_NEW
from tests.make_diagnosis import make_diagnosis
from tests.make_finished_run import make_finished_run


def pictures(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        Image.new("RGB", (8, 8), (number, 0, len(str(folder)) % 256)).save(folder / name)


def test_a_dropout_of_tokens_leaves_the_trigger_of_the_check_up_where_the_captions_have_it(tmp_path: Path) -> None:
    pictures(tmp_path / "d", "0.png")
    (tmp_path / "d" / "0.txt").write_text("1girl, yuki, park")
    config = tmp_path / "args.toml"
    config.write_text('dataset_config = "data.toml"\n')
    folders = f'[[datasets.subsets]]\nimage_dir = "{tmp_path / "d"}"\ncaption_extension = ".txt"\n'
    (tmp_path / "data.toml").write_text(f"[[datasets]]\n{folders}")
    asked = Change(field="caption_token_dropout", before=0.0, after=0.3, rule="body-drift", because="")
    run = make_finished_run(tmp_path / "run", [])
    (run / "diagnosis.json").write_text(to_json(make_diagnosis(tmp_path, images=False)))
    told = prepare(run, config, instead=Prescription(changes=(asked,)))
    told.write(tmp_path / "out")
    (subset,) = read_dataset(tmp_path / "out" / "args.toml").subsets
    assert (subset.caption_token_dropout, subset.keep_tokens) == (0.3, 2)
    assert any("keep_tokens raised to 2" in note for note in told.to_do)


def test_a_copy_for_a_trainer_that_trains_on_caches_needs_them_anew(tmp_path: Path) -> None:
    pictures(tmp_path / "new", "1.png")
    pictures(tmp_path / "d", "0.png")
    (tmp_path / "data.toml").write_text(f'[[datasets]]\nimage_directory = "{tmp_path / "d"}"\n')
    config = tmp_path / "args.toml"
    config.write_text('dit = "/dit"\ndataset_config = "data.toml"\n')
    run = make_finished_run(tmp_path / "run", [])
    (run / "diagnosis.json").write_text(to_json(make_diagnosis(tmp_path, images=False)))
    told = [prepare(run, config, add=add, instead=Prescription(changes=())).to_do for add in (None, tmp_path / "new")]
    assert ["two caching programs" in " ".join(to_do) for to_do in told] == [False, True]


def test_the_rate_of_an_optimiser_that_finds_it_stays_whatever_was_prescribed(tmp_path: Path) -> None:
    pictures(tmp_path / "d" / "1_x", "0.png")
    config = tmp_path / "args.toml"
    config.write_text(f'train_data_dir = "{tmp_path / "d"}"\noptimizer_type = "Prodigy"\nunet_lr = 1.0\n')
    asked = Change(field="learning_rate", before=1.0, after=0.5, rule="overbaked", because="")
    run = make_finished_run(tmp_path / "run", [])
    (run / "diagnosis.json").write_text(to_json(make_diagnosis(tmp_path, images=False)))
    told = prepare(run, config, instead=Prescription(changes=(asked,)))
    assert told.texts[config] == config.read_text()
    assert told.patch.unsupported == ("learning_rate: Prodigy finds its rate itself and it stays.",)


OWN_RATE = "unet_lr = 2e-4\ntext_encoder_lr = 5e-5\n"
JOB = (
    "job: extension\nconfig:\n  process:\n  - type: sd_trainer\n    network: {type: lora, linear: 8}\n"
    "    train: {train_text_encoder: true, lr: 2e-4"
)


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("args.toml", OWN_RATE, True),
        ("args.toml", "learning_rate = 2e-4\n", False),
        ("args.toml", OWN_RATE + "network_train_unet_only = true\n", False),
        ("job.yaml", JOB + ", text_encoder_lr: 5e-5}\n", True),
        ("job.yaml", JOB + "}\n", False),
    ],
)
def test_a_lower_rate_tells_of_the_text_encoder_s_own(tmp_path: Path, name: str, text: str, told: bool) -> None:
    pictures(tmp_path / "d" / "1_x", "0.png")
    folder = f'train_data_dir = "{tmp_path / "d"}"\n'
    if name == "job.yaml":
        folder = f'    datasets:\n    - folder_path: "{tmp_path / "d" / "1_x"}"\n'
    config = tmp_path / name
    config.write_text(text + folder)
    asked = Change(field="learning_rate", before=2e-4, after=1e-4, rule="overbaked", because="")
    run = make_finished_run(tmp_path / "run", [])
    (run / "diagnosis.json").write_text(to_json(make_diagnosis(tmp_path, images=False)))
    to_do = prepare(run, config, instead=Prescription(changes=(asked,))).to_do
    assert any("rate of its own, 5e-05" in line for line in to_do) is told


@pytest.mark.parametrize("added", [False, True])
def test_a_change_that_does_harm_without_the_new_pictures_says_so_while_they_are_not_given(
    tmp_path: Path, added: bool
) -> None:
    pictures(tmp_path / "d" / "1_x", "0.png")
    pictures(tmp_path / "new", "1.png")
    config = tmp_path / "args.toml"
    config.write_text(f'train_data_dir = "{tmp_path / "d"}"\n')
    because = f"measured; {FOR_NEW}: without them the 2 that are there would be shown 75% of the time"
    asked = Change(field="identity_ratio", before=0.95, after=0.25, rule="body-drift", because=because)
    run = make_finished_run(tmp_path / "run", [])
    (run / "diagnosis.json").write_text(to_json(make_diagnosis(tmp_path, images=False)))
    plan = prepare(run, config, add=tmp_path / "new" if added else None, instead=Prescription(changes=(asked,)))
    assert any("shown 75% of the time. Give them with --add." in line for line in plan.to_do) is not added
