"""The JSON of a header is split token by token, as strictly as the library parses it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_doctor.header_json import Limits, Unsound, entry_fields, nests_deeper, shown, split_header

ENTRY = '{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'


def split(text: str, limits: Limits | None = None) -> tuple[dict[str, str], dict[str, str]]:
    return split_header(text.encode("utf-8", "surrogatepass"), limits or Limits())


def test_metadata_and_entries_come_out_apart_in_their_order() -> None:
    metadata, entries = split(f'{{"b":{ENTRY},"__metadata__":{{"y":"1","x":"2"}},"a":{ENTRY}}}')
    assert list(metadata.items()) == [("y", "1"), ("x", "2")]
    assert list(entries.items()) == [("b", ENTRY), ("a", ENTRY)]


def test_white_space_is_allowed_wherever_json_allows_it() -> None:
    loose = json.dumps({"__metadata__": {"k": "v"}, "a": json.loads(ENTRY)}, indent="\t").replace(":", " \r\n:") + " \n"
    metadata, entries = split(loose)
    assert metadata == {"k": "v"}
    assert entry_fields("a", entries["a"]) == ("F32", [1], [0, 4])


NAMES = st.text(min_size=1, max_size=20).filter(lambda name: name.isprintable() and name != "__metadata__")
UNICODE = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=30)


@given(st.dictionaries(UNICODE, UNICODE), st.lists(NAMES, unique=True, min_size=1, max_size=5), st.booleans())
def test_what_python_writes_is_split_as_python_reads_it(values: dict[str, str], names: list[str], plain: bool) -> None:
    header = {"__metadata__": values, **{name: json.loads(ENTRY) for name in names}}
    metadata, entries = split(json.dumps(header, ensure_ascii=plain))
    assert metadata == values
    assert list(entries) == names


@given(st.binary(max_size=60))
def test_any_bytes_are_split_or_refused(raw: bytes) -> None:
    try:
        _, entries = split_header(b"{" + raw, Limits())
    except Unsound as error:
        assert str(error).isprintable()
    else:
        assert entries


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("{,}", 1),
        ('{"a"}', 4),
        ('{"a" 1}', 4),
        ('{"a":%s "b":1}', 53),
        ('{"a":%s', 53),
        ('{"a":%s}}', 54),
        ("{'a':1}", 1),
    ],
)
def test_what_is_not_json_is_told_by_its_place(text: str, at: int) -> None:
    with pytest.raises(Unsound, match=f"not JSON at character {at}$"):
        split(text % ENTRY if "%s" in text else text)


def test_the_key_of_a_metadata_value_that_is_no_string_is_named() -> None:
    for value in ("1", "null", "true", "[]", "{}"):
        with pytest.raises(Unsound, match="metadata 'ss_tag' is not a string"):
            split(f'{{"__metadata__":{{"k":"v","ss_tag":{value}}},"a":{ENTRY}}}')


def test_limits_can_be_raised() -> None:
    header = json.dumps({"__metadata__": {"k": "x" * 20}, **{name: json.loads(ENTRY) for name in "abc"}})
    with pytest.raises(Unsound, match="has 20 bytes, more than the 10 allowed"):
        split(header, Limits(metadata_value=10))
    with pytest.raises(Unsound, match="more than the 2 tensors allowed"):
        split(header, Limits(tensors=2))
    assert len(split(header, Limits(metadata_value=20, tensors=3))[1]) == 3


@pytest.mark.parametrize(
    "entry",
    [
        "[]",
        "{}",
        '{"dtype":"F32","shape":[1],"data_offsets":[0,4],"more":1}',
        '{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}',
        '{"dtype":"F32","shape":[1],"data_offsets":[0,4',
        '{"dtype":"F32","shape":' + "[" * 4000 + "}",
    ],
)
def test_an_entry_has_its_three_fields_once(entry: str) -> None:
    with pytest.raises(Unsound, match="the entry of tensor 'a'"):
        entry_fields("a", entry)


@pytest.mark.parametrize("number", ["-1", "-0", "1e-3"])
def test_a_minus_is_refused(number: str) -> None:
    """Python reads -0 as the whole number 0; the library as a fraction, which it refuses."""
    with pytest.raises(Unsound, match="negative"):
        entry_fields("a", ENTRY.replace("[1]", f"[{number}]"))


def nested(depth: int, kind: str = "[]") -> str:
    return kind[0] * depth + kind[1] * depth


@pytest.mark.parametrize("depth", [1, 5, 32, 33, 200])
@pytest.mark.parametrize("kind", ["[]", "{}"])
def test_depth_is_counted_exactly(depth: int, kind: str) -> None:
    assert nests_deeper(nested(depth, kind), 32) == (depth > 32)
    assert nests_deeper(f"[{nested(depth, kind)}]", 32) == (depth > 31)


def test_what_stands_beside_each_other_or_in_strings_does_not_nest() -> None:
    assert not nests_deeper("[" + "[]," * 1000 + "{}]", 32)
    assert not nests_deeper(json.dumps({"tags": ["[" * 1000, '"' + "{" * 100, "\\"] * 3}), 32)


def test_brackets_left_open_count() -> None:
    assert nests_deeper("[" * 100_000, 32)
    assert not nests_deeper("[smile] :[ " * 30, 32)


JSON = st.recursive(
    st.none() | st.text(max_size=5), lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner)
)


@given(JSON, st.integers(0, 4))
def test_depth_is_that_of_the_parsed_value(value: object, most: int) -> None:
    def depth(part: object) -> int:
        if not isinstance(part, (list, dict)):
            return 0
        inner = part.values() if isinstance(part, dict) else part
        return 1 + max(map(depth, inner), default=0)

    assert nests_deeper(json.dumps(value, ensure_ascii=False), most) == (depth(value) > most)


def test_names_are_shown_short_and_printable() -> None:
    assert shown("down_blocks") == "'down_blocks'"
    assert shown("\x1b[31mé") == "'\\x1b[31m\\xe9'"
    assert len(shown("x" * 999)) == 80
