"""Tables of pictures and captions."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_doctor.errors import InputRefused, UsageError
from lora_doctor.layouts.tables import inside, table_in


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("a.png", "a.png"), ("b/a.png", "b/a.png"), ("./a.png", "a.png"), ("b\\a.png", "b/a.png"),
        ("b/../a.png", "a.png"), ("../a.png", None), ("b/../../a.png", None), ("/a.png", None),
        ("C:\\a.png", None), ("..", None), (".", None),
        ("", None), ("a\0.png", None), (5, None), (None, None), ("x" * 5000, None),
    ],
)  # fmt: skip
def test_a_name_stays_below_its_folder(name: object, found: str | None) -> None:
    assert inside(name) == found


@given(st.text(alphabet=st.sampled_from(list("./\\aC:")), max_size=12) | st.text())
def test_no_name_leads_out(name: str) -> None:
    found = inside(name)
    if found is not None:
        assert os.path.normpath(os.path.join("/set", found)).startswith("/set/")


def test_a_list_of_captions_is_a_caption_each(tmp_path: Path) -> None:
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "a.png", "text": ["one\\nline", "two"]}', encoding="utf-8")
    table = table_in(tmp_path)
    assert table is not None and table.rows == {"a.png": ("one line\ntwo",)}


@pytest.mark.parametrize("column", ["text", "caption", "prompt", "description"])
def test_the_column_of_captions_is_found_by_its_name(tmp_path: Path, column: str) -> None:
    (tmp_path / "metadata.jsonl").write_text(json.dumps({"file_name": "a.png", column: "x"}), encoding="utf-8")
    table = table_in(tmp_path)
    assert table is not None and table.column == column


def test_of_two_columns_that_may_hold_captions_the_one_that_most_rows_have_is_read(tmp_path: Path) -> None:
    rows = [{"file_name": f"{n}.png", "caption" if n else "text": f"yuki_nk {n}"} for n in range(4)]
    (tmp_path / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    table = table_in(tmp_path)
    assert table is not None and (table.column, table.lacking) == ("caption", 1)
    assert table.captions(table.rows) == {f"{n}.png": f"yuki_nk {n}" for n in range(1, 4)}
    script = table_in(tmp_path, usual="text")
    assert script is not None and (script.column, script.lacking) == ("text", 3)


def test_a_table_that_names_no_pictures_is_none(tmp_path: Path) -> None:
    assert table_in(tmp_path) is None
    (tmp_path / "metadata.jsonl").write_text('{"image": "a.png"}', encoding="utf-8")
    assert table_in(tmp_path) is None


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("metadata.jsonl", b"[" * 100_000, "line 1 is not JSON"),
        ("metadata.jsonl", b'{"file_name": "a"}\n[1]', "line 2 is not an object"),
        ("metadata.jsonl", b"\xff\xfe", "not UTF-8 at byte 0"),
        ("metadata.csv", b'file_name,text\na.png,"' + b"x" * 200_000 + b'"', "field larger than"),
        (
            "metadata.csv",
            b"file_name,text\na.png,yuki\nb.png,yuki_nk, white hair",
            "line 3 has more columns than the hea",
        ),
    ],
)
def test_a_broken_table_is_refused(tmp_path: Path, name: str, text: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(text)
    with pytest.raises(InputRefused, match=says):
        table_in(tmp_path)


def test_a_column_that_was_asked_for_must_be_there(tmp_path: Path) -> None:
    (tmp_path / "metadata.csv").write_text("file_name,text\na.png,x\n", encoding="utf-8")
    with pytest.raises(UsageError, match="has no column 'caption'"):
        table_in(tmp_path, column="caption")


CELLS = st.none() | st.text(max_size=9) | st.integers() | st.lists(st.text(max_size=4), max_size=2)


@given(st.lists(st.dictionaries(st.sampled_from(["file_name", "text", "x"]), CELLS)))
def test_any_table_is_read(tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, object]]) -> None:
    folder = tmp_path_factory.mktemp("table")
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    table = table_in(folder)
    if table is not None:
        groups = list(table.grouped())
        assert sorted(name for _, names in groups for name in names) == sorted(table.rows)
        assert sum(len(captions) for captions in table.rows.values()) + table.outside == len(rows)
        for _, names in groups:
            assert set(table.captions(names)) <= set(names)
