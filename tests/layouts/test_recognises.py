"""Which plug-in reads what, and that none is ever thrown off."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

import pytest
import tomlkit
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from lora_doctor.dataset_layout import layout_of
from lora_doctor.errors import InputRefused, UsageError
from lora_doctor.plugins import find
from lora_doctor.types import Layout
from tests.layouts.lay_out import NAMES, WRITTEN, folders

PLUGINS = find("layouts", needs="recognises")
ENDINGS = (".toml", ".json", ".yaml", ".yml", ".jsonc", ".sh", ".bat", ".txt", "")
OWNERS = {
    "kohya": "kohya", "musubi": "musubi", "ai": "ai_toolkit", "onetrainer": "onetrainer", "simpletuner": "simpletuner",
    "multidatabackend": "simpletuner", "diffusers": "diffusers", "builtin": "builtin",
}  # fmt: skip
KEYS = st.sampled_from(
    ["datasets", "subsets", "image_dir", "image_directory", "concepts", "concept_file_name", "path", "job", "config",
     "process", "data_backend_config", "model_family", "trainer", "train_data_dir", "dataset_config", "general", "id",
     "instance_data_dir", "balancing", "text", "folder_path"]
)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


def asked(path: Path, text: str | None) -> list[str]:
    return [name for name, module in PLUGINS.items() if module.recognises(path, text)]


@pytest.mark.parametrize("name", NAMES)
def test_exactly_one_recognises_each_config(name: str) -> None:
    owner = OWNERS[name.partition(".")[0].partition("_")[0]]
    assert asked(Path(name), (WRITTEN / name).read_text(encoding="utf-8")) == [owner]


def test_only_folder_recognises_a_folder() -> None:
    assert asked(Path("dataset"), None) == ["folder"]
    assert asked(Path("dataset.toml"), None) == ["folder"]


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("dataset.toml", '[[datasets]]\n[[datasets.subsets]]\nimage_dir = "C:\\Users\\yuki"\n', "line 3"),
        ("config.json", '{"concepts": [],}', "line 1"),
        ("job.yaml", "job: extension\nconfig: [", "line 2"),
    ],
)
def test_a_broken_config_is_told_as_that(tmp_path: Path, name: str, text: str, why: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=f"cannot be read: .*{why}"):
        layout_of(tmp_path / name)


@given(st.sampled_from(ENDINGS), st.text())
def test_no_text_makes_a_plugin_raise(ending: str, text: str) -> None:
    assert len(asked(Path(f"config{ending}"), text)) <= 1


@given(VALUES)
def test_no_document_makes_a_plugin_raise(value: object) -> None:
    for ending in (".json", ".yaml"):
        asked(Path(f"config{ending}"), json.dumps(value))


@given(st.sampled_from(ENDINGS), st.sampled_from(NAMES), st.data())
def test_no_broken_config_makes_a_plugin_raise(ending: str, name: str, data: st.DataObject) -> None:
    text = (WRITTEN / name).read_text(encoding="utf-8")
    at = data.draw(st.integers(0, len(text)))
    asked(Path(f"config{ending}"), text[:at] + data.draw(st.text(max_size=4)) + text[at + 1 :])


def values(none: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Values of every kind and shape; no absolute path, so that nothing but the test's folder is ever walked."""
    words = st.text(st.characters(exclude_characters="/\\~", exclude_categories=["Cs"]), max_size=8)
    places = st.sampled_from([".", "..", "nowhere", "context", "closeup/01.png", "img/10_ohwx person"])
    numbers = st.integers(0, 9) | st.integers(-(2**63), 2**63 - 1) | st.floats(0, 1) | st.floats()
    plain = none | st.booleans() | numbers | words | places
    return plain | st.recursive(
        plain,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
        max_leaves=6,
    )


def places_in(document: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value of a document."""
    for key, value in document.items() if isinstance(document, dict) else enumerate(document):
        yield (*at, key)
        if isinstance(value, (dict, list)):
            yield from places_in(value, (*at, key))


def changed(name: str, data: st.DataObject) -> str:
    """The text of a written config with one value replaced."""
    text = (WRITTEN / name).read_text(encoding="utf-8")
    if name.endswith(".sh"):
        found = data.draw(st.sampled_from(list(re.finditer(r"(?<=[= ])[^-=\s\\][^=\s]*(?=\s|$)", text))))
        value = data.draw(values(st.none()).map(lambda value: value if isinstance(value, str) else json.dumps(value)))
        return text[: found.start()] + shlex.quote(value) + text[found.end() :]
    toml = name.endswith(".toml")
    document = tomllib.loads(text) if toml else YAML(typ="safe", pure=True).load(text)  # JSON is YAML
    *way, last = data.draw(st.sampled_from(list(places_in(document))))
    reduce(getitem, way, document)[last] = data.draw(values(st.nothing() if toml else st.none()))
    return tomlkit.dumps(document) if toml else json.dumps(document)


@pytest.mark.parametrize("name", NAMES)
def test_a_config_with_one_value_replaced_is_read_or_refused(name: str, tmp_path: Path) -> None:
    root = tmp_path / "a"
    folders(root, "closeup", "context", "reg", "dataset", "merged", "img/10_ohwx person")
    (root / "prompts.txt").write_text("ohwx person", encoding="utf-8")
    (root / "merged" / "metadata.jsonl").write_text('{"file_name": "01.png", "image": "01.png", "text": "ohwx"}')
    (root / "config").mkdir()
    for other in ("config/multidatabackend.json", "multidatabackend.json"):
        (root / other).write_bytes((WRITTEN / "multidatabackend.json").read_bytes())
    path, recognised, read = root / name, [0, 0], 0

    @given(st.data())
    def read_or_refused(data: st.DataObject) -> None:
        nonlocal read
        text = changed(name, data)
        path.write_text(text, encoding="utf-8")
        owners = asked(path, text)
        recognised[bool(owners)] += 1
        for owner in owners:
            try:
                assert isinstance(PLUGINS[owner].read(path, text), Layout)
                read += 1
            except (UsageError, InputRefused) as error:
                assert "\n" not in str(error) and str(error)

    read_or_refused()
    assert recognised[True] >= recognised[False], "most values of a config are not what it is recognised by"
    assert read, "some values fit"


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"a":' * 50_000,
        "a: " * 1000,
        "&a [*a]",
        "- " * 50_000,
        "job: [" * 10_000 + "process",
        "9" * 10_000,
        f"[{'.'.join('a' * 500_000)}]",
        "\x00",
        "\ud800",
        "job: x\nconfig: {process: !!python/object:os.system ls}",
    ],
)
@pytest.mark.parametrize("ending", ENDINGS)
def test_hostile_text_is_nobodys(ending: str, text: str) -> None:
    assert asked(Path(f"config{ending}"), text) == []


def test_a_bomb_of_merged_tables_is_refused_at_once(tmp_path: Path) -> None:
    lines = ["a0: &a0 {x0: 1, x1: 1, x2: 1, x3: 1, x4: 1, x5: 1, x6: 1, x7: 1, x8: 1}"]
    lines += [f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}" for i in range(1, 12)]
    path = tmp_path / "bomb.yaml"
    path.write_text("\n".join([*lines, "job: x", "config: {process: []}"]), encoding="utf-8")
    with pytest.raises(UsageError):
        layout_of(path)
