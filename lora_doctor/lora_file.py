"""A .safetensors file -> LoraFile: what it adapts, by which kind of adapter, rank and scale, for which family."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from lora_doctor.errors import InputRefused
from lora_doctor.header_json import Limits
from lora_doctor.lora_alpha import adapter_fields, alpha_and_divisor
from lora_doctor.lora_family import family_of
from lora_doctor.lora_keys import PEFT_PREFIX, ParsedKey, parse_keys
from lora_doctor.lora_kinds import form_of, largest_rank
from lora_doctor.lora_peft_config import fields_beside
from lora_doctor.lora_settings import read_training_record
from lora_doctor.safetensors_header import Header, read_header, shown
from lora_doctor.safetensors_scan import scan
from lora_doctor.safetensors_values import INTEGERS, READABLE, read_tensor
from lora_doctor.types import FamilyGuess, LoraFile, LoraModule

_SAVE_AGAIN = "Save it again from the trainer, or choose an earlier checkpoint."
_WHOLE_NUMBERS = frozenset({"alpha", "on_input", "oft_R.scaled_oft"})
"""Parts that may be whole numbers."""
_SCALED_BY_PEFT = ("lora", "dora", "loha", "lokr")
_WITHOUT_SCALE = ("oft", "boft")
"""Kinds whose alpha is no scale but the constraint of a rotation, 0 = none."""


def holds_lora(path: Path) -> bool:
    """Whether any tensor of the file has a LoRA's name; its header alone is read.

    Raises InputRefused for anything that is not a sound safetensors file.
    """
    return bool(parse_keys(read_header(path).tensors))


def read_lora(path: Path, *, max_header: int | None = None) -> LoraFile:
    """The LoRA at `path`, read and understood; every tensor is looked at once.

    `max_header`: MiB of header that are read at most; None = `header_json.MAX_HEADER`.

    What is wrong with single modules or tensors is listed in `faults`, and those modules are left out of `modules`.
    Raises InputRefused for anything that is not a sound safetensors file with LoRA keys.
    """
    header = read_header(path, None if max_header is None else Limits(header=max_header * 2**20))
    parsed = parse_keys(header.tensors)
    if not parsed:
        what = f"holds no LoRA: none of its {len(header.tensors)} tensors has a LoRA's name."
        raise InputRefused(what, path=path, advice="Give the LoRA, not a checkpoint or an embedding.")
    shapes = {key: entry.shape for key, entry in header.tensors.items()}
    try:
        fields = adapter_fields(header.metadata) or fields_beside(path, parsed, shapes)
    except ValueError as error:
        raise InputRefused(f"{error}.", path=path, advice=_SAVE_AGAIN) from None
    scanned = scan(path, header)
    modules: list[LoraModule] = []
    faults: list[str] = []
    for parts in _by_module(parsed, faults):
        try:
            modules.append(_module(path, header, parts, fields))
        except ValueError as error:
            faults.append(str(error))
    guess = guess_family(modules)
    return LoraFile(
        path=path,
        sha256=scanned.sha256,
        size=header.size,
        format=Counter(found.layout for found in parsed.values()).most_common(1)[0][0],
        family=guess.family,
        variant=guess.variant,
        modules=tuple(modules),
        metadata=header.metadata,
        unknown_keys=tuple(key for key in header.tensors if key not in parsed),
        faults=tuple(faults),
        non_finite=_that_are_read(scanned.non_finite, modules),
        record=read_training_record(header.metadata, path),
    )


def guess_family(modules: Iterable[LoraModule]) -> FamilyGuess:
    """What the names and widths of a file's modules say about the model they belong to."""
    return family_of({(module.component, module.name): (module.inputs, module.outputs) for module in modules})


Parts = Mapping[str, tuple[str, ParsedKey]]
"""The parts of one module: part -> (key, what the key says)."""


def _by_module(parsed: Mapping[str, ParsedKey], faults: list[str]) -> Iterator[Parts]:
    """The keys by module. A part that two keys or two layouts give would be applied twice: it goes to `faults`."""
    modules: dict[tuple[str, str], dict[str, tuple[str, ParsedKey]]] = {}
    for key, found in parsed.items():
        parts = modules.setdefault((found.component, found.name.replace(".", "_")), {})
        if any(other.name != found.name for _, other in parts.values()):
            faults.append(f"it adapts {shown(found.name)} twice, under two names")
        elif found.part in parts:
            faults.append(f"it gives the {found.part} of {shown(found.name)} twice")
        else:
            parts[found.part] = (key, found)
    yield from modules.values()


def _module(path: Path, header: Header, parts: Parts, fields: Mapping[str, Any]) -> LoraModule:
    """One module, checked; `fields`: what is recorded of the adapter. Raises ValueError with what is wrong."""
    keys = {part: key for part, (key, _) in parts.items()}
    first = next(found for _, found in parts.values())
    name = shown(first.name)
    for part, key in keys.items():
        dtype = header.tensors[key].dtype
        if dtype in INTEGERS and part not in _WHOLE_NUMBERS:
            raise ValueError(f"the {part} factor of {name} is of whole numbers")
        if dtype not in READABLE:
            raise ValueError(f"the {part} of {name} is stored as {dtype}, which no LoRA is computed in")
    shapes = {part: header.tensors[key].shape for part, key in keys.items()}
    try:
        form = form_of(shapes)
    except ValueError as error:
        raise ValueError(f"module {name} has {error}") from None
    if form.kind == "lora" and fields.get(f"{first.component}.use_dora") is True:
        raise ValueError(f"module {name} has no magnitudes, though its metadata says it was trained with DoRA")
    stored = _stored_alpha(path, header, keys.get("alpha"), name)
    if "magnitude" in keys and first.layout == "kohya" and stored is None:  # in its other layout alpha is the rank
        raise ValueError(f"module {name} is a DoRA of ai-toolkit's, whose alpha is not in the file; add it as a tensor")
    if form.kind in _WITHOUT_SCALE:
        alpha = scale = stored or 0.0
    elif not (rank := form.rank or _peft_rank(form.kind, fields, first.component)):
        alpha, scale = 0.0, 1.0
    else:
        alpha, divisor = alpha_and_divisor(
            component=first.component, name=first.name, layout=first.layout, rank=rank, stored=stored,
            metadata=header.metadata, fields=fields,
        )  # fmt: skip
        scale = alpha / divisor
    bare = next(iter(keys.values())).startswith(PEFT_PREFIX) and stored is None
    bare = bare and "lora_alpha" not in header.metadata and f"{first.component}.lora_alpha" not in fields
    return LoraModule(
        component=first.component,
        name=first.name,
        flattened=first.layout == "kohya",
        kind=form.kind,
        rank=form.rank,
        alpha=alpha,
        scale=scale,
        outputs=form.outputs,
        inputs=form.inputs,
        kernel=form.kernel,
        scale_recorded=not (bare and form.kind in _SCALED_BY_PEFT),
        update_rank=largest_rank(shapes),
        keys=keys,
    )


def _peft_rank(kind: str, fields: Mapping[str, Any], component: str) -> int:
    """The r of peft's config for LoKr, which it scales by alpha / r also where both factors are whole; else 0."""
    rank = fields.get(f"{component}.r") if kind == "lokr" else None
    return rank if isinstance(rank, int) else 0


def _that_are_read(non_finite: Mapping[str, int], modules: Iterable[LoraModule]) -> Mapping[str, int]:
    """Without the alphas of modules that have no scale: ai-toolkit's LoKr has 1e10 there, an infinity in float16."""
    unread = {module.keys.get("alpha") for module in modules if not module.rank and module.kind not in _WITHOUT_SCALE}
    return {key: count for key, count in non_finite.items() if key not in unread}


def _stored_alpha(path: Path, header: Header, key: str | None, name: str) -> float | None:
    """The module's own alpha tensor, one number; None without one."""
    if key is None:
        return None
    values = read_tensor(path, header.tensors[key]).ravel()
    if values.size != 1:
        raise ValueError(f"the alpha of {name} is not one number")
    return float(values[0])
