"""Lets a trainer's parser be imported without the libraries that only its training needs: what is absent is empty."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import re
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, ClassVar
from unittest.mock import MagicMock


class _Empty(ModuleType):
    """A module in which everything is there and nothing works."""

    __path__: ClassVar[list[str]] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return MagicMock(name=f"{self.__name__}.{name}")


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the libraries that turned out to be absent, and all of their parts."""

    def __init__(self) -> None:
        self.absent: set[str] = set()

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        """Empty modules for what is known to be absent."""
        if name.partition(".")[0] not in self.absent:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        """An empty one."""
        return _Empty(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing to run."""


_FINDER = _Finder()
sys.meta_path.append(_FINDER)


def load(name: str, *own: str) -> Any:
    """The trainer's module `name`; `own`: the top-level packages that are its own, and must be there."""
    return without_the_absent(lambda: importlib.import_module(name), *own)


def without_the_absent(action: Callable[[], Any], *own: str) -> Any:
    """What `action` gives, tried again with empty libraries in place of those that it turns out to lack.

    Names that installed libraries no longer have are empty too.
    """
    for _ in range(100):
        try:
            return action()
        except ModuleNotFoundError as error:
            missing = (error.name or "").partition(".")[0]
            if not missing or missing in own or missing in _FINDER.absent or missing in sys.modules:
                raise
            _FINDER.absent.add(missing)
        except ImportError as error:
            found = re.match(r"cannot import name '(\w+)' from '([\w.]+)'", str(error))
            if found is None or found[2].partition(".")[0] in own:
                raise
            setattr(sys.modules[found[2]], found[1], MagicMock(name=found[1]))
    raise ImportError("a hundred libraries are absent")
