"""What names a person or a machine is found and never repeated; what only looks like a path is left alone."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_doctor.metadata_leaks import MAX_FOUND, private_paths
from tests.recorded.written_metadata import written


def found(value: str) -> list[str]:
    return [excerpt for _, excerpt in private_paths({"key": value})]


SECRET = "alice7"


@pytest.mark.parametrize(
    ("value", "excerpts"),
    [
        ("/home/alice7/loras/10_ohwx", ["path /home/***"]),
        ('{"image_dir": "/Users/alice7/pics"}', ["path /Users/***"]),
        ("~/alice7/train", ["path ~/***"]),
        ("/mnt/alice7/set", ["path /mnt/***"]),
        ("/net/alice7/deep/set", ["path /***/***"]),
        (r"C:\Users\alice7\base.safetensors", [r"path C:\Users\***"]),
        (json.dumps({"path": r"D:\alice7\set"}), [r"path C:\***\***"]),
        ("E:/alice7/set", [r"path C:\***\***"]),
        (r"\\alice7\share\set", [r"path \\***\***"]),
        (json.dumps("/home/alice7/x").replace("/", "\\/"), ["path /home/***"]),
        ("file:///home/alice7/x", ["path file://***"]),
        ("https://alice7:alice7@host.org/x", ["address https://***@***"]),
        ("by alice7@mail.example.org, 2024", ["e-mail ***@***"]),
        ("hf_alice7AbCdEfGhIjKlMnOp", ["key hf_***"]),
        ("token=ghp_alice7AbCdEfGhIjKlMnOp", ["key ghp_***"]),
        ("github_pat_alice7AbCdEfGhIjKlMnOp_1", ["key github_pat_***"]),
        ("AKIAIOSFODNN7EXAMPLE", ["key AKIA***"]),
    ],
)
def test_what_gives_somebody_away_is_found_and_redacted(value: str, excerpts: list[str]) -> None:
    assert found(value) == excerpts
    assert SECRET not in "".join(found(value)) and "IOSFOD" not in "".join(found(value))


@pytest.mark.parametrize(
    "value",
    [
        "stable-diffusion-xl-v1-base/lora", "https://github.com/kohya-ss/sd-scripts", "and/or", "1/2", "k/da, :/, >:/",
        "10_ohwx person", "stabilityai/stable-diffusion-xl-base-1.0", "torch.optim.adamw.AdamW(betas=(0.9, 0.99))",
        "data:image/jpeg;base64,/9j/4AAQSkZJRg/home/AbC/x==", "(1024, 1024)", "0x" + "ab" * 32, "user@host", "@artist",
        "a / b / c / d", "hf_", "12:30:05", "ratio 3:/2", "workspace/run", "fate/stay night", "\\(series\\)",
        "1girl, \\o/", "2026-08-19T10:00:00+00:00", "score_9, score_8_up", "",
    ],
)  # fmt: skip
def test_what_only_looks_like_it_is_left_alone(value: str) -> None:
    assert found(value) == []


@pytest.mark.parametrize("name", ["kohya_folders", "kohya_toml", "ai_toolkit", "onetrainer_settings"])
def test_what_trainers_write_by_themselves_is_no_leak(name: str) -> None:
    assert private_paths(written(name)) == ()


def test_the_key_is_named_with_each_excerpt() -> None:
    assert private_paths(written("onetrainer_all")) == (("ot_config", "path /data/***"),)
    assert private_paths({"a": "/home/me/x", "b": "fine", "c": "/home/me/y"}) == (
        ("a", "path /home/***"), ("c", "path /home/***"),
    )  # fmt: skip


def test_a_key_has_a_limited_number_of_excerpts() -> None:
    folders = ("home", "Users", "root", "mnt", "media", "data", "workspace", "content", "opt", "srv", "tmp", "var")
    assert len(found(" ".join(f"/{folder}/alice7/x" for folder in folders))) == MAX_FOUND


@pytest.mark.parametrize(
    "unit", ["a", "/a", "\\", "C:\\a\\", "a@", "a.", "@a.", "hf", "://", "http://a@", "data:a;base64,"]
)
def test_a_long_hostile_value_takes_no_time(unit: str) -> None:
    before = time.perf_counter()
    found(unit * (2**20 // len(unit)))
    assert time.perf_counter() - before < 3


@given(st.dictionaries(st.text(), st.text(alphabet=st.sampled_from("/\\:@~.ahCU_-\"' \ud800"), max_size=60)))
def test_any_metadata_is_looked_at(metadata: dict[str, str]) -> None:
    assert all(key in metadata and excerpt for key, excerpt in private_paths(metadata))
