"""Builds a ComparedRun whose identity scores, labels and verdict are exactly what a test says they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lora_doctor.compared_run import ComparedRun
from lora_doctor.dossier import labels_read
from lora_doctor.types import Diagnosis, Measurement, Prescription, Study, Verdict
from tests.metrics.make_study import make_study

CONDITIONS = {"base": "b", "instruments": "i", "seed": 0, "trigger": "yuki_nk", "steps": 20, "dataset": "d"}


def make_compared_run(
    name: str, outcome: str = "SHIP", *, fingerprint: dict[str, Any] | None = None, spec: dict[str, str] | None = None,
    seen: Study | None = None, with_others: bool = False, **study: Any,
) -> ComparedRun:  # fmt: skip
    """A finished run of the version `name`; `study` is what `make_study` takes, unless `seen` is there, with arms."""
    made = make_study(**study) if seen is None else seen
    beside = [cell for cells in made.arms.values() for cell in cells]
    return ComparedRun(
        name=name,
        folder=Path("/runs") / name,
        fingerprint={"lora": f"sha of {name}", **CONDITIONS, **(fingerprint or {})},
        cells={cell.key: cell for cell in made.cells},
        renders=made.renders,
        missing=made.missing,
        arms={cell.key: cell for cell in beside},
        labels={
            cell.key: labels_read(made.renders[cell.key], made.label_sets, cell.framing)
            for cell in (*made.cells, *beside) if cell.key in made.renders
        },
        references={str(number): each for number, each in enumerate(made.references) if each is not None},
        label_sets=made.label_sets,
        spec=made.spec if spec is None else spec,
        ship_weights=made.ship_weights,
        diagnosis=_diagnosis(name, outcome, with_others),
    )  # fmt: skip


def _diagnosis(name: str, outcome: str, with_others: bool) -> Diagnosis:
    verdict = Verdict(outcome=outcome, sentence=f"{outcome}.")  # type: ignore[arg-type]
    return Diagnosis(
        format_version=1, created="2026-06-15T21:04:11Z", versions={}, inputs={}, lora={"name": name},
        character={"trigger": "yuki_nk"}, instruments={}, matrix={"threshold": 0.6, "policy": "standard"}, cells=(),
        dataset={}, measurements=(Measurement(name="use.with_others", value=float(with_others)),), findings=(),
        not_evaluated=(), prescription=Prescription(), verdict=verdict,
    )  # fmt: skip
