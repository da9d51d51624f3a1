"""What can be wrong with the pictures as files and as pixels, whoever is in them."""

from __future__ import annotations

import io
import itertools
import math
from collections.abc import Callable
from functools import partial
from typing import Any

from PIL import Image, ImageDraw, ImageEnhance, ImageFont

from benchmarks.defects.draft import Defect, Draft, Picture, Severity
from lora_doctor.types import TrainingSettings

LARGE = 128
"""Pixels of a side in the datasets that small pictures are mixed into."""
WITH_WRITING = 512
"""The same of datasets with writing: in 64 pixels nobody can write."""
QUARTER_TURN = 6
"""EXIF orientation of a picture that has to be turned clockwise to stand upright."""
CONFIG = "dataset.toml"
FITTING = 107
"""Height of a picture 64 pixels wide that a bucket of 48 x 80 holds whole. At 64 pixels buckets are coarse: 64 x 128
would be cut by a sixth of its width, which does cut the face of a close-up."""


def _some(draft: Draft, share: float) -> list[Picture]:
    """A share of the pictures, at least one, chosen by the draft's own chance."""
    return draft.rng.sample(draft.pictures, max(1, math.ceil(share * len(draft.pictures))))


def _share(severity: Severity, mild: float, strong: float) -> float:
    return mild if severity == "mild" else strong


# ---------------------------------------------------------------- the same picture again


def _resaved(picture: Picture, draft: Draft) -> Image.Image:
    """The picture as it comes back from a site: smaller or larger, brighter or darker, JPEG."""
    image = picture.drawn().convert("RGB")
    side = draft.rng.choice([48, 64, 96, 128])
    image = ImageEnhance.Brightness(image.resize((side, side), Image.Resampling.LANCZOS)).enhance(
        draft.rng.uniform(0.92, 1.08)
    )
    packed = io.BytesIO()
    image.save(packed, "JPEG", quality=draft.rng.randint(75, 95))
    return Image.open(io.BytesIO(packed.getvalue())).convert("RGB")


def _copied(picture: Picture, draft: Draft) -> Image.Image:
    return picture.drawn()


def _mirrored(picture: Picture, draft: Draft) -> Image.Image:
    return picture.drawn().transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def repeat_pictures(draft: Draft, severity: Severity, again: Callable[[Picture, Draft], Image.Image]) -> None:
    """Every fourth picture, or more than half of them, gives way to one of the others, shown `again`."""
    spoilt = _some(draft, _share(severity, 0.25, 0.55))
    left = [picture for picture in draft.pictures if picture not in spoilt]
    draft.rng.shuffle(left)
    for picture, other in zip(spoilt, itertools.cycle(left), strict=False):
        picture.scene, picture.image = other.scene, again(other, draft)
        picture.tokens = None if other.tokens is None else list(other.tokens)


# ---------------------------------------------------------------- sizes and shapes


def large(draft: Draft) -> None:
    """All pictures at twice their size, and trained at it."""
    for picture in draft.pictures:
        picture.image = picture.drawn().resize((LARGE, LARGE), Image.Resampling.LANCZOS)
    draft.options["training"] = TrainingSettings(resolution=LARGE)


def make_small(draft: Draft, severity: Severity) -> None:
    """A third at three quarters of the trained size, or most of them at less than half of it."""
    large(draft)
    side = 90 if severity == "mild" else 56
    for picture in _some(draft, _share(severity, 0.33, 0.7)):
        picture.image = picture.drawn().resize((side, side), Image.Resampling.LANCZOS)


def _lengthened(image: Image.Image, height: int) -> Image.Image:
    """The picture at the top of a taller one; below it goes on as its last rows do."""
    tall = Image.new("RGB", (image.width, height))
    last = image.crop((0, image.height - 4, image.width, image.height))
    tall.paste(last.resize((image.width, height - image.height), Image.Resampling.BILINEAR), (0, image.height))
    tall.paste(image, (0, 0))
    return tall


def _trained_by_config(draft: Draft, *, buckets: bool) -> None:
    draft.files[CONFIG] = f"""
[general]
caption_extension = ".txt"
enable_bucket = {str(buckets).lower()}
min_bucket_reso = 32
max_bucket_reso = 256
bucket_reso_steps = 8

[[datasets]]
resolution = 64

[[datasets.subsets]]
image_dir = "."
num_repeats = 1
""".encode()
    draft.options["config"] = CONFIG


def tall_in_buckets(draft: Draft) -> None:
    """Half of the pictures much taller than wide, the head on top, trained in buckets of their own shape."""
    _trained_by_config(draft, buckets=True)
    for picture in _some(draft, 0.5):
        picture.image = _lengthened(picture.drawn(), FITTING)


def cut_heads(draft: Draft, severity: Severity) -> None:
    """Every eighth picture, or most of them, much taller than wide, and all cut to the middle square."""
    _trained_by_config(draft, buckets=False)
    for picture in _some(draft, _share(severity, 0.12, 0.6)):
        picture.image = _lengthened(picture.drawn(), FITTING)


def lengthen(draft: Draft, severity: Severity) -> None:
    """Some or most pictures more than twice as tall as wide."""
    for picture in _some(draft, _share(severity, 0.25, 0.7)):
        picture.image = _lengthened(picture.drawn(), draft.rng.randint(136, 200))


# ---------------------------------------------------------------- files


def turn(draft: Draft, severity: Severity) -> None:
    """Some or half of them as a camera saves them that is held upright: on their side, and a tag that says so."""
    for picture in _some(draft, _share(severity, 0.08, 0.5)):
        exif = Image.Exif()
        exif[0x0112] = QUARTER_TURN
        picture.image = picture.drawn().transpose(Image.Transpose.ROTATE_90)
        picture.ending, picture.save = draft.rng.choice([(".jpg", {"quality": 95}), (".png", {})])
        picture.save = {**picture.save, "exif": exif}


def cut_out(draft: Draft, severity: Severity) -> None:
    """Some or most with a see-through background."""
    for picture in _some(draft, _share(severity, 0.15, 0.6)):
        image = picture.drawn().convert("RGBA")
        alpha = Image.new("L", image.size, 0)
        ImageDraw.Draw(alpha).ellipse((6, 2, image.width - 6, image.height + 30), fill=255)
        image.putalpha(alpha)
        picture.image = image


def animate(draft: Draft, severity: Severity) -> None:
    """Some or many as short animations."""
    for picture in _some(draft, _share(severity, 0.08, 0.4)):
        turned = picture.drawn().transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        picture.ending = ".webp"
        picture.save = {"save_all": True, "append_images": [turned], "lossless": True}


def bleach(draft: Draft, severity: Severity) -> None:
    """Some or most without colours, as grey files or as grey in colour."""
    for picture in _some(draft, _share(severity, 0.25, 0.65)):
        grey = picture.drawn().convert("L")
        picture.image = grey if draft.rng.random() < 0.5 else grey.convert("RGB")


def print_colours(draft: Draft, severity: Severity) -> None:
    """Some or most in inks, as for print."""
    for picture in _some(draft, _share(severity, 0.15, 0.6)):
        picture.image, picture.ending = picture.drawn().convert("CMYK"), ".jpg"


def _truncate(draft: Draft, count: int) -> None:
    for picture in draft.rng.sample(draft.pictures, count):
        packed = io.BytesIO()
        picture.drawn().save(packed, "PNG")
        raw = packed.getvalue()
        picture.raw_picture = raw[: int(len(raw) * draft.rng.uniform(0.3, 0.8))]


def truncate_many(draft: Draft, severity: Severity) -> None:
    """One in seven, or nearly half of the files, cut short."""
    _truncate(draft, math.ceil(_share(severity, 0.14, 0.45) * len(draft.pictures)))


def truncate_few(draft: Draft, severity: Severity) -> None:
    """One file, or four of them, cut short."""
    _truncate(draft, 1 if severity == "mild" else 4)


# ---------------------------------------------------------------- writing


def enlarged(draft: Draft) -> None:
    """All pictures at a size in which writing can be read."""
    for picture in draft.pictures:
        picture.image = picture.drawn().convert("RGB").resize((WITH_WRITING,) * 2, Image.Resampling.LANCZOS)


def _over(image: Image.Image, opacity: float, paint: Callable[[ImageDraw.ImageDraw], Any]) -> Image.Image:
    layer = Image.new("RGBA", image.size, (0, 0, 0, 0))
    paint(ImageDraw.Draw(layer))
    layer.putalpha(layer.getchannel("A").point([int(level * opacity) for level in range(256)]))
    return Image.alpha_composite(image.convert("RGBA"), layer).convert("RGB")


def _signature(draft: Draft) -> tuple[str, tuple[float, float], float, str]:
    """What is signed, where (the lower right end of it, pixels), how large, in which colour."""
    name = draft.rng.choice(["@neko_art", "by Mika Sato", "Studio Kumo 2024", "art.by.rin"])
    return name, (WITH_WRITING - 10.0, WITH_WRITING - 8.0), draft.rng.uniform(15, 22), "white"


def sign(draft: Draft, severity: Severity) -> None:
    """The same signature in the corner of every fourth picture, or of nearly all."""
    enlarged(draft)
    name, end, size, colour = _signature(draft)
    for picture in _some(draft, _share(severity, 0.25, 0.9)):
        picture.image = _over(picture.drawn(), draft.rng.uniform(0.8, 1.0), partial(
            ImageDraw.ImageDraw.text, xy=end, text=name, font=ImageFont.load_default(size), fill=colour, anchor="rd"
        ))  # fmt: skip


def watermark(draft: Draft, severity: Severity) -> None:
    """A name across the middle of nearly a third of the pictures, or of nearly all; half see-through at first."""
    enlarged(draft)
    name, middle = draft.rng.choice(["SAMPLE", "stockphoto", "preview"]), (WITH_WRITING / 2, WITH_WRITING * 0.6)
    font = ImageFont.load_default(WITH_WRITING * 0.13)
    for picture in _some(draft, _share(severity, 0.3, 0.9)):
        picture.image = _over(picture.drawn(), _share(severity, 0.5, 0.8), partial(
            ImageDraw.ImageDraw.text, xy=middle, text=name, font=font, fill="white", anchor="mm"
        ))  # fmt: skip


SPEECH = ("What are you doing here?", "Please wait for me!", "I never said that.", "Good morning, everyone",
          "Run! Now!!", "It was only a dream", "You are late again", "The train has left")  # fmt: skip


def speak(draft: Draft, severity: Severity) -> None:
    """A speech bubble in one picture of six, or in most of them."""
    enlarged(draft)
    for picture in _some(draft, _share(severity, 0.17, 0.7)):
        says, font = draft.rng.choice(SPEECH), ImageFont.load_default(draft.rng.uniform(16, 26))
        across = font.getlength(says)
        x = draft.rng.uniform(0.65 * across, WITH_WRITING - 0.65 * across)
        y = draft.rng.uniform(40, WITH_WRITING - 40)

        def paint(
            pen: ImageDraw.ImageDraw, x: float = x, y: float = y, says: str = says, font: Any = font,
            across: float = across,
        ) -> None:  # fmt: skip
            pen.ellipse((x - 0.65 * across, y - 36, x + 0.65 * across, y + 36), fill="white", outline="black", width=2)
            pen.text((x, y), says, font=font, fill="black", anchor="mm")

        picture.image = _over(picture.drawn(), 1.0, paint)


DEFECTS: tuple[Defect, ...] = (
    Defect("pictures saved again", "duplicate-pictures", partial(repeat_pictures, again=_resaved)),
    Defect("pictures copied", "duplicate-pictures", partial(repeat_pictures, again=_copied)),
    Defect("pictures mirrored", "duplicate-pictures", partial(repeat_pictures, again=_mirrored)),
    Defect("pictures too small", "small-pictures", make_small, without=large),
    Defect("pictures too long", "long-pictures", lengthen),
    Defect("heads cut by the trainer", "bucket-cuts-heads", cut_heads, without=tall_in_buckets),
    Defect("EXIF rotation ignored", "rotated-pictures", turn),
    Defect("see-through backgrounds", "transparent-pictures", cut_out),
    Defect("animations", "animated-pictures", animate),
    Defect("pictures without colours", "grey-pictures", bleach),
    Defect("pictures in inks", "odd-colour-pictures", print_colours),
    Defect("many truncated files", "unreadable-pictures", truncate_many),
    Defect("few truncated files", "some-unreadable-pictures", truncate_few),
    Defect("signatures", "writing-in-pictures", sign, without=enlarged),
    Defect("watermarks", "writing-in-pictures", watermark, without=enlarged),
    Defect("speech bubbles", "writing-in-pictures", speak, without=enlarged),
)
