"""What a check-up saw, as the Diagnosis that nothing has judged yet: the numbers, and how they were come by."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from lora_doctor import __version__, dossier
from lora_doctor import diagnosis as diagnosis_file
from lora_doctor.base_choice import Base
from lora_doctor.image_states import NO_LIMITS
from lora_doctor.instruments import Instruments, save_thumbnails
from lora_doctor.run_folder import RunFolder
from lora_doctor.sequence import Sequenced
from lora_doctor.settings import Settings
from lora_doctor.types import Diagnosis, LoraFile, Prescription, Verdict


def facts_of(
    settings: Settings, done: Sequenced, lora: LoraFile, instruments: Instruments, renderer: Any, run: RunFolder,
    base: Base,
) -> Diagnosis:  # fmt: skip
    """A Diagnosis with everything that was seen and nothing judged yet; thumbnails that it names are written."""
    from lora_doctor.metrics.ruler import build_ruler

    study, measurements = done.study, done.measurements
    ruler = build_ruler(study)
    told: dict[str, Any] = {"score_of": None, "limits": NO_LIMITS}
    if not isinstance(ruler, str):
        told = {"score_of": ruler.score_if_framed, "limits": ruler.limits, "verified": ruler.verified}
    renders, beside = run.renders(), [cell for cells in study.arms.values() for cell in cells]
    environments = {cell.environment: cell.trained for cell in study.cells}
    return Diagnosis(
        format_version=diagnosis_file.FORMAT_VERSION,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        versions={
            "lora-doctor": __version__,
            **_versions(("torch", "diffusers", "transformers", "open_clip_torch", "insightface")),
        },
        inputs={"lora": lora.sha256, "dataset": dossier.dataset_digest(study.dataset)},
        lora=dossier.describe_lora(lora, base.name),
        character={
            "trigger": settings.trigger,
            "class_token": settings.character.class_token,
            "spec": dict(study.spec),
        },
        instruments=instruments.described,
        matrix={
            "weights": sorted({cell.weight for cell in study.cells}),
            "environments": [{"name": name, "trained": trained} for name, trained in environments.items()],
            "framings": list(dict.fromkeys(cell.framing for cell in study.cells)),
            "replicates": done.looks[-1].rounds,
            "rounds": {
                "looks": [look.rounds for look in done.looks],
                "bound": round(done.looks[-1].bound, 3),
                "at_most": settings.matrix.most_replicates,
                "stopped": done.stopped,
                **({} if done.reach is None else {"reach": done.reach}),
                **({"ends": done.ends} if done.ends else {}),
            },
            "ship_weights": list(study.ship_weights),
            "prompts": list(dict.fromkeys(cell.prompt for cell in study.cells)),
            "negative_prompt": study.cells[0].negative_prompt,
            "sampler": type(renderer.pipeline.scheduler).__name__,
            "steps": renderer.steps,
            "guidance": renderer.guidance,
            "seed": settings.seed,
        },
        cells=dossier.describe_cells(study.cells, study, renders, run.path, **told),
        arms=dossier.describe_cells(beside, study, renders, run.path, **told),
        dataset=dossier.describe_dataset(
            study.dataset,
            study.references,
            study.label_sets,
            pictures=save_thumbnails(study.dataset, run) if settings.report.private else None,
            measurements=measurements,
        ),
        measurements=measurements,
        findings=(),
        not_evaluated=(),
        prescription=Prescription(),
        verdict=Verdict(outcome="INCONCLUSIVE", sentence="Not judged yet."),
    )


def _versions(packages: Iterable[str]) -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
