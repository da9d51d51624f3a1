"""The run folder: SQLite and images; resumable, crash-safe, for one process at a time.

What a row says is true: an image is on the disk, whole and under its final name, before its row is written. Killed
anywhere, the next opening finds every finished cell and nothing half-made.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import re
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from lora_doctor.atomic_files import TEMPORARY, write_atomically
from lora_doctor.errors import EnvironmentFailure, InputRefused, UsageError
from lora_doctor.run_lock import lock, share
from lora_doctor.run_storage import disk_errors, open_database
from lora_doctor.types import Cell, FaceReading, PixelFacts, Reading, Render

if TYPE_CHECKING:
    from PIL import Image

DATABASE, IMAGES, LOCK = "run.sqlite", "images", "lock"
_ELSEWHERE = "Name another folder with --out, or delete this one."
_A_RUN = "Give the folder that `lora-doctor check` made."
_PLAIN_NAME = re.compile(r"[\w.-]{1,150}", re.ASCII)


def image_name(key: str) -> str:
    """Where a run folder keeps the picture of the cell with this key, as a relative path with `/`."""
    if _PLAIN_NAME.fullmatch(key):
        return f"{IMAGES}/{key}.png"
    plain = re.sub(r"[^\w.-]", "-", key, flags=re.ASCII)[:120]
    return f"{IMAGES}/{plain}-{hashlib.sha256(key.encode()).hexdigest()[:12]}.png"


def writable(path: Path) -> bool:
    """Whether this process may change the run in the folder `path`."""
    places = (path, path / IMAGES, path / DATABASE, path / LOCK)
    return all(os.access(place, os.W_OK) for place in places if place.exists())


class RunFolder:
    """One run's folder, open and locked until `close`, or the end of the `with` block, or of the process."""

    def __init__(self, path: Path, *, create: bool = True, write: bool = True) -> None:
        """Opens the run in the folder `path`; `create` makes one where there is nothing yet.

        With `create`, images that are gone or damaged are forgotten with all that was read from them, to be rendered
        again; whoever only reads a run leaves it as it is. Without `write` (and so without `create`) nothing in it is
        ever changed, it may lie where nothing can be written, and others may read it at the same time. Raises
        FolderBusy when another process has it open, InputRefused when it is no run folder (or, with `create`, a folder
        of something else), UsageError when a newer lora-doctor made it, EnvironmentFailure when the disk is full or
        fails.
        """
        assert write or not create
        self.path, self._write = path, write
        _refuse_strange_folder(path, create)
        self._made = [folder for folder in (path, *path.parents) if create and not folder.exists()]
        with disk_errors(path):
            if create:
                (path / IMAGES).mkdir(parents=True, exist_ok=True)
            self._lock = lock(path / LOCK) if write else share(path / LOCK)
            try:
                if write:
                    _clear_leftovers(path)
                self._database = open_database(path / DATABASE, write=write)
            except BaseException:
                self._release()
                raise
        try:
            self._cells, self._known = self._read_cells()
            if create:
                self._forget_damaged_images()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        """The folder itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes it; one that this opening made is taken away again where an error came before anything was stored, or
        a usage error before any picture."""
        unused = isinstance(error, UsageError) or (error is not None and self._made and not self._holds_anything())
        self.close()
        if self._made and unused and not any((self.path / IMAGES).iterdir()):
            shutil.rmtree(self.path, ignore_errors=True)
            with suppress(OSError):
                for parent in self._made[1:]:
                    parent.rmdir()

    def close(self) -> None:
        """Releases the folder; harmless when done twice."""
        self._database.close()
        self._release()

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.close()

    def _holds_anything(self) -> bool:
        """Whether a row was ever written; a disk that fails has not said no."""
        try:
            return any(self._run(f"SELECT 1 FROM {table} LIMIT 1") for table in ("documents", "readings", "cells"))
        except EnvironmentFailure:
            return True

    # ------------------------------------------------------------ the plan

    def refuse_other(self, fingerprint: Mapping[str, Any], *, free: Collection[str] = ()) -> None:
        """Raises UsageError, naming the first key that differs, when the folder was made under another fingerprint.

        Keys in `free` may differ. Nothing is written: what comes before the first plan may fail, and then binds nobody.
        """
        made_with, wanted = self.get_json("fingerprint"), json.loads(json.dumps(fingerprint, allow_nan=False))
        made_with = None if made_with is None else made_with | {key: wanted[key] for key in free if key in wanted}
        if made_with is not None and made_with != wanted:
            raise UsageError(_difference(made_with, wanted), path=self.path, advice=_ELSEWHERE)

    def put_plan(self, fingerprint: Mapping[str, Any], cells: Sequence[Cell], *, free: Collection[str] = ()) -> None:
        """Binds the folder to `fingerprint` (JSON-able: all that changes a render) and makes `cells` its plan.

        Keys in `free` may differ from the folder's, which stay those of its first renders. What came of cells that an
        earlier plan had is kept, and counts again when they are planned again. Raises UsageError, naming the first key
        that differs, when the folder was made under another fingerprint, or with another cell under the same key.
        """
        wanted = json.loads(json.dumps(fingerprint, allow_nan=False))
        plan = {cell.key: cell for cell in cells}
        known = plan | self._known
        with self._transaction():
            self.refuse_other(wanted, free=free)
            made_with = self.get_json("fingerprint") if self._run("SELECT 1 FROM renders LIMIT 1") else None
            kept = {key: made_with[key] for key in free if key in made_with} if made_with else {}
            self.put_json("fingerprint", wanted | kept)
            for cell in cells:
                if known[cell.key] != cell:
                    raise UsageError(f"was made with another cell {cell.key}.", path=self.path, advice=_ELSEWHERE)
            self._run("UPDATE cells SET position = NULL")
            for position, (key, cell) in enumerate(plan.items()):
                row = (key, position, json.dumps(dataclasses.asdict(cell)))
                self._run("REPLACE INTO cells (key, position, json) VALUES (?, ?, ?)", row)
        self._cells, self._known = plan, known

    def cells(self) -> tuple[Cell, ...]:
        """The plan, in its order."""
        return tuple(self._cells.values())

    def pending(self) -> tuple[Cell, ...]:
        """The cells of the plan that have neither an image nor a reason yet, in plan order."""
        done = {key for (key,) in self._run("SELECT key FROM renders")}
        return tuple(cell for key, cell in self._cells.items() if key not in done)

    # ------------------------------------------------------------ renders

    def image_path(self, cell: Cell) -> Path:
        """Where the cell's image is, or will be."""
        return self._image_of(cell.key)

    def save_image(self, cell: Cell, image: Image.Image) -> None:
        """Writes the image as PNG, durably, then its row. KeyError when the cell is not in the plan."""
        key = self._cells[cell.key].key
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        with disk_errors(self.path):
            write_atomically(self._image_of(key), buffer.getvalue())
        digest = hashlib.sha256(buffer.getvalue()).hexdigest()
        self._run("REPLACE INTO renders (key, sha256) VALUES (?, ?)", (key, digest))

    def save_missing(self, cell: Cell, reason: str) -> None:
        """Notes why there is no image. KeyError when the cell is not in the plan."""
        row = (self._cells[cell.key].key, json.dumps(reason))
        self._run("REPLACE INTO renders (key, reason) VALUES (?, ?)", row)

    def renders(self) -> list[Render]:
        """What came of every finished cell of the plan, in its order."""
        reasons = dict(self._run("SELECT key, reason FROM renders"))
        return [
            Render(cell=cell, image=None, reason=json.loads(reasons[key]))
            if reasons[key] is not None
            else Render(cell=cell, image=self._image_of(key))
            for key, cell in self._cells.items()
            if key in reasons
        ]

    # ------------------------------------------------------------ readings and documents

    def get_reading(self, kind: str, key: str) -> Reading | None:
        """The reading stored under (kind, key), or None."""
        rows = self._run("SELECT json, arrays FROM readings WHERE kind = ? AND key = ?", (kind, key))
        return _unpack(json.loads(rows[0][0]), rows[0][1]) if rows else None

    def get_readings(self, kind: str) -> dict[str, Reading]:
        """Key -> reading of all that is stored under `kind`."""
        rows = self._run("SELECT key, json, arrays FROM readings WHERE kind = ? ORDER BY key", (kind,))
        return {key: _unpack(json.loads(text), arrays) for key, text, arrays in rows}

    def put_reading(self, kind: str, key: str, reading: Reading) -> None:
        """Stores the reading under (kind, key), exactly, replacing an older one; not where the run is read alone."""
        if self._write:
            row = (kind, key, *_pack(reading))
            self._run("REPLACE INTO readings (kind, key, json, arrays) VALUES (?, ?, ?, ?)", row)

    def get_json(self, name: str) -> Any:
        """The value stored under `name`, or None."""
        rows = self._run("SELECT json FROM documents WHERE name = ?", (name,))
        return json.loads(rows[0][0]) if rows else None

    def put_json(self, name: str, value: Any) -> None:
        """Stores a JSON-able value under `name`, replacing an older one; ValueError for NaN or infinity."""
        self._run("REPLACE INTO documents (name, json) VALUES (?, ?)", (name, json.dumps(value, allow_nan=False)))

    def write_text(self, name: str, text: str) -> Path:
        """Writes the file `name` in the folder, whole or not at all, as UTF-8; what UTF-8 cannot say is escaped."""
        if not _PLAIN_NAME.fullmatch(name) or name.startswith((".", DATABASE)) or name in (IMAGES, LOCK):
            raise ValueError(f"{name!r} is no name for a file in a run folder")
        with disk_errors(self.path):
            write_atomically(self.path / name, text.encode("utf-8", errors="backslashreplace"))
        return self.path / name

    # ------------------------------------------------------------ inside

    def _run(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of one statement; what it writes is durable when it returns, outside a transaction."""
        with disk_errors(self.path):
            return self._database.execute(statement, values).fetchall()

    def _image_of(self, key: str) -> Path:
        return self.path / image_name(key)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._run("BEGIN IMMEDIATE")
        try:
            yield
            self._run("COMMIT")
        except BaseException:
            if self._database.in_transaction:  # SQLite has ended it by itself when the disk is full
                self._database.execute("ROLLBACK")
            raise

    def _read_cells(self) -> tuple[dict[str, Cell], dict[str, Cell]]:
        """The plan in its order, and every cell that ever was in one."""
        try:
            rows = self._run("SELECT position, json FROM cells ORDER BY position")
            cells = [(position, Cell(**json.loads(text))) for position, text in rows]
        except (TypeError, ValueError):
            raise InputRefused("is damaged: its plan cannot be read.", path=self.path, advice=_ELSEWHERE) from None
        known = {cell.key: cell for _, cell in cells}
        return {cell.key: cell for position, cell in cells if position is not None}, known

    def _forget_damaged_images(self) -> None:
        """An image that is gone or has changed is rendered and read again."""
        for key, digest in self._run("SELECT key, sha256 FROM renders WHERE sha256 IS NOT NULL"):
            content = _content(self._image_of(key))
            if content is None or hashlib.sha256(content).hexdigest() != digest:
                self._run("DELETE FROM readings WHERE key = ?", (key,))
                self._run("DELETE FROM renders WHERE key = ?", (key,))


def _content(image: Path) -> bytes | None:
    """What the file holds; None where there is none. A disk that does not give it is no reason to forget it."""
    try:
        return image.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        advice = "Mend that and run the same command again: it resumes."
        raise EnvironmentFailure(f"cannot be read: {error.strerror}.", path=image, advice=advice) from error


def _clear_leftovers(path: Path) -> None:
    """Takes away the files that a killed process did not finish."""
    for leftover in (*path.glob(f"{TEMPORARY}*"), *(path / IMAGES).glob(f"{TEMPORARY}*")):
        leftover.unlink(missing_ok=True)


def _refuse_strange_folder(path: Path, create: bool) -> None:
    """A run may be made in a new or empty folder, or one in which making a run was cut short."""
    if path.exists() and not path.is_dir():
        advice = "Name a folder with --out." if create else _A_RUN
        raise InputRefused("is not a folder.", path=path, advice=advice)
    if (path / DATABASE).is_file():
        return
    if not create:
        raise InputRefused("is not a run folder.", path=path, advice=_A_RUN)
    with disk_errors(path):
        names = {entry.name for entry in path.iterdir()} if path.exists() else set()
    if names - {IMAGES, LOCK}:
        what = "is not empty and not a run folder."
        raise InputRefused(what, path=path, advice="Name another folder with --out.")


def _difference(before: Any, after: Any, key: str = "") -> str:
    """The first difference between two fingerprints, in words."""
    if isinstance(before, dict) and isinstance(after, dict):
        changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
        return _difference(before.get(changed[0]), after.get(changed[0]), f"{key}.{changed[0]}" if key else changed[0])
    shown = [text if len(text) <= 60 else f"{text[:57]}..." for text in (json.dumps(before), json.dumps(after))]
    return f"was made with other settings: `{key}` was {shown[0]} and is {shown[1]} now."


def _pack(reading: Reading) -> tuple[str, bytes]:
    """A reading as JSON and an npz of its arrays; attribute names stay in the JSON, members are numbered."""
    import numpy as np

    face = reading.face
    arrays = {f"p{i}": value for i, value in enumerate(reading.probabilities.values())}
    arrays |= {} if reading.embedding is None else {"embedding": reading.embedding}
    arrays |= {} if face.embedding is None else {"face": face.embedding}
    arrays |= {} if face.closer is None else {"closer": face.closer}
    arrays |= {} if reading.body is None else {"body": reading.body}
    arrays |= {} if reading.sides is None else {"sides": reading.sides}
    arrays |= {f"i{i}": value for i, value in enumerate(reading.identities.values())}
    arrays |= {f"w{i}": value for i, value in enumerate(reading.witness.values())}
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]  # NumPy's stub takes the arrays for its flag
    fields = {
        "width": reading.width,
        "height": reading.height,
        "faces": face.faces,
        "score": face.score,
        "box": face.box,
        "landmarks": face.landmarks,
        "boxes": face.boxes,
        "rescued": face.rescued,
        "attributes": list(reading.probabilities),
        "identities": list(reading.identities),
        "witness": list(reading.witness),
        "pixels": None if reading.pixels is None else dataclasses.asdict(reading.pixels),
        "colours": dict(reading.colours),
    }
    return json.dumps(fields, default=lambda number: number.item()), buffer.getvalue()


def _unpack(fields: Mapping[str, Any], blob: bytes) -> Reading:
    import numpy as np

    with np.load(io.BytesIO(blob), allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    box, points, pixels = fields["box"], fields.get("landmarks"), fields.get("pixels")
    return Reading(
        width=fields["width"],
        height=fields["height"],
        face=FaceReading(
            faces=fields["faces"],
            score=fields["score"],
            box=None if box is None else (box[0], box[1], box[2], box[3]),
            embedding=arrays.get("face"),
            landmarks=None if points is None else tuple((x, y) for x, y in points),
            boxes=tuple((left, top, right, bottom) for left, top, right, bottom in fields.get("boxes", ())),
            rescued=fields.get("rescued", ""),
            closer=arrays.get("closer"),
        ),
        probabilities={name: arrays[f"p{i}"] for i, name in enumerate(fields["attributes"])},
        embedding=arrays.get("embedding"),
        identities={name: arrays[f"i{i}"] for i, name in enumerate(fields.get("identities", ()))},
        witness={name: arrays[f"w{i}"] for i, name in enumerate(fields.get("witness", ()))},
        body=arrays.get("body"),
        sides=arrays.get("sides"),
        pixels=None if pixels is None else PixelFacts(**{**pixels, "colour": tuple(pixels["colour"])}),
        colours={name: (row[0], row[1], row[2]) for name, row in fields.get("colours", {}).items()},
    )
