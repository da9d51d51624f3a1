"""Alpha is found wherever trainers write it, in a fixed order of trust."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from peft.utils.other import get_pattern_key

from lora_doctor.lora_alpha import adapter_fields, alpha_and_divisor

NAME = "down_blocks.0.attn2.to_k"


def found(metadata: dict[str, Any], *, stored: float | None = None, layout: str = "diffusers") -> tuple[float, float]:
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in metadata.items()}
    return alpha_and_divisor(
        component="unet", name=NAME, layout=layout, rank=16, stored=stored, metadata=texts,
        fields=adapter_fields(texts),
    )  # fmt: skip


def adapter(**fields: Any) -> dict[str, Any]:
    return {"lora_adapter_metadata": {f"unet.{key}": value for key, value in fields.items()}}


def test_without_any_alpha_it_is_the_rank() -> None:
    assert found({}) == found({}, layout="kohya") == (16, 16)


def test_the_module_s_own_tensor_wins() -> None:
    assert found(adapter(lora_alpha=4) | {"lora_alpha": "2"}, stored=8) == (8, 16)


def test_diffusers_metadata_comes_before_the_plain_key() -> None:
    assert found(adapter(lora_alpha=4) | {"lora_alpha": "2"}) == (4, 16)
    assert found({"lora_alpha": "2.5"}) == (2.5, 16)


def test_another_component_s_metadata_does_not_count() -> None:
    assert found({"lora_adapter_metadata": {"text_encoder.lora_alpha": 4}}) == (16, 16)


def test_kohya_files_never_take_alpha_from_plain_metadata() -> None:
    assert found({"lora_alpha": "2"}, layout="kohya") == (16, 16)


def test_rank_stabilised_lora_divides_by_the_root() -> None:
    assert found(adapter(lora_alpha=8, use_rslora=True)) == (8, math.sqrt(16))


@pytest.mark.parametrize(
    ("pattern", "alpha"),
    [
        (NAME, 3),
        (f"^{NAME}", 3),
        ("attn2.to_k", 3),
        ("to_k", 3),
        ("^to_k", 4),
        ("o_k", 4),
        ("down_blocks", 4),
        (".*", 3),
        (".*to_q", 4),
        (r"attn\d+\.to_k", 3),
        ("to_q|to_k", 3),
    ],
)
def test_a_pattern_is_read_as_peft_reads_it(pattern: str, alpha: float) -> None:
    assert found(adapter(lora_alpha=4, alpha_pattern={pattern: 3})) == (alpha, 16)
    assert {pattern: 3}.get(get_pattern_key([pattern], NAME), 4) == alpha


@pytest.mark.parametrize("pattern", ["(a+)+$", ".*" * 5, r"\d+" * 5, "(?=x)", "a{9999}", "x" * 600, "[", "\\"])
def test_a_pattern_that_could_take_for_ever_is_an_error(pattern: str) -> None:
    with pytest.raises(ValueError, match="alpha_pattern"):
        found(adapter(lora_alpha=4, alpha_pattern={pattern: 3}))


@pytest.mark.parametrize("value", ["None", "0", "nan", "inf", "", "1e999"])
def test_an_alpha_that_is_no_number_is_an_error(value: str) -> None:
    with pytest.raises(ValueError, match="lora_alpha"):
        found({"lora_alpha": value})


@pytest.mark.parametrize("record", ["[", "3", "null", "[" * 100_000])
def test_a_record_that_is_no_object_is_an_error(record: str) -> None:
    with pytest.raises(ValueError, match="not a JSON object"):
        found({"lora_adapter_metadata": record})
