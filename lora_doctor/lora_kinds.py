"""The parts of one module -> the kind of adapter, its rank, and the size of the layer it adapts. Pure, on shapes alone.

Kinds and their tensors as LyCORIS writes them (`lycoris/modules/*.py`), and peft (`peft/tuners/*/layer.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

Shapes = Mapping[str, tuple[int, ...]]
"""Part -> shape of its tensor."""

MAGNITUDES = ("dora_scale", "lora_magnitude_vector", "magnitude")
"""DoRA's magnitudes as LyCORIS, kohya and OneTrainer write them, and as peft and ai-toolkit do: one per output."""
EXTRAS = frozenset({"alpha", *MAGNITUDES, "bias", "diff_b"})
"""Parts that go with more than one kind."""
_MARKS: tuple[tuple[str, str], ...] = (
    ("hada_w1_a", "loha"), ("hada_w1_b", "loha"), ("hada_w2_a", "loha"), ("hada_w2_b", "loha"),
    ("lokr_w1", "lokr"), ("lokr_w2", "lokr"), ("lokr_w1_a", "lokr"), ("lokr_w1_b", "lokr"), ("lokr_w2_a", "lokr"),
    ("lokr_w2_b", "lokr"), ("a1", "glora"), ("a2", "glora"), ("b1", "glora"), ("b2", "glora"), ("oft_R", "oft"),
    ("oft_R.peft", "oft"),
    ("on_input", "ia3"), ("weight", "ia3"), ("ia3_l", "ia3"), ("w_norm", "norm"), ("b_norm", "norm"), ("diff", "full"),
    ("mid", "tucker"), ("down", "lora"), ("up", "lora"), ("diff_b", "full"),
)  # fmt: skip
"""A part -> the kind it proves; the first that is there decides."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """What the shapes of a module's tensors say."""

    kind: str
    """`lora`, `tucker`, `dora`, `loha`, `lokr`, `oft`, `boft`, `glora`, `ia3`, `full` or `norm`."""
    rank: int
    """0 where the kind has none, or the matrix is stored whole."""
    outputs: int
    """Width or channels of the adapted layer's output; 0 = the tensors do not tell."""
    inputs: int
    """The same for its input; times the kernel's area where a convolution's factors are stored as matrices."""
    kernel: int = 1
    """Height times width of a convolution's kernel, where it is told apart from `inputs`."""


def form_of(shapes: Shapes) -> Form:
    """The form of a module with these parts. Raises ValueError, in a few words, unless they are complete and fit."""
    kind = _kind(shapes)
    form = _FORMS[kind](shapes)
    _check_dora(shapes, form)
    allowed = _PARTS[kind] | EXTRAS
    if odd := [part for part in shapes if part not in allowed and not part.startswith("oft_blocks.")]:
        raise ValueError(f"{odd[0]} does not go with {kind}")
    return form


def largest_rank(shapes: Shapes) -> int | None:
    """The largest rank that the update of a module with these parts can have; None where only the layer limits it.

    That of LoHa is the product of its two sides' ranks, that of LoKr of its factors'; GLoRA's is that of each of its
    products. Raises ValueError as `form_of` does.
    """
    form = form_of(shapes)
    if not form.rank:
        return None
    rank = form.rank
    if form.kind == "loha":
        rank = shapes["hada_w1_b"][0] * shapes["hada_w2_b"][0]
    elif form.kind == "lokr":
        (left, first), (right, second) = (_kron_side(shapes, side) for side in "12")
        rank = (first or min(left[:2])) * (second or min(right[0], prod(right[1:])))
    return min(rank, form.outputs, form.inputs * form.kernel)


def _kind(shapes: Shapes) -> str:
    if blocks := [part for part in shapes if part.startswith("oft_blocks")]:
        return "boft" if len(shapes[blocks[0]]) == 4 else "oft"
    kind = next((kind for part, kind in _MARKS if part in shapes), None)
    if kind is None:
        raise ValueError(f"only {', '.join(sorted(shapes))} and nothing to apply")
    return "dora" if kind == "lora" and any(part in shapes for part in MAGNITUDES) else kind


def _need(shapes: Shapes, *parts: str) -> list[tuple[int, ...]]:
    if missing := [part for part in parts if part not in shapes]:
        raise ValueError(f"no {' and no '.join(missing)}")
    return [shapes[part] for part in parts]


def _pair(shapes: Shapes, down_part: str, up_part: str) -> Form:
    """A plain product of two factors."""
    down, up = _need(shapes, down_part, up_part)
    fits = len(down) >= 2 and len(up) >= 2 and up[1] == down[0] and all(side == 1 for side in up[2:])
    if not fits:
        raise ValueError(f"factors that do not fit: {down_part} {list(down)}, {up_part} {list(up)}")
    return Form(kind="lora", rank=down[0], outputs=up[0], inputs=down[1], kernel=prod(down[2:]))


def _lora(shapes: Shapes) -> Form:
    form = _pair(shapes, "down", "up")
    return Form(kind=_kind(shapes), rank=form.rank, outputs=form.outputs, inputs=form.inputs, kernel=form.kernel)


def _tucker(shapes: Shapes) -> Form:
    form = _pair(shapes, "down", "up")
    (mid,) = _need(shapes, "mid")
    if mid[:2] != (form.rank, form.rank) or form.kernel != 1:
        raise ValueError(f"factors that do not fit: mid {list(mid)} for rank {form.rank}")
    return Form(kind="tucker", rank=form.rank, outputs=form.outputs, inputs=form.inputs, kernel=prod(mid[2:]))


def _loha(shapes: Shapes) -> Form:
    sizes = set()
    tucker = "hada_t1" in shapes or "hada_t2" in shapes
    for side in ("1", "2"):
        a, b = _need(shapes, f"hada_w{side}_a", f"hada_w{side}_b")
        if len(a) != 2 or len(b) != 2 or a[0 if tucker else 1] != b[0]:
            raise ValueError(f"factors that do not fit: hada_w{side}_a {list(a)}, hada_w{side}_b {list(b)}")
        core = _need(shapes, f"hada_t{side}")[0] if tucker else (b[0], b[0])
        if core[:2] != (b[0], b[0]):
            raise ValueError(f"factors that do not fit: hada_t{side} {list(core)} for rank {b[0]}")
        sizes.add((a[1 if tucker else 0], b[1], prod(core[2:])))
    if len(sizes) > 1:
        raise ValueError("its two products have different shapes")
    outputs, inputs, kernel = sizes.pop()
    return Form(kind="loha", rank=shapes["hada_w1_b"][0], outputs=outputs, inputs=inputs, kernel=kernel)


def _lokr(shapes: Shapes) -> Form:
    left, first = _kron_side(shapes, "1")
    right, second = _kron_side(shapes, "2")
    form = (left[0] * right[0], left[1] * right[1])
    return Form(kind="lokr", rank=second or first, outputs=form[0], inputs=form[1], kernel=prod(right[2:]))


def _kron_side(shapes: Shapes, side: str) -> tuple[tuple[int, ...], int]:
    """(shape, rank) of one factor of a Kronecker product, stored whole or as a product itself; rank 0 = whole."""
    whole, a, b, core = (f"lokr_{name}" for name in (f"w{side}", f"w{side}_a", f"w{side}_b", f"t{side}"))
    if whole in shapes:
        if len(shapes[whole]) < 2:
            raise ValueError(f"{whole} is no matrix: {list(shapes[whole])}")
        return shapes[whole], 0
    left, right = _need(shapes, a, b)
    if core in shapes:  # Tucker: both factors have the rank first
        if left[0] != shapes[core][0] or right[0] != shapes[core][1]:
            raise ValueError(f"factors that do not fit: {core} {list(shapes[core])}")
        return (left[1], right[1], *shapes[core][2:]), right[0]
    if len(left) != 2 or len(right) != 2 or left[1] != right[0]:
        raise ValueError(f"factors that do not fit: {a} {list(left)}, {b} {list(right)}")
    return (left[0], right[1]), right[0]


def _oft(shapes: Shapes) -> Form:
    if turns := [part for part in ("oft_R", "oft_R.peft") if part in shapes]:
        blocks, elements = _matrix(shapes, turns[0])
        size = round((1 + (1 + 8 * elements) ** 0.5) / 2)
        if size * (size - 1) != 2 * elements:
            raise ValueError(f"oft_R has {elements} numbers a block, which is no triangle")
        return Form(kind="oft", rank=0, outputs=0, inputs=blocks * size)
    outputs = 0
    for part, shape in shapes.items():
        if part.startswith("oft_blocks"):
            if len(shape) != 3 or shape[1] != shape[2]:
                raise ValueError(f"{part} is not a row of square blocks: {list(shape)}")
            outputs += shape[0] * shape[1]
    return Form(kind="oft", rank=0, outputs=outputs, inputs=0)


def _boft(shapes: Shapes) -> Form:
    (blocks,) = _need(shapes, "oft_blocks")
    _, count, size, other = blocks
    if size != other or size % 2:
        raise ValueError("its blocks are not square with an even side")
    return Form(kind="boft", rank=0, outputs=count * size, inputs=0)


def _glora(shapes: Shapes) -> Form:
    left, right = _pair(shapes, "a2", "a1"), _pair(shapes, "b2", "b1")
    if left.rank != right.rank or left.inputs != left.outputs or left.inputs != right.inputs:
        raise ValueError("its a and b factors do not fit each other")
    kernel = prod(shapes["bm"][2:]) if "bm" in shapes else right.kernel
    return Form(kind="glora", rank=right.rank, outputs=right.outputs, inputs=right.inputs, kernel=kernel)


def _ia3(shapes: Shapes) -> Form:
    _need(shapes, "ia3_l" if "ia3_l" in shapes else "weight")
    return Form(kind="ia3", rank=0, outputs=0, inputs=0)


def _full(shapes: Shapes) -> Form:
    whole = shapes.get("diff", ())
    outputs = whole[0] if whole else shapes.get("diff_b", (0,))[0]
    return Form(kind="full", rank=0, outputs=outputs, inputs=whole[1] if len(whole) > 1 else 0, kernel=prod(whole[2:]))


def _norm(shapes: Shapes) -> Form:
    width = prod(next(shapes[part] for part in ("w_norm", "b_norm") if part in shapes))
    return Form(kind="norm", rank=0, outputs=width, inputs=width)


def _matrix(shapes: Shapes, part: str) -> tuple[int, int]:
    shape = shapes[part]
    if len(shape) != 2:
        raise ValueError(f"{part} is no matrix: {list(shape)}")
    return shape[0], shape[1]


def _check_dora(shapes: Shapes, form: Form) -> None:
    """Magnitudes are per output, (out, 1 ...), (out,) or peft's (1, out, 1 ...), or per input, (1, in ...)."""
    found = [part for part in MAGNITUDES if part in shapes]
    if len(found) > 1:
        raise ValueError("its magnitudes twice")
    for part in found:
        scale, per_input = shapes[part], (form.inputs, form.inputs * form.kernel) if part == "dora_scale" else ()
        if prod(scale) not in (form.outputs, *per_input):
            raise ValueError(f"{part} {list(scale)} does not fit its layer, {form.outputs} x {form.inputs}")


_LORA = frozenset({"down", "up"})
_PARTS: Mapping[str, frozenset[str]] = {
    "lora": _LORA,
    "dora": _LORA,
    "tucker": _LORA | {"mid"},
    "loha": frozenset(f"hada_{part}" for part in ("w1_a", "w1_b", "w2_a", "w2_b", "t1", "t2")),
    "lokr": frozenset(f"lokr_{part}" for part in ("w1", "w1_a", "w1_b", "t1", "w2", "w2_a", "w2_b", "t2")),
    "oft": frozenset({"oft_blocks", "oft_R", "oft_R.peft", "oft_R.scaled_oft", "rescale"}),
    "boft": frozenset({"oft_blocks", "rescale"}),
    "glora": frozenset({"a1", "a2", "b1", "b2", "bm"}),
    "ia3": frozenset({"weight", "on_input", "ia3_l"}),
    "full": frozenset({"diff"}),
    "norm": frozenset({"w_norm", "b_norm"}),
}
_FORMS = {
    "lora": _lora, "dora": _lora, "tucker": _tucker, "loha": _loha, "lokr": _lokr, "oft": _oft, "boft": _boft,
    "glora": _glora, "ia3": _ia3, "full": _full, "norm": _norm,
}  # fmt: skip
