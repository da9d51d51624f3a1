"""The benchmark finds no header that slips through, and would find one."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from benchmarks import header_mutations, mutated_headers
from benchmarks.header_mutations import MUTATIONS, mutated
from benchmarks.mutated_headers import OUTCOMES, SAMPLES, WRONG, headers, main, outcome, run
from lora_doctor.safetensors_header import Header, parse_header


def test_20000_mutated_headers_are_refused_or_sound_to_the_library_too() -> None:
    tally = run(20_000, seed=1)
    assert not tally.examples
    assert not {what for what in WRONG if tally.outcomes[what]}
    assert tally.outcomes.total() == 20_000
    assert all(tally.outcomes[what] > 500 for what in OUTCOMES[:3])
    assert tally.slowest < 2


def test_every_sample_is_sound_before_it_is_mutated() -> None:
    assert {outcome(content)[0] for content in SAMPLES} == {"accepted by both"}


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_every_mutation_changes_headers(mutation: header_mutations.Mutation) -> None:
    rng = random.Random(0)
    header = SAMPLES[0][8:]
    assert sum(mutation(rng, header) != header for _ in range(50)) > 25


def test_the_same_seed_gives_the_same_headers_in_any_number_of_processes() -> None:
    assert list(headers(7, 3, 50)) == list(headers(7, 3, 50))
    assert list(headers(7, 3, 50)) != list(headers(7, 4, 50))
    one, two = run(12_000, seed=7), run(12_000, seed=7, processes=2)
    assert one.outcomes == two.outcomes


def test_nothing_is_too_short_to_be_mutated() -> None:
    rng = random.Random(0)
    for content in (SAMPLES[0][:8], bytes(8) + b"{", bytes(8) + b"{}"):
        assert all(isinstance(mutated(rng, content), bytes) for _ in range(200))


@pytest.fixture
def lax(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A validator that takes -0 for 0, as Python's JSON parser does."""

    def parse(content: bytes, size: int) -> Header:
        return parse_header(content.replace(b"[-0,", b"[0, "), size)

    monkeypatch.setattr(mutated_headers, "parse_header", parse)
    yield


@pytest.mark.usefixtures("lax")
def test_a_laxer_validator_is_found_out(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["mutated_headers", "--count", "20000"])
    assert main() == 1
    assert "accepted by lora-doctor alone: b'" in capsys.readouterr().err


def test_an_exception_that_is_no_refusal_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mutated_headers, "parse_header", lambda content, size: 1 / (content[-1] - content[-1]))
    assert run(10, seed=0).outcomes["uncaught in lora-doctor"] == 10
