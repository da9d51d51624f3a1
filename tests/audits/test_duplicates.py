"""Which pictures repeat another, by content, hash, embedding and face."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence

import numpy as np
import pytest

from lora_doctor.audits.duplicates import audit
from tests.audits.make_case import get
from tests.audits.make_pictures import File, case_of

RNG = random.Random(0)
HASHES = [RNG.getrandbits(64) for _ in range(64)]
FACE = (20.0, 20.0, 60.0, 60.0)
FEATURES = ((30.0, 35.0), (50.0, 35.0), (40.0, 45.0), (33.0, 52.0), (47.0, 52.0))


def flipped(number: int, bits: int) -> int:
    """The hash with some bits changed."""
    for bit in range(bits):
        number ^= 1 << (bit * 5)
    return number


def direction(seed: int, size: int = 32) -> list[float]:
    return list(np.random.default_rng(seed).normal(size=size))


def picture(number: int, *, bits: int = 0, like: int | None = None, **other: object) -> File:
    """Picture `number` of a varied set, its hash changed in some bits, its embedding that of picture `like`."""
    hashes = {"perceptual_hash": flipped(HASHES[number], bits), "mirrored_hash": HASHES[63 - number] ^ 0xF0F0}
    facts = {**hashes, **other.pop("facts", {})}  # type: ignore[dict-item]
    return File(facts=facts, embedding=direction(number if like is None else like), **other)  # type: ignore[arg-type]


VARIED = [picture(number) for number in range(20)]


def share(files: Sequence[File], name: str = "pictures.duplicate_share") -> float:
    value = get(audit(case_of(files)), name).value
    assert value is not None
    return value


def test_different_pictures_are_no_duplicates() -> None:
    told = audit(case_of(VARIED))
    assert get(told, "pictures.duplicate_share").value == 0
    assert get(told, "pictures.largest_duplicate_group").value == 1
    assert get(told, "pictures.duplicate_share").pictures == ()


def test_the_same_bytes_are_the_same_picture() -> None:
    twice = [*VARIED, File(sha256="one"), File(sha256="one", readable=False)]
    told = audit(case_of(twice))
    assert get(told, "pictures.identical_share").value == pytest.approx(1 / 22)
    assert get(told, "pictures.duplicate_share").value == pytest.approx(1 / 22)


@pytest.mark.parametrize("bits", [0, 2, 4])
def test_a_picture_saved_again_is_a_duplicate(bits: int) -> None:
    assert share([*VARIED, picture(3, bits=bits)]) == pytest.approx(1 / 21)


def test_a_nearly_equal_hash_does_not_outvote_an_embedding_that_clearly_differs() -> None:
    assert share([*VARIED, picture(3, bits=2, like=40)]) == 0


def test_a_similar_hash_needs_an_embedding_that_agrees() -> None:
    close = direction(3)
    close[0] += 0.3
    similar = picture(3, bits=9)
    assert share([*VARIED, File(facts=similar.facts, embedding=close)]) == pytest.approx(1 / 21)
    apart = list(np.array(direction(3)) + 0.9 * np.array(direction(41)))
    assert share([*VARIED, File(facts=similar.facts, embedding=apart)]) == 0


def test_another_hash_is_another_picture_however_alike_the_embeddings() -> None:
    assert share([*VARIED, picture(30, like=3)]) == 0


def test_another_colour_is_another_picture() -> None:
    red = {"colour": (50.0, 40.0, 20.0)}
    assert share([*VARIED, picture(3, facts=red)]) == 0


def test_without_embeddings_a_nearly_equal_hash_is_enough() -> None:
    files = [File(facts=one.facts) for one in VARIED]
    assert share([*files, File(facts=picture(3, bits=4).facts)]) == pytest.approx(1 / 21)
    assert share([*files, File(facts=picture(3, bits=6).facts)]) == 0


def test_a_face_at_another_place_is_another_picture() -> None:
    here = picture(3, face=FACE, features=FEATURES)
    moved = picture(3, face=FACE, features=[(x + 5, y) for x, y in FEATURES])
    same = picture(3, bits=1, face=FACE, features=[(x + 1, y) for x, y in FEATURES])
    assert share([*VARIED[:3], *VARIED[4:], here, moved]) == 0
    assert share([*VARIED[:3], *VARIED[4:], here, same]) == pytest.approx(1 / 21)


def test_a_face_that_only_one_shows_says_nothing() -> None:
    assert share([*VARIED, picture(3, face=FACE, features=FEATURES)]) == pytest.approx(1 / 21)


def test_mirrored_pictures_are_told_apart_from_copies() -> None:
    mirrored = File(
        facts={"perceptual_hash": flipped(HASHES[60] ^ 0xF0F0, 2), "mirrored_hash": HASHES[3]}, embedding=direction(3)
    )
    told = audit(case_of([*VARIED, mirrored]))
    assert get(told, "pictures.mirrored_share").value == pytest.approx(1 / 21)
    assert get(told, "pictures.mirrored_share").pictures == (20,)
    assert get(told, "pictures.duplicate_share").value == pytest.approx(1 / 21)
    assert get(audit(case_of([*VARIED, picture(3)])), "pictures.mirrored_share").value == 0


def test_features_of_a_mirrored_picture_are_compared_mirrored() -> None:
    turned = [(100 - x, y) for x, y in (FEATURES[at] for at in (1, 0, 2, 4, 3))]
    facts = {"perceptual_hash": HASHES[60] ^ 0xF0F0, "mirrored_hash": HASHES[3]}
    there = File(facts=facts, embedding=direction(3), face=FACE, features=turned)
    lopsided = [(x + 8, y) for x, y in FEATURES]
    elsewhere = File(facts=facts, embedding=direction(3), face=FACE, features=lopsided)
    one = picture(3, face=FACE, features=FEATURES)
    rest = [*VARIED[:3], *VARIED[4:]]
    assert share([*rest, one, there]) == pytest.approx(1 / 21)
    assert share([*rest, one, elsewhere]) == 0


def test_of_each_group_the_largest_picture_is_kept() -> None:
    files = [*VARIED, picture(3, bits=1, size=(400, 400)), picture(3, bits=2, size=(90, 90))]
    told = get(audit(case_of(files)), "pictures.duplicate_share")
    assert told.pictures == (3, 21)
    assert get(audit(case_of(files)), "pictures.largest_duplicate_group").pictures == (3, 20, 21)


def test_exposure_weighs_by_repeats_and_the_share_does_not() -> None:
    files = [*VARIED, picture(3, bits=1, repeats=5)]
    assert share(files) == pytest.approx(1 / 21)
    assert share(files, "pictures.duplicate_exposure") == pytest.approx(1 / 25)  # the one shown five times is kept


def test_where_hashes_see_too_little_only_nearly_equal_ones_count() -> None:
    """Close-ups before one backdrop: similar hashes, and embeddings that say they differ."""
    backdrop = [HASHES[0] ^ 0b111 << 3 * number for number in range(8)]  # 6 bits from one another
    alike = [
        File(facts={"perceptual_hash": each, "mirrored_hash": HASHES[50 - n]}, embedding=direction(n))
        for n, each in enumerate(backdrop)
    ]
    again = File(
        facts={"perceptual_hash": flipped(backdrop[2], 6) ^ 1 << 63, "mirrored_hash": HASHES[20]},
        embedding=direction(2),
    )
    assert share([*alike, *VARIED[10:], again]) == 0
    assert share([alike[2], *VARIED[10:], again]) == pytest.approx(1 / 12)


def test_a_single_picture_gives_a_reason_not_zero() -> None:
    for files in ([], [File()]):
        told = audit(case_of(files))
        assert len(told) == 5 and all(one.value is None and one.reason for one in told)


def test_pictures_that_were_not_hashed_give_a_reason() -> None:
    told = audit(case_of([File(facts=None), File(facts=None)]))
    assert all(one.value is None and one.reason == "pictures were not hashed" for one in told)


def test_ten_thousand_pictures_take_seconds() -> None:
    rng = np.random.default_rng(1)
    hashes = [int(one) for one in rng.integers(0, 2**63, 10_000)]
    files = [
        File(facts={"perceptual_hash": hashes[n // 2 if n < 1000 else n], "mirrored_hash": hashes[-n - 1] ^ 0xFFFF},
             embedding=direction(n // 2 if n < 1000 else n, 64))
        for n in range(10_000)
    ]  # fmt: skip
    case = case_of(files)
    began = time.process_time()
    told = audit(case)
    assert time.process_time() - began < 30  # 3 s where nothing else runs
    assert get(told, "pictures.duplicate_share").value == pytest.approx(500 / 10_000, abs=1e-3)
