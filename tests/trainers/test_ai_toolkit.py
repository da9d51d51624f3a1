"""ai-toolkit's jobs: hands off first, then every change in jobs of several styles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_doctor.edits.yaml_edit import loaded
from lora_doctor.trainers import ai_toolkit
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

YAML, JSON = Path("/cfg/job.yaml"), Path("/cfg/job.json")
JOB = """\
---
job: extension
config:
  # this name will be the folder
  name: "my_lora"
  process:
    - type: 'sd_trainer'
      training_folder: "output"
      trigger_word: "ohwx"
      network:
        type: "lora"
        linear: 16      # small
        linear_alpha: 16
      datasets:
        - folder_path: "/data/closeup"
          caption_ext: "txt"
          caption_dropout_rate: 0.05   # whole captions
          num_repeats: 3
          resolution: [ 1024 ]
        - folder_path: "/data/context"
          caption_ext: "txt"
          caption_dropout_rate: 0.05
          resolution: [ 1024 ]
        - folder_path: "/data/reg"
          is_reg: true
          resolution: [ 512, 768 ]
      train:
        batch_size: 1
        steps: 2000  # total
        train_text_encoder: false
        optimizer: "adamw8bit"
        lr: 1e-4
        # ema_config:
      model:
        name_or_path: "stabilityai/stable-diffusion-xl-base-1.0"
        is_xl: true
meta:
  name: "[name]"
"""
FLOW = "config: {name: x, process: [{type: sd_trainer, network: {type: lora, linear: 32}, datasets: [{folder_path: /d}], train: {lr: 0.0002, steps: 10}, model: {arch: flux}}]}\n"  # noqa: E501


def job(text: str = JOB, path: Path = YAML) -> ConfigFiles:
    return ConfigFiles(path=path, texts={path: text})


STYLES = {
    "commented": job(),
    "windows": job(JOB.replace("\n", "\r\n")),
    "json": job(json.dumps(loaded(JOB), indent=2), JSON),
    "json in a line": job(json.dumps(loaded(JOB)), JSON),
    "flow": job(FLOW.replace("arch: flux", "arch: sdxl")),
    "rank": job(JOB.replace("linear: 16 ", "rank: 16 ").replace("        linear_alpha: 16\n", "        alpha: 8\n")),
    "rates of its own": job(JOB.replace("        lr: 1e-4\n", "        lr: 1e-4\n        unet_lr: 2e-4\n")),
    "a list a line": job(JOB.replace("resolution: [ 1024 ]", "resolution:\n          - 1024")),
    "several resolutions": job(JOB.replace("resolution: [ 1024 ]", "resolution: [ 512, 768, 1024 ]")),
    "no lines at the end": job(JOB.split("meta:")[0].rstrip()),
    "defaults": job("config:\n  process:\n  - network: {type: lora}\n    datasets:\n    - folder_path: /d\n    train:\n      lr: 1e-4\n"),  # noqa: E501
    "another process first": job(JOB.replace("    - type: 'sd_trainer'", "    - type: 'extract'\n    - type: 'sd_trainer'")),  # noqa: E501
}  # fmt: skip
CHANGES = {
    "rank": 48,
    "alpha": 48.0,
    "seed": 7,
    "steps": 3000,
    "learning_rate": 5e-5,
    "caption_dropout": 0.1,
    "caption_token_dropout": 0.3,
    "resolution": 1536,
    "batch_size": 4,
    "train_text_encoder": True,
    "flip_augmentation": True,
}


def change(field: str, after: Any) -> Change:
    return Change(field=field, before=None, after=after, rule="a-rule", because="")


def read_again(config: ConfigFiles, patched: PatchedFiles) -> TrainingSettings:
    return ai_toolkit.read(ConfigFiles(path=config.path, texts=patched.texts))


@pytest.mark.parametrize("config", STYLES.values(), ids=STYLES)
def test_no_change_changes_no_byte(config: ConfigFiles) -> None:
    assert ai_toolkit.recognises(config.path, config.text)
    assert ai_toolkit.patch(config, []).texts == config.texts


@pytest.mark.parametrize("name", [name for name in STYLES if name != "defaults" and name != "flow"])
def test_what_is_so_already_changes_no_byte(name: str) -> None:
    config = STYLES[name]
    read = ai_toolkit.read(config)
    stated = ("rank", "steps", "learning_rate", "caption_dropout", "resolution", "batch_size", "train_text_encoder")
    known = [change(field, getattr(read, field)) for field in stated if getattr(read, field) is not None]
    assert ai_toolkit.patch(config, known).texts == config.texts


@pytest.mark.parametrize("config", STYLES.values(), ids=STYLES)
@pytest.mark.parametrize("field", CHANGES)
def test_each_change_is_read_again_in_every_style_and_is_made_once(config: ConfigFiles, field: str) -> None:
    wanted = change(field, CHANGES[field])
    patched = ai_toolkit.patch(config, [wanted])
    assert not patched.unsupported
    before, after = ai_toolkit.read(config), read_again(config, patched)
    assert getattr(after, field) == CHANGES[field]
    assert all(getattr(after, other) == getattr(before, other) for other in set(CHANGES) - {field})
    again = ai_toolkit.patch(ConfigFiles(path=config.path, texts=patched.texts), [wanted])
    assert again.texts == patched.texts


RATES = st.floats(0, 1).map(lambda x: round(x, 3))


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(STYLES)), st.integers(1, 256), RATES, RATES, st.floats(1e-6, 1e-2))
def test_what_is_patched_is_read_and_patched_twice_is_patched_once(
    style: str, rank: int, whole: float, token: float, rate: float
) -> None:
    config = STYLES[style]
    wanted = {"rank": rank, "caption_dropout": whole, "caption_token_dropout": token, "learning_rate": rate}
    changes = [change(field, after) for field, after in wanted.items()]
    patched = ai_toolkit.patch(config, changes)
    assert {field: getattr(read_again(config, patched), field) for field in wanted} == wanted
    assert ai_toolkit.patch(ConfigFiles(path=config.path, texts=patched.texts), changes).texts == patched.texts


def test_comments_quotes_and_the_rest_stay() -> None:
    patched = ai_toolkit.patch(job(), [change("rank", 48), change("learning_rate", 5e-5)])
    assert patched.texts[YAML] == JOB.replace("16      # small", "48      # small").replace("lr: 1e-4", "lr: 0.00005")


def test_the_settings_are_read_with_the_defaults() -> None:
    read = ai_toolkit.read(job())
    assert (read.rank, read.alpha, read.steps, read.batch_size, read.learning_rate) == (16, 16.0, 2000, 1, 1e-4)
    assert (read.caption_dropout, read.caption_token_dropout, read.resolution) == (0.05, 0.0, 1024)
    assert ai_toolkit.read(STYLES["several resolutions"]).resolution is None


def test_pictures_of_regularisation_keep_their_captions() -> None:
    text = ai_toolkit.patch(job(), [change("caption_token_dropout", 0.3)]).texts[YAML]
    assert [("token_dropout_rate" in one) for one in loaded(text)["config"]["process"][0]["datasets"]] == [
        True,
        True,
        False,
    ]


@pytest.mark.parametrize("asked", [change("caption_token_dropout", 0.3), change("train_text_encoder", True)])
def test_a_cache_that_forbids_it_is_switched_off_with_it(asked: Change) -> None:
    config = job(JOB.replace("        batch_size: 1\n", "        batch_size: 1\n        cache_text_embeddings: true\n"))
    patched = ai_toolkit.patch(config, [asked])
    assert "cache_text_embeddings: false" in patched.texts[YAML] and patched.notes
    assert "cache_text_embeddings: true" in ai_toolkit.patch(config, [change("caption_dropout", 0.3)]).texts[YAML]


def test_a_cache_is_switched_off_for_regularisation_too_as_all_folders_have_one_or_none() -> None:
    text = JOB.replace("          resolution: [ ", "          cache_text_embeddings: true\n          resolution: [ ")
    patched = ai_toolkit.patch(job(text), [change("caption_token_dropout", 0.3)])
    [process] = loaded(patched.texts[YAML])["config"]["process"]
    assert [one["cache_text_embeddings"] for one in process["datasets"]] == [False, False, False]


def test_tokens_up_to_the_trigger_are_kept_with_the_dropout_of_others_unless_the_trigger_word_comes_back() -> None:
    asked = [change("caption_token_dropout", 0.3)]
    picture = DatasetImage(path=Path("/data/0.png"), sha256="", width=8, height=8, caption="1girl, yuki, park")
    dataset = Dataset(path=Path("/data"), images=(picture,))
    assert "keep_tokens" not in ai_toolkit.patch(job(), asked, dataset, "yuki").texts[YAML]
    bare = JOB.replace('      trigger_word: "ohwx"\n', "")
    patched = ai_toolkit.patch(job(bare), asked, dataset, "yuki")
    folders = loaded(patched.texts[YAML])["config"]["process"][0]["datasets"]
    assert [one.get("keep_tokens") for one in folders] == [2, 2, None]
    assert ["keep_tokens raised to 2" in note for note in patched.notes] == [True]
    own = bare.replace("num_repeats: 3", "num_repeats: 3\n          keep_tokens: 5")
    own = own.replace('"/data/context"', '"/data/context"\n          trigger_word: yuki')
    kept = ai_toolkit.patch(job(own), asked, dataset, "yuki")
    assert kept.texts[YAML].count("keep_tokens") == 1 and not kept.notes


@pytest.mark.parametrize("cached", [True, False])
def test_a_text_encoder_that_captions_need_is_not_unloaded(cached: bool) -> None:
    """Unloaded and without a cache, the trigger word alone is trained."""
    caches = "        cache_text_embeddings: true\n" if cached else ""
    own = f"        batch_size: 1\n        unload_text_encoder: true\n{caches}"
    config = job(JOB.replace("        batch_size: 1\n", own))
    patched = ai_toolkit.patch(config, [change("caption_token_dropout", 0.3)])
    assert "unload_text_encoder: false" in patched.texts[YAML]
    assert any("unload_text_encoder switched off" in note for note in patched.notes)
    assert "unload_text_encoder: true" in ai_toolkit.patch(config, [change("rank", 48)]).texts[YAML]


def test_where_alpha_is_always_the_rank_it_is_said_and_not_written() -> None:
    patched = ai_toolkit.patch(job(FLOW), [change("rank", 48), change("alpha", 48.0)])
    assert "linear_alpha" not in patched.texts[YAML] and "alpha = rank" in patched.notes[0]
    assert read_again(job(FLOW), patched).alpha == 48.0


@pytest.mark.parametrize("name", ["linear", "rank"])
def test_an_alpha_that_is_always_the_rank_is_told_with_the_rank_that_it_has(name: str) -> None:
    config = job(FLOW.replace("linear: 32", f"{name}: 32"))
    patched = ai_toolkit.patch(config, [change("alpha", 21.44)])
    assert patched.texts == config.texts and not patched.notes
    assert ["alpha = rank (32); wanted is 21.44" in told for told in patched.unsupported] == [True]
    patched = ai_toolkit.patch(config, [change("rank", 48), change("alpha", 24.0)])
    assert ["alpha = rank (48); wanted is 24." in told for told in patched.unsupported] == [True]


def pictures(closeups: int, contexts: int) -> Dataset:
    images = [(IDENTITY_EMPHASIS, "closeup", i, 3) for i in range(closeups)]
    images += [(IN_CONTEXT, "context", i, 1) for i in range(contexts)]
    return Dataset(
        path=Path("/data"),
        images=tuple(
            DatasetImage(
                path=Path(f"/data/{folder}/sub/{i}.png"), sha256="", width=8, height=8, caption="", role=role, repeats=n
            )
            for role, folder, i, n in images
        ),
    )


def test_the_identity_ratio_becomes_whole_repeats_and_the_steps_stay() -> None:
    patched = ai_toolkit.patch(job(), [change("identity_ratio", 0.33)], pictures(20, 60))
    process = loaded(patched.texts[YAML])["config"]["process"][0]
    closeup, context = (one.get("num_repeats", 1) for one in process["datasets"][:2])
    assert 20 * closeup / (20 * closeup + 60 * context) == pytest.approx(0.33, abs=0.011)
    assert process["train"]["steps"] == 2000 and "num_repeats" not in process["datasets"][2]


def test_epochs_become_steps_where_the_pictures_are_known() -> None:
    alone = job(JOB.replace("is_reg: true", "is_reg: false"))
    patched = ai_toolkit.patch(alone, [change("epochs", 10)], pictures(20, 60))
    assert read_again(alone, patched).steps == 1200
    assert "counts steps" in ai_toolkit.patch(job(), [change("epochs", 10)]).unsupported[0]


def test_every_other_step_is_regularisations_and_a_step_is_as_many_batches_as_it_accumulates() -> None:
    patched = ai_toolkit.patch(job(), [change("epochs", 10)], pictures(20, 60))
    assert read_again(job(), patched).steps == 2400 and "every other" in patched.notes[0]
    four = job(JOB.replace("batch_size: 1", "batch_size: 1\n        gradient_accumulation: 4"))
    assert read_again(four, ai_toolkit.patch(four, [change("epochs", 10)], pictures(20, 60))).steps == 600
    every = job(four.text.replace("gradient_accumulation", "gradient_accumulation_steps"))
    assert read_again(every, ai_toolkit.patch(every, [change("epochs", 10)], pictures(20, 60))).steps == 2400
    assert [ai_toolkit.read(one).gradient_accumulation for one in (four, every)] == [4, None]


def test_what_the_trainer_has_no_setting_for_is_said_with_the_nearest() -> None:
    assert "nearest" in ai_toolkit.patch(job(), [change("negative_tokens", ("black_hair",))]).unsupported[0]


def test_moved_folders_are_named_where_they_go() -> None:
    texts = ai_toolkit.relocated(job(), {YAML: Path("/new/job.yaml"), Path("/data/context"): Path("/new/dataset")})
    assert texts[YAML] == JOB.replace('"/data/context"', '"/new/dataset"')


@pytest.mark.parametrize("text", ["", "config: 1", "config: {process: []}", "process: [", "config: {process: [{}]}"])
def test_other_files_are_no_jobs(text: str) -> None:
    assert not ai_toolkit.recognises(YAML, text)


def test_the_new_lora_goes_where_it_is_told_and_nothing_else_changes() -> None:
    text = ai_toolkit.writing_to(job(), Path("/new/output"))[YAML]
    changed = [line for line in text.splitlines() if line not in JOB.splitlines()]
    assert [line.split("#")[0].strip() for line in changed] == ['training_folder: "/new/output"']
