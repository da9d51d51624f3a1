"""Where a trainer fits a picture in: its bucket, the size it is scaled to, and the rectangle of it that survives. Pure.

Facts from the trainers' sources: sd-scripts `library/train_util.py` (BucketManager), musubi-tuner `dataset/bucket.py`,
ai-toolkit `toolkit/buckets.py`, mgds (OneTrainer) `AspectBucketing.py`, SimpleTuner `helpers/multiaspect/image.py`. All
of them scale a picture until it covers its bucket and cut the rest off, half at each end unless the crop is random.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

Size = tuple[int, int]
"""Width and height in pixels."""

STEP = 64
"""Sides of buckets are multiples of it where nothing else is said: sd-scripts, ai-toolkit, SimpleTuner by default."""
SMALLEST_STEP = 8
"""Pixels per latent: the step at training sizes too small for the usual one."""
BOUNDS = (256, 1024)
"""Smallest and largest side of a bucket by sd-scripts' default."""
ONETRAINER_RATIOS = (1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 3.5, 4.0)
"""Longer over shorter side of OneTrainer's buckets."""
SIMPLETUNER_DIGITS = 2
"""Decimals that SimpleTuner rounds a picture's aspect ratio to."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fit:
    """How a picture is brought into its bucket."""

    picture: Size
    bucket: Size
    scaled: Size
    """Pixels the picture is scaled to before it is cut to the bucket; never smaller than the bucket."""

    @property
    def scale(self) -> float:
        """Linear; above 1 = the picture is enlarged."""
        return max(self.scaled[0] / self.picture[0], self.scaled[1] / self.picture[1])

    @property
    def kept(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom of what a centred crop leaves, as shares of the picture's width and height."""
        (width, height), (across, down) = self.scaled, self.bucket
        left, top = (width - across) // 2, (height - down) // 2
        return left / width, top / height, (left + across) / width, (top + down) / height

    @property
    def lost(self) -> float:
        """Share of the picture's area that is cut off."""
        return 1.0 - self.bucket[0] * self.bucket[1] / (self.scaled[0] * self.scaled[1])

    def chance_of_keeping(self, box: tuple[float, float, float, float]) -> float:
        """Probability that a random crop keeps all of `box` (left, top, right, bottom as shares of the picture)."""
        across = _chance(self.scaled[0], self.bucket[0], box[0], box[2])
        return across * _chance(self.scaled[1], self.bucket[1], box[1], box[3])


def fit(
    picture: Size, resolution: Size, *, trainer: str = "sd-scripts", buckets: bool = True, step: int | None = None,
    bounds: tuple[int, int] | None = None, upscales: bool | None = None,
) -> Fit:  # fmt: skip
    """How `trainer` (as in `Layout.trainer`) fits a picture in; `resolution`: the product is the area trained at.

    `buckets` False = cut to `resolution` itself. None = the trainer's default. A trainer that is not known here does as
    sd-scripts does. Sides are at least one pixel; raises nothing.
    """
    width, height = max(1, picture[0]), max(1, picture[1])
    target = max(1, resolution[0]), max(1, resolution[1])
    step = step or _usual_step(target)
    if not buckets:
        return _covered((width, height), target, round_up=trainer == "ai-toolkit")
    if trainer == "ai-toolkit":
        return _covered((width, height), _ai_toolkit(width, height, target, step), round_up=True)
    if trainer == "OneTrainer":
        return _covered((width, height), _nearest(height / width, _onetrainer(target, step), tall=True))
    if trainer == "SimpleTuner":
        return _covered((width, height), _simpletuner(width, height, target, step))
    if trainer == "musubi-tuner":
        return _covered((width, height), _musubi(width, height, target, step, upscales is False))
    if upscales is False:
        return _sd_scripts_no_upscale(width, height, target, step)
    choices = _sd_scripts(target, step, bounds)
    bucket = (width, height) if (width, height) in choices else _nearest(width / height, choices)
    return _covered((width, height), bucket)


def _usual_step(resolution: Size) -> int:
    return STEP if min(resolution) >= 4 * STEP else SMALLEST_STEP


def _usual_bounds(resolution: Size) -> tuple[int, int]:
    """sd-scripts' default, which it refuses where the target lies outside; there half the target and twice it."""
    inside = BOUNDS[0] <= min(resolution) and max(resolution) <= BOUNDS[1]
    return BOUNDS if inside else (min(resolution) // 2, 2 * max(resolution))


def _covered(picture: Size, bucket: Size, *, round_up: bool = False) -> Fit:
    """The picture scaled until it covers the bucket."""
    (width, height), (across, down) = picture, bucket
    scale = max(across / width, down / height)
    if round_up:
        # A hair less, or 512 * (64 / 512) would become 65 by the last bit.
        scaled = math.ceil(width * scale - 1e-9), math.ceil(height * scale - 1e-9)
    else:
        scaled = int(width * scale + 0.5), int(height * scale + 0.5)
    return Fit(picture=picture, bucket=bucket, scaled=(max(across, scaled[0]), max(down, scaled[1])))


def _nearest(ratio: float, choices: list[Size], *, tall: bool = False) -> Size:
    """The first bucket whose width / height (`tall`: height / width) differs least from `ratio`."""
    return min(choices, key=lambda size: abs((size[1] / size[0] if tall else size[0] / size[1]) - ratio))


def _sd_scripts(resolution: Size, step: int, bounds: tuple[int, int] | None) -> list[Size]:
    """Every width in steps, with the greatest height that keeps the area; and each turned by a quarter."""
    area = resolution[0] * resolution[1]
    least, most = bounds or _usual_bounds(resolution)
    least, most = max(step, least - least % step), max(step, most + -most % step)
    square = max(step, int(math.sqrt(area) // step) * step)
    found = {(square, square)}
    for width in range(least, most + 1, step):
        height = min(most, area // width // step * step)
        if height >= least:
            found |= {(width, height), (height, width)}
    return sorted(found)


def _sd_scripts_no_upscale(width: int, height: int, resolution: Size, step: int) -> Fit:
    """A bucket of the picture's own: it is only ever made smaller, to the area, and cut to multiples of the step."""
    area, ratio = resolution[0] * resolution[1], width / height
    scaled = (width, height)
    if width * height > area:
        across = _whole_steps(math.sqrt(area * ratio), step)
        down = _whole_steps(area / math.sqrt(area * ratio), step)
        by_width = across / max(step, _whole_steps(across / ratio, step))
        by_height = _whole_steps(down * ratio, step) / down
        if abs(by_width - ratio) < abs(by_height - ratio):
            scaled = (across, int(across / ratio + 0.5))
        else:
            scaled = (int(down * ratio + 0.5), down)
    bucket = tuple(side - side % step or side for side in scaled)
    return Fit(picture=(width, height), bucket=(bucket[0], bucket[1]), scaled=scaled)


def _whole_steps(side: float, step: int) -> int:
    whole = int(side + 0.5)
    return max(step, whole - whole % step)


def _ai_toolkit(width: int, height: int, resolution: Size, step: int) -> Size:
    """Of the four ways to round both sides, nearest in area to the picture, or to the target if that is less."""
    most = resolution[0] * resolution[1]
    wanted = min(width * height, most)
    scale = math.sqrt(wanted / (width * height))
    across, down = width * scale / step, height * scale / step
    ways = [(a * step, b * step) for a in (math.floor(across), math.ceil(across))
            for b in (math.floor(down), math.ceil(down))]  # fmt: skip
    ways = [(a, b) for a, b in ways if a and b and a * b <= most]
    if not ways:
        return max(step, math.floor(across) * step), max(step, math.floor(down) * step)
    return min(ways, key=lambda size: abs(size[0] * size[1] - wanted))


def _onetrainer(resolution: Size, step: int) -> list[Size]:
    """Nine shapes and the same turned by a quarter, of the target's area, rounded to steps."""
    side = math.sqrt(resolution[0] * resolution[1])
    found = []
    for ratio in ONETRAINER_RATIOS:
        short, long = (max(step, round(side * root / step) * step) for root in (ratio**-0.5, ratio**0.5))
        found += [(short, long), (long, short)]
    return sorted(set(found))


def _simpletuner(width: int, height: int, resolution: Size, step: int) -> Size:
    """The picture's own shape at the target's area, rounded to steps."""
    ratio = max(0.01, round(width / height, SIMPLETUNER_DIGITS))
    side = max(step, round(math.sqrt(resolution[0] * resolution[1]) / step) * step)
    found = tuple(max(step, round(each / step) * step) for each in (side * math.sqrt(ratio), side / math.sqrt(ratio)))
    return found[0], found[1]


def _musubi(width: int, height: int, resolution: Size, step: int, no_upscale: bool) -> Size:
    """Widths from half the target's side, in steps, with the height that keeps the area; and each on its side."""
    area = resolution[0] * resolution[1]
    if no_upscale and width * height <= area:
        return max(step, width - width % step), max(step, height - height % step)
    side = int(math.sqrt(area))
    least = max(step, side // 2 - side // 2 % step)
    found = set()
    for across in range(least, side + step, step):
        down = max(step, area // across // step * step)
        found |= {(across, down), (down, across)}
    return _nearest(width / height, sorted(found))


def _chance(scaled: int, bucket: int, start: float, end: float) -> float:
    """Probability that a window of `bucket` pixels at a uniformly random whole offset holds `start` to `end`."""
    spare = scaled - bucket
    if spare <= 0:
        return 1.0
    first, last = max(0, math.ceil(end * scaled - bucket - 1e-6)), min(spare, math.floor(start * scaled + 1e-6))
    return max(0, last - first + 1) / (spare + 1)
