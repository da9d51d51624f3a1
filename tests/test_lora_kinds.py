"""The shapes of a module's tensors say its kind, rank and layer, and whether they are complete and fit each other."""

from __future__ import annotations

import pytest
import torch

from lora_doctor.lora_delta import weight_at
from lora_doctor.lora_kinds import Form, form_of, largest_rank

LOHA = {"hada_w1_a": (12, 2), "hada_w1_b": (2, 10), "hada_w2_a": (12, 2), "hada_w2_b": (2, 10)}
TUCKER_LOHA = {f"hada_w{i}_{half}": (3, size) for i in "12" for half, size in (("a", 12), ("b", 5))} | {
    "hada_t1": (3, 3, 3, 3), "hada_t2": (3, 3, 3, 3)
}  # fmt: skip
PAIR = {"down": (4, 10), "up": (12, 4)}


@pytest.mark.parametrize(
    ("shapes", "form"),
    [
        (PAIR | {"alpha": ()}, Form(kind="lora", rank=4, outputs=12, inputs=10)),
        ({"down": (4, 5, 3, 3), "up": (12, 4, 1, 1)}, Form(kind="lora", rank=4, outputs=12, inputs=5, kernel=9)),
        (PAIR | {"bias": (12,)}, Form(kind="lora", rank=4, outputs=12, inputs=10)),
        (PAIR | {"dora_scale": (12, 1)}, Form(kind="dora", rank=4, outputs=12, inputs=10)),
        (PAIR | {"dora_scale": (1, 10)}, Form(kind="dora", rank=4, outputs=12, inputs=10)),
        (PAIR | {"magnitude": (12,)}, Form(kind="dora", rank=4, outputs=12, inputs=10)),
        ({"down": (4, 5, 1, 1), "mid": (4, 4, 3, 3), "up": (12, 4, 1, 1)},
         Form(kind="tucker", rank=4, outputs=12, inputs=5, kernel=9)),
        (LOHA, Form(kind="loha", rank=2, outputs=12, inputs=10)),
        (LOHA | {"dora_scale": (12, 1)}, Form(kind="loha", rank=2, outputs=12, inputs=10)),
        (TUCKER_LOHA, Form(kind="loha", rank=3, outputs=12, inputs=5, kernel=9)),
        ({"lokr_w1": (3, 2), "lokr_w2": (4, 5)}, Form(kind="lokr", rank=0, outputs=12, inputs=10)),
        ({"lokr_w1": (3, 2), "lokr_w2_a": (4, 2), "lokr_w2_b": (2, 5)},
         Form(kind="lokr", rank=2, outputs=12, inputs=10)),
        ({"lokr_w1_a": (3, 1), "lokr_w1_b": (1, 2), "lokr_w2": (4, 5, 3, 3)},
         Form(kind="lokr", rank=1, outputs=12, inputs=10, kernel=9)),
        ({"lokr_w1": (3, 1), "lokr_t2": (2, 2, 3, 3), "lokr_w2_a": (2, 4), "lokr_w2_b": (2, 5)},
         Form(kind="lokr", rank=2, outputs=12, inputs=5, kernel=9)),
        ({"oft_blocks": (3, 4, 4), "alpha": ()}, Form(kind="oft", rank=0, outputs=12, inputs=0)),
        ({"oft_blocks.0": (3, 4, 4), "oft_blocks.1": (2, 6, 6)}, Form(kind="oft", rank=0, outputs=24, inputs=0)),
        ({"oft_blocks": (2, 3, 4, 4), "rescale": (12, 1)}, Form(kind="boft", rank=0, outputs=12, inputs=0)),
        ({"oft_R.peft": (3, 6)}, Form(kind="oft", rank=0, outputs=0, inputs=12)),
        ({"oft_R": (3, 6)}, Form(kind="oft", rank=0, outputs=0, inputs=12)),
        ({"a1": (10, 2), "a2": (2, 10), "b1": (12, 2), "b2": (2, 10)},
         Form(kind="glora", rank=2, outputs=12, inputs=10)),
        ({"weight": (10,), "on_input": ()}, Form(kind="ia3", rank=0, outputs=0, inputs=0)),
        ({"ia3_l": (12, 1)}, Form(kind="ia3", rank=0, outputs=0, inputs=0)),
        ({"diff": (12, 5, 3, 3), "diff_b": (12,)}, Form(kind="full", rank=0, outputs=12, inputs=5, kernel=9)),
        ({"w_norm": (12,), "b_norm": (12,)}, Form(kind="norm", rank=0, outputs=12, inputs=12)),
    ],
)  # fmt: skip
def test_shapes_say_kind_rank_and_layer(shapes: dict[str, tuple[int, ...]], form: Form) -> None:
    assert form_of(shapes) == form


@pytest.mark.parametrize(
    ("shapes", "layer"),
    [
        (PAIR, (12, 10)),
        ({"down": (30, 10), "up": (12, 30)}, (12, 10)),
        ({"down": (4, 5, 3, 3), "up": (12, 4, 1, 1)}, (12, 5, 3, 3)),
        ({"down": (2, 5, 1, 1), "mid": (2, 2, 3, 3), "up": (12, 2, 1, 1)}, (12, 5, 3, 3)),
        (LOHA, (12, 10)),
        (TUCKER_LOHA, (12, 5, 3, 3)),
        ({"lokr_w1": (3, 2), "lokr_w2_a": (4, 2), "lokr_w2_b": (2, 5)}, (12, 10)),
        ({"lokr_w1_a": (3, 1), "lokr_w1_b": (1, 3), "lokr_w2": (4, 5)}, (12, 15)),
        ({"lokr_w1": (3, 1), "lokr_t2": (2, 2, 3, 3), "lokr_w2_a": (2, 4), "lokr_w2_b": (2, 5)}, (12, 5, 3, 3)),
    ],
)
def test_the_largest_rank_is_that_of_an_update_of_random_factors(
    shapes: dict[str, tuple[int, ...]], layer: tuple[int, ...]
) -> None:
    torch.manual_seed(1)
    parts = {part: torch.randn(shape) for part, shape in shapes.items()}
    update = weight_at(form_of(shapes).kind, parts, scale=1.0, pristine=torch.zeros(layer), weight=1.0)
    assert largest_rank(shapes) == int(torch.linalg.matrix_rank(update.flatten(1).double(), rtol=1e-5))


@pytest.mark.parametrize(
    "shapes",
    [
        {"lokr_w1": (3, 2), "lokr_w2": (4, 5)},
        {"oft_blocks": (3, 4, 4)},
        {"oft_blocks": (2, 3, 4, 4)},
        {"ia3_l": (12, 1)},
        {"diff": (12, 10)},
    ],
    ids=["lokr", "oft", "boft", "ia3", "full"],
)
def test_a_whole_matrix_or_a_rotation_has_no_largest_rank(shapes: dict[str, tuple[int, ...]]) -> None:
    assert largest_rank(shapes) is None


@pytest.mark.parametrize(
    ("shapes", "says"),
    [
        ({"alpha": ()}, "only alpha and nothing to apply"),
        ({"down": (4, 10)}, "no up"),
        ({"down": (4, 10), "up": (12, 3)}, "do not fit: down"),
        ({"down": (4,), "up": (12, 4)}, "do not fit"),
        ({"down": (4, 10), "up": (12, 4, 3, 3)}, "do not fit"),
        (PAIR | {"mid": (4, 3, 3, 3)}, "do not fit: mid"),
        (PAIR | {"dora_scale": (7, 1)}, r"dora_scale \[7, 1\] does not fit"),
        (PAIR | {"lora_magnitude_vector": (10,)}, r"lora_magnitude_vector \[10\] does not fit"),
        (PAIR | {"magnitude": (10,)}, r"magnitude \[10\] does not fit"),
        (PAIR | {"dora_scale": (12, 1), "lora_magnitude_vector": (12,)}, "magnitudes twice"),
        (PAIR | {"on_input": ()}, "weight"),
        ({"hada_w1_a": (12, 2), "hada_w1_b": (2, 10)}, "no hada_w2_a and no hada_w2_b"),
        (LOHA | {"hada_w2_b": (2, 9)}, "different shapes"),
        (TUCKER_LOHA | {"hada_t1": (3, 2, 3, 3)}, "do not fit: hada_t1"),
        ({"lokr_w1": (3,), "lokr_w2": (4, 5)}, "no matrix"),
        ({"lokr_w1": (3, 2), "lokr_w2_a": (4, 2), "lokr_w2_b": (3, 5)}, "do not fit: lokr_w2_a"),
        ({"oft_blocks": (3, 4, 5)}, "square blocks"),
        ({"oft_blocks": (1, 3, 5, 5)}, "even side"),
        ({"oft_R": (3, 5)}, "no triangle"),
        ({"a1": (10, 2), "a2": (2, 9), "b1": (12, 2), "b2": (2, 10)}, "do not fit each other"),
        (LOHA | {"mid": (2, 2, 3, 3)}, "mid does not go with loha"),
    ],
)
def test_what_is_missing_or_does_not_fit_is_said(shapes: dict[str, tuple[int, ...]], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        form_of(shapes)
