"""Which pictures have a caption, which caption files could not be read, and what the captions call the character.

Shares are weighted by repeats, and have no interval: the dataset is a census. A picture with several captions counts
each of them equally.
"""

from __future__ import annotations

from lora_doctor.caption_share import captioned, share_of_captions, weight
from lora_doctor.caption_words import CLASS_WORDS
from lora_doctor.captions import pieces, prose_piece, said_tokens, sentences, texts
from lora_doctor.types import Case, Dataset, Measurement

_WORDS_TOLD = 4


def audit(case: Case) -> list[Measurement]:
    """`captions.missing_share`, `.unreadable` (files), `.class_word_coverage`, `.class_word_share` by word."""
    unreadable = _unreadable_files(case.dataset)
    return [_missing(case.dataset, unreadable), _unreadable(case.dataset, unreadable), *_class_words(case.dataset)]


def _missing(dataset: Dataset, unreadable: dict[int, int]) -> Measurement:
    """Share of the pictures without a caption, or with nothing in it; files that could not be read count elsewhere."""
    images = dataset.images
    lacking = [index for index, image in enumerate(images) if not texts(image) and index not in unreadable.values()]
    total = weight(dataset, range(len(images)))
    return Measurement(
        name="captions.missing_share", value=weight(dataset, lacking) / total if total else None, unit="share",
        n=len(images), reason=None if total else "the dataset is empty", pictures=tuple(lacking),
    )  # fmt: skip


def _unreadable(dataset: Dataset, unreadable: dict[int, int]) -> Measurement:
    count = sum(skipped.kind == "caption" and not skipped.remark for skipped in dataset.skipped)
    pictures = tuple(dict.fromkeys(unreadable.values()))
    return Measurement(name="captions.unreadable", value=float(count), unit="count", n=count, pictures=pictures)


def _unreadable_files(dataset: Dataset) -> dict[int, int]:
    """Index into `dataset.skipped` -> index of the picture that the caption file belongs to, where there is one."""
    files = {image.caption_file: index for index, image in enumerate(dataset.images) if image.caption_file is not None}
    beside = {image.path.with_suffix(""): index for index, image in enumerate(dataset.images)}
    found = {}
    for number, skipped in enumerate(dataset.skipped):
        index = files.get(skipped.path, beside.get(skipped.path.with_suffix("")))
        if skipped.kind == "caption" and not skipped.remark and index is not None:
            found[number] = index
    return found


def _class_words(dataset: Dataset) -> list[Measurement]:
    """Share of the captions with any class word (`1girl`, `woman`), and of the commonest ones each."""
    among = captioned(dataset)
    said = {text: _said(text) for index in among for text in texts(dataset.images[index])}

    def one(word: str) -> Measurement:
        return share_of_captions(
            dataset, "captions.class_word_share", among, lambda image, text: word in said[text], where={"word": word}
        )

    coverage = share_of_captions(
        dataset, "captions.class_word_coverage", among, lambda image, text: bool(said[text]), about_lacking=True
    )
    shares = [one(word) for word in sorted(frozenset[str]().union(*said.values()))]
    return [coverage, *sorted(shares, key=lambda m: -(m.value or 0.0))[:_WORDS_TOLD]]


def _said(caption: str) -> frozenset[str]:
    """The class words of a caption: tags, words of prose, and the last word of a short tag (`ohwx man`)."""
    found: set[str] = set()
    for token in said_tokens(caption):
        folded = "".join(pieces(token)[:1])
        words = folded.split()
        if prose_piece(folded):
            found |= {word for sentence in sentences(folded) for word in sentence} & CLASS_WORDS
        found |= {folded, *words[-1:]} & CLASS_WORDS
    return frozenset(found)
