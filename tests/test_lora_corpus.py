"""Files written by LyCORIS, peft and diffusers themselves, in every family: understood, applied exactly, rendered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fixtures.loras.table import FAMILIES, changes_pictures, diffusers_error, files, our_error
from fixtures.loras.written import ALPHA, RANK, Expected, Writer
from lora_doctor.lora_file import read_lora

FILES = list(files())
KINDS = {
    "LoRA, Tucker": "tucker", "GLoRA": "glora", "LoHa": "loha", "LoKr": "lokr", "DoRA": "dora", "BOFT": "boft",
    "OFT": "oft", "(IA)3": "ia3", "full": "full",
}  # fmt: skip
"""What a label says -> the product's own name of the kind; the first that is in the label counts."""
BOUND = 1e-5
HALF = ALPHA / RANK
SCALES = {
    "LyCORIS LoRA": HALF, "LyCORIS DoRA": HALF, "LyCORIS LoHa": HALF, "LyCORIS GLoRA": HALF, "LyCORIS LoKr, whole": 1.0,
    "peft LoRA": 1.0, "peft DoRA": 1.0, "peft LoHa": 1.0, "diffusers LoRA, rs": ALPHA / RANK**0.5,
    "diffusers LoRA, older": 1.0, "diffusers DoRA": HALF, "OneTrainer": HALF, "kohya LoRA, dynamic": 0.5,
    "no prefix": 1.0, "ai-toolkit": 1.0,
}  # fmt: skip
"""Start of a label -> the scale that was trained with, in every module."""
RANKS = {"LoRA": {RANK}, "DoRA": {RANK}, "LoHa": {RANK}, "GLoRA": {RANK}, "LoRA, dynamic": {2, 4, 8}}
"""End of a label -> the ranks that were trained."""


@pytest.fixture(scope="module")
def pipeline_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    made: dict[str, Any] = {}

    def get(family: str) -> Any:
        if family not in made:
            made[family] = FAMILIES[family](tmp_path_factory.mktemp(family))
        return made[family]

    return get


@pytest.mark.parametrize(("family", "kind", "writer"), FILES, ids=[f"{family}-{kind}" for family, kind, _ in FILES])
def test_a_file_is_understood_applied_exactly_and_rendered(
    family: str, kind: str, writer: Writer, pipeline_of: Callable[[str], Any], tmp_path: Path
) -> None:
    pipeline, path = pipeline_of(family), tmp_path / "x.safetensors"
    expected = writer(pipeline, path)
    lora = read_lora(path)
    assert (lora.faults, lora.unknown_keys, dict(lora.non_finite)) == ((), (), {})
    if "norms" in kind:
        assert "norm" in {module.kind for module in lora.modules}
    own = next((own for label, own in KINDS.items() if label in kind), "lora")
    assert own in {module.kind for module in lora.modules}
    for label, scale in SCALES.items():
        if kind.startswith(label):
            assert {round(m.scale, 6) for m in lora.modules if m.kind != "norm"} == {round(scale, 6)}
    if ranks := RANKS.get(kind.partition(" ")[2]):
        assert {module.rank for module in lora.modules} == ranks
    assert our_error(pipeline, path, expected) <= BOUND
    assert changes_pictures(pipeline, lora)


def made(family: str, kind: str, pipeline: Any, path: Path) -> Expected:
    return next(writer for f, k, writer in FILES if (f, k) == (family, kind))(pipeline, path)


@pytest.mark.parametrize(
    ("family", "kind"),
    [("sd15", "kohya LoRA, dynamic rank"), ("sdxl", "peft LoRA"), ("sd3", "kohya LoRA, authors' names"),
     ("flux", "no prefix"), ("z-image", "peft DoRA")],
)  # fmt: skip
def test_diffusers_alone_loads_these_wrongly_without_an_error(
    family: str, kind: str, pipeline_of: Callable[[str], Any], tmp_path: Path
) -> None:
    """If this fails, diffusers has learned to read the file: the table in fixtures/loras/README.md wants renewing."""
    pipeline, path = pipeline_of(family), tmp_path / "x.safetensors"
    expected = made(family, kind, pipeline, path)
    theirs = diffusers_error(pipeline, path, expected)
    assert not isinstance(theirs, str)
    assert theirs > 0.1
    assert our_error(pipeline, path, expected) <= BOUND
