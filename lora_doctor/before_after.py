"""What the check-up of a retrained LoRA tells of the one before: what was changed, what came of it, in pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lora_doctor.atomic_files import write_atomically
from lora_doctor.comparison import Comparison
from lora_doctor.comparison_words import difference_text, quantity_name
from lora_doctor.judgement import BEFORE, judge_run
from lora_doctor.retrain_plan import RetrainPlan
from lora_doctor.run_folder import RunFolder
from lora_doctor.run_storage import disk_errors
from lora_doctor.types import Diagnosis

PAIRS = 6
"""Pictures before and after that a report shows."""
PROVING = 4
"""Of these, at most so many that proved what was treated."""


def story(
    plan: RetrainPlan, after: Diagnosis, comparison: Comparison | None, *, kept: bool, because: str
) -> dict[str, Any]:
    """`Diagnosis.before`, as plain values. Pure."""
    before = plan.before
    contrasts = () if comparison is None else comparison.contrasts
    return {
        "outcome": before.verdict.outcome,
        "findings": list(before.confirmed),
        "kept": kept,
        "because": because,
        "changes": [{"field": c.field, "before": c.before, "after": c.after} for c in plan.patch.changes],
        "dataset": list(_besides(plan)),
        "contrasts": [
            {"quantity": quantity_name(c.quantity), "state": c.state, "difference": difference_text(c.difference)}
            for c in contrasts if c.whole and c.state in ("better", "worse")
        ],
        "pairs": _pairs(before, after, comparison),
    }  # fmt: skip


def tell(run: Path, old: Path, told: dict[str, Any]) -> Diagnosis:
    """Write it into the new LoRA's run folder, with pictures of the old one's, and draw its report again."""
    (run / BEFORE).mkdir(exist_ok=True)
    with disk_errors(run):
        for pair in told["pairs"]:
            write_atomically(run / pair["image_before"], (old / pair["old"]).read_bytes())
    with RunFolder(run, create=False) as folder:
        folder.put_json(BEFORE, {**told, "pairs": [{k: v for k, v in p.items() if k != "old"} for p in told["pairs"]]})
    return judge_run(run)


def _besides(plan: RetrainPlan) -> Iterator[str]:
    """What was changed beside the settings, a few words each."""
    if plan.rescales is not None:
        yield f"made {plan.rescales:g} times as strong, nothing trained"
    for many, one, several in (
        (len(plan.captions), "caption corrected", "captions corrected"),
        (len(plan.left_out), "picture left out", "pictures left out"),
        (0 if plan.added is None else len(plan.added.images), "new picture", "new pictures"),
    ):
        if many:
            yield f"{many} {one if many == 1 else several}"


def _pairs(before: Diagnosis, after: Diagnosis, comparison: Comparison | None) -> list[dict[str, Any]]:
    """One entry per cell that both drew: what proved the first finding, then where identity differs most.

    Each scene (environment, framing and seed) once.
    """
    old, new = ({str(cell["key"]): cell for cell in d.cells if cell.get("image")} for d in (before, after))
    proving = [key for finding in before.findings[:1] for key in finding.cells if key in old and key in new]
    changed = [] if comparison is None else [cell.key for cell in comparison.changed]
    scenes = dict[tuple[Any, ...], str]()
    for key in (*proving[:PROVING], *(key for key in changed if key in old and key in new), *proving):
        scenes.setdefault(tuple(new[key][name] for name in ("environment", "framing", "replicate")), key)
    return [
        {
            **{name: new[key][name] for name in ("key", "environment", "framing", "weight", "replicate")},
            "identity_before": old[key].get("identity"), "identity_after": new[key].get("identity"),
            "old": old[key]["image"], "image_before": f"{BEFORE}/{Path(old[key]['image']).name}",
            "image_after": new[key]["image"],
        }
        for key in list(scenes.values())[:PAIRS]
    ]  # fmt: skip
