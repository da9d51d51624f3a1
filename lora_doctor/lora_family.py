"""The family of the model that a LoRA adapts, from the names and widths of the modules it changes. Pure.

By elimination: a family stays possible as long as it has every module of the file, so a part of a LoRA may be told no
family, but never another one.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lora_doctor.lora_family_tables import FAMILIES, STRANGERS, Architecture, denoisers, fitting, flattened
from lora_doctor.types import FamilyGuess

UNKNOWN = "unknown"
_LEAST_BLOCKS = 5
"""Refiners and adapters are shorter stacks, which trainers leave alone."""
_CROSS_ATTENTION = re.compile(r"(?:down|up|mid|input|output|middle)_block.*attn2[._]to_[kv]\Z")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Seen:
    """One module of the file."""

    component: str
    name: str
    widths: tuple[int, int]
    models: frozenset[int]
    """Indices of the models that can have it."""

    def __str__(self) -> str:
        text = ascii(self.name)
        sides = " -> ".join(str(width) if width else "?" for width in self.widths)
        return f"{text if len(text) <= 80 else text[:76] + '...' + text[0]} ({sides})"


def family_of(widths: Mapping[tuple[str, str], tuple[int, int]]) -> FamilyGuess:
    """The family whose model has every module of a LoRA.

    `widths`: (component, module name) -> (input width, output width), channels for convolutions, 0 where the adapter
    does not tell. Components are `unet` or `transformer` (taken as one: trainers disagree), `text_encoder`,
    `text_encoder_2`, `text_encoder_3`; names are dotted or flattened.
    """
    known: list[_Seen] = []
    foreign: list[str] = []
    for (component, name), sizes in widths.items():
        models = fitting(component, name, sizes)
        if models is None:
            foreign.append(name)
        else:
            known.append(_Seen(component=component, name=name, widths=sizes, models=models))
    if len(foreign) >= len(known):
        return FamilyGuess(family=UNKNOWN, doubt=_foreign(foreign, len(widths)))
    common = frozenset.intersection(*(seen.models for seen in known))
    if not common:
        return FamilyGuess(family=UNKNOWN, doubt=_mixture(known))
    left = _ending_where_the_file_ends(common, known)
    families = _families(left)
    evidence = tuple(_evidence(known, common, left))
    candidates = tuple(family for family in families if family in FAMILIES)
    if len(families) > 1 or not candidates:
        doubt = f"modules of these names and widths are in {_listed(families, 'and in')}"
        return FamilyGuess(family=UNKNOWN, evidence=evidence, doubt=doubt, candidates=candidates)
    return FamilyGuess(
        family=families[0],
        variant=_variant(left),
        evidence=evidence,
        doubt=_foreign(foreign, len(widths)) if foreign else None,
        candidates=candidates,
    )


def _families(models: Iterable[int]) -> tuple[str, ...]:
    """Families of `models`, the commonest first."""
    return tuple(sorted({denoisers()[index].family for index in models}, key=(FAMILIES + STRANGERS).index))


def _variant(models: Iterable[int]) -> str | None:
    """The variant of `models`; of `14B` and `14B-i2v` the one that both are; None when they are of several sizes."""
    variants = {denoisers()[index].variant or "" for index in models}
    shortest = min(variants, key=len)
    return shortest if shortest and all(variant.startswith(shortest) for variant in variants) else None


def _ending_where_the_file_ends(models: frozenset[int], known: Iterable[_Seen]) -> frozenset[int]:
    """`models` without the longer ones, when the file changes every block of a shorter one in the same way.

    FLUX.1's blocks are the first ones of HunyuanVideo's, in names and widths; but nobody trains a LoRA on all blocks of
    HunyuanVideo except its last ones.
    """
    touched = _touched(known)
    filled = {index for index in models if _fills(denoisers()[index], touched)}
    longer = {index for index in models if filled and _is_longer(denoisers()[index], touched)}
    return models - longer


def _touched(known: Iterable[_Seen]) -> Mapping[str, Mapping[int, frozenset[str]]]:
    """Stack -> block -> what the file changes in it."""
    found: dict[str, dict[int, frozenset[str]]] = defaultdict(dict)
    for seen in known:
        template, numbers = flattened(seen.name)
        stack, number, rest = template.partition("_#_")
        if number and "#" not in stack and not seen.component.startswith("text_encoder"):
            blocks = found[stack]
            blocks[numbers[0]] = blocks.get(numbers[0], frozenset()) | {f"{rest} {numbers[1:]}"}
    return found


def _fills(model: Architecture, touched: Mapping[str, Mapping[int, frozenset[str]]]) -> bool:
    """Whether the file changes the same modules in every block of the model."""
    stacks = {stack: blocks for stack, blocks in model.stacks().items() if len(blocks) >= _LEAST_BLOCKS}
    return bool(stacks) and all(
        touched.get(stack, {}).keys() == blocks and len(set(touched[stack].values())) == 1
        for stack, blocks in stacks.items()
    )


def _is_longer(model: Architecture, touched: Mapping[str, Mapping[int, frozenset[str]]]) -> bool:
    """Whether the model has blocks beyond those the file changes."""
    stacks = model.stacks()
    return any(
        len(blocks) >= _LEAST_BLOCKS and blocks.keys() < stacks.get(stack, set()) for stack, blocks in touched.items()
    )


def _evidence(known: list[_Seen], common: frozenset[int], left: frozenset[int]) -> Iterable[str]:
    cross = {seen.widths[0] for seen in known if _CROSS_ATTENTION.search(seen.name)} - {0}
    if len(cross) == 1:
        yield f"cross-attention reads {cross.pop()}-wide text"
    rarest = min(known, key=lambda seen: len(_families(seen.models)))
    possible = _families(rarest.models)
    if len(possible) <= 3:
        yield f"{rarest} is a module of {_listed(possible, 'and')} only"
    if left != common:
        stacks = denoisers()[min(left)].stacks().items()
        ends = _listed([f"{stack} 0-{max(blocks)}" for stack, blocks in stacks if len(blocks) >= _LEAST_BLOCKS], "and")
        yield f"every block is changed alike and they end where {denoisers()[min(left)].family} ends: {ends}"
    yield f"{len(known)} modules, all of them known by name and width"


def _foreign(names: list[str], total: int) -> str:
    if not names:
        return "it changes no modules"
    return f"{len(names)} of its {total} modules, such as {ascii(names[0])[:80]}, are in no family that is known"


def _mixture(known: list[_Seen]) -> str:
    """Why no model has all of the modules."""
    nobody = next((seen for seen in known if not seen.models), None)
    if nobody is not None:
        return f"no family that is known has a module {nobody}"
    votes = Counter(family for seen in known for family in _families(seen.models))
    first = max(votes, key=lambda family: votes[family])
    rest = [seen for seen in known if first not in _families(seen.models)]
    if not rest:
        return f"its modules are those of several models of {first}"
    others = Counter(family for seen in rest for family in _families(seen.models))
    second = max(others, key=lambda family: others[family])
    return (
        f"it mixes families: {votes[first]} of its {len(known)} modules are {first}'s, but {len(rest)} are not, "
        f"such as {rest[0]} of {second}"
    )


def _listed(words: Iterable[str], link: str) -> str:
    """`a, b and c`."""
    *most, last = words
    return f"{', '.join(most)} {link} {last}" if most else last
