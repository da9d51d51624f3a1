"""Puts a config of `written/` and the folders it names into a folder of their own."""

from __future__ import annotations

from pathlib import Path

from lora_doctor.dataset_layout import layout_of
from lora_doctor.types import Layout

WRITTEN = Path(__file__).parent / "written"
NAMES = tuple(sorted(path.name for path in WRITTEN.iterdir()))


def folders(root: Path, *names: str) -> None:
    """Folders with a picture and a caption in each; nothing is ever decoded here."""
    for name in names:
        (root / name).mkdir(parents=True, exist_ok=True)
        (root / name / "01.png").write_bytes(b"")
        (root / name / "01.txt").write_text("1girl, yuki_nk", encoding="utf-8")


def lay_out(root: Path, name: str, *names: str) -> Path:
    """The config called `name`, in `root`, beside the folders `names`."""
    folders(root, *names)
    path = root / name
    path.write_text((WRITTEN / name).read_text(encoding="utf-8"), encoding="utf-8")
    return path


def written(root: Path, name: str, text: str, *names: str) -> Layout:
    """The layout of a config with this text."""
    folders(root, *names)
    (root / name).write_text(text, encoding="utf-8")
    return layout_of(root / name)


def noted(layout: Layout, words: str) -> bool:
    """Whether one of the notes says these words."""
    return any(words in note for note in layout.notes)
