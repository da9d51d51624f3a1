"""Settings come from lora-doctor.toml and the command line, checked key by key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lora_doctor.errors import InputRefused, UsageError
from lora_doctor.settings import from_plain, load_settings, to_plain

LEAST = 'trigger = "yuki_nk"\ndataset = "dataset"\n'
FULL = """
trigger = "yuki_nk"
dataset = "../pictures"
base = "base"
training_config = "training.toml"
out = "run"
seed = 5
device = "cuda:1"

[character]
class_token = "1boy"
spec = {hair_colour = "white_hair", eye_colour = "blue_eyes"}

[instruments]
face = "buffalo_l"
clip = "clip"
labels = "labels.toml"

[matrix]
weights = [0, 0.5, 1]
ship_weights = [0.5]
trained_environments = ["library"]
novel_environments = ["beach", "city"]
replicates = 3
framings = ["full_body", "close-up"]

[render]
steps = 20
guidance = 2
width = 512
height = 768
negative_prompt = ""
batch_size = 4

[judge]
policy = "strict"
rules = "rules"

[report]
private = true
"""


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model in a folder that is not the working folder."""
    folder = tmp_path / "yuki"
    folder.mkdir()
    (folder / "yuki.safetensors").write_bytes(b"")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return folder / "yuki.safetensors"


def write(model: Path, text: str) -> Path:
    path = model.with_name("lora-doctor.toml")
    path.write_text(text, encoding="utf-8")
    return path


def test_two_keys_are_enough(model: Path) -> None:
    path = write(model, LEAST)
    settings = load_settings(model, {})
    assert settings.trigger == "yuki_nk"
    assert settings.dataset == model.parent / "dataset"
    assert settings.out == model.parent / "yuki-checkup"
    assert settings.source == path
    assert settings.matrix.weights == (0.0, 0.4, 0.6, 0.7, 0.8, 1.0)
    assert settings.matrix.ship_weights == (0.7, 1.0)
    assert settings.matrix.framings == ("close-up", "upper_body", "full_body")
    assert settings.matrix.novel_environments is None
    assert settings.render.steps is None
    assert not settings.report.private
    assert (settings.base, settings.instruments.face, settings.instruments.clip) == ("auto", None, None)


def test_every_key_arrives_and_paths_are_relative_to_the_file(model: Path) -> None:
    for folder in ("base", "clip"):
        (model.parent / folder).mkdir()
    write(model, FULL)
    settings = load_settings(model, {})
    assert settings.dataset.resolve() == model.parent.parent / "pictures"
    assert settings.base == str(model.parent / "base")
    assert settings.training_config == model.parent / "training.toml"
    assert settings.out == model.parent / "run"
    assert (settings.seed, settings.device) == (5, "cuda:1")
    assert settings.character.class_token == "1boy"
    assert settings.character.spec == {"hair_colour": "white_hair", "eye_colour": "blue_eyes"}
    assert settings.instruments.face == "buffalo_l"
    assert settings.instruments.clip == str(model.parent / "clip")
    assert settings.instruments.labels == model.parent / "labels.toml"
    assert settings.matrix.weights == (0.0, 0.5, 1.0)
    assert settings.matrix.novel_environments == ("beach", "city")
    assert settings.matrix.framings == ("close-up", "full_body")
    assert settings.matrix.replicates == 3
    render = settings.render
    assert (render.steps, render.guidance, render.width, render.height) == (20, 2.0, 512, 768)
    assert (render.negative_prompt, render.batch_size) == ("", 4)
    assert settings.judge.policy == "strict"
    assert settings.judge.rules == model.parent / "rules"
    assert settings.report.private


def test_a_policy_file_is_found_beside_the_settings_and_a_preset_stays_a_name(model: Path) -> None:
    (model.parent / "lora-doctor.toml").write_text(LEAST + '[judge]\npolicy = "release.toml"\n')
    assert load_settings(model, {}).judge.policy == str((model.parent / "release.toml").resolve())
    assert load_settings(model, {"judge.policy": "house"}).judge.policy == "house"
    assert load_settings(model, {"judge.policy": "mine/release"}).judge.policy == str(Path("mine/release").resolve())


def test_the_working_folder_is_second_choice(model: Path) -> None:
    Path("lora-doctor.toml").write_text(LEAST)
    assert load_settings(model, {}).dataset == Path("dataset")
    write(model, LEAST.replace("yuki_nk", "beside"))
    assert load_settings(model, {}).trigger == "beside"


def test_the_command_line_wins_and_its_paths_are_relative_to_the_working_folder(model: Path) -> None:
    write(model, FULL.replace('"base"', '"miniature"'))
    overrides = {"trigger": None, "dataset": "mine", "matrix.replicates": 1, "report": {"private": False}, "seed": 9}
    settings = load_settings(model, overrides)
    assert (settings.trigger, settings.dataset) == ("yuki_nk", Path("mine"))
    assert (settings.matrix.replicates, settings.report.private, settings.seed) == (1, False, 9)
    assert settings.matrix.weights == (0.0, 0.5, 1.0)


def test_the_command_line_alone_is_enough(model: Path) -> None:
    settings = load_settings(model, {"trigger": "yuki", "dataset": Path("pictures")})
    assert settings.source is None
    assert settings.dataset == Path("pictures")


def test_without_a_file_the_message_says_what_to_write(model: Path) -> None:
    with pytest.raises(UsageError, match=r"no lora-doctor.toml beside .* Write `trigger = ...` into lora-doctor.toml."):
        load_settings(model, {})
    write(model, 'trigger = "yuki"')
    with pytest.raises(UsageError, match=r"`dataset` is missing"):
        load_settings(model, {})


def test_a_missing_model_is_refused_before_anything_else(model: Path) -> None:
    with pytest.raises(InputRefused, match="no such file"):
        load_settings(model.with_name("no.safetensors"), {})


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ('triger = "a"', "`trigger`"),
        ("[matrix]\nreplicate = 1", "`matrix.replicates`"),
        ("replicates = 1", "`matrix.replicates`"),
        ("[render]\nnegative = 'x'", "`render.negative_prompt`"),
        ("[reports]\nprivate = true", "`[report]`"),
        ("[judge.policy]\nname = 1", "`judge.policy` must be a text"),
        ("[zzz]\nq = 1", "Known keys: trigger, dataset"),
        ('"\\u001b[31m" = 1', "Known keys"),
    ],
)
def test_an_unknown_key_names_the_nearest_known_one(model: Path, text: str, nearest: str) -> None:
    path = write(model, text)
    with pytest.raises(UsageError) as caught:
        load_settings(model, {})
    assert str(caught.value).startswith(f"{path}: ")
    assert nearest in str(caught.value)
    assert str(caught.value).isprintable()


def test_an_unknown_key_on_the_command_line_says_so(model: Path) -> None:
    with pytest.raises(UsageError, match=r"command line: unknown key `matrx`. Did you mean `\[matrix\]`"):
        load_settings(model, {"matrx": 3})


BAD: list[tuple[str, Any]] = [
    ("trigger", ""), ("trigger", "a\nb"), ("trigger", 3), ("trigger", "a,b"), ("dataset", ""), ("dataset", 3),
    ("dataset", "a\0b"), ("base", "./nowhere"), ("base", "/nowhere/at/all"), ("seed", -1), ("seed", 1.0),
    ("seed", True), ("device", "gpu"), ("character.spec", "white_hair"), ("character.spec", {"hair": 3}),
    ("matrix.weights", []), ("matrix.weights", 1.0), ("matrix.weights", [0, 2.5]), ("matrix.weights", [0, -0.5, 1]),
    ("matrix.weights", [0, 0.7, 0.4]), ("matrix.weights", [0, 0.7, 0.7]), ("matrix.weights", [0, float("nan")]),
    ("matrix.weights", [0, True]), ("matrix.weights", [0.4, 1]), ("matrix.weights", [0, 0.705]),
    ("matrix.ship_weights", [0, 1]), ("matrix.ship_weights", [0.5]), ("matrix.trained_environments", []),
    ("matrix.trained_environments", ["a", "a"]), ("matrix.replicates", 0), ("matrix.framings", ["portrait"]),
    ("matrix.framings", ["close-up", "close-up"]), ("matrix.framings", [["close-up"]]),
    ("render.steps", 0), ("render.guidance", float("inf")), ("render.guidance", "7"), ("render.width", 60),
    ("render.height", 8), ("render.batch_size", 0), ("judge.policy", 1),
    ("report.private", "yes"), ("report.private", 1),
]  # fmt: skip


@pytest.mark.parametrize(("key", "value"), BAD, ids=[f"{key}={value!r}" for key, value in BAD])
def test_a_value_that_does_not_fit_names_its_key(model: Path, key: str, value: Any) -> None:
    write(model, LEAST)
    with pytest.raises(UsageError) as caught:
        load_settings(model, {key: value})
    assert f"`{key}`" in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_path_of_windows_in_double_quotes_is_told_as_such(model: Path) -> None:
    write(model, 'trigger = "yuki"\ndataset = "C:\\new\\train"')
    with pytest.raises(UsageError, match=r"`dataset` is C:\\new\\train, in double quotes.*single quotes"):
        load_settings(model, {})


def test_a_folder_in_the_place_of_the_model_is_told_as_one(model: Path) -> None:
    with pytest.raises(InputRefused, match=r"is a folder\. Give the LoRA's .safetensors file"):
        load_settings(model.parent, {})


def test_a_budget_that_was_typed_is_not_blamed_on_the_file(model: Path) -> None:
    source = write(model, LEAST)
    with pytest.raises(UsageError, match=r"^command line: `matrix\.budget` is 3"):
        load_settings(model, {"matrix": {"budget": 3}})
    write(model, f"{LEAST}[matrix]\nship_weights = [0.5]\n")
    with pytest.raises(UsageError, match=f"^{source}: `matrix.ship_weights` has 0.5"):
        load_settings(model, {"matrix.budget": 3})


def test_an_environment_is_trained_or_novel_not_both(model: Path) -> None:
    write(model, LEAST + '[matrix]\ntrained_environments = ["beach"]\nnovel_environments = ["city", "beach"]\n')
    with pytest.raises(UsageError, match="both a trained and a novel"):
        load_settings(model, {})


def test_a_budget_below_the_least_first_round_is_refused_before_anything_is_read(model: Path) -> None:
    """Three weights, one framing and two replicates in four environments: 24 pictures, arms or not."""
    places = 'trained_environments = ["city"]\nnovel_environments = ["beach", "snow", "desert"]\n'
    matrix = f'[matrix]\nweights = [0, 0.7, 1.0]\nframings = ["close-up"]\n{places}'
    source = write(model, f"{LEAST}{matrix}budget = 23\n")
    with pytest.raises(UsageError, match=f"{source.name}: `matrix.budget` is 23.*alone is 24 or more"):
        load_settings(model, {})
    assert load_settings(model, {"matrix.budget": 24}).matrix.budget == 24
    with pytest.raises(UsageError, match="alone is 96 or more"):
        load_settings(model, {"matrix.budget": 95, "matrix.full": True})


def test_a_hub_id_stays_a_name(model: Path) -> None:
    write(model, LEAST + 'base = "stabilityai/stable-diffusion-xl-base-1.0"')
    assert load_settings(model, {}).base == "stabilityai/stable-diffusion-xl-base-1.0"


@pytest.mark.parametrize("text", [LEAST, FULL], ids=["least", "full"])
def test_settings_survive_json_with_absolute_paths(model: Path, text: str) -> None:
    write(model, text)
    plain = to_plain(load_settings(model, {}))
    again = from_plain(json.loads(json.dumps(plain)))
    assert to_plain(again) == plain
    assert again.dataset.is_absolute() and again.model.is_absolute()
    assert again.matrix == load_settings(model, {}).matrix


def test_identity_instruments_are_kinds_with_sources_and_folders_become_absolute(model: Path) -> None:
    (model.parent / "same").mkdir()
    (model.parent / "tags").mkdir()
    named = '["insightface:buffalo_l", "ccip", "ccip:same@head", "dino:facebook/dinov2-base", "clip@head"]'
    write(model, LEAST + f'[instruments]\nidentity = {named}\ntagger = "tags"\nbody = "facebook/dinov2-small"\n')
    settings = load_settings(model, {})
    assert settings.instruments.identity == (
        "insightface:buffalo_l", "ccip", f"ccip:{model.parent / 'same'}@head", "dino:facebook/dinov2-base", "clip@head",
    )  # fmt: skip
    assert settings.instruments.tagger == str(model.parent / "tags")
    assert settings.instruments.body == "facebook/dinov2-small"
    assert from_plain(json.loads(json.dumps(to_plain(settings)))).instruments == settings.instruments


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ('"ccip"', "must be a list"),
        ("[]", "must be a list"),
        ('["buffalo_l"]', "must name kinds of insightface, sface, ccip, dino, clip"),
        ('["insightface"]', "must say which pack"),
        ('["sface@head"]', "without @head"),
        ('["ccip", "ccip"]', "each instrument once"),
        ('["ccip:./nowhere"]', "a name or an existing folder"),
        ('["ccip:"]', "must be"),
        ("[1]", "a text of one line"),
    ],
)
def test_what_is_no_identity_instrument_is_refused_with_the_key(model: Path, value: str, why: str) -> None:
    write(model, LEAST + f"[instruments]\nidentity = {value}\n")
    with pytest.raises(UsageError, match=f"`instruments.identity` .*{why}"):
        load_settings(model, {})
