"""The whole plug-in system: a file in a sub-package is a plug-in, its file name is its name."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path
from types import ModuleType

from lora_doctor.errors import EnvironmentFailure

PACKAGE = Path(__file__).parent
_IN_REPOSITORY = {"miniature": "fixtures/miniature"}
"""Data folders whose place in the repository differs from their name; all others are `<repository>/<name>`."""


def find(folder: str, *, needs: str | None = None) -> dict[str, ModuleType]:
    """The modules of the sub-package `lora_doctor.<folder>`, by file name, in alphabetical order.

    Names that start with `_` are private and left out. `needs` names a function: a module without it is no plug-in
    (for example `metrics/intervals.py`, which has no `measure`) and is left out too.
    """
    package = importlib.import_module(f"lora_doctor.{folder}")
    names = sorted(module.name for module in pkgutil.iter_modules(package.__path__) if not module.name.startswith("_"))
    modules = {name: importlib.import_module(f"lora_doctor.{folder}.{name}") for name in names}
    return {name: module for name, module in modules.items() if needs is None or callable(getattr(module, needs, None))}


def data_folder(name: str) -> Path:
    """Where the data called `name` (`rules`, `reports` or `miniature`) lies.

    That is in the installed package, else in the repository. Raises EnvironmentFailure when neither has it.
    """
    for folder in (PACKAGE / name, PACKAGE.parent / _IN_REPOSITORY.get(name, name)):
        if folder.is_dir():
            return folder
    raise EnvironmentFailure(f"this installation lacks its {name} folder.", advice="Install lora-doctor again.")
