"""SimpleTuner's configs: hands off first, then every change in configs of several styles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_doctor.trainers import onetrainer, simpletuner
from lora_doctor.types import (
    IDENTITY_EMPHASIS,
    IN_CONTEXT,
    Change,
    ConfigFiles,
    Dataset,
    DatasetImage,
    PatchedFiles,
    TrainingSettings,
)

CONFIG, BACKENDS = Path("/cfg/config.json"), Path("/cfg/multidatabackend.json")
BASE: dict[str, Any] = {
    "model_type": "lora", "model_family": "sdxl", "lora_type": "standard", "lora_rank": 16, "lora_alpha": 16,
    "data_backend_config": "config/run/multidatabackend.json", "caption_dropout_probability": 0.1, "resolution": 1024,
    "resolution_type": "pixel_area", "train_batch_size": 2, "learning_rate": 0.0001, "max_train_steps": 2000,
    "num_train_epochs": 0, "seed": 42, "output_dir": "output/run", "optimizer": "adamw_bf16",
}  # fmt: skip


def backend(name: str, **values: Any) -> dict[str, Any]:
    return {"id": name, "type": "local", "instance_data_dir": f"/data/{name}", **values}


PARTS = [backend("closeup", repeats=2), backend("context"), backend("reg", is_regularisation_data=True),
         {"id": "text", "dataset_type": "text_embeds", "default": True}]  # fmt: skip


def files(values: dict[str, Any], parts: list[Any] | None = None, indent: int | None = 2) -> ConfigFiles:
    backends = json.dumps(PARTS if parts is None else parts, indent=indent)
    return ConfigFiles(path=CONFIG, texts={CONFIG: json.dumps(values, indent=indent), BACKENDS: backends})


def without(*keys: str) -> dict[str, Any]:
    return {key: value for key, value in BASE.items() if key not in keys}


def toml(dashes: str = "", *, quoted: bool = False) -> ConfigFiles:
    """A config.toml with a comment over its keys and one behind the first."""
    names = {key: f'"{dashes}{key}"' if quoted else f"{dashes}{key}" for key in BASE}
    first, *others = [f"{names[key]} = {json.dumps(value)}" for key, value in BASE.items()]
    text = "\n".join(["# two nights", f"{first}  # a LoRA", *others, ""])
    path = CONFIG.with_suffix(".toml")
    return ConfigFiles(path=path, texts={path: text, BACKENDS: json.dumps(PARTS)})


STYLES = {
    "plain": files(BASE),
    "toml": toml(),
    "toml with dashes": toml("--"),
    "toml with quoted keys": toml("--", quoted=True),
    "a key that it does not know": files({**BASE, "own_note": "kept"}),
    "in a line": files(BASE, indent=None),
    "tabs": ConfigFiles(path=CONFIG, texts={CONFIG: json.dumps(BASE, indent="\t"), BACKENDS: json.dumps(PARTS)}),
    "dashes": files({f"--{key}": value for key, value in BASE.items()}),
    "numbers as text": files({**BASE, "lora_rank": "16", "train_batch_size": "2"}),
    "epochs": files({**BASE, "max_train_steps": 0, "num_train_epochs": 10}),
    "defaults": files(without("lora_rank", "lora_alpha", "seed", "caption_dropout_probability")),
    "no backends named": files(without("data_backend_config")),
    "backends with their own": files(BASE, [backend("a", resolution=768, resolution_type="pixel",
                                                    caption_dropout_probability=0.2)]),
    "regularisation first": files(BASE, PARTS[::-1]),
}  # fmt: skip
CHANGES = {
    "rank": 48, "alpha": 48.0, "steps": 3000, "learning_rate": 5e-5, "caption_dropout": 0.05, "resolution": 1536,
    "batch_size": 4, "seed": 7, "train_text_encoder": True,
}  # fmt: skip


def change(field: str, after: Any) -> Change:
    return Change(field=field, before=None, after=after, rule="a-rule", because="")


def read_again(config: ConfigFiles, patched: PatchedFiles) -> TrainingSettings:
    return simpletuner.read(ConfigFiles(path=config.path, texts=patched.texts))


@pytest.mark.parametrize("config", STYLES.values(), ids=STYLES)
def test_no_change_changes_no_byte(config: ConfigFiles) -> None:
    assert simpletuner.recognises(config.path, config.text) and not onetrainer.recognises(config.path, config.text)
    assert simpletuner.companions(config.path, config.text) == (BACKENDS,)
    assert simpletuner.patch(config, []).texts == config.texts
    read = simpletuner.read(config)
    known = [change(f, v) for f in CHANGES if (v := getattr(read, f)) is not None]
    assert simpletuner.patch(config, known).texts == config.texts


@pytest.mark.parametrize("config", STYLES.values(), ids=STYLES)
@pytest.mark.parametrize("field", CHANGES)
def test_each_change_is_read_again_in_every_style_and_is_made_once(config: ConfigFiles, field: str) -> None:
    wanted = change(field, CHANGES[field])
    patched = simpletuner.patch(config, [wanted])
    assert not patched.unsupported
    before, after = simpletuner.read(config), read_again(config, patched)
    assert getattr(after, field) == CHANGES[field]
    others = set(CHANGES) - {field} - ({"alpha"} if "lora_alpha" not in config.text else set())  # it follows the rank
    assert all(getattr(after, other) == getattr(before, other) for other in others)
    again = simpletuner.patch(ConfigFiles(path=config.path, texts=patched.texts), [wanted])
    assert again.texts == patched.texts


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(sorted(STYLES)), st.integers(1, 256), st.floats(0, 1), st.floats(1e-6, 1e-2))
def test_what_is_patched_is_read_and_patched_twice_is_patched_once(
    style: str, rank: int, dropout: float, rate: float
) -> None:
    config = STYLES[style]
    wanted = {"rank": rank, "caption_dropout": dropout, "learning_rate": rate}
    changes = [change(field, after) for field, after in wanted.items()]
    patched = simpletuner.patch(config, changes)
    assert {field: getattr(read_again(config, patched), field) for field in wanted} == wanted
    assert simpletuner.patch(ConfigFiles(path=config.path, texts=patched.texts), changes).texts == patched.texts


def test_a_patch_touches_its_line_alone() -> None:
    after = simpletuner.patch(files(BASE), [change("rank", 48)]).texts
    assert after == {**files(BASE).texts, CONFIG: files(BASE).text.replace('"lora_rank": 16', '"lora_rank": 48')}


def test_epochs_and_steps_exclude_each_other() -> None:
    text = json.loads(simpletuner.patch(files(BASE), [change("epochs", 12.0)]).texts[CONFIG])
    assert (text["num_train_epochs"], text["max_train_steps"]) == (12, 0)


@pytest.mark.parametrize("field", ["caption_token_dropout", "negative_tokens"])
def test_what_the_trainer_has_no_setting_for_is_said_with_the_nearest(field: str) -> None:
    patched = simpletuner.patch(files(BASE), [change(field, 0.3)])
    assert patched.texts == files(BASE).texts and "nearest" in patched.unsupported[0]


def test_a_resolution_in_megapixels_is_left_and_said() -> None:
    config = files({**BASE, "resolution_type": "area", "resolution": 1.0})
    patched = simpletuner.patch(config, [change("resolution", 1536)])
    assert patched.texts == config.texts and "megapixels" in patched.unsupported[0]


def pictures(closeups: int, contexts: int) -> Dataset:
    images = [(IDENTITY_EMPHASIS, "closeup", i) for i in range(closeups)]
    images += [(IN_CONTEXT, "context", i) for i in range(contexts)]
    return Dataset(
        path=Path("/data"),
        images=tuple(
            DatasetImage(path=Path(f"/data/{folder}/{i}.png"), sha256="", width=8, height=8, caption="", role=role)
            for role, folder, i in images
        ),
    )


def test_the_identity_ratio_becomes_repeats_that_count_from_zero() -> None:
    parts = [backend("closeup"), backend("context"), *PARTS[2:]]
    config = files({**BASE, "max_train_steps": 0, "num_train_epochs": 10}, parts)
    patched = simpletuner.patch(config, [change("identity_ratio", 0.33)], pictures(20, 60))
    closeup, context = (one.get("repeats", 0) + 1 for one in json.loads(patched.texts[BACKENDS])[:2])
    assert 20 * closeup / (20 * closeup + 60 * context) == pytest.approx(0.33, abs=0.011)
    epochs = json.loads(patched.texts[CONFIG])["num_train_epochs"]
    assert epochs * (20 * closeup + 60 * context) == pytest.approx(10 * 80, rel=0.15)


ONCE = [backend("closeup"), backend("context"), *PARTS[2:]]
ORDERS = pytest.mark.parametrize("order", [1, -1], ids=["before", "after"])
LENGTHS = pytest.mark.parametrize(
    "values", [{**BASE, "max_train_steps": 0, "num_train_epochs": 10}, BASE], ids=["epochs", "steps"]
)


@ORDERS
@LENGTHS
def test_a_prescribed_number_of_epochs_stands_beside_new_repeats(values: dict[str, Any], order: int) -> None:
    changes = [change("epochs", 20.0), change("identity_ratio", 0.33)][::order]
    patched = simpletuner.patch(files(values, ONCE), changes, pictures(20, 60))
    closeup, context = (one.get("repeats", 0) + 1 for one in json.loads(patched.texts[BACKENDS])[:2])
    told = json.loads(patched.texts[CONFIG])
    assert told["num_train_epochs"] * (20 * closeup + 60 * context) == pytest.approx(20 * 80, rel=0.05)
    assert told["num_train_epochs"] != 20 and told["max_train_steps"] == 0
    assert ["num_train_epochs follows" in note for note in patched.notes] == [True]


@ORDERS
@LENGTHS
def test_a_prescribed_number_of_steps_stands_beside_new_repeats(values: dict[str, Any], order: int) -> None:
    changes = [change("steps", 3000), change("identity_ratio", 0.33)][::order]
    config = files(values, ONCE)
    patched = simpletuner.patch(config, changes, pictures(20, 60))
    told = json.loads(patched.texts[CONFIG])
    assert (told["max_train_steps"], told["num_train_epochs"], patched.notes) == (3000, 0, ())
    assert patched.texts[BACKENDS] != config.texts[BACKENDS]


def test_moved_files_and_folders_are_named_where_they_go() -> None:
    moved = {CONFIG: Path("/new/config.json"), BACKENDS: Path("/new/b.json"), Path("/data/context"): Path("/new/d")}
    texts = simpletuner.relocated(files(BASE), moved)
    assert json.loads(texts[CONFIG])["data_backend_config"] == "/new/b.json"
    assert [one.get("instance_data_dir") for one in json.loads(texts[BACKENDS])] == [
        "/data/closeup", "/new/d", "/data/reg", None,
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"model_type": "lora"}'])
def test_other_files_are_not_simpletuners(text: str) -> None:
    assert not simpletuner.recognises(CONFIG, text)


def test_the_new_lora_goes_where_it_is_told_and_nothing_else_changes() -> None:
    texts = simpletuner.writing_to(files(BASE), Path("/new/output"))
    told = {key.lstrip("-"): value for key, value in json.loads(texts[CONFIG]).items()}
    assert told == {key.lstrip("-"): v for key, v in json.loads(files(BASE).texts[CONFIG]).items()} | {
        "output_dir": "/new/output"
    }
    assert texts[BACKENDS] == files(BASE).texts[BACKENDS]


def test_of_a_lycoris_neither_rank_nor_alpha_is_written() -> None:
    config = files({**BASE, "lora_type": "lycoris", "lycoris_config": "l.json"})
    patched = simpletuner.patch(config, [change("rank", 48), change("alpha", 48.0)])
    assert patched.texts == config.texts
    assert [said.split(":")[0] for said in patched.unsupported] == ["rank", "alpha"]
