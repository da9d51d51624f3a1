"""How many tokens at a caption's start must stay where single ones are to be dropped: those up to the trigger. Pure.

The reference trainer drops neither the first token nor the trigger (`caption_sampling.py`); other trainers drop any
but the first ones, as many as they are told.
"""

from __future__ import annotations

from dataclasses import dataclass

from lora_doctor.captions import texts
from lora_doctor.spelling import place_in
from lora_doctor.types import Dataset

FARTHEST = 4
"""The most that are kept for the trigger: what stands there is shown always, and is bound to it as dropout should not
let it be. Class words (`1girl, solo`) and a trigger of two tokens have room."""


@dataclass(frozen=True, slots=True)
class KeptTokens:
    """What to tell a trainer, and whoever uses it."""

    count: int
    """Tokens at the start of each caption, 1 or more."""
    why: str
    """A clause: why these."""
    late: str = ""
    """A sentence: in which captions the trigger is dropped all the same; empty = in none."""

    def note(self, setting: str) -> str:
        """A sentence for whoever finds `setting` changed."""
        return f"{setting} raised to {self.count} with the dropout of tokens: {self.why}."


def kept_tokens(dataset: Dataset | None, trigger: str | None, separator: str = ",") -> KeptTokens:
    """The tokens up to the trigger, in the caption where it stands farthest back, `FARTHEST` at most.

    The first one alone, which is where a trigger stands by convention, if it is not known or no caption has it.
    """
    captions = [text for image in (dataset.images if dataset is not None else ()) for text in texts(image)]
    found = [depth for text in captions if trigger and (depth := _depth(text, trigger, separator))]
    near = {depth for depth in found if depth <= FARTHEST}
    count, beyond = max(near, default=1), sum(depth > FARTHEST for depth in found)
    if not found:
        reason = "where the trigger stands is not known; by convention it is the first token, which stays"
        return KeptTokens(count, reason)
    why = "the trigger stands there, and would be dropped like any other"
    if len(near) > 1:
        why = f"the trigger is token {min(near)} to {count}, by caption, and would be dropped like any other"
    late = (
        f"In {beyond} of {len(captions)} captions the trigger stands behind token {FARTHEST} and is dropped like any "
        "other: put it first."
    )
    return KeptTokens(count, why, late if beyond else "")


def _depth(caption: str, trigger: str, separator: str) -> int | None:
    """Tokens up to the one that names the trigger, that included; None where none does."""
    at = place_in(caption.split(separator or ","), trigger)
    return None if at is None else at + 1
