"""In every language an edit says what was asked, says nothing else otherwise, and leaves the rest of the text alone."""

from __future__ import annotations

import io
import json
import tomllib
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import tomlkit
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from lora_doctor.edits import json_edit, toml_edit, yaml_edit
from lora_doctor.edits.edit import REMOVED, Keys, same, value_at
from lora_doctor.errors import UsageError
from lora_doctor.trainer_yaml import parse_trainer_yaml

Edited = Callable[[str, Mapping[Keys, Any]], str]
NAMES = st.from_regex(r"[a-z][a-z_]{0,8}", fullmatch=True).filter(lambda n: n not in ("y", "n", "no", "on", "off"))
SCALARS = st.one_of(
    st.booleans(),
    st.integers(-(2**40), 2**40),
    st.floats(1e-8, 1e8) | st.just(0.0),
    st.text(st.characters(codec="utf-8", exclude_categories=("C", "Zs", "Zl", "Zp")), max_size=8)
    | st.just("with space: and, 'marks' # \"too\""),
)
LISTS = st.lists(st.integers(0, 99), max_size=3)
TABLES = st.recursive(
    st.dictionaries(NAMES, SCALARS | LISTS, min_size=1, max_size=4),
    lambda inner: st.dictionaries(
        NAMES, SCALARS | LISTS | inner | st.lists(inner, min_size=1, max_size=2), min_size=1, max_size=4
    ),
    max_leaves=8,
)


def readable(text: str) -> str:
    """The text, where ruamel.yaml reads what it wrote, and a trainer does: `{a: :0}` and `{a: 0?}` they do not."""
    try:
        YAML(typ="safe", pure=True).load(text)
        parse_trainer_yaml(text)
    except (YAMLError, ValueError):
        reject()
    return text


def yaml_text(value: Any) -> str:
    out = io.StringIO()
    YAML(typ="safe", pure=True).dump(value, out)
    return readable(out.getvalue())


def as_block(value: Any) -> str:
    yaml, out = YAML(), io.StringIO()
    yaml.default_flow_style = False
    yaml.dump(value, out)
    return readable("# what the owner says of it\n" + out.getvalue())


LANGUAGES: dict[str, tuple[Edited, Callable[[Any], str], Callable[[str], Any]]] = {
    "json": (json_edit.edited, lambda v: json.dumps(v, indent=2, ensure_ascii=False), json.loads),
    "json in a line": (json_edit.edited, json.dumps, json.loads),
    "toml": (toml_edit.edited, tomlkit.dumps, tomllib.loads),
    "yaml": (yaml_edit.edited, as_block, parse_trainer_yaml),
    "yaml in a line": (yaml_edit.edited, yaml_text, parse_trainer_yaml),
}


def leaves(value: Any, keys: Keys = ()) -> list[Keys]:
    """The keys of everything that is no table."""
    if isinstance(value, dict):
        return [leaf for key, one in value.items() for leaf in leaves(one, (*keys, key))]
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return [leaf for i, one in enumerate(value) for leaf in leaves(one, (*keys, i))]
    return [keys]


@pytest.mark.parametrize("language", LANGUAGES)
@settings(max_examples=150, deadline=None)
@given(TABLES, SCALARS | LISTS, st.data())
def test_a_value_is_replaced_and_nothing_else(language: str, table: dict[str, Any], new: Any, data: Any) -> None:
    edited, write, read = LANGUAGES[language]
    text, keys = write(table), data.draw(st.sampled_from(leaves(table)))
    after = edited(text, {keys: new})
    assert same(value_at(read(after), keys), new)
    others = [leaf for leaf in leaves(table) if leaf != keys]
    assert all(same(value_at(read(after), leaf), value_at(read(text), leaf)) for leaf in others)
    assert edited(after, {keys: new}) == after
    assert same(read(edited(after, {keys: value_at(table, keys)})), read(text))


@pytest.mark.parametrize("language", LANGUAGES)
@settings(max_examples=150, deadline=None)
@given(TABLES, SCALARS)
def test_an_entry_is_added_and_taken_out_again(language: str, table: dict[str, Any], new: Any) -> None:
    edited, write, read = LANGUAGES[language]
    text = write(table)
    added = edited(text, {("a_new_one",): new})
    assert same(read(added), {**read(text), "a_new_one": new})
    assert set(text.split()) <= set(added.replace(",", " , ").split()) | set(added.split()) or language != "yaml"
    assert edited(text, {("a_new_one",): REMOVED}) == text


@pytest.mark.parametrize("language", ["json", "json in a line", "toml", "yaml"])
@settings(max_examples=100, deadline=None)
@given(TABLES, st.data())
def test_an_entry_is_removed(language: str, table: dict[str, Any], data: Any) -> None:
    edited, write, read = LANGUAGES[language]
    table = {"a_first_one": 1, **table}
    text, name = write(table), data.draw(st.sampled_from(sorted(table)))
    if isinstance(table[name], (dict, list)):
        name = "a_first_one"
    assert same(read(edited(text, {(name,): REMOVED})), {k: v for k, v in read(text).items() if k != name})


@pytest.mark.parametrize("language", LANGUAGES)
@given(TABLES)
@settings(max_examples=100, deadline=None)
def test_what_is_so_already_leaves_every_byte(language: str, table: dict[str, Any]) -> None:
    edited, write, read = LANGUAGES[language]
    text = write(table)
    assert edited(text, {keys: value_at(read(text), keys) for keys in leaves(table)}) == text


def test_json_keeps_its_own_manner() -> None:
    text = '{\r\n\t"a": 1.0,\r\n\t"b": {"c": [1, 2]}\r\n}\r\n'
    assert json_edit.edited(text, {("a",): 2, ("b", "d"): True, ("b", "e", "f"): "x"}) == (
        '{\r\n\t"a": 2.0,\r\n\t"b": {"c": [1, 2], "d": true, "e": {"f": "x"}}\r\n}\r\n'
    )
    assert json_edit.edited(text, {("g",): None}).endswith('},\r\n\t"g": null\r\n}\r\n')


def test_of_a_json_name_that_comes_twice_the_last_counts() -> None:
    assert json_edit.edited('{"a": 1, "a": 2}', {("a",): 3}) == '{"a": 1, "a": 3}'


YAML_TEXT = """\
job: extension   # what it is
config:
  name: 'mine'
  process:
    - type: "sd_trainer"
      # the network
      network:
        linear: 16   # small
      datasets:
        - folder_path: "/data/closeup"
          num_repeats: 3
        - folder_path: "/data/context"
      train: {lr: 1e-4, steps: 2000}
"""


def test_yaml_keeps_comments_quotes_and_indents() -> None:
    process: Keys = ("config", "process", 0)
    after = yaml_edit.edited(
        YAML_TEXT,
        {
            (*process, "network", "linear"): 48,
            (*process, "network", "linear_alpha"): 48,
            (*process, "datasets", 1, "num_repeats"): 2,
            (*process, "train", "lr"): 0.00005,
            (*process, "train", "batch_size"): 2,
            ("config", "name"): "it's mine",
        },
    )
    assert after == YAML_TEXT.replace("16   # small", "48   # small\n        linear_alpha: 48").replace(
        '"/data/context"\n', '"/data/context"\n          num_repeats: 2\n'
    ).replace("{lr: 1e-4, steps: 2000}", "{lr: 0.00005, steps: 2000, batch_size: 2}").replace("'mine'", "'it''s mine'")


@pytest.mark.parametrize(
    ("text", "keys", "new", "after"),
    [
        ("a: &x 0.001  # all\nb: *x  # mine\n", ("b",), 0.5, "a: &x 0.001  # all\nb: 0.5  # mine\n"),
        ("a: &x 0.001\nb: *x\nc: [*x, 2]\n", ("a",), 0.5, "a: 0.5\nb: 0.001\nc: [0.001, 2]\n"),
        ("a: &x [1, 2]\nb:\n- c: *x\n- c: *x\n", ("b", 0, "c"), [3], "a: &x [1, 2]\nb:\n- c: [3]\n- c: *x\n"),
        ("a: &x {r: 1}\nb: *x\n", ("b", "r"), 2, "a: &x {r: 1}\nb: {<<: *x, r: 2}\n"),
        ("a: &x\n  r: 1\n  s: 4\nb: *x\n", ("b", "r"), 2, "a: &x\n  r: 1\n  s: 4\nb: {<<: *x, r: 2}\n"),
        ("a: &x\n  r: 1\nb:\n  <<: *x\n  s: 3\n", ("b", "r"), 2, "a: &x\n  r: 1\nb:\n  <<: *x\n  s: 3\n  r: 2\n"),
        ("a: &x\n  r: 1\nb:\n  <<: *x\n  s: 3\n", ("b", "s"), 2, "a: &x\n  r: 1\nb:\n  <<: *x\n  s: 2\n"),
        ("x: &x 1\na: {r: *x}\nb: &y 2\nc: *y\n", ("b",), 5, "x: &x 1\na: {r: *x}\nb: 5\nc: 2\n"),
    ],
)
def test_a_value_that_aliases_repeat_is_changed_in_its_own_place_alone(
    text: str, keys: Keys, new: Any, after: str
) -> None:
    assert yaml_edit.edited(text, {keys: new}) == after
    assert yaml_edit.edited(after, {keys: new}) == after


@pytest.mark.parametrize(
    ("text", "keys", "new"),
    [
        ("a: &x\n  r: 1\nb:\n  <<: *x\n", ("a", "r"), 2),
        ("a: &x {r: {s: 1}}\nb: *x\n", ("b", "r", "s"), 2),
        ("a: &x {r: 1}\nb: *x\n", ("b",), REMOVED),
        ("a: &x {r: 1}\nb: *x\n", ("a", "r"), 2),
        ("a: &x [1, 2]\nb: *x\n", ("b", 0), 2),
    ],
)
def test_what_cannot_be_parted_from_its_aliases_is_left_to_its_owner(text: str, keys: Keys, new: Any) -> None:
    with pytest.raises(UsageError, match=r"without changing something else|that other places have too"):
        yaml_edit.edited(text, {keys: new})


ALIASED = st.dictionaries(NAMES, st.integers(0, 9), min_size=2, max_size=5)


@given(ALIASED, st.data())
def test_one_of_several_places_that_share_a_number_is_changed_alone(table: dict[str, int], data: st.DataObject) -> None:
    names = list(table)
    owner, changed = names[0], data.draw(st.sampled_from(names))
    text = f"{owner}: &one {table[owner]}\n" + "".join(f"{name}: *one\n" for name in names[1:])
    after = yaml_edit.loaded(yaml_edit.edited(text, {(changed,): 77}))
    assert after == {name: 77 if name == changed else table[owner] for name in names}


def test_aliases_of_aliases_are_refused_in_time() -> None:
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 8)}]" for i in range(1, 12)]
    with pytest.raises(UsageError, match="more than"):
        yaml_edit.edited("\n".join([*lines, "x: 1\n"]), {("x",): 2})


@pytest.mark.parametrize(
    ("keys", "new", "after"),
    [
        (("a", "z"), 1, "a:\n  b: 1\n  c:   # none\n  z: 1\n\n# of d\nd:\n- e:\n- f: 2\n"),
        (("a", "c"), 5, "a:\n  b: 1\n  c: 5   # none\n\n# of d\nd:\n- e:\n- f: 2\n"),
        (("a", "c"), REMOVED, "a:\n  b: 1\n\n# of d\nd:\n- e:\n- f: 2\n"),
        (("d", 0, "e"), "x", "a:\n  b: 1\n  c:   # none\n\n# of d\nd:\n- e: x\n- f: 2\n"),
        (("d", 0, "g"), True, "a:\n  b: 1\n  c:   # none\n\n# of d\nd:\n- e:\n  g: true\n- f: 2\n"),
    ],
)
def test_yaml_names_with_nothing_behind_them_are_written_to_and_stepped_over(keys: Keys, new: Any, after: str) -> None:
    text = "a:\n  b: 1\n  c:   # none\n\n# of d\nd:\n- e:\n- f: 2\n"
    assert yaml_edit.edited(text, {keys: new}) == after
    windows = text.replace("\n", "\r\n")
    assert yaml_edit.edited(windows, {keys: new}) == after.replace("\n", "\r\n")


def test_a_text_that_runs_over_lines_is_left_to_its_owner() -> None:
    with pytest.raises(UsageError, match="several lines"):
        yaml_edit.edited("a: |\n  one\n  two\n", {("a",): "x"})


TOML_TEXT = """\
# mine
[general]
shuffle_caption = true   # always
[[datasets]]
resolution = 1024

  [[datasets.subsets]]
  image_dir = "/data/a"
  num_repeats = 3

  [[datasets.subsets]]
  image_dir = "/data/b"   # the rest
"""


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_a_new_toml_entry_stands_below_the_last_value_and_not_below_the_next_tables_heading(ends: str) -> None:
    text = """a = 1

# ---- first ----
[first]
b = [
  2,
]  # two

# ---- lists ----
[[lists]]
\tc = 3
\t# of the next
[[lists]]
[empty]
""".replace("\n", ends)
    asked = {("z",): "x", ("first", "y"): 0.5, ("lists", 0, "x"): True, ("lists", 1, "w"): 1, ("empty", "v"): 2}
    after = toml_edit.edited(text, asked)
    assert (
        after
        == """a = 1
z = "x"

# ---- first ----
[first]
b = [
  2,
]  # two
y = 0.5

# ---- lists ----
[[lists]]
\tc = 3
\tx = true
\t# of the next
[[lists]]
w = 1
[empty]
v = 2
""".replace("\n", ends)
    )
    assert toml_edit.edited("a = 1", {("b",): 2, ("c",): 3}) == "a = 1\nb = 2\nc = 3"


def test_toml_keeps_comments_and_finds_tables_in_lists() -> None:
    after = toml_edit.edited(
        TOML_TEXT, {("general", "shuffle_caption"): False, ("datasets", 0, "subsets", 1, "num_repeats"): 2}
    )
    assert "shuffle_caption = false   # always" in after and "# mine" in after and "# the rest" in after
    assert tomllib.loads(after)["datasets"][0]["subsets"][1] == {"image_dir": "/data/b", "num_repeats": 2}


@pytest.mark.parametrize(
    ("edited", "text"),
    [(json_edit.edited, "{"), (toml_edit.edited, "a = "), (yaml_edit.edited, "a: [1"), (json_edit.edited, "[1]")],
)
def test_what_cannot_be_edited_is_refused(edited: Edited, text: str) -> None:
    with pytest.raises(UsageError):
        edited(text, {("a",): 1})


@pytest.mark.parametrize(
    ("edited", "text"), [(json_edit.edited, '{"a": 3}'), (toml_edit.edited, "a = 3"), (yaml_edit.edited, "a: 3\n")]
)
def test_what_stands_in_the_place_of_a_table_is_told_as_that(edited: Edited, text: str) -> None:
    with pytest.raises(UsageError, match=r"a\.b cannot be set: a is no table"):
        edited(text, {("a", "b"): 1})
