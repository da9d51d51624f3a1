"""The instruments, and what they see in the dataset and in the renders; readings are kept in the run folder."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lora_doctor.devices import machine_failures, resolved
from lora_doctor.errors import InputRefused, UsageError
from lora_doctor.extractors.body import embed_bodies
from lora_doctor.extractors.clip import head_crop
from lora_doctor.extractors.colours import read_colours
from lora_doctor.extractors.pixels import pixel_facts
from lora_doctor.extractors.sides import read_sides
from lora_doctor.face_limit import chosen_faces, least_face
from lora_doctor.face_views import NATIVE_FACE
from lora_doctor.identity_instruments import IdentityInstrument, open_face, open_identity
from lora_doctor.image_states import UNREADABLE
from lora_doctor.instrument_choice import ADVICE, MINIATURE, left_out
from lora_doctor.instrument_files import Announce, warn
from lora_doctor.labels import load_labels
from lora_doctor.plugins import data_folder
from lora_doctor.run_folder import RunFolder
from lora_doctor.settings import InstrumentSettings, Settings
from lora_doctor.types import Dataset, DatasetImage, LabelSet, Reading
from lora_doctor.upright import AS_STORED, reading_key, remark, turn_of, turned

Progress = Callable[[str, int, int], None]
"""Called with the stage's name, how much of it is done and how much there is."""
READ_AT_ONCE = 32
READING_VERSION = 7
"""Counted up when a reading holds more than it did, or another picture is read: older ones are then made again."""
LARGEST_SIDE = 2048
"""Pixels; larger pictures are made smaller before they are read: no instrument sees more, and 32 are held at once."""
THUMBNAIL = 192
"""Longest side, pixels, of dataset pictures in a private report."""
SHEET = 600
"""Pictures of a contact sheet at most."""


def silent(stage: str, done: int, total: int) -> None:
    """No progress shown."""


@dataclass(frozen=True, kw_only=True)
class Instruments:
    """The opened face and CLIP readers with the label sets they are asked about, and whatever else was named."""

    face: Any
    clip: Any
    label_sets: Mapping[str, LabelSet]
    identity: tuple[IdentityInstrument, ...] = ()
    """What else may measure identity."""
    tagger: Any = None
    body: Any = None

    @property
    def digest(self) -> str:
        """Names these instruments: readings made by others are not reused."""
        labels = repr(sorted(self.label_sets.items()))
        more = "".join(f"{name}{reader.digest}" for name, reader in self._more.items())
        text = f"{READING_VERSION}{self.face.digest}{self.clip.digest}{labels}{more}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def _more(self) -> dict[str, Any]:
        """What was named beside face and CLIP."""
        single = {"tagger": self.tagger, "body": self.body}
        return {one.name: one.reader for one in self.identity} | {k: v for k, v in single.items() if v is not None}

    @property
    def similarities(self) -> dict[str, Callable[[Any, Any], Any] | None]:
        """What else may measure identity, with what compares its embeddings (None = cosine)."""
        return {one.name: one.similarity for one in self.identity}

    @property
    def same_from(self) -> dict[str, float | None]:
        """Each that may measure identity -> the similarity from which two pictures show one person; None = not told."""
        readers = {self.face.name: self.face, **{one.name: one.reader for one in self.identity}}
        return {name: getattr(reader, "same_from", None) for name, reader in readers.items()}

    @property
    def described(self) -> dict[str, Any]:
        """Their names, hashes and licences, as records and reports tell them."""
        readers = {"face": self.face, "clip": self.clip, "tagger": self.tagger, "body": self.body}
        told = {
            key: {"name": reader.name, "licence": reader.licence, "sha256": reader.digest}
            for key, reader in readers.items()
            if reader is not None
        }
        return told | {one.name: one.described for one in self.identity}

    def read(self, images: Sequence[Any]) -> list[Reading]:
        """Everything the instruments see in some pictures (PIL, RGB).

        EnvironmentFailure when memory runs out, or the GPU fails.
        """
        with machine_failures("the instruments read pictures"):
            return self._seen(images)

    def _seen(self, images: Sequence[Any]) -> list[Reading]:
        faces = self.face.read(images)
        seen = self.clip.read(images, faces, self.label_sets)
        readings = [
            Reading(
                width=image.width,
                height=image.height,
                face=face,
                probabilities=probabilities,
                embedding=embedding,
                pixels=pixel_facts(image),
                colours=read_colours(image, face),
                sides=read_sides(image, face),
            )
            for image, face, (probabilities, embedding) in zip(images, faces, seen, strict=True)
        ]
        return self._read_more(images, faces, readings) if self._more else readings

    def _read_more(self, images: Sequence[Any], faces: Sequence[Any], readings: Sequence[Reading]) -> list[Reading]:
        """The readings with what the other instruments see."""
        told = {one.name: one.identify(images, faces) for one in self.identity}
        nothing: list[Any] = [None] * len(images)
        heads = [head_crop(image, face) for image, face in zip(images, faces, strict=True)]
        tags = self.tagger.read(images, heads, self.label_sets) if self.tagger is not None else [{} for _ in images]
        bodies = embed_bodies(self.body, images, faces) if self.body is not None else nothing
        return [
            replace(
                reading, witness=tags[i], body=bodies[i],
                identities={name: rows[i] for name, rows in told.items() if rows[i] is not None},
            )
            for i, reading in enumerate(readings)
        ]  # fmt: skip


@machine_failures("the instruments are opened")
def open_instruments(settings: Settings, announce: Announce = warn) -> Instruments:
    """The instruments that the settings name; `announce` is told in a sentence what is about to be downloaded.

    Raises what their loaders raise, UsageError when face or CLIP is not named, or two of `identity` have one name,
    EnvironmentFailure when memory runs out or the GPU fails.
    """
    from lora_doctor.extractors import clip, dino, tagger

    names = settings.instruments
    if names.face is None or names.clip is None:
        raise UsageError(f"{left_out(names)}.", advice=ADVICE)
    device = resolved(settings.device)
    face_source = data_folder(MINIATURE) / "face" if names.face == MINIATURE else names.face
    clip_source = data_folder(MINIATURE) / "clip" if names.clip == MINIATURE else names.clip
    seer = clip.load(clip_source, device, announce)
    identity = tuple(open_identity(text, device, announce, same_clip=seer) for text in names.identity)
    found = open_face(face_source, device, announce)
    if len({found.name, *(one.name for one in identity)}) <= len(identity):
        raise UsageError("two of `instruments.identity` have the same name.", advice="Rename one of their folders.")
    body: Any = seer if names.body == "clip" else None
    if names.body not in ("clip", "none"):
        body = dino.load(names.body, device, announce)
    return Instruments(
        face=found, clip=seer, label_sets=label_sets_of(names), identity=identity,
        tagger=None if names.tagger is None else tagger.load(names.tagger, device, announce),
        body=body,
    )  # fmt: skip


def label_sets_of(names: InstrumentSettings) -> dict[str, LabelSet]:
    """What CLIP is asked about: the user's own file, the one in its folder, else rules/labels/character.toml.

    Raises UsageError for a file that cannot be read.
    """
    folder = None if names.clip is None else data_folder(MINIATURE) / "clip" if names.clip == MINIATURE else names.clip
    beside = None if folder is None else Path(folder) / "labels.toml"
    usual = beside if beside is not None and beside.is_file() else data_folder("rules") / "labels" / "character.toml"
    return load_labels(names.labels or usual)


def read_dataset_pictures(
    dataset: Dataset, instruments: Instruments, run: RunFolder, progress: Progress
) -> tuple[Reading | None, ...]:
    """A reading per dataset image, turned as `upright` says.

    None for a picture that is not looked at, and for one that has become unreadable since the dataset was surveyed.
    """
    turns = [(image, turn_of(dataset, image)) for image in dataset.images]
    pictures = [(reading_key(dataset, image), image.path, turn) for image, turn in turns if turn is not None]
    known = _read(f"dataset-{instruments.digest}", pictures, instruments, run, progress, "reading the dataset")
    return tuple(None if turn is None else known.get(reading_key(dataset, image)) for image, turn in turns)


def read_references(
    dataset: Dataset, instruments: Instruments, run: RunFolder, progress: Progress
) -> tuple[Reading | None, ...]:
    """A reading per dataset image; InputRefused when not one shows a face."""
    readings = read_dataset_pictures(dataset, instruments, run, progress)
    if not any(reading is not None and (reading.face.faces or reading.identities) for reading in readings):
        lying = remark(dataset)
        raise InputRefused(
            f"the face instrument `{instruments.face.name}` finds no face in any of {len(dataset.images)} pictures"
            f"{'' if lying is None else f' ({lying})'}.",
            path=dataset.path,
            advice="Check that it is the dataset the LoRA was trained on, or set [instruments] face.",
        )
    return readings


def read_redrawn(
    dataset: Dataset, chosen: Sequence[int], redraw: Callable[[Any], Any], instruments: Instruments, run: RunFolder,
    progress: Progress, *, drawn_by: str,
) -> dict[int, Reading]:  # fmt: skip
    """Index of each `chosen` dataset picture -> reading of what `redraw` (PIL -> PIL or None) makes of it.

    `drawn_by` names what redraws: readings of pictures that another base model, or another size, made are not reused.

    From the run folder where all are there, else all made now: a reading's last bits depend on its company.
    """
    kind = f"redrawn-{instruments.digest}-{drawn_by}"
    keys = {index: reading_key(dataset, dataset.images[index]) for index in chosen}
    stored = {index: run.get_reading(kind, key) for index, key in keys.items()}
    if any(reading is None for reading in stored.values()):
        drawn: dict[int, Any] = {}
        for done, index in enumerate(chosen):
            progress("redrawing the dataset", done, len(chosen))
            opened = _looked_at(dataset, dataset.images[index])
            made = None if opened is None else redraw(opened)
            drawn |= {} if made is None else {index: made}
        progress("redrawing the dataset", len(chosen), len(chosen))
        stored = dict(zip(drawn, instruments.read(list(drawn.values())) if drawn else [], strict=True))
        for index, reading in stored.items():
            if reading is not None:
                run.put_reading(kind, keys[index], reading)
    return {index: reading for index, reading in stored.items() if reading is not None}


def least_face_of(
    dataset: Dataset, references: Sequence[Reading | None], instruments: Instruments, run: RunFolder
) -> float:
    """Pixels, shorter side, of the smallest face that the face instrument tells: measured on the dataset's own, once.

    Where the dataset has too few large faces for that, what the instrument is commonly used for.
    """
    pictures = hashlib.sha256("".join(reading_key(dataset, image) for image in dataset.images).encode()).hexdigest()[
        :16
    ]
    name = f"least-face-{instruments.digest}-{pictures}"
    known = run.get_json(name)
    if known is None:
        faces = [None if one is None else one.face for one in references]
        chosen = [(face, place) for place in chosen_faces(faces) if (face := faces[place]) is not None]
        opened = [(face, _looked_at(dataset, dataset.images[place])) for face, place in chosen]
        seen = [(face, picture) for face, picture in opened if picture is not None]
        measured = least_face(instruments.face, [picture for _, picture in seen], [face for face, _ in seen])
        known = getattr(instruments.face, "least_face", NATIVE_FACE) if measured is None else measured
        run.put_json(name, known)
    return float(known)


def read_renders(
    run: RunFolder, instruments: Instruments, progress: Progress
) -> tuple[dict[str, Reading], dict[str, str]]:
    """Cell key -> reading of every render of the run, and cell key -> reason of every render that is missing."""
    renders = run.renders()
    missing = {r.cell.key: r.reason or "no image" for r in renders if r.image is None}
    drawn = [(r.cell.key, r.image, AS_STORED) for r in renders if r.image is not None]
    readings = _read(f"render-{instruments.digest}", drawn, instruments, run, progress, "reading the renders")
    unreadable = {key: UNREADABLE for key, _, _ in drawn if key not in readings}
    return readings, missing | unreadable


def _read(
    kind: str, pictures: Sequence[tuple[str, Path, int]], instruments: Instruments, run: RunFolder, progress: Progress,
    stage: str,
) -> dict[str, Reading]:  # fmt: skip
    """Key -> reading of each (key, path, turn), from the run folder or made now.

    In batches cut from all the pictures, and a batch is read whole: a reading's last bits depend on its company.
    """
    readings: dict[str, Reading] = {}
    for start in range(0, len(pictures), READ_AT_ONCE):
        batch = pictures[start : start + READ_AT_ONCE]
        stored = {key: run.get_reading(kind, key) for key, _, _ in batch}
        if any(reading is None for reading in stored.values()):
            opened = [(key, _opened(path, turn)) for key, path, turn in batch]
            seen = [(key, picture) for key, picture in opened if picture is not None]
            fresh = instruments.read([picture for _, picture in seen]) if seen else []
            for (key, _), reading in zip(seen, fresh, strict=True):
                if stored[key] is None:
                    run.put_reading(kind, key, reading)
                    stored[key] = reading
        readings |= {key: reading for key, reading in stored.items() if reading is not None}
        progress(stage, start + len(batch), len(pictures))
    return readings


def _looked_at(dataset: Dataset, image: DatasetImage) -> Any:
    """The picture as the instruments see it; as it is stored where they are not shown it."""
    return _opened(image.path, turn_of(dataset, image) or AS_STORED)


def _opened(path: Path, turn: int = AS_STORED) -> Any:
    """The picture (PIL, RGB), turned by an EXIF orientation, no side above `LARGEST_SIDE`; None if not decodable."""
    from PIL import Image

    try:
        with Image.open(path) as opened:
            opened.draft("RGB", (LARGEST_SIDE, LARGEST_SIDE))  # JPEG: decoded small at once
            picture = opened.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):  # what Pillow raises for damaged files
        return None
    picture.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
    return turned(picture, turn)


def save_thumbnails(dataset: Dataset, run: RunFolder) -> list[str]:
    """Small copies of the dataset's first `SHEET` pictures in the run folder, for private reports."""
    from PIL import Image

    folder = run.path / "dataset"
    folder.mkdir(exist_ok=True)
    names = [f"dataset/{number:04d}.png" for number in range(min(SHEET, len(dataset.images)))]
    for name, image in zip(names, dataset.images, strict=False):
        turn = turn_of(dataset, image) or AS_STORED
        picture = turned(Image.open(image.path).convert("RGB"), turn)
        picture.thumbnail((THUMBNAIL, THUMBNAIL))
        picture.save(run.path / name)
    return names
