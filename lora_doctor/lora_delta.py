"""The exact weight of an adapted layer at a LoRA weight, for every kind of adapter. Pure, on torch tensors.

Formulas from the papers and from the libraries that write the files: LyCORIS (`lycoris/modules/*.py`), peft, kohya's
`networks/oft.py`. At weight w a layer gets W + w * (W' - W), where W' is what the trainer trained: how ComfyUI and
WebUI scale every kind, DoRA too. BOFT alone turns by w in each of its stages, as LyCORIS and ComfyUI do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    Parts = Mapping[str, torch.Tensor]
    """Part -> its tensor, float32."""


def weight_at(
    kind: str, parts: Parts, *, scale: float, pristine: torch.Tensor, weight: float,
    altered: Callable[[torch.Tensor], torch.Tensor] | None = None,
) -> torch.Tensor:  # fmt: skip
    """The layer's weight at LoRA weight `weight`, in the shape and on the device of `pristine` (float32).

    `scale` is alpha / rank where the kind has a rank; for OFT and BOFT it is their constraint, 0 = none. `altered`
    makes another update of the one at weight 1, before DoRA's magnitudes are put on; BOFT has none.
    Raises ValueError when the adapter does not fit the layer.
    """
    if kind == "boft":
        return _butterfly(parts, pristine, scale, weight)
    added = _change(kind, parts, pristine)
    if kind not in _UNSCALED:
        added = added * scale
    if kind == "oft":
        added = _rotated(parts, pristine, scale) - pristine
    if added.numel() != pristine.numel():
        raise ValueError(f"an update of {tuple(added.shape)} for a layer of {tuple(pristine.shape)}")
    added = added.reshape(pristine.shape)
    if altered is not None:
        added = altered(added)
    if (magnitude := _magnitude(parts)) is not None:
        # ai-toolkit puts magnitudes on the unscaled update, and the rest of the scaled one beside (models/DoRA.py).
        beside = added * (1 - 1 / scale) if "magnitude" in parts else 0.0
        added = decomposed(pristine + added - beside, magnitude) + beside - pristine
    return pristine + weight * added


def bias_at(kind: str, parts: Parts, *, scale: float, pristine: torch.Tensor, weight: float) -> torch.Tensor:
    """The layer's bias at LoRA weight `weight`: peft's `lora_B.bias` is scaled, `diff_b` and `b_norm` are not."""
    added = pristine.new_zeros(pristine.shape)
    if "bias" in parts:
        added = added + scale * parts["bias"].reshape(pristine.shape)
    for part in ("diff_b", "b_norm"):
        if part in parts:
            added = added + parts[part].reshape(pristine.shape)
    return pristine + weight * added


def adapts_weight(parts: Mapping[str, object]) -> bool:
    """Whether the module changes its layer's weight, and not its bias alone."""
    return bool(set(parts) - {"bias", "diff_b", "b_norm", "alpha"})


def adapts_bias(parts: Mapping[str, object]) -> bool:
    """Whether the module changes its layer's bias."""
    return bool({"bias", "diff_b", "b_norm"} & set(parts))


def decomposed(weight: torch.Tensor, magnitude: torch.Tensor) -> torch.Tensor:
    """`weight` with the norm of every output, or of every input, set to `magnitude` (DoRA, arXiv:2402.09353).

    (out,) or (out, 1 ...) is per output, (1, in ...) per input: newer LyCORIS and OneTrainer have both, older LyCORIS
    and kohya the latter. The paper's Linear layers have them per output.
    """
    per_input = magnitude.dim() > 1 and magnitude.shape[0] == 1 and weight.shape[0] != 1
    if per_input:
        norm = weight.transpose(0, 1).flatten(1).norm(dim=1).view(1, -1, *[1] * (weight.dim() - 2))
        if magnitude.numel() != weight.shape[1]:
            raise ValueError(f"{magnitude.numel()} magnitudes for {weight.shape[1]} inputs")
    else:
        norm = weight.flatten(1).norm(dim=1).view(-1, *[1] * (weight.dim() - 1))
        if magnitude.numel() != weight.shape[0]:
            raise ValueError(f"{magnitude.numel()} magnitudes for {weight.shape[0]} outputs")
    result: torch.Tensor = weight * (magnitude.reshape(norm.shape) / norm.clamp(min=1e-12))
    return result


def _magnitude(parts: Parts) -> torch.Tensor | None:
    """As `decomposed` takes it; peft's is per output, also of a convolution, where its shape is (1, out, 1, 1).

    ai-toolkit's is per output too.
    """
    vector = parts.get("lora_magnitude_vector", parts.get("magnitude"))
    return parts.get("dora_scale") if vector is None else vector.flatten()


# ---------------------------------------------------------------- what is added


_UNSCALED = ("oft", "full", "norm", "ia3")


def _change(kind: str, parts: Parts, pristine: torch.Tensor) -> torch.Tensor:
    """The unscaled difference; a rotation's is made elsewhere."""
    if kind in ("lora", "dora"):
        return parts["up"].flatten(1) @ parts["down"].flatten(1)
    if kind == "tucker":
        return _tucker(parts["up"].flatten(1), parts["down"].flatten(1), parts["mid"])
    if kind == "loha":
        return _hadamard_side(parts, "1") * _hadamard_side(parts, "2")
    if kind == "lokr":
        return _kronecker(_kronecker_side(parts, "1"), _kronecker_side(parts, "2"))
    if kind == "glora":
        return _glora(parts, pristine)
    if kind == "ia3":
        return _ia3(parts, pristine)
    if kind == "full":
        return parts["diff"]
    if kind == "norm":
        return parts["w_norm"]
    return pristine


def _tucker(up: torch.Tensor, down: torch.Tensor, core: torch.Tensor) -> torch.Tensor:
    """(out, in, kernel) from up (out, r), down (r, in) and core (r, r, kernel)."""
    import torch

    return torch.einsum("mn...,om,ni->oi...", core, up, down)


def _hadamard_side(parts: Parts, side: str) -> torch.Tensor:
    """One of LoHa's two matrices (arXiv:2108.06098); with a Tucker core both factors have the rank first."""
    a, b = parts[f"hada_w{side}_a"], parts[f"hada_w{side}_b"]
    core = parts.get(f"hada_t{side}")
    return a @ b if core is None else _tucker(a.T, b, core)


def _kronecker_side(parts: Parts, side: str) -> torch.Tensor:
    """One factor of LoKr's product, whole or put together."""
    if f"lokr_w{side}" in parts:
        return parts[f"lokr_w{side}"]
    a, b, core = parts[f"lokr_w{side}_a"], parts[f"lokr_w{side}_b"], parts.get(f"lokr_t{side}")
    return a @ b if core is None else _tucker(a.T, b, core)


def _kronecker(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    import torch

    left = left.reshape(*left.shape[:2], *[1] * (right.dim() - 2))
    return torch.kron(left, right.contiguous())


def _glora(parts: Parts, pristine: torch.Tensor) -> torch.Tensor:
    """W A + B with both A and B of low rank (arXiv:2306.07967)."""
    import torch

    b1, b2 = parts["b1"].flatten(1), parts["b2"]
    added = _tucker(b1, b2.flatten(1), parts["bm"]) if "bm" in parts else b1 @ b2.flatten(1)
    inputs = parts["a1"].flatten(1) @ parts["a2"].flatten(1)
    return added.reshape(pristine.shape) + torch.einsum("oi...,ij->oj...", pristine, inputs)


def _ia3(parts: Parts, pristine: torch.Tensor) -> torch.Tensor:
    """Every input, or every output, scaled (arXiv:2205.05638); LyCORIS stores the factor less 1, peft the factor."""
    factor = (parts["weight"] if "weight" in parts else parts["ia3_l"] - 1).reshape(-1)
    on_input = bool(parts["on_input"].any()) if "on_input" in parts else parts["ia3_l"].shape[0] == 1
    if factor.numel() != pristine.shape[1 if on_input else 0]:
        raise ValueError(f"{factor.numel()} factors for a layer of {tuple(pristine.shape)}")
    shape = [1] * pristine.dim()
    shape[1 if on_input else 0] = -1
    return pristine * factor.view(shape)


# ---------------------------------------------------------------- rotations


def _rotated(parts: Parts, pristine: torch.Tensor, constraint: float) -> torch.Tensor:
    """OFT (arXiv:2306.07280): the outputs (LyCORIS, kohya) or the inputs (peft, OneTrainer) turned block by block.

    The constraint is for each output of a rotation: sd-scripts turns the parts of FLUX's fused layers one by one, and
    each is held by its own width (`networks/oft_flux.py`).
    """
    import torch

    if "oft_R" in parts or "oft_R.peft" in parts:
        return _rotated_inputs(parts, pristine)
    names = sorted((part for part in parts if part.startswith("oft_blocks")), key=_number)
    turned, start = [], 0
    for name in names:
        count, size, _ = parts[name].shape
        turn = cayley(parts[name], constraint * count * size)
        rows = pristine[start : start + count * size].reshape(count, size, -1)
        turned.append(torch.einsum("knm,kni->kmi", turn.to(rows.dtype), rows).reshape(count * size, -1))
        start += count * size
    if start != pristine.shape[0]:
        raise ValueError(f"blocks for {start} outputs, and the layer has {pristine.shape[0]}")
    return _rescaled(torch.cat(turned).reshape(pristine.shape), parts)


def _number(part: str) -> int:
    return int(part.rpartition(".")[2]) if part[-1].isdigit() else 0


def _rotated_inputs(parts: Parts, pristine: torch.Tensor) -> torch.Tensor:
    """peft's OFT: each block's numbers are the upper triangle of a skew-symmetric matrix; one block may serve all.

    OneTrainer's (`modules/module/oft_utils.py`, `LoRAModule.py`) divides them by 2 sqrt(side - 1) where it is scaled.
    It turns the inputs of a linear layer, as peft does, W R^T; but of a convolution the weight itself, W R.
    """
    import torch

    onetrainer = "oft_R" in parts
    vector = parts["oft_R" if onetrainer else "oft_R.peft"]
    blocks, elements = vector.shape
    size = round((1 + (1 + 8 * elements) ** 0.5) / 2)
    skew = vector.new_zeros(blocks, size, size)
    rows, columns = torch.triu_indices(size, size, 1)
    skew[:, rows, columns] = vector / (2 * (size - 1) ** 0.5) if "oft_R.scaled_oft" in parts else vector
    turn = _neumann(skew - skew.transpose(1, 2)).to(pristine.dtype)
    if onetrainer and pristine.dim() > 2:
        turn = turn.transpose(1, 2)
    flat = pristine.flatten(1)
    count = flat.shape[1] // size
    if count * size != flat.shape[1] or blocks not in (1, count):
        raise ValueError(f"{blocks} blocks of {size} for {flat.shape[1]} inputs")
    turned = torch.einsum("orc,rkc->ork", flat.reshape(flat.shape[0], count, size), turn.expand(count, -1, -1))
    return turned.reshape(pristine.shape)


def _neumann(skew: torch.Tensor) -> torch.Tensor:
    """(I + Q)(I - Q)^-1 to five terms, the default of peft and OneTrainer: I + 2Q + 2Q^2 + 2Q^3 + Q^4.

    The file does not record the number of terms, nor whether the exact transform was chosen.
    """
    import torch

    skew = skew.double()
    unit = torch.eye(skew.shape[-1], dtype=skew.dtype, device=skew.device)
    second = skew @ skew
    return unit + 2 * skew + 2 * second + 2 * (second @ skew) + second @ second


def cayley(blocks: torch.Tensor, limit: float = 0.0) -> torch.Tensor:
    """(..., s, s) numbers -> rotations of the same shape; `limit` > 0 caps the norm of all skew parts together."""
    skew = blocks - blocks.transpose(-1, -2)
    norm = float(skew.norm()) + 1e-8
    if 0 < limit < norm:
        skew = skew * (limit / norm)
    return _orthogonal(skew)


def _orthogonal(skew: torch.Tensor) -> torch.Tensor:
    """(I + Q)(I - Q)^-1 of a skew-symmetric Q, in double precision."""
    import torch

    skew = skew.double()
    unit = torch.eye(skew.shape[-1], dtype=skew.dtype, device=skew.device)
    turn: torch.Tensor = torch.linalg.solve(unit - skew, unit + skew, left=False)
    return turn


def _butterfly(parts: Parts, pristine: torch.Tensor, constraint: float, weight: float) -> torch.Tensor:
    """BOFT (arXiv:2311.06243): m stages of rotations, each mixing outputs twice as far apart as the one before."""
    import torch

    turns = cayley(parts["oft_blocks"], constraint * pristine.shape[0]).to(pristine.dtype)
    stages, count, size, _ = turns.shape
    if count * size != pristine.shape[0]:
        raise ValueError(f"blocks for {count * size} outputs, and the layer has {pristine.shape[0]}")
    turns = weight * turns + (1 - weight) * torch.eye(size, dtype=turns.dtype, device=turns.device)
    flat = pristine.flatten(1)
    for stage in range(stages):
        reach = 2**stage * size // 2
        mixed = flat.reshape(-1, 2, reach, flat.shape[1]).transpose(1, 2).reshape(count, size, -1)
        mixed = torch.einsum("kij,kjn->kin", turns[stage], mixed)
        flat = mixed.reshape(-1, reach, 2, flat.shape[1]).transpose(1, 2).reshape(flat.shape)
    turned = flat.reshape(pristine.shape)
    if "rescale" in parts:
        turned = turned * (1 + weight * (_column(parts["rescale"], turned) - 1))
    return turned


def _rescaled(turned: torch.Tensor, parts: Parts) -> torch.Tensor:
    return turned * _column(parts["rescale"], turned) if "rescale" in parts else turned


def _column(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return values.reshape(-1, *[1] * (like.dim() - 1))
