"""ARCHITECTURE.md leads to every module, and to none that is gone."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "lora_doctor"
TEXT = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
TABLE = TEXT[TEXT.index("## Where is ...") : TEXT.index("## Imports")]
NAMED = {name.removeprefix("lora_doctor/") for name in re.findall(r"(?<![\w/>])[\w/]+\.py\b", TABLE)}


def test_every_module_stands_in_the_table() -> None:
    modules = {path.name for path in PACKAGE.glob("*.py")} - {"__init__.py"}
    assert modules - NAMED == set()


def test_every_file_in_the_table_is_there() -> None:
    """In a row, the folder of the first file may be left out of the next ones."""
    everywhere = {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py")}
    names = everywhere | {name.rpartition("/")[2] for name in everywhere}
    assert NAMED - names == set()
