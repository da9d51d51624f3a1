"""What the value of a settings key may be, reader by reader."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_doctor import settings_values as read
from lora_doctor.types import FRAMINGS

HERE = Path("/somewhere")
GOOD: list[tuple[Callable[[Any, Path], Any], Any, Any]] = [
    (read.line, "  a b ", "a b"),
    (read.token, "white_hair", "white_hair"),
    (read.token_or_nothing, "", ""),
    (read.line_or_nothing, "", ""),
    (read.line_or_nothing, "a, b", "a, b"),
    (read.path, "runs/one", HERE / "runs/one"),
    (read.path, Path("/else"), Path("/else")),
    (read.name_or_folder, "buffalo_l", "buffalo_l"),
    (read.name_or_toml, "standard", "standard"),
    (read.name_or_toml, "own/policy", "/somewhere/own/policy"),
    (read.name_or_toml, "own.toml", "/somewhere/own.toml"),
    (read.identity_instruments, ["ccip", "dino@head", "insightface:buffalo_l"],
     ("ccip", "dino@head", "insightface:buffalo_l")),
    (read.one_of("a", "b"), "b", "b"),
    (read.flag, False, False),
    (read.number(0, 2), 2, 2.0),
    (read.whole_number(64, 128, 8), 72, 72),
    (read.weights(0), [0, 0.4, 1], (0.0, 0.4, 1.0)),
    (read.weights(0.01), [0.4, 1.25], (0.4, 1.25)),
    (read.environments, ("beach", " city "), ("beach", "city")),
    (read.framings, list(reversed(FRAMINGS)), FRAMINGS),
    (read.arms, "none", ()),
    (read.arms, [], ()),
    (read.arms, ["leak", "strong"], ("leak", "strong")),
    (read.command, ["python", " train.py "], ("python", "train.py")),
    (read.variables, ["HF_TOKEN"], ("HF_TOKEN",)),
    (read.spec, {"hair_colour": "white_hair"}, {"hair_colour": "white_hair"}),
    *((read.device, name, name) for name in ("auto", "cpu", "mps", "cuda", "cuda:3")),
]  # fmt: skip
BAD: list[tuple[Callable[[Any, Path], Any], Any, str]] = [
    (read.line, " ", "one line"),
    (read.line, "a\x1b[31m", "one line"),
    (read.token, "a, b", "without a comma"),
    (read.token_or_nothing, None, "one line"),
    (read.path, "", "a path"),
    (read.path, "~nobody-has-this-name/x", "no such home folder"),
    (read.name_or_folder, "./nowhere", "an existing folder"),
    (read.name_or_folder, "~/nowhere-at-all", "an existing folder"),
    (read.identity_instruments, [], "a list of instruments"),
    (read.identity_instruments, ["eyes"], "must name kinds of insightface, sface, ccip, dino, clip"),
    (read.identity_instruments, ["sface@head"], "finds faces by itself"),
    (read.identity_instruments, ["insightface"], "which pack"),
    (read.identity_instruments, ["ccip", "ccip"], "once"),
    (read.one_of("a", "b"), "c", "one of a, b"),
    (read.flag, 1, "true or false"),
    (read.number(0, 2), True, "a number from 0 to 2"),
    (read.number(0, 2), 2.1, "a number from 0 to 2"),
    (read.number(0, 2), float("nan"), "a number from 0 to 2"),
    (read.whole_number(64, 128, 8), 70, "a multiple of 8"),
    (read.whole_number(0, 9), True, "a whole number from 0 to 9"),
    (read.weights(0), [0.4, 1], "begin with 0"),
    (read.weights(0.01), [0, 1], "a number from 0.01 to 2"),
    (read.weights(0), [0, 1, 1], "each weight once"),
    (read.weights(0), [0, 0.125], "two decimals"),
    (read.environments, "beach", "a list of environments"),
    (read.environments, ["a", " a"], "each environment once"),
    (read.framings, ["portrait"], "some of close-up"),
    (read.arms, ["leak", "leak"], "each arm once"),
    (read.command, "python train.py", "no shell"),
    (read.command, [3], "one line"),
    (read.variables, ["TOKEN=secret"], "without its value"),
    (read.spec, ["white_hair"], "a table"),
    (read.spec, {"hair": "white, long"}, "without a comma"),
    (read.device, "cuda:x", "auto, cpu, mps"),
]


def name_of(value: Any) -> str:
    return value.__qualname__.partition(".")[0] if callable(value) else repr(value)


@pytest.mark.parametrize(("reader", "value", "meant"), GOOD, ids=name_of)
def test_a_value_that_fits_is_read_as_it_is_meant(reader: Callable[[Any, Path], Any], value: Any, meant: Any) -> None:
    found = reader(value, HERE)
    assert (found, type(found)) == (meant, type(meant))


@pytest.mark.parametrize(("reader", "value", "says"), BAD, ids=name_of)
def test_another_is_refused_with_what_it_must_be(reader: Callable[[Any, Path], Any], value: Any, says: str) -> None:
    with pytest.raises(ValueError, match=r"^must ") as caught:
        reader(value, HERE)
    assert says in str(caught.value)


def test_folders_that_exist_become_absolute_and_a_file_only_where_one_may_be_named(tmp_path: Path) -> None:
    (tmp_path / "clip").mkdir()
    (tmp_path / "model.onnx").write_bytes(b"")
    assert read.name_or_folder("clip", tmp_path) == str((tmp_path / "clip").resolve())
    assert read.name_or_folder("model.onnx", tmp_path) == "model.onnx"
    assert read.name_or_place("model.onnx", tmp_path) == str((tmp_path / "model.onnx").resolve())
    assert read.identity_instruments(["clip:clip@head"], tmp_path) == (f"clip:{(tmp_path / 'clip').resolve()}@head",)


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_characters="/"), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from([reader for reader, _, _ in GOOD]), ANYTHING)
def test_whatever_toml_holds_is_read_or_refused_in_one_line(reader: Callable[[Any, Path], Any], value: Any) -> None:
    try:
        assert reader(value, HERE) is not None
    except ValueError as error:
        assert str(error).startswith("must ") and "\n" not in str(error)
