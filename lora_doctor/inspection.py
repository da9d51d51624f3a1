"""`inspect`: one LoRA file looked at without a base model: what it is, how it was trained, what its weights say."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lora_doctor.audits.lora_spectrum import spectra, summarise
from lora_doctor.lora_base import BaseGuess, describe_base
from lora_doctor.lora_file import guess_family, read_lora
from lora_doctor.metadata_leaks import private_paths
from lora_doctor.plugins import data_folder
from lora_doctor.rule_files import FILE_RULES, load_rules
from lora_doctor.rules import evaluate
from lora_doctor.types import FamilyGuess, Finding, LoraFile, Measurement, ModuleSpectrum, NotEvaluated, TrainingRecord

SAMPLE = 24
"""Modules whose spectra a fast look takes, spread over the file."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Inspection:
    """All that one file tells."""

    lora: LoraFile
    family: FamilyGuess
    base: BaseGuess
    leaks: tuple[tuple[str, str], ...]
    """Metadata keys that give something private away, with a redacted excerpt."""
    spectra: tuple[ModuleSpectrum, ...]
    measurements: tuple[Measurement, ...]
    findings: tuple[Finding, ...]
    not_evaluated: tuple[NotEvaluated, ...]

    @property
    def blocked(self) -> bool:
        """Whether something is wrong that no weight or prompt can mend."""
        return any(each.severity == "blocker" and each.state == "confirmed" for each in self.findings)


def inspect(path: Path, *, fast: bool = False, rules: Path | None = None, max_header: int | None = None) -> Inspection:
    """Look at the LoRA file at `path`; `fast` takes the spectra of `SAMPLE` modules instead of all.

    `rules`: a folder of file rules instead of lora-doctor's own; `max_header`: as in `read_lora`. Raises InputRefused
    for what is not a LoRA, UsageError for rules that cannot be read.
    """
    judges = load_rules(rules or data_folder("rules") / FILE_RULES)
    lora = read_lora(path, max_header=max_header)
    family = guess_family(lora.modules)
    base = describe_base(family.family, lora.metadata, family.candidates)
    leaks = private_paths(lora.metadata)
    taken = spectra(lora, SAMPLE if fast else None)
    measurements = (*measure_file(lora), *_recorded(lora.record), *summarise(lora, taken))
    findings, not_evaluated = evaluate(judges, measurements)
    return Inspection(
        lora=lora, family=family, base=base, leaks=leaks, spectra=taken, measurements=measurements,
        findings=findings, not_evaluated=not_evaluated,
    )  # fmt: skip


def measure_file(lora: LoraFile) -> list[Measurement]:
    """`file.*`: exact counts and scales of one file. Pure."""
    family = guess_family(lora.modules)
    base = describe_base(family.family, lora.metadata, family.candidates)
    scales = [abs(module.scale) for module in lora.modules if module.rank]
    alphas = [module.alpha for module in lora.modules if module.rank]
    none = None if scales else "no module has a rank"
    return [
        _exact("modules", len(lora.modules), "modules"),
        _exact("non_finite", sum(lora.non_finite.values()), "numbers"),
        _exact("broken_modules", len(lora.faults), "modules"),
        _exact("unknown_tensors", len(lora.unknown_keys), "tensors"),
        _exact("scale", statistics.median(scales) if scales else None, "", none),
        _exact("alpha_spread", _alpha_spread(lora), "times", "no module stores an alpha"),
        _exact("scale_unrecorded", sum(not module.scale_recorded for module in lora.modules), "modules"),
        _exact("alpha", statistics.median(alphas) if alphas else None, "", none),
        _exact("leaks", len(private_paths(lora.metadata)), "metadata keys"),
        _exact("triggers", len(lora.record.triggers), "words"),
        _exact("metadata_hidden", float(lora.record.hidden is not None), "yes = 1"),
        _exact("altered", float(lora.record.altered is not None), "yes = 1"),
        _exact("family_known", float(base.family != "unknown"), "yes = 1"),
        _exact("base_contradicted", float(bool(base.contradictions)), "yes = 1"),
    ]


def _alpha_spread(lora: LoraFile) -> float | None:
    """The largest over the smallest alpha that linear layers of one component store; None where none stores any.

    Convolutions with a kernel are left out: that they have another alpha is ordinary, and loaders take it as it is.
    """
    alphas: dict[str, list[float]] = defaultdict(list)
    for module in lora.modules:
        if module.rank and module.kernel == 1 and "alpha" in module.keys:
            alphas[module.component].append(abs(module.alpha))
    return max((max(own) / min(own) for own in alphas.values()), default=None)


def _recorded(record: TrainingRecord) -> list[Measurement]:
    """`training.*` as far as the file says it; the rate, where the optimiser trains at it."""
    sources, settings = record.sources, record.settings
    if (why_not := settings.why_no_rate) is not None:
        settings, sources = dataclasses.replace(settings, learning_rate=None), {**sources, "learning_rate": why_not}
    asked = ("rank", "alpha", "learning_rate", "text_encoder_learning_rate", "caption_dropout", "caption_token_dropout")
    found = [
        Measurement(
            name=f"training.{name}", value=None if (value := getattr(settings, name)) is None else float(value),
            n=int(value is not None), reason=sources.get(name) if value is None else None,
        )
        for name in asked
    ]  # fmt: skip
    steps = record.progress.steps
    why = None if steps is not None else "the file does not say how many steps were done"
    return [*found, Measurement(name="training.steps_done", value=steps, unit="steps", n=int(not why), reason=why)]


def _exact(name: str, value: float | None, unit: str, reason: str | None = None) -> Measurement:
    return Measurement(name=f"file.{name}", value=value, unit=unit, n=1, reason=reason if value is None else None)


def to_plain(inspections: Sequence[Inspection]) -> list[dict[str, Any]]:
    """The inspections as JSON-ready values, spectra module by module; a number that is none becomes null."""
    return [{"blocked": each.blocked, **_plain(each)} for each in inspections]


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value
