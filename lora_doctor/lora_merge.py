"""A LoRA inside a pipeline: which layer each of its updates belongs to, and merging them without leaving a trace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lora_doctor.errors import InputRefused
from lora_doctor.types import LoraFile, LoraModule

if TYPE_CHECKING:
    import torch

    Layer = torch.nn.Linear | torch.nn.Conv2d

NAMED = 3
"""How many culprits an error message names."""
MERGED_PARTS = frozenset({"down", "up", "alpha"})
"""The tensors of a module that merging understands; a module with any other is refused."""
RESNET_NAMES = {
    "conv1": "in_layers.2", "conv2": "out_layers.3", "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}  # fmt: skip
STABILITY_NAMES = {
    "conv_in": "input_blocks.0.0", "conv_out": "out.2",
    "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0", "add_embedding.linear_2": "label_emb.0.2",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Update:
    """One adapted weight of the pipeline, its untouched copy, and what the LoRA adds at weight 1 (as factors)."""

    live: torch.Tensor
    pristine: torch.Tensor
    down: torch.Tensor
    """(rank, inputs x kernel) float32."""
    up: torch.Tensor
    """(outputs, rank) float32."""
    scale: float

    def apply(self, weight: float) -> None:
        """Make the live weight what it is at `weight`."""
        import torch

        with torch.no_grad():
            if weight == 0:
                self.live.copy_(self.pristine)
                return
            delta = (self.up @ self.down) * (weight * self.scale)
            self.live.copy_(self.pristine.float() + delta.view_as(self.pristine))

    def is_zero(self) -> bool:
        """Whether `up @ down` vanishes, told from the two rank x rank Gram matrices."""
        gram = (self.up.double().T @ self.up.double()) * (self.down.double() @ self.down.double().T)
        return self.scale == 0 or not float(gram.sum()) > 0


def read_updates(pipeline: Any, lora: LoraFile) -> tuple[Update, ...]:
    """The LoRA's factors beside the weights of `pipeline` they belong to.

    Raises InputRefused, naming how many and which, unless every tensor of the file has its place there and fits it;
    also when the file's whole update is zero.
    """
    from safetensors import SafetensorError, safe_open

    _refuse_unmergeable(lora)
    places = _find_places(pipeline, lora)
    updates, misfits = [], []
    try:
        with safe_open(lora.path, framework="pt") as file:
            for module, place in places:
                update = _update(file, module, place.weight)
                misfits += [] if update else [module]
                updates += [update] if update else []
    except (OSError, SafetensorError) as error:
        raise InputRefused(f"cannot be read: {error}", path=lora.path) from error
    if misfits:
        _refuse_family(lora, misfits, "have another shape in the base model")
    if all(update.is_zero() for update in updates):
        raise InputRefused("the LoRA changes nothing: its update is zero in every module", path=lora.path)
    return tuple(updates)


def _refuse_unmergeable(lora: LoraFile) -> None:
    """Refuse what merging would leave out without a word."""
    if not lora.modules:
        raise InputRefused("there is no LoRA module in the file", path=lora.path)
    if lora.unknown_keys:
        raise InputRefused(f"{len(lora.unknown_keys)} tensors are unknown: {_some(lora.unknown_keys)}", path=lora.path)
    others = [m for m in lora.modules if m.kind != "lora" or not {"down", "up"} <= set(m.keys) <= MERGED_PARTS]
    if others:
        kinds = ", ".join(sorted({module.kind for module in others}))
        what = f"{len(others)} of {len(lora.modules)} modules are of a kind that is not rendered yet ({kinds})"
        raise InputRefused(f"{what}: {_some([module.name for module in others])}", path=lora.path)


def _find_places(pipeline: Any, lora: LoraFile) -> list[tuple[LoraModule, Layer]]:
    """Each module of the file with the pipeline's module it adapts."""
    components = {module.component for module in lora.modules}
    indices = {name: _index(getattr(pipeline, name, None)) for name in components}
    found, lost, taken = [], [], set()
    for module in lora.modules:
        place = indices[module.component].get(module.name)
        if place is None:
            lost.append(module)
        elif id(place) in taken:
            raise InputRefused(f"two updates for one module: {module.name}", path=lora.path)
        else:
            taken.add(id(place))
            found.append((module, place))
    if lost:
        _refuse_family(lora, lost, "are not in the base model")
    return found


def _refuse_family(lora: LoraFile, modules: Sequence[LoraModule], how: str) -> None:
    names = _some([f"{module.component}.{module.name}" for module in modules])
    raise InputRefused(
        f"{len(modules)} of {len(lora.modules)} modules {how}: {names}",
        path=lora.path,
        advice="The LoRA is of another family; set `base` to the kind of model it was trained on.",
    )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (" ..." if len(names) > NAMED else "")


def _index(component: Any) -> Mapping[str, Layer]:
    """Every name a LoRA file may use -> linear or convolution layer: dotted, and flattened as kohya writes them.

    transformers 5.6 dropped the `text_model` level from CLIPTextModel, LoRA files did not; both spellings count.
    kohya names SDXL's UNet blocks as Stability's own code does (`input_blocks_4_1` ...).
    """
    import torch

    names: dict[str, Layer] = {}
    if not isinstance(component, torch.nn.Module):
        return names
    for name, module in component.named_modules():
        if isinstance(module, (torch.nn.Linear, torch.nn.Conv2d)):
            aliases = [name, stability_name(name)]
            if name.startswith("encoder.layers."):
                aliases.append(f"text_model.{name}")
            elif name.startswith("text_model."):
                aliases.append(name.removeprefix("text_model."))
            for alias in aliases:
                names.setdefault(alias, module)
                names.setdefault(alias.replace(".", "_"), module)
    return names


def stability_name(name: str) -> str:
    """A diffusers SDXL UNet module name in the naming of Stability's own code, with three blocks a level.

    Source: the UNet conversion map in kohya's `library/sdxl_model_util.py`.
    """
    if name in STABILITY_NAMES:
        return STABILITY_NAMES[name]
    side, *parts = name.split(".")
    if side == "mid_block":
        parts = ["0", *parts]
    if side not in ("down_blocks", "mid_block", "up_blocks") or len(parts) < 4:
        return name
    level, kind, number, *tail = int(parts[0]), parts[1], int(parts[2]), *parts[3:]
    tail = [RESNET_NAMES.get(tail[0], tail[0]), *tail[1:]]
    slot = int(kind == "attentions")
    if kind == "downsamplers":
        head, tail = f"input_blocks.{3 * level + 3}.0.op", []
    elif kind == "upsamplers":
        head = f"output_blocks.{3 * level + 2}.2"
    elif side == "mid_block":
        head = f"middle_block.{1 if slot else 2 * number}"
    elif side == "down_blocks":
        head = f"input_blocks.{3 * level + number + 1}.{slot}"
    else:
        head = f"output_blocks.{3 * level + number}.{slot}"
    return ".".join([head, *tail])


def _update(file: Any, module: LoraModule, weight: torch.Tensor) -> Update | None:
    """The module's factors as matrices on the weight's device; None when their product has not the weight's shape."""
    down, up = (file.get_tensor(module.keys[part]).float() for part in ("down", "up"))
    if min(down.dim(), up.dim()) < 2:
        return None
    down, up = down.flatten(1), up.flatten(1)
    if up.shape[1] != down.shape[0] or (up.shape[0], down.shape[1]) != tuple(weight.flatten(1).shape):
        return None
    return Update(weight, weight.detach().clone(), down.to(weight.device), up.to(weight.device), module.scale)
