"""Prompts: batches of texts of different lengths, and clip skip computed layer by layer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from lora_doctor import base_classes
from lora_doctor.base_models import load_pipeline
from lora_doctor.errors import UsageError
from lora_doctor.render_prompts import encode, fitted, join, reads_negative_prompt, too_long
from tests.tiny_pipeline import TEXT_WIDTH, tiny_folder, tiny_xl_pipeline


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("models") / "base")


@pytest.fixture(autouse=True)
def as_sd15(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(base_classes.TEXT_WIDTHS, TEXT_WIDTH, "sd15")


def by_hand(pipeline: Any, text: str, layers: int) -> torch.Tensor:
    """CLIP's states after its first `layers` layers, through the final norm, one layer called after the other."""
    encoder = getattr(pipeline.text_encoder, "text_model", pipeline.text_encoder)
    ids = pipeline.tokenizer(text, padding="max_length", max_length=77, return_tensors="pt").input_ids
    with torch.no_grad():
        states = encoder.embeddings(input_ids=ids)
        causal = torch.full((1, 1, 77, 77), torch.finfo(states.dtype).min).triu(1)
        for layer in encoder.encoder.layers[:layers]:
            out = layer(states, attention_mask=causal)
            states = out[0] if isinstance(out, tuple) else out
        return encoder.final_layer_norm(states)


@pytest.mark.parametrize(("skip", "layers"), [(None, 2), (1, 2), (2, 1)])
def test_clip_skip_takes_the_state_of_the_layer_it_counts_back_to(folder: Path, skip: int | None, layers: int) -> None:
    pipeline = load_pipeline(folder, "cpu", clip_skip=skip)
    encoded = encode(pipeline, "a girl", "bad", 3.0)
    for name, text in (("prompt_embeds", "a girl"), ("negative_prompt_embeds", "bad")):
        assert torch.allclose(encoded[name], by_hand(pipeline, text, layers), atol=1e-5)
        assert not torch.allclose(encoded[name], by_hand(pipeline, text, 3 - layers), atol=1e-2)


def test_clip_skip_of_one_is_no_skip_to_the_bit(folder: Path) -> None:
    plain, asked = (load_pipeline(folder, "cpu", clip_skip=skip) for skip in (None, 1))
    assert torch.equal(*(encode(each, "a girl", "", 1.0)["prompt_embeds"] for each in (plain, asked)))


def test_clip_skip_leaves_the_negative_prompt_out_where_nothing_is_guided(folder: Path) -> None:
    assert set(encode(load_pipeline(folder, "cpu", clip_skip=2), "a", "bad", 1.0)) == {"prompt_embeds"}


def test_sdxl_ignores_clip_skip(tmp_path: Path) -> None:
    tiny_xl_pipeline(tmp_path / "parts").save_pretrained(tmp_path / "xl")
    plain, asked = (load_pipeline(tmp_path / "xl", "cpu", clip_skip=skip) for skip in (None, 2))
    first, second = (encode(each, "a girl", "", 3.0) for each in (plain, asked))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("skip", [0, -1, 13])
def test_a_layer_that_no_clip_has_is_refused(folder: Path, skip: int) -> None:
    with pytest.raises(UsageError, match="clip skip"):
        load_pipeline(folder, "cpu", clip_skip=skip)


def test_shorter_texts_are_filled_up_and_masked() -> None:
    def one(length: int) -> dict[str, torch.Tensor]:
        return {"prompt_embeds": torch.ones(1, length, 4), "prompt_embeds_mask": torch.ones(1, length)}

    joined = join([one(2), one(5)])
    assert joined["prompt_embeds"].shape == (2, 5, 4)
    assert joined["prompt_embeds"][0, 2:].eq(0).all() and joined["prompt_embeds"][1].eq(1).all()
    assert joined["prompt_embeds_mask"].tolist() == [[1, 1, 0, 0, 0], [1, 1, 1, 1, 1]]


def test_lists_are_strung_together_and_pooled_states_stacked() -> None:
    a, b = torch.zeros(3, 4), torch.zeros(7, 4)
    joined = join([{"e": [a], "pooled_prompt_embeds": a[:1]}, {"e": [b], "pooled_prompt_embeds": b[:1]}])
    assert joined["e"] == [a, b] and joined["pooled_prompt_embeds"].shape == (2, 4)


@pytest.mark.parametrize(("guidance", "reads"), [(1.0, False), (1.1, True)])
def test_stable_diffusion_reads_negative_prompts_above_guidance_one(folder: Path, guidance: float, reads: bool) -> None:
    assert reads_negative_prompt(load_pipeline(folder, "cpu"), guidance) is reads


@pytest.mark.parametrize(("letters", "fits"), [(75, True), (76, False)])
def test_the_limit_counts_the_start_and_end_marks(folder: Path, letters: int, fits: bool) -> None:
    reason = too_long(load_pipeline(folder, "cpu"), "x" * letters)
    assert (reason is None) is fits
    assert fits or reason == "the prompt is 78 tokens long, the text encoder reads 77"


@pytest.mark.parametrize(
    ("prompt", "read"),
    [
        ("aaaa,bbbb", "aaaa,bbbb"),
        (f"{'a' * 40},{'b' * 30},{'c' * 20}", f"{'a' * 40},{'b' * 30}"),
        (f"{'a' * 40} {'b' * 40}", "a" * 40),
        ("a" * 90, ""),
    ],
)
def test_what_is_too_long_is_cut_at_the_last_whole_tag_and_then_word(folder: Path, prompt: str, read: str) -> None:
    pipeline = load_pipeline(folder, "cpu")
    assert fitted(pipeline, prompt) == read and too_long(pipeline, read) is None
