"""diagnosis.json says exactly what the Diagnosis says, or is refused."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lora_doctor.diagnosis import from_json, to_json
from lora_doctor.errors import InputRefused, UsageError
from lora_doctor.types import Diagnosis, Measurement, NotEvaluated
from tests.make_diagnosis import make_diagnosis


@pytest.fixture(scope="module")
def hold() -> Diagnosis:
    return make_diagnosis(Path("unused"), "HOLD", images=False)


@pytest.mark.parametrize("outcome", ["HOLD", "SHIP"])
@pytest.mark.parametrize("private", [False, True])
def test_a_diagnosis_comes_back_equal(tmp_path: Path, outcome: str, private: bool) -> None:
    diagnosis = make_diagnosis(tmp_path, outcome, images=False, private=private)  # type: ignore[arg-type]
    assert from_json(to_json(diagnosis)) == diagnosis


def test_writing_again_what_was_read_gives_the_same_bytes(hold: Diagnosis) -> None:
    text = to_json(from_json(to_json(hold)))
    assert to_json(from_json(text)) == text


_numbers = st.floats(allow_nan=False, allow_infinity=False)
_measurements = st.builds(
    Measurement,
    name=st.text(),
    value=st.none() | _numbers,
    unit=st.text(),
    n=st.integers(0),
    interval=st.none() | st.tuples(_numbers, _numbers),
    where=st.dictionaries(st.text(), st.text(), max_size=3),
    reason=st.none() | st.text(),
)


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(
    measurements=st.lists(_measurements, max_size=4).map(tuple),
    rules=st.lists(st.builds(NotEvaluated, rule=st.text(), reason=st.text()), max_size=3).map(tuple),
    lora=st.dictionaries(st.text(), st.none() | st.booleans() | _numbers | st.integers() | st.text()),
)
def test_any_text_and_any_finite_number_survive(
    hold: Diagnosis, measurements: tuple[Measurement, ...], rules: tuple[NotEvaluated, ...], lora: dict[str, object]
) -> None:
    diagnosis = replace(hold, cells=(), findings=(), measurements=measurements, not_evaluated=rules, lora=lora)
    assert from_json(to_json(diagnosis)) == diagnosis


def test_the_order_of_the_spec_is_kept(hold: Diagnosis) -> None:
    spec = {"hair_colour": "white_hair", "body": "slender", "eye_colour": "blue_eyes"}
    read = from_json(to_json(replace(hold, character={"spec": spec})))
    assert list(read.character["spec"]) == list(spec)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float64("nan"), np.float32("inf")])
def test_a_number_that_is_none_is_never_written(hold: Diagnosis, value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json(replace(hold, timings={"render": value}))


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_is_none_is_never_read(hold: Diagnosis, literal: str) -> None:
    text = to_json(replace(hold, timings={"render": 123456.5})).replace("123456.5", literal)
    with pytest.raises(InputRefused):
        from_json(text)


def test_numpy_numbers_become_plain_ones(hold: Diagnosis) -> None:
    written = json.loads(to_json(replace(hold, matrix={"threshold": np.float32(0.5), "steps": np.int64(20)})))
    assert written["matrix"] == {"threshold": 0.5, "steps": 20}


def test_a_value_without_a_form_in_json_is_named(hold: Diagnosis) -> None:
    with pytest.raises(TypeError, match="PosixPath"):
        to_json(replace(hold, lora={"path": Path("somewhere")}))


def test_bytes_of_a_file_name_that_are_no_text_are_spelled_out(hold: Diagnosis) -> None:
    name = b"yuki\xff.safetensors".decode("utf-8", "surrogateescape")
    text = to_json(replace(hold, lora={"name": name}))
    text.encode("utf-8")
    assert from_json(text).lora["name"] == r"yuki\xff.safetensors"


@pytest.mark.parametrize("version", [0, 2, 99, "1", None, True, 1.0])
def test_another_format_version_is_a_usage_error(hold: Diagnosis, version: object) -> None:
    raw = json.loads(to_json(hold)) | {"format_version": version}
    with pytest.raises(UsageError, match="format_version"):
        from_json(json.dumps(raw))


@pytest.mark.parametrize("text", ["", "no JSON", "[]", "7", "{", "[" * 200_000])
def test_what_is_no_diagnosis_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(InputRefused) as refusal:
        from_json(text)
    assert "\n" not in str(refusal.value)


def test_a_field_of_the_wrong_type_is_refused_by_its_place(hold: Diagnosis) -> None:
    raw = json.loads(to_json(hold))
    raw["measurements"][3]["value"] = "0.5"
    with pytest.raises(InputRefused, match=r"measurements\.3\.value"):
        from_json(json.dumps(raw))


def test_a_missing_field_is_refused_by_its_name(hold: Diagnosis) -> None:
    raw = json.loads(to_json(hold))
    del raw["verdict"]
    with pytest.raises(InputRefused, match="verdict"):
        from_json(json.dumps(raw))
