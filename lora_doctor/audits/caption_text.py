"""What kind of text the captions are: tags or prose, how long, and what of them the text encoder does not read.

Shares are weighted by repeats, and have no interval: the dataset is a census. A picture with several captions counts
each of them equally.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lora_doctor.caption_share import NO_CAPTIONS, captioned, share_of_captions
from lora_doctor.captions import is_prose, says, texts
from lora_doctor.spelling import holds
from lora_doctor.token_count import WINDOW, clip_count, clip_unread
from lora_doctor.types import Case, DatasetImage, Measurement

_QUANTILES = (("10", 0.1), ("50", 0.5), ("90", 0.9))
_PROSE_FAMILIES = frozenset((
    "flux", "flux2", "sd3", "qwen-image", "z-image", "hunyuan-video", "hunyuan-image", "wan", "lumina2", "pixart",
    "sana", "auraflow", "ltx", "cogvideox",
))  # fmt: skip
"""Families that read captions with T5 or a language model and were trained on sentences. Chroma and Anima know both."""
_ASSUMED = f"nothing says how many tokens are read; {WINDOW}, one window of CLIP, is assumed"
_SHUFFLED = "captions are shuffled, so that it is another token each time that is lost"


def audit(case: Case) -> list[Measurement]:
    """`captions.prose_share`, `.mixed_styles`, `.unsuited_style_share`, `.words` and `.tokens` (quantiles),
    `.cut_off_share`, `.cut_off_identity_share`."""
    among = captioned(case.dataset)
    return [
        *_style(case, among),
        *_quantiles(case, among, "captions.words", "words", _words, shortest_first=True),
        *_quantiles(case, among, "captions.tokens", "tokens", clip_count, shortest_first=False),
        *_cut_off(case, among),
    ]


def _family(case: Case) -> str | None:
    return None if case.lora is None or case.lora.family in ("unknown", "") else case.lora.family


# ---------------------------------------------------------------- style


def _style(case: Case, among: Sequence[int]) -> list[Measurement]:
    """Share of prose; of the rarer of the two styles; and of tags where the base model was trained on sentences."""
    prose = share_of_captions(case.dataset, "captions.prose_share", among, lambda image, text: is_prose(text))
    tags = share_of_captions(case.dataset, "captions.mixed_styles", among, lambda image, text: not is_prose(text))
    rarer = tags.pictures if (prose.value or 0.0) > 0.5 else prose.pictures
    mixed = Measurement(
        name="captions.mixed_styles", value=None if prose.value is None else min(prose.value, 1.0 - prose.value),
        unit="share", n=prose.n, reason=prose.reason, pictures=rarer,
    )  # fmt: skip
    family = _family(case)
    if family is None:
        return [prose, mixed, Measurement(name="captions.unsuited_style_share", value=None, unit="share",
                                          reason="the base model is not known")]  # fmt: skip
    unsuited = share_of_captions(
        case.dataset, "captions.unsuited_style_share", among,
        lambda image, text: family in _PROSE_FAMILIES and not is_prose(text),
    )  # fmt: skip
    return [prose, mixed, unsuited]


# ---------------------------------------------------------------- length


def _words(caption: str) -> int:
    """Words, of tags as of prose: `white_hair` is two."""
    return len(caption.replace("_", " ").replace(",", " ").split())


def _quantiles(
    case: Case, among: Sequence[int], name: str, unit: str, count: Callable[[str], int], *, shortest_first: bool
) -> list[Measurement]:
    """The length that 10, 50 and 90 % of the captions do not exceed; pictures: those at or beyond the extreme one."""
    found = []
    for index in among:
        image = case.dataset.images[index]
        said = texts(image)
        found += [(count(text), image.repeats / len(said), index) for text in said]
    found.sort()
    total = sum(shown for _, shown, _ in found)
    measured = []
    for key, share in _QUANTILES:
        value, below = None, 0.0
        for length, shown, _ in found:
            value, below = float(length), below + shown
            if below >= share * total - 1e-9:
                break
        extreme = [(length, index) for length, _, index in found
                   if value is not None and (length <= value if shortest_first else length >= value)]  # fmt: skip
        ordered = extreme if shortest_first else extreme[::-1]
        told = tuple(dict.fromkeys(index for _, index in ordered)) if key == ("10" if shortest_first else "90") else ()
        measured.append(
            Measurement(name=name, value=value, unit=unit, n=len(found), where={"quantile": key},
                        reason=None if found else NO_CAPTIONS, pictures=told)
        )  # fmt: skip
    return measured


# ---------------------------------------------------------------- what is not read


def _cut_off(case: Case, among: Sequence[int]) -> list[Measurement]:
    """Share of the captions longer than the text encoder reads, and of those that lose the trigger or identity tokens.

    Shuffled captions lose another token each time: there the second share counts every caption that is cut and has
    such a token, and says so.
    """
    names = ("captions.cut_off_share", "captions.cut_off_identity_share")
    family = _family(case)
    if family in _PROSE_FAMILIES:
        reason = f"{family} reads its captions with another text encoder than CLIP"
        return [Measurement(name=name, value=None, unit="share", reason=reason) for name in names]
    assumed = _ASSUMED if any(_limit(case, case.dataset.images[index])[1] for index in among) else None
    cut = share_of_captions(
        case.dataset, names[0], among, lambda image, text: bool(clip_unread(text, _limit(case, image)[0])),
        caveat=assumed,
    )  # fmt: skip
    long = set(cut.pictures)
    shuffled = any(_shuffles(case, case.dataset.images[index]) for index in long)
    lost = share_of_captions(
        case.dataset, names[1], among, lambda image, text: bool(long) and _loses_identity(case, image, text),
        caveat=(_SHUFFLED if shuffled else assumed) if long else None,
    )  # fmt: skip
    # Nothing is long under the smallest window there is: then it does not matter what the trainer's is.
    exact = cut if long else Measurement(name=cut.name, value=cut.value, unit="share", n=cut.n,
                                         reason=cut.reason if cut.value is None else None)  # fmt: skip
    return [exact, lost]


def _limit(case: Case, image: DatasetImage) -> tuple[int, bool]:
    """How many tokens are read, and whether that is assumed."""
    subsets = case.dataset.subsets
    told = subsets[image.subset].max_tokens if image.subset < len(subsets) else None
    return (WINDOW, True) if told is None else (told, False)


def _shuffles(case: Case, image: DatasetImage) -> bool:
    subsets = case.dataset.subsets
    told = subsets[image.subset].shuffle if image.subset < len(subsets) else None
    return bool(case.training.shuffle_captions if told is None else told)


def _loses_identity(case: Case, image: DatasetImage, text: str) -> bool:
    unread = clip_unread(text, _limit(case, image)[0])
    if not unread:
        return False
    tokens = [label for name, label in case.spec.items()
              if name not in case.label_sets or case.label_sets[name].kind in ("identity", "body")]  # fmt: skip
    if _shuffles(case, image):
        return bool(case.trigger and holds(text, case.trigger)) or any(says(text, token) for token in tokens)
    kept = _read_part(text, unread)
    lost_trigger = bool(case.trigger) and holds(text, case.trigger) and not holds(kept, case.trigger)
    return lost_trigger or any(says(text, token) and not says(kept, token) for token in tokens)


def _read_part(text: str, unread: str) -> str:
    """The beginning of the caption that is read; the two only differ in white space, case and what CLIP cleans."""
    letters = "".join(unread.split())
    count = 0
    for at in range(len(text) - 1, -1, -1):
        count += not text[at].isspace()
        if count >= len(letters):
            return text[:at]
    return ""
