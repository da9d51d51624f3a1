"""peft's `adapter_config.json`: where `save_pretrained` leaves the scale that its LoRA file does not have.

Source: huggingface/peft `tuners/lora/config.py`, `tuners/loha/config.py`, `tuners/lokr/config.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lora_doctor.errors import InputRefused
from lora_doctor.lora_alpha import by_pattern
from lora_doctor.lora_keys import PEFT_PREFIX, ParsedKey
from lora_doctor.regular_file import opened, read_at

NAME = "adapter_config.json"
MAX_BYTES = 2**18
"""peft writes one or two KB, more only where patterns name many modules."""
_ALPHAS = {"LORA": "lora_alpha", "LOHA": "alpha", "LOKR": "alpha"}
_RANK_SIDE = {"LORA": "down", "LOHA": "hada_w1_b"}
"""peft's adapters -> the part whose first side is the rank."""
_FIELDS = ("r", "lora_alpha", "alpha_pattern", "use_rslora", "use_dora")


def fields_beside(
    path: Path, parsed: Mapping[str, ParsedKey], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, Any]:  # fmt: skip
    """What stands beside the file at `path`, named as by `lora_alpha.adapter_fields`; {} where it is not the file's.

    It is only where the file's keys are peft's own, and the ranks of all modules are those it says: a folder may hold
    other LoRAs too. `parsed`, `shapes`: of the file's keys. Raises ValueError for a pattern that is not understood.
    """
    own = {key: found for key, found in parsed.items() if key.startswith(PEFT_PREFIX)}
    config = _read(path.parent / NAME) if own else {}
    kind = config.get("peft_type")
    if kind not in _ALPHAS:
        return {}
    sides = ((found.name, shapes[key][0]) for key, found in own.items() if found.part == _RANK_SIDE.get(kind))
    if not _has_ranks(config, sides):
        return {}
    told = {**config, "lora_alpha": config.get(_ALPHAS[kind])}
    components = {found.component for found in own.values()}
    return {f"{each}.{name}": told[name] for each in components for name in _FIELDS if told.get(name) is not None}


def _has_ranks(config: Mapping[str, Any], sides: Iterable[tuple[str, int]]) -> bool:
    """Whether every (module, rank) is as the config says."""
    for name, rank in sides:
        patterned = by_pattern(config.get("rank_pattern"), name, "rank_pattern")
        if rank != (config.get("r") if patterned is None else patterned):
            return False
    return True


def _read(path: Path) -> dict[str, Any]:
    """The JSON object in a file; {} when there is none, or it is larger than peft's or no JSON object."""
    try:
        with opened(path) as descriptor:
            raw = read_at(descriptor, 0, MAX_BYTES + 1)
        found = json.loads(raw.decode("utf-8")) if len(raw) <= MAX_BYTES else {}
    except (InputRefused, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
