"""Pictures of a folder as data URIs, for pages that load nothing."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Image:
    """A picture inside the page."""

    uri: str
    width: int
    height: int


class Album:
    """Reads pictures of a folder into data URIs, each once; never outside the folder, never with metadata."""

    _LARGEST, _SMALL, _BOMB = 256, 128, 64_000_000

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder.resolve() if folder is not None else None
        self._read: dict[str, Image | None] = {}

    def get(self, name: Any) -> Image | None:
        """The picture at the relative path `name`; None when there is none that can be read."""
        if self._folder is None or not isinstance(name, str):
            return None
        if name not in self._read:
            self._read[name] = self._load(self._folder, name)
        return self._read[name]

    def _load(self, folder: Path, name: str) -> Image | None:
        import PIL.Image

        try:
            path = (folder / name).resolve()
            if not path.is_relative_to(folder) or not path.is_file():
                return None
            with PIL.Image.open(path, formats=("PNG", "JPEG", "WEBP")) as opened:
                if opened.width * opened.height > self._BOMB:
                    return None
                pixels = opened.convert("RGB")
        except (OSError, ValueError, SyntaxError, PIL.Image.DecompressionBombError):
            return None
        pixels.thumbnail((self._LARGEST, self._LARGEST))
        clean = PIL.Image.new("RGB", pixels.size)
        clean.paste(pixels)
        # at 64 px an iris is three pixels wide: a lossy format would change the evidence
        lossless = max(clean.size) <= self._SMALL
        data = io.BytesIO()
        clean.save(data, "WEBP", lossless=lossless, quality=80, method=4)
        uri = "data:image/webp;base64," + base64.b64encode(data.getvalue()).decode()
        return Image(uri=uri, width=clean.width, height=clean.height)
