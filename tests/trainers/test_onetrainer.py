"""OneTrainer's configs: hands off first, then every change in configs of several styles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_doctor.errors import UsageError
from lora_doctor.trainers import onetrainer
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
from tests.recorded.written_metadata import written

CONFIG, CONCEPTS = Path("/cfg/config.json"), Path("/cfg/concepts.json")


def concept(name: str, **values: Any) -> dict[str, Any]:
    return {"__version": 2, "name": name, "path": f"/data/{name}", "enabled": True, "type": "STANDARD",
            "balancing": 1.0, "balancing_strategy": "REPEATS", "text_variations": 1,
            "text": {"prompt_source": "sample", "keep_tags_count": 1}, **values}  # fmt: skip


BASE: dict[str, Any] = {
    "__version": 11, "training_method": "LORA", "model_type": "STABLE_DIFFUSION_XL_10_BASE", "peft_type": "LORA",
    "lora_rank": 16, "lora_alpha": 8.0, "resolution": "1024", "batch_size": 2, "epochs": 10, "learning_rate": 0.0003,
    "latent_caching": True, "unet": {"weight_dtype": "FLOAT_16"}, "text_encoder": {"train": False},
    "text_encoder_2": {"train": False}, "own_note": "kept",
    "concepts": [concept("closeup"), concept("context"), concept("reg", type="PRIOR_PREDICTION")],
}  # fmt: skip


def saved(model_type: str, **parts: dict[str, Any]) -> dict[str, Any]:
    """A config as OneTrainer's window saves it: every part of every model, as `written` by OneTrainer itself."""
    values = json.loads(written("onetrainer_settings")["ot_config"])
    known = {name: {**values[name], **own} for name, own in parts.items()}
    return {**values, "model_type": model_type, "concepts": BASE["concepts"], **known}


def files(values: dict[str, Any], indent: int | None = 4, concepts: list[Any] | None = None) -> ConfigFiles:
    texts = {CONFIG: json.dumps(values, indent=indent)}
    if concepts is not None:
        texts[CONCEPTS] = json.dumps(concepts, indent=2)
    return ConfigFiles(path=CONFIG, texts=texts)


APART = {**{key: value for key, value in BASE.items() if key != "concepts"}, "concept_file_name": "concepts.json"}
FULL = {"tag_dropout_enable": True, "tag_dropout_mode": "FULL", "tag_dropout_probability": 0.1, "keep_tags_count": 0}
EACH = {**FULL, "tag_dropout_mode": "RANDOM", "keep_tags_count": 1}
STYLES = {
    "inside": files(BASE),
    "in a line": files(BASE, None),
    "concepts apart": files(APART, concepts=BASE["concepts"]),
    "whole captions dropped": files({**BASE, "concepts": [concept("a", text=FULL), concept("b", text=FULL)]}),
    "tags dropped": files({**BASE, "concepts": [concept("a", text=EACH, text_variations=8)]}),
    "a rate of its own": files({**BASE, "unet": {"learning_rate": 0.0001}}),
    "numbers as text": files({**BASE, "lora_rank": "16", "epochs": "10"}),
    "transformer": files(
        {**{k: v for k, v in BASE.items() if k != "unet"}, "model_type": "FLUX_DEV_1", "transformer": {"train": True}}
    ),
    "saved by the window": files(saved("STABLE_DIFFUSION_XL_10_BASE")),
    "saved by the window, flux": files(saved("FLUX_DEV_1", transformer={"learning_rate": 1e-3})),
    "a model that is not known": files(saved("MODEL_OF_TOMORROW")),
    "lokr": files({**BASE, "peft_type": "LOKR", "lokr_dim": 32}),
    "the text encoder dropped": files(
        {**BASE, "model_type": "STABLE_DIFFUSION_15", "text_encoder": {"dropout_probability": 0.2}}
    ),
    "text encoders dropped": files(
        {**BASE, "text_encoder": {"dropout_probability": 0.2}, "text_encoder_2": {"dropout_probability": 0.1}}
    ),
    "no text": files({**BASE, "concepts": [{"path": "/data/a", "balancing": 1.0}]}),
    "nothing cached": files({**BASE, "latent_caching": False}),
}
CHANGES = {
    "rank": 48, "alpha": 48.0, "epochs": 20.0, "learning_rate": 5e-5, "caption_token_dropout": 0.3,
    "resolution": 1536, "batch_size": 4, "train_text_encoder": True,
    "flip_augmentation": False,
}  # fmt: skip


def change(field: str, after: Any) -> Change:
    return Change(field=field, before=None, after=after, rule="a-rule", because="")


def read_again(config: ConfigFiles, patched: PatchedFiles) -> TrainingSettings:
    return onetrainer.read(ConfigFiles(path=config.path, texts=patched.texts))


@pytest.mark.parametrize("config", STYLES.values(), ids=STYLES)
def test_no_change_changes_no_byte(config: ConfigFiles) -> None:
    assert onetrainer.recognises(config.path, config.text)
    assert set(onetrainer.companions(config.path, config.text)) == set(config.texts) - {CONFIG}
    assert onetrainer.patch(config, []).texts == config.texts
    read = onetrainer.read(config)
    known = [change(f, v) for f in (*CHANGES, "caption_dropout") if (v := getattr(read, f)) is not None]
    assert onetrainer.patch(config, known).texts == config.texts


@pytest.mark.parametrize("config", STYLES.values(), ids=STYLES)
@pytest.mark.parametrize("field", CHANGES)
def test_each_change_is_read_again_in_every_style_and_is_made_once(config: ConfigFiles, field: str) -> None:
    wanted = change(field, CHANGES[field])
    patched = onetrainer.patch(config, [wanted])
    before, after = onetrainer.read(config), read_again(config, patched)
    assert getattr(after, field) == CHANGES[field]
    others = set(CHANGES) - {field}
    assert all(getattr(after, other) == getattr(before, other) for other in others)
    again = onetrainer.patch(ConfigFiles(path=config.path, texts=patched.texts), [wanted])
    assert again.texts == patched.texts


RATES = st.floats(0.01, 1).map(lambda x: round(x, 3))


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(sorted(STYLES)), st.integers(1, 256), RATES, st.floats(1e-6, 1e-2))
def test_what_is_patched_is_read_and_patched_twice_is_patched_once(
    style: str, rank: int, token: float, rate: float
) -> None:
    config = STYLES[style]
    wanted = {"rank": rank, "caption_token_dropout": token, "learning_rate": rate}
    changes = [change(field, after) for field, after in wanted.items()]
    patched = onetrainer.patch(config, changes)
    assert {field: getattr(read_again(config, patched), field) for field in wanted} == wanted
    assert onetrainer.patch(ConfigFiles(path=config.path, texts=patched.texts), changes).texts == patched.texts


def test_a_patch_touches_its_lines_alone() -> None:
    before, after = files(BASE), onetrainer.patch(files(BASE), [change("rank", 48)]).texts[CONFIG]
    assert after == before.text.replace('"lora_rank": 16', '"lora_rank": 48')


def test_tags_up_to_the_trigger_are_kept_with_the_dropout_of_others() -> None:
    picture = DatasetImage(path=Path("/data/0.png"), sha256="", width=8, height=8, caption="1girl, yuki, park")
    dataset, asked = Dataset(path=Path("/data"), images=(picture,)), [change("caption_token_dropout", 0.3)]
    config = files({**BASE, "concepts": [concept("a"), concept("b", text={"keep_tags_count": 4})]})
    patched = onetrainer.patch(config, asked, dataset, "yuki")
    concepts = json.loads(patched.texts[CONFIG])["concepts"]
    assert [one["text"]["keep_tags_count"] for one in concepts] == [2, 4]
    assert any("keep_tags_count raised to 2" in note for note in patched.notes)
    dropped = files({**BASE, "concepts": [concept("a", text=FULL)]})
    (once,) = json.loads(onetrainer.patch(dropped, asked).texts[CONFIG])["concepts"]
    assert once["text"]["keep_tags_count"] == 1


def test_whole_captions_can_be_dropped_where_no_tags_are() -> None:
    patched = onetrainer.patch(files(BASE), [change("caption_dropout", 0.1)])
    read = read_again(files(BASE), patched)
    assert (read.caption_dropout, read.caption_token_dropout, read.keep_tokens) == (0.1, 0.0, 0)


def test_both_kinds_of_dropout_are_one_too_many_and_it_is_said() -> None:
    both = [change("caption_dropout", 0.05), change("caption_token_dropout", 0.3)]
    patched = onetrainer.patch(files(BASE), both)
    read = read_again(files(BASE), patched)
    assert (read.caption_token_dropout, read.caption_dropout) == (0.3, 0.0)
    assert "nearest" in patched.unsupported[0] and "0.05" in patched.unsupported[0]
    assert "twice with half the balancing, one of them for whole captions (0.05)." in patched.unsupported[0]
    again = onetrainer.patch(STYLES["whole captions dropped"], [change("caption_token_dropout", 0.3)])
    assert "0.1" in again.unsupported[0]


SD = {**BASE, "model_type": "STABLE_DIFFUSION_15"}
EMPTIED = {"dropout_probability": 0.2}


def test_a_text_encoder_of_its_own_dropout_takes_captions_away_too() -> None:
    assert onetrainer.read(files({**SD, "text_encoder": EMPTIED})).caption_dropout == 0.2
    both = files({**SD, "text_encoder": EMPTIED, "concepts": [concept("a", text=FULL)]})
    concepts_own = onetrainer.read(files({**SD, "concepts": [concept("a", text=FULL)]})).caption_dropout
    assert concepts_own is not None
    assert onetrainer.read(both).caption_dropout == pytest.approx(1 - 0.8 * (1 - concepts_own))
    assert onetrainer.read(files({**BASE, "text_encoder": EMPTIED})).caption_dropout is None  # the other one goes on


def test_the_dropout_of_the_one_text_encoder_is_changed_where_it_stands_and_beside_that_of_tags() -> None:
    config = files({**SD, "text_encoder": EMPTIED, "concepts": [concept("a", text=EACH)]})
    patched = onetrainer.patch(config, [change("caption_dropout", 0.05)])
    assert json.loads(patched.texts[CONFIG])["text_encoder"]["dropout_probability"] == 0.05
    assert not patched.unsupported and read_again(config, patched).caption_dropout == 0.05
    assert read_again(config, patched).caption_token_dropout == onetrainer.read(config).caption_token_dropout
    assert onetrainer.patch(ConfigFiles(path=CONFIG, texts=patched.texts), [change("caption_dropout", 0.05)]).texts == (
        patched.texts
    )


def test_the_one_text_encoder_drops_whole_captions_where_tags_are_dropped_one_by_one() -> None:
    both = [change("caption_dropout", 0.05), change("caption_token_dropout", 0.3)]
    for config, whole in ((files(SD), 0.05), (files({**SD, "concepts": [concept("a", text=FULL)]}), 0.1)):
        patched = onetrainer.patch(config, both if whole == 0.05 else both[1:])
        read = read_again(config, patched)
        assert (read.caption_token_dropout, read.caption_dropout) == (0.3, whole)
        assert not patched.unsupported and any("drops whole captions" in note for note in patched.notes)
        again = onetrainer.patch(ConfigFiles(path=CONFIG, texts=patched.texts), both if whole == 0.05 else both[1:])
        assert again.texts == patched.texts


@pytest.mark.parametrize(
    "values",
    [
        {**BASE, "text_encoder": EMPTIED, "text_encoder_2": EMPTIED},
        {**SD, "text_encoder": EMPTIED, "concepts": [concept("a", text=FULL)]},
    ],
    ids=["two encoders", "one encoder and the concepts"],
)
def test_several_dropouts_of_captions_become_that_of_the_concepts_alone(values: dict[str, Any]) -> None:
    config = files(values)
    patched = onetrainer.patch(config, [change("caption_dropout", 0.05)])
    assert read_again(config, patched).caption_dropout == 0.05
    assert any("text_encoder.dropout_probability is switched off" in note for note in patched.notes)
    encoders = [table for key, table in json.loads(patched.texts[CONFIG]).items() if key.startswith("text_encoder")]
    assert all(table.get("dropout_probability", 0) == 0 for table in encoders)


def test_cached_captions_get_variations_and_uncached_ones_need_none() -> None:
    patched = onetrainer.patch(files(BASE), [change("caption_token_dropout", 0.3)])
    assert [one["text_variations"] for one in json.loads(patched.texts[CONFIG])["concepts"]] == [4, 4, 1]
    assert "text_variations" in patched.notes[0]
    assert not onetrainer.patch(STYLES["nothing cached"], [change("caption_token_dropout", 0.3)]).notes
    assert not onetrainer.patch(STYLES["tags dropped"], [change("caption_token_dropout", 0.5)]).notes


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


def test_the_identity_ratio_is_met_exactly_with_as_many_pictures_per_epoch() -> None:
    patched = onetrainer.patch(files(BASE), [change("identity_ratio", 0.33)], pictures(20, 60))
    closeup, context, reg = (one["balancing"] for one in json.loads(patched.texts[CONFIG])["concepts"])
    assert 20 * closeup / (20 * closeup + 60 * context) == pytest.approx(0.33, abs=0.005)
    assert 20 * closeup + 60 * context == pytest.approx(80, abs=0.5) and reg == 1.0


def test_samples_are_balanced_as_samples() -> None:
    some = [concept("closeup", balancing=10.0, balancing_strategy="SAMPLES"),
            concept("context", balancing=90.0, balancing_strategy="SAMPLES")]  # fmt: skip
    patched = onetrainer.patch(files({**BASE, "concepts": some}), [change("identity_ratio", 0.33)], pictures(20, 60))
    assert [one["balancing"] for one in json.loads(patched.texts[CONFIG])["concepts"]] == pytest.approx([33, 67], abs=1)


OFF, ON = {"train": False}, {"train": True}


@pytest.mark.parametrize(
    ("model_type", "parts", "trained"),
    [
        ("STABLE_DIFFUSION_15", {"text_encoder": OFF, "text_encoder_2": ON}, False),
        ("STABLE_DIFFUSION_XL_10_BASE", {"text_encoder": OFF, "text_encoder_2": OFF}, False),
        ("STABLE_DIFFUSION_XL_10_BASE_INPAINTING", {"text_encoder": OFF, "text_encoder_2": ON}, True),
        ("STABLE_DIFFUSION_35", {"text_encoder_3": ON}, True),
        ("STABLE_DIFFUSION_35", {"text_encoder_3": OFF}, False),
        ("FLUX_DEV_1", {"text_encoder_3": ON}, False),
        ("HI_DREAM_FULL", {"text_encoder_3": OFF, "text_encoder_4": ON}, True),
        ("STABLE_CASCADE_1", {"text_encoder": ON}, True),
        ("Z_IMAGE", {"text_encoder": ON}, False),
        ("MODEL_OF_TOMORROW", {"text_encoder_3": ON}, None),
        ("MODEL_OF_TOMORROW", {"text_encoder_3": OFF, "text_encoder_4": OFF}, False),
    ],
)
def test_only_the_text_encoders_of_the_model_count(
    model_type: str, parts: dict[str, dict[str, bool]], trained: bool | None
) -> None:
    config = files(saved(model_type, **parts))
    assert onetrainer.read(config).train_text_encoder is trained


def test_a_text_encoder_that_the_config_leaves_out_may_be_trained() -> None:
    one = {key: value for key, value in BASE.items() if key != "text_encoder_2"}
    assert onetrainer.read(files(one)).train_text_encoder is None
    told = json.loads(onetrainer.patch(files(one), [change("train_text_encoder", False)]).texts[CONFIG])
    assert (told["text_encoder"]["train"], told["text_encoder_2"]["train"]) == (False, False)


def test_whether_a_model_trains_text_is_not_known_where_neither_it_nor_a_text_encoder_is_named() -> None:
    bare = {key: value for key, value in BASE.items() if key != "model_type" and not key.startswith("text_encoder")}
    assert onetrainer.read(files(bare)).train_text_encoder is None
    told = json.loads(onetrainer.patch(files(bare), [change("train_text_encoder", False)]).texts[CONFIG])
    assert told == {**bare, "text_encoder": {"train": False}}


def test_parts_of_other_models_are_left_alone() -> None:
    config = saved("STABLE_DIFFUSION_XL_10_BASE", text_encoder=ON, text_encoder_2=ON)
    told = json.loads(onetrainer.patch(files(config), [change("train_text_encoder", False)]).texts[CONFIG])
    assert told == {**config, **{name: {**config[name], **OFF} for name in ("text_encoder", "text_encoder_2")}}


def test_a_model_whose_text_encoder_no_lora_trains_is_told_so() -> None:
    patched = onetrainer.patch(files(saved("FLUX_2")), [change("train_text_encoder", True)])
    assert patched.texts == files(saved("FLUX_2")).texts
    assert patched.unsupported == ("train_text_encoder: OneTrainer trains none with a LoRA of FLUX_2.",)


@pytest.mark.parametrize(
    ("model_type", "part"),
    [
        ("STABLE_DIFFUSION_15_INPAINTING", "unet"),
        ("STABLE_DIFFUSION_21_BASE", "unet"),
        ("STABLE_DIFFUSION_XL_10_BASE", "unet"),
        ("WUERSTCHEN_2", "prior"),
        ("STABLE_CASCADE_1", "prior"),
        ("STABLE_DIFFUSION_3", "transformer"),
        ("FLUX_DEV_1", "transformer"),
        ("QWEN", "transformer"),
    ],
)
def test_the_learning_rate_is_that_of_the_part_that_draws(model_type: str, part: str) -> None:
    rates = {"unet": 1e-3, "prior": 2e-3, "transformer": 4e-3}
    config = saved(model_type, **{name: {"learning_rate": rate} for name, rate in rates.items()})
    assert onetrainer.read(files(config)).learning_rate == rates[part]
    told = json.loads(onetrainer.patch(files(config), [change("learning_rate", 5e-5)]).texts[CONFIG])
    assert told == {**config, part: {**config[part], "learning_rate": 5e-5}}
    del config[part]["learning_rate"]
    told = json.loads(onetrainer.patch(files(config), [change("learning_rate", 5e-5)]).texts[CONFIG])
    assert told == {**config, "learning_rate": 5e-5}


def test_a_learning_rate_reaches_whatever_draws_in_a_model_that_is_not_known() -> None:
    config = saved("MODEL_OF_TOMORROW", transformer={"learning_rate": 1e-3})
    assert onetrainer.read(files(config)).learning_rate is None
    told = json.loads(onetrainer.patch(files(config), [change("learning_rate", 5e-5)]).texts[CONFIG])
    assert told == {**config, "learning_rate": 5e-5, "transformer": {**config["transformer"], "learning_rate": 5e-5}}


@pytest.mark.parametrize(("field", "after"), [("negative_tokens", ("black_hair",)), ("seed", 7), ("steps", 100)])
def test_what_the_trainer_has_no_setting_for_is_said(field: str, after: Any) -> None:
    patched = onetrainer.patch(files(BASE), [change(field, after)])
    assert patched.texts == files(BASE).texts and len(patched.unsupported) == 1


def test_steps_become_epochs_where_the_pictures_are_known() -> None:
    patched = onetrainer.patch(files(BASE), [change("steps", 800)], pictures(20, 60))
    assert read_again(files(BASE), patched).epochs == 20


def test_moved_files_and_folders_are_named_where_they_go() -> None:
    moved = {
        CONFIG: Path("/new/config.json"),
        CONCEPTS: Path("/new/concepts.json"),
        Path("/data/context"): Path("/new/d"),
    }
    texts = onetrainer.relocated(STYLES["concepts apart"], moved)
    assert json.loads(texts[CONFIG])["concept_file_name"] == "/new/concepts.json"
    assert [one["path"] for one in json.loads(texts[CONCEPTS])] == ["/data/closeup", "/new/d", "/data/reg"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"concepts": 1}', '{"config": {}, "concepts": []}'])
def test_other_files_are_not_onetrainers(text: str) -> None:
    assert not onetrainer.recognises(CONFIG, text)


def test_the_new_lora_goes_where_it_is_told_and_nothing_else_changes() -> None:
    before = STYLES["concepts apart"]
    after = onetrainer.writing_to(before, Path("/new/output"))
    told = json.loads(after[CONFIG])
    assert Path(told["output_model_destination"]).parent == Path("/new/output")
    assert Path(told["output_model_destination"]).suffix == ".safetensors"
    assert told == json.loads(before.texts[CONFIG]) | {"output_model_destination": told["output_model_destination"]}


def test_a_new_training_does_not_go_on_from_the_backup_of_the_old_one() -> None:
    config = files({**BASE, "continue_last_backup": True})
    assert json.loads(onetrainer.writing_to(config, Path("/new"))[CONFIG])["continue_last_backup"] is False
    (note,) = onetrainer.patch(config, [change("rank", 48)]).notes
    assert "continue_last_backup is switched off" in note
    assert "continue_last_backup" not in onetrainer.writing_to(files(BASE), Path("/new"))[CONFIG]


@pytest.mark.parametrize("version", [None, 0, 2, 8])
def test_a_config_of_an_older_onetrainer_is_refused_with_what_to_do(version: int | None) -> None:
    """Its settings stand elsewhere (`unet_learning_rate`), and a value beside them would change nothing."""
    values = {key: value for key, value in BASE.items() if key != "__version"}
    config = files(values if version is None else {**values, "__version": version})
    for act in (onetrainer.read, lambda config: onetrainer.patch(config, [change("rank", 48)])):
        with pytest.raises(UsageError, match="older OneTrainer") as refused:
            act(config)
        assert "Open it in OneTrainer and save it" in str(refused.value.advice)


def test_a_table_that_an_older_config_lacks_is_not_made_by_halves() -> None:
    """OneTrainer's migration of version 9 looks for the whole of it."""
    old = files({**{key: value for key, value in SD.items() if key != "text_encoder"}, "__version": 9})
    patched = onetrainer.patch(old, [change("train_text_encoder", True)])
    assert patched.texts == old.texts and "open it in OneTrainer and save it" in patched.unsupported[0]
    new = files({**{key: value for key, value in SD.items() if key != "text_encoder"}, "__version": 11})
    assert read_again(new, onetrainer.patch(new, [change("train_text_encoder", True)])).train_text_encoder is True


def test_the_oldest_concepts_have_repeats() -> None:
    some = [{"path": f"/data/{name}", "repeats": count} for name, count in (("closeup", 3), ("context", 1))]
    config = files({**BASE, "concepts": some})
    patched = onetrainer.patch(config, [change("identity_ratio", 0.33)], pictures(20, 60))
    told = json.loads(patched.texts[CONFIG])["concepts"]
    closeup, context = (one["repeats"] for one in told)
    assert not any("balancing" in one for one in told)
    assert 20 * closeup / (20 * closeup + 60 * context) == pytest.approx(0.33, abs=0.01)
    assert 20 * closeup + 60 * context == pytest.approx(120, abs=1)


def test_whether_pictures_are_mirrored_is_not_known_where_a_concept_does_not_say() -> None:
    assert onetrainer.read(files(BASE)).flip_augmentation is None
    said = files({**BASE, "concepts": [concept("a", image={"enable_random_flip": True})]})
    assert onetrainer.read(said).flip_augmentation is True


def test_captions_that_a_newer_config_does_not_cache_need_no_variations() -> None:
    patched = onetrainer.patch(files({**BASE, "text_caching": False}), [change("caption_token_dropout", 0.3)])
    assert json.loads(patched.texts[CONFIG])["concepts"][0]["text_variations"] == 1 and not patched.notes
