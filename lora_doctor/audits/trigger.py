"""The word that calls the character: in which captions it stands, where in them, and how it is spelt.

Shares are weighted by repeats, and have no interval: the dataset is a census. A picture with several captions counts
each of them equally.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from lora_doctor.caption_share import NO_CAPTIONS, captioned, share_of_captions, weight
from lora_doctor.captions import caption_tokens, texts
from lora_doctor.spelling import Spelling, edits, holds, place
from lora_doctor.token_count import vocabulary_size, word_rank
from lora_doctor.trigger import Vocabulary, spelt_otherwise
from lora_doctor.types import Case, DatasetImage, Measurement

_UNKNOWN = "no trigger is known"
_SPELLINGS_TOLD = 8
_FARTHEST = 9
"""Edits; more are told as ten."""
_PLACES = ("first", "second", "third")
_LATEST = 0.9
"""Quantile of the trigger's places that is told: nine captions in ten have it there or earlier."""
_SILENT = "the training config does not say whether tokens are dropped"


def audit(case: Case) -> list[Measurement]:
    """`captions.trigger_*`: coverage, missing, spellings, places, how often it is dropped, how common a word it is."""
    if not case.trigger:
        return [_none(name, unit, _UNKNOWN) for name, unit in _ALL]
    among = captioned(case.dataset)
    return [
        _coverage(case, among),
        *_missing_and_misspelt(case, among, _spellings(case, among)),
        *_places(case, among),
        _dropped(case, among),
        *_commonness(case),
    ]


_ALL = (
    ("captions.trigger_coverage", "share"), ("captions.trigger_missing_share", "share"),
    ("captions.trigger_misspelt_share", "share"), ("captions.trigger_case_share", "share"),
    ("captions.trigger_place", "place"), ("captions.trigger_dropped_share", "share"),
    ("captions.trigger_word_rank", "rank"), ("captions.trigger_listed", "yes = 1"),
)  # fmt: skip


def _none(name: str, unit: str, reason: str) -> Measurement:
    where = {"quantile": "90"} if name == "captions.trigger_place" else {}
    return Measurement(name=name, value=None, unit=unit, where=where, reason=reason)


def _coverage(case: Case, among: Sequence[int]) -> Measurement:
    """Out of all pictures: one without a caption lacks the trigger, too."""
    captions = share_of_captions(
        case.dataset, "captions.trigger_coverage", among, lambda image, text: holds(text, case.trigger),
        about_lacking=True,
    )  # fmt: skip
    images, known = case.dataset.images, set(among)
    total = weight(case.dataset, range(len(images)))
    if not total:
        return _none(captions.name, "share", "the dataset is empty")
    without = [index for index in range(len(images)) if index not in known]
    held = (captions.value or 0.0) * weight(case.dataset, among)
    return Measurement(
        name=captions.name, value=held / total, unit="share", n=len(images), pictures=(*without, *captions.pictures)
    )


# ---------------------------------------------------------------- spelling


def _spellings(case: Case, among: Sequence[int]) -> dict[str, Spelling]:
    """Spelling as it is written -> where among the texts of `_texts`."""
    found = spelt_otherwise(_texts(case, among), case.trigger, case.label_sets)
    return {spelling.text: spelling for spelling in found}


def _texts(case: Case, among: Sequence[int]) -> list[str]:
    return [text for index in among for text in texts(case.dataset.images[index])]


def _missing_and_misspelt(case: Case, among: Sequence[int], spellings: dict[str, Spelling]) -> list[Measurement]:
    """Captions without the trigger in any spelling; with another one that the text encoder reads as another word; and
    with other capitals, which CLIP does not see and T5 does."""
    all_texts = _texts(case, among)
    ways = {all_texts[n]: name for name, one in spellings.items() for n in one.captions}

    def way(text: str) -> Spelling | None:
        return spellings.get(ways.get(text, ""))

    def misspelt(image: DatasetImage, text: str) -> bool:
        one = way(text)
        return one is not None and one.kind != "case"

    def missing(image: DatasetImage, text: str) -> bool:
        return way(text) is None and not holds(text, case.trigger)

    return [
        share_of_captions(case.dataset, "captions.trigger_missing_share", among, missing),
        share_of_captions(case.dataset, "captions.trigger_misspelt_share", among, misspelt),
        share_of_captions(
            case.dataset, "captions.trigger_case_share", among,
            lambda image, text: (one := way(text)) is not None and one.kind == "case",
        ),
        *_each_spelling(case, among, spellings, ways),
    ]  # fmt: skip


def _each_spelling(
    case: Case, among: Sequence[int], spellings: Mapping[str, Spelling], ways: Mapping[str, str]
) -> list[Measurement]:
    """The right spelling and the commonest others: share of the captions, and how many edits it is off."""
    right = "".join(caption_tokens(case.trigger)[:1])

    def share(spelling: str) -> Measurement:
        def written(image: DatasetImage, text: str) -> bool:
            return ways.get(text) == spelling or (spelling == right and holds(text, case.trigger))

        where = {"spelling": spelling}
        return share_of_captions(case.dataset, "captions.trigger_spelling_share", among, written, where=where)

    def off(spelling: str) -> Measurement:
        value = float(edits(spelling.lower(), right.lower(), _FARTHEST))
        return Measurement(
            name="captions.trigger_spelling_edits", value=value, unit="edits", n=1, where={"spelling": spelling}
        )

    told = [right, *(one.text for one in spellings.values() if one.kind != "case")][: 1 + _SPELLINGS_TOLD]
    return [measure(spelling) for spelling in told for measure in (share, off)]


# ---------------------------------------------------------------- place


def _places(case: Case, among: Sequence[int]) -> list[Measurement]:
    """The share of the captions that have it first, second, third, later; the 90 % quantile of its place, from 1."""
    found: list[tuple[int, float, int]] = []
    for index in among:
        image = case.dataset.images[index]
        said = texts(image)
        for text in said:
            if (at := place(text, case.trigger, _separator(case, image))) is not None:
                found.append((at + 1, image.repeats / len(said), index))
    total = sum(shown for _, shown, _ in found)
    if not total:
        return [_none("captions.trigger_place", "place", "no caption holds the trigger" if among else NO_CAPTIONS)]
    found.sort(key=lambda one: (-one[0], one[2]))
    late, left = found[0][0], total * (1 - _LATEST)
    for at, shown, _ in found:
        late, left = at, left - shown
        if left < -1e-9:
            break
    usual = sorted(at for at, _, _ in found)[len(found) // 2]
    later = tuple(dict.fromkeys(index for at, _, index in found if at > usual))
    quantile = Measurement(
        name="captions.trigger_place", value=float(late), unit="place", n=len(found), where={"quantile": "90"},
        pictures=later,
    )  # fmt: skip
    names = [*_PLACES, "later"]
    sums = [sum(shown for at, shown, _ in found if min(at, len(names)) == n) for n in range(1, len(names) + 1)]
    shares = [
        Measurement(
            name="captions.trigger_place_share", value=held / total, unit="share", n=len(found), where={"place": name}
        )
        for name, held in zip(names, sums, strict=True)
    ]
    return [quantile, *shares]


def _separator(case: Case, image: DatasetImage) -> str:
    subsets = case.dataset.subsets
    return subsets[image.subset].separator if image.subset < len(subsets) else ","


def _dropped(case: Case, among: Sequence[int]) -> Measurement:
    """How often a picture whose caption holds the trigger is shown without it, because tokens are dropped.

    A token is safe among the first `keep_tokens`, or in the kept part of a caption (`1girl, yuki_nk ||| smile`);
    shuffling changes nothing about that. lora-doctor's own trainer drops no trigger.
    """
    name = "captions.trigger_dropped_share"
    total = lost = 0.0
    pictures: list[int] = []
    for index in among:
        image = case.dataset.images[index]
        rate, kept = _habits(case, image)
        said = texts(image)
        for text in said:
            at = place(text, case.trigger, _separator(case, image))
            if at is None:
                continue
            if rate is None:
                return _none(name, "share", _SILENT)
            total += image.repeats / len(said)
            if rate > 0 and not _is_kept(case, image, text, at < kept):
                lost += rate * image.repeats / len(said)
                pictures.append(index)
    if not total:
        return _none(name, "share", "no caption holds the trigger" if among else NO_CAPTIONS)
    return Measurement(
        name=name, value=lost / total, unit="share", n=len(among), pictures=tuple(dict.fromkeys(pictures))
    )


def _is_kept(case: Case, image: DatasetImage, text: str, among_the_first: bool) -> bool:
    """Whether the trigger is never dropped; where a caption marks its kept part, that says so (sd-scripts,
    library/train_util.py, process_caption)."""
    subsets = case.dataset.subsets
    mark = subsets[image.subset].keep_separator if image.subset < len(subsets) else ""
    if not mark or mark not in text:
        return among_the_first
    before, _, behind = text.partition(mark)
    return holds(f"{before}, {behind.partition(mark)[2]}", case.trigger)


def _habits(case: Case, image: DatasetImage) -> tuple[float | None, int]:
    """Probability that a token is dropped, and how many at the start are not; the subset's word before the config's."""
    subsets = case.dataset.subsets
    subset = subsets[image.subset] if image.subset < len(subsets) else None
    rate = subset.caption_token_dropout if subset and subset.caption_token_dropout is not None else None
    rate = case.training.caption_token_dropout if rate is None else rate
    kept = subset.keep_tokens if subset and subset.keep_tokens is not None else case.training.keep_tokens
    if case.training.trainer == "lora-doctor" and rate is not None:
        rate = 0.0
    return rate, kept or 0


# ---------------------------------------------------------------- the word


def _commonness(case: Case) -> list[Measurement]:
    """The place of the trigger's rarest part in CLIP's vocabulary (no word of it: the vocabulary's size); whether it is
    a class word, a label, a quality tag or another everyday tag."""
    vocabulary = Vocabulary(case.label_sets)
    tokens = caption_tokens(case.trigger)
    parts = [part for part in re.split(r"[\s_\-,]+", case.trigger) if part]
    ranks = [vocabulary_size() if (rank := word_rank(part)) is None else rank for part in parts]
    listed = bool(tokens) and all(vocabulary.lists(token) for token in tokens)
    return [
        Measurement(
            name="captions.trigger_word_rank", value=float(max(ranks)) if ranks else None, unit="rank", n=len(parts),
            reason=None if ranks else _UNKNOWN,
        ),
        Measurement(name="captions.trigger_listed", value=float(listed), unit="yes = 1", n=1),
    ]  # fmt: skip
