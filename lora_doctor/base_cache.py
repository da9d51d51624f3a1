"""Weight-0 pictures kept beside the runs: the next LoRA of the same base model and prompts need not render them again.

A cached picture must be the picture that rendering would give, to the bit. The last bits of a picture depend on the
batch it was made in, so a picture is known by the whole batch and its place in it, and by everything that changes the
arithmetic: the base model's files, how the pipeline is set up, the libraries, our own rendering, the device. Where
anything differs, nothing is found, and the batch is rendered.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_doctor.atomic_files import TEMPORARY, write_atomically
from lora_doctor.types import Cell

if TYPE_CHECKING:
    from PIL import Image

FOLDER_VARIABLE = "LORA_DOCTOR_CACHE"
"""Environment variable that names another folder than the user's own cache folder."""
LIMIT = 2 * 1024**3
"""Bytes; about 1,400 pictures of 1024 x 1024, 200,000 of the miniature."""
_KEPT = 0.9
"""Share of the limit that is left after clearing out, so that not every picture clears."""
_SUFFIX = ".picture"
_STALE = 3600
"""Seconds after which a file that is not finished was left by a process that is dead."""
_STEERING = (
    "OMP_",
    "MKL_",
    "KMP_",
    "ONEDNN_",
    "DNNL_",
    "ATEN_",
    "TORCH_",
    "PYTORCH_",
    "CUBLAS_",
    "CUDNN_",
    "NVIDIA_TF32",
)
"""How the names of environment variables start that can choose other arithmetic."""
_DIGEST = 32
"""Bytes of SHA-256 in front of the PNG: a damaged file is seen, and rendered again."""


def cache_folder() -> Path:
    """Where pictures are kept: `LORA_DOCTOR_CACHE`, else lora-doctor's folder in the user's cache folder."""
    if named := os.environ.get(FOLDER_VARIABLE):
        return Path(named).expanduser() / "base"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "lora-doctor" / "base"
    own = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(own).expanduser() / "lora-doctor" / "base"


class BaseCache:
    """Pictures of one base model under one way of rendering, in a folder that several processes may share.

    A picture appears whole or not at all, under a name that says all that went into it: whoever writes it second writes
    the same. A folder that cannot be read or written is no error: pictures are then rendered, or not kept.
    """

    def __init__(self, folder: Path, conditions: Mapping[str, Any], *, limit: int = LIMIT) -> None:
        """`conditions` (JSON-able) is all that changes a picture but its batch; `limit` in bytes."""
        self.folder, self._limit = folder, limit
        self._conditions = json.dumps(conditions, sort_keys=True, allow_nan=False)
        self._written: int | None = None
        self.hits = 0
        """Pictures found so far."""

    def get(self, batch: Sequence[Cell], batch_size: int) -> list[Image.Image] | None:
        """The pictures of a batch in its order, or None when one of them is not there, or not sound."""
        pictures = []
        for path in self._paths(batch, batch_size):
            picture = _read(path)
            if picture is None:
                return None
            pictures.append(picture)
        self.hits += len(pictures)
        return pictures

    def put(self, batch: Sequence[Cell], batch_size: int, pictures: Sequence[Image.Image | str]) -> None:
        """Keeps the pictures of a batch, unless one of them is none (a reason in its place); the oldest make room."""
        if any(isinstance(picture, str) for picture in pictures):
            return
        with suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            for path, picture in zip(self._paths(batch, batch_size), pictures, strict=True):
                if not isinstance(picture, str):
                    self._write(path, picture)
            self._make_room()

    def _paths(self, batch: Sequence[Cell], batch_size: int) -> list[Path]:
        """One file for each place in the batch; the weight and the cell's place in the matrix change no picture."""
        asked = [[cell.prompt, cell.negative_prompt, cell.seed] for cell in batch]
        whole = hashlib.sha256(json.dumps([self._conditions, batch_size, asked]).encode()).hexdigest()
        return [self.folder / f"{whole[:40]}-{place:03d}{_SUFFIX}" for place in range(len(batch))]

    def _write(self, path: Path, picture: Image.Image) -> None:
        buffer = io.BytesIO()
        picture.save(buffer, "PNG")
        content = hashlib.sha256(buffer.getvalue()).digest() + buffer.getvalue()
        write_atomically(path, content, durable=False)
        if self._written is not None:
            self._written += len(content)

    def _make_room(self) -> None:
        """Deletes what was not used for longest once the folder holds more than the limit."""
        if self._written is not None and self._written <= self._limit:
            return
        files = []
        for entry in os.scandir(self.folder):
            with suppress(OSError):  # another process clears too
                state = entry.stat()
                if entry.name.startswith(TEMPORARY) and state.st_mtime < time.time() - _STALE:
                    os.unlink(entry.path)
                elif entry.name.endswith(_SUFFIX):
                    files.append((state.st_mtime_ns, state.st_size, entry.path))
        total = sum(size for _, size, _ in files)
        if total > self._limit:
            for _, size, path in sorted(files):
                if total <= _KEPT * self._limit:
                    break
                with suppress(OSError):
                    os.unlink(path)
                total -= size
        self._written = total


def _read(path: Path) -> Image.Image | None:
    """A sound picture, marked as used now."""
    from PIL import Image

    try:
        content = path.read_bytes()
        if hashlib.sha256(content[_DIGEST:]).digest() != content[:_DIGEST]:
            path.unlink(missing_ok=True)
            return None
        picture = Image.open(io.BytesIO(content[_DIGEST:]), formats=("PNG",)).convert("RGB")
        os.utime(path)
    except (OSError, ValueError, SyntaxError):
        return None
    return picture


# ---------------------------------------------------------------- what changes a picture


def conditions_of(renderer: Any, base: Any) -> dict[str, Any] | None:
    """All that changes a weight-0 picture but its prompt, seed and batch; None where the base model cannot be told.

    `renderer` is a Renderer, `base` the Base it renders with. A model from the hub is told by its commit; files of
    one's own by name, size, times and inode, which a changed file cannot keep.
    """
    pipeline = renderer.pipeline
    files = _files_of(base.source)
    if files is None:
        return None
    return {
        "files": files,
        "options": {name: str(value) for name, value in base.options.items()},
        "pipeline": {"class": type(pipeline).__name__, "parts": _parts(pipeline)},
        "rendering": renderer.version,
        "picture": [renderer.steps, renderer.guidance, renderer.width, renderer.height],
        "arithmetic": _arithmetic(str(pipeline._execution_device), renderer.threads),
    }


def _files_of(source: Any) -> list[Any] | None:
    if source.commit:
        return ["commit", source.name, source.commit]
    roots = [Path(source.path), *([Path(source.config)] if source.config else [])]
    found = [path for root in roots for path in (sorted(root.rglob("*")) if root.is_dir() else [root])]
    try:
        states = [(path, path.stat()) for path in found if path.is_file()]
    except OSError:
        return None
    return [[str(path.resolve()), s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino] for path, s in states] or None


def _parts(pipeline: Any) -> dict[str, Any]:
    """Class, settings and precision of every part; how the decoder cuts a picture up; whether parts move."""
    told: dict[str, Any] = {}
    for name, part in sorted(pipeline.components.items()):
        if part is None:
            continue
        config = getattr(part, "config", None)
        told[name] = {
            "class": type(part).__name__,
            "config": _told(config),
            "precision": str(getattr(part, "dtype", "")),
            "cut": [tile_of(part), bool(getattr(part, "use_slicing", False))],
            "attention": sorted({type(p).__name__ for p in getattr(part, "attn_processors", {}).values()}),
            "moved": getattr(part, "_hf_hook", None) is not None,
        }  # fmt: skip
    return told


def tile_of(decoder: Any) -> int | bool:
    """Into which tiles it cuts a picture: their side in pixels, True = of its own, False = it does not."""
    if not getattr(decoder, "use_tiling", False):
        return False
    side = getattr(decoder, "tile_sample_min_size", None)
    return True if side is None else int(side)


def _told(config: Any) -> str:
    if isinstance(config, Mapping):
        return repr(sorted(config.items(), key=lambda item: str(item[0])))
    return str(config or "")


def _arithmetic(device: str, threads: int) -> dict[str, Any]:
    """Libraries, device and threads: sums are cut up differently among other numbers of threads."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    import torch

    versions = {}
    for package in ("torch", "diffusers", "transformers", "numpy", "pillow"):
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    told: dict[str, Any] = {
        "versions": versions,
        "device": device,
        "machine": [platform.machine(), _processor(), torch.backends.cpu.get_cpu_capability()],
        "threads": threads,
        "environment": {name: value for name, value in sorted(os.environ.items()) if name.startswith(_STEERING)},
        "switches": [
            torch.get_float32_matmul_precision(), torch.backends.cuda.matmul.allow_tf32,
            torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark,
            torch.are_deterministic_algorithms_enabled(), torch.backends.mkldnn.enabled,
        ],
    }  # fmt: skip
    if device.startswith("cuda"):
        cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
        told["card"] = [torch.cuda.get_device_name(device), str(torch.version.cuda), str(cudnn)]
    return told


def _processor() -> str:
    """The processor's model: a cache folder may lie on a disk that several machines share."""
    import platform

    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def open_base_cache(renderer: Any, base: Any, *, wanted: bool = True, folder: Path | None = None) -> BaseCache | None:
    """The cache for what `renderer` draws with `base`; None where it is not `wanted` or the base cannot be told."""
    conditions = conditions_of(renderer, base) if wanted else None
    return None if conditions is None else BaseCache(folder or cache_folder(), conditions)
