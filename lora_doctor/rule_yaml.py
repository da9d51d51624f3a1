"""The YAML of rule files, read fast: a hundred of them are read whenever something is judged.

ruamel.yaml, which changes training configs in place, takes 40 ms a file, libyaml 3 ms.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, ClassVar

_SCALARS = (
    ("tag:yaml.org,2002:null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("tag:yaml.org,2002:bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("tag:yaml.org,2002:int", r"[-+]?[0-9]+", list("-+0123456789")),
    ("tag:yaml.org,2002:float",
     r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
     list("-+.0123456789")),
)  # fmt: skip
"""The core schema of YAML 1.2 (section 10.3), where `no` and `on` are words; PyYAML has 1.1's."""


def parse_rule_yaml(text: str) -> Any:
    """The document as dicts, lists and scalars.

    Raises ValueError in one line, with the place, for what is no YAML and for a key that is named twice.
    """
    import yaml

    try:
        return yaml.load(text, Loader=_loader())
    except yaml.MarkedYAMLError as error:
        where = error.problem_mark
        at = f" in line {where.line + 1}, column {where.column + 1}" if where is not None else ""
        raise ValueError(f"{error.problem}{at}") from error
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error


@lru_cache(maxsize=1)
def _loader() -> Any:
    """PyYAML's safe loader with the scalars of YAML 1.2; in C where libyaml is there, as it is in every wheel."""
    import yaml

    safe: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class Loader(safe):  # type: ignore[misc]
        yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            seen = set()
            for key, _ in node.value:
                if (name := (key.tag, key.value if isinstance(key.value, str) else id(key))) in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key.value} is there twice", key.start_mark
                    )
                seen.add(name)
            return super().construct_mapping(node, deep)

    for tag, pattern, first in _SCALARS:
        Loader.add_implicit_resolver(tag, re.compile(rf"^(?:{pattern})$"), first)
    Loader.add_constructor("tag:yaml.org,2002:int", lambda loader, node: int(loader.construct_scalar(node)))
    return Loader
