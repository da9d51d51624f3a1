"""A LoRA inside a pipeline: its updates beside the weights they belong to, merged without leaving a trace."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from lora_doctor.devices import is_machine_failure, machine_failures
from lora_doctor.errors import InputRefused
from lora_doctor.lora_delta import adapts_bias, adapts_weight, bias_at, weight_at
from lora_doctor.lora_places import Place, component_of, places_in
from lora_doctor.lora_tensors import read_parts, require_sound
from lora_doctor.lora_variants import directions_kept, leaves_alone, truncated
from lora_doctor.types import LoraFile, LoraModule

if TYPE_CHECKING:
    import torch

    Tensors = tuple[torch.Tensor, ...]

NAMED = 3
"""How many culprits an error message names."""


@dataclass(frozen=True, slots=True)
class Update:
    """One adapted weight or bias of the pipeline, its untouched copies, and what makes it another at a weight."""

    module: LoraModule
    target: str
    """`weight` or `bias`."""
    place: Place
    live: Tensors
    pristine: Tensors
    parts: Mapping[str, torch.Tensor]
    """The module's tensors in the file, float32, on the CPU: a GPU's memory holds one module's at a time."""

    def at(self, weight: float, variant: str = "") -> Tensors:
        """What the live tensors are to hold at `weight`, in their own shapes and precision; pristine at 0.

        `variant`: how the LoRA is altered, see `lora_variants`; empty = as it is.
        """
        if weight == 0 or leaves_alone(variant, self.module):
            return self.pristine
        pristine = self.place.gather(self.pristine)
        pieces = self.place.split(self.computed(pristine, weight, variant), self.pristine)
        return tuple(piece.to(like.dtype) for piece, like in zip(pieces, self.pristine, strict=True))

    def computed(self, pristine: torch.Tensor, weight: float, variant: str = "") -> torch.Tensor:
        """What the adapter makes of the whole layer's pristine tensor (float32), on its device."""
        kind, scale = self.module.kind, self.module.scale
        parts = {part: values.to(pristine.device) for part, values in self.parts.items()}
        if self.target == "bias":
            return bias_at(kind, parts, scale=scale, pristine=pristine, weight=weight)
        kept = directions_kept(variant, self.module)
        fewer = None if kept is None else partial(truncated, kept=kept, rank=self.module.rank)
        return weight_at(kind, parts, scale=scale, pristine=pristine, weight=weight, altered=fewer)

    def apply(self, weight: float, variant: str = "") -> None:
        """Make the live tensors what they are at `weight`, with the LoRA altered as `variant` says."""
        import torch

        with torch.no_grad():
            for live, wanted in zip(self.live, self.at(weight, variant), strict=True):
                live.copy_(wanted)

    def holds(self, weight: float) -> bool:
        """Whether the live tensors are, to the bit, what they are to be at `weight`."""
        import torch

        return all(torch.equal(live, wanted) for live, wanted in zip(self.live, self.at(weight), strict=True))


@machine_failures("the LoRA is merged into the base model")
def read_updates(pipeline: Any, lora: LoraFile) -> tuple[Update, ...]:
    """The LoRA's updates beside the weights of `pipeline` they belong to, every one of them tried.

    They are applied at weight 1, every live tensor is compared with what the file says it must be, and everything is
    put back. Raises InputRefused, naming how many and which, unless every tensor of the file has its place there, fits
    it and arrives; also when the file changes nothing. EnvironmentFailure when memory runs out or the GPU fails.
    """
    require_sound(lora)
    # All copies are made before anything is computed: large temporaries between them would leave holes in memory.
    found = [(module, tuple(_updates_of(lora, module, place))) for module, place in _find_places(pipeline, lora)]
    updates = tuple(update for _, own in found for update in own)
    misfits = [module for module, own in found if not own]
    try:
        misfits += [update.module for update in updates if not _applied(update)]
        if misfits:
            _refuse_family(lora, misfits, "have another shape in the base model")
        missed = [update.module for update in updates if not update.holds(1.0)]
        silent = all(update.holds(0.0) for update in updates)
    finally:
        for update in updates:
            update.apply(0.0)
    missed += [update.module for update in updates if not update.holds(0.0)]
    if missed:
        what = f"{len(missed)} of {len(lora.modules)} modules do not arrive in the base model: {_some(_names(missed))}"
        raise InputRefused(what, path=lora.path)
    if silent:
        raise InputRefused(_why_silent(updates), path=lora.path)
    return updates


def _find_places(pipeline: Any, lora: LoraFile) -> list[tuple[LoraModule, Place]]:
    """Each module of the file with the place in the pipeline that it adapts."""
    components = {module.component for module in lora.modules}
    indices = {name: places_in(component_of(pipeline, name)) for name in components}
    found, lost, taken = [], [], dict[tuple[int, str], str]()
    for module in lora.modules:
        place = indices[module.component].get(module.name)
        if place is None:
            lost.append(module)
            continue
        for target in ("weight", "bias"):
            if not (adapts_weight if target == "weight" else adapts_bias)(module.keys):
                continue
            for layer in place.layers:
                if other := taken.get((id(layer), target)):
                    what = f"two updates for one {target}: {module.name} and {other}"
                    raise InputRefused(what, path=lora.path)
                taken[id(layer), target] = module.name
        found.append((module, place))
    if lost:
        _refuse_family(lora, lost, "are not in the base model")
    return found


def _updates_of(lora: LoraFile, module: LoraModule, place: Place) -> Iterator[Update]:
    """The updates of one module's weight and bias; nothing where the pipeline's layer has no such tensor."""
    import torch

    parts = {part: torch.from_numpy(values) for part, values in read_parts(lora, module).items()}
    wanted = [name for name, asks in (("weight", adapts_weight), ("bias", adapts_bias)) if asks(parts)]
    if not all(place.tensors(name) for name in wanted):
        return
    for name in wanted:
        live = place.tensors(name)
        yield Update(module, name, place, live, tuple(each.detach().clone() for each in live), parts)


def _applied(update: Update) -> bool:
    """Apply the update at weight 1, if it can be computed for its weight at all."""
    try:
        update.apply(1.0)
    except (ValueError, RuntimeError) as error:
        if is_machine_failure(error):
            raise
        return False
    return True


def _why_silent(updates: Sequence[Update]) -> str:
    """Whether nothing is there, or nothing that the base model's precision can hold."""
    import torch

    for update in updates:
        whole = update.place.gather(update.pristine)
        if not torch.equal(update.computed(whole, 1.0), whole):
            kind = str(update.live[0].dtype).removeprefix("torch.")
            return f"the LoRA changes nothing: its update is too small for the base model's {kind} weights"
    return "the LoRA changes nothing: its update is zero in every module"


def _refuse_family(lora: LoraFile, modules: Sequence[LoraModule], how: str) -> None:
    raise InputRefused(
        f"{len(modules)} of {len(lora.modules)} modules {how}: {_some(_names(modules))}",
        path=lora.path,
        advice="The LoRA is of another family; set `base` to the kind of model it was trained on.",
    )


def _names(modules: Sequence[LoraModule]) -> list[str]:
    return [f"{module.component}.{module.name}" for module in modules]


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (" ..." if len(names) > NAMED else "")
