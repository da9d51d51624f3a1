"""Does `audit` find what was planted, and is it quiet where nothing was?

    python -m benchmarks.audit_defects --work build/audit [--characters 20] [--first-seed 9001] [--defects NAME ...]

For every character and every defect of `benchmarks/defects/`: a dataset without it, one with a mild and one with a
strong defect, each audited. Recall and precision per defect; the rule that must speak is part of the defect. Resumable:
what was found is kept in `--work`. Characters from 9001 were never used while the checks were built.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.defects.draft import Defect, Draft, healthy
from benchmarks.jobs import run_jobs

SEVERITIES = ("mild", "strong")


def known_defects() -> dict[str, Defect]:
    """Name -> defect, of all topics."""
    import importlib
    import pkgutil

    import benchmarks.defects as package

    names = sorted(each.name for each in pkgutil.iter_modules(package.__path__))
    topics = [importlib.import_module(f"benchmarks.defects.{name}") for name in names]
    return {each.name: each for topic in topics for each in getattr(topic, "DEFECTS", ())}


@dataclass(frozen=True)
class Job:
    """All datasets of one character."""

    seed: int
    defects: tuple[str, ...]
    work: Path


def found_in(draft: Draft, place: Path, tools: Any) -> list[dict[str, Any]]:
    """The findings of the dataset that `draft` becomes: rule, state, what about."""
    from lora_doctor.dataset_audit import AuditSettings, audit_dataset
    from lora_doctor.errors import LoraDoctorError

    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder) / "dataset"
        draft.write(where)
        options = {"trigger": draft.trigger, **draft.options}
        if (config := options.pop("config", None)) is not None:
            where = where / config
        settings = AuditSettings(dataset=where, out=place, **options)
        try:
            audit = audit_dataset(settings, instruments=tools)
        except LoraDoctorError as error:
            return [{"rule": "refused", "state": str(error), "about": {}}]
    return [{"rule": f.rule, "state": f.state, "about": dict(f.about)} for f in audit.findings]


def audit_character(job: Job) -> dict[str, Any]:
    """Every dataset of one character: `healthy`, and by defect and severity; from the work folder where it is known."""
    from lora_doctor.dataset_audit import AuditSettings, open_audit_instruments
    from lora_doctor.instrument_choice import BUNDLED

    path = job.work / f"{job.seed}.json"
    known: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    defects, tools = known_defects(), None
    cache = Path(tempfile.mkdtemp(prefix="audit-"))
    for name, draft in _drafts(job, defects):
        if name in known:
            continue
        tools = tools or open_audit_instruments(AuditSettings(dataset=cache, out=cache, instruments=BUNDLED))
        known[name] = found_in(draft(), cache / "run", tools)
        path.write_text(json.dumps(known, indent=1))
        print(f"{job.seed} {name}: {', '.join(f['rule'] for f in known[name])}", file=sys.stderr, flush=True)
    shutil.rmtree(cache)
    return known


def _drafts(job: Job, defects: Mapping[str, Defect]) -> list[tuple[str, Any]]:
    def without(defect: Defect | None, draw: int) -> Draft:
        draft = healthy(job.seed, draw)
        if defect is not None and defect.without is not None:
            defect.without(draft)
        return draft

    def planted(defect: Defect, severity: Any) -> Draft:
        draft = healthy(job.seed)
        defect.plant(draft, severity)
        return draft

    made: list[tuple[str, Any]] = [(f"healthy {draw}", lambda draw=draw: without(None, draw)) for draw in (0, 1)]
    for name in job.defects:
        defect = defects[name]
        if defect.without is not None:
            made += [(f"{name} without", lambda defect=defect: without(defect, 0))]
        made += [(f"{name} {s}", lambda defect=defect, s=s: planted(defect, s)) for s in SEVERITIES]
    return made


def fires(findings: Sequence[Mapping[str, Any]], defect: Defect) -> bool:
    """Whether the defect's rule speaks, of the right thing."""
    return any(f["rule"] == defect.rule and dict(defect.about).items() <= f["about"].items() for f in findings)


def table(results: Sequence[Mapping[str, Any]], names: Sequence[str], defects: Mapping[str, Defect]) -> list[str]:
    """Markdown: per defect how often its rule spoke of the mild, the strong and no defect; recall and precision."""
    lines = ["| defect | rule | mild | strong | without | recall | precision |", "|---|---|---|---|---|---|---|"]
    for name in names:
        defect = defects[name]
        clean = ["healthy 0", "healthy 1"] if defect.without is None else [f"{name} without"]
        hits = {s: [fires(one[f"{name} {s}"], defect) for one in results] for s in SEVERITIES}
        alarms = [fires(one[key], defect) for one in results for key in clean]
        right, false = sum(map(sum, hits.values())), sum(alarms)
        recall = right / (2 * len(results))
        precision = f"{right / (right + false):.2f}" if right + false else "-"
        told = " | ".join(f"{sum(hits[s])} of {len(results)}" for s in SEVERITIES)
        lines.append(f"| {name} | {defect.rule} | {told} | {false} of {len(alarms)} | {recall:.2f} | {precision} |")
    return lines


def alarms(results: Sequence[Mapping[str, Any]]) -> list[str]:
    """Markdown: which rules speak of healthy datasets, and of how many."""
    healthy_sets = [one[f"healthy {draw}"] for one in results for draw in (0, 1)]
    rules = sorted({f["rule"] for found in healthy_sets for f in found})
    counts = [(rule, sum(any(f["rule"] == rule for f in found) for found in healthy_sets)) for rule in rules]
    return ["| rule that speaks of a healthy dataset | of |", "|---|---|"] + [
        f"| {rule} | {count} of {len(healthy_sets)} |" for rule, count in counts
    ]


def main() -> None:
    """Audit everything and print the tables."""
    defects = known_defects()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--characters", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=9001)
    parser.add_argument("--defects", nargs="*", default=list(defects), choices=list(defects))
    parser.add_argument("--processes", type=int, default=2)
    asked = parser.parse_args()
    asked.work.mkdir(parents=True, exist_ok=True)
    seeds = range(asked.first_seed, asked.first_seed + asked.characters)
    jobs = [Job(seed, tuple(asked.defects), asked.work) for seed in seeds]
    results = list(run_jobs(audit_character, jobs, asked.processes))
    print("\n".join([*table(results, asked.defects, defects), "", *alarms(results)]))


if __name__ == "__main__":
    main()
