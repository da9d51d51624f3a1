"""The YAML of training configs, as ai-toolkit, the trainer that has such configs, reads it: PyYAML's YAML 1.1.

There `off` and `no` are false, `010` is eight, and a later YAML would read words and ten. Numbers such as `1e-4` are
numbers, which in PyYAML alone they are not. Source: `toolkit/config.py` of ostris/ai-toolkit.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from lora_doctor.unique_yaml import parsed, unique

_EXPONENT = r"[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+|[-+]?[0-9][0-9_]*\.[0-9_]*[eE][-+]?[0-9]+"
"""Numbers with an exponent, with and without the dot or the sign that PyYAML's own pattern asks for."""


def parse_trainer_yaml(text: str) -> Any:
    """The document as dicts, lists and scalars.

    Raises ValueError in one line for what is no YAML, for a key that is named twice (the trainer takes the last, and
    whoever wrote it may have meant the first) and for a table or list as a key; RecursionError for what nests too deep.
    """
    try:
        return parsed(text, _loader())
    except (TypeError, AttributeError, LookupError, OverflowError) as error:  # of the types that it builds
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from error


@lru_cache(maxsize=1)
def _loader() -> Any:
    import yaml

    loader = unique(yaml.SafeLoader)  # the one in C differs in what it takes for a text
    loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(rf"^(?:{_EXPONENT})$"), list("-+0123456789"))
    return loader
