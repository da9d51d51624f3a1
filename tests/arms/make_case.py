"""A case to plan arms with: a small matrix, a character with hair and height, prompts that say what was asked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lora_doctor.matrix import plan_cells
from lora_doctor.prompts import build_prompt
from lora_doctor.types import FRAMINGS, ArmCase, Dataset, DatasetImage, LabelSet


def label_set(attribute: str, labels: Sequence[str], kind: Any, framings: Sequence[str] = FRAMINGS) -> LabelSet:
    prompts = tuple((label,) for label in labels)
    return LabelSet(
        attribute=attribute, labels=tuple(labels), prompts=prompts, kind=kind, crop="whole", framings=tuple(framings)
    )


LABEL_SETS = {
    "hair_colour": label_set("hair_colour", ("purple_hair", "green_hair", "black_hair"), "identity"),
    "height": label_set("height", ("tall", "petite"), "body", ("full_body",)),
    "top": label_set("top", ("red_shirt", "blue_jacket", "white_sweater"), "outfit", ("upper_body", "full_body")),
    "environment": label_set("environment", ("beach", "city", "snow", "forest"), "environment"),
    "pose": label_set("pose", ("standing", "sitting", "waving"), "pose", ("upper_body", "full_body")),
    "expression": label_set("expression", ("smile", "frown"), "expression", ("close-up", "upper_body")),
}


def ask(
    environment: str, framing: str, *, trigger: bool = True, class_token: str | None = None,
    tokens: Sequence[str] = (), outfit: Sequence[str] | None = None, pose: str | None = None,
) -> str:  # fmt: skip
    return build_prompt(
        class_token="1girl" if class_token is None else class_token, trigger="yuki_nk" if trigger else "",
        identity_tokens=tokens, outfit=("red_shirt",) if outfit is None else outfit, framing=framing,
        environment=environment, pose=pose,
    )  # fmt: skip


def make_case(captions: Sequence[str] = (), **changed: Any) -> ArmCase:
    """The case; `captions` are those of the dataset's pictures."""
    matrix = plan_cells(
        weights=(0.0, 0.4, 0.7, 1.0), environments=[("beach", False), ("city", True)], framings=FRAMINGS,
        replicates=8, prompt_of=ask, negative_prompt="", seed=0,
    )  # fmt: skip
    images = tuple(
        DatasetImage(path=Path(f"{n}.png"), sha256=f"{n:064d}", width=64, height=64, caption=caption)
        for n, caption in enumerate(captions)
    )
    given: dict[str, Any] = {
        "matrix": matrix, "ask": ask, "trigger": "yuki_nk", "class_token": "1girl",
        "spec": {"hair_colour": "purple_hair", "height": "tall", "top": "red_shirt"}, "asked": ("top",),
        "label_sets": LABEL_SETS, "dataset": Dataset(path=Path("dataset"), images=images), "references": (),
        "ship_weights": (0.7, 1.0), "seed": 0, "rank": 16,
    }  # fmt: skip
    return ArmCase(**given | changed)
