"""Other people in the pictures, several in one, faces too small, heads that never turn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
from PIL import Image

from benchmarks.defects.draft import Defect, Draft, Picture, Severity
from fixtures.miniature.world import vocabulary as words
from fixtures.miniature.world.captions import BODY, caption_tokens
from fixtures.miniature.world.character import Character
from fixtures.miniature.world.drawing import SIZE, draw_scene

FIRST_STRANGER, STRANGERS = 6000, 1000
"""Seeds of the people who do not belong into the set."""


def _stranger(draft: Draft, alike: bool) -> Character:
    """Somebody else; `alike`: with the character's hair, eyes, skin and figure, so that only the face differs."""
    other = Character.from_seed(FIRST_STRANGER + draft.rng.randrange(STRANGERS))
    return replace(draft.character, seed=other.seed, face=other.face) if alike else other


def _show(draft: Draft, pictures: list[Picture], whom: Callable[[], Character]) -> None:
    """Draw the pictures with somebody else in them; the captions stay."""
    for picture in pictures:
        picture.scene, picture.image = replace(picture.scene, character=whom()), None


def _some(draft: Draft, share: float) -> list[Picture]:
    return draft.rng.sample(draft.pictures, max(1, round(share * len(draft.pictures))))


def strangers(draft: Draft, severity: Severity, alike: bool = False) -> None:
    """One picture, or 30 %, of somebody else, each of another person."""
    share = 0.0 if severity == "mild" else 0.3
    _show(draft, _some(draft, share), lambda: _stranger(draft, alike))


def far_stranger(draft: Draft, severity: Severity) -> None:
    """The same in full body alone, where faces are smallest: one picture, or half of these."""
    far = [picture for picture in draft.pictures if picture.scene.framing == words.FULL_BODY]
    count = 1 if severity == "mild" else max(2, len(far) // 2)
    _show(draft, draft.rng.sample(far, count), lambda: _stranger(draft, False))


def second_person(draft: Draft, severity: Severity, alike: bool = False) -> None:
    """A fifth, or half, of the pictures show one other person."""
    other = _stranger(draft, alike)
    _show(draft, _some(draft, 0.2 if severity == "mild" else 0.5), lambda: other)


def second_person_by_framing(draft: Draft, severity: Severity) -> None:
    """The close-ups, or the full bodies, are all of one other person: what framing alone could explain."""
    framing = words.CLOSE_UP if severity == "mild" else words.FULL_BODY
    other = _stranger(draft, False)
    _show(draft, [picture for picture in draft.pictures if picture.scene.framing == framing], lambda: other)


def crowds(draft: Draft, severity: Severity) -> None:
    """An eighth, or 30 %, of the pictures show two people side by side."""
    among = [picture for picture in draft.pictures if picture.scene.framing != words.CLOSE_UP]
    count = round((0.125 if severity == "mild" else 0.3) * len(draft.pictures))
    for picture in draft.rng.sample(among, min(count, len(among))):
        middle = (SIZE // 4, 0, SIZE // 4 * 3, SIZE)
        both = Image.new("RGB", (SIZE, SIZE))
        other = replace(picture.scene, character=_stranger(draft, False), yaw=-picture.scene.yaw)
        both.paste(picture.drawn().crop(middle), (0, 0))
        both.paste(draw_scene(other).image.crop(middle), (SIZE // 2, 0))
        picture.image = both


def small_faces(draft: Draft, severity: Severity) -> None:
    """70 %, or all, of the in-context pictures show a whole figure in a quarter of the picture."""
    larger_pictures(draft)
    among = [picture for picture in draft.pictures if picture.scene.framing != words.CLOSE_UP]
    for picture in draft.rng.sample(among, round((0.7 if severity == "mild" else 1.0) * len(among))):
        picture.scene = replace(picture.scene, framing=words.FULL_BODY)
        picture.tokens = caption_tokens(picture.scene, trigger=draft.trigger, extra=BODY)
        picture.image = _from_afar(draw_scene(picture.scene).image)


def _from_afar(picture: Image.Image) -> Image.Image:
    """The picture in the middle below of a larger one, to whose edges its own go on."""
    pixels, side = np.asarray(picture), SIZE // 2
    return _larger(Image.fromarray(np.pad(pixels, ((SIZE, 0), (side, side), (0, 0)), mode="edge")))


def larger_pictures(draft: Draft) -> None:
    """Every picture at four times its size: room for small faces that can still be found."""
    for picture in draft.pictures:
        picture.image = _larger(picture.drawn())


def _larger(picture: Image.Image) -> Image.Image:
    return picture.resize((4 * SIZE, 4 * SIZE))


def _turn(draft: Draft, low: float, high: float) -> None:
    for picture in draft.pictures:
        picture.scene, picture.image = replace(picture.scene, yaw=draft.rng.uniform(low, high)), None


def frontal(draft: Draft, severity: Severity) -> None:
    """Nobody turns the head: by a fifth of what is usual, or not at all."""
    _turn(draft, *((-0.2, 0.2) if severity == "mild" else (0.0, 0.0)))


def one_side(draft: Draft, severity: Severity) -> None:
    """Every head is turned to the same side."""
    _turn(draft, *((0.3, 1.0) if severity == "mild" else (0.7, 1.0)))


DEFECTS: tuple[Defect, ...] = (
    Defect("strangers", "another-person", strangers),
    Defect("look-alike strangers", "another-person", partial(strangers, alike=True)),
    Defect("strangers in full body", "another-person", far_stranger),
    Defect("second person", "two-identities", second_person),
    Defect("look-alike second person", "two-identities", partial(second_person, alike=True)),
    Defect("second person in one framing", "two-identities", second_person_by_framing),
    Defect("two people in a picture", "several-people", crowds),
    Defect("small faces", "faces-too-small", small_faces, without=larger_pictures),
    Defect("frontal heads", "one-view", frontal),
    Defect("heads turned to one side", "one-view", one_side),
)
