"""What can be wrong with captions as text, whatever the pictures show."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable

from benchmarks.defects.draft import Defect, Draft, Picture, Severity
from fixtures.miniature.world import vocabulary as words
from fixtures.miniature.world.captions import BODY, attribute_values
from lora_doctor.types import CLOSE_UP, TrainingSettings

SCARF = "red_scarf"
"""Nobody wears one: the miniature cannot draw it."""
LONG = (
    "intricate_embroidered_collar", "softly_glowing_lanterns", "weathered_cobblestones", "scattered_cherry_petals",
    "delicate_silver_necklace", "distant_mountain_silhouette", "drifting_morning_mist", "ornate_wooden_railing",
    "crumpled_handwritten_letter", "reflections_on_wet_ground",
)  # fmt: skip
"""About fifty tokens of CLIP's."""


def _tokens(picture: Picture) -> list[str]:
    assert picture.tokens is not None
    return picture.tokens


def _some(draft: Draft, share: float, among: Iterable[Picture] | None = None) -> list[Picture]:
    """A share of the pictures, at least one, chosen by the draft's own chance."""
    pool = list(draft.pictures if among is None else among)
    return draft.rng.sample(pool, max(1, math.ceil(share * len(pool))))


def _close_ups(draft: Draft) -> list[Picture]:
    return [picture for picture in draft.pictures if picture.scene.framing == CLOSE_UP]


def _in_context(draft: Draft) -> list[Picture]:
    return [picture for picture in draft.pictures if picture.scene.framing != CLOSE_UP]


def _without(picture: Picture, *attributes: str) -> None:
    values = attribute_values(picture.scene)
    unwanted = {values[name] for name in attributes}
    picture.tokens = [token for token in _tokens(picture) if token not in unwanted]


def slip(word: str, draft: Draft) -> str:
    """The word with one slip of the keyboard: a letter lost, doubled or swapped with its neighbour."""
    at = draft.rng.randrange(1, len(word) - 2)
    lost, doubled = word[:at] + word[at + 1 :], word[:at] + word[at] + word[at:]
    swapped = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return draft.rng.choice([way for way in (lost, doubled, swapped) if way != word])


def prose(picture: Picture, trigger: str) -> str:
    """The picture's caption in sentences, in one of three ways that follows from its name."""
    said = {name: value.replace("_", " ") for name, value in attribute_values(picture.scene).items()}
    way = int(hashlib.sha256(picture.name.encode()).hexdigest(), 16) % 3
    hair = f"{said['hair_length']}, {said['hair_colour']}, {said['hair_style']}"
    looks = f"{hair}, {said['eye_colour']} and {said['skin']}"
    opening = (
        f"{trigger}, a {said['height']} and {said['body']} woman with {looks}",
        f"A {said['framing']} picture of {trigger}. The woman is {said['body']} and {said['height']}, with {looks}",
        f"Here {trigger} is a {said['body']}, {said['height']} woman who has {looks}",
    )[way]
    clothes = ""
    if picture.scene.framing != CLOSE_UP:
        clothes = (
            f". She is {said['pose']} in a {said['top']} and {said['bottom']}",
            f". {said['pose'].capitalize()}, she wears a {said['top']} with {said['bottom']}",
            f", dressed in a {said['top']} and a {said['bottom']}, {said['pose']}",
        )[way]
    place = (
        f". The place behind her is a {said['environment']}; {said['expression']}.",
        f", with {said['environment']} around and a {said['expression']}.",
        f". It is a {said['environment']} and one sees a {said['expression']}.",
    )[way]
    return opening + clothes + place


# ---------------------------------------------------------------- the trigger


def missing(draft: Draft, severity: Severity) -> None:
    """No caption files."""
    for picture in _some(draft, 0.02 if severity == "mild" else 0.25):
        picture.tokens = None


def empty(draft: Draft, severity: Severity) -> None:
    """Caption files with nothing in them."""
    for picture in _some(draft, 0.02 if severity == "mild" else 0.25):
        picture.raw_caption = b" \n"


def unreadable(draft: Draft, severity: Severity) -> None:
    """Latin-1 where UTF-8 is wanted."""
    for picture in _some(draft, 0.02 if severity == "mild" else 0.25):
        picture.raw_caption = ", ".join([*_tokens(picture), "caf\u00e9"]).encode("latin-1")


def no_trigger(draft: Draft, severity: Severity) -> None:
    """The trigger left out."""
    for picture in _some(draft, 0.04 if severity == "mild" else 0.5):
        _tokens(picture).remove(draft.trigger)


def misspelt(draft: Draft, severity: Severity) -> None:
    """A slip of the keyboard in the trigger: another one each time."""
    for picture in _some(draft, 0.02 if severity == "mild" else 0.3):
        picture.tokens = [slip(token, draft) if token == draft.trigger else token for token in _tokens(picture)]


def split(draft: Draft, severity: Severity) -> None:
    """Spaces, dashes or nothing where the trigger has an underscore."""
    for picture in _some(draft, 0.05 if severity == "mild" else 0.4):
        other = draft.trigger.replace("_", draft.rng.choice([" ", "-", ""]))
        picture.tokens = [other if token == draft.trigger else token for token in _tokens(picture)]


def late(draft: Draft, severity: Severity) -> None:
    """The trigger behind everything else."""
    for picture in _some(draft, 0.15 if severity == "mild" else 1.0):
        picture.tokens = [*(t for t in _tokens(picture) if t != draft.trigger), draft.trigger]


def dropped(draft: Draft, severity: Severity) -> None:
    """Only the class word is kept when tokens are dropped."""
    rate = 0.1 if severity == "mild" else 0.3
    draft.options["training"] = TrainingSettings(caption_token_dropout=rate, keep_tokens=1)


def kept(draft: Draft) -> None:
    """Tokens are dropped, but not the trigger."""
    draft.options["training"] = TrainingSettings(caption_token_dropout=0.3, keep_tokens=2)


def common_word(draft: Draft, severity: Severity) -> None:
    """A name that everybody has, or the class word itself."""
    other = "emma" if severity == "mild" else "woman"
    for picture in draft.pictures:
        picture.tokens = [other if token == draft.trigger else token for token in _tokens(picture)]
    draft.trigger = other


# ---------------------------------------------------------------- what captions name


def patchy(draft: Draft, severity: Severity) -> None:
    """The eye colour left out of a part of the captions."""
    for picture in _some(draft, 0.2 if severity == "mild" else 0.5):
        _without(picture, "eye_colour")


def unnamed(draft: Draft, severity: Severity) -> None:
    """The hair style in hardly any caption, or in none."""
    for picture in _some(draft, 0.9 if severity == "mild" else 1.0):
        _without(picture, "hair_style")


def faceless_of_body(draft: Draft, severity: Severity) -> None:
    """Body tokens left out of identity-emphasis captions."""
    for picture in _some(draft, 0.65 if severity == "mild" else 1.0, _close_ups(draft)):
        _without(picture, *BODY)


def unnamed_context(*attributes: str) -> Callable[[Draft, Severity], None]:
    """In-context captions that do not name these attributes."""

    def plant(draft: Draft, severity: Severity) -> None:
        for picture in _some(draft, 0.6 if severity == "mild" else 1.0, _in_context(draft)):
            _without(picture, *attributes)

    return plant


def contradicted(draft: Draft, severity: Severity) -> None:
    """Another hair colour in two captions; or off-spec tokens in all of them, meant as negatives."""
    others = [colour for colour in words.HAIR_COLOURS if colour != draft.character.hair_colour]
    if severity == "strong":
        for picture in draft.pictures:
            picture.tokens = [*_tokens(picture), *others[:3]]
        return
    for picture in _some(draft, 0.04):
        other = draft.rng.choice(others)
        picture.tokens = [other if t == draft.character.hair_colour else t for t in _tokens(picture)]


def fused(low: float, high: float) -> Callable[[Draft, Severity], None]:
    """A token that no picture shows, in that share of the captions (mild and strong)."""

    def plant(draft: Draft, severity: Severity) -> None:
        for picture in _some(draft, low if severity == "mild" else high):
            picture.tokens = [*_tokens(picture), SCARF]

    return plant


# ---------------------------------------------------------------- text


def copied(draft: Draft, severity: Severity) -> None:
    """One in-context caption written to pictures of other environments."""
    pool = _in_context(draft)
    first = draft.rng.choice(pool)
    others = [picture for picture in pool if picture.scene.environment != first.scene.environment]
    for picture in draft.rng.sample(others, 3 if severity == "mild" else min(14, len(others))):
        picture.tokens = list(_tokens(first))


def too_long(draft: Draft, severity: Severity) -> None:
    """More than the text encoder's window; the character stands at the start and is read."""
    for picture in _some(draft, 0.15 if severity == "mild" else 1.0):
        picture.tokens = [*_tokens(picture), *LONG]


def identity_at_the_end(draft: Draft, severity: Severity) -> None:
    """Long captions that describe the character last."""
    for picture in _some(draft, 0.05 if severity == "mild" else 0.6):
        first, *rest = _tokens(picture)
        picture.tokens = [first, *LONG, *rest[::-1]]


def mixed(draft: Draft, severity: Severity) -> None:
    """Sentences among lists of tags."""
    for picture in _some(draft, 0.15 if severity == "mild" else 0.5):
        picture.raw_caption = prose(picture, draft.trigger).encode()


def short(draft: Draft, severity: Severity) -> None:
    """Captions with the class word and the trigger alone."""
    for picture in _some(draft, 0.12 if severity == "mild" else 0.6):
        picture.tokens = ["1girl", draft.trigger]


def classless(draft: Draft, severity: Severity) -> None:
    """Captions without a class word."""
    for picture in _some(draft, 0.15 if severity == "mild" else 1.0):
        _tokens(picture).remove("1girl")


_HAIR, _EYES, _STYLE = ({"attribute": name} for name in ("hair_colour", "eye_colour", "hair_style"))

DEFECTS: tuple[Defect, ...] = (
    Defect("missing captions", "caption-missing", missing),
    Defect("empty captions", "caption-missing", empty),
    Defect("unreadable captions", "caption-unreadable", unreadable),
    Defect("trigger missing", "trigger-uncaptioned", no_trigger),
    Defect("trigger misspelt", "trigger-misspelt", misspelt),
    Defect("trigger split", "trigger-misspelt", split),
    Defect("trigger late", "trigger-late", late),
    Defect("trigger dropped", "trigger-dropped", dropped, without=kept),
    Defect("trigger a common word", "trigger-common-word", common_word),
    Defect("identity token patchy", "identity-token-inconsistent", patchy, _EYES),
    Defect("identity token missing", "identity-token-missing", unnamed, _STYLE),
    Defect("body tokens missing", "body-tokens-missing", faceless_of_body),
    Defect("environment not named", "environment-tokens-missing", unnamed_context("environment")),
    Defect("outfit not named", "outfit-tokens-missing", unnamed_context("top", "bottom")),
    Defect("pose not named", "pose-tokens-missing", unnamed_context("pose")),
    Defect("contradiction", "caption-contradiction", contradicted, _HAIR),
    Defect("fused token", "fused-token", fused(0.87, 1.0), {"token": SCARF}),
    Defect("biased token", "biased-token", fused(0.62, 0.8), {"token": SCARF}),
    Defect("copied captions", "identical-captions", copied),
    Defect("captions too long", "caption-cut-off", too_long),
    Defect("identity tokens cut off", "identity-token-cut-off", identity_at_the_end),
    Defect("mixed styles", "mixed-caption-styles", mixed),
    Defect("captions too short", "captions-too-short", short),
    Defect("class word missing", "class-word-missing", classless),
)
