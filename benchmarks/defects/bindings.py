"""Defects of what the pictures show against what captions say: bound, half captioned, too much alike, never apart,
dyed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from PIL import Image

from benchmarks.defects.draft import Defect, Draft, Picture, Severity
from fixtures.miniature.world import vocabulary as words
from fixtures.miniature.world.captions import BODY, attribute_values, caption_tokens, visible_attributes

OUTFIT = ("top", "bottom")


def redraw(draft: Draft, picture: Picture, omit: Sequence[str] = (), **changed: str) -> None:
    """Another scene in the same picture, captioned as it then is, `omit` left out; hair stays captioned as the
    character's."""
    scene = picture.scene
    if hair := changed.pop("hair_colour", None):
        scene = replace(scene, character=replace(scene.character, hair_colour=hair))
    picture.scene = replace(scene, **changed)  # type: ignore[arg-type]
    picture.image = None
    picture.tokens = caption_tokens(
        picture.scene, trigger=draft.trigger, extra=BODY, omit=omit,
        falsify={"hair_colour": draft.character.hair_colour},
    )  # fmt: skip


def in_context(draft: Draft) -> list[Picture]:
    """The pictures that are no close-ups, in random order."""
    chosen = [picture for picture in draft.pictures if picture.scene.framing != words.CLOSE_UP]
    return draft.rng.sample(chosen, len(chosen))


def part(pictures: Sequence[Picture], share: float) -> list[Picture]:
    """The first of them, as many as the share says."""
    return list(pictures[: round(share * len(pictures))])


def without_words(picture: Picture, attributes: Sequence[str]) -> None:
    """Take the true words for the attributes out of the caption."""
    values = attribute_values(picture.scene)
    gone = {values[name] for name in attributes}
    picture.tokens = [token for token in picture.tokens or [] if token not in gone]


def half_captioned(attribute: str) -> Callable[[Draft, Severity], None]:
    """The trait's token missing in a fifth (mild) or half of the captions of the pictures that show it."""

    def plant(draft: Draft, severity: Severity) -> None:
        shows = [p for p in draft.pictures if attribute in visible_attributes(p.scene.framing)]
        for picture in part(draft.rng.sample(shows, len(shows)), 0.2 if severity == "mild" else 0.5):
            without_words(picture, [attribute])

    return plant


def bound_environment(draft: Draft, severity: Severity) -> None:
    """One place in half (mild) or four fifths of the in-context pictures, captioned in none of these."""
    place = draft.rng.choice(words.ENVIRONMENTS)
    chosen = in_context(draft)
    for picture in part(chosen, 0.5 if severity == "mild" else 0.8):
        redraw(draft, picture, omit=["environment"], environment=place)
    for picture in chosen:
        if picture.scene.environment == place:
            without_words(picture, ["environment"])


def bound_outfit(draft: Draft, severity: Severity) -> None:
    """The signature outfit in half (mild) or four fifths of the in-context pictures, never captioned."""
    chosen = in_context(draft)
    own = {"top": draft.character.top, "bottom": draft.character.bottom}
    for i, picture in enumerate(chosen):
        if i < round((0.5 if severity == "mild" else 0.8) * len(chosen)):
            redraw(draft, picture, omit=OUTFIT, **own)
        else:
            other = {name: draft.rng.choice([w for w in words.ATTRIBUTES[name] if w != own[name]]) for name in OUTFIT}
            redraw(draft, picture, **other)


def bound_pose(draft: Draft, severity: Severity) -> None:
    """One pose in half (mild) or four fifths of the in-context pictures, never captioned."""
    pose = draft.rng.choice(words.POSES)
    chosen = in_context(draft)
    for picture in part(chosen, 0.5 if severity == "mild" else 0.8):
        redraw(draft, picture, pose=pose)
    for picture in chosen:
        if picture.scene.pose == pose:
            without_words(picture, ["pose"])


def few_environments(draft: Draft, severity: Severity) -> None:
    """Three places (mild) or one, captioned."""
    places = draft.rng.sample(words.ENVIRONMENTS, 3 if severity == "mild" else 1)
    for i, picture in enumerate(in_context(draft)):
        redraw(draft, picture, environment=places[i % len(places)])


def one_outfit(draft: Draft, severity: Severity) -> None:
    """The signature outfit alone, captioned in half of the pictures (mild) or in none."""
    for i, picture in enumerate(in_context(draft)):
        omit = OUTFIT if severity == "strong" or i % 2 else ()
        redraw(draft, picture, omit=omit, top=draft.character.top, bottom=draft.character.bottom)


def mostly(attribute: str, options: Sequence[str], mild: float) -> Callable[[Draft, Severity], None]:
    """One label in the share `mild` of all pictures, or in all of them; captioned."""

    def plant(draft: Draft, severity: Severity) -> None:
        label = draft.rng.choice(options)
        others = [option for option in options if option != label]
        mixed = draft.rng.sample(draft.pictures, len(draft.pictures))
        kept = round((mild if severity == "mild" else 1.0) * len(mixed))
        for i, picture in enumerate(mixed):
            redraw(draft, picture, **{attribute: label if i < kept else draft.rng.choice(others)})

    return plant


def one_light(draft: Draft, severity: Severity) -> None:
    """Every picture's mean colour brought to the same one: four fifths of the way (mild) or nearly."""
    drawn = [np.asarray(picture.drawn().convert("RGB"), dtype=float) for picture in draft.pictures]
    means = [pixels.mean(axis=(0, 1)) for pixels in drawn]
    way = 0.8 if severity == "mild" else 0.95
    for picture, pixels, mean in zip(draft.pictures, drawn, means, strict=True):
        graded = pixels + way * (np.mean(means, axis=0) - mean)
        picture.image = Image.fromarray(np.clip(graded, 0, 255).astype(np.uint8))


def outfit_by_place(draft: Draft, severity: Severity) -> None:
    """Four places with a top of its own each, in five of six pictures (mild) or always."""
    places, tops = draft.rng.sample(words.ENVIRONMENTS, 4), draft.rng.sample(words.ATTRIBUTES["top"], 4)
    for i, picture in enumerate(in_context(draft)):
        stray = severity == "mild" and i % 6 == 5
        redraw(draft, picture, environment=places[i % 4], top=tops[(i + stray) % 4])


def hair_by_place(draft: Draft, severity: Severity) -> None:
    """Another hair colour in all pictures of one place; in none (strong) or in two (mild) of those of others."""
    hair = draft.rng.choice([h for h in words.HAIR_COLOURS if h != draft.character.hair_colour])
    chosen = in_context(draft)
    places = draft.rng.sample(words.ENVIRONMENTS, 4)
    for i, picture in enumerate(chosen):
        dyed = i % 4 == 0 or (severity == "mild" and i in (1, 2))
        redraw(draft, picture, environment=places[i % 4], **({"hair_colour": hair} if dyed else {}))


def dyed(draft: Draft, severity: Severity) -> None:
    """Another hair colour in four pictures (mild) or twelve, captioned as the character's."""
    others = [h for h in words.HAIR_COLOURS if h != draft.character.hair_colour]
    for picture in draft.rng.sample(draft.pictures, 4 if severity == "mild" else 12):
        redraw(draft, picture, hair_colour=draft.rng.choice(others))


def several_looks(draft: Draft, severity: Severity) -> None:
    """Two other hair colours in 45 % of the pictures (mild) or 60 %, captioned as the character's."""
    others = draft.rng.sample([h for h in words.HAIR_COLOURS if h != draft.character.hair_colour], 2)
    mixed = draft.rng.sample(draft.pictures, len(draft.pictures))
    for i, picture in enumerate(part(mixed, 0.45 if severity == "mild" else 0.6)):
        redraw(draft, picture, hair_colour=others[i % 2])


DEFECTS: tuple[Defect, ...] = (
    Defect("hair half captioned", "ambiguous-binding", half_captioned("hair_colour"), {"attribute": "hair_colour"}),
    Defect("body half captioned", "ambiguous-binding", half_captioned("body"), {"attribute": "body"}),
    Defect("environment bound", "environment-bound", bound_environment),
    Defect("outfit bound", "outfit-bound", bound_outfit),
    Defect("pose bound", "pose-bound", bound_pose),
    Defect("few environments", "few-environments", few_environments),
    Defect("one outfit", "one-outfit", one_outfit),
    Defect("one pose", "one-pose", mostly("pose", words.POSES, 0.88)),
    Defect("one expression", "one-expression", mostly("expression", words.EXPRESSIONS, 0.94)),
    Defect("one framing", "one-framing", mostly("framing", words.FRAMINGS, 0.92)),
    Defect("one light", "one-light", one_light),
    Defect("outfit by place", "entangled", outfit_by_place, {"pair": "top x environment"}),
    Defect("hair by place", "entangled-trait", hair_by_place, {"pair": "hair_colour x environment"}),
    Defect("dyed", "off-spec-pictures", dyed, {"attribute": "hair_colour"}),
    Defect("several looks", "mixed-trait", several_looks, {"attribute": "hair_colour"}),
)
