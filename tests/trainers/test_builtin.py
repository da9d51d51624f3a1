"""The reference trainer's config: hands off first, then what a patch changes and what it refuses."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_doctor.errors import UsageError
from lora_doctor.trainers import builtin
from lora_doctor.trainers.builtin import FIELDS, recognises
from lora_doctor.types import Change, ConfigFiles, TrainingSettings

FILE = Path("training.toml")


def read(text: str) -> TrainingSettings:
    return builtin.read(ConfigFiles(path=FILE, texts={FILE: text}))


def patch(text: str, changes: list[Change]) -> str:
    return builtin.patch(ConfigFiles(path=FILE, texts={FILE: text}), changes).texts[FILE]


CONFIG = """\
# Yuki, third try
trainer = "lora-doctor"
base = "miniature"
dataset = "dataset"   # beside this file
trigger = "yuki_nk"

rank = 4              # small on purpose
alpha = 4
steps = 400
learning_rate = 5e-4
identity_ratio = 0.95
negative_tokens = [
    "black_hair",     # never
]
own_note = "kept"

[mine]
rank = "not a setting"
"""


def change(field: str, after: Any) -> Change:
    return Change(field=field, before=None, after=after, rule="a-rule", because="")


# ---------------------------------------------------------------- hands off


@pytest.mark.parametrize(
    "text",
    [
        CONFIG,
        CONFIG.replace("\n", "\r\n"),
        "",
        "# only a comment",
        'trainer="lora-doctor"',
        "rank=4\n\n\n",
        "[mine]\na=1",
    ],
    ids=["full", "windows", "empty", "comment", "no newline", "blank lines", "table"],
)
def test_no_changes_change_no_byte(text: str) -> None:
    assert patch(text, []) == text


@pytest.mark.parametrize(("field", "after"), [("rank", 4), ("alpha", 4.0), ("negative_tokens", ("black_hair",))])
def test_a_change_to_what_is_there_already_changes_no_byte(field: str, after: Any) -> None:
    assert patch(CONFIG, [change(field, after)]) == CONFIG


def test_one_change_changes_one_line() -> None:
    patched = patch(CONFIG, [change("rank", 48)])
    assert patched == CONFIG.replace("rank = 4              # small", "rank = 48              # small")


def test_a_table_of_the_users_is_not_touched() -> None:
    patched = tomllib.loads(patch(CONFIG, [change("rank", 48), change("caption_token_dropout", 0.3)]))
    assert patched["mine"] == {"rank": "not a setting"} and patched["caption_token_dropout"] == 0.3


# ---------------------------------------------------------------- changes


def test_an_integer_stays_an_integer_and_a_list_becomes_the_new_list() -> None:
    patched = patch(CONFIG, [change("alpha", 48.0), change("negative_tokens", ("black_hair", "red_hair"))])
    assert "alpha = 48\n" in patched
    assert read(patched).negative_tokens == ("black_hair", "red_hair")


def test_a_windows_file_keeps_its_line_ends() -> None:
    patched = patch(CONFIG.replace("\n", "\r\n"), [change("caption_token_dropout", 0.3), change("rank", 48)])
    assert patched.count("\n") == patched.count("\r\n") and read(patched).caption_token_dropout == 0.3


SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        **{name: st.integers(1, 2**31) for name in ("rank", "steps", "batch_size", "seed", "resolution")},
        **{name: st.floats(0, 1e6) for name in ("alpha", "epochs", "learning_rate", "identity_ratio")},
        **{name: st.floats(0, 1) for name in ("caption_token_dropout", "caption_dropout")},
        "train_text_encoder": st.booleans(),
        "flip_augmentation": st.booleans(),
        "negative_tokens": st.lists(st.text(max_size=8), max_size=3).map(tuple),
    },
)
TEXTS = st.sampled_from(
    [CONFIG, CONFIG.replace("\n", "\r\n"), "", "# note", "rank = 8", "[mine]\na = 1", "alpha = 2.5 # c\n"]
)


@settings(deadline=None)
@given(TEXTS, SETTINGS)
def test_reading_a_patched_config_gives_what_was_asked_and_patching_twice_is_patching_once(
    text: str, wanted: dict[str, Any]
) -> None:
    changes = [change(name, value) for name, value in wanted.items()]
    patched = patch(text, changes)
    before, after = read(text), read(patched)
    for name in FIELDS:
        assert getattr(after, name) == wanted.get(name, getattr(before, name))
    assert patch(patched, changes) == patched
    unknown = {k: v for k, v in tomllib.loads(text).items() if k not in FIELDS}
    assert {k: v for k, v in tomllib.loads(patched).items() if k not in FIELDS} == unknown


@settings(deadline=None)
@given(SETTINGS)
def test_every_comment_survives(wanted: dict[str, Any]) -> None:
    wanted.pop("negative_tokens", None)
    patched = patch(CONFIG, [change(name, value) for name, value in wanted.items()])
    for comment in ("# Yuki, third try", "# beside this file", "# small on purpose", "# never"):
        assert comment in patched


# ---------------------------------------------------------------- reading


def test_the_stated_settings_are_read_and_the_others_are_none() -> None:
    assert read(CONFIG) == TrainingSettings(
        trainer="lora-doctor",
        rank=4,
        alpha=4.0,
        steps=400,
        learning_rate=5e-4,
        identity_ratio=0.95,
        negative_tokens=("black_hair",),
    )


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("training.toml", CONFIG, True),
        ("training.json", CONFIG, False),
        ("training.toml", 'trainer = "kohya"', False),
        ("training.toml", "rank = 4", False),
        ("training.toml", "not toml", False),
        ("training.toml", "", False),
    ],
)
def test_only_our_own_config_is_recognised(name: str, text: str, expected: bool) -> None:
    assert recognises(Path(name), text) is expected


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ('rank = "four"', "rank: a whole number is wanted"),
        ("rank = 4.5", "rank: a whole number is wanted"),
        ("rank = true", "rank: a whole number is wanted"),
        ("learning_rate = nan", "learning_rate: a number is wanted"),
        ("train_text_encoder = 1", "train_text_encoder: true or false is wanted"),
        ('negative_tokens = "black_hair"', "negative_tokens: a list of tokens is wanted"),
        ("rank = ", "the training config is not TOML"),
    ],
)
def test_a_setting_of_the_wrong_type_is_refused(line: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        read(line)


def test_a_setting_the_trainer_does_not_have_is_refused_with_the_known_ones() -> None:
    for name in ("network_dim", "trainer", "base"):
        with pytest.raises(UsageError, match=f"'{name}' is not a setting.*rank"):
            patch(CONFIG, [change(name, 4)])


def test_a_value_that_does_not_fit_is_refused() -> None:
    for name, value in (("rank", "many"), ("rank", None), ("alpha", float("inf")), ("negative_tokens", ("a", 1))):
        with pytest.raises(UsageError, match=name):
            patch(CONFIG, [change(name, value)])


def test_a_table_where_a_setting_belongs_is_not_overwritten() -> None:
    with pytest.raises(UsageError, match="rank: a whole number is wanted"):
        patch("[rank]\nmine = 1\n", [change("rank", 48)])


# ---------------------------------------------------------------- in another folder


def test_relative_paths_hold_in_the_new_folder(tmp_path: Path) -> None:
    (tmp_path / "a" / "dataset").mkdir(parents=True)
    (tmp_path / "b" / "c").mkdir(parents=True)
    text = 'rank = 4\ndataset = "dataset"  # mine\nbase = "miniature"\n'
    old, new, dataset = tmp_path / "a" / FILE, tmp_path / "b" / "c" / FILE, tmp_path / "a" / "dataset"
    texts = builtin.relocated(ConfigFiles(path=old, texts={old: text}), {old: new, dataset: dataset})
    assert texts == {old: 'rank = 4\ndataset = "../../a/dataset"  # mine\nbase = "miniature"\n'}


def test_a_mark_at_the_beginning_of_the_file_stays_and_does_not_hide_the_trainer() -> None:
    """Windows' editor writes one."""
    path, text = Path("/cfg/training.toml"), '\ufefftrainer = "lora-doctor"\nrank = 8\n'
    assert builtin.recognises(path, text)
    patched = builtin.patch(ConfigFiles(path=path, texts={path: text}), [change("rank", 16)])
    assert patched.texts[path] == text.replace("8", "16")
