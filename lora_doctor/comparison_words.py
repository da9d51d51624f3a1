"""How quantities, places and differences of a comparison are said, on paper and in a terminal. Pure."""

from __future__ import annotations

from lora_doctor.types import Measurement

_NAMES = {
    "identity": "identity", "body": "body as a whole", "outfit": "outfit as a whole",
    "environment": "environment asked for", "framing": "framing asked for", "no_face": "no face",
    "burnt": "burnt pictures", "copies": "copies of training pictures",
    "replays": "training pictures drawn again", "outfits": "other outfits asked for",
    "poses": "poses asked for", "expressions": "expressions asked for", "others": "other people's traits",
    "places": "places without anybody", "intruders": "somebody in empty places", "bleed": "character in other people",
    "leak": "character without the trigger",
}  # fmt: skip


def quantity_name(quantity: str) -> str:
    """`identity`, `framing asked for`, and an attribute by its own name: `eye colour`."""
    attribute = quantity.partition(":")[2]
    return attribute.replace("_", " ") if attribute else _NAMES[quantity]


def place(weight: str) -> str:
    """`at ship weights`, `at weight 0.7`, `at weights 1 and 0.7`, `beside the matrix`."""
    if weight == "ship":
        return "at ship weights"
    if weight == "top":
        return "beside the matrix"
    return f"at weight{'s' if ' ' in weight else ''} {weight}"


def level_text(level: Measurement | None) -> str:
    """`0.62`, `85 %`, or a dash."""
    if level is None or level.value is None:
        return "–"
    return f"{100 * level.value:.0f} %" if level.unit == "share" else f"{level.value:.2f}"


def difference_text(difference: Measurement) -> str:
    """`−0.41 [−0.47, −0.35]`, shares in points of a hundred: `+12 [−3, +27] points`."""
    if difference.value is None:
        return difference.reason or "not measured"
    points = difference.unit == "share"

    def one(value: float) -> str:
        text = f"{100 * value:+.0f}" if points else f"{value:+.2f}"
        return text.replace("+", "", 1).replace("-", "", 1) if not text.strip("+-0.") else text.replace("-", "−")

    ends = difference.interval
    return (
        one(difference.value) + (f" [{one(ends[0])}, {one(ends[1])}]" if ends else "") + (" points" if points else "")
    )
