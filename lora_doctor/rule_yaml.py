"""The YAML of rule files, read fast: a hundred of them are read whenever something is judged.

ruamel.yaml, which changes training configs in place, takes 40 ms a file, libyaml 3 ms.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from lora_doctor.unique_yaml import parsed, unique

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
    return parsed(text, _loader())


@lru_cache(maxsize=1)
def _loader() -> Any:
    """PyYAML's safe loader with the scalars of YAML 1.2; in C where libyaml is there, as it is in every wheel."""
    import yaml

    loader = unique(getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    loader.yaml_implicit_resolvers = {}
    for tag, pattern, first in _SCALARS:
        loader.add_implicit_resolver(tag, re.compile(rf"^(?:{pattern})$"), first)
    loader.add_constructor("tag:yaml.org,2002:int", lambda loader, node: int(loader.construct_scalar(node)))
    return loader
