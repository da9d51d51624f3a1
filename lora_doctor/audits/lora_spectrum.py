"""The LoRA file's weight updates: their size and the shape of their singular values, without rendering anything.

Weight space alone judges nothing; it tells causes of one symptom apart (a flat spectrum near that of random factors is
an update that was hardly trained; one that uses its whole rank wants more).
"""

from __future__ import annotations

import math
import re
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from lora_doctor.lora_tensors import read_parts
from lora_doctor.singular_values import NEEDS_BASE, effective_ranks, null_stable_rank, update_singular_values
from lora_doctor.types import Case, LoraFile, LoraModule, Measurement, ModuleSpectrum
from lora_doctor.untouched import changes_nothing

DEAD = 1e-3
"""A module whose norm is below this share of the median was not trained: it is noise of storage."""
STEPS = (1, 2, 4, 8, 16, 32)
"""How many of the strongest directions the energy curve is told for."""
_BLOCK = re.compile(
    r"(?:(?:input|output|down|up|double|single|joint|transformer|single_transformer)_blocks|layers|blocks)[._]\d+"
    r"|middle_block|mid_block|(?:noise|context)_refiner"
)

_LAYER = re.compile(r"encoder[._]layers[._](\d+)[._]")
"""Of a CLIP text encoder."""


def audit(case: Case) -> list[Measurement]:
    """`spectrum.*` of every module; those whose update needs the base model are left out and counted in the reason.

    Nothing without a LoRA. Raises InputRefused when the file cannot be read or has changed.
    """
    return [] if case.lora is None else summarise(case.lora, spectra(case.lora), case.training.clip_skip)


def spectra(lora: LoraFile, limit: int | None = None) -> tuple[ModuleSpectrum, ...]:
    """The spectrum of every module that has one, exact; with `limit`, of that many modules spread over the file."""
    modules = [module for module in lora.modules if module.kind not in NEEDS_BASE]
    modules = [module for module in modules if not lora.non_finite.keys() & set(module.keys.values())]
    if limit is not None and len(modules) > limit:
        modules = [modules[round(index * (len(modules) - 1) / (limit - 1))] for index in range(limit)]
    found = (_spectrum(lora, module) for module in modules)
    return tuple(each for each in found if each is not None)


def _spectrum(lora: LoraFile, module: LoraModule) -> ModuleSpectrum | None:
    parts = read_parts(lora, module)
    sigma = update_singular_values(module.kind, parts, module.scale)
    if sigma is None:
        return None
    norm = math.sqrt(float((sigma**2).sum()))
    entropy_rank, k90, stable = effective_ranks(sigma) if norm else (0.0, 0, 0.0)
    energy = (sigma**2 / norm**2).cumsum() if norm else sigma
    outputs, inputs = (len(parts["up"]), _inputs(parts)) if "up" in parts else (module.outputs, module.inputs)
    return ModuleSpectrum(
        component=module.component, name=module.name, kind=module.kind, rank=module.rank, norm=norm,
        largest=float(sigma[0]) if len(sigma) else 0.0, stable_rank=stable, entropy_rank=entropy_rank, k90=k90,
        energy={step: float(energy[min(step, len(energy)) - 1]) for step in STEPS} if norm else {},
        outputs=outputs, inputs=inputs,
    )  # fmt: skip


def _inputs(parts: Mapping[str, Any]) -> int:
    """Inputs times kernel of a product of factors."""
    kernel = parts["mid"][0, 0].size if "mid" in parts else 1
    return int(parts["down"][0].size * kernel)


def block_of(name: str) -> str:
    """The block of the model that a module lies in, with its number; `other` outside of all blocks."""
    found = _BLOCK.search(name)
    return found[0].replace(".", "_") if found else "other"


def dead(spectra: Sequence[ModuleSpectrum]) -> tuple[ModuleSpectrum, ...]:
    """The modules whose update is hardly there: below `DEAD` times the median norm of those that have one."""
    norms = [each.norm for each in spectra if each.norm]
    typical = statistics.median(norms) if norms else 0.0
    return tuple(each for each in spectra if each.norm <= DEAD * typical)


def reached(lora: LoraFile, spectra: Sequence[ModuleSpectrum], clip_skip: int | None = None) -> list[ModuleSpectrum]:
    """The modules that a training can reach: without the last layers of a text encoder where all of them are dead.

    Clip skip n reads the n-th layer from the end, and what comes after it gets no gradient; so does the last layer of
    SDXL's first encoder, whatever is recorded. Of an encoder that is dead as a whole nothing is left out: it was
    frozen. `clip_skip`: what the training config says; None = what the file's record says.
    """
    skip = clip_skip if clip_skip is not None else lora.record.settings.clip_skip
    most = max(1, (skip or 1) - 1)
    last: dict[str, int] = {}
    for module in lora.modules:
        if (layer := _encoder_layer(module.component, module.name)) is not None:
            last[module.component] = max(layer, last.get(module.component, 0))
    asleep = set(map(id, dead(spectra)))
    alive: dict[str, int] = {}
    for each in spectra:
        layer = _encoder_layer(each.component, each.name)
        if layer is not None and id(each) not in asleep:
            alive[each.component] = max(layer, alive.get(each.component, 0))

    def unread(each: ModuleSpectrum) -> bool:
        layer, top = _encoder_layer(each.component, each.name), alive.get(each.component)
        return layer is not None and top is not None and layer > max(top, last[each.component] - most)

    return [each for each in spectra if not unread(each)]


def _encoder_layer(component: str, name: str) -> int | None:
    found = _LAYER.search(name) if component.startswith("text_encoder") else None
    return int(found[1]) if found else None


def summarise(
    lora: LoraFile, spectra: Sequence[ModuleSpectrum], clip_skip: int | None = None
) -> list[Measurement]:  # fmt: skip
    """The modules' spectra -> `spectrum.*`: medians over modules, root mean square norms, dead modules and outliers.

    `clip_skip` as in `reached`.
    """
    count, note = len(spectra), _left_out(lora, spectra)
    norms = [each.norm for each in spectra]
    none = None if count else "the file has no module with a spectrum of its own"
    zero = "every update in the file is zero" if count and not any(norms) else None
    typical = statistics.median(norm for norm in norms if norm) if any(norms) else 0.0
    awaited = reached(lora, spectra, clip_skip)
    asleep = dead(awaited)
    ranks = [module.update_rank for module in lora.modules if module.update_rank is not None]
    unlimited = "no update in the file has a limited rank" if lora.modules else "the file has no module"

    def told(name: str, value: float | None, unit: str, why: str | None, **where: str) -> Measurement:
        reason = note if value is not None else why or note
        return Measurement(name=f"spectrum.{name}", value=value, unit=unit, n=count, reason=reason, where=where)

    shares = _shares(spectra)
    medians = {name: statistics.median(values) if values else None for name, values in shares.items()}
    size = math.sqrt(statistics.fmean(norm**2 for norm in norms)) if norms else None
    largest = max(norms, default=0.0) / typical if typical else None
    return [
        told("rank", max(ranks, default=None), "rank", unlimited),
        told("norm", size, "", none),
        *(told(name, value, "share", none or zero) for name, value in medians.items()),
        told("dead_share", len(asleep) / len(awaited) if awaited else None, "share", none),
        told("largest_norm_ratio", largest, "times the median", none or zero),
        *(told("norm", norm, "", None, block=block) for block, norm in _block_norms(spectra).items()),
        *(told("dead_share", share, "share", None, block=at) for at, share in _block_deaths(lora, spectra).items()),
    ]


def _shares(spectra: Sequence[ModuleSpectrum]) -> Mapping[str, list[float]]:
    """Per live module: ranks as shares of the rank stored, and the stable rank over that of random factors.

    Random factors are a yardstick for products of two factors alone.
    """
    shares: dict[str, list[float]] = {"entropy_rank_share": [], "k90_share": [], "null_ratio": []}
    null_of: dict[tuple[int, int, int], float] = {}
    for each in spectra:
        if not each.norm or not each.rank:
            continue
        if each.kind not in ("lora", "dora", "tucker"):
            continue
        shape = each.outputs, each.inputs, each.rank
        if shape not in null_of:
            null_of[shape] = null_stable_rank(*shape)
        shares["entropy_rank_share"].append(each.entropy_rank / each.rank)
        shares["k90_share"].append(each.k90 / each.rank)
        shares["null_ratio"].append(each.stable_rank / null_of[shape])
    return shares


def _block_norms(spectra: Sequence[ModuleSpectrum]) -> Mapping[str, float]:
    """Root mean square norm of the modules of each block, by component and number."""
    blocks: dict[str, list[float]] = defaultdict(list)
    for each in spectra:
        blocks[f"{each.component} {block_of(each.name)}"].append(each.norm)
    ordered = sorted(
        blocks.items(), key=lambda item: [int(p) if p.isdigit() else p for p in re.split(r"(\d+)", item[0])]
    )
    return {block: math.sqrt(statistics.fmean(norm**2 for norm in norms)) for block, norms in ordered}


def _block_deaths(lora: LoraFile, spectra: Sequence[ModuleSpectrum]) -> Mapping[str, float]:
    """The share of dead modules in each block of the denoiser, modules without a spectrum among them.

    Text encoders are left out: many trainers store theirs untrained, on purpose.
    """
    asleep = set(map(id, dead(spectra)))
    told = [(each.component, each.name, id(each) in asleep) for each in spectra]
    bare = [module for module in lora.modules if module.kind in NEEDS_BASE]
    told += [(each.component, each.name, changes_nothing(each.kind, read_parts(lora, each))) for each in bare]
    blocks: dict[str, list[bool]] = defaultdict(list)
    for component, name, is_dead in told:
        if not component.startswith("text_encoder"):
            blocks[f"{component} {block_of(name)}"].append(is_dead)
    return {block: statistics.fmean(deaths) for block, deaths in blocks.items()}


def _left_out(lora: LoraFile, spectra: Sequence[ModuleSpectrum]) -> str | None:
    """What the figures do not cover."""
    needing = sum(module.kind in NEEDS_BASE for module in lora.modules)
    others = len(lora.modules) - needing - len(spectra)
    said = [f"{needing} of {len(lora.modules)} modules have no spectrum without the base model"] if needing else []
    said += [f"{others} of {len(lora.modules)} modules were not looked at"] if others > 0 else []
    return " and ".join(said) or None
