"""One caption -> the caption as it should be: trigger, identity and body tokens, contradictions. Pure.

What is added or replaced follows the source article: the same identity tokens in both roles, body tokens in
identity-emphasis captions too, and no token of another character's hair.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from lora_doctor.caption_company import names_others, owned_by_another
from lora_doctor.caption_weights import unweighted
from lora_doctor.caption_words import SHAPES
from lora_doctor.captions import HAIR_THINGS, caption_tokens, cut, is_prose, names, pieces, prose_piece, says
from lora_doctor.rival_labels import claims, noun, two_colours
from lora_doctor.spelling import Spelling, place_in, rightly_spelt, writes
from lora_doctor.types import IN_CONTEXT, LabelSet, Role

KEPT = ("identity", "body")
"""The kinds of attribute that every caption must name; clothes and places only where they are to be seen."""
_ELSEWHERE = frozenset((
    "beside", "next", "near", "behind", "opposite", "alongside", "against", "toward", "towards", "facing", "another",
    "other", "others", "two", "both", "his", "their", "not", "no", "never", "without", "used", "once", "formerly",
))  # fmt: skip
"""Words of a sentence that may speak of somebody or something else, or of what is not so."""
_NOT_SO = re.compile(r"n['’]t\b|\bcannot\b", re.IGNORECASE)
"""The same inside a word: `doesn't`."""
_KEPT = re.compile(r"(\|{2,})")
"""What sd-scripts' `keep_tokens_separator` is by convention: what stands before it is never dropped."""
_SPELLINGS = dict.fromkeys(("grey", "gray"), "gr[ae]y") | dict.fromkeys(("blonde", "blond"), "blonde?")
_EMPTIED = re.compile(r"(?<![\w\\])\(\s*(?::\s*[\d.]+\s*)?\)")
"""What a weighted token leaves when it is taken out: `(:1.2)`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CaptionPlan:
    """What the captions of one dataset should say."""

    trigger: str
    """Empty = not known, nothing is done about it."""
    spec: Mapping[str, str]
    """Attribute -> the character's label."""
    label_sets: Mapping[str, LabelSet]
    misspelt: Collection[Spelling] = ()
    """Other spellings of the trigger."""
    class_words: Collection[str] = ()
    """Tokens that stand before the trigger: `1girl`, `solo`."""
    free: Collection[str] = ()
    """Attributes that in-context captions must name as the picture shows them: environment, pose ..."""
    unseen: Collection[str] = ()
    """Tokens that are in most captions and not in the pictures: removed where the picture certainly shows otherwise."""
    underscores: bool = True
    """Whether tokens are written `white_hair` rather than `white hair`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mended:
    """A caption and what was done to it."""

    caption: str
    changes: tuple[str, ...] = field(default=())
    """In a few words each, in order; empty = nothing had to be done."""
    by_hand: tuple[str, ...] = field(default=())
    """What is said against the spec, and may be said of somebody or something else: left as it is."""


def mend(caption: str | None, plan: CaptionPlan, *, role: Role | None, shown: Mapping[str, str]) -> Mended:
    """The caption as it should be.

    `shown`: attribute -> the label that the picture certainly shows. A trait that the picture certainly shows
    otherwise than the spec is left as the caption has it: there the picture is wrong. `role` None is treated as
    identity-emphasis: nothing is added that might not be in the picture. None gets a caption of its own, where there
    is something to say.
    """
    text, done, left = caption or "", list[str](), list[str]()
    if caption is None or not caption.strip():
        text, done = ", ".join(spelled(word, plan) for word in _opening(plan)), ["written from the picture"]
    text = _without_unseen(text, plan, shown, done)
    text = _corrected(text, plan, shown, done, left)
    text = _with_trigger(text, plan, done)
    text = _completed(text, plan, role, shown, done)
    if not text.strip() and not (caption or "").strip():
        done = []  # nothing is known that could be said
    return Mended(caption=text if done else (caption or ""), changes=tuple(done), by_hand=tuple(left))


def written_with_underscores(captions: Collection[str], trigger: str = "") -> bool:
    """Whether most tokens of several words are written with underscores; True when there is none.

    The trigger's own underscore says nothing of the others. Prose has spaces.
    """
    tokens = [token for caption in captions for token in caption_tokens(caption)]
    rest = [token.replace(trigger, "").strip() if trigger else token for token in tokens]
    return sum("_" in token for token in rest) >= sum(" " in token and "_" not in token for token in rest)


# ---------------------------------------------------------------- steps


def _opening(plan: CaptionPlan) -> list[str]:
    return [*list(plan.class_words)[:1], *([plan.trigger] if plan.trigger else [])]


def _without_unseen(text: str, plan: CaptionPlan, shown: Mapping[str, str], done: list[str]) -> str:
    for word in plan.unseen:
        other = next((s for a, s in shown.items() if _is_label(word, plan.label_sets[a]) and not _same(s, word)), None)
        if other is not None and names(text, word):
            text = _replaced(text, word, "")
            done.append(f"{word} taken out: the picture shows {other}")
    return text


def _corrected(text: str, plan: CaptionPlan, shown: Mapping[str, str], done: list[str], left: list[str]) -> str:
    """Every trait that contradicts the spec, by the audit's own measure; what may be another's goes to `left`."""
    for attribute, own in plan.spec.items():
        labels = plan.label_sets.get(attribute)
        if labels is None or labels.kind not in KEPT or shown.get(attribute, own) != own or two_colours(own, text):
            continue
        for other in claims(labels.labels, own, text):
            if not names_others(text) and not owned_by_another(text, other):
                changed = without_rival(text, other, own, plan, certain=shown.get(attribute) == own)
                if changed != text:
                    done.append(f"{other} -> {own}")
                text = changed
            if says(text, other):
                left.append(f"says {other}, the character has {own}")
    return text


def without_rival(text: str, other: str, own: str, plan: CaptionPlan, *, certain: bool) -> str:
    """The caption with `own` for `other`; nothing in its place where it says `own` already.

    A tag goes as a whole (`jet_black_hair`) but for what it says besides (`long_black_hair`), and keeps its weight;
    without an `own`, nothing comes in its place. A sentence's words go only where the picture is `certain` to show
    `own` and the caption does not say that as well: who writes of white and of black hair seldom means one head.
    """
    parts, emptied, certain = cut(text), False, certain and not says(text, own)
    for at, part in enumerate(parts):
        if _is_tag(part) and f" {_folded(part)}".endswith(f" {_folded(other)}"):
            shape = _shape(part, other) if noun(other) == noun(own) else ""
            said = "" if not own or says("".join(parts), own) else own
            new = spelled(f"{shape}{said or (shape and noun(own))}", plan)
            parts[at], emptied = (
                part.replace(unweighted(part).strip().rstrip(".") if new else part.strip(), new),
                emptied or not new,
            )
        elif certain and noun(other) == noun(own) and not _is_tag(part) and not _of_others(part) and names(part, other):
            parts[at] = _replaced(part, other, _spaced(own))
    return _without_gaps("".join(parts)) if emptied else "".join(parts)


def _shape(part: str, other: str) -> str:
    """What a tag says before `other`, where that is no part of it, with underscores: `long_` of `long_black_hair`."""
    words = _folded(part).removesuffix(_folded(other)).split()
    kept = words if SHAPES.issuperset(words) and words[-1:] != ["very"] else []
    return "".join(f"{word}_" for word in kept)


def _is_tag(part: str) -> bool:
    """Not of several tags that are joined by words of sentences either: `doll_with_black_hair`."""
    return bool(pieces(part)) and not prose_piece(part) and not prose_piece(part.replace("_", " "))


def _of_others(part: str) -> bool:
    return bool(_NOT_SO.search(part)) or not _ELSEWHERE.isdisjoint(re.findall(r"\w+", part.lower()))


def _with_trigger(text: str, plan: CaptionPlan, done: list[str]) -> str:
    if not plan.trigger or writes(text, plan.trigger):
        return text
    found = rightly_spelt(text, plan.trigger, plan.misspelt, lambda piece: _is_any_label(piece, plan))
    if found is not None:
        mended, wrong = found
        done.append(f"{wrong.text} -> {plan.trigger}")
        return mended
    done.append(f"trigger {plan.trigger} added")
    return inserted(text, [plan.trigger], plan)


def _completed(text: str, plan: CaptionPlan, role: Role | None, shown: Mapping[str, str], done: list[str]) -> str:
    wanted = []
    for attribute, labels in plan.label_sets.items():
        own = plan.spec.get(attribute) if labels.kind in KEPT else None
        if own is not None and shown.get(attribute, own) != own:
            continue
        if own is None and role == IN_CONTEXT and attribute in plan.free:
            own = shown.get(attribute)
        if own is not None and not says(text, own) and (two_colours(own, text) or not _says_any(text, labels)):
            wanted.append(spelled(own, plan))
    if not wanted:
        return text
    done.append(f"added {', '.join(wanted)}")
    return inserted(text, wanted, plan)


def _says_any(text: str, labels: LabelSet) -> bool:
    return any(says(text, label) for label in labels.labels)


# ---------------------------------------------------------------- text


def inserted(text: str, words: list[str], plan: CaptionPlan) -> str:
    """Behind the trigger or the class words of a list of tags; at the end of prose.

    Of a caption with a kept part (`1girl, yuki_nk ||| white_hair`), the trigger into that part and all else behind it.
    Of several lines, into the first, which every trainer reads. Tags that semicolons part stay so.
    """
    text, end, rest = text.partition("\n")
    if end:
        return f"{inserted(text, words, plan)}{end}{rest}"
    if len(parts := _KEPT.split(text)) > 1:
        part = 0 if words == [plan.trigger] else 2
        parts[part] = f" {inserted(parts[part].strip(), words, plan)} "
        return "".join(parts).strip()
    mark = ";" if "," not in text and "; " in text else ","
    tokens = caption_tokens(text) if mark == "," else [token for part in text.split(mark) if (token := part.strip())]
    if is_prose(text) or any(len(token.split()) > 4 for token in tokens):
        if words == [plan.trigger]:
            return f"{plan.trigger}, {text}"
        added = ", ".join(word if word == plan.trigger else _spaced(word) for word in words)
        # no mark behind it: to a trainer that cuts at commas, `slender.` is another tag than `slender`
        sentence = text.rstrip().endswith((".", "!", "?"))
        return f"{text.rstrip()} {added}" if sentence else f"{text.rstrip(', ')}, {added}"
    place, leading = 0, [pieces(word)[:1] for word in plan.class_words]
    while place < len(tokens) and pieces(tokens[place])[:1] in leading:  # `_` has no piece
        place += 1
    if (called := place_in(tokens, plan.trigger)) is not None:
        place = called + 1
    return f"{mark} ".join([*tokens[:place], *words, *tokens[place:]])


def _replaced(text: str, old: str, new: str) -> str:
    """Every mention of `old` replaced; tokens that become empty go."""
    changed = re.sub(_pattern(old), lambda _: new, text, flags=re.IGNORECASE)
    return changed if new else _without_gaps(_EMPTIED.sub("", changed))


def _without_gaps(text: str) -> str:
    """Without the tokens that became empty; every line stays one."""
    return "\n".join(", ".join(caption_tokens(line)) for line in text.split("\n"))


def _pattern(word: str) -> str:
    """`white_hair` and `white hair` alike, not inside longer words or names of things (`white hair ties`)."""
    parts = [_SPELLINGS.get(part.lower(), re.escape(part)) for part in re.split(r"[_\s]+", word) if part]
    thing = rf"(?![_\s]+{HAIR_THINGS})" if word.lower().endswith("hair") else ""
    return r"(?<![\w-])" + r"[_\s]+".join(parts) + r"(?![\w-])" + thing


def spelled(label: str, plan: CaptionPlan) -> str:
    """The label as the dataset writes tags."""
    return label if plan.underscores or label == plan.trigger else label.replace("_", " ")


def _spaced(label: str) -> str:
    """As a sentence has it."""
    return label.replace("_", " ")


def _folded(label: str) -> str:
    return " ".join(pieces(label))


def _is_any_label(word: str, plan: CaptionPlan) -> bool:
    return any(_is_label(word, labels) for labels in plan.label_sets.values())


def _is_label(word: str, labels: LabelSet) -> bool:
    return any(_same(word, label) for label in labels.labels)


def _same(one: str, other: str) -> bool:
    return pieces(one) == pieces(other)
