"""Attributes with a danbooru tagger in the WD14 form: a second witness beside CLIP, which is weak at naming colours."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_doctor.devices import onnx_providers
from lora_doctor.errors import InputRefused
from lora_doctor.instrument_files import Announce, digest, from_folder, from_hub, warn
from lora_doctor.types import LabelSet

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    Array = np.ndarray[Any, Any]

NAME = "wd-vit-tagger-v3"
OWNER = "SmilingWolf"
FILES = ("model.onnx", "selected_tags.csv")
LICENCE = "Apache-2.0"
BATCH = 8
LARGEST_SIDE = 1024
"""Pixels: a network that asks for more asks for the machine's memory."""


class TaggerReader:
    """Reads the probabilities of danbooru tags off pictures."""

    def __init__(self, session: Any, tags: Sequence[str], side: int, name: str, licence: str, digest: str) -> None:
        self._session, self._side = session, side
        self._columns = {tag: number for number, tag in enumerate(tags)}
        self.name, self.licence, self.digest = name, licence, digest

    def covers(self, labels: LabelSet) -> bool:
        """Whether every label of the set is a tag: a closed set with a gap in it cannot be read."""
        return all(_tag(label) in self._columns for label in labels.labels)

    def read(
        self, images: Sequence[Image.Image], heads: Sequence[Image.Image], label_sets: Mapping[str, LabelSet]
    ) -> list[dict[str, Array]]:
        """For each image: attribute -> (labels,) probabilities that sum to 1, of the label sets it covers.

        `heads` are the same pictures' heads, for attributes that are asked of the head.
        """
        asked = {name: labels for name, labels in label_sets.items() if self.covers(labels)}
        whole = self.tags(images) if any(s.crop == "whole" for s in asked.values()) else None
        head = self.tags(heads) if any(s.crop == "head" for s in asked.values()) else None
        tables = {
            name: closed(table[:, [self._columns[_tag(label)] for label in labels.labels]])
            for name, labels in asked.items()
            if (table := head if labels.crop == "head" else whole) is not None
        }
        return [{name: table[i] for name, table in tables.items()} for i in range(len(images))]

    def tags(self, images: Sequence[Image.Image]) -> Array:
        """(images, tags) float32: the probability of each tag by itself, in the order of selected_tags.csv."""
        import numpy as np

        rows = []
        for start in range(0, len(images), BATCH):
            batch = np.stack([self._prepared(image) for image in images[start : start + BATCH]])
            rows.append(self._session.run(None, {self._session.get_inputs()[0].name: batch})[0])
        return np.concatenate(rows).astype(np.float32)

    def _prepared(self, image: Image.Image) -> Array:
        """(side, side, 3) float32, blue before red, 0 to 255: the whole picture on a white square."""
        import numpy as np
        from PIL import Image

        square = Image.new("RGB", (max(image.size),) * 2, (255, 255, 255))
        square.paste(image.convert("RGB"), ((square.width - image.width) // 2, (square.height - image.height) // 2))
        square = square.resize((self._side, self._side), Image.Resampling.BICUBIC)
        return np.ascontiguousarray(np.asarray(square, np.float32)[:, :, ::-1])


def closed(tags: Array) -> Array:
    """Probabilities of single tags (..., labels) -> probabilities over the closed set, which sum to 1.

    What the tags leave of 1 is shared out evenly: where no tag is seen (closed eyes) the answer is no answer, and where
    one is certain it is certain.
    """
    import numpy as np

    total = tags.sum(axis=-1, keepdims=True)
    unseen = np.maximum(0.0, 1.0 - total)
    shares: Array = (tags + unseen / tags.shape[-1]) / (total + unseen)
    return shares.astype(np.float32)


def _tag(label: str) -> str:
    return label.strip().lower().replace(" ", "_")


def load(source: str | Path = NAME, device: str = "cpu", announce: Announce = warn) -> TaggerReader:
    """Open a folder with model.onnx and selected_tags.csv, or a tagger of SmilingWolf's (or any hub id) by name.

    Fetched on first use. Raises InputRefused for a folder that is no such tagger, EnvironmentFailure when it cannot be
    fetched.
    """
    import onnxruntime

    folder = Path(source)
    local = folder.is_dir()
    repo = str(source) if "/" in str(source) else f"{OWNER}/{source}"
    licence = "see the folder" if local else LICENCE if repo.startswith(f"{OWNER}/") else "see the model card"
    files = (
        from_folder(folder, FILES, "a tagger") if local
        else from_hub([(repo, name) for name in FILES], f"the tagger {repo}", licence, announce)
    )  # fmt: skip
    advice = f"A tagger needs {' and '.join(FILES)} of one model, in the form of SmilingWolf's."
    providers = onnx_providers(device)
    tags = _tags(files[1], advice)
    try:
        session = onnxruntime.InferenceSession(str(files[0]), providers=providers)
        side = _side(session.get_inputs()[0].shape)
        reader = TaggerReader(session, tags, side, folder.name if local else repo, licence, digest(files))
        _try(reader, len(tags))
    except Exception as error:  # onnxruntime raises classes of its own for each kind of damage
        why = f" ({error})" if isinstance(error, ValueError) else ""
        raise InputRefused(f"cannot be read as a tagger{why}.", path=files[0], advice=advice) from error
    return reader


def _tags(path: Path, advice: str) -> list[str]:
    """The column `name` of every row; InputRefused where there is none."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            names = [row["name"] for row in csv.DictReader(file)]
    except (OSError, UnicodeDecodeError, csv.Error, KeyError) as error:
        raise InputRefused("is no list of tags.", path=path, advice=advice) from error
    if not names or not all(names):
        raise InputRefused("is no list of tags.", path=path, advice=advice)
    return names


def _side(shape: Sequence[Any]) -> int:
    """Of (batch, side, side, 3); ValueError for another layout."""
    if len(shape) != 4 or shape[3] != 3 or shape[1] != shape[2] or not 0 < int(shape[1]) <= LARGEST_SIDE:
        raise ValueError(f"it takes pictures of shape {list(shape)}, not (batch, side, side, 3)")
    return int(shape[1])


def _try(reader: TaggerReader, count: int) -> None:
    """A grey picture: a list that is off by one row would shift every tag."""
    from PIL import Image

    row = reader.tags([Image.new("RGB", (8, 8), (128, 128, 128))])[0]
    if len(row) != count:
        raise ValueError(f"it knows {len(row)} tags, and the list has {count}")
    if not ((row >= 0) & (row <= 1)).all():
        raise ValueError("its outputs are no probabilities")
