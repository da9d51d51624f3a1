"""Whether in-context captions name what is to stay free: the environment, the pose, the outfit.

Shares are weighted by repeats, and have no interval: the dataset is a census. A caption names a kind with any label of
the label sets, or with a common word for one (`hallway`, `kneeling`, `cardigan`), whatever the picture shows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from lora_doctor.caption_share import captioned, share_of_captions
from lora_doctor.caption_words import kind_words
from lora_doctor.captions import names, pieces, stripped
from lora_doctor.types import IN_CONTEXT, Case, Measurement

LOOKS = True
"""It asks what the instruments read."""

KINDS = ("environment", "pose", "outfit")
PLAIN = "simple_background"
"""A backdrop is no environment."""


def audit(case: Case) -> list[Measurement]:
    """`captions.context_token_coverage` by kind."""
    return [_coverage(case, kind) for kind in KINDS]


def _coverage(case: Case, kind: str) -> Measurement:
    own = [index for index in captioned(case.dataset) if case.dataset.images[index].role == IN_CONTEXT]
    sets = [labels for labels in case.label_sets.values() if labels.kind == kind]
    labels = [label for one in sets for label in one.labels if label != PLAIN]
    names_one = _namer(labels, kind_words(kind))
    return share_of_captions(
        case.dataset, "captions.context_token_coverage", own, lambda image, text: names_one(text),
        where={"kind": kind}, why_none="no in-context picture has a caption", about_lacking=True,
    )  # fmt: skip


def _namer(labels: Collection[str], words: Collection[str]) -> Callable[[str], bool]:
    single = {word for word in words if " " not in word}
    phrases = [word for word in words if " " in word]

    def names_one(text: str) -> bool:
        said = {stripped(word) for piece in pieces(text) for word in piece.split()}
        return bool(said & single) or any(names(text, label) for label in (*labels, *phrases))

    return names_one
