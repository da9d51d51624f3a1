"""What every YAML here is read with: PyYAML, errors in one line, and no key twice in one table."""

from __future__ import annotations

from typing import Any


def parsed(text: str, loader: Any) -> Any:
    """The document as dicts, lists and scalars, read by a loader class of PyYAML's.

    Raises ValueError in one line, with the place, for what is no YAML and for a key that is named twice.
    """
    import yaml

    try:
        return yaml.load(text, Loader=loader)
    except yaml.MarkedYAMLError as error:
        where = error.problem_mark
        at = f" in line {where.line + 1}, column {where.column + 1}" if where is not None else ""
        raise ValueError(f"{error.problem}{at}") from error
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error


def unique(safe: Any) -> Any:
    """A loader class of its own that does as `safe` does, and refuses a key that is named twice in one table."""

    class Loader(safe):  # type: ignore[misc]
        def flatten_mapping(self, node: Any) -> None:
            """Before the tables that it merges are written into it, which may say what it says itself."""
            known = self.__dict__.setdefault("known_tables", {})
            if id(node) not in known:
                known[id(node)] = node
                _refuse_twice(node)
            super().flatten_mapping(node)

    return Loader


def _refuse_twice(node: Any) -> None:
    import yaml

    seen = set()
    for key, _ in node.value:
        if (name := (key.tag, key.value if isinstance(key.value, str) else id(key))) in seen:
            raise yaml.constructor.ConstructorError(None, None, f"the key {key.value} is there twice", key.start_mark)
        seen.add(name)
