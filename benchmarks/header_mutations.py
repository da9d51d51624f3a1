"""Ways to break a safetensors header, or to write it otherwise. Pure, given a generator of random numbers."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence

from fixtures.hostile.safetensors_bytes import packed

NUMBERS = (
    "0", "-0", "1", "2", "4", "7", "8", "08", "+8", " 8", "8.0", "8e0", "0x8", "1_0", "-1", "-8", "1e400", "null",
    "true", '"8"', "[8]", "NaN", "Infinity", "16777216", "16777217", "4294967296", "9223372036854775807",
    "18446744073709551615", "18446744073709551616", "9" * 30, "٨", "８",
)  # fmt: skip
TOKENS: tuple[str, ...] = (
    *"{}[],:\"\\/-", "{}", "[]", "null", '""', '"F32"', '"F16"', '"BF16"', '"F4"', '"F6_E2M3"', '"F8_E8M0"', '"C64"',
    '"U8"', '"BOOL"', '"dtype"', '"shape"', '"data_offsets"', '"__metadata__"', "\\u0000", "\\ud800", "\\x41",
    "\\u0061", " ", "\t", "\n", "\r", "\v", "\f", "\x00", "\x1b", "\x7f", "\xa0", "\u2028", "\u202e", "\ufeff",
    "\U0001f338",
)  # fmt: skip

Mutation = Callable[[random.Random, bytes], bytes]


def flip_bit(rng: random.Random, raw: bytes) -> bytes:
    at = rng.randrange(len(raw))
    return raw[:at] + bytes([raw[at] ^ 1 << rng.randrange(8)]) + raw[at + 1 :]


def insert_bytes(rng: random.Random, raw: bytes) -> bytes:
    at = rng.randrange(len(raw) + 1)
    return raw[:at] + rng.randbytes(rng.randint(1, 4)) + raw[at:]


def remove_bytes(rng: random.Random, raw: bytes) -> bytes:
    at = rng.randrange(len(raw))
    return raw[:at] + raw[at + rng.randint(1, 4) :]


def truncate(rng: random.Random, raw: bytes) -> bytes:
    return raw[: rng.randrange(len(raw))]


def insert_token(rng: random.Random, raw: bytes) -> bytes:
    at = rng.randrange(len(raw) + 1)
    return raw[:at] + rng.choice(TOKENS).encode() + raw[at:]


def space_out(rng: random.Random, raw: bytes) -> bytes:
    """White space behind a token, where JSON allows it."""
    at = rng.choice([n for n, byte in enumerate(raw) if byte in b"{}[],:"]) + 1
    return raw[:at] + rng.choice((b" ", b"\n", b"\t\r", b" " * 30)) + raw[at:]


def change_number(rng: random.Random, raw: bytes) -> bytes:
    start, stop = _any_of(rng, list(_runs(raw, b"0123456789")))
    return raw[:start] + rng.choice(NUMBERS).encode() + raw[stop:]


def swap_tokens(rng: random.Random, raw: bytes) -> bytes:
    (start, stop), (from_, to) = sorted(_any_of(rng, list(_runs(raw, b'{}[],: "', inside=False))) for _ in range(2))
    return raw if from_ < stop else raw[:start] + raw[from_:to] + raw[stop:from_] + raw[start:stop] + raw[to:]


def replace_token(rng: random.Random, raw: bytes) -> bytes:
    start, stop = _any_of(rng, list(_runs(raw, b'{}[],: "', inside=False)))
    return raw[:start] + rng.choice(TOKENS).encode().strip(b'"') + raw[stop:]


def escape(rng: random.Random, raw: bytes) -> bytes:
    r"""A letter as \uXXXX: the same header, unless it now stands outside a string."""
    at = rng.choice([n for n, byte in enumerate(raw) if 48 <= byte < 123])
    return raw[:at] + f"\\u{raw[at]:04{rng.choice('xX')}}".encode() + raw[at + 1 :]


def repeat_member(rng: random.Random, raw: bytes) -> bytes:
    """Something between two commas or braces once more."""
    cuts = [n for n, byte in enumerate(raw) if byte in b"{},"]
    start, stop = sorted(rng.sample(cuts, 2))
    return raw[:stop] + b"," + raw[start + 1 : stop] + raw[stop:]


def add_member(rng: random.Random, raw: bytes) -> bytes:
    member = rng.choice((b'"z":1', b'"z":{}', b'"z":null', b'"__metadata__":{}', b'"dtype":"F32"', b'"k":"v"'))
    at = rng.choice([n for n, byte in enumerate(raw) if byte in b"{"]) + 1
    return raw[:at] + member + b"," + raw[at:]


def _runs(raw: bytes, letters: bytes, inside: bool = True) -> Iterator[tuple[int, int]]:
    """(start, stop) of every longest run of bytes that are `letters`, or are not."""
    start = None
    for at, byte in enumerate(raw):
        if (byte in letters) == inside:
            start = at if start is None else start
        elif start is not None:
            yield start, at
            start = None
    if start is not None:
        yield start, len(raw)


def _any_of(rng: random.Random, runs: Sequence[tuple[int, int]]) -> tuple[int, int]:
    return rng.choice(runs) if runs else (0, 0)


MUTATIONS: tuple[Mutation, ...] = (
    flip_bit, insert_bytes, remove_bytes, truncate, insert_token, space_out, change_number, change_number, swap_tokens,
    replace_token, escape, repeat_member, add_member,
)  # fmt: skip


def mutated(rng: random.Random, content: bytes) -> bytes:
    """`content`, a sound file, with one to three mutations; mostly of its header, whose length is then set right."""
    length = int.from_bytes(content[:8], "little")
    header, data = content[8 : 8 + length], content[8 + length :]
    if rng.random() < 0.1:
        return rng.choice((flip_bit, insert_bytes, remove_bytes, truncate))(rng, content)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        header = _try(rng, header)
    return packed(header, data, rng.getrandbits(rng.choice((8, 16, 64))) if rng.random() < 0.03 else None)


def _try(rng: random.Random, header: bytes) -> bytes:
    try:
        return rng.choice(MUTATIONS)(rng, header)
    except (IndexError, ValueError):  # nothing of that kind is left to change
        return header
