"""Whether a written config trains on the copied dataset: its trainer's own reading, held against what was meant."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from lora_doctor.caption_files import captions_of
from lora_doctor.dataset import Seen, survey
from lora_doctor.dataset_layout import layout_of
from lora_doctor.errors import LoraDoctorError, UsageError
from lora_doctor.named_places import real
from lora_doctor.types import Dataset, DatasetImage, Subset

Captions = tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Meant:
    """What is to be seen of a picture in the copy."""

    source: Path
    """Where it was before."""
    added: bool = False
    """Whether it is new."""
    captions: Captions | None = None
    """Every caption that the trainer is to say; None = `text` tells them."""
    text: str | None = None
    """What its caption file was written with; None, with no captions either = whatever it is."""
    repeats: float | None = None
    """How often it is to be shown in an epoch; None = however often."""


def key_of(path: Path) -> Path:
    """One name for a picture, however its folder is written."""
    return Path(real(path.parent)) / path.name


def read_known(path: Path, known: Iterable[Dataset]) -> Dataset:
    """The dataset at `path`, a folder or a config, as its trainer sees it; pictures that are known are not decoded.

    Raises the children of LoraDoctorError, as `layout_of` and `survey` do.
    """
    seen: dict[str, Seen] = {}
    for image in (image for dataset in known for image in dataset.images if image.facts is not None):
        assert image.facts is not None
        seen[image.sha256] = (image.facts, image.width, image.height)
    return survey(layout_of(path), path, known=seen.get)


def captions_in(image: DatasetImage) -> Captions:
    """Every caption that the trainer may say of a picture."""
    return image.variants or (() if image.caption is None else (image.caption,))


def as_read(dataset: Dataset, reading: Dataset | None) -> Dataset:
    """The dataset with captions and repeats as a config's trainer reads them, of the pictures that the config names."""
    if reading is None:
        return dataset
    known = {key_of(image.path): image for image in reading.images}
    subsets, images = list(dataset.subsets or (Subset(folder=dataset.path),)), []
    for image in dataset.images:
        seen = known.get(key_of(image.path))
        image = image if seen is None else replace(image, repeats=seen.repeats)
        if seen is not None and (captions_in(seen), seen.caption_file) != (captions_in(image), image.caption_file):
            subset = replace(reading.subsets[seen.subset], role=subsets[image.subset].role)
            subsets += [] if subset in subsets else [subset]
            image = replace(
                image, caption=seen.caption, caption_file=seen.caption_file, variants=seen.variants,
                subset=subsets.index(subset),
            )  # fmt: skip
        images.append(image)
    return replace(dataset, images=tuple(images), subsets=tuple(subsets))


def ensure_trained_on(
    source: Path, meant: Mapping[Path, Meant], left: Collection[Path], known: Iterable[Dataset], *, config: Path
) -> None:
    """Raises UsageError, naming `config`, where the trainer would see anything else than what is meant.

    `source`: the config as it is written, or the copy where the trainer is only told its folder. `meant`: picture in
    the copy -> what is to be seen of it; `left`: pictures that are to be seen no more, where they lay before.
    """
    try:
        reading = read_known(source, known)
    except LoraDoctorError as error:
        what = f"does not say which folders it trains on, so the copied dataset would not be used: {error.what}"
        raise UsageError(what, path=config, advice="Name the folders of the dataset in it.") from None
    seen = {key_of(image.path): image for image in reading.images}
    missing = [each for path, each in meant.items() if key_of(path) not in seen]
    new = [each for each in missing if each.added]
    if new:
        what = f"{_some(new)} given with --add: in no folder that it names, so it would not train on them."
        raise UsageError(what, path=config, advice="Add them to one of its folders by hand.")
    if missing:
        what = f"{_some(missing)} of the dataset: in no folder that it names, so it would not train on them."
        raise UsageError(what, path=config, advice="Let it name the folders of its pictures.")
    still = [path for path in left if key_of(path) in seen]
    if still:
        what = f"names a folder of the dataset in a way that is not changed here: {still[0].name} would be seen there."
        raise UsageError(what, path=config, advice="Name each folder once.")
    for path, each in meant.items():
        image = seen[key_of(path)]
        if each.repeats is not None and image.repeats != each.repeats:
            what = f"would show {image.path.name} {image.repeats:g} times an epoch, where {each.repeats:g} are meant."
            raise UsageError(what, path=config, advice="Let it read the table of captions in the folder it names.")
        _ensure_said(image, reading, each, config)


def _ensure_said(image: DatasetImage, reading: Dataset, meant: Meant, config: Path) -> None:
    """Raises UsageError where the trainer would say another caption of a picture."""
    subset = reading.subsets[image.subset]
    if meant.added and not subset.caption_extensions and subset.captions is None:
        return  # all pictures of this subset have one prompt, or their name: so have the new ones
    name = image.path.relative_to(subset.folder).as_posix() if image.path.is_relative_to(subset.folder) else ""
    wanted = meant.captions
    if wanted is None and meant.text is not None:
        wanted = captions_of(replace(subset, captions=None), name, meant.text)
    got = captions_in(image)
    if wanted is None or got == wanted or (subset.captions is not None and got and set(got) <= set(wanted)):
        return
    shown, other = (_first(one, two) for one, two in ((wanted, got), (got, wanted)))
    files = " or ".join(subset.caption_extensions)
    where = "a table or its name" if subset.captions is not None else files or "one prompt"
    raise UsageError(
        f"would say {other} of {image.path.name}, from {where}, where {shown} is meant.", path=config,
        advice="Let it read caption files beside the pictures, or correct the caption there by hand.",
    )  # fmt: skip


def _first(captions: Captions, others: Captions) -> str:
    """The first caption that is not among the others, else the first, in quotes."""
    told = next((each for each in captions if each not in others), next(iter(captions), None))
    return "nothing" if told is None else repr(told) if len(captions) < 2 else f"{told!r} (of {len(captions)})"


def _some(pictures: list[Meant]) -> str:
    """How many, with the first by name."""
    count = len(pictures)
    return f"{count} picture{'s' * (count != 1)} ({pictures[0].source.name}{' ...' * (count > 1)})"
